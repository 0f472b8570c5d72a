/* SPDX-License-Identifier: GPL-2.0-only */
/* The PORT_SET option (RFC 7753): sets asked for, granted in part, renewed and ended as one, and what overlaps them. The bytes of the
 * option are those of its figure 1. */
#include "announcer.h"
#include "pcp_fixture.h"

#define PORT(number) (number) >> 8, (number) & 0xff
#define ASK(lifetime, internal_port, ...) MAP_REQUEST(lifetime), NONCE, TCP, 0, 0, 0, PORT(internal_port), PORT_0, ANY4, __VA_ARGS__
#define GRANTED(lifetime, internal_port, external_port, ...) \
	MAP_SUCCESS(lifetime), NONCE, TCP, 0, 0, 0, PORT(internal_port), PORT(external_port), POOL, __VA_ARGS__
#define PLAIN(lifetime, internal_port) MAP_REQUEST(lifetime), NONCE, TCP, 0, 0, 0, PORT(internal_port), PORT_0, ANY4
#define PLAIN_GRANTED(lifetime, internal_port, external_port) \
	MAP_SUCCESS(lifetime), NONCE, TCP, 0, 0, 0, PORT(internal_port), PORT(external_port), POOL
/* 130, reserved, length 5; size, first internal port, parity; three bytes of padding. */
#define PORT_SET(size, first, parity) 130, 0, 0, 5, PORT(size), PORT(first), parity, 0, 0, 0
#define S7200 0, 0, 0x1c, 0x20

struct told { unsigned count; struct pcp_update update[4]; };

static struct told told;

static bool note_update(void *context, const struct pcp_update *update)
{
	struct told *of = context;

	assert_true(of->count < 4);
	of->update[of->count++] = *update;
	return true;
}

static int set_up(void **state)
{
	struct fixture *fixture;

	if (fixture_up(state))
		return -1;
	fixture = *state;
	memset(&told, 0, sizeof(told));
	pcp_server_set_updater(fixture->server, note_update, &told);
	return 0;
}

static const struct model_mapping *mapped(struct fixture *fixture, uint16_t internal_port)
{
	struct cgn_internal internal = { .addr4 = { 198, 51, 100, 2 }, .port = internal_port, .protocol = TCP };

	return model_find(&fixture->model, &internal);
}

static void add_traffic(struct fixture *fixture, uint16_t internal_port, uint16_t external_port)
{
	struct cgn_internal internal = { .addr4 = { 198, 51, 100, 2 }, .port = internal_port, .protocol = TCP };

	model_add(&fixture->model, &internal, external_port, CGN_IMPLICIT)->idle_until_s = NOW_S + 120;
}

/* Section 5.1, with 8 ports of quota. */
static void test_set(void **state)
{
	struct fixture *fixture = *state;
	uint16_t i;

	expect_reply(fixture, BYTES(ASK(S3600, 12354, PORT_SET(4, 12354, 0))),
		     BYTES(GRANTED(S3600, 12354, 1024, PORT_SET(4, 12354, 0))));
	assert_int_equal(fixture->model.last.set_size, 4);
	assert_int_equal(fixture->model.count, 4);
	for (i = 0; i < 4; i++) {
		assert_int_equal(mapped(fixture, 12354 + i)->external.port, 1024 + i);
		assert_int_equal(mapped(fixture, 12354 + i)->expires_s, NOW_S + 3600);
	}
	expect_reply(fixture, BYTES(ASK(S3600, 12354, PORT_SET(4, 12354, 0))),	/* its reply was lost */
		     BYTES(GRANTED(S3600, 12354, 1024, PORT_SET(4, 12354, 0))));
	assert_int_equal(fixture->model.count, 4);
	assert_int_equal(told.count, 0);
}

/* Section 4: reserved bits and the first internal port of a request count for nothing. */
static void test_what_does_not_count(void **state)
{
	expect_reply(*state, BYTES(ASK(S3600, 12354, 130, 0xff, 0, 5, 0, 2, 0, 1, 0xfe, 0xff, 0xff, 0xff)),
		     BYTES(GRANTED(S3600, 12354, 1024, PORT_SET(2, 12354, 0))));
}

/* PS.5: by quota, by ports that are free in a row, by internal ports that are mapped; never more than asked for. */
static void test_partial(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(ASK(S3600, 12354, PORT_SET(0xffff, 12354, 0))),
		     BYTES(GRANTED(S3600, 12354, 1024, PORT_SET(8, 12354, 0))));
	expect_error(fixture, BYTES(ASK(S3600, 2000, PORT_SET(4, 2000, 0))), 10, 30);
	fixture->model.count = 0;
	add_traffic(fixture, 12357, 1026);
	expect_reply(fixture, BYTES(ASK(S3600, 12354, PORT_SET(8, 12354, 0))),
		     BYTES(GRANTED(S3600, 12354, 1027, PORT_SET(3, 12354, 0))));
	fixture->model.count = 0;
	fixture->model.ports = 5;
	expect_reply(fixture, BYTES(ASK(S3600, 12354, PORT_SET(8, 12354, 0))),
		     BYTES(GRANTED(S3600, 12354, 1024, PORT_SET(5, 12354, 0))));
	expect_error(fixture, BYTES(ASK(S3600, 2000, PORT_SET(4, 2000, 0))), 8, 30);
	/* there is no port behind 65535 */
	fixture->model.count = 0;
	expect_reply(fixture, BYTES(ASK(S3600, 65534, PORT_SET(8, 65534, 0))),
		     BYTES(GRANTED(S3600, 65534, 1024, PORT_SET(2, 65534, 0))));
}

/* Trap 13, PS.6: one port is no set, asked for or left over. */
static void test_one(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(ASK(S3600, 12354, PORT_SET(1, 12354, 0))), BYTES(PLAIN_GRANTED(S3600, 12354, 1024)));
	assert_int_equal(fixture->model.last.set_size, 0);
	fixture->model.count = 0;
	fixture->model.ports = 1;
	expect_reply(fixture, BYTES(ASK(S3600, 12354, PORT_SET(4, 12354, 0))), BYTES(PLAIN_GRANTED(S3600, 12354, 1024)));
	assert_int_equal(mapped(fixture, 12354)->set_size, 0);
	/* the first port carries packets: it is adopted, alone */
	fixture->model.count = 0;
	add_traffic(fixture, 12354, 1024);
	expect_reply(fixture, BYTES(ASK(S3600, 12354, PORT_SET(4, 12354, 0))), BYTES(PLAIN_GRANTED(S3600, 12354, 1024)));
}

/* PS.7: also where the first free port would be of the wrong kind; the bit comes back. */
static void test_parity(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(ASK(S3600, 12355, PORT_SET(2, 12355, 1))),
		     BYTES(GRANTED(S3600, 12355, 1025, PORT_SET(2, 12355, 1))));
	expect_reply(fixture, BYTES(ASK(S3600, 12360, PORT_SET(2, 12360, 0xff))),
		     BYTES(GRANTED(S3600, 12360, 1028, PORT_SET(2, 12360, 1))));
}

/* Trap 13, trap 4; PS.1 to PS.3, in any order of options. */
static void test_malformed(void **state)
{
	struct fixture *fixture = *state;

	expect_error(fixture, BYTES(ASK(S3600, 12354, PORT_SET(0, 12354, 0))), 6, 1800);
	expect_error(fixture, BYTES(ASK(S3600, 12354, PORT_SET(4, 12354, 0), PORT_SET(4, 12354, 0))), 6, 1800);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1030, POOL, PORT_SET(4, 12354, 0),
				    PREFER_FAILURE_OPTION), 6, 1800);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1030, POOL, PREFER_FAILURE_OPTION,
				    PORT_SET(4, 12354, 0)), 6, 1800);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1030, POOL, PREFER_FAILURE_OPTION,
				    PORT_SET(1, 12354, 0)), 6, 1800);
	assert_int_equal(fixture->model.calls, 0);
	/* of another length it is ignored, as an optional option may be */
	expect_reply(fixture, BYTES(ASK(S3600, 12354, 130, 0, 0, 4, 0, 4, 0x30, 0x42)), BYTES(PLAIN_GRANTED(S3600, 12354, 1024)));
}

/* PS.9, and section 4.4.1: also by a request for one of its ports, whose answer is of that port. */
static void test_renewal(void **state)
{
	struct fixture *fixture = *state;
	uint16_t i;

	expect_reply(fixture, BYTES(ASK(S3600, 12354, PORT_SET(4, 12354, 0))), BYTES(GRANTED(S3600, 12354, 1024, PORT_SET(4, 12354, 0))));
	expect_reply(fixture, BYTES(ASK(S7200, 12354, PORT_SET(4, 12354, 0))), BYTES(GRANTED(S7200, 12354, 1024, PORT_SET(4, 12354, 0))));
	for (i = 0; i < 4; i++)
		assert_int_equal(mapped(fixture, 12354 + i)->expires_s, NOW_S + 7200);
	expect_reply(fixture, BYTES(PLAIN(S120, 12356)), BYTES(PLAIN_GRANTED(S120, 12356, 1026)));
	for (i = 0; i < 4; i++)
		assert_int_equal(mapped(fixture, 12354 + i)->expires_s, NOW_S + 120);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY4, PORT_SET(4, 12354, 0)), 2, 120);
}

/* The option comes back as it came; again, of what is gone. Also by a request for one port, and with size 0. */
static void test_deletion(void **state)
{
	struct fixture *fixture = *state;
	int i;

	for (i = 0; i < 4; i++) {
		expect_reply(fixture, BYTES(ASK(S3600, 12354, PORT_SET(4, 12354, 0))),
			     BYTES(GRANTED(S3600, 12354, 1024, PORT_SET(4, 12354, 0))));
		if (i == 0)
			expect_reply(fixture, BYTES(ASK(S0, 12354, PORT_SET(4, 12354, 0))),
				     BYTES(MAP_SUCCESS(S0), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY4, PORT_SET(4, 12354, 0)));
		else if (i == 1)
			expect_reply(fixture, BYTES(PLAIN(S0, 12356)), BYTES(MAP_SUCCESS(S0), NONCE, TCP, 0, 0, 0, PORT(12356), PORT_0, ANY4));
		else if (i == 2)
			expect_reply(fixture, BYTES(ASK(S0, 12357, PORT_SET(0, 0, 0))),
				     BYTES(MAP_SUCCESS(S0), NONCE, TCP, 0, 0, 0, PORT(12357), PORT_0, ANY4));
		else	/* overlapping from below */
			expect_reply(fixture, BYTES(ASK(S0, 12350, PORT_SET(6, 12350, 0))),
				     BYTES(MAP_SUCCESS(S0), NONCE, TCP, 0, 0, 0, PORT(12350), PORT_0, ANY4, PORT_SET(6, 12350, 0)));
		assert_int_equal(fixture->model.count, 0);
	}
	expect_reply(fixture, BYTES(ASK(S0, 12354, PORT_SET(4, 12354, 0))),
		     BYTES(MAP_SUCCESS(S0), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY4, PORT_SET(4, 12354, 0)));
}

/* Section 6.3: what overlaps a set is that set's refresh. */
static void test_overlap(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(ASK(S3600, 101, PORT_SET(5, 101, 0))), BYTES(GRANTED(S3600, 101, 1024, PORT_SET(5, 101, 0))));
	expect_reply(fixture, BYTES(ASK(S7200, 103, PORT_SET(5, 103, 0))), BYTES(GRANTED(S7200, 103, 1024, PORT_SET(5, 101, 0))));
	expect_reply(fixture, BYTES(ASK(S3600, 99, PORT_SET(5, 99, 0))), BYTES(GRANTED(S3600, 99, 1024, PORT_SET(5, 101, 0))));
	assert_int_equal(fixture->model.count, 5);
	assert_int_equal(told.count, 0);
}

/* Section 5.3: port 100 alone, 101 to 104 as a set, and a request for all of them: two refreshes, the second told by an update. */
static void test_overlap_of_two(void **state)
{
	static const uint8_t client[] = { CLIENT }, nonce[] = { NONCE }, pool[] = { POOL };
	const struct pcp_update *update = &told.update[0];
	struct fixture *fixture = *state;
	uint8_t message[PCP_MESSAGE_MAX];

	expect_reply(fixture, BYTES(PLAIN(S3600, 100)), BYTES(PLAIN_GRANTED(S3600, 100, 1024)));
	expect_reply(fixture, BYTES(ASK(S3600, 101, PORT_SET(4, 101, 0))), BYTES(GRANTED(S3600, 101, 1025, PORT_SET(4, 101, 0))));
	expect_reply(fixture, BYTES(ASK(S7200, 100, PORT_SET(100, 100, 0))), BYTES(PLAIN_GRANTED(S7200, 100, 1024)));
	assert_int_equal(mapped(fixture, 104)->expires_s, NOW_S + 7200);
	assert_int_equal(fixture->model.count, 5);
	assert_int_equal(told.count, 1);
	assert_int_equal(update->opcode, 1);
	assert_memory_equal(update->client6, client, 16);
	assert_memory_equal(update->internal6, client, 16);
	assert_int_equal(update->client_port, SOURCE_PORT);
	assert_memory_equal(update->peer.map.nonce, nonce, 12);
	assert_memory_equal(update->peer.map.external6, pool, 16);
	assert_int_equal(pcp_server_update(fixture->server, update, fixture->now_s, message, sizeof(message)), 72);
	assert_memory_equal(message, ((const uint8_t[]){ GRANTED(S7200, 101, 1025, PORT_SET(4, 101, 0)) }), 72);
}

/* A single mapping behind the first port: what is before it becomes a set, for no answer could say which port the single one is of. */
static void test_single_in_the_middle(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(PLAIN(S3600, 103)), BYTES(PLAIN_GRANTED(S3600, 103, 1024)));
	expect_reply(fixture, BYTES(ASK(S7200, 100, PORT_SET(5, 100, 0))), BYTES(GRANTED(S7200, 100, 1025, PORT_SET(3, 100, 0))));
	assert_int_equal(mapped(fixture, 103)->expires_s, NOW_S + 7200);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.update[0].peer.map.internal_port, 103);
	assert_int_equal(told.update[0].peer.map.external_port, 1024);
	assert_int_equal(told.update[0].set_size, 1);
	assert_null(mapped(fixture, 104));
}

/* Filters are those of every port; the option stands beside it in the order of the request. */
static void test_with_filter(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(ASK(S3600, 12354, PORT_SET(2, 12354, 0), FILTER_OPTION(128, POOL))),
		     BYTES(GRANTED(S3600, 12354, 1024, PORT_SET(2, 12354, 0), FILTER_OPTION(128, POOL))));
	assert_int_equal(mapped(fixture, 12354)->filter_count, 1);
	assert_int_equal(mapped(fixture, 12355)->filter_count, 1);
}

static void test_no_wildcards(void **state)
{
	struct fixture *fixture = *state;

	expect_error(fixture, BYTES(MAP_REQUEST(S3600), NONCE, 0, 0, 0, 0, PORT_0, PORT_0, ANY4, PORT_SET(4, 0, 0)), 9, 1800);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), NONCE, 0, 0, 0, 0, PORT(1), PORT_0, ANY4, PORT_SET(4, 1, 0)), 3, 1800);
	assert_int_equal(fixture->model.calls, 0);
}

static void test_busy(void **state)
{
	struct fixture *fixture = *state;

	fixture->model.busy = 3;
	expect_reply(fixture, BYTES(ASK(S3600, 12354, PORT_SET(4, 12354, 0))), BYTES(GRANTED(S3600, 12354, 1024, PORT_SET(4, 12354, 0))));
	fixture->model.busy = 1000;
	expect_error(fixture, BYTES(ASK(S3600, 12354, PORT_SET(4, 12354, 0))), 8, 30);
	fixture->model.busy = 0;
	fixture->model.error = -5;
	expect_error(fixture, BYTES(ASK(S3600, 12354, PORT_SET(4, 12354, 0))), 8, 30);
	expect_error(fixture, BYTES(ASK(S0, 12354, PORT_SET(4, 12354, 0))), 8, 30);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_set), TEST(test_what_does_not_count), TEST(test_partial), TEST(test_one), TEST(test_parity), TEST(test_malformed),
		TEST(test_renewal), TEST(test_deletion), TEST(test_overlap), TEST(test_overlap_of_two), TEST(test_single_in_the_middle),
		TEST(test_with_filter), TEST(test_no_wildcards), TEST(test_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
