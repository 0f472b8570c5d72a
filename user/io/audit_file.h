/* SPDX-License-Identifier: GPL-2.0-only */
/* Who had an external port when: one SQLite file a day (UTC), DIRECTORY/YYYY-MM-DD.sqlite. Each begins with the blocks that
 * were owned when it was begun, so that it answers by itself, and an old one can be removed. */
#ifndef CGN_AUDIT_FILE_H
#define CGN_AUDIT_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "nat_log.h"

#define AUDIT_DAY_S 86400

struct audit_file;	/* opaque */
struct audit_error { char text[384]; bool is_full; };

/* Opens the file of the day that `unix_s` is in, making it (and the folder, 0700). *ret_fresh: it holds nothing yet. NULL with the error. */
struct audit_file *audit_file_open(const char *directory, int64_t unix_s, bool *ret_fresh, struct audit_error *error);
void audit_file_close(struct audit_file *file);	/* NULL is fine */
bool audit_file_covers(const struct audit_file *file, int64_t unix_s);

/* Between begin and commit: all of it or, after any failure and rollback, nothing. */
bool audit_file_begin(struct audit_file *file, struct audit_error *error);
/* What stands there already is not added again. */
bool audit_file_add(struct audit_file *file, const struct nat_log *record, struct audit_error *error);
bool audit_file_commit(struct audit_file *file, struct audit_error *error);
void audit_file_rollback(struct audit_file *file);

/* The last record of a block, by its first port. 1: there is one, 0: none, -1: error. */
int audit_file_last(struct audit_file *file, const uint8_t external4[4], uint16_t first_port, struct nat_log *ret_record,
		    struct audit_error *error);

struct audit_owner {
	bool is_owned;
	int64_t from_s, until_s;	/* Unix time; until 0: not known to have ended. Not owned: from is when the last owner gave it back */
	struct nat_log record;		/* the last one up to then; its generation is 0 if there is none */
};

/* Who had this port at this time, by the file of that day or, if none was written on that day, by the one before. 1: it is known (whoever
 * owned it, or nobody); 0: no file reaches back to that time; -1: error. */
int audit_who(const char *directory, const uint8_t external4[4], uint16_t port, int64_t unix_s, struct audit_owner *ret_owner,
	      struct audit_error *error);

/* Removes files of days more than `days` before the one that `unix_s` is in. Returns how many. */
unsigned audit_expire(const char *directory, int64_t unix_s, uint32_t days);

#endif
