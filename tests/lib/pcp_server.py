#!/usr/bin/python3
"""A PCP server that does to clients what servers do, and what they should not; it knows the RFCs' figures and nothing of ours.

  pcp_server.py ADDRESS:PORT HABIT[=VALUE]…   ([ADDRESS]:PORT for IPv6)   prints "ready", then every request in hexadecimal with the time it came
Habits:
  deaf=N         says nothing to the first N requests
  noise          sends wrong answers before each right one: other nonce, port, opcode, protocol; cut, odd, without the R bit; from elsewhere
  natpmp         speaks NAT-PMP only (RFC 6886 section 3.5)
  version=N      refuses every request with UNSUPP_VERSION of version N (RFC 6887 section 9)
  refuse=RESULT  refuses every request with this result for 1800 s
  table=N        GET: N mappings, 17 to a page (draft-boucadair-pcp-failure-06 appendix B)
  lose=PAGE      GET: at this page half of the table and the Epoch are lost
  vanish         GET: each locator is gone when it is asked for
  circle         GET: shows the first page for ever
  one            GET: one mapping to a page, which an inclusive locator never gets past
Answers come twice each, as if the network had doubled them."""
import ipaddress
import socket
import struct
import sys
import time

EPOCH = 1250
PAGE = 17		# fewer with options
LIFETIME = 3600


def mapped(address):
    return b"\0" * 10 + b"\xff\xff" + ipaddress.IPv4Address(address).packed


EXTERNAL = mapped("192.0.2.1")


class Server:
    def __init__(self, endpoint, habits):
        address, port = endpoint.rsplit(":", 1)
        address = address.strip("[]")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((address, int(port)))
        self.elsewhere = socket.socket(family, socket.SOCK_DGRAM)
        self.elsewhere.bind((address, 0))
        self.habits = dict((habit.split("=", 1) + [""])[:2] for habit in habits)
        self.deaf = int(self.habits.get("deaf", 0))
        self.table = set(range(int(self.habits.get("table", 0))))
        self.pages = 0
        self.epoch_zero = time.monotonic() - EPOCH

    def run(self):
        start = time.monotonic()
        print("ready", flush=True)
        while True:
            request, client = self.socket.recvfrom(2048)
            print("at={:.3f} from={}:{} {}".format(time.monotonic() - start, client[0], client[1], request.hex()), flush=True)
            if self.deaf:
                self.deaf -= 1
                continue
            answer = self.answer(request)
            if "noise" in self.habits:
                self.noise(answer, client)
            for _ in range(2):
                self.socket.sendto(answer, client)

    def epoch(self):
        return int(time.monotonic() - self.epoch_zero)

    def header(self, opcode, result, lifetime, version=2):
        return struct.pack("!BBBBII12x", version, opcode | 0x80, 0, result, lifetime, self.epoch())

    def answer(self, request):
        if "natpmp" in self.habits:
            return self.natpmp(request)
        if "version" in self.habits:
            return self.header(request[1], 1, 60, int(self.habits["version"])) + request[24:]
        if "refuse" in self.habits:
            return self.header(request[1], int(self.habits["refuse"]), 1800) + request[24:]
        if request[1] == 98:
            return self.get(request)
        lifetime, = struct.unpack("!I", request[4:8])
        body = bytearray(request[24:])
        if request[1] in (1, 2) and lifetime:	# the suggested port, else 20000
            body[18:20] = body[18:20] if any(body[18:20]) else struct.pack("!H", 20000)
            body[20:36] = EXTERNAL
        return self.header(request[1], 0, min(lifetime, LIFETIME)) + bytes(body)

    def natpmp(self, request):
        if request[0] != 0:
            return struct.pack("!BBHI", 0, 0, 1, self.epoch())
        if request[1] == 0:
            return struct.pack("!BBHI", 0, 128, 0, self.epoch()) + EXTERNAL[12:]
        _, opcode, _, internal, external, lifetime = struct.unpack("!BBHHHI", request)
        port = (external or 20000) if lifetime else 0
        return struct.pack("!BBHIHHI", 0, 128 + opcode, 0, self.epoch(), internal, port, min(lifetime, LIFETIME))

    def next_option(self, key, end, wanted):
        data = bytes(range(0xa0, 0xac)) + struct.pack("!B2xB", 6, end) + mapped("198.51.100.2") + EXTERNAL
        data += struct.pack("!IHH", 600, 1000 + key % 7, 1024 + key)
        if 3 in wanted:
            data += struct.pack("!BxHxBH", 3, 20, 120, 443) + mapped("203.0.113.0")
        if 128 in wanted:
            text = "mapping {} \x1b[7m".format(key).encode()
            data += struct.pack("!BxH", 128, len(text)) + text + b"\0" * (-len(text) % 4)
        return struct.pack("!BxH", 131, len(data)) + data

    def get(self, request):
        locator, = struct.unpack("!H", request[64 + 4 + 54:64 + 4 + 56])
        self.pages += 1
        if self.pages == int(self.habits.get("lose", 0)):
            self.table = set(list(self.table)[::2])
            self.epoch_zero = time.monotonic()
        first = locator - 1024 if locator and "circle" not in self.habits else 0
        if "vanish" in self.habits and locator:
            self.table.discard(first)
        keys = sorted(key for key in self.table if key >= first)
        if not keys:
            return self.header(98, 130, 30) + request[24:64]
        wanted = request[64 + 4 + 56:64 + 4 + struct.unpack("!H", request[66:68])[0]]
        shown = keys[:1 if "one" in self.habits else PAGE // (1 + len(wanted))]
        options = b"".join(self.next_option(key, key == keys[-1] and "circle" not in self.habits, wanted) for key in shown)
        return self.header(98, 0, 0) + request[24:64] + options

    def noise(self, answer, client):
        wrong = [answer[:3], answer[:23], answer[:-4], answer + b"\0", answer + b"\0" * 1100, bytes([answer[0], answer[1] & 0x7f]) + answer[2:]]
        for offset, change in ((0, 1), (1, 4), (24, 1), (35, 1), (36, 1), (41, 1)):	# version, opcode, nonce, protocol, port
            if offset < len(answer):
                wrong.append(answer[:offset] + bytes([answer[offset] ^ change]) + answer[offset + 1:])
        for message in wrong:
            self.socket.sendto(message, client)
        self.elsewhere.sendto(answer[:42] + b"\x11\x11" + answer[44:], client)


if __name__ == "__main__":
    Server(sys.argv[1], sys.argv[2:]).run()
