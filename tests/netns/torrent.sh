#!/bin/bash
# RFC 6887 with a client that is not ours: libtorrent, which finds the server by its default route, asks for TCP and UDP, renews with
# the nonces that it began with, and deletes what it has when it ends.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
/usr/bin/python3 -c 'import libtorrent' 2> /dev/null || skip "no python3-libtorrent"
command -v tshark > /dev/null || skip "no tshark"

ready <<< "pcp: {lifetime: {min: 1, max: 4}}"	# it asks for an hour, and renews after three quarters of what it gets
start_capture host host0 "udp port 5351"
capture=$job
mkfifo "$scratch/in"
background host "$scratch/torrent.out" sh -c "exec /usr/bin/python3 '$lib/torrent.py' 198.51.100.2:6881 < '$scratch/in'"
exec 8> "$scratch/in"
says_times() { (($(grep -cE -- "$2" "$1") >= $3)); }
ports=()
for protocol in tcp udp; do
	wait_for says_times "$scratch/torrent.out" "^mapped $protocol " 3	# and renewed twice
	expect_equal "$(grep -E "^mapped $protocol " "$scratch/torrent.out" | sort -u | wc -l)" 1 "$protocol: mapped, and renewed at the same port"
	ports[${#ports[@]}]=$(sed -nE "s/^mapped $protocol ([0-9]+)$/\1/p" "$scratch/torrent.out" | head -n 1)
done
! grep failed "$scratch/torrent.out" || fail "libtorrent is told of a failure"
mappings() { ctl -j show mappings --origin map; }
address=$(mappings | sed -nE 's/.*"external": *"([0-9.]+):.*/\1/p' | head -n 1)
expect_equal "$(mappings | grep -c '"internal": *"198.51.100.2:6881"')" 2 "two mappings of its port stand"
expect_exit 0 "a peer outside reaches it by TCP at $address:${ports[0]}" in_ns peer timeout 5 nc -z -w 3 "$address" "${ports[0]}"

exec 8>&-
wait_for says "$scratch/torrent.out" ended
none_left() { [[ -z $(mappings) ]]; }
wait_for none_left
note "when it has ended, its mappings are gone"
finish "$capture"

# nonce, protocol and lifetimes of its requests, in order
tshark -n -r "$scratch/host0.pcap" -Y 'portcontrol.opcode == 1 && portcontrol.r == 0' -T fields -e portcontrol.map.protocol \
	-e portcontrol.map.nonce -e portcontrol.lifetime_req 2> /dev/null > "$scratch/requests"
for protocol in 6 17; do
	expect_equal "$(awk -v p=$protocol '$1 == p { print $2 }' "$scratch/requests" | sort -u | wc -l)" 1 "protocol $protocol: one nonce from first to last"
	expect_equal "$(awk -v p=$protocol '$1 == p { last = $3 } END { print last }' "$scratch/requests")" 0 "protocol $protocol: and the last request deletes"
done
expect_equal "$(tshark -n -r "$scratch/host0.pcap" -Y 'portcontrol.r == 1 && portcontrol.opcode == 1' -T fields -e portcontrol.result_code \
	2> /dev/null | sort -u)" 0 "results that it got"
