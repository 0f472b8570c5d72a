/* SPDX-License-Identifier: GPL-2.0-only */
/* No program is so large that a kernel with a stricter verifier, or the next feature, would refuse it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>
#include "plane.h"
#include "dataplane_internal.h"

#define PROCESSED_MAX 200000	/* of the million that the kernel allows */

static void programs_stay_small(void **state)
{
	struct dataplane_error error;
	struct bpf_program *program;
	struct bpf_object *object;
	unsigned programs = 0;
	struct plane plane;
	void *skeleton;

	(void)state;
	plane_start(&plane, "pools:\n  - {addresses: [192.0.2.1/32]}\ntables: {mappings: 16, subscribers: 16}\n");
	object = dataplane_object_open(plane_pin_dir(), NULL, &skeleton, &error);
	assert_non_null(object);
	assert_int_equal(bpf_object__load(object), 0);
	bpf_object__for_each_program(program, object) {
		struct bpf_prog_info info = {};
		__u32 length = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length), 0);
		printf("%s: %u processed\n", bpf_program__name(program), info.verified_insns);
		assert_in_range(info.verified_insns, 1, PROCESSED_MAX);
		programs++;
	}
	dataplane_object_close(skeleton);
	plane_stop(&plane);
	assert_true(programs >= 9);
}

static int tests(void)
{
	const struct CMUnitTest all[] = { cmocka_unit_test(programs_stay_small) };

	return cmocka_run_group_tests_name("verifier", all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
