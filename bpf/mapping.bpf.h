/* SPDX-License-Identifier: GPL-2.0-only */
/* The life of a mapping, the same for packets and for PCP: bit, mapping, slot on the way in; slot, mapping, slot, bit on the way
 * out. At no instant do two internal endpoints hold one external port. */
#ifndef CGN_MAPPING_BPF_H
#define CGN_MAPPING_BPF_H
#include "maps.bpf.h"
#include "endpoint.h"
#include "cache.bpf.h"
#include "clock.bpf.h"
#include "subscriber.bpf.h"
#include "port_block.bpf.h"
#include "cgn/lifetime.h"

#define MAPPING_RETRIES 3
#define CLAIM_RETRIES 4		/* each is lost to another CPU that pairs this subscriber */
#define SLOT_RETRIES 16		/* only packets' syncs get in between, seconds apart */

enum cgn_claim {
	CLAIM_ANY,		/* any port will do */
	CLAIM_DONE,		/* the suggested port is claimed: `slot` */
	CLAIM_IMPOSSIBLE,	/* it is not to be had, and no other will do */
};

/* What mapping_create() is asked and answers. */
struct cgn_new {
	struct cgn_internal internal;
	struct cgn_external suggested;	/* port 0: no wish */
	struct cgn_external external;	/* out: the mapping's, be it ours or the winner's of a race */
	__u32 slot;			/* out */
	__u32 expires_s;
	__u16 generation;		/* out */
	__u16 origin;			/* cgn_mapping_flag */
	__u8 prefer_failure;
	__u8 existed;			/* out: another CPU made it first */
	__u8 restore;			/* granted before: no rest, no quota, no state of the pool stands against it */
	__u8 claim;			/* cgn_claim: what mapping_claim_wish() came to */
};

static __always_inline void operator_key(struct cgn_subscriber_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->realm = CGN_OPERATOR_REALM;
}

static __always_inline void mapping_owner(const struct cgn_new *wanted, struct cgn_subscriber_key *owner)
{
	if (wanted->origin & CGN_STATIC)
		operator_key(owner);
	else
		subscriber_from_internal(owner, &wanted->internal);
}

/* ---- creation ---- */

static __always_inline bool block_is_permitted(const struct cgn_subscriber *subscriber, const struct cgn_pool *pool, __u32 address)
{
	__u32 paired = cgn_read_once(subscriber->address);

	return pool->state == CGN_POOL_ACTIVE && subscriber_may_have_block(subscriber, subscriber->blocks_limit) && (!paired || paired == address + 1);
}

/* The suggested port of an address, if it is free and inside policy: in one of the owner's blocks, or a block he may still claim. */
__noinline int mapping_claim_at(struct cgn_new *wanted, __u32 address)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_subscriber *subscriber = NULL;
	struct block_search search = {};
	struct cgn_block *block;
	struct cgn_pool *pool;
	struct cgn_slot *slot;
	__u32 number, offset;
	int index;

	if (!wanted || !settings)
		return CGN_BAD_REQUEST;
	index = protocol_index(wanted->internal.protocol);
	if (index < 0)
		return CGN_CANNOT_PROVIDE;
	pool = map_pool(address);
	if (!pool || wanted->suggested.port < pool->first_port)
		return CGN_CANNOT_PROVIDE;
	if (pool->state != CGN_POOL_ACTIVE && !wanted->restore && !(wanted->origin & CGN_STATIC))
		return CGN_CANNOT_PROVIDE;
	number = (wanted->suggested.port - pool->first_port) >> (pool->block_shift & 15);
	if (number >= pool->block_count)
		return CGN_CANNOT_PROVIDE;
	if (port_forbidden((__u32)index, wanted->suggested.port & ~63u) & 1ull << (wanted->suggested.port & 63))
		return CGN_CANNOT_PROVIDE;
	mapping_owner(wanted, &search.owner);
	search.address = address;
	search.now_s = clock_now_s();
	search.rest_s = wanted->restore || wanted->origin & CGN_STATIC ? 0 : settings->rest_s;	/* the operator knows what he does */
	slot = map_slot(CGN_SLOT(address, index, wanted->suggested.port));
	block = map_block(pool->first_block + number);
	if (!slot || !block || slot_is_resting(slot, &wanted->internal, search.now_s, search.rest_s))
		return CGN_CANNOT_PROVIDE;
	if (!(cgn_read_once(block->state) == CGN_BLOCK_LIVE && subscriber_is_same(&block->owner, &search.owner))) {
		if (!(wanted->origin & CGN_STATIC)) {
			subscriber = map_subscriber(&search.owner);
			if (!subscriber)
				return CGN_CANNOT_PROVIDE;
			if (!wanted->restore && !block_is_permitted(subscriber, pool, address))
				return CGN_CANNOT_PROVIDE;
		}
		if (!block_is_allowed(&search.owner, address, number) || !block_claim(&search, pool, number))
			return CGN_CANNOT_PROVIDE;
		if (!subscriber)
			block_open(block);
		else if (block_enter(&search.owner, search.found, wanted->restore ? CGN_SUBSCRIBER_BLOCKS_MAX : subscriber->blocks_limit,
				     wanted->restore) != CGN_OK)
			return CGN_CANNOT_PROVIDE;
	}
	offset = wanted->suggested.port - block->first_port;
	if (!port_claim(block, (__u32)index, offset, &search.owner))
		return CGN_CANNOT_PROVIDE;
	wanted->slot = CGN_SLOT(address, index, wanted->suggested.port);
	return CGN_OK;
}

#define SUGGESTED_ADDRESSES 4

/* The address that the subscriber's ports are computed to be at; -1: none. */
__noinline int place_address(struct cgn_subscriber_key *key)
{
	struct place place = {};

	return key && subscriber_place(key, &place) ? (int)place.address : -1;
}

/* The suggested external endpoint. Without an address the port is wanted at the subscriber's own, or, if he has none yet, at one
 * of a few by chance. */
__noinline int mapping_claim_suggested(struct cgn_new *wanted, struct cgn_subscriber_key *key)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_subscriber *subscriber;
	int address, i;

	if (!wanted || !key || !settings || !settings->address_count)
		return CGN_BAD_REQUEST;
	if (load_u32(wanted->suggested.addr4)) {
		address = address_index(settings, bpf_ntohl(load_u32(wanted->suggested.addr4)));
		return address < 0 ? CGN_CANNOT_PROVIDE : mapping_claim_at(wanted, (__u32)address);
	}
	subscriber = map_subscriber(key);
	if (!subscriber)
		return CGN_CANNOT_PROVIDE;
	address = place_address(key);
	if (address >= 0)
		return mapping_claim_at(wanted, (__u32)address);
	for (i = 0; i < SUGGESTED_ADDRESSES && !cgn_read_once(subscriber->address); i++)
		if (mapping_claim_at(wanted, bpf_get_prandom_u32() % settings->address_count) == CGN_OK)
			return CGN_OK;
	address = (int)cgn_read_once(subscriber->address) - 1;
	return address < 0 ? CGN_CANNOT_PROVIDE : mapping_claim_at(wanted, (__u32)address);
}

/* Any free port of the blocks that the subscriber has. */
__noinline int mapping_claim_any(struct cgn_new *wanted)
{
	struct cgn_subscriber *subscriber;
	struct cgn_subscriber_key owner;
	struct cgn_block *block;
	struct cgn_pool *pool;
	__u32 i, number, found;

	if (!wanted)
		return CGN_BAD_REQUEST;
	subscriber_from_internal(&owner, &wanted->internal);
	subscriber = map_subscriber(&owner);
	if (!subscriber)
		return CGN_BUSY;
	for (i = 0; i < CGN_SUBSCRIBER_BLOCKS_MAX; i++) {
		number = cgn_read_once(subscriber->block[i]);
		if (!number)
			continue;
		block = map_block(number - 1);
		pool = block ? map_pool(block->address) : NULL;
		if (!pool || pool->block_shift < 6 || pool->state != CGN_POOL_ACTIVE)
			continue;
		found = (__u32)port_search_block(&wanted->internal, number - 1, pool->block_shift);
		if (found != PORT_NONE) {
			wanted->slot = found;
			return CGN_OK;
		}
	}
	return CGN_EXHAUSTED;
}

static __always_inline void mapping_release_port(__u32 slot)
{
	struct cgn_pool *pool = map_pool(CGN_SLOT_ADDRESS(slot));
	struct cgn_block *block;
	__u32 port = CGN_SLOT_PORT(slot), offset;

	if (!pool || port < pool->first_port)
		return;
	offset = port - pool->first_port;
	block = map_block(pool->first_block + (offset >> (pool->block_shift & 15)));
	if (block)
		port_unclaim(block, CGN_SLOT_PROTOCOL(slot), offset & ((1u << (pool->block_shift & 15)) - 1));
}

/* The port's bit among the explicit ones: what GET/NEXT and listings walk. */
static __always_inline void mapping_mark_explicit(__u32 slot, bool is_explicit)
{
	struct cgn_pool *pool = map_pool(CGN_SLOT_ADDRESS(slot));
	struct cgn_block *block;
	__u32 index = CGN_SLOT_PROTOCOL(slot), offset;
	__u64 *word;

	cgn_forget(index);
	if (!pool || CGN_SLOT_PORT(slot) < pool->first_port || index >= CGN_PROTOCOLS)
		return;
	offset = CGN_SLOT_PORT(slot) - pool->first_port;
	block = map_block(pool->first_block + (offset >> (pool->block_shift & 15)));
	if (!block)
		return;
	offset &= (1u << (pool->block_shift & 15)) - 1;
	word = &block->explicit_ports[index][(offset >> 6) & (CGN_BLOCK_WORDS - 1)];
	if (is_explicit)
		__sync_fetch_and_or(word, 1ull << (offset & 63));
	else
		__sync_fetch_and_and(word, ~(1ull << (offset & 63)));
}

/* Publishes a claimed slot. */
static __always_inline void slot_publish(struct cgn_slot *slot, const struct cgn_new *new, __u32 deadline_s)
{
	union cgn_slot_word word = {};

	word.generation = new->generation;
	word.state = CGN_SLOT_CLAIMED;
	*(volatile __u64 *)&slot->state.word = word.word;
	cgn_barrier();
	slot_write(slot, &new->internal);
	cgn_barrier();
	word.deadline_s = deadline_s;
	word.flags = (__u8)new->origin;
	word.state = CGN_SLOT_LIVE;
	__sync_lock_test_and_set(&slot->state.word, word.word);
}

/* Drawn, not counted: an element of `mappings` goes from slot to slot, and counters of two slots would often agree, so that a
 * compare-and-swap meant for the mapping before would hit the one after. Never twice in a row for one slot. */
static __always_inline __u16 generation_after(__u16 before)
{
	__u16 drawn = (__u16)bpf_get_prandom_u32();

	return drawn == before ? (__u16)(drawn + 1) : drawn;
}

/* The mapping that another CPU made meanwhile. False: there is none. */
static __always_inline bool mapping_use_winner(struct cgn_new *new)
{
	struct cgn_mapping *winner = map_mapping(&new->internal);
	__u32 tag = cgn_tag(&new->internal);

	if (!winner || cgn_read_once(winner->tag) != tag)
		return false;
	new->external = winner->external;
	new->slot = winner->slot;
	new->generation = winner->state.generation;
	cgn_barrier();
	if (cgn_read_once(winner->tag) != tag)
		return false;
	new->existed = 1;
	return true;
}

/* Enters a claimed port into `mappings` and publishes its slot. Whoever comes second gives his port back and uses the first's
 * mapping: then `existed` is set. */
__noinline int mapping_enter(struct cgn_new *new)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_mapping mapping = {};
	struct cgn_pool *pool;
	struct cgn_slot *slot;
	long error;

	if (!new || !settings)
		return CGN_BAD_REQUEST;
	slot = map_slot(new->slot);
	pool = map_pool(CGN_SLOT_ADDRESS(new->slot));
	if (!slot || !pool)
		return CGN_BAD_REQUEST;
	new->generation = generation_after(slot->state.generation);
	mapping.tag = cgn_tag(&new->internal);
	mapping.slot = new->slot;
	store_u32(mapping.external.addr4, load_u32(pool->addr4));
	mapping.external.port = CGN_SLOT_PORT(new->slot);
	mapping.external.protocol = new->internal.protocol;
	mapping.external.realm = new->internal.realm;
	mapping.created_s = clock_now_s();
	mapping.synced_s = (__u16)mapping.created_s;
	mapping.state.generation = new->generation;
	mapping.state.flags = new->origin;
	/* RFC 6887 section 12.3: a mapping made by PEER is one made by a packet, but for its lifetime */
	mapping.state.last_outbound_s = new->origin & (CGN_IMPLICIT | CGN_PEER) ? mapping.created_s : 0;
	mapping.peers = new->origin & CGN_PEER ? 1 : 0;
	mapping.expires_s = new->expires_s;
	new->external = mapping.external;
	error = bpf_map_update_elem(&mappings, &new->internal, &mapping, BPF_NOEXIST);
	if (!error) {	/* whatever ends a mapping wants its slot published: the bit cannot come after the end */
		if (new->origin & CGN_EXPLICIT)
			mapping_mark_explicit(new->slot, true);
		slot_publish(slot, new, mapping_reap_s(settings, &mapping));
		return CGN_OK;
	}
	mapping_release_port(new->slot);
	if (error != -17 /* EEXIST */)
		return error == -7 /* E2BIG */ || error == -12 /* ENOMEM */ ? CGN_TABLE_FULL : CGN_BUSY;
	return mapping_use_winner(new) ? CGN_OK : CGN_BUSY;
}

/* The suggested address: its index in `pools` plus 1, 0 = no wish or none of ours. */
static __always_inline __u32 mapping_wished_address(const struct cgn_new *new)
{
	const struct cgn_settings *settings = map_settings();
	int address = settings ? address_index(settings, bpf_ntohl(load_u32(new->suggested.addr4))) : -1;

	return address < 0 ? 0 : (__u32)address + 1;
}

/* Claims a port for the subscriber, with a further block if need be. */
static __always_inline int mapping_claim(struct cgn_new *new, struct cgn_subscriber_key *key)
{
	int status, grown = CGN_BUSY;
	__u32 wish = 0, i;

	if (new->claim != CLAIM_ANY)
		return new->claim == CLAIM_DONE ? CGN_OK : CGN_CANNOT_PROVIDE;
	if (load_u32(new->suggested.addr4)) {
		wish = mapping_wished_address(new);
		if (!wish && new->prefer_failure)
			return CGN_CANNOT_PROVIDE;
	}
	status = mapping_claim_any(new);
	for (i = 0; i < CLAIM_RETRIES && status == CGN_EXHAUSTED && grown == CGN_BUSY; i++) {
		grown = subscriber_add_block(key, wish);
		if (grown != CGN_OK)
			blocks_help(key);
		/* also when there was no further block: a loser of a race may have given a bit back meanwhile */
		status = mapping_claim_any(new);
	}
	if (status == CGN_EXHAUSTED && grown != CGN_OK)
		status = grown;
	if (status == CGN_OK && new->prefer_failure && wish && CGN_SLOT_ADDRESS(new->slot) != wish - 1) {
		mapping_release_port(new->slot);
		return CGN_CANNOT_PROVIDE;
	}
	return status;
}

/* Before mapping_create(), for who suggests an external port: claims it. Not part of it, so that packets' calls nest less deep. */
__noinline int mapping_claim_wish(struct cgn_new *new)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_subscriber_key key;
	int status;

	if (!new || !settings)
		return CGN_BAD_REQUEST;
	new->claim = CLAIM_ANY;
	if (!new->suggested.port)
		return CGN_OK;
	subscriber_from_internal(&key, &new->internal);
	if (!(new->origin & CGN_STATIC) && !subscriber_admit(settings, &key, &status))
		return status;
	if (mapping_claim_suggested(new, &key) == CGN_OK)
		new->claim = CLAIM_DONE;
	else if (new->prefer_failure || new->restore || new->origin & CGN_STATIC)
		new->claim = CLAIM_IMPOSSIBLE;
	return CGN_OK;
}

/* A new mapping, or the one that another CPU made meanwhile (`existed`). On any status but CGN_OK nothing changed. */
__noinline int mapping_create(struct cgn_new *new)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_subscriber *subscriber = NULL;
	struct cgn_subscriber_key key;
	int index, status;

	if (!new || !settings)
		return CGN_BAD_REQUEST;
	new->existed = 0;
	index = protocol_index(new->internal.protocol);
	if (index < 0 || index >= CGN_PROTOCOLS)
		return CGN_BAD_REQUEST;
	subscriber_from_internal(&key, &new->internal);
	if (!(new->origin & CGN_STATIC)) {
		subscriber = subscriber_admit(settings, &key, &status);
		if (!subscriber) {
			if (new->claim == CLAIM_DONE)
				mapping_release_port(new->slot);
			return status;
		}
	}
	status = mapping_claim(new, &key);
	if (subscriber && status == CGN_OK && new->restore) {
		subscriber_add_port(subscriber, (__u32)index);
	} else if (subscriber && status == CGN_OK && !subscriber_take_port(subscriber, &key, (__u32)index, new->origin == CGN_IMPLICIT)) {
		mapping_release_port(new->slot);
		status = CGN_QUOTA;
	}
	/* the last port may have gone to another CPU's packet of this same flow */
	if (status != CGN_OK && mapping_use_winner(new))
		return CGN_OK;
	if (subscriber && (status == CGN_QUOTA || status == CGN_EXHAUSTED)) {
		__u32 *refused = status == CGN_QUOTA ? &subscriber->refused_quota : &subscriber->refused_pool;

		/* one event for the first refusal and for every 1024th: the counter has them all */
		if ((__sync_fetch_and_add(refused, 1) & 1023) == 0)
			event_refused(status == CGN_QUOTA ? CGN_EVENT_QUOTA : CGN_EVENT_EXHAUSTED, &key);
	}
	if (status != CGN_OK)
		return status;
	status = mapping_enter(new);
	if (subscriber && (status != CGN_OK || new->existed))
		subscriber_give_port(subscriber, (__u32)index);
	return status;
}

/* ---- change and end ---- */

/* Swaps flags, if the mapping stands as `seen` but for packets' stamps. False: it is another's, or somebody else changed its flags,
 * which includes a renewal: CGN_RENEWED always flips. Write a new expiry before. */
static __always_inline bool mapping_change_flags(struct cgn_mapping *mapping, union cgn_mapping_word seen, __u16 set, __u16 clear)
{
	union cgn_mapping_word before, after;
	int i;

	for (i = 0; i < MAPPING_RETRIES; i++) {
		before.word = cgn_read_once(mapping->state.word);
		if (before.generation != seen.generation || before.flags != seen.flags || before.flags & CGN_DYING)
			return false;
		after = before;
		after.flags = ((before.flags & (__u16)~clear) | set) ^ CGN_RENEWED;
		if (__sync_val_compare_and_swap(&mapping->state.word, before.word, after.word) == before.word)
			return true;
	}
	return false;
}

/* Is the mapping's slot published? Until then whoever enters it may still write the slot's first flags and deadline. */
static __always_inline bool mapping_is_published(const struct cgn_mapping *seen)
{
	const struct cgn_slot *slot = map_slot(seen->slot);
	union cgn_slot_word word;

	if (!slot)
		return false;
	word.word = cgn_read_once(slot->state.word);
	return word.state == CGN_SLOT_LIVE && word.generation == seen->state.generation;
}

/* Moves the deadline of a slot that stands as `seen`; whoever changed it meanwhile knows better. */
static __always_inline void slot_move_deadline(struct cgn_slot *slot, union cgn_slot_word seen, __u32 deadline_s)
{
	union cgn_slot_word after = seen;

	after.deadline_s = deadline_s;
	__sync_val_compare_and_swap(&slot->state.word, seen.word, after.word);
}

/* Writes deadline and flags into the slot, if it is still this mapping's: for the one who changed the mapping's flags. */
static __always_inline void slot_update(__u32 slot_index, __u16 generation, __u32 deadline_s, __u8 flags)
{
	struct cgn_slot *slot = map_slot(slot_index);
	union cgn_slot_word before, after;
	int i;

	if (!slot)
		return;
	for (i = 0; i < SLOT_RETRIES; i++) {
		before.word = cgn_read_once(slot->state.word);
		if (before.state != CGN_SLOT_LIVE || before.generation != generation)
			return;
		after = before;
		after.deadline_s = deadline_s;
		after.flags = flags;
		if (__sync_val_compare_and_swap(&slot->state.word, before.word, after.word) == before.word)
			return;
	}
}

/* Ends a mapping that stands as `seen`: a packet that refreshed it meanwhile wins, and CGN_BUSY comes back. */
static __always_inline int mapping_end(struct cgn_mapping *mapping, const struct cgn_internal *internal,
				       const struct cgn_mapping *seen)
{
	union cgn_mapping_word dying = seen->state;
	struct cgn_settings *settings;
	union cgn_slot_word before, word;
	struct cgn_subscriber *subscriber;
	struct cgn_subscriber_key key;
	struct cgn_slot *slot = map_slot(seen->slot);
	int i;

	if (!slot)
		return CGN_BUSY;
	before.word = cgn_read_once(slot->state.word);
	if (before.state != CGN_SLOT_LIVE || before.generation != seen->state.generation)
		return CGN_BUSY;
	dying.flags |= CGN_DYING;
	if (__sync_val_compare_and_swap(&mapping->state.word, seen->state.word, dying.word) != seen->state.word)
		return CGN_BUSY;
	/* from here on this CPU alone ends it */
	settings = map_settings();
	if (settings)
		cache_forget(settings, internal);
	word = before;
	word.state = CGN_SLOT_DYING;
	__sync_lock_test_and_set(&slot->state.word, word.word);
	for (i = 0; i < MAPPING_RETRIES; i++)	/* older kernels refuse when they interrupted themselves in this bucket */
		if (bpf_map_delete_elem(&mappings, internal) != -16 /* EBUSY */)
			break;
	word.state = CGN_SLOT_RESTING;
	word.flags = 0;
	word.deadline_s = clock_now_s();
	__sync_lock_test_and_set(&slot->state.word, word.word);
	mapping_release_port(seen->slot);
	if (seen->state.flags & CGN_STATIC)
		return CGN_OK;
	subscriber_from_internal(&key, internal);
	subscriber = map_subscriber(&key);
	if (subscriber)
		subscriber_give_port(subscriber, CGN_SLOT_PROTOCOL(seen->slot));
	return CGN_OK;
}

/* A copy of a looked-up mapping that is provably this key's. False: its element is another's already. */
static __always_inline bool mapping_copy(const struct cgn_mapping *mapping, const struct cgn_internal *internal,
					 struct cgn_mapping *ret_copy)
{
	__u32 tag = cgn_tag(internal);

	if (cgn_read_once(mapping->tag) != tag)
		return false;
	*ret_copy = *mapping;
	cgn_barrier();
	return cgn_read_once(mapping->tag) == tag;
}

/* Brings a mapping's activity to its slot, where the reaper looks. Seldom: every CGN_SLOT_SYNC_S, and when a connection ends. */
__noinline int mapping_sync(struct cgn_internal *internal, __u32 now_s)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_mapping seen, *mapping;
	union cgn_slot_word word;
	struct cgn_slot *slot;

	if (!internal || !settings)
		return 0;
	mapping = map_mapping(internal);
	if (!mapping || !mapping_copy(mapping, internal, &seen))
		return 0;
	slot = map_slot(seen.slot);
	if (!slot)
		return 0;
	mapping->synced_s = (__u16)now_s;
	word.word = cgn_read_once(slot->state.word);
	/* the slot's flags decide: a request that made the mapping explicit meanwhile writes the slot after this, or wrote it before */
	if (word.state == CGN_SLOT_LIVE && word.generation == seen.state.generation && !(word.flags & CGN_EXPLICIT) &&
	    !(seen.state.flags & (CGN_EXPLICIT | CGN_DYING)))
		slot_move_deadline(slot, word, mapping_reap_s(settings, &seen));
	return 0;
}

#endif
