#!/bin/bash
# Design sections 1.7 and 5: what cannot work is refused at once, by one line that says what to do, with the exit code of its kind
# (1 configuration, 2 kernel or permission, 3 state), and nothing is half done.
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

xcgnd() { timeout 10 nsenter --net="/run/netns/$LAB_PREFIX-cgn" "${wrap[@]}" "$B/xcgnd" "$@"; }
wrap=()

# refused CODE WHAT REGEX COMMAND…: one line of an error, that matches
refused()
{
	local code=$1 what=$2 regex=$3 lines

	shift 3
	expect_exit "$code" "$what" "$@"
	lines=$(grep -vP '^xcgnd: (?!error)' <<< "$output")	# what it did before it failed is no error
	[[ $(wc -l <<< "$lines") == 1 && $lines =~ $regex ]] || fail "$what: not one line with /$regex/: $output"
	note "   $lines"
}

topology < /dev/null
sed 's/^pools:.*/pools: [{name: main, addresses: [192.0.2.0\/28], block-size: 128}]/' "$config" > "$scratch/other-pools.yaml"
sed 's/^tables:.*/tables: {mappings: much}/' "$config" > "$scratch/bad-value.yaml"
(cat "$config"; echo "pcb: {}") > "$scratch/unknown-key.yaml"
(cat "$config"; echo "static: [{protocol: udp, internal: \"198.51.100.2:7000\", external: \"192.0.2.99:7000\"}]") > "$scratch/bad-static.yaml"
sed 's/^interfaces:.*/interfaces: [{name: in0, side: internal}, {name: none0, side: external}]/' "$config" > "$scratch/no-nic.yaml"

# 1: the configuration
for name in unknown-key bad-value bad-static; do
	refused 1 "xcgnd --check, $name" "^xcgnd: error: $scratch/$name.yaml:[0-9]+: " xcgnd -c "$scratch/$name.yaml" --check
	refused 1 "xcgnd, $name" "^xcgnd: error: $scratch/$name.yaml:[0-9]+: " xcgnd -c "$scratch/$name.yaml"
	refused 1 "xcgnctl, $name" "^xcgnctl: error: $scratch/$name.yaml:[0-9]+: " in_ns cgn "$B/xcgnctl" -c "$scratch/$name.yaml" status
done
refused 1 "xcgnd, no such file" 'cannot open' xcgnd -c "$scratch/none.yaml"
expect_exit 1 "xcgnd, an option it does not have" xcgnd --no-such-option
expect_exit 1 "xcgnctl, a command it does not have" ctl frobnicate
expect_exit 1 "attach.sh without a configuration" in_ns cgn "$root/scripts/attach.sh"
expect_exit 0 "xcgnd --check, the lab's own" xcgnd -c "$config" --check
[[ ! -e $pins ]] || fail "a refused start left $pins"

# 2: permissions, ports, NICs
wrap=(setpriv --inh-caps=-all --bounding-set=-all)
refused 2 "xcgnd without capabilities" 'CAP_BPF|root' xcgnd -c "$config"
wrap=()
[[ ! -e $pins ]] || fail "a start without capabilities left $pins: $(find "$pins")"
background cgn "$scratch/nc.out" nc -n -u -l 198.51.100.1 5351
taken=$job
bound() { in_ns cgn ss -Hlun 'sport = 5351' | grep -q 5351; }
wait_for bound
refused 2 "xcgnd, port 5351 in use" '5351.*in use' xcgnd -c "$config"
finish "$taken"
free() { ! bound; }
wait_for free
start_xcgnd
refused 2 "attach.sh, no such interface" 'none0: no such interface' in_ns cgn "$root/scripts/attach.sh" "$scratch/no-nic.yaml"
if in_ns cgn ip link add bridge0 type bridge 2> /dev/null; then
	sed 's/^interfaces:.*/interfaces: [{name: in0, side: internal}, {name: bridge0, side: external}]/' "$config" > "$scratch/bridge.yaml"
	refused 2 "attach.sh, a NIC without native XDP" 'bridge0: .*native XDP.*generic' in_ns cgn "$root/scripts/attach.sh" "$scratch/bridge.yaml"
	in_ns cgn ip link del bridge0
fi
expect_equal "$(ctl -j show interfaces | grep -c '"attached": *true')" 0 "interfaces attached by what failed"
expect_equal "$(in_ns cgn cat /proc/sys/net/ipv4/conf/in0/forwarding)" 0 "forwarding on in0 after what failed"

# 3: the state
refused 3 "a second xcgnd" "another xcgnd \(pid $xcgnd_pid\)" xcgnd -c "$config"
stop_xcgnd
refused 1 "xcgnd, tables of other blocks" 'in blocks of 256, and would have .* in blocks of 128' xcgnd -c "$scratch/other-pools.yaml"
sed 's/^tables:.*/tables: {mappings: 20001}/' "$config" > "$scratch/other-sizes.yaml"
refused 3 "xcgnd, tables of other sizes" 'tables.mappings.*the configuration has 20001' xcgnd -c "$scratch/other-sizes.yaml"
# Pins of another layout: the first word of meta is its version.
meta() { PATH=$PATH:/usr/sbin bpftool -j map lookup pinned "$pins/meta" key 0 0 0 0 | sed -E 's/.*"value":\[([^]]*)\].*/\1/; s/[",]/ /g'; }
read -r -a bytes <<< "$(meta)"
PATH=$PATH:/usr/sbin bpftool map update pinned "$pins/meta" key 0 0 0 0 value 0x63 "${bytes[@]:1}"
refused 3 "xcgnd, pins of another layout version" '(version|layout).*99.*purge' xcgnd -c "$config"
refused 3 "xcgnctl, pins of another layout version" '(version|layout)' ctl show mappings
[[ -e $pins/mappings && $(meta) == *0x63* ]] || fail "refused pins were changed"
note "refused pins stay as they are"
ctl purge
start_xcgnd
note "after the purge it starts"
