#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# make bench: what xcgn costs and carries, beside the rig's limit and nftables. See tests/bench/rig.h for the topology.
#   BENCH_ONLY="forward newflows cores scale tcp map explicit get other"   these parts only
#   BENCH_SECONDS=4                   of every variant in every cell
#   BENCH_REMOTES=256                 remote peers            BENCH_FLOWS=2097152   new flows (a power of two)
#   BENCH_PRESENT="1000 100000 1000000"   explicit mappings that are there before, one run for each number
#   BENCH_EXPLICIT=1000000            explicit mappings whose memory, restart and reboot are measured
#   BENCH_MAPPINGS=10000000           implicit mappings of the scale part, which takes some 800 bytes for each
#   BENCH_GET_PRESENT="1000 100000 1000000"   mappings of others while GET is measured, ascending
#   BENCH_ROUNDS=10                   windows of every PCP measure   BENCH_UNDER_WAY=1024   requests not yet answered
#   BENCH_OTHER=1000                  mappings that xcgnd and miniupnpd are asked for, each within 20 s (a multiple of 50)
#   BENCH_STATE="$B/bench /dev/shm"   where xcgnd keeps its stable storage, one run for each folder
set -euo pipefail
cd "$(dirname "$0")/.."

B=${B:-build}
parts=(forward newflows cores scale tcp map explicit get other)
read -ra only <<<"${BENCH_ONLY:-${parts[*]}}"
seconds=${BENCH_SECONDS:-4}
remotes=${BENCH_REMOTES:-256}
new_flows=${BENCH_FLOWS:-2097152}
rounds=${BENCH_ROUNDS:-10}
under_way=${BENCH_UNDER_WAY:-1024}
read -ra present <<<"${BENCH_PRESENT:-1000 100000 1000000}"
explicit=${BENCH_EXPLICIT:-1000000}
scale=${BENCH_MAPPINGS:-10000000}
get_present=${BENCH_GET_PRESENT:-1000 100000 1000000}
other=${BENCH_OTHER:-1000}
read -ra state <<<"${BENCH_STATE:-$B/bench /dev/shm}"
rig=xb$$
pins=/sys/fs/bpf/xcgn-bench-$$
cpu=$(($(nproc) - 1))	# measures; xcgnd stays on the others
others=0-$((cpu - 1))
work=$(mktemp -d)
state_dir=$work/state	# below it, a folder for every daemon
declare -A daemons=()	# pids by namespace
helpers=()	# pids
conntrack_before=

# say TEXT: what comes now, and how long it all has taken so far
say() { printf '== [%d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }
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

# Two servers, and one namespace that has every subscriber's address: map_bench speaks for them all.
#   PREFIX-client              PREFIX-empty              PREFIX-server
#     c-empty ───── 10.1.0.1 in0 (xcgnd) out0 ──────────── s-empty
#                              PREFIX-filled
#     c-filled ──── 10.1.1.1 in0 (xcgnd) out0 ──────────── s-filled
map_rig_up() {
	local nat number=0
	namespace client
	namespace server
	ip -n "$rig-client" route add local 100.64.0.0/10 dev lo
	for nat in empty filled; do
		namespace $nat
		link client "c-$nat" $nat in0 10.1.$number.1 10.1.$number.2 100.64.0.0/10
		link server "s-$nat" $nat out0 10.2.$number.1 10.2.$number.2 198.18.0.0/16
		ip -n "$rig-client" route add 10.1.$number.1/32 dev "c-$nat"
		ip -n "$rig-client" neighbour replace 10.1.$number.1 lladdr "$(mac $nat in0)" nud permanent dev "c-$nat"
		in_ns client sysctl -qw "net.ipv4.conf.c-$nat.rp_filter=0"
		number=$((number + 1))
	done
}

# One host on either side of each NAT. What veth could take over from the NATs is off: segments are made and summed by the sender.
# A host takes redirected frames only with GRO.
tcp_rig_up() {
	local nat
	for nat in xcgn nft; do
		namespace $nat
		namespace in-$nat
		namespace out-$nat
		link in-$nat h0 $nat in0 10.1.0.1 10.1.0.2 100.64.0.0/10
		link out-$nat h0 $nat out0 10.2.0.1 10.2.0.2 198.18.0.0/16
		tcp_host in-$nat 10.1.0 100.64.0.2 198.18.0.0/16
		tcp_host out-$nat 10.2.0 198.18.0.1 192.0.2.0/26	# what is not translated gets no answer
		in_ns $nat ethtool -K in0 tx off tso off gso off gro off >/dev/null
		in_ns $nat ethtool -K out0 tx off tso off gso off gro off >/dev/null
		nsenter --net="/var/run/netns/$rig-out-$nat" taskset -c "$others" iperf3 -s >/dev/null 2>&1 &	# no function: the pid is to be its own
		helpers+=($!)
	done
}

# tcp_host NAMESPACE NET ADDRESS ROUTE
tcp_host() {
	ip -n "$rig-$1" address add "$2.2/24" dev h0
	ip -n "$rig-$1" address add "$3/32" dev h0
	ip -n "$rig-$1" route add "$4" via "$2.1" src "$3"
	in_ns "$1" ethtool -K h0 tx off tso off gso off gro on >/dev/null
	in_ns "$1" sysctl -qw net.ipv4.conf.h0.rp_filter=0
}

rig_down() {
	local ns
	[ ${#helpers[@]} = 0 ] || kill -KILL "${helpers[@]}" 2>/dev/null || true	# miniupnpd, asked to end, removes rules for long
	helpers=()
	for ns in "${!daemons[@]}"; do
		daemon_remove "$ns"
	done
	for ns in client server limit xcgn nft empty filled {in,out}-{xcgn,nft}; do
		ip netns delete "$rig-$ns" 2>/dev/null || true
	done
	rm -rf "$pins" "$state_dir"
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

# daemon_start NAMESPACE MAPPINGS BLOCK-SIZE [EXPLICIT [POOL [SUBSCRIBERS]]]: a fresh one, attached
daemon_start() {
	local ns=$1
	mkdir -p "$state_dir/$ns"
	cat >"$work/$ns.yaml" <<-CONFIG
		interfaces:
		  - {name: in0, side: internal}
		  - {name: out0, side: external}
		pools:
		  - {name: bench, addresses: [${5:-192.0.2.0/26}], ports: 1024-65535, block-size: $3}
		subscribers: {prefixes: [100.64.0.0/10], blocks: 8, explicit: ${4:-256}}
		pcp: {rate: {requests: 0}}
		timeouts: {udp: 3600}
		tables: {mappings: $2, subscribers: ${6:-65536}}
		state-dir: $state_dir/$ns
		pin-dir: $pins/$ns
		control: $work/$ns.sock
	CONFIG
	mkdir -p "$pins"
	nsenter --net="/var/run/netns/$rig-$ns" taskset -c "$others" "$B/xcgnd" -c "$work/$ns.yaml" >>"$work/$ns.log" 2>&1 &
	daemons[$ns]=$!
	wait_for_daemon "$ns" || { cat "$work/$ns.log" >&2; die "xcgnd does not start"; }
	xcgnctl "$ns" attach >/dev/null
}

# xcgnctl NAMESPACE ARGUMENT...
xcgnctl() { local ns=$1; shift; in_ns "$ns" "$B/xcgnctl" -c "$work/$ns.yaml" "$@"; }

wait_for_daemon() {
	local deadline=$((SECONDS + 120))
	until xcgnctl "$1" status >/dev/null 2>&1; do
		kill -0 "${daemons[$1]}" 2>/dev/null && [ $SECONDS -lt $deadline ] || return 1
		sleep 0.05
	done
}

# daemon_kill NAMESPACE: what it has pinned and stored stays
daemon_kill() {
	[ -n "${daemons[$1]}" ] || return 0
	kill -KILL "${daemons[$1]}" 2>/dev/null || true
	wait "${daemons[$1]}" 2>/dev/null || true
	daemons[$1]=
}

daemon_remove() {
	daemon_kill "$1"
	xcgnctl "$1" detach >/dev/null 2>&1 || true
	xcgnctl "$1" purge >/dev/null 2>&1 || true
	unset "daemons[$1]"
}

# ---- parts ----

# measure PROGRAM ARGUMENT...: on failure says what became of xcgn's packets
measure() {
	local program=$1 ns; shift
	"$B/bench/$program" -c "$cpu" "$@" && return
	for ns in "${!daemons[@]}"; do
		echo "-- $ns" >&2
		xcgnctl "$ns" show stats >&2 || true
		tail -n 5 "$work/$ns.log" >&2
	done
	die "$program failed"
}

bench_forward() {
	say "frames per second, 64 bytes, one CPU, $remotes remote peers"
	rig_up
	conntrack_size 2097152
	nft_up
	daemon_start xcgn 1100000 256
	measure forward_bench -s "$seconds" -r "$remotes" "$rig" "$work/windows"
	rig_down
}

bench_newflows() {
	say "new flows per second, every frame opens one"
	rig_up
	conntrack_size "$new_flows"
	nft_up
	daemon_start xcgn $((new_flows + new_flows / 16)) 256
	measure newflow_bench -f "$new_flows" -r "$remotes" "$rig" "$work/windows"
	rig_down
}

bench_cores() {
	say "frames translated per second of CPU time, by two cores and by one"
	rig_up
	daemon_start xcgn 1100000 256
	measure cores_bench -n "$rounds" -r "$remotes" "$rig" "$work/windows" "$pins/xcgn"
	rig_down
}

# window_line MEASURE DIRECTION PATH UNIT FLOWS VALUE...: what report.py reads
window_line() {
	local IFS=,
	printf '{"measure": "%s", "direction": "%s", "path": "%s", "unit": "%s", "flows": %d, "held": %d, "sent": 0, "received": 0, "windows": [%s]}\n' \
		"$1" "$2" "$3" "$4" "$5" "$5" "${*:6}" >>"$work/windows"
	printf '  %-10s %-9s %-6s %s (%s)\n' "$1" "$2" "$3" "${*:6}" "$4" >&2
}

# passes NAMESPACE: of the reaper, that are over
passes() { nc -U "$work/$1.sock" <<<'{"command": "status"}' | sed -nE 's/.*"passes": *([0-9]+).*/\1/p'; }

# next_pass NAMESPACE: waits until one more is over
next_pass() {
	local begun deadline=$((SECONDS + 60))
	begun=$(passes "$1")
	[ -n "$begun" ] || die "xcgnd does not say how many passes its reaper has made"
	until [ "$(passes "$1")" -gt "$begun" ]; do
		[ $SECONDS -lt $deadline ] || die "the reaper does not finish"
		sleep 0.1
	done
}

# reaper_run NAMESPACE MAPPINGS: CPU time of the daemon from the end of one pass to the end of the next
reaper_run() {
	local before after windows=()
	next_pass "$1"
	while [ ${#windows[@]} -lt 5 ]; do
		before=$(cut -d' ' -f1 "/proc/${daemons[$1]}/schedstat")
		next_pass "$1"
		after=$(cut -d' ' -f1 "/proc/${daemons[$1]}/schedstat")
		windows+=("$(((after - before) / 1000))e-3")
	done
	window_line reaper CPU "of all" ms "$2" "${windows[@]}"
}

bench_scale() {
	local needed=$((scale * 800 / 1024 + 2000000)) free
	free=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
	[ "$free" -gt "$needed" ] || { say "$scale mappings: skipped, $needed kB of memory are needed and $free are free"; return 0; }
	say "$scale mappings at once"
	rig_up
	daemon_start xcgn $((scale + scale / 16)) 256 256 192.0.2.0/24
	measure scale_bench -n "$rounds" -f "$scale" -r "$remotes" "$rig" "$work/windows" "$pins/xcgn"
	reaper_run xcgn "$scale"
	rig_down
}

# tcp_window NAT [-R]: Mbit/s that the receiver got
tcp_window() {
	in_ns "in-$1" taskset -c "$cpu" timeout 20 iperf3 -J -c 198.18.0.1 -t 2 -O 1 "${@:2}" |
		/usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"] / 1e6)'
}

tcp_listens() { in_ns "out-$1" ss -Hltn 'sport = 5201' | grep -q LISTEN; }

bench_tcp() {
	local round nat direction
	local -A values=()
	say "one TCP connection by iperf3, segmentation and checksum offloads off"
	tcp_rig_up
	nft_up
	daemon_start xcgn 100000 256
	for nat in xcgn nft; do
		for round in {1..50}; do
			tcp_listens $nat && break
			sleep 0.1
		done
	done
	for ((round = 0; round < seconds; round++)); do
		for nat in xcgn nft; do
			values[outbound-$nat]+="$(tcp_window $nat) "
			values[inbound-$nat]+="$(tcp_window $nat -R) "
		done
	done
	for direction in outbound inbound; do
		for nat in xcgn nft; do
			read -ra round <<<"${values[$direction-$nat]}"
			window_line tcp $direction $nat Mbit/s 1 "${round[@]}"
		done
	done
	rig_down
}

# map_run PRESENT FOLDER
map_run() {
	local storage common
	storage=$(df --output=fstype "$2" | tail -n 1)
	common=(-p "$1" -n "$rounds" -s "$storage")
	say "PCP requests per second, $1 explicit mappings present, state on $storage"
	state_dir=$(mktemp -d "$(realpath "$2")/xcgn-bench.XXXXXX")
	map_rig_up
	daemon_start empty "$(($1 + 400000))" 64
	daemon_start filled "$(($1 + 400000))" 64
	measure map_bench "${common[@]}" -u "$under_way" -e "${daemons[empty]}" -f "${daemons[filled]}" "$rig" "$work/windows"
	daemon_kill filled
	measure restart_bench "${common[@]}" -l "$work/filled.log" "$rig" "$work/windows" "$B/xcgnd" -c "$work/filled.yaml"
	rig_down
}

bench_map() {
	local count folder
	for folder in "${state[@]}"; do
		for count in "${present[@]}"; do
			map_run "$count" "$folder"
		done
	done
}

# What belongs to a mapping and no more: a pool and tables for just so many. A subscriber has 32 of them and one block.
bench_explicit() {
	local subscribers=$(((explicit + 31) / 32)) bits=24 common storage
	local addresses=$(((subscribers + 1007) / 1008))
	while [ $((1 << (32 - bits))) -ge $((addresses * 2)) ]; do bits=$((bits + 1)); done
	[ $addresses -le 256 ] || die "BENCH_EXPLICIT=$explicit: the pool has ports for $((256 * 1008 * 32)) at most"
	storage=$(df --output=fstype "${state[0]}" | tail -n 1)
	common=(-p "$explicit" -n "$rounds" -s "$storage")
	say "$explicit explicit mappings: memory, restart after kill -9, reboot, state on $storage"
	state_dir=$(mktemp -d "$(realpath "${state[0]}")/xcgn-bench.XXXXXX")
	map_rig_up
	daemon_start filled "$explicit" 64 256 192.0.2.0/$bits $((subscribers + subscribers / 16 + 64))
	measure explicit_bench -p "$explicit" -f "${daemons[filled]}" "$rig" "$work/windows" "$pins/filled"
	daemon_kill filled
	measure restart_bench "${common[@]}" -l "$work/filled.log" "$rig" "$work/windows" "$B/xcgnd" -c "$work/filled.yaml"
	xcgnctl filled detach >/dev/null
	measure restart_bench "${common[@]}" -e "$pins/filled" -l "$work/filled.log" "$rig" "$work/windows" "$B/xcgnd" -c "$work/filled.yaml"
	rig_down
}

bench_get() {
	say "GET pages per second, ${get_present// /, } mappings of others present"
	state_dir=$(mktemp -d /dev/shm/xcgn-bench.XXXXXX)	# GET writes nothing
	map_rig_up
	daemon_start filled "$((${get_present##* } + 400000))" 256 2048 192.0.2.0/24
	measure get_bench -p "$get_present" -n "$rounds" -f "${daemons[filled]}" "$rig" "$work/windows"
	rig_down
}

# miniupnpd_get: its Debian package, unpacked and not installed: nothing of it is started but what is measured
miniupnpd_get() {
	local folder
	folder=$(realpath "$B/bench")/miniupnpd
	miniupnpd=$folder/root/usr/sbin/miniupnpd
	[ ! -x "$miniupnpd" ] || return 0
	mkdir -p "$folder/root"
	(cd "$folder" && timeout 60 apt-get download miniupnpd-nftables && dpkg -x miniupnpd-nftables_*.deb root) >"$work/miniupnpd.log" 2>&1 &&
		"$miniupnpd" --version >>"$work/miniupnpd.log" 2>&1
}

# miniupnpd_start NAMESPACE: with the chains that its package's own script makes. It serves networks behind its interface's own,
# and only with an external address that looks public.
miniupnpd_start() {
	local deadline=$((SECONDS + 10))
	in_ns "$1" nft -f - <<-RULES
		table inet filter {
			chain miniupnpd { }
			chain prerouting_miniupnpd { }
			chain postrouting_miniupnpd { }
			chain forward { type filter hook forward priority filter; policy accept; jump miniupnpd; }
			chain prerouting { type nat hook prerouting priority dstnat; policy accept; jump prerouting_miniupnpd; }
			chain postrouting { type nat hook postrouting priority srcnat; policy accept; jump postrouting_miniupnpd; }
		}
	RULES
	cat >"$work/miniupnpd.conf" <<-CONFIG
		ext_ifname=out0
		ext_ip=203.0.114.1
		listening_ip=$(in_ns "$1" ip -4 -br address show dev in0 | awk '{ sub("/.*", "", $3); print $3 }')/0
		enable_natpmp=yes
		enable_upnp=no
		secure_mode=yes
		uuid=00000000-0000-4000-8000-000000000001
		allow 1024-65535 0.0.0.0/0 1024-65535
	CONFIG
	in_ns "$1" taskset -c "$others" "$miniupnpd" -f "$work/miniupnpd.conf" -P "$work/miniupnpd.pid"	# leaves a child behind
	until [ -s "$work/miniupnpd.pid" ]; do
		[ $SECONDS -lt $deadline ] || die "miniupnpd does not start"
		sleep 0.1
	done
	helpers+=("$(cat "$work/miniupnpd.pid")")
}

bench_other() {
	local miniupnpd
	miniupnpd_get || { say "xcgnd beside miniupnpd: skipped, no Debian package miniupnpd-nftables that runs here"; return 0; }
	say "$other explicit mappings by xcgnd and by miniupnpd"
	map_rig_up
	daemon_start empty 100000 64
	miniupnpd_start filled
	measure other_bench -m "$other" -x cb007200 "$rig" "$work/windows"
	rig_down
}

clean_up() {
	rig_down
	conntrack_restore
	rm -rf "$work"
}

[ "$(id -u)" = 0 ] || die "needs root: namespaces, BPF"
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf || die "/sys/fs/bpf: cannot mount bpffs"
[ "$cpu" -gt 0 ] || die "needs two CPUs: one for what is measured, one for the rest"
for part in "${only[@]}"; do
	[[ " ${parts[*]} " == *" $part "* ]] || die "BENCH_ONLY: $part is none of ${parts[*]}"
done
trap clean_up EXIT
trap 'exit 130' INT TERM

touch "$work/windows"
for part in "${parts[@]}"; do
	[[ " ${only[*]} " != *" $part "* ]] || "bench_$part"
done
say "done"
/usr/bin/python3 tests/bench/report.py "$work/windows" "$B/bench/results.json"
/usr/bin/python3 tests/bench/chart.py "$B/bench/results.json" "$B/bench/results.svg"
echo "the same as JSON: $B/bench/results.json, and as bars: $B/bench/results.svg"
