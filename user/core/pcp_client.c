/* SPDX-License-Identifier: GPL-2.0-only */
#include <string.h>
#include "error.h"
#include "pcp_client_message.h"

#define NS_PER_S 1000000000ull
#define VERSION_CHANGES_MAX 2		/* there and back; a server that wants more does not know what it wants */
#define VERSION_RETRY_S 1800		/* section 9: try again in 30 minutes at most */

void pcp_client_init(struct pcp_client *client, const struct pcp_client_path *path, uint64_t seed)
{
	*client = (struct pcp_client){ .path = *path, .version = PCP_VERSION, .random_state = seed };
}

uint32_t pcp_client_lifetime_s(const struct pcp_client_reply *reply)
{
	return reply->lifetime_s < PCP_CLIENT_LIFETIME_MAX_S ? reply->lifetime_s : PCP_CLIENT_LIFETIME_MAX_S;
}

/* ---- requests ---- */

/* A server that speaks NAT-PMP gets PCP all the same where NAT-PMP has no words, and says that it cannot. */
static bool uses_natpmp(const struct pcp_client *client, const struct pcp_client_request *request)
{
	return client->version == NATPMP_VERSION && natpmp_client_can(request, client->path.client6);
}

static bool creates(const struct pcp_client_request *request)
{
	return (request->opcode == PCP_MAP || request->opcode == PCP_PEER) && request->lifetime_s && !request->renews;
}

static uint64_t later(uint64_t one, uint64_t other)
{
	return one > other ? one : other;
}

int pcp_exchange_start(struct pcp_exchange *exchange, const struct pcp_client *client, const struct pcp_client_request *request,
		       const struct retransmission_rule *rule, uint64_t now_ns, uint64_t mrd_ns)
{
	uint64_t start_ns = later(later(now_ns, exchange->hold_until_ns), client->silent_until_ns);
	uint8_t buffer[PCP_MESSAGE_MAX];

	if (!pcp_client_encode(request, client->path.client6, buffer))
		return CGN_EMALFORMED;
	if (creates(request))
		start_ns = later(start_ns, client->no_new_until_ns);
	exchange->request = *request;
	exchange->version_changes = 0;
	retransmission_start(&exchange->retransmission, uses_natpmp(client, request) ? &retransmission_natpmp : rule, start_ns,
			     mrd_ns ? start_ns + mrd_ns : RETRANSMISSION_NEVER);
	return 0;
}

size_t pcp_exchange_send(struct pcp_exchange *exchange, struct pcp_client *client, uint64_t now_ns, uint8_t *buffer)
{
	if (!retransmission_due(&exchange->retransmission, now_ns, &client->random_state))
		return 0;
	if (uses_natpmp(client, &exchange->request))
		return natpmp_client_encode(&exchange->request, buffer);
	return pcp_client_encode(&exchange->request, client->path.client6, buffer);
}

/* ---- answers ---- */

/* Sections 8.3 and 11.4: what a refusal forbids, and for how long. */
static void refusal_respect(struct pcp_exchange *exchange, struct pcp_client *client, const struct pcp_client_reply *reply,
			    uint64_t now_ns)
{
	uint64_t until_ns = now_ns + pcp_client_lifetime_s(reply) * NS_PER_S;
	bool maps = exchange->request.opcode == PCP_MAP || exchange->request.opcode == PCP_PEER;

	exchange->hold_until_ns = until_ns;
	if (reply->result != PCP_NO_RESOURCES || !maps)
		return;
	if (exchange->request.lifetime_s)
		client->no_new_until_ns = until_ns;
	else
		client->silent_until_ns = until_ns;
}

static enum pcp_exchange_outcome answered(struct pcp_exchange *exchange, struct pcp_client *client, const struct pcp_client_reply *reply,
					  uint64_t now_ns, struct pcp_client_reply *ret_reply)
{
	exchange->hold_until_ns = 0;
	if (reply->result != PCP_SUCCESS)
		refusal_respect(exchange, client, reply, now_ns);
	retransmission_stop(&exchange->retransmission);
	*ret_reply = *reply;
	return PCP_EXCHANGE_ANSWERED;
}

/* Section 9: the server does not speak the version it was asked in. */
static enum pcp_exchange_outcome version_refused(struct pcp_exchange *exchange, struct pcp_client *client, struct pcp_client_reply *reply,
						 uint64_t now_ns, struct pcp_client_reply *ret_reply)
{
	uint8_t offered = reply->version;
	bool can = offered == PCP_VERSION || (offered == NATPMP_VERSION && natpmp_client_can(&exchange->request, client->path.client6));
	uint64_t give_up_ns = exchange->retransmission.give_up_ns;

	if (exchange->retransmission.next_ns == RETRANSMISSION_NEVER ||
	    (offered == NATPMP_VERSION && uses_natpmp(client, &exchange->request)))
		return PCP_EXCHANGE_IGNORED;	/* a late one: to an earlier transmission of what is answered, or said otherwise by now */
	if (can && offered != client->version && exchange->version_changes < VERSION_CHANGES_MAX) {
		client->version = offered;
		client->epoch = (struct server_epoch){ 0 };	/* two protocols may count two Epochs */
		exchange->version_changes++;
		retransmission_start(&exchange->retransmission,
				     offered == NATPMP_VERSION ? &retransmission_natpmp : &retransmission_pcp, now_ns, give_up_ns);
		return PCP_EXCHANGE_AGAIN;
	}
	if (!reply->lifetime_s || reply->lifetime_s > VERSION_RETRY_S)
		reply->lifetime_s = VERSION_RETRY_S;
	reply->opcode = exchange->request.opcode;
	reply->peer = exchange->request.peer;
	reply->get = exchange->request.get;
	reply->epoch_is_valid = true;
	return answered(exchange, client, reply, now_ns, ret_reply);
}

/* Fields that are at the same place in every version, as far as they are there. */
static struct pcp_client_reply version_reply(const struct pcp_client_datagram *datagram, uint8_t version)
{
	struct pcp_client_reply reply = { .version = version, .result = PCP_UNSUPP_VERSION };
	struct reader r;

	reader_init(&r, datagram->bytes, datagram->len);
	reader_take(&r, 4);
	if (version == NATPMP_VERSION) {
		reply.epoch_s = reader_u32(&r);
	} else {
		reply.lifetime_s = reader_u32(&r);
		reply.epoch_s = reader_u32(&r);
	}
	reader_init(&reply.options, datagram->bytes, 0);
	return reply;
}

static void natpmp_reply_fill(const struct natpmp_response *response, const struct pcp_client_request *request,
			      struct pcp_client_reply *reply)
{
	static const uint8_t any4[4];

	*reply = (struct pcp_client_reply){ .version = NATPMP_VERSION, .opcode = request->opcode, .epoch_s = response->epoch_s,
		.lifetime_s = response->lifetime_s, .result = (uint8_t)natpmp_result_to_pcp(response->result), .peer = request->peer };
	reply->peer.map.external_port = response->external_port;
	pcp_address_from_ipv4(response->opcode == NATPMP_ADDRESS ? response->external4 : any4, reply->peer.map.external6);
}

/* Everything whose first byte is 0. "Unsupported version" comes without the response bit, as RFC 6886 section 3.5 wants it, although
 * RFC 6887 section 8.3 has such messages dropped: there is no other way to learn that a server speaks NAT-PMP only. */
static enum pcp_exchange_outcome natpmp_receive(struct pcp_exchange *exchange, struct pcp_client *client,
						const struct pcp_client_datagram *datagram, uint64_t now_ns,
						struct pcp_client_reply *ret_reply)
{
	struct natpmp_response response;
	struct pcp_client_reply reply;
	struct reader r;
	int error;

	reader_init(&r, datagram->bytes, datagram->len);
	error = natpmp_decode_response(&r, &response);
	if (error && error != CGN_EOPCODE)
		return PCP_EXCHANGE_IGNORED;
	if (response.result == NATPMP_UNSUPP_VERSION && (response.is_response || !datagram->bytes[1])) {
		reply = version_reply(datagram, NATPMP_VERSION);
		return version_refused(exchange, client, &reply, now_ns, ret_reply);
	}
	if (error || !response.is_response || !uses_natpmp(client, &exchange->request) ||
	    !natpmp_client_matches(&exchange->request, &response))
		return PCP_EXCHANGE_IGNORED;
	natpmp_reply_fill(&response, &exchange->request, &reply);
	reader_init(&reply.options, datagram->bytes, 0);
	reply.epoch_is_valid = server_epoch_accept_natpmp(&client->epoch, reply.epoch_s, now_ns / NS_PER_S);
	return answered(exchange, client, &reply, now_ns, ret_reply);
}

static bool is_from_server(const struct pcp_client *client, const struct pcp_client_datagram *datagram)
{
	return datagram->source_port == client->path.server_port &&
	       !memcmp(datagram->source6, client->path.server6, sizeof(datagram->source6));
}

/* A version that is not 2, or an UNSUPP_VERSION while NAT-PMP is spoken: negotiation, before any rule about lengths (section 8.3). */
static bool negotiates_version(const struct pcp_client *client, const struct pcp_client_datagram *datagram)
{
	if (!(datagram->bytes[1] & PCP_RESPONSE_BIT) || datagram->bytes[3] != PCP_UNSUPP_VERSION)
		return false;
	return datagram->bytes[0] != PCP_VERSION || client->version != PCP_VERSION;
}

static bool pcp_reply_decode(const struct pcp_client *client, const struct pcp_client_request *request,
			     const struct pcp_client_datagram *datagram, struct pcp_client_reply *reply)
{
	struct pcp_response_header header;
	struct reader r;

	if (datagram->len < PCP_HEADER_LEN || datagram->len > PCP_MESSAGE_MAX || datagram->len % 4)
		return false;
	reader_init(&r, datagram->bytes, datagram->len);
	if (pcp_decode_response_header(&r, &header) || !header.is_response || header.version != PCP_VERSION ||
	    header.opcode != request->opcode)
		return false;
	*reply = (struct pcp_client_reply){ .version = header.version, .opcode = header.opcode, .result = header.result,
					    .lifetime_s = header.lifetime_s, .epoch_s = header.epoch_s };
	return pcp_client_body_matches(request, client->path.client6, &r, reply);
}

enum pcp_exchange_outcome pcp_exchange_receive(struct pcp_exchange *exchange, struct pcp_client *client,
					       const struct pcp_client_datagram *datagram, uint64_t now_ns,
					       struct pcp_client_reply *ret_reply)
{
	struct pcp_client_reply reply;

	if (!is_from_server(client, datagram) || datagram->len < 4)
		return PCP_EXCHANGE_IGNORED;
	if (datagram->bytes[0] == NATPMP_VERSION)
		return natpmp_receive(exchange, client, datagram, now_ns, ret_reply);
	if (negotiates_version(client, datagram)) {
		reply = version_reply(datagram, datagram->bytes[0]);
		return version_refused(exchange, client, &reply, now_ns, ret_reply);
	}
	if (!pcp_reply_decode(client, &exchange->request, datagram, &reply))
		return PCP_EXCHANGE_IGNORED;
	reply.epoch_is_valid = server_epoch_accept(&client->epoch, reply.epoch_s, now_ns / NS_PER_S);
	return answered(exchange, client, &reply, now_ns, ret_reply);
}
