#!/bin/bash
# Design section 1: kill -9 of xcgnd loses no packet, no mapping, no nonce and no second of Epoch, and new flows work while it is dead.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# UDP at 3000 packets a second each way and a TCP connection from outside run through mappings all the while.
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready < /dev/null
start_reflector peer 203.0.113.9:3478
rate=3000

stream() { background "$1" "$scratch/$2.out" /usr/bin/python3 "$lib/stream.py" "${@:3}"; }
mappings() { ctl -j show mappings --nonces --origin map | sed -E 's/"(remaining|idle|created)": *[^,}]*,?//g' | sort; }
received() { [[ -n $(field "$(tail -n 1 "$scratch/$1.out")" received) ]]; }

# What PCP promised: two mappings with nonces, before anything else.
udp=$(pcp map udp 6000 lifetime=7200 nonce=0102030405060708090a0b0c)
tcp=$(pcp map tcp 6000 lifetime=7200 nonce=1112131415161718191a1b1c)
expect_equal "$(field "$udp" result)$(field "$tcp" result)" 00 "two mappings by PCP"

# inbound through the mapping, outbound by an implicit one, and a connection from outside
stream host in udp-take 198.51.100.2:6000
stream peer out udp-take 203.0.113.10:7000
stream host echo tcp-echo 198.51.100.2:6000
for file in in out echo; do
	wait_for says "$scratch/$file.out" ready
done
stream peer in-sender udp-send 203.0.113.9:7100 "$(field "$udp" external)" $rate
in_sender=$job
stream host out-sender udp-send 198.51.100.2:7200 203.0.113.10:7000 $rate
out_sender=$job
stream peer talk tcp-talk 203.0.113.9:7300 "$(field "$tcp" external)"
talk=$job
wait_for says "$scratch/talk.out" connected
listing=$(mappings)
expect_match "$listing" 0102030405060708090a0b0c "the listing shows the nonces"
epoch=$(field "$(pcp announce)" epoch)
asked=$EPOCHREALTIME

stop_xcgnd KILL
expect_exit 3 "xcgnctl status without xcgnd" ctl -j status
expect_match "$output" '"pid": *null' "and it says that there is none"
[[ $(mappings) == "$listing" ]] || fail "other mappings while it is dead: $(mappings)"
note "the same mappings while it is dead"
for protocol in udp tcp; do
	new=$(probe host $protocol 198.51.100.3:41000 203.0.113.9:3478)
	expect_match "$new" "^192\.0\.2\." "$protocol: a new flow of a new subscriber while it is dead ($new)"
done

# It comes back: the first answer, then everything as it was. Three times, the last ones without a pause.
for round in 1 2 3; do
	background host "$scratch/renewed.out" /usr/bin/python3 "$lib/pcp.py" map udp 6000 lifetime=7200 \
		nonce=0102030405060708090a0b0c wait=10
	client=$job
	wait_for says "$scratch/renewed.out" asking
	begin=$EPOCHREALTIME
	background cgn "$log" "$B/xcgnd" -c "$config"
	xcgnd_pid=$job
	wait "$client" || fail "no answer within 10 s"
	renewed=$(tail -n 1 "$scratch/renewed.out")
	took=$(awk -v a="$begin" -v b="$(field "$renewed" at)" 'BEGIN { printf "%d", (b - a) * 1000 }')
	expect_equal "$(field "$renewed" result)" 0 "start $round: renewed with its nonce, $took ms after the start"
	((took <= 1000)) || fail "the first answer came after $took ms"
	expect_equal "$(field "$renewed" external)" "$(field "$udp" external)" "start $round: the same external endpoint"
	expect_equal "$(field "$(pcp map udp 6000 lifetime=7200 nonce=ffffffffffffffffffffffff)" result)" 2 \
		"start $round: another nonce is NOT_AUTHORIZED"
	# RFC 6887 section 8.5: the Epoch ran on, within a second of the time that passed.
	passed=$(awk -v a="$asked" -v b="$(field "$renewed" at)" -v e="$epoch" -v n="$(field "$renewed" epoch)" \
		'BEGIN { d = (n - e) - (b - a); print(d < 1.5 && d > -1.5 ? "ran on" : "is off by " d " s") }')
	expect_equal "$passed" "ran on" "start $round: the Epoch"
	says "$log" adopt || fail "xcgnd does not say that it adopted the tables"
	((round == 3)) || stop_xcgnd KILL
done
wait_for status_has "\"pid\": *$xcgnd_pid"
expect_equal "$(mappings | wc -l)" "$(wc -l <<< "$listing")" "as many mappings as before"

# Nothing of all that was seen by the traffic.
finish $in_sender
finish $out_sender
finish $talk
wait_for received in
wait_for received out
for direction in in out; do
	sent=$(field "$(cat "$scratch/$direction-sender.out")" sent)
	taken=$(tail -n 1 "$scratch/$direction.out")
	((sent > rate / 10)) || fail "$direction: only ${sent:-0} packets sent: $(cat "$scratch/$direction-sender.out" "$scratch/$direction.out")"
	expect_equal "$(field "$taken" received)/$(field "$taken" missing)/$(field "$taken" doubled)" "$sent/0/0" \
		"$direction: packets received/missing/doubled, longest gap $(field "$taken" gap_ms) ms"
done
talked=$(tail -n 1 "$scratch/talk.out")
expect_match "$talked" '^lines=[0-9]{2,}' "tcp: one connection all the while, $talked"
