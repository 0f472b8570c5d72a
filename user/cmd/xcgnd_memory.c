/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdio.h>
#include "cgn/abi.h"
#include "config.h"
#include "xcgnd_memory.h"

#define HASH_ELEMENT	48	/* header of a preallocated hash element */
#define HASH_BUCKET	16	/* one for each element, rounded up to a power of two */

static uint64_t bucket_bytes(uint64_t entries)
{
	uint64_t buckets = 1;

	while (buckets < entries)
		buckets *= 2;
	return buckets * HASH_BUCKET;
}

static uint64_t hash_bytes(uint64_t entries, uint64_t key, uint64_t value)
{
	return entries * (HASH_ELEMENT + key + value) + bucket_bytes(entries);
}

struct memory_need memory_need(const struct config *config)
{
	struct memory_need need = {};

	need.ports = (uint64_t)config_address_room(config) * CGN_PROTOCOLS * CGN_PORTS_PER_ADDRESS * sizeof(struct cgn_slot);
	if (config->address_dependent)
		need.ports += (uint64_t)CGN_SESSION_LINE(config_address_room(config), 0) * sizeof(struct cgn_session_line);
	need.blocks = (uint64_t)config_block_room(config) * sizeof(struct cgn_block);
	need.mappings = hash_bytes(config_mapping_room(config), sizeof(struct cgn_internal), sizeof(struct cgn_mapping)) +
			((uint64_t)sizeof(struct cgn_cache_line) << config_cache_line_bits(config, config_address_room(config)));
	need.explicit_mappings = hash_bytes(config->mappings_max, sizeof(struct cgn_explicit_key), sizeof(struct cgn_explicit));
	/* texts and filters are allocated as they come: counted is what is there without any */
	need.explicit_mappings += bucket_bytes(config_description_room(config)) + bucket_bytes(config_filter_room(config)) +
				  bucket_bytes(config->subscribers_max);
	need.subscribers = hash_bytes(config->subscribers_max, sizeof(struct cgn_subscriber_key), sizeof(struct cgn_subscriber));
	return need;
}

uint64_t memory_total(const struct memory_need *need)
{
	return need->ports + need->blocks + need->mappings + need->explicit_mappings + need->subscribers;
}

uint64_t memory_available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kilobytes = 0;
	char line[128];

	while (file && !kilobytes && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu kB", &kilobytes) != 1)
			kilobytes = 0;
	if (file)
		fclose(file);
	return kilobytes ? kilobytes * 1024 : UINT64_MAX;
}
