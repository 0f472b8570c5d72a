"""Part of fragments.sh: fragments built one by one, and joined again by scapy."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from scapy.layers.inet import IP, TCP, UDP, fragment  # noqa: E402
from scapy.packet import Raw  # noqa: E402
import wire  # noqa: E402
from wire import INSIDE, INSIDE_2, OUTSIDE, expect  # noqa: E402

QUIET_S = 0.3


def is_part(packet):
    return packet.frag or packet.flags.MF


def collect(taker, source, count):
    """The fragments of one packet, in the order they came."""
    got = []
    while len(got) < count:
        packet = taker.receive(lambda packet: packet.src == source and is_part(packet) and (not got or packet.id == got[0].id))
        if packet is None:
            return got
        got.append(packet)
    return got


def joined(fragments):
    payload = b"".join(bytes(part.payload) for part in sorted(fragments, key=lambda part: part.frag))
    whole = fragments[0].copy()
    whole.remove_payload()
    whole.flags, whole.frag = 0, 0
    del whole.len, whole.chksum
    return IP(bytes(whole / Raw(payload)))


def datagram(source, destination, identification, sport, dport, length=3000, byte=1):
    payload = bytes(number * byte % 251 for number in range(length))
    return IP(src=source, dst=destination, id=identification) / UDP(sport=sport, dport=dport) / Raw(payload)


def both_ways(inside, outside):
    parts = fragment(datagram(INSIDE, OUTSIDE, 7, 4000, 5000), fragsize=1480)
    for part in parts:
        inside.send(part)
    opened = outside.receive(is_part)
    expect(opened is not None and opened.src.startswith("192.0.2."), "outbound: the first fragment is translated")
    got = [opened] + collect(outside, opened.src, len(parts) - 1)
    expect(len({part.id for part in got}) == 1, "outbound: one identification")
    expect([(part.frag, str(part.flags)) for part in got] == [(part.frag, str(part.flags)) for part in parts],
           "outbound: offsets and flags are kept")
    expect(all(wire.header_sum_is_right(part) for part in got), "outbound: header sums are right")
    whole = joined(got)
    expect(wire.sums_are_right(whole) and bytes(whole[UDP].payload) == bytes(datagram(INSIDE, OUTSIDE, 7, 4000, 5000)[UDP].payload),
           "outbound: the datagram is whole and its sum is right")
    external = opened.src, whole[UDP].sport

    parts = fragment(datagram(OUTSIDE, external[0], 8, 5000, external[1]), fragsize=1480)
    for part in parts:
        outside.send(part)
    got = collect(inside, OUTSIDE, len(parts))
    expect(len(got) == len(parts) and all(part.dst == INSIDE for part in got), "inbound: every fragment comes to the host")
    expect(wire.sums_are_right(joined(got)) and joined(got)[UDP].dport == 4000, "inbound: and joins to the datagram")
    return external


def strays(inside, outside, external):
    """A follow-on fragment whose first one was never seen, on either side."""
    parts = fragment(datagram(INSIDE, OUTSIDE, 9, 4000, 5000), fragsize=1480)
    inside.send(parts[1])
    expect(outside.receive(is_part, QUIET_S) is None, "outbound: a stray goes nowhere")
    parts = fragment(datagram(OUTSIDE, external[0], 10, 5000, external[1]), fragsize=1480)
    outside.send(parts[1])
    expect(inside.receive(lambda packet: packet.id == 10, QUIET_S) is None, "inbound: a stray goes nowhere")


def same_identification(inside, outside):
    """Two hosts cut packets with the same identification to the same peer at the same time."""
    first = fragment(datagram(INSIDE, OUTSIDE, 11, 4000, 5000), fragsize=1480)
    second = fragment(datagram(INSIDE_2, OUTSIDE, 11, 4001, 5000, byte=7), fragsize=1480)
    for one, other in zip(first, second):
        inside.send(one)
        inside.send(other)
    got = []
    while len(got) < 2 * len(first):
        packet = outside.receive(is_part)
        expect(packet is not None, "two hosts, one identification: fragment {} of {}".format(len(got) + 1, 2 * len(first)))
        got.append(packet)
    expect(len({(part.src, part[UDP].sport) for part in got if part.frag == 0}) == 2, "two hosts, one identification: two external endpoints")
    # RFC 6864 section 5.3.1: who puts them together by address and identification gets what each of them sent
    packets = {}
    for part in got:
        packets.setdefault(part.id, []).append(part)
    expect(len(packets) == 2 and all(len(parts) == len(first) for parts in packets.values()), "two hosts, one identification: two outside")
    expect(all(wire.sums_are_right(joined(parts)) for parts in packets.values()), "two hosts, one identification: both datagrams join, sums and all")


def overlapping(inside, outside):
    """RFC 1858 section 4, RFC 3128: a fragment over bytes that passed already goes nowhere; one cut at an odd place, or too long, neither."""
    parts = fragment(datagram(INSIDE, OUTSIDE, 13, 4000, 5000), fragsize=1480)
    inside.send(parts[0])
    expect(outside.receive(is_part) is not None, "the first fragment passes")
    over = parts[1].copy()
    over.frag = parts[1].frag - 1
    for wrong in (over, IP(src=INSIDE, dst=OUTSIDE, id=13, proto=17, frag=1) / Raw(bytes(32)),
                  IP(src=INSIDE, dst=OUTSIDE, id=13, proto=17, frag=200, flags="MF") / Raw(bytes(33)),
                  IP(src=INSIDE, dst=OUTSIDE, id=13, proto=17, frag=8190) / Raw(bytes(64))):
        del wrong.chksum
        inside.send(wrong)
    expect(outside.receive(is_part, QUIET_S) is None, "overlapping, cut at an odd place, beyond 65535: go nowhere")
    inside.send(parts[1])
    expect(outside.receive(is_part) is not None, "what follows does")


def out_of_order(inside, outside, external):
    """RFC 4787 REQ-14: what comes before the first fragment goes on when that is there, translated, in both directions and by hairpin."""
    for name, way, other, packet in (
            ("outbound", inside, outside, datagram(INSIDE, OUTSIDE, 21, 4000, 5000, 5000)),
            ("inbound", outside, inside, datagram(OUTSIDE, external[0], 22, 5000, external[1], 5000)),
            ("hairpin", inside, inside, datagram(INSIDE_2, external[0], 23, 4001, external[1], 5000))):
        parts = fragment(packet, fragsize=1480)
        for part in parts[1:] + parts[:1]:
            way.send(part)
        got = [other.receive(is_part)]
        expect(got[0] is not None, name + ": what came before the first fragment goes on once that is there")
        got += collect(other, got[0].src, len(parts) - 1)
        # the queues of two CPUs may put them into another order again
        expect(sorted(part.frag for part in got) == [part.frag for part in parts], name + ": all of it, and each once")
        got.sort(key=lambda part: part.frag)
        whole = joined(got)
        expect(wire.sums_are_right(whole) and bytes(whole[UDP].payload) == bytes(packet[UDP].payload), name + ": and all join to the datagram")
        expect(all(wire.header_sum_is_right(part) for part in got) and len({(part.src, part.dst, part.id, part.ttl) for part in got}) == 1,
               name + ": from one address, with one identification, one hop farther")


def tiny(inside, outside):
    """RFC 1858, RFC 3128: a first fragment without the whole TCP header, and one that would write over it."""
    syn = IP(src=INSIDE, dst=OUTSIDE, id=12, flags="MF") / Raw(bytes(TCP(sport=4000, dport=5000, flags="S"))[:8])
    inside.send(syn)
    inside.send(IP(src=INSIDE, dst=OUTSIDE, id=12, frag=1, proto=6) / Raw(bytes(32)))
    expect(outside.receive(is_part, QUIET_S) is None, "tiny fragments of a TCP header go nowhere")


def main():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})     # frames sent by one CPU stay in one queue, and in order
    inside, outside = wire.play(os.environ["LAB_PREFIX"])
    if sys.argv[1:] == ["stray"]:
        inside.send(fragment(datagram(INSIDE, OUTSIDE, 31, 4000, 5000), fragsize=1480)[1])
        return
    external = both_ways(inside, outside)
    strays(inside, outside, external)
    same_identification(inside, outside)
    out_of_order(inside, outside, external)
    tiny(inside, outside)
    overlapping(inside, outside)


if __name__ == "__main__":
    main()
