/* SPDX-License-Identifier: GPL-2.0-only */
/* Log records: as syslog messages (RFC 5424), and in the audit files, which answer who had an external port when. How fast they answer is
 * measured over AUDIT_RECORDS records (environment; 50000 if it says nothing). */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>
#include "audit_file.h"
#include "syslog_socket.h"

#define DAY 20000			/* 2024-10-04 */
#define MIDNIGHT ((int64_t)DAY * AUDIT_DAY_S)
#define ASKED 500
#define READS_MAX 20	/* two trees of four levels, the schema, and what looks whether somebody writes */
#define FAST_US 50000.	/* with sanitizers, on a machine that does other things too */

static char folder[64];

static int up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "%.40s/xcgn-audit-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	return mkdtemp(folder) ? 0 : -1;
}

static int down(void **state)
{
	DIR *directory = opendir(folder);
	const struct dirent *entry;
	char path[400];

	(void)state;
	while (directory && (entry = readdir(directory))) {
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		unlink(path);
	}
	if (directory)
		closedir(directory);
	return rmdir(folder);
}

static const uint8_t external[4] = { 192, 0, 2, 1 };

static struct nat_log block(enum nat_log_event event, int64_t unix_s, const char *subscriber, uint16_t first, uint16_t last, uint32_t generation)
{
	struct nat_log record = { .event = event, .unix_s = unix_s, .external4 = { 192, 0, 2, 1 }, .first_port = first, .last_port = last,
		.generation = generation };

	snprintf(record.subscriber, sizeof(record.subscriber), "%s", subscriber);
	return record;
}

static void write_records(const struct nat_log *records, size_t count, int64_t unix_s, bool expect_fresh)
{
	struct audit_error error;
	struct audit_file *file;
	bool is_fresh;
	size_t i;

	file = audit_file_open(folder, unix_s, &is_fresh, &error);
	if (!file)
		fail_msg("%s", error.text);
	assert_int_equal(is_fresh, expect_fresh);
	assert_true(audit_file_begin(file, &error));
	for (i = 0; i < count; i++)
		assert_true(audit_file_add(file, &records[i], &error));
	assert_true(audit_file_commit(file, &error));
	audit_file_close(file);
}

static void expect_owner(uint16_t port, int64_t unix_s, const char *subscriber, int64_t from_s, int64_t until_s)
{
	struct audit_owner owner;
	struct audit_error error;

	if (audit_who(folder, external, port, unix_s, &owner, &error) != 1)
		fail_msg("port %u at midnight + %lld: %s", port, (long long)(unix_s - MIDNIGHT), error.text);
	if (!subscriber) {
		assert_false(owner.is_owned);
		return;
	}
	assert_true(owner.is_owned);
	assert_string_equal(owner.record.subscriber, subscriber);
	assert_int_equal(owner.from_s, from_s);
	assert_int_equal(owner.until_s, until_s);
}

static void expect_owners_of_a_day(void)
{
	expect_owner(1024, MIDNIGHT + 99, NULL, 0, 0);
	expect_owner(1024, MIDNIGHT + 100, "198.51.100.2", MIDNIGHT + 100, MIDNIGHT + 200);
	expect_owner(1279, MIDNIGHT + 199, "198.51.100.2", MIDNIGHT + 100, MIDNIGHT + 200);
	expect_owner(1100, MIDNIGHT + 200, "198.51.100.3", MIDNIGHT + 200, MIDNIGHT + 300);
	expect_owner(1100, MIDNIGHT + 300, NULL, 0, 0);
	expect_owner(1280, MIDNIGHT + 1000, "198.51.100.4", MIDNIGHT + 100, 0);
	expect_owner(1100, MIDNIGHT + 1000, "198.51.100.5", MIDNIGHT + 400, 0);
	expect_owner(1200, MIDNIGHT + 1000, NULL, 0, 0);
	expect_owner(1023, MIDNIGHT + 1000, NULL, 0, 0);
}

/* As a version before made it. */
static void drop_places(void)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/2024-10-04.sqlite", folder);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "DROP TABLE place", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void owners_of_a_day(void **state)
{
	const struct nat_log records[] = {
		block(NAT_LOG_ALLOCATED, MIDNIGHT + 100, "198.51.100.2", 1024, 1279, 1),
		block(NAT_LOG_RELEASED, MIDNIGHT + 200, "198.51.100.2", 1024, 1279, 1),
		/* in the very second of its end the next owner may begin */
		block(NAT_LOG_ALLOCATED, MIDNIGHT + 200, "198.51.100.3", 1024, 1279, 2),
		block(NAT_LOG_RELEASED, MIDNIGHT + 300, "198.51.100.3", 1024, 1279, 2),
		block(NAT_LOG_ALLOCATED, MIDNIGHT + 100, "198.51.100.4", 1280, 1535, 1),
		/* other pools since then: blocks of another size */
		block(NAT_LOG_ALLOCATED, MIDNIGHT + 400, "198.51.100.5", 1088, 1151, 1),
		{ .event = NAT_LOG_QUOTA, .unix_s = MIDNIGHT + 5, .subscriber = "198.51.100.9" },
		{ .event = NAT_LOG_EXHAUSTED, .unix_s = MIDNIGHT + 5, .subscriber = "198.51.100.9" },
	};

	(void)state;
	write_records(records, sizeof(records) / sizeof(*records), MIDNIGHT + 100, true);
	write_records(records, 2, MIDNIGHT + 500, false);	/* again: none the more */
	expect_owners_of_a_day();
	drop_places();
	expect_owners_of_a_day();
	write_records(records, 0, MIDNIGHT + 600, false);	/* goes on in the same file */
	expect_owners_of_a_day();
}

static void over_midnight(void **state)
{
	const struct nat_log first[] = { block(NAT_LOG_ALLOCATED, MIDNIGHT + 100, "198.51.100.2", 1024, 1279, 1) };
	const struct nat_log third[] = {
		first[0],	/* it begins with who has a block */
		block(NAT_LOG_RELEASED, MIDNIGHT + 2 * AUDIT_DAY_S + 50, "198.51.100.2", 1024, 1279, 1),
	};
	struct audit_owner owner;
	struct audit_error error;

	(void)state;
	write_records(first, 1, MIDNIGHT, true);
	write_records(third, 2, MIDNIGHT + 2 * AUDIT_DAY_S, true);
	expect_owner(1024, MIDNIGHT + 200, "198.51.100.2", MIDNIGHT + 100, MIDNIGHT + 2 * AUDIT_DAY_S + 50);
	/* a day on which nobody wrote: as the day before left it */
	expect_owner(1024, MIDNIGHT + AUDIT_DAY_S + 7, "198.51.100.2", MIDNIGHT + 100, MIDNIGHT + 2 * AUDIT_DAY_S + 50);
	expect_owner(1024, MIDNIGHT + 2 * AUDIT_DAY_S + 49, "198.51.100.2", MIDNIGHT + 100, MIDNIGHT + 2 * AUDIT_DAY_S + 50);
	expect_owner(1024, MIDNIGHT + 2 * AUDIT_DAY_S + 50, NULL, 0, 0);
	assert_int_equal(audit_who(folder, external, 1024, MIDNIGHT - 1, &owner, &error), 0);
}

static void old_files_go(void **state)
{
	struct nat_log record = block(NAT_LOG_ALLOCATED, MIDNIGHT, "198.51.100.2", 1024, 1279, 1);
	struct audit_owner owner;
	struct audit_error error;
	int day;

	(void)state;
	for (day = 0; day < 5; day++)
		write_records(&record, 1, MIDNIGHT + day * AUDIT_DAY_S, true);
	assert_int_equal(audit_expire(folder, MIDNIGHT + 4 * AUDIT_DAY_S + 7, 2), 2);
	assert_int_equal(audit_expire(folder, MIDNIGHT + 4 * AUDIT_DAY_S + 7, 2), 0);
	assert_int_equal(audit_who(folder, external, 1024, MIDNIGHT + AUDIT_DAY_S, &owner, &error), 0);
	assert_int_equal(audit_who(folder, external, 1024, MIDNIGHT + 2 * AUDIT_DAY_S, &owner, &error), 1);
}

static void not_a_database(void **state)
{
	struct audit_owner owner;
	struct audit_error error;
	char path[128];
	bool is_fresh;
	FILE *file;

	(void)state;
	snprintf(path, sizeof(path), "%s/2024-10-04.sqlite", folder);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "%0999d", 7);
	fclose(file);
	assert_null(audit_file_open(folder, MIDNIGHT, &is_fresh, &error));
	assert_non_null(strstr(error.text, path));
	assert_int_equal(audit_who(folder, external, 1024, MIDNIGHT + 1, &owner, &error), -1);
}

static void rollback(void **state)
{
	struct nat_log record = block(NAT_LOG_ALLOCATED, MIDNIGHT, "198.51.100.2", 1024, 1279, 1), last;
	struct audit_error error;
	bool is_fresh;
	struct audit_file *file = audit_file_open(folder, MIDNIGHT, &is_fresh, &error);

	(void)state;
	assert_non_null(file);
	assert_true(audit_file_begin(file, &error) && audit_file_add(file, &record, &error));
	audit_file_rollback(file);
	assert_int_equal(audit_file_last(file, external, 1024, &last, &error), 0);
	assert_true(audit_file_begin(file, &error) && audit_file_add(file, &record, &error) && audit_file_commit(file, &error));
	assert_int_equal(audit_file_last(file, external, 1024, &last, &error), 1);
	assert_string_equal(last.subscriber, "198.51.100.2");
	audit_file_close(file);
}

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Record n of a busy day: 240 blocks of each of 1024 addresses change hands all the time. */
static struct nat_log busy_record(uint64_t n, uint64_t count)
{
	uint64_t pair = n / 2, place = pair * 2654435761u % (1024 * 240), owners = count / 2 / (1024 * 240) + 1;
	uint64_t turn = pair / (1024 * 240);
	struct nat_log record = block(n % 2 ? NAT_LOG_RELEASED : NAT_LOG_ALLOCATED, 0, "", (uint16_t)(4096 + place % 240 * 256), 0, (uint32_t)turn + 1);

	record.unix_s = MIDNIGHT + (int64_t)((AUDIT_DAY_S - 1) * (2 * turn + n % 2) / (2 * owners));
	record.last_port = (uint16_t)(record.first_port + 255);
	record.external4[2] = (uint8_t)(place / 240 >> 8);
	record.external4[3] = (uint8_t)(place / 240);
	snprintf(record.subscriber, sizeof(record.subscriber), "100.64.%u.%u", (unsigned)(place >> 8 & 255), (unsigned)((place + turn) & 255));
	return record;
}

static void write_busy_day(uint64_t count)
{
	struct audit_error error;
	struct audit_file *file;
	struct nat_log record;
	bool is_fresh;
	uint64_t n;

	file = audit_file_open(folder, MIDNIGHT, &is_fresh, &error);
	assert_non_null(file);
	for (n = 0; n < count; n++) {
		if (n % 4096 == 0)
			assert_true((!n || audit_file_commit(file, &error)) && audit_file_begin(file, &error));
		record = busy_record(n, count);
		if (!audit_file_add(file, &record, &error))
			fail_msg("%s", error.text);
	}
	assert_true(audit_file_commit(file, &error));
	audit_file_close(file);
}

/* As after a while in which nobody asked: nothing of the file is in memory. */
static void forget_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fdatasync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	close(fd);
}

/* Read calls of this process so far: pages, for one who reads a database. Beside other processes time says little. */
static unsigned long long read_calls(void)
{
	unsigned long long calls = 0;
	FILE *io = fopen("/proc/self/io", "re");
	char line[64];

	while (io && fgets(line, sizeof(line), io))
		if (sscanf(line, "syscr: %llu", &calls) == 1)
			break;
	if (io)
		fclose(io);
	return calls;
}

/* Who had a port, of ASKED allocations all over the day; how long each answer took, ascending. */
static void ask_all(uint64_t count, const char *forgotten, double *took)
{
	struct audit_owner owner;
	struct audit_error error;
	struct nat_log record;
	double begun;
	uint64_t n;
	int i;

	for (i = 0; i < ASKED; i++) {
		n = (uint64_t)i * 7919 * 7919 % (count / 2) * 2;
		record = busy_record(n, count);
		if (forgotten)
			forget_file(forgotten);
		begun = now_us();
		assert_int_equal(audit_who(folder, record.external4, (uint16_t)(record.first_port + i % 256), record.unix_s + 1, &owner, &error), 1);
		took[i] = now_us() - begun;
		assert_true(owner.is_owned);
		assert_string_equal(owner.record.subscriber, record.subscriber);
		assert_int_equal(owner.record.generation, record.generation);
	}
	qsort(took, ASKED, sizeof(*took), compare_doubles);
}

static void answers_in_milliseconds(void **state)
{
	const char *wanted = getenv("AUDIT_RECORDS");
	uint64_t count = wanted ? strtoull(wanted, NULL, 10) : 50000;
	static double warm[ASKED], cold[ASKED];
	double begun = now_us(), written;
	unsigned long long reads;
	char path[128];
	struct stat size;

	(void)state;
	write_busy_day(count);
	written = now_us() - begun;
	snprintf(path, sizeof(path), "%s/2024-10-04.sqlite", folder);
	assert_int_equal(stat(path, &size), 0);
	ask_all(count, path, cold);
	reads = read_calls();
	ask_all(count, NULL, warm);
	reads = read_calls() - reads;
	print_message("%llu reads for each answer\n", reads / ASKED);
	print_message("%llu records, %llu MiB, written at %.0f in a second; who: median %.0f us, 99 %% below %.0f us, most %.0f us; each from the disk: "
		      "%.0f, %.0f, %.0f us\n", (unsigned long long)count, (unsigned long long)size.st_size >> 20, (double)count / written * 1e6,
		      warm[ASKED / 2], warm[ASKED * 99 / 100], warm[ASKED - 1], cold[ASKED / 2], cold[ASKED * 99 / 100], cold[ASKED - 1]);
	assert_true(warm[ASKED / 2] < FAST_US);
	assert_true(reads / ASKED <= READS_MAX);
}

static void syslog_messages(void **state)
{
	struct nat_log record = block(NAT_LOG_ALLOCATED, MIDNIGHT + 3661, "198.51.100.2", 1024, 1279, 7);
	char message[NAT_LOG_MESSAGE_MAX];
	size_t length;

	(void)state;
	length = nat_log_syslog(&record, "cgn1.example", 42, message, sizeof(message));
	assert_string_equal(message, "<134>1 2024-10-04T01:01:01Z cgn1.example xcgnd 42 BLOCK-ALLOCATED [xcgn@32473 subscriber=\"198.51.100.2\""
			    " external=\"192.0.2.1\" first-port=\"1024\" last-port=\"1279\" generation=\"7\"]");
	assert_int_equal(length, strlen(message));
	record.event = NAT_LOG_QUOTA;
	nat_log_syslog(&record, "", 42, message, sizeof(message));
	assert_string_equal(message, "<132>1 2024-10-04T01:01:01Z - xcgnd 42 QUOTA [xcgn@32473 subscriber=\"198.51.100.2\"]");
	nat_log_syslog(&record, "a b\tc", 42, message, sizeof(message));
	assert_non_null(strstr(message, "Z abc xcgnd"));
	assert_int_equal(nat_log_syslog(&record, "host", 42, message, 10), 9);
	assert_string_equal(message, "<132>1 20");
}

static void syslog_targets(void **state)
{
	struct syslog_socket socket;

	(void)state;
	assert_true(syslog_target_is_valid("none") && syslog_target_is_valid("/dev/log") && syslog_target_is_valid("udp:192.0.2.1:514"));
	assert_false(syslog_target_is_valid("udp:192.0.2.1") || syslog_target_is_valid("udp:192.0.2.1:0") || syslog_target_is_valid("udp:0.0.0.0:514"));
	assert_false(syslog_target_is_valid("dev/log") || syslog_target_is_valid("") || syslog_target_is_valid("tcp:192.0.2.1:514"));
	syslog_socket_init(&socket, "/tmp/xcgn-no-such-socket");
	assert_false(syslog_socket_send(&socket, "x", 1));
	syslog_socket_done(&socket);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(syslog_messages),
		cmocka_unit_test(syslog_targets),
		cmocka_unit_test_setup_teardown(owners_of_a_day, up, down),
		cmocka_unit_test_setup_teardown(over_midnight, up, down),
		cmocka_unit_test_setup_teardown(old_files_go, up, down),
		cmocka_unit_test_setup_teardown(not_a_database, up, down),
		cmocka_unit_test_setup_teardown(rollback, up, down),
		cmocka_unit_test_setup_teardown(answers_in_milliseconds, up, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
