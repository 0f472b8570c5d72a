#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""chart.py RESULTS SVG: what report.py wrote, as bars. Parts that were not measured are left out."""
import json
import sys
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, BAR, GAP, HEAD = 760, 232, 120, 15, 9, 34
COLOURS = {"limit": "#9aa5b1", "xcgn": "#1f6feb", "nft": "#d9822b"}
NAMES = {"limit": "XDP redirect only", "xcgn": "xcgn", "nft": "nftables"}


def label(entry):
    kinds = {"new-flows": "new flows", "tcp": "one TCP connection", "zipf": "1,000,000 flows by Zipf's law"}
    text = kinds.get(entry["measure"]) or f"{entry['flows']:,} flow{'s' if entry['flows'] > 1 else ''}"
    return text if entry["measure"] == "new-flows" else f"{text}, {entry['direction']}"


# (title, measures, divisor, unit)
SECTIONS = [
    ("Frames of 64 bytes, one CPU", ("forward", "zipf", "new-flows"), 1e6, "M/s"),
    ("TCP, offloads off", ("tcp",), 1e3, "Gbit/s"),
]


def groups(measures, wanted):
    """{label: {variant: entry}} in order of appearance."""
    found = {}
    for entry in measures:
        if entry["measure"] in wanted and entry["variant"] in COLOURS:
            found.setdefault(label(entry), {})[entry["variant"]] = entry
    return found


def text(x, y, content, extra=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" {extra}>{escape(content)}</text>'


def section(title, bars, divisor, unit, y):
    """The lines of one part, and where the next begins."""
    lines = [text(8, y + 20, title, 'font-weight="bold"')]
    y += HEAD
    longest = max(entry["median"] for group in bars.values() for entry in group.values())
    for name, group in bars.items():
        lines.append(text(LEFT - 8, y + BAR * len(group) / 2 + 4, name, 'text-anchor="end"'))
        for variant, entry in group.items():
            width = (WIDTH - LEFT - RIGHT) * entry["median"] / longest
            lines.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 2}" fill="{COLOURS[variant]}"/>')
            lines.append(text(LEFT + width + 6, y + BAR - 4, f"{entry['median'] / divisor:.2f} {unit}"))
            y += BAR
        y += GAP
    return lines, y


def legend(y):
    lines, x = [], LEFT
    for variant, colour in COLOURS.items():
        lines.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>')
        lines.append(text(x + 18, y + 11, NAMES[variant]))
        x += 140
    return lines


def draw(measures):
    lines, y = legend(10), 24
    for title, wanted, divisor, unit in SECTIONS:
        bars = groups(measures, wanted)
        if bars:
            more, y = section(title, bars, divisor, unit, y)
            lines += more
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 8}" viewBox="0 0 {WIDTH} {y + 8}" '
            'font-family="sans-serif" font-size="12">')
    return "\n".join([head, f'<rect width="{WIDTH}" height="{y + 8}" fill="white"/>', *lines, "</svg>", ""])


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: chart.py RESULTS SVG")
    with open(sys.argv[1], encoding="utf-8") as results:
        measures = json.load(results)["measures"]
    with open(sys.argv[2], "w", encoding="utf-8") as output:
        output.write(draw(measures))


if __name__ == "__main__":
    main()
