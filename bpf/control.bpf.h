/* SPDX-License-Identifier: GPL-2.0-only */
/* What the daemon may ask: the SEC("syscall") side of the allocator. Requests and the reaper may run at once, beside packets on
 * all CPUs; two requests for the same internal endpoint may not (the daemon is one thread). */
#ifndef CGN_CONTROL_BPF_H
#define CGN_CONTROL_BPF_H
#include "explicit.bpf.h"

/* With PREFER_FAILURE nothing but the suggested endpoint will do; parts that were not suggested are free. A PEER takes what exists,
 * whatever was suggested (RFC 6887 section 12.3). */
static __always_inline bool suggestion_is_met(const struct cgn_map_request *request, const struct cgn_external *external)
{
	__u32 address = load_u32(request->suggested.addr4);

	if (!(request->flags & (CGN_PREFER_FAILURE | CGN_RESTORE)))
		return true;
	if (request->origin == CGN_PEER && !(request->flags & CGN_RESTORE))
		return true;
	return (!address || address == load_u32(external->addr4)) &&
	       (!request->suggested.port || request->suggested.port == external->port);
}

/* A part that stands in `explicit` joins the mapping of its endpoint, whoever made that: the external endpoint stays, the rest goes
 * on beside it (RFC 6887 sections 11.3, 12.3). `standing`: the origin that must stand already, in the very copy that is compared
 * and swapped; a renewal that joined after the reaper took the flag would lose its element to it. CGN_NOT_FOUND: there is no such mapping. */
__noinline int control_join(struct cgn_map_request *request, struct cgn_explicit_key *key, __u32 standing)
{
	struct explicit_sum sum = {};
	struct cgn_mapping seen, *mapping;
	int status;

	if (!request || !key)
		return CGN_BUSY;
	mapping = map_mapping(&request->internal);
	if (!mapping || !mapping_copy(mapping, &request->internal, &seen))
		return CGN_NOT_FOUND;
	if (seen.state.flags & CGN_DYING || request->origin == CGN_STATIC || !mapping_is_published(&seen) ||
	    (seen.state.flags & standing) != standing)
		return CGN_BUSY;
	if (!suggestion_is_met(request, &seen.external))
		return CGN_CANNOT_PROVIDE;
	sum.internal = request->internal;
	sum.now_s = clock_now_s();
	sum.peers = seen.peers | (request->origin == CGN_PEER ? 1u << (key->ordinal & (CGN_PEERS_MAX - 1)) : 0);
	sum.parts = (seen.state.flags | request->origin) & (CGN_MAP | CGN_PEER);
	if (request->filter_count)
		sum.set = CGN_FILTERED;
	else if (request->flags & CGN_CLEAR_FILTERS)
		sum.clear = CGN_FILTERED;
	explicit_add_up(&sum);
	if (!(sum.parts & request->origin) || (request->origin == CGN_PEER && !(sum.peers >> (key->ordinal & (CGN_PEERS_MAX - 1)) & 1)))
		return CGN_BUSY;	/* over before it began */
	status = explicit_settle(&seen, &sum);
	if (status != CGN_OK)
		return status;
	explicit_place(key, seen.slot, seen.state.generation);
	explicit_forget_ended(&seen, &sum);
	if (sum.clear & seen.state.flags)
		filter_forget(&request->internal);
	request->external = seen.external;
	return CGN_OK;
}

/* May it be renewed? The part must stand: the reaper takes the flag first, then the element with the nonce. */
static __always_inline int renewal_check(const struct cgn_map_request *request, const struct cgn_explicit_key *key)
{
	const struct cgn_mapping *mapping = map_mapping(&request->internal);

	if (!mapping || !(mapping->state.flags & request->origin))
		return CGN_BUSY;
	if (request->origin == CGN_PEER && !(mapping->peers >> (key->ordinal & (CGN_PEERS_MAX - 1)) & 1))
		return CGN_BUSY;
	return suggestion_is_met(request, &mapping->external) ? CGN_OK : CGN_CANNOT_PROVIDE;
}

/* Renewal: endpoint stays, lifetime is set anew, the client's address is remembered. A PEER never shortens (section 12.3). */
__noinline int control_renew(struct cgn_map_request *request, struct cgn_explicit_key *key)
{
	__u32 now_s = clock_now_s(), before_s, until_s;
	struct cgn_explicit *known;
	int status;

	if (!request || !key)
		return CGN_BUSY;
	known = bpf_map_lookup_elem(&explicit, key);
	if (!known)
		return CGN_BUSY;
	if (!nonce_permits(known, request, now_s)) {
		request->lifetime_s = remaining_s(known->expires_s, now_s);
		return CGN_NONCE_MISMATCH;
	}
	status = renewal_check(request, key);
	if (status == CGN_OK)
		status = filter_stage(request);
	if (status != CGN_OK)
		return status;
	before_s = known->expires_s;
	until_s = now_s + request->lifetime_s;
	/* a drained address is left when what was promised ends: the answer says when, and asked for after that another one is had */
	if (before_s > now_s && until_s > before_s && address_is_draining(CGN_SLOT_ADDRESS(known->slot))) {
		until_s = before_s;
		request->lifetime_s = until_s - now_s;
	}
	if (request->origin != CGN_PEER || until_s > before_s)
		known->expires_s = until_s;	/* before the flag flips: a reaper that read the old one must fail */
	status = control_join(request, key, request->origin);
	if (status != CGN_OK) {
		filter_unstage(request);
		if (bpf_map_lookup_elem(&explicit, key) == known)
			known->expires_s = before_s;
		return status == CGN_NOT_FOUND ? CGN_BUSY : status;
	}
	if (before_s < now_s)	/* it was over: a new owner */
		__builtin_memcpy(known->nonce, request->nonce, sizeof(known->nonce));
	store_u32(known->client4, load_u32(request->client6 + 12));
	known->client_port = request->client_port;
	request->created = 0;
	return CGN_OK;
}

static __always_inline int control_create(struct cgn_map_request *request, struct cgn_explicit_key *key)
{
	struct cgn_new new = {};
	int status;

	if (!request || !key)
		return CGN_BUSY;
	new.internal = request->internal;
	new.suggested = request->suggested;
	new.origin = request->origin | (request->filter_count ? CGN_FILTERED : 0);
	new.expires_s = request->origin == CGN_STATIC ? CGN_FOREVER : clock_now_s() + request->lifetime_s;
	new.prefer_failure = request->flags & CGN_PREFER_FAILURE ? 1 : 0;
	new.restore = request->flags & CGN_RESTORE ? 1 : 0;
	status = mapping_claim_wish(&new);
	if (status == CGN_OK)
		status = mapping_create(&new);
	if (status != CGN_OK)
		return status;
	if (new.existed)
		return CGN_BUSY;	/* a packet was quicker: asked again, it will be adopted */
	explicit_place(key, new.slot, new.generation);
	request->external = new.external;
	return CGN_OK;
}

/* The static mapping answers for the operator: its endpoint, for ever, and the nonce is not kept (RFC 6887 section 11.3).
 * CGN_NOT_FOUND: there is none. */
__noinline int control_answer_static(struct cgn_map_request *request)
{
	struct cgn_mapping seen, *mapping;

	if (!request)
		return CGN_BUSY;
	mapping = map_mapping(&request->internal);
	if (!mapping || !mapping_copy(mapping, &request->internal, &seen) || !(seen.state.flags & CGN_STATIC))
		return CGN_NOT_FOUND;
	if (!suggestion_is_met(request, &seen.external))
		return CGN_CANNOT_PROVIDE;
	if (request->origin == CGN_STATIC && (load_u32(request->suggested.addr4) != load_u32(seen.external.addr4) ||
					      request->suggested.port != seen.external.port))
		return CGN_CANNOT_PROVIDE;
	request->external = seen.external;
	request->lifetime_s = CGN_FOREVER;
	request->created = 0;
	return CGN_OK;
}

/* RFC 6887 section 10: who has a static mapping gets his others at the same external address, if he is not paired already. */
static __always_inline void static_count(const struct cgn_internal *internal, const struct cgn_external *external, __u32 more)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_subscriber *subscriber;
	struct cgn_subscriber_key key;
	int address, status;

	subscriber_from_internal(&key, internal);
	subscriber = subscriber_get(&key, &status);
	if (!subscriber || !settings)
		return;
	__sync_fetch_and_add(&subscriber->statics, more);
	address = address_index(settings, bpf_ntohl(load_u32(external->addr4)));
	if (more == 1 && address >= 0)
		subscriber_pair(subscriber, (__u32)address);
}

/* Creation: quota, then nonce and expiry, then the mapping; taken back in reverse if no port is to be had. */
static __always_inline int control_add(struct cgn_map_request *request, struct cgn_explicit_key *key)
{
	int status;

	if (!request || !key)
		return CGN_BUSY;
	if (request->origin != CGN_STATIC) {
		status = explicit_admit(request);
		if (status != CGN_OK)
			return status;
	}
	status = explicit_enter(request, key);
	if (status == CGN_OK) {
		status = filter_stage(request);
		if (status == CGN_OK)
			status = control_join(request, key, 0);
		if (status == CGN_NOT_FOUND)
			status = control_create(request, key);
		if (status != CGN_OK && request->filter_count)
			filter_forget(&request->internal);
		if (status != CGN_OK)
			bpf_map_delete_elem(&explicit, key);
	}
	if (status != CGN_OK && request->origin != CGN_STATIC)
		explicit_dismiss(&request->internal);
	if (status == CGN_OK && request->origin == CGN_STATIC)
		static_count(&request->internal, &request->external, 1);
	request->created = status == CGN_OK;
	return status;
}

/* Creates or renews. */
static __always_inline int control_map_request(struct cgn_map_request *request)
{
	struct cgn_explicit_key key;
	struct cgn_explicit *part;
	int index, status;

	if (!request)
		return CGN_BAD_REQUEST;
	index = protocol_index(request->internal.protocol);
	if (index < 0 || !request->internal.port || (request->origin != CGN_MAP && request->origin != CGN_STATIC))
		return CGN_BAD_REQUEST;
	status = control_answer_static(request);
	if (status == CGN_OK && filter_is_asked(request))
		return CGN_NOT_ALLOWED;		/* the operator's mapping is everybody's */
	if (status != CGN_NOT_FOUND)
		return status;
	explicit_key(&key, &request->internal, request->origin);
	status = bpf_map_lookup_elem(&explicit, &key) ? control_renew(request, &key) : control_add(request, &key);
	part = status == CGN_OK ? bpf_map_lookup_elem(&explicit, &key) : NULL;
	if (!part)
		return status;
	if (filter_is_asked(request))
		part->filtered = request->filter_count != 0;
	if (request->flags & CGN_RESTORE) {
		part->set_first = request->set_first;
		part->set_size = request->set_size;
	}
	request->set_first = part->set_first;
	request->set_size = part->set_size;
	return status;
}

static long map_step(__u32 step, struct cgn_many_request *many)
{
	__u32 at = many->first + step;
	struct cgn_map_request *request = bpf_map_lookup_elem(&requests, &at);

	if (!request || step >= many->count)
		return 1;
	request->status = (__u32)control_map_request(request);
	return 0;
}

__noinline int control_delete_request(struct cgn_map_request *request)
{
	struct explicit_sum sum = {};
	struct cgn_explicit_key key;
	struct cgn_mapping seen;
	struct cgn_mapping *mapping;
	struct cgn_explicit *known;
	int status;

	if (!request || (request->origin != CGN_MAP && request->origin != CGN_STATIC))
		return CGN_BAD_REQUEST;
	explicit_key(&key, &request->internal, request->origin);
	known = bpf_map_lookup_elem(&explicit, &key);
	if (!known)
		return map_mapping(&request->internal) ? CGN_NOT_ALLOWED : CGN_NOT_FOUND;
	if (request->origin != CGN_STATIC && !nonce_permits(known, request, clock_now_s())) {
		request->lifetime_s = remaining_s(known->expires_s, clock_now_s());
		return CGN_NONCE_MISMATCH;
	}
	mapping = map_mapping(&request->internal);
	if (!mapping || !mapping_copy(mapping, &request->internal, &seen))
		return CGN_BUSY;
	if (!(seen.state.flags & request->origin))
		return CGN_BUSY;	/* as in renewal_check() */
	if (known->slot != seen.slot || known->generation != seen.state.generation)
		return CGN_BUSY;
	request->external = seen.external;
	request->set_first = known->set_first;
	request->set_size = known->set_size;
	explicit_sum_of(&sum, &request->internal, &seen, CGN_MAP);
	status = explicit_settle(&seen, &sum);
	if (status != CGN_OK)
		return status;
	explicit_forget_ended(&seen, &sum);
	if (request->origin == CGN_STATIC) {
		explicit_forget(&key);
		static_count(&request->internal, &request->external, -1u);
	}
	request->lifetime_s = sum.remaining_s;
	return CGN_OK;
}

/* ---- expiry ---- */

enum reaped { REAP_BUSY, REAP_KEPT, REAP_DELETED, REAP_DEMOTED };

__noinline int reap_slot(__u32 slot_index)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_slot *slot = map_slot(slot_index);
	struct explicit_sum sum = {};
	struct cgn_internal internal;
	struct cgn_mapping seen;
	struct cgn_mapping *mapping;
	union cgn_slot_word word;
	__u32 deadline_s;

	if (!settings || !slot)
		return REAP_KEPT;
	word.word = cgn_read_once(slot->state.word);
	if (word.state != CGN_SLOT_LIVE)
		return REAP_KEPT;
	slot_read(slot, &internal);
	mapping = map_mapping(&internal);
	if (!mapping || !mapping_copy(mapping, &internal, &seen))
		return REAP_BUSY;
	if (seen.slot != slot_index || seen.state.generation != word.generation || seen.state.flags & CGN_DYING)
		return REAP_BUSY;
	if (seen.state.flags & (CGN_MAP | CGN_PEER)) {
		explicit_sum_of(&sum, &internal, &seen, 0);
		if (sum.parts == (seen.state.flags & (CGN_MAP | CGN_PEER)) && sum.peers == seen.peers) {
			slot_move_deadline(slot, word, sum.due_s);
			return REAP_KEPT;
		}
		if (explicit_settle(&seen, &sum) != CGN_OK)
			return REAP_BUSY;
		explicit_forget_ended(&seen, &sum);
		return sum.remaining_s ? REAP_DEMOTED : REAP_DELETED;
	}
	deadline_s = mapping_reap_s(settings, &seen);
	if (deadline_s > clock_now_s()) {
		slot_move_deadline(slot, word, deadline_s);
		return REAP_KEPT;
	}
	return mapping_end(mapping, &internal, &seen) == CGN_OK ? REAP_DELETED : REAP_BUSY;
}

static long reap_step(__u32 step, struct cgn_reap_request *request)
{
	__u32 *slot = bpf_map_lookup_elem(&batch, &step);

	if (!slot || step >= request->count)
		return 1;
	switch (reap_slot(*slot)) {
	case REAP_DELETED:
		request->deleted++;
		break;
	case REAP_DEMOTED:
		request->demoted++;
		break;
	case REAP_KEPT:
		request->kept++;
		break;
	default:
		request->busy++;
	}
	return 0;
}

/* ---- giving back what is empty ---- */

static __always_inline bool block_is_empty(const struct cgn_block *block)
{
	__u64 any = 0;
	__u32 index, word;

	for (index = 0; index < CGN_PROTOCOLS; index++)
		for (word = 0; word < CGN_BLOCK_WORDS; word++)
			any |= cgn_read_once(block->used[index][word]);
	return !any;
}

/* Takes one empty block from its subscriber; see port_block.bpf.h for the race with packets. */
__noinline int release_block(struct cgn_subscriber_key *key, __u32 position)
{
	struct cgn_subscriber *subscriber;
	struct cgn_block *block;
	struct cgn_pool *pool;
	__u32 number;

	if (!key || position >= CGN_SUBSCRIBER_BLOCKS_MAX)
		return 0;
	subscriber = map_subscriber(key);
	if (!subscriber)
		return 0;
	number = cgn_read_once(subscriber->block[position]);
	block = number ? map_block(number - 1) : NULL;
	pool = block ? map_pool(block->address) : NULL;
	if (!pool || !block_is_empty(block) || !subscriber_is_same(&block->owner, key))
		return 0;
	if (__sync_val_compare_and_swap(&block->state, CGN_BLOCK_LIVE, CGN_BLOCK_RELEASING) != CGN_BLOCK_LIVE)
		return 0;
	if (!block_is_empty(block)) {
		__sync_val_compare_and_swap(&block->state, CGN_BLOCK_RELEASING, CGN_BLOCK_LIVE);
		return 0;
	}
	__sync_val_compare_and_swap(&subscriber->block[position], number, 0);
	block_free(block, number - 1, pool, clock_now_s());
	return 1;
}

static long release_step(__u32 step, struct cgn_release_request *request)
{
	request->released += (__u32)release_block(&request->subscriber, step);
	return 0;
}

/* A subscriber without blocks is marked idle, and deleted once the rest time went by without a packet. */
static __always_inline void subscriber_retire(struct cgn_release_request *request, __u32 rest_s)
{
	struct cgn_subscriber *subscriber = map_subscriber(&request->subscriber);
	__u32 now_s = clock_now_s(), state;

	if (!subscriber || subscriber_has_blocks(subscriber) || subscriber->statics)
		return;
	state = cgn_read_once(subscriber->state);
	if (state == CGN_SUBSCRIBER_LIVE) {
		subscriber->idle_since_s = now_s;
		__sync_val_compare_and_swap(&subscriber->state, CGN_SUBSCRIBER_LIVE, CGN_SUBSCRIBER_IDLE);
		return;
	}
	/* never sooner than 2 s: by then every program that saw it live has ended */
	if (now_s - subscriber->idle_since_s < (rest_s > 2 ? rest_s : 2))
		return;
	if (__sync_val_compare_and_swap(&subscriber->state, CGN_SUBSCRIBER_IDLE, CGN_SUBSCRIBER_GONE) != CGN_SUBSCRIBER_IDLE)
		return;
	if (!subscriber_has_blocks(subscriber)) {
		bpf_map_delete_elem(&subscribers, &request->subscriber);
		request->gone = 1;
	} else {
		__sync_lock_test_and_set(&subscriber->state, CGN_SUBSCRIBER_LIVE);
	}
}

/* ---- listing ---- */

struct list_walk {
	struct cgn_subscriber_key owner;
	__u64 candidates;
	__u32 origins;
	__u32 position;		/* (block position * protocols + protocol) * words + word; one beyond the one in `candidates` */
	__u32 slot_base;	/* of bit 0 of `candidates` */
	__u32 count;
};

#define LIST_POSITIONS (CGN_SUBSCRIBER_BLOCKS_MAX * CGN_PROTOCOLS * CGN_BLOCK_WORDS)
#define LIST_STEPS (LIST_POSITIONS + CGN_BATCH_MAX * 2)		/* of one call */

/* One step: the next word of the bitmaps, or one slot of the current word. Stops before a word that may not fit, into the batch or
 * into the steps left. */
static long list_step(__u32 step, struct list_walk *walk)
{
	struct cgn_subscriber *subscriber;
	struct cgn_block *block;
	struct cgn_slot *slot;
	__u32 position, number, index, word, bit, *to;

	if (walk->candidates) {
		bit = lowest_bit(walk->candidates) & 63;
		walk->candidates &= walk->candidates - 1;
		slot = map_slot(walk->slot_base + bit);
		if (!slot || slot->state.state != CGN_SLOT_LIVE || !(slot->state.flags & walk->origins))
			return 0;
		to = bpf_map_lookup_elem(&batch, &walk->count);
		if (!to)
			return 1;
		*to = walk->slot_base + bit;
		walk->count++;
		return 0;
	}
	position = walk->position;
	if (position >= LIST_POSITIONS || walk->count > CGN_BATCH_MAX - 64 || step + 64 >= LIST_STEPS)
		return 1;
	walk->position++;
	word = position % CGN_BLOCK_WORDS;
	index = position / CGN_BLOCK_WORDS % CGN_PROTOCOLS;
	subscriber = map_subscriber(&walk->owner);
	number = position / (CGN_BLOCK_WORDS * CGN_PROTOCOLS);
	cgn_forget(index);
	cgn_forget(number);
	if (!subscriber || number >= CGN_SUBSCRIBER_BLOCKS_MAX || index >= CGN_PROTOCOLS)
		return 1;
	number = cgn_read_once(subscriber->block[number]);
	block = number ? map_block(number - 1) : NULL;
	if (!block) {	/* no block here: on to the next one */
		walk->position = (position / (CGN_BLOCK_WORDS * CGN_PROTOCOLS) + 1) * CGN_BLOCK_WORDS * CGN_PROTOCOLS;
		return 0;
	}
	walk->slot_base = CGN_SLOT(block->address, index, block->first_port + word * 64);
	walk->candidates = walk->origins & CGN_IMPLICIT ? block->used[index][word] : block->explicit_ports[index][word];
	return 0;
}

#endif
