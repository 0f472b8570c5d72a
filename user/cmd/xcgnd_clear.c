/* SPDX-License-Identifier: GPL-2.0-only */
/* Ends mappings before their time: of one subscriber, or of all. Static ones are the configuration's and stay. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include "announce.h"
#include "control.h"
#include "dataplane.h"
#include "explicit_parts.h"
#include "log.h"
#include "notices.h"
#include "pcp_codec.h"
#include "persistence.h"
#include "table_walk.h"
#include "xcgnd_operator.h"

#define TRIES 16	/* of what is busy: packets come in between */

struct clearing {
	const struct operator *operator;
	struct cgn_subscriber_key subscriber;
	bool is_all;
	unsigned origins;	/* cgn_mapping_flag */
	unsigned protocols;	/* bits of cgn_protocol_index */
	/* what came of it */
	uint64_t ended, demoted, explicit_ended, busy;
	int clients;
	bool has_reset_all;
};

/* ---- the request ---- */

/* Bits of the names in an array: of name n, bits[n]. 0: one is unknown. Absent: all of them. */
static unsigned read_names(const json_t *array, const char *const names[], const unsigned bits[], unsigned count)
{
	unsigned found = 0, all = 0, i;
	const json_t *name;
	size_t at;

	for (i = 0; i < count; i++)
		all |= bits[i];
	if (!array)
		return all;
	json_array_foreach(array, at, name) {
		for (i = 0; i < count; i++)
			if (json_is_string(name) && !strcmp(json_string_value(name), names[i]))
				break;
		if (i == count)
			return 0;
		found |= bits[i];
	}
	return found;
}

static bool read_request(struct clearing *clearing, const json_t *request, struct control_error *error)
{
	static const char *const origins[] = { "map", "peer", "implicit" }, *const protocols[] = { "udp", "tcp", "icmp" };
	static const unsigned origin_bits[] = { CGN_MAP, CGN_PEER, CGN_IMPLICIT },
		protocol_bits[] = { 1 << CGN_UDP, 1 << CGN_TCP, 1 << CGN_ICMP };
	const char *subscriber = json_string_value(json_object_get(request, "subscriber"));

	clearing->is_all = json_is_true(json_object_get(request, "all"));
	clearing->origins = read_names(json_object_get(request, "origins"), origins, origin_bits, 3);
	clearing->protocols = read_names(json_object_get(request, "protocols"), protocols, protocol_bits, 3);
	if (!clearing->origins || !clearing->protocols)
		return operator_fail(error, 1, "clear: an origin or a protocol that is none, or static");
	if (clearing->is_all == !!subscriber)
		return operator_fail(error, 1, "clear: either of one subscriber or of all");
	if (subscriber && inet_pton(AF_INET, subscriber, clearing->subscriber.addr4) != 1)
		return operator_fail(error, 1, "clear: %s is no IPv4 address", subscriber);
	return true;
}

/* ---- one batch of slots ---- */

static bool clear_slots(struct clearing *clearing, const uint32_t *slots, uint32_t count, struct control_error *error)
{
	struct cgn_clear_request request;
	int tries, failed;

	for (tries = 0; tries < TRIES; tries++) {
		request = (struct cgn_clear_request){ .origins = clearing->origins };
		failed = dataplane_clear(clearing->operator->dp, slots, count, &request);
		if (failed)
			return operator_fail(error, DATAPLANE_KERNEL, "clear: %s", strerror(-failed));
		clearing->ended += request.ended;
		clearing->demoted += request.demoted;
		clearing->explicit_ended += request.explicit_ended;
		if (!request.busy)
			return true;
	}
	clearing->busy += request.busy;
	return true;
}

/* The Epoch first: a daemon that dies in between has said too much, never too little. */
static bool clear_batch(struct clearing *clearing, const uint32_t *slots, uint32_t count, struct control_error *error)
{
	const struct operator *operator = clearing->operator;
	struct explicit_parts parts = {};
	uint8_t client6[16];
	bool is_done = true;
	int clients = 0;
	size_t i;

	if (!explicit_parts_read(&parts, operator->dp, slots, count, clearing->origins & (CGN_MAP | CGN_PEER)))
		is_done = operator_fail(error, DATAPLANE_KERNEL, "clear: out of memory");
	for (i = 0; is_done && clearing->is_all && i < parts.count; i++) {
		pcp_address_from_ipv4(parts.part[i].value.client4, client6);
		notices_add(operator->notices, client6, parts.part[i].value.client_port);
	}
	if (is_done && clearing->is_all && parts.count && !clearing->has_reset_all) {
		clearing->has_reset_all = announce_reset(operator->announce, CGN_EPOCH_CLEARED);
		is_done = clearing->has_reset_all;
	} else if (is_done && !clearing->is_all && parts.count) {
		clients = operator_tell_loss(operator, &parts);
		is_done = clients >= 0;
		clearing->clients += is_done ? clients : 0;
	}
	if (!is_done && !error->code)
		operator_fail(error, DATAPLANE_STATE, "clear: the Epoch cannot be written; nothing more is cleared");
	is_done = is_done && clear_slots(clearing, slots, count, error);
	for (i = 0; i < parts.count; i++)
		operator_record(operator, &parts.part[i]);
	explicit_parts_done(&parts);
	return is_done;
}

/* ---- which slots ---- */

static bool clear_subscriber(struct clearing *clearing, struct control_error *error)
{
	uint32_t *slots = NULL, *wanted, at, batch;
	int count = dataplane_list(clearing->operator->dp, &clearing->subscriber, CGN_MAP | CGN_PEER | CGN_IMPLICIT, &slots), i, kept = 0;
	bool is_done = true;

	if (count < 0)
		return operator_fail(error, DATAPLANE_KERNEL, "clear: %s", strerror(-count));
	wanted = slots;
	for (i = 0; i < count; i++)
		if (clearing->protocols >> CGN_SLOT_PROTOCOL(slots[i]) & 1)
			wanted[kept++] = slots[i];
	for (at = 0; is_done && at < (uint32_t)kept; at += batch) {
		batch = (uint32_t)kept - at < CGN_BATCH_MAX ? (uint32_t)kept - at : CGN_BATCH_MAX;
		is_done = clear_batch(clearing, wanted + at, batch, error);
	}
	free(slots);
	return is_done;
}

static bool clear_all(struct clearing *clearing, struct control_error *error)
{
	struct tables tables = tables_of(clearing->operator->dp);
	struct slot_walk walk = { .tables = &tables, .protocols = clearing->protocols,
		.explicit_only = !(clearing->origins & CGN_IMPLICIT) };
	uint32_t slots[CGN_BATCH_MAX], count;
	struct table_block *blocks;
	bool is_done = true;

	walk.block_count = table_blocks(&tables, TABLE_SUBSCRIBER, NULL, &blocks);
	if (walk.block_count < 0)
		return operator_fail(error, DATAPLANE_KERNEL, "clear: out of memory");
	walk.blocks = blocks;
	do {
		for (count = 0; count < CGN_BATCH_MAX && slot_walk_next(&walk, &slots[count]); count++)
			;
		is_done = !count || clear_batch(clearing, slots, count, error);
		sd_notify(0, "WATCHDOG=1");	/* the event loop waits, and must not be taken for dead */
	} while (is_done && count == CGN_BATCH_MAX);
	free(blocks);
	return is_done;
}

bool operator_clear(const struct operator *operator, const json_t *request, json_t *reply, struct control_error *error)
{
	struct clearing clearing = { .operator = operator };
	bool is_done;

	error->code = 0;
	if (!read_request(&clearing, request, error))
		return false;
	is_done = clearing.is_all ? clear_all(&clearing, error) : clear_subscriber(&clearing, error);
	persistence_commit(operator->persistence);
	log_info("cleared %s: %llu mappings ended, %llu MAP and PEER", clearing.is_all ? "all subscribers" : "a subscriber",
		 (unsigned long long)clearing.ended, (unsigned long long)clearing.explicit_ended);
	if (!is_done)
		return false;
	json_object_set_new(reply, "ended", json_integer((json_int_t)clearing.ended));
	json_object_set_new(reply, "explicit", json_integer((json_int_t)clearing.explicit_ended));
	json_object_set_new(reply, "lives_on", json_integer((json_int_t)clearing.demoted));
	json_object_set_new(reply, "busy", json_integer((json_int_t)clearing.busy));
	json_object_set_new(reply, "epoch_reset", clearing.has_reset_all ? json_string("all") : clearing.clients ? json_string("clients") : json_null());
	json_object_set_new(reply, "clients", clearing.has_reset_all ? json_null() : json_integer(clearing.clients));
	return true;
}
