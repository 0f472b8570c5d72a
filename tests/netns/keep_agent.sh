#!/bin/bash
# pcpc keep as its manual has it: hook, JSON, a table that is not ours, other servers, an interface, one process, quiet, the end.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1, .254  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
# shellcheck source=tests/lib/keep.sh
. "$lib/keep.sh"

ready <<< "pcp: {listen: [198.51.100.1], lifetime: {min: 1, max: 86400}}"
ip -n "$LAB_PREFIX-cgn" address add 198.51.100.254/24 dev in0

# What is wrong in a file is said with its line; the sample is right.
printf 'state: x\nmappings:\n  - {protocol: tcp, port: 70000}\n' > "$scratch/bad.yaml"
expect_exit 1 "a bad file" "$B/pcpc" keep "$scratch/bad.yaml"
expect_match "$output" "bad.yaml:3: mappings\[0\].port: 70000; right is 1 to 65535" "names line, key, and what would be right"
expect_exit 0 "the sample file" "$B/pcpc" keep --check "$root/scripts/keep.yaml"

# A hook that hangs, with a child that hangs: both are killed, and the next event has its turn.
cat > "$scratch/hook" << 'HOOK'
#!/bin/bash
echo "$PCPC_EVENT $PCPC_PROTOCOL $PCPC_INTERNAL_PORT" >> "$(dirname "$0")/hook.out"
[[ $PCPC_INTERNAL_PORT != 5060 ]] || { sleep 1000 & echo $! > "$(dirname "$0")/child"; wait; }
HOOK
chmod +x "$scratch/hook"
mkdir "$scratch/keep"
echo "somebody's notes" > "$keep_state"
keep_wants "servers: [198.51.100.254, 198.51.100.1]" "interface: host0" "hook: [$scratch/hook]" "hook-timeout: 1" "release: true" << YAML
{protocol: udp, port: 5060, lifetime: 600}
{protocol: tcp, port: 8080, lifetime: 600, external: ":20000", prefer-failure: true}
YAML
begin=$EPOCHREALTIME
background host "$keep_out" "$B/pcpc" -j keep "$keep_file"
keep_pid=$job
wait_for says "$keep_out" '"event":"created".*"internal":"198.51.100.2:5060"'
note "the address where nobody listens is left at once: $(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }') s to the first mapping"
wait_for says "$keep_out" '"event":"created".*"protocol":"tcp","internal":"198.51.100.2:8080","external":"192.0.2.[0-9]*:20000"'
grep '^{' "$keep_out" | /usr/bin/python3 -c 'import json, sys; print(sum(1 for line in sys.stdin if json.loads(line)["event"]))' > "$scratch/parsed"
expect_equal "$(cat "$scratch/parsed")" "$(grep -c '^{' "$keep_out")" "every event is JSON"
says "$keep_out" "torn, or not written by pcpc keep; set aside as .bad" || fail "the foreign table is not spoken of: $(cat "$keep_out")"
expect_equal "$(cat "$keep_state.bad")" "somebody's notes" "what was no table was set aside"
wait_for says "$scratch/hook.out" "created tcp 8080"
wait_for says "$keep_out" "hook: not done after 1 s: killed"
child_ended() { ! kill -0 "$(cat "$scratch/child")"; }
wait_for child_ended
note "the hook that hung was killed with its child, the next one ran"

# Asleep: no turn of the loop while nothing happens, but for an announcement of the young server, or the end of a hook.
ticks() { awk '{ print $14 + $15 }' "/proc/$keep_pid/stat"; }
switches() { awk '/^voluntary/ { print $2 }' "/proc/$keep_pid/status"; }
first=$(ticks) first_switches=$(switches)
pcp announce > /dev/null
begin=${EPOCHREALTIME/./}
two_seconds() { ((${EPOCHREALTIME/./} - begin > 2000000)); }
wait_for two_seconds
took=$(($(ticks) - first)) woken=$(($(switches) - first_switches))
((took <= 1 && woken <= 4)) || fail "two seconds of nothing: $took clock ticks, $woken wake-ups"
note "two seconds of nothing: $took clock ticks, $woken wake-ups"

stop_keep
wait_for says "$keep_out" '"event":"deleted".*8080'
expect_equal "$(ctl -j show mappings --origin map | wc -l)" 0 "release: no mapping is left"

# Nobody reads the events: they are dropped, the mappings are kept.
keep_wants "servers: [198.51.100.1]" << YAML
{protocol: udp, port: 6000, lifetime: 4}
YAML
mkfifo "$scratch/pipe"
exec 9<> "$scratch/pipe"
dd if=/dev/zero of="$scratch/pipe" bs=4096 count=64 oflag=nonblock 2> /dev/null || true
(exec nsenter --net="/run/netns/$LAB_PREFIX-host" "$B/pcpc" keep "$keep_file" > "$scratch/pipe" 2> "$scratch/full.err") &
jobs+=($!)
keep_pid=$!
wait_for says "$scratch/full.err" "nobody reads the events"
wait_for has_mapping 198.51.100.2:6000
before=$EPOCHREALTIME
later() { awk -v a="$before" -v b="$EPOCHREALTIME" 'BEGIN { exit !(b - a > 6) }'; }
wait_for later
has_mapping 198.51.100.2:6000 || fail "the mapping was not renewed"
note "nobody reads: renewed all the same"
stop_keep
exec 9>&-
