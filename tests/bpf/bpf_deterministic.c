/* SPDX-License-Identifier: GPL-2.0-only */
/* RFC 7422 in the kernel: packets and requests get ports where they are computed, from the first one on, and nobody else gets them. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>
#include "dataplane_pools.h"
#include "deterministic.h"
#include "frame.h"
#include "invariants.h"
#include "plane.h"
#include "pool_plan.h"
#include "statics.h"

#define HOST "198.51.100.2"
#define OTHER "198.51.100.40"
#define DYNAMIC "198.51.100.130"
#define PEER "203.0.113.9"

/* 16 blocks of 64 ports on each address: 14 computed, one for each of 14 subscribers, two by need. 32 to an address of their own. */
#define POOLS \
	"pools:\n" \
	"  - {name: c, addresses: [192.0.2.0/29], ports: 1024-2047, block-size: 64, allocation: deterministic, subscribers: [198.51.100.0/26], blocks: 1, dynamic: 2}\n" \
	"  - {name: d, addresses: [192.0.2.16/31], ports: 1024-2047, block-size: 64}\n"
#define REST \
	"subscribers: {prefixes: [198.51.100.0/24], blocks: 3, explicit: 400, reserve: 0}\n" \
	"timeouts: {rest: 0}\n" \
	"tables: {mappings: 4096, subscribers: 512, addresses: 12}\n"

static struct plane plane;

static void start(const char *yaml)
{
	plane_start(&plane, yaml);
}

static void stop(void)
{
	struct invariants found;

	assert_true(invariants_check(plane.dp, stdout, &found));
	plane_stop(&plane);
}

static int send_packet(const char *host, uint16_t port, uint8_t protocol)
{
	struct frame frame = { .source = host, .source_port = port, .destination = PEER, .destination_port = 3478, .protocol = protocol,
		.tcp_flags = FRAME_SYN, .payload = 16 };
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;

	memcpy(frame.destination_mac, plane.mac[CGN_INTERNAL_SIDE], sizeof(frame.destination_mac));
	plane_send(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&frame, bytes), &run);
	return run.verdict;
}

static struct cgn_external external_of(uint8_t protocol, const char *host, uint16_t port)
{
	struct cgn_internal internal = plane_internal(protocol, host, port);
	struct cgn_mapping mapping;

	assert_true(dataplane_find_mapping(plane.dp, &internal, &mapping));
	return mapping.external;
}

static uint32_t number(const uint8_t addr4[4])
{
	return (uint32_t)addr4[0] << 24 | (uint32_t)addr4[1] << 16 | (uint32_t)addr4[2] << 8 | addr4[3];
}

static struct computed_place place_of(const char *host)
{
	struct in_addr address;
	struct computed_place place;

	assert_int_equal(inet_pton(AF_INET, host, &address), 1);
	assert_true(deterministic_find(plane.config, ntohl(address.s_addr), &place));
	return place;
}

static bool is_inside(const struct cgn_external *external, const struct computed_place *place)
{
	return number(external->addr4) == place->external4 && external->port >= place->first_port && external->port <= place->last_port;
}

/* All of them, in any order, nobody's daemon having been asked. */
static void first_packets(void **state)
{
	struct cgn_external external;
	struct computed_place place, back;
	unsigned host, i;
	char name[16];

	(void)state;
	start(POOLS REST);
	for (i = 0; i < 60; i++) {
		host = 2 + i * 37 % 59;
		snprintf(name, sizeof(name), "198.51.100.%u", host);
		place = place_of(name);
		assert_int_equal(send_packet(name, 5000, i & 1 ? IPPROTO_TCP : IPPROTO_UDP), CGN_OUTBOUND);
		external = external_of(i & 1 ? IPPROTO_TCP : IPPROTO_UDP, name, 5000);
		assert_true(is_inside(&external, &place));
		assert_true(deterministic_owner(plane.config, number(external.addr4), external.port, &back));
		assert_int_equal(back.internal4, 0xc6336400u + host);
	}
	stop();
}

static void requests_draw_from_the_same(void **state)
{
	struct computed_place place, others;
	struct cgn_external external;
	char address[16];

	(void)state;
	start(POOLS REST);
	place = place_of(HOST);
	others = place_of("198.51.100.3");
	assert_int_equal(plane_map(&plane, IPPROTO_UDP, HOST, 6000, "", 0), CGN_OK);
	external = external_of(IPPROTO_UDP, HOST, 6000);
	assert_true(is_inside(&external, &place));
	inet_ntop(AF_INET, external.addr4, address, sizeof(address));
	assert_int_equal(plane_map(&plane, IPPROTO_TCP, HOST, 6000, address, place.first_port + 7), CGN_OK);
	assert_int_equal(plane_map(&plane, IPPROTO_TCP, HOST, 6001, address, others.first_port), CGN_CANNOT_PROVIDE);
	assert_int_equal(plane_map(&plane, IPPROTO_TCP, HOST, 6002, "192.0.2.1", 1030), CGN_CANNOT_PROVIDE);
	assert_int_equal(plane_map(&plane, IPPROTO_TCP, HOST, 6003, "192.0.2.16", 1030), CGN_CANNOT_PROVIDE);
	assert_int_equal(plane_map(&plane, IPPROTO_TCP, HOST, 6004, address, 1024 + 15 * 64), CGN_OK);	/* by need */
	/* before he has anything, too; and the place is not taken from who comes after */
	assert_int_equal(plane_map(&plane, IPPROTO_UDP, OTHER, 6000, address, place.first_port + 9), CGN_CANNOT_PROVIDE);
	assert_int_equal(send_packet("198.51.100.3", 5000, IPPROTO_UDP), CGN_OUTBOUND);
	external = external_of(IPPROTO_UDP, "198.51.100.3", 5000);
	assert_true(is_inside(&external, &others));
	stop();
}

/* Who is not computed gets nothing there, though it stands empty, and nobody's port is suggested away. */
static void others_stay_out(void **state)
{
	unsigned host, drops = 0, i;
	struct cgn_external external;
	char name[16];

	(void)state;
	start(POOLS REST);
	assert_int_equal(plane_map(&plane, IPPROTO_UDP, DYNAMIC, 6000, "192.0.2.0", 1030), CGN_CANNOT_PROVIDE);
	assert_int_equal(plane_map(&plane, IPPROTO_UDP, DYNAMIC, 6000, "192.0.2.0", 1024 + 15 * 64), CGN_CANNOT_PROVIDE);
	for (host = 70; host < 70 + 40; host++) {
		snprintf(name, sizeof(name), "198.51.100.%u", host);
		i = (unsigned)send_packet(name, 5000, IPPROTO_UDP);
		if (i == CGN_DROP_EXHAUSTED) {
			drops++;
			continue;
		}
		assert_int_equal(i, CGN_OUTBOUND);
		external = external_of(IPPROTO_UDP, name, 5000);
		assert_true(external.addr4[3] >= 16);
	}
	assert_int_equal(drops, 40 - 32);
	stop();
}

static uint32_t fill(const char *host, uint32_t tries, int *ret_last)
{
	uint32_t made = 0, i;

	for (i = 0; i < tries; i++) {
		*ret_last = send_packet(host, (uint16_t)(10000 + i), IPPROTO_UDP);
		made += *ret_last == CGN_OUTBOUND;
	}
	return made;
}

static void who_needs_more(void **state)
{
	struct computed_place place;
	struct cgn_external external;
	uint32_t i, inside = 0;
	int last;

	(void)state;
	start(POOLS REST);
	place = place_of(HOST);
	assert_int_equal(fill(HOST, 200, &last), 192);		/* his block, and the two shared ones */
	assert_int_equal(last, CGN_DROP_QUOTA);
	for (i = 0; i < 192; i++) {
		external = external_of(IPPROTO_UDP, HOST, (uint16_t)(10000 + i));
		assert_int_equal(number(external.addr4), place.external4);
		if (is_inside(&external, &place))
			inside++;
		else
			assert_in_range(external.port, 1024 + 14 * 64, 2047);
	}
	assert_int_equal(inside, 64);
	assert_int_equal(fill("198.51.100.3", 100, &last), 64);	/* none of them is left at that address */
	assert_int_equal(last, CGN_DROP_EXHAUSTED);
	assert_int_equal(fill(OTHER, 100, &last), 100);
	stop();
}

static void no_more_without_dynamic(void **state)
{
	int last;

	(void)state;
	start("pools:\n  - {name: c, addresses: [192.0.2.0/29], ports: 1024-2047, block-size: 64, allocation: deterministic, subscribers: [198.51.100.0/26], blocks: 1}\n"
	      REST);
	assert_int_equal(fill(HOST, 100, &last), 64);
	assert_int_equal(last, CGN_DROP_QUOTA);
	assert_int_equal(plane_map(&plane, IPPROTO_TCP, HOST, 6004, "192.0.2.0", 1024 + 15 * 64), CGN_CANNOT_PROVIDE);
	stop();
}

/* Only what is not computed is recorded. */
static int count_event(void *context, void *data, size_t size)
{
	const struct cgn_event *event = data;
	unsigned *counts = context;

	(void)size;
	if (event->type == CGN_EVENT_BLOCK_ALLOCATED)
		counts[event->first_port >= 1024 + 14 * 64 || event->addr4[3] >= 16]++;
	return 0;
}

static void no_records(void **state)
{
	unsigned counts[2] = {};
	struct ring_buffer *ring;
	int last;

	(void)state;
	start(POOLS REST);
	ring = ring_buffer__new(dataplane_map_fd(plane.dp, DP_EVENTS), count_event, counts, NULL);
	assert_non_null(ring);
	assert_int_equal(fill(HOST, 100, &last), 100);
	assert_int_equal(send_packet(OTHER, 5000, IPPROTO_UDP), CGN_OUTBOUND);
	assert_int_equal(send_packet(DYNAMIC, 5000, IPPROTO_UDP), CGN_OUTBOUND);
	assert_true(ring_buffer__consume(ring) >= 0);
	ring_buffer__free(ring);
	assert_int_equal(counts[0], 0);
	assert_int_equal(counts[1], 2);
	stop();
}

static bool change(const char *yaml, struct dataplane_error *error)
{
	struct config *config = plane_config(yaml);
	struct pool_plan plan = {};
	bool is_done = dataplane_pools_prepare(plane.dp, config, &plan, error) && dataplane_configure(plane.dp, config, error) &&
		       dataplane_pools_commit(plane.dp, config, &plan, error);

	pool_plan_done(&plan);
	if (!is_done) {
		config_free(config);
		return false;
	}
	config_free(plane.config);
	plane.config = config;
	return true;
}

/* A pool becomes computed if nobody there would have to move; it grows, and who was there stays. */
static void a_configuration_changes(void **state)
{
	static const char plain[] =
		"pools:\n  - {name: c, addresses: [192.0.2.0/29], ports: 1024-2047, block-size: 64}\n"
		"  - {name: d, addresses: [192.0.2.16/31], ports: 1024-2047, block-size: 64}\n" REST;
	static const char larger[] =
		"pools:\n  - {name: c, addresses: [192.0.2.0/29, 192.0.2.8/31], ports: 1024-2047, block-size: 64, allocation: deterministic, "
		"subscribers: [198.51.100.0/26, 198.51.100.64/26], blocks: 1, dynamic: 2}\n"
		"  - {name: d, addresses: [192.0.2.16/31], ports: 1024-2047, block-size: 64}\n" REST;
	static const char turned[] =
		"pools:\n  - {name: c, addresses: [192.0.2.0/29, 192.0.2.8/31], ports: 1024-2047, block-size: 64, allocation: deterministic, "
		"subscribers: [198.51.100.64/26, 198.51.100.0/26], blocks: 1, dynamic: 2}\n"
		"  - {name: d, addresses: [192.0.2.16/31], ports: 1024-2047, block-size: 64}\n" REST;
	struct cgn_internal internal = plane_internal(IPPROTO_UDP, HOST, 5000);
	struct cgn_clear_request clear = { .origins = CGN_MAP | CGN_IMPLICIT };
	struct cgn_release_request release = { .subscriber = plane_subscriber(HOST) };
	struct dataplane_error error;
	struct computed_place place;
	struct cgn_external external;
	struct cgn_mapping mapping;

	(void)state;
	start(plain);
	assert_int_equal(plane_map(&plane, IPPROTO_UDP, HOST, 5000, "192.0.2.1", 1030), CGN_OK);	/* not his by computation */
	assert_true(dataplane_find_mapping(plane.dp, &internal, &mapping));
	assert_false(change(POOLS REST, &error));
	assert_int_equal(error.code, DATAPLANE_STATE);
	assert_non_null(strstr(error.text, "is in use by 198.51.100.2"));
	assert_int_equal(dataplane_clear(plane.dp, &mapping.slot, 1, &clear), 0);
	assert_int_equal(dataplane_release(plane.dp, &release), 0);
	assert_int_equal(release.released, 1);
	if (!change(POOLS REST, &error))
		fail_msg("%s", error.text);
	assert_int_equal(send_packet(HOST, 5000, IPPROTO_UDP), CGN_OUTBOUND);
	external = external_of(IPPROTO_UDP, HOST, 5000);
	place = place_of(HOST);
	assert_true(is_inside(&external, &place));
	if (!change(larger, &error))
		fail_msg("%s", error.text);
	assert_int_equal(send_packet("198.51.100.127", 5000, IPPROTO_UDP), CGN_OUTBOUND);
	external = external_of(IPPROTO_UDP, "198.51.100.127", 5000);
	place = place_of("198.51.100.127");
	assert_true(is_inside(&external, &place));
	assert_int_equal(external.addr4[3], 9);
	assert_false(change(turned, &error));	/* it does not become another one under them */
	assert_non_null(strstr(error.text, "is in use by 198.51.100.2, whose ports are others then"));
	assert_int_equal(send_packet("198.51.100.3", 5000, IPPROTO_UDP), CGN_OUTBOUND);
	external = external_of(IPPROTO_UDP, "198.51.100.3", 5000);
	place = place_of("198.51.100.3");
	assert_true(is_inside(&external, &place));
	if (!change(plain, &error))		/* but ports may be given out as they come from now on */
		fail_msg("%s", error.text);
	assert_int_equal(send_packet(HOST, 5000, IPPROTO_UDP), CGN_OUTBOUND);
	assert_int_equal(send_packet(OTHER, 5001, IPPROTO_UDP), CGN_OUTBOUND);
	stop();
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(first_packets),
		cmocka_unit_test(requests_draw_from_the_same),
		cmocka_unit_test(others_stay_out),
		cmocka_unit_test(who_needs_more),
		cmocka_unit_test(no_more_without_dynamic),
		cmocka_unit_test(no_records),
		cmocka_unit_test(a_configuration_changes),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
