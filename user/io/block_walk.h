/* SPDX-License-Identifier: GPL-2.0-only */
/* From an external address to its blocks to the ports in use, over shared memory that BPF writes: bits are hints, the slot's
 * state word decides. Plain functions over plain structs. */
#ifndef CGN_BLOCK_WALK_H
#define CGN_BLOCK_WALK_H
#include <stdbool.h>
#include <stdint.h>
#include "cgn/abi.h"

/* The first block of an address, from its `number` on, that somebody owns; block_count if there is none. Its index in `blocks`
 * is first_block plus its number. */
uint32_t pool_next_block(const struct cgn_pool *pool, uint32_t number);
/* Words of each bitmap that a block of this address uses. */
uint32_t pool_block_words(const struct cgn_pool *pool);
bool block_is_live(const struct cgn_block *block);

uint32_t block_used(const struct cgn_block *block, uint32_t words, uint32_t protocol_index);	/* ports in use */
uint32_t block_explicit(const struct cgn_block *block, uint32_t words, uint32_t protocol_index);

struct block_due {
	uint32_t used;		/* ports in use in the words looked at */
	uint32_t count;		/* slots written */
	uint32_t next;		/* word to go on with; protocols times words: done */
};

/* The live slots of a block whose deadline is now or before, from bitmap word `word` on (protocol times words plus word).
 * Stops before a word that may not fit into the room for `max` (at least 64). `slots` is the whole of `ports`. */
struct block_due block_find_due(const struct cgn_block *block, uint32_t words, uint32_t word, const struct cgn_slot *slots,
				uint32_t slot_count, uint32_t now_s, uint32_t *ret_slots, uint32_t max);

#endif
