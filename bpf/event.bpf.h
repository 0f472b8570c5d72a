/* SPDX-License-Identifier: GPL-2.0-only */
/* The log records: one a port block, not one a flow (RFC 6888 REQ-14). Lost ones can be found again by comparing `blocks`. */
#ifndef CGN_EVENT_BPF_H
#define CGN_EVENT_BPF_H
#include "maps.bpf.h"
#include "clock.bpf.h"

static __always_inline struct cgn_event *event_reserve(__u32 type)
{
	struct cgn_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	__u64 *lost;

	if (event)
		return event;
	lost = bpf_map_lookup_elem(&events_lost, &type);
	if (lost)
		__sync_fetch_and_add(lost, 1);
	return NULL;
}

static __always_inline void event_block(__u32 type, const struct cgn_block *block, __u32 index, __u32 block_shift,
					const struct cgn_pool *pool)
{
	struct cgn_event *event;

	if (index - pool->first_block < pool->planned)	/* the configuration says whose it is */
		return;
	event = event_reserve(type);
	if (!event)
		return;
	event->type = type;
	event->time_s = clock_now_s();
	event->subscriber = block->owner;
	store_u32(event->addr4, load_u32(pool->addr4));
	event->first_port = block->first_port;
	event->last_port = (__u16)(block->first_port + (1u << (block_shift & 15)) - 1);
	event->block = index;
	event->generation = block->generation;
	bpf_ringbuf_submit(event, 0);
}

static __always_inline void event_refused(__u32 type, const struct cgn_subscriber_key *subscriber)
{
	struct cgn_event *event = event_reserve(type);

	if (!event)
		return;
	event->type = type;
	event->time_s = clock_now_s();
	event->subscriber = *subscriber;
	store_u32(event->addr4, 0);
	event->first_port = event->last_port = 0;
	event->block = event->generation = 0;
	bpf_ringbuf_submit(event, 0);
}

#endif
