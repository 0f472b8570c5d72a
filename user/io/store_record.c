/* SPDX-License-Identifier: GPL-2.0-only */
#include "store_record.h"

enum presence { HAS_HOST6 = 1 << 0, HAS_REMOTE = 1 << 1, HAS_CLIENT6 = 1 << 2, HAS_ATTRIBUTES = 1 << 3, PRESENCE_ALL = 0x0f };

static const uint8_t zeros[16];
static const uint8_t ipv4_mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static void writer_u64(struct writer *w, uint64_t value)
{
	writer_u32(w, (uint32_t)(value >> 32));
	writer_u32(w, (uint32_t)value);
}

static uint64_t reader_u64(struct reader *r)
{
	uint64_t high = reader_u32(r);

	return high << 32 | reader_u32(r);
}

static uint8_t presence_of(const struct store_record *record)
{
	unsigned presence = 0;

	if (memcmp(record->key.internal.host6, zeros, 16))
		presence |= HAS_HOST6;
	if (record->key.remote_port || memcmp(record->key.remote6, zeros, 16))
		presence |= HAS_REMOTE;
	if (record->kind == STORE_GRANT && memcmp(record->client6, ipv4_mapped, 12))
		presence |= HAS_CLIENT6;
	if (record->kind == STORE_GRANT && record->attributes_len)
		presence |= HAS_ATTRIBUTES;
	return (uint8_t)presence;
}

static void grant_encode(struct writer *w, const struct store_record *record, uint8_t presence)
{
	writer_bytes(w, record->nonce, sizeof(record->nonce));
	writer_u64(w, record->expires_s);
	if (presence & HAS_CLIENT6)
		writer_bytes(w, record->client6, 16);
	else
		writer_bytes(w, record->client6 + 12, 4);
	writer_u16(w, record->client_port);
	writer_bytes(w, record->external4, 4);
	writer_u16(w, record->external_port);
	writer_bytes(w, record->attributes, record->attributes_len);
}

void store_record_encode(struct writer *w, const struct store_record *record)
{
	const struct cgn_internal *internal = &record->key.internal;
	uint8_t presence = presence_of(record);
	uint8_t *length = writer_take(w, 2);
	size_t start = writer_len(w), len;

	writer_u8(w, (uint8_t)record->kind);
	writer_u8(w, presence);
	writer_u8(w, record->key.opcode);
	if (presence & HAS_HOST6)
		writer_bytes(w, internal->host6, 16);
	writer_bytes(w, internal->addr4, 4);
	writer_u16(w, internal->port);
	writer_u8(w, internal->protocol);
	writer_u8(w, internal->realm);
	if (presence & HAS_REMOTE) {
		writer_bytes(w, record->key.remote6, 16);
		writer_u16(w, record->key.remote_port);
	}
	if (record->kind == STORE_GRANT)
		grant_encode(w, record, presence);
	if (record->kind == STORE_EPOCH) {
		writer_u64(w, record->epoch_base_s);
		writer_u32(w, record->epoch_reason);
	}
	if (record->kind == STORE_BLOCK) {
		writer_bytes(w, record->owner.host6, 16);
		writer_bytes(w, record->owner.addr4, 4);
		writer_u8(w, record->owner.realm);
		writer_u8(w, record->block_shift);
		writer_u64(w, record->released_s);
	}
	if (w->overflow)
		return;
	len = writer_len(w) - start;
	length[0] = (uint8_t)(len >> 8);
	length[1] = (uint8_t)len;
}

static bool attributes_are_whole(const uint8_t *bytes, size_t len)
{
	struct reader r;
	const uint8_t *value;
	size_t value_len;
	uint8_t tag;

	reader_init(&r, bytes, len);
	while (store_attribute_next(&r, &tag, &value, &value_len))
		;
	return !r.short_read;
}

static void grant_decode(struct reader *r, struct store_record *record, uint8_t presence)
{
	reader_bytes(r, record->nonce, sizeof(record->nonce));
	record->expires_s = reader_u64(r);
	if (presence & HAS_CLIENT6) {
		reader_bytes(r, record->client6, 16);
	} else {
		memcpy(record->client6, ipv4_mapped, 12);
		reader_bytes(r, record->client6 + 12, 4);
	}
	record->client_port = reader_u16(r);
	reader_bytes(r, record->external4, 4);
	record->external_port = reader_u16(r);
	if (presence & HAS_ATTRIBUTES) {
		record->attributes_len = reader_left(r);
		record->attributes = reader_take(r, record->attributes_len);
	}
}

bool store_record_decode(struct reader *outer, struct store_record *ret_record)
{
	struct store_record record = { 0 };
	size_t len = reader_u16(outer);
	const uint8_t *bytes = reader_take(outer, len);
	struct reader r;
	uint8_t presence;

	if (!bytes)
		return false;
	reader_init(&r, bytes, len);
	record.kind = reader_u8(&r);
	presence = reader_u8(&r);
	record.key.opcode = reader_u8(&r);
	if (presence & HAS_HOST6)
		reader_bytes(&r, record.key.internal.host6, 16);
	reader_bytes(&r, record.key.internal.addr4, 4);
	record.key.internal.port = reader_u16(&r);
	record.key.internal.protocol = reader_u8(&r);
	record.key.internal.realm = reader_u8(&r);
	if (presence & HAS_REMOTE) {
		reader_bytes(&r, record.key.remote6, 16);
		record.key.remote_port = reader_u16(&r);
	}
	if (record.kind == STORE_GRANT)
		grant_decode(&r, &record, presence);
	if (record.kind == STORE_EPOCH) {
		record.epoch_base_s = reader_u64(&r);
		record.epoch_reason = reader_u32(&r);
	}
	if (record.kind == STORE_BLOCK) {
		reader_bytes(&r, record.owner.host6, 16);
		reader_bytes(&r, record.owner.addr4, 4);
		record.owner.realm = reader_u8(&r);
		record.block_shift = reader_u8(&r);
		record.released_s = reader_u64(&r);
	}
	if (r.short_read || reader_left(&r) || presence & ~PRESENCE_ALL || record.kind < STORE_GRANT || record.kind > STORE_BLOCK)
		return false;
	if (presence & HAS_ATTRIBUTES && (!record.attributes_len || !attributes_are_whole(record.attributes, record.attributes_len)))
		return false;
	*ret_record = record;
	return true;
}

void store_record_at(const uint8_t *bytes, struct store_record *ret_record)
{
	struct reader r;

	reader_init(&r, bytes, 2 + (size_t)(bytes[0] << 8 | bytes[1]));
	store_record_decode(&r, ret_record);
}

const uint8_t *store_record_key(const uint8_t *bytes, size_t *ret_len)
{
	uint8_t presence = bytes[3];

	*ret_len = 1 + (presence & HAS_HOST6 ? 16u : 0) + 8 + (presence & HAS_REMOTE ? 18u : 0);	/* from the opcode on */
	return bytes + 4;
}

void store_attribute_encode(struct writer *w, uint8_t tag, const void *bytes, size_t len)
{
	if (len > UINT16_MAX) {
		w->overflow = true;
		return;
	}
	writer_u8(w, tag);
	writer_u16(w, (uint16_t)len);
	writer_bytes(w, bytes, len);
}

bool store_attribute_next(struct reader *attributes, uint8_t *ret_tag, const uint8_t **ret_bytes, size_t *ret_len)
{
	if (!reader_left(attributes))
		return false;
	*ret_tag = reader_u8(attributes);
	*ret_len = reader_u16(attributes);
	*ret_bytes = reader_take(attributes, *ret_len);
	return !attributes->short_read;
}
