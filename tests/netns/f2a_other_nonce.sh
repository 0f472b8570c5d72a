#!/bin/bash
# F2a, draft-boucadair-pcp-failure section 2.2: an application dies, comes back on its port and has another nonce. Nonces checked: it is
# refused for as long as the mapping lives, which carries packets on. Not checked: it gets its mapping back.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

former=0102030405060708090a0b0c later=f102030405060708090a0b0c
ask() { pcp map udp 5060 "nonce=$1" "source=198.51.100.2:50001" "${@:2}"; }
listed() { ctl -j show mappings --nonces --origin map; }
# "result lifetime nonce port external" of the answers, by a decoder of others
answered()
{
	tshark -r "$scratch/host0.pcap" -Y "portcontrol.r == 1 && portcontrol.opcode == 1" -T fields -e portcontrol.result_code \
		-e portcontrol.lifetime_rsp -e portcontrol.map.nonce -e portcontrol.map.internal_port 2> /dev/null | tr -d : | tr '\t' ' '
}
epoch() { field "$(pcp announce)" epoch; }

ready < /dev/null
start_reflector host 198.51.100.2:5060
external=$(field "$(ask $former lifetime=3600)" external)
before=$(epoch)

start_capture host host0 "udp port 5351"
again=$(ask $later lifetime=7200)
expect_equal "$(field "$again" result)" 2 "another nonce: NOT_AUTHORIZED"
wait_for says <(answered) .
read -r result lifetime nonce port < <(answered)
expect_equal "$result $nonce $port" "2 $later 5060" "on the wire: result, the nonce asked with, port"
((lifetime > 3500 && lifetime <= 3600)) || fail "its lifetime is $lifetime"
note "and for how long: $lifetime s, which the mapping has left"
expect_equal "$(ask $later lifetime=0 | sed -E 's/.*result=([0-9]*).*/\1/')" 2 "deleting is refused too"
expect_match "$(listed)" "\"external\":\"$external\".*\"nonce\":\"$former\"" "the mapping is as it was"
expect_equal "$(listed | wc -l)" 1 "and the only one"
expect_equal "$(probe peer udp 203.0.113.9:7000 "$external")" 203.0.113.9:7000 "packets come in"
(($(epoch) >= before)) || fail "the Epoch was reset"
note "the Epoch runs on"
expect_equal "$(field "$(ask $former lifetime=3600)" external)" "$external" "who remembers the nonce has it back"

# The operator trusts those who can send from the address.
stop_xcgnd
echo "pcp: {nonce: same-source}" > "$scratch/relaxed.yaml"
"$lab" config "$scratch/relaxed.yaml"
start_xcgnd
again=$(ask $later lifetime=7200)
expect_equal "$(field "$again" result) $(field "$again" external) $(field "$again" nonce)" "0 $external $later" "nonces not checked: it gets its mapping"
expect_equal "$(listed | wc -l)" 1 "still one"
expect_equal "$(probe peer udp 203.0.113.9:7001 "$external")" 203.0.113.9:7001 "packets come in"
(($(epoch) >= before)) || fail "the Epoch was reset"
