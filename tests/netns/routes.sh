#!/bin/bash
# Design section 3: routes, neighbours and links that change while packets flow act within milliseconds while xcgnd lives, within a second
# while it does not; a packet that meets an unresolved neighbour is not lost; several interfaces on each side; detached interfaces are
# no way out any more; and whatever happens, nothing leaves untranslated.
#                198.51.101.2 ── in1 .1 │     │ out1 203.0.114.1 ── peer1 203.0.114.9
#   host 198.51.100.2,.3 ─────── in0 .1 │ cgn │ out0 203.0.113.1 ── peer0 203.0.113.9, .10      peer: 203.0.115.1
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

topology << YAML
interfaces: [{name: in0, side: internal}, {name: in1, side: internal}, {name: out0, side: external}, {name: out1, side: external}]
subscribers: {prefixes: [198.51.100.0/23]}
YAML
ip_of() { ip -n "$LAB_PREFIX-$1" "${@:2}"; }
ip -n "$LAB_PREFIX-cgn" link add in1 type veth peer name host1 netns "$LAB_PREFIX-host"
ip -n "$LAB_PREFIX-cgn" link add out1 type veth peer name peer1 netns "$LAB_PREFIX-peer"
# The far ends first: a veth sees what its peer takes when it is set up.
for end in "host host1 198.51.101.2" "cgn in1 198.51.101.1" "peer peer1 203.0.114.9" "cgn out1 203.0.114.1"; do
	read -r ns nic address <<< "$end"
	in_ns "$ns" ethtool -K "$nic" gro on tx off gso off tso off > /dev/null
	ip_of "$ns" address add "$address/24" dev "$nic"
	ip_of "$ns" link set "$nic" up
done
ip_of host rule add from 198.51.101.2 lookup 101
ip_of host route add default via 198.51.101.1 table 101
ip_of peer address add 203.0.115.1/32 dev lo
in_ns peer sysctl -qw net.ipv4.conf.{all,peer0,peer1}.rp_filter=0
ip_of cgn route add 203.0.115.1 via 203.0.113.9
start_xcgnd
attach
bpftool=$(command -v bpftool || echo /usr/sbin/bpftool)
elements() { "$bpftool" -j map dump pinned "$pins/$1" | /usr/bin/python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'; }

start_reflector peer 203.0.113.9:3478 203.0.115.1:3478
first=$(probe host udp 198.51.100.2:5000 203.0.113.9:3478)
second=$(probe host udp 198.51.101.2:5000 203.0.113.9:3478)
expect_match "$first $second" '^192\.0\.2\.[0-9]+:[0-9]+ 192\.0\.2\.[0-9]+:[0-9]+$' "two interfaces inside: $first, $second"
start_capture peer peer0 "ip and not host 203.0.113.1 and not host 203.0.114.1"
captures=("$job")
start_capture peer peer1 "ip and not host 203.0.113.1 and not host 203.0.114.1"
captures+=("$job")

# stream START: numbered packets from the host to 203.0.115.1; stream END: $lost of them did not arrive, $gap_ms was the longest gap
stream()
{
	if [[ $1 == START ]]; then
		background peer "$scratch/take" /usr/bin/python3 "$lib/stream.py" udp-take 203.0.115.1:4000
		taker=$job
		wait_for says "$scratch/take" ready
		background host "$scratch/send" /usr/bin/python3 "$lib/stream.py" udp-send 198.51.100.2:5001 203.0.115.1:4000 1000
		sender=$job
		sleep 0.2	# some traffic, so that every next hop is known
		return
	fi
	finish "$sender"
	wait "$taker" || fail "the receiver failed: $(cat "$scratch/take")"
	taken=$(tail -n 1 "$scratch/take")
	lost=$(field "$taken" missing) gap_ms=$(field "$taken" gap_ms)
}
# expect_by NIC: from now on; took_by: the milliseconds until the stream came by it
expect_by()
{
	background peer "$scratch/arrival" /usr/bin/python3 "$lib/arrival.py" "$1" 203.0.115.1
	arrival=$job
	wait_for says "$scratch/arrival" ready
	begin=$EPOCHREALTIME
}
took_by()
{
	wait_for says "$scratch/arrival" '^at='
	wait "$arrival"
	took=$(awk -v a="$begin" -v b="$(field "$(tail -n 1 "$scratch/arrival")" at)" 'BEGIN { printf "%d", (b - a) * 1000 }')
}

stream START
expect_by peer1
ip_of cgn route replace 203.0.115.1 via 203.0.114.9
took_by
((took < 500)) || fail "a route that changed acts after $took ms"
note "a route that changed acts after $took ms, by another external interface"
stop_xcgnd KILL
expect_by peer0
ip_of cgn route replace 203.0.115.1 via 203.0.113.9
took_by
((took < 2000)) || fail "without xcgnd a route that changed acts after $took ms"
note "without xcgnd after $took ms"
start_xcgnd
for _ in 1 2 3; do
	ip_of cgn neighbour del 203.0.113.9 dev out0 2> /dev/null || true
	sleep 0.05
done
stream END
expect_equal "$lost" 0 "packets lost by changed routes and unresolved neighbours"
(($(counted neighbour-unknown) > 0)) || fail "no packet met an unresolved neighbour"
note "$(counted neighbour-unknown) packets met an unresolved neighbour"

# The router outside gets another hardware address: told to us, then silently.
stream START
ip_of peer link set peer0 address 02:00:00:00:aa:01
ip_of cgn neighbour replace 203.0.113.9 lladdr 02:00:00:00:aa:01 nud reachable dev out0
sleep 0.2
stream END
((gap_ms < 500)) || fail "a neighbour's new address acts after $gap_ms ms"
note "a neighbour's new address: the longest gap was $gap_ms ms, $lost packets lost"
in_ns cgn sysctl -qw net.ipv4.neigh.out0.{base_reachable_time_ms=300,retrans_time_ms=100,delay_first_probe_time=1}
ip_of cgn neighbour replace 203.0.113.9 lladdr 02:00:00:00:aa:01 nud stale dev out0
ip_of peer link set peer0 address 02:00:00:00:aa:02
arrives() { probe host udp 198.51.100.2:5002 203.0.115.1:3478; }
wait_for arrives
note "one that nobody told of is found"

# The interface goes down and comes back.
stream START
ip_of cgn link set out0 down
expect_by peer0
ip_of cgn link set out0 up
ip_of cgn route replace 203.0.115.1 via 203.0.113.9
ip_of cgn route replace default via 203.0.113.9
took_by
stream END
((took < 2000)) || fail "an interface that came back serves after $took ms"
note "an interface that went down and came back serves again after $took ms"

# Detached and attached again under traffic. What is detached is no way out, also for packets that come by what is attached.
expect_equal "$(elements interfaces) $(elements tx_ports)" "4 4" "elements of interfaces and tx_ports"
stream START
ctl detach out1 > /dev/null
expect_equal "$(elements interfaces) $(elements tx_ports)" "3 3" "with out1 detached"
before=$(counted drop-no-egress)
ip_of cgn route replace 203.0.115.1 via 203.0.114.9
more() { (($(counted drop-no-egress) > before)); }
wait_for more
note "and what is routed there is dropped: drop-no-egress"
expect_by peer1
ctl attach out1 > /dev/null
took_by
detach
expect_equal "$(elements interfaces) $(elements tx_ports)" "0 0" "with all detached"
expect_by peer1
attach
took_by
note "attached again it flows"
stream END
for capture in "${captures[@]}"; do
	finish "$capture"
done
for nic in peer0 peer1; do
	expect_equal "$(tcpdump -n -r "$scratch/$nic.pcap" src net 198.51.100.0/23 2> /dev/null | wc -l)" 0 "$nic: packets with an internal source outside"
done
