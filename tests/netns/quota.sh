#!/bin/bash
# RFC 6888 REQ-4, RFC 6887 section 17.1: limits hold for each subscriber, for packets and requests, and a part of them is kept for PCP.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready << YAML
pools: [{name: main, addresses: [192.0.2.0/28], block-size: 64}]
subscribers:
  prefixes: [198.51.100.0/24]
  reserve: 16				# of the first one, no more than it may ask for: 4
  overrides:
    - {prefix: 198.51.100.2/32, blocks: 1, explicit: 4}
    - {prefix: 198.51.100.4/32, blocks: 1, explicit: 4}
YAML
start_reflector peer 203.0.113.9:3478
of() { ctl -j show mappings --subscriber "$1" --origin "$2" | wc -l; }

# A hundred flows of a subscriber with 64 ports, as many kept as it may ask for by PCP: 60 mappings, and a reason for what was dropped.
in_ns host /usr/bin/python3 "$lib/flows.py" 198.51.100.2 20000 100 203.0.113.9:3478
expect_equal "$(of 198.51.100.2 implicit)" 60 "implicit mappings of a subscriber with 64 ports, 4 of them kept for PCP"
(($(counted drop-quota) >= 40)) || fail "drop-quota counts $(counted drop-quota)"
note "the others are counted as drop-quota"
expect_match "$(probe host udp 198.51.100.2:20000 203.0.113.9:3478)" '^192\.0\.2\.' "flows that have a mapping go on"
in_ns host /usr/bin/python3 "$lib/flows.py" 198.51.100.3 20000 100 203.0.113.9:3478
expect_equal "$(of 198.51.100.3 implicit)" 100 "another subscriber gets all of its hundred"

# Requests: four, and no more; a renewal is none more; a deletion makes room.
in_ns host ip address add 198.51.100.4/24 dev host0
ask() { field "$(pcp map udp "$1" source=198.51.100.4 nonce=a0a1a2a3a4a5a6a7a8a9aaab lifetime="${2:-600}")" result; }
for port in 6001 6002 6003 6004; do
	expect_equal "$(ask $port)" 0 "MAP for port $port"
done
expect_equal "$(ask 6005)" 10 "the fifth: USER_EX_QUOTA"
expect_equal "$(ask 6004)" 0 "a renewal"
expect_equal "$(ask 6004 0)" 0 "a deletion"
expect_equal "$(ask 6005)" 0 "makes room for the fifth"
expect_equal "$(field "$(pcp map udp 6006 source=198.51.100.3)" result)" 0 "another subscriber is not concerned"
expect_match "$(ctl -j show subscribers --subscriber 198.51.100.4)" '"explicit": *\{"used": *4,"limit": *4\}' "xcgnctl shows what is used"
# What was kept for PCP is there although packets took all the rest.
for port in 6001 6002 6003 6004; do
	expect_equal "$(field "$(pcp map udp $port)" result)" 0 "MAP for port $port of the one whose packets are refused"
done
