"""Part of malformed.sh: a bounded number of frames and requests, each broken at random.

  malformed.py frames SEED COUNT EXTERNAL     COUNT to each side; EXTERNAL is the endpoint of a mapping
  malformed.py requests SEED COUNT            to port 5351, from this host; checks every answer"""
import logging
import os
import random
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import pcp  # noqa: E402
from pcp import header, map_request  # noqa: E402


def broken(chance, frame, keep):
    """A frame with some of its bytes changed, its end cut off or grown; the first `keep` bytes stay."""
    body = bytearray(frame[keep:])
    for _ in range(chance.choice((0, 1, 1, 2, 4, 16))):
        if body:
            # The headers matter more than what is behind them.
            place = min(int(chance.expovariate(1 / 20)), len(body) - 1)
            body[place] = chance.choice((0, 255, 1 << chance.randrange(8), chance.randrange(256)))
    how = chance.random()
    if how < 0.2:
        del body[chance.randrange(len(body) + 1):]
    elif how < 0.3:
        body += chance.randbytes(chance.randrange(1, 200))
    elif how < 0.35:
        body = bytearray(chance.randbytes(chance.randrange(0, 200)))
    return frame[:keep] + bytes(body)


def samples(source, destination, port):
    from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import ARP, Dot1Q
    from scapy.packet import Raw
    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)	# ARP without a hardware source is meant
    ip = IP(src=source, dst=destination)
    inner = IP(src=destination, dst=source) / UDP(sport=port, dport=4000) / Raw(b"12345678")
    return [ip / UDP(sport=4000, dport=port) / Raw(b"data"), ip / TCP(sport=4000, dport=port, flags="S"),
            ip / TCP(sport=4000, dport=port, flags="A") / Raw(b"data"), ip / ICMP(type=8, id=port, seq=1) / Raw(b"ping"),
            ip / ICMP(type=3, code=3) / inner, ip / ICMP(type=11) / inner, ip / ICMP(type=13),
            IP(src=source, dst=destination, options=[IPOption_NOP()] * 4) / UDP(sport=4001, dport=port) / Raw(b"data"),
            IP(src=source, dst=destination, flags="MF", id=5) / UDP(sport=4000, dport=port) / Raw(b"12345678"),
            IP(src=source, dst=destination, frag=2, id=5, proto=17) / Raw(b"12345678"),
            IP(src=source, dst=destination, proto=47) / Raw(b"gre"), Dot1Q(vlan=7) / ip / UDP(sport=4000, dport=port),
            IP(src=source, dst=destination, ttl=1) / UDP(sport=4000, dport=port), IP(src="127.0.0.1", dst=destination) / UDP(dport=port),
            IP(src="10.1.2.3", dst=destination) / UDP(sport=5, dport=port), IP(src=source, dst="255.255.255.255") / UDP(dport=port),
            IPv6(src="2001:db8::1", dst="2001:db8:1::2") / UDP(sport=4000, dport=port), ARP(psrc=source, pdst=destination)]


def frames(chance, count, external):
    import wire
    from scapy.layers.l2 import Ether
    address, port = external.split(":")
    inside, outside = wire.play(os.environ["LAB_PREFIX"])
    plans = [(inside, samples(wire.INSIDE, wire.OUTSIDE, 5000) + samples(wire.INSIDE, address, int(port)) +
              samples(wire.INSIDE, "198.51.100.1", 5351)),
             (outside, samples(wire.OUTSIDE, address, int(port)) + samples(wire.OUTSIDE, "203.0.113.1", 5351) +
              samples(wire.OUTSIDE, wire.INSIDE, 4000))]
    plans = [(nic, [bytes(Ether(src=nic.address, dst=nic.gateway) / packet) for packet in packets]) for nic, packets in plans]
    for _ in range(count):
        for nic, whole in plans:
            nic.send_frame(broken(chance, chance.choice(whole), chance.choice((12, 12, 14))).ljust(14, b"\0"))
    print("   {} broken frames to each side".format(count))


def requests(chance, count):
    client = "198.51.100.2"
    whole = [map_request(client, "udp", 7000, {"nonce": "5a" * 12}), map_request(client, "tcp", 7001, {"external": "192.0.2.7:4000"}),
             map_request(client, "udp", 6000, {"lifetime": "0"}), map_request(client, "udp", 7002, {"prefer-failure": ""}),
             header(0, 0, client), header(2, 600, client) + bytes(56), header(98, 0, client) + bytes(12), b"\0\0", b"\0\1\0\0" + bytes(8)]
    answers = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((client, 0))
        udp.connect(("198.51.100.1", pcp.SERVER_PORT))
        for number in range(count):
            udp.send(broken(chance, chance.choice(whole), 0))
            # A whole one now and then: its answer says that everything before it was read.
            if number % 50 == 49:
                udp.settimeout(3)
                udp.send(header(0, 0, client))
                answers += drain(udp)
    if answers < count / 4:
        sys.exit("FAILED: only {} answers to {} requests".format(answers, count))
    print("   {} broken requests, {} answers of the right form".format(count, answers))


def drain(udp):
    """Takes answers until that to a plain ANNOUNCE, and checks their form (RFC 6887 section 7.2). Returns how many."""
    count = 0
    while True:
        answer = udp.recv(65536)
        count += 1
        if answer[0] == 0:	# NAT-PMP (RFC 6886)
            if not answer[1] & 128:
                sys.exit("FAILED: a NAT-PMP answer without its bit: " + answer.hex())
            continue
        if answer[0] != 2 or not answer[1] & 128 or len(answer) % 4 or not 24 <= len(answer) <= 1100:
            sys.exit("FAILED: an answer that is none: " + answer.hex())
        if answer[1] == 128 and answer[3] == 0 and len(answer) == 24:
            return count


def main():
    chance = random.Random(int(sys.argv[2]))
    if sys.argv[1] == "frames":
        frames(chance, int(sys.argv[3]), sys.argv[4])
    else:
        requests(chance, int(sys.argv[3]))


if __name__ == "__main__":
    main()
