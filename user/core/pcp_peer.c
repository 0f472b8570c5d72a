/* SPDX-License-Identifier: GPL-2.0-only */
/* The PEER opcode (RFC 6887 section 12): a mapping towards one remote peer, made before its first packet or made to last. */
#include "pcp_request.h"

void pcp_peer_decode(struct reader *body, struct pcp_request *request)
{
	struct pcp_peer peer;

	if (pcp_decode_peer(body, &peer))
		return;		/* never: the caller has seen to the length */
	request->map = peer.map;
	memcpy(request->remote6, peer.remote6, sizeof(request->remote6));
	request->remote_port = peer.remote_port;
}

void pcp_peer_encode(struct writer *w, const struct pcp_answer *answer)
{
	struct pcp_peer peer = { .map = answer->map, .remote_port = answer->remote_port };

	memcpy(peer.remote6, answer->remote6, sizeof(peer.remote6));
	pcp_encode_peer(w, &peer);
}

/* The data plane makes no mapping for packets to such addresses; IPv6 ones no NAT44 translates. */
static bool remote_is_valid(const uint8_t remote6[16])
{
	uint8_t first = remote6[12];

	return pcp_address_is_ipv4(remote6) && first != 0 && first != 127 && first < 224;
}

static int peer_check(const struct pcp_request *request)
{
	const struct pcp_map *map = &request->map;

	if (!map->protocol || !map->internal_port || !request->remote_port)
		return CGN_EMALFORMED;
	if (!pcp_protocol_is_mappable(map->protocol))
		return CGN_EPROTOCOL;
	if (!pcp_address_is_ipv4(request->internal6))
		return CGN_ENOTAUTH;	/* as any host that is no subscriber */
	return remote_is_valid(request->remote6) ? 0 : CGN_EMALFORMED;
}

/* What is suggested is a condition, if there is no mapping yet; of an IPv6 address one that is never met. */
static void suggestion_fill(const struct pcp_map *map, struct cgn_map_request *question)
{
	pcp_question_suggest(map, question);
	if (map->external_port || !pcp_address_is_any(map->external6))
		question->flags |= CGN_PREFER_FAILURE;
	if (!pcp_address_is_any(map->external6) && !pcp_address_is_ipv4(map->external6))
		memset(question->suggested.addr4, 0xff, sizeof(question->suggested.addr4));	/* no address of any pool */
}

static void peer_describe(const struct pcp_server *server, const struct pcp_request *request, const struct cgn_map_request *answered,
			  struct pcp_answer *answer)
{
	struct cgn_explicit_key key = { .internal = answered->internal, .opcode = CGN_PEER };

	pcp_description_store(server, request, &key, answer);
}

/* Section 12.3. A lifetime of 0 asks; what does not exist has a lifetime of 0 left, and its suggestion comes back. */
int pcp_peer_decide(struct pcp_server *server, const struct pcp_request *request, struct pcp_answer *answer)
{
	struct cgn_map_request question, answered;
	int error = peer_check(request);

	if (error)
		return error;
	pcp_question_fill(server, request, CGN_PEER, &question);
	memcpy(question.remote6, request->remote6, sizeof(question.remote6));
	question.remote_port = request->remote_port;
	if (request->header.lifetime_s)
		question.lifetime_s = pcp_lifetime_grant(&server->policy, request->header.lifetime_s);
	suggestion_fill(&request->map, &question);
	error = pcp_dataplane_ask(server, server->ops->peer, &question, &answered);
	if (error)
		return error;
	answer->map = request->map;
	memcpy(answer->remote6, request->remote6, sizeof(answer->remote6));
	answer->remote_port = request->remote_port;
	if (!question.lifetime_s && answered.status == CGN_NOT_FOUND)
		return 0;
	answer->map.external_port = answered.external.port;
	pcp_address_from_ipv4(answered.external.addr4, answer->map.external6);
	answer->lifetime_s = answered.lifetime_s;
	if (answered.status == CGN_OK)
		peer_describe(server, request, &answered, answer);
	return pcp_status_error(answered.status);
}
