/* SPDX-License-Identifier: GPL-2.0-only */
/* In front of `mappings`: the external endpoint of an internal one in a single cache line, where the hash costs two to three that
 * depend on each other. Only for packets that change nothing that is known of their mapping; every cache_s seconds one of them goes
 * the long way and stamps it. The hash stays the truth: an entry may be missing at any time, and it dies with its mapping.
 *
 * That it does: who enters looks at the mapping once more when the entry stands; who ends a mapping marks it CGN_DYING and then
 * removes its entries. Both do so with instructions that order all memory, so one of the two always sees the other.
 * A reader believes an entry whose key was the same before and after its word was read; the key counts its owners, so that one
 * which went and came again is another. */
#ifndef CGN_CACHE_BPF_H
#define CGN_CACHE_BPF_H
#include "maps.bpf.h"
#include "clock.bpf.h"
#include "endpoint.h"

#define CACHE_LOCKED (~0ull)	/* being written: no key, for protocol 255 is reserved */

#define CACHE_COUNT 0xff	/* in the lowest byte of a key; a free entry keeps it */

/* Without the count. */
static __always_inline __u64 cache_key(const struct cgn_internal *internal)
{
	return (__u64)load_u32(internal->addr4) << 24 | (__u64)internal->port << 8 | internal->protocol;
}

static __always_inline struct cgn_cache_line *cache_line(const struct cgn_settings *settings, __u64 key)
{
	__u32 index = (__u32)(key * 0x9e3779b97f4a7c15ull >> 32) & settings->cache_mask;

	return bpf_map_lookup_elem(&cache, &index);
}

/* True: *external is the endpoint, and nothing is to be written. */
static __always_inline bool cache_find(const struct cgn_settings *settings, const struct cgn_internal *internal, __u32 now_s,
				       struct cgn_external *external)
{
	__u64 key = cache_key(internal), seen;
	struct cgn_cache_line *line = cache_line(settings, key);
	union cgn_cache_word word;
	struct cgn_pool *pool;
	int i;

	if (!line)
		return false;
	for (i = 0; i < CGN_CACHE_WAYS; i++) {
		seen = cgn_read_once(line->entry[i].key);
		if (seen >> 8 != key)
			continue;
		word.word = cgn_read_once(line->entry[i].state.word);
		cgn_barrier();
		if (cgn_read_once(line->entry[i].key) != seen || (__u16)((__u16)now_s - word.synced_s) >= settings->cache_s)
			return false;
		pool = map_pool(word.address);
		if (!pool)
			return false;
		store_u32(external->addr4, load_u32(pool->addr4));
		external->port = word.port;
		external->protocol = internal->protocol;
		external->realm = internal->realm;
		return true;
	}
	return false;
}

/* Removes an internal endpoint's entries. */
static __always_inline void cache_forget(const struct cgn_settings *settings, const struct cgn_internal *internal)
{
	__u64 key = cache_key(internal), seen;
	struct cgn_cache_line *line = cache_line(settings, key);
	int i;

	if (!line)
		return;
	for (i = 0; i < CGN_CACHE_WAYS; i++) {
		seen = cgn_read_once(line->entry[i].key);
		if (seen >> 8 == key)
			__sync_val_compare_and_swap(&line->entry[i].key, seen, seen & CACHE_COUNT);
	}
}

/* Where an entry goes: to its own place, else a free one, else any. */
static __always_inline __u32 cache_place(const struct cgn_cache_line *line, __u64 key, __u32 now_s)
{
	__u32 place = now_s % CGN_CACHE_WAYS;
	__u64 seen;
	int i;

	for (i = 0; i < CGN_CACHE_WAYS; i++) {
		seen = cgn_read_once(line->entry[i].key);
		if (seen >> 8 == key)
			return (__u32)i;
		if (!(seen >> 8))
			place = (__u32)i;
	}
	return place;
}

/* Enters a mapping that was just stamped. `generation` is that of the mapping looked up. */
__noinline int cache_enter(struct cgn_internal *internal, __u32 generation)
{
	struct cgn_settings *settings = map_settings();
	__u32 now_s = clock_now_s(), place;
	union cgn_cache_word word = {};
	struct cgn_cache_entry *entry;
	union cgn_mapping_word state;
	struct cgn_cache_line *line;
	struct cgn_mapping *mapping;
	__u64 key, before;

	if (!internal || !settings || !settings->cache_s)
		return 0;
	key = cache_key(internal);
	line = cache_line(settings, key);
	mapping = map_mapping(internal);
	if (!line || !mapping)
		return 0;
	word.address = (__u16)CGN_SLOT_ADDRESS(mapping->slot);
	word.port = CGN_SLOT_PORT(mapping->slot);
	word.synced_s = (__u16)now_s;
	place = cache_place(line, key, now_s) & (CGN_CACHE_WAYS - 1);
	entry = &line->entry[place];
	before = cgn_read_once(entry->key);
	if (before == CACHE_LOCKED || __sync_val_compare_and_swap(&entry->key, before, CACHE_LOCKED) != before)
		return 0;
	entry->state.word = word.word;
	key = key << 8 | ((before + 1) & CACHE_COUNT);
	__sync_lock_test_and_set(&entry->key, key);
	state.word = cgn_read_once(mapping->state.word);
	if (cgn_read_once(mapping->tag) != cgn_tag(internal) || state.generation != (__u16)generation || state.flags & CGN_DYING)
		__sync_val_compare_and_swap(&entry->key, key, key & CACHE_COUNT);
	return 0;
}

#endif
