#!/bin/bash
# RFC 6888 REQ-1 (RFC 4787 REQ-1): two subscribers with the same internal port get different external endpoints, and each its own answers.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready < /dev/null
start_reflector peer 203.0.113.9:3478

# Answers that went to the other host would be no answer to this one: probe.py binds the address.
for protocol in udp tcp; do
	two=$(probe host $protocol 198.51.100.2:5000 203.0.113.9:3478)
	three=$(probe host $protocol 198.51.100.3:5000 203.0.113.9:3478)
	expect_differ "$two" "$three" "$protocol: external endpoints of .2 and .3"
	expect_equal "$(probe host $protocol 198.51.100.2:5000 203.0.113.9:3478)" "$two" "$protocol: .2 keeps its own"
done

# By PCP too, and inbound to the right one.
start_reflector host 198.51.100.2:6000 198.51.100.3:6000
for protocol in udp tcp; do
	two=$(field "$(pcp map $protocol 6000)" external)
	three=$(field "$(pcp map $protocol 6000 source=198.51.100.3)" external)
	[[ $protocol == udp ]] && three_udp=$three
	expect_differ "$two" "$three" "$protocol by PCP: external endpoints of .2 and .3"
	expect_equal "$(probe peer $protocol 203.0.113.9:7000 "$two")" 203.0.113.9:7000 "$protocol: .2 is reached"
	expect_equal "$(probe peer $protocol 203.0.113.9:7001 "$three")" 203.0.113.9:7001 "$protocol: .3 is reached"
done

# A host cannot ask for a mapping of another one (RFC 6887 section 8.2: ADDRESS_MISMATCH), and no stranger gets one.
expect_equal "$(field "$(pcp map udp 6001 client=198.51.100.3)" result)" 12 "a request that names another address: ADDRESS_MISMATCH"
in_ns host ip address add 10.9.9.9/32 dev lo
before=$(counted drop-not-subscriber)
expect_exit 1 "an address that is no subscriber is not translated" probe host udp 10.9.9.9:5000 203.0.113.9:3478
(($(counted drop-not-subscriber) > before)) || fail "drop-not-subscriber does not count it"

# A reload takes .3 from the configuration: nothing new for it, what it has lives on; and back.
flow() { probe host udp "198.51.100.3:$1" 203.0.113.9:3478; }
reload() { kill -HUP "$xcgnd_pid"; wait_for says_more "$log" "$1"; }
says_more() { (($(grep -c "$2" "$1") > reloads)); }
reloads=0
standing=$(flow 5000)
cp "$config" "$scratch/before.yaml"
sed -i -E 's/^subscribers:.*/subscribers: {prefixes: [198.51.100.2\/32]}/' "$config"
reload "xcgnd: reloaded"
before=$(counted drop-not-subscriber)
expect_equal "$(flow 5000)" "$standing" ".3 is no subscriber any more, its flow goes on"
expect_exit 1 "a new one does not begin" flow 5001
(($(counted drop-not-subscriber) > before)) || fail "drop-not-subscriber does not count it"
expect_equal "$(field "$(pcp map udp 6002 source=198.51.100.3)" result)" 2 "a new MAP: NOT_AUTHORIZED"
expect_equal "$(field "$(pcp map udp 6000 source=198.51.100.3)" external)" "$three_udp" "its MAP is renewed where it was"
expect_match "$(probe host udp 198.51.100.2:5001 203.0.113.9:3478)" '^192\.0\.2\.' ".2 is not concerned"
reloads=1
cp "$scratch/before.yaml" "$config"
reload "xcgnd: reloaded"
expect_match "$(flow 5001)" '^192\.0\.2\.' "a subscriber again"
