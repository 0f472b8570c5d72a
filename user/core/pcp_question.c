/* SPDX-License-Identifier: GPL-2.0-only */
/* From a request to a question to the data plane, and from its status to an error: what MAP and PEER have in common. */
#include "pcp_request.h"

static const int status_errors[CGN_STATUS_COUNT] = {
	[CGN_OK] = 0,
	[CGN_NOT_FOUND] = CGN_ENORESOURCES,	/* not expected of a creation; deletions and queries never come here with it */
	[CGN_NONCE_MISMATCH] = CGN_ENONCE,
	[CGN_NOT_ALLOWED] = CGN_ENOTAUTH,
	[CGN_QUOTA] = CGN_EQUOTA,
	[CGN_EXHAUSTED] = CGN_ENORESOURCES,
	[CGN_TABLE_FULL] = CGN_ENORESOURCES,
	[CGN_CANNOT_PROVIDE] = CGN_ECANNOTPROVIDE,
	[CGN_BUSY] = CGN_ENORESOURCES,
	[CGN_BAD_REQUEST] = CGN_EPROTOCOL,
	[CGN_FILTERS_EXCEEDED] = CGN_EPEERS,
};

int pcp_status_error(uint32_t status)
{
	return status < CGN_STATUS_COUNT ? status_errors[status] : CGN_ENORESOURCES;
}

bool pcp_protocol_is_mappable(uint8_t protocol)
{
	return protocol == 6 || protocol == 17;
}

uint32_t pcp_lifetime_grant(const struct pcp_policy *policy, uint32_t requested_s)
{
	if (requested_s < policy->lifetime_min_s)
		return policy->lifetime_min_s;
	return requested_s < policy->lifetime_max_s ? requested_s : policy->lifetime_max_s;
}

void pcp_question_fill(const struct pcp_server *server, const struct pcp_request *request, uint8_t origin,
		       struct cgn_map_request *ret_question)
{
	const struct pcp_map *map = &request->map;
	struct cgn_map_request new = {
		.internal = { .port = map->internal_port, .protocol = map->protocol },
		.client_port = request->datagram->source_port,
		.origin = origin,
		.nonce_policy = server->policy.nonce_policy,
	};

	memcpy(new.internal.addr4, request->internal6 + 12, sizeof(new.internal.addr4));
	memcpy(new.nonce, map->nonce, sizeof(new.nonce));
	memcpy(new.client6, request->datagram->source6, sizeof(new.client6));
	*ret_question = new;
}

void pcp_question_suggest(const struct pcp_map *map, struct cgn_map_request *question)
{
	if (pcp_address_is_ipv4(map->external6))
		memcpy(question->suggested.addr4, map->external6 + 12, sizeof(question->suggested.addr4));
	question->suggested.port = map->external_port;
	question->suggested.protocol = map->protocol;
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
