/* SPDX-License-Identifier: GPL-2.0-only */
/* What the data plane reports through its ring buffer, as log lines: who got and gave back which port block (RFC 6888 REQ-12),
 * exhaustion and quota. Bursts are said as a count. */
#ifndef CGN_EVENT_LOG_H
#define CGN_EVENT_LOG_H

struct audit_writer;
struct dataplane;
struct ev_loop;
struct event_log;	/* opaque */

/* All are borrowed. Every record goes to `writer` too. NULL: out of memory, or the ring buffer cannot be read. */
struct event_log *event_log_new(struct ev_loop *loop, const struct dataplane *dp, struct audit_writer *writer);
void event_log_free(struct event_log *log);	/* NULL is fine */

#endif
