#!/usr/bin/python3
"""usage: probe.py udp|tcp SOURCE DESTINATION [BYTES]

Sends one datagram (again every 300 ms) or opens one connection, from ADDRESS:PORT to ADDRESS:PORT, and prints the answer.
Exit code 1 if there is none within three seconds."""
import socket
import sys
import time

PATIENCE_S = 3


def endpoint(text):
    address, port = text.rsplit(":", 1)
    return address, int(port)


def ask_udp(source, destination, length):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(source)
        udp.settimeout(0.3)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                udp.sendto(b"?" * length, destination)
                answer, sender = udp.recvfrom(65536)
            except (socket.timeout, ConnectionRefusedError):
                continue
            if sender != destination:
                sys.exit("answered by {}:{}".format(*sender))
            return answer.decode().rstrip()
    return None


def ask_tcp(source, destination, _length):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind(source)
        tcp.settimeout(PATIENCE_S)
        try:
            tcp.connect(destination)
            return tcp.recv(65536).decode()
        except OSError as error:
            sys.exit("{}:{}: {}".format(*destination, error))


def main():
    ask = {"udp": ask_udp, "tcp": ask_tcp}[sys.argv[1]]
    length = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    answer = ask(endpoint(sys.argv[2]), endpoint(sys.argv[3]), length)
    if not answer:
        sys.exit("no answer")
    print(answer)


if __name__ == "__main__":
    main()
