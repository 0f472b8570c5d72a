/* SPDX-License-Identifier: GPL-2.0-only */
/* Writing the log. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#include "store_internal.h"
#include "store_record.h"

#define TRIM_CHUNKS	64		/* forgotten chunks deleted with one commit */
#define PREALLOCATE	(1u << 20)	/* the file grows by so many zeros at once: writing over them spares a commit the inode */
#define PREALLOCATE_PAGES 64		/* what a commit may need beyond its chunks */
#define CLOCK_STEP_MS	1000

/* ---- time ---- */

struct store_clocks store_read_clocks(const struct store *store)
{
	struct timespec boot, wall;

	if (store->options.read_clocks)
		return store->options.read_clocks();
	clock_gettime(CLOCK_MONOTONIC, &boot);
	clock_gettime(CLOCK_REALTIME, &wall);
	return (struct store_clocks){ .boot_ms = (uint64_t)boot.tv_sec * 1000 + (uint64_t)boot.tv_nsec / 1000000,
		.wall_ms = (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000 };
}

uint64_t store_from_boot_s(const struct store *store, uint32_t boot_s)
{
	return (uint64_t)((int64_t)boot_s + store->header.offset_s);
}

uint64_t store_now_s(const struct store *store)
{
	return (uint64_t)((int64_t)(store_read_clocks(store).boot_ms / 1000) + store->header.offset_s);
}

/* ---- small things ---- */

int store_error(int lmdb_error)
{
	switch (lmdb_error) {
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
		return -ENOSPC;
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
		return -EINVAL;
	default:
		return lmdb_error >= 0 ? -lmdb_error : -EIO;
	}
}

const char *store_strerror(int error)
{
	const char *text = error == -ENOSPC ? "no space left" : strerrordesc_np(-error);

	return text ? text : "unknown error";
}

uint64_t store_random_id(void)
{
	uint64_t id = 0;

	while (!id)
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			id = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
	return id;
}

struct store_state store_state(const struct store *store)
{
	return store->header.state;
}

void store_set_state(struct store *store, const struct store_state *state)
{
	store->header.state = *state;
	store->header_changed = true;
}

void store_begin_anew(struct store *store)
{
	store->pending_len = 0;
	store->header.state.id = store_random_id();
	store_forget_before(store, store->next);
}

int store_failure(const struct store *store)
{
	return store->failed;
}

uint64_t store_position(const struct store *store)
{
	return store->next;
}

void store_forget_before(struct store *store, uint64_t position)
{
	store->header.first = position;
	store->header_changed = true;
	store->trimming = true;
}

bool store_is_trimming(const struct store *store)
{
	return store->trimming;
}

struct store_stats store_stats(const struct store *store)
{
	return store->stats;
}

/* ---- putting ---- */

static int pending_grow(struct store *store, size_t room)
{
	size_t size = store->pending_size ? store->pending_size : 16384;
	uint8_t *grown;

	while (size - store->pending_len < room)
		size *= 2;
	if (size == store->pending_size)
		return 0;
	grown = realloc(store->pending, size);
	if (!grown)
		return -ENOMEM;
	store->pending = grown;
	store->pending_size = size;
	return 0;
}

int store_put(struct store *store, const struct store_record *record)
{
	struct writer w;
	int failed = pending_grow(store, STORE_RECORD_MAX);

	if (failed)
		return failed;
	writer_init(&w, store->pending + store->pending_len, STORE_RECORD_MAX);
	store_record_encode(&w, record);
	if (w.overflow)
		return -E2BIG;
	store->pending_len += writer_len(&w);
	return 0;
}

/* ---- committing ---- */

int store_write_header(struct store *store, MDB_txn *txn)
{
	struct store_clocks clocks = store_read_clocks(store);
	uint8_t number[STORE_KEY_LEN], bytes[STORE_HEADER_LEN];
	MDB_val key = { sizeof(number), number }, value = { sizeof(bytes), bytes };

	store->header.time_s = store_from_boot_s(store, (uint32_t)(clocks.boot_ms / 1000));
	store->header.wall_ms = clocks.wall_ms;
	store_header_encode(&store->header, bytes);
	store_key_encode(0, number);
	return mdb_put(txn, store->dbi, &key, &value, 0);
}

/* The records at `from` that go into one chunk: as many as fit, one at least. */
static size_t chunk_fill(const struct store *store, size_t from)
{
	size_t len = 0, next;
	struct reader r;

	while (from + len < store->pending_len) {
		reader_init(&r, store->pending + from + len, store->pending_len - from - len);
		next = 2 + (size_t)reader_u16(&r);
		if (len && len + next > STORE_CHUNK_MAX - STORE_CHUNK_HEAD)
			break;
		len += next;
	}
	return len;
}

static int write_chunk(struct store *store, MDB_txn *txn, uint64_t sequence, size_t from, size_t len)
{
	struct store_clocks clocks = store_read_clocks(store);
	uint8_t number[STORE_KEY_LEN], bytes[STORE_CHUNK_HEAD + STORE_RECORD_MAX];
	MDB_val key = { sizeof(number), number }, value = { STORE_CHUNK_HEAD + len, bytes };

	if (len)
		memcpy(bytes + STORE_CHUNK_HEAD, store->pending + from, len);
	store_chunk_seal(bytes, STORE_CHUNK_HEAD + len, store_from_boot_s(store, (uint32_t)(clocks.boot_ms / 1000)), clocks.wall_ms);
	store_key_encode(sequence, number);
	return mdb_put(txn, store->dbi, &key, &value, MDB_APPEND);
}

static int write_pending(struct store *store, MDB_txn *txn, uint64_t *sequence)
{
	size_t from, len;
	int failed = 0;

	for (from = 0; from < store->pending_len && !failed; from += len) {
		len = chunk_fill(store, from);
		failed = write_chunk(store, txn, (*sequence)++, from, len);
	}
	return failed;
}

/* Deletes some of the chunks that do not count any more, never one of those that count. */
static int trim(struct store *store, MDB_txn *txn, bool *ret_done)
{
	uint8_t number[STORE_KEY_LEN];
	MDB_val key = { sizeof(number), number }, value;
	MDB_cursor *cursor;
	int failed, count;

	*ret_done = false;
	failed = mdb_cursor_open(txn, store->dbi, &cursor);
	if (failed)
		return failed;
	store_key_encode(STORE_FIRST, number);
	failed = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	for (count = 0; !failed && count < TRIM_CHUNKS; count++) {
		if (!store_key_is_valid(&key) || store_key_decode(&key) >= store->header.first)
			break;
		failed = mdb_cursor_del(cursor, 0);
		if (!failed)
			failed = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	*ret_done = failed == MDB_NOTFOUND || (!failed && count < TRIM_CHUNKS);
	mdb_cursor_close(cursor);
	return failed == MDB_NOTFOUND ? 0 : failed;
}

/* A disk that is full says so here, where nothing is lost yet; there may still be free pages inside. */
static void preallocate(struct store *store)
{
	static const uint8_t zeros[PREALLOCATE / 4];
	uint64_t wanted;
	MDB_envinfo info;
	ssize_t written;

	if (mdb_env_info(store->env, &info))
		return;
	wanted = (info.me_last_pgno + 1 + PREALLOCATE_PAGES) * 4096 + store->pending_len * 2;
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
static int commit_once(struct store *store, uint64_t *ret_next, bool *ret_trimmed)
{
	MDB_txn *txn;
	int failed;

	*ret_next = store->next;
	*ret_trimmed = !store->trimming;
	if (!store->env)
		return MDB_PANIC;
	preallocate(store);
	failed = mdb_txn_begin(store->env, NULL, 0, &txn);
	if (failed)
		return failed;
	failed = write_pending(store, txn, ret_next);
	if (!failed && store->trimming)
		failed = trim(store, txn, ret_trimmed);
	if (!failed && *ret_trimmed && store->header.trials) {
		store->header.trials = 0;
		store->header_changed = true;
	}
	if (!failed && store->header_changed)
		failed = store_write_header(store, txn);
	if (!failed)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return failed;
}

/* LMDB calls a write that a full disk cut short an I/O error. */
static int name_failure(const struct store *store, int failed)
{
	struct statvfs disk;
	uint64_t wanted = store->pending_len * 2 + PREALLOCATE_PAGES * 4096;

	if (failed == EIO && !statvfs(store->path, &disk) && (uint64_t)disk.f_bavail * disk.f_frsize < wanted)
		return -ENOSPC;
	return store_error(failed);
}

static int commit(struct store *store)
{
	struct store_clocks clocks;
	uint64_t next;
	bool trimmed;
	int failed;

	failed = commit_once(store, &next, &trimmed);
	if (failed == MDB_PANIC && !recover(store))
		failed = commit_once(store, &next, &trimmed);
	if (failed) {
		store->stats.failures++;
		return name_failure(store, failed);
	}
	clocks = store_read_clocks(store);
	store->marked_ms = clocks.wall_ms - clocks.boot_ms;
	store->stats.commits++;
	store->stats.bytes += store->pending_len;
	store->next = next;
	store->pending_len = 0;
	store->header_changed = false;
	store->trimming = !trimmed;
	return 0;
}

int store_commit(struct store *store)
{
	if (!store->pending_len && !store->header_changed)
		return 0;
	store->failed = commit(store);
	return store->failed;
}

int store_tick(struct store *store)
{
	struct store_clocks clocks = store_read_clocks(store);
	int64_t step_ms = (int64_t)(clocks.wall_ms - clocks.boot_ms - store->marked_ms);

	if (step_ms > CLOCK_STEP_MS || step_ms < -CLOCK_STEP_MS)
		store->header_changed = true;
	if (store->trimming && !store->pending_len && !store->header_changed)
		return commit(store);
	return store_commit(store);
}
