/* SPDX-License-Identifier: GPL-2.0-only */
/* The operator's static mappings. */
#include <netinet/in.h>
#include <string.h>
#include "config_address.h"
#include "config_file.h"

static const struct config_pool *find_pool(const struct config *config, uint32_t address)
{
	unsigned i, j;

	for (i = 0; i < config->pools_count; i++)
		for (j = 0; j < config->pools[i].addresses_count; j++)
			if (prefix_contains(config->pools[i].addresses[j], address))
				return &config->pools[i];
	return NULL;
}

static bool build_internal(struct config_source *source, struct config_place place, const char *text, const struct config *config,
			   struct config_static *mapping)
{
	unsigned i;

	if (!endpoint_parse(text, &mapping->internal4, &mapping->internal_port))
		return config_fail(source, place, "\"" CONFIG_SHOWN "\" is no IPv4 address and port; right is one like \"10.0.0.9:7000\"", text);
	for (i = 0; i < config->subscriber_prefixes_count; i++)
		if (prefix_contains(config->subscriber_prefixes[i], mapping->internal4))
			return true;
	return config_fail(source, place, "%s is no subscriber; right is an address inside `subscribers.prefixes`",
			   address_text(mapping->internal4).text);
}

static bool build_external(struct config_source *source, struct config_place place, const char *text, const struct config *config,
			   struct config_static *mapping)
{
	const struct config_pool *pool;
	uint32_t planned;

	if (!endpoint_parse(text, &mapping->external4, &mapping->external_port))
		return config_fail(source, place, "\"" CONFIG_SHOWN "\" is no IPv4 address and port; right is one like \"192.0.2.3:7777\"", text);
	pool = find_pool(config, mapping->external4);
	if (!pool)
		return config_fail(source, place, "%s is in no pool; right is one of the addresses of `pools`",
				   address_text(mapping->external4).text);
	if (mapping->external_port < pool->first_port || mapping->external_port > pool->last_port)
		return config_fail(source, place, "port %u is outside of pool %s; right is %u to %u", mapping->external_port, pool->name,
				   pool->first_port, pool->last_port);
	planned = pool->is_deterministic ? pool->first_port + pool->per_address * pool->each_blocks * pool->block_size : 0;
	if (mapping->external_port < planned)
		return config_fail(source, place, "port %u of pool %s is computed for a subscriber; right is %u to %u%s", mapping->external_port,
				   pool->name, planned, pool->last_port, planned > pool->last_port ? ", which are none here" : "");
	if (mapping->protocol == IPPROTO_UDP &&
	    (mapping->external_port == CGN_PCP_CLIENT_PORT || mapping->external_port == CGN_PCP_SERVER_PORT))
		return config_fail(source, place, "UDP port %u belongs to PCP and is never mapped (RFC 6887 section 11.3); right is another",
				   mapping->external_port);
	return true;
}

/* One internal endpoint has one external endpoint, and the other way round. */
static bool check_unique(struct config_source *source, const struct config *config, unsigned n)
{
	const struct config_static *mapping = &config->statics[n];
	unsigned i;

	for (i = 0; i < n; i++) {
		const struct config_static *other = &config->statics[i];

		if (other->protocol != mapping->protocol)
			continue;
		if (other->internal4 == mapping->internal4 && other->internal_port == mapping->internal_port)
			return config_fail(source, config_at("static[%u].internal", n), "mapped by static[%u] already; right is each endpoint once", i);
		if (other->external4 == mapping->external4 && other->external_port == mapping->external_port)
			return config_fail(source, config_at("static[%u].external", n), "taken by static[%u] already; right is each endpoint once", i);
	}
	return true;
}

bool config_build_statics(struct config_source *source, const struct config_file *file, struct config *config)
{
	unsigned i;

	if (!file->statics_count)
		return true;
	if (file->statics_count > config->mappings_max)
		return config_fail(source, config_at("static"), "%u mappings; right are `tables.mappings`, %u, at most", file->statics_count,
				   config->mappings_max);
	config->statics = config_array(source, file->statics_count, sizeof(config->statics[0]));
	if (!config->statics)
		return false;
	config->statics_count = file->statics_count;
	for (i = 0; i < file->statics_count; i++) {
		const struct config_file_static *given = &file->statics[i];

		config->statics[i].protocol = given->protocol;
		if (!build_internal(source, config_at("static[%u].internal", i), given->internal, config, &config->statics[i]) ||
		    !build_external(source, config_at("static[%u].external", i), given->external, config, &config->statics[i]) ||
		    !check_unique(source, config, i))
			return false;
	}
	return true;
}
