#!/bin/bash
# scripts/demo.sh holds, and leaves nothing.
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

((EUID == 0)) || skip "needs root"
B=$B "$root/scripts/demo.sh"
[[ ! -e $dir && ! -e $pins && ! -e /run/netns/$LAB_PREFIX-host ]] || fail "the demo left something"
