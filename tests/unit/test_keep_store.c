/* SPDX-License-Identifier: GPL-2.0-only */
/* The client's stable storage: killed at every system call of a write it holds the former table or the new one, whole; what was
 * not synced is never named; torn and foreign files are seen to be so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "keep_store.h"

#define CALLS_MAX 4096

static char folder[64], path[96], path_new[112], path_bad[112];

static int up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/test_keep_store.%ld", (long)getpid());
	snprintf(path, sizeof(path), "%s/state", folder);
	snprintf(path_new, sizeof(path_new), "%s.new", path);
	snprintf(path_bad, sizeof(path_bad), "%s.bad", path);
	return 0;
}

static int down(void **state)
{
	(void)state;
	unlink(path);
	unlink(path_new);
	unlink(path_bad);
	rmdir(folder);
	return 0;
}

static void expect_stored(const char *text)
{
	struct keep_stored stored = { 0 };

	assert_int_equal(keep_store_read(path, &stored), KEEP_READ_OK);
	assert_int_equal(stored.len, strlen(text));
	assert_memory_equal(stored.bytes, text, stored.len);
	assert_int_equal(stored.shift_s, 0);
	assert_false(stored.time_is_unknown);
	free(stored.bytes);
}

static int store(const char *text)
{
	return keep_store_write(path, (const uint8_t *)text, strlen(text));
}

static void test_read_back(void **state)
{
	struct keep_stored stored;
	struct stat status;

	(void)state;
	assert_int_equal(keep_store_read(path, &stored), KEEP_READ_NONE);
	assert_int_equal(store("one"), 0);		/* makes the folder */
	expect_stored("one");
	assert_int_equal(store("another, longer one"), 0);
	expect_stored("another, longer one");
	assert_int_equal(store(""), 0);
	expect_stored("");
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);	/* nonces are secrets */
	assert_int_not_equal(access(path_new, F_OK), 0);
}

/* ---- killed ---- */

struct call {
	uint64_t number, argument;
	int64_t result;
};

/* Runs the write in a child that is killed before its `last`th system call; returns how many it made (all: `last` was too large). */
static unsigned run_traced(const char *text, unsigned last, struct call *calls)
{
	struct __ptrace_syscall_info info;
	unsigned count = 0;
	int status;
	pid_t child = fork();

	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(store(text) ? 1 : 0);
	}
	assert_true(child > 0);
	waitpid(child, &status, 0);
	ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	while (!ptrace(PTRACE_SYSCALL, child, 0, 0) && waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
		if (ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof(info), &info) <= 0)
			continue;
		if (info.op == PTRACE_SYSCALL_INFO_EXIT && count && calls)
			calls[count - 1].result = info.exit.rval;
		if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
			continue;
		if (count == last || count == CALLS_MAX) {
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			return count;
		}
		if (calls)
			calls[count] = (struct call){ .number = info.entry.nr, .argument = info.entry.args[0] };
		count++;
	}
	return count;
}

static void test_killed_at_every_call(void **state)
{
	struct keep_stored stored;
	unsigned all, i, former = 0, latter = 0;

	(void)state;
	assert_int_equal(store("former"), 0);
	all = run_traced("latter", CALLS_MAX, NULL);
	assert_in_range(all, 8, 200);
	expect_stored("latter");
	for (i = 0; i < all; i++) {
		assert_int_equal(store("former"), 0);
		assert_int_equal(run_traced("latter", i, NULL), i);
		stored = (struct keep_stored){ 0 };
		assert_int_equal(keep_store_read(path, &stored), KEEP_READ_OK);
		assert_int_equal(stored.len, 6);
		former += !memcmp(stored.bytes, "former", 6);
		latter += !memcmp(stored.bytes, "latter", 6);
		free(stored.bytes);
		assert_int_equal(store("and after it"), 0);	/* what was left behind is in nobody's way */
		expect_stored("and after it");
	}
	assert_int_equal(former + latter, all);
	assert_true(former > 4 && latter > 0);
}

static bool is_rename(const struct call *call)
{
#ifdef SYS_rename
	if (call->number == SYS_rename)
		return true;
#endif
	return call->number == SYS_renameat || call->number == SYS_renameat2;
}

/* Loss of power forgets what was not synced: contents before the name, the name before success. */
static void test_synced_in_order(void **state)
{
	static struct call calls[CALLS_MAX];
	unsigned all, i, written = 0, synced = 0, renamed = 0, folder_synced = 0;
	int64_t file = -1, folder_fd = -1;

	(void)state;
	assert_int_equal(store("former"), 0);
	all = run_traced("latter", CALLS_MAX, calls);
	for (i = 0; i < all; i++) {
		if (calls[i].number == SYS_openat && calls[i].result >= 0 && !renamed)
			file = calls[i].result;
		if (calls[i].number == SYS_openat && calls[i].result >= 0 && renamed)
			folder_fd = calls[i].result;
		if (calls[i].number == SYS_write && (int64_t)calls[i].argument == file)
			written = i;
		if (calls[i].number == SYS_fsync && (int64_t)calls[i].argument == file && !renamed)
			synced = i;
		if (is_rename(&calls[i]) && calls[i].result == 0)
			renamed = i;
		if (renamed && calls[i].number == SYS_fsync && (int64_t)calls[i].argument == folder_fd)
			folder_synced = i;
	}
	assert_true(written && synced > written && renamed > synced && folder_synced > renamed);
}

/* ---- not ours ---- */

static size_t file_read(uint8_t *bytes, size_t size)
{
	FILE *file = fopen(path, "r");
	size_t len;

	assert_non_null(file);
	len = fread(bytes, 1, size, file);
	fclose(file);
	return len;
}

static void file_write(const uint8_t *bytes, size_t len)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	fclose(file);
}

static void test_torn(void **state)
{
	struct keep_stored stored;
	uint8_t bytes[256];
	size_t len, i;

	(void)state;
	assert_int_equal(store("some table or other"), 0);
	len = file_read(bytes, sizeof(bytes));
	for (i = 0; i < len; i++) {
		file_write(bytes, i);
		assert_int_equal(keep_store_read(path, &stored), KEEP_READ_BAD);
	}
	for (i = 0; i < len * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		file_write(bytes, len);
		assert_int_equal(keep_store_read(path, &stored), KEEP_READ_BAD);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	bytes[len] = 0;
	file_write(bytes, len + 1);
	assert_int_equal(keep_store_read(path, &stored), KEEP_READ_BAD);
	file_write((const uint8_t *)"# somebody's notes\n", 19);
	assert_int_equal(keep_store_read(path, &stored), KEEP_READ_BAD);
	assert_int_equal(keep_store_set_aside(path), 0);
	assert_int_equal(keep_store_read(path, &stored), KEEP_READ_NONE);
	assert_int_equal(access(path_bad, F_OK), 0);
}

static void test_cannot_write(void **state)
{
	(void)state;
	assert_int_equal(store("former"), 0);
	assert_int_equal(mkdir(path_new, 0700), 0);	/* in the way */
	assert_true(store("latter") < 0);
	expect_stored("former");
	rmdir(path_new);
	assert_int_equal(keep_store_write("/proc/no/such/folder/state", (const uint8_t *)"", 0), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, up, down)
		TEST(read_back), TEST(killed_at_every_call), TEST(synced_in_order), TEST(torn), TEST(cannot_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
