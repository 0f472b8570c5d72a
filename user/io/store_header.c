/* SPDX-License-Identifier: GPL-2.0-only */
/* Header and chunks as bytes, each with a checksum: LMDB has none. */
#include <zlib.h>
#include "reader.h"
#include "store_internal.h"
#include "writer.h"

static const uint8_t magic[8] = { 'x', 'c', 'g', 'n', 's', 't', 'o', 'r' };

enum header_flag { HEADER_COMPLETE = 1 << 0, HEADER_PURGED = 1 << 1 };

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

static uint32_t checksum(const void *bytes, size_t len)
{
	return (uint32_t)crc32(crc32(0, NULL, 0), bytes, (unsigned)len);
}

void store_key_encode(uint64_t sequence, uint8_t ret_key[STORE_KEY_LEN])
{
	struct writer w;

	writer_init(&w, ret_key, STORE_KEY_LEN);
	writer_u64(&w, sequence);
}

bool store_key_is_valid(const MDB_val *key)
{
	return key->mv_size == STORE_KEY_LEN;
}

uint64_t store_key_decode(const MDB_val *key)
{
	struct reader r;

	reader_init(&r, key->mv_data, key->mv_size);
	return reader_u64(&r);
}

/* magic 8 | version 4 | flags 4 | id 8 | first 8 | boot id 40 | offset 8 | time 8 | wall clock 8 | Epoch base 8 | reason 4 |
 * trials 4 | zeros | checksum 4 */
void store_header_encode(const struct store_header *header, uint8_t ret_bytes[STORE_HEADER_LEN])
{
	struct writer w;

	writer_init(&w, ret_bytes, STORE_HEADER_LEN);
	writer_bytes(&w, magic, sizeof(magic));
	writer_u32(&w, STORE_VERSION);
	writer_u32(&w, (header->state.is_complete ? HEADER_COMPLETE : 0u) | (header->state.is_purged ? HEADER_PURGED : 0u));
	writer_u64(&w, header->state.id);
	writer_u64(&w, header->first);
	writer_bytes(&w, header->boot_id, sizeof(header->boot_id));
	writer_u64(&w, (uint64_t)header->offset_s);
	writer_u64(&w, header->time_s);
	writer_u64(&w, header->wall_ms);
	writer_u64(&w, header->state.epoch_base_s);
	writer_u32(&w, header->state.epoch_reason);
	writer_u32(&w, header->trials);
	writer_zeros(&w, STORE_HEADER_LEN - 4 - writer_len(&w));
	writer_u32(&w, checksum(ret_bytes, STORE_HEADER_LEN - 4));
}

enum store_header_fault store_header_decode(const void *bytes, size_t len, struct store_header *ret_header)
{
	struct store_header header = { 0 };
	struct reader r;
	const uint8_t *found;
	uint32_t flags;

	reader_init(&r, bytes, len);
	found = reader_take(&r, sizeof(magic));
	if (!found || memcmp(found, magic, sizeof(magic)))
		return STORE_HEADER_FOREIGN;
	if (reader_u32(&r) != STORE_VERSION)
		return r.short_read ? STORE_HEADER_TORN : STORE_HEADER_VERSION;
	flags = reader_u32(&r);
	header.state.is_complete = flags & HEADER_COMPLETE;
	header.state.is_purged = flags & HEADER_PURGED;
	header.state.id = reader_u64(&r);
	header.first = reader_u64(&r);
	reader_bytes(&r, header.boot_id, sizeof(header.boot_id));
	header.offset_s = (int64_t)reader_u64(&r);
	header.time_s = reader_u64(&r);
	header.wall_ms = reader_u64(&r);
	header.state.epoch_base_s = reader_u64(&r);
	header.state.epoch_reason = reader_u32(&r);
	header.trials = reader_u32(&r);
	if (r.short_read || len != STORE_HEADER_LEN)
		return STORE_HEADER_TORN;
	reader_init(&r, (const uint8_t *)bytes + STORE_HEADER_LEN - 4, 4);
	if (reader_u32(&r) != checksum(bytes, STORE_HEADER_LEN - 4) || header.boot_id[STORE_BOOT_ID - 1])
		return STORE_HEADER_TORN;
	*ret_header = header;
	return STORE_HEADER_OK;
}

/* checksum 4 | time 8 | wall clock 8 | records */
void store_chunk_seal(uint8_t *bytes, size_t len, uint64_t time_s, uint64_t wall_ms)
{
	struct writer w;

	writer_init(&w, bytes + 4, STORE_CHUNK_HEAD - 4);
	writer_u64(&w, time_s);
	writer_u64(&w, wall_ms);
	writer_init(&w, bytes, 4);
	writer_u32(&w, checksum(bytes + 4, len - 4));
}

bool store_chunk_open(const MDB_val *value, struct store_chunk *ret_chunk)
{
	struct reader r;
	uint32_t sum;

	if (value->mv_size < STORE_CHUNK_HEAD)
		return false;
	reader_init(&r, value->mv_data, value->mv_size);
	sum = reader_u32(&r);
	if (sum != checksum((const uint8_t *)value->mv_data + 4, value->mv_size - 4))
		return false;
	ret_chunk->time_s = reader_u64(&r);
	ret_chunk->wall_ms = reader_u64(&r);
	ret_chunk->records = r.pos;
	ret_chunk->len = reader_left(&r);
	return true;
}
