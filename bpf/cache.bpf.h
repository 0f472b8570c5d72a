/* SPDX-License-Identifier: GPL-2.0-only */
/* In front of `mappings`: the external endpoint of an internal one in a single cache line, where the hash costs two to three that
 * depend on each other. Only for packets that change nothing that is known of their mapping; every few seconds one of them goes the
 * long way and stamps it. The hash stays the truth: an entry may be missing at any time, and it dies with its mapping.
 *
 * That it does: who enters looks at the mapping once more when the entry stands; who ends a mapping marks it CGN_DYING and then
 * removes its entries. Both do so with instructions that order all memory, so one of the two always sees the other.
 *
 * What it costs is its size, for what is not in the CPU's caches and not in its TLB. With entries of 16 bytes, four in a line of which
 * one was used, a packet of a million equally busy flows took 368 ns where it takes 283 now, and a redirect alone 87. */
#ifndef CGN_CACHE_BPF_H
#define CGN_CACHE_BPF_H
#include "maps.bpf.h"
#include "clock.bpf.h"
#include "endpoint.h"
#include "cgn/cache.h"

static __always_inline struct cgn_cache_line *cache_line(const struct cgn_settings *settings, __u64 product)
{
	__u32 index = cache_line_index(settings, product);

	return bpf_map_lookup_elem(&cache, &index);
}

/* `word` if it has this tag, else `other`. Which it is cannot be foretold, and a wrong guess would be found out only when the line has
 * come out of memory: reckoned, therefore, and not branched, whatever the compiler thinks of it. */
static __always_inline __u64 cache_either(__u64 word, __u64 other, __u64 tag, __u32 shift)
{
	__u64 mask = (__u64)((__s64)(((word ^ tag) >> (shift & 63)) - 1) >> 63);	/* all ones if it differs by nothing, else 0 */

	cgn_forget(mask);
	return other ^ ((other ^ word) & mask);
}

/* The word with this tag, or 0. A function of its own, so that the verifier walks it once. */
__noinline __u64 cache_scan(struct cgn_cache_line *line, __u64 tag, __u32 shift)
{
	__u64 found = 0;
	int i;

	if (!line)
		return 0;
	for (i = 0; i < CGN_CACHE_WAYS; i++)
		found = cache_either(cgn_read_once(line->word[i]), found, tag, shift);
	return found;
}

/* The same, in the two places first where all but a few per cent are. */
static __always_inline __u64 cache_pick(const struct cgn_settings *settings, struct cgn_cache_line *line, __u64 product)
{
	__u64 tag = cache_tag(settings, product), word;
	__u32 shift = cache_tag_shift(settings);

	word = cache_either(cgn_read_once(line->word[cache_second_place(settings, product)]),
			    cgn_read_once(line->word[cache_place(settings, product)]), tag, shift);
	return cache_differs(settings, word, tag) ? cache_scan(line, tag, shift) : word;
}

/* True: *external is the endpoint, and nothing is to be written. */
static __always_inline bool cache_find(const struct cgn_settings *settings, const struct cgn_internal *internal, __u32 protocol,
				       __u32 now_s, struct cgn_external *external)
{
	__u64 product = cache_product(bpf_ntohl(load_u32(internal->addr4)), internal->port, protocol), word;
	struct cgn_cache_line *line = cache_line(settings, product);
	const struct cgn_pool *pool;

	if (!line)
		return false;
	word = cache_pick(settings, line, product);
	if (!cache_port(word) || !cache_serves(settings, cache_clock(settings, protocol), word, now_s))
		return false;
	pool = map_pool(cache_address(settings, word));
	if (!pool)
		return false;
	store_u32(external->addr4, load_u32(pool->addr4));
	external->port = cache_port(word);
	external->protocol = internal->protocol;
	external->realm = internal->realm;
	return true;
}

static __always_inline __u64 cache_product_of(const struct cgn_internal *internal)
{
	return cache_product(bpf_ntohl(load_u32(internal->addr4)), internal->port, (__u32)protocol_index(internal->protocol) & 3);
}

/* Removes an internal endpoint's entries. */
static __always_inline void cache_forget(const struct cgn_settings *settings, const struct cgn_internal *internal)
{
	__u64 product = cache_product_of(internal), tag = cache_tag(settings, product), seen;
	struct cgn_cache_line *line = cache_line(settings, product);
	int i;

	if (!line)
		return;
	for (i = 0; i < CGN_CACHE_WAYS; i++) {
		seen = cgn_read_once(line->word[i]);
		if (seen && !cache_differs(settings, seen, tag))
			__sync_val_compare_and_swap(&line->word[i], seen, 0);
	}
}

/* The same as a function of its own, so that the verifier walks it once. */
__noinline int cache_drop(struct cgn_internal *internal)
{
	struct cgn_settings *settings = map_settings();

	if (internal && settings)
		cache_forget(settings, internal);
	return 0;
}

/* Where an entry goes: where it is, else to its first place that is free, else to any free word, else to its first place nevertheless. */
static __always_inline __u32 cache_choose(const struct cgn_settings *settings, const struct cgn_cache_line *line, __u64 product)
{
	__u32 place = cache_place(settings, product), second = cache_second_place(settings, product);
	__u64 tag = cache_tag(settings, product), seen;
	bool is_free = !cgn_read_once(line->word[place]);
	int i;

	if (!is_free && !cgn_read_once(line->word[second])) {
		place = second;
		is_free = true;
	}
	for (i = 0; i < CGN_CACHE_WAYS; i++) {
		seen = cgn_read_once(line->word[i]);
		if (seen && !cache_differs(settings, seen, tag))
			return (__u32)i;
		if (!seen && !is_free) {
			place = (__u32)i;
			is_free = true;
		}
	}
	return place;
}

/* Enters a mapping that was just stamped. `generation` is that of the mapping looked up. */
__noinline int cache_enter(struct cgn_internal *internal, __u32 generation)
{
	struct cgn_settings *settings = map_settings();
	const struct cgn_cache_clock *clock;
	__u32 now_s = clock_now_s(), place;
	union cgn_mapping_word state;
	struct cgn_cache_line *line;
	struct cgn_mapping *mapping;
	__u64 product, word;

	if (!internal || !settings)
		return 0;
	clock = cache_clock(settings, (__u32)protocol_index(internal->protocol));
	if (!clock->units)
		return 0;
	product = cache_product_of(internal);
	line = cache_line(settings, product);
	mapping = map_mapping(internal);
	if (!line || !mapping)
		return 0;
	word = cache_word(settings, clock, cache_tag(settings, product), mapping->slot, now_s);
	place = cache_choose(settings, line, product) & (CGN_CACHE_WAYS - 1);
	__sync_lock_test_and_set(&line->word[place], word);
	state.word = cgn_read_once(mapping->state.word);
	if (cgn_read_once(mapping->tag) != cgn_tag(internal) || state.generation != (__u16)generation || state.flags & CGN_DYING)
		__sync_val_compare_and_swap(&line->word[place], word, 0);
	return 0;
}

#endif
