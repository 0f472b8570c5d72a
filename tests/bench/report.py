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

# What issue 2 expects on its rig: (measure, direction or None, flows or None, path, base, at least). Base None: a rate.
EXPECTED = [
    ("forward", None, 1, "xcgn", "limit", 0.5),
    ("forward", None, 1, "xcgn", "nft", 3.0),
    ("forward", None, 1000000, "xcgn", "nft", 2.0),
    ("new-flows", None, None, "xcgn", "nft", 2.5),
    ("map-create", None, None, "empty", None, 100000),
    ("map-create", None, None, "filled", "empty", 0.8),
    ("map-renew", None, None, "empty", None, 100000),
    ("map-renew", None, None, "filled", "empty", 0.8),
]
# Ratios worth printing, expected or not: path over base
RATIOS = [("xcgn", "limit"), ("xcgn", "nft"), ("filled", "empty")]
NAMES = {"limit": "XDP redirect", "xcgn": "xcgn", "nft": "nftables", "empty": "empty table", "filled": "100,000 present"}


def expectation(row, path, base):
    for measure, direction, flows, wanted_path, wanted_base, least in EXPECTED:
        if (measure, wanted_path, wanted_base) != (row["measure"], path, base):
            continue
        if direction in (None, row["direction"]) and flows in (None, row["flows"]):
            return least
    return None


def cells(rows):
    """Rows that are compared with each other: {(measure, direction, flows): {path: row}} in order of appearance."""
    found = {}
    for row in rows:
        found.setdefault((row["measure"], row["direction"], row["flows"]), {})[row["path"]] = row
    return found


def summary(row):
    windows = row["windows"]
    return {
        "measure": row["measure"], "direction": row["direction"], "flows": row["flows"], "variant": row["path"],
        "per_second": {"median": statistics.median(windows), "lowest": min(windows), "highest": max(windows)},
        "windows": len(windows), "sent": row["sent"], "received": row["received"], "held": row["held"],
    }


def judged(entry, value, least):
    entry["median"] = value
    if least is not None:
        entry["expected_at_least"] = least
        entry["met"] = value >= least
    return entry


def judgements(cell):
    """Every ratio of a cell, and every rate that something is expected of."""
    for path, row in cell.items():
        least = expectation(row, path, None)
        if least is not None:
            yield judged({"measure": row["measure"], "direction": row["direction"], "flows": row["flows"], "variant": path,
                          "over": None}, statistics.median(row["windows"]), least)
    for path, base in RATIOS:
        if path not in cell or base not in cell:
            continue
        row = cell[path]
        pairs = [a / b for a, b in zip(row["windows"], cell[base]["windows"]) if b]
        entry = {"measure": row["measure"], "direction": row["direction"], "flows": row["flows"], "variant": path, "over": base,
                 "lowest": min(pairs), "highest": max(pairs)}
        yield judged(entry, statistics.median(pairs), expectation(row, path, base))


def verdict(entry):
    if "met" not in entry:
        return ""
    least = entry["expected_at_least"]
    wanted = f"{least:,.0f} /s" if entry["over"] is None else f"{least:g}"
    return f"  at least {wanted}: {'met' if entry['met'] else 'MISSED'}"


def what(entry):
    flows = f" {entry['flows']:,} flows" if entry["flows"] and entry["measure"] == "forward" else ""
    return f"{entry['measure']} {entry['direction']}{flows}".rstrip()


def print_tables(measures, ratios):
    print(f"\n{'median of windows':<38}{'':<17}{'per second':>13}{'ns each':>9}   lowest .. highest")
    for entry in measures:
        rate = entry["per_second"]
        lost = entry["sent"] - entry["received"]
        note = f"  ({lost} of {entry['sent']} lost)" if lost else ""
        print(f"{what(entry):<38}{NAMES[entry['variant']]:<17}{rate['median']:>13,.0f}{1e9 / rate['median']:>9,.0f}"
              f"   {rate['lowest']:,.0f} .. {rate['highest']:,.0f}{note}")
    print(f"\n{'median of ratios, window by window':<38}")
    for entry in ratios:
        if entry["over"] is None:
            print(f"{what(entry):<38}{NAMES[entry['variant']]:<32}{entry['median']:>9,.0f}{verdict(entry)}")
            continue
        pair = f"{NAMES[entry['variant']]} / {NAMES[entry['over']]}"
        print(f"{what(entry):<38}{pair:<32}{entry['median']:>9.2f}{verdict(entry)}")
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
