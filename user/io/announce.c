/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <bpf/bpf.h>
#include "announce.h"
#include "announcer.h"
#include "dataplane.h"
#include "event_loop.h"
#include "log.h"
#include "pcp_server.h"
#include "pcp_service.h"
#include "persistence.h"

#define WALK_BATCH	512	/* explicit mappings read at once */
#define WALK_BATCHES	8	/* and so often in one go */
#define MESSAGE_MAX	PCP_MESSAGE_MAX

struct announce {
	struct ev_loop *loop;
	struct ev_timer timer;
	struct dataplane *dp;
	struct persistence *persistence;
	struct pcp_server *server;
	struct pcp_service *service;
	struct announcer *announcer;
	struct announce_stats stats;
	/* the walk over explicit mappings: what was read last, and where it goes on */
	struct cgn_explicit_key keys[WALK_BATCH], token;
	struct cgn_explicit values[WALK_BATCH];
	uint32_t count, next;
	bool has_token, is_last;
};

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void again_at(struct announce *announce, uint64_t now_ms)
{
	uint64_t next_ms = announcer_next_ms(announce->announcer);

	ev_timer_stop(announce->loop, &announce->timer);
	if (next_ms == ANNOUNCER_NEVER)
		return;
	ev_now_update(announce->loop);
	ev_timer_set(&announce->timer, next_ms > now_ms ? (double)(next_ms - now_ms) / 1000. + 0.0005 : 0., 0.);
	ev_timer_start(announce->loop, &announce->timer);
}

/* ---- known clients ---- */

static void walk_restart(struct announce *announce)
{
	announce->count = announce->next = 0;
	announce->has_token = announce->is_last = false;
}

/* The next explicit mappings. False: there are no more. */
static bool walk_read(struct announce *announce)
{
	struct cgn_explicit_key next;
	uint32_t count = WALK_BATCH;
	int failed;

	if (announce->is_last)
		return false;
	failed = bpf_map_lookup_batch(dataplane_map_fd(announce->dp, DP_EXPLICIT), announce->has_token ? &announce->token : NULL, &next,
				      announce->keys, announce->values, &count, NULL);
	if (failed && errno != ENOENT) {
		log_error("cannot read explicit mappings, some clients are not told: %s", strerror(errno));
		return false;
	}
	announce->is_last = failed;
	announce->token = next;
	announce->has_token = true;
	announce->count = count;
	announce->next = 0;
	return true;
}

/* RFC 6886 section 3.2.1 has it multicast, which on a routed network reaches nobody: to the port where clients listen for that. */
static void tell_natpmp_address(struct announce *announce, const uint8_t client6[16], const uint8_t external4[4])
{
	uint8_t message[MESSAGE_MAX];
	size_t len = pcp_server_natpmp_announcement(announce->server, client6, external4, dataplane_now_s(), message, sizeof(message));

	announce->stats.unicasts += pcp_service_send(announce->service, client6 + 12, PCP_CLIENT_PORT, message, len);
}

static void tell_natpmp_client(struct announce *announce, const struct cgn_explicit *element, const uint8_t client6[16])
{
	uint32_t count, address = CGN_SLOT_ADDRESS(element->slot);
	const struct cgn_pool *pools = dataplane_pools(announce->dp, &count);

	if (address < count)
		tell_natpmp_address(announce, client6, pools[address].addr4);
}

static void tell_client(struct announce *announce, const struct cgn_explicit_key *key, const struct cgn_explicit *element)
{
	uint8_t message[MESSAGE_MAX], client6[16];
	size_t len;

	if (!element->client_port)
		return;
	pcp_address_from_ipv4(element->client4, client6);
	if (!announcer_take_unicast(announce->announcer, client6, element->client_port))
		return;
	len = pcp_server_announcement_to(announce->server, client6, dataplane_now_s(), message, sizeof(message));
	announce->stats.unicasts += pcp_service_send(announce->service, element->client4, element->client_port, message, len);
	if (key->opcode == CGN_MAP && pcp_server_may_be_natpmp(announce->server, element->nonce))
		tell_natpmp_client(announce, element, client6);
}

/* As many as may be told now, or as are worth a slice of the loop's time. */
static void tell_clients(struct announce *announce, uint64_t now_ms)
{
	unsigned batches = 0;

	if (!announcer_unicasts_due(announce->announcer, now_ms))
		return;
	while (announcer_unicasts_left(announce->announcer)) {
		if (announce->next < announce->count) {
			tell_client(announce, &announce->keys[announce->next], &announce->values[announce->next]);
			announce->next++;
			continue;
		}
		if (batches++ == WALK_BATCHES)
			return;
		if (!walk_read(announce)) {
			announcer_end_pass(announce->announcer, now_ms);
			walk_restart(announce);
			return;
		}
	}
}

/* ---- what is due ---- */

static void send_multicast(struct announce *announce)
{
	uint8_t message[MESSAGE_MAX], external4[4];
	uint32_t now_s = dataplane_now_s();
	size_t len = pcp_server_announcement(announce->server, now_s, message, sizeof(message));

	if (!len)
		return;		/* not the same Epoch for all */
	announce->stats.multicasts += pcp_service_multicast(announce->service, message, len);
	if (!pcp_service_natpmp_address(announce->service, external4))
		return;
	len = pcp_server_natpmp_announcement(announce->server, NULL, external4, now_s, message, sizeof(message));
	announce->stats.multicasts += pcp_service_multicast(announce->service, message, len);
}

static void send_natpmp_update(struct announce *announce, const struct pcp_update *update)
{
	uint8_t message[MESSAGE_MAX];
	size_t len = pcp_server_natpmp_update(announce->server, update, dataplane_now_s(), message, sizeof(message));

	if (!len)
		return;
	announce->stats.updates += pcp_service_send(announce->service, update->client6 + 12, update->client_port, message, len);
	if (update->result == PCP_SUCCESS)	/* which says the port, not the address */
		tell_natpmp_address(announce, update->client6, update->peer.map.external6 + 12);
}

static void send_updates(struct announce *announce, uint64_t now_ms)
{
	const struct pcp_update *update;
	uint8_t message[MESSAGE_MAX];
	size_t len;

	while ((update = announcer_take_update(announce->announcer, now_ms))) {
		len = pcp_server_update(announce->server, update, dataplane_now_s(), message, sizeof(message));
		if (!len || !pcp_address_is_ipv4(update->client6))
			continue;
		announce->stats.updates += pcp_service_send(announce->service, update->client6 + 12, update->client_port, message, len);
		send_natpmp_update(announce, update);
	}
}

static void handle_timer(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct announce *announce = timer->data;
	uint64_t now_ms = monotonic_ms();

	(void)loop;
	(void)events;
	if (announcer_take_multicast(announce->announcer, now_ms))
		send_multicast(announce);
	send_updates(announce, now_ms);
	tell_clients(announce, now_ms);
	again_at(announce, now_ms);
}

/* ---- occasions ---- */

void announce_start(struct announce *announce)
{
	uint64_t now_ms = monotonic_ms();

	walk_restart(announce);
	announcer_start(announce->announcer, now_ms);
	again_at(announce, now_ms);
}

bool announce_reset(struct announce *announce, int reason)
{
	struct cgn_meta meta;

	if (!persistence_reset_epoch(announce->persistence, (enum cgn_epoch_reason)reason) || !dataplane_meta(announce->dp, &meta))
		return false;
	dataplane_forget_epochs(announce->dp);
	pcp_server_set_epoch_base(announce->server, meta.epoch_base_s);
	announce_start(announce);
	return true;
}

/* First in the tables: a daemon that dies in between has told nobody. On disk with the next commit, before anybody is answered. */
bool announce_reset_of(struct announce *announce, const uint8_t client6[16], int reason)
{
	uint32_t now_s = dataplane_now_s();

	if (!persistence_reset_epoch_of(announce->persistence, client6, now_s, (enum cgn_epoch_reason)reason) ||
	    !pcp_server_reset_epoch_of(announce->server, client6, now_s)) {
		log_warning("too many clients have an Epoch of their own: that of all starts again");
		return announce_reset(announce, reason);
	}
	return true;
}

bool announce_update(struct announce *announce, const struct pcp_update *update)
{
	uint64_t now_ms = monotonic_ms();

	if (!announcer_update(announce->announcer, update, now_ms))
		return false;
	again_at(announce, now_ms);
	return true;
}

static bool update_from_server(void *context, const struct pcp_update *update)
{
	return announce_update(context, update);
}

/* ---- life ---- */

/* Those older than the Epoch of all say nothing any more. */
static void adopt_epochs(struct announce *announce)
{
	struct cgn_client client = {};
	struct cgn_epoch epoch;
	struct cgn_meta meta;
	bool is_first = true;

	if (!dataplane_meta(announce->dp, &meta))
		return;
	while (dataplane_next_epoch(announce->dp, &client, is_first, &epoch)) {
		is_first = false;
		if ((int32_t)(epoch.base_s - meta.epoch_base_s) <= 0)
			continue;
		if (!pcp_server_set_epoch_base_of(announce->server, client.client6, epoch.base_s)) {
			announce_reset(announce, CGN_EPOCH_STATE_LOST);
			return;
		}
	}
}

struct announce *announce_new(struct ev_loop *loop, struct dataplane *dp, struct persistence *persistence, struct pcp_server *server,
			      struct pcp_service *service)
{
	struct announce *announce = calloc(1, sizeof(*announce));

	if (!announce)
		return NULL;
	announce->loop = loop;
	announce->dp = dp;
	announce->persistence = persistence;
	announce->server = server;
	announce->service = service;
	ev_timer_init(&announce->timer, handle_timer, 0., 0.);
	announce->timer.data = announce;
	announce->announcer = announcer_new();
	if (!announce->announcer) {
		free(announce);
		return NULL;
	}
	pcp_server_set_announcer(server, announce->announcer);
	pcp_server_set_updater(server, update_from_server, announce);
	adopt_epochs(announce);
	return announce;
}

void announce_free(struct announce *announce)
{
	if (!announce)
		return;
	ev_timer_stop(announce->loop, &announce->timer);
	pcp_server_set_announcer(announce->server, NULL);
	pcp_server_set_updater(announce->server, NULL, NULL);
	announcer_free(announce->announcer);
	free(announce);
}

const struct announce_stats *announce_stats(const struct announce *announce)
{
	return &announce->stats;
}
