/* SPDX-License-Identifier: GPL-2.0-only */
#include <string.h>
#include "pcp_client_message.h"
#include "pcp_proto.h"

#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

/* ---- out ---- */

static void options_encode(struct writer *w, const struct pcp_client_request *request)
{
	unsigned i;

	if (request->is_third_party)
		pcp_encode_third_party(w, request->third_party6);
	if (request->prefers_failure)
		pcp_encode_option(w, PCP_OPTION_PREFER_FAILURE, NULL, 0);
	for (i = 0; i < request->filter_count; i++)
		pcp_encode_filter(w, &request->filters[i]);
	if (request->has_port_set)
		pcp_encode_port_set(w, &request->port_set);
	if (request->description)
		pcp_encode_description(w, request->description, request->description_len);
	if (request->requires_checkpoint)
		pcp_encode_option(w, PCP_OPTION_CHECKPOINT_REQUIRED, NULL, 0);
	if (request->has_next)
		pcp_encode_next(w, request->next_code, &request->next);
}

size_t pcp_client_encode(const struct pcp_client_request *request, const uint8_t client6[16], uint8_t *buffer)
{
	struct pcp_request_header header = { .version = PCP_VERSION, .opcode = request->opcode, .lifetime_s = request->lifetime_s };
	struct writer w;

	memcpy(header.client6, client6, sizeof(header.client6));
	writer_init(&w, buffer, PCP_MESSAGE_MAX);
	pcp_encode_request_header(&w, &header);
	switch (request->opcode) {
	case PCP_ANNOUNCE:
		break;
	case PCP_MAP:
		pcp_encode_map(&w, &request->peer.map);
		break;
	case PCP_PEER:
		pcp_encode_peer(&w, &request->peer);
		break;
	default:
		pcp_encode_get(&w, &request->get);
	}
	options_encode(&w, request);
	return w.overflow ? 0 : writer_len(&w);
}

static uint8_t natpmp_opcode(const struct pcp_client_request *request)
{
	if (request->opcode == PCP_ANNOUNCE)
		return NATPMP_ADDRESS;
	return request->peer.map.protocol == PROTOCOL_TCP ? NATPMP_MAP_TCP : NATPMP_MAP_UDP;
}

size_t natpmp_client_encode(const struct pcp_client_request *request, uint8_t *buffer)
{
	struct natpmp_request natpmp = {
		.opcode = natpmp_opcode(request), .internal_port = request->peer.map.internal_port,
		.external_port = request->peer.map.external_port, .lifetime_s = request->lifetime_s,
	};
	struct writer w;

	writer_init(&w, buffer, PCP_MESSAGE_MAX);
	natpmp_encode_request(&w, &natpmp);
	return writer_len(&w);
}

/* Options of the optional half may be lost: a PCP server might ignore them too. Port 0 would mean "all my mappings" there. */
bool natpmp_client_can(const struct pcp_client_request *request, const uint8_t client6[16])
{
	const struct pcp_map *map = &request->peer.map;

	if (!pcp_address_is_ipv4(client6) || request->is_third_party)
		return false;
	if (request->opcode == PCP_ANNOUNCE)
		return true;
	if (request->opcode != PCP_MAP || !map->internal_port || request->prefers_failure || request->filter_count)
		return false;
	return map->protocol == PROTOCOL_TCP || map->protocol == PROTOCOL_UDP;
}

/* ---- in ---- */

/* The internal address that a response speaks of: the packet's destination, or what THIRD_PARTY says (section 11.4). Options that
 * cannot be read end the search: they are for who uses them to judge. */
static bool internal_matches(const struct pcp_client_request *request, const uint8_t client6[16], struct reader options)
{
	const uint8_t *expected = request->is_third_party ? request->third_party6 : client6;
	uint8_t internal6[16];
	struct pcp_option option;

	memcpy(internal6, client6, sizeof(internal6));
	while (pcp_decode_option(&options, &option) == 1)
		if (option.code == PCP_OPTION_THIRD_PARTY && pcp_decode_third_party(&option, internal6))
			return false;
	return !memcmp(internal6, expected, sizeof(internal6));
}

/* Section 13.2: a success that is not what PREFER_FAILURE insists on is about an earlier mapping. */
static bool suggestion_was_kept(const struct pcp_client_request *request, const struct pcp_map *answered)
{
	const struct pcp_map *asked = &request->peer.map;

	if (!request->prefers_failure)
		return true;
	return asked->external_port == answered->external_port &&
	       (pcp_address_is_any(asked->external6) || !memcmp(asked->external6, answered->external6, sizeof(asked->external6)));
}

static bool map_matches(const struct pcp_client_request *request, const struct pcp_client_reply *reply)
{
	const struct pcp_map *asked = &request->peer.map, *answered = &reply->peer.map;

	if (memcmp(asked->nonce, answered->nonce, sizeof(asked->nonce)) || asked->protocol != answered->protocol ||
	    asked->internal_port != answered->internal_port)
		return false;
	return reply->result != PCP_SUCCESS || suggestion_was_kept(request, answered);
}

static bool peer_matches(const struct pcp_client_request *request, const struct pcp_client_reply *reply)
{
	const struct pcp_peer *asked = &request->peer, *answered = &reply->peer;

	return map_matches(request, reply) && asked->remote_port == answered->remote_port &&
	       !memcmp(asked->remote6, answered->remote6, sizeof(asked->remote6));
}

static bool get_matches(const struct pcp_client_request *request, const struct pcp_client_reply *reply)
{
	const struct pcp_get *asked = &request->get, *answered = &reply->get;

	return asked->protocol == answered->protocol && asked->internal_port == answered->internal_port &&
	       asked->external_port == answered->external_port &&
	       !memcmp(asked->internal6, answered->internal6, sizeof(asked->internal6)) &&
	       !memcmp(asked->external6, answered->external6, sizeof(asked->external6));
}

/* A page that has the locator, but not in front, answers an earlier request that was sent or answered twice: GET has no nonce, and the
 * locator is inclusive (draft B.6). Asking again instead of waiting on would double such answers with every page. */
static bool page_matches(const struct pcp_client_request *request, struct reader options)
{
	struct pcp_option option;
	struct pcp_next next;
	bool is_first = true;

	if (!request->has_next || pcp_next_is_undefined(&request->next))
		return true;
	while (pcp_decode_option(&options, &option) == 1) {
		if (option.code != request->next_code || pcp_decode_next(&option, &next))
			continue;
		if (!is_first && pcp_next_is_same(&next, &request->next))
			return false;
		is_first = false;
	}
	return true;
}

bool pcp_client_body_matches(const struct pcp_client_request *request, const uint8_t client6[16], struct reader *body,
			     struct pcp_client_reply *reply)
{
	bool matches;

	switch (request->opcode) {
	case PCP_ANNOUNCE:
		matches = true;
		break;
	case PCP_MAP:
		matches = !pcp_decode_map(body, &reply->peer.map) && map_matches(request, reply);
		break;
	case PCP_PEER:
		matches = !pcp_decode_peer(body, &reply->peer) && peer_matches(request, reply);
		break;
	default:
		matches = !pcp_decode_get(body, &reply->get) && get_matches(request, reply) &&
			  (reply->result != PCP_SUCCESS || page_matches(request, *body));
	}
	reply->options = *body;
	return matches && internal_matches(request, client6, *body);
}

bool natpmp_client_matches(const struct pcp_client_request *request, const struct natpmp_response *response)
{
	if (response->opcode != natpmp_opcode(request))
		return false;
	if (response->opcode == NATPMP_ADDRESS)
		return true;
	if (response->internal_port != request->peer.map.internal_port)
		return false;
	/* without a nonce, all that tells a late answer to a deletion from one to a creation */
	return response->result != NATPMP_SUCCESS || !response->lifetime_s == !request->lifetime_s;
}
