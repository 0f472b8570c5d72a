/* SPDX-License-Identifier: GPL-2.0-only */
/* Who may ask, for whom, how often: reception (RFC 6887 section 8.2), THIRD_PARTY (13.1), CHECKPOINT_REQUIRED (RFC 7767),
 * THIRD_PARTY_ID (RFC 7843), Epochs of single clients (8.5). */
#include "pcp_fixture.h"
#include "epoch_table.h"
#include "rate_limit.h"

#define OTHER 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 77
#define MAP_TCP_12354 NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY6
#define MAPPED(...) NONCE, TCP, 0, 0, 0, PORT_12354, __VA_ARGS__, POOL
#define CHECKPOINT_OPTION 192, 0, 0, 0

/* ---- reception ---- */

static void test_external_side_is_ignored(void **state)
{
	struct fixture *fixture = *state;

	fixture->is_external = true;
	expect_silence(fixture, BYTES(REQUEST(0x00, S0)));
	expect_silence(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354));
	expect_silence(fixture, BYTES(1, 0));
	assert_int_equal(pcp_server_stats(fixture->server)->external, 3);
	assert_int_equal(pcp_server_stats(fixture->server)->silent, 3);
	fixture->is_external = false;
	expect_reply(fixture, BYTES(REQUEST(0x00, S0)), BYTES(SUCCESS(0x80, S0)));
}

static void test_rate_is_limited(void **state)
{
	struct fixture *fixture = *state;
	const uint8_t request[] = { REQUEST(0x00, S0) };
	unsigned i;

	fixture->policy.rate_requests = 2;
	fixture->policy.rate_burst = 3;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	fixture->now_ms = 1000000;
	for (i = 0; i < 3; i++)
		assert_int_equal(fixture_send(fixture, request, sizeof(request)), 24);
	expect_silence(fixture, request, sizeof(request));
	fixture->now_ms += 499;
	expect_silence(fixture, request, sizeof(request));
	fixture->now_ms += 1;
	assert_int_equal(fixture_send(fixture, request, sizeof(request)), 24);
	expect_silence(fixture, request, sizeof(request));
	assert_int_equal(pcp_server_stats(fixture->server)->over_rate, 3);
	fixture->source6[15] = 3;	/* somebody else is not concerned; the header says otherwise, which is answered */
	assert_int_equal(fixture_send(fixture, request, sizeof(request)), 24);
	fixture->source6[15] = 2;
	fixture->now_ms += 3600 * 1000;	/* however long the pause: the burst is all */
	for (i = 0; i < 3; i++)
		assert_int_equal(fixture_send(fixture, request, sizeof(request)), 24);
	expect_silence(fixture, request, sizeof(request));
	fixture->policy.rate_requests = 0;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	assert_int_equal(fixture_send(fixture, request, sizeof(request)), 24);
}

/* A flood from many addresses neither frees one that is over its rate nor stops one that is not. */
static void test_rate_table_cannot_be_exhausted(void **state)
{
	uint8_t busy[16] = { CLIENT }, quiet[16] = { OTHER }, other[16] = { 0x20, 1, 0xd, 0xb8 };
	struct rate_limit *limit = rate_limit_new(0x0123456789abcdefull);
	uint64_t now_ms = 7000;
	uint32_t i, taken = 0;

	(void)state;
	assert_non_null(limit);
	for (i = 0; i < 5; i++)
		assert_true(rate_limit_take(limit, busy, now_ms, 1, 5));
	for (i = 0; i < 500000; i++) {
		memcpy(other + 12, &i, sizeof(i));
		assert_true(rate_limit_take(limit, other, now_ms, 1, 5));
		if (i % 100000 == 0)
			assert_true(rate_limit_take(limit, quiet, now_ms, 1, 5));
		taken += rate_limit_take(limit, busy, now_ms, 1, 5);
	}
	assert_int_equal(taken, 0);
	rate_limit_free(limit);
}

/* ---- THIRD_PARTY ---- */

static void third_party_permit(struct fixture *fixture, const struct pcp_third_party *permissions, unsigned count)
{
	fixture->policy.third_party = permissions;
	fixture->policy.third_party_count = count;
	pcp_server_set_policy(fixture->server, &fixture->policy);
}

static const struct pcp_third_party agent[] = {
	{ { { OTHER }, 128 }, { { OTHER }, 120 } },		/* no matter of this client */
	{ { { CLIENT }, 128 }, { { OTHER }, 122 } },		/* .64 to .127 */
};

/* P13.5, P13.4: the mapping is the other host's, the requester is who asked. */
static void test_third_party_permitted(void **state)
{
	struct fixture *fixture = *state;
	const uint8_t other4[4] = { 198, 51, 100, 77 };
	const uint8_t client[16] = { CLIENT };

	third_party_permit(fixture, agent, 2);
	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, THIRD_PARTY_OPTION(OTHER)),
		     BYTES(MAP_SUCCESS(S3600), MAPPED(PORT_1024), THIRD_PARTY_OPTION(OTHER)));
	assert_memory_equal(fixture->model.last.internal.addr4, other4, 4);
	assert_memory_equal(fixture->model.last.client6, client, 16);
	assert_int_equal(fixture->model.last.client_port, SOURCE_PORT);
	/* the same port of its own is another mapping */
	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354), BYTES(MAP_SUCCESS(S3600), MAPPED(4, 1)));
	expect_reply(fixture, BYTES(MAP_REQUEST(S0), MAP_TCP_12354, THIRD_PARTY_OPTION(OTHER)),
		     BYTES(MAP_SUCCESS(S0), MAP_TCP_12354, THIRD_PARTY_OPTION(OTHER)));
	assert_int_equal(fixture->model.count, 1);
}

/* The nonce of whoever made the mapping protects it from the other one, either way. */
static void test_third_party_nonce(void **state)
{
	struct fixture *fixture = *state;
	const uint8_t client[16] = { CLIENT }, other[16] = { OTHER };
	const uint8_t own[] = { 2, 1, 0, 0, S3600, OTHER, OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY6 };

	third_party_permit(fixture, agent, 2);
	memcpy(fixture->source6, other, 16);
	assert_int_equal(fixture_send(fixture, own, sizeof(own)), 60);
	assert_int_equal(fixture->reply[3], 0);
	memcpy(fixture->source6, client, 16);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, THIRD_PARTY_OPTION(OTHER)), 2, 3600);
	expect_error(fixture, BYTES(MAP_REQUEST(S0), MAP_TCP_12354, THIRD_PARTY_OPTION(OTHER)), 2, 3600);
}

/* P13.2, P13.3, trap 5 */
static void test_third_party_refused(void **state)
{
	static const struct pcp_third_party all[] = { { { { CLIENT }, 96 }, { { CLIENT }, 96 } } };
	const uint8_t outside[] = { MAP_REQUEST(S3600), MAP_TCP_12354, THIRD_PARTY_OPTION(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 128) };
	const uint8_t below[] = { MAP_REQUEST(S3600), MAP_TCP_12354, THIRD_PARTY_OPTION(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 63) };
	const uint8_t own[] = { MAP_REQUEST(S3600), MAP_TCP_12354, THIRD_PARTY_OPTION(CLIENT) };
	const uint8_t ipv6[] = { MAP_REQUEST(S3600), MAP_TCP_12354, THIRD_PARTY_OPTION(ADDRESS6) };
	const uint8_t twice[] = { MAP_REQUEST(S3600), MAP_TCP_12354, THIRD_PARTY_OPTION(OTHER), THIRD_PARTY_OPTION(OTHER) };
	struct fixture *fixture = *state;

	third_party_permit(fixture, agent, 2);
	expect_error(fixture, outside, sizeof(outside), 5, 1800);
	expect_error(fixture, below, sizeof(below), 5, 1800);
	expect_error(fixture, ipv6, sizeof(ipv6), 5, 1800);
	expect_error(fixture, twice, sizeof(twice), 6, 1800);
	expect_error(fixture, own, sizeof(own), 3, 1800);
	third_party_permit(fixture, all, 1);
	expect_error(fixture, own, sizeof(own), 3, 1800);
	third_party_permit(fixture, agent, 1);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, THIRD_PARTY_OPTION(OTHER)), 5, 1800);
	assert_int_equal(fixture->model.calls, 0);
}

/* Who is no subscriber gets no mapping by way of another host either. */
static void test_third_party_for_a_stranger(void **state)
{
	static const struct pcp_third_party all[] = { { { { CLIENT }, 96 }, { { CLIENT }, 96 } } };
	struct fixture *fixture = *state;

	third_party_permit(fixture, all, 1);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, THIRD_PARTY_OPTION(POOL)), 2, 1800);
}

/* TI.1, TI.2: unsupported says more than "its pair is missing". */
static void test_third_party_id(void **state)
{
	struct fixture *fixture = *state;

	third_party_permit(fixture, agent, 2);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, THIRD_PARTY_OPTION(OTHER), 13, 0, 0, 3, 1, 2, 3, 0), 5, 1800);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, 13, 0, 0, 4, 1, 2, 3, 4), 5, 1800);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, 13, 0, 0, 0), 5, 1800);
	assert_int_equal(fixture->model.calls, 0);
}

/* ---- CHECKPOINT_REQUIRED ---- */

static void test_checkpoint(void **state)
{
	struct fixture *fixture = *state;

	/* CK.3: no stable storage */
	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, CHECKPOINT_OPTION), BYTES(MAP_SUCCESS(S3600), MAPPED(PORT_1024)));
	fixture->policy.is_durable = true;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, CHECKPOINT_OPTION),
		     BYTES(MAP_SUCCESS(S3600), MAPPED(PORT_1024), CHECKPOINT_OPTION));
	/* CK.2 */
	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354), BYTES(MAP_SUCCESS(S3600), MAPPED(PORT_1024)));
	/* an optional option with a wrong length is ignored; one too many is an error (P7.3, P7.5) */
	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, 192, 0, 0, 1, 0, 0, 0, 0),
		     BYTES(MAP_SUCCESS(S3600), MAPPED(PORT_1024)));
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), MAP_TCP_12354, CHECKPOINT_OPTION, CHECKPOINT_OPTION), 6, 1800);
	/* nothing is left to be kept, and it says nothing to ANNOUNCE */
	expect_reply(fixture, BYTES(MAP_REQUEST(S0), MAP_TCP_12354, CHECKPOINT_OPTION), BYTES(MAP_SUCCESS(S0), MAP_TCP_12354));
	expect_reply(fixture, BYTES(REQUEST(0x00, S0), CHECKPOINT_OPTION), BYTES(SUCCESS(0x80, S0)));
}

/* ---- Epochs of single clients ---- */

static void test_epoch_of_one_client(void **state)
{
	struct fixture *fixture = *state;
	const uint8_t client[16] = { CLIENT }, other[16] = { OTHER };
	const uint8_t after_2_s[] = { 2, 0x80, 0, 0, S0, 0, 0, 0, 2, ZERO12 };

	assert_true(pcp_server_reset_epoch_of(fixture->server, client, NOW_S - 2));
	expect_reply(fixture, BYTES(REQUEST(0x00, S0)), after_2_s, sizeof(after_2_s));
	assert_int_equal(pcp_server_epoch_of(fixture->server, other, NOW_S), NOW_S - EPOCH_BASE_S);
	assert_int_equal(pcp_server_announcement_to(fixture->server, client, NOW_S, fixture->reply, PCP_MESSAGE_MAX), 24);
	assert_memory_equal(fixture->reply, after_2_s, 24);
	/* one that all hear would be wrong for this client */
	assert_int_equal(pcp_server_announcement(fixture->server, NOW_S, fixture->reply, PCP_MESSAGE_MAX), 0);
	/* the Epoch of all ends it */
	pcp_server_set_epoch_base(fixture->server, EPOCH_BASE_S);
	assert_int_equal(pcp_server_announcement(fixture->server, NOW_S, fixture->reply, PCP_MESSAGE_MAX), 24);
	assert_memory_equal(fixture->reply + 8, ((const uint8_t[]){ EPOCH }), 4);
	expect_reply(fixture, BYTES(REQUEST(0x00, S0)), BYTES(SUCCESS(0x80, S0)));
}

static void test_epoch_table(void **state)
{
	struct epoch_table *table = epoch_table_new(5000);
	uint8_t client[16] = { OTHER };
	uint32_t i, base_s = 0;

	(void)state;
	assert_non_null(table);
	assert_false(epoch_table_find(table, client, &base_s));
	for (i = 0; i < 5000; i++) {
		memcpy(client + 12, &i, 4);
		assert_true(epoch_table_set(table, client, i));
	}
	for (i = 0; i < 5000; i++) {
		memcpy(client + 12, &i, 4);
		assert_true(epoch_table_find(table, client, &base_s));
		assert_int_equal(base_s, i);
	}
	memcpy(client + 12, &i, 4);
	assert_false(epoch_table_set(table, client, i));	/* full: refused, nobody is forgotten */
	assert_false(epoch_table_find(table, client, &base_s));
	i = 17;
	memcpy(client + 12, &i, 4);
	assert_true(epoch_table_set(table, client, 99));
	assert_true(epoch_table_find(table, client, &base_s));
	assert_int_equal(base_s, 99);
	assert_int_equal(epoch_table_count(table), 5000);
	epoch_table_clear(table);
	assert_false(epoch_table_find(table, client, &base_s));
	assert_true(epoch_table_set(table, client, 1));
	epoch_table_free(table);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_external_side_is_ignored), TEST(test_rate_is_limited), cmocka_unit_test(test_rate_table_cannot_be_exhausted),
		TEST(test_third_party_permitted), TEST(test_third_party_nonce), TEST(test_third_party_refused),
		TEST(test_third_party_for_a_stranger), TEST(test_third_party_id), TEST(test_checkpoint),
		TEST(test_epoch_of_one_client), cmocka_unit_test(test_epoch_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
