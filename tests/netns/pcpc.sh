#!/bin/bash
# pcpc against xcgnd, and against a server of its own that behaves badly: RFC 6887 sections 8, 9, 11.4; RFC 6886; GET/NEXT.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready < /dev/null
nonce=0102030405060708090a0b0c
pcpc() { in_ns host "$B/pcpc" "$@"; }
# member NAME < one JSON object per line, among warnings: that member of each that has it
member() { /usr/bin/python3 -c 'import json, sys
for line in sys.stdin:
    value = json.loads(line).get(sys.argv[1]) if line[0] == "{" else None
    if value is not None: print(json.dumps(value).strip("\""))' "$1"; }

# start_server HABIT…: at $at, its requests in $scratch/server.out
at=198.51.100.1:5399
start_server()
{
	[[ -z ${server:-} ]] || finish "$server"
	: > "$scratch/server.out"	# what the one before said is no sign of this one
	background cgn "$scratch/server.out" /usr/bin/python3 "$lib/pcp_server.py" "$at" "$@"
	server=$job
	wait_for says "$scratch/server.out" ready
}
asked() { sed -nE 's/.* from=[^ ]* //p' "$scratch/server.out"; }
bad() { in_ns host "$B/pcpc" -s 198.51.100.1:5399 "$@"; }

# ---- xcgnd, which is the default router ----
map=$(pcpc -j map udp 7000 --lifetime 600 --nonce $nonce)
expect_equal "$(member result <<< "$map") $(member opcode <<< "$map") $(member protocol <<< "$map")" "SUCCESS map udp" "map"
expect_equal "$(member internal <<< "$map") $(member nonce <<< "$map")" "198.51.100.2:7000 $nonce" "internal endpoint, nonce"
expect_equal "$(member lifetime <<< "$map") $(member server <<< "$map")" "600 198.51.100.1:5351" "lifetime, the server found by the route"
external=$(member external <<< "$map")
expect_match "$external" "^192\.0\.2\.[0-9]+:[0-9]+$" "external endpoint $external"
expect_equal "$(ctl -j show mappings --nonces | grep -c "$nonce")" 1 "xcgnd has it with this nonce"
expect_equal "$(pcpc map udp 7000 --nonce $nonce | sed -E 's/ epoch.*//')" \
	"SUCCESS map udp 198.51.100.2:7000 = $external lifetime 3600" "renewed, as text"
expect_exit 3 "another nonce" pcpc map udp 7000 --nonce ffffffffffffffffffffffff
expect_match "$output" "^NOT_AUTHORIZED map udp" "and the result's name"
expect_exit 3 "its deletion too" pcpc -j delete udp 7000 --nonce ffffffffffffffffffffffff
expect_equal "$(member result <<< "$output")" NOT_AUTHORIZED "and the result's name in JSON"
drawn=$(pcpc -j map tcp 7001 | member nonce)
expect_differ "$drawn" "$(pcpc -j -S 198.51.100.3 map tcp 7001 | member nonce)" "every mapping draws its nonce"
expect_exit 0 "-S asks from another address" pcpc -j -S 198.51.100.3 map tcp 7002
expect_equal "$(member internal <<< "$output")" 198.51.100.3:7002 "and maps that one"
expect_exit 3 "a port that is taken, with --prefer-failure" pcpc map udp 7003 --external "$external" --prefer-failure
expect_match "$output" "^CANNOT_PROVIDE_EXTERNAL" "and the result's name"
expect_exit 3 "all ports of a shared address" pcpc map tcp 0
expect_match "$output" "^UNSUPP_PROTOCOL" "and the result's name"
expect_exit 0 "peer" pcpc -j peer udp 7004 203.0.113.9:3478 --lifetime 600 --nonce $nonce
expect_match "$(member external <<< "$output")" "^192\.0\.2\.[0-9]+:[0-9]+$" "its external endpoint"
expect_equal "$(member remote <<< "$output") $(member lifetime <<< "$output")" "203.0.113.9:3478 600" "its remote peer and lifetime"
expect_exit 0 "announce" pcpc -j announce
expect_equal "$(member opcode <<< "$output") $(member lifetime <<< "$output")" "announce 0" "announce"

# The table, as the server shows it: all and nothing but this subscriber's.
for port in $(seq 7100 7134); do
	pcpc map tcp "$port" > "$scratch/map.out" || fail "map tcp $port: $(cat "$scratch/map.out")"
done
listing=$(pcpc -j get)
expect_equal "$(member internal <<< "$listing" | sort | uniq | wc -l)" 37 "get shows every mapping of 198.51.100.2, once"
expect_equal "$(member internal <<< "$listing" | grep -cv '^198\.51\.100\.2:')" 0 "and no other's"
expect_equal "$(member mappings <<< "$listing") $(member pages <<< "$listing") $(member result <<< "$listing")" "37 3 SUCCESS" "in three pages"
expect_equal "$(pcpc -j get udp | member external)" "$external" "get udp"
expect_equal "$(pcpc -j get tcp --internal :7100 | member internal)" 198.51.100.2:7100 "get by internal port"
expect_equal "$(pcpc -j get --one | member internal | wc -l)" 1 "get --one"
expect_exit 0 "get --exists" pcpc get tcp --internal :7100 --exists
expect_exit 3 "get of nothing" pcpc get tcp --internal :9
expect_match "$output" "NONEXIST_MAP" "and the result's name"

expect_exit 0 "a description" pcpc -j map udp 7005 --description "Türklingel"
expect_equal "$(member description <<< "$output")" "$(/usr/bin/python3 -c 'import json; print(json.dumps("Türklingel").strip("\""))')" "is kept"
# Every message on stderr, field by field; checked against what was asked, not against what pcpc makes of it on stdout.
traced=0a0b0c0d0e0f101112131415
pcpc --trace map udp 7006 --lifetime 700 --nonce $traced --external 192.0.2.1:0 --description lamp \
	2> "$scratch/trace" > /dev/null || fail "map with --trace"
expect_equal "$(grep -c '^-->' "$scratch/trace") $(grep -c '^<--' "$scratch/trace")" "1 1" "--trace: a message each way"
for line in "version 2" "R 0 (request)" "opcode 1 (MAP)" "requested lifetime 700" "client address 198.51.100.2" \
	"nonce ${traced:0:8} ${traced:8:8} ${traced:16:8}" "protocol udp" "internal port 7006" "suggested port 0" \
	"suggested address 192.0.2.1" "option 128 (DESCRIPTION)" "length 4" "text lamp" \
	"R 1 (response)" "result 0 (SUCCESS)" "lifetime 700"; do
	expect_equal "$(tr -s ' ' < "$scratch/trace" | grep -cxF " $line")" \
		"$(case $line in R*|req*|client*|sugg*|result*|life*) echo 1 ;; *) echo 2 ;; esac)" "--trace: $line"
done
expect_exit 0 "delete" pcpc -j delete udp 7000 --nonce $nonce
expect_equal "$(ctl -j show mappings --nonces | grep "$nonce" | member internal)" 198.51.100.2:7004 "it is gone, PEER's of the same nonce is not"
expect_exit 0 "delete once more" pcpc delete udp 7000 --nonce $nonce
stop_xcgnd
expect_exit 2 "nobody listens" pcpc announce
expect_match "$output" "Connection refused" "and pcpc says so at once"

# ---- retransmission: the same bytes, the nonce above all, on the schedule of section 8.1.1 ----
start_server deaf=2
expect_exit 0 "two requests are lost" bad map tcp 7000 --timeout 20
expect_equal "$(asked | wc -l) $(asked | sort -u | wc -l)" "3 1" "the same request, three times"
times=$(sed -nE 's/at=([0-9.]*).*/\1/p' "$scratch/server.out" | tr '\n' ' ')
awk '{ a = $2 - $1; b = $3 - $2; exit !(a > 2.69 && a < 3.6 && b / a > 1.7 && b / a < 2.3) }' <<< "$times" || fail "sent at $times"
note "about 3 s and 6 s apart: $times"
start_server deaf=9
expect_exit 2 "no answer within --timeout" bad map tcp 7000 --timeout 1
start_server deaf=0
expect_exit 0 "nobody listens at one address of the server: the next" in_ns host "$B/pcpc" -s 198.51.100.1:5398 -s 198.51.100.1:5399 map tcp 7000
expect_match "$output" "198.51.100.1:5398: Connection refused" "and pcpc says so"
start_server deaf=0
expect_exit 0 "one address stays silent: the next" in_ns host "$B/pcpc" -s 198.51.100.9 -s 198.51.100.1:5399 --timeout 8 map tcp 7000

# ---- answers that are none ----
start_server noise
expect_exit 0 "the right answer among wrong ones" bad -j map tcp 7000
expect_equal "$(member external <<< "$output")" 192.0.2.1:20000 "is found"
expect_exit 0 "peer" bad -j peer udp 5000 203.0.113.9:3478
expect_equal "$(member remote <<< "$output")" 203.0.113.9:3478 "remote peer"
expect_exit 0 "delete" bad delete tcp 7000 --nonce $nonce
expect_match "$(asked | tail -n 1)" "^0201000000000000.{32}${nonce}060000001b58(00){18}$" "suggests nothing"
start_server refuse=8
expect_exit 3 "NO_RESOURCES" bad map tcp 7000

# ---- versions ----
start_server natpmp
expect_exit 0 "a NAT-PMP server" bad -j map tcp 7000 --lifetime 600
expect_equal "$(member external <<< "$output") $(member version <<< "$output")" "192.0.2.1:20000 0" "mapped by NAT-PMP"
expect_equal "$(asked | tail -n 2 | tr '\n' ' ')" "000200001b58000000000258 0000 " "which was asked for mapping and address"
expect_exit 0 "its address" bad -j announce
expect_equal "$(member external <<< "$output")" 192.0.2.1 "external address"
expect_exit 0 "delete by NAT-PMP" bad delete tcp 7000 --nonce $nonce
expect_equal "$(asked | tail -n 1)" 000200001b58000000000000 "which was asked for that port alone"
expect_exit 3 "port 0 is no NAT-PMP: it would delete all" bad delete tcp 0 --nonce $nonce
expect_exit 3 "nor is PEER" bad peer udp 5000 203.0.113.9:3478
start_server version=3
expect_exit 3 "a server of version 3 only" bad map tcp 7000
expect_match "$output" "^UNSUPP_VERSION" "and the result's name"

# ---- walks ----
for size in 1 16 17 18 34 1000; do
	start_server "table=$size"
	expect_equal "$(bad -j get | member external | sort -u | wc -l)" $size "a table of $size"
done
start_server table=20
listing=$(bad get --options filter,description)
expect_equal "$(grep -c 'filter 203.0.113.0/24:443 description "mapping [0-9]* ?\[7m"$' <<< "$listing")" 20 "with options, and harmless on a terminal"
expect_equal "$(bad -j get --options description | member description | sort -u | wc -l)" 20 "and in JSON"
start_server table=100 vanish
expect_equal "$(bad -j get | member external | sort -u | wc -l)" 100 "each locator expires"
start_server table=100 lose=4
listing=$(bad -j get 2> "$scratch/get.err")
expect_equal "$(member mappings <<< "$listing") $(member restarts <<< "$listing")" "50 1" "the server loses half of its state during the walk"
expect_equal "$(grep -oE 'from=[^ ]*' "$scratch/server.out" | sort -u | wc -l)" 2 "the second walk has another source port"
start_server table=100 one
expect_exit 2 "a server that leads in circles" bad get
expect_match "$output" "not complete" "and pcpc says that it is not all"
start_server table=100 circle
expect_exit 2 "a server that knows one page only" bad get --timeout 1

# ---- the default routers ----
at=198.51.100.1:5351
start_server deaf=0
in_ns host ip route replace default nexthop via 198.51.100.77 nexthop via 198.51.100.1
expect_exit 0 "two hops of one default route, the first is not there" pcpc -j --timeout 8 announce
expect_equal "$(member server <<< "$output")" 198.51.100.1:5351 "the one that answers"
in_ns cgn sysctl -qw net.ipv6.conf.in0.disable_ipv6=0
in_ns host sysctl -qw net.ipv6.conf.host0.disable_ipv6=0
in_ns cgn ip -6 address replace fe80::1/64 dev in0 nodad
in_ns host ip -6 address replace fe80::2/64 dev host0 nodad
at="[::]:5351"
start_server deaf=0
in_ns host ip route del default
in_ns host ip -6 route add default via fe80::1 dev host0
expect_exit 0 "an IPv6 router, link-local" pcpc -j announce
expect_equal "$(member server <<< "$output")" "[fe80::1]:5351" "fe80::1"
in_ns host ip -6 route del default
expect_exit 2 "no router at all" pcpc announce
expect_match "$output" "no default router" "and pcpc says so"

# ---- usage ----
for arguments in "" "map" "map tcp" "map tcp 70000" "map icmp6 1" "map 47 80" "map 0 80" "delete tcp 7000" "map tcp 1 --nonce 12" \
	"map tcp 1 --filter ::/0" "map tcp 1 --prefer-failure" "map tcp 1 --lifetime 0" "peer tcp 1 203.0.113.9" "map tcp 1 --port-set 1" \
	"map tcp 1 --port-set 4 --external :80 --prefer-failure" "get --internal :80" "nothing"; do
	# shellcheck disable=SC2086 # words
	expect_exit 1 "pcpc $arguments" pcpc $arguments
done
