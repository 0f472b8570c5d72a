/* SPDX-License-Identifier: GPL-2.0-only */
/* TCP by RFC 5382 and RFC 7857: which segments change what is known of a mapping's connections, and what time each gives it. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include "cgn/lifetime.h"
#include "frame.h"
#include "invariants.h"
#include "plane.h"

#define HOST "198.51.100.2"
#define PORT 4000
#define PEER "203.0.113.9"
#define STRANGER "203.0.113.10"
#define SEGMENT(bits) .tcp_flags = (bits), .protocol = IPPROTO_TCP
#define ACKED 0x10000000u	/* what the host has of its peer */
#define ESTABLISHED_S 7440
#define OPENING_S 100
#define CLOSING_S 50
#define AGO_S 40		/* longer than the cache keeps a packet from being seen */

static struct plane plane;

static const char config[] =
	"pools:\n  - {addresses: [192.0.2.1/32]}\n"
	"subscribers: {prefixes: [198.51.100.0/24]}\n"
	"timeouts: {tcp-opening: 100, tcp-closing: 50}\n"
	"tables: {mappings: 4096, subscribers: 64}\n";

static int start(void **state)
{
	(void)state;
	plane_start(&plane, config);
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

/* ---- segments ---- */

static struct cgn_internal host(void)
{
	return plane_internal(IPPROTO_TCP, HOST, PORT);
}

static struct cgn_mapping mapping(void)
{
	struct cgn_internal key = host();
	struct cgn_mapping found;

	assert_true(dataplane_find_mapping(plane.dp, &key, &found));
	return found;
}

static int pass(enum cgn_side side, const struct frame *frame)
{
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;

	plane_send(&plane, side, bytes, frame_build(frame, bytes), &run);
	return run.verdict;
}

static void out_to(const char *peer, uint16_t port, uint8_t flags, uint32_t acknowledged)
{
	struct frame frame = { .source = HOST, .source_port = PORT, .destination = peer, .destination_port = port, SEGMENT(flags),
		.acknowledged = acknowledged };

	assert_int_equal(pass(CGN_INTERNAL_SIDE, &frame), CGN_OUTBOUND);
}

static void out(uint8_t flags)
{
	out_to(PEER, 80, flags, flags & FRAME_ACK ? ACKED : 0);
}

static int in_from(const char *peer, uint16_t port, uint8_t flags, uint32_t sequence)
{
	struct cgn_mapping known = mapping();
	char external[16];
	struct frame frame = { .source = peer, .source_port = port, .destination_port = known.external.port, SEGMENT(flags),
		.sequence = sequence };

	frame.destination = inet_ntop(AF_INET, known.external.addr4, external, sizeof(external));
	return pass(CGN_EXTERNAL_SIDE, &frame);
}

static void in(uint8_t flags)
{
	assert_int_equal(in_from(PEER, 80, flags, ACKED), CGN_INBOUND);
}

static void establish(void)
{
	out(FRAME_SYN);
	in(FRAME_SYN | FRAME_ACK);
	out(FRAME_ACK);
}

/* ---- times ---- */

static uint32_t idle_s(void)
{
	struct cgn_mapping known = mapping();
	struct cgn_settings settings;

	assert_true(dataplane_settings(plane.dp, &settings));
	return mapping_idle_s(&settings, &known);
}

static uint32_t since_outbound_s(void)
{
	return dataplane_now_s() - mapping().state.last_outbound_s;
}

static uint32_t slot_remaining_s(void)
{
	const struct cgn_slot *slots;
	uint32_t count;

	slots = dataplane_slots(plane.dp, &count);
	return slots[mapping().slot].state.deadline_s - dataplane_now_s();
}

/* As if nothing had happened for AGO_S, seen from the mapping and from the cache. */
static void let_time_pass(void)
{
	static const struct cgn_cache_line empty;
	struct cgn_mapping known = mapping();
	struct cgn_internal key = host();
	uint32_t line;
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	int cache = dataplane_map_fd(plane.dp, DP_CACHE);

	known.state.last_outbound_s -= AGO_S;
	known.synced_s = (uint16_t)(known.synced_s - AGO_S);
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_MAPPINGS), &key, &known, BPF_EXIST), 0);
	assert_int_equal(bpf_obj_get_info_by_fd(cache, &info, &length), 0);
	for (line = 0; line < info.max_entries; line++)
		assert_int_equal(bpf_map_update_elem(cache, &line, &empty, 0), 0);
}

/* ---- states (RFC 7857 sections 2, 2.1) ---- */

static void opening_established_closing(void **state)
{
	(void)state;
	out(FRAME_SYN);
	assert_int_equal(idle_s(), OPENING_S);
	in(FRAME_SYN | FRAME_ACK);
	assert_int_equal(idle_s(), OPENING_S);
	out(FRAME_ACK);
	assert_int_equal(idle_s(), ESTABLISHED_S);
	out(FRAME_FIN | FRAME_ACK);
	assert_int_equal(idle_s(), ESTABLISHED_S);
	in(FRAME_ACK);
	in(FRAME_FIN | FRAME_ACK);
	assert_int_equal(idle_s(), CLOSING_S);
	out(FRAME_ACK);
	assert_int_equal(idle_s(), CLOSING_S);
	/* one more between the same endpoints, and one between others while the first is over */
	out(FRAME_SYN);
	assert_int_equal(idle_s(), OPENING_S);
	in(FRAME_SYN | FRAME_ACK);
	out(FRAME_ACK);
	assert_int_equal(idle_s(), ESTABLISHED_S);
	in(FRAME_FIN | FRAME_ACK);
	out(FRAME_FIN | FRAME_ACK);
	assert_int_equal(idle_s(), CLOSING_S);
	out_to(STRANGER, 443, FRAME_SYN, 0);
	assert_int_equal(idle_s(), OPENING_S);
	assert_false(mapping().state.flags & CGN_MANY_PEERS);
}

/* The reaper looks where the slot says: that must not be the time of a connection that is over. */
static void slot_follows_the_end(void **state)
{
	(void)state;
	establish();
	let_time_pass();
	out(FRAME_ACK);
	assert_in_range(slot_remaining_s(), ESTABLISHED_S - 2, ESTABLISHED_S + 20);
	out(FRAME_FIN | FRAME_ACK);
	assert_in_range(slot_remaining_s(), ESTABLISHED_S - 2, ESTABLISHED_S + 20);
	in(FRAME_FIN | FRAME_ACK);
	assert_in_range(slot_remaining_s(), CLOSING_S - 2, CLOSING_S + 20);
	/* and by the host's FIN, if that is the last */
	out(FRAME_SYN);
	in(FRAME_SYN | FRAME_ACK);
	out(FRAME_ACK);
	let_time_pass();
	out(FRAME_ACK);
	in(FRAME_FIN | FRAME_ACK);
	assert_in_range(slot_remaining_s(), ESTABLISHED_S - 2, ESTABLISHED_S + 20);
	out(FRAME_FIN | FRAME_ACK);
	assert_in_range(slot_remaining_s(), CLOSING_S - 2, CLOSING_S + 20);
}

/* RFC 5382 REQ-2: the SYNs cross, and each end answers the other's. */
static void simultaneous_open(void **state)
{
	(void)state;
	out(FRAME_SYN);
	in(FRAME_SYN);
	out(FRAME_SYN | FRAME_ACK);
	in(FRAME_SYN | FRAME_ACK);
	assert_int_equal(idle_s(), OPENING_S);
	out(FRAME_ACK);
	assert_int_equal(idle_s(), ESTABLISHED_S);
}

/* RFC 5382 REQ-4: nothing answers the SYN of a peer that is early, and it arrives when it comes again after the host's. */
static void early_syn(void **state)
{
	struct cgn_internal key = host();
	struct frame early = { .source = PEER, .source_port = 80, .destination = "192.0.2.1", .destination_port = 2000, SEGMENT(FRAME_SYN) };
	struct cgn_mapping known;
	struct plane_run run;
	uint8_t bytes[FRAME_MAX];
	uint32_t length = frame_build(&early, bytes);

	(void)state;
	plane_send(&plane, CGN_EXTERNAL_SIDE, bytes, length, &run);
	assert_int_equal(run.verdict, CGN_DROP_NO_MAPPING);
	assert_int_equal(run.action, XDP_DROP);
	assert_false(dataplane_find_mapping(plane.dp, &key, &known));
	/* the host's port is the one that its peer expects: of a mapping that the host had asked for */
	assert_int_equal(plane_map(&plane, IPPROTO_TCP, HOST, PORT, "192.0.2.1", 2000), CGN_OK);
	out(FRAME_SYN);
	assert_int_equal(pass(CGN_EXTERNAL_SIDE, &early), CGN_INBOUND);
	out(FRAME_SYN | FRAME_ACK);
	out(FRAME_ACK);
	known = mapping();
	assert_true(mapping_is_established(&known));
}

/* ---- what comes in unasked ---- */

static void scan_leaves_nothing(void **state)
{
	struct cgn_mapping before, after;
	uint16_t port;

	(void)state;
	out(FRAME_SYN);
	let_time_pass();
	before = mapping();
	for (port = 1000; port < 1010; port++) {
		assert_int_equal(in_from(STRANGER, port, FRAME_SYN, 0), CGN_INBOUND);
		assert_int_equal(in_from(STRANGER, port, FRAME_RST, 0), CGN_INBOUND);
		assert_int_equal(in_from(STRANGER, port, FRAME_FIN | FRAME_ACK, 0), CGN_INBOUND);
		assert_int_equal(in_from(STRANGER, port, FRAME_ACK, 0), CGN_INBOUND);
		out_to(STRANGER, port, FRAME_RST | FRAME_ACK, 1);	/* the host refuses (RFC 7857 section 7.1) */
	}
	after = mapping();
	assert_memory_equal(&after, &before, sizeof(after));
}

static void accepted_connection(void **state)
{
	(void)state;
	out(FRAME_SYN);
	assert_int_equal(in_from(STRANGER, 1000, FRAME_SYN, 0), CGN_INBOUND);
	out_to(STRANGER, 1000, FRAME_SYN | FRAME_ACK, 1);
	assert_int_equal(idle_s(), OPENING_S);
	assert_int_equal(in_from(STRANGER, 1000, FRAME_ACK, 0), CGN_INBOUND);
	out_to(STRANGER, 1000, FRAME_ACK, 1);
	assert_int_equal(idle_s(), ESTABLISHED_S);
}

/* RFC 4787 REQ-6, RFC 7857 section 7: nothing that comes in refreshes. */
static void inbound_refreshes_nothing(void **state)
{
	(void)state;
	establish();
	let_time_pass();
	in(FRAME_ACK);
	in(FRAME_SYN | FRAME_ACK);
	in(FRAME_FIN | FRAME_ACK);
	assert_in_range(since_outbound_s(), AGO_S, AGO_S + 2);
	out(FRAME_ACK);
	assert_in_range(since_outbound_s(), 0, 2);
}

/* RFC 5382 REQ-10, RFC 5508 REQ-6, RFC 7857 section 7.1: ICMP errors of either direction refresh nothing and end nothing. */
static void icmp_errors_change_nothing(void **state)
{
	struct cgn_mapping before, after;
	char external[16];
	struct frame sent = { .source_port = 0, .destination = PEER, .destination_port = 80, SEGMENT(FRAME_ACK) };
	struct frame received = { .source = PEER, .source_port = 80, .destination = HOST, .destination_port = PORT, SEGMENT(FRAME_ACK) };
	struct frame error_in = { .source = PEER, .protocol = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 3, .inner = &sent };
	struct frame error_out = { .source = HOST, .destination = PEER, .protocol = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 3,
		.inner = &received };

	(void)state;
	establish();
	let_time_pass();
	before = mapping();
	sent.source = error_in.destination = inet_ntop(AF_INET, before.external.addr4, external, sizeof(external));
	sent.source_port = before.external.port;
	assert_int_equal(pass(CGN_EXTERNAL_SIDE, &error_in), CGN_INBOUND);
	assert_int_equal(pass(CGN_INTERNAL_SIDE, &error_out), CGN_OUTBOUND);
	after = mapping();
	assert_memory_equal(&after, &before, sizeof(after));
}

/* ---- RST (RFC 7857 section 2.2) ---- */

static void reset_from_outside(void **state)
{
	(void)state;
	establish();
	let_time_pass();
	in(FRAME_RST);
	assert_int_equal(idle_s(), CLOSING_S);
	assert_in_range(since_outbound_s(), 0, 2);	/* the whole time from now on */
	assert_in_range(slot_remaining_s(), CLOSING_S - 2, CLOSING_S + 20);
	let_time_pass();
	in(FRAME_RST);
	assert_in_range(since_outbound_s(), AGO_S, AGO_S + 2);
	/* the host goes on: it had not been meant */
	out(FRAME_ACK);
	assert_int_equal(idle_s(), ESTABLISHED_S);
}

static void reset_from_inside(void **state)
{
	(void)state;
	establish();
	let_time_pass();
	out(FRAME_RST | FRAME_ACK);
	assert_int_equal(idle_s(), CLOSING_S);
	assert_in_range(since_outbound_s(), 0, 2);
	let_time_pass();
	in(FRAME_ACK);
	out(FRAME_RST);		/* in answer to what still comes */
	assert_in_range(since_outbound_s(), AGO_S, AGO_S + 2);
}

static void refused_connection(void **state)
{
	(void)state;
	out(FRAME_SYN);
	assert_int_equal(in_from(PEER, 80, FRAME_RST | FRAME_ACK, 0x70000000), CGN_INBOUND);	/* its number says nothing yet */
	assert_int_equal(idle_s(), CLOSING_S);
}

static void set_cache(uint32_t seconds)
{
	struct cgn_settings settings;
	uint32_t zero = 0;

	assert_true(dataplane_settings(plane.dp, &settings));
	settings.cache_clock[CGN_TCP] = (struct cgn_cache_clock){ .lag_s = (uint16_t)seconds, .units = (uint8_t)seconds };
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_SETTINGS), &zero, &settings, 0), 0);
}

static bool reset_is_believed(uint32_t sequence)
{
	assert_int_equal(in_from(PEER, 80, FRAME_RST, sequence), CGN_INBOUND);	/* translated in any case */
	if (idle_s() == ESTABLISHED_S)
		return false;
	out_to(PEER, 80, FRAME_ACK, ACKED);
	assert_int_equal(idle_s(), ESTABLISHED_S);
	return true;
}

#define MIB (1u << 20)

static void reset_outside_the_window(void **state)
{
	(void)state;
	set_cache(0);
	establish();
	/* of one acknowledgement only: a quarter of all numbers */
	assert_false(reset_is_believed(ACKED - MIB));
	assert_false(reset_is_believed(ACKED + 0x80000000));
	assert_false(reset_is_believed(ACKED + 1100 * MIB));
	assert_true(reset_is_believed(ACKED));
	/* of a second one after little, the window itself */
	out(FRAME_ACK);
	assert_false(reset_is_believed(ACKED + 20 * MIB));
	assert_false(reset_is_believed(ACKED - MIB));
	assert_true(reset_is_believed(ACKED + 1 * MIB));
	/* a fast connection may be far ahead of what was seen of it */
	out_to(PEER, 80, FRAME_ACK, ACKED - 100 * MIB);
	out_to(PEER, 80, FRAME_ACK, ACKED);
	assert_true(reset_is_believed(ACKED + 300 * MIB));
	assert_false(reset_is_believed(ACKED + 500 * MIB));
	/* numbers begin again at 0 */
	out_to(PEER, 80, FRAME_ACK, 0xffff0000);
	out_to(PEER, 80, FRAME_ACK, 0xffff0000);
	assert_int_equal(in_from(PEER, 80, FRAME_RST, 0x0a000000), CGN_INBOUND);
	assert_int_equal(idle_s(), ESTABLISHED_S);
	assert_int_equal(in_from(PEER, 80, FRAME_RST, 0x00010000), CGN_INBOUND);
	assert_int_equal(idle_s(), CLOSING_S);
}

static int tests(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, start, stop)
	const struct CMUnitTest cases[] = {
		CASE(opening_established_closing),
		CASE(slot_follows_the_end),
		CASE(simultaneous_open),
		CASE(early_syn),
		CASE(scan_leaves_nothing),
		CASE(accepted_connection),
		CASE(inbound_refreshes_nothing),
		CASE(icmp_errors_change_nothing),
		CASE(reset_from_outside),
		CASE(reset_from_inside),
		CASE(refused_connection),
		CASE(reset_outside_the_window),
	};

	return cmocka_run_group_tests(cases, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
