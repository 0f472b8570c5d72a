/* SPDX-License-Identifier: GPL-2.0-only */
/* The explicit parts of mappings in the kernel: MAP and PEER beside each other and beside traffic, each ending at its own time, with
 * every place in quota, bitmap and table given back (RFC 6887 sections 11.3, 12.3, 15). */
#include <stdio.h>
#include "requests.h"

/* ---- PEER ---- */

static void test_peer_makes_a_mapping(void **state)
{
	struct cgn_map_request made = peer(1000, 443, 60);

	(void)state;
	assert_int_equal(made.status, CGN_OK);
	assert_int_equal(made.created, 1);
	assert_int_equal(made.lifetime_s, 60);
	assert_int_equal(origins_of(1000), CGN_PEER);
	assert_int_equal(listed(CGN_PEER), 1);
	assert_int_equal(subscriber().explicit_used, 1);
	/* endpoint-independent filtering, as of mappings made by packets */
	assert_int_equal(send_in("203.0.113.10", 9, made.external), CGN_INBOUND);
	/* extended, never shortened; asked without a lifetime */
	assert_int_equal(peer(1000, 443, 10).lifetime_s, 60);
	assert_int_equal(peer(1000, 443, 0).lifetime_s, 60);
	made = peer(1000, 443, 100);
	assert_int_equal(made.lifetime_s, 100);
	assert_int_equal(made.created, 0);
	assert_int_equal(subscriber().explicit_used, 1);
	/* RFC 6887 section 15.1 */
	assert_int_equal(delete(1000).status, CGN_NOT_ALLOWED);
}

static void test_peer_query(void **state)
{
	struct cgn_map_request answer = peer(1000, 443, 0);

	(void)state;
	assert_int_equal(answer.status, CGN_NOT_FOUND);
	assert_false(mapping_is_there(1000));
	send_out(1000);
	answer = peer(1000, 443, 0);
	assert_int_equal(answer.status, CGN_OK);
	assert_in_range(answer.lifetime_s, 1, 2);
	expect_external(answer.external, mapping_of(1000).external);
	assert_int_equal(origins_of(1000), CGN_IMPLICIT);
	assert_int_equal(subscriber().explicit_used, 0);
}

static void test_peer_joins_traffic(void **state)
{
	struct cgn_map_request request = peer_question(1000, 443, 60);
	struct cgn_mapping before;

	(void)state;
	send_out(1000);
	before = mapping_of(1000);
	request.suggested = (struct cgn_external){ .addr4 = { 192, 0, 2, 1 }, .port = 2000 };
	request.flags = CGN_PREFER_FAILURE;
	request = ask(dataplane_peer, request);
	assert_int_equal(request.status, CGN_OK);
	expect_external(request.external, before.external);
	assert_int_equal(origins_of(1000), CGN_PEER);
}

static void test_peer_suggestion(void **state)
{
	struct cgn_map_request request = peer_question(1000, 443, 60);

	(void)state;
	request.flags = CGN_PREFER_FAILURE;
	request.suggested = (struct cgn_external){ .addr4 = { 192, 0, 2, 1 } };
	assert_int_equal(ask(dataplane_peer, request).external.addr4[3], 1);
	/* paired with that address by now */
	request.internal.port = 1001;
	request.suggested.addr4[3] = 0;
	assert_int_equal(ask(dataplane_peer, request).status, CGN_CANNOT_PROVIDE);
	request.suggested = (struct cgn_external){ .addr4 = { 192, 0, 2, 1 }, .port = 80 };
	assert_int_equal(ask(dataplane_peer, request).status, CGN_CANNOT_PROVIDE);
	request.suggested = (struct cgn_external){ .addr4 = { 203, 0, 113, 1 } };
	assert_int_equal(ask(dataplane_peer, request).status, CGN_CANNOT_PROVIDE);
	assert_false(mapping_is_there(1001));
	assert_int_equal(subscriber().explicit_used, 1);
	/* a port without an address is one of his own */
	request.suggested = (struct cgn_external){ .port = 1500 };
	request = ask(dataplane_peer, request);
	assert_int_equal(request.status, CGN_OK);
	assert_int_equal(request.external.port, 1500);
	assert_int_equal(request.external.addr4[3], 1);
}

static void test_peer_nonce(void **state)
{
	struct cgn_map_request request = peer_question(1000, 443, 60);

	(void)state;
	assert_int_equal(ask(dataplane_peer, request).status, CGN_OK);
	request.nonce[0]++;
	request.lifetime_s = 3600;
	request = ask(dataplane_peer, request);
	assert_int_equal(request.status, CGN_NONCE_MISMATCH);
	assert_in_range(request.lifetime_s, 59, 60);
	request.lifetime_s = 0;
	assert_int_equal(ask(dataplane_peer, request).status, CGN_NONCE_MISMATCH);
	request.remote_port++;		/* another remote peer, another owner */
	request.lifetime_s = 30;
	assert_int_equal(ask(dataplane_peer, request).status, CGN_OK);
	assert_int_equal(subscriber().explicit_used, 2);
}

static void test_peers_of_one_mapping(void **state)
{
	struct cgn_map_request first = peer(1000, 1, 60);
	uint16_t n;

	(void)state;
	for (n = 2; n <= CGN_PEERS_MAX; n++)
		expect_external(peer(1000, n, 60).external, first.external);
	assert_int_equal(peer(1000, n, 60).status, CGN_QUOTA);
	assert_int_equal(peer(1000, 1, 60).status, CGN_OK);
	assert_int_equal(subscriber().explicit_used, CGN_PEERS_MAX);
	assert_int_equal(subscriber().used[CGN_UDP], 1);
	/* the subscriber's quota counts each */
	for (n = 1; n <= CGN_PEERS_MAX; n++)
		assert_int_equal(peer(1001, n, 60).status, CGN_OK);
	for (n = 1; n <= 8; n++)
		assert_int_equal(peer(1002, n, 60).status, CGN_OK);
	assert_int_equal(peer(1002, n, 60).status, CGN_QUOTA);
	assert_int_equal(map(1003, 60).status, CGN_QUOTA);
	assert_false(mapping_is_there(1003));
}

/* Each part ends at its own time; the mapping when the last has ended and no packet keeps it. */
static void test_parts_end_one_by_one(void **state)
{
	struct cgn_map_request made = map(1000, 2);

	(void)state;
	assert_int_equal(peer(1000, 1, 1).status, CGN_OK);
	assert_int_equal(peer(1000, 2, 4).lifetime_s, 4);
	assert_int_equal(origins_of(1000), CGN_MAP | CGN_PEER);
	assert_int_equal(subscriber().explicit_used, 3);
	reap_until_used(2, 1);
	assert_int_equal(origins_of(1000), CGN_MAP | CGN_PEER);
	reap_until_used(1, 1);
	assert_int_equal(origins_of(1000), CGN_PEER);
	assert_int_equal(listed(CGN_PEER), 1);
	expect_external(mapping_of(1000).external, made.external);
	reap_until_used(0, 2);
	assert_int_equal(listed(CGN_EXPLICIT), 0);
	while (mapping_is_there(1000))
		reap();
	expect_nothing_left();
	assert_int_equal(send_in("203.0.113.9", 9, made.external), CGN_DROP_NO_MAPPING);
}

/* RFC 6887 sections 12.3, 16.5: what packets keep alive goes on as theirs. */
static void test_peer_reverts_to_traffic(void **state)
{
	struct cgn_external before;

	(void)state;
	before = peer(1000, 1, 1).external;
	assert_int_equal(subscriber().explicit_used, 1);
	while (subscriber().explicit_used) {
		send_out(1000);
		reap();
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	assert_int_equal(origins_of(1000), CGN_IMPLICIT);
	expect_external(mapping_of(1000).external, before);
	while (mapping_is_there(1000))
		reap();
	expect_nothing_left();
}

/* ---- MAP ---- */

static void test_delete_beside_peer(void **state)
{
	struct cgn_map_request made = map(1000, 3600), answer;

	(void)state;
	assert_int_equal(peer(1000, 1, 60).lifetime_s, 3600);
	answer = delete(1000);
	assert_int_equal(answer.status, CGN_OK);
	assert_in_range(answer.lifetime_s, 59, 60);
	assert_int_equal(origins_of(1000), CGN_PEER);
	assert_int_equal(mapping_of(1000).expires_s - dataplane_now_s(), answer.lifetime_s);
	assert_int_equal(subscriber().explicit_used, 1);
	assert_int_equal(delete(1000).status, CGN_NOT_ALLOWED);
	/* and back again, by its own nonce */
	answer = question(CGN_MAP, 1000, 60);
	answer.nonce[0]++;
	answer = ask(dataplane_map, answer);
	assert_int_equal(answer.status, CGN_OK);
	expect_external(answer.external, made.external);
	assert_int_equal(origins_of(1000), CGN_MAP | CGN_PEER);
}

/* RFC 6887 section 15: a freed port rests, but for the one who had it; suggested without its address too. */
static void test_reclaim(void **state)
{
	struct cgn_map_request made = map(1000, 60), request;

	(void)state;
	assert_int_equal(delete(1000).status, CGN_OK);
	expect_nothing_left();
	request = question(CGN_MAP, 1001, 60);
	request.suggested = made.external;
	request.flags = CGN_PREFER_FAILURE;
	assert_int_equal(ask(dataplane_map, request).status, CGN_CANNOT_PROVIDE);
	request = question(CGN_MAP, 1000, 60);
	request.suggested.port = made.external.port;
	request = ask(dataplane_map, request);
	assert_int_equal(request.status, CGN_OK);
	expect_external(request.external, made.external);
}

static void test_forbidden_ports(void **state)
{
	static const char wide[] =
		"pools:\n  - {name: main, addresses: [192.0.2.0/32], ports: 5312-5439, block-size: 64}\n"
		"subscribers: {prefixes: [198.51.100.0/24], blocks: 2, explicit: 200, reserve: 0}\n"
		"tables: {mappings: 4096, subscribers: 256}\n";
	struct cgn_map_request request;
	unsigned made = 0;
	uint16_t port;

	(void)state;
	plane_stop(&plane);
	plane_start(&plane, wide);
	for (port = 5350; port <= 5351; port++) {
		request = question(CGN_MAP, port, 60);
		request.suggested = (struct cgn_external){ .addr4 = { 192, 0, 2, 0 }, .port = port };
		request = ask(dataplane_map, request);
		assert_int_equal(request.status, CGN_OK);
		made += request.external.port != port;
		request = peer_question(6000, 443, 60);
		request.suggested = (struct cgn_external){ .addr4 = { 192, 0, 2, 0 }, .port = port };
		request.flags = CGN_PREFER_FAILURE;
		assert_int_equal(ask(dataplane_peer, request).status, CGN_CANNOT_PROVIDE);
	}
	assert_int_equal(made, 2);
	for (port = 1; map(port, 60).status == CGN_OK; port++) {
		assert_int_not_equal(mapping_of(port).external.port, 5350);
		assert_int_not_equal(mapping_of(port).external.port, 5351);
	}
	assert_int_equal(port - 1 + made, 128 - 2);
}

/* RFC 6887 section 10: whoever has a static mapping gets his others at its address; the operator's block and his are two. */
static void test_static_pairs(void **state)
{
	struct cgn_release_request release = {};
	struct cgn_map_request request;
	char host[INET_ADDRSTRLEN];
	unsigned n;

	(void)state;
	for (n = 2; n < 14; n++) {
		snprintf(host, sizeof(host), "198.51.100.%u", n);
		request = question(CGN_STATIC, 7000, 0);
		request.internal = plane_internal(UDP, host, 7000);
		request.suggested = (struct cgn_external){ .addr4 = { 192, 0, 2, n & 1 }, .port = (uint16_t)(1500 + n) };
		assert_int_equal(ask(dataplane_map, request).status, CGN_OK);
		assert_int_equal(ask(dataplane_map, request).status, CGN_OK);	/* as at every start */
		request = question(CGN_MAP, 1000, 60);
		request.internal = plane_internal(UDP, host, 1000);
		request = ask(dataplane_map, request);
		assert_int_equal(request.status, CGN_OK);
		assert_int_equal(request.external.addr4[3], n & 1);
	}
	assert_int_equal(subscriber().statics, 1);
	request = question(CGN_STATIC, 7000, 0);	/* its external port is somebody's; its internal endpoint is mapped otherwise */
	request.internal = plane_internal(UDP, HOST, 7001);
	request.suggested = (struct cgn_external){ .addr4 = { 192, 0, 2, 1 }, .port = 1503 };
	assert_int_equal(ask(dataplane_map, request).status, CGN_CANNOT_PROVIDE);
	request.internal.port = 7000;
	request.suggested.port = 1600;
	assert_int_equal(ask(dataplane_map, request).status, CGN_CANNOT_PROVIDE);
	assert_int_equal(subscriber().statics, 1);
	/* it keeps the entry, and no longer */
	assert_int_equal(delete(1000).status, CGN_OK);
	release.subscriber = plane_subscriber(HOST);
	assert_int_equal(dataplane_release(plane.dp, &release), 0);
	assert_int_equal(release.released, 1);
	assert_int_equal(subscriber().state, CGN_SUBSCRIBER_LIVE);
	assert_int_equal(ask(dataplane_delete, question(CGN_STATIC, 7000, 0)).status, CGN_OK);
	assert_int_equal(subscriber().statics, 0);
	assert_int_equal(dataplane_release(plane.dp, &release), 0);
	assert_int_equal(subscriber().state, CGN_SUBSCRIBER_IDLE);
}

#define MANY (3 * CGN_REQUESTS_MAX + 5)

/* Of one host; many are for the same endpoint, by two clients, and more are new than it may have. */
static void many_questions(const char *host, unsigned seed, struct cgn_map_request *ret_requests)
{
	struct cgn_map_request request;
	unsigned i;

	srand(seed);
	for (i = 0; i < MANY; i++) {
		request = question(CGN_MAP, (uint16_t)(1000 + rand() % 60), (uint32_t)(600 + rand() % 600));
		request.internal = plane_internal(rand() % 2 ? UDP : TCP, host, request.internal.port);
		request.nonce[0] = rand() % 8 ? 1 : 2;
		request.flags = rand() % 8 ? 0 : CGN_PREFER_FAILURE;
		request.suggested.addr4[0] = rand() % 8 ? 0 : 203;
		if (!(rand() % 16))
			request.internal.port = 0;
		ret_requests[i] = request;
	}
}

/* What a run answers is what one run for each answers: each request meets what those before it left. */
static void test_many_in_one_run(void **state)
{
	struct cgn_map_request many[MANY], single[MANY];
	int failed[MANY];
	unsigned seen[CGN_STATUS_COUNT] = { 0 }, seed, i;
	char hosts[2][INET_ADDRSTRLEN];

	(void)state;
	for (seed = 0; seed < 8; seed++) {
		snprintf(hosts[0], sizeof(hosts[0]), "198.51.100.%u", 2 + seed * 2);
		snprintf(hosts[1], sizeof(hosts[1]), "198.51.100.%u", 3 + seed * 2);
		many_questions(hosts[0], seed, many);
		many_questions(hosts[1], seed, single);
		dataplane_map_many(plane.dp, many, failed, MANY);
		for (i = 0; i < MANY; i++) {
			single[i] = ask(dataplane_map, single[i]);
			assert_int_equal(failed[i], 0);
			assert_int_equal(many[i].status, single[i].status);
			assert_int_equal(many[i].created, single[i].created);
			if (many[i].status == CGN_OK || many[i].status == CGN_NONCE_MISMATCH)
				assert_in_range(single[i].lifetime_s, many[i].lifetime_s - 2, many[i].lifetime_s);
			seen[many[i].status]++;
		}
	}
	assert_true(seen[CGN_OK] && seen[CGN_NONCE_MISMATCH] && seen[CGN_QUOTA] && seen[CGN_BAD_REQUEST] && seen[CGN_CANNOT_PROVIDE]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, requests_up, requests_down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(test_peer_makes_a_mapping), TEST(test_peer_query), TEST(test_peer_joins_traffic), TEST(test_peer_suggestion),
		TEST(test_peer_nonce), TEST(test_peers_of_one_mapping), TEST(test_parts_end_one_by_one),
		TEST(test_peer_reverts_to_traffic), TEST(test_delete_beside_peer), TEST(test_reclaim), TEST(test_forbidden_ports),
		TEST(test_static_pairs), TEST(test_many_in_one_run),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
