/* SPDX-License-Identifier: GPL-2.0-only */
/* Keeps follow-on fragments that came before their first one, and gives them back when that has come, or after CGN_HOLD_S seconds, to
 * be dropped and counted: in the order they came, unless this process changes its CPU meanwhile, and so the queue they leave by. At most
 * CGN_HELD_SENDER_MAX of a sender and CGN_HELD_MAX in all; the oldest goes first. While nobody keeps them, the data plane drops them. */
#ifndef CGN_HOLD_H
#define CGN_HOLD_H
#include <stdint.h>

struct dataplane;
struct ev_loop;
struct hold;	/* opaque */

struct hold_stats {
	uint32_t held;		/* now */
	uint64_t released;	/* their first one came */
	uint64_t overdue;	/* it did not */
	uint64_t displaced;	/* gave way to younger ones */
	uint64_t failures;	/* could not be given back, or kept */
};

/* `loop` and `dp` are borrowed. NULL: out of memory, or no ring buffer. Starts at once. */
struct hold *hold_new(struct ev_loop *loop, struct dataplane *dp);
void hold_free(struct hold *hold);	/* gives back all that is held; NULL is fine */
struct hold_stats hold_stats(const struct hold *hold);	/* NULL: zeros */

#endif
