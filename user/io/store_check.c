/* SPDX-License-Identifier: GPL-2.0-only */
/* Is this file ours, and sound? LMDB trusts what it finds: a damaged page may crash its reader, so that a child reads first. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "store_internal.h"
#include "store_record.h"

enum finding { SOUND, EMPTY, TRUNCATED, FOREIGN, VERSION, TORN, NOT_A_FILE, UNREADABLE, NO_MEMORY, FINDINGS };

#define CHILD_EXIT 64	/* plus the finding: no code of a sanitizer or the C library */

static const char *const texts[FINDINGS] = {
	[EMPTY] = "it is empty",
	[TRUNCATED] = "it is truncated",
	[FOREIGN] = "it is no store of xcgn",
	[VERSION] = "it is of another version",
	[TORN] = "it is damaged",
	[NOT_A_FILE] = "it is no regular file",
	[UNREADABLE] = "it cannot be read",
};

int store_env_open(const char *path, size_t map_size, unsigned flags, MDB_env **ret_env, MDB_dbi *ret_dbi)
{
	MDB_txn *txn;
	MDB_env *env;
	int failed;

	failed = mdb_env_create(&env);
	if (failed)
		return store_error(failed);
	failed = mdb_env_set_mapsize(env, map_size);
	if (!failed)
		failed = mdb_env_open(env, path, STORE_ENV_FLAGS | flags, 0600);
	if (!failed)
		failed = mdb_txn_begin(env, NULL, flags & MDB_RDONLY, &txn);
	if (!failed) {
		failed = mdb_dbi_open(txn, NULL, 0, ret_dbi);
		mdb_txn_abort(txn);
	}
	if (failed) {
		mdb_env_close(env);
		return store_error(failed);
	}
	*ret_env = env;
	return 0;
}

bool store_env_is_whole(MDB_env *env, uint64_t file_size)
{
	MDB_envinfo info;
	MDB_stat stat;

	return !mdb_env_info(env, &info) && !mdb_env_stat(env, &stat) &&
	       file_size >= ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

static bool chunk_is_sound(const MDB_val *key, const MDB_val *value)
{
	struct store_chunk chunk;
	struct store_record record;
	struct reader r;

	if (!store_key_is_valid(key) || !store_chunk_open(value, &chunk))
		return false;
	reader_init(&r, chunk.records, chunk.len);
	while (reader_left(&r))
		if (!store_record_decode(&r, &record))
			return false;
	return true;
}

static enum finding check_header(MDB_cursor *cursor, bool *wholly)
{
	static const enum finding findings[] = {
		[STORE_HEADER_OK] = SOUND, [STORE_HEADER_FOREIGN] = FOREIGN, [STORE_HEADER_VERSION] = VERSION, [STORE_HEADER_TORN] = TORN,
	};
	enum store_header_fault fault;
	struct store_header header;
	MDB_val key, value;

	if (mdb_cursor_get(cursor, &key, &value, MDB_FIRST) || !store_key_is_valid(&key) || store_key_decode(&key))
		return FOREIGN;
	fault = store_header_decode(value.mv_data, value.mv_size, &header);
	*wholly |= fault == STORE_HEADER_OK && header.trials >= STORE_TRIALS;
	return findings[fault];
}

/* The cursor stands on the header. */
static enum finding check_chunks(MDB_cursor *cursor, bool wholly)
{
	MDB_val key, value;
	int failed;

	if (!wholly) {
		failed = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
		return failed || (store_key_decode(&key) && !chunk_is_sound(&key, &value)) ? TORN : SOUND;
	}
	while (!(failed = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)))
		if (!chunk_is_sound(&key, &value))
			return TORN;
	return failed == MDB_NOTFOUND ? SOUND : TORN;
}

/* The list of free pages: database 0 of LMDB. */
static enum finding check_free_pages(MDB_txn *txn)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	int failed;

	if (mdb_cursor_open(txn, 0, &cursor))
		return TORN;
	while (!(failed = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)))
		;
	mdb_cursor_close(cursor);
	return failed == MDB_NOTFOUND ? SOUND : TORN;
}

/* Writes a chunk and takes it back: what the next commit will touch. */
static enum finding check_writing(MDB_env *env, MDB_dbi dbi)
{
	uint8_t last[STORE_KEY_LEN], chunk[STORE_CHUNK_MAX] = { 0 };
	MDB_val key = { sizeof(last), last }, value = { sizeof(chunk), chunk };
	MDB_txn *txn;
	int failed;

	if (mdb_txn_begin(env, NULL, 0, &txn))
		return TORN;
	store_key_encode(UINT64_MAX, last);
	failed = mdb_put(txn, dbi, &key, &value, MDB_APPEND);
	mdb_txn_abort(txn);
	return failed ? TORN : SOUND;
}

static enum finding check_content(MDB_env *env, MDB_dbi dbi, bool wholly)
{
	enum finding finding;
	MDB_cursor *cursor;
	MDB_txn *txn;

	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn))
		return TORN;
	if (mdb_cursor_open(txn, dbi, &cursor)) {
		mdb_txn_abort(txn);
		return TORN;
	}
	finding = check_header(cursor, &wholly);
	if (finding == SOUND)
		finding = check_chunks(cursor, wholly);
	mdb_cursor_close(cursor);
	if (finding == SOUND)
		finding = check_free_pages(txn);
	mdb_txn_abort(txn);
	return finding == SOUND ? check_writing(env, dbi) : finding;
}

static enum finding check_file(const char *path, size_t map_size, bool wholly)
{
	enum finding finding;
	struct stat status;
	MDB_env *env;
	MDB_dbi dbi;
	int failed;

	if (stat(path, &status))
		return UNREADABLE;
	if (!S_ISREG(status.st_mode))
		return NOT_A_FILE;
	if (status.st_size == 0)
		return EMPTY;
	if (status.st_size < 2 * sysconf(_SC_PAGESIZE))
		return TRUNCATED;
	failed = store_env_open(path, map_size, 0, &env, &dbi);
	if (failed)
		return failed == -EIO ? UNREADABLE : failed == -ENOMEM ? NO_MEMORY : FOREIGN;
	finding = store_env_is_whole(env, (uint64_t)status.st_size) ? check_content(env, dbi, wholly) : TRUNCATED;
	mdb_env_close(env);
	return finding;
}

const char *store_check(const char *path, size_t map_size, bool wholly, int *ret_error)
{
	int status, fd;
	pid_t child;

	*ret_error = 0;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS)) {
		*ret_error = -errno;
		return NULL;
	}
	if (fd >= 0)
		close(fd);
	child = fork();
	if (child < 0) {
		*ret_error = -errno;
		return NULL;
	}
	if (!child) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		if (null >= 0)
			dup2(null, STDERR_FILENO);	/* LMDB's assertions, which the finding stands for */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		_exit(CHILD_EXIT + (int)check_file(path, map_size, wholly));
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR) {
			*ret_error = -errno;
			return NULL;
		}
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_EXIT + NO_MEMORY) {
		*ret_error = -ENOMEM;
		return NULL;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) >= CHILD_EXIT && WEXITSTATUS(status) < CHILD_EXIT + FINDINGS)
		return texts[WEXITSTATUS(status) - CHILD_EXIT];
	return texts[TORN];
}
