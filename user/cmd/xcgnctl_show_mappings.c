/* SPDX-License-Identifier: GPL-2.0-only */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cgn/lifetime.h"
#include "table_read.h"
#include "table_walk.h"
#include "xcgnctl.h"
#include "xcgnctl_text.h"

static const struct column columns[] = {
	{ "EXTERNAL", "external", -21, false }, { "INTERNAL", "internal", -21, false }, { "PROTOCOL", "protocol", -8, false },
	{ "ORIGIN", "origin", -8, false }, { "REMAINING", "remaining", 9, false }, { "IDLE", "idle", 9, false },
	{ "TCP", "tcp.state", -11, false }, { "CLIENT", "client", -21, false }, { "DESCRIPTION", "description", -1, false }, {}
};

static const struct column columns_nonces[] = {
	{ "EXTERNAL", "external", -21, false }, { "INTERNAL", "internal", -21, false }, { "PROTOCOL", "protocol", -8, false },
	{ "ORIGIN", "origin", -8, false }, { "REMAINING", "remaining", 9, false }, { "NONCE", "nonce", -24, false },
	{ "CLIENT", "client", -21, false }, {}
};

struct moment {			/* when this listing is made */
	uint32_t boot_s;
	json_int_t boot_unix;	/* Unix time of the boot clock's 0 */
	struct cgn_settings settings;
};

static json_t *json_remaining(const struct cgn_mapping *mapping, const struct moment *now)
{
	uint32_t deadline_s = mapping_deadline_s(&now->settings, mapping);

	if (mapping->state.flags & CGN_STATIC)
		return json_null();
	return json_integer(deadline_s > now->boot_s ? deadline_s - now->boot_s : 0);
}

/* Since the last outbound packet; null if there was none. */
static json_t *json_idle(const struct cgn_mapping *mapping, const struct moment *now)
{
	uint32_t last_s = mapping->state.last_outbound_s;

	if (!last_s)
		return json_null();
	return json_integer(now->boot_s > last_s ? now->boot_s - last_s : 0);
}

/* Of the connections that the mapping remembers: at most two, and whether there were more. */
static json_t *json_tcp(const struct cgn_mapping *mapping)
{
	json_t *remotes = json_array();
	size_t i;

	for (i = 0; i < sizeof(mapping->remote) / sizeof(*mapping->remote); i++)
		if (mapping->remote[i].port)
			json_array_append_new(remotes, json_string(text_endpoint4(mapping->remote[i].addr4, mapping->remote[i].port).text));
	return json_pack("{s:s, s:o, s:b}", "state", mapping_is_established(mapping) ? "established" : "transitory",
			 "remote_peers", remotes, "more", mapping->state.flags & CGN_MANY_PEERS ? 1 : 0);
}

static json_t *json_nonce(const struct cgn_explicit *part)
{
	char text[2 * CGN_NONCE_LEN + 1];
	int i;

	for (i = 0; i < CGN_NONCE_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", part->nonce[i]);
	return json_string(text);
}

/* Clients choose it: what would move a terminal's cursor is shown as a question mark, JSON escapes it. */
static json_t *json_description(const struct xcgnctl *ctl, const struct cgn_explicit_key *key)
{
	struct cgn_description description;
	size_t i;

	if (!dataplane_find_description(ctl->dp, key, &description) || description.length > CGN_DESCRIPTION_MAX)
		return json_null();
	for (i = 0; !ctl->is_json && i < description.length; i++) {
		if (description.text[i] < ' ' || description.text[i] == 0x7f)
			description.text[i] = '?';
		if (i && description.text[i - 1] == 0xc2 && description.text[i] < 0xa0)	/* U+0080 to U+009F */
			description.text[i - 1] = description.text[i] = '?';
	}
	return json_stringn((const char *)description.text, description.length);
}

/* Its PEERs, each with a remote peer, a client and an end of its own. */
static json_t *json_peers(const struct xcgnctl *ctl, const struct table_mapping *record, const struct moment *now)
{
	struct cgn_explicit_key key = { .internal = record->internal, .opcode = CGN_PEER };
	json_t *peers = json_array(), *peer;
	struct cgn_explicit part;

	for (; key.ordinal < CGN_PEERS_MAX; key.ordinal++) {
		if (!(record->mapping.peers >> key.ordinal & 1) || !dataplane_find_explicit(ctl->dp, &key, &part))
			continue;
		peer = json_pack("{s:s, s:I, s:s, s:o}", "remote_peer", text_endpoint4(part.remote4, part.remote_port).text,
				 "remaining", (json_int_t)(part.expires_s > now->boot_s ? part.expires_s - now->boot_s : 0),
				 "client", text_endpoint4(part.client4, part.client_port).text, "description", json_description(ctl, &key));
		if (peer && ctl->listing.nonces)
			json_object_set_new(peer, "nonce", json_nonce(&part));
		json_array_append_new(peers, peer);
	}
	return peers;
}

static json_t *describe(const struct xcgnctl *ctl, const struct table_mapping *record, const struct moment *now)
{
	const struct cgn_mapping *mapping = &record->mapping;
	struct cgn_explicit_key key = { .internal = record->internal, .opcode = CGN_MAP };
	bool is_client = record->has_explicit && !(mapping->state.flags & CGN_STATIC);
	const struct cgn_explicit *part = &record->explicit_entry;
	struct cgn_subscriber_key subscriber;
	json_t *object;

	subscriber_of(&record->internal, &subscriber);
	object = json_pack("{s:o, s:s, s:s, s:s, s:o, s:s, s:I, s:o, s:o, s:o, s:o, s:o}",
			   "origin", json_origins(mapping->state.flags),
			   "protocol", text_protocol_number(record->internal.protocol),
			   "internal", text_internal(&record->internal).text,
			   "external", text_endpoint4(mapping->external.addr4, mapping->external.port).text,
			   "remaining", json_remaining(mapping, now),
			   "subscriber", text_subscriber(&subscriber).text,
			   "created", now->boot_unix + mapping->created_s,
			   "idle", json_idle(mapping, now),
			   "tcp", record->internal.protocol == IPPROTO_TCP ? json_tcp(mapping) : json_null(),
			   "client", is_client ? json_string(text_endpoint4(part->client4, part->client_port).text) : json_null(),
			   "description", is_client ? json_description(ctl, &key) : json_null(),
			   "peers", json_peers(ctl, record, now));
	if (object && ctl->listing.nonces)
		json_object_set_new(object, "nonce", is_client ? json_nonce(part) : json_null());
	return object;
}

/* Explicit, and no packet went out by it for so long: inbound ones leave no trace. What never sent is as old as it is. */
static bool is_stale(const struct cgn_mapping *mapping, uint64_t stale_s, uint32_t now_s)
{
	uint32_t since_s = mapping->state.last_outbound_s ? mapping->state.last_outbound_s : mapping->created_s;

	return mapping->state.flags & (CGN_MAP | CGN_PEER) && now_s > since_s && now_s - since_s >= stale_s;
}

static bool is_wanted(const struct listing_options *listing, const struct table_mapping *record, uint32_t now_s)
{
	struct cgn_subscriber_key subscriber;

	if (listing->stale_s && !is_stale(&record->mapping, listing->stale_s, now_s))
		return false;
	if (listing->origins && !(record->mapping.state.flags & listing->origins))
		return false;
	subscriber_of(&record->internal, &subscriber);
	return !listing->has_subscriber || !memcmp(&subscriber, &listing->subscriber, sizeof(subscriber));
}

static int list_mappings(const struct xcgnctl *ctl, struct slot_walk *walk, struct output *output)
{
	const struct listing_options *listing = &ctl->listing;
	struct moment now = { .boot_s = dataplane_now_s(), .boot_unix = unix_time(0) };
	struct table_mapping record;
	uint64_t listed = 0;
	uint32_t slot;

	if (!dataplane_settings(ctl->dp, &now.settings))
		return xcgnctl_fail(&(struct dataplane_error){ EXIT_KERNEL, "settings: cannot read the pinned map" });
	while ((!listing->limit || listed < listing->limit) && slot_walk_next(walk, &slot)) {
		now.boot_s = dataplane_now_s();
		if (!table_read_mapping(ctl->dp, slot, &record) || !is_wanted(listing, &record, now.boot_s))
			continue;
		if (!output_record(output, describe(ctl, &record, &now)))
			return EXIT_KERNEL;
		listed++;
	}
	return output_finish(output);
}

int xcgnctl_show_mappings(struct xcgnctl *ctl)
{
	const struct listing_options *listing = &ctl->listing;
	struct output output = { .is_json = ctl->is_json, .columns = listing->nonces ? columns_nonces : columns };
	unsigned owners = TABLE_SUBSCRIBER | TABLE_OPERATOR, origins = listing->origins ? listing->origins : CGN_ORIGINS;
	struct tables tables = tables_of(ctl->dp);
	struct slot_walk walk = { .tables = &tables, .explicit_only = !(origins & CGN_IMPLICIT) || listing->stale_s,
		.protocols = listing->protocols ? listing->protocols : (1u << CGN_PROTOCOLS) - 1 };
	struct table_block *blocks;
	int code;

	if (origins == CGN_STATIC)
		owners = TABLE_OPERATOR;
	else if (!(origins & CGN_STATIC))
		owners = TABLE_SUBSCRIBER;
	walk.block_count = table_blocks(&tables, owners, listing->has_subscriber ? &listing->subscriber : NULL, &blocks);
	if (walk.block_count < 0)
		return xcgnctl_fail_memory();
	walk.blocks = blocks;
	code = list_mappings(ctl, &walk, &output);
	free(blocks);
	return code;
}
