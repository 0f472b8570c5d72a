#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# make bench: what xcgn costs and carries, beside the rig's limit and nftables. See tests/bench/rig.h for the topology.
#   BENCH_ONLY=forward|newflows|map   one part only           BENCH_SECONDS=4   of every variant in every cell
#   BENCH_REMOTES=256                 remote peers            BENCH_FLOWS=2097152   new flows (a power of two)
set -euo pipefail
cd "$(dirname "$0")/.."

B=${B:-build}
only=${BENCH_ONLY:-}
seconds=${BENCH_SECONDS:-4}
remotes=${BENCH_REMOTES:-256}
new_flows=${BENCH_FLOWS:-2097152}
rig=xb$$
pins=/sys/fs/bpf/xcgn-bench-$$
cpu=$(($(nproc) - 1))	# measures; xcgnd stays on the others
others=0-$((cpu - 1))
work=$(mktemp -d)
daemon=
conntrack_before=

die() { echo "bench: $*" >&2; exit 1; }
in_ns() { local ns=$1; shift; nsenter --net="/var/run/netns/$rig-$ns" "$@"; }

# ---- rig ----

# mac NAMESPACE INTERFACE
mac() { ip -n "$rig-$1" -br link show dev "$2" | awk '{ print $3 }'; }

namespace() {
	ip netns add "$rig-$1"
	ip -n "$rig-$1" link set lo up
	in_ns "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 net.ipv4.ip_forward=1 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
}

# link END-NAMESPACE END-INTERFACE NAT-NAMESPACE NAT-INTERFACE ADDRESS GATEWAY ROUTE: one leg of a NAT
link() {
	ip link add "$2" netns "$rig-$1" numtxqueues 1 numrxqueues 1 type veth peer name "$4" netns "$rig-$3" numtxqueues 1 numrxqueues 1
	ip -n "$rig-$1" link set "$2" up
	ip -n "$rig-$3" link set "$4" up
	ip -n "$rig-$3" address add "$5/24" dev "$4"
	ip -n "$rig-$3" neighbour replace "$6" lladdr "$(mac "$1" "$2")" nud permanent dev "$4"
	ip -n "$rig-$3" route add "$7" via "$6" dev "$4"
	in_ns "$3" sysctl -qw "net.ipv4.conf.$4.rp_filter=0"
}

rig_up() {
	local nat
	namespace client
	namespace server
	for nat in limit xcgn nft; do
		namespace $nat
		link client "c-$nat" $nat in0 10.1.0.1 10.1.0.2 100.64.0.0/10
		link server "s-$nat" $nat out0 10.2.0.1 10.2.0.2 198.18.0.0/16
	done
}

rig_down() {
	local ns
	daemon_stop
	for ns in client server limit xcgn nft; do
		ip netns delete "$rig-$ns" 2>/dev/null || true
	done
	rm -rf "$pins"
}

# ---- nftables ----

# conntrack_size FLOWS: a table with a bucket for each. Both are global: put back at the end.
conntrack_size() {
	if [ -z "$conntrack_before" ]; then
		conntrack_before="$(sysctl -n net.netfilter.nf_conntrack_buckets) $(sysctl -n net.netfilter.nf_conntrack_max)"
	fi
	sysctl -qw "net.netfilter.nf_conntrack_buckets=$1" "net.netfilter.nf_conntrack_max=$(($1 * 2))"
}

conntrack_restore() {
	[ -n "$conntrack_before" ] || return 0
	sysctl -qw "net.netfilter.nf_conntrack_buckets=${conntrack_before% *}" "net.netfilter.nf_conntrack_max=${conntrack_before#* }"
}

nft_up() {
	in_ns nft nft -f - <<-RULES
		table ip nat {
			chain postrouting {
				type nat hook postrouting priority srcnat; policy accept
				oifname "out0" snat to 192.0.2.0-192.0.2.63
			}
		}
	RULES
	in_ns nft sysctl -qw net.netfilter.nf_conntrack_udp_timeout=3600 net.netfilter.nf_conntrack_udp_timeout_stream=3600
}

# ---- xcgn ----

# daemon_start MAPPINGS EXPLICIT: a fresh one, attached
daemon_start() {
	cat >"$work/xcgn.yaml" <<-CONFIG
		interfaces:
		  - {name: in0, side: internal}
		  - {name: out0, side: external}
		pools:
		  - {name: bench, addresses: [192.0.2.0/26], ports: 1024-65535, block-size: 256}
		subscribers: {prefixes: [100.64.0.0/10], blocks: 8, explicit: $2}
		timeouts: {udp: 3600}
		tables: {mappings: $1, subscribers: 65536}
		state-dir: $work/state
		pin-dir: $pins
		control: $work/control.sock
	CONFIG
	mkdir -p "$work/state"
	in_ns xcgn taskset -c "$others" "$B/xcgnd" -c "$work/xcgn.yaml" >"$work/xcgnd.log" 2>&1 &
	daemon=$!
	wait_for_daemon || { cat "$work/xcgnd.log" >&2; die "xcgnd does not start"; }
	xcgnctl attach
}

xcgnctl() { in_ns xcgn "$B/xcgnctl" -c "$work/xcgn.yaml" "$@"; }

wait_for_daemon() {
	local deadline=$((SECONDS + 20))
	until xcgnctl status >/dev/null 2>&1; do
		kill -0 "$daemon" 2>/dev/null && [ $SECONDS -lt $deadline ] || return 1
		sleep 0.05
	done
}

daemon_stop() {
	[ -n "$daemon" ] || return 0
	kill "$daemon" 2>/dev/null || true
	wait "$daemon" 2>/dev/null || true
	daemon=
	xcgnctl detach >/dev/null 2>&1 || true
	xcgnctl purge >/dev/null 2>&1 || true
	rm -rf "$work/state"
}

# ---- parts ----

# measure PROGRAM ARGUMENT...: on failure says what became of xcgn's packets
measure() {
	local program=$1; shift
	"$B/bench/$program" -c "$cpu" "$@" || { xcgnctl show stats >&2 || true; tail -n 5 "$work/xcgnd.log" >&2; die "$program failed"; }
}

bench_forward() {
	echo "== frames per second, 64 bytes, one CPU, $remotes remote peers"
	rig_up
	conntrack_size 2097152
	nft_up
	daemon_start 1100000 256
	measure forward_bench -s "$seconds" -r "$remotes" "$rig" "$work/windows"
	rig_down
}

bench_newflows() {
	echo "== new flows per second, every frame opens one"
	rig_up
	conntrack_size "$new_flows"
	nft_up
	daemon_start $((new_flows + new_flows / 16)) 256
	measure newflow_bench -f "$new_flows" -r "$remotes" "$rig" "$work/windows"
	rig_down
}

clean_up() {
	rig_down
	conntrack_restore
	rm -rf "$work"
}

[ "$(id -u)" = 0 ] || die "needs root: namespaces, BPF"
[ "$cpu" -gt 0 ] || die "needs two CPUs: one for what is measured, one for the rest"
case $only in ''|forward|newflows|map) ;; *) die "BENCH_ONLY=$only: forward, newflows or map" ;; esac
trap clean_up EXIT
trap 'exit 130' INT TERM

touch "$work/windows"
for part in forward newflows map; do
	[ -n "$only" ] && [ "$only" != $part ] || "bench_$part"
done
/usr/bin/python3 tests/bench/report.py "$work/windows" "$B/bench/results.json"
echo "the same as JSON: $B/bench/results.json"
