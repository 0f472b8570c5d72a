/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include "cgn/cache.h"
#include "cgn/slot.h"
#include "dataplane.h"
#include "invariants.h"

#define SAID_MAX 20

struct pair {			/* one element of a hash map */
	const void *key, *value;
};

struct table {			/* a copy of a hash map, sorted by key */
	struct pair *pairs;
	uint8_t *bytes;
	uint32_t count;
};

struct check {
	struct dataplane *dp;
	FILE *out;
	struct invariants *result;
	const struct cgn_slot *slots;
	const struct cgn_block *blocks;
	const struct cgn_pool *pools;
	uint32_t slot_count, block_count, pool_count;
	struct table mappings, subscribers, explicit_mappings, filters;
	uint32_t (*used)[CGN_PROTOCOLS];	/* by position in `subscribers`: mappings counted */
	uint32_t *explicit_used;
	uint32_t *listed;			/* by block: how many subscribers list it */
};

static void broken(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void broken(struct check *check, const char *format, ...)
{
	va_list arguments;

	if (check->result->broken++ >= SAID_MAX)
		return;
	fputs("broken: ", check->out);
	va_start(arguments, format);
	vfprintf(check->out, format, arguments);
	va_end(arguments);
	fputc('\n', check->out);
}

static const char *internal_text(const struct cgn_internal *internal)
{
	static char text[64];

	snprintf(text, sizeof(text), "%u.%u.%u.%u:%u/%u", internal->addr4[0], internal->addr4[1], internal->addr4[2], internal->addr4[3],
		 internal->port, internal->protocol);
	return text;
}

static const char *subscriber_text(const struct cgn_subscriber_key *key)
{
	static char text[64];

	if (key->realm == CGN_OPERATOR_REALM)
		return "the operator";
	snprintf(text, sizeof(text), "%u.%u.%u.%u", key->addr4[0], key->addr4[1], key->addr4[2], key->addr4[3]);
	return text;
}

/* ---- copies of the hash maps ---- */

static size_t key_size;		/* for compare_keys() */

static int compare_keys(const void *a, const void *b)
{
	return memcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key, key_size);
}

static bool table_read(struct table *table, int fd, size_t key_bytes, size_t value_bytes)
{
	size_t element = key_bytes + value_bytes;
	uint32_t room = 0, i;
	uint8_t *grown, next[64], *at;
	bool more = !bpf_map_get_next_key(fd, NULL, next);

	while (more) {
		if (table->count == room) {
			room = room ? room * 2 : 1024;
			grown = realloc(table->bytes, room * element);
			if (!grown)
				return false;
			table->bytes = grown;
		}
		at = table->bytes + table->count * element;
		memcpy(at, next, key_bytes);
		if (!bpf_map_lookup_elem(fd, at, at + key_bytes))
			table->count++;
		more = !bpf_map_get_next_key(fd, next, next);
	}
	table->pairs = calloc(table->count + 1, sizeof(*table->pairs));
	if (!table->pairs)
		return false;
	for (i = 0; i < table->count; i++)
		table->pairs[i] = (struct pair){ table->bytes + i * element, table->bytes + i * element + key_bytes };
	key_size = key_bytes;
	qsort(table->pairs, table->count, sizeof(*table->pairs), compare_keys);
	return true;
}

static void table_done(struct table *table)
{
	free(table->pairs);
	free(table->bytes);
}

/* Position of a key, or -1. */
static long table_find(const struct table *table, const void *key, size_t key_bytes)
{
	struct pair wanted = { key, NULL }, *found;

	key_size = key_bytes;
	found = bsearch(&wanted, table->pairs, table->count, sizeof(*table->pairs), compare_keys);
	return found ? found - table->pairs : -1;
}

/* ---- where things stand ---- */

static long subscriber_position(const struct check *check, const struct cgn_internal *internal)
{
	struct cgn_subscriber_key key = { .realm = internal->realm };

	memcpy(key.host6, internal->host6, sizeof(key.host6));
	memcpy(key.addr4, internal->addr4, sizeof(key.addr4));
	return table_find(&check->subscribers, &key, sizeof(key));
}

static const struct cgn_block *block_of_slot(const struct check *check, uint32_t slot, uint32_t *ret_offset)
{
	const struct cgn_pool *pool = &check->pools[CGN_SLOT_ADDRESS(slot)];
	uint32_t port = CGN_SLOT_PORT(slot), number;

	if (port < pool->first_port)
		return NULL;
	number = (port - pool->first_port) >> pool->block_shift;
	*ret_offset = (port - pool->first_port) & ((1u << pool->block_shift) - 1);
	return number < pool->block_count ? &check->blocks[pool->first_block + number] : NULL;
}

static bool bit_is_set(const __u64 *words, uint32_t bit)
{
	return words[bit / 64] >> (bit % 64) & 1;
}

static uint8_t protocol_of(uint32_t slot)
{
	static const uint8_t protocols[CGN_PROTOCOLS] = { IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP };

	return protocols[CGN_SLOT_PROTOCOL(slot)];
}

/* ---- mappings ---- */

static void check_origin(struct check *check, const struct cgn_internal *internal, const struct cgn_mapping *mapping)
{
	static const uint8_t opcodes[] = { CGN_MAP, CGN_STATIC };
	struct cgn_explicit_key key = { .internal = *internal };
	const struct cgn_explicit *entry;
	bool flagged;
	long found;
	size_t i;

	for (i = 0; i < sizeof(opcodes); i++) {
		key.opcode = opcodes[i];
		found = table_find(&check->explicit_mappings, &key, sizeof(key));
		flagged = mapping->state.flags & opcodes[i];
		if (flagged != (found >= 0)) {
			broken(check, "%s: flags 0x%x, %s element of opcode %u in `explicit`", internal_text(internal), mapping->state.flags,
			       found >= 0 ? "yet an" : "but no", opcodes[i]);
			continue;
		}
		entry = flagged ? check->explicit_mappings.pairs[found].value : NULL;
		if (entry && opcodes[i] == CGN_MAP && entry->expires_s > mapping->expires_s)
			broken(check, "%s: ends at %u, `explicit` says %u", internal_text(internal), mapping->expires_s, entry->expires_s);
	}
}

/* PEERs: the flag, the bits and the elements say the same. */
static void check_peers(struct check *check, const struct cgn_internal *internal, const struct cgn_mapping *mapping)
{
	struct cgn_explicit_key key = { .internal = *internal, .opcode = CGN_PEER };
	uint32_t elements = 0, ordinal;

	for (ordinal = 0; ordinal < CGN_PEERS_MAX; ordinal++) {
		key.ordinal = (uint8_t)ordinal;
		if (table_find(&check->explicit_mappings, &key, sizeof(key)) >= 0)
			elements |= 1u << ordinal;
	}
	if (elements != mapping->peers || !elements == !!(mapping->state.flags & CGN_PEER))
		broken(check, "%s: flags 0x%x, PEERs 0x%x, those in `explicit` 0x%x", internal_text(internal), mapping->state.flags,
		       mapping->peers, elements);
}

static void check_owner(struct check *check, const struct cgn_internal *internal, const struct cgn_mapping *mapping)
{
	struct cgn_subscriber_key owner = { .realm = internal->realm };
	const struct cgn_block *block;
	uint32_t offset;
	long subscriber;

	memcpy(owner.host6, internal->host6, sizeof(owner.host6));
	memcpy(owner.addr4, internal->addr4, sizeof(owner.addr4));
	if (mapping->state.flags & CGN_STATIC)
		owner = (struct cgn_subscriber_key){ .realm = CGN_OPERATOR_REALM };
	block = block_of_slot(check, mapping->slot, &offset);
	if (!block || block->state != CGN_BLOCK_LIVE || memcmp(&block->owner, &owner, sizeof(owner)))
		broken(check, "%s: its port %u is in no block of its subscriber", internal_text(internal), CGN_SLOT_PORT(mapping->slot));
	if (mapping->state.flags & CGN_STATIC)
		return;
	subscriber = subscriber_position(check, internal);
	if (subscriber < 0)
		broken(check, "%s: its subscriber has no entry", internal_text(internal));
	else
		check->used[subscriber][CGN_SLOT_PROTOCOL(mapping->slot)]++;
}

static void check_mapping(struct check *check, const struct cgn_internal *internal, const struct cgn_mapping *mapping)
{
	const struct cgn_slot *slot;
	const struct cgn_pool *pool;

	if (mapping->slot >= check->slot_count) {
		broken(check, "%s: slot 0x%x is none", internal_text(internal), mapping->slot);
		return;
	}
	slot = &check->slots[mapping->slot];
	pool = &check->pools[CGN_SLOT_ADDRESS(mapping->slot)];
	if (mapping->state.flags & CGN_DYING || !(mapping->state.flags & CGN_ORIGINS))
		broken(check, "%s: flags 0x%x", internal_text(internal), mapping->state.flags);
	if (slot->state.state != CGN_SLOT_LIVE || !slot_is_of(slot, internal)) {
		broken(check, "%s: its slot is in state %u and %s's", internal_text(internal), slot->state.state,
		       slot_is_of(slot, internal) ? "its own" : "another");
		return;
	}
	if (slot->state.generation != mapping->state.generation || slot->state.flags != (mapping->state.flags & (CGN_ORIGINS | CGN_FILTERED)))
		broken(check, "%s: generation %u, flags 0x%x; its slot has %u, 0x%x", internal_text(internal), mapping->state.generation,
		       mapping->state.flags, slot->state.generation, slot->state.flags);
	if (memcmp(mapping->external.addr4, pool->addr4, 4) || mapping->external.port != CGN_SLOT_PORT(mapping->slot) ||
	    mapping->external.protocol != internal->protocol || internal->protocol != protocol_of(mapping->slot))
		broken(check, "%s: external endpoint is not that of its slot", internal_text(internal));
	check_origin(check, internal, mapping);
	check_peers(check, internal, mapping);
	check_owner(check, internal, mapping);
}

static void check_mappings(struct check *check)
{
	uint32_t i;

	for (i = 0; i < check->mappings.count; i++)
		check_mapping(check, check->mappings.pairs[i].key, check->mappings.pairs[i].value);
	check->result->mappings = check->mappings.count;
}

/* ---- slots ---- */

static void check_slot(struct check *check, uint32_t index)
{
	const struct cgn_slot *slot = &check->slots[index];
	bool is_live = slot->state.state == CGN_SLOT_LIVE, is_used, is_explicit;
	uint32_t offset = 0, protocol = CGN_SLOT_PROTOCOL(index);
	const struct cgn_block *block = block_of_slot(check, index, &offset);
	const struct cgn_mapping *mapping;
	struct cgn_internal internal;
	long found;

	if (slot->state.state == CGN_SLOT_CLAIMED || slot->state.state == CGN_SLOT_DYING)
		broken(check, "slot of port %u/%u is left in state %u", CGN_SLOT_PORT(index), protocol, slot->state.state);
	is_used = block && bit_is_set(block->used[protocol], offset);
	is_explicit = block && bit_is_set(block->explicit_ports[protocol], offset);
	if (is_used != is_live)
		broken(check, "port %u/%u: its bit is %s, its slot in state %u", CGN_SLOT_PORT(index), protocol, is_used ? "set" : "clear",
		       slot->state.state);
	if (is_explicit != (is_live && slot->state.flags & CGN_EXPLICIT))
		broken(check, "port %u/%u: its explicit bit is %s, its slot in state %u with flags 0x%x", CGN_SLOT_PORT(index), protocol,
		       is_explicit ? "set" : "clear", slot->state.state, slot->state.flags);
	if (!is_live)
		return;
	slot_read(slot, &internal);
	found = table_find(&check->mappings, &internal, sizeof(internal));
	mapping = found < 0 ? NULL : check->mappings.pairs[found].value;
	if (!mapping || mapping->slot != index)
		broken(check, "live slot of port %u/%u: %s %s", CGN_SLOT_PORT(index), protocol, internal_text(&internal),
		       mapping ? "has another port" : "has no mapping");
}

static void check_slots(struct check *check)
{
	uint32_t i;

	for (i = 0; i < check->slot_count; i++)
		check_slot(check, i);
}

/* ---- explicit mappings ---- */

static void check_explicit(struct check *check)
{
	uint32_t i;

	for (i = 0; i < check->explicit_mappings.count; i++) {
		const struct cgn_explicit_key *key = check->explicit_mappings.pairs[i].key;
		const struct cgn_explicit *entry = check->explicit_mappings.pairs[i].value;
		long found = table_find(&check->mappings, &key->internal, sizeof(key->internal));
		const struct cgn_mapping *mapping = found < 0 ? NULL : check->mappings.pairs[found].value;
		long subscriber = subscriber_position(check, &key->internal);

		if (!mapping || !(mapping->state.flags & key->opcode) || mapping->slot != entry->slot ||
		    mapping->state.generation != entry->generation)
			broken(check, "%s: element of opcode %u in `explicit`, but %s", internal_text(&key->internal), key->opcode,
			       !mapping ? "no mapping" : mapping->slot != entry->slot ? "another slot" : "another mapping");
		if (key->opcode != CGN_STATIC && subscriber >= 0)
			check->explicit_used[subscriber]++;
	}
	check->result->explicit_mappings = check->explicit_mappings.count;
}

/* ---- filters ---- */

static void check_filtered(struct check *check, const struct cgn_internal *internal, const struct cgn_filters *filters)
{
	struct cgn_explicit_key key = { .internal = *internal, .opcode = CGN_MAP };
	long found = table_find(&check->mappings, internal, sizeof(*internal)), part = table_find(&check->explicit_mappings, &key, sizeof(key));
	const struct cgn_mapping *mapping = found < 0 ? NULL : check->mappings.pairs[found].value;

	if (!mapping || !(mapping->state.flags & CGN_FILTERED))
		broken(check, "%s: element in `filters`, but %s", internal_text(internal), mapping ? "no flag" : "no mapping");
	if (part < 0 || !((const struct cgn_explicit *)check->explicit_mappings.pairs[part].value)->filtered)
		broken(check, "%s: element in `filters`, of which its MAP part knows nothing", internal_text(internal));
	if (!filters->count || filters->count > CGN_FILTERS_MAX)
		broken(check, "%s: %u filters", internal_text(internal), filters->count);
}

static void check_filters(struct check *check)
{
	uint32_t i;

	for (i = 0; i < check->filters.count; i++)
		check_filtered(check, check->filters.pairs[i].key, check->filters.pairs[i].value);
	for (i = 0; i < check->mappings.count; i++) {
		const struct cgn_mapping *mapping = check->mappings.pairs[i].value;

		if (mapping->state.flags & CGN_FILTERED &&
		    table_find(&check->filters, check->mappings.pairs[i].key, sizeof(struct cgn_internal)) < 0)
			broken(check, "%s: filtered, but no element in `filters`", internal_text(check->mappings.pairs[i].key));
	}
}

/* ---- subscribers ---- */

static void check_list(struct check *check, const struct cgn_subscriber_key *key, const struct cgn_subscriber *subscriber)
{
	uint32_t i, number;

	for (i = 0; i < CGN_SUBSCRIBER_BLOCKS_MAX; i++) {
		number = subscriber->block[i];
		if (!number)
			continue;
		if (number > check->block_count) {
			broken(check, "%s lists block %u, which is none", subscriber_text(key), number - 1);
			continue;
		}
		check->listed[number - 1]++;
		if (check->blocks[number - 1].state != CGN_BLOCK_LIVE || memcmp(&check->blocks[number - 1].owner, key, sizeof(*key)))
			broken(check, "%s lists block %u, which is in state %u", subscriber_text(key), number - 1, check->blocks[number - 1].state);
	}
}

static void check_subscribers(struct check *check)
{
	uint32_t i, protocol;

	for (i = 0; i < check->subscribers.count; i++) {
		const struct cgn_subscriber_key *key = check->subscribers.pairs[i].key;
		const struct cgn_subscriber *subscriber = check->subscribers.pairs[i].value;

		for (protocol = 0; protocol < CGN_PROTOCOLS; protocol++)
			if (subscriber->used[protocol] != check->used[i][protocol])
				broken(check, "%s counts %u mappings of protocol %u, has %u", subscriber_text(key), subscriber->used[protocol],
				       protocol, check->used[i][protocol]);
		if (subscriber->explicit_used != check->explicit_used[i])
			broken(check, "%s counts %u explicit mappings, has %u", subscriber_text(key), subscriber->explicit_used,
			       check->explicit_used[i]);
		if (subscriber->state != CGN_SUBSCRIBER_LIVE && subscriber->state != CGN_SUBSCRIBER_IDLE)
			broken(check, "%s is left in state %u", subscriber_text(key), subscriber->state);
		check_list(check, key, subscriber);
	}
	check->result->subscribers = check->subscribers.count;
}

/* ---- blocks and pools ---- */

static bool has_bits(const struct cgn_block *block, uint32_t from)
{
	uint32_t protocol, bit;

	for (protocol = 0; protocol < CGN_PROTOCOLS; protocol++)
		for (bit = from; bit < CGN_BLOCK_SIZE_MAX; bit++)
			if (bit_is_set(block->used[protocol], bit) || bit_is_set(block->explicit_ports[protocol], bit))
				return true;
	return false;
}

static void check_block(struct check *check, const struct cgn_pool *pool, uint32_t number)
{
	uint32_t index = pool->first_block + number;
	const struct cgn_block *block = &check->blocks[index];
	bool is_live = block->state == CGN_BLOCK_LIVE, is_operators = block->owner.realm == CGN_OPERATOR_REALM;

	if (!is_live && block->state != CGN_BLOCK_FREE)
		broken(check, "block %u is left in state %u", index, block->state);
	if (bit_is_set(pool->taken, number) != is_live)
		broken(check, "block %u is in state %u, %s in its pool", index, block->state, is_live ? "free" : "taken");
	if (has_bits(block, is_live ? 1u << pool->block_shift : 0))
		broken(check, "block %u in state %u has ports that it should not have", index, block->state);
	if (check->listed[index] != (is_live && !is_operators))
		broken(check, "block %u of %s is in state %u, and listed %u times", index, subscriber_text(&block->owner), block->state,
		       check->listed[index]);
	if (is_live && (block->first_port != pool->first_port + (number << pool->block_shift) || &check->pools[block->address] != pool))
		broken(check, "block %u says it begins at port %u of address %u", index, block->first_port, block->address);
}

static void check_pools(struct check *check)
{
	uint32_t i, number, used;

	for (i = 0; i < check->pool_count; i++) {
		const struct cgn_pool *pool = &check->pools[i];

		for (number = used = 0; number < pool->block_count; number++) {
			check_block(check, pool, number);
			used += bit_is_set(pool->taken, number);
		}
		if (pool->blocks_used != used)
			broken(check, "pool %u counts %u blocks, has given %u", i, pool->blocks_used, used);
		check->result->blocks += used;
	}
}

/* ---- all ---- */

static bool read_tables(struct check *check)
{
	check->slots = dataplane_slots(check->dp, &check->slot_count);
	check->blocks = dataplane_blocks(check->dp, &check->block_count);
	check->pools = dataplane_pools(check->dp, &check->pool_count);
	if (!table_read(&check->mappings, dataplane_map_fd(check->dp, DP_MAPPINGS), sizeof(struct cgn_internal), sizeof(struct cgn_mapping)) ||
	    !table_read(&check->subscribers, dataplane_map_fd(check->dp, DP_SUBSCRIBERS), sizeof(struct cgn_subscriber_key),
			sizeof(struct cgn_subscriber)) ||
	    !table_read(&check->explicit_mappings, dataplane_map_fd(check->dp, DP_EXPLICIT), sizeof(struct cgn_explicit_key),
			sizeof(struct cgn_explicit)) ||
	    !table_read(&check->filters, dataplane_map_fd(check->dp, DP_FILTERS), sizeof(struct cgn_internal), sizeof(struct cgn_filters)))
		return false;
	check->used = calloc(check->subscribers.count + 1, sizeof(*check->used));
	check->explicit_used = calloc(check->subscribers.count + 1, sizeof(*check->explicit_used));
	check->listed = calloc(check->block_count + 1, sizeof(*check->listed));
	return check->used && check->explicit_used && check->listed;
}

/* ---- the cache ---- */

/* What cache_product() multiplies by, turned round: modulo a power of two by Newton's method. */
static uint64_t unmultiply(uint64_t product)
{
	uint64_t inverse = CGN_CACHE_FACTOR;
	int i;

	for (i = 0; i < 5; i++)
		inverse *= 2 - CGN_CACHE_FACTOR * inverse;
	return product * inverse & CGN_CACHE_PRODUCT_MASK;
}

static void check_cached(struct check *check, const struct cgn_settings *settings, uint32_t line, uint64_t word)
{
	static const uint8_t protocols[] = { [CGN_UDP] = IPPROTO_UDP, [CGN_TCP] = IPPROTO_TCP, [CGN_ICMP] = IPPROTO_ICMP, IPPROTO_RAW };
	uint64_t key = unmultiply((uint64_t)line << (CGN_CACHE_KEY_BITS - settings->cache_line_bits) | word >> cache_tag_shift(settings));
	struct cgn_internal internal = { .port = (uint16_t)(key >> 2), .protocol = protocols[key & 3] };
	uint32_t address = htonl((uint32_t)(key >> 18));
	const struct cgn_mapping *mapping;
	long position;

	if (!word)
		return;
	memcpy(internal.addr4, &address, 4);
	position = table_find(&check->mappings, &internal, sizeof(internal));
	if (position < 0) {
		broken(check, "%s: in the cache, but no mapping", internal_text(&internal));
		return;
	}
	mapping = check->mappings.pairs[position].value;
	if (CGN_SLOT_ADDRESS(mapping->slot) != cache_address(settings, word) || CGN_SLOT_PORT(mapping->slot) != cache_port(word))
		broken(check, "%s: the cache has another external endpoint", internal_text(&internal));
}

static void check_cache(struct check *check)
{
	int fd = dataplane_map_fd(check->dp, DP_CACHE);
	struct bpf_map_info info = {};
	struct cgn_settings settings;
	uint32_t len = sizeof(info), line;
	const uint64_t *words;
	size_t bytes, i;

	if (bpf_obj_get_info_by_fd(fd, &info, &len) || !dataplane_settings(check->dp, &settings)) {
		broken(check, "the cache cannot be read");
		return;
	}
	bytes = (size_t)info.max_entries * sizeof(struct cgn_cache_line);
	words = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (words == MAP_FAILED) {
		broken(check, "the cache cannot be read");
		return;
	}
	for (line = 0; line < info.max_entries; line++)
		for (i = 0; i < CGN_CACHE_WAYS; i++)
			check_cached(check, &settings, line, words[(size_t)line * CGN_CACHE_WAYS + i]);
	munmap((void *)words, bytes);
}

bool invariants_check(struct dataplane *dp, FILE *out, struct invariants *ret_invariants)
{
	struct check check = { .dp = dp, .out = out, .result = ret_invariants };
	bool is_read;

	memset(ret_invariants, 0, sizeof(*ret_invariants));
	is_read = read_tables(&check);
	if (is_read) {
		check_mappings(&check);
		check_slots(&check);
		check_explicit(&check);
		check_filters(&check);
		check_subscribers(&check);
		check_pools(&check);
		check_cache(&check);
		if (ret_invariants->broken > SAID_MAX)
			fprintf(out, "broken: %u more\n", ret_invariants->broken - SAID_MAX);
	} else {
		fputs("cannot read the tables: out of memory\n", out);
	}
	table_done(&check.mappings);
	table_done(&check.subscribers);
	table_done(&check.explicit_mappings);
	table_done(&check.filters);
	free(check.used);
	free(check.explicit_used);
	free(check.listed);
	return is_read && !ret_invariants->broken;
}
