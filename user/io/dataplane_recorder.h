/* SPDX-License-Identifier: GPL-2.0-only */
/* The data plane's operations with a memory: what is changed through them is put into the store, and made durable before
 * anybody is told. Core code sees a dataplane_ops like any other. */
#ifndef CGN_DATAPLANE_RECORDER_H
#define CGN_DATAPLANE_RECORDER_H
#include <stdbool.h>
#include "dataplane_ops.h"

struct dataplane_recorder;	/* opaque */
struct explicit_record;
struct store;
struct store_key;

/* What is recorded, beside the operations themselves. */
struct recorder_source {
	const struct dataplane_ops *ops;
	void *dataplane;
	/* How an explicit part stands now, with its attributes. False: it does not. */
	bool (*read)(void *dataplane, const struct store *store, const struct store_key *key, struct explicit_record *ret_record);
};

/* The source's pointers and the store are borrowed. NULL: out of memory. */
struct dataplane_recorder *dataplane_recorder_new(const struct recorder_source *source, struct store *store);
void dataplane_recorder_free(struct dataplane_recorder *recorder);	/* NULL is fine */

/* Its `dataplane` is a struct dataplane_recorder. While the store fails, nothing is changed and its error returned: nothing is
 * promised that could not be kept. */
extern const struct dataplane_ops dataplane_recorder_ops;

/* Between deciding requests and answering them: begins to make durable all that was changed. More may be decided meanwhile. False:
 * nothing was, and nothing has begun. */
bool dataplane_recorder_commit_begin(void *recorder);
/* Waits. True: what was begun is durable. False: what was created since the last success has been taken back, that which was decided
 * since the beginning too: nothing of it may be answered as a success; to ask again is to be refused. */
bool dataplane_recorder_commit_end(void *recorder);

/* Puts into the store how a part stands now, or that it does not: it was changed by other means than these operations. Durable with
 * the next commit. False: out of memory. */
bool dataplane_recorder_note(struct dataplane_recorder *recorder, const struct store_key *key);

/* recorder_source.read over the real maps. */
bool dataplane_recorder_read(void *dp, const struct store *store, const struct store_key *key, struct explicit_record *ret_record);

#endif
