/* SPDX-License-Identifier: GPL-2.0-only */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <sqlite3.h>
#include "audit_file.h"

#define SUFFIX		".sqlite"
#define NAME_LENGTH	10	/* YYYY-MM-DD */
#define BUSY_MS		2000	/* somebody else reads, and SQLite takes turns */
#define KNOWN_BITS	20	/* 8 MiB, of which as much is touched as there are blocks; 250,000 blocks miss a fifth of their looks */
#define PORT_STEP	64	/* blocks begin at its multiples, and are at most BLOCK_MAX */
#define BLOCK_MAX	1024

/* The key is in the order in which a port is looked for; within a second, owners by their generation, and "allocated" before "released". */
static const char schema[] =
	"CREATE TABLE IF NOT EXISTS block(address TEXT NOT NULL, first_port INTEGER NOT NULL, time INTEGER NOT NULL, "
	"generation INTEGER NOT NULL, event TEXT NOT NULL, last_port INTEGER NOT NULL, subscriber TEXT NOT NULL, "
	"PRIMARY KEY(address, first_port, time, generation, event)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS refusal(time INTEGER NOT NULL, event TEXT NOT NULL, subscriber TEXT NOT NULL);";

/* Which blocks there are, so that a port is looked for in its own alone: each look at another is another page from the disk. Files of
 * versions before have none. */
static const char place_schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE place(address TEXT NOT NULL, first_port INTEGER NOT NULL, last_port INTEGER NOT NULL, "
	"PRIMARY KEY(address, first_port, last_port)) WITHOUT ROWID;"
	"INSERT INTO place SELECT DISTINCT address, first_port, last_port FROM block;"
	"COMMIT;";

struct audit_file {
	sqlite3 *db;
	sqlite3_stmt *add_block, *add_place, *add_refusal, *last;
	sqlite3_stmt *places;	/* NULL: a file of a version before */
	uint64_t *known;	/* of a writer: places that are in the file, each where its hash says, or another one */
	int64_t day;		/* since 1970 */
};

static bool fail(struct audit_error *error, sqlite3 *db, const char *what)
{
	int code = db ? sqlite3_errcode(db) : SQLITE_NOMEM;

	snprintf(error->text, sizeof(error->text), "%s: %s", what, db ? sqlite3_errmsg(db) : "out of memory");
	error->is_full = code == SQLITE_FULL || (code == SQLITE_IOERR && errno == ENOSPC);
	return false;
}

/* ---- names ---- */

static int64_t day_of(int64_t unix_s)
{
	return unix_s >= 0 ? unix_s / AUDIT_DAY_S : -1;
}

static void path_of(const char *directory, int64_t day, char *ret_path, size_t size)
{
	time_t seconds = (time_t)(day * AUDIT_DAY_S);
	struct tm when;

	gmtime_r(&seconds, &when);
	snprintf(ret_path, size, "%s/%04d-%02d-%02d" SUFFIX, directory, when.tm_year + 1900, when.tm_mon + 1, when.tm_mday);
}

/* The day of a file by its name; -1: none of ours. */
static int64_t day_of_name(const char *name)
{
	struct tm when = {};
	int end = 0;

	if (strlen(name) != NAME_LENGTH + strlen(SUFFIX) || strcmp(name + NAME_LENGTH, SUFFIX) ||
	    sscanf(name, "%4d-%2d-%2d%n", &when.tm_year, &when.tm_mon, &when.tm_mday, &end) != 3 || end != NAME_LENGTH)
		return -1;
	when.tm_year -= 1900;
	when.tm_mon--;
	return day_of((int64_t)timegm(&when));
}

/* The first day after `day` that has a file; -1: none. */
static int64_t find_next_day(const char *directory, int64_t day)
{
	DIR *folder = opendir(directory);
	const struct dirent *entry;
	int64_t found = -1, each;

	while (folder && (entry = readdir(folder))) {
		each = day_of_name(entry->d_name);
		if (each > day && (found < 0 || each < found))
			found = each;
	}
	if (folder)
		closedir(folder);
	return found;
}

/* The latest day up to `day` that has a file; -1: none. */
static int64_t find_day(const char *directory, int64_t day)
{
	DIR *folder = opendir(directory);
	const struct dirent *entry;
	int64_t found = -1, each;

	while (folder && (entry = readdir(folder))) {
		each = day_of_name(entry->d_name);
		if (each <= day && each > found)
			found = each;
	}
	if (folder)
		closedir(folder);
	return found;
}

static void remove_day(const char *directory, int64_t day)
{
	static const char *const tails[] = { "", "-wal", "-shm" };
	char path[512], with_tail[520];
	size_t i;

	path_of(directory, day, path, sizeof(path));
	for (i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
		snprintf(with_tail, sizeof(with_tail), "%s%s", path, tails[i]);
		unlink(with_tail);
	}
}

unsigned audit_expire(const char *directory, int64_t unix_s, uint32_t days)
{
	DIR *folder = opendir(directory);
	const struct dirent *entry;
	unsigned removed = 0;
	int64_t day;

	while (folder && (entry = readdir(folder))) {
		day = day_of_name(entry->d_name);
		if (day < 0 || day + days >= day_of(unix_s))
			continue;
		remove_day(directory, day);
		removed++;
	}
	if (folder)
		closedir(folder);
	return removed;
}

/* ---- opening ---- */

static bool prepare(struct audit_file *file)
{
	return sqlite3_prepare_v2(file->db, "INSERT OR IGNORE INTO block VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)", -1, &file->add_block, NULL) == SQLITE_OK &&
	       sqlite3_prepare_v2(file->db, "INSERT OR IGNORE INTO place VALUES(?1, ?2, ?3)", -1, &file->add_place, NULL) == SQLITE_OK &&
	       sqlite3_prepare_v2(file->db, "INSERT INTO refusal VALUES(?1, ?2, ?3)", -1, &file->add_refusal, NULL) == SQLITE_OK;
}

static bool has_places(const struct audit_file *file)
{
	sqlite3_stmt *any = NULL;
	bool has = sqlite3_prepare_v2(file->db, "SELECT 1 FROM sqlite_master WHERE name = 'place'", -1, &any, NULL) == SQLITE_OK &&
		   sqlite3_step(any) == SQLITE_ROW;

	sqlite3_finalize(any);
	return has;
}

static bool prepare_last(struct audit_file *file)
{
	if (has_places(file) && sqlite3_prepare_v2(file->db, "SELECT first_port FROM place WHERE address = ?1 AND first_port BETWEEN ?2 AND ?3 "
						   "AND last_port >= ?3 ORDER BY first_port DESC", -1, &file->places, NULL) != SQLITE_OK)
		return false;
	return sqlite3_prepare_v2(file->db, "SELECT time, generation, event, last_port, subscriber FROM block WHERE address = ?1 AND first_port = ?2 "
				  "AND time <= ?3 ORDER BY time DESC, generation DESC, event DESC LIMIT 1", -1, &file->last, NULL) == SQLITE_OK;
}

/* A transaction is on the disk when it is committed, and readers never wait for it. */
static bool make_tables(struct audit_file *file)
{
	return sqlite3_exec(file->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;", NULL, NULL, NULL) == SQLITE_OK &&
	       sqlite3_exec(file->db, schema, NULL, NULL, NULL) == SQLITE_OK &&
	       (has_places(file) || sqlite3_exec(file->db, place_schema, NULL, NULL, NULL) == SQLITE_OK);
}

static struct audit_file *open_day(const char *directory, int64_t day, bool is_writer, struct audit_error *error)
{
	struct audit_file *file = calloc(1, sizeof(*file));
	int flags = is_writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
	char path[512];

	if (file && is_writer)
		file->known = calloc(1u << KNOWN_BITS, sizeof(*file->known));
	if (!file || (is_writer && !file->known)) {
		fail(error, NULL, directory);
		free(file);
		return NULL;
	}
	file->day = day;
	path_of(directory, day, path, sizeof(path));
	errno = 0;
	if (sqlite3_open_v2(path, &file->db, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
		sqlite3_busy_timeout(file->db, BUSY_MS);
		if ((!is_writer || (make_tables(file) && prepare(file))) && prepare_last(file))
			return file;
	}
	fail(error, file->db, path);
	audit_file_close(file);
	return NULL;
}

static bool is_empty(const struct audit_file *file)
{
	sqlite3_stmt *any = NULL;
	bool is_empty = sqlite3_prepare_v2(file->db, "SELECT 1 FROM block LIMIT 1", -1, &any, NULL) == SQLITE_OK &&
			sqlite3_step(any) == SQLITE_DONE;

	sqlite3_finalize(any);
	return is_empty;
}

struct audit_file *audit_file_open(const char *directory, int64_t unix_s, bool *ret_fresh, struct audit_error *error)
{
	struct audit_file *file;

	*error = (struct audit_error){};
	if (mkdir(directory, 0700) && errno != EEXIST) {
		snprintf(error->text, sizeof(error->text), "%s: %s", directory, strerror(errno));
		error->is_full = errno == ENOSPC;
		return NULL;
	}
	file = open_day(directory, day_of(unix_s), true, error);
	if (file)
		*ret_fresh = is_empty(file);
	return file;
}

void audit_file_close(struct audit_file *file)
{
	bool is_writer;

	if (!file)
		return;
	is_writer = file->add_block;
	sqlite3_finalize(file->add_block);
	sqlite3_finalize(file->add_place);
	sqlite3_finalize(file->places);
	sqlite3_finalize(file->add_refusal);
	sqlite3_finalize(file->last);
	if (is_writer)		/* a file that nobody writes any more is one file, and quick to open */
		sqlite3_exec(file->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
	sqlite3_close(file->db);
	free(file->known);
	free(file);
}

bool audit_file_covers(const struct audit_file *file, int64_t unix_s)
{
	return day_of(unix_s) == file->day;
}

/* ---- writing ---- */

static bool execute(struct audit_file *file, const char *sql, struct audit_error *error)
{
	*error = (struct audit_error){};
	errno = 0;
	return sqlite3_exec(file->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail(error, file->db, "audit file");
}

bool audit_file_begin(struct audit_file *file, struct audit_error *error)
{
	return execute(file, "BEGIN IMMEDIATE", error);
}

bool audit_file_commit(struct audit_file *file, struct audit_error *error)
{
	return execute(file, "COMMIT", error);
}

void audit_file_rollback(struct audit_file *file)
{
	if (!sqlite3_get_autocommit(file->db))
		sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
	memset(file->known, 0, sizeof(*file->known) << KNOWN_BITS);
}

static void bind_address(sqlite3_stmt *statement, const uint8_t a[4])
{
	char text[16];

	snprintf(text, sizeof(text), "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
	sqlite3_bind_text(statement, 1, text, -1, SQLITE_TRANSIENT);
}

static bool add_place(struct audit_file *file, const struct nat_log *record)
{
	const uint8_t *a = record->external4;
	uint64_t key = (uint64_t)a[0] << 56 | (uint64_t)a[1] << 48 | (uint64_t)a[2] << 40 | (uint64_t)a[3] << 32 |
		       (uint32_t)record->first_port << 16 | record->last_port;
	uint64_t *known = &file->known[key * 0x9e3779b97f4a7c15ull >> (64 - KNOWN_BITS)];
	bool is_done;

	if (*known == key)
		return true;
	bind_address(file->add_place, record->external4);
	sqlite3_bind_int(file->add_place, 2, record->first_port);
	sqlite3_bind_int(file->add_place, 3, record->last_port);
	is_done = sqlite3_step(file->add_place) == SQLITE_DONE;
	sqlite3_reset(file->add_place);
	*known = is_done ? key : 0;
	return is_done;
}

bool audit_file_add(struct audit_file *file, const struct nat_log *record, struct audit_error *error)
{
	bool is_block = record->event <= NAT_LOG_RELEASED, is_done;
	sqlite3_stmt *statement = is_block ? file->add_block : file->add_refusal;
	const char *event = nat_log_event_name(record->event);

	*error = (struct audit_error){};
	if (is_block) {
		bind_address(statement, record->external4);
		sqlite3_bind_int(statement, 2, record->first_port);
		sqlite3_bind_int64(statement, 3, record->unix_s);
		sqlite3_bind_int64(statement, 4, record->generation);
		sqlite3_bind_text(statement, 5, event, -1, SQLITE_STATIC);
		sqlite3_bind_int(statement, 6, record->last_port);
		sqlite3_bind_text(statement, 7, record->subscriber, -1, SQLITE_TRANSIENT);
	} else {
		sqlite3_bind_int64(statement, 1, record->unix_s);
		sqlite3_bind_text(statement, 2, event, -1, SQLITE_STATIC);
		sqlite3_bind_text(statement, 3, record->subscriber, -1, SQLITE_TRANSIENT);
	}
	errno = 0;
	is_done = (sqlite3_step(statement) == SQLITE_DONE && (!is_block || add_place(file, record))) || fail(error, file->db, "audit file");
	sqlite3_reset(statement);
	return is_done;
}

/* ---- reading ---- */

static void copy_subscriber(char ret_subscriber[48], const unsigned char *text)
{
	snprintf(ret_subscriber, 48, "%s", text ? (const char *)text : "");
}

static int find_last(struct audit_file *file, const uint8_t external4[4], uint16_t first_port, int64_t unix_s, struct nat_log *ret_record,
		     struct audit_error *error)
{
	sqlite3_stmt *last = file->last;
	int code, found = 0;

	bind_address(last, external4);
	sqlite3_bind_int(last, 2, first_port);
	sqlite3_bind_int64(last, 3, unix_s);
	code = sqlite3_step(last);
	if (code == SQLITE_ROW) {
		*ret_record = (struct nat_log){ .unix_s = sqlite3_column_int64(last, 0), .generation = (uint32_t)sqlite3_column_int64(last, 1),
			.event = sqlite3_column_text(last, 2)[0] == 'a' ? NAT_LOG_ALLOCATED : NAT_LOG_RELEASED, .first_port = first_port,
			.last_port = (uint16_t)sqlite3_column_int(last, 3) };
		memcpy(ret_record->external4, external4, 4);
		copy_subscriber(ret_record->subscriber, sqlite3_column_text(last, 4));
		found = 1;
	} else if (code != SQLITE_DONE) {
		fail(error, file->db, "audit file");
		found = -1;
	}
	sqlite3_reset(last);
	return found;
}

int audit_file_last(struct audit_file *file, const uint8_t external4[4], uint16_t first_port, struct nat_log *ret_record,
		    struct audit_error *error)
{
	*error = (struct audit_error){};
	return find_last(file, external4, first_port, INT64_MAX, ret_record, error);
}

/* The first ports of blocks that may have this port: one, unless block sizes have changed within the day. Returns how many, or -1. */
static int find_places(struct audit_file *file, const uint8_t external4[4], uint16_t port, int ret_first[BLOCK_MAX / PORT_STEP])
{
	int first = port & ~(PORT_STEP - 1), count = 0, code = SQLITE_DONE;

	if (!file->places) {
		for (; first >= 0 && first > port - BLOCK_MAX; first -= PORT_STEP)
			ret_first[count++] = first;
		return count;
	}
	bind_address(file->places, external4);
	sqlite3_bind_int(file->places, 2, port - (BLOCK_MAX - 1));
	sqlite3_bind_int(file->places, 3, port);
	while (count < BLOCK_MAX / PORT_STEP && (code = sqlite3_step(file->places)) == SQLITE_ROW)
		if (!count || sqlite3_column_int(file->places, 0) != ret_first[count - 1])	/* of two sizes */
			ret_first[count++] = sqlite3_column_int(file->places, 0);
	sqlite3_reset(file->places);
	return code == SQLITE_ROW || code == SQLITE_DONE ? count : -1;
}

/* The last record of any block that has this port: sizes of blocks may have changed within a day. */
static int last_of_port(struct audit_file *file, const uint8_t external4[4], uint16_t port, int64_t unix_s, struct nat_log *ret_record,
			struct audit_error *error)
{
	int first[BLOCK_MAX / PORT_STEP], count = find_places(file, external4, port, first), found, any = 0, i;
	struct nat_log record;

	if (count < 0) {
		fail(error, file->db, "audit file");
		return -1;
	}
	for (i = 0; i < count; i++) {
		found = find_last(file, external4, (uint16_t)first[i], unix_s, &record, error);
		if (found < 0)
			return -1;
		if (!found || record.last_port < port || (any && record.unix_s <= ret_record->unix_s))
			continue;
		*ret_record = record;
		any = 1;
	}
	return any;
}

/* When what was allocated then was given back, as far as this file knows; 0: it does not. */
static int64_t end_of(const struct audit_file *file, const struct nat_log *record)
{
	sqlite3_stmt *next = NULL;
	int64_t end = 0;

	if (sqlite3_prepare_v2(file->db, "SELECT time FROM block WHERE address = ?1 AND first_port = ?2 AND time >= ?3 AND event = 'released' "
			       "AND generation = ?4 ORDER BY time LIMIT 1", -1, &next, NULL) != SQLITE_OK)
		return 0;
	bind_address(next, record->external4);
	sqlite3_bind_int(next, 2, record->first_port);
	sqlite3_bind_int64(next, 3, record->unix_s);
	sqlite3_bind_int64(next, 4, record->generation);
	if (sqlite3_step(next) == SQLITE_ROW)
		end = sqlite3_column_int64(next, 0);
	sqlite3_finalize(next);
	return end;
}

/* In the files of later days, for who kept it over midnight. */
static int64_t end_after(const char *directory, int64_t day, const struct nat_log *record)
{
	struct audit_error error;
	struct audit_file *file;
	int64_t end = 0;

	while (!end && (day = find_next_day(directory, day)) >= 0) {
		file = open_day(directory, day, false, &error);
		if (!file)
			return 0;
		end = end_of(file, record);
		audit_file_close(file);
	}
	return end;
}

int audit_who(const char *directory, const uint8_t external4[4], uint16_t port, int64_t unix_s, struct audit_owner *ret_owner,
	      struct audit_error *error)
{
	int64_t day = find_day(directory, day_of(unix_s));
	struct audit_owner owner = {};
	struct audit_file *file;
	int found;

	*error = (struct audit_error){};
	if (day < 0)
		return 0;
	file = open_day(directory, day, false, error);
	if (!file)
		return -1;
	found = last_of_port(file, external4, port, unix_s, &owner.record, error);
	if (found > 0) {
		owner.is_owned = owner.record.event == NAT_LOG_ALLOCATED;
		owner.from_s = owner.record.unix_s;
		owner.until_s = owner.is_owned ? end_of(file, &owner.record) : 0;
	}
	audit_file_close(file);
	if (found < 0)
		return -1;
	if (owner.is_owned && !owner.until_s)
		owner.until_s = end_after(directory, day, &owner.record);
	*ret_owner = owner;
	return 1;
}
