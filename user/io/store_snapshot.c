/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>
#include <string.h>
#include "block_record.h"
#include "dataplane.h"
#include "explicit_record.h"
#include "store.h"
#include "store_snapshot.h"

#define SLICE		512
#define SLICE_EPOCHS	64
#define GROWTH_LEAST	(16u << 20)	/* bytes of records below which a log is not worth writing anew */

struct store_snapshot {
	struct store *store;
	struct dataplane *dp;
	bool is_running;
	uint64_t cursor;		/* in `explicit` */
	bool is_at_epochs, is_first_epoch;	/* then those follow */
	struct cgn_client client;
	struct block_recorder *blocks;
	bool is_at_blocks;			/* last of all */
	uint32_t block_cursor;
	uint64_t position;		/* of the log, where this one began */
	uint64_t began_bytes;		/* the store's count at that time */
	uint64_t written_bytes;		/* by the last whole one */
	struct cgn_explicit_key keys[SLICE];
	struct cgn_explicit values[SLICE];
	struct explicit_record record;
};

struct store_snapshot *store_snapshot_new(struct store *store, struct dataplane *dp)
{
	struct store_snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return NULL;
	snapshot->store = store;
	snapshot->dp = dp;
	return snapshot;
}

void store_snapshot_set_blocks(struct store_snapshot *snapshot, struct block_recorder *blocks)
{
	snapshot->blocks = blocks;
}

void store_snapshot_free(struct store_snapshot *snapshot)
{
	free(snapshot);
}

void store_snapshot_begin(struct store_snapshot *snapshot)
{
	if (snapshot->is_running)
		return;
	snapshot->is_running = true;
	snapshot->cursor = 0;
	snapshot->is_at_epochs = snapshot->is_at_blocks = false;
	snapshot->block_cursor = 0;
	snapshot->position = store_position(snapshot->store);
	snapshot->began_bytes = store_stats(snapshot->store).bytes;
}

void store_snapshot_consider(struct store_snapshot *snapshot)
{
	uint64_t grown = store_stats(snapshot->store).bytes - snapshot->began_bytes;

	if (grown > GROWTH_LEAST && grown > 2 * snapshot->written_bytes)
		store_snapshot_begin(snapshot);
}

bool store_snapshot_is_running(const struct store_snapshot *snapshot)
{
	return snapshot->is_running;
}

static void finish(struct store_snapshot *snapshot)
{
	struct store_state state = store_state(snapshot->store);

	state.is_complete = true;
	store_set_state(snapshot->store, &state);
	store_forget_before(snapshot->store, snapshot->position);
	snapshot->written_bytes = store_stats(snapshot->store).bytes - snapshot->began_bytes;
	snapshot->is_running = false;
}

/* Epochs of single clients. True: that was the last. */
static bool slice_epochs(struct store_snapshot *snapshot, int *ret_failed)
{
	struct store_record record = { .kind = STORE_EPOCH };
	struct cgn_epoch epoch;
	int i;

	for (i = 0; i < SLICE_EPOCHS && !*ret_failed; i++) {
		if (!dataplane_next_epoch(snapshot->dp, &snapshot->client, snapshot->is_first_epoch, &epoch))
			return true;
		snapshot->is_first_epoch = false;
		memcpy(record.key.internal.host6, snapshot->client.client6, sizeof(record.key.internal.host6));
		record.epoch_base_s = store_now_s(snapshot->store) - (uint32_t)(dataplane_now_s() - epoch.base_s);
		record.epoch_reason = epoch.reason;
		*ret_failed = store_put(snapshot->store, &record);
	}
	return false;
}

/* True: that was the last. */
static bool slice_blocks(struct store_snapshot *snapshot, int *ret_failed)
{
	if (snapshot->blocks)
		*ret_failed = block_recorder_put_all(snapshot->blocks, &snapshot->block_cursor);
	return !*ret_failed && !snapshot->block_cursor;
}

static int slice_explicit(struct store_snapshot *snapshot)
{
	int count, i, failed = 0;

	count = dataplane_walk_explicit(snapshot->dp, &snapshot->cursor, snapshot->keys, snapshot->values, SLICE);
	if (count < 0)
		return count;
	for (i = 0; i < count && !failed; i++)
		if (explicit_record_from(snapshot->dp, snapshot->store, &snapshot->keys[i], &snapshot->values[i], &snapshot->record))
			failed = store_put(snapshot->store, &snapshot->record.record);
	snapshot->is_at_epochs = snapshot->is_first_epoch = !snapshot->cursor;
	return failed;
}

int store_snapshot_slice(struct store_snapshot *snapshot)
{
	int failed = 0;

	if (!snapshot->is_running)
		return 0;
	if (!snapshot->is_at_epochs)
		failed = slice_explicit(snapshot);
	else if (!snapshot->is_at_blocks)
		snapshot->is_at_blocks = slice_epochs(snapshot, &failed);
	else if (slice_blocks(snapshot, &failed))
		finish(snapshot);
	if (failed)
		snapshot->is_running = false;	/* what is there still counts: begun anew another time */
	return failed;
}
