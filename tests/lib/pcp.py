#!/usr/bin/python3
"""A PCP client that knows RFC 6887's figures and nothing of ours: one request, one line with the fields of the answer.

  pcp.py map PROTOCOL PORT [external=A:P] [lifetime=S] [nonce=HEX] [prefer-failure] [description=TEXT] [third-party=A]     RFC 6887 section 11
             [filter=NET/LENGTH:PORT,…] [port-set=COUNT]     sections 13.3; RFC 7753
  pcp.py announce                                                                      section 14.1
  pcp.py natpmp [map PROTOCOL PORT [lifetime=S]]     RFC 6886 sections 3.2 and 3.3: external address, or a mapping
  pcp.py listen [seconds=N]      waits for one multicast ANNOUNCE on 224.0.0.1:5350
  pcp.py fill COUNT [lifetime=S] UDP mappings, COUNT in all, from every 198.51.100.x of this host in turn
Also: source=ADDRESS[:PORT] server=ADDRESS wait=S (says "asking", then repeats the request every 2 ms until S seconds have gone)
Exit code 2: no answer."""
import hashlib
import ipaddress
import socket
import struct
import subprocess
import sys
import time

SERVER_PORT = 5351
PROTOCOLS = {"udp": 17, "tcp": 6, "icmp": 1, "sctp": 132}


def mapped(address):
    """An IPv4 address in the 16 bytes of PCP (section 5)."""
    return b"\0" * 10 + b"\xff\xff" + ipaddress.IPv4Address(address).packed


def address_text(sixteen):
    address = ipaddress.IPv6Address(sixteen)
    return str(address.ipv4_mapped or address)


def header(opcode, lifetime_s, client):
    return struct.pack("!BBHI", 2, opcode, 0, lifetime_s) + mapped(client)


def map_request(client, protocol, port, options):
    external, external_port = "0.0.0.0", "0"
    if "external" in options:
        external, external_port = options["external"].rsplit(":", 1)
    nonce = bytes.fromhex(options.get("nonce", "00" * 12))
    request = header(1, int(options.get("lifetime", 600)), client)
    request += nonce + struct.pack("!B3xHH", PROTOCOLS[protocol], int(port), int(external_port)) + mapped(external)
    if "prefer-failure" in options:
        request += struct.pack("!BxH", 2, 0)
    if "description" in options:
        text = options["description"].encode()
        request += struct.pack("!BxH", 128, len(text)) + text + b"\0" * (-len(text) % 4)
    if "third-party" in options:
        request += struct.pack("!BxH", 1, 16) + mapped(options["third-party"])
    for each in filter(None, options.get("filter", "").split(",")):
        prefix, remote_port = each.rsplit(":", 1)
        network, length = prefix.split("/")
        request += struct.pack("!BxHxBH", 3, 20, 96 + int(length) if int(length) else 0, int(remote_port)) + mapped(network)
    if "port-set" in options:
        request += struct.pack("!BxHHHBxxx", 130, 5, int(options["port-set"]), int(port), 0)
    return request


def describe(answer):
    if len(answer) < 4:
        return "short={}".format(answer.hex())
    if answer[0] == 0:	# NAT-PMP
        fields = ["version=0", "opcode={}".format(answer[1]), "result={}".format(struct.unpack("!H", answer[2:4])[0])]
        if len(answer) == 16:
            fields += ["epoch={}".format(struct.unpack("!I", answer[4:8])[0]), "external-port={}".format(struct.unpack("!H", answer[10:12])[0])]
        elif len(answer) >= 12:
            fields += ["epoch={}".format(struct.unpack("!I", answer[4:8])[0]), "external=" + str(ipaddress.IPv4Address(answer[8:12]))]
        return " ".join(fields)
    version, opcode, _, result, lifetime_s, epoch_s = struct.unpack("!BBBBII", answer[:12])
    fields = ["version={}".format(version), "response={}".format(opcode >> 7), "opcode={}".format(opcode & 127),
              "result={}".format(result), "lifetime={}".format(lifetime_s), "epoch={}".format(epoch_s)]
    if opcode & 127 == 1 and len(answer) >= 60:
        protocol, internal_port, external_port = struct.unpack("!B3xHH", answer[36:44])
        fields += ["nonce=" + answer[24:36].hex(), "protocol={}".format(protocol), "internal-port={}".format(internal_port),
                   "external={}:{}".format(address_text(answer[44:60]), external_port)]
        at = 60
        while at + 4 <= len(answer):
            code, length = struct.unpack("!BxH", answer[at:at + 4])
            if code == 128 and result == 0:
                fields.append("description=" + answer[at + 4:at + 4 + length].decode())
            if code == 130 and result == 0:
                fields.append("set={}+{}".format(*reversed(struct.unpack("!HH", answer[at + 4:at + 8]))))
            at += 4 + (length + 3) // 4 * 4
    return " ".join(fields)


def exchange(request, source, server, options):
    """The first answer and when it came, or None."""
    patience_s = float(options.get("wait", 3))
    every_s = 0.002 if "wait" in options else 1
    end = time.monotonic() + patience_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(source)
        udp.connect((server, SERVER_PORT))
        udp.settimeout(every_s)
        if "wait" in options:
            print("asking", flush=True)
        while time.monotonic() < end:
            try:
                udp.send(request)
                return udp.recv(65536), time.time()
            except socket.timeout:
                continue
            except ConnectionRefusedError:
                time.sleep(every_s)
    return None


def own_addresses():
    text = subprocess.run(["ip", "-br", "-4", "address"], check=True, capture_output=True, text=True).stdout
    return [word.split("/")[0] for word in text.split() if word.startswith("198.51.100.")]


def fill(count, server, options):
    """Answers are counted, not matched: whoever asks for N mappings wants N successes."""
    addresses = own_addresses()
    sockets = []
    for address in addresses:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        udp.bind((address, 0))
        udp.connect((server, SERVER_PORT))
        udp.settimeout(3)
        sockets.append(udp)
    succeeded = 0
    results = {}
    window = 16     # of each: what all send at once has to fit into the server's buffer
    for first in range(0, count, len(sockets) * window):
        asked = []
        for number in range(first, min(first + len(sockets) * window, count)):
            which = number % len(sockets)
            port = 1024 + number // len(sockets)
            nonce = hashlib.md5(b"%d" % number).hexdigest()[:24]
            sockets[which].send(map_request(addresses[which], "udp", port, dict(options, nonce=nonce)))
            asked.append(which)
        for which in asked:
            answer = sockets[which].recv(65536)
            while answer[1] != 0x81:        # a new server announces itself to the clients it knows
                answer = sockets[which].recv(65536)
            result = answer[3]
            results[result] = results.get(result, 0) + 1
            succeeded += result == 0
    return "succeeded={} results={}".format(succeeded, results)


def listen(options):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.bind(("", 5350))
        member = socket.inet_aton("224.0.0.1") + socket.inet_aton(options.get("source", "198.51.100.2"))
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        udp.settimeout(float(options.get("seconds", 10)))
        print("listening", flush=True)
        answer, sender = udp.recvfrom(65536)
        return describe(answer) + " from={}:{}".format(*sender)


def main():
    words = [word for word in sys.argv[1:] if "=" not in word]
    options = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    if "prefer-failure" in words:
        words.remove("prefer-failure")
        options["prefer-failure"] = ""
    if not words:
        sys.exit(__doc__)
    server = options.get("server", "198.51.100.1")
    source, _, port = options.get("source", "198.51.100.2").partition(":")
    if words[0] == "fill":
        print(fill(int(words[1]), server, options))
        return
    if words[0] == "listen":
        print(listen(options))
        return
    if words[0] == "map":
        request = map_request(options.get("client", source), words[1], words[2], options)
    elif words[0] == "announce":
        request = header(0, 0, options.get("client", source))
    elif len(words) > 1:
        request = struct.pack("!BBHHHI", 0, 1 if words[2] == "udp" else 2, 0, int(words[3]), 0, int(options.get("lifetime", 600)))
    else:
        request = b"\0\0"
    came = exchange(request, (source, int(port or 0)), server, options)
    if not came:
        print("no answer")
        sys.exit(2)
    print(describe(came[0]) + " at={:.6f}".format(came[1]))


if __name__ == "__main__":
    main()
