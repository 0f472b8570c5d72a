/* SPDX-License-Identifier: GPL-2.0-only */
/* One data plane, requests of one host to it, and what stands there afterwards. */
#ifndef CGN_TEST_REQUESTS_H
#define CGN_TEST_REQUESTS_H
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "frame.h"
#include "plane.h"

#define UDP 17
#define TCP 6
#define HOST "198.51.100.2"

static const char requests_config[] =
	"pools:\n  - {name: main, addresses: [192.0.2.0/31], ports: 1024-2047, block-size: 64}\n"
	"subscribers: {prefixes: [198.51.100.0/24], blocks: 2, explicit: 40, reserve: 8}\n"
	"timeouts: {udp: 2, tcp-established: 3, tcp-transitory: 2, icmp: 1}\n"
	"tables: {mappings: 4096, subscribers: 256}\n";

static struct plane plane;

static inline int requests_up(void **state)
{
	(void)state;
	plane_start(&plane, requests_config);
	return 0;
}

static inline int requests_down(void **state)
{
	(void)state;
	plane_stop(&plane);
	return 0;
}

/* ---- requests ---- */

static inline struct cgn_map_request question(uint8_t origin, uint16_t port, uint32_t lifetime_s)
{
	struct cgn_map_request request = { .internal = plane_internal(UDP, HOST, port), .lifetime_s = lifetime_s, .origin = origin,
		.nonce = { 1, 2, 3 } };

	return request;
}

static inline struct cgn_map_request ask(int (*operation)(void *, struct cgn_map_request *), struct cgn_map_request request)
{
	assert_int_equal(operation(plane.dp, &request), 0);
	return request;
}

static inline struct cgn_map_request map(uint16_t port, uint32_t lifetime_s)
{
	return ask(dataplane_map, question(CGN_MAP, port, lifetime_s));
}

static inline struct cgn_map_request delete(uint16_t port)
{
	return ask(dataplane_delete, question(CGN_MAP, port, 0));
}

static inline struct cgn_map_request peer_question(uint16_t port, uint16_t remote_port, uint32_t lifetime_s)
{
	static const uint8_t remote6[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9 };
	struct cgn_map_request request = question(CGN_PEER, port, lifetime_s);

	memcpy(request.remote6, remote6, sizeof(remote6));
	request.remote_port = remote_port;
	return request;
}

static inline struct cgn_map_request peer(uint16_t port, uint16_t remote_port, uint32_t lifetime_s)
{
	return ask(dataplane_peer, peer_question(port, remote_port, lifetime_s));
}

/* ---- what stands ---- */

static inline struct cgn_mapping mapping_of(uint16_t port)
{
	struct cgn_internal internal = plane_internal(UDP, HOST, port);
	struct cgn_mapping mapping;

	assert_true(dataplane_find_mapping(plane.dp, &internal, &mapping));
	return mapping;
}

static inline bool mapping_is_there(uint16_t port)
{
	struct cgn_internal internal = plane_internal(UDP, HOST, port);
	struct cgn_mapping mapping;

	return dataplane_find_mapping(plane.dp, &internal, &mapping);
}

static inline unsigned origins_of(uint16_t port)
{
	struct cgn_mapping mapping = mapping_of(port);
	struct dataplane_slot slot;

	assert_true(dataplane_read_slot(plane.dp, mapping.slot, &slot));
	assert_int_equal(slot.state.flags & CGN_ORIGINS, mapping.state.flags & CGN_ORIGINS);
	return mapping.state.flags & CGN_ORIGINS;
}

static inline struct cgn_subscriber subscriber(void)
{
	struct cgn_subscriber_key key = plane_subscriber(HOST);
	struct cgn_subscriber found;

	assert_true(dataplane_find_subscriber(plane.dp, &key, &found));
	return found;
}

static inline unsigned listed(uint32_t origins)
{
	struct cgn_subscriber_key key = plane_subscriber(HOST);
	uint32_t *slots;
	int count = dataplane_list(plane.dp, &key, origins, &slots);

	assert_true(count >= 0);
	free(slots);
	return (unsigned)count;
}

/* Runs the reaper over every slot that is due, as the daemon does once a second. */
static inline void reap(void)
{
	uint32_t count, slot, due[CGN_BATCH_MAX], found = 0;
	const struct cgn_slot *slots = dataplane_slots(plane.dp, &count);
	struct cgn_reap_request request;

	for (slot = 0; slot < count && found < CGN_BATCH_MAX; slot++)
		if (slots[slot].state.state == CGN_SLOT_LIVE && slots[slot].state.deadline_s <= dataplane_now_s())
			due[found++] = slot;
	assert_int_equal(dataplane_reap(plane.dp, due, found, &request), 0);
	assert_int_equal(request.busy, 0);
}

/* Reaps until `explicit_used` has come down to a number; fails if that takes longer than it may. */
static inline void reap_until_used(uint32_t used, uint32_t seconds)
{
	uint32_t end_s = dataplane_now_s() + seconds + 3;

	while (subscriber().explicit_used != used) {
		assert_true(dataplane_now_s() <= end_s);
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
		reap();
	}
}

static inline void send_out(uint16_t port)
{
	struct frame frame = { .source = HOST, .destination = "203.0.113.9", .protocol = UDP, .source_port = port, .destination_port = 53,
		.payload = 8 };
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;

	plane_send(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&frame, bytes), &run);
	assert_int_equal(run.verdict, CGN_OUTBOUND);
}

static inline int send_in(const char *source, uint16_t source_port, struct cgn_external external)
{
	char destination[INET_ADDRSTRLEN];
	struct frame frame = { .source = source, .protocol = UDP, .source_port = source_port, .destination_port = external.port,
		.payload = 8 };
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;

	inet_ntop(AF_INET, external.addr4, destination, sizeof(destination));
	frame.destination = destination;
	plane_send(&plane, CGN_EXTERNAL_SIDE, bytes, frame_build(&frame, bytes), &run);
	return run.verdict;
}

static inline void expect_external(struct cgn_external external, struct cgn_external expected)
{
	assert_memory_equal(&external, &expected, sizeof(expected));
}

static inline void expect_nothing_left(void)
{
	assert_int_equal(listed(CGN_ORIGINS), 0);
	assert_int_equal(subscriber().explicit_used, 0);
	assert_int_equal(subscriber().used[CGN_UDP], 0);
}

#endif
