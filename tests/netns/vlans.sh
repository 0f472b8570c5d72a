#!/bin/bash
# Design section 5, `interfaces`: both sides on one NIC, told apart by VLANs and by two tags, or without tags by addresses; a VLAN of the
# kernel's; and what comes with other tags is dropped. The far end of the trunk sends and takes frames itself: no VLAN devices needed.
#   peer: trunk ───── nic cgn   v100 198.51.101.1 (VLAN 100) │ v200 203.0.120.1 (200) │ q300 203.0.121.1 (300.30) │ m400 (400)
#   peer: plain ───── nicb cgn  198.51.103.1 and 203.0.122.1
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

topology << YAML
interfaces:
  - {name: in0, side: internal}
  - {name: out0, side: external}
  - {name: v100, side: internal, link: nic, vlans: [100]}
  - {name: v200, side: external, link: nic, vlans: [200]}
  - {name: q300, side: external, link: nic, vlans: [300, 30]}
  - {name: m400, side: none, link: nic, vlans: [400]}
  - {name: nicb, side: both}
subscribers: {prefixes: [198.51.100.0/22]}
YAML
ip_of() { ip -n "$LAB_PREFIX-$1" "${@:2}"; }
for pair in "nic trunk" "nicb plain"; do
	read -r near far <<< "$pair"
	ip_of cgn link add "$near" type veth peer name "$far" netns "$LAB_PREFIX-peer"
	in_ns peer ethtool -K "$far" gro on tx off gso off tso off > /dev/null
	ip_of peer link set "$far" up
done
# address DEVICE ADDRESS NEIGHBOUR: what routes know of a VLAN
address()
{
	ip_of cgn address add "$2/24" dev "$1"
	ip_of cgn neighbour add "$3" lladdr 02:00:00:00:0a:01 nud permanent dev "$1"
}
for device in v100 v200 q300 m400; do
	ip_of cgn link add "$device" type veth peer name "${device}p"
	ip_of cgn link set "$device" up
	ip_of cgn link set "${device}p" up
done
address v100 198.51.101.1 198.51.101.2
address v200 203.0.120.1 203.0.120.9
address q300 203.0.121.1 203.0.121.9
ip_of cgn link set nicb up
address nicb 198.51.103.1 198.51.103.2
address nicb 203.0.122.1 203.0.122.9
start_xcgnd
attach
trunk() { in_ns peer /usr/bin/python3 "$lib/trunk.py" "$@"; }

# round TEXT NIC TAGS HOST REMOTE REMOTE_TAGS: there and back
round()
{
	local lines there back

	mapfile -t lines < <(trunk "$2" "$3" "$4" "$5" back)
	there=${lines[0]:-} back=${lines[1]:-}
	[[ $there =~ ^"tags=$6 source=192.0.2."[0-9]+:[0-9]+" destination=$5"$ ]] || fail "$1: went out as '$there'"
	[[ $back == "tags=$3 source=$5 destination=$4" ]] || fail "$1: came back as '$back'"
	note "$1: $there"
}

round "VLAN to VLAN" trunk 100 198.51.101.2:5000 203.0.120.9:53 200
round "VLAN to QinQ" trunk 100 198.51.101.2:5000 203.0.121.9:53 300.30
round "one NIC without tags" plain - 198.51.103.2:5000 203.0.122.9:53 -

before=$(counted drop-vlan)
! trunk trunk 101 198.51.101.2:5000 203.0.120.9:53 2> /dev/null || fail "another VLAN came through"
! trunk trunk - 198.51.101.2:5000 203.0.120.9:53 2> /dev/null || fail "no VLAN came through"
expect_equal "$(counted drop-vlan)" "$((before + 2))" "drop-vlan"
! trunk trunk 400 198.51.101.2:5000 203.0.120.9:53 2> /dev/null || fail "the kernel's VLAN was translated"
expect_equal "$(counted untouched)" 1 "untouched"

shown() { ctl -j show interfaces | /usr/bin/python3 -c 'import json, sys
print(*(" ".join(map(str, json.loads(line).values())) for line in sys.stdin), sep="\n")'; }
expect_match "$(shown)" "q300 external native True nic 300.30" "show interfaces has NIC and tags"
expect_match "$(shown)" "nicb both native True nicb -" "and a NIC of both sides"

# One VLAN after the other, under the same program.
ctl detach v200 > /dev/null
expect_match "$(shown)" "v100 internal native True.*v200 external native False.*q300 external native True" "one VLAN detached"
! trunk trunk 100 198.51.101.2:5000 203.0.120.9:53 2> /dev/null || fail "what is detached is a way out"
round "the other stays" trunk 100 198.51.101.2:5000 203.0.121.9:53 300.30
ctl attach v200 > /dev/null
round "attached again" trunk 100 198.51.101.2:5000 203.0.120.9:53 200
stop_xcgnd KILL
round "without xcgnd" trunk 100 198.51.101.2:5000 203.0.120.9:53 200
start_xcgnd
detach
! ip_of cgn link show nic | grep -q xdp || fail "a program is left on the NIC"
! ip_of cgn link show nicb | grep -q xdp || fail "a program is left on the other NIC"
expect_match "$(shown)" "^in0 internal native False.*nicb both native False" "all detached"
attach
round "attached anew" trunk 100 198.51.101.2:5000 203.0.121.9:53 300.30
