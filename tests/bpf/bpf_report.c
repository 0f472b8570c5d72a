/* SPDX-License-Identifier: GPL-2.0-only */
/* How often xcgn sends ICMP errors of its own: a burst and then a rate, to one sender and on each side in all, and none at all if the
 * configuration says so. What they look like is in bpf_fixtures. */
#include <stdio.h>
#include <time.h>
#include <linux/bpf.h>
#include "requests.h"

#define REMOTE "203.0.113.9"
#define SOURCE_BURST 10		/* bpf/report.bpf.h */
#define TOTAL_BURST 100

static const char *const yaml = "pools:\n  - {addresses: [192.0.2.1/32]}\nsubscribers: {prefixes: [198.51.100.0/24]}\n"
				"tables: {mappings: 4096, subscribers: 64}\n";

static void start(const char *rates)
{
	char text[512];

	snprintf(text, sizeof(text), "%sicmp-errors: %s\n", yaml, rates);
	plane_start(&plane, text);
}

/* Reports about `count` packets whose time to live ended. */
static unsigned reports(enum cgn_side side, const char *source, const char *destination, unsigned count)
{
	struct frame frame = { .source = source, .source_port = 1000, .destination = destination, .destination_port = 20000,
		.protocol = IPPROTO_UDP, .payload = 8, .ttl = 1 };
	unsigned sent = 0, i;
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;
	uint32_t length;

	memcpy(frame.destination_mac, plane.mac[side], 6);
	length = frame_build(&frame, bytes);
	for (i = 0; i < count; i++) {
		plane_send(&plane, side, bytes, length, &run);
		assert_int_equal(run.verdict, CGN_DROP_TTL);
		assert_int_equal(run.report, run.action == XDP_REDIRECT ? CGN_REPORT_TTL : CGN_REPORT_WITHHELD);
		sent += run.action == XDP_REDIRECT;
	}
	return sent;
}

static unsigned out(const char *source, unsigned count) { return reports(CGN_INTERNAL_SIDE, source, REMOTE, count); }
static unsigned in(const char *source, unsigned count) { return reports(CGN_EXTERNAL_SIDE, source, "192.0.2.1", count); }

static void test_each_sender_has_its_own(void **state)
{
	unsigned got;

	(void)state;
	start("{sender: 1, total: 1000000}");
	got = out("198.51.100.2", 40);
	assert_in_range(got, SOURCE_BURST, SOURCE_BURST + 1);	/* one more if a second passed meanwhile */
	got = out("198.51.100.3", 40);
	assert_in_range(got, SOURCE_BURST, SOURCE_BURST + 1);
	plane_stop(&plane);
}

static void test_it_comes_back_with_time(void **state)
{
	struct timespec tick = { .tv_nsec = 5000000 };
	unsigned i, got = 0;

	(void)state;
	start("{sender: 20, total: 1000}");
	assert_in_range(out("198.51.100.2", 30), SOURCE_BURST, SOURCE_BURST + 5);
	for (i = 0; i < 400 && !got; i++) {
		nanosleep(&tick, NULL);
		got = out("198.51.100.2", 1);
	}
	assert_int_equal(got, 1);
	plane_stop(&plane);
}

/* Many senders empty the total of their side. The other side's is not touched: a flood from outside takes nothing from subscribers. */
static void test_each_side_has_a_total(void **state)
{
	unsigned got = 0, i;
	char source[16];

	(void)state;
	start("{sender: 1000000, total: 1}");
	assert_int_equal(plane_map(&plane, UDP, "198.51.100.2", 5000, "192.0.2.1", 20000), CGN_OK);
	for (i = 0; i < 200; i++) {
		snprintf(source, sizeof(source), "8.8.%u.%u", i, i);
		got += in(source, 1);
	}
	assert_in_range(got, TOTAL_BURST, TOTAL_BURST + 3);
	assert_int_equal(out("198.51.100.2", 5), 5);
	plane_stop(&plane);
}

static void test_none(void **state)
{
	static const char *const rates[] = { "{sender: 0}", "{total: 0}", "{sender: 0, total: 0}" };
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		start(rates[i]);
		assert_int_equal(out("198.51.100.2", 3), 0);
		plane_stop(&plane);
	}
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_each_sender_has_its_own),
		cmocka_unit_test(test_it_comes_back_with_time),
		cmocka_unit_test(test_each_side_has_a_total),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests_name("report", all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
