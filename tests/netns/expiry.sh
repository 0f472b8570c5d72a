#!/bin/bash
# RFC 4787 REQ-5, REQ-6; RFC 5382 REQ-5; RFC 6888 REQ-8; RFC 6887 section 15: implicit mappings end when they are idle, outbound packets keep
# them, inbound ones do not; a lifetime ends when it should; what was freed rests, and its blocks go back.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready << YAML
timeouts: {udp: 3, tcp-established: 3600, tcp-transitory: 2, icmp: 2}
pcp: {lifetime: {min: 1, max: 86400}}
YAML
start_reflector peer 203.0.113.9:3478 203.0.113.10:7001

has() { ctl -j show mappings | grep -q "\"internal\": *\"$1\""; }
has_not() { ! has "$1"; }
uptime_s() { cut -d. -f1 /proc/uptime; }

external_of() { ctl -j show mappings | sed -nE "s/.*\"internal\": *\"$1\", *\"external\": *\"([^\"]*).*/\1/p"; }

# Two streams through two mappings, one from inside, the other only from outside, for longer than the timeout.
background host "$scratch/outbound.out" /usr/bin/python3 "$lib/stream.py" udp-send 198.51.100.2:5001 203.0.113.10:7001 20
outbound=$job
wait_for has 198.51.100.2:5001
kept=$(external_of 198.51.100.2:5001)
background host "$scratch/taker.out" /usr/bin/python3 "$lib/stream.py" udp-take 198.51.100.2:5002
wait_for says "$scratch/taker.out" ready
made=$(pcp map udp 5002 lifetime=1)
background peer "$scratch/inbound.out" /usr/bin/python3 "$lib/stream.py" udp-send 203.0.113.10:7000 "$(field "$made" external)" 20
inbound=$job
begin=$(uptime_s)
in_ns host ping -q -c 1 -W 2 -e 5003 203.0.113.9 > /dev/null
has 198.51.100.2:5003 || fail "no mapping of an echo request"
probe host tcp 198.51.100.2:5004 203.0.113.9:3478 > /dev/null	# closed at once: transitory
has 198.51.100.2:5004 || fail "no mapping of a closed TCP connection"
for port in 5002 5003 5004; do
	wait_for has_not 198.51.100.2:$port
done
passed=$(($(uptime_s) - begin))
((passed >= 1)) || fail "ended after $passed s, too early"
note "idle ones ended within $passed s, inbound packets or not"
longer_than_idle() { (($(uptime_s) - begin > 5)); }
wait_for longer_than_idle
expect_equal "$(external_of 198.51.100.2:5001)" "$kept" "outbound packets keep a mapping and its endpoint"
for job in $inbound $outbound; do
	finish "$job"
done
expect_match "$(cat "$scratch/inbound.out" "$scratch/outbound.out")" 'sent=[0-9]{2,}.sent=[0-9]{2,}' "packets went both ways all the while"

# An established TCP connection outlives the others' timeouts: no packet for longer than any of them.
background peer "$scratch/echo.out" /usr/bin/python3 "$lib/stream.py" tcp-echo 203.0.113.9:8000
wait_for says "$scratch/echo.out" ready
background host "$scratch/quiet.out" nc -n -s 198.51.100.2 -p 5005 203.0.113.9 8000
wait_for says "$scratch/echo.out" from
wait_for has_not 198.51.100.2:5001
has 198.51.100.2:5005 || fail "an established connection's mapping ended with the idle ones"
note "an established TCP connection keeps its mapping"

# RFC 6887 sections 11.3, 15 and 16.5: the end of a connection shortens no lifetime, and traffic goes on by the same endpoint when its
# mapping's lifetime has ended.
origin_of() { ctl -j show mappings | grep "\"internal\": *\"$1\"" | sed -E 's/.*"origin": *\[([^]]*)\].*/\1/'; }
lifetime_over() { [[ $(origin_of 198.51.100.2:5009) == '"implicit"' ]]; }
made=$(pcp map tcp 5008 lifetime=600)
probe host tcp 198.51.100.2:5008 203.0.113.9:3478 > /dev/null
begin=$(uptime_s)
background host "$scratch/going-on.out" /usr/bin/python3 "$lib/stream.py" udp-send 198.51.100.2:5009 203.0.113.10:7001 20
stream=$job
made_of_stream=$(pcp map udp 5009 lifetime=2)
expect_match "$(origin_of 198.51.100.2:5009)" '"map"' "traffic goes out by a mapping of PCP"
wait_for lifetime_over
expect_equal "$(external_of 198.51.100.2:5009)" "$(field "$made_of_stream" external)" "and by the same endpoint when its lifetime is over"
finish "$stream"
wait_for longer_than_idle
expect_equal "$(external_of 198.51.100.2:5008)" "$(field "$made" external)" "a closed connection shortens no lifetime"

# RFC 6887 section 15: a lifetime of three seconds, and a nonce that may have the endpoint back while it rests.
made=$(pcp map udp 5006 lifetime=3 nonce=a0a1a2a3a4a5a6a7a8a9aaab)
begin=$(uptime_s)
expect_match "$made" 'result=0 lifetime=3 ' "a lifetime of three seconds"
wait_for has_not 198.51.100.2:5006
passed=$(($(uptime_s) - begin))
((passed >= 2 && passed <= 6)) || fail "the lifetime ended after $passed s"
note "it ended after $passed s"
other=$(pcp map udp 5007 source=198.51.100.3 external="$(field "$made" external)" nonce=b0b1b2b3b4b5b6b7b8b9babb)
expect_differ "$(field "$other" external)" "$(field "$made" external)" "another host does not get the endpoint that rests"
again=$(pcp map udp 5006 external="$(field "$made" external)" nonce=a0a1a2a3a4a5a6a7a8a9aaab)
expect_equal "$(field "$again" external)" "$(field "$made" external)" "the same client does"
