#!/bin/bash
# F8, draft-boucadair-pcp-failure-04 section 6: the server reboots, and somebody else asks for the port of a subscriber who is silent. It
# was promised: nobody else gets it, and its packets reach nobody else.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
# shellcheck source=tests/lib/keep.sh
. "$lib/keep.sh"

epoch() { field "$(pcp announce source="$1")" epoch; }

# One address with two blocks: who takes them all takes everything that is free.
ready << YAML
pools: [{name: main, addresses: [192.0.2.1/32], ports: 1024-1151, block-size: 64}]
subscribers: {prefixes: [198.51.100.0/24], blocks: 2, reserve: 0}
YAML
start_reflector host 198.51.100.2:5060
external=$(field "$(pcp map udp 5060 lifetime=3600 nonce=0102030405060708090a0b0c source=198.51.100.2:50001)" external)
expect_equal "$(probe peer udp 203.0.113.9:7000 "$external")" 203.0.113.9:7000 "packets come in at $external"
before=$(epoch 198.51.100.2)

stop_xcgnd KILL
detach > /dev/null
rm -rf "$pins"
start_xcgnd
attach > /dev/null
start_capture host host0 "udp port 5351"
thief() { pcp map udp 6000 lifetime=3600 nonce=f102030405060708090a0b0c source=198.51.100.3:50002 "external=$external" "$@"; }
expect_equal "$(field "$(thief prefer-failure)" result)" 11 "another asks for it after the reboot: CANNOT_PROVIDE_EXTERNAL"
given=$(field "$(thief)" external)
expect_differ "$given" "$external" "without insisting: another one"
in_ns host /usr/bin/python3 "$lib/flows.py" 198.51.100.3 20000 200 203.0.113.9:9	# and packets, more than there are ports
ctl -j show mappings > "$scratch/listed"
expect_equal "$(grep -c "\"protocol\":\"udp\".*\"external\":\"$external\"" "$scratch/listed")" 1 "owners of $external"
grep "\"external\":\"$external\"" "$scratch/listed" | grep -q '"internal":"198.51.100.2:5060"' || fail "its owner is another one"
others=$scratch/reflector-${#jobs[@]}.out
start_reflector host 198.51.100.3:6000
expect_equal "$(probe peer udp 203.0.113.9:7001 "$external")" 203.0.113.9:7001 "its packets come in"
expect_equal "$(grep -c "203.0.113.9" "$others" || true)" 0 "at the other's"
(($(epoch 198.51.100.2) >= before)) || fail "the Epoch was reset though nothing was lost"
note "the Epoch runs on"
expect_equal "$(tshark -r "$scratch/host0.pcap" -Y 'portcontrol.r == 1 && portcontrol.opcode == 1 && ip.dst == 198.51.100.3' \
	-T fields -e portcontrol.result_code 2> /dev/null | tr '\n' ' ')" "11 0 " "the results on the wire, by another decoder"
