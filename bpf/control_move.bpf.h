/* SPDX-License-Identifier: GPL-2.0-only */
/* A subscriber has another internal address (spec: scenarios F4a, F4c): its explicit mappings go with it, with their external
 * endpoints, nonces, lifetimes and all the rest, a port block at a time.
 *
 * A block has one owner, so all of it goes or nothing. While it goes its state is RELEASING: nobody claims a port in it, and packets of
 * the mappings that it holds do not look. Each mapping goes for itself: the old one turns dying, the new one is entered, the slot
 * changes hands in one swap, the old one is removed. Inbound packets find the one or the other, never both and never neither but
 * for the instant of the swap.
 *
 * All of a block is done in one run of the program: no daemon that dies leaves a block half way. */
#ifndef CGN_CONTROL_MOVE_BPF_H
#define CGN_CONTROL_MOVE_BPF_H
#include "explicit.bpf.h"

#define MOVE_POSITIONS	(CGN_PROTOCOLS * CGN_BLOCK_WORDS)
#define MOVE_STEPS	(MOVE_POSITIONS + CGN_PROTOCOLS * CGN_BLOCK_SIZE_MAX)
#define MOVE_PARTS	(CGN_PEERS_MAX + 1)	/* by their ordinals, then the MAP */
#define MOVE_RETRIES	8	/* packets of one of the two addresses were quicker */

struct move_walk {
	struct cgn_subscriber_key from, to;
	__u64 candidates;
	__u32 block;
	__u32 position;		/* protocol * words + word; one beyond the one in `candidates` */
	__u32 slot_base;	/* of bit 0 of `candidates` */
	__u32 is_trial;		/* nothing is moved: is everything ready for it? */
	__u32 moved, parts, ended, lost;
	__u32 busy, conflicts;
};

static __always_inline void internal_rehome(struct cgn_internal *internal, const struct cgn_subscriber_key *to)
{
	store_u32(internal->addr4, load_u32(to->addr4));
	__builtin_memcpy(internal->host6, to->host6, sizeof(internal->host6));
	internal->realm = to->realm;
}

/* Asked by the mapping's own client, which has the new address now: there it is told and recognised. */
static __always_inline void part_settle(struct cgn_explicit_key *key, const struct move_walk *walk, __u16 generation)
{
	struct cgn_explicit *part = bpf_map_lookup_elem(&explicit, key);

	if (!part)
		return;
	part->generation = generation;
	if (load_u32(part->client4) == load_u32(walk->from.addr4))
		store_u32(part->client4, load_u32(walk->to.addr4));
}

struct move_parts {
	struct cgn_internal from, to;
	__u32 flags, peers;
	__u32 generation;
	__u32 count;
};

static __always_inline bool part_stands_at(const struct move_parts *parts, __u32 n)
{
	return n == CGN_PEERS_MAX ? parts->flags & CGN_MAP : parts->peers >> n & 1;
}

static __always_inline void part_key(struct cgn_explicit_key *key, const struct cgn_internal *internal, __u32 n)
{
	explicit_key(key, internal, n == CGN_PEERS_MAX ? CGN_MAP : CGN_PEER);
	key->ordinal = n == CGN_PEERS_MAX ? 0 : (__u8)n;
}

/* The filters of a MAP, entered for the new address too: nobody reads them before the slot has changed hands. */
__noinline int part_enter_filters(struct move_parts *parts)
{
	struct cgn_filters *known, *entered;

	if (!parts)
		return false;
	known = bpf_map_lookup_elem(&filters, &parts->from);
	if (!known || bpf_map_update_elem(&filters, &parts->to, known, BPF_ANY))
		return false;
	entered = bpf_map_lookup_elem(&filters, &parts->to);
	if (!entered)
		return false;
	entered->tag = cgn_tag(&parts->to);
	return true;
}

/* One part and its text, entered for the new address too. False: it cannot be. */
__noinline int part_enter(struct move_parts *parts, __u32 n)
{
	struct cgn_explicit_key key;	/* of the one and of the other in turn: the stack is short */
	struct cgn_description *text;
	struct cgn_explicit *part;

	if (!parts)
		return false;
	part_key(&key, &parts->from, n);
	part = bpf_map_lookup_elem(&explicit, &key);
	text = bpf_map_lookup_elem(&descriptions, &key);
	key.internal = parts->to;
	if (!part || bpf_map_update_elem(&explicit, &key, part, BPF_NOEXIST))
		return false;
	if (!text || !bpf_map_update_elem(&descriptions, &key, text, BPF_ANY))
		return true;
	bpf_map_delete_elem(&explicit, &key);
	return false;
}

/* Removes those below `end` of one of the two addresses: the old ones when all is done, the new ones when it could not be. */
__noinline int parts_remove(struct move_parts *parts, __u32 of_old, __u32 end)
{
	struct cgn_explicit_key key;
	__u32 n;

	if (!parts)
		return 0;
	for (n = 0; n < MOVE_PARTS; n++) {
		if (n >= end)
			break;
		if (!part_stands_at(parts, n))
			continue;
		part_key(&key, of_old ? &parts->from : &parts->to, n);
		bpf_map_delete_elem(&descriptions, &key);
		bpf_map_delete_elem(&explicit, &key);
	}
	if (parts->flags & CGN_FILTERED)
		filter_forget(of_old ? &parts->from : &parts->to);
	return 0;
}

/* All parts of a mapping, entered for the new address, or none. */
__noinline int parts_enter(struct move_parts *parts)
{
	__u32 n;

	if (!parts)
		return CGN_BUSY;
	parts->count = 0;
	for (n = 0; n < MOVE_PARTS; n++) {
		if (!part_stands_at(parts, n))
			continue;
		if (!part_enter(parts, n)) {
			parts_remove(parts, 0, n);
			return CGN_TABLE_FULL;
		}
		parts->count++;
	}
	if (!(parts->flags & CGN_FILTERED) || part_enter_filters(parts))
		return CGN_OK;
	parts_remove(parts, 0, MOVE_PARTS);
	return CGN_TABLE_FULL;
}

__noinline int parts_settle(struct move_parts *parts, struct move_walk *walk)
{
	struct cgn_explicit_key key;
	__u32 n;

	if (!parts || !walk)
		return 0;
	for (n = 0; n < MOVE_PARTS; n++) {
		if (!part_stands_at(parts, n))
			continue;
		part_key(&key, &parts->to, n);
		part_settle(&key, walk, (__u16)parts->generation);
	}
	return 0;
}

/* Turns a mapping that stands as `seen` dying, or back: packets' stamps do not matter. */
static __always_inline bool mapping_set_dying(struct cgn_mapping *mapping, const union cgn_mapping_word *seen, bool is_dying)
{
	union cgn_mapping_word before, after;
	__u16 flags = is_dying ? seen->flags : seen->flags | CGN_DYING;
	int i;

	for (i = 0; i < SLOT_RETRIES; i++) {
		before.word = cgn_read_once(mapping->state.word);
		if (before.generation != seen->generation || before.flags != flags)
			return false;
		after = before;
		after.flags = flags ^ CGN_DYING;
		if (__sync_val_compare_and_swap(&mapping->state.word, before.word, after.word) == before.word)
			return true;
	}
	return false;
}

/* The slot changes hands: between the two swaps, an instant, inbound packets find nothing. */
static __always_inline void slot_rehome(struct cgn_slot *slot, const struct cgn_internal *to, __u16 generation)
{
	union cgn_slot_word word;

	word.word = cgn_read_once(slot->state.word);
	word.generation = generation;
	word.state = CGN_SLOT_CLAIMED;
	__sync_lock_test_and_set(&slot->state.word, word.word);
	slot_write(slot, to);
	cgn_barrier();
	word.state = CGN_SLOT_LIVE;
	__sync_lock_test_and_set(&slot->state.word, word.word);
}

/* One explicit mapping that stands as `seen`. On any status but CGN_OK it stands as before; CGN_CANNOT_PROVIDE: the new address has
 * one of that port. */
__noinline int move_mapping(struct cgn_mapping *seen, struct move_parts *parts)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_slot *slot;
	struct cgn_mapping *mapping;
	union cgn_mapping_word before;
	int status;
	long error;

	if (!seen || !parts || !settings)
		return CGN_BUSY;
	slot = map_slot(seen->slot);
	mapping = map_mapping(&parts->from);
	before = seen->state;
	if (!slot || !mapping || !mapping_set_dying(mapping, &before, true))
		return CGN_BUSY;
	cache_forget(settings, &parts->from);	/* after it is marked: see cache.bpf.h */
	status = parts_enter(parts);
	if (status == CGN_OK) {
		parts->generation = generation_after(seen->state.generation);
		seen->tag = cgn_tag(&parts->to);
		seen->state.generation = (__u16)parts->generation;
		error = bpf_map_update_elem(&mappings, &parts->to, seen, BPF_NOEXIST);
		if (error) {
			parts_remove(parts, 0, MOVE_PARTS);
			status = error == -17 /* EEXIST */ ? CGN_CANNOT_PROVIDE : CGN_TABLE_FULL;
		}
	}
	if (status != CGN_OK) {
		mapping_set_dying(mapping, &before, false);
		return status;
	}
	slot_rehome(slot, &parts->to, (__u16)parts->generation);
	bpf_map_delete_elem(&mappings, &parts->from);
	parts_remove(parts, 1, MOVE_PARTS);
	return CGN_OK;
}

static __always_inline void move_count(const struct cgn_subscriber_key *from, const struct cgn_subscriber_key *to, __u32 index, __u32 parts)
{
	struct cgn_subscriber *old = map_subscriber(from), *new = map_subscriber(to);

	if (old) {
		subscriber_give_port(old, index);
		__sync_fetch_and_add(&old->explicit_used, -parts);
	}
	if (new) {
		subscriber_add_port(new, index);
		__sync_fetch_and_add(&new->explicit_used, parts);
	}
}

/* A packet of the new address made a mapping after the trial: it gives way. */
__noinline int move_make_way(struct cgn_internal *internal)
{
	struct cgn_mapping seen, *mapping;

	if (!internal)
		return CGN_BUSY;
	mapping = map_mapping(internal);
	if (!mapping || !mapping_copy(mapping, internal, &seen))
		return CGN_OK;
	if (seen.state.flags & CGN_EXPLICIT)
		return CGN_NOT_ALLOWED;
	return mapping_end(mapping, internal, &seen);
}

/* Ends a mapping that stays behind, as it stands as `seen`, with its parts. */
__noinline int move_end(struct cgn_mapping *seen, struct move_parts *parts)
{
	struct cgn_mapping *mapping;
	__u32 n;
	int status;

	if (!seen || !parts)
		return CGN_BUSY;
	mapping = map_mapping(&parts->from);
	status = mapping ? mapping_end(mapping, &parts->from, seen) : CGN_BUSY;
	if (status != CGN_OK || !(parts->flags & CGN_EXPLICIT))
		return status;
	for (n = 0; n < MOVE_PARTS; n++)
		if (part_stands_at(parts, n))
			explicit_dismiss(&parts->from);
	parts_remove(parts, 1, MOVE_PARTS);
	return CGN_OK;
}

/* What is mapped to a port of the block now. False: nothing, or it is being made or ended. */
static __always_inline bool move_look(const struct move_walk *walk, __u32 slot_index, struct move_parts *parts, struct cgn_mapping *seen)
{
	struct cgn_slot *slot = map_slot(slot_index);
	struct cgn_mapping *mapping;

	if (!slot || slot->state.state != CGN_SLOT_LIVE)
		return false;
	slot_read(slot, &parts->from);
	mapping = map_mapping(&parts->from);
	if (!mapping || !mapping_copy(mapping, &parts->from, seen))
		return false;
	parts->to = parts->from;
	internal_rehome(&parts->to, &walk->to);
	parts->flags = seen->state.flags;
	parts->peers = seen->peers;
	return seen->slot == slot_index && !(seen->state.flags & CGN_DYING) && mapping_is_published(seen);
}

/* What stands in the way of a port? */
__noinline int move_try(struct move_walk *walk, __u32 slot_index)
{
	struct move_parts parts = {};
	struct cgn_mapping seen;

	if (!walk || !move_look(walk, slot_index, &parts, &seen))
		return CGN_BUSY;
	if (seen.state.flags & CGN_EXPLICIT && map_mapping(&parts.to))
		walk->conflicts++;
	return CGN_OK;
}

/* One port of the block: an explicit mapping goes, an implicit one ends, and so does what cannot go. */
__noinline int move_slot(struct move_walk *walk, __u32 slot_index)
{
	struct move_parts parts = {};
	struct cgn_mapping seen;
	int status, i;

	if (!walk)
		return CGN_BUSY;
	for (i = 0; i < 2 * MOVE_RETRIES; i++) {
		if (!move_look(walk, slot_index, &parts, &seen))
			return CGN_BUSY;
		if (!(parts.flags & CGN_EXPLICIT) || i >= MOVE_RETRIES) {
			status = move_end(&seen, &parts);
			if (status != CGN_OK)
				continue;
			if (parts.flags & CGN_EXPLICIT)
				walk->lost++;
			else
				walk->ended++;
			return CGN_OK;
		}
		status = move_mapping(&seen, &parts);
		if (status == CGN_CANNOT_PROVIDE)
			move_make_way(&parts.to);
		if (status != CGN_OK)
			continue;
		parts_settle(&parts, walk);
		move_count(&walk->from, &walk->to, CGN_SLOT_PROTOCOL(slot_index), parts.count);
		walk->moved++;
		walk->parts += parts.count;
		return CGN_OK;
	}
	return CGN_BUSY;
}

static long move_step(__u32 step, struct move_walk *walk)
{
	struct cgn_block *block;
	__u32 index, word, bit;

	if (walk->candidates) {
		bit = lowest_bit(walk->candidates) & 63;
		walk->candidates &= walk->candidates - 1;
		if ((walk->is_trial ? move_try(walk, walk->slot_base + bit) : move_slot(walk, walk->slot_base + bit)) != CGN_OK)
			walk->busy++;
		return walk->is_trial && walk->busy;
	}
	if (walk->position >= MOVE_POSITIONS)
		return 1;
	word = walk->position % CGN_BLOCK_WORDS;
	index = walk->position / CGN_BLOCK_WORDS;
	walk->position++;
	block = map_block(walk->block);
	cgn_forget(index);
	if (!block || index >= CGN_PROTOCOLS)
		return 1;
	walk->slot_base = CGN_SLOT(block->address, index, block->first_port + word * 64);
	walk->candidates = cgn_read_once(block->used[index][word]);
	return 0;
}

static __always_inline void move_walk_over(struct move_walk *walk, bool is_trial)
{
	walk->candidates = 0;
	walk->position = 0;
	walk->is_trial = is_trial;
	walk->busy = walk->conflicts = 0;
	bpf_loop(MOVE_STEPS, move_step, walk, 0);
}

/* A place in the list of the new owner, taken while nobody can claim in the block yet. CGN_SUBSCRIBER_BLOCKS_MAX: there is none. */
static __always_inline __u32 move_take_place(struct cgn_subscriber *subscriber, __u32 number)
{
	__u32 i;

	for (i = 0; i < CGN_SUBSCRIBER_BLOCKS_MAX; i++)
		if (__sync_val_compare_and_swap(&subscriber->block[i], 0, number) == 0)
			return i;
	return CGN_SUBSCRIBER_BLOCKS_MAX;
}

static __always_inline void block_change_owner(struct cgn_block *block, __u32 index, const struct cgn_subscriber_key *to)
{
	struct cgn_pool *pool = map_pool(block->address);

	if (!pool)
		return;
	event_block(CGN_EVENT_BLOCK_RELEASED, block, index, pool->block_shift, pool);
	block->owner = *to;
	block->generation++;
	block->claimed_s = clock_now_s();
	cgn_barrier();
	event_block(CGN_EVENT_BLOCK_ALLOCATED, block, index, pool->block_shift, pool);
}

/* Everything in a block that nobody may claim in: first the trial, then for good. */
static __always_inline int move_block(struct cgn_move_request *request, struct move_walk *walk)
{
	struct cgn_block *block;

	move_walk_over(walk, true);
	request->conflicts = walk->conflicts;
	if (walk->busy)
		return CGN_BUSY;
	if (walk->conflicts)
		return CGN_CANNOT_PROVIDE;
	move_walk_over(walk, false);
	request->moved = walk->moved;
	request->parts = walk->parts;
	request->ended = walk->ended;
	request->lost = walk->lost;
	block = map_block(walk->block);
	if (block)
		block_change_owner(block, walk->block, &walk->to);
	return CGN_OK;
}

static __always_inline int control_move_request(struct cgn_move_request *request)
{
	struct cgn_subscriber *old, *new;
	struct place computed = {};
	struct move_walk walk = {};
	struct cgn_block *block;
	__u32 number, place;
	int status;

	walk.from = request->from;
	walk.to = request->to;
	if (request->position >= CGN_SUBSCRIBER_BLOCKS_MAX)
		return CGN_BAD_REQUEST;
	status = subscriber_apply_rule(&walk.to);
	if (status != CGN_OK)
		return status;
	if (subscriber_place(&walk.from, &computed) || subscriber_place(&walk.to, &computed))
		return CGN_NOT_ALLOWED;
	old = map_subscriber(&walk.from);
	new = subscriber_get(&walk.to, &status);
	if (!new)
		return status;
	number = old ? cgn_read_once(old->block[request->position & (CGN_SUBSCRIBER_BLOCKS_MAX - 1)]) : 0;
	block = number ? map_block(number - 1) : NULL;
	if (!block || !subscriber_is_same(&block->owner, &walk.from))
		return CGN_NOT_FOUND;
	if (__sync_val_compare_and_swap(&block->state, CGN_BLOCK_LIVE, CGN_BLOCK_RELEASING) != CGN_BLOCK_LIVE)
		return CGN_BUSY;
	walk.block = number - 1;
	place = move_take_place(new, number);
	status = place < CGN_SUBSCRIBER_BLOCKS_MAX ? move_block(request, &walk) : CGN_QUOTA;
	if (status == CGN_OK) {
		subscriber_pair(new, block->address);
		__sync_val_compare_and_swap(&old->block[request->position & (CGN_SUBSCRIBER_BLOCKS_MAX - 1)], number, 0);
	} else if (place < CGN_SUBSCRIBER_BLOCKS_MAX) {
		__sync_val_compare_and_swap(&new->block[place], number, 0);
	}
	__sync_val_compare_and_swap(&block->state, CGN_BLOCK_RELEASING, CGN_BLOCK_LIVE);
	return status;
}

#endif
