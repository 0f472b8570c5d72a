#!/bin/bash
# RFC 6888 REQ-2 and REQ-11d, RFC 6887 sections 10 and 14.2: an external address is taken out of use. What is there lives on, nothing
# new comes, its clients are told; new mappings are at another address.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

nonce=a0a1a2a3a4a5a6a7a8a9aaab
ready << YAML
pools:
  - {name: old, addresses: [192.0.2.0/31], block-size: 64}
  - {name: spare, addresses: [192.0.2.4/32], block-size: 64}
subscribers: {prefixes: [198.51.100.0/24], blocks: 1, reserve: 0}
YAML
start_reflector peer 203.0.113.9:3478
start_reflector host 198.51.100.2:6000
start_capture host host0 "udp and src port 5351"
state_of() { ctl -j show pools | sed -nE "s/.*\"address\": *\"$1\".*\"state\": *\"([a-z]*)\".*/\1/p"; }
used_of() { ctl -j show pools | sed -nE "s/.*\"address\": *\"$1\".*\"blocks\": *\{\"used\": *([0-9]*).*/\1/p"; }
said() { /usr/bin/python3 -c 'import json, sys; print(json.loads(sys.stdin.read())[sys.argv[1]])' "$1" <<< "$2"; }

ctl pool drain spare > /dev/null
made=$(pcp map udp 6000 lifetime=3600 nonce=$nonce source=198.51.100.2:45000)
external=$(field "$made" external)
address=${external%:*}
implicit=$(probe host udp 198.51.100.2:6005 203.0.113.9:3478)
expect_equal "${implicit%:*}" "$address" "one subscriber, one address"
[[ $address != 192.0.2.4 ]] || fail "a mapping at the address that was drained before"

ctl pool undrain spare > /dev/null
drained=$(ctl -j pool drain old)
expect_equal "$(said addresses "$drained") $(said changed "$drained") $(said updates "$drained") $(said untold "$drained")" "2 2 1 0" "a pool is drained by its name: two addresses, one client to be told"
expect_equal "$(state_of "$address") $(state_of 192.0.2.4)" "draining active" "xcgnctl shows it"
expect_equal "$(probe peer udp 203.0.113.9:7000 "$external")" 203.0.113.9:7000 "the explicit mapping lives on"
expect_equal "$(probe host udp 198.51.100.2:6005 203.0.113.9:3478)" "$implicit" "and the implicit one"
for protocol in udp tcp; do
	expect_match "$(probe host $protocol 198.51.100.2:6006 203.0.113.9:3478)" '^192\.0\.2\.4:' "a new flow of its subscriber leaves by the other address ($protocol), although he may have one block"
done
expect_match "$(probe host udp 198.51.100.3:6005 203.0.113.9:3478)" '^192\.0\.2\.4:' "and so does a new subscriber"
expect_match "$(pcp map udp 6001 external="$address":0 source=198.51.100.3)" 'result=0 .*external=192\.0\.2\.4:' "a wish for the drained address is not met"
expect_match "$(pcp map udp 6002 external="$address":3000 source=198.51.100.3 prefer-failure)" 'result=11 ' "with PREFER_FAILURE: CANNOT_PROVIDE_EXTERNAL"
wait_for "$B/tests/xcgn_invariants" "$pins"

update_came() { (($(tcpdump -n -r "$scratch/host0.pcap" "dst 198.51.100.2 and dst port 45000 and udp[9] = 0x81" 2> /dev/null | wc -l) >= 2)); }
wait_for update_came	# the answer, and one that nobody asked for
hex=$(tcpdump -x -n -r "$scratch/host0.pcap" "dst 198.51.100.2 and dst port 45000 and udp[9] = 0x81" 2> /dev/null | tr -d '\n\t ' | sed 's/0x00[0-9a-f]0://g')
port=$(printf '%04x' "${external##*:}")
expect_match "$hex" "$nonce.*0281000000000[de][0-9a-f]{18}[0-9a-f]{16}${nonce}110000001770$port" "the Mapping Update: nonce, UDP 6000, the external port as it is"

sleep_a_second() { [[ $(field "$(pcp announce source=198.51.100.3)" epoch) -gt $1 ]]; }
wait_for sleep_a_second "$(field "$(pcp announce source=198.51.100.3)" epoch)"
renewed=$(pcp map udp 6000 lifetime=7200 nonce=$nonce source=198.51.100.2:45000)
expect_equal "$(field "$renewed" result) $(field "$renewed" external)" "0 $external" "a renewal is answered with the same endpoint"
(($(field "$renewed" lifetime) < 3600)) || fail "lifetime $(field "$renewed" lifetime): a renewal prolongs a mapping of a drained address"
note "and with what remains, $(field "$renewed" lifetime) s: not prolonged"

stop_xcgnd KILL
start_xcgnd
expect_equal "$(state_of "$address") $(state_of 192.0.2.4)" "draining active" "a restart changes nothing"
kill -HUP "$xcgnd_pid"
wait_for says "$log" "reloaded"
expect_equal "$(state_of "$address") $(state_of 192.0.2.4)" "draining active" "nor does a reload"
expect_equal "$(probe peer udp 203.0.113.9:7000 "$external")" 203.0.113.9:7000 "the mapping lives on"

# It ends as it likes; then the address is empty, and its subscriber has all at the other one.
expect_match "$(pcp map udp 6000 lifetime=0 nonce=$nonce source=198.51.100.2:45000)" 'result=0 ' "the client deletes it"
ctl clear --subscriber 198.51.100.2 > /dev/null
empty() { [[ $(used_of "$address") == 0 ]]; }
wait_for empty
note "nothing is left there"
expect_match "$(pcp map udp 6000 lifetime=3600 nonce=$nonce source=198.51.100.2:45000)" 'result=0 lifetime=3600 .*external=192\.0\.2\.4:' "asked for again, it is at the other address"

expect_equal "$(said blocks_left "$(ctl -j pool undrain "$address")")" 0 "undrain, by the address"
expect_equal "$(state_of "$address")" active "it serves again"
expect_exit 1 "no such pool" ctl pool drain nowhere
expect_exit 1 "an address of nobody" ctl pool drain 192.0.2.77
expect_exit 1 "which?" ctl pool drain
stop_xcgnd KILL
expect_exit 3 "without xcgnd" ctl pool drain old
