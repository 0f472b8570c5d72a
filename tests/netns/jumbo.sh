#!/bin/bash
# Jumbo frames: of what is longer than a page a program sees the beginning alone, and the rest passes unread. 9000 bytes on both sides:
# datagrams that may not be cut and TCP whose segments are that long go both ways; what is too long for the other side is reported.
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

topology < /dev/null
ip_of() { ip -n "$LAB_PREFIX-$1" "${@:2}"; }
for end in "host host0" "cgn in0" "cgn out0" "peer peer0"; do
	read -r ns nic <<< "$end"
	ip_of "$ns" link set "$nic" mtu 9000
done
start_xcgnd
attach
background peer "$scratch/serve" /usr/bin/python3 "$lib/jumbo.py" serve 203.0.113.9:4000
wait_for says "$scratch/serve" ready
ask() { in_ns host /usr/bin/python3 "$lib/jumbo.py" ask "$@"; }

got=$(ask 198.51.100.2:5000 203.0.113.9:4000 8000 4000000)
note "$got"
expect_equal "$(field "$got" udp) $(field "$got" tcp)" "8000 4000000" "bytes there and back by UDP and TCP"
(($(field "$got" mss) > 8900)) || fail "segments are short: $got"
(($(counted outbound) > 0 && $(counted drop-ip-header) == 0)) || fail "frames were dropped"
ask 198.51.100.2:5001 203.0.113.9:4000 8972 1000 > /dev/null
note "a datagram that fills 9000 bytes"

# The other side takes less: the sender is told.
ip_of cgn link set out0 mtu 1500
ip_of peer link set peer0 mtu 1500
! ask 198.51.100.2:5002 203.0.113.9:4000 8000 1000 2> /dev/null || fail "8000 bytes went through 1500"
expect_equal "$(counted report-too-big)" 1 "report-too-big"
expect_match "$(ip_of host route get 203.0.113.9)" "mtu 1500" "the host knows the MTU"
