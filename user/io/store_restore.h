/* SPDX-License-Identifier: GPL-2.0-only */
/* From the store back into empty maps, after a reboot. */
#ifndef CGN_STORE_RESTORE_H
#define CGN_STORE_RESTORE_H
#include <stdint.h>
#include "cgn/abi.h"

struct dataplane_ops;
struct store;
struct store_record;

/* A port block as the store has it. */
struct store_block {
	struct cgn_subscriber_key owner;
	uint64_t released_s;		/* store time; 0: it is owned */
	uint8_t external4[4];
	uint16_t first_port;
	uint8_t block_shift;
};

struct store_restored {
	uint32_t restored;
	uint32_t expired;	/* ended while the machine was down */
	uint32_t superseded;	/* had ended before: another has their external endpoint */
	uint32_t lost;		/* promised, and not to be had any more */
	uint32_t epoch_count;
	struct store_record *epochs;	/* STORE_EPOCH, of single clients; the caller frees */
	uint32_t block_count;
	uint32_t blocks_owned;		/* have their owners again: the caller counts */
	struct store_block *blocks;	/* for the caller to give to the data plane, after the grants; and to free */
};

/* Asks the data plane for every grant that still runs: same external endpoint, nonce, client and what remains of the lifetime.
 * What could not be had is counted, and its deletion put, for the caller to commit with what he makes of it.
 * 0; -errno if the store cannot be read. */
int store_restore(struct store *store, const struct dataplane_ops *ops, void *dataplane, struct store_restored *ret_restored);

#endif
