# shellcheck shell=bash
# Sourced first by every tests/netns/*.sh: a lab of the test's own (scripts/lab.sh, named after its process), xcgnd in it, clients,
# assertions. What the test started is ended and removed when it ends, however it ends. A failed test shows xcgnd's log.
#
#   host ──────── in0 cgn out0 ──────── peer              pool 192.0.2.0/28
#   198.51.100.2,.3  .1      203.0.113.1   .9, .10
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
lib=$root/tests/lib
B=${B:-$root/build}
[[ $B == /* ]] || B=$root/$B
export XCGNCTL=$B/xcgnctl
export LAB_PREFIX=xt$$
lab=$root/scripts/lab.sh
dir=/run/xcgn-lab/$LAB_PREFIX
config=$dir/xcgn.yaml
# shellcheck disable=SC2034 # for tests that look below it
pins=/sys/fs/bpf/xcgn-$LAB_PREFIX
scratch=$(mktemp -d "/tmp/$LAB_PREFIX.XXXXXX")
log=$scratch/xcgnd.log
jobs=()			# what background() started
xcgnd_pid=

cleanup()
{
	local code=$? pid

	trap - EXIT
	if ((code != 0 && code != 4)) && [[ -s $log ]]; then
		echo "---- the end of xcgnd's log"
		tail -n 25 "$log"
	fi
	for pid in "${jobs[@]}"; do
		kill -9 "$pid" 2> /dev/null || true
		wait "$pid" 2> /dev/null || true	# says nothing of "Killed"
	done
	umount -l "$dir/state" 2> /dev/null || true	# what a test mounted there
	"$lab" down
	rm -rf "$scratch"
	exit "$code"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

skip() { echo "$1"; exit 4; }
fail() { echo "FAILED: $1" >&2; exit 1; }
note() { echo "   $1"; }

expect_equal()
{
	[[ $1 == "$2" ]] || fail "$3: got '$1', expected '$2'"
	note "$3: $1"
}

expect_differ()
{
	[[ $1 != "$2" ]] || fail "$3: both are '$1'"
	note "$3: $1, $2"
}

# expect_match TEXT REGEX WHAT
expect_match()
{
	[[ $1 =~ $2 ]] || fail "$3: got '$1', expected /$2/"
	note "$3"
}

# expect_exit CODE WHAT COMMAND…: its output, both streams, is then in $output
expect_exit()
{
	local wanted=$1 what=$2 code=0

	shift 2
	output=$("$@" 2>&1) || code=$?
	[[ $code == "$wanted" ]] || fail "$what: exit code $code instead of $wanted: $output"
	note "$what: exit code $code"
}

# Until the command succeeds, for ten seconds.
wait_for()
{
	local end=$((${EPOCHREALTIME/./} + ${WAIT_S:-10} * 1000000))

	until "$@" > /dev/null 2>&1; do
		((${EPOCHREALTIME/./} < end)) || fail "waited in vain for: $*"
		sleep 0.02
	done
}

# Has a file a line like this?
says() { grep -qE -- "$2" "$1"; }

# ---- the lab ----

in_ns()
{
	local ns=$1

	shift
	nsenter --net="/run/netns/$LAB_PREFIX-$ns" "$@"
}

# background NS FILE COMMAND…: its process is then in $job, its output in FILE
background()
{
	local ns=$1 file=$2

	shift 2
	(exec nsenter --net="/run/netns/$LAB_PREFIX-$ns" "$@" > "$file" 2>&1 < /dev/null) &
	job=$!
	jobs+=("$job")
}

# Ends a job of ours and waits for it, so that its output is whole.
finish()
{
	kill -TERM "$1" 2> /dev/null || true
	wait "$1" 2> /dev/null || true
}

# topology [< extra configuration]
topology()
{
	((EUID == 0)) || skip "needs root"
	[[ -x $B/xcgnd && -x $B/xcgnctl ]] || fail "$B: build first"
	cat > "$scratch/extra.yaml"
	"$lab" up "$scratch/extra.yaml"
}

# A start loads the programs, which on a busy machine takes the verifier its time.
start_xcgnd()
{
	background cgn "$log" "$B/xcgnd" -c "$config"
	xcgnd_pid=$job
	WAIT_S=40 wait_for status_has "\"pid\": *$xcgnd_pid"
}

stop_xcgnd()
{
	kill "-${1:-TERM}" "$xcgnd_pid"
	wait "$xcgnd_pid" 2> /dev/null || true
	xcgnd_pid=
}

attach() { in_ns cgn "$root/scripts/attach.sh" "$config"; }
detach() { in_ns cgn "$root/scripts/detach.sh" "$config"; }
ctl() { in_ns cgn "$B/xcgnctl" -c "$config" "$@"; }
status_has() { ctl -j status | grep -qE "$1"; }

# The lab, xcgnd in it, its programs attached.
ready()
{
	topology
	start_xcgnd
	attach
}

# ---- clients and servers ----

pcp() { in_ns host /usr/bin/python3 "$lib/pcp.py" "$@"; }
probe() { in_ns "$1" /usr/bin/python3 "$lib/probe.py" "${@:2}"; }

# start_reflector NS ENDPOINT…: every UDP datagram and TCP connection to it is told where it comes from
start_reflector()
{
	local ns=$1 file=$scratch/reflector-${#jobs[@]}.out

	background "$ns" "$file" /usr/bin/python3 "$lib/reflector.py" "${@:2}"
	wait_for says "$file" ready
}

# start_capture NS NIC FILTER: frames from now on into $scratch/NIC.pcap
start_capture()
{
	background "$1" "$scratch/$2.log" tcpdump -i "$2" -U --immediate-mode -n -w "$scratch/$2.pcap" "$3"
	wait_for says "$scratch/$2.log" "listening on"
}

# The value of one field "name=value" of a line.
field() { sed -nE "s/(^|.* )$2=([^ ]*).*/\2/p" <<< "$1"; }

# Packets that had this verdict.
counted() { ctl -j show stats | /usr/bin/python3 "$lib/count.py" "$1"; }
