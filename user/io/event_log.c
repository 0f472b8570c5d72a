/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdio.h>
#include <stdlib.h>
#include <bpf/libbpf.h>
#include "audit_writer.h"
#include "dataplane.h"
#include "event_log.h"
#include "event_loop.h"
#include "log.h"

#define LINES_PER_SECOND 200
#define LOSS_S 1	/* how often it is looked whether the ring buffer was full */

struct event_log {
	struct ev_loop *loop;
	struct ev_io io;
	struct ring_buffer *ring;
	struct log_limit limit;
	struct ev_timer timer;
	const struct dataplane *dp;
	struct audit_writer *writer;
	uint64_t lost;		/* events, when it was last looked */
};

#define ADDR4(a) (a)[0], (a)[1], (a)[2], (a)[3]

static int handle_event(void *context, void *record, size_t size)
{
	const struct cgn_event *event = record;
	struct event_log *log = context;
	uint64_t unsaid;
	char owner[16];
	bool may_say;

	if (size < sizeof(*event))
		return 0;
	audit_writer_add(log->writer, event);
	may_say = log_limit_pass(&log->limit, LINES_PER_SECOND, dataplane_now_s(), &unsaid);
	if (unsaid)
		log_warning("%llu events were too many to log", (unsigned long long)unsaid);
	if (!may_say)
		return 0;
	if (event->subscriber.realm == CGN_OPERATOR_REALM)
		snprintf(owner, sizeof(owner), "static");
	else
		snprintf(owner, sizeof(owner), "%u.%u.%u.%u", ADDR4(event->subscriber.addr4));
	switch (event->type) {
	case CGN_EVENT_BLOCK_ALLOCATED:
	case CGN_EVENT_BLOCK_RELEASED:
		log_info("block %s subscriber=%s external=%u.%u.%u.%u ports=%u-%u",
			 event->type == CGN_EVENT_BLOCK_ALLOCATED ? "allocated" : "released", owner, ADDR4(event->addr4), event->first_port,
			 event->last_port);
		break;
	case CGN_EVENT_EXHAUSTED:
		log_warning("exhausted: no free external port for subscriber=%s", owner);
		break;
	case CGN_EVENT_QUOTA:
		log_warning("quota: reached by subscriber=%s", owner);
		break;
	default:
		break;
	}
	return 0;
}

static void handle_readable(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct event_log *log = io->data;

	(void)loop;
	(void)events;
	ring_buffer__consume(log->ring);
}

static void look_for_loss(struct event_log *log)
{
	uint64_t lost = dataplane_events_lost(log->dp);

	if (lost == log->lost)
		return;
	log_warning("%llu log records found no room in the ring buffer", (unsigned long long)(lost - log->lost));
	audit_writer_note_loss(log->writer, lost - log->lost);
	log->lost = lost;
}

static void handle_timer(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	look_for_loss(timer->data);
}

struct event_log *event_log_new(struct ev_loop *loop, const struct dataplane *dp, struct audit_writer *writer)
{
	struct event_log *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->loop = loop;
	log->dp = dp;
	log->writer = writer;
	log->ring = ring_buffer__new(dataplane_map_fd(dp, DP_EVENTS), handle_event, log, NULL);
	if (!log->ring) {
		free(log);
		return NULL;
	}
	ev_io_init(&log->io, handle_readable, ring_buffer__epoll_fd(log->ring), EV_READ);
	log->io.data = log;
	ev_io_start(loop, &log->io);
	ring_buffer__consume(log->ring);	/* what came while no daemon ran */
	look_for_loss(log);
	ev_timer_init(&log->timer, handle_timer, LOSS_S, LOSS_S);
	log->timer.data = log;
	ev_timer_start(loop, &log->timer);
	return log;
}

void event_log_free(struct event_log *log)
{
	if (!log)
		return;
	ev_timer_stop(log->loop, &log->timer);
	ev_io_stop(log->loop, &log->io);
	ring_buffer__free(log->ring);
	free(log);
}
