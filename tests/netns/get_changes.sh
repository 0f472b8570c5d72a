#!/bin/bash
# draft-boucadair-pcp-failure-06 appendix B.3, tests T5 to T7 of the checklist, end to end: GET walks while other processes make, renew and
# delete mappings and let them expire. They end, miss no mapping that lived throughout, and never swap two.
#   host ──────── in0 cgn out0 ──────── peer       198.51.100.2,.3 │ .1  203.0.113.1 │ 203.0.113.9, .10
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

ready << YAML
subscribers: {prefixes: [198.51.100.0/24], blocks: 8, explicit: 1000}
pcp: {lifetime: {min: 1, max: 86400}, rate: {requests: 0}}
static: [{protocol: udp, internal: "198.51.100.2:7000", external: "192.0.2.3:7777"}]
YAML
result=$(in_ns host /usr/bin/python3 "$root/tests/netns/get_changes.py" 198.51.100.2 198.51.100.1 6) || fail "$result"
note "$result"
(($(field "$result" walks) >= 20)) || fail "too few walks to say anything"
(($(field "$result" changes) >= 500)) || fail "too few changes to say anything"

# The client's own walk meanwhile sees the same: neither the static one nor any by packets is listed (6.1.5, 6.1.6).
probe host udp 198.51.100.2:6005 203.0.113.9:3478 > /dev/null 2>&1 || true
has_implicit() { ctl -j show mappings --origin implicit | grep -q 198.51.100.2:6005; }
wait_for has_implicit
in_ns host "$B/pcpc" -s 198.51.100.1 -S 198.51.100.2 -j get > "$scratch/get"
expect_equal "$(grep -c '"internal":"198.51.100.2:10[01]' "$scratch/get")" 120 "pcpc get: those that stay"
expect_equal "$(grep -cE '"internal":"198.51.100.2:(7000|6005)"' "$scratch/get" || true)" 0 "the static one, and one by packets"
