/* SPDX-License-Identifier: GPL-2.0-only */
/* Internet checksums, changed incrementally (RFC 1624): a bad checksum stays bad, so receivers still see the damage.
 * A `delta` is a one's complement sum of (~old + new) over 16-bit words as they stand in memory. */
#ifndef CGN_CHECKSUM_H
#define CGN_CHECKSUM_H
#include "compat.h"

static __always_inline __u16 checksum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)sum;
}

static __always_inline __u32 checksum_delta16(__u16 from, __u16 to)
{
	return (__u32)(__u16)~from + to;
}

static __always_inline __u32 checksum_delta32(__u32 from, __u32 to)
{
	return checksum_delta16((__u16)from, (__u16)to) + checksum_delta16((__u16)(from >> 16), (__u16)(to >> 16));
}

static __always_inline __u16 checksum_update(__u16 checksum, __u32 delta)
{
	return (__u16)~checksum_fold((__u32)(__u16)~checksum + delta);
}

/* UDP: 0 means "no checksum" and stays; a sum that comes out as 0 is sent as 0xffff (RFC 768). */
static __always_inline __u16 checksum_update_udp(__u16 checksum, __u32 delta)
{
	if (!checksum)
		return 0;
	checksum = checksum_update(checksum, delta);
	return checksum ? checksum : 0xffff;
}

#endif
