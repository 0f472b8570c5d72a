#!/bin/bash
# F2b, draft-boucadair-pcp-failure section 2.2: an application comes back on another port. Its old mapping is stale and counts against the
# quota; the client deletes it, and no other one. F2c: what another client of this host asked for is not touched.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
# shellcheck source=tests/lib/keep.sh
. "$lib/keep.sh"

wants() { keep_wants "servers: [198.51.100.1]" "release: true" << YAML
{protocol: udp, port: $1}
{protocol: tcp, port: 8080}
YAML
}

ready << YAML
subscribers: {prefixes: [198.51.100.0/24], explicit: 3}
YAML
others=$(pcp map udp 9000 lifetime=3600 nonce=0102030405060708090a0b0c)
wants 5060
start_keep
await "created udp 198.51.100.2:5060 = 192.0.2"
await "created tcp 198.51.100.2:8080 = 192.0.2"
tcp=$(external_of "tcp 198.51.100.2:8080")

# The quota is full: without the deletion there would be none for the new port.
wants 5070
reload_keep
await "deleted udp 198.51.100.2:5060"
wait_for has_mapping 198.51.100.2:5070
! has_mapping 198.51.100.2:5060 || fail "the stale mapping is still there"
expect_match "$(mapping 198.51.100.2:8080)" "\"external\":\"$tcp\"" "the other mapping is where it was"
expect_match "$(mapping 198.51.100.2:9000)" "\"external\":\"$(field "$others" external)\"" "that of another client too"

# The port changes while the client is dead: it deletes the old one by its table.
stop_keep KILL
wants 5080
start_keep
await "deleted udp 198.51.100.2:5070"
wait_for has_mapping 198.51.100.2:5080
note "after a crash too"

stop_keep
expect_equal "$(ctl -j show mappings --origin map | wc -l)" 1 "release: ended, it leaves that of the other client only"
