#!/bin/bash
# F6b of the failure scenarios: an interworking function (UPnP to PCP, in the subscriber's router) reboots without its table. What it
# had asked for eats the quota; with nonces not checked it reads them back by GET, keeps what is wanted and deletes what is not.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2 is the router │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready << YAML
subscribers: {prefixes: [198.51.100.0/24], explicit: 4}
pcp: {nonce: off}
YAML
pcpc() { in_ns host "$B/pcpc" "$@"; }
asked() { pcp map udp "$1" lifetime="${3:-3600}" nonce="$2"; }

for port in 6001 6002 6003 6004; do
	external[port]=$(field "$(asked "$port" "$(printf '%024x' "$port")")" external)
done
start_reflector host 198.51.100.2:6001
# It reboots: new nonces, another order of ports. Two control points ask again, two are gone.
expect_match "$(asked 6005 "$(printf '%024x' 99)")" 'result=10 ' "after the reboot the quota is full of what nobody knows: USER_EX_QUOTA"
listing=$(pcpc -j get)
expect_equal "$(grep -c '"internal": *"198.51.100.2:600[1-4]"' <<< "$listing")" 4 "GET shows all four"
for port in 6001 6002 6003 6004; do
	expect_match "$listing" "$(printf '%024x' $port)" "with the nonce of port $port"
done
expect_match "$(asked 6001 "$(printf '%024x' 6001)" 7200)" "result=0 lifetime=7200 .*external=${external[6001]}" \
	"what is wanted is renewed where it was"
expect_equal "$(probe peer udp 203.0.113.9:7000 "${external[6001]}")" 203.0.113.9:7000 "and packets come in"
expect_exit 0 "it is given a name and a filter" pcpc map udp 6001 --nonce "$(printf '%024x' 6001)" --description camera --filter 203.0.113.0/24:7000
expect_match "$(pcpc -j get --options all | grep 100.2:6001)" '"203.0.113.0/24:7000".*"camera"|"camera".*"203.0.113.0/24:7000"' "which GET shows too"
expect_exit 0 "what no socket uses is deleted" pcpc delete --stale
expect_equal "$(pcpc -j get | grep -c '"internal"')" 1 "one is left"
expect_match "$(asked 6005 "$(printf '%024x' 99)")" 'result=0 ' "the quota is free"
expect_equal "$(pcpc -j get | grep -c '"internal"')" 2 "and the new one is there"
wait_for "$B/tests/xcgn_invariants" "$pins"
