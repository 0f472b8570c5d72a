# shellcheck shell=bash
# Sourced after netns.sh by tests of stable storage. A reboot is: xcgnd killed, its programs off the interfaces, its pins removed.
# shellcheck disable=SC2154 # dir and pins are those of netns.sh

mappings() { ctl -j show mappings --nonces --origin map | sed -E 's/"(remaining|idle|created)": *[^,}]*,?//g' | sort; }
listed() { [[ $(mappings | wc -l) == "$1" ]]; }
epoch() { field "$(pcp announce)" epoch; }
reason() { ctl -j status | sed -E 's/.*"epoch_reset_reason": *"([^"]*)".*/\1/'; }
store_says() { status_has "\"store\": *\{.*\"$1\": *$2"; }
store_ids() { ls "$dir/state"; }

power_off()
{
	off=$EPOCHREALTIME
	stop_xcgnd KILL
	detach > /dev/null
	rm -rf "$pins"
	[[ ! -e $pins ]] || fail "the pins are still there"
}

# It ran on, within two seconds of the time that passed.
expect_epoch_ran_on()
{
	local now

	now=$(epoch)
	awk -v then="$epoch" -v now="$now" -v a="$asked" -v b="$EPOCHREALTIME" \
		'BEGIN { d = (now - then) - (b - a); exit !(d < 2 && d > -2) }' || fail "$1: the Epoch went from $epoch to $now"
	note "$1: the Epoch ran on, $epoch to $now"
	epoch=$now asked=$EPOCHREALTIME
}

expect_epoch_reset()
{
	local now

	now=$(epoch)
	awk -v now="$now" -v a="$off" -v b="$EPOCHREALTIME" 'BEGIN { exit !(now < b - a + 1) }' ||
		fail "$1: the Epoch went from $epoch to $now"
	expect_equal "$(reason)" "$2" "$1: the Epoch is $now, and the reason"
	epoch=$now asked=$EPOCHREALTIME
}

# The Epoch must be so far on that a reset is seen.
await_epoch() { wait_for status_has "\"epoch\": *([6-9]|[1-9][0-9]+),"; epoch=$(epoch) asked=$EPOCHREALTIME; }
