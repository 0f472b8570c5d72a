/* SPDX-License-Identifier: GPL-2.0-only */
/* Ends what is over: explicit lifetimes, idle mappings, empty port blocks, subscribers without any. Looks at shared memory, and
 * lets the reaper in the kernel decide. Every port in use is looked at once a second, in slices between requests. */
#ifndef CGN_EXPIRY_H
#define CGN_EXPIRY_H
#include <stdint.h>

struct dataplane;
struct ev_loop;
struct expiry;	/* opaque */

struct expiry_stats {
	uint64_t passes;
	uint64_t deleted;	/* mappings */
	uint64_t demoted;	/* explicit lifetime over, lives on by its traffic */
	uint64_t blocks_released, subscribers_removed;
	uint32_t used;		/* ports in use, as the last full pass saw them */
};

/* `loop` and `dp` are borrowed. NULL: out of memory. Starts at once. */
struct expiry *expiry_new(struct ev_loop *loop, struct dataplane *dp);
void expiry_free(struct expiry *expiry);	/* NULL is fine */
const struct expiry_stats *expiry_stats(const struct expiry *expiry);

#endif
