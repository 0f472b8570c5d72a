/* SPDX-License-Identifier: GPL-2.0-only */
/* External addresses, and the port blocks in them. */
#include <stdio.h>
#include <stdlib.h>
#include "block_walk.h"
#include "table_walk.h"
#include "xcgnctl.h"
#include "xcgnctl_text.h"

static const struct column pool_columns[] = {
	{ "ADDRESS", "address", -15, false }, { "POOL", "pool", -12, false }, { "STATE", "state", -8, false },
	{ "PORTS", "ports", -11, false }, { "BLOCKS", "blocks.used", 6, false }, { "OF", "blocks.total", 5, false },
	{ "SIZE", "blocks.size", 5, false }, { "UDP", "used.udp", 6, false }, { "TCP", "used.tcp", 6, false },
	{ "ICMP", "used.icmp", 6, false }, {}
};

static const struct column block_columns[] = {
	{ "ADDRESS", "address", -15, false }, { "PORTS", "ports", -11, false }, { "OWNER", "owner", -15, false },
	{ "UDP", "used.udp", 5, false }, { "TCP", "used.tcp", 5, false }, { "ICMP", "used.icmp", 5, false },
	{ "EXPLICIT-UDP", "explicit.udp", 12, false }, { "EXPLICIT-TCP", "explicit.tcp", 12, false },
	{ "EXPLICIT-ICMP", "explicit.icmp", 13, false }, { "CLAIMED", "claimed", -20, true }, {}
};

struct ports_text { char text[16]; };

static struct ports_text text_ports(uint32_t first, uint32_t count)
{
	struct ports_text ports;

	snprintf(ports.text, sizeof(ports.text), "%u-%u", first & 0xffff, (first + count - 1) & 0xffff);
	return ports;
}

/* ---- show pools ---- */

struct usage { uint32_t blocks, used[CGN_PROTOCOLS], explicit_ports[CGN_PROTOCOLS]; };

static void add_usage(struct usage *usage, const struct cgn_block *block, uint32_t words)
{
	unsigned protocol;

	usage->blocks++;
	for (protocol = 0; protocol < CGN_PROTOCOLS; protocol++) {
		usage->used[protocol] += block_used(block, words, protocol);
		usage->explicit_ports[protocol] += block_explicit(block, words, protocol);
	}
}

/* One for each external address. NULL without memory; the caller frees. */
static struct usage *count_usage(const struct tables *tables)
{
	struct usage *usages = calloc(tables->pool_count + 1, sizeof(*usages));
	struct table_block *blocks;
	int count, i;

	if (!usages)
		return NULL;
	count = table_blocks(tables, TABLE_SUBSCRIBER | TABLE_OPERATOR, NULL, &blocks);
	if (count < 0) {
		free(usages);
		return NULL;
	}
	for (i = 0; i < count; i++)
		add_usage(&usages[blocks[i].address], &tables->blocks[blocks[i].index], blocks[i].words);
	free(blocks);
	return usages;
}

static const char *text_pool_state(uint32_t state)
{
	return state == CGN_POOL_ACTIVE ? "active" : state == CGN_POOL_LEAVING ? "leaving" : "draining";
}

static json_t *describe_pool(const struct config *config, const struct cgn_pool *pool, const struct usage *usage)
{
	uint32_t size = 1u << (pool->block_shift & 15);

	return json_pack("{s:s, s:s?, s:s, s:s, s:{s:I, s:I, s:I}, s:o, s:o}",
			 "address", text_address4(pool->addr4).text,
			 "pool", pool->pool < config->pools_count ? config->pools[pool->pool].name : NULL,
			 "state", text_pool_state(pool->state),
			 "ports", text_ports(pool->first_port, pool->block_count * size).text,
			 "blocks", "used", (json_int_t)usage->blocks, "total", (json_int_t)pool->block_count, "size", (json_int_t)size,
			 "used", json_per_protocol(usage->used),
			 "explicit", json_per_protocol(usage->explicit_ports));
}

int xcgnctl_show_pools(struct xcgnctl *ctl)
{
	struct output output = { .is_json = ctl->is_json, .columns = pool_columns };
	struct tables tables = tables_of(ctl->dp);
	struct usage *usages = count_usage(&tables);
	uint32_t i;

	if (!usages)
		return xcgnctl_fail_memory();
	for (i = 0; i < tables.pool_count; i++)
		if (tables.pools[i].block_count && !output_record(&output, describe_pool(ctl->config, &tables.pools[i], &usages[i])))
			break;
	free(usages);
	return i < tables.pool_count ? EXIT_KERNEL : output_finish(&output);
}

/* ---- show blocks ---- */

static json_t *describe_block(const struct cgn_pool *pool, const struct table_block *place, const struct cgn_block *block)
{
	struct usage usage = {};

	add_usage(&usage, block, place->words);
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:I}",
			 "address", text_address4(pool->addr4).text,
			 "ports", text_ports(place->first_port, 1u << (pool->block_shift & 15)).text,
			 "owner", text_subscriber(&block->owner).text,
			 "used", json_per_protocol(usage.used),
			 "explicit", json_per_protocol(usage.explicit_ports),
			 "claimed", unix_time(block->claimed_s));
}

int xcgnctl_show_blocks(struct xcgnctl *ctl)
{
	struct output output = { .is_json = ctl->is_json, .columns = block_columns };
	const struct cgn_subscriber_key *subscriber = ctl->listing.has_subscriber ? &ctl->listing.subscriber : NULL;
	unsigned owners = subscriber ? TABLE_SUBSCRIBER : TABLE_SUBSCRIBER | TABLE_OPERATOR;
	struct tables tables = tables_of(ctl->dp);
	struct table_block *blocks;
	struct cgn_block block;
	int count = table_blocks(&tables, owners, subscriber, &blocks), i;

	if (count < 0)
		return xcgnctl_fail_memory();
	for (i = 0; i < count; i++)
		if (table_read_block(&tables, blocks[i].index, &block) &&
		    !output_record(&output, describe_block(&tables.pools[blocks[i].address], &blocks[i], &block)))
			break;
	free(blocks);
	return i < count ? EXIT_KERNEL : output_finish(&output);
}
