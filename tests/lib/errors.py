#!/usr/bin/python3
"""usage: errors.py SOURCE DESTINATION [TTL]

Sends one datagram and prints the ICMP error that the kernel queues for its socket (ip(7), IP_RECVERR): "SENDER type T code C"."""
import select
import socket
import struct
import sys

IP_RECVERR = 11
EXTENDED_ERROR = struct.Struct("=IBBBxII")	# struct sock_extended_err; the sender's sockaddr_in follows


def endpoint(text):
    address, port = text.rsplit(":", 1)
    return address, int(port)


def main():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        if len(sys.argv) > 3:
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(sys.argv[3]))
        udp.bind(endpoint(sys.argv[1]))
        errors = select.poll()
        errors.register(udp, select.POLLERR)
        for _ in range(3):
            udp.sendto(b"?", endpoint(sys.argv[2]))
            if errors.poll(1000):
                break
        else:
            sys.exit("no error came")
        for level, kind, value in udp.recvmsg(512, 512, socket.MSG_ERRQUEUE)[1]:
            if level == socket.IPPROTO_IP and kind == IP_RECVERR:
                _, _, icmp_type, icmp_code, _, _ = EXTENDED_ERROR.unpack_from(value)
                sender = socket.inet_ntoa(value[EXTENDED_ERROR.size + 4:EXTENDED_ERROR.size + 8])
                print("{} type {} code {}".format(sender, icmp_type, icmp_code))


if __name__ == "__main__":
    main()
