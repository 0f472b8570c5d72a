/* SPDX-License-Identifier: GPL-2.0-only */
/* FILTER in the kernel (RFC 6887 section 13.3): who reaches a mapping and who does not, from outside, by hairpin and with ICMP errors;
 * and that filters change at once, wholly, and end with the MAP part. */
#include <pthread.h>
#include <bpf/bpf.h>
#include "requests.h"

#define PEER "203.0.113.9"
#define OTHER "203.0.113.10"
#define NEIGHBOUR "198.51.100.3"

static struct cgn_filter filter(const char *remote4, uint8_t prefix_length, uint16_t port)
{
	struct cgn_filter made = { .remote6 = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, .remote_port = port, .prefix_length = prefix_length };

	assert_int_equal(inet_pton(AF_INET, remote4, made.remote6 + 12), 1);
	return made;
}

static struct cgn_map_request map_filtered(struct cgn_map_request request, const struct cgn_filter *filters, uint8_t count)
{
	request.filter_count = count;
	request.filter_limit = 8;
	assert_int_equal(dataplane_map_filtered(plane.dp, &request, filters), 0);
	return request;
}

static struct cgn_map_request map_one(uint16_t port, struct cgn_filter only)
{
	return map_filtered(question(CGN_MAP, port, 60), &only, 1);
}

static unsigned filter_count(uint16_t port)
{
	struct cgn_internal internal = plane_internal(UDP, HOST, port);
	struct cgn_filters filters;

	return dataplane_find_filters(plane.dp, &internal, &filters) ? filters.count : 0;
}

static bool is_flagged(uint16_t port)
{
	struct cgn_mapping mapping = mapping_of(port);
	struct dataplane_slot slot;

	assert_true(dataplane_read_slot(plane.dp, mapping.slot, &slot));
	assert_int_equal(slot.state.flags & CGN_FILTERED, mapping.state.flags & CGN_FILTERED);
	return mapping.state.flags & CGN_FILTERED;
}

/* ---- who gets in ---- */

static void test_address_and_port(void **state)
{
	struct cgn_map_request made = map_one(1000, filter(PEER, 128, 0));

	(void)state;
	assert_int_equal(made.status, CGN_OK);
	assert_true(is_flagged(1000));
	assert_int_equal(send_in(PEER, 53, made.external), CGN_INBOUND);
	assert_int_equal(send_in(PEER, 54, made.external), CGN_INBOUND);
	assert_int_equal(send_in(OTHER, 53, made.external), CGN_DROP_FILTER);
	made = map_one(1001, filter(PEER, 128, 53));
	assert_int_equal(send_in(PEER, 53, made.external), CGN_INBOUND);
	assert_int_equal(send_in(PEER, 54, made.external), CGN_DROP_FILTER);
	assert_int_equal(send_in(OTHER, 53, made.external), CGN_DROP_FILTER);
	/* only what comes in is filtered */
	send_out(1001);
	/* an unfiltered mapping beside them */
	made = map(1002, 60);
	assert_false(is_flagged(1002));
	assert_int_equal(send_in(OTHER, 53, made.external), CGN_INBOUND);
}

static void test_prefixes(void **state)
{
	static const struct { const char *network; uint8_t prefix_length; const char *inside, *outside; } cases[] = {
		{ "203.0.113.8", 127, "203.0.113.9", "203.0.113.10" }, { "203.0.113.8", 126, "203.0.113.11", "203.0.113.12" },
		{ "203.0.113.0", 120, "203.0.113.255", "203.0.112.255" }, { "203.0.0.0", 112, "203.0.255.1", "203.1.0.1" },
		{ "203.0.0.0", 104, "203.255.0.1", "204.0.0.1" }, { "128.0.0.0", 97, "203.0.113.9", "8.0.0.1" },
		{ "203.0.113.9", 128, "203.0.113.9", "203.0.113.8" },
	};
	struct cgn_map_request made;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		made = map_one((uint16_t)(1000 + i), filter(cases[i].network, cases[i].prefix_length, 0));
		assert_int_equal(send_in(cases[i].inside, 53, made.external), CGN_INBOUND);
		assert_int_equal(send_in(cases[i].outside, 53, made.external), CGN_DROP_FILTER);
	}
	made = map_one(2000, filter("0.0.0.0", 96, 53));	/* every IPv4 address, one port */
	assert_int_equal(send_in("8.8.8.8", 53, made.external), CGN_INBOUND);
	assert_int_equal(send_in("8.8.8.8", 54, made.external), CGN_DROP_FILTER);
}

/* Many; the last one counts like the first. */
static void test_union(void **state)
{
	struct cgn_filter filters[CGN_FILTERS_MAX + 1];
	struct cgn_map_request request = question(CGN_MAP, 1000, 60);
	unsigned i;

	(void)state;
	for (i = 0; i <= CGN_FILTERS_MAX; i++)
		filters[i] = filter(PEER, 128, (uint16_t)(100 + i));
	assert_int_equal(map_filtered(request, filters, 9).status, CGN_FILTERS_EXCEEDED);
	assert_false(mapping_is_there(1000));
	assert_int_equal(filter_count(1000), 0);
	assert_int_equal(subscriber().explicit_used, 0);
	request.filter_count = request.filter_limit = CGN_FILTERS_MAX;
	assert_int_equal(dataplane_map_filtered(plane.dp, &request, filters), 0);
	assert_int_equal(request.status, CGN_OK);
	assert_int_equal(send_in(PEER, 100, request.external), CGN_INBOUND);
	assert_int_equal(send_in(PEER, 100 + CGN_FILTERS_MAX - 1, request.external), CGN_INBOUND);
	assert_int_equal(send_in(PEER, 100 + CGN_FILTERS_MAX, request.external), CGN_DROP_FILTER);
}

/* By hairpin the remote peer is the other subscriber's external endpoint. */
static void test_hairpin(void **state)
{
	struct cgn_map_request request = question(CGN_MAP, 4000, 60), neighbour, made;
	struct frame frame = { .source = NEIGHBOUR, .destination = "192.0.2.0", .protocol = UDP, .source_port = 4000, .payload = 8 };
	char external[INET_ADDRSTRLEN], address[INET_ADDRSTRLEN];
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;

	(void)state;
	request.internal = plane_internal(UDP, NEIGHBOUR, 4000);
	neighbour = ask(dataplane_map, request);
	assert_int_equal(neighbour.status, CGN_OK);
	inet_ntop(AF_INET, neighbour.external.addr4, external, sizeof(external));
	made = map_one(1000, filter(external, 128, neighbour.external.port));
	inet_ntop(AF_INET, made.external.addr4, address, sizeof(address));
	frame.destination = address;
	frame.destination_port = made.external.port;
	plane_send(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&frame, bytes), &run);
	assert_int_equal(run.verdict, CGN_HAIRPIN);
	frame.source_port = 4001;
	plane_send(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&frame, bytes), &run);
	assert_int_equal(run.verdict, CGN_DROP_FILTER);
}

/* An error about a packet to a permitted peer comes from any router; one about a packet to somebody else does not come. */
static void test_icmp_errors(void **state)
{
	struct cgn_map_request made = map_one(1000, filter(PEER, 128, 53));
	char address[INET_ADDRSTRLEN];
	struct frame sent = { .protocol = UDP, .destination = PEER, .destination_port = 53, .payload = 8 };
	struct frame error = { .protocol = 1, .source = "203.0.113.77", .icmp_type = 11, .inner = &sent };
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;

	(void)state;
	inet_ntop(AF_INET, made.external.addr4, address, sizeof(address));
	sent.source = error.destination = address;
	sent.source_port = made.external.port;
	plane_send(&plane, CGN_EXTERNAL_SIDE, bytes, frame_build(&error, bytes), &run);
	assert_int_equal(run.verdict, CGN_INBOUND);
	sent.destination_port = 54;
	plane_send(&plane, CGN_EXTERNAL_SIDE, bytes, frame_build(&error, bytes), &run);
	assert_int_equal(run.verdict, CGN_DROP_FILTER);
	sent.destination = error.source = OTHER;
	sent.destination_port = 53;
	plane_send(&plane, CGN_EXTERNAL_SIDE, bytes, frame_build(&error, bytes), &run);
	assert_int_equal(run.verdict, CGN_DROP_FILTER);
}

/* ---- change and end ---- */

static void test_renewals(void **state)
{
	struct cgn_filter nine = filter(PEER, 128, 0), ten = filter(OTHER, 128, 0);
	struct cgn_map_request made = map(1000, 60), request;

	(void)state;
	assert_int_equal(map_filtered(question(CGN_MAP, 1000, 60), &nine, 1).status, CGN_OK);
	assert_int_equal(send_in(OTHER, 53, made.external), CGN_DROP_FILTER);
	assert_int_equal(map_filtered(question(CGN_MAP, 1000, 60), &ten, 1).status, CGN_OK);	/* added */
	assert_int_equal(map_filtered(question(CGN_MAP, 1000, 60), &ten, 1).status, CGN_OK);	/* again */
	assert_int_equal(filter_count(1000), 2);
	assert_int_equal(send_in(PEER, 53, made.external), CGN_INBOUND);
	assert_int_equal(send_in(OTHER, 53, made.external), CGN_INBOUND);
	assert_int_equal(map(1000, 60).status, CGN_OK);		/* kept */
	assert_int_equal(send_in("203.0.113.11", 53, made.external), CGN_DROP_FILTER);
	request = question(CGN_MAP, 1000, 60);			/* another's request changes nothing */
	request.nonce[0]++;
	request.flags = CGN_CLEAR_FILTERS;
	assert_int_equal(map_filtered(request, &ten, 1).status, CGN_NONCE_MISMATCH);
	request = question(CGN_MAP, 1000, 60);			/* nor one that cannot be met */
	request.flags = CGN_CLEAR_FILTERS | CGN_PREFER_FAILURE;
	request.suggested = (struct cgn_external){ .addr4 = { 192, 0, 2, 1 }, .port = 80 };
	assert_int_equal(map_filtered(request, &ten, 1).status, CGN_CANNOT_PROVIDE);
	assert_int_equal(filter_count(1000), 2);
	request = question(CGN_MAP, 1000, 60);			/* replaced */
	request.flags = CGN_CLEAR_FILTERS;
	assert_int_equal(map_filtered(request, &ten, 1).status, CGN_OK);
	assert_int_equal(send_in(PEER, 53, made.external), CGN_DROP_FILTER);
	assert_int_equal(send_in(OTHER, 53, made.external), CGN_INBOUND);
	assert_int_equal(map_filtered(request, NULL, 0).status, CGN_OK);	/* cleared */
	assert_false(is_flagged(1000));
	assert_int_equal(filter_count(1000), 0);
	assert_int_equal(send_in(PEER, 53, made.external), CGN_INBOUND);
}

static void set_flag(uint16_t port, uint16_t flag, bool is_set)
{
	struct cgn_internal internal = plane_internal(UDP, HOST, port);
	struct cgn_mapping mapping = mapping_of(port);

	mapping.state.flags = is_set ? mapping.state.flags | flag : (uint16_t)(mapping.state.flags & ~flag);
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_MAPPINGS), &internal, &mapping, BPF_EXIST), 0);
}

/* A renewal that comes while the mapping changes hands is asked to come again, and has changed nothing by then. */
static void test_busy_changes_nothing(void **state)
{
	struct cgn_filter nine = filter(PEER, 128, 0), ten = filter(OTHER, 128, 0);
	struct cgn_map_request made = map(1000, 60), clear = question(CGN_MAP, 1001, 60);
	struct cgn_filters before, after;
	struct cgn_internal internal = plane_internal(UDP, HOST, 1001);

	(void)state;
	set_flag(1000, CGN_DYING, true);	/* without filters before */
	assert_int_equal(map_filtered(question(CGN_MAP, 1000, 60), &nine, 1).status, CGN_BUSY);
	assert_int_equal(filter_count(1000), 0);
	set_flag(1000, CGN_DYING, false);
	assert_false(is_flagged(1000));
	assert_int_equal(send_in(OTHER, 53, made.external), CGN_INBOUND);
	made = map_filtered(question(CGN_MAP, 1001, 60), &nine, 1);
	assert_true(dataplane_find_filters(plane.dp, &internal, &before));
	clear.flags = CGN_CLEAR_FILTERS;
	set_flag(1001, CGN_DYING, true);
	assert_int_equal(map_filtered(question(CGN_MAP, 1001, 60), &ten, 1).status, CGN_BUSY);	/* one more */
	assert_int_equal(filter_count(1001), 1);
	assert_int_equal(map_filtered(clear, &ten, 1).status, CGN_BUSY);	/* others */
	assert_int_equal(map_filtered(clear, NULL, 0).status, CGN_BUSY);	/* none */
	set_flag(1001, CGN_DYING, false);
	assert_true(dataplane_find_filters(plane.dp, &internal, &after));
	assert_int_equal(after.count, before.count);
	assert_memory_equal(after.filter, before.filter, sizeof(*after.filter));
	assert_int_equal(send_in(PEER, 53, made.external), CGN_INBOUND);
	assert_int_equal(send_in(OTHER, 53, made.external), CGN_DROP_FILTER);
	assert_int_equal(map_filtered(clear, &ten, 1).status, CGN_OK);		/* asked again */
	assert_int_equal(send_in(PEER, 53, made.external), CGN_DROP_FILTER);
	assert_int_equal(send_in(OTHER, 53, made.external), CGN_INBOUND);
}

/* On what packets or PEER made; ends with the MAP part, by deletion or by time. */
static void test_end(void **state)
{
	struct cgn_filter nine = filter(PEER, 128, 0);
	struct cgn_map_request made;

	(void)state;
	send_out(1000);
	assert_int_equal(peer(1000, 443, 60).status, CGN_OK);
	made = map_filtered(question(CGN_MAP, 1000, 60), &nine, 1);
	assert_int_equal(made.status, CGN_OK);
	assert_int_equal(send_in(OTHER, 53, made.external), CGN_DROP_FILTER);
	assert_int_equal(delete(1000).status, CGN_OK);
	assert_false(is_flagged(1000));
	assert_int_equal(filter_count(1000), 0);
	assert_int_equal(send_in(OTHER, 53, made.external), CGN_INBOUND);
	made = map_filtered(question(CGN_MAP, 1000, 1), &nine, 1);
	assert_int_equal(filter_count(1000), 1);
	reap_until_used(1, 1);
	assert_int_equal(filter_count(1000), 0);
	assert_int_equal(send_in(OTHER, 53, made.external), CGN_INBOUND);
	made = map_filtered(question(CGN_MAP, 1001, 1), &nine, 1);
	reap_until_used(1, 1);
	assert_false(mapping_is_there(1001));
	assert_int_equal(filter_count(1001), 0);
	assert_int_equal(map(1001, 60).status, CGN_OK);
	assert_false(is_flagged(1001));
}

static void test_static(void **state)
{
	struct cgn_map_request request = question(CGN_STATIC, 1000, 0);
	struct cgn_filter nine = filter(PEER, 128, 0);

	(void)state;
	request.suggested = (struct cgn_external){ .addr4 = { 192, 0, 2, 1 }, .port = 1100 };
	assert_int_equal(ask(dataplane_map, request).status, CGN_OK);
	assert_int_equal(map_filtered(question(CGN_MAP, 1000, 60), &nine, 1).status, CGN_NOT_ALLOWED);
	assert_int_equal(filter_count(1000), 0);
	assert_int_equal(send_in(OTHER, 53, ask(dataplane_map, request).external), CGN_INBOUND);
}

/* The operator's hand: cleared, they are gone; moved to another address of the subscriber, they come along. */
static void test_clear_and_move(void **state)
{
	struct cgn_filter nine = filter(PEER, 128, 0);
	struct cgn_map_request made = map_filtered(question(CGN_MAP, 1000, 60), &nine, 1);
	struct cgn_move_request move = { .from = plane_subscriber(HOST), .to = plane_subscriber(NEIGHBOUR) };
	struct cgn_internal moved = plane_internal(UDP, NEIGHBOUR, 1000);
	struct cgn_clear_request clear = { .origins = CGN_MAP };
	struct cgn_mapping mapping;
	struct cgn_filters filters;

	(void)state;
	for (move.position = 0; move.position < CGN_SUBSCRIBER_BLOCKS_MAX; move.position++)
		assert_int_equal(dataplane_move(plane.dp, &move), 0);
	assert_int_equal(filter_count(1000), 0);
	assert_true(dataplane_find_filters(plane.dp, &moved, &filters));
	assert_int_equal(filters.count, 1);
	assert_int_equal(send_in(PEER, 53, made.external), CGN_INBOUND);
	assert_int_equal(send_in(OTHER, 53, made.external), CGN_DROP_FILTER);
	assert_true(dataplane_find_mapping(plane.dp, &moved, &mapping));
	assert_int_equal(dataplane_clear(plane.dp, &mapping.slot, 1, &clear), 0);
	assert_false(dataplane_find_filters(plane.dp, &moved, &filters));
}

/* ---- at the same time ---- */

struct flood { struct cgn_external external; volatile bool is_over; volatile unsigned sent, let_in; };

static void *flood(void *argument)
{
	struct flood *of = argument;
	struct frame frame = { .source = OTHER, .destination = "192.0.2.0", .protocol = UDP, .source_port = 53, .payload = 8 };
	char address[INET_ADDRSTRLEN];
	uint8_t bytes[FRAME_MAX];
	uint32_t length;

	inet_ntop(AF_INET, of->external.addr4, address, sizeof(address));
	frame.destination = address;
	frame.destination_port = of->external.port;
	length = frame_build(&frame, bytes);
	while (!of->is_over) {
		of->sent++;
		of->let_in += plane_send_fast(&plane, CGN_EXTERNAL_SIDE, bytes, length) != 1 /* XDP_DROP */;
	}
	return NULL;
}

/* While filters are replaced again and again, on this mapping and on others that share the kernel's free elements, nobody gets in whom
 * none of them permits. */
static void test_replacement_is_atomic(void **state)
{
	struct cgn_filter lists[2][3] = {
		{ filter(PEER, 128, 1), filter(PEER, 128, 2), filter(PEER, 128, 3) },
		{ filter("203.0.113.11", 128, 53), filter("203.0.113.12", 128, 53), filter("203.0.113.13", 128, 53) },
	}, everybody = filter("0.0.0.0", 96, 0);
	struct cgn_map_request request = question(CGN_MAP, 1000, 60), other = question(CGN_MAP, 1001, 60);
	struct flood of = { .external = map_filtered(request, lists[0], 3).external };
	pthread_t thread;
	unsigned i;

	(void)state;
	request.flags = other.flags = CGN_CLEAR_FILTERS;
	assert_int_equal(pthread_create(&thread, NULL, flood, &of), 0);
	for (i = 0; i < 3000 || of.sent < 1000; i++) {
		assert_int_equal(map_filtered(other, &everybody, 1).status, CGN_OK);
		assert_int_equal(map_filtered(request, lists[i & 1], 3).status, CGN_OK);
		assert_int_equal(ask(dataplane_delete, other).status, CGN_OK);
	}
	of.is_over = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(of.let_in, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, requests_up, requests_down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(test_address_and_port), TEST(test_prefixes), TEST(test_union), TEST(test_hairpin), TEST(test_icmp_errors),
		TEST(test_renewals), TEST(test_busy_changes_nothing), TEST(test_end), TEST(test_static), TEST(test_clear_and_move), TEST(test_replacement_is_atomic),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
