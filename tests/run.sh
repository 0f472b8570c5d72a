#!/bin/bash
# Runs the tests of the kinds named, one line each, and closes with 'N passed, N failed, N skipped'.
#   tests/run.sh KIND…        KIND: unit, fuzz, bpf (programs in $B) or netns (tests/netns/*.sh)
# Environment: B=build  ONLY=word (tests whose name holds it)  TEST_TIMEOUT=300 (seconds each)  TEST_LOGS=$B/logs
#              TEST_AGAIN=1 (a netns test that failed runs once more, and both are said: for machines that others use, too)
# A test says by its exit code how it went: 0 passed, 4 skipped (its last line says why), anything else failed.
set -uo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
export B=${B:-build}
[[ $B == /* ]] || B=$root/$B
logs=${TEST_LOGS:-$B/logs}
FUZZ_SECONDS=${FUZZ_SECONDS:-20}
passed=0 failed=0 skipped=0

# The names of the tests of a kind, from the sources: a stale program in $B is not a test.
list()
{
	case $1 in
	unit) names tests/unit/test_ .c ;;
	fuzz) names tests/fuzz/fuzz_ .c ;;
	bpf) names tests/bpf/bpf_ .c ;;
	netns) names tests/netns/ .sh ;;
	*) echo "tests/run.sh: kinds are unit, fuzz, bpf and netns, not '$1'" >&2; exit 1 ;;
	esac
}

names()
{
	local file

	for file in "$1"*"$2"; do
		[[ -e $file && $file == *"${ONLY:-}"* ]] && basename "$file" "$2"
	done
	return 0
}

run_unit() { cd tests && exec_limited "$B/tests/$1"; }
run_bpf() { exec_limited "$B/tests/$1"; }
run_netns() { exec_limited bash "tests/netns/$1.sh"; }
run_fuzz()
{
	mkdir -p "$B/corpus/$1"
	exec_limited "$B/fuzz/$1" -max_total_time="$FUZZ_SECONDS" -max_len=2048 -print_final_stats=1 -verbosity=0 \
		-artifact_prefix="$B/" "$B/corpus/$1" "tests/fuzz/corpus/$1"
}

# timeout signals the whole group of the test, so that what it started in the foreground ends with it.
exec_limited() { exec timeout -k 10 "${TEST_TIMEOUT:-300}" "$@"; }

run_one()
{
	local kind=$1 name=$2 log=$logs/$1-$2.log start=$EPOCHREALTIME code took

	("run_$kind" "$name") > "$log" 2>&1 < /dev/null
	code=$?
	took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }')
	# cmocka's exit code is the number of failed cases: four of them skip nothing.
	((code == 4)) && grep -q '^\[  FAILED  \]' "$log" && code=1
	case $code in
	0) passed=$((passed + 1)); echo "ok    $kind/$name  $took$(cases "$log")" ;;
	4) skipped=$((skipped + 1)); echo "skip  $kind/$name  $took  $(tail -n 1 "$log")" ;;
	*)
		if [[ $kind == netns && -n ${TEST_AGAIN:-} && -z ${is_again:-} ]]; then	# says so in a line of its own
			cp "$log" "$log.first"
			echo "again $kind/$name  $took  exit code $code; the end of $log.first:"
			tail -n 12 "$log" | sed 's/^/      | /'
			is_again=1 run_one "$kind" "$name"
			return
		fi
		failed=$((failed + 1))
		((code == 124 || code == 137)) && echo "the test did not end within ${TEST_TIMEOUT:-300} s" >> "$log"
		echo "FAIL  $kind/$name  $took  exit code $code; the end of $log:"
		tail -n 40 "$log" | sed 's/^/      | /'
		;;
	esac
}

# A cmocka program is one line here but many cases.
cases() { sed -nE 's/^\[  PASSED  \] ([0-9]+) test.*/  \1 cases/p' "$1" | tail -n 1; }

(($# > 0)) || { sed -n '2,6s/^# //p' "$0"; exit 1; }
for kind; do
	list "$kind" > /dev/null || exit 1
done
mkdir -p "$logs"
for kind; do
	for name in $(list "$kind"); do
		if [[ $kind == bpf || $kind == netns ]] && ((EUID != 0)); then
			skipped=$((skipped + 1))
			echo "skip  $kind/$name  needs root"
		else
			run_one "$kind" "$name"
		fi
	done
done
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
