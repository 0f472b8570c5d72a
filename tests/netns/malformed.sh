#!/bin/bash
# RFC 6888 REQ-1, design section 1.4: whatever comes in, from either side or to port 5351, no packet goes out untranslated, no state is
# made for strangers, every drop is counted, and xcgnd lives.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# Environment: SEED=N repeats a run, FRAMES=2000 for each side
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready <<< "pcp: {rate: {requests: 0}}"
seed=${SEED:-$RANDOM}
note "seed $seed"
nonce=a0a1a2a3a4a5a6a7a8a9aaab
made=$(pcp map udp 6000 lifetime=3600 nonce=$nonce)
out_mac=$(in_ns cgn ip -o link show out0 | sed -nE 's/.*link\/ether ([0-9a-f:]+).*/\1/p')
in_mac=$(in_ns cgn ip -o link show in0 | sed -nE 's/.*link\/ether ([0-9a-f:]+).*/\1/p')

# What leaves by out0 comes from the pool or from the box itself; what leaves by in0 goes to a subscriber, or is multicast of the box.
start_capture peer peer0 "ether src $out_mac and ip and not src net 192.0.2.0/28 and not src host 203.0.113.1"
outside=$job
start_capture host host0 "ether src $in_mac and ip and not dst net 198.51.100.0/24 and not src host 198.51.100.1"
inside=$job

/usr/bin/python3 "$root/tests/netns/malformed.py" frames "$seed" "${FRAMES:-2000}" "$(field "$made" external)" || fail "see above, seed $seed"
in_ns host /usr/bin/python3 "$root/tests/netns/malformed.py" requests "$seed" 2000 || fail "see above, seed $seed"

finish $outside
finish $inside
for nic in peer0 host0; do
	leaked=$(tcpdump -n -e -r "$scratch/$nic.pcap" 2> /dev/null)
	[[ -z $leaked ]] || fail "left untranslated to $nic, seed $seed: $(head -n 3 <<< "$leaked")"
done
note "nothing left untranslated"

kill -0 "$xcgnd_pid" 2> /dev/null || fail "xcgnd died, seed $seed"
expect_equal "$(field "$(pcp map udp 6000 lifetime=3600 nonce=$nonce)" external)" "$(field "$made" external)" "xcgnd lives and knows its mapping"
reasons=$(ctl -j show stats | grep '"drop-' | grep -vc '"packets": *0,')
((reasons >= 12)) || fail "only $reasons reasons of drops counted: $(ctl -j show stats | grep -v '"packets": *0,')"
note "drops are counted under $reasons reasons"
strangers=$(ctl -j show mappings | grep -vc '"subscriber": *"198\.51\.100\.') || true
expect_equal "$strangers" 0 "mappings of strangers"
# Blocks and mappings agree: what the bitmaps count is what the listing shows.
counts=$(ctl -j status | sed -E 's/.*"explicit": *([0-9]+).*"implicit": *([0-9]+).*/\1 \2/')
expect_equal "$(ctl -j show mappings | wc -l)" "$((${counts% *} + ${counts#* }))" "mappings listed and counted"
