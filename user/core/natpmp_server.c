/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT-PMP (RFC 6886) beside PCP on the same port. Its mappings are MAP mappings with a nonce of zeros: NAT-PMP knows none. So a
 * client renews and deletes what NAT-PMP made, while what PCP made is shown to it and otherwise left alone, unless the nonce
 * policy permits more. The companion port of the other protocol (section 3.3) lies in the same port block, thus is the
 * subscriber's already. */
#include <stdlib.h>
#include "announcer.h"
#include "natpmp_codec.h"
#include "pcp_request.h"

static uint8_t protocol_of(uint8_t opcode)
{
	return opcode == NATPMP_MAP_UDP ? 17 : 6;
}

static void request_fill(const struct pcp_server *server, const struct pcp_datagram *datagram, uint8_t protocol, uint16_t internal_port,
			 struct cgn_map_request *ret_request)
{
	struct cgn_map_request new = {
		.internal = { .port = internal_port, .protocol = protocol },
		.client_port = datagram->source_port,
		.origin = CGN_MAP,
		.nonce_policy = server->policy.nonce_policy,
	};

	memcpy(new.internal.addr4, datagram->source6 + 12, sizeof(new.internal.addr4));
	memcpy(new.client6, datagram->source6, sizeof(new.client6));
	*ret_request = new;
}

static uint32_t least_of(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* ---- address (section 3.2) ---- */

static int address_decide(const struct pcp_server *server, const struct pcp_datagram *datagram, struct natpmp_response *response)
{
	struct cgn_pair_request request = { .status = CGN_OK };
	int error, tries;

	memcpy(request.subscriber.addr4, datagram->source6 + 12, sizeof(request.subscriber.addr4));
	for (tries = 0; tries < PCP_TRIES; tries++) {
		error = server->ops->pair(server->dataplane, &request);
		if (error)
			return error;
		if (request.status != CGN_BUSY)
			break;
	}
	error = pcp_status_error(request.status);
	if (!error)
		memcpy(response->external4, request.addr4, sizeof(response->external4));
	return error;
}

/* ---- mappings (section 3.3) ---- */

/* What is mapped already is told, whoever asked for it; its lifetime is not touched. */
static int map_tell(const struct pcp_server *server, const struct cgn_map_request *refused, uint32_t asked_s, struct natpmp_response *response)
{
	struct cgn_mapping mapping;

	if (!server->ops->find(server->dataplane, &refused->internal, &mapping))
		return CGN_ENORESOURCES;	/* just gone */
	response->external_port = mapping.external.port;
	response->lifetime_s = least_of(refused->lifetime_s, asked_s);
	return 0;
}

/* Never longer than asked, so that the least lifetime of PCP does not count here. */
static int map_create(const struct pcp_server *server, const struct pcp_datagram *datagram, const struct natpmp_request *request,
		      struct natpmp_response *response)
{
	struct cgn_map_request question, answered;
	int error;

	if (!request->internal_port)
		return CGN_ENOTAUTH;
	request_fill(server, datagram, protocol_of(request->opcode), request->internal_port, &question);
	question.lifetime_s = least_of(request->lifetime_s, server->policy.lifetime_max_s);
	question.suggested.port = request->external_port;
	question.suggested.protocol = question.internal.protocol;
	error = pcp_dataplane_ask(server, server->ops->map, &question, &answered);
	if (error)
		return error;
	if (answered.status == CGN_NONCE_MISMATCH)
		return map_tell(server, &answered, request->lifetime_s, response);
	if (answered.status != CGN_OK)
		return pcp_status_error(answered.status);
	response->external_port = answered.external.port;
	response->lifetime_s = least_of(answered.lifetime_s, request->lifetime_s);
	if (server->announcer)
		announcer_refreshed(server->announcer, datagram->source6, &(struct pcp_map){ .protocol = question.internal.protocol,
				    .internal_port = request->internal_port });
	return 0;
}

/* ---- deletion (section 3.4) ---- */

/* What packets or PEER keep is no mapping of NAT-PMP, thus gone already; the operator's may not go. */
static int delete_one(const struct pcp_server *server, const struct pcp_datagram *datagram, uint8_t protocol, uint16_t internal_port)
{
	struct cgn_map_request question, answered;
	struct cgn_mapping mapping;
	int error;

	request_fill(server, datagram, protocol, internal_port, &question);
	error = pcp_dataplane_ask(server, server->ops->delete, &question, &answered);
	if (error)
		return error;
	if (answered.status == CGN_NOT_FOUND)
		return 0;
	if (answered.status != CGN_NOT_ALLOWED)
		return pcp_status_error(answered.status);
	return server->ops->find(server->dataplane, &question.internal, &mapping) && mapping.state.flags & CGN_STATIC ? CGN_ENOTAUTH : 0;
}

/* All that `owner`'s blocks hold for the client; the first error is told. */
static int delete_listed(const struct pcp_server *server, const struct pcp_datagram *datagram, uint8_t protocol,
			 const struct cgn_subscriber_key *owner, __u32 origins)
{
	struct cgn_internal *internals = NULL;
	int count = server->ops->list_internals(server->dataplane, owner, origins, &internals), error = 0, failed, i;

	if (count < 0)
		return count;
	for (i = 0; i < count; i++) {
		if (internals[i].protocol != protocol || memcmp(internals[i].addr4, datagram->source6 + 12, 4))
			continue;
		failed = delete_one(server, datagram, protocol, internals[i].port);
		error = error ? error : failed;
	}
	free(internals);
	return error;
}

/* As many as possible. The operator's mappings, which stay and make it fail, stand in blocks of their own. */
static int delete_all(const struct pcp_server *server, const struct pcp_datagram *datagram, uint8_t protocol)
{
	struct cgn_subscriber_key subscriber = { .realm = 0 }, operator = { .realm = CGN_OPERATOR_REALM };
	int error, refused;

	memcpy(subscriber.addr4, datagram->source6 + 12, sizeof(subscriber.addr4));
	error = delete_listed(server, datagram, protocol, &subscriber, CGN_MAP);
	refused = delete_listed(server, datagram, protocol, &operator, CGN_STATIC);
	return error ? error : refused;
}

static int map_decide(const struct pcp_server *server, const struct pcp_datagram *datagram, const struct natpmp_request *request,
		      struct natpmp_response *response)
{
	uint8_t protocol = protocol_of(request->opcode);

	response->internal_port = request->internal_port;
	if (request->lifetime_s)
		return map_create(server, datagram, request, response);
	return request->internal_port ? delete_one(server, datagram, protocol, request->internal_port) :
					delete_all(server, datagram, protocol);
}

/* ---- messages ---- */

/* Section 3.5: the whole request comes back, with a result in it. */
static size_t opcode_unsupported(const struct pcp_datagram *datagram, uint8_t *reply)
{
	size_t len = datagram->len < PCP_MESSAGE_MAX ? datagram->len : PCP_MESSAGE_MAX;

	memcpy(reply, datagram->bytes, len);
	reply[1] |= NATPMP_RESPONSE_BIT;
	if (len < 4)
		len = 4;	/* room for the result */
	reply[2] = 0;
	reply[3] = NATPMP_UNSUPP_OPCODE;
	return len;
}

size_t natpmp_handle(struct pcp_server *server, const struct pcp_datagram *datagram, uint32_t now_s, uint8_t *reply)
{
	struct natpmp_response response = { .epoch_s = pcp_server_epoch_of(server, datagram->source6, now_s) };
	struct natpmp_request request;
	struct reader r;
	struct writer w;
	int error;

	if (!pcp_address_is_ipv4(datagram->source6))
		return 0;
	reader_init(&r, datagram->bytes, datagram->len);
	error = natpmp_decode_request(&r, &request);
	if (error == CGN_EOPCODE)
		return opcode_unsupported(datagram, reply);
	if (error)
		return 0;	/* too short to be answered in its own terms */
	response.opcode = request.opcode;
	error = request.opcode == NATPMP_ADDRESS ? address_decide(server, datagram, &response) :
						   map_decide(server, datagram, &request, &response);
	if (error) {
		response.external_port = 0;
		response.lifetime_s = 0;
	}
	response.result = (uint16_t)natpmp_result_from_pcp(cgn_error_pcp_result(error));
	writer_init(&w, reply, PCP_MESSAGE_MAX);
	natpmp_encode_response(&w, &response);
	return writer_len(&w);
}

/* ---- unsolicited ---- */

bool pcp_server_may_be_natpmp(const struct pcp_server *server, const uint8_t nonce[CGN_NONCE_LEN])
{
	static const uint8_t zeros[CGN_NONCE_LEN];

	return server->policy.nat_pmp && !memcmp(nonce, zeros, sizeof(zeros));
}

size_t pcp_server_natpmp_announcement(const struct pcp_server *server, const uint8_t *client6, const uint8_t external4[4], uint32_t now_s,
				      uint8_t *reply, size_t reply_size)
{
	struct natpmp_response response = { .opcode = NATPMP_ADDRESS };
	struct writer w;

	response.epoch_s = client6 ? pcp_server_epoch_of(server, client6, now_s) : now_s - server->epoch_base_s;
	memcpy(response.external4, external4, sizeof(response.external4));
	writer_init(&w, reply, reply_size);
	natpmp_encode_response(&w, &response);
	return w.overflow ? 0 : writer_len(&w);
}

size_t pcp_server_natpmp_update(const struct pcp_server *server, const struct pcp_update *update, uint32_t now_s, uint8_t *reply,
				size_t reply_size)
{
	struct natpmp_response response = { .opcode = update->peer.map.protocol == protocol_of(NATPMP_MAP_UDP) ? NATPMP_MAP_UDP : NATPMP_MAP_TCP,
		.result = (uint16_t)natpmp_result_from_pcp(update->result), .internal_port = update->peer.map.internal_port };
	struct writer w;

	if (update->opcode != PCP_MAP || !pcp_server_may_be_natpmp(server, update->peer.map.nonce))
		return 0;
	response.epoch_s = pcp_server_epoch_of(server, update->client6, now_s);
	if (update->result == PCP_SUCCESS) {
		response.external_port = update->peer.map.external_port;
		response.lifetime_s = update->expires_s > now_s ? update->expires_s - now_s : 0;
	}
	writer_init(&w, reply, reply_size);
	natpmp_encode_response(&w, &response);
	return w.overflow ? 0 : writer_len(&w);
}
