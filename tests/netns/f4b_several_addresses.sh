#!/bin/bash
# F4b, draft-boucadair-pcp-failure section 2.4: a host with several addresses. The client keeps to the address that each mapping was asked
# from: what happens to one address does not touch the mappings of the other.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
# shellcheck source=tests/lib/keep.sh
. "$lib/keep.sh"

# keeper ADDRESS: the same wish from each address, two tables
keeper()
{
	printf 'state: %s\nservers: [198.51.100.1]\nsource: %s\nmappings: [{protocol: udp, port: 5060}]\n' "$scratch/keep$1/state" "$1" \
		> "$scratch/keep$1.yaml"
	background host "$scratch/keep$1.out" "$B/pcpc" keep "$scratch/keep$1.yaml"
}
heard() { wait_for says "$scratch/keep$1.out" " $2"; }
endpoint() { sed -nE "s/.* udp $1:5060 = ([^ ]*).*/\1/p" "$scratch/keep$1.out" | tail -n 1; }
epoch() { field "$(pcp announce)" epoch; }

ready < /dev/null
keeper 198.51.100.2
keeper 198.51.100.3
second=$job
for address in 198.51.100.2 198.51.100.3; do
	heard $address "created udp $address:5060 = 192.0.2"
done
start_reflector host 198.51.100.2:5060 198.51.100.3:5060
one=$(endpoint 198.51.100.2) other=$(endpoint 198.51.100.3) epoch=$(epoch)
expect_differ "$one" "$other" "the same port of two addresses"
expect_equal "$(probe peer udp 203.0.113.9:7000 "$one") $(probe peer udp 203.0.113.9:7000 "$other")" \
	"203.0.113.9:7000 203.0.113.9:7000" "packets come in at both"
nonces="$(nonce_of 198.51.100.2:5060) $(nonce_of 198.51.100.3:5060)"
expect_differ "${nonces% *}" "${nonces#* }" "each with a nonce of its own"

# One address goes and comes back, and its client dies meanwhile.
capture_anew
ip -n "$LAB_PREFIX-host" address del 198.51.100.3/24 dev host0
heard 198.51.100.3 "server-silent"
kill -9 "$second"
wait "$second" 2> /dev/null || true
expect_equal "$(probe peer udp 203.0.113.9:7001 "$one")" 203.0.113.9:7001 "one address gone: packets come in at the other"
ip -n "$LAB_PREFIX-host" address add 198.51.100.3/24 dev host0
keeper 198.51.100.3
heard 198.51.100.3 "(kept|renewed|created) udp 198.51.100.3:5060 = $other"
expect_equal "$(asked 'ip.src == 198.51.100.2 && portcontrol.opcode == 1')" "" "the client of the other address asked for nothing"
expect_equal "$(asked 'portcontrol.opcode == 1 && ip.src == 198.51.100.3' | cut -d ' ' -f 3 | sort -u | grep -v "^${nonces#* }\$" || true)" "" \
	"and the one asked with no other nonce"
expect_equal "$(grep -cE ' (changed|lost|refused|epoch-reset|address-changed)' "$scratch/keep198.51.100.2.out" || true)" 0 "news of the other address"
expect_equal "$(nonce_of 198.51.100.2:5060) $(nonce_of 198.51.100.3:5060)" "$nonces" "the server's nonces"
expect_equal "$(probe peer udp 203.0.113.9:7002 "$one") $(probe peer udp 203.0.113.9:7002 "$other")" \
	"203.0.113.9:7002 203.0.113.9:7002" "packets come in at both"
(($(epoch) >= epoch)) || fail "the Epoch was reset"
