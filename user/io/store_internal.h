/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared by the store*.c files only. */
#ifndef CGN_STORE_INTERNAL_H
#define CGN_STORE_INTERNAL_H
#include <lmdb.h>
#include "store.h"

#define STORE_FILE	"store.mdb"
#define STORE_BOOT_ID	40
#define STORE_ENV_FLAGS	(MDB_NOSUBDIR | MDB_NOLOCK | MDB_NORDAHEAD | MDB_NOTLS)	/* alone by the lock of store_open() */
/* Two chunks fill a page of 4096 bytes: no overflow pages, which LMDB has to find in one piece. */
#define STORE_CHUNK_HEAD 20
#define STORE_CHUNK_MAX	2022

/* The key of the header is 0, of chunks their sequence number: 8 bytes, big-endian, so that they sort. */
#define STORE_KEY_LEN	8
#define STORE_FIRST	1

#define STORE_TRIALS	3	/* opened so often without coming to rest: something in it may crash its reader */

struct store_header {
	struct store_state state;
	uint64_t first;			/* chunks before it do not count */
	char boot_id[STORE_BOOT_ID];	/* the boot of `offset_s` */
	int64_t offset_s;		/* store time minus boot clock */
	uint64_t time_s, wall_ms;	/* store time and wall clock when it was written */
	uint32_t trials;		/* times it was opened since it was last trimmed to the end */
};

struct store_chunk {
	uint64_t time_s, wall_ms;
	const uint8_t *records;		/* borrowed from the transaction */
	size_t len;
};

struct store_buffer {		/* encoded records */
	uint8_t *bytes;
	size_t len, size;
};

/* What one commit writes, and how that went. It, `env` and `file` are the thread's between worker_ask() and worker_take(). */
struct store_job {
	struct store_buffer records;	/* kept on a failure */
	struct store_header header;
	bool header_changed, is_trimming, is_trimmed;
	uint64_t first, next;		/* sequence number of the first chunk, and of the one after the last */
	uint64_t marked_ms;
	int failed;
};

struct store {
	struct store_options options;
	char path[256];
	MDB_env *env;
	MDB_dbi dbi;
	int lock, file;
	uint64_t file_size;
	struct store_header header;
	bool header_changed, trimming;
	int failed;			/* the last commit's error */
	uint64_t next;			/* sequence number of the next chunk */
	uint64_t marked_ms;		/* wall minus boot clock as last written */
	struct store_buffer pending;	/* for the next commit */
	struct store_stats stats;
	struct store_job job;
	struct worker *worker;
	enum { STORE_NOTHING, STORE_WRITING, STORE_WRITTEN } begun;	/* and not ended */
	int begun_failed;
};

struct store_clocks store_read_clocks(const struct store *store);
void store_boot_id(const struct store *store, char ret_id[STORE_BOOT_ID]);
int store_error(int lmdb_error);	/* as -errno */
uint64_t store_random_id(void);		/* never 0 */

void store_key_encode(uint64_t sequence, uint8_t ret_key[STORE_KEY_LEN]);
uint64_t store_key_decode(const MDB_val *key);
bool store_key_is_valid(const MDB_val *key);

/* ---- store_header.c ---- */
#define STORE_HEADER_LEN 160
enum store_header_fault { STORE_HEADER_OK, STORE_HEADER_FOREIGN, STORE_HEADER_VERSION, STORE_HEADER_TORN };
void store_header_encode(const struct store_header *header, uint8_t ret_bytes[STORE_HEADER_LEN]);
enum store_header_fault store_header_decode(const void *bytes, size_t len, struct store_header *ret_header);
/* `bytes` holds the records from STORE_CHUNK_HEAD on. */
void store_chunk_seal(uint8_t *bytes, size_t len, uint64_t time_s, uint64_t wall_ms);
bool store_chunk_open(const MDB_val *value, struct store_chunk *ret_chunk);

/* ---- store_check.c ---- */
/* Looks at a file in a process of its own, which a damaged one may crash. NULL: sound; else what is wrong with it.
 * -errno in *ret_error: it could not be looked at. */
const char *store_check(const char *path, size_t map_size, bool wholly, int *ret_error);
/* An environment on a file, open. -errno. */
int store_env_open(const char *path, size_t map_size, unsigned flags, MDB_env **ret_env, MDB_dbi *ret_dbi);
/* Does the file reach as far as its last page? */
bool store_env_is_whole(MDB_env *env, uint64_t file_size);

/* ---- store.c ---- */
int store_buffer_grow(struct store_buffer *buffer, size_t room);

/* ---- store_open.c ---- */
size_t store_map_size(const struct store_options *options);

/* ---- store_commit.c ---- */
int store_write_header(const struct store *store, struct store_header *header, MDB_txn *txn);
void store_do_job(void *store);		/* the worker's */

#endif
