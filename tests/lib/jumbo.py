#!/usr/bin/python3
"""usage: jumbo.py serve ADDRESS:PORT | ask SOURCE:PORT ADDRESS:PORT UDP_BYTES TCP_BYTES

The server sends back every UDP datagram and everything of a TCP connection. The client sends one datagram that may not be cut and so many
bytes by TCP, compares what comes back, and prints "udp=BYTES tcp=BYTES mss=BYTES"."""
import os
import socket
import sys
import threading

IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2


def endpoint(text):
    address, port = text.rsplit(":", 1)
    return address, int(port)


def echo(connection):
    with connection:
        while True:
            data = connection.recv(65536)
            if not data:
                return
            connection.sendall(data)


def serve(at):
    tcp = socket.create_server(at)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    udp.bind(at)

    def datagrams():
        while True:
            udp.sendto(*udp.recvfrom(65536))

    threading.Thread(target=datagrams, daemon=True).start()
    print("ready", flush=True)
    while True:
        threading.Thread(target=echo, args=(tcp.accept()[0],), daemon=True).start()


def ask(source, at, udp_bytes, tcp_bytes):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        udp.settimeout(2)
        udp.bind(source)
        data = os.urandom(udp_bytes)
        udp.sendto(data, at)
        assert udp.recv(65536) == data, "another datagram came back"
    with socket.create_connection(at, 5, source) as tcp:
        data = os.urandom(tcp_bytes)
        threading.Thread(target=lambda: (tcp.sendall(data), tcp.shutdown(socket.SHUT_WR)), daemon=True).start()
        back = bytearray()
        mss = tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        while len(back) < len(data):
            part = tcp.recv(1 << 20)
            assert part, "the connection ended early"
            back += part
        assert back == data, "other bytes came back"
    print("udp=%d tcp=%d mss=%d" % (udp_bytes, tcp_bytes, mss))


def main():
    if sys.argv[1] == "serve":
        serve(endpoint(sys.argv[2]))
    ask(endpoint(sys.argv[2]), endpoint(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))


if __name__ == "__main__":
    main()
