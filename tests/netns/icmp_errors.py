"""Part of icmp_errors.sh: errors of every kind about UDP, TCP and ICMP, each built and read by scapy."""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.packet import Raw  # noqa: E402
from scapy.utils import checksum  # noqa: E402
import wire  # noqa: E402
from wire import INSIDE, INSIDE_2, OUTSIDE, OUTSIDE_2, expect  # noqa: E402

# RFC 792 type and code, the second word of the header (RFC 1191: the MTU), name.
ERRORS = [(11, 0, 0, "time exceeded"), (3, 3, 0, "port unreachable"), (3, 4, 1400, "fragmentation needed"),
          (12, 0, 0x14000000, "parameter problem")]
FLOWS = [("udp", 17, UDP(sport=4000, dport=5000) / Raw(b"payload of a datagram")),
         ("udp without checksum", 17, UDP(sport=4001, dport=5000, chksum=0) / Raw(b"payload")),
         ("tcp", 6, TCP(sport=4000, dport=5000, seq=7, flags="S")),
         ("icmp", 1, ICMP(type=8, id=4000, seq=1) / Raw(b"ping"))]
WHOLE, MINIMUM = 2000, 28	# bytes of the embedded packet: all of it, or its header and eight more (RFC 792)


def error(kind, source, destination, about, length):
    icmp_type, code, word, _ = kind
    body = struct.pack("!BBHI", icmp_type, code, 0, word) + bytes(about)[:length]
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    return IP(src=source, dst=destination, proto=1) / Raw(body)


def is_error(kind, source, destination):
    return lambda packet: (packet.src, packet.dst, packet.proto) == (source, destination, 1) and \
        bytes(packet.payload)[:2] == bytes(kind[:2])


def check_error(got, kind, embedded, length, what):
    """The error that arrived: its sums, its second word, and the embedded packet byte by byte."""
    expect(got is not None, what + ": arrives")
    body = bytes(got.payload)
    if checksum(body) or not wire.header_sum_is_right(IP(body[8:])):
        sys.exit("FAILED: {}: checksum of the error or of the embedded header: {}".format(what, body.hex()))
    wanted = bytes(embedded)[:length]
    given = body[8:]
    # Routers on the way count down the embedded packet's time to live; the NAT did, before the error came.
    given = given[:8] + wanted[8:9] + given[9:10] + wanted[10:12] + given[12:]
    if struct.unpack("!I", body[4:8])[0] != kind[2] or given != wanted:
        sys.exit("FAILED: {}: embedded {} instead of {}".format(what, given.hex(), wanted.hex()))


def identifier(packet):
    return packet[ICMP].id if ICMP in packet else packet.payload.sport


def errors_from_outside(inside, outside):
    """RFC 5508 REQ-4: an error from the outside about what a host inside sent."""
    for name, protocol, payload in FLOWS:
        sent = inside.send(IP(src=INSIDE, dst=OUTSIDE) / payload)
        seen = outside.receive(lambda packet: packet.dst == OUTSIDE and packet.proto == protocol)
        expect(seen is not None and seen.src.startswith("192.0.2.") and wire.sums_are_right(seen), name + ": translated outbound")
        for kind in ERRORS:
            for length in (WHOLE, MINIMUM):
                router = "203.0.113.99"
                outside.send(error(kind, router, seen.src, seen, length))
                got = inside.receive(is_error(kind, router, INSIDE))
                check_error(got, kind, sent, length, "{}: {}, {} bytes embedded".format(name, kind[3], min(length, len(seen))))


def errors_from_inside(inside, outside):
    """RFC 5508 REQ-5: an error from a host inside about what came to it by its mapping."""
    for name, protocol, payload in FLOWS[:3]:
        inside.send(IP(src=INSIDE, dst=OUTSIDE) / payload)
        opened = outside.receive(lambda packet: packet.dst == OUTSIDE and packet.proto == protocol)
        back = IP(src=OUTSIDE_2, dst=opened.src) / payload.copy()
        back.payload.sport, back.payload.dport = 7000, identifier(opened)
        sent = outside.send(back)
        seen = inside.receive(lambda packet: packet.src == OUTSIDE_2 and packet.dst == INSIDE)
        expect(seen is not None and wire.sums_are_right(seen), name + ": translated inbound from another peer")
        for kind in ERRORS:
            for length in (WHOLE, MINIMUM):
                inside.send(error(kind, INSIDE, OUTSIDE_2, seen, length))
                got = outside.receive(is_error(kind, opened.src, OUTSIDE_2))
                check_error(got, kind, sent, length, "{}: {} from inside".format(name, kind[3]))


def errors_hairpin(inside, outside):
    """RFC 5508 REQ-7: an error about a packet that one host inside sent to another by its external endpoint."""
    payload = UDP(sport=4100, dport=1)
    endpoints = {}
    for host in (INSIDE, INSIDE_2):
        inside.send(IP(src=host, dst=OUTSIDE) / payload)
        endpoints[host] = outside.receive(lambda packet: packet.dst == OUTSIDE and packet.proto == 17)
    target = endpoints[INSIDE_2]
    sent = inside.send(IP(src=INSIDE, dst=target.src) / UDP(sport=4100, dport=target.sport) / Raw(b"hairpin"))
    seen = inside.receive(lambda packet: packet.dst == INSIDE_2 and packet.proto == 17)
    expect(seen is not None and seen.src == endpoints[INSIDE].src, "hairpin: arrives with the external source")
    kind = ERRORS[1]
    inside.send(error(kind, INSIDE_2, seen.src, seen, WHOLE))
    got = inside.receive(is_error(kind, target.src, INSIDE))
    check_error(got, kind, sent, WHOLE, "hairpin: port unreachable comes from the target's external address")


def main():
    inside, outside = wire.play(os.environ["LAB_PREFIX"])
    errors_from_outside(inside, outside)
    errors_from_inside(inside, outside)
    errors_hairpin(inside, outside)
    # An error about a port that nobody has goes nowhere.
    stray = IP(src="192.0.2.1", dst=OUTSIDE) / UDP(sport=65535, dport=5000)
    outside.send(error(ERRORS[1], OUTSIDE, "192.0.2.1", stray, WHOLE))
    expect(inside.receive(lambda packet: packet.proto == 1, 0.3) is None, "an error about no mapping goes nowhere")


if __name__ == "__main__":
    main()
