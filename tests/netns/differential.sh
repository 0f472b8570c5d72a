#!/bin/bash
# The same random valid traffic through xcgn and through the kernel's NAT (nftables), and what arrives compared: RFC 4787, RFC 5382 and
# RFC 5508 read by others. Long form: differential.sh SECONDS [SEED]
#   host ──────── in0 cgn out0 ──────── peer       twice: one cgn has xcgn, the other nftables
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

kernel=${LAB_PREFIX}k
trap 'code=$?; set +e; LAB_PREFIX=$kernel "$lab" down; (exit "$code"); cleanup' EXIT

ready < /dev/null
LAB_PREFIX=$kernel "$lab" up
nsenter --net="/run/netns/$kernel-cgn" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.in0.rp_filter=0 \
	net.ipv4.conf.out0.rp_filter=0
ip -n "$kernel-cgn" route add blackhole 192.0.2.0/28	# what has no mapping is not sent back to where it came from
nsenter --net="/run/netns/$kernel-cgn" nft -f - <<-'RULES' || skip "this kernel has no NAT of its own"
	table ip nat {
		chain out {
			type nat hook postrouting priority 100
			ip saddr 198.51.100.0/24 oifname out0 snat to 192.0.2.1
		}
	}
RULES

/usr/bin/python3 "$root/tests/netns/differential.py" "$LAB_PREFIX" "$kernel" "${1:-8}" "${2:-$RANDOM}" || fail "see above"
