#!/usr/bin/python3
"""usage: bad_wire.py NIC NIC SEED

Carries frames between two NICs of its namespace, and badly if told to: not every kernel has netem. A line "LOSS REORDER DOUBLE" on
stdin, in percent, is the weather from then on. A frame that is reordered leaves 5 to 50 ms late, behind those that came after it.
The sums that a NIC leaves to the other side go along (PACKET_VNET_HDR). Prints "ready", and "carried=N lost=N late=N doubled=N" at
the end of stdin."""
import heapq
import os
import random
import selectors
import socket
import sys
import time

SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING, ETH_P_ALL = 263, 15, 23, 3


def packet_socket(nic):
    packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packet.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    packet.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    packet.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)	# SO_RCVBUFFORCE: what is lost is lost on purpose
    packet.bind((nic, ETH_P_ALL))
    packet.setblocking(False)
    return packet


class Wire:
    def __init__(self, one, other, seed):
        self.random = random.Random(seed)
        self.weather = (0.0, 0.0, 0.0)
        self.late = []
        self.count = {"carried": 0, "lost": 0, "late": 0, "doubled": 0}
        self.number = 0
        self.to = {}
        ends = packet_socket(one), packet_socket(other)
        self.to = {ends[0]: ends[1], ends[1]: ends[0]}

    def send(self, out, frame):
        try:
            out.send(frame)
            self.count["carried"] += 1
        except OSError:
            self.count["lost"] += 1

    def take(self, end):
        loss, reorder, double = self.weather
        for _ in range(64):
            try:
                frame = end.recv(1 << 17)
            except OSError:
                return
            if self.random.uniform(0, 100) < loss:
                self.count["lost"] += 1
                continue
            if self.random.uniform(0, 100) < double:
                self.count["doubled"] += 1
                self.send(self.to[end], frame)
            if self.random.uniform(0, 100) < reorder:
                self.count["late"] += 1
                self.number += 1
                heapq.heappush(self.late, (time.monotonic() + self.random.uniform(0.005, 0.05), self.number, self.to[end], frame))
            else:
                self.send(self.to[end], frame)

    def send_late(self):
        while self.late and self.late[0][0] <= time.monotonic():
            _, _, out, frame = heapq.heappop(self.late)
            self.send(out, frame)


def main():
    wire = Wire(sys.argv[1], sys.argv[2], sys.argv[3])
    events = selectors.DefaultSelector()
    for end in wire.to:
        events.register(end, selectors.EVENT_READ)
    events.register(sys.stdin, selectors.EVENT_READ)
    print("ready", flush=True)
    pending = b""
    while True:
        timeout = max(0.0, wire.late[0][0] - time.monotonic()) if wire.late else None
        for key, _ in events.select(timeout):
            if key.fileobj is not sys.stdin:
                wire.take(key.fileobj)
                continue
            piece = os.read(sys.stdin.fileno(), 4096)
            if not piece:
                print(" ".join("{}={}".format(*item) for item in wire.count.items()), flush=True)
                return
            *lines, pending = (pending + piece).split(b"\n")
            for line in lines:
                wire.weather = tuple(float(word) for word in line.split())
        wire.send_late()


if __name__ == "__main__":
    main()
