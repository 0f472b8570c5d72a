#!/bin/bash
# The shipped systemd unit is one that systemd accepts, with the paths it is installed with.
# shellcheck source=tests/lib/netns.sh
. "$(dirname "$0")/../lib/netns.sh"

command -v systemd-analyze > /dev/null || skip "no systemd-analyze"
B=$B make -s -C "$root" install DESTDIR="$scratch/root" PREFIX=/usr
unit=$scratch/root/usr/lib/systemd/system/xcgnd.service
expect_match "$(grep '^ExecStart=' "$unit")" '^ExecStart=/usr/sbin/xcgnd ' "the unit starts the installed xcgnd"
# The program is where the unit says only below DESTDIR.
sed -i "s,=/usr/sbin/,=$scratch/root/usr/sbin/," "$unit"
expect_exit 0 "systemd-analyze verify" systemd-analyze verify --man=no "$unit"
[[ -z $output ]] || fail "systemd-analyze says: $output"
for file in sbin/xcgnd sbin/xcgnctl bin/pcpc share/xcgn/attach.sh share/xcgn/detach.sh share/xcgn/xcgn.yaml share/man/man8/xcgnd.8; do
	[[ -s $scratch/root/usr/$file ]] || fail "make install does not install $file"
done
note "make install puts everything in its place"
# Installed scripts find the installed xcgnctl, and the sample configuration is right.
expect_exit 0 "the sample configuration" "$B/xcgnd" -c "$root/scripts/xcgn.yaml" --check
unset XCGNCTL
expect_exit 1 "the installed attach.sh" "$scratch/root/usr/share/xcgn/attach.sh" "$scratch/none.yaml"
expect_match "$output" 'xcgnctl: error: .*none.yaml: cannot open' "finds the installed xcgnctl"
