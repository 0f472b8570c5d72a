/* SPDX-License-Identifier: GPL-2.0-only */
/* What the operator does to mappings of others, in the kernel: clear and move, alone and while packets of both addresses race on the
 * other CPU. Afterwards everything is counted (tests/lib/invariants.h): no leak, no external port with two owners. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "frame.h"
#include "invariants.h"
#include "plane.h"

#define UDP 17
#define TCP 6
#define OLD "198.51.100.2"
#define NEW "198.51.100.3"
#define OTHER "198.51.100.4"
#define PARTS (CGN_MAP | CGN_PEER)
#define LIFETIME_S 3600

static const char config[] =
	"pools:\n  - {name: main, addresses: [192.0.2.0/31], ports: 1024-2047, block-size: 64}\n"
	"subscribers: {prefixes: [198.51.100.0/29], blocks: 2, explicit: 40, reserve: 8}\n"
	"static:\n  - {protocol: udp, internal: \"198.51.100.2:7000\", external: \"192.0.2.1:2000\"}\n"
	"tables: {mappings: 4096, subscribers: 256}\n";

static struct plane plane;

static void expect_invariants(void)
{
	struct invariants found;

	if (!invariants_check(plane.dp, stdout, &found))
		fail_msg("%u broken", found.broken);
}

static int up(void **state)
{
	(void)state;
	plane_start(&plane, config);
	return 0;
}

static int down(void **state)
{
	(void)state;
	expect_invariants();
	plane_stop(&plane);
	return 0;
}

/* ---- requests ---- */

static struct cgn_map_request question(uint8_t origin, const char *host, uint8_t protocol, uint16_t port)
{
	struct cgn_map_request request = { .internal = plane_internal(protocol, host, port), .lifetime_s = LIFETIME_S, .origin = origin,
		.nonce = { 1, 2, 3 }, .client6 = { [10] = 0xff, [11] = 0xff }, .client_port = 5350 };

	memcpy(request.client6 + 12, request.internal.addr4, 4);
	return request;
}

static struct cgn_map_request ask(int (*operation)(void *, struct cgn_map_request *), struct cgn_map_request request)
{
	assert_int_equal(operation(plane.dp, &request), 0);
	return request;
}

/* Asks until no packet is in the way. */
static struct cgn_map_request map(const char *host, uint8_t protocol, uint16_t port)
{
	struct cgn_map_request request;
	int tries = 0;

	do
		request = ask(dataplane_map, question(CGN_MAP, host, protocol, port));
	while (request.status == CGN_BUSY && tries++ < 1000);
	assert_int_equal(request.status, CGN_OK);
	return request;
}

static void peer(const char *host, uint16_t port, uint16_t remote_port)
{
	struct cgn_map_request request = question(CGN_PEER, host, UDP, port);

	memcpy(request.remote6, (uint8_t[16]){ [10] = 0xff, 0xff, 203, 0, 113, 9 }, 16);
	request.remote_port = remote_port;
	assert_int_equal(ask(dataplane_peer, request).status, CGN_OK);
}

static void describe(const char *host, uint16_t port)
{
	struct cgn_describe_request request = { .key = { .internal = plane_internal(UDP, host, port), .opcode = CGN_MAP },
		.description = { .length = 4, .text = "camp" } };

	assert_int_equal(dataplane_describe(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_OK);
}

static void add_static(void)
{
	struct cgn_map_request request = question(CGN_STATIC, OLD, UDP, 7000);

	inet_pton(AF_INET, "192.0.2.1", request.suggested.addr4);
	request.suggested.port = 2000;
	assert_int_equal(ask(dataplane_map, request).status, CGN_OK);
}

static int list(const char *host, uint32_t origins, uint32_t **ret_slots)
{
	struct cgn_subscriber_key key = plane_subscriber(host);

	return dataplane_list(plane.dp, &key, origins, ret_slots);
}

static struct cgn_clear_request clear(const char *host, uint32_t origins)
{
	struct cgn_clear_request request = { .origins = origins };
	uint32_t *slots = NULL;
	int count = list(host, CGN_ORIGINS, &slots);

	assert_in_range(count, 0, CGN_BATCH_MAX);
	assert_int_equal(dataplane_clear(plane.dp, slots, (uint32_t)count, &request), 0);
	free(slots);
	return request;
}

static struct cgn_move_request move_one(const char *from, const char *to, uint32_t position)
{
	struct cgn_move_request request = { .from = plane_subscriber(from), .to = plane_subscriber(to), .position = position };

	assert_int_equal(dataplane_move(plane.dp, &request), 0);
	return request;
}

static struct cgn_move_request move(const char *from, const char *to)
{
	struct cgn_move_request sum = {}, one;
	uint32_t i;

	for (i = 0; i < CGN_SUBSCRIBER_BLOCKS_MAX; i++) {
		one = move_one(from, to, i);
		if (one.status == CGN_NOT_FOUND)
			continue;
		sum.status = one.status;
		sum.moved += one.moved;
		sum.parts += one.parts;
		sum.ended += one.ended;
		sum.lost += one.lost;
		sum.conflicts += one.conflicts;
	}
	return sum;
}

/* ---- packets ---- */

static uint32_t send_out(const char *host, uint8_t protocol, uint16_t port)
{
	struct frame frame = { .source = host, .source_port = port, .destination = "203.0.113.9", .destination_port = 53, .protocol = protocol,
		.tcp_flags = FRAME_SYN, .payload = 8 };
	uint8_t bytes[FRAME_MAX];

	return plane_send_fast(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&frame, bytes));
}

static uint32_t build_in(const struct cgn_external *external, uint8_t *bytes)
{
	char address[16];
	struct frame frame = { .source = "203.0.113.9", .source_port = 53, .destination = address, .destination_port = external->port,
		.protocol = external->protocol, .tcp_flags = FRAME_ACK, .payload = 8 };

	inet_ntop(AF_INET, external->addr4, address, sizeof(address));
	return frame_build(&frame, bytes);
}

/* Whom an inbound packet reaches; false: nobody. */
static bool reaches(const struct cgn_external *external, const char *host, uint16_t port)
{
	uint8_t bytes[FRAME_MAX], wanted[4];
	struct plane_run run;

	plane_send(&plane, CGN_EXTERNAL_SIDE, bytes, build_in(external, bytes), &run);
	inet_pton(AF_INET, host, wanted);
	return run.verdict == CGN_INBOUND && !memcmp(run.frame + 30, wanted, 4) && run.frame[36] == port >> 8 && run.frame[37] == (port & 255);
}

static struct cgn_subscriber subscriber(const char *host)
{
	struct cgn_subscriber_key key = plane_subscriber(host);
	struct cgn_subscriber found = {};

	dataplane_find_subscriber(plane.dp, &key, &found);
	return found;
}

static bool is_mapped(const char *host, uint8_t protocol, uint16_t port, struct cgn_mapping *ret_mapping)
{
	struct cgn_internal internal = plane_internal(protocol, host, port);

	return dataplane_find_mapping(plane.dp, &internal, ret_mapping);
}

static bool has_part(const char *host, uint16_t port, uint8_t opcode, uint8_t ordinal, struct cgn_explicit *ret_part)
{
	struct cgn_explicit_key key = { .internal = plane_internal(UDP, host, port), .opcode = opcode, .ordinal = ordinal };

	return dataplane_find_explicit(plane.dp, &key, ret_part);
}

/* ---- clear ---- */

/* F2b: an explicit mapping ends with all its parts, whatever its traffic; its quota is free, its port nobody's. */
static void clear_ends_everything(void **state)
{
	struct cgn_map_request made = map(OLD, UDP, 6000);
	struct cgn_explicit_key key = { .internal = made.internal, .opcode = CGN_MAP };
	struct cgn_description text;
	struct cgn_clear_request cleared;
	struct cgn_mapping mapping;
	struct cgn_explicit part;

	(void)state;
	add_static();
	describe(OLD, 6000);
	peer(OLD, 6000, 1000);
	peer(OLD, 6000, 1001);
	assert_int_equal(send_out(OLD, UDP, 6000), XDP_REDIRECT);
	assert_int_equal(send_out(OLD, TCP, 6001), XDP_REDIRECT);
	assert_true(reaches(&made.external, OLD, 6000));
	cleared = clear(OLD, CGN_MAP | CGN_PEER | CGN_IMPLICIT);
	assert_int_equal(cleared.ended, 2);
	assert_int_equal(cleared.explicit_ended, 3);
	assert_int_equal(cleared.busy, 0);
	assert_false(is_mapped(OLD, UDP, 6000, &mapping));
	assert_false(reaches(&made.external, OLD, 6000));
	assert_false(has_part(OLD, 6000, CGN_MAP, 0, &part));
	assert_false(has_part(OLD, 6000, CGN_PEER, 0, &part));
	assert_false(dataplane_find_description(plane.dp, &key, &text));
	assert_int_equal(subscriber(OLD).explicit_used, 0);
	assert_int_equal(subscriber(OLD).used[CGN_UDP] + subscriber(OLD).used[CGN_TCP], 0);
	assert_true(is_mapped(OLD, UDP, 7000, &mapping));
}

static void clear_by_origin(void **state)
{
	struct cgn_map_request made = map(OLD, UDP, 6000);
	struct cgn_clear_request cleared;
	struct cgn_mapping mapping;

	(void)state;
	peer(OLD, 6000, 1000);
	map(OLD, UDP, 6001);
	map(OLD, UDP, 6002);
	assert_int_equal(send_out(OLD, UDP, 6002), XDP_REDIRECT);
	assert_int_equal(send_out(OLD, UDP, 6003), XDP_REDIRECT);
	cleared = clear(OLD, CGN_MAP);
	assert_int_equal(cleared.explicit_ended, 3);
	assert_int_equal(cleared.ended, 1);	/* 6001; 6000 lives by its PEER, 6002 by its traffic (RFC 6887 section 15) */
	assert_int_equal(cleared.demoted, 2);
	assert_int_equal(cleared.kept, 1);
	assert_true(is_mapped(OLD, UDP, 6000, &mapping));
	assert_int_equal(mapping.state.flags & CGN_ORIGINS, CGN_PEER);
	assert_true(reaches(&made.external, OLD, 6000));
	assert_false(is_mapped(OLD, UDP, 6001, &mapping));
	assert_true(is_mapped(OLD, UDP, 6002, &mapping));
	assert_int_equal(mapping.state.flags & CGN_ORIGINS, CGN_IMPLICIT);
	assert_int_equal(subscriber(OLD).explicit_used, 1);
	expect_invariants();
	cleared = clear(OLD, CGN_IMPLICIT);
	assert_int_equal(cleared.ended, 2);
	assert_int_equal(cleared.explicit_ended, 0);
	assert_true(is_mapped(OLD, UDP, 6000, &mapping));
}

/* The operator's mappings, and those of another subscriber, even if their slots are named. */
static void clear_never_ends_static(void **state)
{
	struct cgn_clear_request request = { .origins = CGN_ORIGINS };
	struct cgn_mapping mapping;

	(void)state;
	add_static();
	assert_true(is_mapped(OLD, UDP, 7000, &mapping));
	assert_int_equal(dataplane_clear(plane.dp, &mapping.slot, 1, &request), 0);
	assert_int_equal(request.kept, 1);
	assert_true(is_mapped(OLD, UDP, 7000, &mapping));
}

/* ---- move ---- */

static void expect_moved(const struct cgn_map_request *made, uint8_t protocol, uint16_t port)
{
	struct cgn_mapping mapping;

	assert_false(is_mapped(OLD, protocol, port, &mapping));
	assert_true(is_mapped(NEW, protocol, port, &mapping));
	assert_memory_equal(&mapping.external, &made->external, sizeof(mapping.external));
	assert_true(reaches(&made->external, NEW, port));
	assert_int_equal(send_out(NEW, protocol, port), XDP_REDIRECT);
}

/* F4a: external endpoint, nonce, lifetime, description and PEERs go along; what the old address' packets made ends. */
static void move_keeps_everything(void **state)
{
	struct cgn_map_request made = map(OLD, UDP, 6000), tcp = map(OLD, TCP, 6000), again;
	struct cgn_explicit_key key = { .internal = plane_internal(UDP, NEW, 6000), .opcode = CGN_MAP };
	struct cgn_explicit before, after;
	struct cgn_description text;
	struct cgn_move_request moved;
	struct cgn_mapping mapping;

	(void)state;
	describe(OLD, 6000);
	peer(OLD, 6000, 1000);
	assert_int_equal(send_out(OLD, UDP, 6000), XDP_REDIRECT);
	assert_int_equal(send_out(OLD, UDP, 6009), XDP_REDIRECT);
	assert_true(has_part(OLD, 6000, CGN_MAP, 0, &before));
	moved = move(OLD, NEW);
	assert_int_equal(moved.status, CGN_OK);
	assert_int_equal(moved.moved, 2);
	assert_int_equal(moved.parts, 3);
	assert_int_equal(moved.ended, 1);
	assert_int_equal(moved.lost, 0);
	expect_moved(&made, UDP, 6000);
	expect_moved(&tcp, TCP, 6000);
	assert_false(is_mapped(OLD, UDP, 6009, &mapping));
	assert_true(has_part(NEW, 6000, CGN_MAP, 0, &after));
	assert_memory_equal(after.nonce, before.nonce, sizeof(after.nonce));
	assert_int_equal(after.expires_s, before.expires_s);
	assert_memory_equal(after.client4, key.internal.addr4, 4);
	assert_int_equal(after.client_port, 5350);
	assert_true(dataplane_find_description(plane.dp, &key, &text));
	assert_int_equal(text.length, 4);
	assert_true(has_part(NEW, 6000, CGN_PEER, 0, &after));
	assert_int_equal(subscriber(OLD).explicit_used, 0);
	assert_int_equal(subscriber(NEW).explicit_used, 3);
	expect_invariants();
	again = ask(dataplane_map, question(CGN_MAP, NEW, UDP, 6000));	/* the nonce that it was made with renews it */
	assert_int_equal(again.status, CGN_OK);
	assert_int_equal(again.created, 0);
	assert_memory_equal(&again.external, &made.external, sizeof(again.external));
	assert_int_equal(map(OLD, UDP, 6000).created, 1);		/* the old address is free to begin anew */
	assert_int_equal(ask(dataplane_delete, question(CGN_MAP, NEW, TCP, 6000)).status, CGN_OK);
}

/* Filters go along, and hold at once. */
static void move_keeps_filters(void **state)
{
	struct cgn_filter filter = { .remote6 = { [10] = 0xff, 0xff, 203, 0, 113, 9 }, .remote_port = 99, .prefix_length = 128 };
	struct cgn_map_request request = question(CGN_MAP, OLD, UDP, 6000);
	struct cgn_filters found;

	(void)state;
	request.filter_count = 1;
	request.filter_limit = 8;
	assert_int_equal(dataplane_map_filtered(plane.dp, &request, &filter), 0);
	assert_int_equal(request.status, CGN_OK);
	assert_false(reaches(&request.external, OLD, 6000));	/* port 53 is not permitted */
	assert_int_equal(move(OLD, NEW).moved, 1);
	assert_false(reaches(&request.external, NEW, 6000));
	request.internal = plane_internal(UDP, NEW, 6000);
	assert_true(dataplane_find_filters(plane.dp, &request.internal, &found));
	assert_int_equal(found.count, 1);
	assert_memory_equal(&found.filter[0], &filter, sizeof(filter));
	request.internal = plane_internal(UDP, OLD, 6000);
	assert_false(dataplane_find_filters(plane.dp, &request.internal, &found));
	filter.remote_port = 53;
	request = question(CGN_MAP, NEW, UDP, 6000);
	request.filter_count = 1;
	request.filter_limit = 8;
	assert_int_equal(dataplane_map_filtered(plane.dp, &request, &filter), 0);
	assert_int_equal(request.status, CGN_OK);
	assert_true(reaches(&request.external, NEW, 6000));
	assert_int_equal(clear(NEW, PARTS | CGN_IMPLICIT).explicit_ended, 1);
	assert_false(dataplane_find_filters(plane.dp, &request.internal, &found));
}

/* The new address has blocks of its own, and may now have more than its limit. */
static void move_to_one_who_has(void **state)
{
	struct cgn_map_request old = map(OLD, UDP, 6000), new = map(NEW, UDP, 6001);

	(void)state;
	assert_int_equal(move(OLD, NEW).moved, 1);
	expect_moved(&old, UDP, 6000);
	assert_true(reaches(&new.external, NEW, 6001));
	assert_int_equal(subscriber(NEW).explicit_used, 2);
	assert_int_equal(subscriber(NEW).used[CGN_UDP], 2);
	assert_true(subscriber(NEW).block[0] && subscriber(NEW).block[1]);
	assert_false(subscriber(OLD).block[0]);
}

/* A block has one owner: what shares it with a conflict stays too, and nothing has changed. */
static void conflict_leaves(void **state)
{
	struct cgn_map_request old = map(OLD, UDP, 6000), beside = map(OLD, UDP, 6001), new = map(NEW, UDP, 6000);
	struct cgn_move_request moved = move(OLD, NEW);

	(void)state;
	assert_int_equal(moved.status, CGN_CANNOT_PROVIDE);
	assert_int_equal(moved.conflicts, 1);
	assert_int_equal(moved.moved + moved.ended + moved.lost, 0);
	assert_true(reaches(&old.external, OLD, 6000));
	assert_true(reaches(&beside.external, OLD, 6001));
	assert_true(reaches(&new.external, NEW, 6000));
	expect_invariants();
	assert_int_equal(ask(dataplane_delete, question(CGN_MAP, NEW, UDP, 6000)).status, CGN_OK);
	assert_int_equal(move(OLD, NEW).moved, 2);	/* the way is free */
	expect_moved(&old, UDP, 6000);
	expect_moved(&beside, UDP, 6001);
	assert_int_equal(map(OLD, UDP, 6005).status, CGN_OK);	/* neither address was left without a block */
}

static void move_is_refused(void **state)
{
	(void)state;
	assert_int_equal(move_one(OLD, NEW, 0).status, CGN_NOT_FOUND);
	map(OLD, UDP, 6000);
	assert_int_equal(move_one(OLD, NEW, 5).status, CGN_NOT_FOUND);
	assert_int_equal(move_one(OLD, NEW, CGN_SUBSCRIBER_BLOCKS_MAX).status, CGN_BAD_REQUEST);
	assert_int_equal(move_one(OLD, "198.51.100.200", 0).status, CGN_NOT_ALLOWED);
	assert_int_equal(ask(dataplane_delete, question(CGN_MAP, OLD, UDP, 6000)).status, CGN_OK);
}

/* ---- races ---- */

#define STORM_MS 3000
#define EXPLICIT 8		/* mappings that go to and fro: UDP 6000 and on */

static atomic_bool stop;
static struct cgn_external externals[EXPLICIT];

struct storm {
	pthread_t thread;
	unsigned cpu, seed;
	void (*turn)(struct storm *storm);
	unsigned turns, met;
};

static const char *random_host(struct storm *storm) { return rand_r(&storm->seed) & 64 ? OLD : NEW; }

/* New flows of both addresses, and packets of the mappings themselves from whoever has them. */
static void packets_out(struct storm *storm)
{
	unsigned kind = (unsigned)rand_r(&storm->seed) >> 8 & 63;

	if (kind)
		send_out(random_host(storm), kind & 1 ? UDP : TCP, (uint16_t)(7000 + kind % 40));
	else
		send_out(random_host(storm), UDP, (uint16_t)(6000 + (unsigned)rand_r(&storm->seed) % EXPLICIT));
}

static void packets_in(struct storm *storm)
{
	uint8_t bytes[FRAME_MAX];

	storm->met += plane_send_fast(&plane, CGN_EXTERNAL_SIDE, bytes,
				      build_in(&externals[(unsigned)rand_r(&storm->seed) % EXPLICIT], bytes)) == XDP_REDIRECT;
}

static void move_to_and_fro(struct storm *storm)
{
	struct cgn_move_request moved;

	clear(OLD, CGN_IMPLICIT);
	clear(NEW, CGN_IMPLICIT);
	moved = move(OLD, NEW);
	assert_int_equal(moved.lost, 0);
	storm->met += moved.moved;
	clear(OLD, CGN_IMPLICIT);
	clear(NEW, CGN_IMPLICIT);
	moved = move(NEW, OLD);
	assert_int_equal(moved.lost, 0);
	storm->met += moved.moved;
}

/* Requests and clear, of a third subscriber, beside it: with traffic from the other CPU. */
static void map_and_clear(struct storm *storm)
{
	struct cgn_clear_request cleared;
	unsigned i;

	for (i = 0; i < 4; i++)
		ask(dataplane_map, question(CGN_MAP, OTHER, UDP, (uint16_t)(7000 + i)));
	cleared = clear(OTHER, rand_r(&storm->seed) & 64 ? CGN_ORIGINS : PARTS);
	storm->met += cleared.ended + cleared.demoted;
}

static void packets_of_other(struct storm *storm)
{
	send_out(OTHER, UDP, (uint16_t)(7000 + (unsigned)rand_r(&storm->seed) % 8));
}

static void *work(void *argument)
{
	struct storm *storm = argument;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(storm->cpu, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	for (; !stop; storm->turns++)
		storm->turn(storm);
	return NULL;
}

static void run_storm(struct storm *storms, unsigned count)
{
	struct timespec pause = { STORM_MS / 1000, STORM_MS % 1000 * 1000000 };
	unsigned i;

	stop = false;
	for (i = 0; i < count; i++) {
		storms[i].seed = i * 7919 + (unsigned)time(NULL);
		assert_int_equal(pthread_create(&storms[i].thread, NULL, work, &storms[i]), 0);
	}
	nanosleep(&pause, NULL);
	stop = true;
	for (i = 0; i < count; i++)
		pthread_join(storms[i].thread, NULL);
	for (i = 0; i < count; i++)
		printf("  worker %u: %u turns, %u met\n", i, storms[i].turns, storms[i].met);
}

static void move_against_packets(void **state)
{
	struct storm storms[] = { { .cpu = 0, .turn = move_to_and_fro }, { .cpu = 1, .turn = packets_out }, { .cpu = 1, .turn = packets_in } };
	struct cgn_mapping mapping;
	unsigned i;

	(void)state;
	for (i = 0; i < EXPLICIT; i++)
		externals[i] = map(OLD, UDP, (uint16_t)(6000 + i)).external;
	run_storm(storms, 3);
	assert_true(storms[0].met > 100);
	expect_invariants();
	for (i = 0; i < EXPLICIT; i++) {	/* each is somewhere, with its endpoint */
		const char *host = is_mapped(OLD, UDP, (uint16_t)(6000 + i), &mapping) && mapping.state.flags & CGN_MAP ? OLD : NEW;

		assert_true(is_mapped(host, UDP, (uint16_t)(6000 + i), &mapping) && mapping.state.flags & CGN_MAP);
		assert_memory_equal(&mapping.external, &externals[i], sizeof(mapping.external));
		assert_true(reaches(&externals[i], host, (uint16_t)(6000 + i)));
	}
}

static void clear_against_packets(void **state)
{
	struct storm storms[] = { { .cpu = 0, .turn = map_and_clear }, { .cpu = 1, .turn = packets_of_other } };
	uint32_t *slots = NULL;

	(void)state;
	run_storm(storms, 2);
	assert_true(storms[0].met > 100 && storms[1].turns > 100);
	expect_invariants();
	clear(OTHER, CGN_ORIGINS);
	assert_int_equal(list(OTHER, CGN_ORIGINS, &slots), 0);
	free(slots);
	assert_int_equal(subscriber(OTHER).explicit_used, 0);
}

#define test(function) cmocka_unit_test_setup_teardown(function, up, down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		test(clear_ends_everything), test(clear_by_origin), test(clear_never_ends_static), test(move_keeps_everything),
		test(move_keeps_filters), test(move_to_one_who_has), test(conflict_leaves), test(move_is_refused), test(move_against_packets),
		test(clear_against_packets),
	};

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		puts("needs two CPUs");
		return 4;
	}
	return cmocka_run_group_tests_name("operator", all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
