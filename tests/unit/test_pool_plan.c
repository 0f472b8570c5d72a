/* SPDX-License-Identifier: GPL-2.0-only */
/* Pools of the configuration change while mappings live: what stays keeps its place, what comes finds one, what goes leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "config.h"
#include "pool_plan.h"

#define ENTRIES	24
#define BLOCKS	(ENTRIES * 16)

static struct cgn_pool table[ENTRIES];
static char text[512];

static uint32_t address(unsigned last)
{
	return 0xc0000200u + last;
}

/* A configuration of one pool for each prefix: 1024 ports in blocks of 64 from port 1024 on, which makes 16 blocks. */
static struct config *config_of(unsigned count, const struct config_prefix4 *prefixes)
{
	static struct config_pool pools[ENTRIES];
	static struct config_prefix4 copies[ENTRIES];
	static struct config config;
	unsigned i;

	for (i = 0; i < count; i++) {
		copies[i] = prefixes[i];
		pools[i] = (struct config_pool){ .name = "p", .addresses = &copies[i], .addresses_count = 1, .first_port = 1024,
			.last_port = 2047, .block_size = 64 };
	}
	config = (struct config){ .pools = pools, .pools_count = count };
	return &config;
}

#define CONFIG(...) config_of(sizeof((struct config_prefix4[]){ __VA_ARGS__ }) / sizeof(struct config_prefix4), (struct config_prefix4[]){ __VA_ARGS__ })

static struct pool_plan plan_of(const struct config *config)
{
	struct pool_plan plan;

	if (!pool_plan_make(table, ENTRIES, BLOCKS, config, &plan, text, sizeof(text)))
		fail_msg("%s", text);
	return plan;
}

/* What the daemon does with a plan, wholly. */
static struct pool_plan apply(const struct config *config)
{
	struct pool_plan plan = plan_of(config);

	memcpy(table, plan.after, sizeof(table));
	pool_plan_done(&plan);
	return plan_of(config);
}

static void fresh(const struct config *config)
{
	struct pool_plan plan;

	memset(table, 0, sizeof(table));
	plan = apply(config);
	pool_plan_done(&plan);
}

static int find(uint32_t wanted)
{
	unsigned i;

	for (i = 0; i < ENTRIES; i++)
		if (table[i].block_count && !memcmp(table[i].addr4, &(uint8_t[]){ (uint8_t)(wanted >> 24), (uint8_t)(wanted >> 16),
								   (uint8_t)(wanted >> 8), (uint8_t)wanted }, 4))
			return (int)i;
	return -1;
}

static void remove_gone(void)
{
	unsigned i;

	for (i = 0; i < ENTRIES; i++)
		if (table[i].state == CGN_POOL_LEAVING && !table[i].blocks_used)
			table[i] = (struct cgn_pool){};
}

/* No two addresses share a block, and nothing stands outside. */
static void check_blocks(void)
{
	bool taken[BLOCKS] = {};
	unsigned i, n;

	for (i = 0; i < ENTRIES; i++)
		for (n = 0; n < table[i].block_count; n++) {
			assert_true(table[i].first_block + n < BLOCKS);
			assert_false(taken[table[i].first_block + n]);
			taken[table[i].first_block + n] = true;
		}
}

static void a_fresh_table_is_in_order(void **state)
{
	struct cgn_ranges ranges;
	unsigned i;

	(void)state;
	fresh(CONFIG({ address(8), 30 }, { address(0), 31 }));
	for (i = 0; i < 6; i++) {
		assert_int_equal(table[i].addr4[3], i < 4 ? 8 + i : i - 4);
		assert_int_equal(table[i].first_block, i * 16);
		assert_int_equal(table[i].pool, i < 4 ? 0 : 1);
		assert_int_equal(table[i].state, CGN_POOL_ACTIVE);
	}
	assert_int_equal(pool_end(table, ENTRIES), 6);
	assert_true(pool_ranges(table, ENTRIES, NULL, &ranges));
	assert_int_equal(ranges.count, 2);
	assert_int_equal(ranges.range[1].first, address(0));
	assert_int_equal(ranges.range[1].last, address(1));
	assert_int_equal(ranges.range[1].index, 4);
}

static void the_same_is_no_change(void **state)
{
	struct pool_plan plan;
	unsigned i;

	(void)state;
	fresh(CONFIG({ address(0), 28 }));
	plan = plan_of(CONFIG({ address(0), 28 }));
	for (i = 0; i < ENTRIES; i++)
		assert_int_equal(plan.change[i], POOL_AS_IT_IS);
	pool_plan_done(&plan);
	/* nor are other prefixes of the same addresses, in another order */
	plan = plan_of(CONFIG({ address(0), 28 }));
	assert_int_equal(plan.entering + plan.leaving + plan.returning, 0);
	pool_plan_done(&plan);
}

static void growing_touches_nothing(void **state)
{
	struct cgn_pool before[ENTRIES];
	struct cgn_ranges ranges;
	struct pool_plan plan;

	(void)state;
	fresh(CONFIG({ address(0), 30 }));
	table[2].blocks_used = 5;
	memcpy(before, table, sizeof(table));
	plan = plan_of(CONFIG({ address(0), 29 }));
	assert_int_equal(plan.entering, 4);
	assert_memory_equal(plan.after, before, 4 * sizeof(before[0]));
	assert_int_equal(plan.change[4], POOL_ENTERS);
	assert_true(pool_ranges(plan.after, ENTRIES, NULL, &ranges));
	assert_int_equal(ranges.count, 1);		/* next to its neighbours: one run */
	pool_plan_done(&plan);
}

static void shrinking_leaves(void **state)
{
	struct pool_plan plan;
	bool gone[ENTRIES] = {};
	struct cgn_ranges ranges;

	(void)state;
	fresh(CONFIG({ address(0), 29 }));
	plan = plan_of(CONFIG({ address(0), 30 }));
	assert_int_equal(plan.leaving, 4);
	assert_int_equal(plan.change[3], POOL_AS_IT_IS);
	assert_int_equal(plan.change[4], POOL_LEAVES);
	assert_int_equal(plan.after[4].state, CGN_POOL_LEAVING);
	assert_int_equal(plan.after[4].pool, CGN_POOL_NONE);
	memcpy(table, plan.after, sizeof(table));
	pool_plan_done(&plan);
	plan = plan_of(CONFIG({ address(0), 30 }));	/* told once */
	assert_int_equal(plan.leaving, 0);
	assert_int_equal(plan.change[4], POOL_AS_IT_IS);
	pool_plan_done(&plan);
	gone[5] = true;
	assert_true(pool_ranges(table, ENTRIES, gone, &ranges));
	assert_int_equal(ranges.count, 2);		/* those that leave are known to packets until they are gone */
	assert_int_equal(ranges.range[1].index, 6);
}

static void what_leaves_may_come_back(void **state)
{
	struct pool_plan plan;

	(void)state;
	fresh(CONFIG({ address(0), 29 }));
	table[6].state = CGN_POOL_DRAINING;		/* by the operator */
	plan = apply(CONFIG({ address(0), 30 }));
	pool_plan_done(&plan);
	plan = plan_of(CONFIG({ address(0), 29 }));
	assert_int_equal(plan.returning, 4);
	assert_int_equal(plan.entering, 0);
	assert_int_equal(plan.change[4], POOL_RENUMBERED);
	assert_int_equal(plan.after[4].state, CGN_POOL_ACTIVE);
	assert_int_equal(plan.after[4].pool, 0);
	pool_plan_done(&plan);
	plan = apply(CONFIG({ address(0), 29 }));
	table[6].state = CGN_POOL_DRAINING;
	pool_plan_done(&plan);
	plan = plan_of(CONFIG({ address(0), 29 }));	/* a reload does not undrain */
	assert_int_equal(plan.after[6].state, CGN_POOL_DRAINING);
	pool_plan_done(&plan);
}

/* Killed between the two steps: what entered leaves for no pool, and any configuration goes on from there. */
static void a_change_cut_short_goes_on(void **state)
{
	struct pool_plan plan;

	(void)state;
	fresh(CONFIG({ address(0), 30 }));
	plan = plan_of(CONFIG({ address(0), 29 }));
	memcpy(table, plan.after, sizeof(table));
	table[4].state = table[5].state = CGN_POOL_LEAVING;
	table[4].pool = table[5].pool = CGN_POOL_NONE;
	table[6] = table[7] = (struct cgn_pool){};
	pool_plan_done(&plan);
	plan = plan_of(CONFIG({ address(0), 29 }));
	assert_int_equal(plan.returning, 2);
	assert_int_equal(plan.entering, 2);
	assert_int_equal(plan.after[4].state, CGN_POOL_ACTIVE);
	pool_plan_done(&plan);
	plan = plan_of(CONFIG({ address(0), 30 }));	/* back: nobody is there to be told */
	assert_int_equal(plan.leaving, 0);
	assert_int_equal(plan.after[4].state, CGN_POOL_LEAVING);
	pool_plan_done(&plan);
}

static void pools_change_their_order(void **state)
{
	struct pool_plan plan;

	(void)state;
	fresh(CONFIG({ address(0), 31 }, { address(8), 31 }));
	plan = plan_of(CONFIG({ address(8), 31 }, { address(0), 31 }));
	assert_int_equal(plan.entering + plan.leaving, 0);
	assert_int_equal(plan.change[0], POOL_RENUMBERED);
	assert_int_equal(plan.after[0].pool, 1);
	assert_int_equal(plan.after[2].pool, 0);
	assert_int_equal(plan.after[2].addr4[3], 8);
	pool_plan_done(&plan);
}

static void another_shape_is_refused(void **state)
{
	struct config *config = CONFIG({ address(0), 30 });
	struct pool_plan plan;

	(void)state;
	fresh(config);
	config->pools[0].block_size = 128;
	assert_false(pool_plan_make(table, ENTRIES, BLOCKS, config, &plan, text, sizeof(text)));
	assert_non_null(strstr(text, "pools[0]: 192.0.2.0 has ports 1024-2047 in blocks of 64, and would have 1024-2047 in blocks of 128"));
	config->pools[0].block_size = 64;
	config->pools[0].last_port = 3071;
	assert_false(pool_plan_make(table, ENTRIES, BLOCKS, config, &plan, text, sizeof(text)));
	assert_non_null(strstr(text, "would have 1024-3071"));
}

static void more_than_there_is_room(void **state)
{
	struct pool_plan plan;

	(void)state;
	fresh(CONFIG({ address(0), 28 }));
	assert_false(pool_plan_make(table, ENTRIES, BLOCKS, CONFIG({ address(0), 27 }), &plan, text, sizeof(text)));
	assert_non_null(strstr(text, "no room for 192.0.2.24: the tables were made for 24 external addresses"));
	plan = apply(CONFIG({ address(16), 29 }));	/* sixteen leave, eight enter */
	assert_int_equal(pool_end(table, ENTRIES), ENTRIES);
	pool_plan_done(&plan);
	assert_false(pool_plan_make(table, ENTRIES, BLOCKS, CONFIG({ address(16), 29 }, { address(64), 32 }), &plan, text, sizeof(text)));
	remove_gone();
	plan = apply(CONFIG({ address(16), 29 }, { address(64), 32 }));
	assert_int_equal(find(address(64)), 0);		/* in the place of one that is gone */
	check_blocks();
	pool_plan_done(&plan);
}

static void more_blocks_than_there_is_room(void **state)
{
	struct config *config;
	struct pool_plan plan;

	(void)state;
	fresh(CONFIG({ address(0), 28 }));
	config = CONFIG({ address(0), 28 }, { address(32), 30 });
	config->pools[1].last_port = 1024 + 64 * 64 - 1;
	assert_false(pool_plan_make(table, ENTRIES, BLOCKS, config, &plan, text, sizeof(text)));
	assert_non_null(strstr(text, "no room for the 64 port blocks of 192.0.2.34: the tables were made for 384 in all"));
}

static void too_many_runs(void **state)
{
	static struct cgn_pool many[80];
	struct cgn_ranges ranges;
	struct pool_plan plan;
	unsigned i;

	(void)state;
	for (i = 0; i < 80; i++)
		many[i] = (struct cgn_pool){ .addr4 = { 192, 0, 2, (uint8_t)(i * 2) }, .block_count = i < 66 ? 1 : 0, .first_block = i,
			.block_shift = 6, .first_port = 1024, .state = CGN_POOL_LEAVING, .pool = CGN_POOL_NONE };
	assert_false(pool_ranges(many, 80, NULL, &ranges));
	assert_false(pool_plan_make(many, 80, 4096, CONFIG({ address(0) + 256, 30 }), &plan, text, sizeof(text)));
	assert_non_null(strstr(text, "more than 32 separate runs"));
}

/* Ten thousand changes by chance: blocks are never shared, who stays keeps index and blocks, what is configured is there. */
static void any_order_of_changes(void **state)
{
	struct cgn_pool before[ENTRIES];
	unsigned step, i, refused = 0;

	(void)state;
	srandom(7);
	fresh(CONFIG({ address(0), 29 }));
	for (step = 0; step < 10000; step++) {
		struct config *config = CONFIG({ address((unsigned)random() % 16 * 4), (uint8_t)(30 + random() % 3) },
					       { address(64 + (unsigned)random() % 8 * 8), (uint8_t)(29 + random() % 3) });
		struct pool_plan plan;
		int at;

		config->pools[0].addresses[0].network &= ~0u << (32 - config->pools[0].addresses[0].length);
		config->pools[1].block_size = 64;
		memcpy(before, table, sizeof(table));
		if (!pool_plan_make(table, ENTRIES, BLOCKS, config, &plan, text, sizeof(text))) {
			refused++;
			assert_memory_equal(before, table, sizeof(table));
			remove_gone();
			continue;
		}
		memcpy(table, plan.after, sizeof(table));
		pool_plan_done(&plan);
		check_blocks();
		for (i = 0; i < ENTRIES; i++)
			if (before[i].block_count) {
				assert_memory_equal(before[i].addr4, table[i].addr4, 4);
				assert_int_equal(before[i].first_block, table[i].first_block);
			}
		at = find(config->pools[1].addresses[0].network);
		assert_true(at >= 0);
		assert_int_equal(table[at].state, CGN_POOL_ACTIVE);
		for (i = 0; i < ENTRIES; i++)		/* some have blocks in use, which end now and then */
			table[i].blocks_used = table[i].block_count && random() % 3 == 0;
		if (random() % 2)
			remove_gone();
	}
	print_message("%u of 10000 changes had no room\n", refused);
	assert_in_range(refused, 1, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fresh_table_is_in_order),
		cmocka_unit_test(the_same_is_no_change),
		cmocka_unit_test(growing_touches_nothing),
		cmocka_unit_test(shrinking_leaves),
		cmocka_unit_test(what_leaves_may_come_back),
		cmocka_unit_test(a_change_cut_short_goes_on),
		cmocka_unit_test(pools_change_their_order),
		cmocka_unit_test(another_shape_is_refused),
		cmocka_unit_test(more_than_there_is_room),
		cmocka_unit_test(more_blocks_than_there_is_room),
		cmocka_unit_test(too_many_runs),
		cmocka_unit_test(any_order_of_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
