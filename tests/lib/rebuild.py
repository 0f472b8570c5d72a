#!/usr/bin/python3
"""usage: rebuild.py PROGRAM COPY     a copy of a program whose embedded BPF object is another build's, though its programs do the same"""
import shutil
import sys

EM_BPF = 247


def main():
    source, target = sys.argv[1:]
    with open(source, "rb") as file:
        content = bytearray(file.read())
    position = content.find(b"\x7fELF", 1)
    while position > 0 and int.from_bytes(content[position + 18:position + 20], "little") != EM_BPF:
        position = content.find(b"\x7fELF", position + 1)
    if position < 0:
        sys.exit("{}: no BPF object in it".format(source))
    content[position + 15] ^= 1	# the last byte of e_ident means nothing to any reader
    shutil.copy(source, target)
    with open(target, "wb") as file:
        file.write(content)


if __name__ == "__main__":
    main()
