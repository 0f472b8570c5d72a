#!/usr/bin/python3
"""usage: get_changes.py CLIENT SERVER SECONDS

Walks a table by GET, page by page with messages of its own, while other processes make, renew and delete mappings of the same host and
let some expire. Every walk must end, show each mapping that lived throughout once, and show what it shows in one and the same order:
that of external address, protocol and external port. Prints "walks=N pages=N shown=N changes=N"."""
import multiprocessing
import os
import random
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pcp import header, map_request, mapped	# noqa: E402 pylint: disable=wrong-import-position

STABLE, FIRST, CHURN, CHURN_PORTS = 120, 10000, 20000, 200
ANY = mapped("0.0.0.0")


class Client:
    def __init__(self, client, server):
        self.client, self.udp = client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((client, 0))
        self.udp.connect((server, 5351))
        self.udp.settimeout(1)

    def ask(self, request):
        for _ in range(10):
            self.udp.send(request)
            try:
                answer = self.udp.recv(2048)
                while answer[1] != request[1] | 0x80:	# an announcement; asked again, it would be answered twice
                    answer = self.udp.recv(2048)
                return answer
            except socket.timeout:
                continue
        sys.exit("no answer")

    def map(self, port, lifetime, nonce):
        request = map_request(self.client, "udp", port, {"lifetime": lifetime, "nonce": nonce})
        answer = self.ask(request)
        while answer[24:36].hex() != nonce or struct.unpack("!H", answer[40:42])[0] != port:	# a late one
            answer = self.ask(request)
        return answer[3], struct.unpack("!H", answer[42:44])[0]

    def page(self, locator):
        """[(protocol, internal, external, internal port, external port)], and is it the last page?"""
        protocol, internal, external, port, external_port = locator or (0, ANY, ANY, 0, 0)
        data = struct.pack("!12xB3x16s16s4xHH", protocol, internal, external, port, external_port)
        answer = self.ask(header(98, 0, self.client) + struct.pack("!B3x16s16sHH", 0, ANY, ANY, 0, 0) + struct.pack("!BxH", 131, 56) + data)
        if answer[3]:
            sys.exit("GET: result {}".format(answer[3]))
        if len(answer) > 1100:
            sys.exit("{} bytes".format(len(answer)))
        shown, is_last = [], False
        for at in range(64, len(answer), 60):
            protocol, more, internal, external, port, external_port = struct.unpack("!16xBxxB16s16s4xHH", answer[at:at + 60])
            shown.append((protocol, internal, external, port, external_port))
            is_last = bool(more)
        return shown, is_last


def churn(client, server, seed, until, count):
    rng, asker, nonce = random.Random(seed), Client(client, server), "{:024x}".format(seed + 1)
    ports = range(CHURN + CHURN_PORTS * seed, CHURN + CHURN_PORTS * (seed + 1))
    while time.monotonic() < until.value:
        what = rng.random()
        if what < 0.3:	# of those that stay
            asker.map(FIRST + rng.randrange(STABLE), 3600, "ab" * 12)
        else:		# made, renewed, left to expire, deleted
            asker.map(rng.choice(ports), 0 if what > 0.75 else rng.choice((1, 1, 2, 600)), nonce)
        with count.get_lock():
            count.value += 1


def order(mapping):
    protocol, _, external, _, external_port = mapping
    return external, protocol, external_port


def walk(asker):
    found, pages, locator = [], 0, None
    while True:
        shown, is_last = asker.page(locator)
        pages += 1
        if found and shown and shown[0] == found[-1]:
            shown = shown[1:]	# the seam
        found += shown
        if is_last:
            return found, pages
        if not shown or pages > 500:
            sys.exit("a walk that does not end: page {}".format(pages))
        locator = found[-1]


def main():
    client, server, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    asker = Client(client, server)
    stable = {}
    for port in range(FIRST, FIRST + STABLE):
        result, stable[port] = asker.map(port, 3600, "ab" * 12)
        if result:
            sys.exit("port {}: result {}".format(port, result))
    until, count = multiprocessing.Value("d", time.monotonic() + seconds), multiprocessing.Value("L", 0)
    others = [multiprocessing.Process(target=churn, args=(client, server, seed, until, count)) for seed in range(3)]
    for other in others:
        other.start()
    walks = pages = shown = 0
    seen_others = set()
    while time.monotonic() < until.value:
        found, took = walk(asker)
        walks, pages, shown = walks + 1, pages + took, shown + len(found)
        keys = [order(mapping) for mapping in found]
        if any(one >= other for one, other in zip(keys, keys[1:])):
            sys.exit("walk {}: out of order, or shown twice".format(walks))
        there = {port: external_port for _, _, _, port, external_port in found}
        missing = [port for port in stable if there.get(port) != stable[port]]
        if missing:
            sys.exit("walk {} misses {}".format(walks, missing))
        seen_others |= set(there) - set(stable)
    for other in others:
        other.join()
        if other.exitcode:
            sys.exit("a process that changes mappings failed")
    if len(seen_others) < CHURN_PORTS // 2:
        sys.exit("only {} others were ever seen: nothing was changing".format(len(seen_others)))
    print("walks={} pages={} shown={} changes={} others={}".format(walks, pages, shown, count.value, len(seen_others)))


if __name__ == "__main__":
    main()
