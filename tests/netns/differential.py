"""Part of differential.sh: random connections, datagrams, echoes and ICMP errors, sent through two NATs, and what each makes of them.

differential.py PREFIX PREFIX SECONDS SEED: the labs of xcgn and of the kernel. A packet is told by its IP identification; fragments that xcgn gives others by their turn. What arrives
must be the same through both, but for the external address and port, which each NAT chooses: they are put back before comparing.
Checksums are not compared but computed by scapy, on both sides.

Not in the traffic, because the two differ there and may:
- packets from a remote peer that was not written to, and hairpinning: the kernel's NAT maps and filters by both endpoints (RFC 4787
  calls that address and port dependent), xcgn by one;
- segments outside of a connection's window, or of none: the kernel passes them on untranslated unless told to drop them;
- IP options that a router writes into (RFC 791 record route, timestamp): the kernel does so;
- a time to live that ends here, packets too large for the next link: what the router says then is compared with the RFCs elsewhere.
"""
import os
import random
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, fragment  # noqa: E402
from scapy.packet import Raw  # noqa: E402
import wire  # noqa: E402
from wire import INSIDE, INSIDE_2, OUTSIDE, OUTSIDE_2  # noqa: E402

PATIENCE_S = 2.0
ERRORS = [(3, 0), (3, 1), (3, 3), (3, 4), (3, 13), (11, 0), (11, 1), (12, 0)]
ICMP_ERRORS = (3, 11, 12)
POOL = b"\xc0\x00\x02"
PROTOCOLS = {"tcp": 6, "udp": 17, "echo": 1}


class Nat:
    def __init__(self, name, prefix):
        self.name = name
        self.inside, self.outside = wire.play(prefix)
        self.external = {}      # (protocol, internal address, port) -> external address, port
        self.internal = {}      # and back

    def learn(self, key, packet):
        """The external endpoint of an internal one: the same for every packet and every remote peer."""
        found = (packet[12:16], port_of(packet, True))
        if key in self.external and self.external[key] != found:
            fail("{}: {} was {}, now it is {}".format(self.name, key, self.external[key], found))
        self.external[key] = found
        self.internal[key[0], found] = key


def fail(text):
    sys.stdout.flush()
    sys.exit("FAILED: " + text)


def address(text):
    return bytes(int(part) for part in text.split("."))


# ---- packets as bytes ----

def header_length(packet):
    return (packet[0] & 15) * 4


def is_error(packet):
    return packet[9] == 1 and packet[header_length(packet)] in ICMP_ERRORS


def port_at(packet, is_source):
    """Where the port stands, or the identifier of an echo."""
    if packet[9] == 1:
        return header_length(packet) + 4
    return header_length(packet) + (0 if is_source else 2)


def port_of(packet, is_source):
    return struct.unpack_from("!H", packet, port_at(packet, is_source))[0]


def checksum_at(packet):
    return header_length(packet) + {1: 2, 6: 16, 17: 6}[packet[9]]


def put_back(nat, packet, is_source, replacement=None):
    """The internal endpoint in place of the external one, in a bytearray."""
    at = 12 if is_source else 16
    if replacement is None:
        if not packet[at:at + 4].startswith(POOL):
            return
        key = nat.internal.get((packet[9], (bytes(packet[at:at + 4]), port_of(packet, is_source))))
        if key is None:
            fail("{}: an external endpoint that is nobody's: {}".format(nat.name, bytes(packet).hex()))
        replacement = address(key[1]), key[2]
    packet[at:at + 4] = replacement[0]
    struct.pack_into("!H", packet, port_at(packet, is_source), replacement[1])


def without_sums(packet, has_no_sum):
    packet[10:12] = b"\0\0"
    at = checksum_at(packet)
    if at + 2 <= len(packet) and not has_no_sum:
        packet[at:at + 2] = b"\0\0"


def sums_of(data):
    """What scapy says of a packet's checksums. Of a part of a packet only that of its header can be known."""
    said = struct.unpack_from("!H", data, 2)[0]
    if len(data) < said:
        return wire.header_sum_is_right(IP(data))
    return wire.sums_are_right(IP(data))


def canonical(nat, data):
    """A packet with internal endpoints, without checksums, and what is to be said of those."""
    sums = [sums_of(data)]
    packet = bytearray(data)
    if is_error(packet):
        at = header_length(packet) + 8
        inner = bytearray(packet[at:])
        sums += [wire.header_sum_is_right(IP(bytes(inner))), sums_of(bytes(inner))]
        put_back(nat, inner, True)
        put_back(nat, inner, False)
        without_sums(inner, inner[9] == 17 and len(inner) >= 28 and not any(inner[checksum_at(inner):checksum_at(inner) + 2]))
        packet[at:] = inner
        for position in (12, 16):       # the outer address is that of the embedded packet: no port to find it by
            if packet[position:position + 4].startswith(POOL):
                packet[position:position + 4] = inner[28 - position:32 - position]
        without_sums(packet, False)
    else:
        put_back(nat, packet, True)
        put_back(nat, packet, False)
        without_sums(packet, packet[9] == 17 and not any(packet[checksum_at(packet):checksum_at(packet) + 2]))
    return bytes(packet), sums


def joined(parts):
    if len(parts) == 1:
        return parts[0]
    parts = [IP(part) for part in parts]
    whole = parts[0].copy()
    whole.remove_payload()
    whole.flags, whole.frag = 0, 0
    del whole.len, whole.chksum
    return bytes(whole / Raw(b"".join(bytes(part.payload) for part in sorted(parts, key=lambda part: part.frag))))


# ---- flows: each step is a packet that one of the two ends may send now ----

class Flow:
    def __init__(self, kind, chance):
        self.chance = chance
        self.host, self.peer = chance.choice((INSIDE, INSIDE_2)), chance.choice((OUTSIDE, OUTSIDE_2))
        self.port, self.peer_port = chance.randrange(1024, 65536), chance.randrange(1, 65536)
        self.kind, self.key = kind, (PROTOCOLS[kind], self.host, self.port)
        self.last_out = {}      # by NAT: the last packet that arrived, for errors about it
        self.last_in = {}

    def ip(self, is_outbound, nat, identification):
        chance = self.header_chance
        source, destination = (self.host, self.peer) if is_outbound else (self.peer, self.host)
        ip = IP(src=source, dst=destination, id=identification, ttl=chance.randrange(2, 256), tos=chance.choice((0, 0, 1, 2, 0x28, 0xb8)),
                flags=chance.choice(("", "DF")), options=[IPOption_NOP()] * 4 if chance.random() < 0.1 else [])
        if not is_outbound:
            ip.dst = ".".join(str(byte) for byte in nat.external[self.key][0])
        return ip

    def ports(self, is_outbound, nat):
        if is_outbound:
            return {"sport": self.port, "dport": self.peer_port}
        return {"sport": self.peer_port, "dport": nat.external[self.key][1]}

    def step(self, is_outbound):
        """A function that builds the next packet for a NAT, or None if nothing is to be said in this direction."""
        seed, decided = self.chance.random(), self.decide(is_outbound)
        if decided is None:
            return None

        def build(nat, identification):
            self.header_chance = random.Random(seed)
            return self.ip(is_outbound, nat, identification) / self.transport(is_outbound, nat, decided)
        return build


class Udp(Flow):
    def __init__(self, chance):
        super().__init__("udp", chance)

    def decide(self, is_outbound):
        return {"data": self.chance.randbytes(self.chance.choice((0, 1, 2, 7, 100, 1400, 2900 if self.chance.random() < 0.3 else 8))),
                "sum": self.chance.random() < 0.8}

    def transport(self, is_outbound, nat, decided):
        udp = UDP(**self.ports(is_outbound, nat)) / Raw(decided["data"])
        if not decided["sum"]:
            udp.chksum = 0
        return udp


class Echo(Flow):
    def __init__(self, chance):
        super().__init__("echo", chance)
        self.asked = None

    def decide(self, is_outbound):
        if is_outbound:
            self.asked = self.chance.randrange(65536), self.chance.randbytes(self.chance.choice((0, 8, 56, 1000)))
        return self.asked

    def transport(self, is_outbound, nat, decided):
        identifier = self.port if is_outbound else nat.external[self.key][1]
        return ICMP(type=8 if is_outbound else 0, id=identifier, seq=decided[0]) / Raw(decided[1])


class Tcp(Flow):
    """Two ends that keep to RFC 793: who may send what follows from what each has sent and got."""

    def __init__(self, chance):
        super().__init__("tcp", chance)
        self.sent = [chance.randrange(1 << 32), chance.randrange(1 << 32)]	# next number to send: of the peer, of the host
        self.got = [None, None]		# next number expected, once the other's SYN is there
        self.state = ["closed", "closed"]
        self.is_simultaneous = chance.random() < 0.1

    def decide(self, is_outbound):
        me, other = int(is_outbound), int(not is_outbound)
        chance, state = self.chance, self.state
        if state[me] == "closed":
            if state[other] != "syn" and not (is_outbound and state[other] == "closed"):
                return None
            return self.syn(me, other)
        if state[me] == "syn":
            if self.got[me] is None:
                return None
            if state[other] == "syn":		# both have sent theirs, and each answers the other's
                state[me] = "syn-ack"
                return self.segment(me, "SA", b"", -1)
            state[me] = "open"
            return self.segment(me, "A")
        if state[me] == "syn-ack":
            if state[other] in ("closed", "syn"):
                return None
            state[me] = "open"
            return self.segment(me, "A")
        if state[me] in ("reset", "over") or state[other] == "reset":
            return None
        if state[me] == "fin":
            if state[other] == "fin":
                state[me] = "over"
            return self.segment(me, "A")
        if state[other] in ("syn", "syn-ack"):
            return None
        draw = chance.random()
        if draw < 0.08:
            state[me] = "fin"
            return self.segment(me, "FA", chance.randbytes(chance.choice((0, 0, 10))))
        if draw < 0.10:
            state[me] = "reset"
            return self.segment(me, "RA")
        flags = chance.choice(("A", "PA", "PA", "AE", "PAC", "APU"))
        return self.segment(me, flags, chance.randbytes(chance.choice((0, 1, 2, 99, 536, 1200))))

    def syn(self, me, other):
        options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (self.chance.randrange(1 << 32), 0)), ("WScale", 7)]
        is_answer = self.got[me] is not None and not (self.is_simultaneous and not me)
        self.state[me] = "syn-ack" if is_answer else "syn"
        segment = self.segment(me, "SA" if is_answer else self.chance.choice(("S", "SEC")), b"", 0,
                               [option for option in options if self.chance.random() < 0.8])
        if not is_answer:
            segment["ack"] = 0
        return segment

    def segment(self, me, flags, data=b"", back=0, options=None):
        number = (self.sent[me] + back) % (1 << 32)
        length = len(data) + ("S" in flags) + ("F" in flags)
        self.sent[me] = (number + length) % (1 << 32)
        decided = {"flags": flags, "seq": number, "ack": self.got[me] or 0, "window": self.chance.randrange(30000, 65536),
                   "data": data, "urgptr": 1 if "U" in flags else 0, "options": options or []}
        self.got[1 - me] = self.sent[me]
        return decided

    def transport(self, is_outbound, nat, decided):
        fields = {name: value for name, value in decided.items() if name != "data"}
        return TCP(**self.ports(is_outbound, nat), **fields) / Raw(decided["data"])

    def is_over(self):
        return "reset" in self.state or self.state == ["over", "over"]


def error_step(flow, is_outbound, chance):
    """An ICMP error about the last packet that went the other way, of 576 bytes at most (RFC 1812 section 4.3.2.3)."""
    icmp_type, code = chance.choice(ERRORS)
    length, router = chance.choice((28, 28, 36, 60, 548)), chance.choice((None, None, OUTSIDE if flow.peer == OUTSIDE_2 else OUTSIDE_2))
    ttl = chance.randrange(2, 256)

    def build(nat, identification):
        about = (flow.last_in if is_outbound else flow.last_out)[nat]
        about = about[:max(length, header_length(about) + 8)]
        source = flow.host if is_outbound else router or flow.peer
        # chosen by hand, for scapy would pad what is inside
        body = Raw(struct.pack("!BBHI", icmp_type, code, 0, 1400 if (icmp_type, code) == (3, 4) else 0) + about)
        body.load = body.load[:2] + struct.pack("!H", wire_sum(body.load)) + body.load[4:]
        return IP(src=source, dst=".".join(str(byte) for byte in about[12:16]), id=identification, ttl=ttl, proto=1) / body
    return build


def wire_sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


# ---- rounds ----

def is_part(packet):
    return struct.unpack_from("!H", packet, 6)[0] & 0x3fff != 0


def collect(taker, wanted, is_renamed):
    """Packets by their identification, all parts of each, until all that were sent are there or nothing came for a while.
    is_renamed: parts have another one, and get back that of the packet that was sent in their turn."""
    in_parts, names = [identification for identification, count in wanted.items() if count > 1], {}
    got, missing, end = {}, sum(wanted.values()), time.monotonic() + PATIENCE_S
    while missing > 0 and time.monotonic() < end:
        taker.socket.settimeout(max(end - time.monotonic(), 0.001))
        try:
            frame, where = taker.socket.recvfrom(65536)
        except OSError:
            break
        if where[2] == wire.PACKET_OUTGOING or frame[12:14] != b"\x08\x00":
            continue
        packet = frame[14:14 + struct.unpack_from("!H", frame, 16)[0]]
        if is_renamed and is_part(packet):
            name = packet[4:6] + packet[12:20]
            if name not in names and in_parts:
                names[name] = struct.pack("!H", in_parts.pop(0))
            packet = packet[:4] + names.get(name, b"\0\0") + packet[6:]
        identification = struct.unpack_from("!H", packet, 4)[0]
        if identification not in wanted:
            continue
        got.setdefault(identification, []).append(packet)
        missing -= 1
    return got


class Run:
    def __init__(self, nats, seed):
        self.nats, self.chance = nats, random.Random(seed)
        self.flows, self.identification = [], 1
        self.counts = {}

    def new_flow(self):
        flow = self.chance.choice((Udp, Tcp, Tcp, Echo))(self.chance)
        if all(flow.key != other.key for other in self.flows):
            self.flows.append(flow)

    def steps(self, is_outbound):
        """What is sent in one direction: a step or two of each flow, in the order in which they are sent."""
        steps = []
        for flow in self.flows:
            for _ in range(self.chance.choice((0, 1, 1, 2))):
                known = flow.key in self.nats[0].external
                about = flow.last_in if is_outbound else flow.last_out
                if known and about and self.chance.random() < 0.1:
                    steps.append((flow, "error", error_step(flow, is_outbound, self.chance)))
                elif is_outbound or known:
                    build = flow.step(is_outbound)
                    if build:
                        steps.append((flow, flow.kind, build))
        return steps

    def round(self, is_outbound):
        steps, sent, wanted = self.steps(is_outbound), {}, {}
        for flow, kind, build in steps:
            identification = self.identification
            self.identification = self.identification % 65535 + 1
            sent[identification] = flow, kind, {}
            for nat in self.nats:
                packet = build(nat, identification)
                data = bytes(packet)
                parts = [data]
                if len(data) > 1500:
                    packet.flags = 0
                    data = bytes(packet)
                    parts = [bytes(part) for part in fragment(packet, fragsize=1440)]
                wanted[identification] = len(parts)
                sent[identification][2][nat] = data
                way = nat.inside if is_outbound else nat.outside
                for part in parts:
                    way.send_frame(frame_of(way, part))
        got = {nat: collect(nat.outside if is_outbound else nat.inside, wanted, is_outbound and nat is self.nats[0]) for nat in self.nats}
        for identification, (flow, kind, packets) in sent.items():
            self.compare(flow, kind, is_outbound, packets, {nat: got[nat].get(identification, []) for nat in self.nats}, wanted[identification])

    def compare(self, flow, kind, is_outbound, packets, got, parts):
        direction = "outbound" if is_outbound else "inbound"
        seen = {}
        for nat in self.nats:
            if len(got[nat]) != parts:
                fail("{} {}: {} of {} packets arrive through {}: {}".format(direction, kind, len(got[nat]), parts, nat.name, packets[nat].hex()))
            packet = joined(got[nat])
            if is_outbound and not is_error(packet):
                nat.learn(flow.key, packet)
            if not is_error(packet):
                (flow.last_out if is_outbound else flow.last_in)[nat] = packet
            seen[nat] = canonical(nat, packet)
            if packet[8] != packets[nat][8] - 1:
                fail("{} {}: time to live {} became {} through {}".format(direction, kind, packets[nat][8], packet[8], nat.name))
            if is_outbound and not packet[12:16].startswith(POOL):
                fail("{} {}: untranslated through {}: {}".format(direction, kind, nat.name, packet.hex()))
            if not all(seen[nat][1]):
                fail("{} {}: checksums {} through {}: {}".format(direction, kind, seen[nat][1], nat.name, packet.hex()))
        ours, kernels = (seen[nat][0] for nat in self.nats)
        if ours != kernels:
            fail("{} {}: differs\n{} {}\n{} {}".format(direction, kind, self.nats[0].name, ours.hex(), self.nats[1].name, kernels.hex()))
        name = direction + " " + kind + (" fragments" if parts > 1 else "")
        self.counts[name] = self.counts.get(name, 0) + 1

    def go(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            while len(self.flows) < 24:
                self.new_flow()
            for is_outbound in (True, False):
                self.round(is_outbound)
            self.flows = [flow for flow in self.flows if not (isinstance(flow, Tcp) and flow.is_over()) and self.chance.random() > 0.02]


def frame_of(way, packet):
    return bytes.fromhex((way.gateway + way.address).replace(":", "")) + b"\x08\x00" + packet


def main():
    prefixes, seconds, seed = sys.argv[1:3], float(sys.argv[3]), int(sys.argv[4])
    print("   seed {}".format(seed), flush=True)
    run = Run([Nat(name, prefix) for name, prefix in zip(("xcgn", "the kernel"), prefixes)], seed)
    run.go(seconds)
    for name in sorted(run.counts):
        print("   {}: {} the same".format(name, run.counts[name]))
    kinds = {"{} {}".format(direction, kind) for direction in ("outbound", "inbound") for kind in ("tcp", "udp", "echo", "error")}
    if not kinds <= set(run.counts) or sum(run.counts.values()) < 100:
        fail("too little was compared")


if __name__ == "__main__":
    main()
