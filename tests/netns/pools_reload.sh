#!/bin/bash
# RFC 6888 REQ-2 and REQ-8, RFC 6887 sections 10 and 14.2: pools grow and shrink by a reload, under mappings. What stays is not touched,
# what is new serves at once, what is taken out takes nobody new, tells its clients, and goes with its last port block.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

nonce=b0b1b2b3b4b5b6b7b8b9babb
ready << YAML
pools:
  - {name: main, addresses: [192.0.2.0/32], block-size: 64}
subscribers: {prefixes: [198.51.100.0/24], blocks: 1, reserve: 0}
timeouts: {rest: 0}
tables: {mappings: 10000, subscribers: 1024, addresses: 4}
YAML
start_reflector peer 203.0.113.9:3478
start_reflector host 198.51.100.2:6000
start_capture host host0 "udp and src port 5351"
addresses() { ctl -j show pools | sed -nE 's/.*"address": *"([^"]*)".*"state": *"([a-z]*)".*/\1=\2/p' | tr '\n' ' '; }
pools_are() { [[ $(addresses) == "$1 " ]]; }
pools() { sed -i -E "/^  - \{name: /d; s/^pools:.*/pools:\n$1/" "$config"; }
reload_refused() { expect_exit "$1" "$2" ctl reload; }
updates() { tcpdump -n -r "$scratch/host0.pcap" "dst 198.51.100.2 and dst port 45000 and udp[9] = 0x81" 2> /dev/null | wc -l; }
more_updates() { (($(updates) > $1)); }
epoch() { ctl -j status | sed -nE 's/.*"epoch_reset_reason": *"([^"]*)".*/\1/p'; }

# ---- growing ----
made=$(pcp map udp 6000 lifetime=3600 nonce=$nonce source=198.51.100.2:45000)
external=$(field "$made" external)
flow=$(probe host udp 198.51.100.2:6005 203.0.113.9:3478)
expect_match "$external $flow" '^192\.0\.2\.0:.* 192\.0\.2\.0:' "a subscriber at the only address"
reason=$(epoch)
ctl pool drain 192.0.2.0 > /dev/null
pools '  - {name: main, addresses: [192.0.2.0\/31], block-size: 64}'
ctl reload > /dev/null
expect_equal "$(addresses)" "192.0.2.0=draining 192.0.2.1=active " "the pool has grown, and what was drained is drained still"
ctl pool undrain 192.0.2.0 > /dev/null
for protocol in udp tcp; do
	expect_match "$(probe host $protocol 198.51.100.3:6005 203.0.113.9:3478)" '^192\.0\.2\.1:' "a new subscriber has the new address at once ($protocol)"
done
expect_equal "$(probe host udp 198.51.100.2:6005 203.0.113.9:3478)" "$flow" "the flow from before goes on"
expect_equal "$(probe peer udp 203.0.113.9:7000 "$external")" 203.0.113.9:7000 "and the mapping"

kill -9 "$xcgnd_pid"
wait "$xcgnd_pid" 2> /dev/null || true
pools '  - {name: main, addresses: [192.0.2.0\/31], block-size: 64}\n  - {name: two, addresses: [192.0.2.8\/31], block-size: 64}'
start_xcgnd
expect_equal "$(addresses)" "192.0.2.0=active 192.0.2.1=active 192.0.2.8=active 192.0.2.9=active " "a start takes over other pools too"
expect_equal "$(probe peer udp 203.0.113.9:7000 "$external")" 203.0.113.9:7000 "the mapping lives on"

# ---- refused ----
before=$(addresses)
pools '  - {name: main, addresses: [192.0.2.0\/30], block-size: 64}\n  - {name: two, addresses: [192.0.2.8\/31], block-size: 64}'
reload_refused 1 "more than there is room"
expect_match "$output" '`?tables.addresses.*4 is less than the 6 addresses' "with the reason"
sed -i 's/, addresses: 4}/}/' "$config"
reload_refused 1 "the same without the key"
expect_match "$output" 'no room for 192\.0\.2\.2: the tables were made for 4 external addresses.*nothing was changed' "with the reason"
pools '  - {name: main, addresses: [192.0.2.0\/31], block-size: 128}\n  - {name: two, addresses: [192.0.2.8\/31], block-size: 64}'
reload_refused 1 "another block size"
expect_match "$output" '192\.0\.2\.0 has ports 1024-65535 in blocks of 64, and would have 1024-65535 in blocks of 128' "with the reason"
pools '  - {name: main, addresses: [192.0.2.0\/31], block-size: 64, ports: 2048-65535}\n  - {name: two, addresses: [192.0.2.8\/31], block-size: 64}'
reload_refused 1 "other ports"
pools '  - {name: main, addresses: [192.0.2.0\/31], block-size: 64}\n  - {name: new, addresses: [192.0.2.12\/32], block-size: 64}'
sed -i 's/^tables:.*/tables: {mappings: 20000, subscribers: 1024}/' "$config"
reload_refused 3 "other sizes"
expect_match "$output" 'made with .tables.mappings. 10000, and the configuration has 20000' "with the reason"
sed -i 's/^tables:.*/tables: {mappings: 10000, subscribers: 1024}/' "$config"
pools '  - {name: main, addresses: [192.0.2.0\/31, 192.0.2.12\/32], block-size: 64}\n  - {name: two, addresses: [192.0.2.8\/32], block-size: 64}'
echo "static: [{protocol: udp, internal: \"198.51.100.9:7000\", external: \"$external\"}]" >> "$config"
reload_refused 1 "no room before an address has left"
# Its port is in the block of a subscriber. What the rest of the configuration asks for could be had.
pools '  - {name: main, addresses: [192.0.2.0\/31], block-size: 64}\n  - {name: two, addresses: [192.0.2.9\/32], block-size: 64}'
reload_refused 3 "a static mapping on a port in use"
expect_equal "$(addresses)" "$before" "nothing was changed by any of them"
expect_equal "$(probe host udp 198.51.100.2:6005 203.0.113.9:3478)" "$flow" "the flow goes on"
sed -i '/^static:/d' "$config"

# ---- shrinking ----
seen=$(updates)
pools '  - {name: two, addresses: [192.0.2.8\/31], block-size: 64}'
kill -HUP "$xcgnd_pid"
wait_for says "$log" "2 leave when the last port block"
expect_match "$(addresses)" '^192\.0\.2\.0=leaving ' "what has mappings is leaving"
wait_for more_updates "$seen"
note "the client is told"
expect_equal "$(probe host udp 198.51.100.2:6005 203.0.113.9:3478)" "$flow" "the flow there goes on"
expect_equal "$(probe peer udp 203.0.113.9:7000 "$external")" 203.0.113.9:7000 "and the mapping"
expect_match "$(probe host udp 198.51.100.2:6006 203.0.113.9:3478)" '^192\.0\.2\.[89]:' "a new flow leaves by another address"
expect_match "$(pcp map udp 6001 external=192.0.2.0:0 source=198.51.100.3)" 'result=0 .*external=192\.0\.2\.[189]:' "a wish for it is not met"
expect_exit 3 "it cannot be put back by undrain" ctl pool undrain 192.0.2.0
wait_for "$B/tests/xcgn_invariants" "$pins"

# Killed while it leaves: the next one goes on.
stop_xcgnd KILL
start_xcgnd
expect_match "$(addresses)" '^192\.0\.2\.0=leaving ' "a daemon that is killed changes nothing"
expect_equal "$(probe peer udp 203.0.113.9:7000 "$external")" 203.0.113.9:7000 "the mapping lives on"
expect_match "$(pcp map udp 6000 lifetime=0 nonce=$nonce source=198.51.100.2:45000)" 'result=0 ' "its client deletes it"
ctl clear --subscriber 198.51.100.2 > /dev/null
ctl clear --subscriber 198.51.100.3 > /dev/null
wait_for pools_are "192.0.2.8=active 192.0.2.9=active"
note "the addresses are gone with their last block"
expect_match "$(pcp map udp 6000 lifetime=3600 nonce=$nonce source=198.51.100.2:45000)" 'result=0 .*external=192\.0\.2\.[89]:' "asked for again, it is elsewhere"
lost=$(counted drop-not-ours)
expect_exit 1 "what is sent there is not ours" probe peer udp 203.0.113.9:7000 "$external"
(($(counted drop-not-ours) > lost)) || fail "drop-not-ours does not count it"

# ---- the place is free for others, of another shape ----
pools '  - {name: two, addresses: [192.0.2.8\/31], block-size: 64}\n  - {name: main, addresses: [192.0.2.0\/31], block-size: 512}'
ctl reload > /dev/null
expect_equal "$(addresses)" "192.0.2.0=active 192.0.2.1=active 192.0.2.8=active 192.0.2.9=active " "in again, with larger blocks"
ctl pool drain two > /dev/null
expect_match "$(probe host tcp 198.51.100.3:6020 203.0.113.9:3478)" '^192\.0\.2\.[01]:' "and they serve"
wait_for "$B/tests/xcgn_invariants" "$pins"
expect_equal "$(epoch)" "$reason" "the Epoch was not reset by any of it"

# Static mappings leave with their address.
pools '  - {name: two, addresses: [192.0.2.8\/31], block-size: 64}\n  - {name: main, addresses: [192.0.2.0\/32], block-size: 512}\n  - {name: s, addresses: [192.0.2.1\/32], block-size: 512}'
echo 'static: [{protocol: udp, internal: "198.51.100.2:6000", external: "192.0.2.1:7777"}]' >> "$config"
ctl clear --subscriber 198.51.100.2 > /dev/null
ctl clear --subscriber 198.51.100.3 > /dev/null
no_blocks() { [[ -z $(ctl -j show blocks) ]]; }
wait_for no_blocks	# the port may be in one of them
ctl reload > /dev/null
expect_equal "$(probe peer udp 203.0.113.9:7000 192.0.2.1:7777)" 203.0.113.9:7000 "a static mapping comes with a reload"
sed -i '/^static:/d' "$config"
pools '  - {name: two, addresses: [192.0.2.8\/31], block-size: 64}\n  - {name: main, addresses: [192.0.2.0\/32], block-size: 512}'
ctl reload > /dev/null
wait_for pools_are "192.0.2.0=active 192.0.2.8=draining 192.0.2.9=draining"
note "and goes with the address"
