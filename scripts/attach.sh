#!/bin/bash
# usage: attach.sh CONFIG
# Makes the NICs of a configuration fit for xcgn, then attaches its programs. Run xcgnd first: it makes the maps.
# Running it again does no harm. If anything fails, everything is as it was before. detach.sh undoes it.
# Environment: XCGNCTL=the program to use
set -euo pipefail
# shellcheck source=scripts/nics.sh
. "$(dirname "$0")/nics.sh"

# "on", "off", and " [fixed]" where the driver cannot change it; empty if there is no such feature.
feature() { ethtool -k "$1" | sed -nE "s/^\s*$2: (on|off)( \[fixed\])?.*/\1\2/p"; }

# Sets a feature by its short name; 1 if the driver has it the other way and fixed.
want_feature()
{
	local nic=$1 short=$2 long=$3 wanted=$4 present

	present=$(feature "$nic" "$long")
	[[ -n $present && ${present%% *} != "$wanted" ]] || return 0
	[[ $present != *fixed* ]] || return 1
	save "$nic" feature "$short" "$present"
	ethtool -K "$nic" "$short" "$wanted" > /dev/null 2>&1 || return 1
}

want_sysctl()
{
	local nic=$1 name=$2 wanted=$3 file=/proc/sys/net/ipv4/conf/$1/$2 present

	present=$(< "$file")
	[[ $present != "$wanted" ]] || return 0
	save "$nic" sysctl "$name" "$present"
	echo "$wanted" > "$file"
}

prepare_nic()
{
	local nic=$1 driver

	[[ -e /proc/sys/net/ipv4/conf/$nic ]] || die "$nic: no such interface"
	driver=$(ethtool -i "$nic" 2>/dev/null | sed -n 's/^driver: //p') || true
	[[ -n $driver ]] || die "$nic: ethtool cannot tell its driver"
	# Frames that were merged are larger than the egress takes, and are no frames of anybody's any more.
	want_feature "$nic" lro large-receive-offload off || die "$nic: driver $driver cannot switch LRO off"
	# A VLAN tag that the NIC took away would be missing in the frame that leaves.
	want_feature "$nic" rxvlan rx-vlan-offload off || echo "$me: $nic: driver $driver strips VLAN tags: untagged traffic only" >&2
	want_feature "$nic" rx-vlan-filter rx-vlan-filter off || echo "$me: $nic: driver $driver filters VLAN tags: untagged traffic only" >&2
	if [[ $mode == generic ]]; then
		want_feature "$nic" gro generic-receive-offload off || die "$nic: driver $driver cannot switch GRO off, as generic XDP needs"
	elif [[ $driver == veth ]]; then
		# A veth takes redirected frames only if it has an XDP program or GRO, and hands over sums that are not computed yet.
		want_feature "$nic" gro generic-receive-offload on || die "$nic: cannot switch GRO on"
		want_feature "$nic" tx tx-checksumming off || die "$nic: cannot switch tx checksum offload off"
		want_feature "$nic" gso generic-segmentation-offload off || die "$nic: cannot switch GSO off"
		want_feature "$nic" tso tcp-segmentation-offload off || die "$nic: cannot switch TSO off"
	fi
	ip link set dev "$nic" up || die "$nic: cannot be set up"
}

# The kernel must say where packets go, and forwards those whose next hop it has yet to find. Not before the programs stand
# guard: it would forward untranslated. Strict reverse path filtering would refuse sources that are translated already.
prepare_forwarding()
{
	local nic=$1 all

	want_sysctl "$nic" forwarding 1
	all=$(< /proc/sys/net/ipv4/conf/all/rp_filter)
	((all != 1 && $(< "/proc/sys/net/ipv4/conf/$nic/rp_filter") != 1)) || want_sysctl "$nic" rp_filter 2
}

# Native was asked for, and generic is what some drivers give without a word.
check_mode()
{
	local nic=$1

	[[ $mode != native ]] || ! ip link show dev "$nic" | grep -q xdpgeneric || die "$nic: the kernel attached in generic mode"
}

undo()
{
	local code=$? nic

	((code != 0)) || return 0
	for nic in "${fresh[@]}"; do
		restore "$nic"
	done
	[[ -z ${attached:-} ]] || "$xcgnctl" -c "$config" detach > /dev/null 2>&1 || true
}

prepare "$@"
fresh=()	# NICs and interfaces that this run is the first to change
trap undo EXIT
[[ " ${nics[*]} " != *" - "* ]] || "$xcgnctl" -c "$config" attach	# says which one is not there
for nic in "${nics[@]}"; do
	[[ -e $(saved_file "$nic") ]] || fresh+=("$nic")
	prepare_nic "$nic"
done
((${#fresh[@]} == 0)) || attached=yes	# if it fails now, what came to be attached goes
for name in "${names[@]}"; do
	[[ -e $(saved_file "$name") || " ${fresh[*]} " == *" $name "* ]] || fresh+=("$name")
done
"$xcgnctl" -c "$config" attach > /dev/null
for nic in "${nics[@]}"; do
	check_mode "$nic"
done
for name in "${names[@]}"; do
	prepare_forwarding "$name"
done
echo "$me: ${names[*]}: attached, forwarding on"
