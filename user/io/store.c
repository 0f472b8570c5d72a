/* SPDX-License-Identifier: GPL-2.0-only */
/* What is to be written: records and state. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "store_internal.h"
#include "store_record.h"

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
	store->pending.len = store->job.records.len = 0;
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

int store_buffer_grow(struct store_buffer *buffer, size_t room)
{
	size_t size = buffer->size ? buffer->size : 16384;
	uint8_t *grown;

	while (size - buffer->len < room)
		size *= 2;
	if (size == buffer->size)
		return 0;
	grown = realloc(buffer->bytes, size);
	if (!grown)
		return -ENOMEM;
	buffer->bytes = grown;
	buffer->size = size;
	return 0;
}

int store_put(struct store *store, const struct store_record *record)
{
	struct store_buffer *pending = &store->pending;
	struct writer w;
	int failed = store_buffer_grow(pending, STORE_RECORD_MAX);

	if (failed)
		return failed;
	writer_init(&w, pending->bytes + pending->len, STORE_RECORD_MAX);
	store_record_encode(&w, record);
	if (w.overflow)
		return -E2BIG;
	pending->len += writer_len(&w);
	return 0;
}
