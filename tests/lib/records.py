#!/usr/bin/python3
"""usage: xcgnctl -j … | records.py EXPRESSION

Prints the value of a Python expression over `records`, the list of JSON objects on stdin."""
import hashlib
import ipaddress
import json
import sys

NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17}


def key(mapping):
    """Its place in the total order: external address, protocol number, external port."""
    address, port = mapping["external"].rsplit(":", 1)
    return int(ipaddress.IPv4Address(address)), NUMBERS[mapping["protocol"]], int(port)


def is_ordered(records):
    """So that no external endpoint comes twice."""
    keys = [key(m) for m in records]
    return all(a < b for a, b in zip(keys, keys[1:]))


def is_filled(mapping):
    """Has a mapping of `pcp.py fill` the nonce and the client of its own internal endpoint? None while a request is at work."""
    address, port = mapping["internal"].rsplit(":", 1)
    number = (int(port) - 1024) * 2 + int(address.rsplit(".", 1)[1]) - 2
    if mapping["nonce"] is None:
        return None
    return mapping["nonce"] == hashlib.md5(b"%d" % number).hexdigest()[:24] and mapping["client"].startswith(address + ":")


def main():
    records = [json.loads(line) for line in sys.stdin]
    print(eval(sys.argv[1], {"records": records, "is_ordered": is_ordered, "is_filled": is_filled}))


if __name__ == "__main__":
    main()
