#!/bin/bash
# RFC 4787 REQ-8: with `filtering: address-dependent` a host's mapping is open to whom it wrote to, with real sockets; MAP stays open to
# all. It outlives the daemon, and cannot be switched under live mappings.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready << YAML
filtering: address-dependent
YAML
start_reflector peer 203.0.113.9:3478
start_reflector host 198.51.100.2:7000
to_9() { probe host udp 198.51.100.2:7100 203.0.113.9:3478; }
to_host() { probe peer udp "$1:5000" "$2"; }
# Somebody whom the host did not write to is refused, and counted.
expect_refused()
{
	local before

	before=$(counted drop-unasked)
	! to_host 203.0.113.10 "$external" > /dev/null 2>&1 || fail "$1: a stranger got an answer"
	(($(counted drop-unasked) > before)) || fail "$1: drop-unasked counts $(counted drop-unasked)"
	note "$1: a stranger is refused, and counted as drop-unasked"
}

external=$(to_9)
expect_match "$external" '^192\.0\.2\.' "a host reaches whom it writes to, and hears from him"
expect_refused "with the daemon"
made=$(pcp map udp 7000 nonce=a0a1a2a3a4a5a6a7a8a9aaab)
expect_equal "$(field "$made" result)" 0 "MAP"
to_host 203.0.113.10 "$(field "$made" external)" > /dev/null || fail "a mapping of MAP is closed"
note "is open to a stranger"

stop_xcgnd KILL
to_9 > /dev/null || fail "no answer while the daemon is dead"
expect_refused "while it is dead"
start_xcgnd
stop_xcgnd
sed -i 's/^filtering: .*/filtering: endpoint-independent/' "$config"
expect_exit 3 "another filtering than the tables were built for" in_ns cgn "$B/xcgnd" -c "$config"
expect_match "$output" 'filtering' "says so"
