/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include "store_image.h"
#include "store_internal.h"

#define HUGE_PAGE (2u << 20)
#define GROUP	32

/* Records by hash, open addressing. An entry says which record: its place in `records` plus 1, 0 = none. */
struct entry { uint32_t hash, record; };
struct table {
	struct entry *entry;
	size_t size, count;	/* size: a power of two */
};

struct store_image {
	MDB_txn *txn;
	uint64_t seed;
	const uint8_t **records;	/* in the order of the log, length field first; NULL: a younger one has its key */
	size_t count, size, superseded;
	size_t next;			/* counts down */
	struct table keys;
	struct table externals;		/* of the grants handed out */
};

static uint32_t hash_bytes(uint64_t seed, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint64_t hash = seed ^ len, word;

	for (; len; p += word, len -= word) {
		uint64_t part = 0;

		word = len < 8 ? len : 8;
		memcpy(&part, p, word);
		hash = (hash ^ part) * 0xff51afd7ed558ccdull;
		hash ^= hash >> 32;
	}
	hash *= 0xc4ceb9fe1a85ec53ull;
	return (uint32_t)(hash >> 32);
}

static int table_init(struct table *table, size_t size)
{
	size_t bytes = size * sizeof(*table->entry);

	table->size = size;
	table->count = 0;
	table->entry = aligned_alloc(bytes < HUGE_PAGE ? 64 : HUGE_PAGE, bytes);
	if (!table->entry)
		return -ENOMEM;
	if (bytes >= HUGE_PAGE)
		madvise(table->entry, bytes, MADV_HUGEPAGE);	/* every access is to another page */
	memset(table->entry, 0, bytes);
	return 0;
}

/* Keeps about half of it empty, so that searches are short and end: between groups. */
static int table_grow(struct table *table)
{
	struct table grown;
	size_t i, at;
	int failed;

	if (table->count < table->size / 2)
		return 0;
	failed = table_init(&grown, table->size * 2);
	if (failed)
		return failed;
	grown.count = table->count;
	for (i = 0; i < table->size; i++) {
		if (!table->entry[i].record)
			continue;
		for (at = table->entry[i].hash & (grown.size - 1); grown.entry[at].record; at = (at + 1) & (grown.size - 1))
			;
		grown.entry[at] = table->entry[i];
	}
	free(table->entry);
	*table = grown;
	return 0;
}

/* ---- reading ---- */

static int image_append(struct store_image *image, const uint8_t *bytes)
{
	const uint8_t **grown;
	size_t size;

	if (image->count >= UINT32_MAX)
		return -E2BIG;
	if (image->count == image->size) {
		size = image->size ? image->size * 2 : 4096;
		grown = realloc(image->records, size * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		image->records = grown;
		image->size = size;
	}
	image->records[image->count++] = bytes;
	return 0;
}

/* A key has one encoding: it can be compared as it stands. */
static bool key_is_same(const uint8_t *a, const uint8_t *b)
{
	size_t a_len, b_len;
	const uint8_t *a_key = store_record_key(a, &a_len), *b_key = store_record_key(b, &b_len);

	return a_len == b_len && !memcmp(a_key, b_key, a_len);
}

/* Records are entered in groups, so that the processor fetches what they need, each from another place, side by side. */
struct group {
	const uint8_t *record[GROUP];
	uint32_t hash[GROUP];
	unsigned count;
};

static void group_add(struct group *group, const struct store_image *image, const uint8_t *bytes)
{
	size_t key_len;
	const uint8_t *key = store_record_key(bytes, &key_len);
	uint32_t hash = hash_bytes(image->seed, key, key_len);

	__builtin_prefetch(&image->keys.entry[hash & (image->keys.size - 1)], 1);
	group->record[group->count] = bytes;
	group->hash[group->count++] = hash;
}

static void group_prefetch(const struct group *group, const struct store_image *image)
{
	const struct entry *entry;
	unsigned i;

	for (i = 0; i < group->count; i++) {
		entry = &image->keys.entry[group->hash[i] & (image->keys.size - 1)];
		if (entry->record)
			__builtin_prefetch(&image->records[entry->record - 1], 1);
	}
	for (i = 0; i < group->count; i++) {
		entry = &image->keys.entry[group->hash[i] & (image->keys.size - 1)];
		if (entry->record && entry->hash == group->hash[i] && image->records[entry->record - 1])
			__builtin_prefetch(image->records[entry->record - 1]);
	}
}

static int image_add(struct store_image *image, const uint8_t *bytes, uint32_t hash)
{
	size_t at, mask = image->keys.size - 1;
	struct entry *entry;
	int failed = image_append(image, bytes);

	if (failed)
		return failed;
	for (at = hash & mask; (entry = &image->keys.entry[at])->record; at = (at + 1) & mask)
		if (entry->hash == hash && key_is_same(image->records[entry->record - 1], bytes))
			break;
	if (entry->record)
		image->records[entry->record - 1] = NULL;
	else
		image->keys.count++;
	*entry = (struct entry){ .hash = hash, .record = (uint32_t)image->count };
	return 0;
}

static int group_enter(struct group *group, struct store_image *image)
{
	int failed = 0;
	unsigned i;

	group_prefetch(group, image);
	for (i = 0; i < group->count && !failed; i++)
		failed = image_add(image, group->record[i], group->hash[i]);
	group->count = 0;
	return failed ? failed : table_grow(&image->keys);
}

static int image_read_chunk(struct store_image *image, const MDB_val *value)
{
	struct group group = { .count = 0 };
	struct store_chunk chunk;
	struct store_record record;
	struct reader r;
	const uint8_t *bytes;
	int failed = 0;

	if (!store_chunk_open(value, &chunk))
		return -EIO;
	reader_init(&r, chunk.records, chunk.len);
	while (!failed && reader_left(&r)) {
		bytes = r.pos;
		if (!store_record_decode(&r, &record))
			return -EIO;
		group_add(&group, image, bytes);
		if (group.count == GROUP)
			failed = group_enter(&group, image);
	}
	return failed ? failed : group_enter(&group, image);
}

static int image_read(struct store_image *image, struct store *store)
{
	uint8_t number[STORE_KEY_LEN];
	MDB_val key = { sizeof(number), number }, value;
	MDB_cursor *cursor;
	int failed, wrong = 0;

	failed = mdb_cursor_open(image->txn, store->dbi, &cursor);
	if (failed)
		return store_error(failed);
	store_key_encode(store->header.first > STORE_FIRST ? store->header.first : STORE_FIRST, number);
	failed = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	while (!failed && !wrong) {
		wrong = image_read_chunk(image, &value);
		if (!wrong)
			failed = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return wrong ? wrong : failed == MDB_NOTFOUND ? 0 : store_error(failed);
}

/* Twice the records that full chunks would hold: it seldom has to grow. */
static size_t size_for(MDB_txn *txn, MDB_dbi dbi)
{
	size_t size = 4096, records = 0;
	MDB_stat stat;

	if (!mdb_stat(txn, dbi, &stat))
		records = stat.ms_entries * (STORE_CHUNK_MAX / 45);
	while (size < records * 2)
		size *= 2;
	return size;
}

int store_image_new(struct store *store, struct store_image **ret_image)
{
	struct store_image *image = calloc(1, sizeof(*image));
	int failed;

	if (!image)
		return -ENOMEM;
	if (getrandom(&image->seed, sizeof(image->seed), 0) < 0)	/* keys are chosen by subscribers */
		image->seed = store->header.state.id;
	failed = store_error(mdb_txn_begin(store->env, NULL, MDB_RDONLY, &image->txn));
	if (!failed)
		failed = table_init(&image->keys, size_for(image->txn, store->dbi));
	if (!failed)
		failed = image_read(image, store);
	if (!failed)
		failed = table_init(&image->externals, image->keys.size);
	if (failed) {
		store_image_free(image);
		return failed;
	}
	image->next = image->count;
	*ret_image = image;
	return 0;
}

void store_image_free(struct store_image *image)
{
	if (!image)
		return;
	if (image->txn)
		mdb_txn_abort(image->txn);
	free(image->keys.entry);
	free(image->externals.entry);
	free(image->records);
	free(image);
}

/* ---- handing out ---- */

struct external { uint8_t addr4[4]; uint16_t port; uint8_t protocol, realm; };

static struct external external_of(const struct store_record *record)
{
	struct external external = { .port = record->external_port, .protocol = record->key.internal.protocol,
		.realm = record->key.internal.realm };

	memcpy(external.addr4, record->external4, 4);
	return external;
}

/* One internal endpoint may have several records of one external endpoint: MAP, and PEERs. Another's has ended. */
static bool takes_external(struct store_image *image, size_t number, const struct store_record *record)
{
	struct external external = external_of(record), other;
	uint32_t hash = hash_bytes(image->seed, &external, sizeof(external));
	size_t mask = image->externals.size - 1, at;
	struct store_record owner;
	struct entry *entry;

	for (at = hash & mask; (entry = &image->externals.entry[at])->record; at = (at + 1) & mask) {
		if (entry->hash != hash)
			continue;
		store_record_at(image->records[entry->record - 1], &owner);
		other = external_of(&owner);
		if (!memcmp(&other, &external, sizeof(external)))
			return !memcmp(&owner.key.internal, &record->key.internal, sizeof(owner.key.internal));
	}
	*entry = (struct entry){ .hash = hash, .record = (uint32_t)number };
	return true;
}

const uint8_t *store_image_next(struct store_image *image, struct store_record *ret_record)
{
	const uint8_t *bytes;

	while (image->next > 0) {
		bytes = image->records[--image->next];
		if (!bytes || store_record_kind(bytes) != STORE_GRANT)
			continue;
		store_record_at(bytes, ret_record);
		if (takes_external(image, image->next + 1, ret_record))
			return bytes;
		image->superseded++;
	}
	return NULL;
}

const uint8_t *store_image_next_of(const struct store_image *image, enum store_kind kind, size_t *position)
{
	const uint8_t *bytes;

	while (*position < image->count) {
		bytes = image->records[(*position)++];
		if (bytes && store_record_kind(bytes) == kind)
			return bytes;
	}
	return NULL;
}

size_t store_image_superseded(const struct store_image *image)
{
	return image->superseded;
}
