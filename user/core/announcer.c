/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>
#include <string.h>
#include "announcer.h"
#include "mix.h"

#define STEP_MS		10	/* clients are told in steps of this */
#define BURST_MS	50	/* a late call makes up for no more than this */
#define STEP_CLIENTS	(STEP_MS * ANNOUNCER_PER_SECOND / 1000)
#define BURST_CLIENTS	(BURST_MS * ANNOUNCER_PER_SECOND / 1000)
#define SEEN_MIN	1024u

struct seen {			/* clients told in this pass, by a fingerprint of 64 bits: 0 is none */
	uint64_t *places;
	unsigned size, count;	/* a power of two, never more than half full */
};

struct pending {
	struct pcp_update update;
	uint64_t due_ms;
	unsigned sent;
};

struct announcer {
	unsigned multicasts;	/* sent */
	uint64_t last_multicast_ms, multicast_ms;	/* the last one and the next */
	unsigned passes;	/* begun; 0: none are under way */
	uint64_t pass_ms;	/* when this one began, or will */
	uint64_t gap_ms;	/* between the beginnings of the last two */
	uint64_t paced_ms;	/* clients were counted up to here */
	unsigned credit;	/* clients that may be told */
	struct seen seen;
	struct pending *pending;
	unsigned pending_count, pending_size;
};

struct announcer *announcer_new(void)
{
	struct announcer *announcer = calloc(1, sizeof(*announcer));

	if (announcer)
		announcer->multicasts = ANNOUNCER_MULTICASTS;
	return announcer;
}

static void seen_clear(struct seen *seen)
{
	free(seen->places);
	*seen = (struct seen){ NULL, 0, 0 };
}

void announcer_free(struct announcer *announcer)
{
	if (!announcer)
		return;
	seen_clear(&announcer->seen);
	free(announcer->pending);
	free(announcer);
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t announcer_next_ms(const struct announcer *announcer)
{
	uint64_t next_ms = ANNOUNCER_NEVER;
	unsigned i;

	if (announcer->multicasts < ANNOUNCER_MULTICASTS)
		next_ms = announcer->multicast_ms;
	if (announcer->passes)
		next_ms = earliest(next_ms, announcer->paced_ms + (announcer->credit ? 0 : STEP_MS));
	for (i = 0; i < announcer->pending_count; i++)
		next_ms = earliest(next_ms, announcer->pending[i].due_ms);
	return next_ms;
}

/* ---- the Epoch was reset ---- */

static void pass_begin(struct announcer *announcer, uint64_t at_ms)
{
	seen_clear(&announcer->seen);
	announcer->passes++;
	announcer->pass_ms = announcer->paced_ms = at_ms;
	announcer->credit = STEP_CLIENTS;
}

void announcer_start(struct announcer *announcer, uint64_t now_ms)
{
	announcer->multicasts = 0;
	announcer->multicast_ms = now_ms;
	announcer->passes = 0;
	announcer->gap_ms = 0;
	pass_begin(announcer, now_ms);
}

/* The next gap is twice the last one that there was in fact. */
bool announcer_take_multicast(struct announcer *announcer, uint64_t now_ms)
{
	uint64_t gap_ms;

	if (announcer->multicasts == ANNOUNCER_MULTICASTS || now_ms < announcer->multicast_ms)
		return false;
	gap_ms = announcer->multicasts ? 2 * (now_ms - announcer->last_multicast_ms) : ANNOUNCER_GAP_MS;
	announcer->multicast_ms = now_ms + gap_ms;
	announcer->last_multicast_ms = now_ms;
	announcer->multicasts++;
	return true;
}

unsigned announcer_unicasts_due(struct announcer *announcer, uint64_t now_ms)
{
	if (!announcer->passes || now_ms < announcer->pass_ms)
		return 0;
	announcer->credit += (unsigned)(earliest(now_ms - announcer->paced_ms, BURST_MS) * ANNOUNCER_PER_SECOND / 1000);
	if (announcer->credit > BURST_CLIENTS)
		announcer->credit = BURST_CLIENTS;
	announcer->paced_ms = now_ms;
	return announcer->credit;
}

unsigned announcer_unicasts_left(const struct announcer *announcer)
{
	return announcer->passes ? announcer->credit : 0;
}

static uint64_t fingerprint(const uint8_t client6[16], uint16_t port)
{
	uint64_t mixed = mix_address(port, client6);

	return mixed ? mixed : 1;
}

static uint64_t *place_of(uint64_t *places, unsigned size, uint64_t print)
{
	unsigned at;

	for (at = (unsigned)print & (size - 1); places[at] && places[at] != print; at = (at + 1) & (size - 1))
		;
	return &places[at];
}

static bool seen_grow(struct seen *seen)
{
	unsigned size = seen->size ? seen->size * 2 : SEEN_MIN, i;
	uint64_t *grown = calloc(size, sizeof(*grown));

	if (!grown)
		return false;
	for (i = 0; i < seen->size; i++)
		if (seen->places[i])
			*place_of(grown, size, seen->places[i]) = seen->places[i];
	free(seen->places);
	seen->places = grown;
	seen->size = size;
	return true;
}

bool announcer_take_unicast(struct announcer *announcer, const uint8_t client6[16], uint16_t client_port)
{
	uint64_t print = fingerprint(client6, client_port), *place;
	struct seen *seen = &announcer->seen;

	if (!announcer_unicasts_left(announcer))
		return false;
	/* without memory some are told twice rather than not at all */
	if (seen->count * 2 < seen->size || seen_grow(seen)) {
		place = place_of(seen->places, seen->size, print);
		if (*place)
			return false;
		*place = print;
		seen->count++;
	}
	announcer->credit--;
	return true;
}

void announcer_end_pass(struct announcer *announcer, uint64_t now_ms)
{
	uint64_t gap_ms = announcer->gap_ms ? announcer->gap_ms * 2 : ANNOUNCER_GAP_MS, next_ms;

	if (!announcer->passes)
		return;
	if (announcer->passes == ANNOUNCER_PASSES) {
		announcer->passes = 0;
		seen_clear(&announcer->seen);
		return;
	}
	next_ms = announcer->pass_ms + gap_ms > now_ms ? announcer->pass_ms + gap_ms : now_ms + ANNOUNCER_GAP_MS;
	announcer->gap_ms = next_ms - announcer->pass_ms;
	pass_begin(announcer, next_ms);
}

/* ---- Mapping Updates ---- */

static bool is_about(const struct pcp_update *update, const uint8_t internal6[16], const struct pcp_map *map)
{
	return update->peer.map.protocol == map->protocol && update->peer.map.internal_port == map->internal_port &&
	       !memcmp(update->internal6, internal6, 16) && !memcmp(update->peer.map.nonce, map->nonce, sizeof(map->nonce));
}

static void pending_remove(struct announcer *announcer, unsigned index)
{
	announcer->pending[index] = announcer->pending[--announcer->pending_count];
}

void announcer_refreshed(struct announcer *announcer, const uint8_t internal6[16], const struct pcp_map *map)
{
	unsigned i;

	for (i = announcer->pending_count; i-- > 0; )
		if (is_about(&announcer->pending[i].update, internal6, map))
			pending_remove(announcer, i);
}

static bool pending_grow(struct announcer *announcer)
{
	unsigned size = announcer->pending_size ? announcer->pending_size * 2 : 16;
	struct pending *grown;

	if (announcer->pending_count < announcer->pending_size)
		return true;
	if (announcer->pending_count >= ANNOUNCER_UPDATES_MAX)
		return false;
	grown = realloc(announcer->pending, size * sizeof(*grown));
	if (!grown)
		return false;
	announcer->pending = grown;
	announcer->pending_size = size;
	return true;
}

bool announcer_update(struct announcer *announcer, const struct pcp_update *update, uint64_t now_ms)
{
	announcer_refreshed(announcer, update->internal6, &update->peer.map);
	if (!pending_grow(announcer))
		return false;
	announcer->pending[announcer->pending_count++] = (struct pending){ .update = *update, .due_ms = now_ms };
	return true;
}

const struct pcp_update *announcer_take_update(struct announcer *announcer, uint64_t now_ms)
{
	unsigned i;

	for (i = 0; i < announcer->pending_count; ) {
		struct pending *pending = &announcer->pending[i];

		if (pending->sent == ANNOUNCER_UPDATE_SENDS) {	/* the last one was borrowed until now */
			pending_remove(announcer, i);
			continue;
		}
		if (now_ms >= pending->due_ms) {
			pending->due_ms = now_ms + ((uint64_t)ANNOUNCER_GAP_MS << pending->sent);
			pending->sent++;
			return &pending->update;
		}
		i++;
	}
	return NULL;
}

unsigned announcer_updates(const struct announcer *announcer)
{
	unsigned i, count = 0;

	for (i = 0; i < announcer->pending_count; i++)
		count += announcer->pending[i].sent < ANNOUNCER_UPDATE_SENDS;
	return count;
}
