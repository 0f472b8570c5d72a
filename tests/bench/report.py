#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""report.py WINDOWS RESULTS: medians and ratios of what the benches measured, as a table and as JSON.

WINDOWS holds one JSON object a line, with the rate of every window. Windows of variants that are compared were interleaved, so
a ratio is the median of the ratios of windows that stood side by side: a machine that was slow for a while was slow for both.
"""
import json
import platform
import statistics
import sys

# What is expected, on the rig where the design was tried: (measure, direction or None, flows or None, path, base, at least or
# "at most"). Base None: the measure itself.
EXPECTED = [
    ("forward", None, 1, "xcgn", "limit", 0.85),
    ("forward", None, 1, "xcgn", "nft", 5.0),
    ("forward", None, 1000000, "xcgn", "limit", 0.5),
    ("forward", None, 1000000, "xcgn", "nft", 5.0),
    ("zipf", None, None, "xcgn", "limit", 0.75),
    ("new-flows", None, None, "xcgn", "nft", 3.0),
    ("tcp", None, None, "xcgn", "nft", 1.0),
    ("two-cores", None, None, "both cores", "one core", 1.7),
    ("reaper", None, None, "of all", None, 1000),
    ("map-create", None, None, "empty", None, 100000),
    ("map-create", None, None, "filled", "empty", 0.8),
    ("map-renew", None, None, "empty", None, 100000),
    ("map-renew", None, None, "filled", "empty", 0.8),
    ("restart", None, None, "filled", None, 100),
    ("reboot", None, None, "filled", None, 5000),
    ("memory", "in all", 1000000, "explicit", None, 600),
    ("get", "2 mappings", None, "among 1000", None, 30000),
    ("get-cpu", "17 mappings", None, "among 1000", None, 100),
    ("get-cpu", "17 mappings", None, "among 1000000", None, 100),
    ("get-cpu", None, None, "among 1000000", "among 1000", 1.3),
]
AT_MOST = {"restart", "reboot", "memory", "reaper", "get-cpu"}
# Ratios worth printing, expected or not: path over base
RATIOS = [("xcgn", "limit"), ("xcgn", "nft"), ("xcgn", "miniupnpd"), ("both cores", "one core"), ("filled", "empty"), ("among 1000000", "among 1000"), ("of all", "of 1000000")]
NAMES = {"limit": "XDP redirect", "xcgn": "xcgn", "nft": "nftables", "empty": "empty table"}


def name(path, flows):
    if path.startswith("among "):
        return f"among {int(path.split()[1]):,}"
    if path.startswith("of "):
        return f"any of {flows if path == 'of all' else int(path.split()[1]):,}"
    if path == "explicit":
        return f"{flows:,} explicit"
    return f"{flows:,} present" if path == "filled" else NAMES.get(path, path)


def expectation(row, path, base):
    for measure, direction, flows, wanted_path, wanted_base, bound in EXPECTED:
        if (measure, wanted_path, wanted_base) != (row["measure"], path, base):
            continue
        if direction in (None, row["direction"]) and flows in (None, row["flows"]):
            return bound
    return None


def cells(rows):
    """Rows that are compared with each other: {(measure, direction, flows): {path: row}} in order of appearance."""
    found = {}
    for row in rows:
        found.setdefault((row["measure"], row["direction"], row["flows"]), {})[row["path"]] = row
    return found


def summary(row):
    windows = row["windows"]
    entry = {
        "measure": row["measure"], "direction": row["direction"], "flows": row["flows"], "variant": row["path"], "unit": row["unit"],
        "median": statistics.median(windows), "lowest": min(windows), "highest": max(windows),
        "windows": len(windows), "sent": row["sent"], "received": row["received"], "held": row["held"],
    }
    for extra in ("latency_us", "server_ns"):
        if extra in row:
            entry[extra] = row[extra]
    return entry


def judged(entry, value, bound):
    entry["median"] = value
    if bound is not None:
        at_most = entry["measure"] in AT_MOST
        entry["expected_at_most" if at_most else "expected_at_least"] = bound
        entry["met"] = value <= bound if at_most else value >= bound
    return entry


def judgements(cell):
    """Every ratio of a cell, and every rate that something is expected of."""
    for path, row in cell.items():
        bound = expectation(row, path, None)
        if bound is not None:
            yield judged({"measure": row["measure"], "direction": row["direction"], "flows": row["flows"], "variant": path,
                          "over": None, "unit": row["unit"]}, statistics.median(row["windows"]), bound)
    for path, base in RATIOS:
        if path not in cell or base not in cell:
            continue
        row = cell[path]
        pairs = [a / b for a, b in zip(row["windows"], cell[base]["windows"]) if b]
        entry = {"measure": row["measure"], "direction": row["direction"], "flows": row["flows"], "variant": path, "over": base,
                 "lowest": min(pairs), "highest": max(pairs)}
        yield judged(entry, statistics.median(pairs), expectation(row, path, base))


def quantity(value, unit):
    return f"{value:,.0f} /s" if unit == "per second" else f"{value:,.1f} {unit}"


def verdict(entry):
    if "met" not in entry:
        return ""
    word, bound = ("most", entry["expected_at_most"]) if "expected_at_most" in entry else ("least", entry["expected_at_least"])
    wanted = f"{bound:g}" if entry["over"] else quantity(bound, entry["unit"])
    return f"  at {word} {wanted}: {'met' if entry['met'] else 'MISSED'}"


def what(entry):
    if entry["measure"] in ("pcp-create", "pcp-renew"):
        return f"{entry['measure']} {entry['flows']:,} mappings"
    flows = f" {entry['flows']:,} flows" if entry["flows"] and entry["measure"] in ("forward", "zipf", "two-cores") else ""
    return f"{entry['measure']} {entry['direction']}{flows}".rstrip()


def notes(entry):
    text = ""
    if "latency_us" in entry:
        text += f"  p50 {entry['latency_us']['p50']:,.0f} us, p99 {entry['latency_us']['p99']:,.0f} us"
    if "server_ns" in entry:
        text += f", server's CPU {entry['server_ns']:,.0f} ns"
    lost = entry["sent"] - entry["received"]
    if lost:    # a PCP request without an answer is sent again
        text += f"  ({lost} {'sent again' if 'latency_us' in entry else 'lost'} of {entry['sent']})"
    return text


def print_tables(measures, ratios):
    print(f"\n{'median of windows':<38}{'':<19}{'':>15}{'ns each':>11}   lowest .. highest")
    for entry in measures:
        unit = entry["unit"]
        each = f"{1e9 / entry['median']:,.0f}" if unit == "per second" else ""
        print(f"{what(entry):<38}{name(entry['variant'], entry['flows']):<19}{quantity(entry['median'], unit):>15}{each:>11}"
              f"   {quantity(entry['lowest'], unit)} .. {quantity(entry['highest'], unit)}{notes(entry)}")
    print(f"\n{'median of ratios, window by window':<38}")
    for entry in ratios:
        variant = name(entry["variant"], entry["flows"])
        if entry["over"] is None:
            print(f"{what(entry):<38}{variant:<36}{quantity(entry['median'], entry['unit']):>12}{verdict(entry)}")
            continue
        pair = f"{variant} / {name(entry['over'], entry['flows'])}"
        print(f"{what(entry):<38}{pair:<36}{entry['median']:>12.2f}{verdict(entry)}")
    missed = sum(1 for entry in ratios if entry.get("met") is False)
    judged_count = sum(1 for entry in ratios if "met" in entry)
    print(f"\n{judged_count - missed} of {judged_count} expectations met")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: report.py WINDOWS RESULTS")
    with open(sys.argv[1], encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    rows = [row for row in rows if row["windows"]]
    if not rows:
        sys.exit("report.py: nothing was measured")
    measures = [summary(row) for row in rows]
    ratios = [entry for cell in cells(rows).values() for entry in judgements(cell)]
    print_tables(measures, ratios)
    with open(sys.argv[2], "w", encoding="utf-8") as output:
        json.dump({"kernel": platform.release(), "machine": platform.machine(), "measures": measures, "ratios": ratios}, output, indent=1)
        output.write("\n")


if __name__ == "__main__":
    main()
