/* SPDX-License-Identifier: GPL-2.0-only */
/* MAP: creation, renewal, deletion, nonces, suggestions, quota (RFC 6887 sections 11, 13.2, 15). */
#include <errno.h>
#include "pcp_fixture.h"

#define PLAIN(protocol, internal_port) NONCE, protocol, 0, 0, 0, internal_port, PORT_0, ANY4
#define CREATE(lifetime, protocol, internal_port) MAP_REQUEST(lifetime), NONCE, protocol, 0, 0, 0, internal_port, PORT_0, ANY4
#define CREATED(lifetime, protocol, internal_port, external_port) \
	MAP_SUCCESS(lifetime), NONCE, protocol, 0, 0, 0, internal_port, external_port, POOL
#define SUGGEST(lifetime, external_port, ...) \
	MAP_REQUEST(lifetime), NONCE, TCP, 0, 0, 0, PORT_12354, external_port, __VA_ARGS__
#define FOREIGN_NONCE(lifetime) MAP_REQUEST(lifetime), OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY4

static const struct cgn_internal tcp_12354 = { .addr4 = { 198, 51, 100, 2 }, .port = 12354, .protocol = TCP };

/* A mapping of 198.51.100.2:12354/tcp that PCP did not make. */
static struct model_mapping *add_mapping(struct fixture *fixture, uint16_t external_port, unsigned origins)
{
	return model_add(&fixture->model, &tcp_12354, external_port, origins);
}

static void forward(struct fixture *fixture, uint32_t seconds)
{
	fixture->now_s += seconds;
	fixture->model.now_s += seconds;
	pcp_server_set_epoch_base(fixture->server, EPOCH_BASE_S + fixture->now_s - NOW_S);	/* replies keep EPOCH */
}

static void create_tcp_12354(struct fixture *fixture)
{
	expect_reply(fixture, BYTES(CREATE(S3600, TCP, PORT_12354)), BYTES(CREATED(S3600, TCP, PORT_12354, PORT_1024)));
	assert_int_equal(fixture->model.count, 1);
}

/* ---- creation and renewal ---- */

static void test_create(void **state)
{
	static const uint8_t nonce[] = { NONCE }, client[] = { CLIENT };
	struct fixture *fixture = *state;
	const struct cgn_map_request *asked = &fixture->model.last;

	create_tcp_12354(fixture);
	assert_memory_equal(&asked->internal, &tcp_12354, sizeof(tcp_12354));
	assert_memory_equal(asked->nonce, nonce, 12);
	assert_memory_equal(asked->client6, client, 16);
	assert_int_equal(asked->client_port, SOURCE_PORT);
	assert_int_equal(asked->origin, CGN_MAP);
	assert_int_equal(asked->nonce_policy, CGN_NONCE_STRICT);
	assert_int_equal(asked->flags, 0);
	assert_int_equal(asked->lifetime_s, 3600);
	assert_int_equal(asked->suggested.port, 0);
	expect_reply(fixture, BYTES(CREATE(S3600, UDP, PORT_12354)), BYTES(CREATED(S3600, UDP, PORT_12354, PORT_1024)));
	assert_int_equal(fixture->model.count, 2);	/* each protocol is asked for itself (P11.23) */
}

/* Trap 9: a request repeated because its reply was lost gets the same reply; so does one after half the lifetime. */
static void test_repeat_and_renew(void **state)
{
	struct fixture *fixture = *state;

	create_tcp_12354(fixture);
	create_tcp_12354(fixture);
	forward(fixture, 1800);
	create_tcp_12354(fixture);
	assert_int_equal(fixture->model.mapping[0].expires_s, NOW_S + 1800 + 3600);
}

/* Section 11.3, case 3: the existing endpoint, whatever is suggested. */
static void test_renew_keeps_endpoint(void **state)
{
	struct fixture *fixture = *state;

	create_tcp_12354(fixture);
	expect_reply(fixture, BYTES(SUGGEST(S120, PORT_1030, POOL)), BYTES(CREATED(S120, TCP, PORT_12354, PORT_1024)));
	assert_int_equal(fixture->model.mapping[0].expires_s, NOW_S + 120);
}

static void test_lifetime_is_clamped(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(CREATE(S1, TCP, PORT_12354)), BYTES(CREATED(S120, TCP, PORT_12354, PORT_1024)));
	expect_reply(fixture, BYTES(CREATE(S_FOREVER, TCP, PORT_12354)), BYTES(CREATED(S86400, TCP, PORT_12354, PORT_1024)));
	expect_reply(fixture, BYTES(CREATE(S120, TCP, PORT_12354)), BYTES(CREATED(S120, TCP, PORT_12354, PORT_1024)));
	expect_reply(fixture, BYTES(CREATE(S86400, TCP, PORT_12354)), BYTES(CREATED(S86400, TCP, PORT_12354, PORT_1024)));
	fixture->policy.lifetime_min_s = 1;
	fixture->policy.lifetime_max_s = 3600;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	expect_reply(fixture, BYTES(CREATE(S1, TCP, PORT_12354)), BYTES(CREATED(S1, TCP, PORT_12354, PORT_1024)));
	expect_reply(fixture, BYTES(CREATE(S86400, TCP, PORT_12354)), BYTES(CREATED(S3600, TCP, PORT_12354, PORT_1024)));
}

/* Reserved bytes of the payload are ignored when received and zero when sent. */
static void test_reserved_bytes(void **state)
{
	expect_reply(*state, BYTES(2, 1, 0xde, 0xad, S3600, CLIENT, NONCE, TCP, 0xff, 0xff, 0xff, PORT_12354, PORT_0, ANY4),
		     BYTES(CREATED(S3600, TCP, PORT_12354, PORT_1024)));
}

/* ---- nonces ---- */

static void test_nonce_mismatch(void **state)
{
	struct fixture *fixture = *state;

	create_tcp_12354(fixture);
	forward(fixture, 600);
	expect_error(fixture, BYTES(FOREIGN_NONCE(S3600)), 2, 3000);	/* what remains of the mapping */
	expect_error(fixture, BYTES(FOREIGN_NONCE(S0)), 2, 3000);
	assert_int_equal(fixture->model.mapping[0].expires_s, NOW_S + 3600);
	create_tcp_12354(fixture);
}

/* Section 11.1: zero is a nonce like any other. */
static void test_nonce_zero(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(MAP_REQUEST(S3600), ZERO12, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY4),
		     BYTES(MAP_SUCCESS(S3600), ZERO12, TCP, 0, 0, 0, PORT_12354, PORT_1024, POOL));
	expect_error(fixture, BYTES(CREATE(S3600, TCP, PORT_12354)), 2, 3600);
}

static void test_nonce_policies(void **state)
{
	struct fixture *fixture = *state;

	create_tcp_12354(fixture);
	fixture->policy.nonce_policy = CGN_NONCE_OFF;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	expect_reply(fixture, BYTES(FOREIGN_NONCE(S3600)),	/* the reply carries the nonce of its request */
		     BYTES(MAP_SUCCESS(S3600), OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1024, POOL));
	assert_int_equal(fixture->model.last.nonce_policy, CGN_NONCE_OFF);
	fixture->policy.nonce_policy = CGN_NONCE_SAME_SOURCE;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	assert_int_equal(fixture_send(fixture, BYTES(CREATE(S3600, TCP, PORT_12354))), 60);
	assert_int_equal(fixture->model.last.nonce_policy, CGN_NONCE_SAME_SOURCE);
}

/* ---- suggestions and PREFER_FAILURE ---- */

static void test_suggestion_is_met(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(SUGGEST(S3600, PORT_1030, POOL)), BYTES(CREATED(S3600, TCP, PORT_12354, PORT_1030)));
	assert_memory_equal(fixture->model.last.suggested.addr4, model_pool, 4);
	assert_int_equal(fixture->model.last.suggested.port, 1030);
	assert_int_equal(fixture->model.last.suggested.protocol, TCP);
}

/* Section 11.3: a poor suggestion does no harm: taken, not ours, loopback, multicast, of another family. */
static void test_suggestion_never_fails(void **state)
{
	static const uint8_t addresses[][16] = {
		{ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1 },
		{ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 224, 0, 0, 1 },
		{ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9 },
		{ ADDRESS6 }, { ANY6 },
		{ 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 192, 0, 2, 1 },	/* trap 16: no IPv4 address */
	};
	uint8_t request[] = { SUGGEST(S3600, PORT_0, ANY4) };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		request[41] = (uint8_t)(0x42 + i);	/* internal port */
		memcpy(request + 44, addresses[i], 16);
		assert_int_equal(fixture_send(fixture, request, sizeof(request)), 60);
		assert_int_equal(fixture->reply[3], 0);
		assert_memory_equal(fixture->reply + 44, ((const uint8_t[]){ POOL }), 16);
		assert_int_equal(fixture->reply[42] << 8 | fixture->reply[43], 1024 + i);
	}
	/* port 1024 is somebody's */
	request[41] = 0x60;
	memcpy(request + 42, (const uint8_t[]){ PORT_1024, POOL }, 18);
	assert_int_equal(fixture_send(fixture, request, sizeof(request)), 60);
	assert_int_equal(fixture->reply[3], 0);
	assert_int_equal(fixture->reply[42] << 8 | fixture->reply[43], 1030);
}

/* The family is known by all 96 bits: what only looks like IPv4 is not passed on as a wish. */
static void test_suggestion_of_another_family(void **state)
{
	static const uint8_t none[4];
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(SUGGEST(S3600, PORT_1030, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 203, 0, 113, 9)),
		     BYTES(CREATED(S3600, TCP, PORT_12354, PORT_1030)));
	assert_memory_equal(fixture->model.last.suggested.addr4, none, 4);
}

static void test_prefer_failure(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(SUGGEST(S3600, PORT_1030, POOL), PREFER_FAILURE_OPTION),
		     BYTES(CREATED(S3600, TCP, PORT_12354, PORT_1030), PREFER_FAILURE_OPTION));
	assert_int_equal(fixture->model.last.flags, CGN_PREFER_FAILURE);
	/* renewed with the same endpoint, and with an address that does not matter to the client */
	expect_reply(fixture, BYTES(SUGGEST(S120, PORT_1030, ANY4), PREFER_FAILURE_OPTION),
		     BYTES(CREATED(S120, TCP, PORT_12354, PORT_1030), PREFER_FAILURE_OPTION));
	/* section 11.3, case 1 */
	expect_error(fixture, BYTES(SUGGEST(S3600, PORT_1024, POOL), PREFER_FAILURE_OPTION), 11, 30);
	assert_int_equal(fixture->model.mapping[0].expires_s, NOW_S + 120);
}

static void test_prefer_failure_not_to_be_had(void **state)
{
	struct fixture *fixture = *state;

	expect_error(fixture, BYTES(SUGGEST(S3600, PORT_1030, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9),
				    PREFER_FAILURE_OPTION), 11, 30);
	expect_error(fixture, BYTES(SUGGEST(S3600, 0x03, 0xff, POOL), PREFER_FAILURE_OPTION), 11, 30);
	expect_error(fixture, BYTES(SUGGEST(S3600, PORT_1030, ADDRESS6), PREFER_FAILURE_OPTION), 11, 30);
	expect_error(fixture, BYTES(SUGGEST(S3600, PORT_1030, ANY6), PREFER_FAILURE_OPTION), 11, 30);
	assert_int_equal(fixture->model.count, 0);
}

/* Trap 4, as far as it is about MAP. */
static void test_prefer_failure_malformed(void **state)
{
	struct fixture *fixture = *state;

	expect_error(fixture, BYTES(SUGGEST(S3600, PORT_0, POOL), PREFER_FAILURE_OPTION), 6, 1800);
	expect_error(fixture, BYTES(SUGGEST(S0, PORT_1030, POOL), PREFER_FAILURE_OPTION), 6, 1800);
	expect_error(fixture, BYTES(SUGGEST(S3600, PORT_1030, POOL), 2, 0, 0, 1, 0, 0, 0, 0), 6, 1800);
	assert_int_equal(fixture->model.calls, 0);
}

/* ---- what cannot be mapped ---- */

/* Trap 7. */
static void test_protocol_zero_with_port(void **state)
{
	struct fixture *fixture = *state;

	expect_error(fixture, BYTES(CREATE(S3600, 0, PORT_12354)), 3, 1800);
	expect_error(fixture, BYTES(CREATE(S0, 0, PORT_12354)), 3, 1800);
	assert_int_equal(fixture->model.calls, 0);
}

static void test_wildcards(void **state)
{
	struct fixture *fixture = *state;

	create_tcp_12354(fixture);
	expect_error(fixture, BYTES(CREATE(S3600, TCP, PORT_0)), 9, 1800);
	expect_error(fixture, BYTES(CREATE(S3600, 0, PORT_0)), 9, 1800);
	/* a deletion of the wildcard that never was succeeds and touches no other mapping */
	expect_reply(fixture, BYTES(CREATE(S0, TCP, PORT_0)), BYTES(MAP_SUCCESS(S0), PLAIN(TCP, PORT_0)));
	expect_reply(fixture, BYTES(CREATE(S0, 0, PORT_0)), BYTES(MAP_SUCCESS(S0), PLAIN(0, PORT_0)));
	assert_int_equal(fixture->model.count, 1);
	assert_int_equal(fixture->model.calls, 1);
}

static void test_protocols(void **state)
{
	struct fixture *fixture = *state;
	uint8_t request[] = { CREATE(S3600, 0, PORT_12354) };
	unsigned protocol;

	for (protocol = 1; protocol < 256; protocol++) {
		if (protocol == TCP || protocol == UDP)
			continue;
		request[36] = (uint8_t)protocol;
		expect_error(fixture, request, sizeof(request), 9, 1800);
	}
	expect_reply(fixture, BYTES(CREATE(S0, 132, PORT_12354)), BYTES(MAP_SUCCESS(S0), PLAIN(132, PORT_12354)));
	assert_int_equal(fixture->model.calls, 0);
}

/* No NAT for it here: as any host that is no subscriber. What cannot exist is deleted already. */
static void test_ipv6_client(void **state)
{
	struct fixture *fixture = *state;

	memcpy(fixture->source6, (const uint8_t[]){ ADDRESS6 }, 16);
	expect_error(fixture, BYTES(2, 1, 0, 0, S3600, ADDRESS6, PLAIN(TCP, PORT_12354)), 2, 1800);
	expect_error(fixture, BYTES(2, 1, 0, 0, S3600, ADDRESS6, NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY6), 2, 1800);
	expect_reply(fixture, BYTES(2, 1, 0, 0, S0, ADDRESS6, PLAIN(TCP, PORT_12354)),
		     BYTES(MAP_SUCCESS(S0), PLAIN(TCP, PORT_12354)));
	assert_int_equal(fixture->model.calls, 0);
}

static void test_not_a_subscriber(void **state)
{
	static const uint8_t stranger[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 77 };
	uint8_t request[] = { CREATE(S3600, TCP, PORT_12354) };
	struct fixture *fixture = *state;

	memcpy(fixture->source6, stranger, 16);
	memcpy(request + 8, stranger, 16);
	expect_error(fixture, request, sizeof(request), 2, 1800);
	assert_int_equal(fixture->model.calls, 1);
}

/* ---- shortage ---- */

/* Trap 12: never eviction, and the mappings that are there may still be renewed. */
static void test_quota(void **state)
{
	struct fixture *fixture = *state;

	fixture->model.quota = 1;
	create_tcp_12354(fixture);
	expect_error(fixture, BYTES(CREATE(S3600, UDP, PORT_12354)), 10, 30);
	create_tcp_12354(fixture);
}

static void test_exhaustion(void **state)
{
	struct fixture *fixture = *state;

	fixture->model.ports = 1;
	create_tcp_12354(fixture);
	expect_error(fixture, BYTES(CREATE(S3600, TCP, PORT_1024)), 8, 30);
	create_tcp_12354(fixture);
}

/* Every status of the data plane by its result, without and with the lifetime that an error of this kind has. */
static void test_every_status(void **state)
{
	static const struct { int status; uint8_t result; uint32_t lifetime_s; } cases[] = {
		{ CGN_NOT_FOUND, 8, 30 }, { CGN_NOT_ALLOWED, 2, 1800 }, { CGN_QUOTA, 10, 30 }, { CGN_EXHAUSTED, 8, 30 },
		{ CGN_TABLE_FULL, 8, 30 }, { CGN_CANNOT_PROVIDE, 11, 30 }, { CGN_BUSY, 8, 30 }, { CGN_BAD_REQUEST, 9, 1800 },
		{ CGN_NONCE_MISMATCH, 2, 0xdeadbeef }, { CGN_STATUS_COUNT, 8, 30 }, { -1, 8, 30 },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fixture->model.status = cases[i].status;
		expect_error(fixture, BYTES(SUGGEST(S3600, PORT_1030, POOL), PREFER_FAILURE_OPTION), cases[i].result,
			     cases[i].lifetime_s);
	}
	assert_int_equal(pcp_server_stats(fixture->server)->results[8], 6);
	assert_int_equal(pcp_server_stats(fixture->server)->results[2], 2);
}

/* A lost race is tried again, with the request as it was. */
static void test_busy(void **state)
{
	struct fixture *fixture = *state;

	fixture->model.busy = 3;
	create_tcp_12354(fixture);
	assert_int_equal(fixture->model.calls, 4);
	fixture->model.busy = 3;
	expect_reply(fixture, BYTES(CREATE(S0, TCP, PORT_12354)), BYTES(MAP_SUCCESS(S0), PLAIN(TCP, PORT_12354)));
	assert_int_equal(fixture->model.count, 0);
	fixture->model.busy = 1000;
	expect_error(fixture, BYTES(CREATE(S3600, TCP, PORT_12354)), 8, 30);
	expect_error(fixture, BYTES(CREATE(S0, TCP, PORT_12354)), 8, 30);
	assert_true(fixture->model.busy > 900);	/* gives up in time */
}

static void test_data_plane_out_of_reach(void **state)
{
	struct fixture *fixture = *state;

	fixture->model.error = -EPERM;
	expect_error(fixture, BYTES(CREATE(S3600, TCP, PORT_12354)), 8, 30);
	expect_error(fixture, BYTES(CREATE(S0, TCP, PORT_12354)), 8, 30);
}

/* ---- mappings that PCP did not make ---- */

/* Section 11.3, case 2: the static endpoint for ever, the request's nonce, whatever is suggested; not to be deleted. */
static void test_static(void **state)
{
	struct fixture *fixture = *state;

	add_mapping(fixture, 1030, CGN_STATIC);
	expect_reply(fixture, BYTES(SUGGEST(S120, PORT_1024, ANY4)), BYTES(CREATED(S_FOREVER, TCP, PORT_12354, PORT_1030)));
	expect_reply(fixture, BYTES(FOREIGN_NONCE(S120)),
		     BYTES(MAP_SUCCESS(S_FOREVER), OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1030, POOL));
	expect_error(fixture, BYTES(SUGGEST(S3600, PORT_1024, POOL), PREFER_FAILURE_OPTION), 11, 30);
	expect_error(fixture, BYTES(CREATE(S0, TCP, PORT_12354)), 2, 1800);
	assert_int_equal(fixture->model.count, 1);
}

/* Trap 10 and section 11.3, case 4: MAP takes over the endpoint of the traffic; deleted, it leaves the traffic its mapping. */
static void test_implicit_becomes_explicit(void **state)
{
	struct fixture *fixture = *state;

	add_mapping(fixture, 1030, CGN_IMPLICIT)->idle_until_s = NOW_S + 120;
	expect_error(fixture, BYTES(CREATE(S0, TCP, PORT_12354)), 2, 1800);
	expect_error(fixture, BYTES(SUGGEST(S3600, PORT_1024, POOL), PREFER_FAILURE_OPTION), 11, 30);
	expect_reply(fixture, BYTES(SUGGEST(S3600, PORT_1024, POOL)), BYTES(CREATED(S3600, TCP, PORT_12354, PORT_1030)));
	expect_reply(fixture, BYTES(CREATE(S0, TCP, PORT_12354)), BYTES(MAP_SUCCESS(S120), PLAIN(TCP, PORT_12354)));
	assert_int_equal(fixture->model.mapping[0].origins, CGN_IMPLICIT);
}

static void test_delete_of_peer(void **state)
{
	struct fixture *fixture = *state;

	add_mapping(fixture, 1030, CGN_PEER);
	expect_error(fixture, BYTES(CREATE(S0, TCP, PORT_12354)), 2, 1800);
}

/* ---- deletion ---- */

/* Trap 8; section 15.1: the suggestion stands in the reply as it came. */
static void test_delete(void **state)
{
	struct fixture *fixture = *state;

	create_tcp_12354(fixture);
	expect_reply(fixture, BYTES(SUGGEST(S0, PORT_1030, ADDRESS6)),
		     BYTES(MAP_SUCCESS(S0), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1030, ADDRESS6));
	assert_int_equal(fixture->model.count, 0);
	/* absent, as for a repeated deletion: success */
	expect_reply(fixture, BYTES(SUGGEST(S0, PORT_1030, ADDRESS6)),
		     BYTES(MAP_SUCCESS(S0), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1030, ADDRESS6));
	assert_int_equal(fixture->model.changes, 2);
}

/* Only the mapping of this host, protocol and port. */
static void test_delete_hits_nothing_else(void **state)
{
	struct fixture *fixture = *state;

	create_tcp_12354(fixture);
	expect_reply(fixture, BYTES(CREATE(S0, UDP, PORT_12354)), BYTES(MAP_SUCCESS(S0), PLAIN(UDP, PORT_12354)));
	expect_reply(fixture, BYTES(CREATE(S0, TCP, PORT_1030)), BYTES(MAP_SUCCESS(S0), PLAIN(TCP, PORT_1030)));
	assert_int_equal(fixture->model.count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create), TEST(test_repeat_and_renew), TEST(test_renew_keeps_endpoint), TEST(test_lifetime_is_clamped),
		TEST(test_reserved_bytes), TEST(test_nonce_mismatch), TEST(test_nonce_zero), TEST(test_nonce_policies),
		TEST(test_suggestion_is_met), TEST(test_suggestion_never_fails), TEST(test_suggestion_of_another_family),
		TEST(test_prefer_failure), TEST(test_prefer_failure_not_to_be_had), TEST(test_prefer_failure_malformed),
		TEST(test_protocol_zero_with_port), TEST(test_wildcards), TEST(test_protocols), TEST(test_ipv6_client),
		TEST(test_not_a_subscriber), TEST(test_quota), TEST(test_exhaustion), TEST(test_every_status), TEST(test_busy),
		TEST(test_data_plane_out_of_reach), TEST(test_static), TEST(test_implicit_becomes_explicit),
		TEST(test_delete_of_peer), TEST(test_delete), TEST(test_delete_hits_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
