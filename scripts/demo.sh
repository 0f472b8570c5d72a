#!/bin/bash
# usage: demo.sh
# xcgn's main job in a lab of network namespaces on this machine (lab.sh), step by step: a mapping asked by PCP, a connection from outside
# through it, the host's own GET listing, kill -9 of the daemon in the middle, new flows without it, the restart, the same listing. Every
# step is checked; the first that does not hold ends it with exit code 1. Everything is removed at the end.
# Environment: B=build (the programs)  LAB_PREFIX=xl (names of the namespaces)
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
B=${B:-$root/build}
[[ $B == /* ]] || B=$root/$B
export XCGNCTL=$B/xcgnctl LAB_PREFIX=${LAB_PREFIX:-xl}
PATH=$B:$PATH:/usr/sbin
lab=$root/scripts/lab.sh
config=/run/xcgn-lab/$LAB_PREFIX/xcgn.yaml
pins=/sys/fs/bpf/xcgn-$LAB_PREFIX
scratch=$(mktemp -d)
jobs=() step=0 files=0 daemon=

cleanup()
{
	local code=$?

	trap - EXIT
	((code == 0)) || [[ ! -s $scratch/xcgnd.log ]] || sed 's/^/   xcgnd.log | /' "$scratch/xcgnd.log"
	end_jobs
	[[ -z ${is_up:-} ]] || "$lab" down
	rm -rf "$scratch"
	((code == 0)) || echo "demo: failed in step $step" >&2
	exit "$code"
}

end_jobs()
{
	local pid

	for pid in "${jobs[@]}"; do
		kill -9 "$pid" 2> /dev/null || true
		wait "$pid" 2> /dev/null || true
	done
	jobs=()
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# ---- saying and doing ----

step() { step=$((step + 1)); printf '\n== %d. %s\n' $step "$1"; }
say() { echo "   $1"; }
fail() { echo "   DOES NOT HOLD: $1" >&2; exit 1; }
indent() { sed 's/^/   | /'; }
in_ns() { nsenter --net="/run/netns/$LAB_PREFIX-$1" "${@:2}"; }

# Shows a command as one would type it in that namespace, and runs it.
run()
{
	printf '   %s$ %s\n' "$1" "$(sed -e "s,$config,xcgn.yaml,g" -e "s,$root/,,g" <<< "${*:2}")"
	in_ns "$@" 2>&1 | indent
	return "${PIPESTATUS[0]}"
}

# background NS COMMAND…: its process is then in $job
background()
{
	(exec nsenter --net="/run/netns/$LAB_PREFIX-$1" "${@:2}") <&0 &	# else its input would be /dev/null
	job=$!
	jobs+=("$job")
}

wait_for()
{
	local end=$((SECONDS + 10))

	until "$@" > /dev/null 2>&1; do
		((SECONDS < end)) || fail "waited in vain for: $*"
		sleep 0.02
	done
}

ctl() { in_ns cgn xcgnctl -c "$config" "$@"; }
# What the host itself can read back by GET, without what counts time.
listing() { in_ns host pcpc -j -s 198.51.100.1 -S 198.51.100.2 get | grep '"external"' | sed -E 's/"(remaining|lifetime|epoch)": *[^,}]*,?//g'; }
# The response to GET as it is on the wire, but for what counts time.
decoded()
{
	in_ns host pcpc --trace -s 198.51.100.1 -S 198.51.100.2 get 2>&1 > /dev/null |
		sed -n '/^<-- /,$p' | grep -v " epoch \| remaining lifetime "
}
# The external endpoint of a port of the host.
held() { ctl -j show mappings --origin map --protocol tcp | grep "\"198.51.100.2:$1\"" | member external; }
member() { sed -nE "s/.*\"$1\": *\"?([^\",}]*).*/\1/p"; }

# ---- the daemon ----

start_daemon()
{
	background cgn xcgnd -c "$config" >> "$scratch/xcgnd.log" 2>&1
	daemon=$job
	wait_for ctl status
	say "xcgnd is process $daemon"
}

# All that was promised to clients, without what counts time.
promises() { ctl -j show mappings --nonces --origin map | sed -E 's/"(remaining|idle|created)": *[^,}]*,?//g'; }

# ---- one TCP connection, from the peer outside to the host inside ----

open_connection()
{
	local address=${external%:*} port=${external##*:}

	mkfifo "$scratch/host.in" "$scratch/peer.in"
	exec {to_peer}<> "$scratch/host.in" {to_host}<> "$scratch/peer.in"	# for both: opening waits for nobody
	background host nc -n -l 198.51.100.2 8080 < "$scratch/host.in" > "$scratch/host.out"
	wait_for listening
	background peer nc -n "$address" "$port" < "$scratch/peer.in" > "$scratch/peer.out"
}

listening() { in_ns host ss -Hltn 'sport = 8080' | grep -q LISTEN; }
got() { grep -qxF -- "$2" "$scratch/$1.out"; }

# One line each way over the open connection.
talk()
{
	echo "$1" >&"$to_host"
	wait_for got host "$1"
	echo "yes: $1" >&"$to_peer"
	wait_for got peer "yes: $1"
	say "peer says: $1 · host answers: yes: $1"
}

# A megabyte and its sum. Each file has a line with its number before it.
carry()
{
	files=$((files + 1))
	echo "file $files" >&"$to_host"
	base64 -w 76 "$scratch/payload" >&"$to_host"
	wait_for carried
	say "a file of $(wc -c < "$scratch/payload") bytes arrived, SHA-256 $(sha256sum < "$scratch/payload" | cut -c1-16)…"
}

carried() { sed "1,/^file $files\$/d" "$scratch/host.out" | base64 -d | cmp - "$scratch/payload"; }

# ---- the steps ----

((EUID == 0)) || { echo "demo: needs root" >&2; exit 1; }
for program in xcgnd xcgnctl pcpc; do
	[[ -x $B/$program ]] || { echo "demo: $B/$program is not built: make" >&2; exit 1; }
done
head -c 1000000 /dev/urandom > "$scratch/payload"

step "The lab: three network namespaces on this machine"
"$lab" up
is_up=yes
cat << EOT
    $LAB_PREFIX-host ──────── in0 $LAB_PREFIX-cgn out0 ──────── $LAB_PREFIX-peer        pool 192.0.2.0/28, routed by $LAB_PREFIX-peer to 203.0.113.1
    198.51.100.2,.3   .1          203.0.113.1   .9, .10
EOT

step "xcgnd makes the tables and serves PCP; attach.sh puts the translating programs on in0 and out0"
start_daemon
run cgn "$root/scripts/attach.sh" "$config"

step "A host asks for two TCP ports by PCP"
external=192.0.2.1:32654
run host pcpc -s 198.51.100.1 -S 198.51.100.2 map tcp 8080 --external "$external" --lifetime 3600 --nonce 0102030405060708090a0b0c
run host pcpc -s 198.51.100.1 -S 198.51.100.2 map tcp 12354 --external 192.0.2.1:32655 --lifetime 1800
[[ $(held 8080) == "$external" && $(held 12354) == 192.0.2.1:32655 ]] || fail "not in the table: $(ctl -j show mappings)"

step "A connection from outside to $external reaches the host's port 8080"
open_connection
talk "hello from outside"
carry

step "What was promised: as the host reads it back by GET, by xcgnctl, and by the stock bpftool"
run host pcpc -s 198.51.100.1 -S 198.51.100.2 get
read_back=$(listing)
[[ $(wc -l <<< "$read_back") == 2 ]] || fail "GET does not list two mappings: $read_back"
say "the same as a message, decoded field by field: one response, two NEXT options, MORE and END"
run host pcpc --trace -s 198.51.100.1 -S 198.51.100.2 get
message=$(decoded)
[[ $(grep -o "(MORE)\|(END)" <<< "$message" | xargs) == "(MORE) (END)" ]] || fail "not one response with MORE and END: $message"
run cgn xcgnctl -c "$config" show mappings
before=$(promises)
printf '   cgn$ bpftool map dump pinned %s/mappings\n' "$pins"
bpftool map dump pinned "$pins/mappings" > "$scratch/dump"
head -n 32 "$scratch/dump" | indent
epoch=$(ctl -j status | member epoch)
at=$EPOCHREALTIME
say "the Epoch is $epoch s"

step "kill -9 of xcgnd"
kill -9 "$daemon"
wait "$daemon" 2> /dev/null || true
run cgn xcgnctl -c "$config" status || say "(exit code 3: xcgnd does not run)"
talk "still there after kill -9"
carry
[[ $(promises) == "$before" ]] || fail "the listing is another: $(promises)"
say "the tables hold what they held"

step "New flows without xcgnd: another host, which has no mapping yet"
run host ping -c 3 -i 0.2 -W 2 -I 198.51.100.3 203.0.113.9
run cgn xcgnctl -c "$config" show mappings --subscriber 198.51.100.3

step "The restart adopts the tables"
start_daemon
grep -h adopted "$scratch/xcgnd.log" | indent || fail "xcgnd does not say that it adopted them"
now=$(ctl -j status | member epoch)
passed=$(awk -v a="$at" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.0f", b - a }')
say "the Epoch was $epoch s and is $now s, $passed s later"
((now - epoch - passed <= 1 && passed - (now - epoch) <= 1)) || fail "the Epoch does not go on"
[[ $(promises) == "$before" ]] || fail "the listing is another: $(promises)"
run cgn xcgnctl -c "$config" show mappings --origin map
run host pcpc -s 198.51.100.1 -S 198.51.100.2 get
run host pcpc --trace -s 198.51.100.1 -S 198.51.100.2 get
[[ $(listing) == "$read_back" ]] || fail "GET lists other mappings: $(listing)"
[[ $(decoded) == "$message" ]] || fail "the response is another: $(decoded)"
say "the same listings as before the kill"

step "The host renews with its nonce, and nobody else can"
run host pcpc -s 198.51.100.1 -S 198.51.100.2 map tcp 8080 --lifetime 7200 --nonce 0102030405060708090a0b0c
[[ $(held 8080) == "$external" ]] || fail "another external endpoint"
! run host pcpc -s 198.51.100.1 -S 198.51.100.2 map tcp 8080 --lifetime 7200 --nonce ffffffffffffffffffffffff ||
	fail "another nonce was accepted"
talk "and the connection never noticed"

step "Everything is removed"
exec {to_host}>&- {to_peer}>&-
run cgn "$root/scripts/detach.sh" "$config"
kill "$daemon"
wait "$daemon" 2> /dev/null || true
run cgn xcgnctl -c "$config" purge
end_jobs
"$lab" down
is_up=
[[ ! -e $pins && ! -e /run/netns/$LAB_PREFIX-cgn ]] || fail "something is left"
printf '\ndemo: every step held\n'
