/* SPDX-License-Identifier: GPL-2.0-only */
/* Writes log records to the audit file of the day and to syslog, in a thread of its own: neither a slow nor a full disk ever keeps
 * the event loop waiting. What is lost on the way is counted; records of blocks are found again by comparing the tables' blocks with
 * the last records in the file. */
#ifndef CGN_AUDIT_WRITER_H
#define CGN_AUDIT_WRITER_H
#include <stdbool.h>
#include <stdint.h>

struct audit_writer;	/* opaque */
struct cgn_event;
struct config_log;
struct dataplane;

struct audit_writer_stats {
	uint64_t written;	/* records in audit files */
	uint64_t repaired;	/* of those, found by comparison with `blocks` */
	uint64_t gaps;		/* owners of blocks who came and went unrecorded */
	uint64_t lost;		/* records that did not get into a file: queue full, disk full. Those of blocks are repaired */
	uint64_t failures;	/* transactions that failed */
	uint64_t syslog_sent, syslog_lost;
	bool is_failing;	/* the last transaction did */
};

/* Starts the thread. `dp` is borrowed; the folder is audit/ in state_dir. NULL: out of memory, or no thread. */
struct audit_writer *audit_writer_new(const struct dataplane *dp, const char *state_dir, const struct config_log *log);
/* Writes what is queued, for two seconds at most, and ends the thread; NULL is fine. */
void audit_writer_free(struct audit_writer *writer);

/* Copies the configuration. */
void audit_writer_configure(struct audit_writer *writer, const struct config_log *log);
/* Never waits for the disk. */
void audit_writer_add(struct audit_writer *writer, const struct cgn_event *event);
/* So many records were lost before they came here, since the last call: `blocks` will be compared. */
void audit_writer_note_loss(struct audit_writer *writer, uint64_t count);
struct audit_writer_stats audit_writer_stats(struct audit_writer *writer);

#endif
