/* SPDX-License-Identifier: GPL-2.0-only */
/* Address-dependent filtering (RFC 4787 REQ-8, RFC 5382 REQ-3): who may write to a mapping that packets made. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include "frame.h"
#include "invariants.h"
#include "plane.h"

#define KNOWN "203.0.113.9"
#define STRANGER "203.0.113.10"
#define PORT 4000

static struct plane plane;
static char A[16], B[16];	/* two hosts of each test's own */
static unsigned hosts = 2;

#define POOL "pools:\n  - {addresses: [192.0.2.1/32]}\nsubscribers: {prefixes: [198.51.100.0/24]}\ntables: {mappings: 65536, subscribers: 64}\n"

static int start(void **state)
{
	(void)state;
	plane_start(&plane, POOL "filtering: address-dependent\n");
	return 0;
}

static int begin(void **state)
{
	(void)state;
	snprintf(A, sizeof(A), "198.51.100.%u", hosts++);
	snprintf(B, sizeof(B), "198.51.100.%u", hosts++);
	return 0;
}

static int start_open(void **state)
{
	(void)state;
	plane_start(&plane, POOL);
	return 0;
}

static int stop(void **state)
{
	struct invariants found;

	(void)state;
	assert_true(invariants_check(plane.dp, stdout, &found));
	plane_stop(&plane);
	return 0;
}

/* ---- packets ---- */

static int pass(enum cgn_side side, const struct frame *frame)
{
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;

	plane_send(&plane, side, bytes, frame_build(frame, bytes), &run);
	return run.verdict;
}

static struct cgn_external external_of(uint8_t protocol, const char *host, uint16_t port)
{
	struct cgn_internal key = plane_internal(protocol, host, port);
	struct cgn_mapping mapping;

	assert_true(dataplane_find_mapping(plane.dp, &key, &mapping));
	return mapping.external;
}

static int out(uint8_t protocol, const char *host, uint16_t port, const char *remote, uint16_t remote_port)
{
	struct frame frame = { .protocol = protocol, .source = host, .source_port = port, .destination = remote, .destination_port = remote_port,
		.identifier = port, .icmp_type = 8, .tcp_flags = FRAME_SYN, .payload = 8 };

	return pass(CGN_INTERNAL_SIDE, &frame);
}

static int in(uint8_t protocol, const char *remote, uint16_t remote_port, const char *host, uint16_t port)
{
	struct cgn_external external = external_of(protocol, host, port);
	char text[16];
	struct frame frame = { .protocol = protocol, .source = remote, .source_port = remote_port, .destination_port = external.port,
		.destination = inet_ntop(AF_INET, external.addr4, text, sizeof(text)), .identifier = external.port, .tcp_flags = FRAME_SYN, .payload = 8 };

	return pass(CGN_EXTERNAL_SIDE, &frame);
}

#define UDP_OUT(remote) assert_int_equal(out(IPPROTO_UDP, A, PORT, remote, 53), CGN_OUTBOUND)
#define EXPECT_UDP(remote, port, verdict) assert_int_equal(in(IPPROTO_UDP, remote, port, A, PORT), verdict)

/* ---- who may write ---- */

static void whom_the_host_wrote_to(void **state)
{
	(void)state;
	UDP_OUT(KNOWN);
	EXPECT_UDP(KNOWN, 53, CGN_INBOUND);
	EXPECT_UDP(KNOWN, 5000, CGN_INBOUND);		/* by address, not by port */
	EXPECT_UDP(STRANGER, 53, CGN_DROP_UNASKED);
	UDP_OUT(STRANGER);
	EXPECT_UDP(STRANGER, 53, CGN_INBOUND);
	EXPECT_UDP(KNOWN, 53, CGN_INBOUND);
	/* of each internal endpoint by itself, and of each protocol */
	assert_int_equal(out(IPPROTO_UDP, A, PORT + 1, KNOWN, 53), CGN_OUTBOUND);
	assert_int_equal(in(IPPROTO_UDP, STRANGER, 53, A, PORT + 1), CGN_DROP_UNASKED);
	assert_int_equal(out(IPPROTO_TCP, A, PORT, KNOWN, 80), CGN_OUTBOUND);
	assert_int_equal(in(IPPROTO_TCP, STRANGER, 80, A, PORT), CGN_DROP_UNASKED);
	assert_int_equal(in(IPPROTO_TCP, KNOWN, 80, A, PORT), CGN_INBOUND);
	assert_int_equal(out(IPPROTO_ICMP, A, 77, KNOWN, 0), CGN_OUTBOUND);
	assert_int_equal(in(IPPROTO_ICMP, KNOWN, 0, A, 77), CGN_INBOUND);
	assert_int_equal(in(IPPROTO_ICMP, STRANGER, 0, A, 77), CGN_DROP_UNASKED);
}

static void everybody_without_it(void **state)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);

	(void)state;
	UDP_OUT(KNOWN);
	EXPECT_UDP(STRANGER, 53, CGN_INBOUND);
	assert_int_equal(bpf_obj_get_info_by_fd(dataplane_map_fd(plane.dp, DP_SESSIONS), &info, &length), 0);
	assert_int_equal(info.max_entries, 1);
}

/* RFC 5382 REQ-4: silence towards a SYN that is early, and when it comes again after the host's it passes. */
static void early_syn(void **state)
{
	(void)state;
	assert_int_equal(out(IPPROTO_TCP, A, PORT, STRANGER, 80), CGN_OUTBOUND);
	assert_int_equal(in(IPPROTO_TCP, KNOWN, 80, A, PORT), CGN_DROP_UNASKED);
	assert_int_equal(out(IPPROTO_TCP, A, PORT, KNOWN, 80), CGN_OUTBOUND);
	assert_int_equal(in(IPPROTO_TCP, KNOWN, 80, A, PORT), CGN_INBOUND);
}

static void set_udp(uint32_t seconds)
{
	struct cgn_settings settings;
	uint32_t zero = 0;

	assert_true(dataplane_settings(plane.dp, &settings));
	settings.udp_s = seconds;
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_SETTINGS), &zero, &settings, 0), 0);
}

/* Makes every session look as if its packet had gone out so long ago. */
static void let_time_pass(uint32_t seconds)
{
	int fd = dataplane_map_fd(plane.dp, DP_SESSIONS), i;
	struct cgn_session_line line;
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info), index;

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &length), 0);
	for (index = 0; index < info.max_entries; index++) {
		assert_int_equal(bpf_map_lookup_elem(fd, &index, &line), 0);
		for (i = 0; i < CGN_SESSION_WAYS; i++)
			if (line.session[i].word)
				line.session[i].seen = (line.session[i].seen - seconds / CGN_SESSION_UNIT_S) & ((1u << CGN_SESSION_CLOCK_BITS) - 1);
		assert_int_equal(bpf_map_update_elem(fd, &index, &line, 0), 0);
	}
}

static void for_the_idle_time(void **state)
{
	(void)state;
	set_udp(60);
	UDP_OUT(KNOWN);
	UDP_OUT(STRANGER);
	let_time_pass(60);
	EXPECT_UDP(KNOWN, 53, CGN_INBOUND);		/* which refreshes nothing */
	let_time_pass(20);
	EXPECT_UDP(KNOWN, 53, CGN_DROP_UNASKED);
	UDP_OUT(KNOWN);
	EXPECT_UDP(KNOWN, 53, CGN_INBOUND);
	EXPECT_UDP(STRANGER, 53, CGN_DROP_UNASKED);
	set_udp(300);
}

/* A port that changed hands: its new owner's filters begin empty. */
static void not_for_the_next_owner(void **state)
{
	struct cgn_reap_request reaped;
	struct cgn_map_request request;
	struct cgn_external before;
	uint32_t slot;

	(void)state;
	UDP_OUT(KNOWN);
	before = external_of(IPPROTO_UDP, A, PORT);
	slot = CGN_SLOT(0, CGN_UDP, before.port);
	set_udp(-1u);
	assert_int_equal(dataplane_reap(plane.dp, &slot, 1, &reaped), 0);
	assert_int_equal(reaped.deleted, 1);
	set_udp(300);
	/* the same host has it again, by a request, and its packets keep it when that ends */
	request = (struct cgn_map_request){ .internal = plane_internal(IPPROTO_UDP, A, PORT), .origin = CGN_MAP, .lifetime_s = 3600,
		.suggested = before, .flags = CGN_PREFER_FAILURE };
	assert_int_equal(dataplane_map(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_OK);
	EXPECT_UDP(KNOWN, 53, CGN_INBOUND);
	UDP_OUT(STRANGER);
	assert_int_equal(dataplane_delete(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_OK);
	assert_int_equal(external_of(IPPROTO_UDP, A, PORT).port, before.port);
	EXPECT_UDP(STRANGER, 53, CGN_INBOUND);
	EXPECT_UDP(KNOWN, 53, CGN_DROP_UNASKED);
}

/* ---- explicit mappings ---- */

static void map_is_open(void **state)
{
	static const struct cgn_filter filter = { .remote6 = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9 }, .prefix_length = 128 };
	struct cgn_map_request request = { .internal = plane_internal(IPPROTO_UDP, A, PORT), .origin = CGN_MAP, .lifetime_s = 3600 };

	(void)state;
	UDP_OUT(KNOWN);
	EXPECT_UDP(STRANGER, 53, CGN_DROP_UNASKED);
	assert_int_equal(dataplane_map(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_OK);
	EXPECT_UDP(STRANGER, 53, CGN_INBOUND);
	/* its filters decide, whomever the host writes to */
	request.filter_count = request.filter_limit = 1;
	assert_int_equal(dataplane_map_filtered(plane.dp, &request, &filter), 0);
	assert_int_equal(request.status, CGN_OK);
	UDP_OUT(STRANGER);
	EXPECT_UDP(STRANGER, 53, CGN_DROP_FILTER);
	EXPECT_UDP(KNOWN, 53, CGN_INBOUND);
	/* what it leaves behind is what packets made */
	request.filter_count = 0;
	assert_int_equal(dataplane_delete(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_OK);
	EXPECT_UDP(STRANGER, 53, CGN_INBOUND);
	EXPECT_UDP("203.0.113.11", 53, CGN_DROP_UNASKED);
}

static void peer_names_its_peer(void **state)
{
	struct cgn_map_request request = { .internal = plane_internal(IPPROTO_UDP, A, PORT), .origin = CGN_PEER, .lifetime_s = 3600,
		.remote6 = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9 }, .remote_port = 53 };

	(void)state;
	assert_int_equal(dataplane_peer(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_OK);
	EXPECT_UDP(KNOWN, 53, CGN_INBOUND);
	EXPECT_UDP(STRANGER, 53, CGN_DROP_UNASKED);
	UDP_OUT(STRANGER);
	EXPECT_UDP(STRANGER, 53, CGN_INBOUND);
}

/* ---- hairpin, ICMP errors ---- */

/* Both punch: each writes to the other's external endpoint. The first packet is dropped, and has opened its sender's filter. */
static void hairpin(void **state)
{
	struct cgn_external a, b;
	char text[2][16];

	(void)state;
	UDP_OUT(KNOWN);
	assert_int_equal(out(IPPROTO_UDP, B, PORT, KNOWN, 53), CGN_OUTBOUND);
	a = external_of(IPPROTO_UDP, A, PORT);
	b = external_of(IPPROTO_UDP, B, PORT);
	inet_ntop(AF_INET, a.addr4, text[0], 16);
	inet_ntop(AF_INET, b.addr4, text[1], 16);
	assert_int_equal(out(IPPROTO_UDP, A, PORT, text[1], b.port), CGN_DROP_UNASKED);
	assert_int_equal(out(IPPROTO_UDP, B, PORT, text[0], a.port), CGN_HAIRPIN);
	assert_int_equal(out(IPPROTO_UDP, A, PORT, text[1], b.port), CGN_HAIRPIN);
}

static int error_about(const char *remote, const char *router)
{
	struct cgn_external external = external_of(IPPROTO_UDP, A, PORT);
	char text[16];
	struct frame sent = { .protocol = IPPROTO_UDP, .source_port = external.port, .destination = remote, .destination_port = 53, .payload = 8 };
	struct frame error = { .protocol = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 3, .source = router, .inner = &sent };

	sent.source = error.destination = inet_ntop(AF_INET, external.addr4, text, sizeof(text));
	return pass(CGN_EXTERNAL_SIDE, &error);
}

/* RFC 4787 REQ-12: judged by the packet that they are about, whoever sends them. */
static void icmp_errors(void **state)
{
	(void)state;
	UDP_OUT(KNOWN);
	assert_int_equal(error_about(KNOWN, KNOWN), CGN_INBOUND);
	assert_int_equal(error_about(KNOWN, STRANGER), CGN_INBOUND);
	assert_int_equal(error_about(STRANGER, STRANGER), CGN_DROP_UNASKED);
}

/* ---- limits ---- */

static void one_subscriber_fills_his_own(void **state)
{
	char remote[16];
	unsigned n, lost = 0;

	(void)state;
	assert_int_equal(out(IPPROTO_UDP, B, PORT, KNOWN, 53), CGN_OUTBOUND);
	UDP_OUT(KNOWN);
	for (n = 0; n < 6000; n++) {
		snprintf(remote, sizeof(remote), "8.%u.%u.1", n >> 8, n & 255);
		UDP_OUT(remote);
	}
	assert_int_equal(in(IPPROTO_UDP, KNOWN, 53, B, PORT), CGN_INBOUND);
	/* of one block of 256 ports: room for 1024, and most of the last 500 are there */
	for (n = 19500; n < 6000; n++) {
		snprintf(remote, sizeof(remote), "8.%u.%u.1", n >> 8, n & 255);
		lost += in(IPPROTO_UDP, remote, 53, A, PORT) != CGN_INBOUND;
	}
	assert_true(lost < 200);
	for (n = 0, lost = 0; n < 500; n++) {
		snprintf(remote, sizeof(remote), "8.%u.%u.1", n >> 8, n & 255);
		lost += in(IPPROTO_UDP, remote, 53, A, PORT) == CGN_DROP_UNASKED;
	}
	assert_true(lost > 400);
}

/* As many as there is room for, used at random, are all there nearly. */
static void half_full(void **state)
{
	char remote[16];
	unsigned n, lost = 0;

	(void)state;
	for (n = 0; n < 512; n++) {
		snprintf(remote, sizeof(remote), "8.0.%u.%u", n >> 8, n & 255);
		assert_int_equal(out(IPPROTO_UDP, A, (uint16_t)(PORT + n % 8), remote, 53), CGN_OUTBOUND);
	}
	for (n = 0; n < 512; n++) {
		snprintf(remote, sizeof(remote), "8.0.%u.%u", n >> 8, n & 255);
		lost += in(IPPROTO_UDP, remote, 53, A, (uint16_t)(PORT + n % 8)) != CGN_INBOUND;
	}
	printf("%u of 512 sessions lost where 1024 have room\n", lost);
	assert_true(lost < 26);
}

static int tests(void)
{
#define CASE(test) cmocka_unit_test_setup(test, begin)
	const struct CMUnitTest cases[] = {
		CASE(whom_the_host_wrote_to),
		CASE(early_syn),
		CASE(for_the_idle_time),
		CASE(not_for_the_next_owner),
		CASE(map_is_open),
		CASE(peer_names_its_peer),
		CASE(hairpin),
		CASE(icmp_errors),
		CASE(one_subscriber_fills_his_own),
		CASE(half_full),
	};

	const struct CMUnitTest without[] = { CASE(everybody_without_it) };
	int failed = cmocka_run_group_tests_name("address-dependent", cases, start, stop);

	return failed + cmocka_run_group_tests_name("endpoint-independent", without, start_open, stop);
}

int main(void)
{
	return plane_guard(tests);
}
