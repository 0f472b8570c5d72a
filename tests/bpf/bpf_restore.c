/* SPDX-License-Identifier: GPL-2.0-only */
/* What clients were promised comes back after a reboot with all that belongs to it: filters, sets, PEERs; and port blocks. Through the recorder into a
 * store, from there into maps that are empty. */
#include <bpf/bpf.h>
#include "block_record.h"
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

/* As the PCP service does before it answers. */
static bool is_committed(struct dataplane_recorder *decided)
{
	return !dataplane_recorder_commit_begin(decided) || dataplane_recorder_commit_end(decided);
}

/* The maps go; ten seconds later it runs again. */
static void reboot(struct machine *machine, struct store_restored *ret_restored)
{
	assert_true(is_committed(machine->recorder));
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
	struct cgn_describe_request describe = { .key.opcode = CGN_PEER, .description = { .length = 4, .text = "line" } };
	struct cgn_explicit_key key = { .opcode = CGN_MAP };
	struct cgn_description text;
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
	describe.key.internal = towards.internal;
	memcpy(describe.remote6, towards.remote6, sizeof(describe.remote6));
	assert_int_equal(dataplane_recorder_ops.describe(machine.recorder, &describe), 0);
	assert_int_equal(describe.status, CGN_NOT_FOUND);	/* of another remote peer */
	describe.remote_port = towards.remote_port;
	assert_int_equal(dataplane_recorder_ops.describe(machine.recorder, &describe), 0);
	assert_int_equal(describe.status, CGN_OK);
	reboot(&machine, &restored);
	assert_int_equal(restored.restored, 7);
	assert_int_equal(restored.lost, 0);
	expect_external(mapping_of(1000).external, filtered.external);
	assert_int_equal(origins_of(1000), CGN_MAP | CGN_PEER);
	assert_true(dataplane_find_description(plane.dp, &describe.key, &text));
	assert_int_equal(text.length, 4);
	assert_memory_equal(text.text, "line", 4);
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

/* ---- port blocks ---- */

static struct cgn_map_request at(const char *internal4, uint16_t port, const struct cgn_external *external)
{
	struct cgn_map_request request = question(CGN_MAP, port, 3600);

	request.internal = plane_internal(UDP, internal4, port);
	if (external) {
		request.suggested = *external;
		request.flags = CGN_PREFER_FAILURE;
	}
	return ask(dataplane_map, request);
}

/* A mapping that was, and its block: given back. */
static struct cgn_external released_by(const char *internal4, struct block_recorder *blocks)
{
	struct cgn_release_request release = { .subscriber = plane_subscriber(internal4) };
	struct cgn_map_request request = at(internal4, 1000, NULL);

	assert_int_equal(request.status, CGN_OK);
	assert_int_equal(block_recorder_update(blocks), 0);
	assert_int_equal(ask(dataplane_delete, request).status, CGN_OK);
	assert_int_equal(dataplane_release(plane.dp, &release), 0);
	assert_int_equal(release.released, 1);
	assert_int_equal(block_recorder_update(blocks), 0);
	return request.external;
}

static void set_rest(uint32_t rest_s)
{
	struct cgn_settings settings;
	uint32_t zero = 0;

	assert_true(dataplane_settings(plane.dp, &settings));
	settings.rest_s = rest_s;
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_SETTINGS), &zero, &settings, 0), 0);
}

/* Reboots, and brings the blocks back; how many had been known. */
static uint32_t reboot_with_blocks(struct machine *machine, struct block_recorder *blocks, uint32_t expected)
{
	struct store_restored restored;

	block_recorder_free(blocks);
	reboot(machine, &restored);
	assert_int_equal(block_record_restore(plane.dp, machine->store, restored.blocks, restored.block_count), expected);
	free(restored.blocks);
	return restored.block_count;
}

/* RFC 6888 REQ-2 and REQ-8 over a reboot, ten seconds long: whose blocks they were has them again, with the same external address,
 * and what rested is nobody else's. */
static void test_blocks_come_back(void **state)
{
	struct cgn_external mine, first, second;
	struct block_recorder *blocks;
	struct invariants found;
	struct machine machine;
	uint32_t cursor = 0, count;

	(void)state;
	power_on(&machine, STORE_CREATED);
	blocks = block_recorder_new(plane.dp, machine.store);
	assert_non_null(blocks);
	send_out(1000);
	mine = mapping_of(1000).external;
	first = released_by("198.51.100.3", blocks);
	second = released_by("198.51.100.4", blocks);
	assert_int_equal(reboot_with_blocks(&machine, blocks, 1), 3);
	assert_false(mapping_is_there(1000));
	assert_memory_equal(dataplane_pools(plane.dp, &count)[subscriber().address - 1].addr4, mine.addr4, 4);
	assert_int_equal(at("198.51.100.5", 1000, &mine).status, CGN_CANNOT_PROVIDE);
	assert_int_equal(at("198.51.100.5", 1000, &first).status, CGN_CANNOT_PROVIDE);
	assert_int_equal(at("198.51.100.5", 1000, &second).status, CGN_CANNOT_PROVIDE);
	assert_int_equal(at("198.51.100.3", 1000, &first).status, CGN_OK);	/* his again */
	assert_int_equal(at(HOST, 1000, &mine).status, CGN_OK);
	assert_true(invariants_check(plane.dp, stdout, &found));

	/* the same from a log that was written anew, by which time one more has gone and one has come */
	blocks = block_recorder_new(plane.dp, machine.store);
	store_begin_anew(machine.store);
	do
		assert_int_equal(block_recorder_put_all(blocks, &cursor), 0);
	while (cursor);
	assert_int_equal(at("198.51.100.6", 1000, NULL).status, CGN_OK);
	assert_int_equal(block_recorder_update(blocks), 0);
	assert_int_equal(reboot_with_blocks(&machine, blocks, 3), 4);
	assert_int_equal(at("198.51.100.5", 1000, &mine).status, CGN_CANNOT_PROVIDE);
	assert_int_equal(at("198.51.100.5", 1000, &first).status, CGN_CANNOT_PROVIDE);
	assert_int_equal(at("198.51.100.5", 1000, &second).status, CGN_CANNOT_PROVIDE);	/* 20 s by now */
	set_rest(10);
	assert_int_equal(at("198.51.100.5", 1000, &first).status, CGN_CANNOT_PROVIDE);	/* owned */
	assert_int_equal(at("198.51.100.5", 1000, &second).status, CGN_OK);
	assert_true(invariants_check(plane.dp, stdout, &found));
	dataplane_recorder_free(machine.recorder);
	store_close(machine.store);
}

/* What the configuration does not have any more is nobody's; its ports rest first. */
static void test_blocks_that_cannot_be_owned(void **state)
{
	struct cgn_own_request request = { .owner = plane_subscriber(HOST), .addr4 = { 192, 0, 2, 0 }, .first_port = 1024, .block_shift = 7 };
	struct cgn_external there = { .addr4 = { 192, 0, 2, 0 }, .port = 1100 };
	struct invariants found;

	(void)state;
	assert_int_equal(dataplane_own(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_NOT_FOUND);	/* blocks of 128 */
	request.block_shift = 6;
	request.first_port = 1025;
	assert_int_equal(dataplane_own(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_NOT_FOUND);
	request.first_port = 2048;
	assert_int_equal(dataplane_own(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_NOT_FOUND);
	request.first_port = 1088;
	request.addr4[3] = 2;
	assert_int_equal(dataplane_own(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_NOT_FOUND);
	request.addr4[3] = 0;
	request.owner = plane_subscriber("10.0.0.1");
	assert_int_equal(dataplane_own(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_OK);
	assert_int_equal(at(HOST, 1000, &there).status, CGN_CANNOT_PROVIDE);
	set_rest(0);
	assert_int_equal(at(HOST, 1000, &there).status, CGN_OK);
	/* another's by now */
	assert_int_equal(dataplane_own(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_CANNOT_PROVIDE);
	request.owner = plane_subscriber("198.51.100.9");
	assert_int_equal(dataplane_own(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_CANNOT_PROVIDE);
	assert_true(invariants_check(plane.dp, stdout, &found));
}

static int up(void **state)
{
	if (store_fixture_up(state))
		return -1;
	fixture_clocks.boot_ms = dataplane_now_s() * UINT64_C(1000);	/* the kernel's: lifetimes are in both */
	return requests_up(state);
}

static int down(void **state)
{
	return requests_down(state) || store_fixture_down(state);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test_setup_teardown(test_all_that_belongs_to_it, up, down),
		cmocka_unit_test_setup_teardown(test_blocks_come_back, up, down),
		cmocka_unit_test_setup_teardown(test_blocks_that_cannot_be_owned, up, down),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
