#!/bin/bash
# DI.9, RFC 7488 section 4 and RFC 6887 sections 8.5, 11.2: a host with two uplinks keeps its mappings with the PCP servers of both at
# once. What befalls one of them is nothing to the other; the client's one file has the tables of both.
#   peer ──── out0 cgn in0 ─────── host0 host host1 ─────── in0 two out0      two: 198.51.101.1, .254 │ pool 192.0.2.128/28
#                       198.51.100.2,.3   198.51.101.2
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
# shellcheck source=tests/lib/keep.sh
. "$lib/keep.sh"

two=$LAB_PREFIX-two two_dir=$scratch/two two_log=$scratch/two.log two_pins=/sys/fs/bpf/xcgn-$LAB_PREFIX-two two_pid=
end_two()
{
	local code=$?

	[[ -z $two_pid ]] || kill -9 "$two_pid" 2> /dev/null || true
	ip netns del "$two" 2> /dev/null || true
	rm -rf "$two_pins"
	set +e	# cleanup is told how it ended, and must come
	(exit "$code")
	cleanup
}
trap end_two EXIT

make_two()
{
	ip netns add "$two"
	ip -n "$two" link set lo up
	ip link add in0 netns "$two" type veth peer name host1 netns "$LAB_PREFIX-host"
	ip link add out0 netns "$two" type veth peer name out1 netns "$two"
	ip -n "$LAB_PREFIX-host" address add 198.51.101.2/24 dev host1
	ip -n "$two" address add 198.51.101.1/24 dev in0
	ip -n "$two" address add 198.51.101.254/24 dev in0
	for nic in in0 out0 out1; do
		ip -n "$two" link set $nic up
	done
	ip -n "$LAB_PREFIX-host" link set host1 up
	mkdir "$two_dir"
	cat > "$two_dir/xcgn.yaml" << YAML
interfaces: [{name: in0, side: internal}, {name: out0, side: external}]
pools: [{name: main, addresses: [192.0.2.128/28]}]
subscribers: {prefixes: [198.51.101.0/24]}
tables: {mappings: 10000, subscribers: 1024}
state-dir: $two_dir/state
pin-dir: $two_pins
control: $two_dir/control.sock
pcp: {listen: [198.51.101.1]}
YAML
}
in_two() { nsenter --net="/run/netns/$two" "$@"; }
ctl_two() { in_two "$B/xcgnctl" -c "$two_dir/xcgn.yaml" "$@"; }
start_two()
{
	(exec nsenter --net="/run/netns/$two" "$B/xcgnd" -c "$two_dir/xcgn.yaml" >> "$two_log" 2>&1 < /dev/null) &
	two_pid=$!
	jobs+=("$two_pid")
	wait_for eval "ctl_two -j status | grep -q '\"pid\": *$two_pid'"
}
kill_two()
{
	kill -9 "$two_pid"
	wait "$two_pid" 2> /dev/null || true
	two_pid=
}
# Any change of the host's addresses has a server that is silent asked at once, instead of in half a minute.
stir()
{
	ip -n "$LAB_PREFIX-host" address add 198.51.101.77/24 dev host1
	ip -n "$LAB_PREFIX-host" address del 198.51.101.77/24 dev host1
}
# RFC 6887 section 8.5 cannot tell a server that began anew from one that had just begun.
two_is_old() { ctl_two -j status | grep -qE '"epoch": *([6-9]|[1-9][0-9]+),'; }
two_has() { ctl_two -j show mappings | grep -q "\"internal\":\"$1\""; }
maps_on() { tshark -r "$scratch/$1.pcap" -Y "portcontrol.r == 0 && portcontrol.opcode == 1" 2> /dev/null | wc -l; }
both()
{
	keep_wants "hook: [$scratch/hook]" "named-servers:" "  - {name: one, addresses: [198.51.100.1]}" \
		"${1-  - {name: two, addresses: [198.51.101.254, 198.51.101.1]\}}" << YAML
{protocol: udp, port: 5060, lifetime: 600}
{protocol: tcp, port: 8080, servers: [one]}
${2:-"{protocol: tcp, port: 8080, external: \":20000\", servers: [two]}"}
YAML
}

ready <<< "pcp: {listen: [198.51.100.1]}"
make_two
start_two
printf '#!/bin/bash\necho "$PCPC_EVENT $PCPC_INTERNAL_PORT $PCPC_SERVER_NAME $PCPC_SERVER" >> "%s/hook.out"\n' "$scratch" > "$scratch/hook"
chmod +x "$scratch/hook"

# One server, in a file as of ever. The same file with a name for it, and another server beside it, goes on with what there is.
keep_wants "servers: [198.51.100.1]" << YAML
{protocol: udp, port: 5060, lifetime: 600}
{protocol: tcp, port: 8080}
YAML
start_keep
await "created udp 198.51.100.2:5060 = 192.0.2"
await "created tcp 198.51.100.2:8080 = 192.0.2"
udp=$(external_of "udp 198.51.100.2:5060") tcp=$(external_of "tcp 198.51.100.2:8080")
stop_keep
both
capture_anew
start_keep
await "kept udp 198.51.100.2:5060 = $udp .*server 198.51.100.1:5351 name one"
await "kept tcp 198.51.100.2:8080 = $tcp .*name one"
await "created udp 198.51.101.2:5060 = 192.0.2.1[2-4][0-9]:.*server 198.51.101.1:5351 name two"
await "created tcp 198.51.101.2:8080 = 192.0.2.1[2-4][0-9]:20000 .*name two"
udp_two=$(external_of "udp 198.51.101.2:5060")
finish "$keep_capture"
expect_equal "$(maps_on host0)" 0 "renamed: mappings asked for anew"
wait_for says "$scratch/hook.out" "^created 5060 two 198.51.101.1:5351"
says "$scratch/hook.out" "^server-silent *two 198.51.101.254:5351" || fail "the address where nobody listens: $(cat "$scratch/hook.out")"
note "the hook is told which server"
expect_differ "$(nonce_of 198.51.100.2:5060)" \
	"$(ctl_two -j show mappings --nonces | sed -nE 's/.*"internal":"198.51.101.2:5060".*"nonce":"([^"]*)".*/\1/p')" "a nonce for each server"

# One of them forgets everything. It says so to all hosts; only its mappings are asked for again, at their endpoints.
wait_for two_is_old
kill_two
rm -rf "$two_dir/state" "$two_pins"
capture_anew
one_before=$(grep -c "name one" "$keep_out")
start_two
await "epoch-reset .*name two"
await "renewed udp 198.51.101.2:5060 = $udp_two .*name two"
await "renewed tcp 198.51.101.2:8080 = 192.0.2.1[2-4][0-9]:20000 .*name two"
two_has 198.51.101.2:5060 && two_has 198.51.101.2:8080 || fail "the server has not both again"
finish "$keep_capture"
expect_equal "$(maps_on host0)" 0 "the other server was asked for mappings"
expect_equal "$(grep -c "name one" "$keep_out")" "$one_before" "events of the other server, as before"

# One is down, and the client starts from its file: the other's mappings stand at once; when the one is back, its mappings stand, too.
kill_two
stop_keep KILL
background host "$keep_out" "$B/pcpc" -j keep "$keep_file"
keep_pid=$job
begin=$EPOCHREALTIME
wait_for says "$keep_out" "\"event\":\"kept\".*\"internal\":\"198.51.100.2:5060\",\"external\":\"$udp\".*\"server_name\":\"one\""
wait_for says "$keep_out" "\"event\":\"kept\".*\"internal\":\"198.51.100.2:8080\",\"external\":\"$tcp\""
awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { exit !(b - a < 2) }' || fail "the server that is down held up the other"
note "one down: the other's mappings stand within 2 s of the start"
start_two
stir
wait_for says "$keep_out" "\"event\":\"kept\".*\"internal\":\"198.51.101.2:5060\",\"external\":\"$udp_two\".*\"server_name\":\"two\""
expect_equal "$(grep -cE '"(changed|created|lost|epoch-reset)"' "$keep_out" || true)" 0 "and those of the one when it is back; news"
stop_keep

# Taken out of the file: its mappings are deleted there, although it is down at first; the other has no news.
start_keep
await "kept udp 198.51.100.2:5060"
await "kept udp 198.51.101.2:5060"
kill_two
both "" "{protocol: udp, port: 6000}"
reload_keep
await "created udp 198.51.100.2:6000"
stop_keep
start_keep
await "kept udp 198.51.100.2:6000"
start_two
stir
await "deleted udp 198.51.101.2:5060 .*name two"
await "deleted tcp 198.51.101.2:8080 .*name two"
expect_equal "$(ctl_two -j show mappings --origin map | wc -l)" 0 "no mapping is left at the server that left"
expect_equal "$(grep -E 'name one' "$keep_out" | grep -vcE ' kept ' || true)" 0 "news of the other server"
has_mapping 198.51.100.2:5060 || fail "the mapping of the other server is gone"
wait_for says "$keep_out" "two: left"
