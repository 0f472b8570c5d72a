#!/bin/bash
# What the kernel's verifier said of each program of a BPF object.
#   scripts/verifier-report.sh [OBJECT]        (build/xcgn.bpf.o; root)
# Columns: instructions that the verifier processed, of its limit of a million; instructions and bytes of machine code; deepest stack of
# a chain of calls' functions, each up to 512 bytes; time. Exit: 0, 1 if a program is beyond LIMIT (200000) or none loads, 2 usage or privileges.
set -euo pipefail

object=${1:-build/xcgn.bpf.o}
limit=${LIMIT:-200000}
bpftool=${BPFTOOL:-$(command -v /usr/sbin/bpftool || command -v bpftool || true)}
pins=/sys/fs/bpf/xcgn-verifier-$$
log=$(mktemp)
# shellcheck disable=SC2317	# by trap
cleanup()
{
	rm -rf "$pins"
	rm -f "$log"
}
trap cleanup EXIT

fail() { echo "verifier-report: $2" >&2; exit "$1"; }

[[ -r $object ]] || fail 2 "$object: no such object; \`make bpf\` builds it"
((EUID == 0)) || fail 2 "needs root: only the kernel knows"
[[ -n $bpftool ]] || fail 2 "needs bpftool"
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf || fail 2 "/sys/fs/bpf: cannot mount bpffs"
mkdir "$pins"
if ! "$bpftool" -d prog loadall "$object" "$pins" > "$log" 2>&1; then
	grep -aE '^(libbpf: )?(Error|failed|.*failed to)' "$log" | tail -n 5 >&2
	fail 1 "$object does not load"
fi

# Of the kernel: bytes of instructions and of machine code.
sizes()
{
	"$bpftool" -j prog show pinned "$pins/$1" | sed -nE 's/.*"bytes_xlated":([0-9]+).*"bytes_jited":([0-9]+).*/\1 \2/p'
}

printf '%-16s %10s %7s %7s %9s %6s %9s\n' program processed 'of max' insns 'jited B' stack ms
worst=0 programs=0
while read -r program processed most stack micros; do
	read -r xlated jited < <(sizes "$program")
	printf '%-16s %10d %6d%% %7d %9d %6d %9d\n' "$program" "$processed" $((processed * 100 / most)) $((xlated / 8)) "$jited" "$stack" $((micros / 1000))
	programs=$((programs + 1))
	((processed <= worst)) || worst=$processed
done < <(awk '
	match($0, /prog .[a-z_0-9]+.: -- BEGIN PROG LOAD LOG/) { split($0, part, "\47"); program = part[2]; stack = micros = 0 }
	/^verification time/ { micros = $3 }
	/^stack depth/ { n = split($3, depth, "+"); for (i = 1; i <= n; i++) if (depth[i] > stack) stack = depth[i] }
	/^processed [0-9]+ insns/ { split($0, part, /[()]/); split(part[2], of, " "); print program, $2, of[2], stack, micros }' "$log")
((programs > 0)) || fail 1 "the log of bpftool has no figures"
echo "$programs programs; the largest has $worst of $limit instructions allowed here"
((worst <= limit)) || fail 1 "a program is beyond $limit processed instructions"
