/* SPDX-License-Identifier: GPL-2.0-only */
/* Opening: adopt the file that is there, set it aside, or make one. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "instance_lock.h"
#include "store_internal.h"
#include "worker.h"

#define LOCK_WAIT_MS	1000	/* for a daemon that is just being killed */
#define MAP_BYTES	8192	/* address space for each mapping: several copies of a long record */
#define MAP_LEAST	(256u << 20)

struct failure { char *text; size_t size; };

static bool fail(const struct failure *failure, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(const struct failure *failure, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(failure->text, failure->size, format, arguments);
	va_end(arguments);
	return false;
}

size_t store_map_size(const struct store_options *options)
{
	return MAP_LEAST + (size_t)options->mappings_max * MAP_BYTES;
}

void store_boot_id(const struct store *store, char ret_id[STORE_BOOT_ID])
{
	char id[STORE_BOOT_ID] = "";
	int fd;

	if (store->options.boot_id) {
		snprintf(id, sizeof(id), "%s", store->options.boot_id);
	} else {
		fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, id, sizeof(id) - 1) < 0)
			id[0] = '\0';
		if (fd >= 0)
			close(fd);
		id[strcspn(id, "\n")] = '\0';
	}
	memcpy(ret_id, id, sizeof(id));
}

/* ---- the directory ---- */

static bool make_directory(const char *directory, const struct failure *failure)
{
	struct stat status;

	if (mkdir(directory, 0700) && errno != EEXIST)
		return fail(failure, "state-dir %s: cannot make it: %s", directory, strerror(errno));
	if (stat(directory, &status))
		return fail(failure, "state-dir %s: %s", directory, strerror(errno));
	return S_ISDIR(status.st_mode) ? true : fail(failure, "state-dir %s: is no directory", directory);
}

/* Whether there was ever a store here is known by the lock's file, which stays. */
static bool take_lock(struct store *store, bool *ret_was_here, const struct failure *failure)
{
	char path[256], name[512];
	struct stat status;
	pid_t holder;

	snprintf(path, sizeof(path), "%s/store", store->options.directory);
	snprintf(name, sizeof(name), "%s.lock", path);
	*ret_was_here = !stat(name, &status);
	store->lock = instance_lock_take(path, LOCK_WAIT_MS, &holder);
	if (store->lock >= 0)
		return true;
	if (store->lock == -EWOULDBLOCK)
		return fail(failure, "state-dir %s: in use by process %ld; stop it first", store->options.directory, (long)holder);
	return fail(failure, "state-dir %s: cannot lock it: %s", store->options.directory, store_strerror(store->lock));
}

static int sync_directory(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), failed;

	if (fd < 0)
		return -errno;
	failed = fsync(fd) ? -errno : 0;
	close(fd);
	return failed;
}

/* ---- a new one ---- */

/* Made under another name, so that a store is never seen half made. */
static int create_file(struct store *store, const char *path)
{
	MDB_txn *txn;
	int failed;

	unlink(path);
	failed = store_env_open(path, store_map_size(&store->options), 0, &store->env, &store->dbi);
	if (failed)
		return failed;
	failed = mdb_txn_begin(store->env, NULL, 0, &txn);
	if (!failed) {
		failed = store_write_header(store, &store->header, txn);
		if (failed)
			mdb_txn_abort(txn);
		else
			failed = mdb_txn_commit(txn);
	}
	mdb_env_close(store->env);
	store->env = NULL;
	return store_error(failed);
}

static bool create(struct store *store, const struct failure *failure)
{
	struct store_clocks clocks = store_read_clocks(store);
	struct store_header *header = &store->header;
	char path[272];
	int failed;

	memset(header, 0, sizeof(*header));
	header->state.id = store_random_id();
	header->first = STORE_FIRST;
	header->offset_s = (int64_t)(clocks.wall_ms / 1000) - (int64_t)(clocks.boot_ms / 1000);
	header->state.epoch_base_s = clocks.wall_ms / 1000;
	store_boot_id(store, header->boot_id);
	snprintf(path, sizeof(path), "%s.new", store->path);
	failed = create_file(store, path);
	if (!failed && rename(path, store->path))
		failed = -errno;
	if (!failed)
		failed = sync_directory(store->options.directory);
	if (!failed)
		return true;
	unlink(path);
	return fail(failure, "%s: cannot create: %s", store->path, store_strerror(failed));
}

/* ---- one that cannot be used ---- */

static bool set_aside(struct store *store, struct store_report *report, const struct failure *failure)
{
	time_t now = (time_t)(store_read_clocks(store).wall_ms / 1000);
	struct stat status;
	char date[32];
	struct tm tm;
	unsigned n;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm);
	for (n = 0; n < 100; n++) {
		if (n)
			snprintf(report->set_aside, sizeof(report->set_aside), "%s.%s-%u", store->path, date, n);
		else
			snprintf(report->set_aside, sizeof(report->set_aside), "%s.%s", store->path, date);
		if (lstat(report->set_aside, &status))
			break;
	}
	if (rename(store->path, report->set_aside))
		return fail(failure, "%s: %s, and it cannot be renamed: %s", store->path, report->why, strerror(errno));
	return true;
}

/* ---- one that can ---- */

static int read_ends(struct store *store, struct store_chunk *ret_last)
{
	MDB_val key, value;
	MDB_cursor *cursor;
	MDB_txn *txn;
	int failed;

	failed = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
	if (failed)
		return store_error(failed);
	failed = mdb_cursor_open(txn, store->dbi, &cursor);
	if (!failed) {
		failed = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
		if (!failed && store_header_decode(value.mv_data, value.mv_size, &store->header))
			failed = MDB_CORRUPTED;
		if (!failed)
			failed = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
		if (!failed)
			store->next = store_key_decode(&key) + 1;
		if (!failed && store->next > STORE_FIRST && !store_chunk_open(&value, ret_last))
			failed = MDB_CORRUPTED;
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(txn);
	return store_error(failed);
}

/* Store time goes on: with the boot clock if this is still the boot that wrote it, else by what the wall clock says. */
static void continue_time(struct store *store, const struct store_chunk *last, struct store_report *report)
{
	struct store_clocks clocks = store_read_clocks(store);
	struct store_header *header = &store->header;
	bool chunk_is_later = last->time_s > header->time_s;
	uint64_t time_s = chunk_is_later ? last->time_s : header->time_s;
	uint64_t wall_ms = chunk_is_later ? last->wall_ms : header->wall_ms;
	char boot_id[STORE_BOOT_ID];

	store_boot_id(store, boot_id);
	report->is_rebooted = strcmp(boot_id, header->boot_id) != 0;
	if (!report->is_rebooted) {
		report->down_s = store_now_s(store) - time_s;
		return;
	}
	report->wall_clock_stepped_back = clocks.wall_ms < wall_ms;
	report->down_s = report->wall_clock_stepped_back ? 0 : (clocks.wall_ms - wall_ms) / 1000;
	header->offset_s = (int64_t)(time_s + report->down_s) - (int64_t)(clocks.boot_ms / 1000);
	memcpy(header->boot_id, boot_id, sizeof(boot_id));
}

static bool open_file(struct store *store, struct store_report *report, const struct failure *failure)
{
	struct store_chunk last = { 0 };
	struct stat status;
	int failed;

	failed = store_env_open(store->path, store_map_size(&store->options), 0, &store->env, &store->dbi);
	store->next = STORE_FIRST;
	if (!failed)
		failed = read_ends(store, &last);
	if (failed)
		return fail(failure, "%s: cannot open: %s", store->path, store_strerror(failed));
	if (store->next < store->header.first)	/* everything was forgotten and trimmed: numbers go on */
		store->next = store->header.first;
	store->file = open(store->path, O_WRONLY | O_CLOEXEC);
	if (store->file >= 0 && !fstat(store->file, &status))
		store->file_size = (uint64_t)status.st_size;
	continue_time(store, &last, report);
	store->header.trials++;
	store->header_changed = true;
	store->trimming = true;		/* nobody knows yet whether there is something to trim */
	return true;
}

/* ---- */

/* What is there: sound, to be set aside, or an error that must not be answered by setting it aside. */
static bool adopt_or_replace(struct store *store, bool was_here, struct store_report *report, const struct failure *failure)
{
	struct stat status;
	int failed;

	if (lstat(store->path, &status)) {
		if (errno != ENOENT)
			return fail(failure, "%s: %s", store->path, strerror(errno));
		report->origin = was_here ? STORE_RECREATED : STORE_CREATED;
		return create(store, failure);
	}
	report->why = store_check(store->path, store_map_size(&store->options), store->options.will_be_read, &failed);
	if (failed)
		return fail(failure, "%s: cannot open: %s", store->path, store_strerror(failed));
	report->origin = report->why ? STORE_SET_ASIDE : STORE_ADOPTED;
	return report->why ? set_aside(store, report, failure) && create(store, failure) : true;
}

struct store *store_open(const struct store_options *options, struct store_report *ret_report, char *error, size_t error_size)
{
	struct failure failure = { error, error_size };
	struct store *store = calloc(1, sizeof(*store));
	bool was_here;

	memset(ret_report, 0, sizeof(*ret_report));
	if (!store) {
		fail(&failure, "out of memory");
		return NULL;
	}
	store->options = *options;
	store->lock = store->file = -1;
	snprintf(store->path, sizeof(store->path), "%s/" STORE_FILE, options->directory);
	if (!make_directory(options->directory, &failure) || !take_lock(store, &was_here, &failure) ||
	    !adopt_or_replace(store, was_here, ret_report, &failure) || !open_file(store, ret_report, &failure)) {
		store_close(store);
		return NULL;
	}
	store->worker = worker_new(store_do_job, store);
	if (!store->worker) {
		fail(&failure, "%s: cannot start a thread", store->path);
		store_close(store);
		return NULL;
	}
	/* What reads it may end here and now: that is to be known the next time. A disk that is full may be read all the same. */
	if (options->will_be_read)
		store_commit(store);
	return store;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	worker_free(store->worker);
	if (store->env)
		mdb_env_close(store->env);
	if (store->file >= 0)
		close(store->file);
	if (store->lock >= 0)
		close(store->lock);
	free(store->pending.bytes);
	free(store->job.records.bytes);
	free(store);
}

bool store_purge(const char *directory, char *error, size_t error_size)
{
	struct store_options options = { .directory = directory };
	struct store_report report;
	struct store_state state;
	struct stat status;
	struct store *store;
	int failed;

	if (stat(directory, &status) && errno == ENOENT)
		return true;
	store = store_open(&options, &report, error, error_size);
	if (!store)
		return false;
	store_begin_anew(store);
	state = store_state(store);
	state.is_complete = state.is_purged = true;
	store_set_state(store, &state);
	failed = store_commit(store);
	store_close(store);
	if (failed)
		snprintf(error, error_size, "%s: cannot write: %s", directory, store_strerror(failed));
	return !failed;
}
