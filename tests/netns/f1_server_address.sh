#!/bin/bash
# F1, draft-boucadair-pcp-failure section 2.1: the server's address changes. The client re-creates every explicit mapping at the new
# one by the ordinary refresh. Told by its file, and by the default route.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1 → .254 → .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
# shellcheck source=tests/lib/keep.sh
. "$lib/keep.sh"

move_server()
{
	stop_xcgnd KILL
	echo "pcp: {listen: [$1]}" > "$scratch/moved.yaml"
	"$lab" config "$scratch/moved.yaml"
	start_xcgnd
}

wants() { keep_wants "$@" << YAML
{protocol: udp, port: 5060}
{protocol: tcp, port: 8080}
YAML
}

ready <<< "pcp: {listen: [198.51.100.1]}"
ip -n "$LAB_PREFIX-cgn" address add 198.51.100.254/24 dev in0
start_reflector host 198.51.100.2:5060
wants "servers: [198.51.100.1]"
start_keep
await "created udp 198.51.100.2:5060 = 192.0.2"
await "created tcp 198.51.100.2:8080 = 192.0.2"
udp=$(external_of "udp 198.51.100.2:5060") tcp=$(external_of "tcp 198.51.100.2:8080")
nonces="$(nonce_of 198.51.100.2:5060) $(nonce_of 198.51.100.2:8080)"

move_server 198.51.100.254
expect_equal "$(probe peer udp 203.0.113.9:7000 "$udp")" 203.0.113.9:7000 "moved: packets come in all the while"
wants "servers: [198.51.100.254]"
capture_anew
reload_keep
await "server-changed .*server 198.51.100.254:5351"
await "renewed udp 198.51.100.2:5060 = $udp .*server 198.51.100.254:5351"
await "renewed tcp 198.51.100.2:8080 = $tcp .*server 198.51.100.254:5351"
expect_equal "$(nonce_of 198.51.100.2:5060) $(nonce_of 198.51.100.2:8080)" "$nonces" "the same mappings with the same nonces"
# RFC 6887 section 11.2: a server that may be another one gets another nonce first.
first=$(asked 'portcontrol.opcode == 1 && portcontrol.map.internal_port == 5060' | head -n 1 | cut -d ' ' -f 3)
expect_differ "$first" "${nonces% *}" "only after a new nonce was refused"

# No server in the file: the default router is it, and it changes.
wants
reload_keep
move_server 198.51.100.1
WAIT_S=20 await "server-changed .*server 198.51.100.1:5351"
WAIT_S=20 wait_for says "$keep_out" "renewed udp 198.51.100.2:5060 = $udp .*server 198.51.100.1:5351"
before=$(events renewed)
move_server 198.51.100.254
in_ns host ip route replace default via 198.51.100.254
more() { (($(events "renewed .*server 198.51.100.254") >= 4)); }
wait_for more
note "followed the default route, $before renewals before"
expect_equal "$(events 'changed udp|changed tcp|lost')" 0 "no mapping changed, none was lost"
expect_equal "$(probe peer udp 203.0.113.9:7001 "$udp")" 203.0.113.9:7001 "packets come in"
