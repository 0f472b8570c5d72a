#!/bin/bash
# F7a, draft-boucadair-pcp-failure section 3.1: the server dies. While its state is kept its Epoch runs on and clients have nothing to
# do; when it lost it, the Epoch says so, and the client has everything back with the external endpoints of before.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
# shellcheck source=tests/lib/keep.sh
. "$lib/keep.sh"

ready < /dev/null
start_reflector host 198.51.100.2:5060 198.51.100.2:5061 198.51.100.3:7000
keep_wants "servers: [198.51.100.1]" << YAML
{protocol: udp, port: 5060}
{protocol: udp, port: 5061}
{protocol: tcp, port: 8080}
YAML
start_keep
for mapping in "udp 198.51.100.2:5060" "udp 198.51.100.2:5061" "tcp 198.51.100.2:8080"; do
	await "created $mapping = 192.0.2"
done
one=$(external_of "udp 198.51.100.2:5060") two=$(external_of "udp 198.51.100.2:5061")
three=$(external_of "tcp 198.51.100.2:8080")
nonces="$(nonce_of 198.51.100.2:5060) $(nonce_of 198.51.100.2:5061) $(nonce_of 198.51.100.2:8080)"
old_enough() { status_has '"epoch": *([6-9]|[1-9][0-9]+),'; }
wait_for old_enough

# kill -9: packets, nonces and the Epoch go on.
capture_anew
stop_xcgnd KILL
expect_equal "$(probe peer udp 203.0.113.9:7000 "$one")" 203.0.113.9:7000 "killed: packets come in"
start_xcgnd
expect_equal "$(probe peer udp 203.0.113.9:7001 "$one")" 203.0.113.9:7001 "restarted: packets come in"
reload_keep	# reads the file again; there is nothing new in it
wait_for says "$keep_out" "reload: 3 mappings"
expect_equal "$(asked)" "" "state kept: what the client asked"
expect_equal "$(events 'epoch-reset|changed|lost|refused')" 0 "and what it has to say"

# The tables and the stable storage are gone.
stop_xcgnd KILL
detach > /dev/null
rm -rf "$pins" "$dir/state"
capture_anew
begin=$EPOCHREALTIME
start_xcgnd
attach > /dev/null
await "epoch-reset"
for mapping in "udp 198.51.100.2:5060 = $one" "udp 198.51.100.2:5061 = $two" "tcp 198.51.100.2:8080 = $three"; do
	await "renewed $mapping"
done
note "state lost: all back after $(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }') s, where they were"
expect_equal "$(nonce_of 198.51.100.2:5060) $(nonce_of 198.51.100.2:5061) $(nonce_of 198.51.100.2:8080)" "$nonces" "with their nonces"
expect_equal "$(events 'changed|lost|refused')" 0 "nothing changed, was lost or refused"
expect_equal "$(probe peer udp 203.0.113.9:7002 "$two")" 203.0.113.9:7002 "packets come in again"
expect_equal "$(asked 'portcontrol.opcode == 1' | cut -d ' ' -f 4- | sort)" \
	"$(printf '%s\n' "5060 ffff${one%:*} ${one#*:}" "5061 ffff${two%:*} ${two#*:}" "8080 ffff${three%:*} ${three#*:}" | sort)" \
	"each was asked for once, with the former external endpoint suggested"
