/* SPDX-License-Identifier: GPL-2.0-only */
/* The external addresses and their ports. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config_address.h"
#include "config_file.h"

#define FIRST_PORT_STEP		64	/* the data plane looks at ports in words of 64 bits */
#define DEFAULT_FIRST_PORT	1024
#define DEFAULT_BLOCK_SIZE	256

bool config_build_prefix(struct config_source *source, struct config_place place, const char *text, struct config_prefix4 *ret_prefix)
{
	struct config_prefix4 prefix, masked;
	const char *unfit;

	if (!prefix_parse(text, &prefix))
		return config_fail(source, place, "\"" CONFIG_SHOWN "\" is no IPv4 prefix; right is one like 192.0.2.0/28 or 192.0.2.1", text);
	masked = prefix;
	masked.network &= prefix_mask(prefix);
	if (masked.network != prefix.network)
		return config_fail(source, place, "%s has bits set behind its length; right is %s", prefix_text(prefix).text,
				   prefix_text(masked).text);
	unfit = prefix_unfit(prefix);
	if (unfit)
		return config_fail(source, place, "%s touches %s; right are unicast addresses", prefix_text(prefix).text, unfit);
	*ret_prefix = prefix;
	return true;
}

/* ---- one pool ---- */

static bool is_pool_name(const char *name)
{
	return strlen(name) <= 31 && name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] == '\0';
}

static bool build_pool_name(struct config_source *source, const char *given, struct config *config, unsigned i)
{
	struct config_pool *pool = &config->pools[i];
	struct config_place place = config_at("pools[%u].name", i);
	unsigned j;

	if (given && !is_pool_name(given))
		return config_fail(source, place, "\"" CONFIG_SHOWN "\"; right are up to 31 of letters, digits and _.-", given);
	if (given)
		pool->name = strdup(given);
	else if (asprintf(&pool->name, "pool%u", i) < 0)
		pool->name = NULL;
	if (!pool->name)
		return config_fail(source, place, "out of memory");
	for (j = 0; j < i; j++)
		if (!strcmp(config->pools[j].name, pool->name))
			return config_fail(source, place, "\"%s\" is the name of pools[%u] already; right is another", pool->name, j);
	return true;
}

static bool build_block_size(struct config_source *source, unsigned i, uint32_t given, struct config_pool *pool)
{
	struct config_place place = config_at("pools[%u].block-size", i);

	pool->block_size = config_node(source, place) ? given : DEFAULT_BLOCK_SIZE;
	if (pool->block_size < CGN_BLOCK_SIZE_MIN || pool->block_size > CGN_BLOCK_SIZE_MAX ||
	    pool->block_size & (pool->block_size - 1))
		return config_fail(source, place, "%u; right is a power of two from %u to %u", pool->block_size, CGN_BLOCK_SIZE_MIN,
				   CGN_BLOCK_SIZE_MAX);
	return true;
}

/* The range nearest to the one given that has whole blocks only. */
static bool suggest_ports(uint32_t first, uint32_t last, uint32_t block_size, uint32_t *ret_first, uint32_t *ret_last)
{
	*ret_first = first ? (first + FIRST_PORT_STEP - 1) / FIRST_PORT_STEP * FIRST_PORT_STEP : FIRST_PORT_STEP;
	if (*ret_first > last || last + 1 - *ret_first < block_size)
		return false;
	*ret_last = *ret_first + (last + 1 - *ret_first) / block_size * block_size - 1;
	return true;
}

static bool build_ports(struct config_source *source, unsigned i, const char *given, struct config_pool *pool)
{
	struct config_place place = config_at("pools[%u].ports", i);
	uint32_t first = DEFAULT_FIRST_PORT, last = 65535, right_first, right_last;

	if (given && (!port_range_parse(given, &first, &last) || !last || first > last))
		return config_fail(source, place, "\"" CONFIG_SHOWN "\" is no range of ports; right is one like 1024-65535", given);
	if (!suggest_ports(first, last, pool->block_size, &right_first, &right_last))
		return config_fail(source, place, "%u-%u holds no block of %u ports from a multiple of %u on; right is more, as 1024-65535",
				   first, last, pool->block_size, FIRST_PORT_STEP);
	if (first != right_first || last != right_last)
		return config_fail(source, place, "%u-%u is not made of whole blocks of %u ports from a multiple of %u on; right is %u-%u",
				   first, last, pool->block_size, FIRST_PORT_STEP, right_first, right_last);
	pool->first_port = (uint16_t)first;
	pool->last_port = (uint16_t)last;
	return true;
}

static bool build_pool(struct config_source *source, const struct config_file_pool *given, struct config *config, unsigned i)
{
	struct config_pool *pool = &config->pools[i];
	unsigned j;

	if (!build_pool_name(source, given->name, config, i))
		return false;
	pool->addresses = config_array(source, given->addresses_count, sizeof(pool->addresses[0]));
	if (!pool->addresses)
		return false;
	pool->addresses_count = given->addresses_count;
	for (j = 0; j < given->addresses_count; j++)
		if (!config_build_prefix(source, config_at("pools[%u].addresses[%u]", i, j), given->addresses[j], &pool->addresses[j]))
			return false;
	return build_block_size(source, i, given->block_size, pool) && build_ports(source, i, given->ports, pool);
}

/* ---- all pools ---- */

struct pool_address {			/* one entry of some pool's `addresses` */
	struct config_prefix4 prefix;
	unsigned pool, entry;
};

static int compare_addresses(const void *one, const void *other)
{
	const struct pool_address *a = one, *b = other;

	if (a->prefix.network != b->prefix.network)
		return a->prefix.network < b->prefix.network ? -1 : 1;
	return a->prefix.length - b->prefix.length;
}

/* Sorted by network, an overlap stands between neighbours. The later one in the file is named. */
static bool check_overlaps(struct config_source *source, struct pool_address *sorted, unsigned count)
{
	unsigned i;

	qsort(sorted, count, sizeof(sorted[0]), compare_addresses);
	for (i = 1; i < count; i++) {
		const struct pool_address *first = &sorted[i - 1], *second = &sorted[i];

		if (!prefix_overlaps(first->prefix, second->prefix))
			continue;
		if (second->pool < first->pool || (second->pool == first->pool && second->entry < first->entry)) {
			first = &sorted[i];
			second = &sorted[i - 1];
		}
		return config_fail(source, config_at("pools[%u].addresses[%u]", second->pool, second->entry),
				   "%s overlaps %s of pools[%u]; right is each address once", prefix_text(second->prefix).text,
				   prefix_text(first->prefix).text, first->pool);
	}
	return true;
}

/* The data plane finds an address by comparing it with every run of consecutive ones. */
static bool check_amounts(struct config_source *source, const struct pool_address *address, unsigned count)
{
	uint64_t addresses = 0, next = 0;
	unsigned i, runs = 0;

	for (i = 0; i < count; i++) {
		struct config_place place = config_at("pools[%u].addresses[%u]", address[i].pool, address[i].entry);

		addresses += prefix_count(address[i].prefix);
		if (addresses > CGN_ADDRESSES_MAX)
			return config_fail(source, place, "with %s there are more than %u external addresses; right is that many at most",
					   prefix_text(address[i].prefix).text, CGN_ADDRESSES_MAX);
		runs += address[i].prefix.network != next;
		if (runs > CGN_RANGES_MAX)
			return config_fail(source, place, "with %s there are more than %u separate runs of addresses; right are longer prefixes, ascending",
					   prefix_text(address[i].prefix).text, CGN_RANGES_MAX);
		next = address[i].prefix.network + prefix_count(address[i].prefix);
	}
	return true;
}

static bool check_addresses(struct config_source *source, const struct config *config)
{
	struct pool_address *all;
	unsigned i, j, count = 0;
	bool ok;

	for (i = 0; i < config->pools_count; i++)
		count += config->pools[i].addresses_count;
	all = config_array(source, count, sizeof(*all));
	if (!all)
		return false;
	for (i = 0, count = 0; i < config->pools_count; i++)
		for (j = 0; j < config->pools[i].addresses_count; j++)
			all[count++] = (struct pool_address){ .prefix = config->pools[i].addresses[j], .pool = i, .entry = j };
	ok = check_amounts(source, all, count) && check_overlaps(source, all, count);
	free(all);
	return ok;
}

static bool check_room(struct config_source *source, const struct config *config)
{
	uint32_t count = config_address_count(config);

	return !config->addresses_max || config->addresses_max >= count ? true :
	       config_fail(source, config_at("tables.addresses"), "%u is less than the %u addresses of `pools`; right is that many at least",
			   config->addresses_max, count);
}

bool config_build_pools(struct config_source *source, const struct config_file *file, struct config *config)
{
	unsigned i;

	config->pools = config_array(source, file->pools_count, sizeof(config->pools[0]));
	if (!config->pools)
		return false;
	config->pools_count = file->pools_count;
	for (i = 0; i < file->pools_count; i++)
		if (!build_pool(source, &file->pools[i], config, i))
			return false;
	return check_addresses(source, config) && check_room(source, config);
}
