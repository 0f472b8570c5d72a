#!/bin/bash
# RFC 9293 section 3.7.1: with `mss-clamp` no SYN asks for larger segments than that, in either direction; without it nothing changes.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready <<< "mss-clamp: 1000"
start_reflector peer 203.0.113.9:3478
syns='tcp[tcpflags] & tcp-syn != 0'
start_capture peer peer0 "$syns"
there=$job
start_capture host host0 "$syns"
here=$job
seen() { tcpdump -n -v -r "$scratch/$1.pcap" "$2" 2> /dev/null | grep -o 'cksum [^)]*)\|mss [0-9]*' | sed 's/0x[0-9a-f]*/…/' | sort | uniq | tr '\n' ' '; }

expect_match "$(probe host tcp 198.51.100.2:41000 203.0.113.9:3478)" '^192\.0\.2\.' "tcp: a connection"
wait_for test -s "$scratch/host0.pcap"
finish "$there"
finish "$here"
expect_equal "$(seen host0 'src host 198.51.100.2')" "cksum … (correct) mss 1460 " "the host's SYN as it sends it"
expect_equal "$(seen peer0 'dst host 203.0.113.9')" "cksum … (correct) mss 1000 " "and as it goes out"
expect_equal "$(seen peer0 'src host 203.0.113.9')" "cksum … (correct) mss 1460 " "the peer's SYN as it sends it"
expect_equal "$(seen host0 'dst host 198.51.100.2')" "cksum … (correct) mss 1000 " "and as it comes in"

# Off again by a reload.
"$lab" config <<< ""
kill -HUP "$xcgnd_pid"
wait_for says "$log" reloaded
start_capture peer peer0 "$syns"
there=$job
probe host tcp 198.51.100.2:41001 203.0.113.9:3478 > /dev/null
finish "$there"
expect_equal "$(seen peer0 'dst host 203.0.113.9')" "cksum … (correct) mss 1460 " "without mss-clamp it goes out as it was sent"
