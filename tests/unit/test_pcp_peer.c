/* SPDX-License-Identifier: GPL-2.0-only */
/* PEER: creation, adoption, extension, query, nonces, and its life beside MAP (RFC 6887 sections 12 and 15). */
#include <errno.h>
#include "pcp_fixture.h"

#define REMOTE 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9
#define OTHER_REMOTE 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 10
#define PORT_443 0x01, 0xbb
/* Section 12.1: the 36 bytes of MAP, remote port, two reserved bytes, remote address. */
#define ASK(lifetime, protocol, internal_port, remote_port) \
	REQUEST(0x02, lifetime), NONCE, protocol, 0, 0, 0, internal_port, PORT_0, ANY4, remote_port, 0, 0, REMOTE
/* Of 198.51.100.2:12354/tcp towards 203.0.113.9:443. */
#define CREATE(lifetime) \
	REQUEST(0x02, lifetime), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY4, PORT_443, 0, 0, REMOTE
#define CREATED(lifetime, external_port) \
	SUCCESS(0x82, lifetime), NONCE, TCP, 0, 0, 0, PORT_12354, external_port, POOL, PORT_443, 0, 0, REMOTE
#define SUGGEST(lifetime, external_port, ...) \
	REQUEST(0x02, lifetime), NONCE, TCP, 0, 0, 0, PORT_12354, external_port, __VA_ARGS__, PORT_443, 0, 0, REMOTE
#define FOREIGN_NONCE(lifetime) \
	REQUEST(0x02, lifetime), OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY4, PORT_443, 0, 0, REMOTE
#define TO_OTHER_REMOTE(lifetime) \
	REQUEST(0x02, lifetime), OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY4, PORT_443, 0, 0, OTHER_REMOTE
#define MAP_CREATE(lifetime) MAP_REQUEST(lifetime), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY4
#define MAP_CREATED(lifetime, external_port) MAP_SUCCESS(lifetime), NONCE, TCP, 0, 0, 0, PORT_12354, external_port, POOL

static const struct cgn_internal tcp_12354 = { .addr4 = { 198, 51, 100, 2 }, .port = 12354, .protocol = TCP };

static int peer_up(void **state)
{
	struct fixture *fixture;

	if (fixture_up(state))
		return -1;
	fixture = *state;
	fixture->policy.peer = true;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	return 0;
}

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

static void create(struct fixture *fixture)
{
	expect_reply(fixture, BYTES(CREATE(S3600)), BYTES(CREATED(S3600, PORT_1024)));
}

static void test_create(void **state)
{
	static const uint8_t nonce[] = { NONCE }, client[] = { CLIENT }, remote[] = { REMOTE };
	struct fixture *fixture = *state;
	const struct cgn_map_request *asked = &fixture->model.last;

	create(fixture);
	assert_memory_equal(&asked->internal, &tcp_12354, sizeof(tcp_12354));
	assert_memory_equal(asked->nonce, nonce, 12);
	assert_memory_equal(asked->client6, client, 16);
	assert_memory_equal(asked->remote6, remote, 16);
	assert_int_equal(asked->remote_port, 443);
	assert_int_equal(asked->client_port, SOURCE_PORT);
	assert_int_equal(asked->origin, CGN_PEER);
	assert_int_equal(asked->flags, 0);
	assert_int_equal(fixture->model.mapping[0].origins, CGN_PEER);
	create(fixture);	/* repeated, because its reply was lost */
	assert_int_equal(fixture->model.mapping[0].peer_count, 1);
}

static void test_reserved_bytes(void **state)
{
	expect_reply(*state, BYTES(2, 2, 0xde, 0xad, S3600, CLIENT, NONCE, TCP, 0xff, 0xff, 0xff, PORT_12354, PORT_0, ANY4, PORT_443,
				   0xff, 0xff, REMOTE), BYTES(CREATED(S3600, PORT_1024)));
}

/* Section 12.1: protocol, internal port and remote port are never 0. */
static void test_zero_fields(void **state)
{
	struct fixture *fixture = *state;

	expect_error(fixture, BYTES(ASK(S3600, 0, PORT_12354, PORT_443)), 3, 1800);
	expect_error(fixture, BYTES(ASK(S3600, TCP, PORT_0, PORT_443)), 3, 1800);
	expect_error(fixture, BYTES(ASK(S3600, TCP, PORT_12354, PORT_0)), 3, 1800);
	expect_error(fixture, BYTES(ASK(S0, 0, PORT_0, PORT_0)), 3, 1800);
	expect_error(fixture, BYTES(ASK(S3600, 132, PORT_12354, PORT_443)), 9, 1800);
	assert_int_equal(fixture->model.calls, 0);
}

/* Section 12.3: addresses that no packet would make a mapping for; another family. */
static void test_remote_addresses(void **state)
{
	static const uint8_t addresses[][16] = {
		{ ANY4 }, { ANY6 }, { ADDRESS6 },
		{ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1 },
		{ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 224, 0, 0, 1 },
		{ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 255, 255, 255, 255 },
		{ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 203, 0, 113, 9 },	/* trap 16 */
	};
	uint8_t request[] = { CREATE(S3600) };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		memcpy(request + 64, addresses[i], 16);
		expect_error(fixture, request, sizeof(request), 3, 1800);
	}
	assert_int_equal(fixture->model.calls, 0);
}

/* Trap 4; options of MAP alone. */
static void test_options(void **state)
{
	struct fixture *fixture = *state;

	expect_error(fixture, BYTES(SUGGEST(S3600, PORT_1030, POOL), PREFER_FAILURE_OPTION), 3, 1800);
	expect_error(fixture, BYTES(CREATE(S3600), FILTER_OPTION(128, REMOTE)), 6, 1800);
	expect_error(fixture, BYTES(CREATE(S3600), THIRD_PARTY_OPTION(CLIENT)), 3, 1800);
	expect_error(fixture, BYTES(CREATE(S3600), THIRD_PARTY_OPTION(OTHER_REMOTE)), 5, 1800);
	assert_int_equal(fixture->model.calls, 0);
}

static void test_disabled(void **state)
{
	struct fixture *fixture = *state;

	fixture->policy.peer = false;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	expect_error(fixture, BYTES(CREATE(S3600)), 4, 1800);
}

/* ---- suggestions ---- */

/* Section 12.3: without a mapping, what is suggested is had or nothing is. */
static void test_suggestion(void **state)
{
	struct fixture *fixture = *state;

	expect_error(fixture, BYTES(SUGGEST(S3600, 0x03, 0xff, POOL)), 11, 30);
	expect_error(fixture, BYTES(SUGGEST(S3600, PORT_1030, OTHER_REMOTE)), 11, 30);
	expect_error(fixture, BYTES(SUGGEST(S3600, PORT_0, OTHER_REMOTE)), 11, 30);
	expect_error(fixture, BYTES(SUGGEST(S3600, PORT_1030, ADDRESS6)), 11, 30);
	expect_error(fixture, BYTES(SUGGEST(S3600, PORT_0, ADDRESS6)), 11, 30);
	assert_int_equal(fixture->model.count, 0);
	expect_reply(fixture, BYTES(SUGGEST(S3600, PORT_1030, POOL)), BYTES(CREATED(S3600, PORT_1030)));
	assert_int_equal(fixture->model.last.flags, CGN_PREFER_FAILURE);
}

static void test_suggestion_of_a_part(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(SUGGEST(S3600, PORT_0, POOL)), BYTES(CREATED(S3600, PORT_1024)));
	fixture->model.count = 0;
	expect_reply(fixture, BYTES(SUGGEST(S3600, PORT_1030, ANY6)), BYTES(CREATED(S3600, PORT_1030)));
}

/* With a mapping it is ignored. */
static void test_suggestion_beside_a_mapping(void **state)
{
	struct fixture *fixture = *state;

	add_mapping(fixture, 1030, CGN_IMPLICIT)->idle_until_s = NOW_S + 77;
	expect_reply(fixture, BYTES(SUGGEST(S3600, PORT_1024, OTHER_REMOTE)), BYTES(CREATED(S3600, PORT_1030)));
	assert_int_equal(fixture->model.mapping[0].origins, CGN_PEER);
}

/* ---- lifetimes ---- */

static void test_lifetime_is_clamped(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(CREATE(S1)), BYTES(CREATED(S120, PORT_1024)));
	expect_reply(fixture, BYTES(CREATE(S_FOREVER)), BYTES(CREATED(S86400, PORT_1024)));
}

/* Sections 12.1, 15: asking for less, or for nothing, tells what there is and shortens nothing. */
static void test_never_shorter(void **state)
{
	struct fixture *fixture = *state;

	create(fixture);
	expect_reply(fixture, BYTES(CREATE(S120)), BYTES(CREATED(S3600, PORT_1024)));
	expect_reply(fixture, BYTES(CREATE(S1)), BYTES(CREATED(S3600, PORT_1024)));
	expect_reply(fixture, BYTES(CREATE(S0)), BYTES(CREATED(S3600, PORT_1024)));
	assert_int_equal(fixture->model.changes, 1);
	forward(fixture, 3480);
	expect_reply(fixture, BYTES(CREATE(S0)), BYTES(CREATED(S120, PORT_1024)));
	create(fixture);
	assert_int_equal(fixture->model.mapping[0].peer[0].expires_s, NOW_S + 3480 + 3600);
}

/* A query makes nothing: of what does not exist nothing remains. */
static void test_query(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(SUGGEST(S0, PORT_1030, ADDRESS6)),
		     BYTES(SUCCESS(0x82, S0), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1030, ADDRESS6, PORT_443, 0, 0, REMOTE));
	assert_int_equal(fixture->model.count, 0);
	add_mapping(fixture, 1030, CGN_IMPLICIT)->idle_until_s = NOW_S + 120;
	expect_reply(fixture, BYTES(CREATE(S0)), BYTES(CREATED(S120, PORT_1030)));
	assert_int_equal(fixture->model.mapping[0].origins, CGN_IMPLICIT);
	assert_int_equal(fixture->model.changes, 0);
}

/* The lifetime in the reply is the mapping's: that of its traffic, if that is longer. */
static void test_lifetime_of_traffic(void **state)
{
	struct fixture *fixture = *state;

	add_mapping(fixture, 1030, CGN_IMPLICIT)->idle_until_s = NOW_S + 3600;
	expect_reply(fixture, BYTES(CREATE(S120)), BYTES(CREATED(S3600, PORT_1030)));
}

/* ---- nonces, several remote peers ---- */

static void test_nonce_mismatch(void **state)
{
	struct fixture *fixture = *state;

	create(fixture);
	forward(fixture, 600);
	expect_error(fixture, BYTES(FOREIGN_NONCE(S3600)), 2, 3000);
	expect_error(fixture, BYTES(FOREIGN_NONCE(S0)), 2, 3000);
	fixture->policy.nonce_policy = CGN_NONCE_OFF;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	expect_reply(fixture, BYTES(FOREIGN_NONCE(S3600)),
		     BYTES(SUCCESS(0x82, S3600), OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1024, POOL, PORT_443, 0, 0, REMOTE));
}

/* Section 12.3 looks up by five-tuple; mapping is endpoint-independent: one external endpoint, a nonce and an end for each peer. */
static void test_several_remote_peers(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(CREATE(S120)), BYTES(CREATED(S120, PORT_1024)));
	expect_reply(fixture, BYTES(TO_OTHER_REMOTE(S3600)),
		     BYTES(SUCCESS(0x82, S3600), OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1024, POOL, PORT_443, 0, 0, OTHER_REMOTE));
	assert_int_equal(fixture->model.count, 1);
	assert_int_equal(fixture->model.mapping[0].peer_count, 2);
	assert_int_equal(fixture->model.mapping[0].peer[0].expires_s, NOW_S + 120);
	/* another port of the same peer is another one */
	expect_reply(fixture, BYTES(REQUEST(0x02, S120), OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY4, PORT_1030, 0, 0, REMOTE),
		     BYTES(SUCCESS(0x82, S3600), OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1024, POOL, PORT_1030, 0, 0, REMOTE));
	assert_int_equal(fixture->model.mapping[0].peer_count, 3);
}

static void test_quota(void **state)
{
	uint8_t request[] = { CREATE(S3600) };
	struct fixture *fixture = *state;
	unsigned i;

	fixture->model.quota = 2 * CGN_PEERS_MAX;
	for (i = 0; i < CGN_PEERS_MAX; i++) {
		request[79] = (uint8_t)(100 + i);
		assert_int_equal(fixture_send(fixture, request, sizeof(request)), 80);
		assert_int_equal(fixture->reply[3], 0);
	}
	request[79]++;
	expect_error(fixture, request, sizeof(request), 10, 30);
	request[41]++;
	assert_int_equal(fixture_send(fixture, request, sizeof(request)), 80);
	assert_int_equal(fixture->reply[3], 0);
	fixture->model.quota = CGN_PEERS_MAX + 1;
	request[41]++;
	expect_error(fixture, request, sizeof(request), 10, 30);
}

/* ---- beside MAP ---- */

static void test_beside_map(void **state)
{
	struct fixture *fixture = *state;

	expect_reply(fixture, BYTES(MAP_CREATE(S120)), BYTES(MAP_CREATED(S120, PORT_1024)));
	/* the nonces of MAP and PEER are each its own */
	expect_reply(fixture, BYTES(FOREIGN_NONCE(S3600)),
		     BYTES(SUCCESS(0x82, S3600), OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1024, POOL, PORT_443, 0, 0, REMOTE));
	assert_int_equal(fixture->model.mapping[0].origins, CGN_MAP | CGN_PEER);
	/* section 15.1: MAP ends, the mapping lives on by PEER and is not to be deleted */
	expect_reply(fixture, BYTES(MAP_CREATE(S0)),
		     BYTES(MAP_SUCCESS(S3600), NONCE, TCP, 0, 0, 0, PORT_12354, PORT_0, ANY4));
	assert_int_equal(fixture->model.mapping[0].origins, CGN_PEER);
	expect_error(fixture, BYTES(MAP_CREATE(S0)), 2, 1800);
	expect_reply(fixture, BYTES(MAP_CREATE(S120)), BYTES(MAP_CREATED(S120, PORT_1024)));
}

static void test_static(void **state)
{
	struct fixture *fixture = *state;

	add_mapping(fixture, 1030, CGN_STATIC);
	expect_reply(fixture, BYTES(SUGGEST(S120, PORT_1024, POOL)), BYTES(CREATED(S_FOREVER, PORT_1030)));
	expect_reply(fixture, BYTES(CREATE(S0)), BYTES(CREATED(S_FOREVER, PORT_1030)));
	assert_int_equal(fixture->model.mapping[0].origins, CGN_STATIC);
}

static void test_failures(void **state)
{
	struct fixture *fixture = *state;

	fixture->model.ports = 0;
	expect_error(fixture, BYTES(CREATE(S3600)), 8, 30);
	fixture->model.busy = 3;
	fixture->model.ports = 64;
	create(fixture);
	assert_int_equal(fixture->model.calls, 5);
	fixture->model.error = -EPERM;
	expect_error(fixture, BYTES(CREATE(S3600)), 8, 30);
}

/* DESCRIPTION is for PEER too (RFC 7220 section 2): each remote peer's is its own. */
static void test_description(void **state)
{
	struct fixture *fixture = *state;
	const struct model_mapping *mapping = fixture->model.mapping;

	expect_reply(fixture, BYTES(CREATE(S3600), 128, 0, 0, 4, 'l', 'i', 'n', 'e'),
		     BYTES(CREATED(S3600, PORT_1024), 128, 0, 0, 4, 'l', 'i', 'n', 'e'));
	expect_reply(fixture, BYTES(TO_OTHER_REMOTE(S3600)), BYTES(SUCCESS(0x82, S3600), OTHER_NONCE, TCP, 0, 0, 0, PORT_12354, PORT_1024, POOL, PORT_443, 0, 0, OTHER_REMOTE));
	expect_reply(fixture, BYTES(MAP_CREATE(S3600), 128, 0, 0, 1, 'm', 0, 0, 0), BYTES(MAP_CREATED(S3600, PORT_1024), 128, 0, 0, 1, 'm', 0, 0, 0));
	assert_int_equal(mapping[0].peer_count, 2);
	assert_int_equal(mapping[0].peer[0].description.length, 4);
	assert_memory_equal(mapping[0].peer[0].description.text, "line", 4);
	assert_int_equal(mapping[0].peer[1].description.length, 0);
	assert_int_equal(mapping[0].description.length, 1);
	/* a query changes nothing, an empty one erases, what is not stored is not echoed */
	expect_reply(fixture, BYTES(CREATE(S0), 128, 0, 0, 1, 'x', 0, 0, 0), BYTES(CREATED(S3600, PORT_1024)));
	assert_int_equal(mapping[0].peer[0].description.length, 4);
	expect_reply(fixture, BYTES(CREATE(S3600), 128, 0, 0, 0), BYTES(CREATED(S3600, PORT_1024), 128, 0, 0, 0));
	assert_int_equal(mapping[0].peer[0].description.length, 0);
	fixture->model.no_texts = true;
	expect_reply(fixture, BYTES(CREATE(S3600), 128, 0, 0, 1, 'x', 0, 0, 0), BYTES(CREATED(S3600, PORT_1024)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create), TEST(test_reserved_bytes), TEST(test_zero_fields), TEST(test_remote_addresses), TEST(test_options),
		TEST(test_disabled), TEST(test_suggestion), TEST(test_suggestion_of_a_part), TEST(test_suggestion_beside_a_mapping),
		TEST(test_lifetime_is_clamped), TEST(test_never_shorter), TEST(test_query), TEST(test_lifetime_of_traffic),
		TEST(test_nonce_mismatch), TEST(test_several_remote_peers), TEST(test_quota), TEST(test_beside_map), TEST(test_static),
		TEST(test_failures), TEST(test_description),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
