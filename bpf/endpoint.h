/* SPDX-License-Identifier: GPL-2.0-only */
/* Keys from packets and from each other. */
#ifndef CGN_ENDPOINT_H
#define CGN_ENDPOINT_H
#include "compat.h"
#include "cgn/slot.h"

static __always_inline bool subscriber_is_same(const struct cgn_subscriber_key *a, const struct cgn_subscriber_key *b)
{
	const __u64 *x = (const void *)a, *y = (const void *)b;

	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2])) == 0;
}

/* Tells a mapping's own value from that of a key which took over its element: a multiplicative hash of the key. */
static __always_inline __u32 cgn_tag(const struct cgn_internal *key)
{
	const __u64 *word = (const void *)key;
	__u64 hash = word[2] * 0x9e3779b97f4a7c15ull;

	hash ^= word[0] * 0xc2b2ae3d27d4eb4full;
	hash ^= word[1] * 0x165667b19e3779f9ull;
	return (__u32)(hash >> 32);
}

static __always_inline void internal_from_ipv4(struct cgn_internal *key, __u32 address_be, __u16 port, __u8 protocol)
{
	__u64 *word = (void *)key;

	word[0] = word[1] = 0;
	store_u32(key->addr4, address_be);
	key->port = port;
	key->protocol = protocol;
	key->realm = 0;
}

static __always_inline void subscriber_from_internal(struct cgn_subscriber_key *key, const struct cgn_internal *internal)
{
	__u64 *to = (void *)key;
	const __u64 *from = (const void *)internal;

	to[0] = from[0];
	to[1] = from[1];
	to[2] = 0;
	store_u32(key->addr4, load_u32(internal->addr4));
	key->realm = internal->realm;
}

/* The index of a protocol, or -1 if it has no ports that xcgn maps. */
static __always_inline int protocol_index(__u8 protocol)
{
	if (protocol == IPPROTO_UDP)
		return CGN_UDP;
	if (protocol == IPPROTO_TCP)
		return CGN_TCP;
	return protocol == IPPROTO_ICMP ? CGN_ICMP : -1;
}

/* The index in `pools` of an external address in host order, or -1. */
static __always_inline int address_index(const struct cgn_settings *settings, __u32 address)
{
	const struct cgn_ranges *ranges = &settings->ranges[settings->ranges_now & 1];
	__u32 i;

	for (i = 0; i < CGN_RANGES_MAX; i++) {
		if (i >= ranges->count)
			break;
		if (address - ranges->range[i].first <= ranges->range[i].last - ranges->range[i].first)
			return (int)(ranges->range[i].index + (address - ranges->range[i].first));
	}
	return -1;
}

#endif
