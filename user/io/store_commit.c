/* SPDX-License-Identifier: GPL-2.0-only */
/* Writing the log: a commit of what was put, here or in a thread. */
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "store_internal.h"
#include "store_record.h"
#include "worker.h"

#define TRIM_CHUNKS	64		/* forgotten chunks deleted with one commit */
#define PREALLOCATE	(1u << 20)	/* the file grows by so many zeros at once: writing over them spares a commit the inode */
#define PREALLOCATE_PAGES 64		/* what a commit may need beyond its chunks */
#define CLOCK_STEP_MS	1000

/* ---- a job: by the thread, as long as it is under way ---- */

int store_write_header(const struct store *store, struct store_header *header, MDB_txn *txn)
{
	struct store_clocks clocks = store_read_clocks(store);
	uint8_t number[STORE_KEY_LEN], bytes[STORE_HEADER_LEN];
	MDB_val key = { sizeof(number), number }, value = { sizeof(bytes), bytes };

	header->time_s = store_from_boot_s(store, (uint32_t)(clocks.boot_ms / 1000));
	header->wall_ms = clocks.wall_ms;
	store_header_encode(header, bytes);
	store_key_encode(0, number);
	return mdb_put(txn, store->dbi, &key, &value, 0);
}

/* The records at `from` that go into one chunk: as many as fit, one at least. */
static size_t chunk_fill(const struct store_buffer *records, size_t from)
{
	size_t len = 0, next;
	struct reader r;

	while (from + len < records->len) {
		reader_init(&r, records->bytes + from + len, records->len - from - len);
		next = 2 + (size_t)reader_u16(&r);
		if (len && len + next > STORE_CHUNK_MAX - STORE_CHUNK_HEAD)
			break;
		len += next;
	}
	return len;
}

static int write_chunk(const struct store *store, MDB_txn *txn, uint64_t sequence, const uint8_t *records, size_t len)
{
	struct store_clocks clocks = store_read_clocks(store);
	uint8_t number[STORE_KEY_LEN], bytes[STORE_CHUNK_HEAD + STORE_RECORD_MAX];
	MDB_val key = { sizeof(number), number }, value = { STORE_CHUNK_HEAD + len, bytes };

	if (len)
		memcpy(bytes + STORE_CHUNK_HEAD, records, len);
	store_chunk_seal(bytes, STORE_CHUNK_HEAD + len, store_from_boot_s(store, (uint32_t)(clocks.boot_ms / 1000)), clocks.wall_ms);
	store_key_encode(sequence, number);
	return mdb_put(txn, store->dbi, &key, &value, MDB_APPEND);
}

static int write_records(const struct store *store, MDB_txn *txn, struct store_job *job)
{
	const struct store_buffer *records = &job->records;
	size_t from, len;
	int failed = 0;

	for (from = 0; from < records->len && !failed; from += len) {
		len = chunk_fill(records, from);
		failed = write_chunk(store, txn, job->next++, records->bytes + from, len);
	}
	return failed;
}

/* Deletes some of the chunks that do not count any more, never one of those that count. */
static int trim(const struct store *store, MDB_txn *txn, struct store_job *job)
{
	uint8_t number[STORE_KEY_LEN];
	MDB_val key = { sizeof(number), number }, value;
	MDB_cursor *cursor;
	int failed, count;

	failed = mdb_cursor_open(txn, store->dbi, &cursor);
	if (failed)
		return failed;
	store_key_encode(STORE_FIRST, number);
	failed = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	for (count = 0; !failed && count < TRIM_CHUNKS; count++) {
		if (!store_key_is_valid(&key) || store_key_decode(&key) >= job->header.first)
			break;
		failed = mdb_cursor_del(cursor, 0);
		if (!failed)
			failed = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	job->is_trimmed = failed == MDB_NOTFOUND || (!failed && count < TRIM_CHUNKS);
	mdb_cursor_close(cursor);
	return failed == MDB_NOTFOUND ? 0 : failed;
}

/* A disk that is full says so here, where nothing is lost yet; there may still be free pages inside. */
static void preallocate(struct store *store, const struct store_job *job)
{
	static const uint8_t zeros[PREALLOCATE / 4];
	uint64_t wanted;
	MDB_envinfo info;
	ssize_t written;

	if (mdb_env_info(store->env, &info))
		return;
	wanted = (info.me_last_pgno + 1 + PREALLOCATE_PAGES) * 4096 + job->records.len * 2;
	if (store->file_size >= wanted)
		return;
	wanted += PREALLOCATE;
	while (store->file_size < wanted) {
		written = pwrite(store->file, zeros, sizeof(zeros), (off_t)store->file_size);
		if (written <= 0)
			return;
		store->file_size += (uint64_t)written;
	}
}

/* LMDB gives up an environment whose meta page it could not write. NULL until it can be opened again. */
static int recover(struct store *store)
{
	if (store->env)
		mdb_env_close(store->env);
	store->env = NULL;
	return store_env_open(store->path, store_map_size(&store->options), 0, &store->env, &store->dbi);
}

/* One transaction with everything that waits. */
static int commit_once(struct store *store, struct store_job *job)
{
	MDB_txn *txn;
	int failed;

	job->next = job->first;
	job->is_trimmed = !job->is_trimming;
	if (!store->env)
		return MDB_PANIC;
	preallocate(store, job);
	failed = mdb_txn_begin(store->env, NULL, 0, &txn);
	if (failed)
		return failed;
	failed = write_records(store, txn, job);
	if (!failed && job->is_trimming)
		failed = trim(store, txn, job);
	if (!failed && job->is_trimmed && job->header.trials) {
		job->header.trials = 0;
		job->header_changed = true;
	}
	if (!failed && job->header_changed)
		failed = store_write_header(store, &job->header, txn);
	if (!failed)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return failed;
}

/* LMDB calls a write that a full disk cut short an I/O error. */
static int name_failure(const struct store *store, const struct store_job *job, int failed)
{
	struct statvfs disk;
	uint64_t wanted = job->records.len * 2 + PREALLOCATE_PAGES * 4096;

	if (failed == EIO && !statvfs(store->path, &disk) && (uint64_t)disk.f_bavail * disk.f_frsize < wanted)
		return -ENOSPC;
	return store_error(failed);
}

void store_do_job(void *context)
{
	struct store *store = context;
	struct store_job *job = &store->job;
	struct store_clocks clocks;
	int failed;

	if (job->failed)	/* there was no memory for it */
		return;
	failed = commit_once(store, job);
	if (failed == MDB_PANIC && !recover(store))
		failed = commit_once(store, job);
	job->failed = failed ? name_failure(store, job, failed) : 0;
	clocks = store_read_clocks(store);
	job->marked_ms = clocks.wall_ms - clocks.boot_ms;
}

/* ---- what a job is given, and what comes of it ---- */

static bool has_work(const struct store *store)
{
	return store->pending.len || store->job.records.len || store->header_changed;
}

/* All that waits, behind what the last job could not write. */
static int gather(struct store *store)
{
	struct store_buffer *records = &store->job.records, *pending = &store->pending, before = *records;

	if (!before.len) {
		*records = *pending;
		*pending = before;
	} else if (!store_buffer_grow(records, pending->len)) {
		memcpy(records->bytes + records->len, pending->bytes, pending->len);
		records->len += pending->len;
	} else {
		return -ENOMEM;
	}
	pending->len = 0;
	return 0;
}

static void job_fill(struct store *store)
{
	struct store_job *job = &store->job;

	job->failed = gather(store);
	job->header = store->header;
	job->header_changed = store->header_changed;
	job->is_trimming = store->trimming;
	job->first = store->next;
	store->header_changed = false;
}

static int job_finish(struct store *store)
{
	struct store_job *job = &store->job;

	store->failed = job->failed;
	if (job->failed) {
		store->stats.failures++;
		store->header_changed |= job->header_changed;
		return job->failed;
	}
	store->marked_ms = job->marked_ms;
	store->stats.commits++;
	store->stats.bytes += job->records.len;
	store->next = job->next;
	store->header.trials = job->header.trials;
	if (store->header.first == job->header.first)	/* else more is forgotten meanwhile */
		store->trimming = !job->is_trimmed;
	job->records.len = 0;
	return 0;
}

/* ---- a commit in the thread ---- */

bool store_commit_begin(struct store *store)
{
	if (!has_work(store))
		return false;
	job_fill(store);
	store->begun = STORE_WRITING;
	worker_ask(store->worker);
	return true;
}

int store_commit_end(struct store *store)
{
	worker_take(store->worker);
	if (store->begun == STORE_WRITING)
		store->begun_failed = job_finish(store);
	store->begun = STORE_NOTHING;
	return store->begun_failed;
}

bool store_is_writing(const struct store *store)
{
	return store->begun == STORE_WRITING;
}

int store_done_fd(const struct store *store)
{
	return worker_done_fd(store->worker);
}

/* From here on the store is this thread's. The failure of a commit that was begun, and is not ended yet: that comes first. */
static int await(struct store *store)
{
	if (store->begun == STORE_WRITING) {
		worker_wait(store->worker);
		store->begun_failed = job_finish(store);
		store->begun = STORE_WRITTEN;
	}
	return store->begun == STORE_WRITTEN ? store->begun_failed : 0;
}

/* ---- a commit at once ---- */

static int commit(struct store *store)
{
	job_fill(store);
	store_do_job(store);
	return job_finish(store);
}

int store_commit(struct store *store)
{
	int failed = await(store);

	return failed || !has_work(store) ? failed : commit(store);
}

int store_tick(struct store *store)
{
	struct store_clocks clocks = store_read_clocks(store);
	int failed = await(store);
	int64_t step_ms;

	if (failed)
		return failed;
	step_ms = (int64_t)(clocks.wall_ms - clocks.boot_ms - store->marked_ms);
	if (step_ms > CLOCK_STEP_MS || step_ms < -CLOCK_STEP_MS)
		store->header_changed = true;
	return has_work(store) || store->trimming ? commit(store) : 0;
}
