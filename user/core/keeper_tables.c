/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>
#include <string.h>
#include "keeper.h"
#include "keeper_tables.h"
#include "reader.h"
#include "writer.h"

#define TABLES_VERSION	2		/* as the first byte: where a table alone has its own version, which is 1 */
#define HEAD_LEN	(1 + 1)
#define ENTRY_LEN	(1 + KEEPER_NAME_MAX + 4)	/* at most, before the table */

struct encoded { uint8_t *bytes; size_t len; };

static bool encode_each(const struct keeper_table *tables, unsigned count, struct encoded *encoded, size_t *ret_size)
{
	*ret_size = HEAD_LEN;
	for (unsigned i = 0; i < count; i++) {
		if (!keeper_encode(tables[i].keeper, &encoded[i].bytes, &encoded[i].len))
			return false;
		*ret_size += ENTRY_LEN + encoded[i].len;
	}
	return true;
}

static void put_all(struct writer *w, const struct keeper_table *tables, unsigned count, const struct encoded *encoded)
{
	size_t name_len;

	writer_u8(w, TABLES_VERSION);
	writer_u8(w, (uint8_t)count);
	for (unsigned i = 0; i < count; i++) {
		name_len = strnlen(tables[i].name, KEEPER_NAME_MAX);
		writer_u8(w, (uint8_t)name_len);
		writer_bytes(w, tables[i].name, name_len);
		writer_u32(w, (uint32_t)encoded[i].len);
		writer_bytes(w, encoded[i].bytes, encoded[i].len);
	}
}

bool keeper_tables_encode(const struct keeper_table *tables, unsigned count, uint8_t **ret_bytes, size_t *ret_len)
{
	struct encoded encoded[KEEPER_TABLES_MAX] = { 0 };
	uint8_t *bytes = NULL;
	struct writer w;
	size_t size;

	if (count > KEEPER_TABLES_MAX)
		return false;
	if (count == 1 && !*tables->name)
		return keeper_encode(tables->keeper, ret_bytes, ret_len);
	if (encode_each(tables, count, encoded, &size))
		bytes = malloc(size);
	if (bytes) {
		writer_init(&w, bytes, size);
		put_all(&w, tables, count, encoded);
		*ret_bytes = bytes;
		*ret_len = writer_len(&w);
	}
	for (unsigned i = 0; i < count; i++)
		free(encoded[i].bytes);
	return bytes;
}

static bool get_one(struct reader *r, struct keeper_table_bytes *table)
{
	size_t name_len = reader_u8(r);

	if (name_len > KEEPER_NAME_MAX)
		return false;
	memset(table->name, 0, sizeof(table->name));
	reader_bytes(r, table->name, name_len);
	table->len = reader_u32(r);
	table->bytes = reader_take(r, table->len);
	return !r->short_read;
}

bool keeper_tables_decode(const uint8_t *bytes, size_t len, struct keeper_table_bytes ret_tables[KEEPER_TABLES_MAX], unsigned *ret_count)
{
	struct reader r;
	unsigned count, i;

	if (!len)
		return false;
	if (*bytes != TABLES_VERSION) {
		ret_tables[0] = (struct keeper_table_bytes){ .bytes = bytes, .len = len };
		*ret_count = 1;
		return true;
	}
	reader_init(&r, bytes, len);
	reader_take(&r, 1);
	count = reader_u8(&r);
	if (count > KEEPER_TABLES_MAX)
		return false;
	for (i = 0; i < count; i++)
		if (!get_one(&r, &ret_tables[i]))
			return false;
	*ret_count = count;
	return !r.short_read && !reader_left(&r);
}
