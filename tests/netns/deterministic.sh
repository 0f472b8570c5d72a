#!/bin/bash
# RFC 7422: ports computed from internal addresses, by xcgnd and by a data plane that has none; who had which is answered both ways
# without a record.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

# 64512 ports are 252 blocks of 256; 2 for each and 4 by need make 124 subscribers on an address: .2 is number 2 of the first one.
ready << YAML
pools:
  - {name: det, addresses: [192.0.2.0/31], allocation: deterministic, subscribers: [198.51.100.0/25], blocks: 2, dynamic: 4}
subscribers: {prefixes: [198.51.100.0/24], blocks: 3, reserve: 8}
YAML
start_reflector peer 203.0.113.9:3478
said() { /usr/bin/python3 -c 'import json, sys; print(*[json.loads(line)[key] for line in sys.stdin for key in sys.argv[1:]])' "$@"; }
who() { ctl -j who "$@"; }
# inside ADDRESS:PORT FIRST LAST
inside() { [[ ${1%:*} == 192.0.2.0 ]] && ((${1##*:} >= $2 && ${1##*:} <= $3)); }

says "$log" 'pool det: ports of 128 subscribers are computed: 124 on each of 2 addresses, 2 blocks of 256 ports each, 4 more' || fail "xcgnd does not log what it computes by"
for host in 2 3; do
	first=$((1024 + host * 512))
	for protocol in udp tcp; do
		seen=$(probe host $protocol 198.51.100.$host:5000 203.0.113.9:3478)
		inside "$seen" $first $((first + 511)) || fail "$seen is not where .$host has his ports"
		expect_equal "$(who "$seen" | said subscriber ports source)" "198.51.100.$host $first-$((first + 511)) computed" "who $seen ($protocol)"
	done
	made=$(field "$(pcp map udp 6000 source=198.51.100.$host)" external)
	inside "$made" $first $((first + 511)) || fail "$made is not where .$host has his ports"
	note "MAP for .$host: $made"
	made=$(in_ns host "$B/pcpc" -s 198.51.100.1 -S 198.51.100.$host -j peer tcp 6001 203.0.113.9:80 | said external)
	inside "$made" $first $((first + 511)) || fail "$made is not where .$host has his ports"
	note "PEER for .$host: $made"
	expect_equal "$(who --subscriber 198.51.100.$host | said address ports source)" "192.0.2.0 $first-$((first + 511)) computed" "who --subscriber"
done
expect_match "$(who 192.0.2.0:2050 | said mappings)" "198.51.100.2:|\[\]" "with the mappings of now"
expect_equal "$(who --subscriber 198.51.100.127 | said address ports)" "192.0.2.1 2560-3071" "one who has nothing yet, at the next address"
expect_equal "$(who 192.0.2.1:2560 | said subscriber)" 198.51.100.127 "and back"
expect_equal "$(who 192.0.2.0:2050 --at 2026-01-01T00:00:00Z | said subscriber source)" "198.51.100.2 computed" "of the past, as the configuration is now"
expect_match "$(pcp map udp 6002 external=192.0.2.0:2600 source=198.51.100.2 prefer-failure)" 'result=11 ' "a port of .3 is not given to .2"

# More than is computed: blocks of the address, recorded as ever.
cat > "$scratch/flows.py" << 'PY'
import socket
for port in range(10000, 10600):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("198.51.100.2", port))
    s.sendto(b"x", ("203.0.113.9", 3478))
    s.close()
PY
recorded()	# a veth may lose some of so many: then again
{
	in_ns host /usr/bin/python3 "$scratch/flows.py"
	says "$log" 'block allocated subscriber=198.51.100.2 external=192.0.2.0 ports=6(4512|4768|5024|5280)-'
}
wait_for recorded
expect_equal "$(grep -c 'block allocated' "$log")" 1 "the one block that is not computed is recorded, and no other"
expect_equal "$(who --subscriber 198.51.100.2 | said source)" "computed tables" "who --subscriber tells of both"
wait_for "$B/tests/xcgn_invariants" "$pins"

# Without xcgnd, and without tables.
stop_xcgnd KILL
seen=$(probe host udp 198.51.100.3:5005 203.0.113.9:3478)
inside "$seen" 2560 3071 || fail "$seen is not where .3 has his ports"
expect_equal "$(who "$seen" | said subscriber source)" "198.51.100.3 computed" "the first packet of a flow while xcgnd is dead"
detach > /dev/null
ctl purge > /dev/null
expect_equal "$(who "$seen" | said subscriber source)" "198.51.100.3 computed" "and whose it was when nothing is left"
expect_equal "$(who --subscriber 198.51.100.3 | said address ports)" "192.0.2.0 2560-3071" "the other way round"
expect_exit 1 "what does not fit is refused" "$B/xcgnd" -c <(sed 's/blocks: 2, dynamic/blocks: 3, dynamic/; s/100.0\/25/100.0\/24/; s/blocks: 3, reserve/blocks: 4, reserve/' "$config") --check
expect_match "$output" '256 subscribers on 2 addresses are 128 on each, and 248 blocks of 256 ports \(252, less 4 dynamic\) are enough for 82 with 3 each; right are 4 addresses' "with figures"
