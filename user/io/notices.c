/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>
#include <string.h>
#include "dataplane.h"
#include "event_loop.h"
#include "notices.h"
#include "pcp_codec.h"
#include "pcp_server.h"
#include "pcp_service.h"

#define PASSES		3
#define GAP_S		0.25	/* after the first pass, then twice that */
#define SLICE_S		0.01
#define SLICE		20	/* 2000 clients in a second */

struct notice {
	uint8_t client6[16];
	uint16_t client_port;
	uint8_t sent;
};

struct notices {
	struct ev_loop *loop;
	struct ev_timer timer;
	const struct pcp_server *server;
	struct pcp_service *service;
	struct notice *notice;
	size_t count, size;
	size_t next;		/* of this pass */
	unsigned passes;	/* that are over */
};

static void again_in(struct notices *notices, double seconds)
{
	ev_timer_stop(notices->loop, &notices->timer);
	ev_now_update(notices->loop);
	ev_timer_set(&notices->timer, seconds, 0.);
	ev_timer_start(notices->loop, &notices->timer);
}

static void tell(struct notices *notices, struct notice *notice)
{
	uint8_t message[PCP_MESSAGE_MAX];
	size_t len = pcp_server_announcement_to(notices->server, notice->client6, dataplane_now_s(), message, sizeof(message));

	pcp_service_send(notices->service, notice->client6 + 12, notice->client_port, message, len);
	notice->sent++;
}

static void end_pass(struct notices *notices)
{
	size_t kept = 0, i;

	for (i = 0; i < notices->count; i++)
		if (notices->notice[i].sent < PASSES)
			notices->notice[kept++] = notices->notice[i];
	notices->count = kept;
	notices->next = 0;
	notices->passes++;
	if (kept) {
		again_in(notices, GAP_S * (notices->passes < PASSES ? notices->passes : PASSES));
		return;
	}
	free(notices->notice);
	notices->notice = NULL;
	notices->size = notices->passes = 0;
}

static void handle_timer(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct notices *notices = timer->data;
	size_t end = notices->next + SLICE;

	(void)loop;
	(void)events;
	for (; notices->next < notices->count && notices->next < end; notices->next++)
		tell(notices, &notices->notice[notices->next]);
	if (notices->next < notices->count)
		again_in(notices, SLICE_S);
	else
		end_pass(notices);
}

static bool is_known(const struct notices *notices, const uint8_t client6[16], uint16_t client_port)
{
	size_t i = notices->count < SLICE ? 0 : notices->count - SLICE;	/* those of one host come one after another */

	for (; i < notices->count; i++)
		if (notices->notice[i].client_port == client_port && !memcmp(notices->notice[i].client6, client6, 16))
			return true;
	return false;
}

bool notices_add(struct notices *notices, const uint8_t client6[16], uint16_t client_port)
{
	size_t size = notices->size ? notices->size * 2 : 64;
	struct notice *grown;

	if (!client_port || !pcp_address_is_ipv4(client6) || is_known(notices, client6, client_port))
		return true;
	if (notices->count == notices->size) {
		grown = realloc(notices->notice, size * sizeof(*grown));
		if (!grown)
			return false;
		notices->notice = grown;
		notices->size = size;
	}
	notices->notice[notices->count] = (struct notice){ .client_port = client_port };
	memcpy(notices->notice[notices->count++].client6, client6, 16);
	notices->passes = 0;
	again_in(notices, 0.);
	return true;
}

struct notices *notices_new(struct ev_loop *loop, const struct pcp_server *server, struct pcp_service *service)
{
	struct notices *notices = calloc(1, sizeof(*notices));

	if (!notices)
		return NULL;
	notices->loop = loop;
	notices->server = server;
	notices->service = service;
	ev_timer_init(&notices->timer, handle_timer, 0., 0.);
	notices->timer.data = notices;
	return notices;
}

void notices_free(struct notices *notices)
{
	if (!notices)
		return;
	ev_timer_stop(notices->loop, &notices->timer);
	free(notices->notice);
	free(notices);
}
