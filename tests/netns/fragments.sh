#!/bin/bash
# RFC 4787 REQ-14, RFC 6888 REQ-1: fragments are translated in both directions and by hairpin; what cannot be known is dropped and counted.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready < /dev/null
start_reflector peer 203.0.113.9:3478
start_reflector host 198.51.100.3:6000

# Kernels cut and join: a datagram of three fragments and an answer as long, an echo of three fragments, and by hairpin.
external=$(probe host udp 198.51.100.2:40000 203.0.113.9:3478)
expect_equal "$(probe host udp 198.51.100.2:40000 203.0.113.9:3478 4000)" "$external" "udp: 4000 bytes there and back"
in_ns host ping -q -c 2 -i 0.2 -W 2 -s 4000 203.0.113.9 > /dev/null || fail "no echo of 4000 bytes"
note "icmp: an echo of 4000 bytes there and back"
target=$(field "$(pcp map udp 6000 source=198.51.100.3)" external)
expect_equal "$(probe host udp 198.51.100.2:40000 "$target" 4000)" "$external" "udp: 4000 bytes by hairpin"

# Fragments one by one: header fields, sums, strays, tiny ones, overlapping ones, two senders with the same identification.
before=$(counted drop-fragment)
/usr/bin/python3 "$root/tests/netns/fragments.py" || fail "see above"
strays_are_counted() { (($(counted drop-fragment) >= before + 2)); }
wait_for strays_are_counted
note "strays are held for a while, then counted as drop-fragment"
status_has '"released": *9' || fail "released: $(ctl -j status)"
status_has '"held": *0' || fail "still held: $(ctl -j status)"
note "what was held has been given back"
expect_equal "$(counted drop-fragment-bad)" 4 "what overlaps, is cut at an odd place or ends beyond 65535 is counted as drop-fragment-bad"

# While no xcgnd lives they are dropped at once; nothing of the dead one's is left over.
stop_xcgnd KILL
count_of_stray()
{
	local was

	was=$(counted "$1")
	/usr/bin/python3 "$root/tests/netns/fragments.py" stray
	echo $(($(counted "$1") - was))
}
is_dropped() { [[ $(count_of_stray drop-fragment) == 1 ]]; }
wait_for is_dropped
expect_equal "$(count_of_stray held)" 0 "without xcgnd a stray is dropped and not held"
