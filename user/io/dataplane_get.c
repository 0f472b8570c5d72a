/* SPDX-License-Identifier: GPL-2.0-only */
/* Explicit mappings of one subscriber: its blocks, their bitmaps, their slots, all in shared memory. One system call for the
 * subscriber, one for each mapping that is looked at closely; the size of the tables does not matter. */
#include <string.h>
#include "block_walk.h"
#include "dataplane_internal.h"

struct listing {
	const struct dataplane *dp;
	struct cgn_listed *listed;
	size_t count, max;
};

static void list_slot(struct listing *listing, uint32_t slot_index)
{
	const struct cgn_pool *pool = (const struct cgn_pool *)listing->dp->pools + CGN_SLOT_ADDRESS(slot_index);
	struct cgn_listed *listed = &listing->listed[listing->count];
	struct dataplane_slot slot;

	if (listing->count == listing->max || CGN_SLOT_ADDRESS(slot_index) >= listing->dp->pool_count)
		return;
	if (!dataplane_read_slot(listing->dp, slot_index, &slot) || !(slot.state.flags & CGN_MAP))
		return;
	listed->internal = slot.internal;
	memcpy(listed->external.addr4, pool->addr4, sizeof(pool->addr4));
	listed->external.port = CGN_SLOT_PORT(slot_index);
	listed->external.protocol = slot.internal.protocol;
	listed->external.realm = slot.internal.realm;
	listing->count++;
}

static void list_block(struct listing *listing, const struct cgn_block *block)
{
	uint32_t n, base;
	uint64_t bits;

	for (n = 0; n < CGN_PROTOCOLS * CGN_BLOCK_WORDS; n++) {
		bits = __atomic_load_n(&block->explicit_ports[n / CGN_BLOCK_WORDS][n % CGN_BLOCK_WORDS], __ATOMIC_RELAXED);
		base = CGN_SLOT(block->address, n / CGN_BLOCK_WORDS, block->first_port + n % CGN_BLOCK_WORDS * 64);
		for (; bits; bits &= bits - 1)
			list_slot(listing, base + (uint32_t)__builtin_ctzll(bits));
	}
}

int dataplane_list_explicit(void *dp, const struct cgn_subscriber_key *key, struct cgn_listed *ret_listed, size_t max)
{
	struct listing listing = { .dp = dp, .listed = ret_listed, .max = max };
	const struct cgn_block *blocks = listing.dp->blocks;
	struct cgn_subscriber subscriber;
	uint32_t number;
	int i;

	if (!dataplane_find_subscriber(dp, key, &subscriber))
		return 0;
	for (i = 0; i < CGN_SUBSCRIBER_BLOCKS_MAX; i++) {
		number = subscriber.block[i];
		if (!number || number > listing.dp->block_count)
			continue;
		if (block_is_live(&blocks[number - 1]) && !memcmp(&blocks[number - 1].owner, key, sizeof(*key)))
			list_block(&listing, &blocks[number - 1]);
	}
	return (int)listing.count;
}

bool dataplane_explicit_details(void *dp, const struct cgn_listed *listed, struct cgn_explicit *ret_details)
{
	struct cgn_explicit_key key = { .internal = listed->internal, .opcode = CGN_MAP };

	return dataplane_find_explicit(dp, &key, ret_details);
}

bool dataplane_listed_description(void *dp, const struct cgn_listed *listed, struct cgn_description *ret_description)
{
	struct cgn_explicit_key key = { .internal = listed->internal, .opcode = CGN_MAP };

	return dataplane_find_description(dp, &key, ret_description);
}

bool dataplane_listed_filters(void *dp, const struct cgn_listed *listed, struct cgn_filters *ret_filters)
{
	return dataplane_find_filters(dp, &listed->internal, ret_filters);
}
