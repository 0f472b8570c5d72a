/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config.h"
#include "config_address.h"
#include "pool_plan.h"

#define NOWHERE 0xffffffffu

static uint32_t address_of(const struct cgn_pool *pool)
{
	return address_from_bytes(pool->addr4);
}

/* What an address of a configured pool looks like in the table. */
static struct cgn_pool entry_of(const struct config *config, unsigned number, uint32_t address)
{
	const struct config_pool *pool = &config->pools[number];
	struct cgn_pool entry = { .block_count = config_pool_blocks(pool), .first_port = pool->first_port,
		.block_shift = (uint16_t)__builtin_ctz(pool->block_size), .pool = number,
		.planned = (uint16_t)(pool->per_address * pool->each_blocks),
		.each = (uint16_t)(pool->dynamic_blocks ? 0 : pool->each_blocks) };

	address_to_bytes(address, entry.addr4);
	return entry;
}

/* ---- ranges ---- */

bool pool_ranges(const struct cgn_pool *pools, uint32_t count, const bool *without, struct cgn_ranges *ret_ranges)
{
	struct cgn_range *last = NULL;
	uint32_t i;

	*ret_ranges = (struct cgn_ranges){};
	for (i = 0; i < count; i++) {
		uint32_t address = address_of(&pools[i]);

		if (!pools[i].block_count || (without && without[i]))
			continue;
		if (last && last->last + 1 == address && last->index + (last->last - last->first) + 1 == i) {
			last->last++;	/* one comparison less for every packet */
			continue;
		}
		if (ret_ranges->count == CGN_RANGES_MAX)
			return false;
		last = &ret_ranges->range[ret_ranges->count++];
		*last = (struct cgn_range){ .first = address, .last = address, .index = i };
	}
	return true;
}

uint32_t pool_end(const struct cgn_pool *pools, uint32_t count)
{
	while (count && !pools[count - 1].block_count)
		count--;
	return count;
}

/* ---- places ---- */

struct blocks_span { uint32_t first, end; };

static int compare_spans(const void *one, const void *other)
{
	const struct blocks_span *a = one, *b = other;

	return a->first < b->first ? -1 : a->first > b->first;
}

struct spans {			/* of `blocks`, ascending: what addresses have */
	struct blocks_span *span;
	uint32_t count;
};

static void read_spans(struct spans *spans, const struct cgn_pool *pools, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		if (pools[i].block_count)
			spans->span[spans->count++] = (struct blocks_span){ pools[i].first_block, pools[i].first_block + pools[i].block_count };
	qsort(spans->span, spans->count, sizeof(*spans->span), compare_spans);
}

/* Takes the first gap of so many blocks. */
static uint32_t place_blocks(struct spans *spans, uint32_t block_count, uint32_t wanted)
{
	uint32_t end = 0, i;

	for (i = 0; i < spans->count && spans->span[i].first - end < wanted; i++)
		end = spans->span[i].end;
	if (i == spans->count && block_count - end < wanted)
		return NOWHERE;
	memmove(&spans->span[i + 1], &spans->span[i], (spans->count - i) * sizeof(*spans->span));
	spans->span[i] = (struct blocks_span){ end, end + wanted };
	spans->count++;
	return end;
}

static bool is_free(const struct pool_plan *plan, uint32_t index)
{
	return index < plan->count && !plan->after[index].block_count;
}

/* Behind the address before it if that is free, so that they are one run; else where `run` entries are free; else the first. */
static uint32_t place_entry(const struct pool_plan *plan, uint32_t address, uint32_t run)
{
	uint32_t i, length = 0;

	for (i = 0; i < plan->count; i++)
		if (plan->after[i].block_count && address_of(&plan->after[i]) + 1 == address && is_free(plan, i + 1))
			return i + 1;
	for (i = 0; i < plan->count && length < run; i++)
		length = is_free(plan, i) ? length + 1 : 0;
	if (length == run)
		return i - run;
	for (i = 0; i < plan->count; i++)
		if (is_free(plan, i))
			return i;
	return NOWHERE;
}

static uint32_t find_entry(const struct pool_plan *plan, uint32_t address)
{
	uint32_t i;

	for (i = 0; i < plan->count; i++)
		if (plan->after[i].block_count && address_of(&plan->after[i]) == address)
			return i;
	return NOWHERE;
}

/* ---- one address ---- */

struct planning {
	struct pool_plan *plan;
	const struct config *config;
	uint32_t block_count;
	struct spans *spans;
	bool *is_configured;		/* entries */
	char *error;
	size_t error_size;
};

static bool refuse_shape(const struct planning *planning, const struct cgn_pool *now, const struct cgn_pool *wanted)
{
	const struct config_pool *pool = &planning->config->pools[wanted->pool];

	snprintf(planning->error, planning->error_size,
		 "pools[%u]: %s has ports %u-%u in blocks of %u, and would have %u-%u in blocks of %u, which its mappings do not survive; take the address out, reload, wait until `xcgnctl show pools` has it no more, and put it in again",
		 wanted->pool, address_text(address_of(wanted)).text, now->first_port,
		 now->first_port + (now->block_count << now->block_shift) - 1, 1u << now->block_shift, pool->first_port, pool->last_port,
		 pool->block_size);
	return false;
}

static bool keep(const struct planning *planning, uint32_t index, const struct cgn_pool *wanted)
{
	struct cgn_pool *now = &planning->plan->after[index];

	if (now->first_port != wanted->first_port || now->block_count != wanted->block_count || now->block_shift != wanted->block_shift)
		return refuse_shape(planning, now, wanted);
	planning->is_configured[index] = true;
	if (now->state != CGN_POOL_LEAVING && now->pool == wanted->pool && now->planned == wanted->planned && now->each == wanted->each)
		return true;
	planning->plan->change[index] = POOL_RENUMBERED;
	if (now->state == CGN_POOL_LEAVING) {
		now->state = CGN_POOL_ACTIVE;
		planning->plan->returning++;
	}
	now->pool = wanted->pool;
	now->planned = wanted->planned;
	now->each = wanted->each;
	return true;
}

static bool enter(const struct planning *planning, const struct cgn_pool *wanted, uint32_t run)
{
	struct pool_plan *plan = planning->plan;
	uint32_t index = place_entry(plan, address_of(wanted), run), first_block;

	if (index == NOWHERE) {
		snprintf(planning->error, planning->error_size,
			 "pools[%u]: no room for %s: the tables were made for %u external addresses, and those that leave count until they are gone; `tables: {addresses: N}` makes more room when the tables are made anew (after `xcgnctl detach` and `xcgnctl purge`: every mapping is lost)",
			 wanted->pool, address_text(address_of(wanted)).text, plan->count);
		return false;
	}
	first_block = place_blocks(planning->spans, planning->block_count, wanted->block_count);
	if (first_block == NOWHERE) {
		snprintf(planning->error, planning->error_size,
			 "pools[%u]: no room for the %u port blocks of %s: the tables were made for %u in all; larger blocks fit, or tables made anew (after `xcgnctl detach` and `xcgnctl purge`: every mapping is lost)",
			 wanted->pool, wanted->block_count, address_text(address_of(wanted)).text, planning->block_count);
		return false;
	}
	plan->after[index] = *wanted;
	plan->after[index].first_block = first_block;
	plan->change[index] = POOL_ENTERS;
	plan->entering++;
	planning->is_configured[index] = true;
	return true;
}

/* ---- all ---- */

static bool plan_prefix(const struct planning *planning, unsigned number, struct config_prefix4 prefix)
{
	uint32_t count = (uint32_t)prefix_count(prefix), n, index;
	struct cgn_pool wanted;

	for (n = 0; n < count; n++) {
		wanted = entry_of(planning->config, number, prefix.network + n);
		index = find_entry(planning->plan, prefix.network + n);
		if (index != NOWHERE ? !keep(planning, index, &wanted) : !enter(planning, &wanted, count - n))
			return false;
	}
	return true;
}

static void let_go(const struct planning *planning)
{
	struct pool_plan *plan = planning->plan;
	uint32_t i;

	for (i = 0; i < plan->count; i++) {
		if (!plan->after[i].block_count || planning->is_configured[i])
			continue;
		if (plan->after[i].state == CGN_POOL_LEAVING && plan->after[i].pool == CGN_POOL_NONE)
			continue;
		plan->change[i] = POOL_LEAVES;
		plan->leaving += plan->after[i].state != CGN_POOL_LEAVING;
		plan->after[i].state = CGN_POOL_LEAVING;
		plan->after[i].pool = CGN_POOL_NONE;
	}
}

static bool plan_all(const struct planning *planning)
{
	const struct config *config = planning->config;
	struct cgn_ranges ranges;
	unsigned i, j;

	for (i = 0; i < config->pools_count; i++)
		for (j = 0; j < config->pools[i].addresses_count; j++)
			if (!plan_prefix(planning, i, config->pools[i].addresses[j]))
				return false;
	let_go(planning);
	if (pool_ranges(planning->plan->after, planning->plan->count, NULL, &ranges))
		return true;
	snprintf(planning->error, planning->error_size,
		 "pools: the addresses, with those that leave, would stand in the tables in more than %u separate runs; wait until those are gone, or change fewer at a time",
		 CGN_RANGES_MAX);
	return false;
}

bool pool_plan_make(const struct cgn_pool *pools, uint32_t pool_count, uint32_t block_count, const struct config *config,
		    struct pool_plan *ret_plan, char *error, size_t error_size)
{
	struct pool_plan plan = { .count = pool_count, .after = calloc(pool_count + 1, sizeof(*plan.after)),
		.change = calloc(pool_count + 1, sizeof(*plan.change)) };
	struct spans spans = { .span = calloc(pool_count + 1, sizeof(*spans.span)) };
	struct planning planning = { .plan = &plan, .config = config, .block_count = block_count, .spans = &spans, .error = error,
		.error_size = error_size, .is_configured = calloc(pool_count + 1, sizeof(bool)) };
	bool is_made = plan.after && plan.change && spans.span && planning.is_configured;

	if (is_made) {
		memcpy(plan.after, pools, pool_count * sizeof(*pools));
		read_spans(&spans, pools, pool_count);
		is_made = plan_all(&planning);
	} else {
		snprintf(error, error_size, "out of memory");
	}
	free(spans.span);
	free(planning.is_configured);
	if (is_made)
		*ret_plan = plan;
	else
		pool_plan_done(&plan);
	return is_made;
}

void pool_plan_done(struct pool_plan *plan)
{
	free(plan->after);
	free(plan->change);
	*plan = (struct pool_plan){};
}
