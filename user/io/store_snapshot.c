/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>
#include "dataplane.h"
#include "explicit_record.h"
#include "store.h"
#include "store_snapshot.h"

#define SLICE		512
#define GROWTH_LEAST	(16u << 20)	/* bytes of records below which a log is not worth writing anew */

struct store_snapshot {
	struct store *store;
	struct dataplane *dp;
	bool is_running;
	uint64_t cursor;		/* in `explicit` */
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

int store_snapshot_slice(struct store_snapshot *snapshot)
{
	int count, i, failed = 0;

	if (!snapshot->is_running)
		return 0;
	count = dataplane_walk_explicit(snapshot->dp, &snapshot->cursor, snapshot->keys, snapshot->values, SLICE);
	if (count < 0) {
		snapshot->is_running = false;	/* what is there still counts: begun anew another time */
		return count;
	}
	for (i = 0; i < count && !failed; i++)
		if (explicit_record_from(snapshot->dp, snapshot->store, &snapshot->keys[i], &snapshot->values[i], &snapshot->record))
			failed = store_put(snapshot->store, &snapshot->record.record);
	if (failed)
		snapshot->is_running = false;
	else if (!snapshot->cursor)
		finish(snapshot);
	return failed;
}
