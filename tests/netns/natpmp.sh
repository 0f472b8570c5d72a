#!/bin/bash
# RFC 6886 with a client that is not ours (natpmpc), beside PCP on the same port; RFC 7220: a mapping's description.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
command -v natpmpc > /dev/null || skip "no natpmpc"

ready <<< "pcp: {nat-pmp: true, third-party: [{from: 198.51.100.3/32, for: [198.51.100.2/32]}]}"
start_reflector host 198.51.100.2:40002
start_reflector peer 203.0.113.9:3478
natpmpc() { in_ns host natpmpc -g 198.51.100.1 "$@"; }
mappings() { ctl -j show mappings; }
mapped() { mappings | grep -c "\"internal\": *\"198.51.100.2:$1\"" || true; }

expect_exit 0 "the external address, before any mapping" natpmpc
address=$(sed -n 's/^Public IP address : //p' <<< "$output")
expect_match "$address" '^192\.0\.2\.[0-9]+$' "is one of the pool ($address)"
expect_exit 0 "a mapping of UDP" natpmpc -a 40001 40002 udp 600
external=$(sed -nE 's/^Mapped public port ([0-9]+) .*local port 40002.*/\1/p' <<< "$output")
expect_match "$external" '^[0-9]+$' "at port $external"
expect_equal "$(probe peer udp 203.0.113.9:1111 "$address:$external")" 203.0.113.9:1111 "a peer reaches the host there"
expect_equal "$(probe host udp 198.51.100.2:40003 203.0.113.9:3478 | cut -d: -f1)" "$address" "packets leave by the same address"
expect_exit 0 "a mapping of TCP" natpmpc -a 40001 40002 tcp 600
expect_equal "$(mapped 40002)" 2 "both stand in the table"
expect_equal "$(field "$(pcp map udp 40002 lifetime=600 nonce=000102030405060708090a0b)" result)" 2 "a PCP client with another nonce may not renew it"

# What PCP asked for is told to NAT-PMP, and not changed.
expect_equal "$(field "$(pcp map udp 40005 lifetime=6000 nonce=000102030405060708090a0b)" result)" 0 "a mapping asked by PCP"
expect_exit 0 "is told to NAT-PMP" natpmpc -a 40001 40005 udp 600
natpmpc -a 0 40005 udp 0 > /dev/null 2>&1 || true
expect_equal "$(mapped 40005)" 1 "and not deleted by it"
natpmpc -a 40009 40009 udp 600 > /dev/null
natpmpc -a 0 40009 udp 0 > /dev/null
expect_equal "$(mapped 40009)" 0 "its own it deletes"
natpmpc -a 0 0 tcp 0 > /dev/null
expect_equal "$(mapped 40002)" 1 "one by one or all of a protocol; what packets keep stays"

# A description is stored, shown, kept over the death of the daemon, and gone with its mapping.
expect_equal "$(field "$(pcp map udp 40006 lifetime=600 description=cam)" description)" cam "a description comes back"
stop_xcgnd KILL
expect_match "$(ctl -j show mappings | grep :40006)" '"description": *"cam"' "and is shown while the daemon is dead"
start_xcgnd
expect_match "$(ctl show mappings | grep :40006)" 'cam *$' "and after it is back"
expect_equal "$(field "$(pcp map udp 40006 lifetime=0)" result)" 0 "the mapping is deleted"
expect_equal "$(bpftool map dump pinned "$pins/descriptions" | grep -c cam || true)" 0 "and its description with it"

# THIRD_PARTY: the host that may, and nobody else.
expect_equal "$(field "$(pcp map udp 40007 source=198.51.100.3 third-party=198.51.100.2)" result)" 0 "the agent asks for another host"
expect_equal "$(mapped 40007)" 1 "whose mapping it is"
expect_equal "$(field "$(pcp map udp 40008 source=198.51.100.2 third-party=198.51.100.3)" result)" 5 "the other way round it may not"
