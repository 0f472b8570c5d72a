#!/bin/bash
# RFC 6887 sections 8, 11, 14.1 over real sockets: MAP made, renewed, refused, deleted, each with what packets then find; ANNOUNCE;
# who is heard at all. Requests are built by a client that knows nothing of ours, answers decoded by tshark.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

nonce=a0a1a2a3a4a5a6a7a8a9aaab
topology << YAML
pcp: {lifetime: {min: 120, max: 86400}}
YAML

start_xcgnd
attach
start_reflector host 198.51.100.2:6000
start_capture host host0 "udp port 5351"
reached() { probe peer udp 203.0.113.9:7000 "$external"; }

made=$(pcp map udp 6000 lifetime=3600 nonce=$nonce external=192.0.2.5:40000)
expect_match "$made" 'opcode=1 result=0 lifetime=3600 ' "MAP: granted as asked"
expect_match "$made" "nonce=$nonce protocol=17 internal-port=6000 " "MAP: nonce, protocol and port come back"
external=$(field "$made" external)
expect_equal "$external" 192.0.2.5:40000 "MAP: the suggested endpoint"
expect_equal "$(reached)" 203.0.113.9:7000 "packets from outside come in"

renewed=$(pcp map udp 6000 lifetime=7200 nonce=$nonce external=192.0.2.9:50000)
expect_match "$renewed" "result=0 lifetime=7200 .*external=$external" "renewal: more lifetime, the endpoint it has"
expect_match "$(pcp map udp 6000 lifetime=1 nonce=$nonce)" 'result=0 lifetime=120 ' "lifetime: not under the least one"
expect_match "$(pcp map udp 6000 lifetime=4000000000 nonce=$nonce)" 'result=0 lifetime=86400 ' "lifetime: not over the longest one"
other=$(pcp map udp 6000 lifetime=3600 nonce=000000000000000000000001)
expect_match "$other" 'result=2 ' "another nonce: NOT_AUTHORIZED"
(($(field "$other" lifetime) > 86000)) || fail "the error does not last as long as the mapping: $other"
expect_match "$(pcp map udp 6000 lifetime=0 nonce=000000000000000000000001)" 'result=2 ' "deletion with another nonce: NOT_AUTHORIZED"
expect_match "$(pcp map udp 6001 source=198.51.100.3 prefer-failure external="$external")" 'result=11 ' \
	"PREFER_FAILURE for what is another's: CANNOT_PROVIDE_EXTERNAL"
expect_match "$(pcp map sctp 6000)" 'result=9 ' "SCTP: UNSUPP_PROTOCOL"
expect_equal "$(reached)" 203.0.113.9:7000 "and the mapping is still there"

# A mapping that no packet of the host went out by ends with its deletion...
made=$(pcp map udp 6010 lifetime=600 nonce=$nonce)
expect_match "$(pcp map udp 6010 lifetime=0 nonce=$nonce)" 'result=0 lifetime=0 ' "deletion"
before=$(counted drop-no-mapping)
external=$(field "$made" external)
expect_exit 1 "packets from outside find nothing" reached
(($(counted drop-no-mapping) > before)) || fail "drop-no-mapping does not count them"
expect_match "$(pcp map udp 6010 lifetime=0 nonce=$nonce)" 'result=0 lifetime=0 ' "deletion of nothing succeeds"
back=$(pcp map udp 6010 lifetime=600 nonce=$nonce external="$external")
expect_equal "$(field "$back" external)" "$external" "the same client gets the endpoint back at once"
# ... and one with traffic lives on as that traffic's (section 15: the lifetime is what remains of it).
expect_match "$(pcp map udp 6000 lifetime=0 nonce=$nonce)" 'result=0 lifetime=(29[0-9]|300) ' "deletion that traffic outlives"

expect_match "$(pcp announce)" 'response=1 opcode=0 result=0 lifetime=0 ' "ANNOUNCE, asked"
first=$(field "$(pcp announce)" epoch)
later() { (($(field "$(pcp announce)" epoch) > first)); }
wait_for later
note "the Epoch counts"
expect_match "$(pcp natpmp)" '(version=2 response=1 opcode=0 result=1|version=0 opcode=128 result=0) ' \
	"NAT-PMP: served, or told that version 2 is spoken (RFC 6887 section 9)"

# The project's own client: results in its exit codes, and the same mapping again by its nonce.
client() { in_ns host "$B/pcpc" -j -s 198.51.100.1 -S 198.51.100.3 "$@"; }
expect_exit 0 "pcpc map" client map tcp 6020 --lifetime 600 --external :50000
external=$(sed -E 's/.*"external": *"([^"]*)".*/\1/' <<< "$output")
expect_match "$output" '"result": *"SUCCESS".*"internal": *"198.51.100.3:6020".*"lifetime": *600' "its JSON says what was granted"
own_nonce=$(sed -E 's/.*"nonce": *"([^"]*)".*/\1/' <<< "$output")
expect_exit 0 "pcpc map, renewed with its nonce" client map tcp 6020 --lifetime 900 --nonce "$own_nonce"
expect_match "$output" "\"external\": *\"$external\".*\"lifetime\": *900" "the same endpoint, more lifetime"
expect_exit 3 "pcpc map with another nonce" client map tcp 6020
expect_match "$output" NOT_AUTHORIZED "the result's name"
expect_exit 3 "pcpc map --prefer-failure for what is another's" client map tcp 6021 --external "$external" --prefer-failure
expect_exit 0 "pcpc announce" client announce
expect_exit 0 "pcpc delete" client delete tcp 6020 --nonce "$own_nonce"
! ctl -j show mappings | grep -q 198.51.100.3:6020 || fail "the deleted mapping is still listed"
expect_exit 2 "pcpc without a server" in_ns host "$B/pcpc" -s 198.51.100.9 -S 198.51.100.3 --timeout 1 announce
expect_exit 1 "pcpc without sense" client map udp 99999

# RFC 6887 section 8.2, spec P8.1: nobody outside is heard, whichever address he tries, and nothing changes.
ip -n "$LAB_PREFIX-peer" route add 198.51.100.0/24 via 203.0.113.1
for server in 203.0.113.1 198.51.100.1 192.0.2.5; do
	expect_exit 2 "a request from outside to $server is not answered" \
		in_ns peer /usr/bin/python3 "$lib/pcp.py" map udp 6002 source=203.0.113.9 server=$server wait=0.3
	expect_exit 2 "nor one with a source from inside" \
		in_ns peer /usr/bin/python3 "$lib/pcp.py" announce source=203.0.113.10 client=198.51.100.2 server=$server wait=0.3
done

expect_exit 1 "nobody listens for TCP (section 7)" in_ns host nc -n -z -w 2 198.51.100.1 5351

# Every answer once more, by another decoder.
finish "$job"
tshark -r "$scratch/host0.pcap" -Y 'portcontrol.r == 1 && portcontrol.opcode == 1' -T fields -e ip.src -e portcontrol.version \
	-e portcontrol.result_code -e portcontrol.lifetime_rsp -e portcontrol.map.nonce -e portcontrol.map.protocol \
	-e portcontrol.map.internal_port -e portcontrol.map.rsp_assigned_ext_ip -e portcontrol.map.rsp_assigned_external_port \
	> "$scratch/decoded" 2> /dev/null
expect_equal "$(head -n 1 "$scratch/decoded" | tr '\t' ' ' | tr -d :)" \
	"198.51.100.1 2 0 3600 $nonce 17 6000 ffff192.0.2.5 40000" "tshark reads the first answer alike"
malformed=$(tshark -r "$scratch/host0.pcap" -d udp.port==5351,portcontrol -Y '_ws.malformed' 2> /dev/null | wc -l)
expect_equal "$malformed" 0 "answers that tshark finds malformed"
