#!/usr/bin/python3
"""Part of decoded.sh: one request for every kind of answer, built from the figures of the RFCs. Prints for each answer what a decoder
has to find in it: what it is, and the fields that the request and the rules fix.

  decoded.py"""
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from pcp import header, mapped  # noqa: E402

HOST, OTHER, SERVER, REMOTE = "198.51.100.2", "198.51.100.3", ("198.51.100.1", 5351), "203.0.113.9"
NONCE = bytes(range(1, 13))


def option(code, data=b""):
    return struct.pack("!BxH", code, len(data)) + data + b"\0" * (-len(data) % 4)


def mapping(port, *options, protocol=17, lifetime=600, suggested=0, nonce=NONCE, opcode=1, client=HOST):
    return header(opcode, lifetime, client) + nonce + struct.pack("!B3xHH", protocol, port, suggested) + mapped("0.0.0.0") + b"".join(options)


def peer(port, *options):
    message = mapping(port, opcode=2)
    return message + struct.pack("!H2x", 443) + mapped(REMOTE) + b"".join(options)


def filters(*ends):
    return [option(3, struct.pack("!xBH", 128, 443) + mapped(end)) for end in ends]


class Client:
    def __init__(self, address):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, 0))
        self.udp.connect(SERVER)
        self.udp.settimeout(3)

    def ask(self, what, request, answers=1):
        self.udp.send(request)
        for number in range(answers):
            answer = self.udp.recv(2048)
            while answer[:2] == b"\2\x80" and request[:2] != b"\2\0":     # the server has begun anew, and tells whom it knows
                answer = self.udp.recv(2048)
            print("%s: %s" % (what if not number else what + ", update", found(answer)))


def found(answer):
    """As decoded.sh has tshark print it."""
    if answer[0] == 0:
        opcode, result = struct.unpack("!xBH", answer[:4])
        fields = ["natpmp", opcode] + [result] * (opcode < 131)     # of others it reads the opcode alone
        if opcode == 128:
            fields.append(".".join(map(str, answer[8:12])))
        elif opcode in (129, 130):
            fields += struct.unpack("!HHI", answer[8:16])
        return " ".join(map(str, fields))
    opcode, result, lifetime = answer[1] & 127, answer[3], struct.unpack("!I", answer[4:8])[0]
    fields = ["pcp", opcode, result, lifetime]
    at = {0: 24, 1: 60, 2: 80}.get(opcode)
    if opcode in (1, 2):
        protocol, internal, external = struct.unpack("!B3xHH", answer[36:44])
        fields += [answer[24:36].hex(), protocol, internal, external]
    codes = []
    while at and at < len(answer):
        code, length = struct.unpack("!BxH", answer[at:at + 4])
        codes.append(str(code))
        at += 4 + (length + 3) // 4 * 4
    return " ".join(map(str, fields + [",".join(codes)])).strip()


def main():
    host, other = Client(HOST), Client(OTHER)
    host.ask("ANNOUNCE", header(0, 0, HOST))
    host.ask("MAP", mapping(6000))
    host.ask("MAP with a description", mapping(6001, option(128, b"camera")))
    host.ask("MAP with filters", mapping(6002, *filters("203.0.113.9", "203.0.113.10")))
    host.ask("MAP with PREFER_FAILURE", mapping(6003, option(2), suggested=40001))
    host.ask("MAP with CHECKPOINT_REQUIRED", mapping(6004, option(192)))
    host.ask("MAP with PORT_SET", mapping(6010, option(130, struct.pack("!HHB", 4, 6010, 1)), protocol=6))
    other.ask("MAP for another host", mapping(6005, option(1, mapped(HOST)), client=OTHER))
    host.ask("PEER", peer(6006))
    host.ask("PEER with a description", peer(6007, option(128, b"line")))
    host.ask("deletion", mapping(6000, lifetime=0))
    host.ask("result 1", b"\3" + mapping(6001)[1:])
    host.ask("result 2", mapping(6001, nonce=bytes(12)))
    host.ask("result 3", mapping(6001, protocol=0))
    host.ask("result 4", header(50, 0, HOST))
    host.ask("result 5", mapping(6020, option(100, b"abcd")))
    host.ask("result 6", mapping(6020, option(2)))
    host.ask("result 9", mapping(6020, protocol=132))
    host.ask("result 11", mapping(6020, option(2), suggested=40001))
    host.ask("result 12", mapping(6020, client=OTHER))
    host.ask("result 13", mapping(6020, *filters("203.0.113.9", "203.0.113.10", "203.0.113.11")))
    for port in range(6100, 6106):
        other.ask("filling the quota", mapping(port, client=OTHER))
    other.ask("result 10", mapping(6106, client=OTHER))
    host.ask("GET", header(98, 0, HOST) + bytes(40) + option(131, bytes(56)))
    host.ask("NAT-PMP, address", b"\0\0")
    host.ask("NAT-PMP, UDP", struct.pack("!BBHHHI", 0, 1, 0, 6200, 0, 600))
    host.ask("NAT-PMP, TCP", struct.pack("!BBHHHI", 0, 2, 0, 6200, 0, 600))
    host.ask("NAT-PMP, unknown opcode", b"\0\7\0\0")
    host.ask("a mapping beside the set", mapping(6014, protocol=6))
    # three times, because the client does not ask for that one (RFC 7753 section 4.4.1, RFC 6887 section 14.2)
    host.ask("MAP over both", mapping(6010, option(130, struct.pack("!HHB", 5, 6010, 0)), protocol=6), answers=4)


if __name__ == "__main__":
    main()
