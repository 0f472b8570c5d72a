/* SPDX-License-Identifier: GPL-2.0-only */
/* Whatever instant the power fails at, or the daemon is killed at: what was acknowledged is there, and nothing is half there.
 * A child commits batches and acknowledges each; every write, flush and acknowledgement it makes is seen through ptrace. From
 * these, for each instant, the files are made that a disk may hold then: what was flushed, and any part of what was not, sector
 * by sector. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include "store_fixture.h"

#define BATCHES	9
#define BATCH	40
#define SECTOR	512
#define ACK_FD	199

/* ---- what the child does ---- */

/* Batch n grants BATCH mappings, ends some of the one before, and in between the log is written anew and trimmed. */
static void do_batch(struct store *store, unsigned n)
{
	struct store_record record;
	uint64_t position;
	unsigned i;

	fixture_put_grants(store, n * BATCH, (n + 1) * BATCH);
	for (i = 0; n && i < 5; i++) {
		record = fixture_deletion((n - 1) * BATCH + i);
		fixture_put(store, &record);
	}
	if (n == 4) {	/* as a snapshot does */
		position = store_position(store);
		for (i = 0; i < n; i++)
			fixture_put_grants(store, i * BATCH + 5, (i + 1) * BATCH);
		store_forget_before(store, position);
	}
	if (store_commit(store))
		_exit(1);
	if (n > 4)
		store_tick(store);
}

/* Which grants stand once batches 0 to `acknowledged` - 1 are done; of batch `acknowledged` itself all or nothing. */
static bool should_be_held(unsigned grant, unsigned batches)
{
	unsigned n = grant / BATCH;

	return n < batches && !(grant % BATCH < 5 && n + 1 < batches);
}

static void child(unsigned batches)
{
	struct store_report report;
	struct store *store;
	uint8_t number;
	unsigned n;

	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	store = fixture_open_as(&report);
	if (!store)
		_exit(1);
	for (n = 0; n < batches; n++) {
		do_batch(store, n);
		number = (uint8_t)n;
		if (write(ACK_FD, &number, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

/* ---- what is seen of it ---- */

enum event_kind { WRITE, FLUSH, ACKNOWLEDGE };
struct event {
	enum event_kind kind;
	bool is_durable;	/* WRITE: through a descriptor with O_DSYNC */
	uint64_t offset;
	uint8_t *bytes;
	size_t len;
};
static struct event events[2000];
static unsigned event_count;

static bool is_store_file(pid_t pid, int fd, bool *ret_is_dsync, uint64_t *ret_position)
{
	char path[64], target[256] = "", line[128];
	unsigned long flags = 0;
	FILE *file;

	*ret_position = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	if (readlink(path, target, sizeof(target) - 1) < 0 || strcmp(target, fixture_file))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "flags:", 6))
			flags = strtoul(line + 6, NULL, 8);
		else if (!strncmp(line, "pos:", 4))
			*ret_position = strtoull(line + 4, NULL, 10);
	if (file)
		fclose(file);
	*ret_is_dsync = flags & O_DSYNC;
	return true;
}

static void copy_from(pid_t pid, uint64_t address, void *to, size_t len)
{
	struct iovec local = { to, len }, remote = { (void *)(uintptr_t)address, len };

	assert_int_equal(process_vm_readv(pid, &local, 1, &remote, 1, 0), len);
}

static struct event *event_new(enum event_kind kind)
{
	assert_in_range(event_count, 0, sizeof(events) / sizeof(*events) - 1);
	events[event_count] = (struct event){ .kind = kind };
	return &events[event_count++];
}

static void see_write(pid_t pid, const struct user_regs_struct *regs, bool is_dsync, uint64_t position)
{
	struct event *event = event_new(WRITE);
	struct iovec vector[64];
	size_t at = 0, i;

	event->is_durable = is_dsync;
	event->offset = regs->orig_rax == SYS_writev ? position : regs->r10;
	if (regs->orig_rax == SYS_pwrite64) {
		event->len = regs->rdx;
		event->bytes = malloc(event->len);
		copy_from(pid, regs->rsi, event->bytes, event->len);
		return;
	}
	assert_in_range(regs->rdx, 1, 64);
	copy_from(pid, regs->rsi, vector, regs->rdx * sizeof(*vector));
	for (i = 0; i < regs->rdx; i++)
		event->len += vector[i].iov_len;
	event->bytes = malloc(event->len);
	for (i = 0; i < regs->rdx; at += vector[i++].iov_len)
		copy_from(pid, (uintptr_t)vector[i].iov_base, event->bytes + at, vector[i].iov_len);
}

/* A system call that is about to happen. True: it is one of those that matter. */
static bool see(pid_t pid, const struct user_regs_struct *regs)
{
	bool is_dsync = false;
	uint64_t position;

	switch (regs->orig_rax) {
	case SYS_write:
		if ((int)regs->rdi == ACK_FD) {
			event_new(ACKNOWLEDGE);
			return true;
		}
		break;
	case SYS_ftruncate:
	case SYS_fallocate:
	case SYS_msync:
		if (regs->orig_rax != SYS_msync && !is_store_file(pid, (int)regs->rdi, &is_dsync, &position))
			return false;
		fail_msg("system call %llu: this test does not know what it leaves on the disk", regs->orig_rax);
		break;
	case SYS_pwrite64:
	case SYS_pwritev:
	case SYS_writev:
		if (!is_store_file(pid, (int)regs->rdi, &is_dsync, &position))
			return false;
		see_write(pid, regs, is_dsync, position);
		return true;
	case SYS_fsync:
	case SYS_fdatasync:
		if (!is_store_file(pid, (int)regs->rdi, &is_dsync, &position))
			return false;
		event_new(FLUSH);
		return true;
	default:
		break;
	}
	return false;
}

/* Runs the child until it ends, or to just before the n-th call that matters and kills it there. Returns how many it made. */
static unsigned run(unsigned batches, unsigned kill_at, unsigned *ret_acknowledged)
{
	struct user_regs_struct regs;
	int pipe_fds[2], status;
	bool is_entry = true;
	unsigned seen = 0;
	uint8_t number;
	pid_t pid;

	assert_int_equal(pipe(pipe_fds), 0);
	event_count = 0;
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(pipe_fds[1], ACK_FD);
		child(batches);
	}
	close(pipe_fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	for (;;) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status))
			break;
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;	/* the end of the process that checks the file, for one */
		if (is_entry && !ptrace(PTRACE_GETREGS, pid, NULL, &regs) && see(pid, &regs) && seen++ == kill_at) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			break;
		}
		is_entry = !is_entry;
	}
	if (kill_at == UINT_MAX)
		assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	*ret_acknowledged = 0;
	while (read(pipe_fds[0], &number, 1) == 1)
		++*ret_acknowledged;
	close(pipe_fds[0]);
	return seen;
}

static void events_free(void)
{
	while (event_count)
		free(events[--event_count].bytes);
}

/* ---- files as a disk may hold them ---- */

struct image { uint8_t *bytes; size_t len; };

static struct image image_load(void)
{
	struct image image;
	struct stat status;
	int fd = open(fixture_file, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &status), 0);
	image.len = (size_t)status.st_size;
	image.bytes = malloc(image.len);
	assert_int_equal(read(fd, image.bytes, image.len), image.len);
	close(fd);
	return image;
}

static struct image image_copy(const struct image *from)
{
	struct image image = { malloc(from->len), from->len };

	memcpy(image.bytes, from->bytes, from->len);
	return image;
}

static void image_save(const struct image *image)
{
	int fd = open(fixture_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, image->bytes, image->len), image->len);
	close(fd);
}

enum fate { NONE_ARRIVED, ALL_ARRIVED, SOME_ARRIVED };

static void image_apply(struct image *image, const struct event *event, enum fate fate)
{
	size_t at, part;

	if (fate == NONE_ARRIVED)
		return;
	if (event->offset + event->len > image->len) {
		image->bytes = realloc(image->bytes, event->offset + event->len);
		memset(image->bytes + image->len, 0, event->offset + event->len - image->len);
		image->len = event->offset + event->len;
	}
	for (at = 0; at < event->len; at += part) {
		part = SECTOR - (event->offset + at) % SECTOR;
		if (part > event->len - at)
			part = event->len - at;
		if (fate == ALL_ARRIVED || rand() & 1)
			memcpy(image->bytes + event->offset + at, event->bytes + at, part);
	}
}

/* Everything up to event `end`, which is under way: the flushed, and of the rest what fate wills. */
static unsigned image_at(struct image *image, unsigned end, enum fate fate)
{
	unsigned flushed = 0, acknowledged = 0, i;

	for (i = 0; i < end; i++)
		if (events[i].kind == FLUSH)
			flushed = i;
	for (i = 0; i <= end && i < event_count; i++) {
		if (events[i].kind == ACKNOWLEDGE)
			acknowledged += i < end;
		if (events[i].kind == WRITE)
			image_apply(image, &events[i], i < flushed || (events[i].is_durable && i < end) ? ALL_ARRIVED : fate);
	}
	return acknowledged;
}

static void expect_acknowledged(unsigned acknowledged, const char *when, unsigned n)
{
	static uint8_t held[BATCHES * BATCH];
	struct store_report report;
	struct store *store = fixture_open_as(&report);
	unsigned i, batches = acknowledged;

	if (!store)
		fail_msg("%s %u: %s", when, n, fixture_error);
	if (report.origin != STORE_ADOPTED && acknowledged)
		fail_msg("%s %u: set aside: %s", when, n, report.why ? report.why : "missing");
	fixture_read(store, held, sizeof(held));
	if (batches < BATCHES && held[batches * BATCH + BATCH - 1])
		batches++;	/* decided and written, not yet acknowledged: whole, then */
	for (i = 0; i < sizeof(held); i++)
		if (held[i] != should_be_held(i, batches))
			fail_msg("%s %u: grant %u is %s after %u acknowledged batches", when, n, i, held[i] ? "held" : "lost", acknowledged);
	store_close(store);
}

static void power_fails_at_every_write(void **state)
{
	static const enum fate fates[] = { NONE_ARRIVED, SOME_ARRIVED, SOME_ARRIVED };
	unsigned acknowledged, end, i, writes = 0, flushes = 0;
	struct image before, image;

	(void)state;
	srand(815);
	store_close(fixture_open(STORE_CREATED));
	before = image_load();
	run(BATCHES, UINT_MAX, &acknowledged);
	assert_int_equal(acknowledged, BATCHES);
	for (end = 0; end <= event_count; end++) {
		writes += end < event_count && events[end].kind == WRITE;
		flushes += end < event_count && events[end].kind == FLUSH;
		for (i = 0; i < sizeof(fates) / sizeof(*fates); i++) {
			image = image_copy(&before);
			acknowledged = image_at(&image, end, fates[i]);
			image_save(&image);
			free(image.bytes);
			expect_acknowledged(acknowledged, "power failed at call", end);
		}
	}
	print_message("%u calls: %u writes, %u flushes\n", event_count, writes, flushes);
	assert_in_range(writes, BATCHES * 2, 1000);
	assert_in_range(flushes, BATCHES, 1000);
	events_free();
	free(before.bytes);
}

/* The page cache survives a killed process: the files are as they were, at any call, also while the store is being made. */
static void killed_at_every_call(void **state)
{
	char command[128];
	unsigned n, acknowledged = 0;

	(void)state;
	for (n = 0; acknowledged < 3; n++) {
		snprintf(command, sizeof(command), "rm -rf %s/store*", fixture_directory);
		assert_int_equal(system(command), 0);
		run(3, n, &acknowledged);
		events_free();
		expect_acknowledged(acknowledged, "killed at call", n);
	}
	assert_in_range(n, 12, 1000);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, store_fixture_up, store_fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = { CASE(power_fails_at_every_write), CASE(killed_at_every_call) };

	return cmocka_run_group_tests_name("store_power", tests, NULL, NULL);
}
