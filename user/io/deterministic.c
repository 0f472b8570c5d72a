/* SPDX-License-Identifier: GPL-2.0-only */
#include "config.h"
#include "config_address.h"
#include "deterministic.h"

/* ---- numbers ---- */

static uint32_t least_of(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t count_of(const struct config_prefix4 *prefixes, unsigned count)
{
	uint64_t all = 0;
	unsigned i;

	for (i = 0; i < count; i++)
		all += prefix_count(prefixes[i]);
	return all < UINT32_MAX ? (uint32_t)all : UINT32_MAX;
}

/* Number of an address among those of prefixes, and back. */
static bool number_of(const struct config_prefix4 *prefixes, unsigned count, uint32_t address, uint32_t *ret_number)
{
	uint32_t before = 0;
	unsigned i;

	for (i = 0; i < count; i++) {
		if (prefix_contains(prefixes[i], address)) {
			*ret_number = before + (address - prefixes[i].network);
			return true;
		}
		before += (uint32_t)prefix_count(prefixes[i]);
	}
	return false;
}

static bool address_at(const struct config_prefix4 *prefixes, unsigned count, uint32_t number, uint32_t *ret_address)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		if (number < prefix_count(prefixes[i])) {
			*ret_address = prefixes[i].network + number;
			return true;
		}
		number -= (uint32_t)prefix_count(prefixes[i]);
	}
	return false;
}

uint32_t deterministic_subscribers(const struct config_pool *pool)
{
	return count_of(pool->subscribers, pool->subscribers_count);
}

/* ---- both ways ---- */

static void fill_place(const struct config *config, unsigned number, struct computed_place *place)
{
	const struct config_pool *pool = &config->pools[number];

	place->pool = number;
	place->blocks = pool->each_blocks;
	place->first_port = (uint16_t)(pool->first_port + place->first_block * pool->block_size);
	place->last_port = (uint16_t)(place->first_port + pool->each_blocks * pool->block_size - 1);
}

bool deterministic_find(const struct config *config, uint32_t internal4, struct computed_place *ret_place)
{
	uint32_t number;
	unsigned i;

	for (i = 0; i < config->pools_count; i++) {
		const struct config_pool *pool = &config->pools[i];

		if (!pool->is_deterministic || !number_of(pool->subscribers, pool->subscribers_count, internal4, &number))
			continue;
		if (!address_at(pool->addresses, pool->addresses_count, number / pool->per_address, &ret_place->external4))
			return false;
		ret_place->internal4 = internal4;
		ret_place->first_block = number % pool->per_address * pool->each_blocks;
		fill_place(config, i, ret_place);
		return true;
	}
	return false;
}

bool deterministic_owner(const struct config *config, uint32_t external4, uint16_t port, struct computed_place *ret_place)
{
	uint32_t address, position;
	unsigned i;

	for (i = 0; i < config->pools_count; i++) {
		const struct config_pool *pool = &config->pools[i];

		if (!pool->is_deterministic || !number_of(pool->addresses, pool->addresses_count, external4, &address))
			continue;
		if (port < pool->first_port || port > pool->last_port)
			return false;
		position = (port - pool->first_port) / pool->block_size / pool->each_blocks;
		if (position >= pool->per_address || !address_at(pool->subscribers, pool->subscribers_count,
								 address * pool->per_address + position, &ret_place->internal4))
			return false;
		ret_place->external4 = external4;
		ret_place->first_block = position * pool->each_blocks;
		fill_place(config, i, ret_place);
		return true;
	}
	return false;
}

/* ---- for programs ---- */

static int index_of(const struct cgn_pool *pools, uint32_t pool_count, uint32_t address)
{
	uint32_t i;

	for (i = 0; i < pool_count; i++)
		if (pools[i].block_count && address_from_bytes(pools[i].addr4) == address)
			return (int)i;
	return -1;
}

/* The subscribers from `number` on for as long as neither their addresses nor the places of external ones leave a gap. */
static uint32_t add_plan(const struct config_pool *pool, const struct cgn_pool *pools, uint32_t pool_count, uint32_t number,
			 struct cgn_ranges *ranges)
{
	uint32_t external4, internal4 = 0, left, first = number / pool->per_address, count = 1, inside = 0;
	int index;
	unsigned i;

	if (!address_at(pool->subscribers, pool->subscribers_count, number, &internal4) ||
	    !address_at(pool->addresses, pool->addresses_count, first, &external4))
		return 0;
	index = index_of(pools, pool_count, external4);
	if (index < 0 || ranges->plan_count == CGN_PLANS_MAX)
		return 0;
	for (i = 0; i < pool->subscribers_count; i++)
		if (prefix_contains(pool->subscribers[i], internal4))
			inside = (uint32_t)prefix_count(pool->subscribers[i]) - (internal4 - pool->subscribers[i].network);
	while (address_at(pool->addresses, pool->addresses_count, first + count, &external4) &&
	       index_of(pools, pool_count, external4) == index + (int)count)
		count++;
	left = least_of(inside, (first + count) * pool->per_address - number);
	ranges->plan[ranges->plan_count++] = (struct cgn_plan){ .first = internal4, .last = internal4 + left - 1, .index = (uint32_t)index,
		.position = (uint16_t)(number % pool->per_address), .each = (uint16_t)pool->per_address,
		.blocks = (uint16_t)pool->each_blocks, .shared = (uint16_t)pool->dynamic_blocks };
	return left;
}

bool deterministic_plans(const struct config *config, const struct cgn_pool *pools, uint32_t pool_count, struct cgn_ranges *ranges)
{
	uint32_t number, done;
	unsigned i;

	ranges->plan_count = 0;
	for (i = 0; i < config->pools_count; i++)
		for (number = 0; config->pools[i].is_deterministic && number < deterministic_subscribers(&config->pools[i]); number += done) {
			done = add_plan(&config->pools[i], pools, pool_count, number, ranges);
			if (!done)
				return false;
		}
	return true;
}
