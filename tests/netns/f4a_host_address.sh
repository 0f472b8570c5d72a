#!/bin/bash
# F4a, draft-boucadair-pcp-failure section 2.4: the host's address changes. The client asks for all mappings with the new internal
# address, suggests the external endpoints of before, and records what it gets; the stale mappings keep theirs until they end.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2 → .7 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
# shellcheck source=tests/lib/keep.sh
. "$lib/keep.sh"

ready < /dev/null
ip -n "$LAB_PREFIX-host" address del 198.51.100.3/24 dev host0
cat > "$scratch/hook" << 'HOOK'
#!/bin/sh
echo "$# $1 $2 $PCPC_EVENT $PCPC_INTERNAL_ADDRESS $PCPC_EXTERNAL_ADDRESS:$PCPC_EXTERNAL_PORT" >> "$(dirname "$0")/hook.out"
HOOK
chmod +x "$scratch/hook"
# shellcheck disable=SC2016 # what a shell would make of it
keep_wants "servers: [198.51.100.1]" "hook: [$scratch/hook, '\$(touch $scratch/injected); x']" << YAML
{protocol: udp, port: 5060}
{protocol: tcp, port: 8080}
YAML
start_keep
await "created udp 198.51.100.2:5060 = 192.0.2"
await "created tcp 198.51.100.2:8080 = 192.0.2"
udp=$(external_of "udp 198.51.100.2:5060")

capture_anew
ip -n "$LAB_PREFIX-host" address del 198.51.100.2/24 dev host0
ip -n "$LAB_PREFIX-host" address add 198.51.100.7/24 dev host0
in_ns host ip route replace default via 198.51.100.1
await "address-changed host 198.51.100.7"
await "changed udp 198.51.100.7:5060 = 192.0.2.* was $udp"
await "changed tcp 198.51.100.7:8080 = 192.0.2"
now=$(external_of "udp 198.51.100.7:5060")
expect_differ "$now" "$udp" "another external endpoint: the stale mapping owns the former one"
expect_equal "$(asked 'portcontrol.opcode == 1 && ip.src == 198.51.100.7 && portcontrol.map.internal_port == 5060' |
	head -n 1 | cut -d ' ' -f 4-)" "5060 ffff${udp%:*} ${udp#*:}" "which is what was suggested"
start_reflector host 198.51.100.7:5060
expect_equal "$(probe peer udp 203.0.113.9:7000 "$now")" 203.0.113.9:7000 "packets come in at the new address"
wait_for says "$scratch/hook.out" "^2 .*; x changed changed 198.51.100.7 $now\$"
note "the application was told by the hook"
[[ ! -e $scratch/injected ]] || fail "an argument of the hook was run by a shell"
expect_equal "$(wc -l < "$scratch/hook.out")" 5 "hooks run: two created, one address-changed, two changed"
