#!/usr/bin/python3
"""What tests/requirements.md and tests/failures.md name is there: the file of a test, and the case in it. Part of `make lint`.
Words of one syllable, such as "epoch", are as often prose as a case: they are let pass."""
import glob
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
FOLDERS = {"test": "unit", "bpf": "bpf", "fuzz": "fuzz"}


def source_of(name):
    paths = [os.path.join(ROOT, FOLDERS[name.split("_")[0]], name + ".c")]
    if name == "bpf_fixtures":      # its cases are frames
        paths += glob.glob(os.path.join(ROOT, "bpf", "*fixtures.c"))
    if not os.path.exists(paths[0]):
        return None
    return "".join(open(path, encoding="utf-8").read() for path in paths)


def is_case(source, name):
    pattern = re.escape(name).replace(r"\*", "[a-z0-9_-]*")
    return re.search(r"(?<![a-z0-9-])(?:test_)?%s(?![a-z0-9_-])" % pattern, source) is not None


def wrong(line):
    for name, rest in re.findall(r"`((?:test|bpf|fuzz)_[a-z0-9_]+)`([^`;|(.]*)", line):
        source = source_of(name)
        if source is None:
            yield "no such test: " + name
            continue
        for case in re.findall(r"[a-z0-9]+[_-][a-z0-9_*-]+", rest):
            if not is_case(source, case):
                yield "%s has no case %s" % (name, case)
    for names in re.findall(r"netns`? ((?:[a-z0-9_]+(?:, )?)+)", line):
        for name in filter(None, names.split(", ")):
            if not os.path.exists(os.path.join(ROOT, "netns", name + ".sh")):
                yield "no such test: netns " + name


def main():
    failed = False
    for document in ("requirements.md", "failures.md"):
        with open(os.path.join(ROOT, document), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                for what in wrong(line) if line.startswith("|") else ():
                    print("lint: tests/%s:%d: %s" % (document, number, what))
                    failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
