#!/bin/bash
# F2b of the failure scenarios: an application crashes and comes back on another port. Its old mapping is stale and eats the quota; the
# host finds it (no socket listens there) and deletes it, and so can the operator. Other applications' mappings stay.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready << YAML
subscribers: {prefixes: [198.51.100.0/24], explicit: 3}
pcp: {nonce: off}
YAML
pcpc() { in_ns host "$B/pcpc" "$@"; }
reached() { probe peer udp 203.0.113.9:7000 "$1"; }
granted() { pcp map udp "$1" lifetime=3600 nonce="$(printf '%024x' "$1")"; }

start_reflector host 198.51.100.2:6500	# another application, UDP and TCP
kept=$(field "$(granted 6500)" external)
background host "$scratch/app.out" /usr/bin/python3 "$lib/reflector.py" 198.51.100.2:6000
app=$job
wait_for says "$scratch/app.out" ready
old=$(field "$(granted 6000)" external)
expect_equal "$(reached "$old")" 203.0.113.9:7000 "the application is reached"
expect_match "$(pcpc get --stale)" 'SUCCESS get 0 mappings' "nothing is stale"

kill -9 "$app"
wait "$app" 2> /dev/null || true
background host "$scratch/app2.out" /usr/bin/python3 "$lib/reflector.py" 198.51.100.2:6001
wait_for says "$scratch/app2.out" ready
new=$(field "$(granted 6001)" external)
expect_differ "$old" "$new" "on another port it has another external endpoint"
expect_match "$(granted 6002)" 'result=10 ' "and with the stale one the quota is full: USER_EX_QUOTA"
expect_match "$(pcpc get --stale)" '198.51.100.2:6000 .*get 1 mapping ' "the host finds the stale one, and no other"
expect_match "$(pcpc get tcp --stale)" 'SUCCESS get 0 mappings|NONEXIST_MAP' "none of TCP"

expect_exit 0 "delete --stale" pcpc delete --stale
expect_match "$output" '^SUCCESS map udp 198.51.100.2:6000' "says what it deleted"
[[ ! $(ctl -j show mappings --origin map) =~ 198.51.100.2:6000 ]] || fail "the stale mapping is still explicit"
note "the stale one is explicit no more: what traffic it had lives on as that traffic's (RFC 6887 section 15)"
expect_equal "$(reached "$new") $(reached "$kept")" "203.0.113.9:7000 203.0.113.9:7000" "the new one and the other application's are reached"
expect_match "$(granted 6002)" 'result=0 ' "the quota is free again"

# A server that checks nonces does not tell them: the host cannot, the operator can.
stop_xcgnd TERM
"$lab" config <(printf 'subscribers: {prefixes: [198.51.100.0/24], explicit: 3}\npcp: {nonce: strict}\n')
start_xcgnd
expect_match "$(pcpc get --stale)" '198.51.100.2:6002 .*0{24}' "with nonces checked they are still seen"
expect_exit 3 "but not deleted" pcpc delete --stale
expect_match "$output" 'does not tell their nonces' "and it says why"
expect_match "$(ctl -j show mappings --origin map)" 198.51.100.2:6002 "nothing was deleted"
expect_match "$(ctl clear --subscriber 198.51.100.2 --origin map)" 'explicit: 3' "the operator clears"
expect_match "$(granted 6003)" 'result=0 ' "the quota is free"
expect_exit 1 "--stale with a port" pcpc delete --stale udp 6000
wait_for "$B/tests/xcgn_invariants" "$pins"
