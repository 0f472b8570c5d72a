/* SPDX-License-Identifier: GPL-2.0-only */
/* The PORT_SET option of MAP (RFC 7753): a run of ports asked for, renewed and ended as one. A request that overlaps mappings which
 * exist refreshes those instead (section 4.4.1): the first is answered, of each other the client is told by a Mapping Update. */
#include "announcer.h"
#include "pcp_request.h"

#define OVERLAPS_MAX 16		/* refreshed by one request: more answers than that a request does not provoke */

static int set_ask(const struct pcp_server *server, const struct pcp_request *request, const struct cgn_map_request *question,
		   struct cgn_map_request *ret_answer)
{
	int error, tries;

	for (tries = 0; tries < PCP_TRIES; tries++) {
		*ret_answer = *question;
		error = server->ops->set(server->dataplane, ret_answer, request->filters);
		if (error || ret_answer->status != CGN_BUSY)
			return error;
	}
	return 0;
}

static unsigned set_first(const struct cgn_map_request *answered)
{
	return answered->set_size ? answered->set_first : answered->internal.port;
}

/* The port behind those that were answered for. */
static unsigned set_end(const struct cgn_map_request *answered)
{
	return set_first(answered) + (answered->set_size ? answered->set_size : 1u);
}

static void tell(const struct pcp_server *server, const struct pcp_request *request, const struct cgn_map_request *refreshed)
{
	struct pcp_update update = { .opcode = PCP_MAP, .client_port = request->datagram->source_port,
		.expires_s = request->now_s + refreshed->lifetime_s, .set_size = refreshed->set_size, .set_first = refreshed->set_first };
	struct pcp_map *map = &update.peer.map;

	if (!server->update)
		return;
	memcpy(update.client6, request->datagram->source6, sizeof(update.client6));
	memcpy(update.internal6, request->internal6, sizeof(update.internal6));
	*map = request->map;
	map->internal_port = (uint16_t)set_first(refreshed);
	map->external_port = refreshed->external.port;
	pcp_address_from_ipv4(refreshed->external.addr4, map->external6);
	server->update(server->update_context, &update);
}

/* What else of [from, end) exists. A deletion tells nobody: what ended is not there any more. */
static void overlaps_refresh(const struct pcp_server *server, const struct pcp_request *request, const struct cgn_map_request *question,
			     unsigned from, unsigned end)
{
	struct cgn_map_request next = *question, answered;
	unsigned count;

	next.flags |= CGN_RENEW_ONLY;
	for (count = 0; count < OVERLAPS_MAX && from < end && from <= UINT16_MAX; count++) {
		next.internal.port = (uint16_t)from;
		next.set_size = (uint16_t)(end - from);
		if (set_ask(server, request, &next, &answered) || answered.status != CGN_OK)
			return;
		if (question->lifetime_s)
			tell(server, request, &answered);
		from = set_end(&answered);
	}
}

int pcp_set_ask(const struct pcp_server *server, const struct pcp_request *request, const struct cgn_map_request *question,
		struct cgn_map_request *ret_answer)
{
	struct cgn_map_request set = *question;
	unsigned end = question->internal.port + request->set_size;
	int error;

	set.set_size = request->set_size;
	if (request->keeps_parity)
		set.flags |= CGN_KEEP_PARITY;
	error = set_ask(server, request, &set, ret_answer);
	if (!error && ret_answer->status == CGN_OK)
		overlaps_refresh(server, request, &set, set_end(ret_answer), end);
	return error;
}

void pcp_set_follow(const struct pcp_server *server, const struct pcp_request *request, const struct cgn_map_request *question,
		    const struct cgn_map_request *answered)
{
	struct cgn_map_request set = *question, rest;

	if (answered->set_size <= 1)
		return;
	set.internal.port = answered->set_first;
	set.set_size = answered->set_size;
	set.flags |= CGN_RENEW_ONLY;
	(void)set_ask(server, request, &set, &rest);
}
