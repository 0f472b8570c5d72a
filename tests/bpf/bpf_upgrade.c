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
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include "cgn/slot.h"
#include "dataplane_internal.h"
#include "frame.h"
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

/* Slots as they were before layout 26, in memory shared with the pinned map: the packet programs of that time, in these tests. */
struct slot_before {
	struct cgn_internal internal;
	union cgn_slot_word state;
};

static struct slot_before *slots_before;
static uint32_t slot_count;

static void pin_slots_before(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	const struct cgn_slot *slots = dataplane_slots(plane.dp, &slot_count);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ports", 4, sizeof(*slots_before), slot_count, &options);
	uint32_t i;

	assert_true(fd >= 0);
	slots_before = mmap(NULL, slot_count * sizeof(*slots_before), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(slots_before, MAP_FAILED);
	for (i = 0; i < slot_count; i++) {
		slot_read(&slots[i], &slots_before[i].internal);
		slots_before[i].state = slots[i].state;
	}
	pin_in_place(fd, "ports");
}

static void forget_slots_before(void)
{
	munmap(slots_before, slot_count * sizeof(*slots_before));
}

static bool is_pinned(const char *name)
{
	int fd = dataplane_open_pin(plane_pin_dir(), name);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
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
	pin_slots_before();
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
	forget_slots_before();
}

/* ---- slots of before ---- */

#define OTHER "198.51.100.3"

static uint32_t mapped_slot(uint16_t port)
{
	struct cgn_internal internal = plane_internal(UDP, HOST, port);
	struct cgn_mapping mapping;

	if (!dataplane_find_mapping(plane.dp, &internal, &mapping)) {
		assert_int_equal(plane_map(&plane, UDP, HOST, port, "", 0), CGN_OK);
		assert_true(dataplane_find_mapping(plane.dp, &internal, &mapping));
	}
	return mapping.slot;
}

static void end_mapping(uint16_t port)
{
	struct cgn_map_request request = { .internal = plane_internal(UDP, HOST, port), .origin = CGN_MAP };

	assert_int_equal(dataplane_delete(plane.dp, &request), 0);
	assert_int_equal(request.status, CGN_OK);
}

static void address_text(uint32_t slot, char ret_text[16])
{
	snprintf(ret_text, 16, "192.0.2.%u", CGN_SLOT_ADDRESS(slot));
}

/* The verdict on a packet from outside to this slot; that it goes to a port of HOST, if it goes. */
static int verdict_inbound(uint32_t slot, uint16_t port)
{
	struct frame frame = { .source = "203.0.113.9", .protocol = UDP, .source_port = 53, .payload = 20,
		.destination_port = CGN_SLOT_PORT(slot) };
	uint8_t bytes[FRAME_MAX], host[4];
	char destination[16];
	struct plane_run run;

	address_text(slot, destination);
	frame.destination = destination;
	memcpy(frame.destination_mac, plane.mac[CGN_EXTERNAL_SIDE], 6);
	plane_send(&plane, CGN_EXTERNAL_SIDE, bytes, frame_build(&frame, bytes), &run);
	if (run.verdict == CGN_INBOUND) {
		inet_pton(AF_INET, HOST, host);
		assert_memory_equal(run.frame + 14 + 16, host, 4);
		assert_int_equal(run.frame[14 + 22] << 8 | run.frame[14 + 23], port);
	}
	return run.verdict;
}

static uint8_t state_now(uint32_t slot)
{
	uint32_t count;

	return dataplane_slots(plane.dp, &count)[slot].state.state;
}

static uint32_t map_at(const char *host, uint16_t port, uint32_t slot)
{
	char address[16];

	address_text(slot, address);
	return plane_map(&plane, UDP, host, port, address, CGN_SLOT_PORT(slot));
}

/* Ports of HOST: 5000 lives, 5001 rests, 5002 is being entered when the tables are adopted, 5003 is entered afterwards by the programs of
 * before, 5004 ended afterwards by those of now, and 5005 too, whose port another mapping of HOST has then. */
static void test_carries_slots_over(void **state)
{
	uint32_t slot[6], i, ports = pinned_id("ports");
	union cgn_slot_word live[6];
	struct dataplane_error error;
	struct invariants found;
	unsigned replaced;

	(void)state;
	for (i = 0; i < 6; i++)
		slot[i] = mapped_slot((uint16_t)(5000 + i));
	end_mapping(5001);
	pin_slots_before();
	for (i = 0; i < 6; i++)
		live[i] = slots_before[slot[i]].state;
	slots_before[slot[2]].state.state = CGN_SLOT_CLAIMED;
	memset(&slots_before[slot[3]], 0, sizeof(*slots_before));
	pretend(23);

	plane_adopt(&plane);
	assert_int_not_equal(pinned_id("ports"), ports);
	assert_true(is_pinned("ports_before"));
	assert_int_equal(verdict_inbound(slot[0], 5000), CGN_INBOUND);
	assert_int_equal(verdict_inbound(slot[1], 5001), CGN_DROP_NO_MAPPING);
	assert_int_equal(state_now(slot[2]), CGN_SLOT_EMPTY);
	assert_int_equal(state_now(slot[3]), CGN_SLOT_EMPTY);
	end_mapping(5004);
	end_mapping(5005);
	assert_int_equal(map_at(HOST, 6005, slot[5]), CGN_CANNOT_PROVIDE);
	assert_int_equal(map_at(HOST, 5005, slot[5]), CGN_OK);
	slots_before[slot[3]].internal = plane_internal(UDP, HOST, 5003);
	slots_before[slot[2]].state = live[2];
	slots_before[slot[3]].state = live[3];

	assert_true(dataplane_upgrade(plane.dp, plane.config, &replaced, &error));
	assert_false(is_pinned("ports_before"));
	for (i = 0; i < 6; i++)
		assert_int_equal(verdict_inbound(slot[i], (uint16_t)(5000 + i)), i == 1 || i == 4 ? CGN_DROP_NO_MAPPING : CGN_INBOUND);
	assert_int_equal(state_now(slot[4]), CGN_SLOT_RESTING);
	assert_true(invariants_check(plane.dp, stdout, &found));
	/* REQ-8 goes on: nobody else gets it, its owner does */
	assert_int_equal(dataplane_slots(plane.dp, &i)[slot[1]].state.deadline_s, live[1].deadline_s);
	assert_int_equal(map_at(HOST, 6001, slot[1]), CGN_CANNOT_PROVIDE);
	assert_int_equal(map_at(OTHER, 5001, slot[1]), CGN_CANNOT_PROVIDE);
	assert_int_equal(map_at(HOST, 5001, slot[1]), CGN_OK);
	assert_true(invariants_check(plane.dp, stdout, &found));
	forget_slots_before();
}

/* A start that was cut short has pinned the new map, and not yet said so. */
static void test_carries_on_where_a_start_was_cut_short(void **state)
{
	uint32_t slot = mapped_slot(5000), later = mapped_slot(5001), ports;
	struct slot_before kept;
	struct dataplane_error error;
	struct invariants found;
	unsigned replaced;

	(void)state;
	pin_slots_before();
	kept = slots_before[later];
	memset(&slots_before[later], 0, sizeof(kept));
	pretend(23);
	plane_adopt(&plane);
	slots_before[later] = kept;
	ports = pinned_id("ports");
	pretend(23);
	plane_adopt(&plane);
	assert_int_not_equal(pinned_id("ports"), ports);
	assert_int_equal(verdict_inbound(slot, 5000), CGN_INBOUND);
	assert_int_equal(verdict_inbound(later, 5001), CGN_INBOUND);
	assert_true(is_pinned("ports_before"));
	assert_true(dataplane_upgrade(plane.dp, plane.config, &replaced, &error));
	assert_false(is_pinned("ports_before"));
	assert_true(invariants_check(plane.dp, stdout, &found));
	forget_slots_before();
}

static void test_refuses_another_shape_of_slots(void **state)
{
	uint32_t ports;

	(void)state;
	pin_in_place(bpf_map_create(BPF_MAP_TYPE_ARRAY, "ports", 4, 24, 1024, NULL), "ports");
	ports = pinned_id("ports");
	pretend(23);
	expect_refused("ports: was made with another layout", "purge");
	assert_int_equal(pinned_id("ports"), ports);
	assert_false(is_pinned("ports_before"));
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
	pin_slots_before();
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
	forget_slots_before();
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
		cmocka_unit_test_setup_teardown(test_carries_slots_over, up, down),
		cmocka_unit_test_setup_teardown(test_carries_on_where_a_start_was_cut_short, up, down),
		cmocka_unit_test_setup_teardown(test_refuses_another_shape_of_slots, up, down),
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
