#!/bin/bash
# Appendix A of draft-boucadair-pcp-failure (section 4.3 of the notes): client and server crash together. Server with stable storage or
# without, client with its table or without: all four end with client, server and data plane of one mind.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# The server's crash is a reboot: killed, programs off, pins gone. Nonces are revealed, or a client without its table could only wait.
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"
# shellcheck source=tests/lib/keep.sh
. "$lib/keep.sh"

# Every mapping that the client tells of is the server's, by its nonce and endpoint, no endpoint is given twice, and packets pass.
expect_agreement()
{
	local one two

	one=$(external_of "udp 198.51.100.2:5060") two=$(external_of "tcp 198.51.100.2:8080")
	[[ $(mapping 198.51.100.2:5060) == *"\"external\":\"$one\""* ]] || fail "$1: the server has $(mapping 198.51.100.2:5060)"
	[[ $(mapping 198.51.100.2:8080) == *"\"external\":\"$two\""* ]] || fail "$1: the server has $(mapping 198.51.100.2:8080)"
	expect_equal "$(ctl -j show mappings --origin map | wc -l)" 2 "$1: mappings"
	expect_equal "$(probe peer udp 203.0.113.9:7000 "$one")" 203.0.113.9:7000 "$1: packets come in at $one"
	expect_equal "$(probe peer tcp 203.0.113.9:7000 "$two")" 203.0.113.9:7000 "$1: and at $two"
}

crash()
{
	local server=$1 client=$2

	stop_keep KILL
	stop_xcgnd KILL
	detach > /dev/null
	rm -rf "$pins"
	[[ $server == kept ]] || rm -rf "$dir/state"
	[[ $client == kept ]] || rm -rf "$(dirname "$keep_state")"
	start_xcgnd
	attach > /dev/null
	start_keep
}

ready << YAML
pcp: {get: {nonces: reveal}}
YAML
start_reflector host 198.51.100.2:5060 198.51.100.2:8080
keep_wants "servers: [198.51.100.1]" << YAML
{protocol: udp, port: 5060}
{protocol: tcp, port: 8080}
YAML
start_keep
await "created udp 198.51.100.2:5060 = 192.0.2"
await "created tcp 198.51.100.2:8080 = 192.0.2"
expect_agreement "at first"
udp=$(external_of "udp 198.51.100.2:5060") tcp=$(external_of "tcp 198.51.100.2:8080")
old_enough() { status_has '"epoch": *([6-9]|[1-9][0-9]+),'; }
wait_for old_enough

crash kept kept
await "kept udp 198.51.100.2:5060 = $udp"
await "kept tcp 198.51.100.2:8080 = $tcp"
expect_agreement "both kept it"

crash kept lost
await "created udp 198.51.100.2:5060 = $udp"
await "created tcp 198.51.100.2:8080 = $tcp"
expect_agreement "the client lost it"

wait_for old_enough
crash lost kept
await "epoch-reset"
await "(renewed|created) udp 198.51.100.2:5060 = $udp"
await "(renewed|created) tcp 198.51.100.2:8080 = $tcp"
expect_agreement "the server lost it"

crash lost lost
await "created udp 198.51.100.2:5060 = 192.0.2"
await "created tcp 198.51.100.2:8080 = 192.0.2"
expect_agreement "both lost it"
