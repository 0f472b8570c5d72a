#!/bin/bash
# xcgnctl as design and xcgnctl(8) promise it: exit codes, JSON, order, filters, reading without the daemon, attach and purge.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

# of EXPRESSION COMMAND…: what the expression makes of the records of a command
of() { ctl -j "${@:2}" | /usr/bin/python3 "$lib/records.py" "$1"; }

topology << 'END'
interfaces: [{name: in0, side: internal}, {name: out0, side: external}, {name: gone0, side: external}]
static: [{protocol: udp, internal: "198.51.100.2:7000", external: "192.0.2.3:7777"}]
pcp: {rate: {requests: 0}}
END

# ---- nothing there yet ----
expect_exit 1 "no command" ctl
expect_exit 1 "an unknown command" ctl show everything
expect_exit 1 "an unknown option" ctl status --everything
expect_exit 1 "an argument too many" ctl show stats everything
expect_exit 1 "no such protocol" ctl show mappings --protocol sctp
expect_exit 1 "no such subscriber" ctl show mappings --subscriber 198.51.100
expect_exit 1 "no mappings to show" ctl show mappings --limit 0
expect_exit 1 "no configuration" ctl -c "$scratch/none.yaml" status
expect_exit 0 "the help of a command" ctl show mappings --help
for command in status "show mappings" "show subscribers" "show pools" "show blocks" "show stats" attach purge; do
	# shellcheck disable=SC2086 # one or two words
	expect_exit 3 "$command without tables" ctl $command
	(($(wc -l <<< "$output") == 1)) || fail "more than one line: $output"
done

# ---- a daemon ----
start_xcgnd
expect_equal "$(of 'records[0]["pid"]' status)" "$xcgnd_pid" "status: the daemon's process"
expect_equal "$(of 'records[0]["attached"]' status)" "[]" "status: nothing attached"
expect_equal "$(of 'records[0]["mappings"]' status)" "{'explicit': 1, 'implicit': 0, 'limit': 100000}" "status: the static mapping"
expect_exit 1 "attach of an interface that is not configured" ctl attach out0 lo
expect_equal "$(of 'records[0]["attached"]' status)" "[]" "and none is attached"
expect_exit 0 "attach of one" ctl attach in0
expect_exit 2 "attach of all, one missing" ctl attach
expect_equal "$(of 'records[0]["attached"]' status)" "['in0']" "and only what this call attached is off again"
expect_exit 0 "attach" ctl attach in0 out0
in_ns cgn sysctl -qw net.ipv4.ip_forward=1	# as attach.sh does
expect_equal "$(of 'records[0]["attached"]' status)" "['in0', 'out0']" "status: both attached"

# ---- mappings of three origins ----
asked=$(pcp map tcp 12354 source=198.51.100.2:6000 lifetime=3600 nonce=00112233445566778899aabb)
external=$(field "$asked" external)
start_reflector peer 203.0.113.9:3478
implicit=$(probe host udp 198.51.100.3:5000 203.0.113.9:3478)
expect_equal "$(of '[(m["external"], m["internal"], m["protocol"], m["subscriber"], m["client"], m["idle"], m["tcp"]["state"]) for m in records]' \
	show mappings --origin map)" "[('$external', '198.51.100.2:12354', 'tcp', '198.51.100.2', '198.51.100.2:6000', None, 'transitory')]" \
	"the mapping asked by PCP"
expect_equal "$(of '3590 < records[0]["remaining"] <= 3600' show mappings --origin map)" True "its lifetime"
expect_equal "$(of '[(m["origin"], m["external"], m["internal"], m["protocol"], m["client"], m["tcp"]) for m in records]' \
	show mappings --subscriber 198.51.100.3)" "[(['implicit'], '$implicit', '198.51.100.3:5000', 'udp', None, None)]" "the mapping made by a packet"
expect_equal "$(of '0 <= records[0]["idle"] < 9 and records[0]["remaining"] + records[0]["idle"] == 300' show mappings --origin implicit)" True \
	"it ends by its idle time"
expect_equal "$(of '[(m["external"], m["internal"], m["remaining"], m["client"], m["subscriber"]) for m in records]' show mappings --origin static)" \
	"[('192.0.2.3:7777', '198.51.100.2:7000', None, None, '198.51.100.2')]" "the static mapping never ends"
expect_equal "$(of 'sorted(m["origin"][0] for m in records)' show mappings --subscriber 198.51.100.2)" "['map', 'static']" "all of one subscriber"
expect_equal "$(of 'any("nonce" in m for m in records)' show mappings)" False "nonces are not told"
expect_equal "$(of 'records[0]["nonce"]' show mappings --origin map --nonces)" 00112233445566778899aabb "unless asked for"

# ---- what is counted ----
pcp fill 400 lifetime=600 > /dev/null
expect_equal "$(of 'len(records), is_ordered(records), len({(m["internal"], m["protocol"]) for m in records})' show mappings)" "(403, True, 403)" \
	"all mappings, in the total order, each once"
expect_equal "$(of 'len(records)' show mappings --limit 7)" 7 "--limit"
expect_equal "$(of 'len(records)' show mappings --protocol tcp --protocol icmp)" 1 "--protocol"
expect_equal "$(of 'len(records)' show mappings --origin map --origin implicit)" 402 "--origin"
expect_equal "$(of 'records[0]["mappings"]' status)" "{'explicit': 402, 'implicit': 1, 'limit': 100000}" "status counts the same"
sum='sum(sum(r["used"].values()) for r in records), sum(sum(r["explicit"].values()) for r in records)'
expect_equal "$(of "$sum" show pools)" "(403, 402)" "show pools counts the same"
expect_equal "$(of "$sum" show blocks)" "(403, 402)" "show blocks counts the same"
expect_equal "$(of '[(r["subscriber"], sum(r["used"].values()), r["explicit"]["used"], r["blocks"]) for r in records]' show subscribers)" \
	"[('198.51.100.2', 201, 201, {'used': 1, 'limit': 8}), ('198.51.100.3', 201, 200, {'used': 1, 'limit': 8})]" "show subscribers counts the same"
expect_equal "$(of 'set(r["owner"] for r in records) == {"operator", "198.51.100.2", "198.51.100.3"}, len(records)' show blocks)" "(True, 3)" \
	"owners of blocks"
expect_equal "$(of 'len(records), len({r["verdict"] for r in records}) == len(records), all(r["text"] for r in records)' show stats | cut -d, -f2-)" \
	" True, True)" "every verdict once, with its meaning"
expect_equal "$(ctl show mappings | wc -l)" 404 "the table has a header and as many lines"
expect_exit 2 "stdout that cannot be written" bash -c 'nsenter --net="$1" "$2" -c "$3" show mappings > /dev/full' - "/run/netns/$LAB_PREFIX-cgn" "$XCGNCTL" "$config"

# ---- listing while everything changes: no snapshot, but no record may mix two mappings ----
churn()
{
	local _

	for _ in {1..5}; do
		pcp fill 500 lifetime=0 > /dev/null
		pcp fill 500 lifetime=600 > /dev/null
	done
	echo finished
}
churn > "$scratch/churn" 2>&1 &
jobs+=($!)
lists=0
until says "$scratch/churn" finished; do
	kill -0 $! 2> /dev/null || says "$scratch/churn" finished || fail "churn: $(cat "$scratch/churn")"
	expect_equal "$(of 'is_ordered(records) and all(is_filled(m) is not False for m in records)' show mappings --nonces --origin map --protocol udp)" \
		True "sound while mappings come and go" > /dev/null
	lists=$((lists + 1))
done
((lists > 0)) || fail "nothing was listed meanwhile"
expect_equal "$(of 'len(records), all(is_filled(m) for m in records)' show mappings --nonces --origin map --protocol udp)" "(500, True)" "and at the end"
note "sound in each of $lists listings while mappings came and went"

# ---- a dead daemon ----
endpoints='[(m["external"], m["internal"], m["origin"], m["client"]) for m in records]'
before=$(of "$endpoints" show mappings)
expect_exit 3 "purge while xcgnd runs" ctl purge
stop_xcgnd KILL
expect_exit 3 "status without xcgnd" ctl status
status=$(ctl -j status 2> /dev/null || true)
expect_equal "$(/usr/bin/python3 "$lib/records.py" '[records[0][n] for n in ("pid", "uptime", "attached")]' <<< "$status")" \
	"[None, None, ['in0', 'out0']]" "status tells the rest all the same"
[[ $(of "$endpoints" show mappings) == "$before" ]] || fail "show mappings says something else without xcgnd"
note "show mappings says the same without xcgnd"
chmod 755 "$dir" && chmod 644 "$config"
expect_exit 2 "without privileges" setpriv --reuid 65534 --clear-groups "$XCGNCTL" -c "$config" show mappings
expect_match "$output" root "and says who may"

# ---- the end ----
expect_exit 3 "purge while attached" ctl purge
expect_match "$output" "xcgnctl detach" "and says what to do"
expect_exit 3 "purge from another network namespace" "$XCGNCTL" -c "$config" purge
expect_match "$output" "its network namespace" "and says where"
[[ $(of "$endpoints" show mappings) == "$before" ]] || fail "a refused purge removed something"
expect_exit 0 "detach" ctl detach
expect_exit 0 "purge" ctl purge
[[ ! -e $pins ]] || fail "$pins is still there"
expect_exit 3 "purge of nothing" ctl purge
