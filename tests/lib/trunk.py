#!/usr/bin/python3
"""usage: trunk.py NIC TAGS SOURCE:PORT DESTINATION:PORT [BACK]

Sends a UDP datagram by a NIC in a frame with VLAN tags, as the far end of a trunk does, and waits for it to come back translated by
the same NIC; prints "tags=TAGS source=A:P destination=A:P" of that. With BACK then answers it the same way, and prints a second line
about the answer. TAGS: "-", or VLANs by dots, the outer one first; of two the outer is 802.1ad. Exit 1: nothing came within two seconds."""
import os
import socket
import struct
import sys
import time

SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 263, 8, 0x10
ETH_P_ALL, ETH_P_IP, ETH_P_8021Q, ETH_P_8021AD = 3, 0x0800, 0x8100, 0x88A8
MAC = bytes.fromhex("020000000a01")


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def endpoint(text):
    address, port = text.split(":")
    return socket.inet_aton(address), int(port)


def packet(source, destination, payload):
    udp = struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0x4000, 64, 17, 0, source[0], destination[0])
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp


def frame(tags, source, destination, payload):
    vlans = [] if tags == "-" else [int(tag) for tag in tags.split(".")]
    head = b"\x02\0\0\0\0\x01" + MAC
    for number, vlan in enumerate(vlans):
        head += struct.pack("!HH", ETH_P_8021AD if len(vlans) > 1 and not number else ETH_P_8021Q, vlan)
    return head + struct.pack("!H", ETH_P_IP) + packet(source, destination, payload)


def receive(trunk, payload):
    """The kernel takes the outer tag of a frame away and tells it beside."""
    end = time.monotonic() + 2
    while time.monotonic() < end:
        trunk.settimeout(max(0.01, end - time.monotonic()))
        try:
            data, beside, _, sender = trunk.recvmsg(16384, 1024)
        except socket.timeout:
            break
        if sender[2] == socket.PACKET_OUTGOING:
            continue
        tags = []
        for level, kind, value in beside:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", value)
                tags += [tci & 0xFFF] if status & TP_STATUS_VLAN_VALID else []
        at = 12
        while struct.unpack("!H", data[at:at + 2])[0] in (ETH_P_8021Q, ETH_P_8021AD):
            tags.append(struct.unpack("!H", data[at + 2:at + 4])[0] & 0xFFF)
            at += 4
        ip = data[at + 2:]
        if struct.unpack("!H", data[at:at + 2])[0] != ETH_P_IP or not data.endswith(payload):
            continue
        ports = struct.unpack("!HH", ip[20:24])
        return ".".join(map(str, tags)) or "-", (ip[12:16], ports[0]), (ip[16:20], ports[1])
    sys.exit("nothing came back")


def main():
    nic, tags = sys.argv[1:3]
    source, destination = map(endpoint, sys.argv[3:5])
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as trunk:
        trunk.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        trunk.bind((nic, 0))
        for _ in range(2 if sys.argv[5:] else 1):
            payload = os.urandom(32)
            trunk.send(frame(tags, source, destination, payload))
            tags, came_from, came_to = receive(trunk, payload)
            print("tags=%s source=%s:%d destination=%s:%d" % (tags, socket.inet_ntoa(came_from[0]), came_from[1],
                                                              socket.inet_ntoa(came_to[0]), came_to[1]))
            source, destination = came_to, came_from


if __name__ == "__main__":
    main()
