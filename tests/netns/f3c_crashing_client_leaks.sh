#!/bin/bash
# F3c of the failure scenarios: a client that keeps crashing leaks mappings, each with a nonce that nobody knows any more. Its quota
# bounds the harm; short lifetimes mend it by themselves, the operator mends it at once; neighbours notice nothing.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready << YAML
subscribers: {prefixes: [198.51.100.0/24], explicit: 4}
pcp: {lifetime: {min: 1, max: 86400}}
YAML
# leak FIRST LIFETIME: four starts of the client, each on another port with another nonce
leak()
{
	local port

	for port in $(seq "$1" $(($1 + 3))); do
		expect_match "$(pcp map udp "$port" lifetime="$2" nonce="$(printf '%024x' "$port")")" 'result=0 ' "start: port $port"
	done
}
fifth() { pcp map udp 6999 lifetime=600 nonce=ffffffffffffffffffffffff; }
granted() { [[ $(fifth) =~ result=0\  ]]; }
stale() { ctl -j show mappings --stale=1 --subscriber 198.51.100.2 | wc -l; }
none_left() { [[ -z $(ctl -j show mappings --subscriber 198.51.100.2 --origin map) ]]; }
all_stale() { [[ $(stale) == 4 ]]; }

expect_match "$(pcp map udp 6000 lifetime=3600 nonce=0102030405060708090a0b0c source=198.51.100.3)" 'result=0 ' "a neighbour"
leak 6100 8
expect_match "$(fifth)" 'result=10 ' "the fifth is over its quota: USER_EX_QUOTA"
WAIT_S=40 wait_for granted
note "with short lifetimes the quota is free again by itself"
expect_match "$(pcp map udp 6999 lifetime=0 nonce=ffffffffffffffffffffffff)" 'result=0 ' "deleted"
WAIT_S=40 wait_for none_left	# the first that ended made room for one only

leak 6200 3600
expect_match "$(fifth)" 'result=10 ' "with long ones it stays full"
wait_for all_stale
note "the operator sees them: show mappings --stale"
expect_equal "$(ctl -j show mappings --stale --subscriber 198.51.100.2)" "" "by the default of an hour they are not stale yet"
expect_match "$(ctl clear --subscriber 198.51.100.2 --origin map)" 'explicit: 4' "and clears them"
expect_match "$(fifth)" 'result=0 ' "the quota is free at once"
expect_match "$(ctl -j show mappings --subscriber 198.51.100.3)" 198.51.100.3:6000 "the neighbour has its mapping"
wait_for "$B/tests/xcgn_invariants" "$pins"
