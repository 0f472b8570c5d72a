/* SPDX-License-Identifier: GPL-2.0-only */
/* How an entry of `cache` is packed: internal endpoint, external endpoint and a time in one word, so that eight flows share a cache
 * line, a million of them 16 MiB, and a reader needs one load. From the top:
 *
 *     tag (what of the key the line does not say) | time | index of the external address | external port
 *
 * The key, 50 bits, is multiplied by an odd number modulo 2^50, which loses nothing: the upper bits of the product are the line, the
 * others the tag. Time has what is left, CGN_CACHE_TIME_BITS at least, in units that make it come round only after the longest idle
 * time: see config_cache_clock(). A word of 0 is free, for no port is 0. Pure functions of the layouts. */
#ifndef CGN_CACHE_H
#define CGN_CACHE_H
#include "cgn/abi.h"

#define CGN_CACHE_KEY_BITS 50
#define CGN_CACHE_FACTOR 0x278dde6e5fd2bull	/* odd, and near the golden section of 2^50 */
#define CGN_CACHE_PRODUCT_MASK ((1ull << CGN_CACHE_KEY_BITS) - 1)

/* `address` as a number, `protocol` a cgn_protocol_index. */
static __always_inline __u64 cache_product(__u32 address, __u16 port, __u32 protocol)
{
	return (((__u64)address << 18 | (__u64)port << 2 | protocol) * CGN_CACHE_FACTOR) & CGN_CACHE_PRODUCT_MASK;
}

static __always_inline __u32 cache_line_index(const struct cgn_settings *settings, __u64 product)
{
	return (__u32)(product >> ((CGN_CACHE_KEY_BITS - settings->cache_line_bits) & 63));
}

/* Which of the line's words an entry has if nobody else has it: by the bits next to the line's. */
static __always_inline __u32 cache_place(const struct cgn_settings *settings, __u64 product)
{
	return (__u32)(product << ((64 - CGN_CACHE_KEY_BITS + settings->cache_line_bits) & 63) >> 61) & (CGN_CACHE_WAYS - 1);
}

/* And which if somebody has that one: by the bits next to those. */
static __always_inline __u32 cache_second_place(const struct cgn_settings *settings, __u64 product)
{
	return (__u32)(product << ((64 - CGN_CACHE_KEY_BITS + settings->cache_line_bits) & 63) >> 58) & (CGN_CACHE_WAYS - 1);
}

/* Bits below the tag. */
static __always_inline __u32 cache_tag_shift(const struct cgn_settings *settings)
{
	return (64 - CGN_CACHE_KEY_BITS + settings->cache_line_bits) & 63;
}

static __always_inline __u64 cache_tag(const struct cgn_settings *settings, __u64 product)
{
	return product << cache_tag_shift(settings);
}

/* 0 if the word has this tag. */
static __always_inline __u64 cache_differs(const struct cgn_settings *settings, __u64 word, __u64 tag)
{
	return (word ^ tag) >> cache_tag_shift(settings);
}

static __always_inline __u16 cache_port(__u64 word)
{
	return (__u16)word;
}

static __always_inline __u32 cache_address(const struct cgn_settings *settings, __u64 word)
{
	return (__u32)(word >> 16) & ((1u << (settings->cache_address_bits & 31)) - 1);
}

static __always_inline __u64 cache_time_mask(const struct cgn_settings *settings)
{
	return (1ull << ((cache_tag_shift(settings) - 16 - settings->cache_address_bits) & 63)) - 1;
}

static __always_inline const struct cgn_cache_clock *cache_clock(const struct cgn_settings *settings, __u32 protocol)
{
	return &settings->cache_clock[protocol & 3];
}

static __always_inline __u64 cache_word(const struct cgn_settings *settings, const struct cgn_cache_clock *clock, __u64 tag, __u32 slot,
					__u32 now_s)
{
	__u64 time = (now_s >> (clock->shift & 31)) & cache_time_mask(settings);

	return tag | time << ((16 + settings->cache_address_bits) & 63) | CGN_SLOT_ADDRESS(slot) << 16 | CGN_SLOT_PORT(slot);
}

/* May packets still go by this entry, without a look at the mapping? */
static __always_inline int cache_serves(const struct cgn_settings *settings, const struct cgn_cache_clock *clock, __u64 word, __u32 now_s)
{
	__u64 age = (now_s >> (clock->shift & 31)) - (word >> ((16 + settings->cache_address_bits) & 63));

	return (age & cache_time_mask(settings)) < clock->units;
}

#endif
