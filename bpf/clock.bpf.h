/* SPDX-License-Identifier: GPL-2.0-only */
/* The boot clock in seconds, without a call: bpf_jiffies64() is inlined by the JIT, bpf_ktime_get_ns() costs 31 ns. */
#ifndef CGN_CLOCK_BPF_H
#define CGN_CLOCK_BPF_H
#include "compat.h"

#define CLOCK_SHIFT 34

/* Set before load: bpf_jiffies64() when CLOCK_MONOTONIC was 0, and 2^CLOCK_SHIFT / ticks per second.
 * The rounding of the second loses less than half a second a year. */
const volatile __u64 clock_base_jiffies = 0;
const volatile __u64 clock_multiplier = (1ull << CLOCK_SHIFT) / 250;
const volatile __u32 clock_hz = 250;

static __always_inline __u32 clock_now_s(void)
{
	return (__u32)(((bpf_jiffies64() - clock_base_jiffies) * clock_multiplier) >> CLOCK_SHIFT);
}

#endif
