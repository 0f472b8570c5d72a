/* SPDX-License-Identifier: GPL-2.0-only */
/* The DESCRIPTION option (RFC 7220): what is stored, what comes back. */
#include "pcp_fixture.h"

#define MAP_TCP_12354 NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY6
#define MAPPED NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1024, POOL

static void expect_text(const struct fixture *fixture, const char *text)
{
	assert_int_equal(fixture->model.count, 1);
	assert_int_equal(fixture->model.mapping[0].description.length, strlen(text));
	assert_memory_equal(fixture->model.mapping[0].description.text, text, strlen(text));
}

/* DE.1, DE.5: stored, kept by a renewal that says nothing, replaced, erased. */
static void test_life(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, 128, 0, 0, 5, 'g', 0xc3, 0xa4, 'm', 'e', 0, 0, 0),
		     BYTES(MAP_SUCCESS(S3600), MAPPED, 128, 0, 0, 5, 'g', 0xc3, 0xa4, 'm', 'e', 0, 0, 0));
	expect_text(fixture, "g\xc3\xa4me");
	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354), BYTES(MAP_SUCCESS(S3600), MAPPED));
	expect_text(fixture, "g\xc3\xa4me");
	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, 128, 0, 0, 2, 'b', '2', 0, 0),
		     BYTES(MAP_SUCCESS(S3600), MAPPED, 128, 0, 0, 2, 'b', '2', 0, 0));
	expect_text(fixture, "b2");
	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, 128, 0, 0, 0), BYTES(MAP_SUCCESS(S3600), MAPPED, 128, 0, 0, 0));
	expect_text(fixture, "");
}

/* DE.4: the option is ignored, the mapping is not. */
static void test_invalid(void **state)
{
	static const struct { uint8_t len; char text[5]; } invalid[] = {
		{ 1, "\x80" }, { 1, "\xbf" }, { 2, "a\xff" }, { 2, "\xc0\x80" }, { 2, "\xc1\xbf" }, { 1, "\xc3" }, { 2, "\xc3\x28" },
		{ 3, "\xe0\x9f\xbf" }, { 3, "\xed\xa0\x80" }, { 2, "\xe2\x82" }, { 3, "\xe2\x82\x41" }, { 4, "\xf0\x8f\xbf\xbf" },
		{ 4, "\xf4\x90\x80\x80" }, { 4, "\xf5\x80\x80\x80" }, { 3, "a\0b" }, { 1, "\0" },
	};
	uint8_t request[] = { MAP_REQUEST(S3600), MAP_TCP_12354, 128, 0, 0, 0, 0, 0, 0, 0 };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
		request[63] = invalid[i].len;
		memcpy(request + 64, invalid[i].text, 4);
		expect_reply(fixture, request, sizeof(request), BYTES(MAP_SUCCESS(S3600), MAPPED));
		expect_text(fixture, "");
	}
}

static void test_valid(void **state)
{
	static const struct { uint8_t len; char text[5]; } valid[] = {
		{ 1, "\x7f" }, { 2, "\xc2\x80" }, { 2, "\xdf\xbf" }, { 3, "\xe0\xa0\x80" }, { 3, "\xed\x9f\xbf" }, { 3, "\xee\x80\x80" },
		{ 3, "\xef\xbf\xbf" }, { 4, "\xf0\x90\x80\x80" }, { 4, "\xf4\x8f\xbf\xbf" },
	};
	uint8_t request[] = { MAP_REQUEST(S3600), MAP_TCP_12354, 128, 0, 0, 0, 0, 0, 0, 0 };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
		request[63] = valid[i].len;
		memcpy(request + 64, valid[i].text, 4);
		assert_int_equal(fixture_send(fixture, request, sizeof(request)), 68);
		assert_memory_equal(fixture->reply + 60, request + 60, 8);
		expect_text(fixture, valid[i].text);
	}
}

/* DE.2, DE.6, DE.7: 128 bytes by default, cut before the character that does not fit. */
static void test_too_long(void **state)
{
	uint8_t request[60 + 4 + 132] = { MAP_REQUEST(S3600), MAP_TCP_12354, 128, 0, 0, 132 };
	uint8_t expected[60 + 4 + 128] = { MAP_SUCCESS(S3600), MAPPED, 128, 0, 0, 128 };
	struct fixture *fixture = *state;

	memset(request + 64, 'x', 132);
	memset(expected + 64, 'x', 128);
	expect_reply(fixture, request, sizeof(request), expected, sizeof(expected));
	memcpy(request + 64 + 126, "\xe2\x82\xac", 3);	/* bytes 127 to 129 */
	expected[63] = 126;
	memset(expected + 64 + 126, 0, 2);
	expect_reply(fixture, request, sizeof(request), expected, sizeof(expected));
	fixture->policy.description_max = 7;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	assert_int_equal(fixture_send(fixture, request, sizeof(request)), 72);
	expect_text(fixture, "xxxxxxx");
	fixture->policy.description_max = 0;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	expect_reply(fixture, request, sizeof(request), BYTES(MAP_SUCCESS(S3600), MAPPED));
	expect_text(fixture, "xxxxxxx");
}

static void test_longest(void **state)
{
	uint8_t request[1100] = { MAP_REQUEST(S3600), MAP_TCP_12354, 128, 0, 0x04, 0x0c };	/* 1036 bytes: the message is full */
	struct fixture *fixture = *state;

	memset(request + 64, 'y', 1036);
	fixture->policy.description_max = 1000;	/* more than is ever stored */
	pcp_server_set_policy(fixture->server, &fixture->policy);
	assert_int_equal(fixture_send(fixture, request, sizeof(request)), 60 + 4 + 256);
	assert_int_equal(fixture->reply[63], CGN_DESCRIPTION_MAX);
	assert_int_equal(fixture->model.mapping[0].description.length, CGN_DESCRIPTION_MAX);
}

static void test_not_stored_is_not_echoed(void **state)
{
	const uint8_t request[] = { MAP_REQUEST(S3600), MAP_TCP_12354, 128, 0, 0, 1, 'a', 0, 0, 0 };
	struct fixture *fixture = *state;

	fixture->model.no_texts = true;
	expect_reply(fixture, request, sizeof(request), BYTES(MAP_SUCCESS(S3600), MAPPED));
	/* an error names no description, returns all options, and stores nothing */
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY6, 128, 0, 0, 1, 'a', 0, 0, 0), 2, 3600);
	/* the operator's mapping is nobody's to describe */
	fixture->model.no_texts = false;
	fixture->model.mapping[0].origins = CGN_STATIC;
	expect_reply(fixture, request, sizeof(request), BYTES(MAP_SUCCESS(S_FOREVER), MAPPED));
	expect_text(fixture, "");
}

static void test_out_of_place(void **state)
{
	struct fixture *fixture = *state;

	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, 128, 0, 0, 1, 'a', 0, 0, 0, 128, 0, 0, 0), 6, 1800);
	assert_int_equal(fixture->model.calls, 0);
	expect_reply(fixture, BYTES(MAP_REQUEST(S0), MAP_TCP_12354, 128, 0, 0, 1, 'a', 0, 0, 0), BYTES(MAP_SUCCESS(S0), MAP_TCP_12354));
	expect_reply(fixture, BYTES(REQUEST(0x00, S0), 128, 0, 0, 1, 'a', 0, 0, 0), BYTES(SUCCESS(0x80, S0)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_life), TEST(test_invalid), TEST(test_valid), TEST(test_too_long), TEST(test_longest),
		TEST(test_not_stored_is_not_echoed), TEST(test_out_of_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
