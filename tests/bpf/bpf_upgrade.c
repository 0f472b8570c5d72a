/* SPDX-License-Identifier: GPL-2.0-only */
/* Maps of another version: those that may be empty are made anew, the others are kept or the start is refused with the reason, and then
 * everything stays as it was. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include "dataplane_internal.h"
#include "invariants.h"
#include "plane.h"

#define UDP 17
#define HOST "198.51.100.2"

static const char yaml[] =
	"pools:\n  - {name: main, addresses: [192.0.2.0/31], ports: 1024-2047, block-size: 64}\n"
	"subscribers: {prefixes: [198.51.100.0/29], blocks: 2, explicit: 40, reserve: 8}\n"
	"tables: {mappings: 4096, subscribers: 256}\n";

static struct plane plane;

static int up(void **state)
{
	(void)state;
	plane_start(&plane, yaml);
	return 0;
}

static int down(void **state)
{
	(void)state;
	plane_stop(&plane);
	return 0;
}

static void pin_in_place(int fd, const char *name)
{
	char path[256];

	assert_true(fd >= 0);
	dataplane_pin_path(plane_pin_dir(), name, path, sizeof(path));
	unlink(path);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	close(fd);
}

/* As if other sources had made the maps, of this layout version. */
static struct cgn_meta pretend(uint32_t layout)
{
	int fd = dataplane_open_pin(plane_pin_dir(), "meta");
	struct cgn_meta meta;
	uint32_t zero = 0;

	assert_int_equal(dataplane_read_meta(fd, &meta), 0);
	meta.layout = layout;
	meta.store_id = 77;
	snprintf(meta.programs, sizeof(meta.programs), "another");
	assert_int_equal(bpf_map_update_elem(fd, &zero, &meta, 0), 0);
	close(fd);
	return meta;
}

static struct cgn_meta pinned_meta(void)
{
	int fd = dataplane_open_pin(plane_pin_dir(), "meta");
	struct cgn_meta meta;

	assert_int_equal(dataplane_read_meta(fd, &meta), 0);
	close(fd);
	return meta;
}

static uint32_t pinned_id(const char *name)
{
	int fd = dataplane_open_pin(plane_pin_dir(), name);
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.id;
}

static void expect_refused(const char *first, const char *second)
{
	struct cgn_meta before = pinned_meta(), after;
	struct dataplane_error error;
	struct dataplane *dp;
	bool fresh;

	dp = dataplane_open(plane.config, &fresh, &error);
	assert_null(dp);
	assert_int_equal(error.code, DATAPLANE_STATE);
	if (!strstr(error.text, first) || !strstr(error.text, second))
		fail_msg("\"%s\" says nothing of %s and %s", error.text, first, second);
	after = pinned_meta();
	assert_memory_equal(&before, &after, sizeof(before));
}

/* The layout before: an `interfaces` of 8 bytes, fewer counters, no map of a name that is new. */
static void test_adopts_the_layout_before(void **state)
{
	struct cgn_internal internal = plane_internal(UDP, HOST, 5000);
	struct cgn_mapping before, after;
	struct dataplane_error error;
	struct invariants found;
	uint32_t interfaces, kept = pinned_id("mappings"), addresses = pinned_id("addresses");
	struct dataplane *dp;
	char path[256];
	bool fresh;

	(void)state;
	assert_int_equal(plane_map(&plane, UDP, HOST, 5000, "", 0), CGN_OK);
	assert_true(dataplane_find_mapping(plane.dp, &internal, &before));
	pin_in_place(bpf_map_create(BPF_MAP_TYPE_HASH, "interfaces", 4, 8, CGN_INTERFACES_MAX, NULL), "interfaces");
	pin_in_place(bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "stats", 4, 16, 17, NULL), "stats");
	dataplane_pin_path(plane_pin_dir(), "report_buckets", path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	interfaces = pinned_id("interfaces");
	pretend(CGN_LAYOUT_VERSION - 1);

	dp = dataplane_open(plane.config, &fresh, &error);
	if (!dp)
		fail_msg("%s", error.text);
	assert_false(fresh);
	assert_int_equal(pinned_meta().layout, CGN_LAYOUT_VERSION);
	assert_int_equal(pinned_meta().store_id, 77);
	assert_true(dataplane_is_of_this_build(dp));
	assert_int_equal(pinned_id("mappings"), kept);
	assert_int_not_equal(pinned_id("addresses"), addresses);	/* it fits, but may mean something else */
	assert_int_not_equal(pinned_id("interfaces"), interfaces);
	assert_true(pinned_id("report_buckets"));
	assert_true(dataplane_configure(dp, plane.config, &error));
	assert_true(dataplane_find_mapping(dp, &internal, &after));
	assert_memory_equal(&before, &after, sizeof(before));
	dataplane_close(plane.dp);
	plane.dp = dp;
	assert_int_equal(plane_map(&plane, UDP, HOST, 5001, "", 0), CGN_OK);	/* by this build's programs */
	assert_true(invariants_check(dp, stdout, &found));
}

/* Value of `explicit` up to layout 23. */
struct explicit_23 {
	uint8_t nonce[12];
	uint32_t expires_s;
	uint8_t client6[16];
	uint16_t client_port, generation;
	uint32_t slot, created_s;
	uint8_t remote6[16];
	uint16_t remote_port, set_first, set_size;
	uint8_t described, filtered;
};

static const uint8_t mapped6[12] = { [10] = 0xff, 0xff };

/* MAP and PEER of many ports: more than are copied at once. */
#define GRANTS 1500

static struct cgn_map_request grant_of(unsigned number)
{
	char host[INET_ADDRSTRLEN];
	struct cgn_map_request request = { .lifetime_s = 3600, .origin = number & 1 ? CGN_PEER : CGN_MAP, .client_port = (uint16_t)(number + 1),
		.nonce = { (uint8_t)number, (uint8_t)(number >> 8), 7 } };

	snprintf(host, sizeof(host), "198.51.100.%u", 2 + number % 50);
	request.internal = plane_internal(UDP, host, (uint16_t)(1000 + number / 50));
	memcpy(request.client6, mapped6, sizeof(mapped6));
	memcpy(request.client6 + 12, (const uint8_t[]){ 10, 9, (uint8_t)(number >> 8), (uint8_t)number }, 4);
	if (request.origin == CGN_PEER) {
		memcpy(request.remote6, mapped6, sizeof(mapped6));
		memcpy(request.remote6 + 12, (const uint8_t[]){ 203, 0, 113, (uint8_t)(1 + number % 200) }, 4);
		request.remote_port = (uint16_t)(10000 + number);
	}
	return request;
}

static struct cgn_map_request grant(unsigned number)
{
	struct cgn_map_request request = grant_of(number);

	assert_int_equal((request.origin == CGN_PEER ? dataplane_peer : dataplane_map)(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_OK);
	return request;
}

static struct cgn_explicit part_of(const struct dataplane *dp, unsigned number)
{
	struct cgn_map_request request = grant_of(number);
	struct cgn_explicit_key key = { .internal = request.internal, .opcode = request.origin };
	struct cgn_explicit part;

	assert_true(dataplane_find_explicit(dp, &key, &part));
	return part;
}

static void write_as_before(int fd, unsigned number)
{
	struct cgn_map_request request = grant_of(number);
	struct cgn_explicit_key key = { .internal = request.internal, .opcode = request.origin };
	struct cgn_explicit part = part_of(plane.dp, number);
	struct explicit_23 before = { .expires_s = part.expires_s, .client_port = part.client_port, .generation = part.generation,
		.slot = part.slot, .created_s = part.created_s, .remote_port = part.remote_port, .set_first = part.set_first,
		.set_size = part.set_size, .described = part.described, .filtered = part.filtered };

	memcpy(before.nonce, part.nonce, sizeof(before.nonce));
	memcpy(before.client6, request.client6, sizeof(before.client6));
	memcpy(before.remote6, request.remote6, sizeof(before.remote6));
	assert_int_equal(bpf_map_update_elem(fd, &key, &before, BPF_NOEXIST), 0);
}

/* Values of `explicit` were longer: each is copied, and whoever has its nonce renews it. */
static void test_converts_explicit_parts(void **state)
{
	struct cgn_explicit before[GRANTS], after;
	struct cgn_map_request made[GRANTS], again;
	struct dataplane_error error;
	struct invariants found;
	struct dataplane *dp;
	uint32_t id;
	unsigned i;
	bool fresh;
	int fd;

	(void)state;
	plane_stop(&plane);
	plane_start(&plane, "pools:\n  - {name: main, addresses: [192.0.2.0/30]}\nsubscribers: {prefixes: [198.51.100.0/24]}\n"
			    "tables: {mappings: 4096, subscribers: 256}\n");
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "explicit", sizeof(struct cgn_explicit_key), sizeof(struct explicit_23), 4096, NULL);
	for (i = 0; i < GRANTS; i++) {
		made[i] = grant(i);
		before[i] = part_of(plane.dp, i);
		assert_memory_equal(before[i].client4, made[i].client6 + 12, 4);
		assert_memory_equal(before[i].remote4, made[i].remote6 + 12, 4);
		write_as_before(fd, i);
	}
	pin_in_place(fd, "explicit");
	id = pinned_id("explicit");
	pretend(CGN_LAYOUT_VERSION);	/* of which it cannot be */
	expect_refused("explicit: was made with another layout", "value 68 bytes");
	pretend(23);
	dp = dataplane_open(plane.config, &fresh, &error);
	if (!dp)
		fail_msg("%s", error.text);
	assert_false(fresh);
	assert_int_equal(pinned_meta().layout, CGN_LAYOUT_VERSION);
	assert_int_not_equal(pinned_id("explicit"), id);
	assert_true(dataplane_configure(dp, plane.config, &error));
	dataplane_close(plane.dp);
	plane.dp = dp;
	for (i = 0; i < GRANTS; i++) {
		after = part_of(dp, i);
		assert_memory_equal(&before[i], &after, sizeof(after));
		again = grant(i);
		assert_int_equal(again.created, 0);
		assert_memory_equal(&again.external, &made[i].external, sizeof(again.external));
	}
	assert_true(invariants_check(dp, stdout, &found));
	assert_int_equal(found.explicit_mappings, GRANTS);
	/* a start that was cut short after the copy: what is pinned is of this layout already */
	pretend(23);
	id = pinned_id("explicit");
	dp = dataplane_open(plane.config, &fresh, &error);
	assert_non_null(dp);
	assert_int_equal(pinned_id("explicit"), id);
	dataplane_close(dp);
}

/* Another build, the same layout: nothing is made anew, and what the counters say stays. */
static void test_keeps_all_of_the_same_layout(void **state)
{
	uint32_t kept = pinned_id("mappings"), settings = pinned_id("settings"), stats = pinned_id("stats");
	struct dataplane_error error;
	struct dataplane *dp;
	bool fresh;

	(void)state;
	pretend(CGN_LAYOUT_VERSION);
	dp = dataplane_open(plane.config, &fresh, &error);
	if (!dp)
		fail_msg("%s", error.text);
	assert_false(fresh);
	assert_true(dataplane_is_of_this_build(dp));
	assert_int_equal(pinned_id("mappings"), kept);
	assert_int_equal(pinned_id("settings"), settings);
	assert_int_equal(pinned_id("stats"), stats);
	dataplane_close(dp);
}

/* Earlier builds gave twice the room, or one element for each mapping where few have one: that is kept, unless the configuration names a
 * number. */
static void test_keeps_the_room_that_there_is(void **state)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
	struct dataplane_error error;
	uint32_t mappings, texts;
	struct dataplane *dp;
	bool fresh;

	(void)state;
	pin_in_place(bpf_map_create(BPF_MAP_TYPE_HASH, "mappings", sizeof(struct cgn_internal), sizeof(struct cgn_mapping), 8192, NULL), "mappings");
	pin_in_place(bpf_map_create(BPF_MAP_TYPE_HASH, "descriptions", sizeof(struct cgn_explicit_key), sizeof(struct cgn_description), 8192,
				    &options), "descriptions");
	mappings = pinned_id("mappings");
	texts = pinned_id("descriptions");
	pretend(CGN_LAYOUT_VERSION);
	dp = dataplane_open(plane.config, &fresh, &error);
	if (!dp)
		fail_msg("%s", error.text);
	assert_int_equal(pinned_id("mappings"), mappings);
	assert_int_equal(pinned_id("descriptions"), texts);
	dataplane_close(dp);
	plane.config->descriptions_max = 8192;
	dp = dataplane_open(plane.config, &fresh, &error);
	assert_non_null(dp);
	dataplane_close(dp);
	plane.config->descriptions_max = 4096;
	expect_refused("`tables.descriptions` 8192", "4096");
	plane.config->descriptions_max = 0;
	plane.config->filters_max = 8192;
	expect_refused("`tables.filters` 4096", "8192");
}

static void test_refuses_an_unknown_layout(void **state)
{
	char wanted[32];

	(void)state;
	snprintf(wanted, sizeof(wanted), "layout version %u", CGN_LAYOUT_VERSION + 1);
	pretend(CGN_LAYOUT_VERSION + 1);
	expect_refused(wanted, "start the version that made them");
	pretend(3);
	expect_refused("layout version 3", "purge");
}

/* Somebody changed a layout and not its version: the shape shows it. */
static void test_refuses_another_shape_of_what_is_kept(void **state)
{
	uint32_t mappings;

	(void)state;
	pin_in_place(bpf_map_create(BPF_MAP_TYPE_HASH, "mappings", sizeof(struct cgn_internal), sizeof(struct cgn_mapping) + 8, 8192, NULL),
		     "mappings");
	mappings = pinned_id("mappings");
	pretend(CGN_LAYOUT_VERSION);
	expect_refused("mappings: was made with another layout", "value 64 bytes");
	assert_int_equal(pinned_id("mappings"), mappings);
}

static void test_refuses_another_meta(void **state)
{
	uint8_t value[sizeof(struct cgn_meta) + 8] = { 99 };
	struct dataplane_error error;
	uint32_t zero = 0;
	bool fresh;
	int fd;

	(void)state;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "meta", 4, sizeof(value), 1, NULL);
	assert_int_equal(bpf_map_update_elem(fd, &zero, value, 0), 0);
	pin_in_place(fd, "meta");
	assert_null(dataplane_open(plane.config, &fresh, &error));
	assert_int_equal(error.code, DATAPLANE_STATE);
	assert_non_null(strstr(error.text, "layout version 99"));
	assert_true(pinned_id("mappings"));
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test_setup_teardown(test_adopts_the_layout_before, up, down),
		cmocka_unit_test_setup_teardown(test_converts_explicit_parts, up, down),
		cmocka_unit_test_setup_teardown(test_keeps_all_of_the_same_layout, up, down),
		cmocka_unit_test_setup_teardown(test_keeps_the_room_that_there_is, up, down),
		cmocka_unit_test_setup_teardown(test_refuses_an_unknown_layout, up, down),
		cmocka_unit_test_setup_teardown(test_refuses_another_shape_of_what_is_kept, up, down),
		cmocka_unit_test_setup_teardown(test_refuses_another_meta, up, down),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
