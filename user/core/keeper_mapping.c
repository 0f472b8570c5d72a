/* SPDX-License-Identifier: GPL-2.0-only */
/* One mapping: when it is asked for, what is suggested, and what an answer makes of it. */
#include <string.h>
#include "keeper_internal.h"

#define RENEWAL_GAP_NS	(4 * NS_PER_S)		/* section 11.2.1: never closer together */
#define REFUSED_MIN_S	4
#define REFUSED_S	30			/* when an error says no time */

/* Section 11.2.1: a renewal is one packet; the schedule is its retransmission. */
static const struct retransmission_rule renewal_rule = { .irt_ns = 7 * 86400 * NS_PER_S, .mrc = 1 };

const uint8_t *held_internal6(const struct keeper *keeper, const struct held *held)
{
	return held->wish.is_third_party ? held->wish.third_party6 : keeper->client.path.client6;
}

void held_init(struct held *held, const struct pcp_client_request *wish, uint64_t now_ns)
{
	*held = (struct held){ .wish = *wish, .due_ns = now_ns };
	retransmission_stop(&held->exchange.retransmission);
}

/* ---- nonces ---- */

static void nonce_to_front(struct held *held, unsigned index)
{
	struct nonce_of chosen = held->nonces[index];

	memmove(&held->nonces[1], &held->nonces[0], index * sizeof(chosen));
	held->nonces[0] = chosen;
}

void held_add_nonce(struct keeper *keeper, struct held *held, const uint8_t nonce[PCP_NONCE_LEN])
{
	struct nonce_of *added = &held->nonces[0];

	if (held->nonce_count < NONCES_MAX)
		held->nonce_count++;
	memmove(&held->nonces[1], &held->nonces[0], (held->nonce_count - 1) * sizeof(*added));
	memcpy(added->identity6, keeper->identity6, sizeof(added->identity6));
	memcpy(added->nonce, nonce, sizeof(added->nonce));
	held->nonces_refused = 0;
	held->nonce_is_stored = false;
	keeper->is_dirty = true;
}

void held_select_nonce(struct keeper *keeper, struct held *held)
{
	uint8_t nonce[PCP_NONCE_LEN];

	held->nonces_refused = 0;
	if (!keeper->server_count)
		return;
	for (unsigned i = 0; i < held->nonce_count; i++)
		if (!memcmp(held->nonces[i].identity6, keeper->identity6, sizeof(keeper->identity6))) {
			nonce_to_front(held, i);
			return;
		}
	keeper->options.random(nonce, sizeof(nonce));
	held_add_nonce(keeper, held, nonce);
}

/* The server owns this one after all, perhaps under another address than it had: that is what the nonce is for now. */
static void nonce_accepted(struct keeper *keeper, struct held *held)
{
	unsigned kept = 1;

	for (unsigned i = 1; i < held->nonce_count; i++)
		if (memcmp(held->nonces[i].identity6, keeper->identity6, sizeof(keeper->identity6)))
			held->nonces[kept++] = held->nonces[i];
	held->nonce_count = kept;
	held->nonces_refused = 0;
	memcpy(held->nonces[0].identity6, keeper->identity6, sizeof(keeper->identity6));
}

/* A server that moved knows the mapping by the nonce of its former address: the others are tried, each once. */
static bool nonce_try_next(struct held *held)
{
	bool has_more = ++held->nonces_refused < held->nonce_count;

	nonce_to_front(held, held->nonce_count - 1);
	if (!has_more)
		held->nonces_refused = 0;
	return has_more;
}

/* ---- when ---- */

static uint64_t later(uint64_t one, uint64_t other)
{
	return one > other ? one : other;
}

/* Renewal number n: from 1 - 1/2^(n+1) of the lifetime on, within 1/2^(n+3) of it; 1/2 to 5/8, 3/4 to 13/16, ... */
static uint64_t renewal_ns(const struct keeper *keeper, const struct held *held)
{
	uint64_t lifetime_ns = held->expires_ns - held->granted_ns, at_ns;
	unsigned n = held->renewals < 32 ? held->renewals : 32;

	at_ns = held->expires_ns - (lifetime_ns >> (n + 1)) + keeper_random_ns(keeper, lifetime_ns >> (n + 3));
	if (held->asked_ns)
		at_ns = later(at_ns, held->asked_ns + RENEWAL_GAP_NS);
	return at_ns < held->expires_ns ? at_ns : NEVER;	/* then it expires, and is asked for anew */
}

void held_schedule(struct keeper *keeper, struct held *held)
{
	held->renewals = 0;
	held->asked_ns = 0;
	held->due_ns = renewal_ns(keeper, held);
}

void held_doubt(struct held *held, uint64_t at_ns)
{
	held_stop(held);
	held->is_doubtful = true;
	held->due_ns = at_ns;
	held->exchange.hold_until_ns = 0;	/* what was refused was refused by another state of things */
}

void held_stop(struct held *held)
{
	if (held->exchange.retransmission.next_ns != NEVER && held->due_ns == NEVER)
		held->due_ns = 0;
	retransmission_stop(&held->exchange.retransmission);
}

uint64_t held_deadline(const struct held *held)
{
	uint64_t deadline_ns = held->nonce_is_stored ? held->due_ns : NEVER;

	if (held->exchange.retransmission.next_ns < deadline_ns)
		deadline_ns = held->exchange.retransmission.next_ns;
	return deadline_ns;
}

void held_expire(struct keeper *keeper, struct held *held, uint64_t now_ns)
{
	if (!held->is_live || now_ns < held->expires_ns)
		return;
	held->is_live = false;
	held->is_doubtful = true;
	held_tell(keeper, held, KEEPER_LOST, NULL);
	if (held->due_ns == NEVER && (held->exchange.retransmission.next_ns == NEVER || held->exchange.retransmission.rule == &renewal_rule))
		held_doubt(held, now_ns);
	keeper->is_dirty = true;
}

/* ---- asking ---- */

/* Section 11.1: without a preference the all-zero address of the family. */
static void suggestion_fill(const struct keeper *keeper, const struct held *held, struct pcp_map *map)
{
	static const uint8_t any4[4];

	/* PREFER_FAILURE insists on what the wish says, not on what there was */
	if (held->has_external && (!held->wish.prefers_failure || held->external_port == map->external_port)) {
		memcpy(map->external6, held->external6, sizeof(map->external6));
		map->external_port = held->external_port;
	} else if (pcp_address_is_any(map->external6)) {
		memset(map->external6, 0, sizeof(map->external6));
		if (pcp_address_is_ipv4(keeper->client.path.client6))
			pcp_address_from_ipv4(any4, map->external6);
	}
}

/* Section 13.3: the filters there are go before the new ones come. */
static void filters_fill(const struct held *held, struct pcp_client_request *request)
{
	if (!held->clears_filters || request->filter_count == PCP_CLIENT_FILTERS_MAX)
		return;
	memmove(&request->filters[1], &request->filters[0], request->filter_count * sizeof(request->filters[0]));
	request->filters[0] = (struct pcp_filter){ 0 };
	request->filter_count++;
}

static void held_ask(struct keeper *keeper, struct held *held, uint64_t now_ns)
{
	bool renews = held->is_live && !held->is_doubtful;
	struct pcp_client_request request = held->wish;

	memcpy(request.peer.map.nonce, held->nonces[0].nonce, sizeof(request.peer.map.nonce));
	suggestion_fill(keeper, held, &request.peer.map);
	filters_fill(held, &request);
	request.renews = held->has_external;
	if (request.has_port_set && held->ports > 1)
		request.port_set.size = held->ports;
	held->due_ns = NEVER;
	if (renews) {
		held->renewals++;
		held->asked_ns = now_ns;
		held->due_ns = renewal_ns(keeper, held);
		if (held->renewals > 1 && keeper->server_count > 1)
			sync_probe(keeper, now_ns);
	}
	if (pcp_exchange_start(&held->exchange, &keeper->client, &request, renews ? &renewal_rule : keeper_rule(keeper), now_ns, 0))
		held_tell(keeper, held, KEEPER_REFUSED, &(struct keeper_event){ .result = PCP_MALFORMED_REQUEST });
}

size_t held_send(struct keeper *keeper, struct held *held, uint64_t now_ns, uint8_t *buffer)
{
	size_t len;

	if (now_ns >= held->due_ns && held->nonce_is_stored)
		held_ask(keeper, held, now_ns);
	len = pcp_exchange_send(&held->exchange, &keeper->client, now_ns, buffer);
	if (len || !held->exchange.retransmission.has_failed || held->due_ns != NEVER)
		return len;
	held->due_ns = now_ns + REFUSED_S * NS_PER_S;
	if (keeper->server_count > 1) {
		held->due_ns = now_ns;
		sync_server_failed(keeper, now_ns);
	}
	return 0;
}

/* ---- answers ---- */

void held_tell(struct keeper *keeper, struct held *held, enum keeper_event_type type, const struct keeper_event *more)
{
	struct keeper_event event = more ? *more : (struct keeper_event){ 0 };

	event.type = type;
	event.protocol = held->wish.peer.map.protocol;
	event.internal_port = held->wish.peer.map.internal_port;
	memcpy(event.internal6, held_internal6(keeper, held), sizeof(event.internal6));
	event.ports = held->ports > 1 ? held->ports : 1;
	if (held->has_external) {
		memcpy(event.external6, held->external6, sizeof(event.external6));
		event.external_port = held->external_port;
	}
	held->is_told = type == KEEPER_CREATED || type == KEEPER_CHANGED || type == KEEPER_KEPT || (held->is_told && type != KEEPER_LOST);
	keeper_event(keeper, &event);
}

static void refused(struct keeper *keeper, struct held *held, const struct pcp_client_reply *reply, uint64_t now_ns)
{
	uint32_t lifetime_s = pcp_client_lifetime_s(reply);
	uint64_t again_ns;

	if (reply->result == PCP_NOT_AUTHORIZED && nonce_try_next(held)) {
		held->exchange.hold_until_ns = 0;
		held->due_ns = now_ns;
		return;
	}
	if (!lifetime_s)
		lifetime_s = REFUSED_S;
	if (lifetime_s < REFUSED_MIN_S)
		lifetime_s = REFUSED_MIN_S;
	again_ns = now_ns + lifetime_s * NS_PER_S;
	held->due_ns = held->is_live && !held->is_doubtful && held->due_ns > again_ns ? held->due_ns : again_ns;
	held_tell(keeper, held, KEEPER_REFUSED, &(struct keeper_event){ .result = reply->result, .lifetime_s = lifetime_s });
}

static void port_set_note(struct held *held, struct reader options)
{
	struct pcp_port_set set;
	struct pcp_option option;

	held->ports = 1;
	while (pcp_decode_option(&options, &option) == 1)
		if (option.code == PCP_OPTION_PORT_SET && !pcp_decode_port_set(&option, &set))
			held->ports = set.size;
}

static void granted(struct keeper *keeper, struct held *held, const struct pcp_client_reply *reply, uint64_t now_ns)
{
	const struct pcp_map *map = &reply->peer.map;
	const uint8_t *external6 = reply->version == NATPMP_VERSION ? keeper->natpmp_external6 : map->external6;
	struct keeper_event more = { .lifetime_s = pcp_client_lifetime_s(reply) };
	bool differs = held->has_external && (held->external_port != map->external_port ||
					      memcmp(held->external6, external6, sizeof(held->external6)));

	if (held->has_external) {
		memcpy(more.former6, held->external6, sizeof(more.former6));
		more.former_port = held->external_port;
	}
	memcpy(held->external6, external6, sizeof(held->external6));
	held->external_port = map->external_port;
	held->has_external = true;
	held->is_live = true;
	held->is_doubtful = false;
	held->clears_filters = false;
	held->granted_ns = now_ns;
	held->expires_ns = now_ns + more.lifetime_s * NS_PER_S;
	port_set_note(held, reply->options);
	nonce_accepted(keeper, held);
	held_schedule(keeper, held);
	keeper->is_dirty = true;
	held_tell(keeper, held, differs ? KEEPER_CHANGED : held->is_told ? KEEPER_RENEWED : KEEPER_CREATED, &more);
}

void held_answer(struct keeper *keeper, struct held *held, const struct pcp_client_reply *reply, uint64_t now_ns)
{
	if (reply->result != PCP_SUCCESS) {
		refused(keeper, held, reply, now_ns);
		return;
	}
	if (reply->lifetime_s) {
		granted(keeper, held, reply, now_ns);
		return;
	}
	/* somebody deleted it, and the server tells (section 14.2) */
	held->is_live = false;
	held_tell(keeper, held, KEEPER_LOST, NULL);
	held_doubt(held, now_ns + RENEWAL_GAP_NS);
	keeper->is_dirty = true;
}
