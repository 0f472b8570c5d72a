#!/bin/bash
# Design sections 4 and 5: attach, detach and purge are acts of their own. Detached, nothing passes; mappings stay until the purge, which is
# refused while anything uses them; after it everything begins anew. NICs get back the settings they had.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

topology < /dev/null
settings()
{
	in_ns cgn sh -c 'for nic in in0 out0; do ethtool -k $nic; for name in forwarding rp_filter; do
		cat /proc/sys/net/ipv4/conf/$nic/$name; done; done'
}
in_ns cgn ethtool -K in0 gro off tx on gso on tso on > /dev/null	# as they come, to see them changed and given back
in_ns cgn sysctl -qw net.ipv4.conf.in0.rp_filter=1
before=$(settings)

expect_exit 3 "attach.sh before xcgnd made the tables" attach
expect_match "$output" 'xcgnd makes them' "says who makes them"
[[ $(settings) == "$before" ]] || fail "a failed attach.sh changed a setting: $(diff <(echo "$before") <(settings))"
note "and changes nothing"
start_xcgnd
attach
start_reflector peer 203.0.113.9:3478
expect_equal "$(in_ns cgn ethtool -k in0 | grep -cE '^(generic-receive-offload: on|tx-checksumming: off|rx-vlan-offload: off)')" 3 \
	"attach.sh: GRO on, tx checksum offload off, VLAN stripping off"
expect_equal "$(in_ns cgn sysctl -n net.ipv4.conf.{in0,out0}.forwarding net.ipv4.conf.in0.rp_filter | tr '\n' ' ')" "1 1 2 " \
	"attach.sh: forwarding on, reverse path filter loose"
changed=$(settings)
attach
[[ $(settings) == "$changed" ]] || fail "attach.sh twice is not attach.sh once"
note "attach.sh again changes nothing"
made=$(pcp map udp 6000 lifetime=3600 nonce=a0a1a2a3a4a5a6a7a8a9aaab)
external=$(probe host udp 198.51.100.2:5000 203.0.113.9:3478)

expect_exit 3 "purge while xcgnd runs" ctl purge
expect_match "$output" "process $xcgnd_pid" "names the process"
stop_xcgnd
expect_exit 3 "purge while interfaces are attached" ctl purge
expect_match "$output" "xcgnctl detach" "says what to do"
[[ -e $pins/mappings ]] || fail "a refused purge removed pins"

# Detached: not a packet outside, and everything as it was.
start_capture peer peer0 "ip and not host 203.0.113.1"
captured=$job
detach
[[ $(settings) == "$before" ]] || fail "detach.sh leaves settings: $(diff <(echo "$before") <(settings))"
note "detach.sh gives every setting back"
detach
expect_exit 1 "detached: no answer" probe host udp 198.51.100.2:5000 203.0.113.9:3478
finish "$captured"
expect_equal "$(tcpdump -n -r "$scratch/peer0.pcap" src net 198.51.100.0/24 2> /dev/null | wc -l)" 0 "packets with an internal source outside"
expect_equal "$(ctl -j show mappings --origin map | wc -l)" 1 "the mapping stays"

# Attached again without xcgnd: it is translated as before.
attach
expect_equal "$(probe host udp 198.51.100.2:5000 203.0.113.9:3478)" "$external" "attached again, without xcgnd: the same external endpoint"
start_xcgnd
renewed=$(pcp map udp 6000 lifetime=3600 nonce=a0a1a2a3a4a5a6a7a8a9aaab)
expect_equal "$(field "$renewed" external)" "$(field "$made" external)" "and the promised one"
epoch=$(field "$renewed" epoch)

# Purged: nothing is left, and the next start says so by its Epoch (RFC 6887 section 8.5).
stop_xcgnd
detach
ctl purge
[[ ! -e $pins ]] || fail "purge leaves $pins: $(ls "$pins")"
note "purge removes every pin"
expect_exit 3 "purge of nothing" ctl purge
start_xcgnd
attach
again=$(pcp map udp 6000 lifetime=3600 nonce=b0b1b2b3b4b5b6b7b8b9babb)
expect_equal "$(field "$again" result)" 0 "after it another nonce gets the port"
(($(field "$again" epoch) < epoch || $(field "$again" epoch) <= 3)) || fail "the Epoch went on: $again"
note "and the Epoch begins anew: $(field "$again" epoch) s after $epoch s"
