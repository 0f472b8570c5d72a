#!/bin/bash
# F4a of the failure scenarios, the server's side: a host's address changes, and a hook of the DHCP or RADIUS server says so. Its
# mappings go with it; no packet, nonce, lifetime or Epoch is lost, and the client hears of it (RFC 6887 section 14.2).
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2 becomes .3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

nonce=a0a1a2a3a4a5a6a7a8a9aaab
ready < /dev/null
ip -n "$LAB_PREFIX-host" address add 198.51.100.9/24 dev host0	# somebody else
start_reflector peer 203.0.113.9:3478
start_capture host host0 "udp and src port 5351"
epoch_of() { field "$(pcp announce source="$1")" epoch; }
old_enough() { (($(epoch_of 198.51.100.3) >= 4)); }
said() { /usr/bin/python3 -c 'import json, sys; print(json.loads(sys.stdin.read())[sys.argv[1]])' "$1" <<< "$2"; }
intact() { wait_for "$B/tests/xcgn_invariants" "$pins"; note "the tables agree: $1"; }	# the daemon gives back blocks meanwhile

made=$(pcp map udp 6000 lifetime=3600 nonce=$nonce source=198.51.100.2:45000 description=camera)
external=$(field "$made" external)
tcp=$(field "$(pcp map tcp 6000 lifetime=3600 nonce=$nonce source=198.51.100.2:45000)" external)
probe host udp 198.51.100.2:6005 203.0.113.9:3478 > /dev/null
background host "$scratch/old.out" /usr/bin/python3 "$lib/reflector.py" 198.51.100.2:6000
old=$job
wait_for says "$scratch/old.out" ready
expect_equal "$(probe peer udp 203.0.113.9:7000 "$external")" 203.0.113.9:7000 "before: packets reach the old address"
finish "$old"
start_reflector host 198.51.100.3:6000
wait_for old_enough

moved=$(ctl -j subscriber moved 198.51.100.2 198.51.100.3)
expect_equal "$(said moved "$moved") $(said implicit_ended "$moved") $(said left "$moved") $(said lost "$moved")" "2 1 0 0" "two go, the implicit one ends"
expect_equal "$(probe peer udp 203.0.113.9:7000 "$external")" 203.0.113.9:7000 "at once packets reach the new address: UDP"
expect_equal "$(probe peer tcp 203.0.113.9:7000 "$tcp")" 203.0.113.9:7000 "and TCP"
expect_equal "$(probe host udp 198.51.100.3:6005 203.0.113.9:3478 | cut -d: -f1)" "${external%:*}" "new flows leave by the same external address"
expect_match "$(ctl -j show mappings --origin map --nonces)" "\"internal\": *\"198.51.100.3:6000\".*$nonce" "the nonce went along"
expect_match "$(ctl -j show mappings --origin map)" '"description": *"camera"' "and the description"
expect_equal "$(ctl -j show mappings --subscriber 198.51.100.2)" "" "nothing is left at the old address"
intact "moved"

update_came() { tcpdump -n -r "$scratch/host0.pcap" "dst 198.51.100.3 and dst port 45000 and udp[9] = 0x81" 2> /dev/null | grep -q .; }
wait_for update_came
hex=$(tcpdump -x -n -r "$scratch/host0.pcap" "dst 198.51.100.3 and dst port 45000 and udp[9] = 0x81" 2> /dev/null | tr -d '\n\t ' | sed 's/0x00[0-9a-f]0://g')
port=$(printf '%04x' "${external##*:}")
expect_match "$hex" "0281000000000e[0-9a-f]{18}[0-9a-f]{16}${nonce}110000001770$port" "a Mapping Update at the new address: nonce, UDP 6000, port ${external##*:}"
(($(epoch_of 198.51.100.3) >= 4)) || fail "Epoch $(epoch_of 198.51.100.3) at the new address: nothing was lost"
(($(epoch_of 198.51.100.2) >= 4)) || fail "Epoch $(epoch_of 198.51.100.2) at the old address: nothing was lost"
note "neither Epoch is reset"
renewed=$(pcp map udp 6000 lifetime=7200 nonce=$nonce source=198.51.100.3:45000)
expect_match "$renewed" "result=0 lifetime=7200 .*external=$external" "renewed from the new address, by the same nonce"
expect_equal "$(said moved "$(ctl -j subscriber moved 198.51.100.2 198.51.100.3)")" 0 "said twice, it is no harm"

# A client that lost something before it moved goes on with the Epoch that it was told.
ctl clear --subscriber 198.51.100.2 > /dev/null
made=$(pcp map udp 6020 lifetime=3600 nonce=$nonce source=198.51.100.2:45000)
ctl clear --subscriber 198.51.100.2 > /dev/null
expect_match "$(pcp map udp 6020 lifetime=3600 nonce=$nonce source=198.51.100.2:45000)" 'result=0 ' "lost, and asked for again"
ctl subscriber moved 198.51.100.2 198.51.100.3 > /dev/null
young=$(epoch_of 198.51.100.3) all=$(epoch_of 198.51.100.9)
((young + 4 <= all)) || fail "the Epoch of the one who moved is $young, that of all $all"
note "its Epoch goes along: $young, that of all: $all"
expect_match "$(pcp map udp 6020 lifetime=0 nonce=$nonce source=198.51.100.3:45000)" 'result=0 ' "deleted"

# Both have a mapping of one port: it stays, with those that share its port block, and the answer says why.
there=$(field "$(pcp map udp 6000 lifetime=3600 nonce=$nonce source=198.51.100.2:45001)" external)
beside=$(field "$(pcp map udp 6009 lifetime=3600 nonce=$nonce source=198.51.100.2:45001)" external)
moved=$(ctl -j subscriber moved 198.51.100.2 198.51.100.3)
expect_equal "$(said moved "$moved") $(said left "$moved") $(said lost "$moved")" "0 2 0" "a conflict: both stay"
expect_match "$moved" "\"internal\": *\"198.51.100.2:6000\".*\"reason\": *\"conflict\"" "the one because of the conflict"
expect_match "$moved" "\"internal\": *\"198.51.100.2:6009\".*shares a port block" "the other because of its block"
expect_match "$(ctl -j show mappings --subscriber 198.51.100.2)" "$there" "the one is there still"
expect_match "$(ctl -j show mappings --subscriber 198.51.100.2)" "$beside" "and the other"
intact "a conflict"
expect_match "$(pcp map udp 6000 lifetime=0 nonce=$nonce source=198.51.100.3:45000)" 'result=0 ' "the conflict is deleted"
# The end of a mapping that had traffic is that of its traffic: cleared, it is out of the way at once.
ctl clear --subscriber 198.51.100.3 --protocol udp --origin implicit > /dev/null
expect_equal "$(said moved "$(ctl -j subscriber moved 198.51.100.2 198.51.100.3)")" 2 "and they go"
intact "the conflict is gone"

# A set of ports (RFC 7753) goes as one.
pcpc() { in_ns host "$B/pcpc" -j -s 198.51.100.1 "$@"; }
set=$(said external "$(pcpc -S 198.51.100.2 map udp 6100 --port-set 4 --nonce $nonce)")
expect_equal "$(said moved "$(ctl -j subscriber moved 198.51.100.2 198.51.100.3)")" 4 "a set of four ports goes"
expect_match "$(pcpc -S 198.51.100.3 get udp --internal :6100 --options port-set)" "\"$set\".*\"size\": *4" "GET shows it as a set at the new address"
again=$(pcpc -S 198.51.100.3 map udp 6100 --port-set 4 --nonce $nonce)
expect_match "$again" "\"$set\".*\"size\": *4" "and it is renewed as one"
intact "a set"

# As a reboot: stable storage has them at the new address.
stop_xcgnd KILL
detach > /dev/null
rm -rf "$pins"
start_xcgnd
attach
expect_equal "$(ctl -j show mappings --subscriber 198.51.100.2)" "" "after a reboot nothing is at the old address"
expect_match "$(ctl -j show mappings --subscriber 198.51.100.3)" "$there" "and what moved is at the new one"
expect_match "$(ctl -j show mappings --subscriber 198.51.100.3)" "$tcp" "with what moved before"

expect_exit 3 "to no subscriber" ctl subscriber moved 198.51.100.3 10.9.9.9
expect_match "$output" 'is no subscriber' "and it says so"
expect_exit 1 "one address only" ctl subscriber moved 198.51.100.3
expect_exit 1 "no address" ctl subscriber moved 198.51.100.3 nowhere
expect_exit 1 "the same address" ctl subscriber moved 198.51.100.3 198.51.100.3
stop_xcgnd KILL
expect_exit 3 "without xcgnd" ctl subscriber moved 198.51.100.3 198.51.100.2
