/* SPDX-License-Identifier: GPL-2.0-only */
/* What client and server know of each other's state (draft-boucadair-pcp-failure appendix A): the first question, Epochs, the walk
 * through what the server has when the own table was lost, and the removal of what nobody wants. */
#include <stdlib.h>
#include <string.h>
#include "keeper_internal.h"

#define ANNOUNCED_SPAN_NS	(5 * NS_PER_S)		/* RFC 6887 section 14.1.3 */
#define WALK_NS			(60 * NS_PER_S)		/* nothing depends on it that cannot do without */
#define SERVER_WAIT_MIN_NS	(30 * NS_PER_S)
#define SERVER_WAIT_MAX_NS	(900 * NS_PER_S)	/* RFC 7488 section 3 */

/* ---- servers ---- */

void sync_stop(struct keeper *keeper)
{
	retransmission_stop(&keeper->probe.retransmission);
	retransmission_stop(&keeper->walk_exchange.retransmission);
	retransmission_stop(&keeper->removal_exchange.retransmission);
	get_walk_free(keeper->walk);
	keeper->walk = NULL;
}

void sync_server_failed(struct keeper *keeper, uint64_t now_ns)
{
	if (keeper->has_path)
		keeper_tell(keeper, KEEPER_SERVER_SILENT);
	sync_stop(keeper);
	keeper->has_path = keeper->is_up = false;
	keeper->wants_path = true;
	keeper->server = (keeper->server + 1) % keeper->server_count;
	if (++keeper->servers_failed < keeper->server_count)
		return;
	keeper->servers_failed = 0;
	keeper->wants_path = false;
	keeper->server_retry_ns = now_ns + keeper->server_wait_ns;
	keeper->server_wait_ns = 2 * keeper->server_wait_ns < SERVER_WAIT_MAX_NS ? 2 * keeper->server_wait_ns : SERVER_WAIT_MAX_NS;
}

void sync_probe(struct keeper *keeper, uint64_t now_ns)
{
	const struct pcp_client_request request = { .opcode = PCP_ANNOUNCE };

	if (keeper->probe.retransmission.next_ns == NEVER)
		pcp_exchange_start(&keeper->probe, &keeper->client, &request, keeper_rule(keeper), now_ns, 0);
}

void sync_probe_again(struct keeper *keeper, uint64_t at_ns)
{
	retransmission_stop(&keeper->probe.retransmission);
	sync_probe(keeper, at_ns);
}

/* ---- Epochs ---- */

void sync_epoch_reset(struct keeper *keeper, const struct held *except, uint64_t now_ns, uint64_t delay_ns)
{
	keeper_tell(keeper, KEEPER_EPOCH_RESET);
	keeper->is_dirty = true;
	for (unsigned i = 0; i < keeper->count; i++)
		if (&keeper->held[i] != except)
			held_doubt(&keeper->held[i], now_ns + delay_ns);
}

static void doubt_all(struct keeper *keeper, uint64_t now_ns)
{
	for (unsigned i = 0; i < keeper->count; i++)
		held_doubt(&keeper->held[i], now_ns);
}

/* NAT-PMP tells of another external address by this alone (RFC 6886 section 3.2.1). */
static void natpmp_address_note(struct keeper *keeper, const struct pcp_client_reply *reply, uint64_t now_ns)
{
	const uint8_t *external6 = reply->peer.map.external6;
	bool changed = memcmp(keeper->natpmp_external6, external6, sizeof(keeper->natpmp_external6));

	if (reply->version != NATPMP_VERSION || reply->result != PCP_SUCCESS || !changed)
		return;
	if (!pcp_address_is_any(keeper->natpmp_external6))
		doubt_all(keeper, now_ns);
	memcpy(keeper->natpmp_external6, external6, sizeof(keeper->natpmp_external6));
}

/* ---- the walk ---- */

/* One page, as long as there is time. */
static bool walk_ask(struct keeper *keeper, uint64_t now_ns)
{
	return now_ns < keeper->walk_end_ns &&
	       !pcp_exchange_start(&keeper->walk_exchange, &keeper->client, get_walk_request(keeper->walk), &retransmission_pcp, now_ns,
				   keeper->walk_end_ns - now_ns);
}

static void walk_start(struct keeper *keeper, uint64_t now_ns)
{
	struct pcp_client_request first = { .opcode = keeper->options.get_opcode, .has_next = true, .next_code = keeper->options.next_code };

	memcpy(first.get.internal6, keeper->client.path.client6, sizeof(first.get.internal6));
	keeper->walk = get_walk_new(&first, keeper->options.nonexist);
	keeper->walk_end_ns = now_ns + WALK_NS;
	if (keeper->walk && !walk_ask(keeper, now_ns)) {
		get_walk_free(keeper->walk);
		keeper->walk = NULL;
	}
}

static struct held *held_find(struct keeper *keeper, const struct pcp_next *next)
{
	for (unsigned i = 0; i < keeper->count; i++) {
		struct held *held = &keeper->held[i];

		if (held->wish.peer.map.protocol == next->protocol && held->wish.peer.map.internal_port == next->internal_port &&
		    !memcmp(held_internal6(keeper, held), next->internal6, sizeof(next->internal6)))
			return held;
	}
	return NULL;
}

static bool is_redacted(const struct pcp_next *next)
{
	static const uint8_t zeros[PCP_NONCE_LEN];

	return !memcmp(next->nonce, zeros, sizeof(zeros));
}

/* F3b: it was ours in a life before. Without its nonce the server may refuse it until its lifetime ends; asked it is. */
static void adopt(struct keeper *keeper, struct held *held, const struct pcp_next *next)
{
	memcpy(held->external6, next->external6, sizeof(held->external6));
	held->external_port = next->external_port;
	held->has_external = true;
	if (!is_redacted(next))
		held_add_nonce(keeper, held, next->nonce);
	keeper->is_dirty = true;
}

static void stale_note(struct keeper *keeper, const struct pcp_next *next)
{
	struct removal removal = { .request = { .opcode = PCP_MAP, .peer.map = { .protocol = next->protocol,
				   .internal_port = next->internal_port } }, .external_port = next->external_port,
				   .lifetime_s = next->lifetime_s, .is_stale = true, .expires_ns = NEVER };

	memcpy(removal.request.peer.map.nonce, next->nonce, sizeof(next->nonce));
	memcpy(removal.external6, next->external6, sizeof(removal.external6));
	sync_remove(keeper, &removal);
}

static void walk_end(struct keeper *keeper, bool is_whole)
{
	for (size_t i = 0; is_whole && i < get_walk_count(keeper->walk); i++) {
		const struct pcp_next *next = get_walk_mapping(keeper->walk, i);
		struct held *held = held_find(keeper, next);

		if (held)
			adopt(keeper, held, next);
		else
			stale_note(keeper, next);
	}
	retransmission_stop(&keeper->walk_exchange.retransmission);
	get_walk_free(keeper->walk);
	keeper->walk = NULL;
	keeper->is_table_lost = false;
}

static void walk_answer(struct keeper *keeper, const struct pcp_client_reply *reply, uint64_t now_ns)
{
	enum get_walk_step step = get_walk_step(keeper->walk, reply);

	if ((step == GET_WALK_ASK || step == GET_WALK_ASK_ANEW) && walk_ask(keeper, now_ns))
		return;
	walk_end(keeper, step == GET_WALK_DONE);
}

/* ---- removals ---- */

static void removal_drop(struct keeper *keeper, unsigned index)
{
	if (!index) {		/* it was being asked for */
		retransmission_stop(&keeper->removal_exchange.retransmission);
		keeper->removal_exchange.hold_until_ns = 0;
	}
	keeper->removal_count--;
	memmove(&keeper->removals[index], &keeper->removals[index + 1], (keeper->removal_count - index) * sizeof(*keeper->removals));
	keeper->is_dirty = true;
}

bool sync_remove(struct keeper *keeper, const struct removal *removal)
{
	unsigned size = keeper->removal_size ? 2 * keeper->removal_size : 16;
	struct removal *grown;

	if (keeper->removal_count == keeper->removal_size) {
		grown = realloc(keeper->removals, size * sizeof(*grown));
		if (!grown)
			return false;
		keeper->removals = grown;
		keeper->removal_size = size;
	}
	keeper->removals[keeper->removal_count++] = *removal;
	return true;
}

/* When the last request for it may have been granted, though nobody heard the answer. */
static uint64_t held_end_ns(const struct held *held, uint64_t now_ns)
{
	uint64_t end_ns = held->exchange.retransmission.rule ? now_ns + held->wish.lifetime_s * NS_PER_S : 0;

	return held->expires_ns > end_ns ? held->expires_ns : end_ns ? end_ns : NEVER;
}

/* Section 15.1: a deletion suggests nothing. */
bool sync_remove_held(struct keeper *keeper, const struct held *held, uint64_t now_ns)
{
	struct removal removal = { .request = { .opcode = PCP_MAP, .is_third_party = held->wish.is_third_party,
				   .has_port_set = held->ports > 1 }, .external_port = held->external_port,
				   .expires_ns = held_end_ns(held, now_ns) };
	struct pcp_map *map = &removal.request.peer.map;

	map->protocol = held->wish.peer.map.protocol;
	map->internal_port = held->wish.peer.map.internal_port;
	memcpy(map->nonce, held->nonces[0].nonce, sizeof(map->nonce));
	memcpy(removal.request.third_party6, held->wish.third_party6, sizeof(removal.request.third_party6));
	memcpy(removal.external6, held->external6, sizeof(removal.external6));
	removal.request.port_set = (struct pcp_port_set){ held->ports, map->internal_port, held->wish.port_set.keeps_parity };
	return sync_remove(keeper, &removal);
}

bool sync_revive(struct keeper *keeper, struct held *held)
{
	for (unsigned i = 0; i < keeper->removal_count; i++) {
		const struct removal *removal = &keeper->removals[i];
		const struct pcp_client_request *request = &removal->request;

		if (removal->is_stale || request->peer.map.protocol != held->wish.peer.map.protocol ||
		    request->peer.map.internal_port != held->wish.peer.map.internal_port ||
		    request->is_third_party != held->wish.is_third_party ||
		    (request->is_third_party && memcmp(request->third_party6, held->wish.third_party6, sizeof(request->third_party6))))
			continue;
		held_add_nonce(keeper, held, request->peer.map.nonce);
		memcpy(held->external6, removal->external6, sizeof(held->external6));
		held->external_port = removal->external_port;
		held->has_external = !pcp_address_is_any(removal->external6);
		removal_drop(keeper, i);
		return true;
	}
	return false;
}

static void removal_done(struct keeper *keeper, unsigned index, enum keeper_event_type type, uint8_t result)
{
	const struct removal *removal = &keeper->removals[index];
	const struct pcp_map *map = &removal->request.peer.map;
	struct keeper_event event = { .type = type, .protocol = map->protocol, .internal_port = map->internal_port, .result = result,
				      .external_port = removal->external_port, .lifetime_s = removal->lifetime_s, .ports = 1 };

	memcpy(event.internal6, removal->request.is_third_party ? removal->request.third_party6 : keeper->client.path.client6, 16);
	memcpy(event.external6, removal->external6, sizeof(event.external6));
	keeper_event(keeper, &event);
	removal_drop(keeper, index);
}

void sync_expire(struct keeper *keeper, uint64_t now_ns)
{
	for (unsigned i = keeper->removal_count; i-- > 0;)
		if (now_ns >= keeper->removals[i].expires_ns)
			removal_done(keeper, i, KEEPER_DELETED, PCP_SUCCESS);
}

static void removal_answer(struct keeper *keeper, const struct pcp_client_reply *reply)
{
	bool is_stale = keeper->removals[0].is_stale;

	if (reply->result == PCP_SUCCESS) {
		removal_done(keeper, 0, KEEPER_DELETED, PCP_SUCCESS);
		return;
	}
	keeper->refuses_redacted |= is_stale && reply->result == PCP_NOT_AUTHORIZED;
	removal_done(keeper, 0, is_stale ? KEEPER_STALE : KEEPER_DELETED, reply->result);
}

/* Only said to be stale: unless they are to be cleaned up, or where it is known that the server would refuse. */
static bool is_only_told(const struct keeper *keeper, const struct removal *removal)
{
	static const uint8_t zeros[PCP_NONCE_LEN];

	if (!removal->is_stale)
		return false;
	return !keeper->options.cleans_up ||
	       (keeper->refuses_redacted && !memcmp(removal->request.peer.map.nonce, zeros, sizeof(zeros)));
}

static void removals_begin(struct keeper *keeper, uint64_t now_ns)
{
	while (keeper->removal_count && is_only_told(keeper, &keeper->removals[0]))
		removal_done(keeper, 0, KEEPER_STALE, PCP_SUCCESS);
	if (!keeper->removal_count || keeper->removal_exchange.retransmission.next_ns != NEVER)
		return;
	if (pcp_exchange_start(&keeper->removal_exchange, &keeper->client, &keeper->removals[0].request, keeper_rule(keeper), now_ns, 0))
		removal_done(keeper, 0, KEEPER_STALE, PCP_MALFORMED_REQUEST);
}

/* ---- out ---- */

static size_t probe_send(struct keeper *keeper, uint64_t now_ns, uint8_t *buffer)
{
	size_t len = pcp_exchange_send(&keeper->probe, &keeper->client, now_ns, buffer);

	if (!len && keeper->probe.retransmission.has_failed) {
		keeper->probe.retransmission.has_failed = false;
		sync_server_failed(keeper, now_ns);
	}
	return len;
}

static size_t walk_send(struct keeper *keeper, uint64_t now_ns, uint8_t *buffer)
{
	size_t len;

	if (!keeper->walk)
		return 0;
	len = pcp_exchange_send(&keeper->walk_exchange, &keeper->client, now_ns, buffer);
	if (!len && keeper->walk_exchange.retransmission.has_failed)
		walk_end(keeper, false);
	return len;
}

static size_t removal_send(struct keeper *keeper, uint64_t now_ns, uint8_t *buffer)
{
	size_t len;

	if (!keeper->is_up)
		return 0;
	removals_begin(keeper, now_ns);
	if (!keeper->removal_count)
		return 0;
	len = pcp_exchange_send(&keeper->removal_exchange, &keeper->client, now_ns, buffer);
	if (!len && keeper->removal_exchange.retransmission.has_failed) {
		keeper->removal_exchange.retransmission.has_failed = false;
		sync_probe(keeper, now_ns);
	}
	return len;
}

size_t sync_send(struct keeper *keeper, uint64_t now_ns, uint8_t *buffer)
{
	size_t len = probe_send(keeper, now_ns, buffer);

	if (!len && keeper->has_path)
		len = walk_send(keeper, now_ns, buffer);
	if (!len && keeper->has_path)
		len = removal_send(keeper, now_ns, buffer);
	return len;
}

uint64_t sync_deadline(const struct keeper *keeper)
{
	uint64_t deadline_ns = keeper->probe.retransmission.next_ns;

	if (keeper->walk_exchange.retransmission.next_ns < deadline_ns)
		deadline_ns = keeper->walk_exchange.retransmission.next_ns;
	if (keeper->removal_exchange.retransmission.next_ns < deadline_ns)
		deadline_ns = keeper->removal_exchange.retransmission.next_ns;
	if (keeper->is_up && keeper->removal_count && keeper->removal_exchange.retransmission.next_ns == NEVER)
		deadline_ns = 0;
	return deadline_ns;
}

/* ---- in ---- */

/* The server is there: agree on what it has, before anything is asked of it. */
static void server_up(struct keeper *keeper, const struct pcp_client_reply *reply, uint64_t now_ns)
{
	bool forgot = !reply->epoch_is_valid || (keeper->is_restored && keeper->time_is_unknown);
	const struct pcp_client_path *before = &keeper_known(keeper)->path, *now = &keeper->client.path;

	if (keeper->knows_path && !keeper_is_same_server(before, now))
		keeper_tell(keeper, KEEPER_SERVER_CHANGED);
	keeper->is_moved |= keeper->knows_path && (!keeper_is_same_server(before, now) || memcmp(before->client6, now->client6, 16));
	keeper->is_up = keeper->knows_path = keeper->has_answered = true;
	keeper->servers_failed = 0;
	keeper->server_wait_ns = SERVER_WAIT_MIN_NS;
	if (forgot)
		sync_epoch_reset(keeper, NULL, now_ns, keeper_random_ns(keeper, ANNOUNCED_SPAN_NS));
	else if (keeper->is_moved)
		doubt_all(keeper, now_ns);
	else if (keeper->is_table_lost && reply->version == PCP_VERSION)
		walk_start(keeper, now_ns);
	for (unsigned i = 0; keeper->is_restored && !forgot && !keeper->is_moved && i < keeper->count; i++)
		if (keeper->held[i].is_live)
			held_tell(keeper, &keeper->held[i], KEEPER_KEPT,
				  &(struct keeper_event){ .lifetime_s = (uint32_t)((keeper->held[i].expires_ns - now_ns) / NS_PER_S) });
	keeper->is_moved = keeper->is_restored = false;
	keeper->is_dirty = true;
}

static void probe_answer(struct keeper *keeper, const struct pcp_client_reply *reply, uint64_t now_ns)
{
	keeper->probe.hold_until_ns = 0;
	if (reply->result == PCP_UNSUPP_VERSION) {
		sync_server_failed(keeper, now_ns);
		return;
	}
	natpmp_address_note(keeper, reply, now_ns);
	if (!keeper->is_up)
		server_up(keeper, reply, now_ns);
	else if (!reply->epoch_is_valid)
		sync_epoch_reset(keeper, NULL, now_ns, keeper_random_ns(keeper, ANNOUNCED_SPAN_NS));
}

bool sync_receive(struct keeper *keeper, const struct pcp_client_datagram *datagram, uint64_t now_ns)
{
	struct pcp_client_reply reply;

	if (pcp_exchange_receive(&keeper->probe, &keeper->client, datagram, now_ns, &reply) == PCP_EXCHANGE_ANSWERED) {
		probe_answer(keeper, &reply, now_ns);
		return true;
	}
	if (keeper->walk &&
	    pcp_exchange_receive(&keeper->walk_exchange, &keeper->client, datagram, now_ns, &reply) == PCP_EXCHANGE_ANSWERED) {
		if (!reply.epoch_is_valid)
			sync_epoch_reset(keeper, NULL, now_ns, 0);
		walk_answer(keeper, &reply, now_ns);
		return true;
	}
	if (keeper->removal_count && keeper->removal_exchange.retransmission.next_ns != NEVER &&
	    pcp_exchange_receive(&keeper->removal_exchange, &keeper->client, datagram, now_ns, &reply) == PCP_EXCHANGE_ANSWERED) {
		if (!reply.epoch_is_valid)
			sync_epoch_reset(keeper, NULL, now_ns, 0);
		removal_answer(keeper, &reply);
		return true;
	}
	return false;
}

void keeper_hear(struct keeper *keeper, const struct pcp_client_datagram *datagram, uint64_t now_ns)
{
	struct pcp_client_reply reply;

	if (!keeper->has_path ||
	    pcp_exchange_receive(&keeper->listener, &keeper->client, datagram, now_ns, &reply) != PCP_EXCHANGE_ANSWERED)
		return;
	if (!keeper->is_up) {	/* it is back: ask it soon, whenever the next retransmission would have been */
		keeper->is_moved |= !reply.epoch_is_valid;
		sync_probe_again(keeper, now_ns + keeper_random_ns(keeper, ANNOUNCED_SPAN_NS));
		return;
	}
	natpmp_address_note(keeper, &reply, now_ns);
	if (!reply.epoch_is_valid)
		sync_epoch_reset(keeper, NULL, now_ns, keeper_random_ns(keeper, ANNOUNCED_SPAN_NS));
}
