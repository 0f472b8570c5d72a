#!/bin/bash
# RFC 6887 section 8.5, F7a of the failure scenarios: over a reboot whatever was promised and is lost is told by an Epoch of 0, and
# `xcgnctl status` says why. What cannot be used is kept aside; what was purged does not come back.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
# shellcheck source=tests/lib/reboot.sh
. "$lib/reboot.sh"

ready < /dev/null
pcp map udp 6000 lifetime=7200 nonce=0102030405060708090a0b0c > /dev/null

await_epoch
power_off
rm "$dir/state/store.mdb"
start_xcgnd
attach
expect_equal "$(mappings)" "" "without a store nothing comes back"
expect_epoch_reset "store removed" reboot

udp=$(pcp map udp 6000 lifetime=7200 nonce=0102030405060708090a0b0c)
await_epoch
power_off
truncate -s 20000 "$dir/state/store.mdb"
start_xcgnd
attach
expect_epoch_reset "store truncated" state-lost
expect_match "$(store_ids)" 'store\.mdb\.[0-9]{8}T[0-9]{6}Z' "what was there is kept under a name with the date"
expect_match "$(cat "$log")" "it is truncated; kept as" "and the log says so"

udp=$(pcp map udp 6000 lifetime=7200 nonce=0102030405060708090a0b0c)
await_epoch
power_off
"$lab" config <(echo "pools: [{name: main, addresses: [192.0.2.16/28]}]")
start_xcgnd
attach
expect_epoch_reset "pool changed" state-lost
store_says lost 1 || fail "not one lost: $(ctl -j status)"

udp=$(pcp map udp 6000 lifetime=7200 nonce=0102030405060708090a0b0c)
expect_equal "$(field "$udp" result)" 0 "a mapping of the new pool"
await_epoch
off=$EPOCHREALTIME
stop_xcgnd TERM
detach > /dev/null
expect_exit 0 "purge" ctl purge
start_xcgnd
attach
expect_equal "$(mappings)" "" "a purge brings nothing back"
expect_epoch_reset "purge" purged
await_epoch
power_off
start_xcgnd
expect_epoch_ran_on "reboot after a purge"
