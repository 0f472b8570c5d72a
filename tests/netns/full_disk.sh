#!/bin/bash
# Design section 4: an answer never leaves before what it promises would survive. With no room left on the disk of its stable storage
# xcgnd promises nothing more: NO_RESOURCES, and what was half made is taken back; what it promised before is served and restored.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

store_says() { status_has "\"store\": *\{.*\"$1\": *$2"; }
listed() { ctl -j show mappings --origin map | wc -l; }
endpoints() { ctl -j show mappings --nonces --origin map | sed -E 's/"(remaining|idle|created)": *[^,}]*,?//g' | sort; }

topology << YAML
subscribers: {prefixes: [198.51.100.0/24], explicit: 2048, blocks: 16}
pcp: {rate: {requests: 0}}
YAML
mkdir "$dir/state"
mount -t tmpfs -o size=64k,mode=0700 "xcgn-$$" "$dir/state"
start_xcgnd
attach
first=$(pcp map udp 900 lifetime=7200 nonce=0102030405060708090a0b0c)
expect_equal "$(field "$first" result)" 0 "a mapping while there is room"
epoch=$(field "$(pcp announce)" epoch) asked=$EPOCHREALTIME

filled=$(pcp fill 4000 lifetime=7200)
note "4000 more asked for: $filled"
promised=$(($(field "$filled" succeeded) + 1))
((promised > 10 && promised < 4001)) || fail "the disk did not fill"
wait_for store_says failing true
wait_for says "$log" "stable storage cannot be written: no space left"
expect_equal "$(listed)" "$promised" "mappings there are: those that were promised"
refused=$(pcp map udp 901 lifetime=7200 nonce=0102030405060708090a0b0d)
expect_equal "$(field "$refused" result)" 8 "one more is refused with NO_RESOURCES"
expect_equal "$(field "$(pcp map udp 900 lifetime=0 nonce=0102030405060708090a0b0c)" result)" 8 "a deletion that would not last too"
expect_equal "$(field "$(pcp announce)" result)" 0 "who only asks is answered"
expect_equal "$(listed)" "$promised" "and nothing has changed"

mount -o remount,size=16m "$dir/state"
wait_for store_says failing false
wait_for says "$log" "can be written again"
expect_equal "$(field "$(pcp map udp 901 lifetime=7200 nonce=0102030405060708090a0b0d)" result)" 0 "with room there is a mapping again"
before=$(endpoints)

stop_xcgnd KILL
detach > /dev/null
rm -rf "$pins"
start_xcgnd
[[ $(endpoints) == "$before" ]] || fail "other mappings after a reboot"
note "all $((promised + 1)) mappings come back after a reboot"
now=$(field "$(pcp announce)" epoch)
awk -v then="$epoch" -v now="$now" -v a="$asked" -v b="$EPOCHREALTIME" 'BEGIN { d = (now - then) - (b - a); exit !(d < 2 && d > -2) }' ||
	fail "the Epoch went from $epoch to $now"
note "the Epoch ran on, $epoch to $now"
