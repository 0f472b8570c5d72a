#!/usr/bin/python3
"""usage: reports.py sink ADDRESS:PORT | pour SOURCE DESTINATION:PORT BYTES | ask SOURCE:PORT DESTINATION:PORT BYTES | frames out|in

Part of reports.sh. sink takes one connection and says how many bytes came; pour fills one; ask sends a datagram that may be cut and
prints the answer; frames sends and reads single frames by scapy, behind a narrow way out or in."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

MTU = 1200
IP_MTU_DISCOVER, IP_PMTUDISC_DONT = 10, 0


def endpoint(text):
    address, port = text.rsplit(":", 1)
    return address, int(port)


def sink(where):
    with socket.create_server(endpoint(where)) as server:
        print("ready", flush=True)
        connection, _ = server.accept()
        count = 0
        while True:
            got = connection.recv(65536)
            if not got:
                break
            count += len(got)
    print(count, "bytes", flush=True)


def pour(source, destination, count):
    with socket.create_connection(endpoint(destination), timeout=10, source_address=(source, 0)) as tcp:
        tcp.sendall(bytes(int(count)))


def ask(source, destination, count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
        udp.bind(endpoint(source))
        udp.settimeout(3)
        udp.sendto(b"?" * int(count), endpoint(destination))
        print(udp.recv(65536).decode().rstrip())


def check(wire, got, sent, kind, sender, mtu, what):
    """A report as RFC 792, 1191 and 1812 want it: about the packet byte by byte as it was sent, from the near address."""
    wire.expect(got is not None, what + ": comes")
    icmp = got.payload
    quote = bytes(icmp.payload)
    wire.expect((got.src, icmp.type, icmp.code) == (sender,) + kind and got.ttl == 64, what + ": type, code, source")
    wire.expect(wire.sums_are_right(got), what + ": its sums are right")
    wire.expect(quote == bytes(sent)[:548] and got.len == min(576, 28 + len(sent)), what + ": quotes what was sent, as it was sent")
    if mtu:
        wire.expect(int.from_bytes(bytes(icmp)[6:8], "big") == mtu, what + ": tells MTU {}".format(mtu))


def frames(way):
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    from scapy.packet import Raw
    import wire
    from wire import INSIDE, INSIDE_2, OUTSIDE, expect

    inside, outside = wire.play(os.environ["LAB_PREFIX"])

    def is_report(packet):
        return packet.proto == 1 and packet.payload.type in (3, 11)

    def opened(source, port):
        inside.send(IP(src=source, dst=OUTSIDE) / UDP(sport=port, dport=9))
        got = outside.receive(lambda packet: packet.proto == 17 and packet.payload.dport == 9)
        expect(got is not None and got.src.startswith("192.0.2."), "{}:{} has a mapping".format(source, port))
        return got.src, got.sport

    near, far = "198.51.100.1", "203.0.113.1"
    external = opened(INSIDE, 4000)
    neighbour = opened(INSIDE_2, 4001)
    big = Raw(bytes(number % 251 for number in range(1372)))

    if way == "in":
        sent = outside.send(IP(src=OUTSIDE, dst=external[0], flags="DF", id=5) / UDP(sport=9, dport=external[1]) / big)
        check(wire, outside.receive(is_report), sent, (3, 4), far, MTU, "inbound, too big")
        expect(inside.receive(lambda packet: packet.src == OUTSIDE, 0.3) is None, "inbound, too big: does not arrive")
        sent = inside.send(IP(src=INSIDE, dst=neighbour[0], flags="DF") / UDP(sport=4000, dport=neighbour[1]) / big)
        check(wire, inside.receive(is_report), sent, (3, 4), near, MTU, "hairpin, too big")
        sent = outside.send(IP(src=OUTSIDE, dst=external[0], id=6) / UDP(sport=9, dport=external[1]) / big)
        parts = [inside.receive(lambda packet: packet.src == OUTSIDE) for _ in range(2)]
        expect(all(parts) and [part.frag > 0 for part in parts] == [False, True], "inbound, may be cut: two fragments, in order")
        expect(b"".join(bytes(part.payload) for part in parts)[8:] == bytes(big), "inbound, may be cut: joins again")
        return

    for name, packet in (("udp", IP(ttl=1) / UDP(sport=4000, dport=5000) / Raw(b"payload")),
                         ("udp, long", IP(ttl=1, tos=8, id=77) / UDP(sport=4000, dport=5000) / Raw(bytes(1001))),
                         ("tcp", IP(ttl=1, flags="DF") / TCP(sport=4000, dport=80, flags="S")),
                         ("echo", IP(ttl=1) / ICMP(id=7, seq=9) / Raw(b"abc"))):
        packet.src, packet.dst = INSIDE, OUTSIDE
        sent = inside.send(packet)
        check(wire, inside.receive(is_report), sent, (11, 0), near, 0, name + ", time to live ended")
    sent = inside.send(IP(src=INSIDE, dst=neighbour[0], ttl=1) / UDP(sport=4000, dport=neighbour[1]))
    check(wire, inside.receive(is_report), sent, (11, 0), near, 0, "hairpin, time to live ended")
    sent = outside.send(IP(src=OUTSIDE, dst=external[0], ttl=1) / UDP(sport=9, dport=external[1]) / Raw(b"in"))
    check(wire, outside.receive(is_report), sent, (11, 0), far, 0, "inbound, time to live ended")

    sent = inside.send(IP(src=INSIDE, dst=OUTSIDE, flags="DF") / UDP(sport=4000, dport=9) / big)
    check(wire, inside.receive(is_report), sent, (3, 4), near, MTU, "outbound, too big")
    inside.send(IP(src=INSIDE, dst=OUTSIDE, id=4) / UDP(sport=4000, dport=9) / big)
    parts = [outside.receive(lambda packet: packet.proto == 17 and (packet.frag or packet.flags.MF)) for _ in range(2)]
    expect(all(parts) and [part.frag > 0 for part in parts] == [False, True], "outbound, may be cut: two fragments, in order")
    expect(all(part.src == external[0] and part.len <= MTU for part in parts), "outbound, may be cut: translated, and small enough")
    whole = IP(src=external[0], dst=OUTSIDE) / UDP(sport=external[1], dport=9) / big
    data = b"".join(bytes(part.payload) for part in parts)
    expect(data[8:] == bytes(big) and data[6:8] == bytes(whole)[26:28], "outbound, may be cut: joins again, and its sum is right")

    inside.send(IP(src=INSIDE, dst=OUTSIDE, ttl=1, proto=17, frag=3) / Raw(bytes(32)))
    outside.send(IP(src=OUTSIDE, dst=external[0], ttl=1) / ICMP(type=3, code=3) /
                 IP(src=external[0], dst=OUTSIDE) / UDP(sport=external[1], dport=9))
    expect(inside.receive(is_report, 0.3) is None and outside.receive(is_report, 0.3) is None,
           "no report about a follow-on fragment, and none about an error")


if __name__ == "__main__":
    {"sink": sink, "pour": pour, "ask": ask, "frames": frames}[sys.argv[1]](*sys.argv[2:])
