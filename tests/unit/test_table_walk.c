/* SPDX-License-Identifier: GPL-2.0-only */
/* Listing in the total order, against a list of what was put in. And when a mapping ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "table_walk.h"
#include "cgn/lifetime.h"

#define ADDRESSES	4
#define PER_ADDRESS	70	/* blocks: more than one word of `taken` */
#define ALL_PROTOCOLS	((1u << CGN_PROTOCOLS) - 1)
#define ANYBODY		(TABLE_SUBSCRIBER | TABLE_OPERATOR)

struct fixture {
	struct cgn_pool pools[ADDRESSES];
	struct cgn_block blocks[ADDRESSES * PER_ADDRESS];
	struct tables tables;
	uint64_t expected[65536];	/* sort keys of what a walk must find */
	size_t expected_count;
};

static const uint8_t last_octet[ADDRESSES] = { 9, 2, 200, 3 };	/* in no order, as a configuration may have them */
static const uint16_t block_shift[ADDRESSES] = { 6, 8, 7, 6 };

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	uint32_t i;

	for (i = 0; i < ADDRESSES; i++)
		fixture->pools[i] = (struct cgn_pool){ .addr4 = { 192, 0, 2, last_octet[i] }, .first_block = i * PER_ADDRESS,
			.block_count = PER_ADDRESS, .first_port = 1024, .block_shift = block_shift[i] };
	fixture->tables = (struct tables){ fixture->pools, fixture->blocks, ADDRESSES, ADDRESSES * PER_ADDRESS };
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static struct cgn_subscriber_key subscriber(uint8_t octet)
{
	return (struct cgn_subscriber_key){ .addr4 = { 198, 51, 100, octet } };
}

static struct cgn_block *take_block(struct fixture *fixture, uint32_t address, uint32_t number, struct cgn_subscriber_key owner)
{
	struct cgn_block *block = &fixture->blocks[address * PER_ADDRESS + number];

	fixture->pools[address].taken[number / 64] |= 1ull << (number % 64);
	block->owner = owner;
	block->address = address;
	block->first_port = (uint16_t)(1024 + (number << block_shift[address]));
	block->generation++;
	block->state = CGN_BLOCK_LIVE;
	return block;
}

/* (address, protocol number, port) as one number. */
static uint64_t sort_key(uint8_t octet, uint8_t protocol, uint16_t port)
{
	return (uint64_t)octet << 32 | (uint64_t)protocol << 16 | port;
}

static void take_port(struct cgn_block *block, unsigned protocol, uint32_t offset, bool is_explicit)
{
	block->used[protocol][offset / 64] |= 1ull << (offset % 64);
	if (is_explicit)
		block->explicit_ports[protocol][offset / 64] |= 1ull << (offset % 64);
}

static void expect_port(struct fixture *fixture, const struct cgn_block *block, unsigned protocol, uint32_t offset)
{
	fixture->expected[fixture->expected_count++] =
		sort_key(last_octet[block->address], protocol_number(protocol), (uint16_t)(block->first_port + offset));
}

static int compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t slot_key(uint32_t slot)
{
	return sort_key(last_octet[CGN_SLOT_ADDRESS(slot)], protocol_number(CGN_SLOT_PROTOCOL(slot)), CGN_SLOT_PORT(slot));
}

static void expect_walk(struct fixture *fixture, unsigned owners, const struct cgn_subscriber_key *key, struct slot_walk walk)
{
	struct table_block *blocks;
	size_t found = 0;
	uint32_t slot;

	walk.tables = &fixture->tables;
	walk.block_count = table_blocks(&fixture->tables, owners, key, &blocks);
	walk.blocks = blocks;
	assert_true(walk.block_count >= 0);
	qsort(fixture->expected, fixture->expected_count, sizeof(*fixture->expected), compare_keys);
	while (slot_walk_next(&walk, &slot)) {
		assert_true(found < fixture->expected_count);
		assert_int_equal(slot_key(slot), fixture->expected[found]);
		found++;
	}
	assert_int_equal(found, fixture->expected_count);
	assert_false(slot_walk_next(&walk, &slot));
	free(blocks);
	fixture->expected_count = 0;
}

static void test_empty(void **state)
{
	struct fixture *fixture = *state;

	expect_walk(fixture, ANYBODY, NULL, (struct slot_walk){ .protocols = ALL_PROTOCOLS });
	take_block(fixture, 1, 0, subscriber(2));	/* owned, without a port in use */
	take_block(fixture, 2, 69, subscriber(3));
	expect_walk(fixture, ANYBODY, NULL, (struct slot_walk){ .protocols = ALL_PROTOCOLS });
}

/* Ports by random in blocks by random, of three subscribers and the operator. */
static void fill(struct fixture *fixture, struct cgn_block *taken[], unsigned count)
{
	struct cgn_subscriber_key operator_key = { .realm = CGN_OPERATOR_REALM };
	uint32_t address, offset;
	unsigned i, n;

	for (i = 0; i < count; i++) {
		address = (uint32_t)rand() % ADDRESSES;
		taken[i] = take_block(fixture, address, (uint32_t)rand() % PER_ADDRESS,
				      i % 4 == 3 ? operator_key : subscriber((uint8_t)(2 + i % 4)));
		for (n = 0; n < 40; n++) {
			offset = (uint32_t)rand() % (1u << block_shift[address]);
			take_port(taken[i], (unsigned)rand() % CGN_PROTOCOLS, offset, rand() % 2);
		}
	}
}

/* What of it a walk must find: the list is made from the bitmaps, port by port. */
static void expect_blocks(struct fixture *fixture, const struct cgn_subscriber_key *key, unsigned protocols, bool explicit_only)
{
	uint32_t i, offset, word;
	unsigned protocol;

	for (i = 0; i < ADDRESSES * PER_ADDRESS; i++) {
		const struct cgn_block *block = &fixture->blocks[i];

		if (block->state != CGN_BLOCK_LIVE || (key && memcmp(&block->owner, key, sizeof(*key))))
			continue;
		for (protocol = 0; protocol < CGN_PROTOCOLS; protocol++)
			for (offset = 0; offset < 1u << block_shift[block->address]; offset++) {
				word = offset / 64;
				if (protocols & 1u << protocol && 1 & (explicit_only ? block->explicit_ports[protocol][word] :
								       block->used[protocol][word]) >> offset % 64)
					expect_port(fixture, block, protocol, offset);
			}
	}
}

static void test_total_order(void **state)
{
	struct cgn_subscriber_key second = subscriber(3), stranger = subscriber(99), operator_key = { .realm = CGN_OPERATOR_REALM };
	struct fixture *fixture = *state;
	struct cgn_block *taken[60];

	srand(1);
	fill(fixture, taken, 60);
	expect_blocks(fixture, NULL, ALL_PROTOCOLS, false);
	assert_true(fixture->expected_count > 1000);
	expect_walk(fixture, ANYBODY, NULL, (struct slot_walk){ .protocols = ALL_PROTOCOLS });
	expect_blocks(fixture, NULL, ALL_PROTOCOLS, true);
	expect_walk(fixture, ANYBODY, NULL, (struct slot_walk){ .protocols = ALL_PROTOCOLS, .explicit_only = true });
	expect_blocks(fixture, NULL, 1u << CGN_TCP, false);
	expect_walk(fixture, ANYBODY, NULL, (struct slot_walk){ .protocols = 1u << CGN_TCP });
	expect_blocks(fixture, &second, ALL_PROTOCOLS, false);
	assert_true(fixture->expected_count > 100);
	expect_walk(fixture, TABLE_SUBSCRIBER, &second, (struct slot_walk){ .protocols = ALL_PROTOCOLS });
	expect_blocks(fixture, &operator_key, ALL_PROTOCOLS, false);
	expect_walk(fixture, TABLE_OPERATOR, NULL, (struct slot_walk){ .protocols = ALL_PROTOCOLS });
	expect_blocks(fixture, &second, ALL_PROTOCOLS, false);
	expect_blocks(fixture, &operator_key, ALL_PROTOCOLS, false);
	expect_walk(fixture, ANYBODY, &second, (struct slot_walk){ .protocols = ALL_PROTOCOLS });
	expect_walk(fixture, TABLE_SUBSCRIBER, &stranger, (struct slot_walk){ .protocols = ALL_PROTOCOLS });
}

/* A block that is just being claimed or given back is nobody's. */
static void test_blocks_in_passing(void **state)
{
	struct fixture *fixture = *state;
	struct cgn_block *block = take_block(fixture, 0, 5, subscriber(2)), copy;

	take_port(block, CGN_UDP, 63, true);
	assert_true(table_read_block(&fixture->tables, 5, &copy));
	assert_int_equal(copy.first_port, 1024 + 5 * 64);
	block->state = CGN_BLOCK_RELEASING;
	assert_false(table_read_block(&fixture->tables, 5, &copy));
	expect_walk(fixture, ANYBODY, NULL, (struct slot_walk){ .protocols = ALL_PROTOCOLS });
	block->state = CGN_BLOCK_FREE;
	expect_walk(fixture, ANYBODY, NULL, (struct slot_walk){ .protocols = ALL_PROTOCOLS });
	block->state = CGN_BLOCK_LIVE;
	expect_port(fixture, block, CGN_UDP, 63);
	expect_walk(fixture, ANYBODY, NULL, (struct slot_walk){ .protocols = ALL_PROTOCOLS });
	assert_false(table_read_block(&fixture->tables, ADDRESSES * PER_ADDRESS, &copy));
}

/* ---- when a mapping ends ---- */

#define OPEN (CGN_TCP_SYN_OUT | CGN_TCP_SYN_IN | CGN_TCP_DATA_OUT)

static void test_idle_times(void **state)
{
	const struct cgn_settings settings = { .udp_s = 300, .tcp_established_s = 7440, .tcp_opening_s = 240, .tcp_closing_s = 240, .icmp_s = 60 };
	struct cgn_mapping mapping = { .external.protocol = IPPROTO_UDP, .state.last_outbound_s = 1000, .state.flags = CGN_IMPLICIT };
	static const struct { uint8_t tcp; bool is_established; } connections[] = {
		{ 0, false }, { CGN_TCP_SYN_OUT, false }, { CGN_TCP_SYN_OUT | CGN_TCP_SYN_IN, false }, { OPEN, true },
		{ OPEN | CGN_TCP_FIN_OUT, true }, { OPEN | CGN_TCP_FIN_IN, true }, { OPEN | CGN_TCP_FIN_OUT | CGN_TCP_FIN_IN, false },
		{ OPEN | CGN_TCP_RST, false },
	};
	size_t i;

	(void)state;
	assert_int_equal(mapping_deadline_s(&settings, &mapping), 1300);
	mapping.external.protocol = IPPROTO_ICMP;
	assert_int_equal(mapping_deadline_s(&settings, &mapping), 1060);
	mapping.external.protocol = IPPROTO_TCP;
	for (i = 0; i < 2 * sizeof(connections) / sizeof(*connections); i++) {
		mapping.remote[i % 2].tcp = connections[i / 2].tcp;
		mapping.remote[!(i % 2)].tcp = 0;
		assert_int_equal(mapping_deadline_s(&settings, &mapping), connections[i / 2].is_established ? 8440 : 1240);
	}
	mapping.state.flags |= CGN_MANY_PEERS;	/* some connection is not remembered: none may be cut short */
	assert_int_equal(mapping_deadline_s(&settings, &mapping), 8440);
	mapping.state.flags = CGN_MAP;
	mapping.expires_s = 5000;
	assert_int_equal(mapping_deadline_s(&settings, &mapping), 5000);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(test_empty),
		WITH_FIXTURE(test_total_order),
		WITH_FIXTURE(test_blocks_in_passing),
		cmocka_unit_test(test_idle_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
