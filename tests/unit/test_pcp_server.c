/* SPDX-License-Identifier: GPL-2.0-only */
/* Reception, errors, options, ANNOUNCE and Epoch of the PCP server (RFC 6887 sections 7, 8, 9, 13, 14.1). */
#include "pcp_fixture.h"

#define MAP_TCP_12354 NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY4

/* ---- silence and version ---- */

static void test_silence_below_two_bytes(void **state)
{
	struct fixture *fixture = *state;

	expect_silence(fixture, NULL, 0);
	expect_silence(fixture, BYTES(2));
	expect_silence(fixture, BYTES(0));
	expect_silence(fixture, BYTES(9));
}

/* The R bit is looked at before the version. */
static void test_silence_for_responses(void **state)
{
	struct fixture *fixture = *state;

	expect_silence(fixture, BYTES(MAP_SUCCESS(S3600), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1024, POOL));
	expect_silence(fixture, BYTES(2, 0x80));
	expect_silence(fixture, BYTES(0, 0x80));
	expect_silence(fixture, BYTES(0, 0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
	expect_silence(fixture, BYTES(3, 0xff));
}

static void test_silence_below_a_header(void **state)
{
	const uint8_t announce[] = { REQUEST(0x00, S0) };
	struct fixture *fixture = *state;
	size_t len;

	for (len = 2; len < 24; len++)
		expect_silence(fixture, announce, len);
	assert_int_equal(fixture_send(fixture, announce, 24), 24);
	assert_int_equal(pcp_server_stats(fixture->server)->requests, 23);
	assert_int_equal(pcp_server_stats(fixture->server)->silent, 22);
	assert_int_equal(pcp_server_stats(fixture->server)->results[0], 1);
}

/* Trap 1: a NAT-PMP client's two bytes are answered; it reads version 2, opcode 128, result 1, where it expects them. */
static void test_version_natpmp_probe(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(0, 0), BYTES(2, 0x80, 0, 1, S1800, EPOCH, ZERO12));
	expect_reply(fixture, BYTES(0, 1, 0, 0, PORT_12354, PORT_1024, S3600), BYTES(2, 0x81, 0, 1, S1800, EPOCH, ZERO12));
	expect_silence(fixture, BYTES(0));
}

/* The version is judged before any length. */
static void test_version_before_length(void **state)
{
	static const uint8_t versions[] = { 1, 3, 255 };
	static const size_t lengths[] = { 2, 3, 13, 23, 24, 25, 60, 61, 1100, 1101, 1104, 1500 };
	struct fixture *fixture = *state;
	uint8_t request[1500];
	size_t i, j;

	for (i = 0; i < sizeof(request); i++)
		request[i] = (uint8_t)(i * 7 + 1);
	request[1] = 0x01;
	for (i = 0; i < sizeof(versions); i++)
		for (j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++) {
			request[0] = versions[i];
			expect_error(fixture, request, lengths[j], 1, 1800);
		}
}

/* ---- lengths, address, opcode ---- */

/* Trap 2, and what the longest answerable request is: 1100 bytes. */
static void test_length_limits(void **state)
{
	struct fixture *fixture = *state;
	uint8_t request[1500] = { MAP_REQUEST(S3600), MAP_TCP_12354 };
	size_t i;

	for (i = 60; i < sizeof(request); i += 4)
		request[i] = 200;	/* options that nobody knows, without data, that may be ignored */
	expect_error(fixture, request, 1104, 3, 1800);
	assert_int_equal(fixture_send(fixture, request, 1104), 1100);
	expect_error(fixture, request, 1101, 3, 1800);
	expect_error(fixture, request, 1500, 3, 1800);
	for (i = 61; i < 64; i++)
		expect_error(fixture, request, i, 3, 1800);
	assert_int_equal(fixture->model.calls, 0);
	assert_int_equal(fixture_send(fixture, request, 1100), 60);
	assert_int_equal(fixture->reply[3], 0);
}

static void test_padded_error_literal(void **state)
{
	expect_reply(*state, BYTES(REQUEST(0x00, S0), 0xaa), BYTES(2, 0x80, 0, 3, S1800, EPOCH, CLIENT_LAST12, 0xaa, 0, 0, 0));
}

static void test_too_short_for_map(void **state)
{
	const uint8_t request[] = { MAP_REQUEST(S3600), MAP_TCP_12354 };
	size_t len;

	for (len = 24; len < 60; len++)
		expect_error(*state, request, len, 3, 1800);
}

static void test_address_mismatch(void **state)
{
	struct fixture *fixture = *state;
	uint8_t request[] = { MAP_REQUEST(S3600), MAP_TCP_12354 };
	size_t i;

	for (i = 8; i < 24; i++) {	/* each byte counts, those of the prefix too */
		request[i] ^= 0x10;
		expect_error(fixture, request, sizeof(request), 12, 1800);
		request[i] ^= 0x10;
	}
	assert_int_equal(fixture->model.calls, 0);
	fixture->source6[15] = 3;
	expect_reply(fixture, BYTES(REQUEST(0x00, S0)), BYTES(2, 0x80, 0, 12, S1800, EPOCH, ZERO12));
}

/* Section 8.2's order: length, address, opcode. */
static void test_error_precedence(void **state)
{
	struct fixture *fixture = *state;

	fixture->source6[15] = 3;
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), NONCE, TCP, 0, 0, 0), 3, 1800);	/* short before mismatch */
	expect_error(fixture, BYTES(REQUEST(0x55, S0), 1), 3, 1800);		/* odd length before opcode */
	expect_error(fixture, BYTES(REQUEST(0x55, S0)), 12, 1800);			/* mismatch before opcode */
	fixture->source6[15] = 2;
	expect_error(fixture, BYTES(REQUEST(0x55, S0), 3, 0, 0xff, 0xff), 4, 1800);	/* opcode before options */
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), NONCE, 0, 0, 0, 0, PORT_12354, PORT_0, ANY4, 9, 0, 0, 0), 5, 1800);
}

static void test_unknown_opcodes(void **state)
{
	static const uint8_t opcodes[] = { 2, 3, 4, 63, 98, 126, 127 };	/* PEER and GET are switched off */
	uint8_t request[] = { REQUEST(0x00, S3600), MAP_TCP_12354, 1, 2, 3, 4, 5, 6, 7, 8 };

	for (size_t i = 0; i < sizeof(opcodes); i++) {
		request[1] = opcodes[i];
		expect_error(*state, request, sizeof(request), 4, 1800);
	}
	expect_reply(*state, BYTES(REQUEST(0x04, S1), 0xde, 0xad, 0xbe, 0xef),
		     BYTES(2, 0x84, 0, 4, S1800, EPOCH, CLIENT_LAST12, 0xde, 0xad, 0xbe, 0xef));
}

static void test_disabled_opcodes(void **state)
{
	struct fixture *fixture = *state;

	fixture->policy.map = false;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354), 4, 1800);
	assert_int_equal(fixture_send(fixture, BYTES(REQUEST(0x00, S0))), 24);
	fixture->policy.map = true;
	fixture->policy.announce = false;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	expect_error(fixture, BYTES(REQUEST(0x00, S0)), 4, 1800);
	assert_int_equal(fixture->model.calls, 0);
}

static void test_error_lifetimes_are_configured(void **state)
{
	struct fixture *fixture = *state;

	fixture->policy.error_long_s = 900;
	fixture->policy.error_short_s = 7;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	expect_error(fixture, BYTES(REQUEST(0x04, S0)), 4, 900);
	fixture->model.status = CGN_EXHAUSTED;
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354), 8, 7);
}

/* ---- options ---- */

/* Trap 14: unknown and optional is ignored and not returned, also when it comes twice or with padding. */
static void test_unknown_optional_option(void **state)
{
	expect_reply(*state, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, 200, 0, 0, 5, 'h', 'e', 'l', 'l', 'o', 0, 0, 0, 200, 0, 0, 0),
		     BYTES(MAP_SUCCESS(S3600), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1024, POOL));
	/* PREFIX64 is not implemented, and NEXT is none of MAP's: nothing of them is processed either */
	expect_reply(*state, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354,
				   129, 0, 0, 5, 0, 0, 0x30, 0x42, 0, 0, 0, 0, 131, 0, 0, 0),
		     BYTES(MAP_SUCCESS(S3600), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1024, POOL));
}

static void test_unknown_mandatory_option(void **state)
{
	static const uint8_t codes[] = { 0, 4, 13, 64, 126, 127 };
	uint8_t request[] = { MAP_REQUEST(S3600), MAP_TCP_12354, 200, 0, 0, 0, 0xff, 0, 0, 1, 'x', 0, 0, 0 };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(codes); i++) {
		request[64] = codes[i];
		expect_error(fixture, request, sizeof(request), 5, 1800);	/* all options are returned */
	}
	assert_int_equal(fixture->model.calls, 0);
}

/* Trap 15; and a broken structure is told before anything about the options in front of it. */
static void test_option_past_the_end(void **state)
{
	struct fixture *fixture = *state;

	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, 200, 0, 0, 1), 6, 1800);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, 200, 0, 0, 5, 1, 2, 3, 4), 6, 1800);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, 200, 0, 0xff, 0xff, 1, 2, 3, 4), 6, 1800);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, 9, 0, 0, 0, 200, 0, 0, 1), 6, 1800);
	expect_error(fixture, BYTES(REQUEST(0x00, S0), 200, 0, 0, 1), 6, 1800);
	assert_int_equal(fixture->model.calls, 0);
}

static void test_repeated_option(void **state)
{
	struct fixture *fixture = *state;

	expect_error(fixture, BYTES(MAP_REQUEST(S3600), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1030, ANY4, PREFER_FAILURE_OPTION,
				    200, 0, 0, 0, PREFER_FAILURE_OPTION), 6, 1800);
	assert_int_equal(fixture->model.calls, 0);
}

/* Packet order decides which of two bad options is told. */
static void test_options_in_packet_order(void **state)
{
	expect_error(*state, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, 9, 0, 0, 0, PREFER_FAILURE_OPTION), 5, 1800);
	expect_error(*state, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, PREFER_FAILURE_OPTION, 9, 0, 0, 0), 6, 1800);
}

/* Trap 5: own address, malformed, then not permitted. */
static void test_third_party(void **state)
{
	struct fixture *fixture = *state;
	const uint8_t own[] = { MAP_REQUEST(S3600), MAP_TCP_12354, THIRD_PARTY_OPTION(CLIENT) };
	const uint8_t other[] = { MAP_REQUEST(S3600), MAP_TCP_12354, THIRD_PARTY_OPTION(POOL) };
	const uint8_t other_delete[] = { MAP_REQUEST(S0), MAP_TCP_12354, THIRD_PARTY_OPTION(POOL) };
	const uint8_t short_one[] = { MAP_REQUEST(S3600), MAP_TCP_12354, 1, 0, 0, 4, 198, 51, 100, 3 };
	const uint8_t empty[] = { MAP_REQUEST(S3600), MAP_TCP_12354, 1, 0, 0, 0 };

	expect_error(fixture, own, sizeof(own), 3, 1800);
	expect_error(fixture, other, sizeof(other), 5, 1800);
	expect_error(fixture, other_delete, sizeof(other_delete), 5, 1800);
	expect_error(fixture, short_one, sizeof(short_one), 6, 1800);
	expect_error(fixture, empty, sizeof(empty), 6, 1800);
	assert_int_equal(fixture->model.calls, 0);
}

/* Trap 6, as far as it is an error. An IPv4 host has no IPv6 remote peers. What is no error: test_pcp_filter. */
static void test_filter(void **state)
{
	static const uint8_t ipv4[] = { 1, 64, 95, 129, 255 }, ipv6[] = { 1, 64, 128, 129 };
	uint8_t request4[] = { MAP_REQUEST(S3600), MAP_TCP_12354, FILTER_OPTION(0, POOL) };
	uint8_t request6[] = { MAP_REQUEST(S3600), MAP_TCP_12354, FILTER_OPTION(0, ADDRESS6) };
	struct fixture *fixture = *state;
	size_t i;

	for (i = 0; i < sizeof(ipv4) / sizeof(ipv4[0]); i++) {
		request4[65] = ipv4[i];
		expect_error(fixture, request4, sizeof(request4), 6, 1800);
	}
	for (i = 0; i < sizeof(ipv6) / sizeof(ipv6[0]); i++) {
		request6[65] = ipv6[i];
		expect_error(fixture, request6, sizeof(request6), 6, 1800);
	}
	expect_error(fixture, BYTES(MAP_REQUEST(S0), MAP_TCP_12354, FILTER_OPTION(128, POOL)), 6, 1800);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, 3, 0, 0, 4, 0, 128, 0, 0), 6, 1800);
	assert_int_equal(fixture->model.calls, 0);
}

/* ---- ANNOUNCE, Epoch ---- */

static void test_announce(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(REQUEST(0x00, S0)), BYTES(SUCCESS(0x80, S0)));
	expect_reply(fixture, BYTES(REQUEST(0x00, S3600)), BYTES(SUCCESS(0x80, S0)));	/* lifetime ignored */
	/* reserved bytes ignored when received, zero when sent */
	expect_reply(fixture, BYTES(2, 0x00, 0xde, 0xad, S0, CLIENT), BYTES(SUCCESS(0x80, S0)));
	assert_int_equal(fixture->model.calls, 0);
}

/* Section 14.1.1: be prepared for options; those of section 13 belong to MAP. */
static void test_announce_with_options(void **state)
{
	expect_reply(*state, BYTES(REQUEST(0x00, S0), 200, 0, 0, 2, 1, 2, 0, 0), BYTES(SUCCESS(0x80, S0)));
	expect_error(*state, BYTES(REQUEST(0x00, S0), 9, 0, 0, 0), 5, 1800);
	expect_error(*state, BYTES(REQUEST(0x00, S0), PREFER_FAILURE_OPTION), 6, 1800);
	expect_error(*state, BYTES(REQUEST(0x00, S0), FILTER_OPTION(128, POOL)), 6, 1800);
	expect_error(*state, BYTES(REQUEST(0x00, S0), THIRD_PARTY_OPTION(POOL)), 6, 1800);
}

static void test_announce_over_ipv6(void **state)
{
	struct fixture *fixture = *state;

	memcpy(fixture->source6, (const uint8_t[]){ ADDRESS6 }, 16);
	expect_reply(fixture, BYTES(2, 0x00, 0, 0, S0, ADDRESS6), BYTES(SUCCESS(0x80, S0)));
	expect_error(fixture, BYTES(REQUEST(0x00, S0)), 12, 1800);
}

static void test_unsolicited_announcement(void **state)
{
	static const uint8_t expected[] = { SUCCESS(0x80, S0) };
	struct fixture *fixture = *state;

	assert_int_equal(pcp_server_announcement(fixture->server, NOW_S, fixture->reply, sizeof(fixture->reply)), 24);
	assert_memory_equal(fixture->reply, expected, 24);
	assert_int_equal(pcp_server_announcement(fixture->server, NOW_S + 3, fixture->reply, sizeof(fixture->reply)), 24);
	assert_int_equal(fixture->reply[11], 0xe5);	/* a fresh Epoch in each */
	assert_int_equal(pcp_server_announcement(fixture->server, NOW_S, fixture->reply, 23), 0);
}

/* Heard by all, it would be wrong for the one who lost something alone: he would see losses that there were none. */
static void test_no_announcement_for_two_epochs(void **state)
{
	static const uint8_t client6[16] = { ADDRESS6 };
	struct fixture *fixture = *state;

	assert_true(pcp_server_reset_epoch_of(fixture->server, client6, NOW_S));
	assert_int_equal(pcp_server_announcement(fixture->server, NOW_S + 3, fixture->reply, sizeof(fixture->reply)), 0);
	assert_int_equal(pcp_server_announcement_to(fixture->server, client6, NOW_S + 3, fixture->reply, sizeof(fixture->reply)), 24);
	assert_int_equal(fixture->reply[11], 3);
	pcp_server_set_epoch_base(fixture->server, NOW_S);
	assert_int_equal(pcp_server_announcement(fixture->server, NOW_S + 3, fixture->reply, sizeof(fixture->reply)), 24);
}

static uint32_t epoch_of_reply(const struct fixture *fixture)
{
	const uint8_t *p = fixture->reply + 8;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Section 8.5: in successes and errors alike, one second per second, from the base that outlives the daemon. */
static void test_epoch(void **state)
{
	struct fixture *fixture = *state;

	fixture->now_s = EPOCH_BASE_S;
	assert_int_equal(fixture_send(fixture, BYTES(REQUEST(0x00, S0))), 24);
	assert_int_equal(epoch_of_reply(fixture), 0);
	fixture->now_s = EPOCH_BASE_S + 86400;
	assert_int_equal(fixture_send(fixture, BYTES(0, 0)), 24);
	assert_int_equal(epoch_of_reply(fixture), 86400);
	assert_int_equal(fixture_send(fixture, BYTES(REQUEST(0x55, S0))), 24);
	assert_int_equal(epoch_of_reply(fixture), 86400);
	pcp_server_set_epoch_base(fixture->server, fixture->now_s);
	assert_int_equal(fixture_send(fixture, BYTES(REQUEST(0x00, S0))), 24);
	assert_int_equal(epoch_of_reply(fixture), 0);
	/* a base restored after a reboot may lie before the clock's zero */
	pcp_server_set_epoch_base(fixture->server, (uint32_t)-1000);
	fixture->now_s = 5;
	assert_int_equal(fixture_send(fixture, BYTES(REQUEST(0x00, S0))), 24);
	assert_int_equal(epoch_of_reply(fixture), 1005);
}

/* Every length of a good request, cut or not: a reply by the rules, and no state but from the whole one. */
static void test_cut_at_every_length(void **state)
{
	const uint8_t request[] = { MAP_REQUEST(S3600), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1030, ANY4, PREFER_FAILURE_OPTION,
				    200, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct fixture *fixture = *state;
	size_t len;

	for (len = 0; len < 24; len++)
		expect_silence(fixture, request, len);
	for (; len < 60; len++)
		expect_error(fixture, request, len, 3, 1800);
	for (; len < sizeof(request); len++) {
		if (len == 60 || len == 64)
			continue;	/* whole: options end where they may */
		expect_error(fixture, request, len, len % 4 ? 3 : 6, 1800);
	}
	assert_int_equal(fixture->model.calls, 0);
	expect_reply(fixture, request, sizeof(request), BYTES(MAP_SUCCESS(S3600), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1030, POOL,
							      PREFER_FAILURE_OPTION));
}

static void test_small_reply_buffer(void **state)
{
	struct fixture *fixture = *state;
	const uint8_t request[] = { REQUEST(0x00, S0) };
	struct pcp_datagram datagram = { .bytes = request, .len = sizeof(request), .is_internal = true };

	memcpy(datagram.source6, fixture->source6, 16);
	assert_int_equal(pcp_server_handle(fixture->server, &datagram, NOW_S, fixture->reply, PCP_MESSAGE_MAX - 1), 0);
	assert_int_equal(pcp_server_handle(fixture->server, &datagram, NOW_S, fixture->reply, PCP_MESSAGE_MAX), 24);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_silence_below_two_bytes), TEST(test_silence_for_responses), TEST(test_silence_below_a_header),
		TEST(test_version_natpmp_probe), TEST(test_version_before_length),
		TEST(test_length_limits), TEST(test_padded_error_literal), TEST(test_too_short_for_map),
		TEST(test_address_mismatch), TEST(test_error_precedence),
		TEST(test_unknown_opcodes), TEST(test_disabled_opcodes), TEST(test_error_lifetimes_are_configured),
		TEST(test_unknown_optional_option), TEST(test_unknown_mandatory_option), TEST(test_option_past_the_end),
		TEST(test_repeated_option), TEST(test_options_in_packet_order), TEST(test_third_party), TEST(test_filter),
		TEST(test_announce), TEST(test_announce_with_options), TEST(test_announce_over_ipv6),
		TEST(test_unsolicited_announcement), TEST(test_no_announcement_for_two_epochs), TEST(test_epoch), TEST(test_cut_at_every_length),
		TEST(test_small_reply_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
