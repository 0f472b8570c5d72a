#!/bin/bash
# Design section 4: a new xcgnd replaces the programs of the one before under traffic: no packet is lost, none leaves untranslated,
# mappings and Epoch stay. xcgnctl of another build than xcgnd replaces nothing.
# BEFORE=folder with an older version's xcgnd and xcgnctl: that is the one before, and its tables are adopted.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

older=${BEFORE:-$B}
B=$older XCGNCTL=$older/xcgnctl ready < /dev/null
/usr/bin/python3 "$lib/rebuild.py" "$B/xcgnd" "$scratch/xcgnd"
/usr/bin/python3 "$lib/rebuild.py" "$B/xcgnctl" "$scratch/xcgnctl"
chmod +x "$scratch/xcgnd" "$scratch/xcgnctl"
attached() { ip -n "$LAB_PREFIX-cgn" -j link show dev "$1" | sed -nE 's/.*"prog":\{"id":([0-9]+).*/\1/p'; }
start_build() { background cgn "$log" "$1/xcgnd" -c "$config"; xcgnd_pid=$job; wait_for status_has "\"pid\": *$xcgnd_pid"; }

first=$(pcp map udp 6000 lifetime=3600 nonce=a0a1a2a3a4a5a6a7a8a9aaab)
external=$(field "$first" external)
before="$(attached in0) $(attached out0)"
[[ $before =~ ^[0-9]+\ [0-9]+$ ]] || skip "libxdp's dispatcher is in use here: $before"

start_capture peer peer0 "ip and not host 203.0.113.1"
captured=$job
background peer "$scratch/out.take" /usr/bin/python3 "$lib/stream.py" udp-take 203.0.113.9:3478
out_take=$job
background peer "$scratch/visit" /usr/bin/python3 "$lib/stream.py" udp-visit 203.0.113.9:3479
visit=$job
background host "$scratch/in.take" /usr/bin/python3 "$lib/stream.py" udp-take 198.51.100.2:6000
in_take=$job
background peer "$scratch/echo" /usr/bin/python3 "$lib/stream.py" tcp-echo 203.0.113.9:8080
echo_job=$job
wait_for says "$scratch/out.take" ready
wait_for says "$scratch/in.take" ready
wait_for says "$scratch/visit" ready
wait_for says "$scratch/echo" ready
background host "$scratch/out.send" /usr/bin/python3 "$lib/stream.py" udp-send 198.51.100.2:5000 203.0.113.9:3478 2000
out_send=$job
background peer "$scratch/in.send" /usr/bin/python3 "$lib/stream.py" udp-send 203.0.113.10:7000 "$external" 2000
in_send=$job
background host "$scratch/talk" /usr/bin/python3 "$lib/stream.py" tcp-talk 198.51.100.2:5001 203.0.113.9:8080
talk=$job
wait_for says "$scratch/talk" connected

if [[ -z ${BEFORE:-} ]]; then
	expect_exit 3 "attach by an xcgnctl of another build" in_ns cgn "$scratch/xcgnctl" -c "$config" attach
	expect_match "$output" 'restart xcgnd' "says what to do"
fi
expect_equal "$(attached in0) $(attached out0)" "$before" "and replaces nothing"

background host "$scratch/open" /usr/bin/python3 "$lib/stream.py" udp-open 198.51.100.3 203.0.113.9:3479 300
opener=$job
sleep 0.3
stop_xcgnd KILL
start_build "$scratch"
finish "$opener"
wait "$visit" || fail "the visitor failed: $(cat "$scratch/visit")"
opened=$(tail -n 1 "$scratch/open")
note "flows that began before and meanwhile: $opened, $(tail -n 1 "$scratch/visit")"
expect_equal "$(field "$opened" reached)" "$(field "$opened" opened)" "each has its endpoint afterwards"
(($(field "$opened" opened) > 30)) || fail "those were no flows"
now="$(attached in0) $(attached out0)"
[[ ${now% *} != "${before% *}" && ${now#* } != "${before#* }" ]] || fail "programs $before, then $now"
note "programs $before, with a new xcgnd $now"
stop_xcgnd
start_build "$B"
now="$(attached in0) $(attached out0)"

# As systemd runs it, without the right to look at programs: it serves, and xcgnctl does that part.
stop_xcgnd
background cgn "$log" setpriv --bounding-set=-all,+bpf,+net_admin,+perfmon "$scratch/xcgnd" -c "$config"
xcgnd_pid=$job
wait_for status_has "\"pid\": *$xcgnd_pid"
wait_for says "$log" 'CAP_SYS_ADMIN.*xcgnctl upgrade'
expect_equal "$(attached in0) $(attached out0)" "$now" "an xcgnd with the capabilities of the unit leaves programs where they are"
expect_equal "$(in_ns cgn "$scratch/xcgnctl" -j -c "$config" upgrade)" '{"replaced":2}' "xcgnctl upgrade"
expect_equal "$(in_ns cgn "$scratch/xcgnctl" -j -c "$config" upgrade)" '{"replaced":0}' "and again"
stop_xcgnd
start_build "$B"
now="$(attached in0) $(attached out0)"
stop_xcgnd
start_build "$B"
expect_equal "$(attached in0) $(attached out0)" "$now" "the same build again leaves its programs alone"

finish "$out_send"
finish "$in_send"
finish "$talk"
wait "$out_take" "$in_take" "$echo_job" || fail "a receiver failed: $(cat "$scratch"/*.take "$scratch/echo")"
for way in out in; do
	taken=$(tail -n 1 "$scratch/$way.take")
	note "${way}bound: $(cat "$scratch/$way.send"), $taken"
	expect_equal "$(field "$taken" missing) $(field "$taken" doubled)" "0 0" "${way}bound packets lost, doubled"
	(($(field "$taken" received) > 1000)) || fail "that was no traffic"
done
note "TCP: $(tail -n 1 "$scratch/talk")"
expect_match "$(cat "$scratch/talk")" 'lines=[0-9]{2,}' "the connection lives"
finish "$captured"
expect_equal "$(tcpdump -n -r "$scratch/peer0.pcap" src net 198.51.100.0/24 or dst net 198.51.100.0/24 2> /dev/null | wc -l)" 0 \
	"packets with an internal address outside"

again=$(pcp map udp 6000 lifetime=3600 nonce=a0a1a2a3a4a5a6a7a8a9aaab)
expect_equal "$(field "$again" external)" "$external" "the promised endpoint"
(($(field "$again" epoch) >= $(field "$first" epoch))) || fail "the Epoch went back: $first, $again"
note "and the Epoch goes on: $(field "$first" epoch) s, $(field "$again" epoch) s"
