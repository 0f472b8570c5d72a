#!/bin/bash
# Design section 4: with 100,000 mappings in the tables a restarted xcgnd answers at once: it reads them, it does not rebuild them.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2-.251 │ .1  203.0.113.1 │ 203.0.113.9, .10
# The figure wanted is 100 ms on a machine of its own; asserted is a second, because a test shares its machine.
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

count=100000
topology << YAML
subscribers: {prefixes: [198.51.100.0/24], explicit: 512}
tables: {mappings: 150000, subscribers: 1024}
pcp: {rate: {requests: 0}}
YAML
for last in {4..251}; do
	echo "address add 198.51.100.$last/24 dev host0"
done | ip -n "$LAB_PREFIX-host" -batch -
start_xcgnd
wait_for says "$log" 'touched every page of the new tables'
attach
first=$(pcp map udp 900 lifetime=7200 nonce=0102030405060708090a0b0c)
begin=$EPOCHREALTIME
filled=$(pcp fill $count lifetime=7200)
note "$filled, in $(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }') s"
expect_equal "$(field "$filled" succeeded)" $count "mappings made"
status_has "\"explicit\": *$((count + 1))" || fail "status counts other: $(ctl -j status)"

for round in 1 2 3; do
	stop_xcgnd KILL
	background host "$scratch/renewed.out" /usr/bin/python3 "$lib/pcp.py" map udp 900 lifetime=7200 \
		nonce=0102030405060708090a0b0c wait=10
	client=$job
	wait_for says "$scratch/renewed.out" asking
	begin=$EPOCHREALTIME
	background cgn "$log" "$B/xcgnd" -c "$config"
	xcgnd_pid=$job
	wait "$client" || fail "no answer within 10 s"
	renewed=$(tail -n 1 "$scratch/renewed.out")
	took=$(awk -v a="$begin" -v b="$(field "$renewed" at)" 'BEGIN { printf "%d", (b - a) * 1000 }')
	expect_equal "$(field "$renewed" external)" "$(field "$first" external)" "start $round: first answer after $took ms, the same endpoint"
	((took <= 1000)) || fail "the first answer came after $took ms"
done
wait_for status_has "\"explicit\": *$((count + 1)),"
note "all $((count + 1)) mappings are there"
expect_equal "$(grep -c 'touched' "$log")" 0 "restarts that touched the pages of tables that were there"
