#!/bin/bash
# RFC 5508 REQ-3 to REQ-6, RFC 4787 REQ-14, RFC 5382 REQ-9: ICMP errors about translated packets reach the right host, with the
# embedded packet as that host sent it; errors from hosts inside leave with the external address.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready < /dev/null

# By the kernels of host and peer: a closed port outside, and a time to live that ends behind the peer.
expect_equal "$(in_ns host /usr/bin/python3 "$lib/errors.py" 198.51.100.2:40000 203.0.113.9:9)" "203.0.113.9 type 3 code 3" \
	"port unreachable, as the host's kernel tells its socket"
in_ns peer sysctl -qw net.ipv4.ip_forward=1
ip -n "$LAB_PREFIX-peer" route add 192.88.99.0/24 via 203.0.113.10
expect_equal "$(in_ns host /usr/bin/python3 "$lib/errors.py" 198.51.100.2:40000 192.88.99.1:33434 2)" "203.0.113.9 type 11 code 0" \
	"time exceeded on the second hop, as traceroute sees it"

# Every kind, and every embedded header, on the wire.
/usr/bin/python3 "$root/tests/netns/icmp_errors.py" || fail "see above"
