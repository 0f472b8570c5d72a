#!/usr/bin/python3
"""usage: flows.py ADDRESS FIRST_PORT COUNT DESTINATION    one datagram from each of COUNT ports to ADDRESS:PORT"""
import socket
import sys


def main():
    address, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    destination, port = sys.argv[4].rsplit(":", 1)
    for number in range(first, first + count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind((address, number))
            udp.sendto(b"?", (destination, int(port)))


if __name__ == "__main__":
    main()
