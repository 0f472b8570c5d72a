#!/bin/bash
# F4c of the failure scenarios: a controller asked for another host (THIRD_PARTY), whose address changes. The lease hook moves the
# mapping; the controller hears of it where it is, and renews it for the new address with the nonce that it has.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2 becomes .3, controller .250 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

nonce=a0a1a2a3a4a5a6a7a8a9aaab
ready << YAML
pcp: {third-party: [{from: 198.51.100.250/32, for: [198.51.100.0/24]}]}
YAML
ip -n "$LAB_PREFIX-host" address add 198.51.100.250/24 dev host0
start_capture host host0 "udp and src port 5351"
controller() { pcp "$@" source=198.51.100.250:45000; }
said() { /usr/bin/python3 -c 'import json, sys; print(json.loads(sys.stdin.read())[sys.argv[1]])' "$1" <<< "$2"; }

made=$(controller map udp 6000 lifetime=3600 nonce=$nonce third-party=198.51.100.2)
expect_match "$made" 'result=0 ' "the controller maps a port of the host"
external=$(field "$made" external)
start_reflector host 198.51.100.3:6000
expect_equal "$(said moved "$(ctl -j subscriber moved 198.51.100.2 198.51.100.3)")" 1 "the lease hook says that the host has moved"
expect_equal "$(probe peer udp 203.0.113.9:7000 "$external")" 203.0.113.9:7000 "packets reach the new address"
update() { tcpdump -x -n -r "$scratch/host0.pcap" "dst 198.51.100.250 and dst port 45000 and udp[9] = 0x81" 2> /dev/null | tr -d '\n\t ' | sed 's/0x00[0-9a-f]0://g'; }
update_came() { [[ $(update) =~ $nonce.*0100001000000000000000000000ffffc6336403 ]]; }
wait_for update_came
note "a Mapping Update to the controller, with THIRD_PARTY 198.51.100.3"
renewed=$(controller map udp 6000 lifetime=7200 nonce=$nonce third-party=198.51.100.3)
expect_match "$renewed" "result=0 lifetime=7200 .*external=$external" "renewed for the new address, by the same nonce"
expect_match "$(controller map udp 6000 lifetime=3600 nonce=$nonce third-party=198.51.100.2)" 'result=0 ' "the old address begins anew"
expect_equal "$(ctl -j show mappings --origin map | wc -l)" 2 "and nothing stale is left"
wait_for "$B/tests/xcgn_invariants" "$pins"
