#!/bin/bash
# RFC 6887 section 13.3: a mapping with filters lets in whom they name, from the wire to XDP, and across the daemon's death.
# RFC 7753: a set of ports, each of them reachable.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready << YAML
pcp: {filters: 2}
YAML
start_reflector host 198.51.100.2:7000 198.51.100.2:7001 198.51.100.2:7002 198.51.100.2:7003
ask() { pcp map udp "$1" nonce=a0a1a2a3a4a5a6a7a8a9aaab "${@:2}"; }
from_9() { probe peer udp 203.0.113.9:5000 "$1"; }
from_10() { probe peer udp 203.0.113.10:5000 "$1"; }
refused() { ! "$@" > /dev/null 2>&1; }

# ---- one filter, another, both gone ----
made=$(ask 7000 filter=203.0.113.9/32:0)
expect_equal "$(field "$made" result)" 0 "MAP with a filter"
external=$(field "$made" external)
from_9 "$external" > /dev/null || fail "the permitted peer gets no answer"
note "the permitted peer reaches it"
before=$(counted drop-filter)
refused from_10 "$external" || fail "the other peer got an answer"
(($(counted drop-filter) > before)) || fail "drop-filter counts $(counted drop-filter)"
note "the other one does not, and is counted as drop-filter"
expect_equal "$(field "$(ask 7000 filter=203.0.113.10/32:6000)" result)" 0 "a second filter is added, for one port"
refused from_10 "$external" || fail "the wrong port got an answer"
probe peer udp 203.0.113.10:6000 "$external" > /dev/null || fail "the permitted port gets no answer"
from_9 "$external" > /dev/null || fail "the first filter is gone"
note "both are in force"
expect_equal "$(field "$(ask 7000 filter=203.0.113.0/24:0)" result)" 13 "a third is one too many: EXCESSIVE_REMOTE_PEERS"
refused from_10 "$external" || fail "the refused filter is in force"

# ---- the daemon dies: they stay ----
stop_xcgnd KILL
from_9 "$external" > /dev/null || fail "the permitted peer gets no answer while the daemon is dead"
refused from_10 "$external" || fail "the other peer got an answer while the daemon is dead"
start_xcgnd
refused from_10 "$external" || fail "the other peer got an answer after a restart"
note "and outlive the daemon"
expect_equal "$(field "$(ask 7000 filter=0.0.0.0/0:0,203.0.113.10/32:0)" result)" 0 "cleared and replaced in one request"
from_10 "$external" > /dev/null || fail "the new peer gets no answer"
refused from_9 "$external" || fail "the old peer got an answer"
expect_equal "$(field "$(ask 7000 filter=0.0.0.0/0:0)" result)" 0 "cleared"
from_9 "$external" > /dev/null || fail "an open mapping gives no answer"

# ---- a set ----
made=$(ask 7001 port-set=3)
expect_equal "$(field "$made" result) $(field "$made" set)" "0 7001+3" "a set of three ports"
external=$(field "$made" external)
first=${external##*:}
for n in 0 1 2; do
	from_9 "${external%:*}:$((first + n))" > /dev/null || fail "port $((first + n)) gives no answer"
done
note "each of them is reachable"
expect_equal "$(ctl -j show mappings --origin map | wc -l)" 4 "xcgnctl lists them one by one"
expect_equal "$(field "$(ask 7002 lifetime=0)" result)" 0 "one of them deleted"
expect_equal "$(ctl -j show mappings --origin map | wc -l)" 1 "all are gone"
