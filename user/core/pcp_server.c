/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>
#include "announcer.h"
#include "pcp_request.h"

/* Section 14.1.2: that it is answered, with the Epoch, is all. */
static int announce_decide(struct pcp_server *server, const struct pcp_request *request, struct pcp_answer *answer)
{
	(void)server;
	(void)request;
	answer->lifetime_s = 0;
	return 0;
}

static const struct pcp_operation operations[] = {
	{ PCP_ANNOUNCE, 0, 0, offsetof(struct pcp_policy, announce), NULL, announce_decide, NULL },
	{ PCP_MAP, PCP_MAP_LEN, PCP_ACCEPTS_THIRD_PARTY | PCP_ACCEPTS_PREFER_FAILURE | PCP_ACCEPTS_FILTER | PCP_ACCEPTS_PORT_SET |
	  PCP_ACCEPTS_CHECKPOINT | PCP_ACCEPTS_DESCRIPTION, offsetof(struct pcp_policy, map), pcp_map_decode, pcp_map_decide, pcp_map_encode },
	{ PCP_GET, PCP_GET_LEN, PCP_ACCEPTS_THIRD_PARTY | PCP_ACCEPTS_NEXT, offsetof(struct pcp_policy, get), pcp_get_decode, pcp_get_decide,
	  pcp_get_encode },
	{ PCP_PEER, PCP_PEER_LEN, PCP_ACCEPTS_THIRD_PARTY | PCP_ACCEPTS_PREFER_FAILURE | PCP_ACCEPTS_CHECKPOINT |
	  PCP_ACCEPTS_DESCRIPTION, offsetof(struct pcp_policy, peer), pcp_peer_decode, pcp_peer_decide, pcp_peer_encode },
};

/* GET has the number that the configuration gives it. */
static uint8_t operation_number(const struct pcp_policy *policy, uint8_t opcode)
{
	if (policy->get && opcode == policy->get_policy.opcode)
		return PCP_GET;
	return opcode == PCP_GET ? PCP_OPCODE_RESERVED : opcode;
}

/* A disabled opcode is as good as unknown. */
static const struct pcp_operation *operation_find(const struct pcp_policy *policy, uint8_t opcode)
{
	opcode = operation_number(policy, opcode);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (operations[i].opcode == opcode)
			return *(const bool *)((const char *)policy + operations[i].is_served) ? &operations[i] : NULL;
	return NULL;
}

/* ---- receiving: the order is that of section 8.2 ---- */

/* Who is no client, or asks too often, gets nothing: no answer that others could be flooded with, either. */
static bool is_welcome(struct pcp_server *server, const struct pcp_datagram *datagram)
{
	const struct pcp_policy *policy = &server->policy;

	if (!datagram->is_internal) {
		server->stats.external++;
		return false;
	}
	if (datagram->len < 2 || datagram->bytes[1] & PCP_RESPONSE_BIT)
		return false;
	if (!server->rate || rate_limit_take(server->rate, datagram->source6, datagram->received_ms, policy->rate_requests, policy->rate_burst))
		return true;
	server->stats.over_rate++;
	return false;
}

static int request_check_header(const struct pcp_server *server, struct pcp_request *request)
{
	const struct pcp_datagram *datagram = request->datagram;
	struct reader r;

	if (datagram->bytes[0] != PCP_VERSION)
		return CGN_EVERSION;
	reader_init(&r, datagram->bytes, datagram->len);
	if (pcp_decode_request_header(&r, &request->header))
		return CGN_ESILENT;
	request->operation = operation_find(&server->policy, request->header.opcode);
	if (datagram->len > PCP_MESSAGE_MAX || datagram->len % 4)
		return CGN_EMALFORMED;
	if (request->operation && reader_left(&r) < request->operation->body_len)
		return CGN_ESHORT;
	if (memcmp(request->header.client6, datagram->source6, sizeof(datagram->source6)))
		return CGN_EADDRESS;
	return request->operation ? 0 : CGN_EOPCODE;
}

static int request_decide(struct pcp_server *server, struct pcp_request *request, struct pcp_answer *answer)
{
	struct reader r;
	int error;

	error = request_check_header(server, request);
	if (error)
		return error;
	reader_init(&r, request->datagram->bytes, request->datagram->len);
	reader_take(&r, PCP_HEADER_LEN);
	if (request->operation->decode)
		request->operation->decode(&r, request);
	request->options = r;
	memcpy(request->internal6, request->header.client6, sizeof(request->internal6));
	error = pcp_options_process(server, request);
	if (error)
		return error;
	return request->operation->decide(server, request, answer);
}

/* ---- answering ---- */

uint32_t pcp_server_epoch_of(const struct pcp_server *server, const uint8_t client6[16], uint32_t now_s)
{
	uint32_t base_s = server->epoch_base_s;

	(void)epoch_table_find(server->epochs, client6, &base_s);
	return now_s - base_s;
}

/* Section 7.4: errors that may soon be over, and all others. */
static uint32_t error_lifetime_s(const struct pcp_policy *policy, uint8_t result)
{
	switch (result) {
	case PCP_NETWORK_FAILURE:
	case PCP_NO_RESOURCES:
	case PCP_USER_EX_QUOTA:
	case PCP_CANNOT_PROVIDE_EXTERNAL:
	case PCP_NONEXIST_MAP:
		return policy->error_short_s;
	default:
		return policy->error_long_s;
	}
}

/* "Not successfully parsed", of which section 7.2 says no more: the reply then keeps the client's last 12 address bytes. */
static bool request_was_parsed(uint8_t result)
{
	return result != PCP_UNSUPP_VERSION && result != PCP_MALFORMED_REQUEST && result != PCP_UNSUPP_OPCODE &&
	       result != PCP_MALFORMED_OPTION;
}

/* The request again, at most PCP_MESSAGE_MAX of it, padded, with the server's fields set. A request shorter than a header
 * (only one of another version) gets a whole one: NAT-PMP clients read "unsupported version" at the same place. */
static void error_encode(struct writer *w, const struct pcp_datagram *datagram, const struct pcp_response_header *header)
{
	size_t len = datagram->len < PCP_MESSAGE_MAX ? datagram->len : PCP_MESSAGE_MAX;
	size_t head = len < PCP_HEADER_LEN ? len : PCP_HEADER_LEN;

	pcp_encode_response_header(w, header);
	if (head > 12 && !request_was_parsed(header->result))
		memcpy(w->start + 12, datagram->bytes + 12, head - 12);
	writer_bytes(w, datagram->bytes + head, len - head);
	writer_pad4(w);
}

/* Never longer than the request, of which body and options are copies, so that it always fits once state has changed; GET, which
 * changes nothing, keeps count of the room itself. */
static void success_encode(struct writer *w, const struct pcp_request *request, const struct pcp_answer *answer,
			   const struct pcp_response_header *header)
{
	pcp_encode_response_header(w, header);
	if (request->operation->encode)
		request->operation->encode(w, answer);
	pcp_options_echo(request, answer, w);
}

static size_t natpmp_reply(struct pcp_server *server, const struct pcp_datagram *datagram, uint32_t now_s, uint8_t *reply)
{
	size_t len = natpmp_handle(server, datagram, now_s, reply);

	if (len)
		server->stats.natpmp++;
	else
		server->stats.silent++;
	return len;
}

size_t pcp_server_handle(struct pcp_server *server, const struct pcp_datagram *datagram, uint32_t now_s,
			 uint8_t *reply, size_t reply_size)
{
	struct pcp_request request = { .datagram = datagram, .now_s = now_s, .get_next = server->policy.get_policy.next };
	struct pcp_response_header header = { 0 };
	struct pcp_answer answer = { 0 };
	struct writer w;
	int error;

	server->stats.requests++;
	if (!is_welcome(server, datagram) || reply_size < PCP_MESSAGE_MAX)
		error = CGN_ESILENT;
	else if (datagram->bytes[0] == NATPMP_VERSION && server->policy.nat_pmp)
		return natpmp_reply(server, datagram, now_s, reply);
	else
		error = request_decide(server, &request, &answer);
	if (error == CGN_ESILENT) {
		server->stats.silent++;
		return 0;
	}
	header.opcode = datagram->bytes[1];
	header.result = (uint8_t)cgn_error_pcp_result(error);
	header.lifetime_s = answer.lifetime_s;
	header.epoch_s = pcp_server_epoch_of(server, datagram->source6, now_s);
	writer_init(&w, reply, PCP_MESSAGE_MAX);
	if (error && error != CGN_ENONCE)
		header.lifetime_s = error_lifetime_s(&server->policy, header.result);
	if (error == CGN_ENOMAPPING)
		header.result = server->policy.get_policy.not_found;
	server->stats.results[header.result]++;
	if (error && error != CGN_ENOMAPPING)	/* that one has no NEXT (draft B.6) and says all else like a success */
		error_encode(&w, datagram, &header);
	else
		success_encode(&w, &request, &answer, &header);
	if (!error && server->announcer && (request.operation->opcode == PCP_MAP || request.operation->opcode == PCP_PEER))
		announcer_refreshed(server->announcer, request.internal6, &request.map);
	return writer_len(&w);
}

size_t pcp_server_announcement_to(const struct pcp_server *server, const uint8_t *client6, uint32_t now_s, uint8_t *reply,
				  size_t reply_size)
{
	struct pcp_response_header header = { .opcode = PCP_ANNOUNCE };
	struct writer w;

	header.epoch_s = client6 ? pcp_server_epoch_of(server, client6, now_s) : now_s - server->epoch_base_s;

	writer_init(&w, reply, reply_size);
	pcp_encode_response_header(&w, &header);
	return w.overflow ? 0 : writer_len(&w);
}

size_t pcp_server_announcement(const struct pcp_server *server, uint32_t now_s, uint8_t *reply, size_t reply_size)
{
	if (epoch_table_count(server->epochs))
		return 0;
	return pcp_server_announcement_to(server, NULL, now_s, reply, reply_size);
}

size_t pcp_server_update(const struct pcp_server *server, const struct pcp_update *update, uint32_t now_s, uint8_t *reply,
			 size_t reply_size)
{
	struct pcp_response_header header = { .opcode = update->opcode, .result = update->result };
	struct writer w;
	unsigned i;

	header.epoch_s = pcp_server_epoch_of(server, update->client6, now_s);
	if (update->result != PCP_SUCCESS)
		header.lifetime_s = error_lifetime_s(&server->policy, update->result);
	else if (update->expires_s == CGN_FOREVER)
		header.lifetime_s = CGN_FOREVER;
	else
		header.lifetime_s = update->expires_s > now_s ? update->expires_s - now_s : 0;
	writer_init(&w, reply, reply_size < PCP_MESSAGE_MAX ? reply_size : PCP_MESSAGE_MAX);
	pcp_encode_response_header(&w, &header);
	if (update->opcode == PCP_PEER)
		pcp_encode_peer(&w, &update->peer);
	else
		pcp_encode_map(&w, &update->peer.map);
	if (memcmp(update->internal6, update->client6, sizeof(update->internal6)))
		pcp_encode_option(&w, PCP_OPTION_THIRD_PARTY, update->internal6, sizeof(update->internal6));
	for (i = 0; i < update->filter_count; i++)
		pcp_encode_filter(&w, &update->filter[i]);
	if (update->set_size > 1)
		pcp_encode_port_set(&w, &(struct pcp_port_set){ .size = update->set_size, .first_internal_port = update->set_first });
	return w.overflow ? 0 : writer_len(&w);
}

void pcp_server_set_updater(struct pcp_server *server, bool (*update)(void *context, const struct pcp_update *update), void *context)
{
	server->update = update;
	server->update_context = context;
}

void pcp_server_set_announcer(struct pcp_server *server, struct announcer *announcer)
{
	server->announcer = announcer;
}

/* ---- life ---- */

#define EPOCH_CLIENTS_MAX 65536

struct pcp_server *pcp_server_new(const struct pcp_policy *policy, const struct dataplane_ops *ops, void *dataplane)
{
	struct pcp_server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	server->ops = ops;
	server->dataplane = dataplane;
	server->epochs = epoch_table_new(EPOCH_CLIENTS_MAX);
	pcp_server_set_policy(server, policy);
	if (server->epochs && (server->rate || !policy->rate_requests))
		return server;
	pcp_server_free(server);
	return NULL;
}

void pcp_server_free(struct pcp_server *server)
{
	if (!server)
		return;
	epoch_table_free(server->epochs);
	rate_limit_free(server->rate);
	free(server->listed);
	free(server);
}

void pcp_server_set_policy(struct pcp_server *server, const struct pcp_policy *policy)
{
	server->policy = *policy;
	if (policy->rate_requests && !server->rate)
		server->rate = rate_limit_new(policy->rate_seed);
}

void pcp_server_set_epoch_base(struct pcp_server *server, uint32_t epoch_base_s)
{
	server->epoch_base_s = epoch_base_s;
	epoch_table_clear(server->epochs);
}

bool pcp_server_set_epoch_base_of(struct pcp_server *server, const uint8_t client6[16], uint32_t base_s)
{
	return epoch_table_set(server->epochs, client6, base_s);
}

bool pcp_server_reset_epoch_of(struct pcp_server *server, const uint8_t client6[16], uint32_t now_s)
{
	return pcp_server_set_epoch_base_of(server, client6, now_s);
}

const struct pcp_server_stats *pcp_server_stats(const struct pcp_server *server)
{
	return &server->stats;
}
