/* SPDX-License-Identifier: GPL-2.0-only */
/* A subscriber has another address: its explicit mappings go there, and their clients are told (RFC 6887 section 14.2). */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include "announce.h"
#include "announcer.h"
#include "control.h"
#include "dataplane.h"
#include "explicit_parts.h"
#include "inet_text.h"
#include "log.h"
#include "pcp_server.h"
#include "persistence.h"
#include "xcgnd_operator.h"

#define TRIES		64	/* of what is busy: packets come in between */
#define LEFT_MAX	128	/* shown of those that stay; all are counted */

struct moving {
	const struct operator *operator;
	struct cgn_subscriber_key from, to;
	struct explicit_parts before;	/* of `from` */
	uint64_t moved, parts, ended, left, lost;
	uint32_t refused;		/* cgn_status of a block that stayed, but for conflicts */
	json_t *left_list;
};

/* ---- blocks ---- */

static bool move_block(struct moving *moving, uint32_t position, struct control_error *error)
{
	struct cgn_move_request request;
	int tries, failed;

	for (tries = 0; tries < TRIES; tries++) {
		request = (struct cgn_move_request){ .from = moving->from, .to = moving->to, .position = position };
		failed = dataplane_move(moving->operator->dp, &request);
		if (failed)
			return operator_fail(error, DATAPLANE_KERNEL, "moved: %s", strerror(-failed));
		if (request.status != CGN_BUSY)
			break;
	}
	moving->moved += request.moved;
	moving->parts += request.parts;
	moving->ended += request.ended;
	if (request.status == CGN_NOT_ALLOWED)
		return operator_fail(error, DATAPLANE_STATE, "moved: the new address is no subscriber by the configuration, or the ports of one of them are computed from its address; nothing was moved");
	if (request.status != CGN_OK && request.status != CGN_NOT_FOUND && request.status != CGN_CANNOT_PROVIDE)
		moving->refused = request.status;
	return true;
}

/* Blocks that stay have implicit mappings too: nobody sends from the old address any more. */
static void end_implicit(struct moving *moving)
{
	struct cgn_clear_request request;
	uint32_t *slots = NULL, batch;
	int count = dataplane_list(moving->operator->dp, &moving->from, CGN_IMPLICIT, &slots), at;

	for (at = 0; at < count; at += (int)batch) {
		batch = count - at < CGN_BATCH_MAX ? (uint32_t)(count - at) : CGN_BATCH_MAX;
		request = (struct cgn_clear_request){ .origins = CGN_IMPLICIT };
		if (!dataplane_clear(moving->operator->dp, slots + at, batch, &request))
			moving->ended += request.ended;
	}
	free(slots);
}

/* ---- what became of each part ---- */

static void tell_update(const struct moving *moving, const struct explicit_part *part)
{
	struct explicit_part moved = *part;

	memcpy(moved.key.internal.addr4, moving->to.addr4, sizeof(moved.key.internal.addr4));
	/* its own client is now where the mapping is; who asked for another host is where it was */
	if (!memcmp(part->value.client4, moving->from.addr4, sizeof(part->value.client4)))
		memcpy(moved.value.client4, moving->to.addr4, sizeof(moved.value.client4));
	operator_tell_update(moving->operator, &moved);
}

static const char *reason_of(const struct moving *moving, const struct explicit_part *part)
{
	struct cgn_internal internal = part->key.internal;
	struct cgn_mapping mapping;

	memcpy(internal.addr4, moving->to.addr4, sizeof(internal.addr4));
	if (dataplane_find_mapping(moving->operator->dp, &internal, &mapping))
		return "conflict";
	switch (moving->refused) {
	case CGN_OK:
		return "shares a port block with a conflict";
	case CGN_QUOTA:
		return "the new address can have no more port blocks";
	case CGN_TABLE_FULL:
		return "a table is full";
	default:
		return "busy";
	}
}

static void note_left(struct moving *moving, const struct explicit_part *part)
{
	uint8_t address6[16], external6[16];

	if (moving->left++ >= LEFT_MAX)
		return;
	pcp_address_from_ipv4(part->key.internal.addr4, address6);
	pcp_address_from_ipv4(part->external.addr4, external6);
	json_array_append_new(moving->left_list,
			      json_pack("{s:s, s:i, s:s, s:s, s:s}", "origin", part->key.opcode == CGN_MAP ? "map" : "peer",
					"protocol", part->key.internal.protocol,
					"internal", inet_endpoint_text(address6, part->key.internal.port).text,
					"external", inet_endpoint_text(external6, part->external.port).text,
					"reason", reason_of(moving, part)));
}

static bool sort_out(struct moving *moving, struct explicit_parts *ret_lost)
{
	const struct dataplane *dp = moving->operator->dp;
	struct explicit_part *part, moved;
	size_t i;

	ret_lost->part = calloc(moving->before.count + 1, sizeof(*ret_lost->part));
	for (i = 0; ret_lost->part && i < moving->before.count; i++) {
		part = &moving->before.part[i];
		moved = *part;
		memcpy(moved.key.internal.addr4, moving->to.addr4, sizeof(moved.key.internal.addr4));
		if (explicit_part_stands(dp, &moved.key, &part->external)) {
			tell_update(moving, part);
			operator_record(moving->operator, &moved);
			operator_record(moving->operator, part);
		} else if (explicit_part_stands(dp, &part->key, &part->external)) {
			note_left(moving, part);
		} else {
			operator_record(moving->operator, part);
			ret_lost->part[ret_lost->count++] = *part;
		}
	}
	return ret_lost->part;
}

/* Into stable storage too, but for an Epoch that began before this boot: that is the one of all, which is there anyway. */
static bool write_epoch(const struct moving *moving, const uint8_t client6[16], uint32_t base_s, uint32_t now_s)
{
	if (base_s > now_s)
		return dataplane_set_epoch_of(moving->operator->dp, client6, base_s, CGN_EPOCH_CLEARED);
	return persistence_reset_epoch_of(moving->operator->persistence, client6, base_s, CGN_EPOCH_CLEARED);
}

/* The client goes on with the Epoch that it knows, at whichever address it knew it. */
static void carry_epoch(const struct moving *moving)
{
	uint32_t now_s = dataplane_now_s(), base_s;
	uint8_t old6[16], new6[16];

	pcp_address_from_ipv4(moving->from.addr4, old6);
	pcp_address_from_ipv4(moving->to.addr4, new6);
	base_s = now_s - pcp_server_epoch_of(moving->operator->server, old6, now_s);
	if (now_s - base_s == pcp_server_epoch_of(moving->operator->server, new6, now_s))
		return;
	if (!write_epoch(moving, new6, base_s, now_s) ||
	    !pcp_server_set_epoch_base_of(moving->operator->server, new6, base_s))
		log_warning("too many clients have an Epoch of their own: a client that moved will take its mappings for lost, and ask again");
}

/* ---- the command ---- */

static bool read_request(struct moving *moving, const json_t *request, struct control_error *error)
{
	const char *from = json_string_value(json_object_get(request, "from")), *to = json_string_value(json_object_get(request, "to"));

	if (!from || inet_pton(AF_INET, from, moving->from.addr4) != 1)
		return operator_fail(error, 1, "moved: the old address is no IPv4 address");
	if (!to || inet_pton(AF_INET, to, moving->to.addr4) != 1)
		return operator_fail(error, 1, "moved: the new address is no IPv4 address");
	if (!memcmp(&moving->from, &moving->to, sizeof(moving->from)))
		return operator_fail(error, 1, "moved: the two addresses are the same");
	return true;
}

static bool read_parts(struct moving *moving, struct control_error *error)
{
	uint32_t *slots = NULL;
	int count = dataplane_list(moving->operator->dp, &moving->from, CGN_MAP | CGN_PEER, &slots);
	bool is_read = count >= 0 && explicit_parts_read(&moving->before, moving->operator->dp, slots, (size_t)count, CGN_MAP | CGN_PEER);

	free(slots);
	moving->left_list = json_array();
	return (is_read && moving->left_list) || operator_fail(error, DATAPLANE_KERNEL, "moved: out of memory");
}

static bool move_all(struct moving *moving, struct control_error *error)
{
	struct explicit_parts lost = {};
	bool is_done = true;
	uint32_t i;

	for (i = 0; is_done && i < CGN_SUBSCRIBER_BLOCKS_MAX; i++)
		is_done = move_block(moving, i, error);
	if (is_done)
		end_implicit(moving);
	if (moving->moved)
		carry_epoch(moving);
	if (!sort_out(moving, &lost))
		return operator_fail(error, DATAPLANE_KERNEL, "moved: out of memory");
	moving->lost = lost.count;
	if (lost.count && operator_tell_loss(moving->operator, &lost) < 0)
		log_error("moved: mappings were lost, and the Epoch cannot be written");
	explicit_parts_done(&lost);
	persistence_commit(moving->operator->persistence);
	return is_done;
}

bool operator_move(const struct operator *operator, const json_t *request, json_t *reply, struct control_error *error)
{
	struct moving moving = { .operator = operator };
	bool is_done = read_request(&moving, request, error) && read_parts(&moving, error) && move_all(&moving, error);

	if (is_done) {
		json_object_set_new(reply, "moved", json_integer((json_int_t)moving.moved));
		json_object_set_new(reply, "explicit", json_integer((json_int_t)moving.parts));
		json_object_set_new(reply, "implicit_ended", json_integer((json_int_t)moving.ended));
		json_object_set_new(reply, "lost", json_integer((json_int_t)moving.lost));
		json_object_set_new(reply, "left", json_integer((json_int_t)moving.left));
		json_object_set(reply, "left_mappings", moving.left_list);
		log_info("a subscriber moved: %llu mappings went, %llu stay, %llu lost", (unsigned long long)moving.moved,
			 (unsigned long long)moving.left, (unsigned long long)moving.lost);
	}
	json_decref(moving.left_list);
	explicit_parts_done(&moving.before);
	return is_done;
}
