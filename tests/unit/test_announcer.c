/* SPDX-License-Identifier: GPL-2.0-only */
/* When announcements and Mapping Updates go out (RFC 6887 section 14), by a clock of the test's own. */
#include "announcer.h"
#include "mix.h"
#include "pcp_fixture.h"

#define START_MS 200000u

static void client_number(uint32_t number, uint8_t client6[16])
{
	const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	memcpy(client6, mapped, 12);
	client6[12] = 100;
	client6[13] = (uint8_t)(64 + (number >> 16));
	client6[14] = (uint8_t)(number >> 8);
	client6[15] = (uint8_t)number;
}

static void test_nothing_to_say(void **state)
{
	struct announcer *announcer = announcer_new();

	(void)state;
	assert_true(announcer_next_ms(announcer) == ANNOUNCER_NEVER);
	assert_false(announcer_take_multicast(announcer, START_MS));
	assert_int_equal(announcer_unicasts_due(announcer, START_MS), 0);
	assert_null(announcer_take_update(announcer, START_MS));
	announcer_end_pass(announcer, START_MS);
	assert_true(announcer_next_ms(announcer) == ANNOUNCER_NEVER);
	announcer_free(announcer);
	announcer_free(NULL);
}

/* P14.7, trap 18: ten, the first gap of 250 ms, each the double of the one before. */
static void test_multicasts(void **state)
{
	struct announcer *announcer = announcer_new();
	uint64_t now_ms, last_ms = 0, gap_ms = 0;
	unsigned sent = 0;

	(void)state;
	announcer_start(announcer, START_MS);
	announcer_end_pass(announcer, START_MS);
	announcer_end_pass(announcer, START_MS + 250);
	announcer_end_pass(announcer, START_MS + 1000);	/* no client is known */
	for (now_ms = START_MS; now_ms < START_MS + 500000; now_ms++) {
		if (!announcer_take_multicast(announcer, now_ms))
			continue;
		assert_false(announcer_take_multicast(announcer, now_ms));
		if (sent == 0)
			assert_int_equal(now_ms, START_MS);
		if (sent == 1)
			assert_int_equal(now_ms - last_ms, 250);
		if (sent > 1)
			assert_int_equal(now_ms - last_ms, 2 * gap_ms);
		gap_ms = now_ms - last_ms;
		last_ms = now_ms;
		sent++;
		if (sent < 10)
			assert_int_equal(announcer_next_ms(announcer), now_ms + (250u << (sent - 1)));
	}
	assert_int_equal(sent, 10);
	assert_true(announcer_next_ms(announcer) == ANNOUNCER_NEVER);
	announcer_free(announcer);
}

/* A loop that comes late shortens no gap. */
static void test_late(void **state)
{
	struct announcer *announcer = announcer_new();

	(void)state;
	announcer_start(announcer, START_MS);
	assert_true(announcer_take_multicast(announcer, START_MS + 90));
	assert_false(announcer_take_multicast(announcer, START_MS + 339));
	assert_true(announcer_take_multicast(announcer, START_MS + 400));
	assert_false(announcer_take_multicast(announcer, START_MS + 1019));
	assert_true(announcer_take_multicast(announcer, START_MS + 1020));
	announcer_start(announcer, START_MS + 1100);	/* another reset: from the first one again */
	assert_true(announcer_take_multicast(announcer, START_MS + 1100));
	assert_true(announcer_take_multicast(announcer, START_MS + 1350));
	announcer_free(announcer);
}

/* 20,000 clients, some in the walk several times: each once a pass, never more than a second's share in a second. */
static void test_unicasts_are_paced(void **state)
{
	static uint32_t told[20000];
	static uint64_t told_ms[20000][ANNOUNCER_PASSES];
	struct announcer *announcer = announcer_new();
	uint64_t now_ms = START_MS, second = 0;
	uint32_t at = 0, passes = 0, in_second = 0, i;
	uint8_t client6[16];

	(void)state;
	announcer_start(announcer, now_ms);
	while (passes < ANNOUNCER_PASSES) {
		unsigned due = announcer_unicasts_due(announcer, now_ms);

		if (now_ms / 1000 != second) {
			second = now_ms / 1000;
			in_second = 0;
		}
		assert_true(due <= ANNOUNCER_PER_SECOND / 10);
		while (due && at < 20000) {
			client_number(at, client6);
			if (announcer_take_unicast(announcer, client6, 5000)) {
				told_ms[at][told[at]++] = now_ms;
				due--;
				in_second++;
			}
			assert_false(announcer_take_unicast(announcer, client6, 5000));
			if (at % 200 == 0)	/* another PCP client on the same host */
				due -= due && announcer_take_unicast(announcer, client6, 5001);
			at++;
		}
		assert_true(in_second <= ANNOUNCER_PER_SECOND + ANNOUNCER_PER_SECOND / 10);
		if (at == 20000) {
			announcer_end_pass(announcer, now_ms);
			passes++;
			at = 0;
		}
		if (passes < ANNOUNCER_PASSES)
			assert_true(announcer_next_ms(announcer) <= now_ms + 200000);
		now_ms += 10;
	}
	for (i = 0; i < 20000; i++) {
		assert_int_equal(told[i], ANNOUNCER_PASSES);
		assert_true(told_ms[i][1] - told_ms[i][0] >= 250);
		assert_true(told_ms[i][2] - told_ms[i][1] >= (told_ms[i][1] - told_ms[i][0]) * 19 / 10);
	}
	assert_true(now_ms - START_MS < 400000);
	assert_int_equal(announcer_unicasts_due(announcer, now_ms + 200000), 0);	/* no fourth pass */
	assert_false(announcer_take_unicast(announcer, client6, 1));
	announcer_free(announcer);
}

/* ---- Mapping Updates ---- */

static struct pcp_update update_of(uint16_t port)
{
	return (struct pcp_update){
		.opcode = PCP_MAP, .client6 = { CLIENT }, .client_port = SOURCE_PORT, .internal6 = { CLIENT }, .expires_s = NOW_S + 3600,
		.peer.map = { .nonce = { NONCE }, .protocol = TCP, .internal_port = port, .external_port = 1030, .external6 = { POOL } },
	};
}

/* P14.14, trap 19: at once, after 250 ms, after 500 ms more. */
static void test_update_times(void **state)
{
	struct announcer *announcer = announcer_new();
	const struct pcp_update update = update_of(12354);
	uint64_t now_ms, at[4] = { 0 };
	unsigned sent = 0;

	(void)state;
	assert_true(announcer_update(announcer, &update, START_MS));
	assert_int_equal(announcer_next_ms(announcer), START_MS);
	for (now_ms = START_MS; now_ms < START_MS + 10000; now_ms++)
		while (announcer_take_update(announcer, now_ms)) {
			assert_true(sent < 3);
			at[sent++] = now_ms - START_MS;
		}
	assert_int_equal(sent, 3);
	assert_int_equal(at[0], 0);
	assert_int_equal(at[1], 250);
	assert_int_equal(at[2], 750);
	assert_int_equal(announcer_updates(announcer), 0);
	assert_true(announcer_next_ms(announcer) == ANNOUNCER_NEVER);
	announcer_free(announcer);
}

static void test_update_refreshed(void **state)
{
	struct fixture *fixture = *state;
	struct announcer *announcer = announcer_new();
	const struct pcp_update one = update_of(12354), other = update_of(12355);

	pcp_server_set_announcer(fixture->server, announcer);
	assert_true(announcer_update(announcer, &one, START_MS));
	assert_true(announcer_update(announcer, &other, START_MS));
	assert_true(announcer_update(announcer, &one, START_MS));	/* replaces the first */
	assert_int_equal(announcer_updates(announcer), 2);
	assert_non_null(announcer_take_update(announcer, START_MS));
	assert_non_null(announcer_take_update(announcer, START_MS));
	assert_null(announcer_take_update(announcer, START_MS));
	/* a refusal is no refresh, the client's request is */
	fixture->model.status = CGN_EXHAUSTED;
	fixture_send(fixture, BYTES(MAP_REQUEST(S3600), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY6));
	assert_int_equal(announcer_updates(announcer), 2);
	fixture->model.status = CGN_OK;
	fixture_send(fixture, BYTES(MAP_REQUEST(S3600), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY6));
	assert_int_equal(announcer_updates(announcer), 1);
	assert_int_equal(announcer_take_update(announcer, START_MS + 250)->peer.map.internal_port, 12355);
	assert_null(announcer_take_update(announcer, START_MS + 250));
	announcer_free(announcer);
}

static void test_updates_are_bounded(void **state)
{
	struct announcer *announcer = announcer_new();
	struct pcp_update update = update_of(1);
	unsigned i;

	(void)state;
	for (i = 0; i < 64; i++) {
		update.peer.map.internal_port = (uint16_t)i;
		assert_true(announcer_update(announcer, &update, START_MS));
	}
	for (i = 0; i < 64; i++)
		assert_non_null(announcer_take_update(announcer, START_MS));
	assert_null(announcer_take_update(announcer, START_MS));
	assert_int_equal(announcer_updates(announcer), 64);
	announcer_free(announcer);
}

/* P14.9, P14.10, P14.12, P14.11: the bytes. */
static void test_update_bytes(void **state)
{
	struct pcp_update update = update_of(12354);
	struct fixture *fixture = *state;
	const uint8_t own[] = { MAP_SUCCESS(S3600), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1030, POOL };
	const uint8_t other[] = { MAP_SUCCESS(S3600), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1030, POOL, THIRD_PARTY_OPTION(POOL),
				  3, 0, 0, 20, 0, 120, 0, 80, ANY4 };
	const uint8_t refused[] = { 2, 0x81, 0, 11, S30, EPOCH, ZERO12, NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1030, POOL };
	const uint8_t peer[] = { 2, 0x82, 0, 0, S_FOREVER, EPOCH, ZERO12, NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1030, POOL, 0, 80, 0, 0, ADDRESS6 };

	assert_int_equal(pcp_server_update(fixture->server, &update, NOW_S, fixture->reply, PCP_MESSAGE_MAX), sizeof(own));
	assert_memory_equal(fixture->reply, own, sizeof(own));
	assert_int_equal(pcp_server_update(fixture->server, &update, NOW_S, fixture->reply, sizeof(own) - 1), 0);
	update.result = PCP_CANNOT_PROVIDE_EXTERNAL;
	assert_int_equal(pcp_server_update(fixture->server, &update, NOW_S, fixture->reply, PCP_MESSAGE_MAX), sizeof(refused));
	assert_memory_equal(fixture->reply, refused, sizeof(refused));
	update.result = PCP_SUCCESS;
	memcpy(update.internal6, (const uint8_t[]){ POOL }, 16);
	update.filter_count = 1;
	update.filter[0] = (struct pcp_filter){ .prefix_length = 120, .remote_port = 80, .remote6 = { ANY4 } };
	assert_int_equal(pcp_server_update(fixture->server, &update, NOW_S, fixture->reply, PCP_MESSAGE_MAX), sizeof(other));
	assert_memory_equal(fixture->reply, other, sizeof(other));
	update = update_of(12354);
	update.opcode = PCP_PEER;
	update.expires_s = CGN_FOREVER;
	update.peer.remote_port = 80;
	memcpy(update.peer.remote6, (const uint8_t[]){ ADDRESS6 }, 16);
	assert_int_equal(pcp_server_update(fixture->server, &update, NOW_S, fixture->reply, PCP_MESSAGE_MAX), sizeof(peer));
	assert_memory_equal(fixture->reply, peer, sizeof(peer));
}

/* Tables of clients are entered by the lowest bits. A million clients side by side in 65536 places are 16 in each on average; with bits
 * drawn at random, no place had more than 50. */
static void test_neighbours_stand_apart(void **state)
{
	static unsigned there[1 << 16];
	uint8_t client6[16];
	unsigned most = 0, at;
	uint32_t number;

	(void)state;
	for (number = 0; number < 16u << 16; number++) {
		client_number(number, client6);
		at = (unsigned)mix_address(5350, client6) & ((1 << 16) - 1);
		most = ++there[at] > most ? there[at] : most;
	}
	assert_in_range(most, 16, 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_to_say), cmocka_unit_test(test_multicasts), cmocka_unit_test(test_late),
		cmocka_unit_test(test_unicasts_are_paced), cmocka_unit_test(test_update_times), TEST(test_update_refreshed),
		cmocka_unit_test(test_updates_are_bounded), TEST(test_update_bytes),
		cmocka_unit_test(test_neighbours_stand_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
