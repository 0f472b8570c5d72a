/* SPDX-License-Identifier: GPL-2.0-only */
/* What becomes of the table of external addresses when the configuration's pools change. Addresses that stay keep their place, and so
 * does all that lives on them; new ones get free places; those that are configured no more leave with their last port block.
 * Plain functions over plain structs. */
#ifndef CGN_POOL_PLAN_H
#define CGN_POOL_PLAN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cgn/abi.h"

struct config;

enum pool_change {
	POOL_AS_IT_IS,		/* free, or nothing of it changes */
	POOL_ENTERS,		/* a free entry becomes an address */
	POOL_RENUMBERED,	/* is in another of the configuration's pools, or another plan, or has come back before it was gone */
	POOL_LEAVES,		/* is configured no more */
};

struct pool_plan {
	uint32_t count;			/* entries */
	struct cgn_pool *after;		/* each as it will be, but for blocks in use */
	uint8_t *change;		/* of each, enum pool_change */
	uint32_t entering, returning, leaving;
};

/* `pools` is the table as it stands, with room for block_count blocks. False: it cannot be done, and error says why; nothing is to be
 * freed then. */
bool pool_plan_make(const struct cgn_pool *pools, uint32_t pool_count, uint32_t block_count, const struct config *config,
		    struct pool_plan *ret_plan, char *error, size_t error_size);
void pool_plan_done(struct pool_plan *plan);

/* The addresses of a table as few runs, but for those entries that `without` marks (NULL: none). False: more than CGN_RANGES_MAX. */
bool pool_ranges(const struct cgn_pool *pools, uint32_t count, const bool *without, struct cgn_ranges *ret_ranges);
/* Entries in use all lie below. */
uint32_t pool_end(const struct cgn_pool *pools, uint32_t count);

#endif
