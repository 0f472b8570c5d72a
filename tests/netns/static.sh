#!/bin/bash
# RFC 6887 sections 11.3, 15.1 and design section 5, `static`: the operator's mappings are there from the start, never expire, and cannot
# be deleted or had by others.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready << YAML
static:
  - {protocol: udp, internal: "198.51.100.2:7000", external: "192.0.2.3:7777"}
  - {protocol: tcp, internal: "198.51.100.3:7000", external: "192.0.2.4:7777"}
YAML
start_reflector host 198.51.100.2:7000 198.51.100.3:7000

expect_equal "$(probe peer udp 203.0.113.9:1000 192.0.2.3:7777)" 203.0.113.9:1000 "udp: from outside to the static endpoint"
expect_equal "$(probe peer tcp 203.0.113.9:1000 192.0.2.4:7777)" 203.0.113.9:1000 "tcp: from outside to the static endpoint"
expect_match "$(ctl -j show mappings --origin static)" '"external": *"192\.0\.2\.3:7777","remaining": *null' "listed as static, without end"

# Requests about it.
deleted=$(pcp map udp 7000 lifetime=0)
expect_equal "$(field "$deleted" result)" 2 "deletion of a static mapping: NOT_AUTHORIZED"
asked=$(pcp map udp 7000 lifetime=600)
expect_equal "$(field "$asked" result)/$(field "$asked" external)" "0/192.0.2.3:7777" "MAP for its port: told what it is"
expect_equal "$(field "$(pcp map udp 6001 source=198.51.100.3 prefer-failure external=192.0.2.3:7777)" result)" 11 \
	"another's MAP for its endpoint, PREFER_FAILURE: CANNOT_PROVIDE_EXTERNAL"

# GET lists what clients asked for: neither the operator's nor what packets made (RFC 6887 knows no owner of those).
start_reflector peer 203.0.113.9:3478
probe host udp 198.51.100.2:5000 203.0.113.9:3478 > /dev/null
expect_equal "$(field "$(pcp map udp 6000 lifetime=600)" result)" 0 "a mapping by PCP beside it, and one by packets"
expect_equal "$(ctl -j show mappings --subscriber 198.51.100.2 | wc -l)" 3 "mappings of that host"
listed=$(in_ns host "$B/pcpc" -j -s 198.51.100.1 -S 198.51.100.2 get)
expect_equal "$(grep -c '"internal"' <<< "$listed")" 1 "mappings that GET lists"
expect_match "$listed" '198\.51\.100\.2:6000' "the one asked for by PCP"

# The daemon's death and return change nothing.
stop_xcgnd KILL
expect_equal "$(probe peer udp 203.0.113.9:1001 192.0.2.3:7777)" 203.0.113.9:1001 "without xcgnd"
start_xcgnd
expect_equal "$(probe peer udp 203.0.113.9:1002 192.0.2.3:7777)" 203.0.113.9:1002 "after its restart"
expect_equal "$(ctl -j show mappings --origin static | wc -l)" 2 "static mappings"
