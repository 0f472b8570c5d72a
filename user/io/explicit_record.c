/* SPDX-License-Identifier: GPL-2.0-only */
#include <string.h>
#include "dataplane.h"
#include "explicit_record.h"
#include "pcp_codec.h"
#include "store.h"

#define FILTER_LEN 19	/* of EXPLICIT_FILTERS */

/* ---- from the maps ---- */

static void add_description(const struct dataplane *dp, const struct cgn_explicit_key *key, struct writer *w)
{
	struct cgn_description description;

	if (dataplane_find_description(dp, key, &description) && description.length <= CGN_DESCRIPTION_MAX)
		store_attribute_encode(w, EXPLICIT_DESCRIPTION, description.text, description.length);
}

static void add_filters(const struct dataplane *dp, const struct cgn_explicit_key *key, struct writer *w)
{
	uint8_t bytes[CGN_FILTERS_MAX * FILTER_LEN];
	struct cgn_filters filters;
	struct writer each;
	uint32_t i;

	if (!dataplane_find_filters(dp, &key->internal, &filters) || filters.count > CGN_FILTERS_MAX)
		return;
	writer_init(&each, bytes, sizeof(bytes));
	for (i = 0; i < filters.count; i++) {
		writer_u8(&each, filters.filter[i].prefix_length);
		writer_u16(&each, filters.filter[i].remote_port);
		writer_bytes(&each, filters.filter[i].remote6, sizeof(filters.filter[i].remote6));
	}
	store_attribute_encode(w, EXPLICIT_FILTERS, bytes, writer_len(&each));
}

bool explicit_record_from(const struct dataplane *dp, const struct store *store, const struct cgn_explicit_key *key,
			  const struct cgn_explicit *value, struct explicit_record *ret_record)
{
	uint32_t pool_count, address = CGN_SLOT_ADDRESS(value->slot);
	const struct cgn_pool *pools = dataplane_pools(dp, &pool_count);
	struct store_record record = { .kind = STORE_GRANT, .client_port = value->client_port,
		.external_port = CGN_SLOT_PORT(value->slot), .expires_s = store_from_boot_s(store, value->expires_s) };
	struct writer w;

	if (key->opcode == CGN_STATIC || address >= pool_count)
		return false;
	record.key.internal = key->internal;
	record.key.opcode = key->opcode;
	if (key->opcode == CGN_PEER) {
		pcp_address_from_ipv4(value->remote4, record.key.remote6);
		record.key.remote_port = value->remote_port;
	}
	memcpy(record.nonce, value->nonce, sizeof(record.nonce));
	pcp_address_from_ipv4(value->client4, record.client6);
	memcpy(record.external4, pools[address].addr4, sizeof(record.external4));
	writer_init(&w, ret_record->attributes, sizeof(ret_record->attributes));
	if (value->described)
		add_description(dp, key, &w);
	if (value->filtered)
		add_filters(dp, key, &w);
	if (value->set_size > 1) {
		const uint8_t set[4] = { (uint8_t)(value->set_first >> 8), (uint8_t)value->set_first, (uint8_t)(value->set_size >> 8),
			(uint8_t)value->set_size };

		store_attribute_encode(&w, EXPLICIT_SET, set, sizeof(set));
	}
	if (w.overflow)
		return false;
	record.attributes_len = writer_len(&w);
	record.attributes = record.attributes_len ? ret_record->attributes : NULL;
	ret_record->record = record;
	return true;
}

bool explicit_record_find(const struct dataplane *dp, const struct store_key *key, struct cgn_explicit_key *ret_key,
			  struct cgn_explicit *ret_value)
{
	struct cgn_explicit_key found = { .internal = key->internal, .opcode = key->opcode };
	struct cgn_mapping mapping;
	uint32_t ordinal;

	*ret_key = found;
	if (key->opcode != CGN_PEER)
		return dataplane_find_explicit(dp, ret_key, ret_value);
	if (!dataplane_find_mapping(dp, &key->internal, &mapping))
		return false;
	for (ordinal = 0; ordinal < CGN_PEERS_MAX; ordinal++) {
		ret_key->ordinal = (__u8)ordinal;
		if (mapping.peers >> ordinal & 1 && dataplane_find_explicit(dp, ret_key, ret_value) &&
		    ret_value->remote_port == key->remote_port && !memcmp(ret_value->remote4, key->remote6 + 12, sizeof(ret_value->remote4)))
			return true;
	}
	return false;
}

/* ---- into the maps ---- */

void explicit_record_request(const struct store_record *record, uint32_t lifetime_s, struct cgn_map_request *ret_request)
{
	struct cgn_map_request request = {
		.internal = record->key.internal,
		.suggested = { .port = record->external_port, .protocol = record->key.internal.protocol, .realm = record->key.internal.realm },
		.lifetime_s = lifetime_s,
		.client_port = record->client_port,
		.origin = record->key.opcode,
		.flags = CGN_RESTORE,
		.remote_port = record->key.remote_port,
	};

	memcpy(request.suggested.addr4, record->external4, sizeof(request.suggested.addr4));
	memcpy(request.nonce, record->nonce, sizeof(request.nonce));
	memcpy(request.client6, record->client6, sizeof(request.client6));
	memcpy(request.remote6, record->key.remote6, sizeof(request.remote6));
	*ret_request = request;
}

static bool apply_description(const struct store_record *record, const uint8_t *text, size_t len, const struct dataplane_ops *ops,
			      void *dataplane)
{
	struct cgn_describe_request describe = { .key = { .internal = record->key.internal, .opcode = record->key.opcode },
		.remote_port = record->key.remote_port };

	memcpy(describe.remote6, record->key.remote6, sizeof(describe.remote6));
	if (!len || len > CGN_DESCRIPTION_MAX)
		return false;
	describe.description.length = (__u16)len;
	memcpy(describe.description.text, text, len);
	return !ops->describe(dataplane, &describe) && describe.status == CGN_OK;
}

static int decode_filters(const uint8_t *bytes, size_t len, struct cgn_filter *ret_filters)
{
	size_t count = len / FILTER_LEN, i;
	struct reader r;

	if (len % FILTER_LEN || count > CGN_FILTERS_MAX)
		return -1;
	reader_init(&r, bytes, len);
	for (i = 0; i < count; i++) {
		struct cgn_filter filter = { .prefix_length = reader_u8(&r) };

		filter.remote_port = reader_u16(&r);
		reader_bytes(&r, filter.remote6, sizeof(filter.remote6));
		if (filter.prefix_length < 96 || filter.prefix_length > 128)
			return -1;
		ret_filters[i] = filter;
	}
	return (int)count;
}

bool explicit_record_set(const struct store_record *record, struct cgn_map_request *request)
{
	const uint8_t *bytes;
	struct reader r, set;
	size_t len;
	uint8_t tag;

	reader_init(&r, record->attributes, record->attributes_len);
	while (store_attribute_next(&r, &tag, &bytes, &len)) {
		if (tag != EXPLICIT_SET)
			continue;
		reader_init(&set, bytes, len);
		request->set_first = reader_u16(&set);
		request->set_size = reader_u16(&set);
		return !set.short_read && !reader_left(&set);
	}
	return true;
}

int explicit_record_filters(const struct store_record *record, struct cgn_filter *ret_filters)
{
	const uint8_t *bytes;
	struct reader r;
	size_t len;
	uint8_t tag;

	reader_init(&r, record->attributes, record->attributes_len);
	while (store_attribute_next(&r, &tag, &bytes, &len))
		if (tag == EXPLICIT_FILTERS)
			return decode_filters(bytes, len, ret_filters);
	return 0;
}

bool explicit_record_apply(const struct store_record *record, const struct dataplane_ops *ops, void *dataplane)
{
	const uint8_t *bytes;
	struct reader r;
	size_t len;
	uint8_t tag;

	reader_init(&r, record->attributes, record->attributes_len);
	while (store_attribute_next(&r, &tag, &bytes, &len)) {
		if (tag == EXPLICIT_FILTERS || tag == EXPLICIT_SET)
			continue;	/* granted with it */
		if (tag != EXPLICIT_DESCRIPTION || !apply_description(record, bytes, len, ops, dataplane))
			return false;
	}
	return true;
}
