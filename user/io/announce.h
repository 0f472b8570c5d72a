/* SPDX-License-Identifier: GPL-2.0-only */
/* Tells clients what they did not ask for, when core/announcer.h says so: that the Epoch was reset (RFC 6887 section 14.1.3), and
 * what became of their mappings (section 14.2). Known clients are those of the explicit mappings in the pinned tables. */
#ifndef CGN_ANNOUNCE_H
#define CGN_ANNOUNCE_H
#include <stdbool.h>
#include <stdint.h>

struct announce;	/* opaque */
struct dataplane;
struct ev_loop;
struct pcp_server;
struct pcp_service;
struct pcp_update;
struct persistence;

struct announce_stats { uint64_t multicasts, unicasts, updates; };	/* sent */

/* All are borrowed. Takes over the Epochs of single clients from the tables. NULL: out of memory. */
struct announce *announce_new(struct ev_loop *loop, struct dataplane *dp, struct persistence *persistence, struct pcp_server *server,
			      struct pcp_service *service);
void announce_free(struct announce *announce);	/* NULL is fine */

/* The Epoch of all starts now, durably, and everybody is told. False: it could not be written, and nothing has changed. */
bool announce_reset(struct announce *announce, int reason);	/* enum cgn_epoch_reason */
/* The Epoch of all was reset already, with fresh tables: everybody is told. */
void announce_start(struct announce *announce);
/* The Epoch of one client alone, who lost something, starts now: its next answer says so. If there are too many of those, that of
 * all does. False as above. */
bool announce_reset_of(struct announce *announce, const uint8_t client6[16], int reason);
/* A mapping changed: its client is told, three times or until it asks. False: too many are under way. */
bool announce_update(struct announce *announce, const struct pcp_update *update);

const struct announce_stats *announce_stats(const struct announce *announce);

#endif
