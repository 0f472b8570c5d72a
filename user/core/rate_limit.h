/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests per second of each source address: token buckets in a table of fixed size. Pure: the time comes in.
 * A table that is full of sources forgets those that have used least of their allowance, so that many addresses can neither
 * fill it nor have the busy ones forgotten; who is forgotten starts again with a full bucket. */
#ifndef CGN_RATE_LIMIT_H
#define CGN_RATE_LIMIT_H
#include <stdbool.h>
#include <stdint.h>

struct rate_limit;	/* opaque; 2 MiB */

/* `seed` makes it unpredictable which addresses share a place. The caller owns it. NULL: out of memory. */
struct rate_limit *rate_limit_new(uint64_t seed);
void rate_limit_free(struct rate_limit *limit);	/* NULL is fine */

/* One request of `source6` at now_ms, which never runs backwards: may it pass? Each source has `burst` at first and gains
 * `per_second`. per_second 0: everybody may. */
bool rate_limit_take(struct rate_limit *limit, const uint8_t source6[16], uint64_t now_ms, uint32_t per_second, uint32_t burst);

#endif
