# shellcheck shell=bash
# What attach.sh and detach.sh share: finding xcgnctl, the interfaces of a configuration, settings of NICs and their way back.
# Sourced. A setting that is changed is first written to a file of the NIC, one "KIND NAME VALUE" a line, where KIND is
# `feature` (ethtool -K) or `sysctl` (below /proc/sys/net/ipv4/conf/NIC); a setting that is there already was changed before.

here=$(dirname "${BASH_SOURCE[0]}")
me=$(basename "$0" .sh)

die() { echo "$me: $1" >&2; exit "${2:-2}"; }

find_xcgnctl()
{
	local candidate

	for candidate in "${XCGNCTL:-}" "$here/../build/xcgnctl" "$here/../../sbin/xcgnctl" "$(command -v xcgnctl || true)"; do
		[[ -z $candidate || ! -x $candidate ]] || { echo "$candidate"; return; }
	done
	die "xcgnctl not found: build it, or set XCGNCTL"
}

# Reads options and the configuration; sets xcgnctl, config, mode and the arrays names (of its interfaces) and nics (those that the
# programs go to: of VLANs what bears them, each once; "-" for what is not there).
prepare()
{
	local name side said nic _ listing

	(($# == 1)) && [[ $1 != -* ]] || { sed -nE '2,/^[^#]/s/^# ?//p' "$0" >&2; exit 1; }
	config=$1
	((EUID == 0)) || die "needs root"
	command -v ethtool > /dev/null || die "ethtool not found: apt-get install ethtool"
	xcgnctl=$(find_xcgnctl) || exit 2
	listing=$("$xcgnctl" -c "$config" show interfaces) || exit 1
	names=() nics=()
	while read -r name side said _ nic _; do
		[[ $side == internal || $side == external || $side == both ]] || continue	# the heading, and what is the kernel's
		names+=("$name")
		# shellcheck disable=SC2034 # for attach.sh
		mode=$said
		[[ " ${nics[*]} " == *" $nic "* ]] || nics+=("$nic")
	done <<< "$listing"
	((${#nics[@]} > 0)) || die "$config: xcgnctl shows no interfaces" 1
}

# One file for each NIC of each network namespace. Not in the daemon's /run/xcgn: systemd empties that when xcgnd stops, while the
# NICs stay as they are.
saved_file() { echo "/run/xcgn-nic-$(stat -Lc %i /proc/self/ns/net)-$1"; }

save()
{
	local nic=$1 kind=$2 name=$3 value=$4 file

	file=$(saved_file "$nic")
	grep -qs "^$kind $name " "$file" || echo "$kind $name $value" >> "$file"
}

# Undoes every change, the last one first. A NIC that is gone has nothing to get back.
restore()
{
	local nic=$1 file kind name value

	file=$(saved_file "$nic")
	[[ -e $file ]] || return 0
	while [[ -e /proc/sys/net/ipv4/conf/$nic ]] && read -r kind name value; do
		case $kind in
		feature) ethtool -K "$nic" "$name" "$value" > /dev/null 2>&1 || echo "$me: $nic: cannot set $name back to $value" >&2 ;;
		sysctl) echo "$value" > "/proc/sys/net/ipv4/conf/$nic/$name" ;;
		esac
	done < <(tac "$file")
	rm -f "$file"
}
