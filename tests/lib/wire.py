"""Frames on a NIC of a lab's namespace, built and read by scapy: an independent decoder of what the data plane does.

Hosts played this way have addresses that no kernel owns (198.51.100.77, .78, 203.0.113.77, .78), so that no kernel answers in between;
play() tells the NAT their link addresses."""
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
import time

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether

CLONE_NEWNET = 0x40000000
SIOCGIFHWADDR = 0x8927
ETH_P_ALL = 3
PACKET_OUTGOING = 4

INSIDE, INSIDE_2, OUTSIDE, OUTSIDE_2 = "198.51.100.77", "198.51.100.78", "203.0.113.77", "203.0.113.78"


def enter(namespace):
    """This thread's sockets are made in a network namespace from now on."""
    with open("/run/netns/" + namespace) as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns " + namespace)


def link_address(nic):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        reply = fcntl.ioctl(any_socket, SIOCGIFHWADDR, struct.pack("256s", nic.encode()))
    return ":".join("%02x" % byte for byte in reply[18:24])


class Wire:
    """One NIC: frames out of it, and frames that come in."""

    def __init__(self, namespace, nic, gateway):
        enter(namespace)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind((nic, 0))
        self.address, self.gateway = link_address(nic), gateway

    def send(self, packet):
        """An IP packet to the NAT. Returns it as it went, with lengths and checksums filled in."""
        self.send_frame(bytes(Ether(src=self.address, dst=self.gateway) / packet))
        return IP(bytes(packet))

    def send_frame(self, frame):
        self.socket.send(frame)

    def receive(self, matches, seconds=3.0):
        """The first IP packet in for which matches() is true, or None."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                frame, where = self.socket.recvfrom(65536)
            except socket.timeout:
                return None
            if where[2] == PACKET_OUTGOING:
                continue
            packet = Ether(frame)
            if IP in packet and matches(packet[IP]):
                return packet[IP]
        return None


def play(prefix):
    """The wires of a lab: what the hosts inside send and get, and what the peers outside do."""
    enter(prefix + "-cgn")
    gateways = link_address("in0"), link_address("out0")
    wires = Wire(prefix + "-host", "host0", gateways[0]), Wire(prefix + "-peer", "peer0", gateways[1])
    for wire, nic, addresses in zip(wires, ("in0", "out0"), ((INSIDE, INSIDE_2), (OUTSIDE, OUTSIDE_2))):
        for address in addresses:
            subprocess.run(["ip", "-n", prefix + "-cgn", "neigh", "replace", address, "lladdr", wire.address, "dev", nic,
                            "nud", "permanent"], check=True)
    return wires


def sums_are_right(packet):
    """Every checksum of an IP packet, recomputed by scapy; a UDP checksum of zero is none."""
    again = packet.copy()
    for layer in (IP, UDP, TCP, ICMP):
        if layer in packet and not (layer is UDP and packet[UDP].chksum == 0):
            del again[layer].chksum
    again = IP(bytes(again))
    return all(layer not in packet or packet[layer].chksum == again[layer].chksum or (layer is UDP and packet[UDP].chksum == 0)
               for layer in (IP, UDP, TCP, ICMP))


def header_sum_is_right(packet):
    """Of an IP header alone, whatever follows: a fragment, or a packet embedded in an ICMP error."""
    header = bytearray(bytes(packet)[:packet.ihl * 4])
    given = bytes(header[10:12])
    header[10:12] = b"\0\0"
    total = sum(struct.unpack("!%dH" % (len(header) // 2), header))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return struct.pack("!H", ~total & 0xffff) == given


def expect(condition, what):
    if not condition:
        sys.stdout.flush()
        sys.exit("FAILED: " + what)
    print("   " + what, flush=True)
