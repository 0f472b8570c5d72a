/* SPDX-License-Identifier: GPL-2.0-only */
/* Maps of the kernel and stable storage: the log says what `explicit` says, also when it is written anew while requests go on, and
 * fresh maps filled from it are the old ones again. */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include "dataplane_recorder.h"
#include "explicit_record.h"
#include "requests.h"
#include "store.h"
#include "store_image.h"
#include "store_restore.h"
#include "store_snapshot.h"

#define HOSTS	200
#define PORTS	40	/* of a host, in use at once at most */
#define LIFETIME_S 5000

static const char wide[] =
	"pools:\n  - {name: main, addresses: [192.0.2.0/28], ports: 1024-65535, block-size: 64}\n"
	"subscribers: {prefixes: [198.51.100.0/24], blocks: 8, explicit: 300}\n"
	"tables: {mappings: 50000, subscribers: 256}\n";
/* What was granted before is restored whatever the limits are now. */
static const char narrow[] =
	"pools:\n  - {name: main, addresses: [192.0.2.0/28], ports: 1024-65535, block-size: 64}\n"
	"subscribers: {prefixes: [198.51.100.0/24], blocks: 1, explicit: 1, reserve: 0}\n"
	"tables: {mappings: 50000, subscribers: 256}\n";

static char directory[] = "/tmp/xcgn-bpf-store-XXXXXX";
static struct store *store;
static struct dataplane_recorder *recorder;
static struct store_snapshot *snapshot;

/* As the PCP service does before it answers. */
static bool is_committed(struct dataplane_recorder *decided)
{
	return !dataplane_recorder_commit_begin(decided) || dataplane_recorder_commit_end(decided);
}

static void open_store(enum store_origin expected)
{
	struct store_options options = { .directory = directory, .mappings_max = 50000, .will_be_read = true };
	struct recorder_source source = { &dataplane_bpf_ops, plane.dp, dataplane_recorder_read };
	struct store_report report;
	char error[512];

	store = store_open(&options, &report, error, sizeof(error));
	if (!store)
		fail_msg("%s", error);
	assert_int_equal(report.origin, expected);
	recorder = dataplane_recorder_new(&source, store);
	snapshot = store_snapshot_new(store, plane.dp);
	assert_true(recorder && snapshot);
}

static void close_store(void)
{
	store_snapshot_free(snapshot);
	dataplane_recorder_free(recorder);
	store_close(store);
}

static int up(void **state)
{
	(void)state;
	plane_start(&plane, wide);
	strcpy(strrchr(directory, '-'), "-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int down(void **state)
{
	char command[128];

	(void)state;
	plane_stop(&plane);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

/* ---- requests by the recorder ---- */

static struct cgn_map_request wanted(unsigned host, uint16_t port)
{
	char internal4[32];
	struct cgn_map_request request = { .lifetime_s = LIFETIME_S + port, .origin = CGN_MAP, .client_port = 4000 };

	snprintf(internal4, sizeof(internal4), "198.51.100.%u", 2 + host);
	request.internal = plane_internal(UDP, internal4, port);
	memset(request.nonce, (int)(host ^ port), sizeof(request.nonce));
	request.client6[10] = request.client6[11] = 0xff;
	memcpy(request.client6 + 12, request.internal.addr4, 4);
	return request;
}

static void do_describe(const struct cgn_map_request *request)
{
	struct cgn_describe_request describe = { .key = { .internal = request->internal, .opcode = CGN_MAP } };

	describe.description.length = (__u16)(1 + rand() % 100);
	memset(describe.description.text, 'a' + rand() % 26, describe.description.length);
	assert_int_equal(dataplane_recorder_ops.describe(recorder, &describe), 0);
}

static void do_filter(struct cgn_map_request *request)
{
	struct cgn_filter filters[2] = { { .prefix_length = 128, .remote_port = (__u16)rand() }, { .prefix_length = 120 } };

	filters[0].remote6[10] = filters[0].remote6[11] = filters[1].remote6[10] = filters[1].remote6[11] = 0xff;
	filters[0].remote6[12] = 203;
	filters[1].remote6[12] = 198;
	request->filter_count = (__u8)(1 + rand() % 2);
	request->filter_limit = 8;
	request->flags = CGN_CLEAR_FILTERS;
	assert_int_equal(dataplane_recorder_ops.map_filtered(recorder, request, filters), 0);
}

static void do_peer(struct cgn_map_request *request)
{
	request->origin = CGN_PEER;
	request->remote6[10] = request->remote6[11] = 0xff;
	request->remote6[12] = 203;
	request->remote_port = (__u16)(1 + rand() % 3);
	assert_int_equal(dataplane_recorder_ops.peer(recorder, request), 0);
}

static void do_random(unsigned count)
{
	struct cgn_map_request request;

	for (; count; count--) {
		request = wanted((unsigned)rand() % HOSTS, (uint16_t)(1000 + rand() % PORTS));
		switch (rand() % 8) {
		case 0:
		case 1:
			assert_int_equal(dataplane_recorder_ops.delete(recorder, &request), 0);
			break;
		case 2:
			do_describe(&request);
			break;
		case 3:
			do_filter(&request);
			break;
		case 4:
			do_peer(&request);
			break;
		default:
			assert_int_equal(dataplane_recorder_ops.map(recorder, &request), 0);
		}
	}
	assert_true(is_committed(recorder));
}

/* ---- comparing ---- */

struct line { uint64_t expires_s; size_t len; uint8_t bytes[512]; };
struct lines { struct line *line; size_t count, size, peers, with_attributes; };

static void lines_add(struct lines *lines, const struct store_record *record)
{
	struct store_record undated = *record;
	struct line *line;
	struct writer w;

	if (lines->count == lines->size) {
		lines->size = lines->size ? lines->size * 2 : 1024;
		lines->line = realloc(lines->line, lines->size * sizeof(*line));
		assert_non_null(lines->line);
	}
	line = &lines->line[lines->count++];
	lines->peers += record->key.opcode == CGN_PEER;
	lines->with_attributes += record->attributes_len > 0;
	memset(line, 0, sizeof(*line));
	line->expires_s = record->expires_s;
	undated.expires_s = 0;
	writer_init(&w, line->bytes, sizeof(line->bytes));
	store_record_encode(&w, &undated);
	assert_false(w.overflow);
	line->len = writer_len(&w);
}

static int compare_lines(const void *a, const void *b)
{
	return memcmp(((const struct line *)a)->bytes, ((const struct line *)b)->bytes, sizeof(((const struct line *)a)->bytes));
}

static struct lines lines_of_maps(void)
{
	static struct cgn_explicit_key keys[512];
	static struct cgn_explicit values[512];
	static struct explicit_record record;
	struct lines lines = { 0 };
	uint64_t cursor = 0;
	int count, i;

	do {
		count = dataplane_walk_explicit(plane.dp, &cursor, keys, values, 512);
		assert_true(count >= 0);
		for (i = 0; i < count; i++) {
			assert_true(explicit_record_from(plane.dp, store, &keys[i], &values[i], &record));
			lines_add(&lines, &record.record);
		}
	} while (cursor);
	qsort(lines.line, lines.count, sizeof(*lines.line), compare_lines);
	return lines;
}

static struct lines lines_of_store(void)
{
	struct lines lines = { 0 };
	struct store_record record;
	struct store_image *image;

	assert_int_equal(store_image_new(store, &image), 0);
	while (store_image_next(image, &record))
		lines_add(&lines, &record);
	assert_int_equal(store_image_superseded(image), 0);
	store_image_free(image);
	qsort(lines.line, lines.count, sizeof(*lines.line), compare_lines);
	return lines;
}

/* The clocks of programs and userspace may stand on either side of a second. */
static void expect_same(struct lines a, struct lines b)
{
	size_t i;

	assert_int_equal(a.count, b.count);
	for (i = 0; i < a.count; i++) {
		assert_memory_equal(a.line[i].bytes, b.line[i].bytes, sizeof(a.line[i].bytes));
		assert_in_range(a.line[i].expires_s - b.line[i].expires_s + 1, 0, 2);
	}
	free(a.line);
	free(b.line);
}

/* ---- tests ---- */

static void test_log_agrees_with_maps(void **state)
{
	uint64_t position;
	unsigned slices;

	(void)state;
	srand(1);
	open_store(STORE_CREATED);
	do_random(6000);
	expect_same(lines_of_store(), lines_of_maps());
	/* written anew, with requests between the slices */
	position = store_position(store);
	store_snapshot_begin(snapshot);
	for (slices = 0; store_snapshot_is_running(snapshot); slices++) {
		assert_int_equal(store_snapshot_slice(snapshot), 0);
		assert_int_equal(store_commit(store), 0);
		if (slices % 2)
			expect_same(lines_of_store(), lines_of_maps());
		do_random(300);
	}
	assert_in_range(slices, 5, 100);
	assert_true(store_state(store).is_complete);
	while (store_is_trimming(store))
		assert_int_equal(store_tick(store), 0);
	expect_same(lines_of_store(), lines_of_maps());
	do_random(500);
	expect_same(lines_of_store(), lines_of_maps());
	assert_true(store_position(store) > position);
	close_store();
	open_store(STORE_ADOPTED);
	expect_same(lines_of_store(), lines_of_maps());
	close_store();
}

/* Into maps with narrower limits: at the same endpoints, with nonce, end, filters and text; on several threads, being many. */
static void test_fresh_maps_are_the_old_ones(void **state)
{
	struct store_restored restored;
	struct cgn_map_request request;
	struct lines before;

	(void)state;
	srand(2);
	open_store(STORE_CREATED);
	do_random(20000);
	before = lines_of_maps();
	assert_in_range(before.count, 6000, HOSTS * PORTS * 4);
	assert_in_range(before.peers, 1000, before.count);
	assert_in_range(before.with_attributes, 1000, before.count);
	close_store();
	plane_stop(&plane);
	plane_start(&plane, narrow);
	open_store(STORE_ADOPTED);
	assert_int_equal(store_restore(store, &dataplane_bpf_ops, plane.dp, &restored), 0);
	assert_int_equal(restored.lost, 0);
	assert_int_equal(restored.restored, before.count);
	expect_same(before, lines_of_maps());
	/* the limits hold for what is new */
	request = wanted(1, 900);
	assert_int_equal(dataplane_recorder_ops.map(recorder, &request), 0);
	assert_int_equal(request.status, CGN_QUOTA);
	/* asked for once more, all of it is there already */
	assert_int_equal(store_restore(store, &dataplane_bpf_ops, plane.dp, &restored), 0);
	assert_int_equal(restored.lost, 0);
	close_store();
}

/* A batch whose commit fails was answered to nobody: its MAPs and PEERs end, their places in the quota are free, and what stood before
 * stands. */
static void test_failed_commit_is_taken_back(void **state)
{
	struct rlimit full = { 0, RLIM_INFINITY };
	struct cgn_map_request kept = wanted(0, 1000), map = wanted(0, 1001), peer = wanted(0, 1002), joined = wanted(0, 1000);
	struct cgn_subscriber_key host = plane_subscriber("198.51.100.2");
	struct cgn_subscriber subscriber;
	struct cgn_mapping mapping;
	struct lines before;

	(void)state;
	srand(3);
	open_store(STORE_CREATED);
	assert_int_equal(dataplane_recorder_ops.map(recorder, &kept), 0);
	assert_true(is_committed(recorder));
	before = lines_of_maps();
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	assert_int_equal(dataplane_recorder_ops.map(recorder, &map), 0);
	do_peer(&peer);
	do_peer(&joined);
	assert_true(map.status == CGN_OK && peer.status == CGN_OK && joined.status == CGN_OK);
	assert_true(dataplane_find_subscriber(plane.dp, &host, &subscriber));
	assert_int_equal(subscriber.explicit_used, 4);
	assert_false(is_committed(recorder));
	full.rlim_cur = RLIM_INFINITY;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	expect_same(before, lines_of_maps());
	assert_true(dataplane_find_subscriber(plane.dp, &host, &subscriber));
	assert_int_equal(subscriber.explicit_used, 1);
	assert_false(dataplane_find_mapping(plane.dp, &map.internal, &mapping));
	assert_true(dataplane_find_mapping(plane.dp, &kept.internal, &mapping));
	assert_int_equal(mapping.state.flags & CGN_ORIGINS, CGN_MAP);
	assert_int_equal(mapping.peers, 0);
	if (dataplane_find_mapping(plane.dp, &peer.internal, &mapping))	/* as a packet would have made it */
		assert_int_equal(mapping.state.flags & CGN_ORIGINS, CGN_IMPLICIT);
	assert_int_equal(store_tick(store), 0);
	expect_same(lines_of_store(), lines_of_maps());
	close_store();
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

static int tests(void)
{
	const struct CMUnitTest all[] = { STORE_TEST(test_log_agrees_with_maps), STORE_TEST(test_fresh_maps_are_the_old_ones),
		STORE_TEST(test_failed_commit_is_taken_back) };

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
