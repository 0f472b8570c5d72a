#!/usr/bin/python3
"""Checks frames with scapy, which computes checksums and reads headers by itself.

check_frames.py FILE [whole]: each line is NAME VERDICT IN OUT, the frames in hex. For both frames every checksum that can be known is
computed anew; for the pair: what translation must not touch is the same, the time to live is one less (the same if the kernel is
still to forward it), no internal address goes outside, no checksum appears or goes away. Without "whole" there must be fragments that make a datagram, too.
"""
import ipaddress
import logging
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import Ether, IP, IPerror, ICMP, ICMPerror, Raw, TCP, TCPerror, UDP, UDPerror  # noqa: E402

INSIDE = [ipaddress.ip_network(n) for n in ("198.51.100.0/24", "10.9.0.0/24")]
ERRORS = (3, 11, 12)
OURS = ipaddress.ip_network("192.0.2.0/30")

REPORTS = {"report-ttl": (11, 0), "report-too-big": (3, 4), "report-unreachable": (3, 1)}


def is_inside(address):
    return any(ipaddress.ip_address(address) in network for network in INSIDE)


def is_ours(address):
    return ipaddress.ip_address(address) in OURS


def packet_of(frame):
    """The IP packet of a frame, without what follows it in the frame."""
    ip = Ether(frame)[IP]
    return IP(ip.original[:ip.len])


def again(packet):
    """The same packet with checksums as scapy computes them."""
    copy = packet.copy()
    layer = copy
    while layer and not isinstance(layer, Raw):
        for name in ("chksum",):
            if name in layer.fields:
                del layer.fields[name]
        if isinstance(layer, ICMP):
            break           # what is inside an ICMP error is under its checksum as it stands
        layer = layer.payload
    return IP(bytes(copy))


def expect(claim, text):
    if not claim:
        raise AssertionError(text)


def check_checksums(packet, what):
    computed = again(packet)
    expect(packet.chksum == computed.chksum, f"{what}: IP checksum {packet.chksum:#06x}, scapy has {computed.chksum:#06x}")
    if packet.frag or packet.flags & 1:
        return              # covers more than this fragment; the fragments are put together below
    for kind in (UDP, TCP, ICMP):
        if kind not in packet:
            continue
        said, right = packet[kind].chksum, computed[kind].chksum
        if kind is UDP and said == 0:
            continue        # none
        expect(said == right, f"{what}: {kind.__name__} checksum {said:#06x}, scapy has {right:#06x}")
    if ICMP in packet and packet[ICMP].type in ERRORS:
        check_inner(packet, what)


def check_inner(packet, what):
    """The packet inside an ICMP error, as far as it is there."""
    inner = IP(bytes(packet[ICMP].payload))
    header = IP(bytes(inner)[:inner.ihl * 4])
    expect(header.chksum == again(header).chksum, f"{what}: inner IP checksum {header.chksum:#06x}")
    if len(bytes(inner)) < inner.len:
        return
    whole = again(inner)
    for kind in (UDP, TCP, ICMP):
        if kind in inner and not (kind is UDP and inner[UDP].chksum == 0):
            expect(inner[kind].chksum == whole[kind].chksum, f"{what}: inner {kind.__name__} checksum {inner[kind].chksum:#06x}")


def transport_payload(packet):
    """As it stands in the packet: what scapy reads behind some ports it would write in another way."""
    raw, header = packet.original, packet.ihl * 4
    for kind, length in ((UDP, 8), (TCP, (packet[TCP].dataofs or 0) * 4 if TCP in packet else 0), (ICMP, 8)):
        if kind in packet and not packet.frag:
            return raw[header + length:]
    return raw[header:]


def check_pair(verdict, came, went):
    before, after = packet_of(came), packet_of(went)
    hops = 0 if verdict in ("neighbour-unknown", "fragmented") else 1
    expect(after.ttl == before.ttl - hops, f"time to live {before.ttl} became {after.ttl}")
    is_from_inside = is_inside(before.src) and verdict != "inbound"    # routers outside may have such addresses
    is_renamed = is_from_inside and (before.frag or before.flags & 1 or verdict == "fragmented")    # RFC 6864 section 5.3.1
    for field in ("version", "ihl", "tos", "len", "flags", "frag", "proto", "options") + (() if is_renamed else ("id",)):
        expect(getattr(before, field) == getattr(after, field), f"IP {field} changed")
    expect(Ether(went).type == (Ether(came).type if not hops else 0x0800), "ethertype")
    if is_from_inside:
        expect(is_ours(after.src), f"source {after.src} went outside")
    else:
        expect(after.src == before.src, "a remote peer's address changed")
    if is_ours(before.dst):
        expect(is_inside(after.dst), f"destination {before.dst} became {after.dst}")
    else:
        expect(after.dst == before.dst, "a remote peer's address changed")
    check_checksums(before, "came in")
    check_checksums(after, "went out")
    if UDP in before and UDP in after:
        expect((before[UDP].chksum == 0) == (after[UDP].chksum == 0), "a UDP checksum appeared or went away")
    if TCP in before:
        check_options(before[TCP], after[TCP])
    if not (ICMP in before and before[ICMP].type in ERRORS):
        expect(transport_payload(before) == transport_payload(after), "the payload changed")
    return before, after


def check_options(before, after):
    """TCP options are the same, but for an MSS that was lowered to what the fixtures ask for."""
    expect(before.dataofs == after.dataofs, "TCP data offset")
    for one, other in zip(before.options, after.options):
        clamped = one[0] == "MSS" and before.flags.S and len(one[1:]) == 1 and isinstance(one[1], int) and one[1] > 1300 and other == ("MSS", 1300)
        expect(one == other or clamped, f"TCP option {one} became {other}")


def check_report(verdict, came, went):
    """An ICMP error of xcgn's own: to the sender, about what he sent, byte by byte, in 576 bytes at most."""
    before, after = packet_of(came), packet_of(went)
    expect(Ether(went).src == Ether(came).dst and Ether(went).dst == Ether(came).src, "the report does not go back")
    expect(after.dst == before.src and not is_inside(after.dst) or after.src == "198.51.100.1", "from or to the wrong address")
    expect(not is_ours(after.src) and not is_ours(after.dst), "with an external address")
    expect(len(bytes(after)) == after.len == min(576, 28 + before.len), f"length {after.len}")
    expect(len(Ether(went)) == len(bytes(went)), "more than a report")
    expect((after[ICMP].type, after[ICMP].code) == REPORTS[verdict], f"type {after[ICMP].type}, code {after[ICMP].code}")
    expect(bytes(after[ICMP].payload) == bytes(before)[:548], "the quote is not what was sent")
    check_checksums(after, "report")


def check_datagram(first, rest):
    """First and last fragment put together: the checksum covers both."""
    whole = first.copy()
    whole.flags, whole.len = 0, None
    data = bytes(first.payload) + b"".join(bytes(r.payload) for r in sorted(rest, key=lambda r: r.frag))
    whole = IP(bytes(whole)[:first.ihl * 4]) / Raw(data)
    whole.len, whole.chksum = None, None
    whole = IP(bytes(whole))
    said, right = whole[UDP].chksum, again(whole)[UDP].chksum
    expect(said == right, f"datagram of fragments: UDP checksum {said:#06x}, scapy has {right:#06x}")


def main():
    wrong = pairs = datagrams = reports = 0
    firsts = {}
    for line in open(sys.argv[1]):
        name, verdict, *frames = line.split()
        try:
            if verdict in REPORTS:
                check_report(verdict, *(bytes.fromhex(f) for f in frames))
                reports += 1
                continue
            before, after = check_pair(verdict, *(bytes.fromhex(f) for f in frames))
            pairs += 1
            if after.flags & 1 and not after.frag:
                firsts[after.src, after.dst, after.id] = (after, len(bytes(after.payload)) - 8)
            elif after.frag and (after.src, after.dst, after.id) in firsts:
                first, half = firsts[after.src, after.dst, after.id]
                if len(bytes(after.payload)) == half:
                    check_datagram(first, [after])
                    datagrams += 1
        except AssertionError as error:
            wrong += 1
            print(f"{name}: {error}", *frames, sep="\n  ")
    print(f"scapy read {pairs} translated frames and {datagrams} datagrams of fragments, {reports} ICMP errors of xcgn's own; {wrong} wrong")
    sys.exit(1 if wrong or not pairs or not (datagrams and reports or "whole" in sys.argv[2:]) else 0)


if __name__ == "__main__":
    main()
