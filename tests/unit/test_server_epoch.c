/* SPDX-License-Identifier: GPL-2.0-only */
/* RFC 6887 section 8.5 and RFC 6886 section 3.6, at both sides of every limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "server_epoch.h"

struct step {
	uint32_t server_before_s, server_s;
	uint64_t client_delta_s;
	bool is_valid;
};

static void expect_steps(const struct step *steps, size_t count, bool (*accept)(struct server_epoch *, uint32_t, uint64_t))
{
	for (size_t i = 0; i < count; i++) {
		struct server_epoch epoch = { 0 };

		assert_true(accept(&epoch, steps[i].server_before_s, 5000));	/* the first always fits */
		if (accept(&epoch, steps[i].server_s, 5000 + steps[i].client_delta_s) != steps[i].is_valid)
			fail_msg("step %zu", i);
		assert_int_equal(epoch.server_s, steps[i].server_s);	/* recorded, valid or not */
		assert_int_equal(epoch.client_s, 5000 + steps[i].client_delta_s);
	}
}

static void test_pcp(void **state)
{
	static const struct step steps[] = {
		{ 1000, 1000, 0, true },
		{ 1000, 999, 0, true },		/* back by up to one second: replies overtook each other */
		{ 1000, 999, 1, true },
		{ 1000, 999, 2, false },	/* -1 + 2 < 2 - 0 */
		{ 1000, 998, 0, false },	/* obviously invalid */
		{ 1000, 0, 1000, false },
		{ 1000, 1002, 0, true },	/* 0 + 2 < 2 - 0 does not hold */
		{ 1000, 1003, 0, false },
		{ 1000, 1000, 2, true },
		{ 1000, 1000, 3, false },
		/* 160 s of the client: 150 + 2 < sd + 2, 160 + 2 < sd - sd / 16 */
		{ 1000, 1148, 160, true },	/* 148 + 2 = 160 - 10 */
		{ 1000, 1147, 160, false },
		{ 1000, 1172, 160, true },	/* 172 - 10 = 162 */
		{ 1000, 1173, 160, false },	/* 173 - 10 = 163 */
		{ 0xfffffff0u, 0xffffffffu, 15, true },
		{ 0, 0xffffffffu, 0xffffffffu, true },
		{ 100, 0, 0x100000000ull, false },
		{ 0, 0, 0, true },
		{ 1, 0, 1, true },
		{ 2, 0, 2, false },
	};

	(void)state;
	expect_steps(steps, sizeof(steps) / sizeof(steps[0]), server_epoch_accept);
}

/* Expected is what was last said and 7/8 of the time since; lost if more than two seconds below it. Ahead is fine. */
static void test_natpmp(void **state)
{
	static const struct step steps[] = {
		{ 1000, 1000, 0, true },
		{ 1000, 998, 0, true },
		{ 1000, 997, 0, false },
		{ 1000, 1068, 80, true },	/* 1070 - 2 */
		{ 1000, 1067, 80, false },
		{ 1000, 5000, 80, true },
		{ 1000, 0, 80, false },
	};

	(void)state;
	expect_steps(steps, sizeof(steps) / sizeof(steps[0]), server_epoch_accept_natpmp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pcp),
		cmocka_unit_test(test_natpmp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
