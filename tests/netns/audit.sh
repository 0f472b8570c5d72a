#!/bin/bash
# RFC 6888 REQ-12 and REQ-14: who had which external ports when is recorded, a block at a time: by syslog (RFC 5424), and in a file
# that `xcgnctl who` asks. What was lost is counted and found again; a full disk stops neither packets nor requests.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

topology << YAML
pools: [{name: main, addresses: [192.0.2.0/31], block-size: 64}]
subscribers: {prefixes: [198.51.100.0/24], blocks: 1, reserve: 0}
log: {syslog: "udp:198.51.100.2:5514"}
YAML
background host "$scratch/syslog.out" /usr/bin/python3 -uc '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("198.51.100.2", 5514)); print("listening")
while True: print(s.recv(2048).decode())'
wait_for says "$scratch/syslog.out" listening
start_xcgnd
attach
start_reflector peer 203.0.113.9:3478
said() { /usr/bin/python3 -c 'import json, sys; print(json.loads(sys.stdin.read())[sys.argv[1]])' "$1" <<< "$2"; }
who() { said subscriber "$(ctl -j who "$@")"; }
day() { ls "$dir"/state/audit/*.sqlite | tail -n 1; }
sql() { /usr/bin/python3 -c 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=5); print(*(r[0] for r in c.execute(sys.argv[2]))); c.commit()' "$(day)" "$1"; }
rows() { [[ $(sql "SELECT count(*) FROM block WHERE event = '$1' AND subscriber = '$2'") == "$3" ]]; }
log_says() { status_has "\"log\": *\{.*\"$1\": *$2"; }

external=$(probe host udp 198.51.100.2:6005 203.0.113.9:3478)
made=$(pcp map tcp 6000 lifetime=3600 source=198.51.100.3:45000)
other=$(field "$made" external)
now=$(ctl -j who "$external")
expect_equal "$(said subscriber "$now") $(said source "$now")" "198.51.100.2 tables" "who has $external: by the tables"
expect_match "$now" '"internal": *"198.51.100.2:6005"' "with the mapping"
expect_equal "$(who "$other")" 198.51.100.3 "who has $other"
wait_for rows allocated 198.51.100.2 1
wait_for rows allocated 198.51.100.3 1
note "the audit file of the day has both"
wait_for says "$scratch/syslog.out" "BLOCK-ALLOCATED \[xcgn@32473 subscriber=\"198.51.100.2\" external=\"${external%:*}\" first-port="
expect_match "$(grep -m 1 ALLOCATED "$scratch/syslog.out")" '^<134>1 20[0-9-]*T[0-9:]*Z [^ ]* xcgnd [0-9]* BLOCK-ALLOCATED \[xcgn@32473 [^]]*\]$' "syslog has it in the form of RFC 5424"
expect_equal "$(grep -c 203.0.113 "$scratch/syslog.out" || true)" 0 "no destination is logged"

# Given back: nobody's now, and his at that time.
at=$(sql "SELECT time FROM block WHERE subscriber = '198.51.100.2'")
past() { (($(date +%s) > at + 1)); }	# times are whole seconds of two clocks, and in the one in which it is given back it is nobody's
wait_for past
ctl clear --subscriber 198.51.100.2 > /dev/null
wait_for rows released 198.51.100.2 1
expect_equal "$(who "$external") $(said last_subscriber "$(ctl -j who "$external")")" "None 198.51.100.2" "given back: nobody's, and whose it was"
then=$(ctl -j who "$external" --at "$at")
expect_equal "$(said subscriber "$then") $(said source "$then")" "198.51.100.2 audit" "by the file: whose it was then"
expect_equal "$(who "$external" --at "$(date -u -d "@$at" +%Y-%m-%dT%H:%M:%SZ)")" 198.51.100.2 "the same, asked in UTC"
expect_equal "$(who "$external" --at $((at - 5)))" None "and before that nobody's"
wait_for says "$scratch/syslog.out" "BLOCK-RELEASED"
in_ns host /usr/bin/python3 "$lib/flows.py" 198.51.100.2 20000 80 203.0.113.9:3478
wait_for says "$scratch/syslog.out" '^<132>1 .* QUOTA \[xcgn@32473 subscriber="198.51.100.2"\]'
note "the quota is reported"
expect_equal "$(sql "SELECT DISTINCT subscriber FROM refusal WHERE event = 'quota'")" 198.51.100.2 "in the file too"

# A lost record is found again: one owner is not in the file, another is in it who has nothing.
stop_xcgnd KILL
sql "DELETE FROM block WHERE subscriber = '198.51.100.3'"
sql "INSERT INTO block VALUES('192.0.2.0', 1024, $at, 1, 'allocated', 1087, '198.51.100.77')"
expect_equal "$(who "$other")" 198.51.100.3 "without xcgnd the tables answer"
start_xcgnd
wait_for rows allocated 198.51.100.3 1
wait_for rows released 198.51.100.77 1
wait_for log_says repaired 2
note "compared with the tables' blocks: both are put right, and counted"

# The disk is full.
stop_xcgnd
mkdir "$dir/full"
mount -t tmpfs -o size=8m,mode=0700 "xcgn-$$" "$dir/full"
sed -i "s|^state-dir:.*|state-dir: $dir/full|" "$config"
umount_full() { umount -l "$dir/full" 2> /dev/null || true; }
detach > /dev/null
ctl purge
start_xcgnd
attach
wait_for log_says failing true
external=$(probe host udp 198.51.100.2:6005 203.0.113.9:3478)
expect_match "$external" '^192\.0\.2\.' "with no room for log records packets are translated"
expect_equal "$(field "$(pcp map udp 6001 source=198.51.100.3)" result)" 0 "and requests answered"
wait_for says "$log" "less than 32 MiB are free"
wait_for says "$scratch/syslog.out" "first-port=\"$(((${external##*:} - 1024) / 64 * 64 + 1024))\""
note "syslog has the records"
mount -o remount,size=128m "$dir/full"
WAIT_S=15 wait_for log_says failing false
day() { ls "$dir"/full/audit/*.sqlite | tail -n 1; }
wait_for rows allocated 198.51.100.2 1
wait_for rows allocated 198.51.100.3 1
note "with room again the file has those that were lost"
expect_exit 3 "no file reaches back" ctl who "$external" --at 1000000
expect_exit 1 "the future" ctl who "$external" --at 4000000000
expect_exit 1 "no time" ctl who "$external" --at yesterday
expect_exit 1 "no port" ctl who 192.0.2.1
stop_xcgnd
umount_full
