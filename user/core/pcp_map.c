/* SPDX-License-Identifier: GPL-2.0-only */
/* The MAP opcode (RFC 6887 sections 11 and 15). What mappings exist, and which endpoint is free, only the data plane knows. */
#include "pcp_request.h"

void pcp_map_decode(struct reader *body, struct pcp_request *request)
{
	(void)pcp_decode_map(body, &request->map);	/* the caller has seen to the length */
}

void pcp_map_encode(struct writer *w, const struct pcp_answer *answer)
{
	pcp_encode_map(w, &answer->map);
}

/* Section 15.1. The suggestion is copied into the answer; what does not exist is deleted already. */
static int map_delete(const struct pcp_server *server, const struct pcp_request *request, struct pcp_answer *answer)
{
	const struct pcp_map *map = &request->map;
	struct cgn_map_request question, answered;
	int error = 0;

	answer->map = *map;
	answer->lifetime_s = 0;
	/* Wildcard mappings, IPv6 ones and those of other protocols are never made. Port 0 is no "all my mappings". */
	if (!map->internal_port || !pcp_protocol_is_mappable(map->protocol) || !pcp_address_is_ipv4(request->internal6))
		return 0;
	pcp_question_fill(server, request, CGN_MAP, &question);
	if (request->set_size)
		error = pcp_set_ask(server, request, &question, &answered);
	if (!request->set_size || (!error && answered.status == CGN_NOT_FOUND))
		error = pcp_dataplane_ask(server, server->ops->delete, &question, &answered);
	if (error)
		return error;
	if (answered.status == CGN_NOT_FOUND)
		return 0;
	if (!request->set_size && answered.status == CGN_OK)
		pcp_set_follow(server, request, &question, &answered);
	answer->lifetime_s = answered.lifetime_s;
	return pcp_status_error(answered.status);
}

/* The wish of an IPv6 address cannot be met. It is a hint like any other, unless PREFER_FAILURE makes it a condition. */
static int suggestion_fill(const struct pcp_request *request, struct cgn_map_request *question)
{
	if (request->prefers_failure && !pcp_address_is_ipv4(request->map.external6))
		return CGN_ECANNOTPROVIDE;
	if (request->prefers_failure)
		question->flags |= CGN_PREFER_FAILURE;
	pcp_question_suggest(&request->map, question);
	return 0;
}

/* A static mapping is the operator's: it has no client's text. */
static void map_describe(const struct pcp_server *server, const struct pcp_request *request, const struct cgn_map_request *answered,
			 struct pcp_answer *answer)
{
	struct cgn_explicit_key key = { .internal = answered->internal, .opcode = CGN_MAP };

	if (answered->set_size)	/* a set's stands with its first port */
		key.internal.port = answered->set_first;
	pcp_description_store(server, request, &key, answer);
}

static void filters_fill(const struct pcp_server *server, const struct pcp_request *request, struct cgn_map_request *question)
{
	if (request->clears_filters)
		question->flags |= CGN_CLEAR_FILTERS;
	question->filter_count = request->filter_count;
	question->filter_limit = (uint8_t)(server->policy.filters < CGN_FILTERS_MAX ? server->policy.filters : CGN_FILTERS_MAX);
}

/* As pcp_dataplane_ask(), with the request's filters. */
static int map_ask(const struct pcp_server *server, const struct pcp_request *request, const struct cgn_map_request *question,
		   struct cgn_map_request *ret_answer)
{
	int error, tries;

	if (!request->filter_count)
		return pcp_dataplane_ask(server, server->ops->map, question, ret_answer);
	for (tries = 0; tries < PCP_TRIES; tries++) {
		*ret_answer = *question;
		error = server->ops->map_filtered(server->dataplane, ret_answer, request->filters);
		if (error || ret_answer->status != CGN_BUSY)
			return error;
	}
	return 0;
}

/* The set that is asked for, or the single mapping; and what becomes of a set by a request for one of its ports. */
static int map_or_set_ask(const struct pcp_server *server, const struct pcp_request *request, const struct cgn_map_request *question,
			  struct cgn_map_request *ret_answer)
{
	bool is_set = request->set_size;
	int error = is_set ? pcp_set_ask(server, request, question, ret_answer) : 0;

	if (is_set && (error || ret_answer->status != CGN_NOT_FOUND))
		return error;
	error = map_ask(server, request, question, ret_answer);
	if (!error && ret_answer->status == CGN_OK)
		pcp_set_follow(server, request, question, ret_answer);
	if (!error && !is_set)
		ret_answer->set_size = 0;	/* the answer is of the one port */
	return error;
}

/* Creates, or renews what is there (section 11.3). */
static int map_create(const struct pcp_server *server, const struct pcp_request *request, struct pcp_answer *answer)
{
	struct cgn_map_request question, answered;
	int error;

	/* an address shared by many subscribers has no "all ports" to give */
	if (!request->map.internal_port || !pcp_protocol_is_mappable(request->map.protocol))
		return CGN_EPROTOCOL;
	if (!pcp_address_is_ipv4(request->internal6))
		return CGN_ENOTAUTH;	/* as any host that is no subscriber */
	pcp_question_fill(server, request, CGN_MAP, &question);
	question.lifetime_s = pcp_lifetime_grant(&server->policy, request->header.lifetime_s);
	filters_fill(server, request, &question);
	error = suggestion_fill(request, &question);
	if (!error)
		error = map_or_set_ask(server, request, &question, &answered);
	if (error)
		return error;
	answer->map = request->map;
	answer->map.external_port = answered.external.port;
	pcp_address_from_ipv4(answered.external.addr4, answer->map.external6);
	answer->set_first = answered.set_first;
	answer->set_size = answered.set_size;
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
