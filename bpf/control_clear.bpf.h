/* SPDX-License-Identifier: GPL-2.0-only */
/* The operator ends mappings before their time (spec: scenarios F2b, F7b): explicit ones with all that belongs to them, implicit
 * ones whatever their traffic. Static ones are the configuration's. */
#ifndef CGN_CONTROL_CLEAR_BPF_H
#define CGN_CONTROL_CLEAR_BPF_H
#include "explicit.bpf.h"

enum cleared { CLEAR_BUSY, CLEAR_KEPT, CLEAR_DEMOTED, CLEAR_ENDED };

static __always_inline __u32 count_bits(__u32 word)
{
	__u32 count = 0, i;

	for (i = 0; i < CGN_PEERS_MAX; i++)
		count += word >> i & 1;
	return count;
}

/* Ends the mapping of one slot, or those of its parts that are among `origins`. What packets do meanwhile does not save it. */
static __always_inline int clear_mapping(__u32 slot_index, __u32 origins, __u32 *ended_parts)
{
	struct cgn_slot *slot = map_slot(slot_index);
	struct explicit_sum sum = {};
	struct cgn_internal internal;
	struct cgn_mapping seen;
	struct cgn_mapping *mapping;
	union cgn_slot_word word;
	int status;

	if (!slot)
		return CLEAR_KEPT;
	word.word = cgn_read_once(slot->state.word);
	if (word.state != CGN_SLOT_LIVE)
		return word.state == CGN_SLOT_EMPTY || word.state == CGN_SLOT_RESTING ? CLEAR_KEPT : CLEAR_BUSY;
	slot_read(slot, &internal);
	mapping = map_mapping(&internal);
	if (!mapping || !mapping_copy(mapping, &internal, &seen))
		return CLEAR_BUSY;
	if (seen.slot != slot_index || seen.state.generation != word.generation || seen.state.flags & CGN_DYING)
		return CLEAR_BUSY;
	if (seen.state.flags & CGN_STATIC || !(seen.state.flags & origins & CGN_ORIGINS))
		return CLEAR_KEPT;
	sum.internal = internal;
	sum.now_s = clock_now_s();
	sum.parts = seen.state.flags & (CGN_MAP | CGN_PEER) & ~origins;
	sum.peers = origins & CGN_PEER ? 0 : seen.peers;
	explicit_add_up(&sum);
	status = sum.parts || !(origins & CGN_IMPLICIT) ? explicit_settle(&seen, &sum) : mapping_end(mapping, &internal, &seen);
	if (status != CGN_OK)
		return CLEAR_BUSY;
	explicit_forget_ended(&seen, &sum);
	*ended_parts += (seen.state.flags & ~sum.parts & CGN_MAP ? 1 : 0) + count_bits(seen.peers & ~sum.peers);
	return sum.parts || (!(origins & CGN_IMPLICIT) && sum.remaining_s) ? CLEAR_DEMOTED : CLEAR_ENDED;
}

__noinline int clear_slot(__u32 slot_index, struct cgn_clear_request *request)
{
	__u32 ended_parts = 0;
	int cleared;

	if (!request)
		return CLEAR_KEPT;
	cleared = clear_mapping(slot_index, request->origins, &ended_parts);
	request->explicit_ended += ended_parts;
	return cleared;
}

static long clear_step(__u32 step, struct cgn_clear_request *request)
{
	__u32 *slot = bpf_map_lookup_elem(&batch, &step);

	if (!slot || step >= request->count)
		return 1;
	switch (clear_slot(*slot, request)) {
	case CLEAR_ENDED:
		request->ended++;
		break;
	case CLEAR_DEMOTED:
		request->demoted++;
		break;
	case CLEAR_KEPT:
		request->kept++;
		break;
	default:
		request->busy++;
	}
	return 0;
}

#endif
