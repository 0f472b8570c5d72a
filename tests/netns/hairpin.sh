#!/bin/bash
# RFC 4787 REQ-9, RFC 5382 REQ-8: hosts behind the NAT reach each other by their external endpoints, and see each other's external
# source ("external source IP address and port"). ICMP errors about such packets (RFC 5508 REQ-7): icmp_errors.sh.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready < /dev/null
start_reflector host 198.51.100.3:6000
start_reflector peer 203.0.113.9:3478

# .2 to .3's external endpoint; its own external endpoint is what a peer outside sees of the same internal port.
for protocol in udp tcp; do
	target=$(field "$(pcp map $protocol 6000 source=198.51.100.3)" external)
	outside=$(probe host $protocol 198.51.100.2:41000 203.0.113.9:3478)
	expect_equal "$(probe host $protocol 198.51.100.2:41000 "$target")" "$outside" "$protocol: .3 sees .2 by its external endpoint"
done
(($(counted hairpin) >= 4)) || fail "hairpin counts $(counted hairpin) packets"

# A host reaches itself by its external endpoint, too.
target=$(field "$(pcp map udp 6000 source=198.51.100.3)" external)
outside=$(probe host udp 198.51.100.3:41001 203.0.113.9:3478)
expect_equal "$(probe host udp 198.51.100.3:41001 "$target")" "$outside" "udp: .3 reaches itself"
