/* SPDX-License-Identifier: GPL-2.0-only */
/* RFC 7422: external ports computed from internal addresses, both ways the same, and the same by what programs are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "config.h"
#include "config_address.h"
#include "deterministic.h"
#include "pool_plan.h"

#define ADDRESSES 64

static char text[512];

/* A configuration with this pool and these other lines. */
static struct config *try_config(const char *pool, const char *more)
{
	char path[] = "/tmp/xcgn-test-XXXXXX";
	struct config *config = NULL;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	dprintf(fd, "interfaces:\n  - {name: in0, side: internal}\n  - {name: out0, side: external}\npools:\n  - {%s}\n%s\n", pool, more);
	close(fd);
	if (!config_load(path, &config, text, sizeof(text)))
		assert_null(config);
	unlink(path);
	return config;
}

static struct config *good(const char *pool, const char *more)
{
	struct config *config = try_config(pool, more);

	if (!config)
		fail_msg("%s", text);
	return config;
}

static void expect_refused(const char *pool, const char *more, const char *wanted)
{
	assert_null(try_config(pool, more));
	if (!strstr(text, wanted))
		fail_msg("\"%s\" says nothing of \"%s\"", text, wanted);
}

static uint32_t address(const char *written)
{
	uint32_t parsed;

	assert_true(address_parse(written, &parsed));
	return parsed;
}

static void expect_place(const struct config *config, const char *internal, const char *external, unsigned first, unsigned last)
{
	struct computed_place place, back;

	assert_true(deterministic_find(config, address(internal), &place));
	assert_int_equal(place.external4, address(external));
	assert_int_equal(place.first_port, first);
	assert_int_equal(place.last_port, last);
	assert_true(deterministic_owner(config, place.external4, place.last_port, &back));
	assert_int_equal(back.internal4, place.internal4);
	assert_int_equal(back.first_port, first);
}

/* Figures of one's own hand: 64512 ports are 252 blocks of 256; 1024 subscribers on 8 addresses are 128 each, so one block; 126 by two. */
static void figures(void **state)
{
	struct computed_place place;
	struct config *config;

	(void)state;
	config = good("addresses: [192.0.2.0/29], allocation: deterministic, subscribers: [100.64.0.0/22]", "");
	assert_int_equal(config->pools[0].each_blocks, 1);
	assert_int_equal(config->pools[0].per_address, 128);
	expect_place(config, "100.64.0.0", "192.0.2.0", 1024, 1279);
	expect_place(config, "100.64.0.127", "192.0.2.0", 33536, 33791);
	expect_place(config, "100.64.0.128", "192.0.2.1", 1024, 1279);
	expect_place(config, "100.64.3.255", "192.0.2.7", 33536, 33791);
	assert_false(deterministic_find(config, address("100.64.4.0"), &place));
	assert_false(deterministic_owner(config, address("192.0.2.0"), 33792, &place));	/* nobody's */
	assert_false(deterministic_owner(config, address("192.0.2.0"), 1023, &place));
	assert_false(deterministic_owner(config, address("192.0.2.8"), 1024, &place));
	config_free(config);
	config = good("addresses: [192.0.2.0/29, 203.0.113.9], allocation: deterministic, subscribers: [100.64.0.0/23, 10.1.0.0/24], blocks: 2, dynamic: 8", "");
	assert_int_equal(config->pools[0].per_address, 122);
	expect_place(config, "100.64.0.121", "192.0.2.0", 1024 + 121 * 512, 1024 + 122 * 512 - 1);
	expect_place(config, "10.1.0.0", "192.0.2.4", 1024 + 24 * 512, 1024 + 25 * 512 - 1);
	expect_place(config, "10.1.0.255", "192.0.2.6", 1024 + 35 * 512, 1024 + 36 * 512 - 1);
	config_free(config);
}

/* By what programs are told, as they compute it. */
static bool plan_place(const struct cgn_ranges *ranges, uint32_t internal4, uint32_t *ret_index, uint32_t *ret_first)
{
	uint32_t i, number;

	for (i = 0; i < ranges->plan_count; i++) {
		const struct cgn_plan *plan = &ranges->plan[i];

		if (internal4 < plan->first || internal4 > plan->last)
			continue;
		number = plan->position + (internal4 - plan->first);
		*ret_index = plan->index + number / plan->each;
		*ret_first = number % plan->each * plan->blocks;
		return true;
	}
	return false;
}

static uint32_t external_of(const struct cgn_pool *pool)
{
	return (uint32_t)pool->addr4[0] << 24 | (uint32_t)pool->addr4[1] << 16 | (uint32_t)pool->addr4[2] << 8 | pool->addr4[3];
}

/* Every subscriber has a place of his own, nobody else's port is his, and every port has one answer. */
static void check_bijection(const struct config *config, const struct cgn_pool *table)
{
	const struct config_pool *pool = &config->pools[0];
	static uint32_t owner[ADDRESSES][CGN_BLOCKS_PER_ADDRESS];
	struct cgn_ranges ranges = {};
	uint32_t count = 0, index, first, n, i;
	unsigned p;

	memset(owner, 0, sizeof(owner));
	assert_true(deterministic_plans(config, table, ADDRESSES, &ranges));
	for (p = 0; p < pool->subscribers_count; p++)
		for (n = 0; n < prefix_count(pool->subscribers[p]); n++) {
			uint32_t internal4 = pool->subscribers[p].network + n;
			struct computed_place place;

			assert_true(deterministic_find(config, internal4, &place));
			assert_true(plan_place(&ranges, internal4, &index, &first));
			assert_int_equal(first, place.first_block);
			assert_int_equal(external_of(&table[index]), place.external4);
			assert_int_equal(place.last_port - place.first_port + 1, place.blocks * pool->block_size);
			assert_true(place.last_port <= pool->last_port);
			assert_true(first + place.blocks <= table[index].planned);
			for (i = 0; i < place.blocks; i++) {
				assert_int_equal(owner[index][first + i], 0);
				owner[index][first + i] = internal4;
			}
			count++;
		}
	assert_int_equal(count, deterministic_subscribers(pool));
	for (index = 0; index < ADDRESSES; index++)
		for (n = 0; n < table[index].block_count; n++) {
			uint32_t external4 = external_of(&table[index]);
			uint32_t port = pool->first_port + n * pool->block_size + (uint32_t)random() % pool->block_size;
			struct computed_place place;
			bool is_found = deterministic_owner(config, external4, (uint16_t)port, &place);

			assert_int_equal(is_found ? place.internal4 : 0, owner[index][n]);
		}
}

static void both_ways_by_chance(void **state)
{
	static const unsigned sizes[] = { 64, 128, 256, 512, 1024 };
	unsigned round, tried = 0, refused = 0;
	uint32_t subscribers = 0;

	(void)state;
	srandom(11);
	for (round = 0; round < 400; round++) {
		unsigned size = sizes[random() % 5], blocks = (unsigned)random() % 5, dynamic = (unsigned)random() % 3 * 2, i;
		static struct cgn_pool none[ADDRESSES];
		char pool[256], blocks_key[32] = "";
		struct pool_plan plan;
		struct config *config;

		if (blocks)
			snprintf(blocks_key, sizeof(blocks_key), ", blocks: %u", blocks);
		snprintf(pool, sizeof(pool),
			 "addresses: [192.0.2.0/%ld, 192.0.2.64/%ld, 203.0.113.%ld], ports: %u-65535, block-size: %u, allocation: deterministic, "
			 "subscribers: [100.64.%ld.0/%ld, 10.1.0.0/%ld]%s, dynamic: %u", 27 + random() % 5, 28 + random() % 5, random() % 256,
			 1024 * (unsigned)(1 + random() % 8), size, random() % 32 * 8, 21 + random() % 11, 24 + random() % 8, blocks_key, dynamic);
		config = try_config(pool, "");
		tried++;
		if (!config) {
			assert_non_null(strstr(text, "are enough for"));
			refused++;
			continue;
		}
		/* places in the table that are not in the order of the configuration */
		for (i = 0; i < ADDRESSES; i++)
			none[i] = (struct cgn_pool){ .block_count = random() % 5 == 0, .first_block = i, .addr4 = { 198, 18, 0, (uint8_t)i },
				.state = CGN_POOL_LEAVING, .pool = CGN_POOL_NONE };
		if (pool_plan_make(none, ADDRESSES, 1u << 20, config, &plan, text, sizeof(text))) {
			for (i = 0; i < ADDRESSES; i++)
				if (plan.after[i].state == CGN_POOL_LEAVING)
					plan.after[i].block_count = 0;
			check_bijection(config, plan.after);
			subscribers += deterministic_subscribers(&config->pools[0]);
			pool_plan_done(&plan);
		}
		config_free(config);
	}
	print_message("%u configurations, %u refused for their ratio, %u subscribers\n", tried, refused, subscribers);
	assert_in_range(refused, 1, 300);
}

/* Where the file says how many blocks each has, more addresses and more subscribers behind those before move nobody. */
static void growing_moves_nobody(void **state)
{
	struct config *before = good("addresses: [192.0.2.0/30], allocation: deterministic, blocks: 1, subscribers: [100.64.0.0/23]", "");
	struct config *after = good("addresses: [192.0.2.0/30, 192.0.2.8/30], allocation: deterministic, blocks: 1, subscribers: [100.64.0.0/23, 100.64.8.0/22]", "");
	struct computed_place one, other;
	uint32_t n;

	(void)state;
	for (n = 0; n < 512; n++) {
		assert_true(deterministic_find(before, address("100.64.0.0") + n, &one));
		assert_true(deterministic_find(after, address("100.64.0.0") + n, &other));
		assert_int_equal(one.external4, other.external4);
		assert_int_equal(one.first_port, other.first_port);
	}
	config_free(before);
	config_free(after);
}

static void what_does_not_fit_is_refused(void **state)
{
#define POOL "addresses: [192.0.2.0/31], allocation: deterministic, "
	(void)state;
	expect_refused(POOL "subscribers: [100.64.0.0/22]", "",
		       ":5: pools[0]: 1024 subscribers on 2 addresses are 512 on each, and 252 blocks of 256 ports (252, less 0 dynamic) are enough for 252 with 1 each; right are 5 addresses");
	expect_refused(POOL "subscribers: [100.64.0.0/24], blocks: 2, dynamic: 2", "",
		       "256 subscribers on 2 addresses are 128 on each, and 250 blocks of 256 ports (252, less 2 dynamic) are enough for 125 with 2 each; right are 3 addresses");
	expect_refused(POOL "blocks: 2", "", "needs `subscribers`");
	expect_refused(POOL "subscribers: [198.18.0.0/24]", "", "pools[0].subscribers[0]: 198.18.0.0/24 is not inside one of `subscribers.prefixes`");
	expect_refused(POOL "subscribers: [10.0.0.0/24, 10.0.0.128/25]", "", "pools[0].subscribers[1]: 10.0.0.128/25 overlaps 10.0.0.0/24 of pools[0]");
	expect_refused(POOL "subscribers: [10.0.0.0/24], blocks: 9", "", "pools[0].blocks: 9; right is 1 to 8, which is what `subscribers` lets each of them own");
	expect_refused(POOL "subscribers: [10.0.0.0/24], blocks: 2", "subscribers: {overrides: [{prefix: 10.0.0.7/32, blocks: 1}]}", "right is 1 to 1");
	expect_refused(POOL "subscribers: [10.0.0.0/24], blocks: 0", "", "pools[0].blocks: 0");
	expect_refused(POOL "subscribers: [10.0.0.0/24], dynamic: 252", "", "pools[0].dynamic: 252 leaves none of the 252 blocks");
	expect_refused("addresses: [192.0.2.0/31], blocks: 2", "", "pools[0].blocks: is for `allocation: deterministic`");
	expect_refused("addresses: [192.0.2.0/31], allocation: random", "", "allocation");
	expect_refused(POOL "subscribers: [10.0.0.0/24], blocks: 1, dynamic: 4",
		       "static: [{protocol: udp, internal: \"10.9.0.1:7\", external: \"192.0.2.0:64511\"}]",
		       "static[0].external: port 64511 of pool pool0 is computed for a subscriber; right is 64512 to 65535");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures),
		cmocka_unit_test(both_ways_by_chance),
		cmocka_unit_test(growing_moves_nobody),
		cmocka_unit_test(what_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
