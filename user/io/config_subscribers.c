/* SPDX-License-Identifier: GPL-2.0-only */
/* Who is translated, within which limits. */
#include <string.h>
#include "config_address.h"
#include "config_file.h"

#define DEFAULT_RESERVE 64

static const struct config_prefix4 default_prefixes[] = {
	{ 0x0a000000, 8 }, { 0xac100000, 12 }, { 0xc0a80000, 16 }, { 0x64400000, 10 },
};

#define DEFAULT_PREFIX_COUNT (sizeof(default_prefixes) / sizeof(default_prefixes[0]))

static uint32_t least_of(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* ---- prefixes ---- */

static bool build_prefixes(struct config_source *source, const struct config_file *file, struct config *config)
{
	unsigned count = file->prefixes ? file->prefixes_count : DEFAULT_PREFIX_COUNT, i, j;
	struct config_prefix4 *prefix = config_array(source, count, sizeof(*prefix));

	config->subscriber_prefixes = prefix;
	if (!prefix)
		return false;
	config->subscriber_prefixes_count = count;
	if (!file->prefixes)
		memcpy(prefix, default_prefixes, sizeof(default_prefixes));
	for (i = 0; i < file->prefixes_count; i++) {
		struct config_place place = config_at("subscribers.prefixes[%u]", i);

		if (!config_build_prefix(source, place, file->prefixes[i], &prefix[i]))
			return false;
		for (j = 0; j < i; j++)
			if (prefix_overlaps(prefix[i], prefix[j]))
				return config_fail(source, place, "%s overlaps %s; right is each subscriber once", prefix_text(prefix[i]).text,
						   prefix_text(prefix[j]).text);
	}
	return true;
}

static bool check_side(struct config_source *source, const struct config *config, unsigned pool, unsigned entry)
{
	struct config_prefix4 external = config->pools[pool].addresses[entry];
	unsigned i;

	for (i = 0; i < config->subscriber_prefixes_count; i++)
		if (prefix_overlaps(config->subscriber_prefixes[i], external))
			return config_fail(source, config_at("pools[%u].addresses[%u]", pool, entry),
					   "%s overlaps the subscribers %s; right are other addresses, or `subscribers.prefixes` without these",
					   prefix_text(external).text, prefix_text(config->subscriber_prefixes[i]).text);
	return true;
}

/* An address cannot stand on both sides. */
static bool check_sides(struct config_source *source, const struct config *config)
{
	unsigned i, j;

	for (i = 0; i < config->pools_count; i++)
		for (j = 0; j < config->pools[i].addresses_count; j++)
			if (!check_side(source, config, i, j))
				return false;
	return true;
}

/* ---- limits ---- */

/* Ports per protocol that so many blocks have where blocks are smallest. */
static uint32_t quota_of(const struct config *config, uint32_t blocks)
{
	uint32_t size = CGN_BLOCK_SIZE_MAX;
	unsigned i;

	for (i = 0; i < config->pools_count; i++)
		size = least_of(size, config->pools[i].block_size);
	return blocks * size;
}

static bool check_reserve(struct config_source *source, struct config_place place, const struct config *config, uint32_t blocks,
			  uint32_t reserve)
{
	uint32_t quota = quota_of(config, blocks);

	if (reserve < quota)
		return true;
	return config_fail(source, place, "%u leaves packets none of the %u ports of %u blocks; right is less than that", reserve,
			   quota, blocks);
}

/* Not more than explicit mappings can use, and half of the quota at most. */
static uint32_t default_reserve(const struct config *config, uint32_t wish, uint32_t blocks, uint32_t explicit_limit)
{
	return least_of(least_of(wish, explicit_limit), quota_of(config, blocks) / 2);
}

/* ---- overrides ---- */

static bool check_override_place(struct config_source *source, struct config_place place, const struct config *config, unsigned n)
{
	struct config_prefix4 prefix = config->overrides[n].prefix;
	unsigned i;

	for (i = 0; i < n; i++)
		if (prefix_overlaps(config->overrides[i].prefix, prefix) && config->overrides[i].prefix.length <= prefix.length)
			return config_fail(source, place, "%s is never reached behind overrides[%u], %s; right is the longer prefix first",
					   prefix_text(prefix).text, i, prefix_text(config->overrides[i].prefix).text);
	for (i = 0; i < config->subscriber_prefixes_count; i++)
		if (config->subscriber_prefixes[i].length <= prefix.length &&
		    prefix_contains(config->subscriber_prefixes[i], prefix.network))
			return true;
	return config_fail(source, place, "%s is not inside `subscribers.prefixes`; right is a part of one of them", prefix_text(prefix).text);
}

static bool build_override(struct config_source *source, const struct config_file_override *given, struct config *config, unsigned n)
{
	struct config_override *override = &config->overrides[n];
	struct config_place at_prefix = config_at("subscribers.overrides[%u].prefix", n);
	struct config_place at_blocks = config_at("subscribers.overrides[%u].blocks", n);
	struct config_place at_explicit = config_at("subscribers.overrides[%u].explicit", n);
	struct config_place at_reserve = config_at("subscribers.overrides[%u].reserve", n);

	if (!config_build_prefix(source, at_prefix, given->prefix, &override->prefix) ||
	    !check_override_place(source, at_prefix, config, n))
		return false;
	override->blocks = config_node(source, at_blocks) ? given->blocks : config->blocks;
	override->explicit_limit = config_node(source, at_explicit) ? given->explicit_limit : config->explicit_limit;
	if (!config_check_range(source, at_blocks, override->blocks, 1, CGN_SUBSCRIBER_BLOCKS_MAX) ||
	    !config_check_range(source, at_explicit, override->explicit_limit, 0, CONFIG_EXPLICIT_MAX))
		return false;
	override->reserve = config_node(source, at_reserve) ? given->reserve :
			    default_reserve(config, config->reserve, override->blocks, override->explicit_limit);
	return check_reserve(source, at_reserve, config, override->blocks, override->reserve);
}

static bool build_overrides(struct config_source *source, const struct config_file *file, struct config *config)
{
	unsigned i;

	if (!file->overrides_count)
		return true;
	if (config->subscriber_prefixes_count + file->overrides_count > CGN_PREFIXES_MAX)
		return config_fail(source, config_at("subscribers.overrides"), "%u overrides and %u prefixes; right are %u together at most",
				   file->overrides_count, config->subscriber_prefixes_count, CGN_PREFIXES_MAX);
	config->overrides = config_array(source, file->overrides_count, sizeof(config->overrides[0]));
	if (!config->overrides)
		return false;
	config->overrides_count = file->overrides_count;
	for (i = 0; i < file->overrides_count; i++)
		if (!build_override(source, &file->overrides[i], config, i))
			return false;
	return true;
}

bool config_build_subscribers(struct config_source *source, const struct config_file *file, struct config *config)
{
	struct config_place at_reserve = config_at("subscribers.reserve");

	if (!build_prefixes(source, file, config) || !check_sides(source, config))
		return false;
	if (!config_node(source, at_reserve))
		config->reserve = default_reserve(config, DEFAULT_RESERVE, config->blocks, config->explicit_limit);
	return check_reserve(source, at_reserve, config, config->blocks, config->reserve) && build_overrides(source, file, config);
}
