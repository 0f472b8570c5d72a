#!/bin/bash
# usage: detach.sh CONFIG
# Undoes attach.sh: the programs go, the NICs get back the settings they had (except that they stay up). From then on nothing
# is translated. Maps and mappings stay pinned; `xcgnctl purge` removes those.
# Environment: XCGNCTL=the program to use
set -euo pipefail
# shellcheck source=scripts/nics.sh
. "$(dirname "$0")/nics.sh"

prepare "$@"
# Forwarding ends first, so that nothing passes untranslated.
for nic in "${names[@]}" "${nics[@]}"; do
	restore "$nic"
done
"$xcgnctl" -c "$config" detach > /dev/null
for nic in "${names[@]}"; do
	[[ $(cat "/proc/sys/net/ipv4/conf/$nic/forwarding" 2> /dev/null) != 1 ]] ||
		echo "$me: $nic: forwarding was on before attach.sh and still is: the kernel forwards untranslated" >&2
done
echo "$me: ${names[*]}: detached"
