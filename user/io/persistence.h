/* SPDX-License-Identifier: GPL-2.0-only */
/* Maps and stable storage as one (design section 4): opens the store, fills fresh maps from it, decides the Epoch, records what is
 * granted, and keeps the two in agreement while the daemon runs. Logs what it finds. */
#ifndef CGN_PERSISTENCE_H
#define CGN_PERSISTENCE_H
#include <stdbool.h>
#include <stdint.h>
#include "cgn/abi.h"

struct config;
struct dataplane;
struct dataplane_error;
struct dataplane_ops;
struct ev_loop;
struct pcp_commit;
struct persistence;	/* opaque */

struct persistence_stats {
	uint64_t commits, failures, bytes;	/* since the start */
	bool is_complete;			/* a reboot now would lose nothing */
	bool is_failing;			/* nothing can be written: creations are refused */
	uint32_t blocks;			/* port blocks of subscribers that are recorded */
	uint32_t restored, expired, superseded, lost, blocks_owned;	/* at the start */
};

/* The configuration is applied to the maps already, its static mappings too. `is_fresh` as dataplane_open() said. On return the
 * Epoch stands in the maps, and is reset only if something that was acknowledged is lost. NULL with an error (DATAPLANE_STATE). */
struct persistence *persistence_open(const struct config *config, struct dataplane *dp, bool is_fresh, struct dataplane_error *error);
void persistence_close(struct persistence *persistence);	/* NULL is fine */

/* What the PCP server asks instead of the data plane itself. */
extern const struct dataplane_ops *const persistence_ops;
void *persistence_ops_context(struct persistence *persistence);
/* How the PCP service has made durable what it answers. */
struct pcp_commit persistence_pcp_commit(struct persistence *persistence);
/* Makes durable what was recorded otherwise. False: it is not yet, and will be with a later commit. */
bool persistence_commit(struct persistence *persistence);

/* From now on works in the background: agreement with the maps, the wall clock, a disk that was full. */
void persistence_start(struct persistence *persistence, struct ev_loop *loop);

/* Resets the Epoch, durably before it is seen. False: it could not be made durable, and nothing was reset. */
bool persistence_reset_epoch(struct persistence *persistence, enum cgn_epoch_reason reason);

/* The operator changed this explicit part, or ended it: how it stands now is recorded with the next persistence_commit(). `value` is
 * how it was. False: out of memory. */
bool persistence_record(struct persistence *persistence, const struct cgn_explicit_key *key, const struct cgn_explicit *value);
/* That of one client alone (IPv4-mapped); durable with the next persistence_commit(), together with what he lost. False: the store fails,
 * or there is no room in the tables. */
bool persistence_reset_epoch_of(struct persistence *persistence, const uint8_t client6[16], uint32_t now_s, enum cgn_epoch_reason reason);

/* Does stable storage know that nobody owns a block of this external address (index in `pools`) any more? */
bool persistence_is_clear_of(const struct persistence *persistence, uint32_t address);

struct persistence_stats persistence_stats(const struct persistence *persistence);

#endif
