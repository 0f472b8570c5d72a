/* SPDX-License-Identifier: GPL-2.0-only */
/* What clients were promised comes back after a reboot with all that belongs to it: filters, sets, PEERs. Through the recorder into a
 * store, from there into maps that are empty. */
#include "dataplane_recorder.h"
#include "invariants.h"
#include "requests.h"
#include "store_fixture.h"
#include "store_restore.h"

struct machine { struct store *store; struct dataplane_recorder *recorder; };

static void power_on(struct machine *machine, enum store_origin expected)
{
	struct recorder_source source = { &dataplane_bpf_ops, plane.dp, dataplane_recorder_read };

	machine->store = fixture_open(expected);
	machine->recorder = dataplane_recorder_new(&source, machine->store);
	assert_non_null(machine->recorder);
}

/* The maps go; ten seconds later it runs again. */
static void reboot(struct machine *machine, struct store_restored *ret_restored)
{
	assert_true(dataplane_recorder_commit(machine->recorder));
	dataplane_recorder_free(machine->recorder);
	store_close(machine->store);
	plane_stop(&plane);
	fixture_boot = strcmp(fixture_boot, "boot-1") ? "boot-3" : "boot-2";
	fixture_clocks.wall_ms += 10000;
	plane_start(&plane, requests_config);
	power_on(machine, STORE_ADOPTED);
	assert_int_equal(store_restore(machine->store, &dataplane_bpf_ops, plane.dp, ret_restored), 0);
}

static struct cgn_filter permit(uint8_t last, uint16_t port)
{
	struct cgn_filter filter = { .remote6 = { [10] = 0xff, 0xff, 203, 0, 113, last }, .remote_port = port, .prefix_length = 128 };

	return filter;
}

static void test_all_that_belongs_to_it(void **state)
{
	struct cgn_filter filters[3] = { permit(9, 0), permit(10, 53), permit(11, 53) };
	struct cgn_map_request filtered = question(CGN_MAP, 1000, 3600), set = question(CGN_MAP, 2000, 3600), towards = peer_question(1000, 443, 3600);
	struct cgn_explicit_key key = { .opcode = CGN_MAP };
	struct store_restored restored;
	struct invariants found;
	struct cgn_explicit part;
	struct machine machine;
	uint16_t port;

	(void)state;
	power_on(&machine, STORE_CREATED);
	filtered.filter_count = 2;
	filtered.filter_limit = 8;
	assert_int_equal(dataplane_recorder_ops.map_filtered(machine.recorder, &filtered, filters), 0);
	assert_int_equal(filtered.status, CGN_OK);
	set.set_size = 5;
	set.filter_count = 1;
	set.filter_limit = 8;
	assert_int_equal(dataplane_recorder_ops.set(machine.recorder, &set, &filters[2]), 0);
	assert_int_equal(set.set_size, 5);
	assert_int_equal(dataplane_recorder_ops.peer(machine.recorder, &towards), 0);
	reboot(&machine, &restored);
	assert_int_equal(restored.restored, 7);
	assert_int_equal(restored.lost, 0);
	expect_external(mapping_of(1000).external, filtered.external);
	assert_int_equal(origins_of(1000), CGN_MAP | CGN_PEER);
	assert_int_equal(send_in("203.0.113.9", 7, filtered.external), CGN_INBOUND);
	assert_int_equal(send_in("203.0.113.10", 53, filtered.external), CGN_INBOUND);
	assert_int_equal(send_in("203.0.113.10", 54, filtered.external), CGN_DROP_FILTER);
	for (port = 2000; port < 2005; port++) {
		struct cgn_external expected = set.external;

		expected.port = (uint16_t)(expected.port + port - 2000);
		expect_external(mapping_of(port).external, expected);
		assert_int_equal(send_in("203.0.113.11", 53, expected), CGN_INBOUND);
		assert_int_equal(send_in("203.0.113.9", 53, expected), CGN_DROP_FILTER);
		key.internal = plane_internal(UDP, HOST, port);
		assert_true(dataplane_find_explicit(plane.dp, &key, &part));
		assert_int_equal(part.set_first, 2000);
		assert_int_equal(part.set_size, 5);
	}
	assert_true(invariants_check(plane.dp, stdout, &found));
	/* and goes as one */
	set = question(CGN_MAP, 2003, 0);
	set.set_size = 1;
	assert_int_equal(dataplane_recorder_ops.set(machine.recorder, &set, NULL), 0);
	assert_int_equal(set.status, CGN_OK);
	reboot(&machine, &restored);
	assert_int_equal(restored.restored, 2);
	assert_false(mapping_is_there(2000));
	assert_false(mapping_is_there(2004));
	dataplane_recorder_free(machine.recorder);
	store_close(machine.store);
}

static int up(void **state)
{
	return store_fixture_up(state) || requests_up(state);
}

static int down(void **state)
{
	return requests_down(state) || store_fixture_down(state);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test_setup_teardown(test_all_that_belongs_to_it, up, down),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
