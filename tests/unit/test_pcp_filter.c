/* SPDX-License-Identifier: GPL-2.0-only */
/* The FILTER option (RFC 6887 section 13.3): what a mapping's filters become. That they filter: tests/bpf/bpf_filter. */
#include "pcp_fixture.h"

#define MAP_TCP_12354 NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY6
#define MAPPED NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1024, POOL
#define REMOTE(last) 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, last
/* 3, reserved, length 20; reserved, prefix length, port, address. */
#define FILTER(prefix_length, port, ...) 3, 0, 0, 20, 0, prefix_length, 0, port, __VA_ARGS__
#define CLEAR FILTER(0, 0, ANY6)
#define ASK(...) MAP_REQUEST(S3600), MAP_TCP_12354, __VA_ARGS__
#define GRANTED(...) MAP_SUCCESS(S3600), MAPPED, __VA_ARGS__

static void expect_filter(const struct fixture *fixture, unsigned n, const uint8_t remote6[16], uint8_t prefix_length, uint16_t port)
{
	const struct cgn_filter *filter = &fixture->model.mapping[0].filter[n];

	assert_true(n < fixture->model.mapping[0].filter_count);
	assert_memory_equal(filter->remote6, remote6, 16);
	assert_int_equal(filter->prefix_length, prefix_length);
	assert_int_equal(filter->remote_port, port);
	assert_int_equal(filter->reserved, 0);
}

static unsigned count(const struct fixture *fixture)
{
	return fixture->model.mapping[0].filter_count;
}

/* P13.20, P13.23: several, in order; bits beyond the prefix do not count. */
static void test_several(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(ASK(FILTER(128, 0, REMOTE(9)), FILTER(120, 80, REMOTE(77)), FILTER(96, 0, REMOTE(1)))),
		     BYTES(GRANTED(FILTER(128, 0, REMOTE(9)), FILTER(120, 80, REMOTE(77)), FILTER(96, 0, REMOTE(1)))));
	assert_int_equal(count(fixture), 3);
	expect_filter(fixture, 0, (const uint8_t[]){ REMOTE(9) }, 128, 0);
	expect_filter(fixture, 1, (const uint8_t[]){ REMOTE(0) }, 120, 80);
	expect_filter(fixture, 2, (const uint8_t[]){ ANY4 }, 96, 0);
	assert_int_equal(fixture->model.last.filter_limit, 8);
	assert_int_equal(fixture->model.last.flags, 0);
}

/* The reserved byte of the option and of its data. */
static void test_reserved_bytes(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture_send(fixture, BYTES(ASK(3, 0xff, 0, 20, 0xff, 128, 0, 0, REMOTE(9)))), 84);
	assert_int_equal(fixture->reply[3], 0);
	expect_filter(fixture, 0, (const uint8_t[]){ REMOTE(9) }, 128, 0);
}

/* P13.24, and a renewal that brings its filters again, or none: they stay as they are. */
static void test_added(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354), BYTES(MAP_SUCCESS(S3600), MAPPED));
	expect_reply(fixture, BYTES(ASK(FILTER(128, 0, REMOTE(9)))), BYTES(GRANTED(FILTER(128, 0, REMOTE(9)))));
	expect_reply(fixture, BYTES(ASK(FILTER(128, 1, REMOTE(9)), FILTER(128, 0, REMOTE(9)))),
		     BYTES(GRANTED(FILTER(128, 1, REMOTE(9)), FILTER(128, 0, REMOTE(9)))));
	assert_int_equal(count(fixture), 2);
	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354), BYTES(MAP_SUCCESS(S3600), MAPPED));
	assert_int_equal(count(fixture), 2);
	expect_filter(fixture, 0, (const uint8_t[]){ REMOTE(9) }, 128, 0);
	expect_filter(fixture, 1, (const uint8_t[]){ REMOTE(9) }, 128, 1);
}

/* Trap 6, P13.25: prefix length 0 removes what was there and what came before it in the request. */
static void test_clear(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(ASK(FILTER(128, 0, REMOTE(9)), FILTER(128, 0, REMOTE(10)))),
		     BYTES(GRANTED(FILTER(128, 0, REMOTE(9)), FILTER(128, 0, REMOTE(10)))));
	expect_reply(fixture, BYTES(ASK(FILTER(128, 0, REMOTE(11)), CLEAR, FILTER(128, 0, REMOTE(12)))),
		     BYTES(GRANTED(FILTER(128, 0, REMOTE(11)), CLEAR, FILTER(128, 0, REMOTE(12)))));
	assert_int_equal(count(fixture), 1);
	expect_filter(fixture, 0, (const uint8_t[]){ REMOTE(12) }, 128, 0);
	assert_int_equal(fixture->model.last.flags, CGN_CLEAR_FILTERS);
	expect_reply(fixture, BYTES(ASK(FILTER(0, 9, REMOTE(9)))), BYTES(GRANTED(FILTER(0, 9, REMOTE(9)))));	/* the rest does not count */
	assert_int_equal(count(fixture), 0);
	expect_reply(fixture, BYTES(ASK(CLEAR)), BYTES(GRANTED(CLEAR)));
	assert_int_equal(count(fixture), 0);
}

/* P13.27, P13.28: too many at once, too many with those that are there; nothing changes. */
static void test_too_many(void **state)
{
	uint8_t request[60 + 9 * 24] = { MAP_REQUEST(S3600), MAP_TCP_12354 };
	static const uint8_t filter[] = { FILTER(128, 0, REMOTE(0)) };
	struct fixture *fixture = *state;
	unsigned i;

	for (i = 0; i < 9; i++) {
		memcpy(request + 60 + i * 24, filter, sizeof(filter));
		request[60 + i * 24 + 23] = (uint8_t)i;
	}
	expect_error(fixture, request, sizeof(request), 13, 1800);
	assert_int_equal(fixture->model.count, 0);
	assert_int_equal(fixture_send(fixture, request, sizeof(request) - 24), 60 + 8 * 24);
	assert_int_equal(fixture->reply[3], 0);
	assert_int_equal(count(fixture), 8);
	expect_error(fixture, BYTES(ASK(FILTER(128, 0, REMOTE(8)))), 13, 1800);
	assert_int_equal(count(fixture), 8);
	/* those that are there are none more */
	assert_int_equal(fixture_send(fixture, request, sizeof(request) - 24), 60 + 8 * 24);
	assert_int_equal(fixture->reply[3], 0);
	/* another nonce owns the mapping: that is said first */
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY6, FILTER(128, 0, REMOTE(8))), 2, 3600);
	fixture->policy.filters = 1;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	expect_error(fixture, BYTES(ASK(CLEAR, FILTER(128, 0, REMOTE(8)), FILTER(128, 0, REMOTE(9)))), 13, 1800);
	assert_int_equal(count(fixture), 8);
	expect_reply(fixture, BYTES(ASK(CLEAR, FILTER(128, 0, REMOTE(8)), FILTER(128, 0, REMOTE(8)))),
		     BYTES(GRANTED(CLEAR, FILTER(128, 0, REMOTE(8)), FILTER(128, 0, REMOTE(8)))));
	assert_int_equal(count(fixture), 1);
}

/* P13.26, P13.27: a bad one among good ones. */
static void test_malformed(void **state)
{
	struct fixture *fixture = *state;

	expect_error(fixture, BYTES(MAP_REQUEST(S0), MAP_TCP_12354, FILTER(128, 0, REMOTE(9))), 6, 1800);
	expect_error(fixture, BYTES(MAP_REQUEST(S0), MAP_TCP_12354, CLEAR), 6, 1800);
	expect_error(fixture, BYTES(ASK(FILTER(128, 0, REMOTE(9)), FILTER(95, 0, REMOTE(9)))), 6, 1800);
	assert_int_equal(fixture->model.calls, 0);
}

/* They end with the MAP part. */
static void test_deletion(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(ASK(FILTER(128, 0, REMOTE(9)))), BYTES(GRANTED(FILTER(128, 0, REMOTE(9)))));
	fixture->model.mapping[0].idle_until_s = NOW_S + 120;
	assert_int_equal(fixture_send(fixture, BYTES(MAP_REQUEST(S0), MAP_TCP_12354)), 60);
	assert_int_equal(fixture->reply[3], 0);
	assert_int_equal(count(fixture), 0);
	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354), BYTES(MAP_SUCCESS(S3600), MAPPED));
	assert_int_equal(count(fixture), 0);
}

/* The operator's mapping is not the client's to close. */
static void test_static(void **state)
{
	static const struct cgn_internal tcp_12354 = { .addr4 = { 198, 51, 100, 2 }, .port = 12354, .protocol = TCP };
	struct fixture *fixture = *state;

	model_add(&fixture->model, &tcp_12354, 1030, CGN_STATIC);
	expect_error(fixture, BYTES(ASK(FILTER(128, 0, REMOTE(9)))), 2, 1800);
	expect_error(fixture, BYTES(ASK(CLEAR)), 2, 1800);
}

static void test_busy(void **state)
{
	struct fixture *fixture = *state;

	fixture->model.busy = 3;
	expect_reply(fixture, BYTES(ASK(FILTER(128, 0, REMOTE(9)))), BYTES(GRANTED(FILTER(128, 0, REMOTE(9)))));
	assert_int_equal(count(fixture), 1);
	fixture->model.busy = 1000;
	expect_error(fixture, BYTES(ASK(FILTER(128, 0, REMOTE(9)))), 8, 30);
	fixture->model.busy = 0;
	fixture->model.error = -5;
	expect_error(fixture, BYTES(ASK(FILTER(128, 0, REMOTE(9)))), 8, 30);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_several), TEST(test_reserved_bytes), TEST(test_added), TEST(test_clear), TEST(test_too_many),
		TEST(test_malformed), TEST(test_deletion), TEST(test_static), TEST(test_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
