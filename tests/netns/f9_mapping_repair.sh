#!/bin/bash
# F9, draft-boucadair-pcp-failure-04 section 2.7.6: mapping repair. An unsolicited ANNOUNCE with an Epoch that was reset: the client has its
# mappings back where they were. An unsolicited MAP response: taken like any other if it is from the server and has the nonce, else not.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
# shellcheck source=tests/lib/keep.sh
. "$lib/keep.sh"

epoch() { field "$(pcp announce)" epoch; }
old_enough() { (($(epoch) >= 9)); }	# a client that heard it renews within five seconds, at a moment of its choice
announced() { tshark -r "$scratch/host0.pcap" -Y 'portcontrol.r == 1 && portcontrol.opcode == 0' -T fields -e portcontrol.epoch_time 2> /dev/null; }

ready < /dev/null
start_reflector host 198.51.100.2:5060
keep_wants "servers: [198.51.100.1]" << YAML
{protocol: udp, port: 5060}
YAML
start_keep
await "created udp 198.51.100.2:5060 = 192.0.2"
external=$(external_of "udp 198.51.100.2:5060") nonce=$(nonce_of 198.51.100.2:5060)
expect_equal "$(probe peer udp 203.0.113.9:7000 "$external")" 203.0.113.9:7000 "packets come in at $external"
WAIT_S=20 wait_for old_enough

# The operator takes it away: the server says that the Epoch was reset, nobody asked it.
capture_anew
before=$(epoch)
ctl clear --subscriber 198.51.100.2 > /dev/null
await "epoch-reset"
await "renewed udp 198.51.100.2:5060 = $external"
(($(epoch) < before)) || fail "the Epoch is $(epoch) after $before"
wait_for says <(announced) .
note "announced: Epoch $(announced | tail -n 1), before it was $before"
expect_equal "$(asked 'portcontrol.opcode == 1')" "1 3600 $nonce 5060 ffff${external%:*} ${external#*:}" "asked for once, with its nonce and endpoint"
expect_equal "$(probe peer udp 203.0.113.9:7001 "$external")" 203.0.113.9:7001 "packets come in again"

# While the daemon is dead, its words are put into its mouth: response NONCE PORT, from 198.51.100.1:5351 or another port
client=$(mapping 198.51.100.2:5060 | sed -E 's/.*"client":"([^"]*)".*/\1/')
epoch=$(epoch)
stop_xcgnd KILL
response()
{
	in_ns cgn /usr/bin/python3 - "$client" "$epoch" "$@" <<- 'PYTHON'
		import socket, struct, sys
		client, epoch, nonce, port, source = sys.argv[1:]
		udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		udp.bind(("198.51.100.1", int(source)))
		address, client_port = client.rsplit(":", 1)
		external = b"\0" * 10 + b"\xff\xff" + socket.inet_aton("192.0.2.9")
		udp.sendto(struct.pack("!BBBBII12x", 2, 0x81, 0, 0, 1800, int(epoch)) + bytes.fromhex(nonce) +
		           struct.pack("!B3xHH", 17, 5060, int(port)) + external, (address, int(client_port)))
	PYTHON
}
response f1f2f3f4f5f6f7f8f9fafbfc 40001 5351
response "$nonce" 40002 5352
response "$nonce" 40003 5351
await "changed udp 198.51.100.2:5060 = 192.0.2.9:40003 was $external"
expect_equal "$(events '.*:4000[12] ')" 0 "those of another nonce or of another port said nothing"
start_xcgnd
stop_keep KILL
start_keep
await "kept udp 198.51.100.2:5060 = 192.0.2.9:40003"
