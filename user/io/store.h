/* SPDX-License-Identifier: GPL-2.0-only */
/* Stable storage: what clients were promised, on disk. An LMDB file that holds a log: chunks of records keyed by a sequence
 * number that only grows, so that a commit writes a few pages at the end whatever the size of the table. The last record of a
 * key counts. It is written while the maps live and read only when they are gone.
 *
 * Store time: seconds that go on from boot to boot. Within a boot it runs with the boot clock, whatever happens to the wall
 * clock; over a reboot it advances by what the wall clock says has passed, never backwards. Every chunk carries both clocks.
 *
 * Functions returning int give 0 or -errno. They are called by one thread; a thread of the store's own writes what is begun. */
#ifndef CGN_STORE_H
#define CGN_STORE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;		/* opaque */
struct store_record;

#define STORE_VERSION 1		/* of headers, chunks and records; a file of another version is set aside */

struct store_clocks { uint64_t boot_ms, wall_ms; };	/* CLOCK_MONOTONIC, CLOCK_REALTIME */

struct store_options {
	const char *directory;		/* made, 0700, if it is missing */
	uint32_t mappings_max;		/* bounds the file */
	bool will_be_read;		/* every byte is checked, not only the ends; that it was opened is durable on return */
	/* For tests; NULL: the kernel's. */
	const char *boot_id;
	struct store_clocks (*read_clocks)(void);
};

enum store_origin {
	STORE_CREATED,		/* nothing was there, ever */
	STORE_RECREATED,	/* a store was here before, and is gone */
	STORE_ADOPTED,
	STORE_SET_ASIDE,	/* what was there could not be used: renamed, a new one made */
};

struct store_report {
	enum store_origin origin;
	const char *why;		/* of STORE_SET_ASIDE */
	char set_aside[320];		/* its new name */
	bool is_rebooted;		/* it was last written in another boot */
	bool wall_clock_stepped_back;	/* since it was last written: the time spent down is unknown and counts as none */
	uint64_t down_s;		/* between the last commit and now */
};

/* Opens or creates it, alone: another process that has it is an error. NULL with one line of text in error. */
struct store *store_open(const struct store_options *options, struct store_report *ret_report, char *error, size_t error_size);
void store_close(struct store *store);	/* what was not committed is dropped; NULL is fine */

/* What stands in the header; written with the next commit. */
struct store_state {
	uint64_t id;			/* random; new whenever the log begins anew. The pins name it (struct cgn_meta) */
	bool is_complete;		/* every acknowledged mapping is in the log */
	bool is_purged;			/* emptied by the operator, and no daemon has started since */
	uint64_t epoch_base_s;		/* store time at which the Epoch was 0 */
	uint32_t epoch_reason;		/* enum cgn_epoch_reason */
};
struct store_state store_state(const struct store *store);
void store_set_state(struct store *store, const struct store_state *state);
/* Forgets every record, under a new id. Complete: an empty log has all of nothing. */
void store_begin_anew(struct store *store);

uint64_t store_now_s(const struct store *store);
uint64_t store_from_boot_s(const struct store *store, uint32_t boot_s);		/* store time of a boot clock time */

/* Adds a record to the next commit. -E2BIG, -ENOMEM. */
int store_put(struct store *store, const struct store_record *record);
/* Makes durable what was put since the last commit: on return 0 it survives power loss. On an error it stays put and is tried
 * again by the next call: until that succeeds, nothing more may be promised. Nothing put: returns at once. */
int store_commit(struct store *store);
/* The same while the caller goes on: what is put from now on is for the next commit. False: nothing to write, and nothing begun.
 * store_commit_end() is due before the next one is begun; it waits. Meanwhile store_commit() and store_tick() wait, too, and return
 * its failure. */
bool store_commit_begin(struct store *store);
int store_commit_end(struct store *store);
bool store_is_writing(const struct store *store);	/* begun, and nobody has waited for it */
int store_done_fd(const struct store *store);		/* readable from when what was begun is done until store_commit_end() */
int store_failure(const struct store *store);	/* of the last commit: 0 or -errno */
/* Once a second or so: notes a wall clock that was set, and gives back the space of forgotten records. */
int store_tick(struct store *store);

/* The number of the next chunk; after a commit, everything before it is older than what is put from now on. */
uint64_t store_position(const struct store *store);
/* With the next commit records before `position` do not count any more; their space is given back bit by bit. */
void store_forget_before(struct store *store, uint64_t position);
bool store_is_trimming(const struct store *store);	/* some of that space is still to be given back: store_tick() does */

struct store_stats { uint64_t commits, failures, bytes; };	/* since it was opened; bytes of records committed */
struct store_stats store_stats(const struct store *store);

/* Empties the store in a directory, for good: the operator's purge. No store there is fine. */
bool store_purge(const char *directory, char *error, size_t error_size);

const char *store_strerror(int error);	/* of -errno as returned here */

#endif
