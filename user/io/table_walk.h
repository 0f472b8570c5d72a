/* SPDX-License-Identifier: GPL-2.0-only */
/* Listing in the total order (external address, protocol number, external port): owned blocks, then the ports used in them.
 * Plain functions over shared memory that BPF writes: what they find is a hint, table_read.h tells what it is now. */
#ifndef CGN_TABLE_WALK_H
#define CGN_TABLE_WALK_H
#include <stdbool.h>
#include <stdint.h>
#include "cgn/abi.h"

struct dataplane;

struct tables {			/* borrowed */
	const struct cgn_pool *pools;
	const struct cgn_block *blocks;
	uint32_t pool_count, block_count;
};

struct tables tables_of(const struct dataplane *dp);

struct table_block {
	uint32_t address;	/* index in pools */
	uint32_t index;		/* in blocks */
	uint16_t first_port;
	uint16_t words;		/* of its bitmaps */
};

enum table_owner {		/* whose blocks; may stand together */
	TABLE_SUBSCRIBER = 1 << 0,
	TABLE_OPERATOR = 1 << 1,/* those of static mappings */
};

/* The blocks owned now, by external address and port: of one subscriber or, if NULL, of any. Returns how many, or -ENOMEM; the
 * caller frees *ret_blocks. */
int table_blocks(const struct tables *tables, unsigned owners, const struct cgn_subscriber_key *subscriber,
		 struct table_block **ret_blocks);

/* A block as it stands, if somebody owns it. */
bool table_read_block(const struct tables *tables, uint32_t index, struct cgn_block *ret_block);

struct slot_walk {		/* zeroed but for the first part */
	const struct tables *tables;
	const struct table_block *blocks;	/* from table_blocks() */
	int block_count;
	unsigned protocols;	/* bits of cgn_protocol_index */
	bool explicit_only;

	uint64_t candidates;	/* ports of the current word still to come */
	uint32_t slot_base;	/* slot of the word's first port */
	int first, end;		/* blocks of the current address */
	int block;
	unsigned protocol;	/* position in the order of protocols */
	uint32_t word;
};

/* The next slot in use; false: there are no more. */
bool slot_walk_next(struct slot_walk *walk, uint32_t *ret_slot);

/* IANA number of a cgn_protocol_index. */
uint8_t protocol_number(unsigned protocol_index);

#endif
