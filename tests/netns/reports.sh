#!/bin/bash
# RFC 4787 REQ-13, RFC 5508 REQ-8 with RFC 6888 REQ-11 B, RFC 1812 section 4.3: xcgn's own ICMP errors, as hosts and their kernels
# take them: time exceeded, fragmentation needed with the MTU of the way on, host unreachable without a port; and packets that may be cut.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready << YAML
subscribers:
  prefixes: [198.51.100.0/24]
  overrides: [{prefix: 198.51.100.3/32, blocks: 1, explicit: 0}]
pools: [{name: main, addresses: [192.0.2.0/28], block-size: 64}]
YAML
start_reflector peer 203.0.113.9:3478

# The first hop of a traceroute.
errors() { in_ns host /usr/bin/python3 "$lib/errors.py" "$@"; }
expect_equal "$(errors 198.51.100.2:40000 203.0.113.9:33434 1)" "198.51.100.1 type 11 code 0" "time exceeded on the first hop, as traceroute sees it"

# A subscriber with all its ports in use hears it.
in_ns host /usr/bin/python3 "$lib/flows.py" 198.51.100.3 20000 64 203.0.113.9:3478
expect_equal "$(errors 198.51.100.3:30000 203.0.113.9:3478)" "198.51.100.1 type 3 code 1" "host unreachable for the port beyond the quota"

# Path MTU discovery by the kernels: TCP with large segments by a narrow way.
here=$root/tests/netns/reports.py
narrow() { ip -n "$LAB_PREFIX-cgn" route replace "$1" dev "$2" src "$3" mtu lock "$4"; }
narrow 203.0.113.0/24 out0 203.0.113.1 1200
background peer "$scratch/sink.out" /usr/bin/python3 "$here" sink 203.0.113.10:8080
sink=$job
wait_for says "$scratch/sink.out" ready
in_ns host /usr/bin/python3 "$here" pour 198.51.100.2 203.0.113.10:8080 500000
wait "$sink"
expect_equal "$(tail -n 1 "$scratch/sink.out")" "500000 bytes" "tcp: half a megabyte by a way with MTU 1200"
expect_equal "$(in_ns host ip route get 203.0.113.10 | grep -o 'mtu [0-9]*')" "mtu 1200" "the host's kernel learned the MTU"
(($(counted report-too-big) >= 1)) || fail "report-too-big counts $(counted report-too-big)"

# What may be cut is cut. (The way is asked for once a second.)
was_cut()
{
	in_ns host /usr/bin/python3 "$here" ask 198.51.100.2:41000 203.0.113.9:3478 1400 > "$scratch/answer"
	(($(counted fragmented) >= 1))
}
external=$(probe host udp 198.51.100.2:41000 203.0.113.9:3478)
wait_for was_cut
expect_equal "$(cat "$scratch/answer")" "$external" "udp: 1400 bytes without DF by a way with MTU 1200"

# Frame by frame.
/usr/bin/python3 "$here" frames out || fail "see above"
narrow 203.0.113.0/24 out0 203.0.113.1 1500
narrow 198.51.100.0/24 in0 198.51.100.1 1200
/usr/bin/python3 "$here" frames in || fail "see above"
