/* SPDX-License-Identifier: GPL-2.0-only */
/* The table as bytes: what a keeper has to know of its life before. Whole it is, or not at all: the store sees to that. */
#include <stdlib.h>
#include <string.h>
#include "keeper_internal.h"

#define STATE_VERSION	1
#define HEAD_LEN	80		/* and more than the fields before the mappings */
#define ENTRY_LEN	(80 + NONCES_MAX * (16 + PCP_NONCE_LEN))

enum { HAS_EXTERNAL = 1 << 0, IS_LIVE = 1 << 1, IS_THIRD_PARTY = 1 << 2, KEEPS_PARITY = 1 << 3 };

static void put_u64(struct writer *w, uint64_t value)
{
	writer_u32(w, (uint32_t)(value >> 32));
	writer_u32(w, (uint32_t)value);
}

static uint64_t get_u64(struct reader *r)
{
	uint64_t high = reader_u32(r);

	return high << 32 | reader_u32(r);
}

/* ---- out ---- */

static void put_head(struct writer *w, const struct keeper *keeper, unsigned count)
{
	const struct pcp_client *client = keeper_known(keeper);

	writer_u8(w, STATE_VERSION);
	writer_u8(w, keeper->knows_path);
	writer_bytes(w, client->path.server6, 16);
	writer_u16(w, client->path.server_port);
	writer_bytes(w, client->path.client6, 16);
	writer_u8(w, client->version);
	writer_u8(w, client->epoch.is_known);
	writer_u32(w, client->epoch.server_s);
	put_u64(w, client->epoch.client_s);
	writer_u16(w, (uint16_t)count);
}

static void put_held(struct writer *w, const struct held *held)
{
	const struct pcp_map *map = &held->wish.peer.map;

	writer_u8(w, map->protocol);
	writer_u16(w, map->internal_port);
	writer_u8(w, (uint8_t)((held->has_external ? HAS_EXTERNAL : 0) | (held->is_live ? IS_LIVE : 0) |
			       (held->wish.is_third_party ? IS_THIRD_PARTY : 0) | (held->wish.port_set.keeps_parity ? KEEPS_PARITY : 0)));
	writer_bytes(w, held->wish.third_party6, 16);
	writer_bytes(w, held->external6, 16);
	writer_u16(w, held->external_port);
	writer_u16(w, held->ports);
	put_u64(w, held->granted_ns / NS_PER_S);
	put_u64(w, held->expires_ns / NS_PER_S);
	writer_u8(w, (uint8_t)held->nonce_count);
	for (unsigned i = 0; i < held->nonce_count; i++) {
		writer_bytes(w, held->nonces[i].identity6, 16);
		writer_bytes(w, held->nonces[i].nonce, PCP_NONCE_LEN);
	}
}

/* Not yet deleted: whoever reads it deletes it, unless it is wanted again. */
static void put_removal(struct writer *w, const struct keeper *keeper, const struct removal *removal)
{
	struct held held = { .wish = removal->request, .has_external = true, .external_port = removal->external_port,
			     .expires_ns = removal->expires_ns == NEVER ? 0 : removal->expires_ns, .ports = removal->request.has_port_set ? removal->request.port_set.size : 1, .nonce_count = 1 };

	memcpy(held.external6, removal->external6, sizeof(held.external6));
	memcpy(held.nonces[0].identity6, keeper->identity6, sizeof(keeper->identity6));
	memcpy(held.nonces[0].nonce, removal->request.peer.map.nonce, PCP_NONCE_LEN);
	put_held(w, &held);
}

bool keeper_encode(const struct keeper *keeper, uint8_t **ret_bytes, size_t *ret_len)
{
	unsigned removals = 0, i;
	struct writer w;
	uint8_t *bytes;
	size_t size;

	for (i = 0; i < keeper->removal_count && keeper->count + removals < KEEPER_MAPPINGS_MAX; i++)
		removals += !keeper->removals[i].is_stale;
	size = HEAD_LEN + (keeper->count + removals) * (size_t)ENTRY_LEN;
	bytes = malloc(size);
	if (!bytes)
		return false;
	writer_init(&w, bytes, size);
	put_head(&w, keeper, keeper->count + removals);
	for (i = 0; i < keeper->count; i++)
		put_held(&w, &keeper->held[i]);
	for (i = 0; i < keeper->removal_count && removals; i++)
		if (!keeper->removals[i].is_stale) {
			put_removal(&w, keeper, &keeper->removals[i]);
			removals--;
		}
	*ret_bytes = bytes;
	*ret_len = writer_len(&w);
	return true;
}

bool keeper_needs_store(const struct keeper *keeper)
{
	return keeper->is_dirty;
}

void keeper_stored(struct keeper *keeper)
{
	keeper->is_dirty = false;
	for (unsigned i = 0; i < keeper->count; i++)
		keeper->held[i].nonce_is_stored = true;
}

/* ---- in ---- */

/* Times before this clock's zero become zero: long ago. */
static uint64_t shifted_ns(uint64_t stored_s, int64_t shift_s)
{
	int64_t now_s = (int64_t)stored_s + shift_s;

	return now_s > 0 ? (uint64_t)now_s * NS_PER_S : 0;
}

static unsigned get_head(struct reader *r, struct keeper *keeper, int64_t shift_s)
{
	struct pcp_client *client = &keeper->client;

	keeper->knows_path = reader_u8(r);
	reader_bytes(r, client->path.server6, 16);
	client->path.server_port = reader_u16(r);
	reader_bytes(r, client->path.client6, 16);
	client->version = reader_u8(r);
	client->epoch.is_known = reader_u8(r);
	client->epoch.server_s = reader_u32(r);
	client->epoch.client_s = get_u64(r) + (uint64_t)shift_s;
	return reader_u16(r);
}

static void get_held(struct reader *r, struct held *held, int64_t shift_s)
{
	struct pcp_client_request *wish = &held->wish;
	uint8_t flags;

	*held = (struct held){ .wish = { .opcode = PCP_MAP }, .due_ns = 0, .nonce_is_stored = true };
	retransmission_stop(&held->exchange.retransmission);
	wish->peer.map.protocol = reader_u8(r);
	wish->peer.map.internal_port = reader_u16(r);
	flags = reader_u8(r);
	held->has_external = flags & HAS_EXTERNAL;
	held->is_live = flags & IS_LIVE;
	wish->is_third_party = flags & IS_THIRD_PARTY;
	wish->port_set.keeps_parity = flags & KEEPS_PARITY;
	reader_bytes(r, wish->third_party6, 16);
	reader_bytes(r, held->external6, 16);
	held->external_port = reader_u16(r);
	held->ports = reader_u16(r);
	held->granted_ns = shifted_ns(get_u64(r), shift_s);
	held->expires_ns = shifted_ns(get_u64(r), shift_s);
	held->nonce_count = reader_u8(r);
	for (unsigned i = 0; i < held->nonce_count && i < NONCES_MAX; i++) {
		reader_bytes(r, held->nonces[i].identity6, 16);
		reader_bytes(r, held->nonces[i].nonce, PCP_NONCE_LEN);
	}
}

/* Of a clock that cannot be trusted nothing is believed but that it was promised once. */
static void believe(struct keeper *keeper, struct held *held)
{
	if (keeper->time_is_unknown)
		held->expires_ns = 0;
	if (held->expires_ns <= held->granted_ns)
		held->is_live = false;
	held->is_doubtful = !held->is_live;
	if (held->is_live)
		held_schedule(keeper, held);
}

static bool get_all(struct reader *r, struct keeper *keeper, int64_t shift_s)
{
	unsigned count, i;

	if (reader_u8(r) != STATE_VERSION)
		return false;
	count = get_head(r, keeper, shift_s);
	if (count > KEEPER_MAPPINGS_MAX || !keeper_reserve(keeper, count))
		return false;
	for (i = 0; i < count; i++) {
		get_held(r, &keeper->held[i], shift_s);
		if (r->short_read || keeper->held[i].nonce_count > NONCES_MAX)
			return false;
		believe(keeper, &keeper->held[i]);
	}
	keeper->count = count;
	return !r->short_read && !reader_left(r);
}

bool keeper_restore(struct keeper *keeper, const uint8_t *bytes, size_t len, int64_t shift_s, bool time_is_unknown)
{
	struct reader r;

	reader_init(&r, bytes, len);
	keeper->time_is_unknown = time_is_unknown;
	if (!get_all(&r, keeper, shift_s)) {
		keeper->knows_path = keeper->time_is_unknown = false;
		keeper->client = (struct pcp_client){ 0 };
		keeper->count = 0;
		return false;
	}
	keeper->known = keeper->client;
	keeper->is_table_lost = false;
	keeper->is_restored = true;
	return true;
}
