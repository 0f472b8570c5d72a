/* SPDX-License-Identifier: GPL-2.0-only */
/* Pools whose ports are computed from internal addresses: do so many subscribers fit? */
#include <stdio.h>
#include "config_address.h"
#include "config_file.h"
#include "deterministic.h"

/* Keys that mean nothing in another pool are refused there. */
static bool check_dynamic(struct config_source *source, unsigned i)
{
	static const char *const keys[] = { "subscribers", "blocks", "dynamic" };
	size_t n;

	for (n = 0; n < sizeof(keys) / sizeof(*keys); n++)
		if (config_node(source, config_at("pools[%u].%s", i, keys[n])))
			return config_fail(source, config_at("pools[%u].%s", i, keys[n]),
					   "is for `allocation: deterministic`; right is that, or a pool without this key");
	return true;
}

static bool is_subscriber(const struct config *config, struct config_prefix4 prefix)
{
	unsigned i;

	for (i = 0; i < config->subscriber_prefixes_count; i++)
		if (config->subscriber_prefixes[i].length <= prefix.length && prefix_contains(config->subscriber_prefixes[i], prefix.network))
			return true;
	return false;
}

static bool check_prefix(struct config_source *source, const struct config *config, unsigned i, unsigned j)
{
	struct config_prefix4 prefix = config->pools[i].subscribers[j];
	struct config_place place = config_at("pools[%u].subscribers[%u]", i, j);
	unsigned k, n;

	if (!is_subscriber(config, prefix))
		return config_fail(source, place, "%s is not inside one of `subscribers.prefixes`; right is a part of one of them", prefix_text(prefix).text);
	for (k = 0; k <= i; k++)
		for (n = 0; n < (k < i ? config->pools[k].subscribers_count : j); n++)
			if (prefix_overlaps(config->pools[k].subscribers[n], prefix))
				return config_fail(source, place, "%s overlaps %s of pools[%u]; right is each subscriber once", prefix_text(prefix).text,
						   prefix_text(config->pools[k].subscribers[n]).text, k);
	return true;
}

static bool build_subscribers(struct config_source *source, const struct config_file_pool *given, struct config *config, unsigned i)
{
	struct config_pool *pool = &config->pools[i];
	unsigned j;

	if (!given->subscribers_count)
		return config_fail(source, config_at("pools[%u]", i), "`allocation: deterministic` needs `subscribers`; right is a list of their prefixes");
	pool->subscribers = config_array(source, given->subscribers_count, sizeof(pool->subscribers[0]));
	if (!pool->subscribers)
		return false;
	for (j = 0; j < given->subscribers_count; j++) {
		if (!config_build_prefix(source, config_at("pools[%u].subscribers[%u]", i, j), given->subscribers[j], &pool->subscribers[j]))
			return false;
		pool->subscribers_count++;
		if (!check_prefix(source, config, i, j))
			return false;
	}
	return true;
}

/* The fewest blocks that a subscriber of this pool may own. */
static uint32_t blocks_allowed(const struct config *config, const struct config_pool *pool)
{
	uint32_t least = config->blocks;
	unsigned i, j;

	for (i = 0; i < config->overrides_count; i++)
		for (j = 0; j < pool->subscribers_count; j++)
			if (prefix_overlaps(config->overrides[i].prefix, pool->subscribers[j]) && config->overrides[i].blocks < least)
				least = config->overrides[i].blocks;
	return least;
}

static bool refuse_ratio(struct config_source *source, const struct config_pool *pool, unsigned i, uint32_t needed, uint32_t wanted)
{
	uint32_t all = config_pool_blocks(pool), usable = all - pool->dynamic_blocks, fit = usable / wanted;

	if (!fit)
		return config_fail(source, config_at("pools[%u]", i), "%u blocks for each subscriber are more than the %u of an address (%u, less %u dynamic); right are fewer",
				   wanted, usable, all, pool->dynamic_blocks);
	return config_fail(source, config_at("pools[%u]", i),
			   "%u subscribers on %u addresses are %u on each, and %u blocks of %u ports (%u, less %u dynamic) are enough for %u with %u each; right are %u addresses, smaller blocks, or fewer subscribers",
			   deterministic_subscribers(pool), config_pool_addresses(pool), needed, usable, pool->block_size, all,
			   pool->dynamic_blocks, fit, wanted, (deterministic_subscribers(pool) + fit - 1) / fit);
}

static bool build_ratio(struct config_source *source, const struct config_file_pool *given, struct config *config, unsigned i)
{
	struct config_pool *pool = &config->pools[i];
	uint32_t all = config_pool_blocks(pool), allowed = blocks_allowed(config, pool), addresses = config_pool_addresses(pool), needed;

	pool->dynamic_blocks = given->dynamic;
	if (pool->dynamic_blocks >= all)
		return config_fail(source, config_at("pools[%u].dynamic", i), "%u leaves none of the %u blocks of an address; right is less than that",
				   given->dynamic, all);
	if (config_node(source, config_at("pools[%u].blocks", i)) && (!given->blocks || given->blocks > allowed))
		return config_fail(source, config_at("pools[%u].blocks", i), "%u; right is 1 to %u, which is what `subscribers` lets each of them own",
				   given->blocks, allowed);
	needed = (uint32_t)(((uint64_t)deterministic_subscribers(pool) + addresses - 1) / addresses);
	pool->each_blocks = given->blocks ? given->blocks : (all - pool->dynamic_blocks) / needed;
	if (!given->blocks && pool->each_blocks > allowed)
		pool->each_blocks = allowed;
	if (!pool->each_blocks || (all - pool->dynamic_blocks) / pool->each_blocks < needed)
		return refuse_ratio(source, pool, i, needed, pool->each_blocks ? pool->each_blocks : 1);
	/* as many as fit where the file says how many blocks each has: more addresses may follow then, and nobody moves */
	pool->per_address = given->blocks ? (all - pool->dynamic_blocks) / pool->each_blocks : needed;
	return true;
}

static bool check_runs(struct config_source *source, const struct config *config)
{
	uint32_t runs = 0;
	unsigned i;

	for (i = 0; i < config->pools_count; i++)
		runs += config->pools[i].is_deterministic ? config->pools[i].subscribers_count + config->pools[i].addresses_count - 1 : 0;
	return runs <= CGN_PLANS_MAX ? true :
	       config_fail(source, config_at("pools"), "computed ports make %u runs of subscribers and addresses; right are %u at most: longer prefixes",
			   runs, CGN_PLANS_MAX);
}

bool config_build_deterministic(struct config_source *source, const struct config_file *file, struct config *config)
{
	unsigned i;

	for (i = 0; i < config->pools_count; i++) {
		config->pools[i].is_deterministic = file->pools[i].allocation;
		if (!config->pools[i].is_deterministic && !check_dynamic(source, i))
			return false;
		if (config->pools[i].is_deterministic &&
		    (!build_subscribers(source, &file->pools[i], config, i) || !build_ratio(source, &file->pools[i], config, i)))
			return false;
	}
	return check_runs(source, config);
}
