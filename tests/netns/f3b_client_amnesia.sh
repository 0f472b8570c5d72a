#!/bin/bash
# F3b, draft-boucadair-pcp-failure section 2.3: the client's process dies and its table is lost. It walks the server's by GET. What the
# server reveals decides: with nonces it goes on and cleans up what nobody wants; without them it can only wait, and say what is stale.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
# shellcheck source=tests/lib/keep.sh
. "$lib/keep.sh"

ready << YAML
pcp: {lifetime: {min: 1, max: 86400}, get: {nonces: reveal}}
YAML
start_reflector host 198.51.100.2:5060 198.51.100.2:8080
keep_wants "servers: [198.51.100.1]" "clean-up: true" << YAML
{protocol: udp, port: 5060}
{protocol: tcp, port: 8080}
YAML
start_keep
await "created udp 198.51.100.2:5060 = 192.0.2"
await "created tcp 198.51.100.2:8080 = 192.0.2"
udp=$(external_of "udp 198.51.100.2:5060") tcp=$(external_of "tcp 198.51.100.2:8080")
nonces="$(nonce_of 198.51.100.2:5060) $(nonce_of 198.51.100.2:8080)"
for port in {9001..9020}; do	# more than one page, of an application that is gone
	pcp map udp "$port" lifetime=3600 nonce=0102030405060708090a0b0c > /dev/null
done
expect_equal "$(ctl -j show mappings --origin map | wc -l)" 22 "two mappings, and 20 that nobody wants any more"

stop_keep KILL
rm -r "$(dirname "$keep_state")"
start_keep
await "created udp 198.51.100.2:5060 = $udp"
await "created tcp 198.51.100.2:8080 = $tcp"
expect_equal "$(nonce_of 198.51.100.2:5060) $(nonce_of 198.51.100.2:8080)" "$nonces" "nonces revealed: the same mappings, the same nonces"
clean() { [[ $(ctl -j show mappings --origin map | wc -l) == 2 ]]; }
wait_for clean
await "deleted udp 198.51.100.2:9020"
expect_equal "$(events 'deleted udp')" 20 "what nobody wants is deleted"
expect_equal "$(probe peer udp 203.0.113.9:7000 "$udp")" 203.0.113.9:7000 "packets come in"

# Nonces redacted, as they are by default: nothing can be taken over, nothing is broken.
stop_keep KILL
rm -r "$(dirname "$keep_state")"
echo "pcp: {lifetime: {min: 1, max: 86400}}" > "$scratch/redact.yaml"
"$lab" config "$scratch/redact.yaml"
kill -HUP "$xcgnd_pid"
redacts() { pcp_get | grep -q '"nonce":"000000000000000000000000"'; }
pcp_get() { in_ns host "$B/pcpc" -j -s 198.51.100.1 get; }
wait_for redacts
pcp map udp 9001 lifetime=3600 nonce=0102030405060708090a0b0c > /dev/null
start_keep
await "refused udp 198.51.100.2:5060 = $udp NOT_AUTHORIZED"
await "refused tcp 198.51.100.2:8080 = $tcp NOT_AUTHORIZED"
await "stale udp 198.51.100.2:9001 = 192.0.2.*NOT_AUTHORIZED"
expect_equal "$(probe peer udp 203.0.113.9:7001 "$udp")" 203.0.113.9:7001 "redacted: refused, and packets still come in"
lifetime=$(sed -nE 's/.* refused udp .* lifetime ([0-9]+) .*/\1/p' "$keep_out" | head -n 1)
((lifetime > 3500)) || fail "to be asked again after $lifetime s"
note "to be asked again when the mapping has ended, after $lifetime s"
