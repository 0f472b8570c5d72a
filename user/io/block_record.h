/* SPDX-License-Identifier: GPL-2.0-only */
/* Who owns which port block, and which blocks rest, between the maps and the store: so that after a reboot nobody gets ports on which
 * another's remote peers may still send (RFC 6888 REQ-8), and every subscriber his external address (REQ-2).
 *
 * Packets claim blocks without the daemon. It looks once a second, so that it does not know of what happened in the last second before
 * the power went, nor of a block that was claimed and given back between two looks; but of every explicit mapping, which has its own
 * record. */
#ifndef CGN_BLOCK_RECORD_H
#define CGN_BLOCK_RECORD_H
#include <stdbool.h>
#include <stdint.h>

struct block_recorder;	/* opaque */
struct dataplane;
struct store;
struct store_block;

/* Both are borrowed. NULL: out of memory. */
struct block_recorder *block_recorder_new(struct dataplane *dp, struct store *store);
void block_recorder_free(struct block_recorder *recorder);	/* NULL is fine */

/* Takes what stands in the maps for written: for a start that writes all of it by block_recorder_put_all(). */
void block_recorder_adopt(struct block_recorder *recorder);
/* Puts what has changed since. 0 or -errno: tried again by the next call. */
int block_recorder_update(struct block_recorder *recorder);
/* Puts what is owned or rests, some blocks at a time; *cursor is 0 at first, and 0 again after the last. 0 or -errno. */
int block_recorder_put_all(struct block_recorder *recorder, uint32_t *cursor);

/* Does the record say of no block of this external address that a subscriber owns it? */
bool block_recorder_is_clear(const struct block_recorder *recorder, uint32_t address);

uint32_t block_recorder_count(const struct block_recorder *recorder);	/* owned by subscribers, as recorded */

/* Gives fresh maps the blocks that a store had, once its grants stand. Returns how many have their owners again. */
uint32_t block_record_restore(struct dataplane *dp, const struct store *store, const struct store_block *blocks, uint32_t count);

#endif
