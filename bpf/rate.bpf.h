/* SPDX-License-Identifier: GPL-2.0-only */
/* How often something may be done: buckets that say when each of them is empty again, in nanoseconds of the boot clock. Two halves, one
 * a side; the first one of each half is the total, the others are found by a hash of who it is done for. Those who share a bucket share
 * its rate; the state is bounded whoever comes. */
#ifndef CGN_RATE_BPF_H
#define CGN_RATE_BPF_H
#include "compat.h"

static __always_inline __u32 rate_total(__u32 side, __u32 buckets)
{
	return side ? buckets / 2 : 0;
}

static __always_inline __u32 rate_own(__u32 side, __u32 buckets, __u32 address_be)
{
	return rate_total(side, buckets) + 1 + ((address_be * 0x9e3779b1u) >> 8) % (buckets / 2 - 1);
}

/* One more in a bucket that loses one every `interval_ns`. Losing to another CPU counts as full. */
static __always_inline bool rate_take(void *buckets, __u32 index, __u64 now_ns, __u64 interval_ns, __u32 burst)
{
	__u64 *bucket = bpf_map_lookup_elem(buckets, &index), before, from;

	if (!bucket)
		return false;
	before = cgn_read_once(*bucket);
	from = before > now_ns ? before : now_ns;
	if (from - now_ns > interval_ns * (burst - 1))
		return false;
	return __sync_val_compare_and_swap(bucket, before, from + interval_ns) == before;
}

#endif
