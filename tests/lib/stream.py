#!/usr/bin/python3
"""Numbered traffic, so that what is lost, doubled or late can be counted.

  stream.py udp-send SOURCE DESTINATION PER_SECOND     until SIGTERM; then prints "sent=N"
  stream.py udp-take ENDPOINT                          until the sender's end; prints "received=N missing=N doubled=N gap_ms=N"
  stream.py tcp-talk SOURCE DESTINATION                a line every 5 ms and its echo, until SIGTERM; prints "lines=N gap_ms=N"
  stream.py tcp-echo ENDPOINT                          one connection, echoed until it ends; prints "echoed=N" (bytes)
  stream.py udp-open ADDRESS DESTINATION NUMBER        so many flows, one every 10 ms, or until SIGTERM; then prints "opened=N reached=N":
                                                       those that the visitor came back by
  stream.py udp-visit ENDPOINT                         what came, and after the opener's end a visit to each; prints "met=N"
udp-take, udp-visit and tcp-echo print "ready" first. gap_ms is the longest time between two packets, or between a line and its echo.
Exit code 1: a line came back changed, or the connection broke."""
import select
import signal
import socket
import struct
import sys
import time

END = 0xffffffff
NUMBER = struct.Struct("!I60x")	# 64 bytes of payload
stopping = False


def endpoint(text):
    address, port = text.rsplit(":", 1)
    return address, int(port)


def stop(_signal, _frame):
    global stopping
    stopping = True


def udp_send(source, destination, per_second):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(endpoint(source))
        udp.connect(endpoint(destination))
        sent, begin = 0, time.monotonic()
        while not stopping:
            due = int((time.monotonic() - begin) * int(per_second))
            # Catching up is bounded: a burst after a pause would overrun queues that have nothing to do with the NAT.
            if due - sent > 64:
                begin += (due - sent - 64) / int(per_second)
                due = sent + 64
            while sent < due:
                udp.send(NUMBER.pack(sent))
                sent += 1
            time.sleep(0.002)
        try:
            for _ in range(5):
                udp.send(NUMBER.pack(END))
        except ConnectionRefusedError:
            pass	# the taker saw the first of them, and has gone
    print("sent={}".format(sent))


def udp_take(where):
    numbers, longest, last = {}, 0.0, None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)	# SO_RCVBUFFORCE: what this process is late for is not lost
        udp.bind(endpoint(where))
        print("ready", flush=True)
        while True:
            number = NUMBER.unpack(udp.recv(2048))[0]
            now = time.monotonic()
            if last is not None:
                longest = max(longest, now - last)
            last = now
            if number == END:
                break
            numbers[number] = numbers.get(number, 0) + 1
    missing = (max(numbers) + 1 - len(numbers)) if numbers else 0
    doubled = sum(count - 1 for count in numbers.values())
    print("received={} missing={} doubled={} gap_ms={:.0f}".format(len(numbers), missing, doubled, longest * 1000))


def udp_open(address, destination, number):
    flows, reached = [], 0
    while not stopping and len(flows) < int(number):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((address, 0))
        udp.connect(endpoint(destination))
        udp.send(NUMBER.pack(len(flows)))
        flows.append(udp)
        time.sleep(0.01)
    while not stopping:
        time.sleep(0.01)
    flows[0].send(NUMBER.pack(END))
    for udp in flows:
        if select.select([udp], [], [], 2 if reached else 5)[0]:
            reached += udp.recv(2048) == NUMBER.pack(END)
    print("opened={} reached={}".format(len(flows), reached))


def udp_visit(where):
    met = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(endpoint(where))
        print("ready", flush=True)
        while True:
            packet, source = udp.recvfrom(2048)
            if packet == NUMBER.pack(END):
                break
            met.append(source)
        for source in met:
            udp.sendto(NUMBER.pack(END), source)
    print("met={}".format(len(met)))


def tcp_talk(source, destination):
    longest, lines = 0.0, 0
    with socket.create_connection(endpoint(destination), timeout=10, source_address=endpoint(source)) as tcp:
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        file = tcp.makefile("rb")
        print("connected", flush=True)
        while not stopping:
            line, asked = b"line %d of a connection that must not break\n" % lines, time.monotonic()
            tcp.sendall(line)
            if file.readline() != line:
                sys.exit("line {} came back changed".format(lines))
            longest = max(longest, time.monotonic() - asked)
            lines += 1
            time.sleep(0.005)
    print("lines={} gap_ms={:.0f}".format(lines, longest * 1000))


def tcp_echo(where):
    echoed = 0
    with socket.create_server(endpoint(where)) as server:
        print("ready", flush=True)
        connection, peer = server.accept()
        print("from={}:{}".format(*peer), flush=True)
        with connection:
            while True:
                received = connection.recv(65536)
                if not received:
                    break
                connection.sendall(received)
                echoed += len(received)
    print("echoed={}".format(echoed))


def main():
    signal.signal(signal.SIGTERM, stop)
    {"udp-send": udp_send, "udp-take": udp_take, "udp-open": udp_open, "udp-visit": udp_visit,
     "tcp-talk": tcp_talk, "tcp-echo": tcp_echo}[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
