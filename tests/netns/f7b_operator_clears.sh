#!/bin/bash
# F7b of the failure scenarios: the operator clears some or all mappings. Only those who lost explicit ones see an Epoch reset
# (RFC 6887 section 8.5), they are told (section 14.1.3), and a reboot does not bring back what was cleared.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready << YAML
static: [{protocol: udp, internal: "198.51.100.2:7000", external: "192.0.2.3:7777"}]
YAML
start_reflector host 198.51.100.2:6000 198.51.100.3:6000 198.51.100.2:7000
start_reflector peer 203.0.113.9:3478
start_capture host host0 "udp and src port 5351"
captured() { tcpdump -n -r "$scratch/host0.pcap" "$1" 2> /dev/null | wc -l; }
at_least() { (($(captured "$1") >= $2)); }
epoch_of() { field "$(pcp announce source="$1")" epoch; }
old_enough() { (($(epoch_of 198.51.100.2) >= 4 && $(epoch_of 198.51.100.3) >= 4)); }
reached() { probe peer udp 203.0.113.9:7000 "$1"; }
said() { /usr/bin/python3 -c 'import json, sys; print(json.loads(sys.stdin.read())[sys.argv[1]])' "$1" <<< "$2"; }
intact() { wait_for "$B/tests/xcgn_invariants" "$pins"; note "the tables agree: $1"; }	# the daemon gives back blocks meanwhile

first=$(field "$(pcp map udp 6000 lifetime=3600 nonce=0102030405060708090a0b0c source=198.51.100.2:50001)" external)
expect_match "$(pcp map tcp 6001 lifetime=3600 nonce=0102030405060708090a0b0c source=198.51.100.2:50001)" 'result=0 ' "two mappings of one"
other=$(field "$(pcp map udp 6000 lifetime=3600 nonce=1112131415161718191a1b1c source=198.51.100.3:50002)" external)
probe host udp 198.51.100.2:6005 203.0.113.9:3478 > /dev/null
probe host udp 198.51.100.3:6005 203.0.113.9:3478 > /dev/null
expect_equal "$(reached "$first")" 203.0.113.9:7000 "packets come in before"
wait_for old_enough
before=$(captured "dst 198.51.100.2 and dst port 50001 and udp[9] = 0x80")
others_before=$(captured "dst 198.51.100.3 and dst port 50002 and udp[9] = 0x80")	# that the server has just begun

cleared=$(ctl -j clear --subscriber 198.51.100.2 --origin implicit)
expect_equal "$(said ended "$cleared") $(said explicit "$cleared") $(said epoch_reset "$cleared")" "1 0 None" "implicit ones alone: nothing promised is lost"
old_enough || fail "and the Epoch was reset all the same"
expect_equal "$(reached "$first")" 203.0.113.9:7000 "explicit ones stay"

cleared=$(ctl -j clear --subscriber 198.51.100.2 --protocol udp --protocol tcp)
expect_equal "$(said ended "$cleared") $(said explicit "$cleared") $(said busy "$cleared")" "2 2 0" "one subscriber cleared"
expect_equal "$(said epoch_reset "$cleared") $(said clients "$cleared")" "clients 1" "and one client's Epoch reset"
mine=$(epoch_of 198.51.100.2) others=$(epoch_of 198.51.100.3)
multicasts=$(captured "dst 224.0.0.1")
((mine + 4 <= others)) || fail "the Epoch of the one who lost something is $mine, that of the one who did not $others"
note "Epoch of the one $mine, of the other $others"
wait_for at_least "dst 198.51.100.2 and dst port 50001 and udp[9] = 0x80" $((before + 3))
note "the one is told, three times"
expect_equal "$(captured "dst 198.51.100.3 and dst port 50002 and udp[9] = 0x80")" "$others_before" "the other is not"
expect_exit 1 "packets find nothing where it was" reached "$first"
expect_equal "$(reached "$other")" 203.0.113.9:7000 "the other subscriber's come in as before"
expect_equal "$(reached 192.0.2.3:7777)" 203.0.113.9:7000 "so do the static mapping's"
expect_equal "$(ctl -j show mappings --subscriber 198.51.100.2 --origin map --origin implicit)" "" "nothing of the subscriber is left"
intact "one subscriber cleared"
again=$(pcp map udp 6000 lifetime=3600 nonce=0102030405060708090a0b0c source=198.51.100.2:50001 external="$first")
expect_equal "$(field "$again" external)" "$first" "who asks again gets the same endpoint"
expect_match "$(ctl clear --subscriber 198.51.100.2)" 'explicit: 1' "cleared again, as text"

expect_equal "$(captured "dst 224.0.0.1")" "$multicasts" "nor does anybody hear of an Epoch that is not his: multicasts"

# As a reboot: what was cleared does not come back from stable storage.
stop_xcgnd KILL
detach > /dev/null
rm -rf "$pins"
start_xcgnd
attach
expect_equal "$(ctl -j show mappings --origin map --subscriber 198.51.100.2)" "" "a reboot brings nothing cleared back"
expect_match "$(ctl -j show mappings --origin map --subscriber 198.51.100.3)" "$other" "but the other's"
(($(epoch_of 198.51.100.3) >= 4)) || fail "Epoch $(epoch_of 198.51.100.3) after the reboot"

expect_exit 1 "all of them, without --yes" ctl clear --all
expect_match "$output" 'confirm it with --yes' "and it says how"
expect_exit 1 "neither one nor all" ctl clear
expect_exit 1 "static ones" ctl clear --subscriber 198.51.100.2 --origin static
cleared=$(ctl -j clear --all --yes)
expect_equal "$(said explicit "$cleared") $(said epoch_reset "$cleared")" "1 all" "all cleared: the Epoch of all"
status_has '"epoch_reset_reason": *"cleared"' || fail "the reason is not told: $(ctl -j status)"
(($(epoch_of 198.51.100.3) < others)) || fail "the Epoch of everybody is $(epoch_of 198.51.100.3)"
wait_for at_least "dst 198.51.100.3 and dst port 50002 and udp[9] = 0x80" 3
note "reason cleared; who had a mapping is told"
expect_equal "$(ctl -j show mappings --origin map --origin implicit)" "" "nothing but the static one is left"
expect_equal "$(reached 192.0.2.3:7777)" 203.0.113.9:7000 "which works"
intact "all cleared"

stop_xcgnd KILL
expect_exit 3 "without xcgnd" ctl clear --subscriber 198.51.100.2
expect_match "$output" 'xcgnd does not run' "and it says so"
