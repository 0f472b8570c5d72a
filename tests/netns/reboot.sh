#!/bin/bash
# Design section 4: over a reboot, which empties the maps, stable storage brings back every mapping that was promised, and the Epoch
# goes on (RFC 6887 section 8.5). F8 of the failure scenarios.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
# shellcheck source=tests/lib/reboot.sh
. "$lib/reboot.sh"

ready << YAML
pcp: {lifetime: {min: 1, max: 86400}}
static: [{protocol: udp, internal: "198.51.100.15:7000", external: "192.0.2.3:7777"}]
YAML
expect_equal "$(reason)" first-start "the first start"

udp=$(pcp map udp 6000 lifetime=7200 nonce=0102030405060708090a0b0c)
tcp=$(pcp map tcp 6000 lifetime=7200 nonce=1112131415161718191a1b1c)
gone=$(pcp map udp 6001 lifetime=7200 nonce=2122232425262728292a2b2c)
expect_equal "$(field "$(pcp map udp 6001 lifetime=0 nonce=2122232425262728292a2b2c)" result)" 0 "one mapping deleted"
short=$(pcp map udp 6002 lifetime=1 nonce=3132333435363738393a3b3c)
expect_equal "$(field "$udp" result)$(field "$tcp" result)$(field "$gone" result)$(field "$short" result)" 0000 "mappings by PCP"
expect_equal "$(field "$(pcp map udp 6000 lifetime=3600 nonce=0102030405060708090a0b0c)" result)" 0 "one renewed"
start_reflector peer 203.0.113.9:3478
before=$(probe host udp 198.51.100.3:5000 203.0.113.9:3478)	# by packets alone
await_epoch
wait_for listed 2
listing=$(mappings)
wait_for store_says blocks 2	# it learns within a second whose port blocks packets claimed

power_off
start_xcgnd
attach
[[ $(mappings) == "$listing" ]] || fail "other mappings after the reboot: $(mappings) instead of $listing"
note "the same mappings, with their nonces, and neither the deleted nor the expired one"
expect_match "$(grep restored "$log" | tail -n 1)" '2 port blocks' "the port blocks of two subscribers come back"
now=$(probe host udp 198.51.100.3:5001 203.0.113.9:3478)
expect_equal "${now%:*}" "${before%:*}" "who had a mapping by packets alone has his external address again (RFC 6888 REQ-2)"
store_says lost 0 || fail "something is lost: $(ctl -j status)"
store_says restored 2 || fail "not two restored: $(ctl -j status)"
expect_epoch_ran_on "reboot"
renewed=$(pcp map udp 6000 lifetime=3600 nonce=0102030405060708090a0b0c)
expect_equal "$(field "$renewed" result) $(field "$renewed" external)" "0 $(field "$udp" external)" "renewed at its endpoint"
expect_equal "$(field "$(pcp map tcp 6000 lifetime=7200 nonce=ffffffffffffffffffffffff)" result)" 2 "another nonce is NOT_AUTHORIZED"
expect_match "$(ctl -j show mappings --origin static)" 192.0.2.3:7777 "the operator's mapping comes from the configuration"
background host "$scratch/in.out" /usr/bin/python3 "$lib/stream.py" udp-take 198.51.100.2:6000
wait_for says "$scratch/in.out" ready
in_ns peer timeout 5 /usr/bin/python3 "$lib/stream.py" udp-send 203.0.113.9:7100 "$(field "$udp" external)" 50 > "$scratch/send.out" &
jobs+=("$!")
sender=$!

# A daemon that dies is no reboot: neither is lost, and the store follows the maps.
wait_for store_says complete true
stop_xcgnd KILL
start_xcgnd
expect_epoch_ran_on "kill -9"
wait_for store_says complete true
finish $sender
wait_for says "$scratch/in.out" received
[[ $(field "$(tail -n 1 "$scratch/in.out")" received) -gt 0 ]] || fail "no packet came in by the restored mapping"
note "packets from outside reach the host by the restored mapping"

# Who alone lost something hears of it after the reboot too; nobody else does.
other=$(pcp map udp 6000 lifetime=7200 nonce=5152535455565758595a5b5c source=198.51.100.3)
expect_equal "$(field "$other" result)" 0 "a mapping of another host"
expect_exit 0 "cleared by the operator" ctl clear --subscriber 198.51.100.3
cleared=$EPOCHREALTIME
power_off
start_xcgnd
attach
expect_epoch_ran_on "reboot, for who lost nothing"
theirs=$(field "$(pcp announce source=198.51.100.3)" epoch)
awk -v now="$theirs" -v a="$cleared" -v b="$EPOCHREALTIME" 'BEGIN { d = now - (b - a); exit !(d < 2 && d > -2) }' ||
	fail "the Epoch of who lost something is $theirs"
note "reboot, for who lost something: the Epoch is $theirs"
! grep -q 198.51.100.3 <<< "$(mappings)" || fail "what was cleared came back"

# A start that is cut short before all is restored, here because somebody else has the store, is done again by the next one.
listing=$(mappings)
power_off
exec 9>> "$dir/state/store.lock"
flock 9
expect_exit 3 "xcgnd while another has its store" in_ns cgn timeout 20 "$B/xcgnd" -c "$config"
[[ -e $pins/meta ]] || fail "there are no pins"
expect_exit 3 "attach to tables that are not restored yet" ctl attach
exec 9>&-
start_xcgnd
attach
[[ $(mappings) == "$listing" ]] || fail "other mappings after two starts: $(mappings)"
expect_epoch_ran_on "reboot with two starts"

# A store of other maps (a folder changed and changed back) does not count for these.
mv "$dir/state" "$dir/state.old"
stop_xcgnd KILL
start_xcgnd
expect_epoch_ran_on "kill -9 and another state-dir"
wait_for store_says complete true
new=$(pcp map udp 6010 lifetime=7200 nonce=4142434445464748494a4b4c)
stop_xcgnd KILL
rm -rf "$dir/state"
mv "$dir/state.old" "$dir/state"
start_xcgnd
wait_for store_says complete true
power_off
start_xcgnd
attach
expect_match "$(mappings)" "$(field "$new" external)" "a store of before is brought up to date"
expect_epoch_ran_on "reboot with a store written anew"

# One store, one daemon.
sed -E "s,^control:.*,control: $dir/other.sock,; s,^pin-dir:.*,pin-dir: $pins-other," "$config" > "$scratch/other.yaml"
expect_exit 3 "a second daemon on the same state-dir" in_ns cgn timeout 20 "$B/xcgnd" -c "$scratch/other.yaml"
rm -rf "$pins-other"
expect_match "$output" "in use by process $xcgnd_pid" "and it says who has it"
