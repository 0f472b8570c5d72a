/* SPDX-License-Identifier: GPL-2.0-only */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <bpf/libbpf.h>
#include "dataplane.h"
#include "event_loop.h"
#include "hold.h"
#include "log.h"

#define AT_ONCE 256	/* records between looks at other events */

struct frame {
	TAILQ_ENTRY(frame) others;
	struct cgn_held held;	/* as much of it as there is */
};

TAILQ_HEAD(frame_list, frame);

struct hold {
	struct ev_loop *loop;
	struct dataplane *dp;
	struct ev_io io;
	struct ev_timer second;
	struct ring_buffer *ring;
	struct frame_list frames;	/* in the order they came */
	struct hold_stats stats;
	struct log_limit limit;
	unsigned taken;			/* records since other events were looked at */
};

static bool is_same(const struct cgn_fragment_key *a, const struct cgn_fragment_key *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool is_of_sender(const struct frame *frame, const struct cgn_fragment_key *key)
{
	return frame->held.key.side == key->side && !memcmp(frame->held.key.source4, key->source4, sizeof(key->source4));
}

/* Whether it goes on or is dropped, the data plane decides. */
static void give_back(struct hold *hold, const struct cgn_held *held, uint64_t *reason)
{
	int failed = dataplane_release_held(hold->dp, held);
	uint64_t unsaid;

	(*reason)++;
	if (!failed)
		return;
	hold->stats.failures++;
	if (log_limit_pass(&hold->limit, 1, dataplane_now_s(), &unsaid))
		log_warning("a fragment that was held is lost: %s", strerror(-failed));
}

static void let_go(struct hold *hold, struct frame *frame, uint64_t *reason)
{
	TAILQ_REMOVE(&hold->frames, frame, others);
	hold->stats.held--;
	give_back(hold, &frame->held, reason);
	free(frame);
}

/* Makes room for one more of this sender. */
static void make_room(struct hold *hold, const struct cgn_fragment_key *key)
{
	struct frame *frame, *oldest = NULL;
	unsigned count = 0;

	TAILQ_FOREACH(frame, &hold->frames, others) {
		if (!is_of_sender(frame, key))
			continue;
		if (!oldest)
			oldest = frame;
		count++;
	}
	if (count < CGN_HELD_SENDER_MAX)
		oldest = hold->stats.held < CGN_HELD_MAX ? NULL : TAILQ_FIRST(&hold->frames);
	if (oldest)
		let_go(hold, oldest, &hold->stats.displaced);
}

static void keep(struct hold *hold, const struct cgn_held *held)
{
	size_t size = offsetof(struct cgn_held, bytes) + held->length;
	struct frame *frame;

	make_room(hold, &held->key);
	frame = malloc(offsetof(struct frame, held) + size);
	if (!frame) {
		give_back(hold, held, &hold->stats.failures);
		return;
	}
	memcpy(&frame->held, held, size);
	TAILQ_INSERT_TAIL(&hold->frames, frame, others);
	hold->stats.held++;
}

static void release(struct hold *hold, const struct cgn_fragment_key *key)
{
	struct frame *frame = TAILQ_FIRST(&hold->frames), *next;

	for (; frame; frame = next) {
		next = TAILQ_NEXT(frame, others);
		if (is_same(&frame->held.key, key))
			let_go(hold, frame, &hold->stats.released);
	}
}

static int handle_record(void *context, void *record, size_t size)
{
	const struct cgn_held *held = record;
	struct hold *hold = context;

	if (size < offsetof(struct cgn_held, bytes) || (held->length && (size < sizeof(*held) || held->length > CGN_HELD_BYTES)))
		return 0;
	if (!held->length)
		release(hold, &held->key);
	else if (dataplane_now_s() - held->seen_s > CGN_HOLD_S)		/* of a daemon that died */
		give_back(hold, held, &hold->stats.overdue);
	else if (dataplane_knows_fragment(hold->dp, &held->key))	/* the first one came on another CPU, at the same time */
		give_back(hold, held, &hold->stats.released);
	else
		keep(hold, held);
	return ++hold->taken < AT_ONCE ? 0 : -1;
}

static void handle_readable(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct hold *hold = io->data;

	(void)loop;
	(void)events;
	hold->taken = 0;
	ring_buffer__consume(hold->ring);
}

static void handle_second(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct hold *hold = timer->data;
	uint32_t now_s = dataplane_now_s();
	struct frame *frame;

	(void)loop;
	(void)events;
	if (!dataplane_set_holder(hold->dp, now_s + CGN_HOLD_ALIVE_S))
		hold->stats.failures++;
	while ((frame = TAILQ_FIRST(&hold->frames)) && now_s - frame->held.seen_s > CGN_HOLD_S)
		let_go(hold, frame, &hold->stats.overdue);
}

struct hold *hold_new(struct ev_loop *loop, struct dataplane *dp)
{
	struct hold *hold = calloc(1, sizeof(*hold));

	if (!hold)
		return NULL;
	hold->loop = loop;
	hold->dp = dp;
	TAILQ_INIT(&hold->frames);
	hold->ring = ring_buffer__new(dataplane_map_fd(dp, DP_HELD), handle_record, hold, NULL);
	if (!hold->ring) {
		free(hold);
		return NULL;
	}
	ev_io_init(&hold->io, handle_readable, ring_buffer__epoll_fd(hold->ring), EV_READ);
	hold->io.data = hold;
	ev_io_start(loop, &hold->io);
	ev_timer_init(&hold->second, handle_second, 1., 1.);
	hold->second.data = hold;
	ev_timer_start(loop, &hold->second);
	handle_second(loop, &hold->second, 0);
	handle_readable(loop, &hold->io, 0);	/* what is left of a daemon that died */
	return hold;
}

void hold_free(struct hold *hold)
{
	struct frame *frame;

	if (!hold)
		return;
	dataplane_set_holder(hold->dp, 0);
	while ((frame = TAILQ_FIRST(&hold->frames)))
		let_go(hold, frame, &hold->stats.displaced);
	ev_timer_stop(hold->loop, &hold->second);
	ev_io_stop(hold->loop, &hold->io);
	ring_buffer__free(hold->ring);
	free(hold);
}

struct hold_stats hold_stats(const struct hold *hold)
{
	return hold ? hold->stats : (struct hold_stats){ 0 };
}
