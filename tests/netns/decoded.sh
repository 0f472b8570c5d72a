#!/bin/bash
# Every kind of answer of the server, read by tshark: PCP with all its options and result codes, NAT-PMP, GET (whose opcode no registry
# has given). What it finds in them is what the requests and the rules say.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
command -v tshark > /dev/null || skip "no tshark"

ready << YAML
pcp: {nat-pmp: true, filters: 2, third-party: [{from: 198.51.100.3/32, for: [198.51.100.2/32]}]}
subscribers: {prefixes: [198.51.100.0/24], overrides: [{prefix: 198.51.100.3/32, explicit: 6}]}
YAML
start_capture host host0 "udp src port 5351 and not dst port 5350"
capture=$job
in_ns host /usr/bin/python3 "$root/tests/netns/decoded.py" > "$scratch/expected" || fail "$(cat "$scratch/expected")"
sed 's/^/   /' "$scratch/expected"
expect_match "$(ctl -j show mappings --origin peer | grep :6007)" '"peers": *\[\{"remote_peer": *"203.0.113.9:443",.*"description": *"line"' \
	"xcgnctl shows a PEER with its remote peer and what it is called"
captured() { (($(tcpdump -n -r "$scratch/host0.pcap" 2> /dev/null | wc -l) >= $(wc -l < "$scratch/expected"))); }
wait_for captured
finish "$capture"
sed 's/^[^:]*: //' "$scratch/expected" > "$scratch/fields"

read_fields() { tshark -n -r "$scratch/host0.pcap" "${@:2}" -Y "$1" -T fields -E separator=' ' -E aggregator=, 2> /dev/null; }
decode()
{
	read_fields 'udp.srcport == 5351' -e portcontrol.version -e portcontrol.opcode -e portcontrol.result_code -e portcontrol.lifetime_rsp \
		-e portcontrol.map.nonce -e portcontrol.peer.nonce -e portcontrol.map.protocol -e portcontrol.peer.protocol \
		-e portcontrol.map.internal_port -e portcontrol.peer.internal_port -e portcontrol.map.rsp_assigned_external_port \
		-e portcontrol.peer.rsp_assigned_external_port -e portcontrol.option.code \
		-e nat-pmp.version -e nat-pmp.opcode -e nat-pmp.result_code -e nat-pmp.external_ip -e nat-pmp.internal_port -e nat-pmp.external_port \
		-e nat-pmp.pml | sed -E 's/ +/ /g; s/^ ?2 /pcp /; s/^ ?0 /natpmp /; s/ +$//' |
		awk '$0 != "pcp 0 0 0" || !told++'	# one was asked for; others tell known clients that the server has begun anew
}
decode > "$scratch/decoded"
diff "$scratch/fields" "$scratch/decoded" > "$scratch/diff" || fail "tshark finds something else (>) than what was sent (<): $(cat "$scratch/diff")"
note "tshark reads all $(wc -l < "$scratch/decoded") alike"
expect_equal "$(read_fields _ws.malformed -e frame.number | wc -l)" 0 "answers that it finds malformed"
expect_equal "$(cut -d' ' -f3 "$scratch/fields" | sort -nu | tr '\n' ' ')" "0 1 2 3 4 5 6 9 10 11 12 13 " "result codes among them"
expect_equal "$(read_fields portcontrol.option.description -e portcontrol.option.description | head -n 2 | tr '\n' ' ')" "camera line " "descriptions"
expect_equal "$(read_fields 'portcontrol.option.code == 1' -e portcontrol.option.third_party.internal_ip)" "::ffff:198.51.100.2" "whose mapping it is"
expect_equal "$(read_fields 'portcontrol.option.code == 130 && portcontrol.map.internal_port == 6010' -e portcontrol.option.portset.size | head -n 1)" 4 \
	"ports of a set"
