#!/bin/bash
# Chaos: 50 hosts with `pcpc keep`, traffic through their mappings, clients and the daemon killed with and without their storage, hosts that
# move, a wire that loses, delays and doubles. At the end everybody agrees: clients, GET, maps, data plane; and no flow has broken that
# the scenario did not break. Long form: soak.sh SECONDS [SEED [HOSTS]]; a run is repeated with its seed.
# SOAK_TALK=1 in the environment: what is still missing is said meanwhile.
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

# Where nonces are not revealed, who lost his table waits until his mappings end: too long for the short form.
seed=${2:-$( ((${1:-0} > 60)) && echo "$RANDOM" || echo $((RANDOM | 1)))} hosts=${3:-50}

hosts_remove()
{
	local i pid

	for ((i = 0; i < hosts; i++)); do
		[[ -e /run/netns/$LAB_PREFIX-h$i ]] || continue
		for pid in $(ip netns pids "$LAB_PREFIX-h$i"); do
			kill -9 "$pid" 2> /dev/null
		done
		ip netns del "$LAB_PREFIX-h$i"
	done
}
trap 'code=$?; set +e; hosts_remove; (exit "$code"); cleanup' EXIT

# Few ports, so that what is freed wrongly is soon somebody else's. Odd seeds: nonces are revealed, as where they are not checked.
nonces=$( ((seed % 2)) && echo reveal || echo redact)
topology << YAML
pools: [{name: main, addresses: [192.0.2.0/31], ports: 1024-9215, block-size: 64}]
subscribers: {prefixes: [198.51.100.0/24], blocks: 4, explicit: 16, reserve: 16}
pcp: {lifetime: {min: 1, max: 86400}, get: {nonces: $nonces}}
YAML
echo "   repeat with: tests/netns/soak.sh ${1:-60} $seed $hosts (nonces: $nonces)"
/usr/bin/python3 "$root/tests/netns/soak.py" "$LAB_PREFIX" "$B" "$scratch" "${1:-60}" "$seed" "$hosts" || fail "see above; seed $seed"
