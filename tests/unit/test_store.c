/* SPDX-License-Identifier: GPL-2.0-only */
/* Stable storage: what was committed comes back, and nothing that cannot be trusted does. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "store_fixture.h"

/* ---- records ---- */

static void round_trip(const struct store_record *record)
{
	uint8_t bytes[STORE_RECORD_MAX];
	struct store_record decoded;
	struct writer w;
	struct reader r;
	size_t len, cut;

	writer_init(&w, bytes, sizeof(bytes));
	store_record_encode(&w, record);
	assert_false(w.overflow);
	len = writer_len(&w);
	reader_init(&r, bytes, len);
	assert_true(store_record_decode(&r, &decoded));
	assert_int_equal(reader_left(&r), 0);
	record_equal(&decoded, record);
	for (cut = 0; cut < len; cut++) {
		uint8_t *exact = malloc(cut + 1);

		memcpy(exact, bytes, cut);
		reader_init(&r, exact, cut);
		assert_false(store_record_decode(&r, &decoded));
		if (cut > 2) {	/* also if its own length says that this is all of it */
			exact[0] = (uint8_t)((cut - 2) >> 8);
			exact[1] = (uint8_t)(cut - 2);
			reader_init(&r, exact, cut);
			assert_false(store_record_decode(&r, &decoded));
		}
		free(exact);
	}
}

static void records_round_trip(void **state)
{
	struct store_record grant = fixture_grant(7), deletion = fixture_deletion(7), peer = fixture_grant(8),
		epoch = { .kind = STORE_EPOCH, .epoch_base_s = 1700000000000, .epoch_reason = CGN_EPOCH_CLEARED },
		block = { .kind = STORE_BLOCK, .owner = { .addr4 = { 10, 0, 0, 7 }, .realm = 3 }, .block_shift = 8, .released_s = 1700000000001 };

	(void)state;
	round_trip(&grant);
	round_trip(&deletion);
	epoch.key.internal.host6[0] = 0xfd;
	round_trip(&epoch);
	memcpy(block.key.internal.addr4, "\xc0\0\2\1", 4);
	block.key.internal.port = 1280;
	block.owner.host6[15] = 9;
	round_trip(&block);
	peer.key.opcode = CGN_PEER;
	peer.key.remote_port = 443;
	memset(peer.key.remote6, 0x20, 16);
	memset(peer.key.internal.host6, 0xfd, 16);
	memset(peer.client6, 0xfd, 16);
	peer.key.internal.realm = 3;
	round_trip(&peer);
	peer.kind = STORE_DELETION;
	memset(peer.nonce, 0, sizeof(peer.nonce));
	memset(peer.client6, 0, 16);
	peer.client_port = peer.external_port = 0;
	memset(peer.external4, 0, 4);
	peer.expires_s = 0;
	round_trip(&peer);
}

/* By hand from the comment in store_record.h: the format is what other versions will read. */
static void records_have_their_bytes(void **state)
{
	static const uint8_t expected[] = {
		0, 43 + 7, 1, 0x08, 1, 10, 0, 0, 7, 0x03, 0xef, 17, 0,
		7, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0x65, 0x53, 0xff, 0x17, 10, 0, 0, 7, 0x13, 0x8f,
		192, 0, 2, 0, 0x04, 0x07, 9, 0, 4, 'n', 'a', 'm', 'e' };
	struct store_record record = fixture_grant(7);
	uint8_t bytes[64], attributes[16];
	const uint8_t *value;
	struct writer w;
	struct reader r;
	size_t len;
	uint8_t tag;

	(void)state;
	writer_init(&w, attributes, sizeof(attributes));
	store_attribute_encode(&w, 9, "name", 4);
	record.attributes = attributes;
	record.attributes_len = writer_len(&w);
	writer_init(&w, bytes, sizeof(bytes));
	store_record_encode(&w, &record);
	assert_int_equal(writer_len(&w), sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(expected));
	reader_init(&r, bytes, sizeof(expected));
	assert_true(store_record_decode(&r, &record));
	reader_init(&r, record.attributes, record.attributes_len);
	assert_true(store_attribute_next(&r, &tag, &value, &len));
	assert_int_equal(tag, 9);
	assert_int_equal(len, 4);
	assert_memory_equal(value, "name", 4);
	assert_false(store_attribute_next(&r, &tag, &value, &len));
	assert_false(r.short_read);
	bytes[sizeof(expected) - 5] = 5;	/* an attribute longer than its record */
	reader_init(&r, bytes, sizeof(expected));
	assert_false(store_record_decode(&r, &record));
	bytes[sizeof(expected) - 5] = 4;
	bytes[3] |= 0x10;			/* a presence bit that nobody knows */
	reader_init(&r, bytes, sizeof(expected));
	assert_false(store_record_decode(&r, &record));
}

/* ---- the log ---- */

static void committed_comes_back(void **state)
{
	struct store *store = fixture_open(STORE_CREATED);
	struct store_record record;
	struct stat status;
	unsigned i;

	(void)state;
	assert_int_equal(stat(fixture_directory, &status), 0);
	assert_int_equal(stat(fixture_file, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	for (i = 0; i < 1000; i += 50) {
		fixture_put_grants(store, i, i + 50);
		assert_int_equal(store_commit(store), 0);
	}
	for (i = 0; i < 300; i++) {
		record = fixture_deletion(i);
		fixture_put(store, &record);
	}
	assert_int_equal(store_commit(store), 0);
	fixture_put_grants(store, 100, 200);	/* never committed */
	store_close(store);
	store = fixture_open(STORE_ADOPTED);
	expect_held(store, 300, 1000, 1000);
	fixture_put_grants(store, 0, 300);
	assert_int_equal(store_commit(store), 0);
	store_close(store);
	store = fixture_open(STORE_ADOPTED);
	expect_held(store, 0, 1000, 1000);
	store_close(store);
}

static void last_record_counts(void **state)
{
	struct store *store = fixture_open(STORE_CREATED);
	struct store_record record, read;
	struct store_image *image;
	unsigned i;

	(void)state;
	for (i = 0; i < 5; i++) {
		record = fixture_grant(1);
		record.expires_s += i;
		fixture_put(store, &record);
		if (i == 2)
			assert_int_equal(store_commit(store), 0);
	}
	assert_int_equal(store_commit(store), 0);
	assert_int_equal(store_image_new(store, &image), 0);
	assert_true(store_image_next(image, &read));
	record_equal(&read, &record);
	assert_false(store_image_next(image, &read));
	store_image_free(image);
	store_close(store);
}

/* A port that went to somebody else without a word about its first owner's end is the second one's. */
static void youngest_owner_has_the_port(void **state)
{
	struct store *store = fixture_open(STORE_CREATED);
	struct store_record first = fixture_grant(1), second = fixture_grant(2), peer = fixture_grant(2), read;
	struct store_image *image;

	(void)state;
	second.external_port = first.external_port;
	peer.external_port = first.external_port;
	peer.key.opcode = CGN_PEER;
	peer.key.remote_port = 80;
	fixture_put(store, &first);
	fixture_put(store, &second);
	fixture_put(store, &peer);
	assert_int_equal(store_commit(store), 0);
	assert_int_equal(store_image_new(store, &image), 0);
	assert_true(store_image_next(image, &read));
	record_equal(&read, &peer);
	assert_true(store_image_next(image, &read));
	record_equal(&read, &second);
	assert_false(store_image_next(image, &read));
	assert_int_equal(store_image_superseded(image), 1);
	store_image_free(image);
	store_close(store);
}

static void long_records_are_kept(void **state)
{
	static uint8_t text[6000];
	struct store *store = fixture_open(STORE_CREATED);
	struct store_record record = fixture_grant(1), read;
	uint8_t attributes[7000];
	struct store_image *image;
	struct writer w;

	(void)state;
	memset(text, 'x', sizeof(text));
	writer_init(&w, attributes, sizeof(attributes));
	store_attribute_encode(&w, 1, text, sizeof(text));
	record.attributes = attributes;
	record.attributes_len = writer_len(&w);
	fixture_put_grants(store, 2, 100);
	fixture_put(store, &record);
	fixture_put_grants(store, 100, 200);
	assert_int_equal(store_commit(store), 0);
	record.attributes_len = sizeof(attributes);
	record.attributes = attributes;
	assert_int_equal(store_image_new(store, &image), 0);
	while (store_image_next(image, &read) && read.key.internal.port != record.key.internal.port)
		;
	record.attributes_len = writer_len(&w);
	record_equal(&read, &record);
	store_image_free(image);
	store_close(store);
}

static void forgotten_is_trimmed(void **state)
{
	struct store *store = fixture_open(STORE_CREATED);
	struct stat before, after;
	uint64_t position;
	unsigned round, i;

	(void)state;
	for (round = 0; round < 8; round++) {
		position = store_position(store);
		for (i = 0; i < 1000; i += 20) {
			fixture_put_grants(store, i, i + 20);
			assert_int_equal(store_commit(store), 0);
		}
		store_forget_before(store, position);
		assert_int_equal(store_commit(store), 0);
		for (i = 0; i < 1000 && store_is_trimming(store); i++)
			assert_int_equal(store_tick(store), 0);
		assert_false(store_is_trimming(store));
		expect_held(store, 0, 1000, 1000);
		assert_int_equal(stat(fixture_file, round < 2 ? &before : &after), 0);
	}
	assert_true(after.st_size <= before.st_size);
	store_forget_before(store, store_position(store));
	assert_int_equal(store_commit(store), 0);
	expect_held(store, 0, 0, 1000);
	while (store_is_trimming(store))
		assert_int_equal(store_tick(store), 0);
	position = store_position(store);
	store_close(store);
	store = fixture_open(STORE_ADOPTED);
	expect_held(store, 0, 0, 1000);
	assert_true(store_position(store) >= position);	/* or new records would count as forgotten */
	fixture_put_grants(store, 0, 10);
	assert_int_equal(store_commit(store), 0);
	store_close(store);
	store = fixture_open(STORE_ADOPTED);
	expect_held(store, 0, 10, 1000);
	store_close(store);
}

static void state_and_purge(void **state)
{
	struct store *store = fixture_open(STORE_CREATED);
	struct store_state written = store_state(store), read;
	uint64_t id = written.id;

	(void)state;
	assert_true(id != 0);
	assert_false(written.is_complete);
	written.is_complete = true;
	written.epoch_base_s = 1699999000;
	written.epoch_reason = CGN_EPOCH_STATE_LOST;
	store_set_state(store, &written);
	fixture_put_grants(store, 0, 100);
	assert_int_equal(store_commit(store), 0);
	store_close(store);
	store = fixture_open(STORE_ADOPTED);
	read = store_state(store);
	assert_memory_equal(&read, &written, sizeof(read));
	store_close(store);
	assert_true(store_purge(fixture_directory, fixture_error, sizeof(fixture_error)));
	store = fixture_open(STORE_ADOPTED);
	read = store_state(store);
	assert_true(read.is_complete);
	assert_true(read.is_purged);
	assert_true(read.id != id);
	expect_held(store, 0, 0, 100);
	assert_false(store_purge(fixture_directory, fixture_error, sizeof(fixture_error)));	/* somebody has it */
	store_close(store);
	assert_true(store_purge("/tmp/xcgn-no-such-folder", fixture_error, sizeof(fixture_error)));
}

/* ---- time ---- */

static void time_goes_on(void **state)
{
	struct store *store = fixture_open(STORE_CREATED);
	struct store_report report;
	uint64_t start = store_now_s(store);

	(void)state;
	assert_int_equal(start, 1700000000);	/* as people know it */
	fixture_clocks.boot_ms += 100000;
	fixture_clocks.wall_ms += 100000 + 3600000;	/* and somebody sets the clock */
	assert_true(store_now_s(store) == start + 100);
	assert_int_equal(store_tick(store), 0);
	store_close(store);
	fixture_clocks.boot_ms += 7000;
	fixture_clocks.wall_ms -= 9000000;		/* again, while nobody looks: the boot clock knows better */
	store = fixture_open_as(&report);
	assert_non_null(store);
	assert_false(report.is_rebooted);
	assert_int_equal(report.down_s, 7);
	assert_true(store_now_s(store) == start + 107);
	fixture_put_grants(store, 0, 1);
	assert_int_equal(store_commit(store), 0);
	store_close(store);
	fixture_boot = "boot-2";
	fixture_clocks.boot_ms = 20000;
	fixture_clocks.wall_ms += 61900;
	store = fixture_open_as(&report);
	assert_non_null(store);
	assert_true(report.is_rebooted);
	assert_int_equal(report.down_s, 61);		/* never more than has passed */
	assert_true(store_now_s(store) == start + 107 + 61);
	assert_true(store_from_boot_s(store, 25) == start + 107 + 61 + 5);
	store_close(store);
	fixture_boot = "boot-3";
	fixture_clocks.boot_ms = 1000;
	fixture_clocks.wall_ms = 1000;			/* a machine without a battery */
	store = fixture_open_as(&report);
	assert_non_null(store);
	assert_true(report.wall_clock_stepped_back);
	assert_int_equal(report.down_s, 0);
	assert_true(store_now_s(store) == start + 107 + 61);
	fixture_clocks.boot_ms += 2000;
	fixture_clocks.wall_ms = 1700000000000;		/* time comes from the network */
	assert_int_equal(store_tick(store), 0);
	store_close(store);
	fixture_boot = "boot-4";
	fixture_clocks.boot_ms = 1000;
	fixture_clocks.wall_ms += 10000;
	store = fixture_open_as(&report);
	assert_non_null(store);
	assert_int_equal(report.down_s, 10);		/* not the years of the step */
	assert_true(store_now_s(store) == start + 107 + 61 + 2 + 10);
	store_close(store);
}

/* ---- what cannot be used ---- */

static void make_file(unsigned grants)
{
	struct store *store = fixture_open(STORE_CREATED);
	unsigned n;

	for (n = 0; n < grants; n += 10) {
		fixture_put_grants(store, n, n + 10);
		assert_int_equal(store_commit(store), 0);
	}
	store_close(store);
}

static void expect_set_aside(const char *why)
{
	struct store_report report;
	struct store *store = fixture_open_as(&report);
	struct stat status;

	if (!store)
		fail_msg("%s", fixture_error);
	assert_int_equal(report.origin, STORE_SET_ASIDE);
	assert_string_equal(report.why, why);
	assert_int_equal(lstat(report.set_aside, &status), 0);
	expect_held(store, 0, 0, 1000);
	assert_false(store_state(store).is_complete);
	store_close(store);
	store = fixture_open(STORE_ADOPTED);	/* and the new one is sound */
	store_close(store);
}

static void write_file(const char *bytes, size_t len)
{
	int fd = open(fixture_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static void truncated_is_set_aside(void **state)
{
	char foreign[65536];

	(void)state;
	make_file(1000);
	assert_int_equal(truncate(fixture_file, 40960), 0);
	expect_set_aside("it is truncated");
	assert_int_equal(truncate(fixture_file, 4096), 0);
	expect_set_aside("it is truncated");
	assert_int_equal(truncate(fixture_file, 0), 0);
	expect_set_aside("it is empty");
	memset(foreign, 'x', sizeof(foreign));
	write_file(foreign, sizeof(foreign));
	expect_set_aside("it is no store of xcgn");
	memset(foreign, 0, sizeof(foreign));
	write_file(foreign, sizeof(foreign));
	expect_set_aside("it is no store of xcgn");
	assert_int_equal(unlink(fixture_file), 0);
	assert_int_equal(mkdir(fixture_file, 0700), 0);
	expect_set_aside("it is no regular file");
	assert_int_equal(unlink(fixture_file), 0);
	fixture_clocks.wall_ms += 1000;
	assert_int_equal(symlink("/dev/zero", fixture_file), 0);
	expect_set_aside("it is no regular file");
	store_close(fixture_open(STORE_ADOPTED));
	assert_int_equal(unlink(fixture_file), 0);
	store_close(fixture_open(STORE_RECREATED));
}

/* Writes into the file as LMDB does: value of key n. NULL: an LMDB file without our header. */
static void write_value(uint64_t n, void (*change)(uint8_t *bytes, size_t len))
{
	uint8_t number[8] = { 0, 0, 0, 0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n }, bytes[4096];
	MDB_val key = { sizeof(number), number }, value;
	MDB_txn *txn;
	MDB_env *env;
	MDB_dbi dbi;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_mapsize(env, 1 << 28), 0);
	assert_int_equal(mdb_env_open(env, fixture_file, MDB_NOSUBDIR | MDB_NOLOCK, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
	if (change) {
		assert_int_equal(mdb_get(txn, dbi, &key, &value), 0);
		memcpy(bytes, value.mv_data, value.mv_size);
		value.mv_data = bytes;
		change(bytes, value.mv_size);
		assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
	} else {
		assert_int_equal(mdb_del(txn, dbi, &key, NULL), 0);
	}
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void bump_version(uint8_t *bytes, size_t len)
{
	(void)len;
	bytes[11]++;
}

static void flip_last_bit(uint8_t *bytes, size_t len)
{
	bytes[len - 1] ^= 1;
}

static void strange_content_is_set_aside(void **state)
{
	(void)state;
	make_file(100);
	write_value(0, bump_version);
	expect_set_aside("it is of another version");
	store_close(fixture_open(STORE_ADOPTED));
	assert_int_equal(unlink(fixture_file), 0);
	store_close(fixture_open(STORE_RECREATED));
	write_value(0, flip_last_bit);
	expect_set_aside("it is damaged");
	write_value(0, NULL);
	expect_set_aside("it is no store of xcgn");
}

static void damaged_chunk_is_set_aside(void **state)
{
	(void)state;
	make_file(100);
	write_value(4, flip_last_bit);
	expect_set_aside("it is damaged");
}

/* Any page overwritten with anything: the store is set aside, or the page was not in use. Never a crash, never a wrong record. */
static void any_torn_page_is_survived(void **state)
{
	unsigned char garbage[4096], *original;
	unsigned page, pages, i, aside = 0;
	struct store_report report;
	struct store *store;
	struct stat status;
	int fd;

	(void)state;
	srand(4711);
	make_file(600);
	assert_int_equal(stat(fixture_file, &status), 0);
	original = malloc((size_t)status.st_size);
	fd = open(fixture_file, O_RDONLY);
	assert_int_equal(read(fd, original, (size_t)status.st_size), status.st_size);
	close(fd);
	pages = (unsigned)(status.st_size / 4096);
	pages = pages < 90 ? pages : 90;	/* then come zeros written ahead */
	for (page = 0; page < pages; page++) {
		write_file((char *)original, (size_t)status.st_size);
		for (i = 0; i < sizeof(garbage); i++)
			garbage[i] = page % 3 == 0 ? 0 : (unsigned char)rand();
		if (page % 3 == 2)	/* half of it arrived */
			memcpy(garbage, original + page * 4096, 2048);
		fd = open(fixture_file, O_WRONLY);
		assert_int_equal(pwrite(fd, garbage, sizeof(garbage), page * 4096), sizeof(garbage));
		close(fd);
		fixture_clocks.wall_ms += 1000;
		store = fixture_open_as(&report);
		if (!store)
			fail_msg("page %u: %s", page, fixture_error);
		if (report.origin == STORE_ADOPTED) {
			if (page > 1)	/* of the two meta pages the other may serve, one commit older */
				expect_held(store, 0, 600, 600);
		} else {
			assert_int_equal(report.origin, STORE_SET_ASIDE);
			aside++;
		}
		store_close(store);
	}
	free(original);
	assert_in_range(aside, 10, pages);
}

/* ---- what cannot be done ---- */

static void one_process_at_a_time(void **state)
{
	struct store *store = fixture_open(STORE_CREATED);
	struct store_report report;

	(void)state;
	assert_null(fixture_open_as(&report));
	assert_non_null(strstr(fixture_error, "in use by process"));
	store_close(store);
}

static void permission_is_an_error(void **state)
{
	struct store_report report;
	struct store *store;

	(void)state;
	make_file(10);
	assert_int_equal(chmod(fixture_directory, 0755), 0);
	if (!geteuid())
		assert_int_equal(seteuid(65534), 0);
	else
		assert_int_equal(chmod(fixture_file, 0), 0);
	store = fixture_open_as(&report);
	if (!getuid())
		assert_int_equal(seteuid(0), 0);
	else
		assert_int_equal(chmod(fixture_file, 0600), 0);
	assert_null(store);
	assert_non_null(strstr(fixture_error, "Permission denied"));
	assert_null(strchr(fixture_error, '\n'));
	store = fixture_open(STORE_ADOPTED);	/* nothing was set aside */
	expect_held(store, 0, 10, 10);
	store_close(store);
}

static void full_disk_loses_nothing(void **state)
{
	struct rlimit limit = { 1 << 20, RLIM_INFINITY };
	struct store *store;
	unsigned n, held;
	int failed = 0;

	(void)state;
	store = fixture_open(STORE_CREATED);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (n = 0; n < 60000 && !failed; n += 60) {
		fixture_put_grants(store, n, n + 60);
		failed = store_commit(store);
	}
	held = n - 60;
	limit.rlim_cur = RLIM_INFINITY;
	assert_true(failed == -EFBIG || failed == -ENOSPC || failed == -EIO);
	assert_int_not_equal(store_failure(store), 0);
	assert_in_range(held, 1000, 50000);
	assert_int_not_equal(store_tick(store), 0);	/* still full */
	assert_int_not_equal(store_failure(store), 0);
	expect_held(store, 0, held, 60000);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(store_tick(store), 0);
	assert_int_equal(store_failure(store), 0);
	expect_held(store, 0, held + 60, 60000);
	store_close(store);
	store = fixture_open(STORE_ADOPTED);
	expect_held(store, 0, held + 60, 60000);
	store_close(store);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, store_fixture_up, store_fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(records_round_trip), CASE(records_have_their_bytes), CASE(committed_comes_back), CASE(last_record_counts),
		CASE(youngest_owner_has_the_port), CASE(long_records_are_kept), CASE(forgotten_is_trimmed), CASE(state_and_purge),
		CASE(time_goes_on), CASE(truncated_is_set_aside), CASE(strange_content_is_set_aside), CASE(damaged_chunk_is_set_aside),
		CASE(any_torn_page_is_survived), CASE(one_process_at_a_time), CASE(permission_is_an_error), CASE(full_disk_loses_nothing),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
