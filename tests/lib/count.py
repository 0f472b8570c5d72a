#!/usr/bin/python3
"""usage: xcgnctl -j show stats | count.py VERDICT    prints the packets that had it"""
import json
import sys


def main():
    total = 0
    for line in sys.stdin:
        record = json.loads(line)
        if record["verdict"] == sys.argv[1]:
            total += record["packets"]
    print(total)


if __name__ == "__main__":
    main()
