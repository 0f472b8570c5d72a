#!/bin/bash
# RFC 4787 REQ-1, RFC 5382 REQ-1, RFC 5508 REQ-1: one internal endpoint keeps one external endpoint for every remote peer.
# RFC 4787 REQ-2, RFC 6888 REQ-2: one internal address keeps one external address. REQ-8: filtering is endpoint-independent.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready < /dev/null
start_reflector peer 203.0.113.9:3478 203.0.113.10:3478 203.0.113.9:3479

# The external address and query identifier that a peer sees of an echo request with identifier 77.
echo_seen_by()
{
	start_capture peer peer0 "icmp[icmptype] == icmp-echo and dst $1"
	in_ns host ping -q -c 1 -W 2 -e 77 "$1" > /dev/null || fail "no echo reply from $1"
	wait_for says "$scratch/peer0.log" "Got|listening"
	wait_for captured
	finish "$job"
	tcpdump -n -r "$scratch/peer0.pcap" 2> /dev/null | sed -nE 's/.* IP ([0-9.]+) > .*echo request, id ([0-9]+),.*/\1:\2/p' | head -n 1
}
captured() { tcpdump -n -r "$scratch/peer0.pcap" 2> /dev/null | grep -q echo; }

for protocol in udp tcp; do
	first=$(probe host $protocol 198.51.100.2:40000 203.0.113.9:3478)
	expect_match "$first" '^192\.0\.2\.[0-9]+:[0-9]+$' "$protocol: translated to an address of the pool ($first)"
	expect_equal "$(probe host $protocol 198.51.100.2:40000 203.0.113.10:3478)" "$first" "$protocol: same towards another address"
	expect_equal "$(probe host $protocol 198.51.100.2:40000 203.0.113.9:3479)" "$first" "$protocol: same towards another port"
	other=$(probe host $protocol 198.51.100.2:40001 203.0.113.9:3478)
	expect_differ "$other" "$first" "$protocol: another internal port, another external endpoint"
	expect_equal "${other%:*}" "${first%:*}" "$protocol: and the same external address"
done
first=$(echo_seen_by 203.0.113.9)
expect_match "$first" '^192\.0\.2\.' "icmp: translated ($first)"
expect_equal "$(echo_seen_by 203.0.113.10)" "$first" "icmp: same identifier towards another address"
expect_equal "${first%:*}" "$(probe host udp 198.51.100.2:40000 203.0.113.9:3478 | cut -d: -f1)" "icmp: paired with udp"

# RFC 6887 section 11: what goes out by a mapping asked by PCP, goes out by its external endpoint.
for protocol in udp tcp; do
	external=$(field "$(pcp map $protocol 40003 lifetime=600)" external)
	expect_equal "$(probe host $protocol 198.51.100.2:40003 203.0.113.9:3478)" "$external" "$protocol: outbound by a mapping of PCP"
done

# A peer that was never spoken to reaches the host: through an implicit mapping, and through those of PCP.
external=$(probe host udp 198.51.100.2:40004 203.0.113.9:3478)
start_reflector host 198.51.100.2:40002 198.51.100.2:40004
expect_equal "$(probe peer udp 203.0.113.10:9997 "$external")" 203.0.113.10:9997 "udp: any remote peer may use an implicit mapping"
external=$(field "$(pcp map udp 40002 lifetime=600)" external)
expect_equal "$(probe peer udp 203.0.113.10:9999 "$external")" 203.0.113.10:9999 "udp: any remote peer may send, and is seen as it is"
expect_equal "$(probe peer udp 203.0.113.9:1111 "$external")" 203.0.113.9:1111 "udp: and another one"
external=$(field "$(pcp map tcp 40002 lifetime=600)" external)
expect_equal "$(probe peer tcp 203.0.113.10:9998 "$external")" 203.0.113.10:9998 "tcp: any remote peer may connect"
expect_equal "$(probe peer tcp 203.0.113.9:1112 "$external")" 203.0.113.9:1112 "tcp: and another one"

# A port without mapping is silent, and says why.
before=$(counted drop-no-mapping)
expect_exit 1 "a port without mapping does not answer" probe peer udp 203.0.113.9:1113 "${external%:*}:65535"
(($(counted drop-no-mapping) > before)) || fail "drop-no-mapping does not count it"
note "and is counted as drop-no-mapping"
