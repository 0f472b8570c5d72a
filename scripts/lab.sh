#!/bin/bash
# usage: lab.sh up [EXTRA] | down | exec NS COMMAND… | config [EXTRA]
# A lab of three network namespaces on this machine, for trying, showing and testing:
#
#   xl-host ──────── in0 xl-cgn out0 ──────── xl-peer        pool 192.0.2.0/28, routed by xl-peer to 203.0.113.1
#   198.51.100.2,.3   .1          203.0.113.1   .9, .10
#
# up       makes the namespaces, and a configuration for xcgnd: /run/xcgn-lab/xl/xcgn.yaml
# exec     runs a command in host, cgn or peer (not `ip netns exec`, which hides the pins below /sys/fs/bpf)
# config   writes the configuration anew. What the file EXTRA holds is added to it; a key of EXTRA replaces the lab's own
# down     ends what runs in the namespaces, removes them, the pins and the folder
# Environment: LAB_PREFIX=xl (several labs may stand side by side)
set -eEuo pipefail

prefix=${LAB_PREFIX:-xl}
dir=/run/xcgn-lab/$prefix
pins=/sys/fs/bpf/xcgn-$prefix
here=$(cd "$(dirname "$0")" && pwd)

die() { echo "lab: $1" >&2; exit 1; }

in_ns()
{
	local ns=$1

	shift
	nsenter --net="/run/netns/$prefix-${ns#"$prefix"-}" "$@"
}

# Redirected frames reach a veth only if it takes part in GRO, and frames must leave it whole: checksums computed, not merged.
join()
{
	local left=$1 left_nic=$2 right=$3 right_nic=$4

	ip link add "$left_nic" netns "$prefix-$left" type veth peer name "$right_nic" netns "$prefix-$right"
	for end in "$left $left_nic" "$right $right_nic"; do
		read -r ns nic <<< "$end"
		in_ns "$ns" ethtool -K "$nic" gro on tx off gso off tso off > /dev/null
		ip -n "$prefix-$ns" link set "$nic" up
	done
}

up()
{
	local ns

	[[ ! -e $dir ]] || die "$dir is there already: lab.sh down first"
	trap 'down' ERR
	mkdir -p "$dir"
	for ns in host cgn peer; do
		ip netns add "$prefix-$ns"
		ip -n "$prefix-$ns" link set lo up
		in_ns "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
	done
	join host host0 cgn in0
	join peer peer0 cgn out0
	ip -n "$prefix-host" address add 198.51.100.2/24 dev host0
	ip -n "$prefix-host" address add 198.51.100.3/24 dev host0
	ip -n "$prefix-host" route add default via 198.51.100.1
	ip -n "$prefix-cgn" address add 198.51.100.1/24 dev in0
	ip -n "$prefix-cgn" address add 203.0.113.1/24 dev out0
	ip -n "$prefix-cgn" route add default via 203.0.113.9
	ip -n "$prefix-peer" address add 203.0.113.9/24 dev peer0
	ip -n "$prefix-peer" address add 203.0.113.10/24 dev peer0
	ip -n "$prefix-peer" route add 192.0.2.0/28 via 203.0.113.1
	write_config "$@"
}

write_config()
{
	local extra

	[[ -e $dir ]] || die "there is no lab $prefix: lab.sh up first"
	extra=$(cat "${1:-/dev/null}")
	{
		echo "# written by lab.sh"
		default interfaces "[{name: in0, side: internal}, {name: out0, side: external}]"
		default pools "[{name: main, addresses: [192.0.2.0/28]}]"
		default subscribers "{prefixes: [198.51.100.0/24]}"
		default tables "{mappings: 100000, subscribers: 1024}"
		default state-dir "$dir/state"
		default pin-dir "$pins"
		default control "$dir/control.sock"
		[[ -z $extra ]] || echo "$extra"
	} > "$dir/xcgn.yaml"
}

default() { grep -q "^$1:" <<< "$extra" || echo "$1: $2"; }

down()
{
	local ns pid

	trap - ERR
	# The NAT first, while its NICs are there: the end of a namespace takes both ends of its veths away.
	[[ ! -e /run/netns/$prefix-cgn ]] || in_ns cgn "$here/detach.sh" "$dir/xcgn.yaml" > /dev/null 2>&1 || true
	for ns in host cgn peer; do
		[[ -e /run/netns/$prefix-$ns ]] || continue
		for pid in $(ip netns pids "$prefix-$ns"); do
			kill -9 "$pid" 2> /dev/null || true
		done
		ip netns del "$prefix-$ns"
	done
	rm -rf "$dir" "$pins"
	rmdir --ignore-fail-on-non-empty /run/xcgn-lab 2> /dev/null || true
}

((EUID == 0)) || die "needs root"
case ${1:-} in
up) up "${@:2}" ;;
down) down ;;
config) write_config "${@:2}" ;;
exec) (($# >= 3)) || die "exec NS COMMAND…"; shift; in_ns "$@" ;;
*) sed -nE '2,/^[^#]/s/^# ?//p' "$0" >&2; exit 1 ;;
esac
