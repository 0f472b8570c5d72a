/* SPDX-License-Identifier: GPL-2.0-only */
/* Which remote peers may reach a mapping. FILTER (RFC 6887 section 13.3): only a MAP mapping that has filters pays for the lookup, its
 * slot says so. Address-dependent filtering: all that MAP and the operator did not make, if the configuration asks for it. */
#ifndef CGN_FILTER_BPF_H
#define CGN_FILTER_BPF_H
#include "maps.bpf.h"
#include "endpoint.h"
#include "session.bpf.h"

static __always_inline bool filter_matches(const struct cgn_filter *filter, __u32 remote_be, __u16 remote_port)
{
	__u32 bits = (__u32)filter->prefix_length - 96, mask;

	if (filter->remote_port && filter->remote_port != remote_port)
		return false;
	if (bits > 32)
		return false;
	mask = bits ? bpf_htonl(~0u << ((32 - bits) & 31)) : 0;
	return !((load_u32(filter->remote6 + 12) ^ remote_be) & mask);
}

static __always_inline bool filter_is_to_be_asked(const struct cgn_settings *settings, __u32 flags)
{
	return flags & CGN_FILTERED || (settings->filtering && !(flags & (CGN_MAP | CGN_STATIC)));
}

/* CGN_NEXT, or CGN_DROP_FILTER. A flagged mapping without filters is being made: nobody is permitted yet. */
__noinline int filter_list_verdict(struct cgn_internal *internal, __u32 remote_be, __u16 remote_port)
{
	const struct cgn_filters *list;
	__u32 tag, version, count, i;
	int verdict = CGN_DROP_FILTER;

	if (!internal)
		return CGN_DROP_FILTER;
	list = bpf_map_lookup_elem(&filters, internal);
	if (!list)
		return CGN_DROP_FILTER;
	tag = cgn_read_once(list->tag);
	version = cgn_read_once(list->version);
	count = cgn_read_once(list->count);
	for (i = 0; i < CGN_FILTERS_MAX; i++) {
		if (i >= count)
			break;
		if (filter_matches(&list->filter[i], remote_be, remote_port)) {
			verdict = CGN_NEXT;
			break;
		}
	}
	cgn_barrier();
	/* the kernel reuses an element at once: replaced under our eyes, or another mapping's */
	if (tag != cgn_tag(internal) || cgn_read_once(list->tag) != tag || cgn_read_once(list->version) != version)
		return CGN_DROP_RACE;
	return verdict;
}

/* May a remote peer reach the mapping of a slot? CGN_NEXT or a drop. No function of its own: the deepest chain of calls ends here. */
static __always_inline enum cgn_verdict filter_verdict(struct cgn_internal *internal, __u32 slot_index, __u32 remote_be, __u16 remote_port)
{
	const struct cgn_slot *slot = map_slot(slot_index);
	union cgn_slot_word word;

	if (!slot)
		return CGN_DROP_NO_MAPPING;
	word.word = cgn_read_once(slot->state.word);
	if (word.flags & CGN_FILTERED)
		return filter_list_verdict(internal, remote_be, remote_port);
	if (word.flags & (CGN_MAP | CGN_STATIC) || session_verdict(slot_index, word.generation, remote_be) == CGN_NEXT)
		return CGN_NEXT;
	return word.flags & CGN_PEER ? session_peer_verdict(internal, remote_be) : CGN_DROP_UNASKED;
}

/* The same for who does not know the slot. */
__noinline int filter_target_verdict(struct cgn_internal *internal, __u32 remote_be, __u16 remote_port)
{
	const struct cgn_mapping *mapping = internal ? map_mapping(internal) : NULL;
	__u32 slot;

	if (!mapping)
		return CGN_DROP_NO_MAPPING;
	slot = mapping->slot;
	cgn_barrier();
	if (cgn_read_once(mapping->tag) != cgn_tag(internal))
		return CGN_DROP_NO_MAPPING;
	return filter_verdict(internal, slot, remote_be, remote_port);
}

/* ---- requests ---- */

/* Adds one, unless it is there: a renewal brings its filters again. */
__noinline int filter_add(struct cgn_filters *list, struct cgn_filter *filter, __u32 limit)
{
	const __u32 *words = (const void *)filter, *known;
	__u32 i;

	if (!list || !filter)
		return CGN_BAD_REQUEST;
	for (i = 0; i < CGN_FILTERS_MAX; i++) {
		if (i >= list->count)
			break;
		known = (const void *)&list->filter[i];
		if (!((known[0] ^ words[0]) | (known[1] ^ words[1]) | (known[2] ^ words[2]) | (known[3] ^ words[3]) | (known[4] ^ words[4])))
			return CGN_OK;
	}
	if (i >= limit || i >= CGN_FILTERS_MAX)
		return CGN_FILTERS_EXCEEDED;
	list->filter[i] = *filter;
	list->count = i + 1;
	return CGN_OK;
}

static __always_inline bool filter_is_asked(const struct cgn_map_request *request)
{
	return request->filter_count || request->flags & CGN_CLEAR_FILTERS;
}

enum filter_batch_index { FILTERS_ASKED, FILTERS_MERGED, FILTERS_BEFORE };

static __always_inline struct cgn_filters *filter_batch_find(__u32 index)
{
	return bpf_map_lookup_elem(&filter_batch, &index);
}

static __always_inline void filter_forget(const struct cgn_internal *internal)
{
	bpf_map_delete_elem(&filters, internal);
}

/* Remembers what the mapping has, for filter_unstage(). */
static __always_inline bool filter_keep(const struct cgn_filters *known)
{
	__u32 index = FILTERS_BEFORE;
	struct cgn_filters *before;

	if (known)
		return !bpf_map_update_elem(&filter_batch, &index, known, BPF_ANY);
	before = filter_batch_find(FILTERS_BEFORE);
	if (before)
		before->count = 0;
	return before != NULL;
}

/* Puts the request's filters in place, beside those that the mapping has unless they are cleared. On any status but CGN_OK
 * nothing changed. The mapping's flag is the caller's to change: if that fails, filter_unstage() puts back what was there. */
__noinline int filter_stage(struct cgn_map_request *request)
{
	struct cgn_filters *asked, *merged, *known = NULL;
	const struct cgn_mapping *mapping;
	int status;
	__u32 i;

	if (!request)
		return CGN_BAD_REQUEST;
	if (!request->filter_count)
		return CGN_OK;
	asked = filter_batch_find(FILTERS_ASKED);
	merged = filter_batch_find(FILTERS_MERGED);
	mapping = map_mapping(&request->internal);
	if (mapping && mapping->state.flags & CGN_FILTERED)
		known = bpf_map_lookup_elem(&filters, &request->internal);
	if (!asked || !merged || !filter_keep(known))
		return CGN_BAD_REQUEST;
	if (request->flags & CGN_CLEAR_FILTERS)
		known = NULL;
	merged->tag = cgn_tag(&request->internal);
	merged->version = bpf_get_prandom_u32();
	merged->count = 0;
	for (i = 0; known && i < CGN_FILTERS_MAX; i++) {
		if (i >= known->count)
			break;
		merged->filter[i] = known->filter[i];
		merged->count = i + 1;
	}
	for (i = 0; i < CGN_FILTERS_MAX; i++) {
		if (i >= request->filter_count)
			break;
		status = filter_add(merged, &asked->filter[i], request->filter_limit);
		if (status != CGN_OK)
			return status;
	}
	return bpf_map_update_elem(&filters, &request->internal, merged, BPF_ANY) ? CGN_TABLE_FULL : CGN_OK;
}

/* Undoes filter_stage() of the same request. */
__noinline int filter_unstage(struct cgn_map_request *request)
{
	struct cgn_filters *before = filter_batch_find(FILTERS_BEFORE);

	if (!request || !before || !request->filter_count)
		return CGN_OK;
	if (!before->count) {
		filter_forget(&request->internal);
		return CGN_OK;
	}
	before->version = bpf_get_prandom_u32();
	return bpf_map_update_elem(&filters, &request->internal, before, BPF_ANY) ? CGN_TABLE_FULL : CGN_OK;
}

#endif
