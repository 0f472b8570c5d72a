/* SPDX-License-Identifier: GPL-2.0-only */
/* Port blocks and the ports in them. Every claim is one atomic instruction on one word; whoever loses takes the next.
 *
 * A port is owned by whoever set its bit in `used`; the bit is cleared last. A block is given back only when its state went to
 * RELEASING and no bit was set after that; who sets a bit checks state and owner after it, and takes the bit back if the block
 * is not his any more. One of the two always sees the other. */
#ifndef CGN_PORT_BLOCK_BPF_H
#define CGN_PORT_BLOCK_BPF_H
#include "maps.bpf.h"
#include "endpoint.h"
#include "event.bpf.h"
#include "subscriber.bpf.h"

#define PORT_NONE 0xffffffffu

/* Position of the lowest set bit; `word` is not zero. */
static __always_inline __u32 lowest_bit(__u64 word)
{
	__u32 n = 0;

	if (!(word & 0xffffffff)) { n += 32; word >>= 32; }
	if (!(word & 0xffff)) { n += 16; word >>= 16; }
	if (!(word & 0xff)) { n += 8; word >>= 8; }
	if (!(word & 0xf)) { n += 4; word >>= 4; }
	if (!(word & 3)) { n += 2; word >>= 2; }
	if (!(word & 1)) n++;
	return n;
}

/* RFC 6887 section 11.3: external UDP 5350 and 5351 are never mapped. 5350 is even, both stand in one word of 64. */
static __always_inline __u64 port_forbidden(__u32 index, __u32 first_port_of_word)
{
	if (index != CGN_UDP || first_port_of_word != (CGN_PCP_CLIENT_PORT & ~63))
		return 0;
	return 3ull << (CGN_PCP_CLIENT_PORT & 63);
}

/* RFC 6888 REQ-8: a freed port rests, unless its last owner comes back for it (RFC 6887 section 15). */
static __always_inline bool slot_is_resting(const struct cgn_slot *slot, const struct cgn_internal *internal, __u32 now_s,
					    __u32 rest_s)
{
	return slot->state.state == CGN_SLOT_RESTING && now_s - slot->state.deadline_s < rest_s &&
	       !slot_is_of(slot, internal);
}

/* Sets one port's bit if it is free, not resting, and the block is still the owner's. */
static __always_inline bool port_claim(struct cgn_block *block, __u32 index, __u32 offset, const struct cgn_subscriber_key *owner)
{
	__u32 word = (offset >> 6) & (CGN_BLOCK_WORDS - 1);
	__u64 bit = 1ull << (offset & 63);

	cgn_forget(index);
	if (index >= CGN_PROTOCOLS)
		return false;
	if (__sync_fetch_and_or(&block->used[index][word], bit) & bit)
		return false;
	if (cgn_read_once(block->state) == CGN_BLOCK_LIVE && subscriber_is_same(&block->owner, owner))
		return true;
	__sync_fetch_and_and(&block->used[index][word], ~bit);
	return false;
}

static __always_inline void port_unclaim(struct cgn_block *block, __u32 index, __u32 offset)
{
	__u32 word = (offset >> 6) & (CGN_BLOCK_WORDS - 1);
	__u64 bit = 1ull << (offset & 63);

	cgn_forget(index);
	if (index >= CGN_PROTOCOLS)
		return;
	__sync_fetch_and_and(&block->explicit_ports[index][word], ~bit);
	__sync_fetch_and_and(&block->used[index][word], ~bit);
}

struct port_search {
	struct cgn_internal internal;
	struct cgn_subscriber_key owner;
	__u64 candidates;	/* of the current word, not yet tried */
	__u32 block;
	__u32 index;		/* cgn_protocol_index */
	__u32 word, words_left, words;
	__u32 rotate;
	__u32 now_s, rest_s;
	__u32 found;		/* slot, or PORT_NONE */
};

/* One step: load the next word, or try one free bit of the current one. Starts at a random place (RFC 6056). */
static long port_search_step(__u32 step, struct port_search *search)
{
	struct cgn_block *block = map_block(search->block);
	struct cgn_slot *slot;
	__u32 bit, word, index = search->index, slot_index;

	cgn_forget(index);
	if (!block || index >= CGN_PROTOCOLS)
		return 1;
	if (!search->candidates) {
		if (!search->words_left)
			return 1;
		search->words_left--;
		word = (search->word + 1) & (search->words - 1) & (CGN_BLOCK_WORDS - 1);
		search->word = word;
		search->candidates = ~(block->used[index][word] | port_forbidden(index, block->first_port + word * 64));
		return 0;
	}
	word = search->word & (CGN_BLOCK_WORDS - 1);
	bit = search->rotate & 63;
	bit = (lowest_bit(search->candidates >> bit | (bit ? search->candidates << (64 - bit) : 0)) + bit) & 63;
	search->candidates &= ~(1ull << bit);
	slot_index = CGN_SLOT(block->address, index, block->first_port + word * 64 + bit);
	slot = map_slot(slot_index);
	if (!slot || slot_is_resting(slot, &search->internal, search->now_s, search->rest_s))
		return 0;
	if (!port_claim(block, index, word * 64 + bit, &search->owner))
		return 0;
	search->found = slot_index;
	return 1;
}

/* Claims a free port of one block for an internal endpoint. Its slot, or PORT_NONE. */
__noinline int port_search_block(struct cgn_internal *internal, __u32 block, __u32 block_shift)
{
	struct cgn_settings *settings = map_settings();
	__u32 random = bpf_get_prandom_u32();
	struct port_search search = {};

	if (!internal || !settings)
		return (int)PORT_NONE;
	search.internal = *internal;
	subscriber_from_internal(&search.owner, internal);
	search.block = block;
	search.index = (__u32)protocol_index(internal->protocol);
	search.words = 1u << ((block_shift - 6) & 7);
	search.words_left = search.words;
	search.word = random >> 16;
	search.rotate = random;
	search.now_s = clock_now_s();
	search.rest_s = settings->rest_s;
	search.found = PORT_NONE;
	bpf_loop(CGN_BLOCK_WORDS + CGN_BLOCK_SIZE_MAX, port_search_step, &search, 0);
	return (int)search.found;
}

/* Where a subscriber's blocks are by cgn_plan. */
struct place {
	__u32 address;		/* index in pools */
	__u32 first, count;	/* his blocks there */
	__u32 shared, shared_count;	/* those for who needs more */
};

/* 1: the subscriber has such a place; 0: he gets blocks as they come. */
__noinline int subscriber_place(struct cgn_subscriber_key *key, struct place *ret_place)
{
	struct cgn_settings *settings = map_settings();
	const struct cgn_ranges *ranges;
	const struct cgn_plan *plan;
	__u32 address, number, i;

	if (!key || !ret_place || !settings || key->realm)
		return 0;
	ranges = &settings->ranges[settings->ranges_now & 1];
	address = bpf_ntohl(load_u32(key->addr4));
	for (i = 0; i < CGN_PLANS_MAX; i++) {
		if (i >= ranges->plan_count)
			return 0;
		plan = &ranges->plan[i];
		if (address - plan->first > plan->last - plan->first || !plan->each)
			continue;
		number = plan->position + (address - plan->first);
		ret_place->address = plan->index + number / plan->each;
		ret_place->first = number % plan->each * plan->blocks;
		ret_place->count = plan->blocks;
		ret_place->shared = (__u32)plan->each * plan->blocks;
		ret_place->shared_count = plan->shared;
		return 1;
	}
	return 0;
}

/* May this owner have block `number` of an address? What is computed belongs to whom it was computed for. */
__noinline int block_is_allowed(struct cgn_subscriber_key *key, __u32 address, __u32 number)
{
	struct cgn_pool *pool = map_pool(address);
	struct place place = {};

	if (!key || !pool)
		return 0;
	if (key->realm == CGN_OPERATOR_REALM)
		return number >= pool->planned;
	if (!subscriber_place(key, &place))
		return !pool->planned;
	return place.address == address && (number - place.first < place.count || number - place.shared < place.shared_count);
}

struct block_search {
	struct cgn_subscriber_key owner;
	__u32 address;		/* index in pools */
	__u16 first, count;	/* the blocks of this address that are looked at */
	__u16 start;		/* among them */
	__u32 now_s, rest_s;
	__u32 found;		/* index in blocks, or PORT_NONE */
};

/* Takes one block of an address if it is free and rested; the new owner stands in it before it turns live, and it turns live when
 * its owner has entered it: until then it can be given back without asking who uses it. */
static __always_inline bool block_claim(struct block_search *search, struct cgn_pool *pool, __u32 number)
{
	__u32 word = (number >> 6) & (CGN_POOL_WORDS - 1), index = pool->first_block + number;
	__u64 bit = 1ull << (number & 63);
	struct cgn_block *block;

	if (cgn_read_once(pool->taken[word]) & bit)
		return false;
	block = map_block(index);
	if (!block)
		return false;
	if (block->released_s && search->now_s - block->released_s < search->rest_s &&
	    !subscriber_is_same(&block->owner, &search->owner))
		return false;
	if (__sync_fetch_and_or(&pool->taken[word], bit) & bit)
		return false;
	block->owner = search->owner;
	block->generation++;
	block->claimed_s = search->now_s;
	block->address = search->address;
	block->first_port = (__u16)(pool->first_port + (number << (pool->block_shift & 15)));
	cgn_barrier();
	__sync_val_compare_and_swap(&block->state, CGN_BLOCK_FREE, CGN_BLOCK_CLAIMED);
	__sync_fetch_and_add(&pool->blocks_used, 1);
	event_block(CGN_EVENT_BLOCK_ALLOCATED, block, index, pool->block_shift, pool);
	search->found = index;
	return true;
}

static long block_search_step(__u32 step, struct block_search *search)
{
	struct cgn_pool *pool = map_pool(search->address);
	__u32 number;

	if (!pool || !search->count || step >= search->count)
		return 1;
	number = search->start + step;
	if (number >= search->count)
		number -= search->count;
	return block_claim(search, pool, search->first + number) ? 1 : 0;
}

static __always_inline void block_open(struct cgn_block *block)
{
	__sync_val_compare_and_swap(&block->state, CGN_BLOCK_CLAIMED, CGN_BLOCK_LIVE);
}

/* Gives a block back. The caller set it to RELEASING, or holds it alone because it was never opened. */
static __always_inline void block_free(struct cgn_block *block, __u32 index, struct cgn_pool *pool, __u32 now_s)
{
	__u32 number = index - pool->first_block;

	event_block(CGN_EVENT_BLOCK_RELEASED, block, index, pool->block_shift, pool);
	block->released_s = now_s ? now_s : 1;
	cgn_barrier();
	__sync_fetch_and_add(&pool->blocks_used, -1);
	__sync_lock_test_and_set(&block->state, CGN_BLOCK_FREE);
	__sync_fetch_and_and(&pool->taken[(number >> 6) & (CGN_POOL_WORDS - 1)], ~(1ull << (number & 63)));
}

/* Claims any free block of one address, or of `count` from `first` on. Its index, or PORT_NONE. */
__noinline int block_search_address(struct cgn_subscriber_key *owner, __u32 address, __u32 first, __u32 count)
{
	struct block_search search = {};
	struct cgn_settings *settings;
	struct cgn_pool *pool;

	if (!owner)
		return (int)PORT_NONE;
	search.owner = *owner;
	search.address = address;
	search.first = (__u16)first;
	search.count = (__u16)count;
	search.found = PORT_NONE;
	settings = map_settings();
	pool = bpf_map_lookup_elem(&pools, &search.address);
	if (!settings || !pool || pool->state != CGN_POOL_ACTIVE)
		return (int)PORT_NONE;
	search.rest_s = settings->rest_s;
	search.now_s = clock_now_s();
	if (!search.count && !pool->planned)
		search.count = (__u16)pool->block_count;
	if (!search.count || search.first + search.count > pool->block_count)
		return (int)PORT_NONE;
	search.start = (__u16)(bpf_get_prandom_u32() % search.count);
	bpf_loop(CGN_BLOCKS_PER_ADDRESS, block_search_step, &search, 0);
	return (int)search.found;
}

struct address_search {
	struct cgn_subscriber_key owner;
	__u32 start, count;	/* external addresses */
	__u32 found;		/* index in blocks, or PORT_NONE */
};

static long address_search_step(__u32 step, struct address_search *search)
{
	__u32 address = search->start + step;

	if (step >= search->count)
		return 1;
	if (address >= search->count)
		address -= search->count;
	search->found = (__u32)block_search_address(&search->owner, address, 0, 0);
	return search->found != PORT_NONE;
}

#define LEAST_USED_PROBES 16

struct least_used {
	__u32 start, count;	/* external addresses */
	__u32 address;
	__u32 used, of;		/* its blocks; of 0: none yet */
};

/* Up to so many addresses all are looked at, from a random one on; of more, so many by chance: the least used of d at random leaves
 * hardly more unevenness than the least used of all, and costs the same with 4096 addresses as with 16. */
static long least_used_step(__u32 step, struct least_used *least)
{
	__u32 address = least->count > LEAST_USED_PROBES ? bpf_get_prandom_u32() % least->count : least->start + step, used;
	struct cgn_pool *pool;

	if (step >= least->count)
		return 1;
	if (address >= least->count)
		address -= least->count;
	pool = map_pool(address);
	if (!pool || pool->state != CGN_POOL_ACTIVE || !pool->block_count || pool->planned)
		return 0;
	used = cgn_read_once(pool->blocks_used);
	if (least->of && used * least->of >= least->used * pool->block_count)	/* both below 2^11 */
		return 0;
	least->address = address;
	least->used = used;
	least->of = pool->block_count;
	return 0;
}

/* Claims a free block of any address: a subscriber's first, so the least used address is asked first, then the others from a random
 * one on. */
__noinline int block_search_any(struct cgn_subscriber_key *owner)
{
	struct cgn_settings *settings = map_settings();
	union {		/* one after the other: the stack is as long as it may be */
		struct least_used least;
		struct address_search all;
	} search = {};
	__u32 found = PORT_NONE;

	if (!owner || !settings || !settings->address_count)
		return (int)PORT_NONE;
	search.least.count = settings->address_count;
	search.least.start = bpf_get_prandom_u32() % search.least.count;
	bpf_loop(LEAST_USED_PROBES, least_used_step, &search.least, 0);
	if (search.least.of)
		found = (__u32)block_search_address(owner, search.least.address, 0, 0);
	if (found != PORT_NONE)
		return (int)found;
	search.all.owner = *owner;
	search.all.count = settings->address_count;
	search.all.start = bpf_get_prandom_u32() % settings->address_count;
	search.all.found = PORT_NONE;
	bpf_loop(CGN_ADDRESSES_MAX, address_search_step, &search.all, 0);
	return (int)search.all.found;
}

#define PAIRING_RETRIES 8	/* each is lost to another CPU's entering of a block of this subscriber */

union pairing {
	struct {
		__u16 address;
		__u16 changes;
	};
	__u32 word;
};

/* Moves the pairing from `seen` to an address, which may be the same; 0 = none. */
static __always_inline bool pairing_move(struct cgn_subscriber *subscriber, union pairing seen, __u32 address)
{
	union pairing after = { .address = (__u16)address, .changes = (__u16)(seen.changes + 1) };

	return __sync_val_compare_and_swap(&subscriber->pairing, seen.word, after.word) == seen.word;
}

/* Pairs the subscriber with an address, or confirms it. False: it is paired with another one. */
static __always_inline bool subscriber_pair(struct cgn_subscriber *subscriber, __u32 address)
{
	struct cgn_pool *pool = map_pool(address);
	union pairing seen;
	__u32 limit;
	int i;

	if (!pool)
		return false;
	for (i = 0; i < PAIRING_RETRIES; i++) {
		seen.word = cgn_read_once(subscriber->pairing);
		if (seen.address ? seen.address == address + 1 : pairing_move(subscriber, seen, address + 1)) {
			limit = subscriber->blocks_limit;
			if (pool->each && pool->each < limit)
				limit = pool->each;
			subscriber->port_limit = limit << (pool->block_shift & 15);
			return true;
		}
		if (seen.address)
			return false;
	}
	return false;
}

/* Opens a block that stands in its owner's list, under the pairing: who takes the pairing away for want of blocks either sees this
 * one there, or has its compare-and-swap fail. False: the pairing is gone, or another one. Any CPU may do it that finds the block. */
static __always_inline bool block_confirm(struct cgn_subscriber *subscriber, struct cgn_block *block)
{
	union pairing seen;
	int i;

	for (i = 0; i < PAIRING_RETRIES; i++) {
		seen.word = cgn_read_once(subscriber->pairing);
		if (seen.address != block->address + 1)
			return false;
		if (pairing_move(subscriber, seen, seen.address)) {
			block_open(block);
			return true;
		}
	}
	return false;
}

static long blocks_help_step(__u32 position, struct cgn_subscriber_key *key)
{
	struct cgn_subscriber *subscriber = map_subscriber(key);
	struct cgn_block *block;
	__u32 number;

	if (!subscriber || position >= CGN_SUBSCRIBER_BLOCKS_MAX)
		return 1;
	number = cgn_read_once(subscriber->block[position]);
	block = number ? map_block(number - 1) : NULL;
	if (!block || cgn_read_once(block->state) != CGN_BLOCK_CLAIMED)
		return 0;
	cgn_barrier();
	if (cgn_read_once(subscriber->block[position]) == number)
		block_confirm(subscriber, block);
	return 0;
}

/* Opens what other CPUs entered in the subscriber's list and have not come to open yet. A block leaves the list before it is free,
 * so what is claimed and stands there afterwards was entered. */
__noinline int blocks_help(struct cgn_subscriber_key *key)
{
	struct cgn_subscriber_key copy;

	if (!key)
		return CGN_BAD_REQUEST;
	copy = *key;
	bpf_loop(CGN_SUBSCRIBER_BLOCKS_MAX, blocks_help_step, &copy, 0);
	return CGN_OK;
}

/* A claimed block from the list where any CPU may open it. False: one has, and whoever found it empty may have released it since; to
 * give it back once more would be to give back another's. */
static __always_inline bool block_take_back(struct cgn_block *block, __u32 generation)
{
	if (__sync_val_compare_and_swap(&block->state, CGN_BLOCK_CLAIMED, CGN_BLOCK_RELEASING) != CGN_BLOCK_CLAIMED)
		return false;
	if (cgn_read_once(block->generation) == generation)
		return true;
	__sync_val_compare_and_swap(&block->state, CGN_BLOCK_RELEASING, CGN_BLOCK_CLAIMED);	/* another's already: he opens it, or who helps */
	return false;
}

/* Enters a claimed block among the subscriber's, up to `limit`, and pairs him with its address; `is_restored`: he had it before,
 * whatever the pairing. CGN_QUOTA: he has as many as he may; CGN_BUSY: another CPU paired him with another address. Then the block
 * is given back. */
__noinline int block_enter(struct cgn_subscriber_key *key, __u32 index, __u32 limit, __u32 is_restored)
{
	struct cgn_subscriber *subscriber;
	struct cgn_block *block;
	struct cgn_pool *pool;
	__u32 generation, i;
	int status = CGN_BUSY;

	if (!key)
		return CGN_BAD_REQUEST;
	subscriber = map_subscriber(key);
	block = map_block(index);
	pool = block ? map_pool(block->address) : NULL;
	if (!pool)
		return CGN_BUSY;
	generation = block->generation;
	if (subscriber && (subscriber_pair(subscriber, block->address) || is_restored)) {
		status = CGN_QUOTA;
		for (i = 0; i < CGN_SUBSCRIBER_BLOCKS_MAX && i < limit; i++) {
			if (__sync_val_compare_and_swap(&subscriber->block[i], 0, index + 1) != 0)
				continue;
			if (is_restored)
				block_open(block);
			if (is_restored || block_confirm(subscriber, block))
				return CGN_OK;
			if (!block_take_back(block, generation))	/* who helped has opened it: it is the list's */
				return CGN_OK;
			__sync_val_compare_and_swap(&subscriber->block[i], index + 1, 0);
			status = CGN_BUSY;
			break;
		}
	}
	block_free(block, index, pool, clock_now_s());
	return status;
}

static __always_inline bool subscriber_has_blocks(const struct cgn_subscriber *subscriber)
{
	__u32 i, any = 0;

	for (i = 0; i < CGN_SUBSCRIBER_BLOCKS_MAX; i++)
		any |= cgn_read_once(subscriber->block[i]);
	return any != 0;
}

static __always_inline bool subscriber_may_have_block(const struct cgn_subscriber *subscriber, __u32 limit)
{
	__u32 i;

	for (i = 0; i < CGN_SUBSCRIBER_BLOCKS_MAX; i++) {
		if (i >= limit)
			break;
		if (!cgn_read_once(subscriber->block[i]))
			return true;
	}
	return false;
}

static __always_inline bool address_is_draining(__u32 address)
{
	struct cgn_pool *pool = map_pool(address);

	return pool && pool->state != CGN_POOL_ACTIVE;
}

struct draining_count {
	struct cgn_subscriber_key key;
	__u32 count;
};

static long draining_step(__u32 position, struct draining_count *draining)
{
	struct cgn_subscriber *subscriber = map_subscriber(&draining->key);
	struct cgn_block *block;
	__u32 number;

	if (!subscriber || position >= CGN_SUBSCRIBER_BLOCKS_MAX)
		return 1;
	number = cgn_read_once(subscriber->block[position]);
	block = number ? map_block(number - 1) : NULL;
	draining->count += block && address_is_draining(block->address);
	return 0;
}

/* So many blocks may stand in the subscriber's list. Those at addresses that are drained do not count: no port of them is to be had. */
__noinline int subscriber_block_limit(struct cgn_subscriber_key *key)
{
	struct draining_count draining = {};
	struct cgn_subscriber *subscriber;

	if (!key)
		return 0;
	draining.key = *key;
	subscriber = map_subscriber(key);
	if (!subscriber)
		return 0;
	if (!subscriber_may_have_block(subscriber, subscriber->blocks_limit))
		bpf_loop(CGN_SUBSCRIBER_BLOCKS_MAX, draining_step, &draining, 0);
	draining.count += subscriber->blocks_limit;
	return draining.count < CGN_SUBSCRIBER_BLOCKS_MAX ? (int)draining.count : CGN_SUBSCRIBER_BLOCKS_MAX;
}

#define PLACE_NONE 0xfffffffeu	/* beside PORT_NONE */
#define PLACE_FULL 0xfffffffdu

/* A block at the only address that the subscriber may have: one of his own, or one of those for who needs more. PLACE_NONE: he may have
 * any; PLACE_FULL: he has all. Not part of its caller, whose stack is that of the longest chain of calls. */
__noinline int block_search_place(struct cgn_subscriber_key *key)
{
	struct cgn_subscriber *subscriber;
	struct place place = {};
	union pairing paired;
	__u32 found;

	if (!key || !subscriber_place(key, &place))
		return (int)PLACE_NONE;
	found = (__u32)block_search_address(key, place.address, place.first, place.count);
	if (found == PORT_NONE && place.shared_count)
		found = (__u32)block_search_address(key, place.address, place.shared, place.shared_count);
	else if (found == PORT_NONE && !address_is_draining(place.address))
		return (int)PLACE_FULL;
	subscriber = map_subscriber(key);
	if (!subscriber)
		return (int)found;
	/* he may have been paired when the configuration was another, or by a static mapping */
	paired.word = cgn_read_once(subscriber->pairing);
	if (found != PORT_NONE && paired.address && paired.address != place.address + 1)
		pairing_move(subscriber, paired, 0);
	return (int)found;
}

/* One more block for the subscriber; `wish` is an address's index plus 1, or 0, and decides only where he is paired with none yet.
 * CGN_OK; CGN_QUOTA: it has all it may; CGN_EXHAUSTED: no free block; CGN_BUSY: another CPU changed the pairing, ask again. */
__noinline int subscriber_add_block(struct cgn_subscriber_key *key, __u32 wish)
{
	struct cgn_subscriber *subscriber;
	union pairing paired;
	__u32 found, limit;

	if (!key)
		return CGN_BAD_REQUEST;
	subscriber_apply_rule(key);
	subscriber = map_subscriber(key);
	if (!subscriber)
		return CGN_BUSY;
	limit = (__u32)subscriber_block_limit(key);
	if (!subscriber_may_have_block(subscriber, limit))
		return CGN_QUOTA;
	found = (__u32)block_search_place(key);
	if (found == PLACE_FULL)
		return CGN_QUOTA;
	if (found != PLACE_NONE)
		return found == PORT_NONE ? CGN_EXHAUSTED : block_enter(key, found, limit, false);
	found = PORT_NONE;
	paired.word = cgn_read_once(subscriber->pairing);
	if (paired.address) {
		found = (__u32)block_search_address(key, paired.address - 1u, 0, 0);
		/* RFC 6887 section 10: who has nothing there any more may move to another address; and who can have nothing there, because
		 * it is drained, must: what he has there lives on */
		if (found == PORT_NONE && (address_is_draining(paired.address - 1u) || !subscriber_has_blocks(subscriber)))
			pairing_move(subscriber, paired, 0);
	}
	if (found == PORT_NONE && wish && !cgn_read_once(subscriber->address))
		found = (__u32)block_search_address(key, wish - 1, 0, 0);
	if (found == PORT_NONE && !cgn_read_once(subscriber->address))
		found = (__u32)block_search_any(key);
	return found == PORT_NONE ? CGN_EXHAUSTED : block_enter(key, found, limit, false);
}

#endif
