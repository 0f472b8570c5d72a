#!/usr/bin/python3
"""usage: arrival.py INTERFACE ADDRESS    waits for five IPv4 frames to ADDRESS on an interface; prints "ready", then "at=SECONDS" of the first

Counters of a veth say nothing of frames that were redirected to its peer."""
import socket
import sys
import time

ETH_P_IP = 0x0800


def main():
    interface, address = sys.argv[1:]
    wanted, first = socket.inet_aton(address), None
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP)) as frames:
        frames.bind((interface, ETH_P_IP))
        print("ready", flush=True)
        for _ in range(5):
            while frames.recv(2048)[30:34] != wanted:
                pass
            first = first or time.time()
    print("at={:.6f}".format(first))


if __name__ == "__main__":
    main()
