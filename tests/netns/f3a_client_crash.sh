#!/bin/bash
# F3a, draft-boucadair-pcp-failure section 2.3: the client's process dies and its table is in stable storage: nothing is lost, nothing
# is to be done. It asks for the Epoch, finds that it fits, and renews later with the nonces it had.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
# shellcheck source=tests/lib/keep.sh
. "$lib/keep.sh"

ready << YAML
pcp: {lifetime: {min: 1, max: 86400}}
YAML
start_reflector host 198.51.100.2:5060 198.51.100.2:8080
keep_wants "servers: [198.51.100.1]" << YAML
{protocol: udp, port: 5060, lifetime: 3600, description: phone}
{protocol: tcp, port: 8080, lifetime: 20}
YAML
start_keep
await "created udp 198.51.100.2:5060 = 192.0.2"
await "created tcp 198.51.100.2:8080 = 192.0.2"
udp=$(external_of "udp 198.51.100.2:5060") tcp=$(external_of "tcp 198.51.100.2:8080")
nonces="$(nonce_of 198.51.100.2:5060) $(nonce_of 198.51.100.2:8080)"
expect_match "$nonces" '^[0-9a-f]{24} [0-9a-f]{24}$' "two mappings with nonces: $udp, $tcp"
expect_equal "$(probe peer udp 203.0.113.9:7000 "$udp")" 203.0.113.9:7000 "packets come in"

for round in 1 2 3; do
	capture_anew
	stop_keep KILL
	expect_equal "$(probe peer tcp 203.0.113.9:$((7000 + round)) "$tcp")" 203.0.113.9:$((7000 + round)) "round $round: also while it is dead"
	start_keep
	await "kept udp 198.51.100.2:5060 = $udp"
	await "kept tcp 198.51.100.2:8080 = $tcp"
	expect_equal "$(asked | head -n 1 | cut -d ' ' -f 1)" 0 "round $round: asked is ANNOUNCE"
	expect_equal "$(asked 'portcontrol.map.internal_port == 5060')" "" "round $round: and no mapping that is not due"
	expect_equal "$(events 'epoch-reset|created|changed|lost|refused')" 0 "round $round: events of anything else"
done
WAIT_S=30 await "renewed tcp 198.51.100.2:8080 = $tcp"
expect_equal "$(asked 'portcontrol.opcode == 1' | head -n 1)" "1 20 ${nonces#* } 8080 ffff${tcp%:*} ${tcp#*:}" \
	"then the renewal that is due, with the nonce of before"
expect_equal "$(nonce_of 198.51.100.2:5060) $(nonce_of 198.51.100.2:8080)" "$nonces" "the nonces at the server"
expect_exit 2 "a second keeper of the same table" in_ns host "$B/pcpc" keep "$keep_file"
expect_match "$output" "process $keep_pid keeps it" "is told who has it"
stop_keep
expect_equal "$(ctl -j show mappings | wc -l)" 2 "ended, it leaves the mappings"
