/* SPDX-License-Identifier: GPL-2.0-only */
/* When to tell clients what they did not ask for (RFC 6887 section 14): announcements that the Epoch was reset, and Mapping
 * Updates. Pure: the time comes in, in milliseconds of a clock that never runs backwards; what is sent, and how, is io's.
 *
 * Announcements go out by multicast, up to ten times with gaps that double, and one by one to the clients that are known, a few
 * passes over all of them with so many in a second that the answers to a hundred thousand do not come at once. */
#ifndef CGN_ANNOUNCER_H
#define CGN_ANNOUNCER_H
#include <stdbool.h>
#include <stdint.h>
#include "cgn/limits.h"
#include "pcp_codec.h"

#define ANNOUNCER_MULTICASTS	10	/* section 14.1.3 allows no more */
#define ANNOUNCER_PASSES	3
#define ANNOUNCER_GAP_MS	250
#define ANNOUNCER_PER_SECOND	2000	/* clients */
#define ANNOUNCER_UPDATES_MAX	16384	/* under way at once */
#define ANNOUNCER_UPDATE_SENDS	3	/* section 14.2 */
#define ANNOUNCER_FILTERS_MAX	CGN_FILTERS_MAX
#define ANNOUNCER_NEVER		UINT64_MAX

struct announcer;	/* opaque */

/* A mapping as it is now, for a client that knows another one (section 14.2). */
struct pcp_update {
	uint8_t opcode;			/* PCP_MAP or PCP_PEER */
	uint8_t result;			/* PCP_SUCCESS, or PCP_CANNOT_PROVIDE_EXTERNAL if it could not be kept */
	uint8_t client6[16];		/* to whom: where its last answer went */
	uint16_t client_port;
	uint8_t internal6[16];		/* whose mapping: another host's came with THIRD_PARTY */
	struct pcp_peer peer;		/* of MAP, only .map */
	uint32_t expires_s;		/* seconds of the server's clock; UINT32_MAX: never */
	uint16_t set_first, set_size;	/* MAP: the set that it is of (RFC 7753); size 0 or 1: none */
	uint8_t filter_count;
	struct pcp_filter filter[ANNOUNCER_FILTERS_MAX];
};

/* The caller owns it. NULL: out of memory. */
struct announcer *announcer_new(void);
void announcer_free(struct announcer *announcer);	/* NULL is fine */

/* When there is something to do next; ANNOUNCER_NEVER. */
uint64_t announcer_next_ms(const struct announcer *announcer);

/* ---- the Epoch was reset ---- */

/* From now on; what is under way begins anew. */
void announcer_start(struct announcer *announcer, uint64_t now_ms);
/* True: send the multicasts now; it will not be said again for this time. */
bool announcer_take_multicast(struct announcer *announcer, uint64_t now_ms);
/* How many more clients may be told now. */
unsigned announcer_unicasts_due(struct announcer *announcer, uint64_t now_ms);
unsigned announcer_unicasts_left(const struct announcer *announcer);	/* of those */
/* One client, as it is found in a walk over all: true if it was not told in this pass, and counts as told now. */
bool announcer_take_unicast(struct announcer *announcer, const uint8_t client6[16], uint16_t client_port);
/* The walk has seen all clients: the pass is over, and the next one, if any, begins with the first client again. */
void announcer_end_pass(struct announcer *announcer, uint64_t now_ms);

/* ---- Mapping Updates ---- */

/* Copied; replaces an earlier one of the same mapping. False: too many are under way, or out of memory. */
bool announcer_update(struct announcer *announcer, const struct pcp_update *update, uint64_t now_ms);
/* The next update to be sent now. Borrowed until the announcer is next called; NULL: none is due. */
const struct pcp_update *announcer_take_update(struct announcer *announcer, uint64_t now_ms);
/* The client asked for the mapping: it knows, and no more is sent (section 14.2). */
void announcer_refreshed(struct announcer *announcer, const uint8_t internal6[16], const struct pcp_map *map);
unsigned announcer_updates(const struct announcer *announcer);	/* under way */

#endif
