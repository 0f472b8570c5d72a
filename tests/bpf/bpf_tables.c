/* SPDX-License-Identifier: GPL-2.0-only */
/* Full tables: each holds all that the configuration says, whichever CPU made or ended what; what finds no room is refused, and all
 * that stands goes on. */
#include <sched.h>
#include <stdio.h>
#include <unistd.h>
#include "invariants.h"
#include "requests.h"

#define MAPPINGS 1500u
#define HOSTS 8

static const char config[] =
	"pools:\n  - {name: main, addresses: [192.0.2.0/31], block-size: 1024}\n"
	"subscribers: {prefixes: [198.51.100.0/24], blocks: 2, explicit: 4000, reserve: 0}\n"
	"timeouts: {rest: 0}\n"
	"tables: {mappings: 1500, subscribers: 64, descriptions: 3, filters: 2}\n";

static int up(void **state)
{
	(void)state;
	plane_start(&plane, config);
	return 0;
}

static int down(void **state)
{
	struct invariants found;

	(void)state;
	assert_true(invariants_check(plane.dp, stdout, &found));
	plane_stop(&plane);
	return 0;
}

static void run_on(unsigned cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

static struct frame frame_of(unsigned number)
{
	static const char *const hosts[HOSTS] = { "198.51.100.2", "198.51.100.3", "198.51.100.4", "198.51.100.5", "198.51.100.6", "198.51.100.7",
		"198.51.100.8", "198.51.100.9" };

	return (struct frame){ .source = hosts[number % HOSTS], .source_port = (uint16_t)(1000 + number / HOSTS), .destination = "203.0.113.9",
		.destination_port = 53, .protocol = UDP, .payload = 8 };
}

static int send_first(unsigned number)
{
	struct frame frame = frame_of(number);
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;

	plane_send(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&frame, bytes), &run);
	return run.verdict;
}

static struct cgn_map_request question_of(unsigned number)
{
	struct frame frame = frame_of(number);
	struct cgn_map_request request = question(CGN_MAP, frame.source_port, 600);

	request.internal = plane_internal(UDP, frame.source, frame.source_port);
	return request;
}

static void end(unsigned number)
{
	struct cgn_clear_request clear = { .origins = CGN_MAP | CGN_IMPLICIT };
	struct cgn_map_request request = question_of(number);
	struct cgn_mapping mapping;

	assert_true(dataplane_find_mapping(plane.dp, &request.internal, &mapping));
	assert_int_equal(dataplane_clear(plane.dp, &mapping.slot, 1, &clear), 0);
	assert_int_equal(clear.ended, 1);
}

static uint32_t room(void)
{
	return config_mapping_room(plane.config);
}

/* By one CPU, ended by the other and made anew by the first: what the other freed is found, to the last element. */
static void test_every_mapping_is_there(void **state)
{
	unsigned number, round;

	(void)state;
	assert_in_range(room(), MAPPINGS, MAPPINGS + 64);
	for (round = 0; round < 4; round++) {
		run_on(round);
		for (number = 0; number < MAPPINGS; number++)
			assert_int_equal(ask(dataplane_map, question_of(number)).status, CGN_OK);
		for (; number < room(); number++)
			assert_int_equal(send_first(number), CGN_OUTBOUND);
		assert_int_equal(send_first(number), CGN_DROP_TABLE_FULL);
		assert_int_equal(ask(dataplane_map, question_of(number)).status, CGN_TABLE_FULL);
		/* what stands goes on */
		for (number = 0; number < room(); number++)
			assert_int_equal(send_first(number), CGN_OUTBOUND);
		run_on(round + 1);
		for (number = 0; number < room(); number++)
			end(number);
	}
}

/* One more than `tables.mappings` is no explicit mapping, though `mappings` has room for it: nothing of it stays. */
static void test_explicit_ones_end_where_the_configuration_says(void **state)
{
	struct cgn_map_request request;
	struct cgn_mapping mapping;
	unsigned number;

	(void)state;
	for (number = 0; number < MAPPINGS; number++)
		assert_int_equal(ask(dataplane_map, question_of(number)).status, CGN_OK);
	request = question_of(number);
	assert_int_equal(ask(dataplane_map, request).status, CGN_TABLE_FULL);
	assert_false(dataplane_find_mapping(plane.dp, &request.internal, &mapping));
	assert_int_equal(ask(dataplane_map, question_of(0)).status, CGN_OK);	/* a renewal needs no room */
	assert_int_equal(ask(dataplane_delete, question_of(0)).status, CGN_OK);
	assert_int_equal(ask(dataplane_map, request).status, CGN_OK);
}

static uint32_t describe(uint16_t port)
{
	struct cgn_describe_request request = { .key = { .internal = plane_internal(UDP, HOST, port), .opcode = CGN_MAP },
		.description = { .length = 4, .text = "text" } };

	assert_int_equal(dataplane_describe(plane.dp, &request), 0);
	return request.status;
}

static void test_room_for_descriptions(void **state)
{
	uint16_t port;

	(void)state;
	for (port = 1; port <= 4; port++)
		assert_int_equal(map(port, 60).status, CGN_OK);
	for (port = 1; port <= 3; port++)
		assert_int_equal(describe(port), CGN_OK);
	assert_int_equal(describe(4), CGN_TABLE_FULL);
	assert_int_equal(describe(3), CGN_OK);
	assert_true(mapping_is_there(4));
	assert_int_equal(delete(1).status, CGN_OK);	/* its text goes with it */
	assert_int_equal(describe(4), CGN_OK);
}

static struct cgn_map_request map_filtered(uint16_t port)
{
	static const struct cgn_filter filter = { .remote6 = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9 }, .prefix_length = 128 };
	struct cgn_map_request request = question(CGN_MAP, port, 60);

	request.filter_count = request.filter_limit = 1;
	assert_int_equal(dataplane_map_filtered(plane.dp, &request, &filter), 0);
	return request;
}

/* A mapping that nobody may filter is not what was asked for. */
static void test_room_for_filters(void **state)
{
	(void)state;
	assert_int_equal(map_filtered(1).status, CGN_OK);
	assert_int_equal(map_filtered(2).status, CGN_OK);
	assert_int_equal(map_filtered(3).status, CGN_TABLE_FULL);
	assert_false(mapping_is_there(3));
	assert_int_equal(map(3, 60).status, CGN_OK);
	assert_int_equal(delete(1).status, CGN_OK);
	assert_int_equal(map_filtered(4).status, CGN_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(test_every_mapping_is_there), TEST(test_explicit_ones_end_where_the_configuration_says), TEST(test_room_for_descriptions),
		TEST(test_room_for_filters),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
