/* SPDX-License-Identifier: GPL-2.0-only */
/* From the store back into empty maps, after a reboot. */
#ifndef CGN_STORE_RESTORE_H
#define CGN_STORE_RESTORE_H
#include <stdint.h>

struct dataplane_ops;
struct store;
struct store_record;

struct store_restored {
	uint32_t restored;
	uint32_t expired;	/* ended while the machine was down */
	uint32_t superseded;	/* had ended before: another has their external endpoint */
	uint32_t lost;		/* promised, and not to be had any more */
	uint32_t epoch_count;
	struct store_record *epochs;	/* STORE_EPOCH, of single clients; the caller frees */
};

/* Asks the data plane for every grant that still runs: same external endpoint, nonce, client and what remains of the lifetime.
 * What could not be had is counted, and its deletion put, for the caller to commit with what he makes of it.
 * 0; -errno if the store cannot be read. */
int store_restore(struct store *store, const struct dataplane_ops *ops, void *dataplane, struct store_restored *ret_restored);

#endif
