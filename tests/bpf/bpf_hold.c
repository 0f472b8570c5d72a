/* SPDX-License-Identifier: GPL-2.0-only */
/* Follow-on fragments before their first one: what the data plane hands over, what becomes of it when it is given back, and how little
 * of it there is at most. */
#include <linux/bpf.h>
#include <stdio.h>
#include <bpf/libbpf.h>
#include "requests.h"

#define REMOTE "203.0.113.9"
#define MORE 0x2000

static struct cgn_held got[256];
static unsigned got_count;

static int take(void *context, void *record, size_t size)
{
	(void)context;
	assert_true(got_count < 256);
	memset(&got[got_count], 0, sizeof(got[0]));
	memcpy(&got[got_count++], record, size < sizeof(got[0]) ? size : sizeof(got[0]));
	return 0;
}

static void drain(void)
{
	struct ring_buffer *ring = ring_buffer__new(dataplane_map_fd(plane.dp, DP_HELD), take, NULL, NULL);

	assert_non_null(ring);
	got_count = 0;
	assert_true(ring_buffer__consume(ring) >= 0);
	ring_buffer__free(ring);
}

static uint32_t build(const char *source, uint16_t id, uint16_t fragment, uint8_t bytes[FRAME_MAX])
{
	struct frame frame = { .source = source, .source_port = 5000, .destination = REMOTE, .destination_port = 53, .protocol = IPPROTO_UDP,
		.fragment_id = id, .fragment = fragment, .payload = 504 };

	memcpy(frame.destination_mac, plane.mac[CGN_INTERNAL_SIDE], 6);
	return frame_build(&frame, bytes);
}

static int send_part(const char *source, uint16_t id, uint16_t fragment)
{
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;

	plane_send(&plane, CGN_INTERNAL_SIDE, bytes, build(source, id, fragment, bytes), &run);
	return run.verdict;
}

static uint64_t counted(enum cgn_verdict verdict)
{
	struct cgn_count counts[CGN_VERDICT_COUNT];

	assert_true(dataplane_read_stats(plane.dp, counts));
	return counts[verdict].packets;
}

static int up(void **state)
{
	requests_up(state);
	assert_true(dataplane_set_holder(plane.dp, dataplane_now_s() + 60));
	return 0;
}

static void test_goes_on_when_the_first_came(void **state)
{
	uint8_t bytes[FRAME_MAX];
	uint32_t length;
	uint64_t before;

	(void)state;
	length = build(HOST, 7, 64, bytes);
	assert_int_equal(send_part(HOST, 7, 64), CGN_HELD);
	drain();
	assert_int_equal(got_count, 1);
	assert_int_equal(got[0].length, length);
	assert_int_equal(got[0].ifindex, plane.ifindex[CGN_INTERNAL_SIDE]);
	assert_memory_equal(got[0].bytes, bytes, length);
	assert_false(dataplane_knows_fragment(plane.dp, &got[0].key));
	assert_int_equal(send_part(HOST, 7, MORE), CGN_OUTBOUND);
	drain();
	assert_int_equal(got_count, 1);		/* word that it came */
	assert_int_equal(got[0].length, 0);
	assert_true(dataplane_knows_fragment(plane.dp, &got[0].key));
	got[0].length = length;
	got[0].ifindex = plane.ifindex[CGN_INTERNAL_SIDE];
	memcpy(got[0].bytes, bytes, length);
	before = counted(CGN_OUTBOUND);
	assert_int_equal(dataplane_release_held(plane.dp, &got[0]), 0);
	assert_int_equal(counted(CGN_OUTBOUND), before + 1);
	assert_int_equal(send_part(HOST, 7, MORE), CGN_OUTBOUND);	/* nobody waits any more */
	drain();
	assert_int_equal(got_count, 0);
}

static void test_is_dropped_without(void **state)
{
	uint64_t before = counted(CGN_DROP_FRAGMENT);

	(void)state;
	assert_int_equal(send_part(HOST, 7, 64), CGN_HELD);
	drain();
	assert_int_equal(got_count, 1);
	assert_int_equal(dataplane_release_held(plane.dp, &got[0]), 0);
	assert_int_equal(counted(CGN_DROP_FRAGMENT), before + 1);
	got[0].ifindex = 1;	/* lo: none of ours. Nobody sees it untranslated */
	assert_int_equal(dataplane_release_held(plane.dp, &got[0]), 0);
	assert_int_equal(counted(CGN_DROP_FRAGMENT), before + 2);
	drain();
	assert_int_equal(got_count, 0);		/* and not held again */
}

static void test_nobody_keeps_them(void **state)
{
	(void)state;
	assert_int_equal(send_part(HOST, 7, 64), CGN_HELD);
	assert_true(dataplane_set_holder(plane.dp, dataplane_now_s() - 1));
	assert_int_equal(send_part(HOST, 7, 64), CGN_DROP_FRAGMENT);
	assert_int_equal(send_part(HOST, 8, 64), CGN_DROP_FRAGMENT);
	assert_int_equal(send_part(HOST, 7, MORE), CGN_OUTBOUND);
}

static void test_longest_frame(void **state)
{
	uint8_t bytes[FRAME_MAX + 1] = { 0 };
	uint64_t dropped = counted(CGN_DROP_FRAGMENT);
	uint8_t *ip = bytes + 14;

	(void)state;
	_Static_assert(FRAME_MAX == CGN_HELD_BYTES, "the longest frame is the longest that is held");
	build(HOST, 7, 64, bytes);
	ip[2] = (CGN_HELD_BYTES - 14) >> 8;
	ip[3] = (CGN_HELD_BYTES - 14) & 0xff;
	assert_int_equal(plane_send_fast(&plane, CGN_INTERNAL_SIDE, bytes, CGN_HELD_BYTES), XDP_DROP);
	assert_int_equal(counted(CGN_HELD), 1);
	assert_int_equal(counted(CGN_DROP_FRAGMENT), dropped);
	drain();
	assert_int_equal(got_count, 1);
	assert_int_equal(got[0].length, CGN_HELD_BYTES);
	assert_int_equal(dataplane_release_held(plane.dp, &got[0]), 0);		/* the kernel takes it back */
	assert_int_equal(counted(CGN_DROP_FRAGMENT), dropped + 1);
	assert_int_equal(plane_send_fast(&plane, CGN_INTERNAL_SIDE, bytes, CGN_HELD_BYTES + 1), XDP_DROP);
	assert_int_equal(counted(CGN_HELD), 1);
	assert_int_equal(counted(CGN_DROP_FRAGMENT), dropped + 2);
}

/* One sender takes no more than its part, and leaves the others theirs; all together fill the ring and no more. */
static void test_bounds(void **state)
{
	unsigned i, held = 0, all = 0;
	char source[16];

	(void)state;
	for (i = 0; i < 200; i++)
		held += send_part(HOST, (uint16_t)i, 64) == CGN_HELD;
	assert_in_range(held, CGN_HELD_SENDER_MAX, 150);	/* 100 a second more */
	assert_int_equal(send_part("198.51.100.3", 1, 64), CGN_HELD);
	for (i = 0; i < 3000; i++) {
		snprintf(source, sizeof(source), "198.51.%u.%u", i / 250 + 101, i % 250 + 1);
		all += send_part(source, 9, 64) == CGN_HELD;
	}
	assert_in_range(all, 250, (1 << 20) / sizeof(struct cgn_held));
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test_setup_teardown(test_goes_on_when_the_first_came, up, requests_down),
		cmocka_unit_test_setup_teardown(test_is_dropped_without, up, requests_down),
		cmocka_unit_test_setup_teardown(test_nobody_keeps_them, up, requests_down),
		cmocka_unit_test_setup_teardown(test_longest_frame, up, requests_down),
		cmocka_unit_test_setup_teardown(test_bounds, up, requests_down),
	};

	return cmocka_run_group_tests_name("hold", all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
