/* SPDX-License-Identifier: GPL-2.0-only */
/* PORT_SET in the kernel (RFC 7753): runs of ports claimed at once, in whole or in part, renewed and ended as one; and against packets
 * that take ports of the same blocks on another CPU, nothing leaks. */
#include <pthread.h>
#include <bpf/bpf.h>
#include "invariants.h"
#include "requests.h"

static struct cgn_map_request set_question(uint16_t port, uint16_t size, uint32_t lifetime_s)
{
	struct cgn_map_request request = question(CGN_MAP, port, lifetime_s);

	request.set_size = size;
	return request;
}

static struct cgn_map_request ask_set(struct cgn_map_request request)
{
	assert_int_equal(dataplane_set(plane.dp, &request, NULL), 0);
	return request;
}

static struct cgn_map_request set(uint16_t port, uint16_t size, uint32_t lifetime_s)
{
	return ask_set(set_question(port, size, lifetime_s));
}

static void expect_set(struct cgn_map_request made, uint16_t first, uint16_t size)
{
	struct cgn_explicit_key key = { .internal = made.internal, .opcode = CGN_MAP };
	struct cgn_explicit part;
	uint16_t i;

	assert_int_equal(made.status, CGN_OK);
	assert_int_equal(made.set_size, size);
	assert_int_equal(made.set_first, first);
	for (i = 0; i < size; i++) {
		struct cgn_external expected = made.external;

		expected.port = (uint16_t)(expected.port + i);
		expect_external(mapping_of((uint16_t)(first + i)).external, expected);
		key.internal.port = (uint16_t)(first + i);
		assert_true(dataplane_find_explicit(plane.dp, &key, &part));
		assert_int_equal(part.set_first, first);
		assert_int_equal(part.set_size, size);
	}
}

static void expect_invariants(void)
{
	struct invariants found;

	assert_true(invariants_check(plane.dp, stdout, &found));
}

/* ---- making ---- */

static void test_set(void **state)
{
	struct cgn_map_request made = set(1000, 20, 60);

	(void)state;
	expect_set(made, 1000, 20);
	assert_int_equal(made.created, 1);
	assert_int_equal(subscriber().explicit_used, 20);
	assert_int_equal(subscriber().used[CGN_UDP], 20);
	assert_int_equal(listed(CGN_MAP), 20);
	assert_int_equal(send_in("203.0.113.9", 9, made.external), CGN_INBOUND);
	made.external.port += 19;
	assert_int_equal(send_in("203.0.113.9", 9, made.external), CGN_INBOUND);
	made.external.port++;
	assert_int_equal(send_in("203.0.113.9", 9, made.external), CGN_DROP_NO_MAPPING);
	send_out(1010);
	expect_invariants();
	made = set(1000, 20, 120);	/* again, as after a lost reply */
	expect_set(made, 1000, 20);
	assert_int_equal(made.created, 0);
	assert_int_equal(subscriber().explicit_used, 20);
}

static void test_parity(void **state)
{
	struct cgn_map_request request;
	uint16_t port;

	(void)state;
	for (port = 1001; port < 1012; port += 3) {
		request = set_question(port, 3, 60);
		request.flags = CGN_KEEP_PARITY;
		request = ask_set(request);
		expect_set(request, port, 3);
		assert_int_equal(request.external.port & 1, port & 1);
	}
}

/* The quota of explicit mappings is 40, a block has 64 ports, a subscriber 2 blocks. */
static void test_partial(void **state)
{
	struct cgn_map_request made;

	(void)state;
	assert_int_equal(map(3000, 60).status, CGN_OK);
	made = set(1000, 0xffff, 60);
	expect_set(made, 1000, 39);
	assert_int_equal(set(2000, 2, 60).status, CGN_QUOTA);
	assert_false(mapping_is_there(2000));
	assert_int_equal(set(1000, 2, 0).status, CGN_OK);	/* all of it */
	assert_int_equal(subscriber().explicit_used, 1);
	/* internal ports that are mapped end it */
	send_out(1005);
	expect_set(set(1000, 30, 60), 1000, 5);
	expect_set(set(1002, 30, 60), 1000, 5);
	/* the first is: nothing to be made */
	assert_int_equal(set(1005, 3, 60).status, CGN_NOT_FOUND);
	expect_invariants();
}

static void test_internal_ports_end(void **state)
{
	(void)state;
	expect_set(set(65530, 100, 60), 65530, 6);
}

/* What is left of the blocks is scattered: the longest run. */
static void test_scattered_ports(void **state)
{
	static const char tight[] =
		"pools:\n  - {name: main, addresses: [192.0.2.0/32], ports: 1024-1087, block-size: 64}\n"
		"subscribers: {prefixes: [198.51.100.0/24], blocks: 1, explicit: 64, reserve: 0}\n"
		"tables: {mappings: 4096, subscribers: 256}\n";
	struct cgn_map_request request;
	unsigned port;

	(void)state;
	plane_stop(&plane);
	plane_start(&plane, tight);
	for (port = 1024; port < 1088; port += port == 1048 ? 8 : 4) {
		request = question(CGN_MAP, (uint16_t)port, 60);
		request.suggested = (struct cgn_external){ .addr4 = { 192, 0, 2, 0 }, .port = (uint16_t)port };
		request.flags = CGN_PREFER_FAILURE;
		assert_int_equal(ask(dataplane_map, request).status, CGN_OK);
	}
	request = set(3000, 20, 60);
	expect_set(request, 3000, 7);
	expect_set(set(4000, 20, 60), 4000, 3);
	expect_invariants();
	request = set_question(5000, 8, 60);	/* a suggestion that has less than is asked for is no wish */
	request.suggested = (struct cgn_external){ .addr4 = { 192, 0, 2, 0 }, .port = 1030 };
	expect_set(ask_set(request), 5000, 3);
	expect_invariants();
}

/* A client that lost its set asks for it by suggesting its first external port (section 4); others wait. */
static void test_reclaim(void **state)
{
	struct cgn_map_request made = set(1000, 10, 60), again;

	(void)state;
	assert_int_equal(set(1000, 10, 0).status, CGN_OK);
	again = set_question(2000, 10, 60);
	again.suggested = made.external;
	again = ask_set(again);
	expect_set(again, 2000, 10);
	assert_true(again.external.port >= made.external.port + 10 || again.external.port + 10 <= made.external.port);
	again = set_question(1000, 10, 60);
	again.suggested = made.external;
	again = ask_set(again);
	expect_set(again, 1000, 10);
	expect_external(again.external, made.external);
}

static void test_forbidden_ports(void **state)
{
	static const char around[] =
		"pools:\n  - {name: main, addresses: [192.0.2.0/32], ports: 5312-5375, block-size: 64}\n"
		"subscribers: {prefixes: [198.51.100.0/24], blocks: 1, explicit: 64, reserve: 0}\n"
		"tables: {mappings: 4096, subscribers: 256}\n";
	struct cgn_map_request made;

	(void)state;
	plane_stop(&plane);
	plane_start(&plane, around);
	made = set(1000, 64, 60);
	expect_set(made, 1000, 38);
	assert_int_equal(made.external.port, 5312);
	made = set(2000, 64, 60);
	expect_set(made, 2000, 24);
	assert_int_equal(made.external.port, 5352);
}

/* ---- as one ---- */

static void test_renewal_and_deletion(void **state)
{
	struct cgn_map_request made = set(1000, 5, 2), answer;
	uint16_t port;

	(void)state;
	answer = set(1003, 9, 60);		/* overlapping */
	expect_set(answer, 1000, 5);
	expect_external(answer.external, made.external);
	for (port = 1000; port < 1005; port++)
		assert_in_range(mapping_of(port).expires_s - dataplane_now_s(), 59, 60);
	assert_false(mapping_is_there(1005));
	answer = map(1002, 60);			/* a single one says which set it is of */
	assert_int_equal(answer.set_first, 1000);
	assert_int_equal(answer.set_size, 5);
	assert_int_equal(answer.external.port, made.external.port + 2);
	answer = set_question(1000, 5, 60);
	answer.nonce[0]++;
	answer = ask_set(answer);
	assert_int_equal(answer.status, CGN_NONCE_MISMATCH);
	assert_in_range(answer.lifetime_s, 59, 60);
	send_out(1004);				/* its traffic outlives it */
	answer = set(1001, 1, 0);
	assert_int_equal(answer.status, CGN_OK);
	assert_int_equal(answer.set_size, 5);
	assert_in_range(answer.lifetime_s, 1, 2);
	assert_false(mapping_is_there(1000));
	assert_int_equal(origins_of(1004), CGN_IMPLICIT);
	assert_int_equal(subscriber().explicit_used, 0);
	assert_int_equal(set(1000, 5, 0).status, CGN_NOT_FOUND);
	expect_invariants();
}

static void test_expiry(void **state)
{
	(void)state;
	expect_set(set(1000, 20, 1), 1000, 20);
	reap_until_used(0, 1);
	expect_nothing_left();
	expect_invariants();
}

static void test_filters(void **state)
{
	struct cgn_filter only = { .remote6 = { [10] = 0xff, 0xff, 203, 0, 113, 9 }, .prefix_length = 128 };
	struct cgn_map_request request = set_question(1000, 3, 60);
	struct cgn_internal internal = plane_internal(UDP, HOST, 1002);
	struct cgn_filters found;
	struct cgn_external last;

	(void)state;
	request.filter_count = request.filter_limit = 1;
	assert_int_equal(dataplane_set(plane.dp, &request, &only), 0);
	expect_set(request, 1000, 3);
	last = request.external;
	last.port += 2;
	assert_int_equal(send_in("203.0.113.9", 9, last), CGN_INBOUND);
	assert_int_equal(send_in("203.0.113.10", 9, last), CGN_DROP_FILTER);
	request = set_question(1000, 3, 60);
	request.flags = CGN_CLEAR_FILTERS;
	assert_int_equal(ask_set(request).status, CGN_OK);
	assert_int_equal(send_in("203.0.113.10", 9, last), CGN_INBOUND);
	assert_false(dataplane_find_filters(plane.dp, &internal, &found));
}

/* ---- against packets ---- */

static volatile bool is_over;

static void *open_flows(void *argument)
{
	struct frame frame = { .source = HOST, .destination = "203.0.113.9", .protocol = UDP, .destination_port = 53, .payload = 8 };
	uint8_t bytes[FRAME_MAX];
	unsigned n;

	(void)argument;
	for (n = 0; !is_over; n++) {
		frame.source_port = (uint16_t)(n % 64 ? 5000 + n % 150 : 1000 + n / 64 % 40);	/* now and then one of the sets' */
		plane_send_fast(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&frame, bytes));
	}
	return NULL;
}

/* Sets are made and ended while the other CPU opens flows from the same internal ports out of the same blocks. */
static void test_against_packets(void **state)
{
	uint32_t *slots, granted = 0, sets = 0, n;
	struct cgn_subscriber_key key = plane_subscriber(HOST);
	struct cgn_clear_request clear;
	struct cgn_settings settings;
	struct cgn_map_request made;
	uint32_t zero = 0;
	pthread_t thread;
	int count;

	(void)state;
	assert_true(dataplane_settings(plane.dp, &settings));
	settings.rest_s = 0;
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_SETTINGS), &zero, &settings, 0), 0);
	is_over = false;
	assert_int_equal(pthread_create(&thread, NULL, open_flows, NULL), 0);
	for (n = 0; n < 2000; n++) {
		made = set((uint16_t)(1000 + n % 30), (uint16_t)(2 + n % 19), 60);
		if (made.status == CGN_OK) {
			granted += made.set_size ? made.set_size : 1;
			sets++;
			while (set(made.internal.port, 1, 0).status == CGN_BUSY)
				;
		}
		count = dataplane_list(plane.dp, &key, CGN_ORIGINS, &slots);	/* an idle time that is over at once */
		assert_true(count >= 0);
		clear = (struct cgn_clear_request){ .origins = CGN_ORIGINS };
		if (count && count <= CGN_BATCH_MAX)
			assert_int_equal(dataplane_clear(plane.dp, slots, (uint32_t)count, &clear), 0);
		free(slots);
	}
	is_over = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	print_message("%u sets of %u ports\n", sets, granted);
	assert_true(sets > 100);
	do {
		count = dataplane_list(plane.dp, &key, CGN_ORIGINS, &slots);
		clear = (struct cgn_clear_request){ .origins = CGN_ORIGINS };
		assert_int_equal(dataplane_clear(plane.dp, slots, (uint32_t)count, &clear), 0);
		free(slots);
	} while (count);
	expect_nothing_left();
	expect_invariants();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, requests_up, requests_down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(test_set), TEST(test_parity), TEST(test_partial), TEST(test_internal_ports_end), TEST(test_scattered_ports),
		TEST(test_reclaim), TEST(test_forbidden_ports), TEST(test_renewal_and_deletion), TEST(test_expiry), TEST(test_filters),
		TEST(test_against_packets),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
