/* SPDX-License-Identifier: GPL-2.0-only */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#include "audit_file.h"
#include "audit_repair.h"
#include "audit_writer.h"
#include "config.h"
#include "dataplane.h"
#include "log.h"
#include "quiet_thread.h"
#include "syslog_socket.h"

#define QUEUE_MAX	65536
#define QUIET_MS	500		/* records are put together for so long */
#define BUSY		4096		/* or until there are so many */
#define RETRY_S		5		/* after a transaction that failed */
#define SPARE		(32u << 20)	/* bytes left to stable storage */
#define COMPARE_S	600		/* even if nothing is known to be lost */

struct settings {
	uint32_t days;
	char syslog[128];
	bool is_new;
};

struct audit_writer {
	const struct dataplane *dp;
	char state_dir[256], directory[264], host[256];
	pthread_t thread;
	pthread_mutex_t lock;		/* of all up to the next blank line */
	pthread_cond_t wake;
	struct nat_log *queue;		/* filled by the event loop */
	uint32_t count;
	struct settings settings;
	struct audit_writer_stats stats;

	atomic_bool stop, must_compare;
	struct nat_log *batch;		/* the thread's alone, from here on */
	struct audit_file *file;
	struct syslog_socket syslog;
	uint32_t days;
	uint32_t retry_s, compared_s;	/* boot clock */
	bool is_failing;
};

/* ---- the event loop's side ---- */

static void note(struct audit_writer *writer, uint64_t *counter, uint64_t more)
{
	pthread_mutex_lock(&writer->lock);
	*counter += more;
	pthread_mutex_unlock(&writer->lock);
}

void audit_writer_note_loss(struct audit_writer *writer, uint64_t count)
{
	note(writer, &writer->stats.lost, count);
	atomic_store(&writer->must_compare, true);
}

void audit_writer_add(struct audit_writer *writer, const struct cgn_event *event)
{
	struct nat_log record = { .event = (enum nat_log_event)event->type, .unix_s = audit_unix_s(event->time_s), .first_port = event->first_port,
		.last_port = event->last_port, .generation = event->generation };

	if (event->type > CGN_EVENT_QUOTA)
		return;
	memcpy(record.external4, event->addr4, sizeof(record.external4));
	audit_name_subscriber(&event->subscriber, record.subscriber);
	pthread_mutex_lock(&writer->lock);
	if (writer->count < QUEUE_MAX) {
		writer->queue[writer->count++] = record;
		if (writer->count == BUSY)
			pthread_cond_signal(&writer->wake);
	} else {
		writer->stats.lost++;
		writer->stats.syslog_lost += writer->syslog.target[0] != '\0';
		atomic_store(&writer->must_compare, true);
	}
	pthread_mutex_unlock(&writer->lock);
}

void audit_writer_configure(struct audit_writer *writer, const struct config_log *log)
{
	pthread_mutex_lock(&writer->lock);
	writer->settings.days = log->audit_days;
	snprintf(writer->settings.syslog, sizeof(writer->settings.syslog), "%s", log->syslog);
	writer->settings.is_new = true;
	pthread_mutex_unlock(&writer->lock);
}

struct audit_writer_stats audit_writer_stats(struct audit_writer *writer)
{
	struct audit_writer_stats stats;

	pthread_mutex_lock(&writer->lock);
	stats = writer->stats;
	pthread_mutex_unlock(&writer->lock);
	return stats;
}

/* ---- the thread: the file of the day ---- */

static void close_file(struct audit_writer *writer)
{
	audit_file_close(writer->file);
	writer->file = NULL;
}

/* What was in the transaction is not in the file: comparison brings it back when there is room again. */
static void fail(struct audit_writer *writer, const struct audit_error *error, uint64_t records)
{
	if (!writer->is_failing)
		log_error("%s; log records are not written until it works again, translation and PCP go on", error->text);
	writer->is_failing = true;
	writer->retry_s = dataplane_now_s() + RETRY_S;
	if (writer->file)
		audit_file_rollback(writer->file);
	close_file(writer);
	pthread_mutex_lock(&writer->lock);
	writer->stats.failures++;
	writer->stats.lost += records;
	writer->stats.is_failing = true;
	pthread_mutex_unlock(&writer->lock);
	atomic_store(&writer->must_compare, true);
}

static void succeed(struct audit_writer *writer, uint64_t records, const struct audit_repair *repair)
{
	if (writer->is_failing)
		log_info("audit file: written again, %llu records brought back from the tables", (unsigned long long)repair->added);
	writer->is_failing = false;
	pthread_mutex_lock(&writer->lock);
	writer->stats.written += records + repair->added;
	writer->stats.repaired += repair->added;
	writer->stats.gaps += repair->gaps;
	writer->stats.is_failing = false;
	pthread_mutex_unlock(&writer->lock);
}

/* The disk is stable storage's too, and that needs it more: PCP stands still without. */
static bool has_room(const struct audit_writer *writer, struct audit_error *error)
{
	struct statvfs disk;

	if (statvfs(writer->state_dir, &disk) || (uint64_t)disk.f_bavail * disk.f_frsize >= SPARE)
		return true;	/* what else is wrong shows when it is written */
	*error = (struct audit_error){ .is_full = true };
	snprintf(error->text, sizeof(error->text), "%s: less than %u MiB are free", writer->directory, SPARE >> 20);
	return false;
}

/* One transaction. A new file begins with all that is owned; also after a loss the tables are looked at. */
static bool write_day(struct audit_writer *writer, const struct nat_log *records, uint32_t count, int64_t unix_s, struct audit_error *error,
		      struct audit_repair *ret_repair)
{
	bool is_fresh = false, is_done;
	uint32_t i;

	if (!has_room(writer, error))
		return false;

	if (writer->file && !audit_file_covers(writer->file, unix_s))
		close_file(writer);
	if (!writer->file) {
		writer->file = audit_file_open(writer->directory, unix_s, &is_fresh, error);
		if (!writer->file)
			return false;
		atomic_store(&writer->must_compare, true);
		audit_expire(writer->directory, (int64_t)time(NULL), writer->days);
	}
	is_done = audit_file_begin(writer->file, error);
	for (i = 0; is_done && i < count; i++)
		is_done = audit_file_add(writer->file, &records[i], error);
	if (is_done && audit_file_covers(writer->file, (int64_t)time(NULL)) && atomic_exchange(&writer->must_compare, false)) {
		is_done = audit_repair(writer->file, writer->dp, is_fresh && !count, &writer->stop, ret_repair, error);
		writer->compared_s = dataplane_now_s();
	}
	return is_done && audit_file_commit(writer->file, error);
}

/* Records come in the order of time, so those of one day stand together. */
static void write_all(struct audit_writer *writer, uint32_t count)
{
	struct audit_repair repair = {};
	struct audit_error error;
	uint32_t first, end;

	for (first = 0; first < count; first = end) {
		for (end = first + 1; end < count && writer->batch[end].unix_s / AUDIT_DAY_S == writer->batch[first].unix_s / AUDIT_DAY_S; end++)
			;
		if (!write_day(writer, writer->batch + first, end - first, writer->batch[first].unix_s, &error, &repair)) {
			fail(writer, &error, count - first);
			return;
		}
		succeed(writer, end - first, &repair);
		repair = (struct audit_repair){};
	}
	if (!writer->file || !audit_file_covers(writer->file, (int64_t)time(NULL)) || atomic_load(&writer->must_compare)) {
		if (write_day(writer, NULL, 0, (int64_t)time(NULL), &error, &repair))
			succeed(writer, 0, &repair);
		else
			fail(writer, &error, 0);
	}
}

/* ---- the thread: the rest ---- */

static void send_syslog(struct audit_writer *writer, uint32_t count)
{
	char message[NAT_LOG_MESSAGE_MAX];
	uint64_t sent = 0;
	uint32_t i;

	if (!writer->syslog.target[0])
		return;
	for (i = 0; i < count; i++)
		sent += syslog_socket_send(&writer->syslog, message, nat_log_syslog(&writer->batch[i], writer->host, getpid(), message, sizeof(message)));
	note(writer, &writer->stats.syslog_sent, sent);
	note(writer, &writer->stats.syslog_lost, count - sent);
}

static void take_settings(struct audit_writer *writer, const struct settings *settings)
{
	if (!settings->days)
		close_file(writer);
	writer->days = settings->days;
	syslog_socket_done(&writer->syslog);
	syslog_socket_init(&writer->syslog, settings->syslog);
}

/* Waits until there is something to do; how many records are in `batch` now. */
static uint32_t take_batch(struct audit_writer *writer, struct settings *ret_settings)
{
	struct timespec until;
	struct nat_log *batch;
	uint32_t count;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += QUIET_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&writer->lock);
	while (writer->count < BUSY && !atomic_load(&writer->stop))
		if (pthread_cond_timedwait(&writer->wake, &writer->lock, &until))
			break;
	count = writer->count;
	batch = writer->batch;
	writer->batch = writer->queue;
	writer->queue = batch;
	writer->count = 0;
	*ret_settings = writer->settings;
	writer->settings.is_new = false;
	pthread_mutex_unlock(&writer->lock);
	return count;
}

static void *run(void *context)
{
	struct audit_writer *writer = context;
	struct settings settings;
	uint32_t count, now_s;
	bool is_last;

	do {
		is_last = atomic_load(&writer->stop);
		count = take_batch(writer, &settings);
		if (settings.is_new)
			take_settings(writer, &settings);
		now_s = dataplane_now_s();
		if (now_s - writer->compared_s >= COMPARE_S)
			atomic_store(&writer->must_compare, true);
		if (writer->days && (!writer->is_failing || (int32_t)(now_s - writer->retry_s) >= 0))
			write_all(writer, count);
		else if (writer->days)
			note(writer, &writer->stats.lost, count);
		send_syslog(writer, count);
	} while (!is_last);
	return NULL;
}

/* ---- life ---- */

static void free_memory(struct audit_writer *writer)
{
	free(writer->queue);
	free(writer->batch);
	free(writer);
}

struct audit_writer *audit_writer_new(const struct dataplane *dp, const char *state_dir, const struct config_log *log)
{
	struct audit_writer *writer = calloc(1, sizeof(*writer));
	pthread_condattr_t monotonic;

	if (!writer)
		return NULL;
	writer->dp = dp;
	snprintf(writer->state_dir, sizeof(writer->state_dir), "%s", state_dir);
	snprintf(writer->directory, sizeof(writer->directory), "%s/audit", writer->state_dir);
	if (gethostname(writer->host, sizeof(writer->host) - 1))
		writer->host[0] = '\0';
	writer->queue = calloc(QUEUE_MAX, sizeof(*writer->queue));
	writer->batch = calloc(QUEUE_MAX, sizeof(*writer->batch));
	syslog_socket_init(&writer->syslog, "none");
	pthread_mutex_init(&writer->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&writer->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	writer->compared_s = dataplane_now_s();
	audit_writer_configure(writer, log);
	if (writer->queue && writer->batch && quiet_thread_start(&writer->thread, run, writer))
		return writer;
	free_memory(writer);
	return NULL;
}

void audit_writer_free(struct audit_writer *writer)
{
	if (!writer)
		return;
	atomic_store(&writer->stop, true);
	pthread_mutex_lock(&writer->lock);
	pthread_cond_signal(&writer->wake);
	pthread_mutex_unlock(&writer->lock);
	pthread_join(writer->thread, NULL);
	close_file(writer);
	syslog_socket_done(&writer->syslog);
	pthread_cond_destroy(&writer->wake);
	pthread_mutex_destroy(&writer->lock);
	free_memory(writer);
}
