/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT-PMP (RFC 6886) on the server's port: bytes written by hand from the figures of its section 3. */
#include "pcp_fixture.h"
#include "announcer.h"

#define ADDRESS_REQUEST 0, 0
#define ADDRESS_RESPONSE(result, ...) 0, 128, 0, result, EPOCH, __VA_ARGS__
#define UDP_REQUEST(...) 0, 1, 0, 0, __VA_ARGS__		/* internal port, suggested port, lifetime */
#define TCP_REQUEST(...) 0, 2, 0, 0, __VA_ARGS__
#define UDP_RESPONSE(result, ...) 0, 129, 0, result, EPOCH, __VA_ARGS__	/* internal port, mapped port, lifetime */
#define TCP_RESPONSE(result, ...) 0, 130, 0, result, EPOCH, __VA_ARGS__
#define S7200 0, 0, 0x1c, 0x20
#define S600 0, 0, 0x02, 0x58

static int natpmp_up(void **state)
{
	struct fixture *fixture;

	if (fixture_up(state))
		return -1;
	fixture = *state;
	fixture->policy.nat_pmp = true;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	return 0;
}

static void add(struct fixture *fixture, uint16_t internal_port, uint16_t port, unsigned origins)
{
	struct cgn_internal internal = { .addr4 = { 198, 51, 100, 2 }, .port = internal_port, .protocol = UDP };

	model_add(&fixture->model, &internal, port, origins)->expires_s = NOW_S + 600;
}

/* NP.1, NP.20, NP.5 */
static void test_address(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(ADDRESS_REQUEST), BYTES(ADDRESS_RESPONSE(0, 192, 0, 2, 1)));
	fixture->model.busy = 3;
	expect_reply(fixture, BYTES(ADDRESS_REQUEST), BYTES(ADDRESS_RESPONSE(0, 192, 0, 2, 1)));
	fixture->model.status = CGN_EXHAUSTED;	/* NP.4 */
	expect_reply(fixture, BYTES(ADDRESS_REQUEST), BYTES(ADDRESS_RESPONSE(4, 0, 0, 0, 0)));
	fixture->model.status = CGN_NOT_ALLOWED;
	expect_reply(fixture, BYTES(ADDRESS_REQUEST), BYTES(ADDRESS_RESPONSE(2, 0, 0, 0, 0)));
	fixture->model.error = -5;
	expect_reply(fixture, BYTES(ADDRESS_REQUEST), BYTES(ADDRESS_RESPONSE(4, 0, 0, 0, 0)));
	assert_int_equal(pcp_server_stats(fixture->server)->natpmp, 5);
}

/* NP.8, NP.9, NP.10, NP.11, P11.23 */
static void test_map(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(UDP_REQUEST(PORT_12354, PORT_1030, S7200)), BYTES(UDP_RESPONSE(0, PORT_12354, PORT_1030, S7200)));
	assert_int_equal(fixture->model.count, 1);
	assert_int_equal(fixture->model.mapping[0].internal.protocol, UDP);
	/* again, with another wish: what was assigned */
	expect_reply(fixture, BYTES(UDP_REQUEST(PORT_12354, PORT_1024, S600)), BYTES(UDP_RESPONSE(0, PORT_12354, PORT_1030, S600)));
	/* the other protocol is another mapping, and the companion port is free for it */
	expect_reply(fixture, BYTES(TCP_REQUEST(PORT_12354, PORT_1030, S7200)), BYTES(TCP_RESPONSE(0, PORT_12354, PORT_1030, S7200)));
	/* taken, thus another one */
	expect_reply(fixture, BYTES(UDP_REQUEST(0, 80, PORT_1030, S7200)), BYTES(UDP_RESPONSE(0, 0, 80, PORT_1024, S7200)));
	assert_int_equal(fixture->model.count, 3);
	/* never longer than asked, though PCP grants 120 s at least; and never beyond the greatest */
	expect_reply(fixture, BYTES(UDP_REQUEST(0, 81, PORT_0, S1)), BYTES(UDP_RESPONSE(0, 0, 81, 0x04, 0x01, S1)));
	expect_reply(fixture, BYTES(UDP_REQUEST(0, 82, PORT_0, S_FOREVER)), BYTES(UDP_RESPONSE(0, 0, 82, 0x04, 0x02, S86400)));
}

/* Bytes behind the request's fields, and reserved ones, say nothing. */
static void test_map_reserved(void **state)
{
	expect_reply(*state, BYTES(0, 1, 0xde, 0xad, PORT_12354, PORT_1030, S7200, 1, 2, 3), BYTES(UDP_RESPONSE(0, PORT_12354, PORT_1030, S7200)));
}

/* NP.15, NP.3 */
static void test_map_failed(void **state)
{
	static const struct { int status, result; } failures[] = {
		{ CGN_QUOTA, 4 }, { CGN_EXHAUSTED, 4 }, { CGN_TABLE_FULL, 4 }, { CGN_BUSY, 4 }, { CGN_NOT_ALLOWED, 2 },
	};
	uint8_t expected[] = { UDP_RESPONSE(0, PORT_12354, PORT_0, S0) };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		fixture->model.status = failures[i].status;
		expected[3] = (uint8_t)failures[i].result;
		expect_reply(fixture, BYTES(UDP_REQUEST(PORT_12354, PORT_1030, S7200)), expected, sizeof(expected));
	}
	fixture->model.status = CGN_OK;
	fixture->model.error = -5;
	expected[3] = 4;
	expect_reply(fixture, BYTES(UDP_REQUEST(PORT_12354, PORT_1030, S7200)), expected, sizeof(expected));
	fixture->model.error = 0;
	expect_reply(fixture, BYTES(UDP_REQUEST(PORT_0, PORT_1030, S7200)), BYTES(UDP_RESPONSE(2, PORT_0, PORT_0, S0)));
	assert_int_equal(fixture->model.count, 0);
}

/* NP.9: what there is already is told, whoever made it. */
static void test_map_existing(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, 1, 1025, CGN_STATIC);
	add(fixture, 2, 1026, CGN_IMPLICIT);
	add(fixture, 3, 1027, CGN_MAP);
	memcpy(fixture->model.mapping[2].nonce, (const uint8_t[]){ NONCE }, 12);
	expect_reply(fixture, BYTES(UDP_REQUEST(0, 1, PORT_1030, S7200)), BYTES(UDP_RESPONSE(0, 0, 1, 0x04, 0x01, S7200)));
	expect_reply(fixture, BYTES(UDP_REQUEST(0, 2, PORT_1030, S7200)), BYTES(UDP_RESPONSE(0, 0, 2, 0x04, 0x02, S7200)));
	/* PCP's own, under its nonce: told and left alone */
	expect_reply(fixture, BYTES(UDP_REQUEST(0, 3, PORT_1030, S7200)), BYTES(UDP_RESPONSE(0, 0, 3, 0x04, 0x03, S600)));
	expect_reply(fixture, BYTES(UDP_REQUEST(0, 3, PORT_1030, S1)), BYTES(UDP_RESPONSE(0, 0, 3, 0x04, 0x03, S1)));
	assert_int_equal(fixture->model.mapping[2].expires_s, NOW_S + 600);
	/* unless nonces are not looked at */
	fixture->policy.nonce_policy = CGN_NONCE_OFF;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	expect_reply(fixture, BYTES(UDP_REQUEST(0, 3, PORT_1030, S7200)), BYTES(UDP_RESPONSE(0, 0, 3, 0x04, 0x03, S7200)));
}

/* The other way round: PCP's nonces do not open what NAT-PMP made, but that of zeros. */
static void test_pcp_after_natpmp(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture_send(fixture, BYTES(UDP_REQUEST(PORT_12354, PORT_1030, S600))), 16);
	expect_error(fixture, BYTES(MAP_REQUEST(S3600), NONCE, UDP, 0, 0, 0, PORT_12354, PORT_0, ANY6), 2, 600);
	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), ZERO12, UDP, 0, 0, 0, PORT_12354, PORT_0, ANY6),
		     BYTES(MAP_SUCCESS(S3600), ZERO12, UDP, 0, 0, 0, PORT_12354, PORT_1030, POOL));
}

/* NP.12, NP.13 */
static void test_delete(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture_send(fixture, BYTES(UDP_REQUEST(PORT_12354, PORT_1030, S600))), 16);
	assert_int_equal(fixture_send(fixture, BYTES(TCP_REQUEST(PORT_12354, PORT_1030, S600))), 16);
	expect_reply(fixture, BYTES(UDP_REQUEST(PORT_12354, PORT_1030, S0)), BYTES(UDP_RESPONSE(0, PORT_12354, PORT_0, S0)));
	assert_int_equal(fixture->model.count, 1);
	expect_reply(fixture, BYTES(UDP_REQUEST(PORT_12354, PORT_0, S0)), BYTES(UDP_RESPONSE(0, PORT_12354, PORT_0, S0)));
	add(fixture, 1, 1025, CGN_STATIC);
	add(fixture, 2, 1026, CGN_IMPLICIT);
	add(fixture, 3, 1027, CGN_MAP);
	memcpy(fixture->model.mapping[3].nonce, (const uint8_t[]){ NONCE }, 12);
	expect_reply(fixture, BYTES(UDP_REQUEST(0, 1, PORT_0, S0)), BYTES(UDP_RESPONSE(2, 0, 1, PORT_0, S0)));
	expect_reply(fixture, BYTES(UDP_REQUEST(0, 2, PORT_0, S0)), BYTES(UDP_RESPONSE(0, 0, 2, PORT_0, S0)));
	expect_reply(fixture, BYTES(UDP_REQUEST(0, 3, PORT_0, S0)), BYTES(UDP_RESPONSE(2, 0, 3, PORT_0, S0)));
	assert_int_equal(fixture->model.count, 4);
}

/* NP.14 */
static void test_delete_all(void **state)
{
	struct cgn_internal neighbour = { .addr4 = { 198, 51, 100, 3 }, .port = 5, .protocol = UDP };
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(UDP_REQUEST(PORT_0, PORT_0, S0)), BYTES(UDP_RESPONSE(0, PORT_0, PORT_0, S0)));
	assert_int_equal(fixture_send(fixture, BYTES(UDP_REQUEST(0, 80, PORT_0, S600))), 16);
	assert_int_equal(fixture_send(fixture, BYTES(UDP_REQUEST(0, 81, PORT_0, S600))), 16);
	assert_int_equal(fixture_send(fixture, BYTES(TCP_REQUEST(0, 80, PORT_0, S600))), 16);
	model_add(&fixture->model, &neighbour, 1050, CGN_MAP);
	neighbour.port = 6;
	model_add(&fixture->model, &neighbour, 1051, CGN_STATIC);
	expect_reply(fixture, BYTES(UDP_REQUEST(PORT_0, PORT_0, S0)), BYTES(UDP_RESPONSE(0, PORT_0, PORT_0, S0)));
	assert_int_equal(fixture->model.count, 3);
	/* what cannot go is told, what can goes */
	add(fixture, 1, 1025, CGN_STATIC);
	add(fixture, 2, 1026, CGN_MAP);
	expect_reply(fixture, BYTES(UDP_REQUEST(PORT_0, PORT_0, S0)), BYTES(UDP_RESPONSE(2, PORT_0, PORT_0, S0)));
	assert_int_equal(fixture->model.count, 4);
	expect_reply(fixture, BYTES(TCP_REQUEST(PORT_0, PORT_0, S0)), BYTES(TCP_RESPONSE(0, PORT_0, PORT_0, S0)));
	assert_int_equal(fixture->model.count, 3);
	fixture->model.error = -5;
	expect_reply(fixture, BYTES(UDP_REQUEST(PORT_0, PORT_0, S0)), BYTES(UDP_RESPONSE(4, PORT_0, PORT_0, S0)));
}

/* NP.2 */
static void test_opcodes(void **state)
{
	uint8_t request[] = { 0, 0, 0xde, 0xad, 1, 2, 3 }, expected[] = { 0, 0, 0, 5, 1, 2, 3 };
	struct fixture *fixture = *state;
	unsigned opcode;

	for (opcode = 3; opcode < 128; opcode++) {
		request[1] = (uint8_t)opcode;
		expected[1] = (uint8_t)(opcode | 0x80);
		assert_int_equal(pcp_server_handle(fixture->server, &(struct pcp_datagram){ .bytes = request, .len = sizeof(request),
			.source6 = { CLIENT }, .is_internal = true }, NOW_S, fixture->reply, sizeof(fixture->reply)), sizeof(expected));
		assert_memory_equal(fixture->reply, expected, sizeof(expected));
	}
	expect_reply(fixture, BYTES(0, 3), BYTES(0, 131, 0, 5));
	for (opcode = 128; opcode < 256; opcode++) {
		request[1] = (uint8_t)opcode;
		expect_silence(fixture, request, sizeof(request));
	}
}

/* Cut at every length: no answer that the client could not read, no read beyond the end. */
static void test_short(void **state)
{
	const uint8_t request[] = { UDP_REQUEST(PORT_12354, PORT_1030, S7200) };
	struct fixture *fixture = *state;
	size_t len;

	for (len = 0; len < sizeof(request); len++)
		expect_silence(fixture, request, len);
	expect_silence(fixture, BYTES(0));
}

/* NP.6, and IPv6 has no NAT-PMP */
static void test_not_from_here(void **state)
{
	static const uint8_t ipv6[16] = { ADDRESS6 };
	struct fixture *fixture = *state;

	fixture->is_external = true;
	expect_silence(fixture, BYTES(ADDRESS_REQUEST));
	fixture->is_external = false;
	memcpy(fixture->source6, ipv6, 16);
	expect_silence(fixture, BYTES(ADDRESS_REQUEST));
}

/* NP.21: PCP answers, and other versions are PCP's matter in any case. */
static void test_disabled(void **state)
{
	struct fixture *fixture = *state;

	expect_error(fixture, BYTES(1, 0), 1, 1800);
	expect_error(fixture, BYTES(3, 0), 1, 1800);
	fixture->policy.nat_pmp = false;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	expect_error(fixture, BYTES(ADDRESS_REQUEST), 1, 1800);
}

/* NP.16 */
static void test_announcement(void **state)
{
	static const uint8_t external4[4] = { 192, 0, 2, 9 }, client6[16] = { [10] = 0xff, 0xff, 198, 51, 100, 2 };
	struct fixture *fixture = *state;

	assert_int_equal(pcp_server_natpmp_announcement(fixture->server, NULL, external4, NOW_S, fixture->reply, 12), 12);
	assert_memory_equal(fixture->reply, ((const uint8_t[]){ ADDRESS_RESPONSE(0, 192, 0, 2, 9) }), 12);
	assert_int_equal(pcp_server_natpmp_announcement(fixture->server, NULL, external4, NOW_S, fixture->reply, 11), 0);
	/* one client has an Epoch of its own */
	assert_true(pcp_server_reset_epoch_of(fixture->server, client6, NOW_S - 1));
	assert_int_equal(pcp_server_natpmp_announcement(fixture->server, client6, external4, NOW_S, fixture->reply, 12), 12);
	assert_memory_equal(fixture->reply, ((const uint8_t[]){ 0, 128, 0, 0, 0, 0, 0, 1, 192, 0, 2, 9 }), 12);
}

/* NP.22: a mapping that changed is told in the terms of the protocol that made it. */
static void test_update(void **state)
{
	struct pcp_update update = { .opcode = PCP_MAP, .expires_s = NOW_S + 600,
		.peer.map = { .protocol = UDP, .internal_port = 12354, .external_port = 1030 } };
	struct fixture *fixture = *state;
	uint8_t *reply = fixture->reply;

	assert_int_equal(pcp_server_natpmp_update(fixture->server, &update, NOW_S, reply, 16), 16);
	assert_memory_equal(reply, ((const uint8_t[]){ UDP_RESPONSE(0, PORT_12354, PORT_1030, S600) }), 16);
	assert_int_equal(pcp_server_natpmp_update(fixture->server, &update, NOW_S, reply, 15), 0);
	update.peer.map.protocol = TCP;
	update.result = PCP_CANNOT_PROVIDE_EXTERNAL;
	assert_int_equal(pcp_server_natpmp_update(fixture->server, &update, NOW_S, reply, 16), 16);
	assert_memory_equal(reply, ((const uint8_t[]){ TCP_RESPONSE(4, PORT_12354, 0, 0, 0, 0, 0, 0) }), 16);
	/* not of NAT-PMP: a PEER, a nonce, NAT-PMP not served */
	update.opcode = PCP_PEER;
	assert_int_equal(pcp_server_natpmp_update(fixture->server, &update, NOW_S, reply, 16), 0);
	update.opcode = PCP_MAP;
	update.peer.map.nonce[11] = 1;
	assert_int_equal(pcp_server_natpmp_update(fixture->server, &update, NOW_S, reply, 16), 0);
	update.peer.map.nonce[11] = 0;
	fixture->policy.nat_pmp = false;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	assert_int_equal(pcp_server_natpmp_update(fixture->server, &update, NOW_S, reply, 16), 0);
}

/* Who renews has heard of it: no more updates. */
static void test_update_refreshed(void **state)
{
	struct pcp_update update = { .opcode = PCP_MAP, .peer.map = { .protocol = UDP, .internal_port = 12354 } };
	struct announcer *announcer = announcer_new();
	struct fixture *fixture = *state;

	memcpy(update.client6, fixture->source6, 16);
	memcpy(update.internal6, fixture->source6, 16);
	pcp_server_set_announcer(fixture->server, announcer);
	assert_true(announcer_update(announcer, &update, 0));
	expect_reply(fixture, BYTES(TCP_REQUEST(PORT_12354, 0, 0, S600)), BYTES(TCP_RESPONSE(0, PORT_12354, 4, 0, S600)));
	assert_int_equal(announcer_updates(announcer), 1);
	expect_reply(fixture, BYTES(UDP_REQUEST(PORT_12354, PORT_1030, S600)), BYTES(UDP_RESPONSE(0, PORT_12354, PORT_1030, S600)));
	assert_int_equal(announcer_updates(announcer), 0);
	pcp_server_set_announcer(fixture->server, NULL);
	announcer_free(announcer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, natpmp_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_address), TEST(test_map), TEST(test_map_reserved), TEST(test_map_failed), TEST(test_map_existing),
		TEST(test_pcp_after_natpmp), TEST(test_delete), TEST(test_delete_all), TEST(test_opcodes), TEST(test_short),
		TEST(test_not_from_here), TEST(test_disabled), TEST(test_announcement), TEST(test_update), TEST(test_update_refreshed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
