#!/usr/bin/python3
"""Writes tests/replay/*.replay: requests, clock steps and the replies that RFC 6887, 6886, 7220 and 7767 ask for, byte by byte. It
knows their figures and nothing of our codec. Run it from anywhere; test_replay plays what it wrote.

Lines of a script:  now S | step S | from ADDRESS PORT | external | reset ADDRESS | policy NAME | > HEX | < HEX | silence
The data plane behind the server is tests/lib/model_dataplane.h: pool 192.0.2.1, lowest free port from 1024; Epoch 0 is second 4000."""
import ipaddress
import os
import struct

EPOCH_BASE = 4000
ANY = "::"
POOL = "192.0.2.1"


def sixteen(address):
    ip = ipaddress.ip_address(address)
    return ip.packed if ip.version == 6 else b"\0" * 10 + b"\xff\xff" + ip.packed


def option(code, data=b""):
    return struct.pack("!BxH", code, len(data)) + data + b"\0" * (-len(data) % 4)


class Script:
    def __init__(self, name, what):
        self.name, self.lines, self.now, self.client, self.base = name, ["# " + what], 5000, "198.51.100.2", {}
        self.put("now 5000", "from 198.51.100.2 50000")

    def put(self, *lines):
        self.lines += lines

    def step(self, seconds):
        self.now += seconds
        self.put("step %d" % seconds)

    def source(self, address, port=50000):
        self.client = address
        self.put("from %s %d" % (address, port))

    def reset(self, address):
        self.base[address] = self.now
        self.put("reset " + address)

    def epoch(self):
        return self.now - self.base.get(self.client, EPOCH_BASE)

    def say(self, request, reply):
        self.put("> " + request.hex(), "< " + reply.hex() if reply else "silence")

    # RFC 6887 sections 7.1, 7.2, 11.1
    def header(self, opcode, lifetime):
        return struct.pack("!BBHI", 2, opcode, 0, lifetime) + sixteen(self.client)

    def success(self, opcode, lifetime):
        return struct.pack("!BBBBII12x", 2, 128 | opcode, 0, 0, lifetime, self.epoch())

    def fail(self, request, result, lifetime):
        """The request again, with the server's fields in it (section 8.2); reserved bytes per section 7.2."""
        reply = bytearray(request[:1100] + b"\0" * (-len(request[:1100]) % 4))
        reply[0:12] = struct.pack("!BBBBII", 2, 128 | request[1], 0, result, lifetime, self.epoch())
        if result not in (1, 3, 4, 6):
            reply[12:24] = b"\0" * 12
        self.say(request, bytes(reply))

    @staticmethod
    def body(nonce, protocol, port, external_port, external):
        return nonce * 12 + struct.pack("!B3xHH", protocol, port, external_port) + sixteen(external)

    def map(self, nonce, protocol, port, lifetime, assigned, granted, wish=(0, ANY), options=b"", echoed=b""):
        self.say(self.header(1, lifetime) + self.body(nonce, protocol, port, *wish) + options,
                 self.success(1, granted) + self.body(nonce, protocol, port, *assigned) + echoed)

    def map_fails(self, nonce, protocol, port, lifetime, result, error_lifetime, wish=(0, ANY), options=b""):
        self.fail(self.header(1, lifetime) + self.body(nonce, protocol, port, *wish) + options, result, error_lifetime)

    # RFC 6887 section 12.1
    def peer(self, nonce, protocol, port, remote, lifetime, assigned, granted, wish=(0, ANY), options=b"", echoed=b""):
        self.say(self.header(2, lifetime) + self.body(nonce, protocol, port, *wish) + self.end(remote) + options,
                 self.success(2, granted) + self.body(nonce, protocol, port, *assigned) + self.end(remote) + echoed)

    def peer_fails(self, nonce, protocol, port, remote, lifetime, result, error_lifetime, wish=(0, ANY), options=b""):
        self.fail(self.header(2, lifetime) + self.body(nonce, protocol, port, *wish) + self.end(remote) + options, result, error_lifetime)

    @staticmethod
    def end(remote):
        return struct.pack("!H2x", remote[1]) + sixteen(remote[0])

    def announce(self):
        self.say(self.header(0, 0), self.success(0, 0))

    # RFC 6886 section 3
    def natpmp_map(self, opcode, port, wish, lifetime, mapped, granted, result=0):
        self.say(struct.pack("!BBHHHI", 0, opcode, 0, port, wish, lifetime),
                 struct.pack("!BBHIHHI", 0, 128 | opcode, result, self.epoch(), port, mapped, granted))

    def write(self, folder):
        with open(os.path.join(folder, self.name + ".replay"), "w") as file:
            file.write("\n".join(self.lines) + "\n")


# RFC 6887 section 13.3; RFC 7753 section 4
def permit(address, prefix_length=128, port=0):
    return option(3, struct.pack("!xBH", prefix_length, port) + sixteen(address))


def port_set(size, first, parity=0):
    return option(130, struct.pack("!HHB", size, first, parity))


A, B, TCP, UDP = b"\xa5", b"\x5a", 6, 17


def life():
    s = Script("life", "RFC 6887 sections 11, 15: a mapping is made, asked for again, renewed, expires, is made anew and deleted")
    s.announce()
    s.map(A, TCP, 12354, 3600, (1024, POOL), 3600)
    s.map(A, TCP, 12354, 3600, (1024, POOL), 3600)
    s.step(1800)
    s.map(A, TCP, 12354, 3600, (1024, POOL), 3600, wish=(2000, "203.0.113.5"))
    s.step(3599)
    s.map(A, TCP, 12354, 1, (1024, POOL), 120)
    s.step(120)
    s.map(B, TCP, 12354, 4294967295, (1050, POOL), 86400, wish=(1050, POOL))
    s.map(A, UDP, 12354, 600, (1050, POOL), 600, wish=(1050, ANY))
    s.map(B, TCP, 12354, 0, (7, "192.0.2.99"), 0, wish=(7, "192.0.2.99"))
    s.map(B, TCP, 12354, 0, (0, ANY), 0)
    s.announce()
    return s


def nonces():
    s = Script("nonces", "RFC 6887 section 11.3: another nonce is refused for as long as the mapping has left")
    s.map(A, UDP, 7000, 600, (1024, POOL), 600)
    s.map_fails(B, UDP, 7000, 600, 2, 600)
    s.step(250)
    s.map_fails(B, UDP, 7000, 3600, 2, 350)
    s.map_fails(B, UDP, 7000, 0, 2, 350)
    s.source("198.51.100.3", 50001)
    s.map(B, UDP, 7000, 600, (1025, POOL), 600)
    s.source("198.51.100.2")
    s.step(350)
    s.map(B, UDP, 7000, 600, (1024, POOL), 600)
    return s


def malformed():
    s = Script("malformed", "RFC 6887 sections 7.3, 8.2, 9: what is no request, and what is a bad one")
    request = s.header(1, 600) + s.body(A, TCP, 80, 0, ANY)
    for silent in (b"\2", b"\2\x81" + request[2:], request[:23]):
        s.say(silent, b"")
    s.fail(b"\1" + request[1:], 1, 1800)
    s.fail(b"\3\1" + b"\7" * 30, 1, 1800)
    s.fail(request[:-4], 3, 1800)
    s.fail(request + b"\0", 3, 1800)
    s.fail(request + option(200, b"x" * 1040), 3, 1800)
    s.fail(s.header(5, 600) + b"\1\2\3\4", 4, 1800)
    s.fail(request + option(9), 5, 1800)
    s.fail(request + struct.pack("!BxH", 200, 9) + b"12345678", 6, 1800)
    s.fail(request[:8] + sixteen("198.51.100.9") + request[24:], 12, 1800)
    s.map_fails(A, 0, 80, 600, 3, 1800)
    s.map_fails(A, 0, 80, 0, 3, 1800)
    s.map_fails(A, 0, 0, 600, 9, 1800)
    s.map_fails(A, 132, 80, 600, 9, 1800)
    s.map_fails(A, TCP, 80, 600, 6, 1800, options=option(2))
    s.map_fails(A, TCP, 80, 600, 11, 30, wish=(80, POOL), options=option(2))
    s.map(A, TCP, 80, 600, (1030, POOL), 600, wish=(1030, POOL), options=option(2) + option(200, b"?"), echoed=option(2))
    s.put("external")
    s.say(s.header(0, 0), b"")
    return s


def third_party():
    s = Script("third-party", "RFC 6887 section 13.1: 198.51.100.250 may ask for 198.51.100.0/25; RFC 7843: no THIRD_PARTY_ID")
    other, denied = option(1, sixteen("198.51.100.5")), option(1, sixteen("198.51.100.200"))
    s.map_fails(A, TCP, 80, 600, 5, 1800, options=other)
    s.source("198.51.100.250", 50002)
    s.map(A, TCP, 80, 600, (1024, POOL), 600, options=other, echoed=other)
    s.map_fails(A, TCP, 80, 600, 5, 1800, options=denied)
    s.map_fails(A, TCP, 80, 600, 3, 1800, options=option(1, sixteen("198.51.100.250")))
    s.map_fails(A, TCP, 80, 600, 6, 1800, options=other + other)
    s.map_fails(A, TCP, 80, 600, 5, 1800, options=other + option(13, b"\1\2\3"))
    s.source("198.51.100.5")
    s.step(60)
    s.map_fails(B, TCP, 80, 600, 2, 540)
    s.map(A, TCP, 80, 0, (0, ANY), 0)
    return s


def texts():
    s = Script("texts", "RFC 7220: descriptions; RFC 7767: CHECKPOINT_REQUIRED, granted")
    umlaut = "Spiel für zwei".encode()
    s.map(A, UDP, 53, 600, (1024, POOL), 600, options=option(128, umlaut), echoed=option(128, umlaut))
    s.map(A, UDP, 53, 600, (1024, POOL), 600, options=option(128, b"\xff") + option(192), echoed=option(192))
    long = ("x" * 127 + "€" + "y" * 90).encode()
    s.map(A, UDP, 53, 600, (1024, POOL), 600, options=option(128, long), echoed=option(128, b"x" * 127))
    s.map(A, UDP, 53, 600, (1024, POOL), 600, options=option(128), echoed=option(128))
    s.map(A, UDP, 53, 0, (0, ANY), 0, options=option(128, b"gone"))
    return s


def peers():
    s = Script("peers", "RFC 6887 section 12: PEER is made, never shortened, asked, refused to another nonce, and beside a MAP")
    near, far = ("203.0.113.9", 443), ("203.0.113.10", 443)
    s.put("policy peer")
    s.peer(A, TCP, 12354, near, 0, (0, ANY), 0)
    s.peer(A, TCP, 12354, near, 3600, (1024, POOL), 3600)
    s.step(600)
    s.peer(A, TCP, 12354, near, 0, (1024, POOL), 3000)
    s.peer(A, TCP, 12354, near, 120, (1024, POOL), 3000)
    s.peer_fails(B, TCP, 12354, near, 7200, 2, 3000)
    s.peer_fails(B, TCP, 12354, near, 0, 2, 3000)
    s.peer(B, TCP, 12354, far, 7200, (1024, POOL), 7200, wish=(1050, POOL))
    s.map_fails(A, TCP, 12354, 0, 2, 1800)
    s.map(A, TCP, 12354, 600, (1024, POOL), 600, wish=(1050, POOL))
    s.map(A, TCP, 12354, 0, (0, ANY), 7200)
    s.peer_fails(A, TCP, 80, near, 600, 11, 30, wish=(1024, POOL))
    s.peer_fails(A, TCP, 80, near, 600, 11, 30, wish=(0, "192.0.2.77"))
    s.peer(A, TCP, 80, near, 600, (1050, POOL), 600, wish=(1050, POOL))
    s.peer_fails(A, TCP, 81, near, 600, 3, 1800, options=option(2))
    s.peer_fails(A, TCP, 81, near, 600, 6, 1800, options=permit("203.0.113.9"))
    for bad in ((A, 0, 80, near), (A, TCP, 0, near), (A, TCP, 80, ("203.0.113.9", 0)), (A, TCP, 80, ("224.0.0.1", 53)),
                (A, TCP, 80, ("2001:db8::1", 53))):
        s.peer_fails(*bad, 600, 3, 1800)
    s.peer_fails(A, 132, 80, near, 600, 9, 1800)
    text = option(128, b"call")
    s.peer(A, UDP, 5060, near, 600, (1024, POOL), 600, options=text + option(192), echoed=text + option(192))
    return s


def filters():
    s = Script("filters", "RFC 6887 section 13.3: filters are added, cleared, counted; eight are the most")
    some = [permit("203.0.113.%d" % n, 128, 1000 + n) for n in range(9)]
    s.map(A, UDP, 7000, 600, (1024, POOL), 600, options=b"".join(some[:3]), echoed=b"".join(some[:3]))
    s.map(A, UDP, 7000, 600, (1024, POOL), 600, options=b"".join(some[:3]), echoed=b"".join(some[:3]))
    s.map(A, UDP, 7000, 600, (1024, POOL), 600, options=b"".join(some[3:8]), echoed=b"".join(some[3:8]))
    s.map_fails(A, UDP, 7000, 600, 13, 1800, options=some[8])
    clear = permit("0.0.0.0", 0)
    s.map(A, UDP, 7000, 600, (1024, POOL), 600, options=clear + some[8], echoed=clear + some[8])
    s.map_fails(A, UDP, 7000, 600, 13, 1800, options=b"".join(some[:8]))
    s.map(A, UDP, 7000, 600, (1024, POOL), 600, options=permit(ANY, 0), echoed=permit(ANY, 0))
    s.map(A, UDP, 7000, 600, (1024, POOL), 600, options=b"".join(some[:8]), echoed=b"".join(some[:8]))
    s.map(A, UDP, 7000, 600, (1024, POOL), 600)
    for length in (1, 95, 129, 255):
        s.map_fails(A, UDP, 7001, 600, 6, 1800, options=permit("203.0.113.9", length))
    s.map_fails(A, UDP, 7001, 600, 6, 1800, options=some[0] + permit("2001:db8::1", 64))
    s.map_fails(A, UDP, 7001, 600, 6, 1800, options=option(3, bytes(16)))
    s.map_fails(A, UDP, 7000, 0, 6, 1800, options=some[0])
    s.map(A, UDP, 7002, 600, (1025, POOL), 600, options=permit("203.0.113.0", 120, 53), echoed=permit("203.0.113.0", 120, 53))
    s.map(A, UDP, 7000, 0, (0, ANY), 0)
    return s


def sets():
    s = Script("sets", "RFC 7753: sets are made, renewed and deleted as a whole; parity; a set of one is none; what is left of a quota of 8")
    s.map(A, TCP, 3000, 600, (1024, POOL), 600, options=port_set(4, 3000), echoed=port_set(4, 3000))
    s.map(A, TCP, 3000, 1200, (1024, POOL), 1200, options=port_set(4, 3000), echoed=port_set(4, 3000))
    s.step(200)
    s.map_fails(B, TCP, 3000, 1200, 2, 1000, options=port_set(4, 3000))
    s.map(A, TCP, 3002, 600, (1026, POOL), 600)
    s.map(A, TCP, 2998, 600, (1024, POOL), 600, options=port_set(4, 2998), echoed=port_set(4, 3000))
    s.map(A, TCP, 3101, 600, (1029, POOL), 600, options=port_set(2, 3101, 1), echoed=port_set(2, 3101, 1))
    s.map(A, UDP, 3200, 600, (1024, POOL), 600, options=port_set(9, 3200), echoed=port_set(2, 3200))
    s.map_fails(A, UDP, 3300, 600, 10, 30, options=port_set(2, 3300))
    s.map(A, TCP, 3001, 0, (0, ANY), 0, options=port_set(4, 3001), echoed=port_set(4, 3001))
    s.map(A, UDP, 3300, 600, (1026, POOL), 600, options=port_set(1, 3300))
    s.map(A, UDP, 65535, 600, (1027, POOL), 600, options=port_set(5, 65535))
    for bad in (port_set(0, 3400), port_set(2, 3400) * 2):
        s.map_fails(A, UDP, 3400, 600, 6, 1800, options=bad)
    s.map_fails(A, UDP, 3400, 600, 6, 1800, wish=(1040, POOL), options=port_set(2, 3400) + option(2))
    return s


def epochs():
    s = Script("epochs", "RFC 6887 section 8.5: one second a second; one client alone begins again")
    s.announce()
    s.step(1)
    s.announce()
    s.reset("198.51.100.2")
    s.announce()
    s.step(77)
    s.announce()
    s.source("198.51.100.3")
    s.announce()
    s.source("198.51.100.2")
    s.map_fails(A, 132, 80, 600, 9, 1800)
    return s


def natpmp():
    s = Script("natpmp", "RFC 6886 section 3 beside PCP")
    s.put("policy nat-pmp")
    s.say(b"\0\0", struct.pack("!BBHI4B", 0, 128, 0, s.epoch(), 192, 0, 2, 1))
    s.natpmp_map(1, 5000, 1040, 7200, 1040, 7200)
    s.step(10)
    s.natpmp_map(1, 5000, 1041, 60, 1040, 60)
    s.natpmp_map(2, 5000, 0, 7200, 1024, 7200)
    s.natpmp_map(1, 5000, 0, 0, 0, 0)
    s.natpmp_map(1, 5000, 0, 0, 0, 0)
    s.map(A, UDP, 5000, 600, (1024, POOL), 600)
    s.natpmp_map(1, 5000, 1040, 7200, 1024, 600)
    s.natpmp_map(1, 5000, 0, 0, 0, 0, result=2)
    s.natpmp_map(2, 0, 0, 0, 0, 0)
    s.say(b"\0\7abc", b"\0\x87\0\5c")
    s.say(b"\0\x81abc", b"")
    s.say(b"\0\1", b"")
    s.announce()
    return s


def main():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "replay")
    for scenario in (life, nonces, malformed, third_party, texts, peers, filters, sets, epochs, natpmp):
        scenario().write(folder)


main()
