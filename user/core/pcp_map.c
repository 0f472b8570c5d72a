/* SPDX-License-Identifier: GPL-2.0-only */
/* The MAP opcode (RFC 6887 sections 11 and 15). What mappings exist, and which endpoint is free, only the data plane knows. */
#include "pcp_request.h"

static const int status_errors[CGN_STATUS_COUNT] = {
	[CGN_OK] = 0,
	[CGN_NOT_FOUND] = CGN_ENORESOURCES,	/* not expected of a creation; a deletion never comes here with it */
	[CGN_NONCE_MISMATCH] = CGN_ENONCE,
	[CGN_NOT_ALLOWED] = CGN_ENOTAUTH,
	[CGN_QUOTA] = CGN_EQUOTA,
	[CGN_EXHAUSTED] = CGN_ENORESOURCES,
	[CGN_TABLE_FULL] = CGN_ENORESOURCES,
	[CGN_CANNOT_PROVIDE] = CGN_ECANNOTPROVIDE,
	[CGN_BUSY] = CGN_ENORESOURCES,
	[CGN_BAD_REQUEST] = CGN_EPROTOCOL,
};

void pcp_map_decode(struct reader *body, struct pcp_request *request)
{
	(void)pcp_decode_map(body, &request->map);	/* the caller has seen to the length */
}

void pcp_map_encode(struct writer *w, const struct pcp_answer *answer)
{
	pcp_encode_map(w, &answer->map);
}

static bool protocol_is_mappable(uint8_t protocol)
{
	return protocol == 6 || protocol == 17;
}

static uint32_t lifetime_grant(const struct pcp_policy *policy, uint32_t requested_s)
{
	if (requested_s < policy->lifetime_min_s)
		return policy->lifetime_min_s;
	return requested_s < policy->lifetime_max_s ? requested_s : policy->lifetime_max_s;
}

static void request_fill(const struct pcp_server *server, const struct pcp_request *request, struct cgn_map_request *ret_request)
{
	const struct pcp_map *map = &request->map;
	struct cgn_map_request new = {
		.internal = { .port = map->internal_port, .protocol = map->protocol },
		.client_port = request->datagram->source_port,
		.origin = CGN_MAP,
		.nonce_policy = server->policy.nonce_policy,
	};

	memcpy(new.internal.addr4, request->internal6 + 12, sizeof(new.internal.addr4));
	memcpy(new.nonce, map->nonce, sizeof(new.nonce));
	memcpy(new.client6, request->datagram->source6, sizeof(new.client6));
	*ret_request = new;
}

int pcp_dataplane_ask(const struct pcp_server *server, int (*operation)(void *, struct cgn_map_request *),
		      const struct cgn_map_request *question, struct cgn_map_request *ret_answer)
{
	int error, tries;

	for (tries = 0; tries < PCP_TRIES; tries++) {
		*ret_answer = *question;
		error = operation(server->dataplane, ret_answer);
		if (error)
			return error;
		if (ret_answer->status != CGN_BUSY)
			return 0;
	}
	return 0;
}

int pcp_status_error(uint32_t status)
{
	return status < CGN_STATUS_COUNT ? status_errors[status] : CGN_ENORESOURCES;
}

/* Section 15.1. The suggestion is copied into the answer; what does not exist is deleted already. */
static int map_delete(const struct pcp_server *server, const struct pcp_request *request, struct pcp_answer *answer)
{
	const struct pcp_map *map = &request->map;
	struct cgn_map_request question, answered;
	int error;

	answer->map = *map;
	answer->lifetime_s = 0;
	/* Wildcard mappings, IPv6 ones and those of other protocols are never made. Port 0 is no "all my mappings". */
	if (!map->internal_port || !protocol_is_mappable(map->protocol) || !pcp_address_is_ipv4(request->internal6))
		return 0;
	request_fill(server, request, &question);
	error = pcp_dataplane_ask(server, server->ops->delete, &question, &answered);
	if (error)
		return error;
	if (answered.status == CGN_NOT_FOUND)
		return 0;
	answer->lifetime_s = answered.lifetime_s;
	return pcp_status_error(answered.status);
}

/* The wish of an IPv6 address cannot be met. It is a hint like any other, unless PREFER_FAILURE makes it a condition. */
static int suggestion_fill(const struct pcp_request *request, struct cgn_map_request *question)
{
	const struct pcp_map *map = &request->map;
	bool is_ipv4 = pcp_address_is_ipv4(map->external6);

	if (request->prefers_failure && !is_ipv4)
		return CGN_ECANNOTPROVIDE;
	if (request->prefers_failure)
		question->flags |= CGN_PREFER_FAILURE;
	if (is_ipv4)
		memcpy(question->suggested.addr4, map->external6 + 12, sizeof(question->suggested.addr4));
	question->suggested.port = map->external_port;
	question->suggested.protocol = map->protocol;
	return 0;
}

/* A static mapping is the operator's: it has no client's text. */
static void map_describe(const struct pcp_server *server, const struct pcp_request *request, const struct cgn_map_request *answered,
			 struct pcp_answer *answer)
{
	struct cgn_explicit_key key = { .internal = answered->internal, .opcode = CGN_MAP };

	pcp_description_store(server, request, &key, answer);
}

/* Creates, or renews what is there (section 11.3). */
static int map_create(const struct pcp_server *server, const struct pcp_request *request, struct pcp_answer *answer)
{
	struct cgn_map_request question, answered;
	int error;

	/* an address shared by many subscribers has no "all ports" to give */
	if (!request->map.internal_port || !protocol_is_mappable(request->map.protocol))
		return CGN_EPROTOCOL;
	if (!pcp_address_is_ipv4(request->internal6))
		return CGN_ENOTAUTH;	/* as any host that is no subscriber */
	request_fill(server, request, &question);
	question.lifetime_s = lifetime_grant(&server->policy, request->header.lifetime_s);
	error = suggestion_fill(request, &question);
	if (!error)
		error = pcp_dataplane_ask(server, server->ops->map, &question, &answered);
	if (error)
		return error;
	answer->map = request->map;
	answer->map.external_port = answered.external.port;
	pcp_address_from_ipv4(answered.external.addr4, answer->map.external6);
	answer->lifetime_s = answered.lifetime_s;	/* CGN_FOREVER of a static mapping is the 2^32-1 of the wire */
	if (answered.status == CGN_OK)
		map_describe(server, request, &answered, answer);
	return pcp_status_error(answered.status);
}

int pcp_map_decide(struct pcp_server *server, const struct pcp_request *request, struct pcp_answer *answer)
{
	if (!request->map.protocol && request->map.internal_port)
		return CGN_EMALFORMED;
	return request->header.lifetime_s ? map_create(server, request, answer) : map_delete(server, request, answer);
}
