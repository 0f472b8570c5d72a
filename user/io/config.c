/* SPDX-License-Identifier: GPL-2.0-only */
/* The way from a file to struct config: text, tree, shape, features, libcyaml, meaning. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cgn/abi.h"
#include "config_address.h"
#include "config_file.h"

/* ---- from texts to meaning ---- */

void *config_array(struct config_source *source, unsigned count, size_t size)
{
	void *array = calloc(count ? count : 1, size);

	if (!array)
		config_fail_line(source, 0, "out of memory");
	return array;
}

/* What libcyaml allocated for struct config changes its owner. */
static struct config *take_config(struct config_source *source, struct config_file *file)
{
	struct config *config = config_array(source, 1, sizeof(*config));

	if (!config)
		return NULL;
	*config = file->config;
	file->config = (struct config){};
	return config;
}

/* The order matters: subscribers are checked against pools, static mappings and who asks for others against both. */
static bool build(struct config_source *source, const struct config_file *file, struct config *config)
{
	return config_build_numbers(source, config) && config_build_interfaces(source, config) &&
	       config_build_pools(source, file, config) && config_build_subscribers(source, file, config) &&
	       config_build_deterministic(source, file, config) &&
	       config_build_statics(source, file, config) && config_build_pcp(source, file, config) &&
	       config_build_third_party(source, file, config) && config_build_paths(source, config) && config_build_log(source, config);
}

static struct config *understand(struct config_source *source)
{
	struct config_file *file;
	struct config *config;

	if (!config_source_read(source) || !config_check_shape(source, &config_schema))
		return NULL;
	file = config_tree_load(source, &config_schema);
	if (!file)
		return NULL;
	config = take_config(source, file);
	if (config && !build(source, file, config)) {
		config_free(config);
		config = NULL;
	}
	config_tree_free(&config_schema, file);
	return config;
}

bool config_load(const char *path, struct config **ret_config, char *error, size_t error_size)
{
	struct config_source source = { .path = path, .needed = "`interfaces` and `pools`", .error = error, .error_size = error_size };
	struct config *config = understand(&source);

	config_source_done(&source);
	if (config)
		*ret_config = config;
	return config;
}

void config_free(struct config *config)
{
	unsigned i;

	if (!config)
		return;
	for (i = 0; i < config->interfaces_count; i++) {
		free(config->interfaces[i].name);
		free(config->interfaces[i].link);
		free(config->interfaces[i].vlans);
	}
	free(config->interfaces);
	for (i = 0; i < config->pools_count; i++) {
		free(config->pools[i].name);
		free(config->pools[i].addresses);
		free(config->pools[i].subscribers);
	}
	free(config->pools);
	free(config->subscriber_prefixes);
	free(config->overrides);
	free(config->statics);
	free(config->pcp.listen4);
	free(config->pcp.third_party);
	free(config->state_dir);
	free(config->pin_dir);
	free(config->control);
	free(config->log.syslog);
	free(config);
}

/* ---- questions ---- */

uint32_t config_pool_addresses(const struct config_pool *pool)
{
	uint32_t count = 0;
	unsigned i;

	for (i = 0; i < pool->addresses_count; i++)
		count += (uint32_t)prefix_count(pool->addresses[i]);
	return count;
}

uint32_t config_address_count(const struct config *config)
{
	uint32_t count = 0;
	unsigned i;

	for (i = 0; i < config->pools_count; i++)
		count += config_pool_addresses(&config->pools[i]);
	return count;
}

uint32_t config_pool_blocks(const struct config_pool *pool)
{
	return ((uint32_t)pool->last_port + 1 - pool->first_port) / pool->block_size;
}

uint32_t config_address_room(const struct config *config)
{
	return config->addresses_max ? config->addresses_max : config_address_count(config);
}

/* Addresses that come later may be of the pool whose addresses have most blocks. */
uint32_t config_block_room(const struct config *config)
{
	uint32_t blocks = 0, most = 0, each;
	unsigned i;

	for (i = 0; i < config->pools_count; i++) {
		each = config_pool_blocks(&config->pools[i]);
		most = each > most ? each : most;
		blocks += config_pool_addresses(&config->pools[i]) * each;
	}
	return blocks + (config_address_room(config) - config_address_count(config)) * most;
}

/* No more are needed: the kernel finds every free element, whichever CPU freed it. It has a bucket for each, rounded up to a power of
 * two, so that a bucket of a full table has one element at most on average. */
#define MAPPINGS_SPARE 64

uint32_t config_mapping_room(const struct config *config)
{
	return config->mappings_max + MAPPINGS_SPARE;
}

#define FEW_LEAST 65536u
#define FEW_SHARE 8

static uint32_t room_for_few(const struct config *config, uint32_t given)
{
	uint32_t few = config->mappings_max / FEW_SHARE;

	if (given)
		return given;
	few = few < FEW_LEAST ? FEW_LEAST : few;
	return few < config->mappings_max ? few : config->mappings_max;
}

uint32_t config_description_room(const struct config *config)
{
	return room_for_few(config, config->descriptions_max);
}

uint32_t config_filter_room(const struct config *config)
{
	return room_for_few(config, config->filters_max);
}

static bool pool_warning(const struct config *config, unsigned *n, char *text, size_t text_size)
{
	unsigned i;

	for (i = 0; i < config->pools_count; i++)
		if (config->pools[i].first_port < 1024 && !(*n)--) {
			snprintf(text, text_size, "pools[%u].ports: ports below 1024 serve dynamic mappings too; RFC 6056 asks for 1024 and up", i);
			return true;
		}
	return false;
}

bool config_warning(const struct config *config, unsigned n, char *text, size_t text_size)
{
	unsigned i;

	for (i = 0; config_number_warning(config, i, text, text_size); i++)
		if (!n--)
			return true;
	if (pool_warning(config, &n, text, text_size))
		return true;
	if (config->pcp.nonce_policy == CGN_NONCE_STRICT || n)
		return false;
	snprintf(text, text_size, "pcp.nonce: others may change a client's mappings; RFC 6887 section 11.3 asks for strict");
	return true;
}

static uint32_t bits_of(uint32_t count)
{
	uint32_t bits = 0;

	while (bits < 31 && 1u << bits < count)
		bits++;
	return bits;
}

uint32_t config_cache_address_bits(uint32_t addresses)
{
	return bits_of(addresses);
}

uint32_t config_cache_line_bits(const struct config *config, uint32_t addresses)
{
	uint32_t bits = bits_of(config->mappings_max / 5), least = bits_of(addresses) + CGN_CACHE_TIME_BITS + 2;

	return bits > least ? bits : least;
}

/* Shortest and longest idle time of a protocol's mappings. */
static void idle_times(const struct config *config, uint32_t protocol, uint32_t *ret_shortest, uint32_t *ret_longest)
{
	const uint32_t tcp[] = { config->tcp_established_s, config->tcp_opening_s, config->tcp_closing_s };
	unsigned i;

	*ret_shortest = *ret_longest = protocol == CGN_UDP ? config->udp_s : config->icmp_s;
	for (i = 0; protocol == CGN_TCP && i < sizeof(tcp) / sizeof(*tcp); i++) {
		*ret_shortest = !i || tcp[i] < *ret_shortest ? tcp[i] : *ret_shortest;
		*ret_longest = !i || tcp[i] > *ret_longest ? tcp[i] : *ret_longest;
	}
}

#define CACHE_SLACK_S 60	/* the reaper may come late */

struct cgn_cache_clock config_cache_clock(const struct config *config, uint32_t time_bits, uint32_t protocol)
{
	uint32_t most = protocol == CGN_TCP ? CGN_CACHE_TCP_S_MAX : CGN_CACHE_S_MAX, shortest, longest, lag, shift = 0;

	idle_times(config, protocol, &shortest, &longest);
	lag = shortest / 4 < most ? shortest / 4 : most;
	while (((uint64_t)longest + 2 * lag + CACHE_SLACK_S) >> shift >> time_bits)
		shift++;
	if (config->address_dependent || !(lag >> shift))
		return (struct cgn_cache_clock){};
	return (struct cgn_cache_clock){ .lag_s = (uint16_t)(lag >> shift << shift), .shift = (uint8_t)shift, .units = (uint8_t)(lag >> shift) };
}
