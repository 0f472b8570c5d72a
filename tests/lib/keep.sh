# shellcheck shell=bash
# Sourced after netns.sh by the tests of failure scenarios: `pcpc keep` in the namespace host, what it says and what it sends.
# shellcheck disable=SC2154 # scratch, job, B: netns.sh

keep_file=$scratch/keep.yaml
keep_state=$scratch/keep/state
keep_out=$scratch/keep.out
keep_pid=

# keep_wants [KEY: VALUE…] < MAPPINGS: writes the file. Every mapping is one line of YAML
keep_wants()
{
	{
		echo "state: $keep_state"
		printf '%s\n' "$@"
		echo "mappings:"
		sed 's/^/  - /'
	} > "$keep_file"
}

# Its events are in $keep_out from now on.
start_keep()
{
	background host "$keep_out" "$B/pcpc" keep "$keep_file"
	keep_pid=$job
}

stop_keep()
{
	kill "-${1:-TERM}" "$keep_pid" 2> /dev/null || true
	wait "$keep_pid" 2> /dev/null || true
}

reload_keep() { kill -HUP "$keep_pid"; }

# await REGEX: an event that matches, "created tcp 198.51.100.2:8080 = 192.0.2.5:10157 lifetime …"
await() { wait_for says "$keep_out" " $1"; }
# The external endpoint that an internal one, "tcp 198.51.100.2:8080", has by the last event about it.
external_of() { sed -nE "s/.* $1 = ([^ ]*).*/\1/p" "$keep_out" | tail -n 1; }
events() { grep -cE " $1" "$keep_out" || true; }

# mapping INTERNAL: the server's line for it; nonce_of: and its nonce
mapping() { ctl -j show mappings --nonces | grep "\"internal\":\"$1\""; }
nonce_of() { mapping "$1" | sed -E 's/.*"nonce":"([^"]*)".*/\1/'; }
has_mapping() { mapping "$1" > /dev/null; }

# What the host asked since start_capture host host0 "udp port 5351": "opcode lifetime nonce port suggested", by a decoder of others.
asked()
{
	tshark -r "$scratch/host0.pcap" -Y "portcontrol.r == 0 && ${1:-portcontrol}" -T fields -e portcontrol.opcode \
		-e portcontrol.lifetime_req -e portcontrol.map.nonce -e portcontrol.map.internal_port \
		-e portcontrol.map.req_sug_external_ip -e portcontrol.map.req_sug_external_port 2> /dev/null | tr -d : | tr '\t' ' '
}
# From here on: the capture begins anew.
capture_anew()
{
	[[ -z ${keep_capture:-} ]] || finish "$keep_capture"
	start_capture host host0 "udp port 5351"
	keep_capture=$job
}
