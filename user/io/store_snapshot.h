/* SPDX-License-Identifier: GPL-2.0-only */
/* The log written anew from the maps, slice by slice between requests. Requests go on being recorded meanwhile: map and log are
 * changed by one thread, so that a record is never older than those before it. When all of the map has been put, everything
 * from before the snapshot is forgotten: superseded records, and what the maps and the log did not agree on. */
#ifndef CGN_STORE_SNAPSHOT_H
#define CGN_STORE_SNAPSHOT_H
#include <stdbool.h>

struct dataplane;
struct store;
struct block_recorder;
struct store_snapshot;	/* opaque */

/* Borrows both. NULL: out of memory. */
struct store_snapshot *store_snapshot_new(struct store *store, struct dataplane *dp);
/* Port blocks are written too. Borrowed; NULL: not. */
void store_snapshot_set_blocks(struct store_snapshot *snapshot, struct block_recorder *blocks);
void store_snapshot_free(struct store_snapshot *snapshot);	/* NULL is fine */

/* Begins one with the next slice, unless one is under way. */
void store_snapshot_begin(struct store_snapshot *snapshot);
/* Begins one if the log has grown to more than twice what it has to hold. */
void store_snapshot_consider(struct store_snapshot *snapshot);
bool store_snapshot_is_running(const struct store_snapshot *snapshot);
/* Puts some hundred mappings, to be committed by the caller; marks the log complete behind the last of them. 0 or -errno. */
int store_snapshot_slice(struct store_snapshot *snapshot);

#endif
