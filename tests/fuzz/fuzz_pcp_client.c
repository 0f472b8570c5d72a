/* SPDX-License-Identifier: GPL-2.0-only */
/* Any datagram to a PCP client. The input's first byte chooses the request (MAP, PEER, GET, ANNOUNCE; THIRD_PARTY, PREFER_FAILURE);
 * then come datagrams, each behind its length in two bytes, as answers to that request and its retransmissions, a second apart. A walk
 * through GET pages takes every answer that the client believes. What must hold for every input is checked here. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "get_walk.h"
#include "pcp_client.h"

#define S 1000000000ull
#define REQUIRE(claim) do { if (!(claim)) abort(); } while (0)

#define CLIENT4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 2
#define SERVER4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 1

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum scene {
	SCENE_OPCODE = 3,		/* ANNOUNCE, MAP, PEER, or GET */
	SCENE_THIRD_PARTY = 1 << 2,
	SCENE_PREFER_FAILURE = 1 << 3,
	SCENE_DELETE = 1 << 4,
	SCENE_NATPMP = 1 << 5,		/* the server is known to speak NAT-PMP */
};

static void request_fill(struct pcp_client_request *request, unsigned scene)
{
	static const uint8_t codes[] = { 3, 128 };
	static const uint8_t opcodes[] = { PCP_ANNOUNCE, PCP_MAP, PCP_PEER, PCP_GET };

	*request = (struct pcp_client_request){
		.opcode = opcodes[scene & SCENE_OPCODE], .lifetime_s = scene & SCENE_DELETE ? 0 : 3600,
		.peer = { .map = { .nonce = { 0xa0, 0xa1, 0xa2 }, .protocol = 6, .internal_port = 7000, .external_port = 7000 },
			  .remote_port = 443, .remote6 = { 0x20, 0x01 } },
		.is_third_party = scene & SCENE_THIRD_PARTY, .third_party6 = { CLIENT4 }, .prefers_failure = scene & SCENE_PREFER_FAILURE,
		.has_next = (scene & SCENE_OPCODE) == 3, .next_code = PCP_OPTION_NEXT, .next = { .options = codes, .options_len = 2 },
	};
	request->third_party6[15] = 7;
}

static void check_reply(const struct pcp_client_request *request, const struct pcp_client_reply *reply, const uint8_t *bytes, size_t len)
{
	struct reader options = reply->options;
	struct pcp_option option;

	REQUIRE(reply->opcode == request->opcode);
	REQUIRE(pcp_client_lifetime_s(reply) <= 86400);
	REQUIRE(options.pos >= bytes && options.end <= bytes + len);
	while (pcp_decode_option(&options, &option) == 1)
		REQUIRE(option.data >= bytes && option.data + option.length <= bytes + len);
	if (reply->version != PCP_VERSION || reply->result == PCP_UNSUPP_VERSION)
		return;		/* negotiation goes before lengths and opcodes: what was refused may have been NAT-PMP, whose opcodes differ */
	REQUIRE(len >= 24 && len <= PCP_MESSAGE_MAX && len % 4 == 0);
	REQUIRE(bytes[1] == (request->opcode | 0x80) && bytes[3] == reply->result);
	if (request->opcode == PCP_MAP || request->opcode == PCP_PEER)
		REQUIRE(!memcmp(bytes + 24, request->peer.map.nonce, 12) && bytes[36] == 6 && bytes[40] == 0x1b && bytes[41] == 0x58);
	if (request->opcode == PCP_MAP && request->prefers_failure && !reply->result)
		REQUIRE(bytes[42] == 0x1b && bytes[43] == 0x58);
}

/* What was collected has no key twice, whatever the server says. */
static void check_walk(const struct get_walk *walk)
{
	size_t count = get_walk_count(walk), i, k;

	for (i = 0; i < count && i < 64; i++)
		for (k = 0; k < i; k++)
			REQUIRE(!pcp_next_is_same(get_walk_mapping(walk, i), get_walk_mapping(walk, k)));
}

static void receive_one(struct pcp_exchange *exchange, struct pcp_client *client, struct get_walk *walk, const uint8_t *bytes, size_t len,
			uint64_t now_ns)
{
	uint8_t *copy = malloc(len ? len : 1), sent[PCP_MESSAGE_MAX];	/* it ends where it ends: ASan sees a byte too far */
	struct pcp_client_datagram datagram = { .bytes = copy, .len = len, .source6 = { SERVER4 }, .source_port = 5351 };
	struct pcp_client_reply reply;
	size_t sent_len = pcp_exchange_send(exchange, client, now_ns, sent);
	enum get_walk_step step;

	REQUIRE(copy);
	if (len)
		memcpy(copy, bytes, len);
	REQUIRE(sent_len <= PCP_MESSAGE_MAX);
	switch (pcp_exchange_receive(exchange, client, &datagram, now_ns, &reply)) {
	case PCP_EXCHANGE_ANSWERED:
		check_reply(&exchange->request, &reply, copy, len);
		REQUIRE(exchange->retransmission.next_ns == RETRANSMISSION_NEVER);
		step = exchange->request.has_next ? get_walk_step(walk, &reply) : GET_WALK_DONE;
		if (step == GET_WALK_ASK || step == GET_WALK_ASK_ANEW)
			REQUIRE(!pcp_exchange_start(exchange, client, get_walk_request(walk), &retransmission_pcp, now_ns, 0));
		break;
	case PCP_EXCHANGE_AGAIN:
		REQUIRE(exchange->retransmission.next_ns == now_ns && exchange->version_changes <= 2);
		break;
	case PCP_EXCHANGE_IGNORED:
		break;
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	const struct pcp_client_path path = { .server6 = { SERVER4 }, .client6 = { CLIENT4 }, .server_port = 5351 };
	struct pcp_client_request request;
	struct pcp_exchange exchange = { 0 };
	struct pcp_client client;
	struct get_walk *walk;
	uint64_t now_ns = S;
	size_t at = 1, len;

	if (!size)
		return 0;
	request_fill(&request, input[0]);
	pcp_client_init(&client, &path, 1);
	if (input[0] & SCENE_NATPMP)
		client.version = NATPMP_VERSION;
	walk = get_walk_new(&request, PCP_NONEXIST_MAP);
	REQUIRE(walk);
	REQUIRE(!pcp_exchange_start(&exchange, &client, &request, &retransmission_pcp, now_ns, 0));
	for (; at + 2 <= size; at += len, now_ns += S) {
		len = (size_t)(input[at] << 8 | input[at + 1]);
		at += 2;
		len = len < size - at ? len : size - at;
		receive_one(&exchange, &client, walk, input + at, len, now_ns);
	}
	check_walk(walk);
	get_walk_free(walk);
	return 0;
}
