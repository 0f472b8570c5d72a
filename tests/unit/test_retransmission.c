/* SPDX-License-Identifier: GPL-2.0-only */
/* The schedule of RFC 6887 section 8.1.1 and that of RFC 6886 section 3.1, over a clock that the test turns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "retransmission.h"

#define MS 1000000ull
#define S (1000 * MS)

static void expect_between(uint64_t value, double low, double high)
{
	assert_true((double)value >= low);
	assert_true((double)value <= high);
}

/* RT = (1 + RAND) * 3 s, then (1 + RAND) * min(2 * RTprev, 1024 s), with no end to it. */
static void test_pcp_schedule(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct retransmission r;
		uint64_t random_state = seed, now = 7 * S, before = 0;

		retransmission_start(&r, &retransmission_pcp, now, RETRANSMISSION_NEVER);
		for (int i = 0; i < 20; i++) {
			double base = !before ? 3.0 * S : 2.0 * (double)before < 1024.0 * S ? 2.0 * (double)before : 1024.0 * S;

			assert_int_equal(r.next_ns, now);
			assert_false(retransmission_due(&r, now - 1, &random_state));
			assert_true(retransmission_due(&r, now, &random_state));
			assert_int_equal(r.next_ns, now + r.rt_ns);
			expect_between(r.rt_ns, base * 0.8999, base * 1.1001);
			before = r.rt_ns;
			now = r.next_ns;
		}
		expect_between(before, 1024.0 * S * 0.8999, 1024.0 * S * 1.1001);
		assert_int_equal(r.sent, 20);
	}
}

/* Uniform between -0.1 and +0.1: all of it is used, the mean is 0; and every seed has its own sequence. */
static void test_jitter(void **state)
{
	uint64_t lowest = UINT64_MAX, highest = 0, sum = 0, first_of_0 = 0;
	unsigned equal = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 4000; seed++) {
		struct retransmission r;
		uint64_t random_state = seed;

		retransmission_start(&r, &retransmission_pcp, 0, RETRANSMISSION_NEVER);
		assert_true(retransmission_due(&r, 0, &random_state));
		lowest = r.rt_ns < lowest ? r.rt_ns : lowest;
		highest = r.rt_ns > highest ? r.rt_ns : highest;
		sum += r.rt_ns / 4000;
		equal += seed && r.rt_ns == first_of_0;
		first_of_0 = seed ? first_of_0 : r.rt_ns;
	}
	expect_between(lowest, 2.699 * S, 2.71 * S);
	expect_between(highest, 3.29 * S, 3.301 * S);
	expect_between(sum, 2.97 * S, 3.03 * S);
	assert_true(equal < 10);
}

/* MRC: it fails once it has been transmitted that often and the last one has had its time. */
static void test_count_limit(void **state)
{
	struct retransmission_rule rule = { .irt_ns = S, .mrc = 4 };
	struct retransmission r;
	uint64_t random_state = 1;
	static const uint64_t times[] = { 0, 1, 3, 7, 15 };

	(void)state;
	retransmission_start(&r, &rule, 0, RETRANSMISSION_NEVER);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(r.next_ns, times[i] * S);
		assert_true(retransmission_due(&r, times[i] * S, &random_state));
	}
	assert_false(retransmission_due(&r, 15 * S - 1, &random_state));
	assert_false(r.has_failed);
	assert_false(retransmission_due(&r, 15 * S, &random_state));
	assert_true(r.has_failed);
	assert_true(r.next_ns == RETRANSMISSION_NEVER);
	assert_false(retransmission_due(&r, 100 * S, &random_state));
}

/* MRD: it fails at that time, in the middle of an interval, and is woken for it. */
static void test_duration_limit(void **state)
{
	struct retransmission r;
	uint64_t random_state = 1;

	(void)state;
	retransmission_start(&r, &retransmission_pcp, 0, 5 * S);
	assert_true(retransmission_due(&r, 0, &random_state));
	assert_true(retransmission_due(&r, r.next_ns, &random_state));
	assert_true(r.next_ns == 5 * S);
	assert_false(retransmission_due(&r, 5 * S, &random_state));
	assert_true(r.has_failed);
	retransmission_start(&r, &retransmission_pcp, 0, 0);
	assert_false(retransmission_due(&r, 0, &random_state));
	assert_true(r.has_failed);
}

/* MRT 0 is no limit; RFC 6886: 250 ms, doubled each time, nine times, the last one waited 64 s for; no jitter. */
static void test_natpmp_schedule(void **state)
{
	struct retransmission r;
	uint64_t random_state = 1, now = 0, expected = 250 * MS;

	(void)state;
	retransmission_start(&r, &retransmission_natpmp, 0, RETRANSMISSION_NEVER);
	for (int i = 0; i < 9; i++, expected *= 2) {
		assert_true(retransmission_due(&r, now, &random_state));
		assert_int_equal(r.rt_ns, expected);
		now = r.next_ns;
	}
	assert_int_equal(r.rt_ns, 64 * S);
	assert_false(retransmission_due(&r, now, &random_state));
	assert_true(r.has_failed);
}

static void test_stop(void **state)
{
	struct retransmission r;
	uint64_t random_state = 1;

	(void)state;
	retransmission_start(&r, &retransmission_pcp, 0, 10 * S);
	assert_true(retransmission_due(&r, 0, &random_state));
	retransmission_stop(&r);
	assert_false(retransmission_due(&r, 20 * S, &random_state));
	assert_false(r.has_failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pcp_schedule),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_count_limit),
		cmocka_unit_test(test_duration_limit),
		cmocka_unit_test(test_natpmp_schedule),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
