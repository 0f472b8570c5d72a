/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>
#include <string.h>
#include "keeper_internal.h"

#define PACE_NS		(NS_PER_S / 50)		/* between two datagrams: servers limit the rate of a client */
#define SERVER_WAIT_NS	(30 * NS_PER_S)		/* after the first time that no address answered */

static const struct retransmission_rule one_of_many = { .irt_ns = 3 * NS_PER_S, .mrt_ns = 1024 * NS_PER_S, .mrc = 4, .jitters = true };

struct keeper *keeper_new(const struct keeper_options *options)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));

	if (!keeper)
		return NULL;
	keeper->options = *options;
	keeper->is_table_lost = true;	/* until it is restored */
	keeper->server_wait_ns = SERVER_WAIT_NS;
	keeper->server_retry_ns = NEVER;
	keeper->listener.request.opcode = PCP_ANNOUNCE;
	retransmission_stop(&keeper->listener.retransmission);
	sync_stop(keeper);
	return keeper;
}

void keeper_free(struct keeper *keeper)
{
	if (!keeper)
		return;
	get_walk_free(keeper->walk);
	free(keeper->held);
	free(keeper->removals);
	free(keeper->events);
	free(keeper);
}

const struct retransmission_rule *keeper_rule(const struct keeper *keeper)
{
	return keeper->server_count > 1 ? &one_of_many : &retransmission_pcp;
}

uint64_t keeper_random_ns(const struct keeper *keeper, uint64_t span_ns)
{
	uint64_t random;

	keeper->options.random(&random, sizeof(random));
	return random % (span_ns + 1);
}

/* ---- events ---- */

/* Without memory the oldest one is lost. */
void keeper_event(struct keeper *keeper, const struct keeper_event *event)
{
	unsigned size = keeper->event_size ? 2 * keeper->event_size : 64;
	struct keeper_event *grown, *place;

	if (keeper->event_first + keeper->event_count == keeper->event_size) {
		grown = realloc(keeper->events, size * sizeof(*grown));
		if (!grown && !keeper->event_count)
			return;
		if (grown) {
			keeper->events = grown;
			keeper->event_size = size;
		} else {
			keeper->event_count--;
			memmove(keeper->events, keeper->events + 1, (keeper->event_size - 1) * sizeof(*keeper->events));
		}
	}
	place = &keeper->events[keeper->event_first + keeper->event_count++];
	*place = *event;
	place->path = keeper->client.path;
	place->epoch_s = keeper->client.epoch.server_s;
}

void keeper_tell(struct keeper *keeper, enum keeper_event_type type)
{
	keeper_event(keeper, &(struct keeper_event){ .type = type });
}

bool keeper_next_event(struct keeper *keeper, struct keeper_event *ret_event)
{
	if (!keeper->event_count) {
		keeper->event_first = 0;
		return false;
	}
	*ret_event = keeper->events[keeper->event_first++];
	keeper->event_count--;
	return true;
}

/* ---- wishes ---- */

bool keeper_reserve(struct keeper *keeper, unsigned count)
{
	struct held *grown;

	if (count <= keeper->size)
		return true;
	grown = realloc(keeper->held, count * sizeof(*grown));
	if (!grown)
		return false;
	memset(grown + keeper->size, 0, (count - keeper->size) * sizeof(*grown));
	keeper->held = grown;
	keeper->size = count;
	return true;
}

static bool is_same_endpoint(const struct pcp_client_request *one, const struct pcp_client_request *other)
{
	return one->peer.map.protocol == other->peer.map.protocol && one->peer.map.internal_port == other->peer.map.internal_port &&
	       one->is_third_party == other->is_third_party &&
	       (!one->is_third_party || !memcmp(one->third_party6, other->third_party6, sizeof(one->third_party6)));
}

/* Two requests are one if their bytes are. */
static bool is_same_wish(const struct pcp_client_request *one, const struct pcp_client_request *other)
{
	uint8_t bytes[PCP_MESSAGE_MAX], others[PCP_MESSAGE_MAX];
	struct pcp_exchange exchange = { 0 };
	struct pcp_client client;
	size_t len, other_len;

	pcp_client_init(&client, &(struct pcp_client_path){ 0 }, 0);
	if (pcp_exchange_start(&exchange, &client, one, &retransmission_pcp, 0, 0))
		return false;
	len = pcp_exchange_send(&exchange, &client, 0, bytes);
	if (pcp_exchange_start(&exchange, &client, other, &retransmission_pcp, 0, 0))
		return false;
	other_len = pcp_exchange_send(&exchange, &client, 0, others);
	return len == other_len && !memcmp(bytes, others, len);
}

static bool has_same_filters(const struct pcp_client_request *one, const struct pcp_client_request *other)
{
	if (one->filter_count != other->filter_count)
		return false;
	for (unsigned i = 0; i < one->filter_count; i++)
		if (one->filters[i].prefix_length != other->filters[i].prefix_length ||
		    one->filters[i].remote_port != other->filters[i].remote_port ||
		    memcmp(one->filters[i].remote6, other->filters[i].remote6, sizeof(one->filters[i].remote6)))
			return false;
	return true;
}

static void wish_changed(struct keeper *keeper, struct held *held, const struct pcp_client_request *wish, uint64_t now_ns)
{
	bool is_first = !held->wish.lifetime_s;		/* it comes from the stored table, which has no wishes */
	bool is_same = is_first || is_same_wish(&held->wish, wish);

	held->clears_filters |= !is_first && !has_same_filters(&held->wish, wish);
	held->wish = *wish;
	held->exchange.request.description = wish->description;
	held->exchange.request.description_len = wish->description_len;
	if (!is_same)
		held_doubt(held, now_ns);
	held_select_nonce(keeper, held);
}

static const struct pcp_client_request *wish_find(const struct pcp_client_request *wishes, unsigned count,
						  const struct pcp_client_request *like)
{
	for (unsigned i = 0; i < count; i++)
		if (is_same_endpoint(&wishes[i], like))
			return &wishes[i];
	return NULL;
}

bool keeper_wish(struct keeper *keeper, const struct pcp_client_request *wishes, unsigned count, uint64_t now_ns)
{
	unsigned kept = 0, had = keeper->count, i, j;

	if (!keeper_reserve(keeper, count))
		return false;
	for (i = 0; i < had; i++) {
		struct held *held = &keeper->held[i];
		const struct pcp_client_request *wish = wish_find(wishes, count, &held->wish);

		if (!wish) {
			if (!sync_remove_held(keeper, held, now_ns))
				return false;
			continue;
		}
		wish_changed(keeper, held, wish, now_ns);
		keeper->held[kept++] = *held;
	}
	had = keeper->count = kept;
	for (i = 0; i < count && keeper->count < KEEPER_MAPPINGS_MAX; i++) {
		for (j = 0; j < had && !is_same_endpoint(&keeper->held[j].wish, &wishes[i]); j++)
			;
		if (j < had)
			continue;
		held_init(&keeper->held[keeper->count], &wishes[i], now_ns);
		if (!sync_revive(keeper, &keeper->held[keeper->count]))
			held_select_nonce(keeper, &keeper->held[keeper->count]);
		keeper->count++;
	}
	keeper->is_releasing = false;
	keeper->is_dirty = true;
	return true;
}

void keeper_release(struct keeper *keeper, uint64_t now_ns)
{
	for (unsigned i = 0; i < keeper->count; i++)
		if (keeper->held[i].has_external || keeper->held[i].exchange.retransmission.rule)
			sync_remove_held(keeper, &keeper->held[i], now_ns);
	keeper->count = 0;
	keeper->is_releasing = true;
	keeper->is_dirty = true;
}

bool keeper_is_released(const struct keeper *keeper)
{
	return keeper->is_releasing && !keeper->removal_count;
}

/* ---- servers and paths ---- */

void keeper_servers(struct keeper *keeper, unsigned count, const uint8_t identity6[16], unsigned first)
{
	sync_stop(keeper);
	keeper->has_path = keeper->is_up = false;
	keeper->server = first;
	keeper->server_count = count;
	keeper->servers_failed = 0;
	keeper->server_retry_ns = NEVER;
	keeper->server_wait_ns = SERVER_WAIT_NS;
	keeper->wants_path = count;
	memcpy(keeper->identity6, identity6, sizeof(keeper->identity6));
	keeper->is_dirty = true;
	for (unsigned i = 0; i < keeper->count; i++)
		held_select_nonce(keeper, &keeper->held[i]);
}

bool keeper_wants_path(const struct keeper *keeper, unsigned *ret_server)
{
	*ret_server = keeper->server;
	return keeper->wants_path;
}

const struct pcp_client *keeper_known(const struct keeper *keeper)
{
	return keeper->has_answered || !keeper->knows_path ? &keeper->client : &keeper->known;
}

bool keeper_known_path(const struct keeper *keeper, struct pcp_client_path *ret_path)
{
	if (keeper->knows_path)
		*ret_path = keeper_known(keeper)->path;
	return keeper->knows_path;
}

bool keeper_is_same_server(const struct pcp_client_path *one, const struct pcp_client_path *other)
{
	return one->server_port == other->server_port && !memcmp(one->server6, other->server6, sizeof(one->server6));
}

static bool is_same_client(const struct pcp_client_path *one, const struct pcp_client_path *other)
{
	return !memcmp(one->client6, other->client6, sizeof(one->client6));
}

/* Addresses that were tried meanwhile in vain change nothing in what is known of the server that answers. */
void keeper_path(struct keeper *keeper, const struct pcp_client_path *path, uint64_t now_ns)
{
	struct pcp_client before = *keeper_known(keeper);
	bool same_server = keeper_is_same_server(&before.path, path), same_client = is_same_client(&before.path, path);
	bool address_changed = keeper->knows_path && !is_same_client(&keeper->client.path, path);
	uint64_t seed;

	keeper->wants_path = false;
	if (keeper->has_path && keeper_is_same_server(&keeper->client.path, path) && is_same_client(&keeper->client.path, path)) {
		if (!keeper->is_up)	/* perhaps the network came back */
			sync_probe_again(keeper, now_ns);
		return;
	}
	keeper->known = before;
	keeper->has_answered = false;
	keeper->options.random(&seed, sizeof(seed));
	pcp_client_init(&keeper->client, path, seed);
	if (same_server) {
		if (same_client)	/* section 8.5: each client may have an Epoch of its own, and everything is asked for anew */
			keeper->client.epoch = before.epoch;
		keeper->client.version = before.version;
		keeper->client.no_new_until_ns = before.no_new_until_ns;
		keeper->client.silent_until_ns = before.silent_until_ns;
	} else {
		memset(keeper->natpmp_external6, 0, sizeof(keeper->natpmp_external6));
	}
	if (address_changed)
		keeper_tell(keeper, KEEPER_ADDRESS_CHANGED);
	keeper->has_path = true;
	keeper->is_up = false;
	keeper->server_retry_ns = NEVER;
	keeper->is_dirty = true;
	sync_stop(keeper);
	for (unsigned i = 0; i < keeper->count; i++)
		held_stop(&keeper->held[i]);
	sync_probe(keeper, now_ns);
}

void keeper_no_path(struct keeper *keeper, uint64_t now_ns)
{
	if (keeper->server_count)
		sync_server_failed(keeper, now_ns);
}

/* ---- in, out, when ---- */

void keeper_receive(struct keeper *keeper, const struct pcp_client_datagram *datagram, uint64_t now_ns)
{
	struct pcp_client_reply reply;

	if (!keeper->has_path || sync_receive(keeper, datagram, now_ns))
		return;
	for (unsigned i = 0; i < keeper->count; i++) {
		struct held *held = &keeper->held[i];

		if (!held->exchange.retransmission.rule ||	/* never asked */
		    pcp_exchange_receive(&held->exchange, &keeper->client, datagram, now_ns, &reply) != PCP_EXCHANGE_ANSWERED)
			continue;
		if (!reply.epoch_is_valid)
			sync_epoch_reset(keeper, held, now_ns, 0);
		held_answer(keeper, held, &reply, now_ns);
		return;
	}
}

static void expire_all(struct keeper *keeper, uint64_t now_ns)
{
	for (unsigned i = 0; i < keeper->count; i++)
		held_expire(keeper, &keeper->held[i], now_ns);
	sync_expire(keeper, now_ns);
	if (now_ns >= keeper->server_retry_ns) {
		keeper->server_retry_ns = NEVER;
		keeper->wants_path = true;
	}
}

size_t keeper_send(struct keeper *keeper, uint64_t now_ns, uint8_t *buffer)
{
	size_t len;

	expire_all(keeper, now_ns);
	if (!keeper->has_path || now_ns < keeper->next_send_ns)
		return 0;
	len = sync_send(keeper, now_ns, buffer);
	for (unsigned i = 0; !len && keeper->is_up && !keeper->walk && i < keeper->count; i++)
		len = held_send(keeper, &keeper->held[i], now_ns, buffer);
	if (len)
		keeper->next_send_ns = now_ns + PACE_NS;
	return len;
}

uint64_t keeper_deadline(const struct keeper *keeper)
{
	uint64_t deadline_ns = keeper->has_path ? sync_deadline(keeper) : NEVER, held_ns;

	for (unsigned i = 0; i < keeper->count; i++) {
		const struct held *held = &keeper->held[i];

		held_ns = keeper->is_up && !keeper->walk ? held_deadline(held) : NEVER;
		if (held_ns < deadline_ns)
			deadline_ns = held_ns;
		if (held->is_live && held->expires_ns < deadline_ns)
			deadline_ns = held->expires_ns;
	}
	for (unsigned i = 0; i < keeper->removal_count; i++)
		if (keeper->removals[i].expires_ns < deadline_ns)
			deadline_ns = keeper->removals[i].expires_ns;
	if (keeper->server_retry_ns < deadline_ns)
		deadline_ns = keeper->server_retry_ns;
	return deadline_ns < keeper->next_send_ns ? keeper->next_send_ns : deadline_ns;
}
