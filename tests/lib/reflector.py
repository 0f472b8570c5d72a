#!/usr/bin/python3
"""usage: reflector.py ADDRESS:PORT…

Tells every UDP datagram and every TCP connection to these endpoints the endpoint that it comes from, "ADDRESS:PORT", and prints it.
A datagram's answer is padded with spaces to the length of the question. Prints "ready" when it listens."""
import selectors
import socket
import sys


def endpoint(text):
    address, port = text.rsplit(":", 1)
    return address, int(port)


def main():
    events = selectors.DefaultSelector()
    for where in map(endpoint, sys.argv[1:]):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(where)
        events.register(udp, selectors.EVENT_READ, "udp")
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind(where)
        tcp.listen(64)
        events.register(tcp, selectors.EVENT_READ, "tcp")
    print("ready", flush=True)
    while True:
        for key, _ in events.select():
            if key.data == "udp":
                question, source = key.fileobj.recvfrom(65536)
                key.fileobj.sendto("{}:{}".format(*source).ljust(len(question)).encode(), source)
            else:
                connection, source = key.fileobj.accept()
                connection.sendall("{}:{}".format(*source).encode())
                connection.close()
            print(key.data, "{}:{}".format(*source), flush=True)


if __name__ == "__main__":
    main()
