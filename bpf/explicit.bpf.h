/* SPDX-License-Identifier: GPL-2.0-only */
/* The explicit parts of a mapping: one MAP, several PEERs, each an element of `explicit` with its own nonce and its own end. The
 * mapping lives as long as the last of them; each that ends goes for itself, and gives back its place in the quota. */
#ifndef CGN_EXPLICIT_BPF_H
#define CGN_EXPLICIT_BPF_H
#include "filter.bpf.h"
#include "mapping.bpf.h"

static __always_inline void explicit_key(struct cgn_explicit_key *key, const struct cgn_internal *internal, __u8 opcode)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->internal = *internal;
	key->opcode = opcode;
}

static __always_inline __u32 remaining_s(__u32 expires_s, __u32 now_s)
{
	if (expires_s == CGN_FOREVER)
		return CGN_FOREVER;
	return expires_s > now_s ? expires_s - now_s : 0;
}

/* Its last second counts whole, because the second in which it began did (as in mapping_reap_s()). */
static __always_inline bool explicit_is_over(const struct cgn_explicit *part, __u32 now_s)
{
	return part->expires_s < now_s;
}

static __always_inline bool words_are_same(const void *a, const void *b, __u32 count)
{
	const __u32 *x = a, *y = b;
	__u32 difference = 0, i;

	for (i = 0; i < count; i++)
		difference |= x[i] ^ y[i];
	return !difference;
}

/* RFC 6887 section 11.3, simple threat model, and the relaxed policies. A part whose time is over has no owner any more. */
static __always_inline bool nonce_permits(const struct cgn_explicit *part, const struct cgn_map_request *request, __u32 now_s)
{
	if (request->nonce_policy == CGN_NONCE_OFF || explicit_is_over(part, now_s))
		return true;
	if (request->nonce_policy == CGN_NONCE_SAME_SOURCE && load_u32(part->client4) == load_u32(request->client6 + 12))
		return true;
	return words_are_same(part->nonce, request->nonce, 3);
}

/* ---- what the parts come to ---- */

struct explicit_sum {
	struct cgn_internal internal;	/* in */
	__u32 now_s;			/* in */
	__u32 peers;			/* in: ordinals to look at; out: those that stand */
	__u32 parts;			/* in: CGN_MAP and CGN_PEER as far as they are to be looked at; out: what stands */
	__u32 expires_s;		/* out: last end, 0 if nothing stands */
	__u32 due_s;			/* out: the second from which on the first of them is over */
	__u32 remaining_s;		/* out of explicit_settle(): of the mapping, by its parts and by its traffic */
	__u16 set, clear;		/* in: CGN_FILTERED, if that changes */
};

static __always_inline bool explicit_add(struct explicit_sum *sum, const struct cgn_explicit_key *key)
{
	const struct cgn_explicit *part = bpf_map_lookup_elem(&explicit, key);

	if (!part || explicit_is_over(part, sum->now_s))
		return false;
	if (part->expires_s > sum->expires_s)
		sum->expires_s = part->expires_s;
	if (part->expires_s < sum->due_s)
		sum->due_s = part->expires_s + 1;
	return true;
}

__noinline int explicit_add_up(struct explicit_sum *sum)
{
	struct cgn_explicit_key key;
	__u32 ordinal;

	if (!sum)
		return 0;
	sum->expires_s = 0;
	sum->due_s = CGN_FOREVER;
	explicit_key(&key, &sum->internal, CGN_MAP);
	if (sum->parts & CGN_MAP && !explicit_add(sum, &key))
		sum->parts &= ~CGN_MAP;
	key.opcode = CGN_PEER;
	for (ordinal = 0; ordinal < CGN_PEERS_MAX; ordinal++) {
		if (!(sum->peers >> ordinal & 1))
			continue;
		key.ordinal = (__u8)ordinal;
		if (!explicit_add(sum, &key))
			sum->peers &= ~(1u << ordinal);
	}
	sum->parts = sum->peers ? sum->parts | CGN_PEER : sum->parts & ~CGN_PEER;
	return 0;
}

/* The parts of a mapping that stand, but for `without`. */
static __always_inline void explicit_sum_of(struct explicit_sum *sum, const struct cgn_internal *internal,
					    const struct cgn_mapping *seen, __u32 without)
{
	sum->internal = *internal;
	sum->now_s = clock_now_s();
	sum->peers = seen->peers;
	sum->parts = seen->state.flags & (CGN_MAP | CGN_PEER) & ~without;
	explicit_add_up(sum);
}

/* What remains of the mapping: by its parts, and by its traffic. */
static __always_inline __u32 explicit_remaining_s(const struct cgn_settings *settings, const struct cgn_mapping *seen,
						  const struct explicit_sum *sum)
{
	__u32 by_parts = remaining_s(sum->expires_s, sum->now_s), idle_over_s, by_traffic, lag_s = mapping_lag_s(settings, seen);

	if (sum->parts && !by_parts)
		by_parts = 1;
	if (seen->state.flags & CGN_STATIC || !seen->state.last_outbound_s)
		return by_parts;
	idle_over_s = mapping_idle_over_s(settings, seen);
	if (idle_over_s <= sum->now_s || idle_over_s - sum->now_s <= by_parts)
		return by_parts;
	by_traffic = idle_over_s - sum->now_s;
	return by_traffic > 1 + lag_s ? by_traffic - 1 - lag_s : 1;	/* what is told is what is sure */
}

/* Brings a mapping that stands as `seen` to what its parts come to: their lifetime, or that of its traffic, or its end (RFC 6887
 * section 15). CGN_BUSY: it changed meanwhile, nothing is done.
 * A new part's bit stands in `peers` before the flag does, and goes after it: whoever changes the flag has seen every part. */
__noinline int explicit_settle(struct cgn_mapping *seen, struct explicit_sum *sum)
{
	struct cgn_settings *settings = map_settings();
	__u32 added, ended, deadline_s;
	struct cgn_mapping *mapping;
	__u16 set, clear;

	if (!seen || !sum || !settings)
		return CGN_BUSY;
	mapping = map_mapping(&sum->internal);
	if (!mapping || seen->state.flags & CGN_DYING)
		return CGN_BUSY;
	sum->remaining_s = explicit_remaining_s(settings, seen, sum);
	if (!sum->remaining_s)
		return mapping_end(mapping, &sum->internal, seen);
	set = sum->parts ? (__u16)sum->parts : CGN_IMPLICIT;
	clear = CGN_ORIGINS & (__u16)~set;
	if (sum->parts & CGN_MAP) {
		set |= sum->set;
		clear |= sum->clear;
	} else {
		clear |= CGN_FILTERED;
	}
	added = sum->peers & ~seen->peers;
	ended = seen->peers & ~sum->peers;
	if (added)
		__sync_fetch_and_or(&mapping->peers, added);
	if (!mapping_change_flags(mapping, seen->state, set, clear)) {
		if (added)
			__sync_fetch_and_and(&mapping->peers, ~added);
		return CGN_BUSY;
	}
	mapping->expires_s = sum->expires_s;	/* for readers only, and only by the winner: what ends a part is its own expiry */
	if (ended)
		__sync_fetch_and_and(&mapping->peers, ~ended);
	mapping_mark_explicit(seen->slot, sum->parts != 0);
	if (sum->parts && !mapping_is_published(seen))	/* ended already; nobody but requests sets that bit, and they come one by one */
		mapping_mark_explicit(seen->slot, false);
	deadline_s = sum->parts ? sum->due_s : mapping_idle_over_s(settings, seen);
	slot_update(seen->slot, seen->state.generation, deadline_s, (__u8)(((seen->state.flags & (__u16)~clear) | set) & CGN_SLOT_FLAGS));
	return CGN_OK;
}

/* ---- elements ---- */

static __always_inline void explicit_dismiss(const struct cgn_internal *internal)
{
	struct cgn_subscriber_key key;
	struct cgn_subscriber *subscriber;

	subscriber_from_internal(&key, internal);
	subscriber = map_subscriber(&key);
	if (subscriber)
		subscriber_give_explicit(subscriber);
}

static __always_inline void explicit_forget(const struct cgn_explicit_key *key)
{
	bpf_map_delete_elem(&descriptions, key);
	if (!bpf_map_delete_elem(&explicit, key) && key->opcode != CGN_STATIC)
		explicit_dismiss(&key->internal);
}

/* Removes the parts that stood in `seen` and do not in the settled `sum`. */
__noinline int explicit_forget_ended(struct cgn_mapping *seen, struct explicit_sum *sum)
{
	struct cgn_explicit_key key;
	__u32 ordinal, ended;

	if (!seen || !sum)
		return 0;
	explicit_key(&key, &sum->internal, CGN_MAP);
	if (seen->state.flags & ~sum->parts & CGN_MAP) {
		if (seen->state.flags & CGN_FILTERED)
			filter_forget(&sum->internal);	/* before the element goes: then somebody else may bring filters */
		explicit_forget(&key);
	}
	key.opcode = CGN_PEER;
	ended = seen->peers & ~sum->peers;
	for (ordinal = 0; ordinal < CGN_PEERS_MAX; ordinal++) {
		if (!(ended >> ordinal & 1))
			continue;
		key.ordinal = (__u8)ordinal;
		explicit_forget(&key);
	}
	return 0;
}

/* One more explicit mapping against the subscriber's quota. */
__noinline int explicit_admit(struct cgn_map_request *request)
{
	struct cgn_subscriber *subscriber;
	struct cgn_subscriber_key key;
	int status;

	if (!request)
		return CGN_BUSY;
	subscriber_from_internal(&key, &request->internal);
	status = subscriber_apply_rule(&key);
	if (status != CGN_OK)
		return status;
	subscriber = subscriber_get(&key, &status);
	if (!subscriber)
		return status;
	if (request->flags & CGN_RESTORE) {
		__sync_fetch_and_add(&subscriber->explicit_used, 1);
		return CGN_OK;
	}
	if (subscriber_take_explicit(subscriber))
		return CGN_OK;
	__sync_fetch_and_add(&subscriber->refused_quota, 1);
	return CGN_QUOTA;
}

/* Enters nonce, client and expiry; the place follows when it is known. */
__noinline int explicit_enter(struct cgn_map_request *request, struct cgn_explicit_key *key)
{
	struct cgn_explicit entry = {};
	__u32 now_s = clock_now_s();
	long error;

	if (!request || !key)
		return CGN_BUSY;
	__builtin_memcpy(entry.nonce, request->nonce, sizeof(entry.nonce));
	store_u32(entry.client4, load_u32(request->client6 + 12));
	entry.client_port = request->client_port;
	entry.created_s = now_s;
	entry.expires_s = request->origin == CGN_STATIC ? CGN_FOREVER : now_s + request->lifetime_s;
	entry.slot = PORT_NONE;
	store_u32(entry.remote4, load_u32(request->remote6 + 12));
	entry.remote_port = request->remote_port;
	error = bpf_map_update_elem(&explicit, key, &entry, BPF_NOEXIST);
	if (error == -17 /* EEXIST */)
		return CGN_BUSY;	/* the reaper is about to remove it */
	return error ? CGN_TABLE_FULL : CGN_OK;
}

static __always_inline void explicit_place(struct cgn_explicit_key *key, __u32 slot, __u16 generation)
{
	struct cgn_explicit *entry = bpf_map_lookup_elem(&explicit, key);

	if (!entry)
		return;
	entry->generation = generation;
	cgn_barrier();
	entry->slot = slot;
}

#endif
