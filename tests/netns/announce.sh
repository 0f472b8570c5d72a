#!/bin/bash
# RFC 6887 section 14.1.3: an Epoch that was reset is announced, by multicast and to every known client, again and again with gaps
# that double; and to clients of NAT-PMP as it says. Section 8.5: one client alone may have another Epoch, also after a restart.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

topology <<< "pcp: {nat-pmp: true}"
start_capture host host0 "udp and src port 5351"
capture=$job
captured() { tcpdump -tt -n -r "$scratch/host0.pcap" "$1" 2> /dev/null; }
at_least() { (($(captured "$1" | wc -l) >= $2)); }
start_xcgnd
attach

multicast="src 198.51.100.1 and dst 224.0.0.1 and dst port 5350"
wait_for at_least "$multicast" 4
gaps=$(captured "$multicast" | awk 'NR > 1 { printf "%d ", ($1 - last) * 1000 } { last = $1 }')
read -r first second third _ <<< "$gaps"
((first >= 250 && second >= 2 * first - 20 && third >= 2 * second - 20)) || fail "gaps of ${gaps}ms"
note "multicast from port 5351, gaps of ${gaps}ms"
bytes=$(tcpdump -x -n -r "$scratch/host0.pcap" "$multicast" 2> /dev/null | tr -d '\n\t ' | sed 's/0x00[0-9a-f]0://g')
expect_match "$bytes" '02800000000000000000000[0-3]0{24}' "24 bytes: an ANNOUNCE with result 0, lifetime 0 and a young Epoch"

# Clients that have mappings are told at the port that asked; a daemon that died while it announced begins again.
expect_equal "$(field "$(pcp map udp 40001 source=198.51.100.2:50001 nonce=0102030405060708090a0b0c)" result)" 0 "a client with one mapping"
expect_equal "$(field "$(pcp map udp 40002 source=198.51.100.3:50002)" result)" 0 "another one"
expect_equal "$(field "$(pcp map tcp 40003 source=198.51.100.3:50002)" result)" 0 "with two"
expect_equal "$(field "$(pcp natpmp map udp 40004 source=198.51.100.2:50004)" result)" 0 "a client of NAT-PMP"
address=$(field "$(pcp natpmp)" external)
stop_xcgnd KILL
start_xcgnd
wait_for at_least "dst 198.51.100.2 and dst port 50001 and udp[9] = 0x80" 3
wait_for at_least "dst 198.51.100.3 and dst port 50002 and udp[9] = 0x80" 3
natpmp="src 198.51.100.1 and dst 198.51.100.2 and dst port 5350 and udp[8] = 0 and udp[9] = 0x80 and udp[10:2] = 0"
wait_for at_least "$natpmp" 3
finish "$capture"
read -r a b c d <<< "${address//./ }"
expect_equal "$(captured "$natpmp and udp[16:4] = $((a << 24 | b << 16 | c << 8 | d)) and udp[4:2] = 20" | wc -l)" 3 \
	"that of NAT-PMP in its own terms, at port 5350, with its external address $address (RFC 6886 section 3.2.1)"
expect_equal "$(captured "dst 198.51.100.3 and dst port 50002 and udp[9] = 0x80" | wc -l)" 3 "told once a pass, three passes"

# One client's own Epoch survives the daemon.
epoch_of() { field "$(pcp announce source="$1")" epoch; }
old_enough() { (($(epoch_of 198.51.100.3) >= 4)); }
wait_for old_enough
stop_xcgnd KILL
now_s=$(awk '{ print int($1) }' /proc/uptime)
value=$(printf '%02x %02x %02x %02x' $((now_s & 255)) $((now_s >> 8 & 255)) $((now_s >> 16 & 255)) $((now_s >> 24)))
# shellcheck disable=SC2086 # a list of bytes
bpftool map update pinned "$pins/epochs" key hex 00 00 00 00 00 00 00 00 00 00 ff ff c6 33 64 02 value hex $value 04 00 00 00
start_xcgnd
(($(epoch_of 198.51.100.2) < 4)) || fail "Epoch $(epoch_of 198.51.100.2) of the client that lost something"
(($(epoch_of 198.51.100.3) >= 4)) || fail "Epoch $(epoch_of 198.51.100.3) of the other one"
note "an Epoch of its own: $(epoch_of 198.51.100.2), that of all: $(epoch_of 198.51.100.3)"
