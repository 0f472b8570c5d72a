/* SPDX-License-Identifier: GPL-2.0-only */
/* What the data plane reports through its ring buffer, as log lines: who got and gave back which port block (RFC 6888 REQ-12),
 * exhaustion and quota. Bursts are said as a count. */
#ifndef CGN_EVENT_LOG_H
#define CGN_EVENT_LOG_H

struct dataplane;
struct ev_loop;
struct event_log;	/* opaque */

/* `loop` and `dp` are borrowed. NULL: out of memory, or the ring buffer cannot be read. */
struct event_log *event_log_new(struct ev_loop *loop, const struct dataplane *dp);
void event_log_free(struct event_log *log);	/* NULL is fine */

#endif
