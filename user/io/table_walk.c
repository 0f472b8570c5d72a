/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include "block_walk.h"
#include "dataplane.h"
#include "table_walk.h"

/* By IANA number, as numbers are compared in the total order. */
static const enum cgn_protocol_index protocol_order[CGN_PROTOCOLS] = { CGN_ICMP, CGN_TCP, CGN_UDP };

uint8_t protocol_number(unsigned protocol_index)
{
	static const uint8_t numbers[CGN_PROTOCOLS] = { [CGN_UDP] = IPPROTO_UDP, [CGN_TCP] = IPPROTO_TCP, [CGN_ICMP] = IPPROTO_ICMP };

	return protocol_index < CGN_PROTOCOLS ? numbers[protocol_index] : 0;
}

struct tables tables_of(const struct dataplane *dp)
{
	struct tables tables;

	tables.pools = dataplane_pools(dp, &tables.pool_count);
	tables.blocks = dataplane_blocks(dp, &tables.block_count);
	return tables;
}

/* ---- blocks ---- */

bool table_read_block(const struct tables *tables, uint32_t index, struct cgn_block *ret_block)
{
	const struct cgn_block *block;
	uint32_t generation;

	if (index >= tables->block_count)
		return false;
	block = &tables->blocks[index];
	if (!block_is_live(block))
		return false;
	generation = __atomic_load_n(&block->generation, __ATOMIC_ACQUIRE);
	*ret_block = *block;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return block_is_live(block) && __atomic_load_n(&block->generation, __ATOMIC_RELAXED) == generation;
}

/* Only what it takes to tell whose it is: a cache line instead of the bitmaps. */
static bool is_wanted(const struct cgn_block *block, unsigned owners, const struct cgn_subscriber_key *subscriber)
{
	struct cgn_subscriber_key owner;
	uint32_t generation;

	if (!block_is_live(block))
		return false;
	generation = __atomic_load_n(&block->generation, __ATOMIC_ACQUIRE);
	owner = block->owner;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&block->generation, __ATOMIC_RELAXED) != generation)
		return false;
	if (owner.realm == CGN_OPERATOR_REALM)
		return owners & TABLE_OPERATOR;
	return owners & TABLE_SUBSCRIBER && (!subscriber || !memcmp(&owner, subscriber, sizeof(owner)));
}

struct numbered_address {
	uint8_t addr4[4];
	uint32_t index;
};

static int compare_addresses(const void *a, const void *b)
{
	return memcmp(((const struct numbered_address *)a)->addr4, ((const struct numbered_address *)b)->addr4, 4);
}

/* Indexes of `pools` by address: the configuration may name them in any order. */
static struct numbered_address *sort_addresses(const struct tables *tables)
{
	struct numbered_address *sorted = calloc(tables->pool_count + 1, sizeof(*sorted));
	uint32_t i;

	for (i = 0; sorted && i < tables->pool_count; i++) {
		memcpy(sorted[i].addr4, tables->pools[i].addr4, 4);
		sorted[i].index = i;
	}
	if (sorted)
		qsort(sorted, tables->pool_count, sizeof(*sorted), compare_addresses);
	return sorted;
}

struct block_list {
	struct table_block *blocks;
	int count, room;
};

static bool list_add(struct block_list *list, struct table_block block)
{
	int room = list->room ? list->room * 2 : 64;
	struct table_block *grown;

	if (list->count == list->room) {
		grown = realloc(list->blocks, (size_t)room * sizeof(*grown));
		if (!grown)
			return false;
		list->blocks = grown;
		list->room = room;
	}
	list->blocks[list->count++] = block;
	return true;
}

int table_blocks(const struct tables *tables, unsigned owners, const struct cgn_subscriber_key *subscriber,
		 struct table_block **ret_blocks)
{
	struct numbered_address *addresses = sort_addresses(tables);
	struct block_list list = {};
	uint32_t i, number;

	if (!addresses)
		return -ENOMEM;
	for (i = 0; i < tables->pool_count; i++) {
		const struct cgn_pool *pool = &tables->pools[addresses[i].index];
		struct table_block block = { .address = addresses[i].index, .words = (uint16_t)pool_block_words(pool) };

		for (number = pool_next_block(pool, 0); number < pool->block_count; number = pool_next_block(pool, number + 1)) {
			block.index = pool->first_block + number;
			block.first_port = (uint16_t)(pool->first_port + (number << (pool->block_shift & 15)));
			if (block.index >= tables->block_count || !is_wanted(&tables->blocks[block.index], owners, subscriber))
				continue;
			if (!list_add(&list, block)) {
				free(addresses);
				free(list.blocks);
				return -ENOMEM;
			}
		}
	}
	free(addresses);
	*ret_blocks = list.blocks;
	return list.count;
}

/* ---- ports ---- */

/* On to the next block, protocol or address. False: the end. */
static bool walk_advance(struct slot_walk *walk)
{
	walk->word = 0;
	if (++walk->block < walk->end)
		return true;
	walk->block = walk->first;
	if (++walk->protocol < CGN_PROTOCOLS)
		return true;
	walk->protocol = 0;
	walk->first = walk->block = walk->end;
	return walk->first < walk->block_count;
}

/* Before the first block of an address: which are the others. */
static void walk_find_end(struct slot_walk *walk)
{
	walk->end = walk->first;
	while (walk->end < walk->block_count && walk->blocks[walk->end].address == walk->blocks[walk->first].address)
		walk->end++;
}

bool slot_walk_next(struct slot_walk *walk, uint32_t *ret_slot)
{
	const struct table_block *place;
	const struct cgn_block *block;
	unsigned protocol;

	if (walk->first >= walk->block_count)
		return false;
	while (!walk->candidates) {
		if (walk->end <= walk->first)
			walk_find_end(walk);
		place = &walk->blocks[walk->block];
		protocol = protocol_order[walk->protocol];
		if (walk->word >= place->words || !(walk->protocols & 1u << protocol)) {
			if (!walk_advance(walk))
				return false;
			continue;
		}
		block = &walk->tables->blocks[place->index];
		walk->slot_base = CGN_SLOT(place->address, protocol, place->first_port + walk->word * 64);
		walk->candidates = __atomic_load_n(walk->explicit_only ? &block->explicit_ports[protocol][walk->word] :
						   &block->used[protocol][walk->word], __ATOMIC_RELAXED);
		walk->word++;
	}
	*ret_slot = walk->slot_base + (uint32_t)__builtin_ctzll(walk->candidates);
	walk->candidates &= walk->candidates - 1;
	return true;
}
