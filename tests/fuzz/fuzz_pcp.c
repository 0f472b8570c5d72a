/* SPDX-License-Identifier: GPL-2.0-only */
/* Any datagram to the PCP server. The input's first byte sets the scene (traffic, shortage, nonce policy). The next
 * two are the length of a first datagram, the rest is a second one, or the first again if there is no rest: what one makes is
 * renewed or deleted by the other. What must hold for every request is checked here, particular bytes by the unit tests. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "model_dataplane.h"
#include "pcp_codec.h"
#include "pcp_server.h"

#define NOW_S 5000u
#define EPOCH_S 1250u
#define LIFETIME_MIN_S 120u
#define LIFETIME_MAX_S 86400u
#define DESCRIPTION_MAX 20u

#define REQUIRE(claim) do { if (!(claim)) abort(); } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum scene {		/* bits of the first byte */
	SCENE_STATIC = 1 << 0,		/* 198.51.100.2:12354/tcp is the operator's */
	SCENE_IMPLICIT = 1 << 1,	/* or has carried packets */
	SCENE_NO_PORTS = 1 << 2,
	SCENE_NO_QUOTA = 1 << 3,
	SCENE_BUSY = 1 << 4,
	SCENE_ERROR = 1 << 5,
	SCENE_ANY_NONCE = 1 << 6,
	SCENE_OTHER_SOURCE = 1 << 7,
	SCENE_NATPMP = 1 << 15,			/* the highest bit of the length */
	SCENE_AGENT = 1 << 14,			/* and the next: 198.51.100.2 may ask for its neighbours, and what is answered is stored */
};

static void scene_set(struct model *model, unsigned scene)
{
	static const struct cgn_internal tcp_12354 = { .addr4 = { 198, 51, 100, 2 }, .port = 12354, .protocol = 6 };

	model_init(model, NOW_S);
	if (scene & SCENE_STATIC)
		model_add(model, &tcp_12354, 1030, CGN_STATIC);
	else if (scene & SCENE_IMPLICIT)
		model_add(model, &tcp_12354, 1030, CGN_IMPLICIT)->idle_until_s = NOW_S + 77;
	if (scene & SCENE_NO_PORTS)
		model->ports = 0;
	if (scene & SCENE_NO_QUOTA)
		model->quota = 0;
	model->busy = scene & SCENE_BUSY ? 3 : 0;
	model->error = scene & SCENE_ERROR ? -5 : 0;
}

/* RFC 6887 section 8.2: who gets no answer, and nobody else. */
static bool is_to_be_ignored(const struct pcp_datagram *datagram)
{
	if (datagram->len < 2 || datagram->bytes[1] & 0x80)
		return true;
	return datagram->bytes[0] == 2 && datagram->len < 24;
}

static bool has_option(const uint8_t *options, size_t len, uint8_t code)
{
	struct pcp_option option;
	struct reader r;

	reader_init(&r, options, len);
	while (pcp_decode_option(&r, &option) == 1)
		if (option.code == code)
			return true;
	return false;
}

static bool scene_checks_nonces, scene_has_agent;

static void check_error(const struct pcp_datagram *request, const uint8_t *reply, size_t len)
{
	size_t copied = request->len < PCP_MESSAGE_MAX ? request->len : PCP_MESSAGE_MAX;
	size_t expected_len = copied < 24 ? 24 : (copied + 3) / 4 * 4, i;

	REQUIRE(len == expected_len);
	REQUIRE(reply[3] <= PCP_EXCESSIVE_REMOTE_PEERS);
	if (reply[3] == PCP_EXCESSIVE_REMOTE_PEERS)
		REQUIRE(request->bytes[1] == PCP_MAP && has_option(request->bytes + 60, request->len - 60, PCP_OPTION_FILTER));
	if (copied > 24)
		REQUIRE(!memcmp(reply + 24, request->bytes + 24, copied - 24));
	for (i = copied < 24 ? 24 : copied; i < len; i++)
		REQUIRE(!reply[i]);
	if (reply[3] == PCP_CANNOT_PROVIDE_EXTERNAL && request->bytes[1] == PCP_MAP)
		REQUIRE(has_option(request->bytes + 60, request->len - 60, PCP_OPTION_PREFER_FAILURE));
	else if (reply[3] == PCP_CANNOT_PROVIDE_EXTERNAL)	/* something was suggested */
		REQUIRE(request->bytes[1] == PCP_PEER && (request->bytes[42] || request->bytes[43] || !pcp_address_is_any(request->bytes + 44)));
	if (request->bytes[0] != 2)
		REQUIRE(reply[3] == PCP_UNSUPP_VERSION);
}

static void check_map(const struct pcp_datagram *request, const uint8_t *reply, uint32_t lifetime_s)
{
	static const uint8_t zeros[3];
	bool is_delete = !memcmp(request->bytes + 4, "\0\0\0", 4);

	REQUIRE(!memcmp(reply + 24, request->bytes + 24, 13));	/* nonce, protocol */
	REQUIRE(!memcmp(reply + 37, zeros, 3));
	REQUIRE(!memcmp(reply + 40, request->bytes + 40, 2));	/* internal port */
	if (is_delete) {
		REQUIRE(!memcmp(reply + 42, request->bytes + 42, 18));
		return;
	}
	REQUIRE(pcp_address_is_ipv4(reply + 44) && !memcmp(reply + 56, model_pool, 4));
	REQUIRE(lifetime_s == CGN_FOREVER || (lifetime_s >= LIFETIME_MIN_S && lifetime_s <= LIFETIME_MAX_S));
}

/* Whose lifetime is 0 and whose suggestion comes back: a query that found nothing. */
static void check_peer(const struct pcp_datagram *request, const uint8_t *reply, uint32_t lifetime_s)
{
	static const uint8_t zeros[3];

	REQUIRE(!memcmp(reply + 24, request->bytes + 24, 13));	/* nonce, protocol */
	REQUIRE(!memcmp(reply + 37, zeros, 3));
	REQUIRE(!memcmp(reply + 40, request->bytes + 40, 2));	/* internal port */
	REQUIRE(!memcmp(reply + 60, request->bytes + 60, 2) && !memcmp(reply + 62, zeros, 2));
	REQUIRE(!memcmp(reply + 64, request->bytes + 64, 16));
	if (!lifetime_s) {
		REQUIRE(!memcmp(request->bytes + 4, "\0\0\0", 4) && !memcmp(reply + 42, request->bytes + 42, 18));
		return;
	}
	REQUIRE(pcp_address_is_ipv4(reply + 44) && !memcmp(reply + 56, model_pool, 4));
	REQUIRE(lifetime_s == CGN_FOREVER || lifetime_s <= LIFETIME_MAX_S);
	REQUIRE(lifetime_s >= LIFETIME_MIN_S || !memcmp(request->bytes + 4, "\0\0\0", 4));
}

/* Prefix length and family of a FILTER that was processed. */
static bool is_judged(const uint8_t filter[20])
{
	return !filter[1] || (filter[1] >= 96 && filter[1] <= 128 && pcp_address_is_ipv4(filter + 4));
}

/* A set of several ports, of which none is beyond 65535; of a deletion, it is the request's. */
static bool is_set(const uint8_t set[5], const struct pcp_datagram *request)
{
	unsigned size = (unsigned)set[0] << 8 | set[1], first = (unsigned)set[2] << 8 | set[3];

	return request->bytes[1] == PCP_MAP && size > 1 && (first + size <= 0x10000 || !memcmp(request->bytes + 4, "\0\0\0", 4));
}

/* Every port of a set has the same end and the external port that its place says. */
static void check_sets(struct model *model)
{
	unsigned i;

	for (i = 0; i < model->count; i++) {
		const struct model_mapping *mapping = &model->mapping[i], *first;
		struct cgn_internal internal = mapping->internal;

		if (mapping->set_size <= 1)
			continue;
		REQUIRE(mapping->origins & CGN_MAP && internal.port >= mapping->set_first);
		REQUIRE(internal.port - mapping->set_first < mapping->set_size);
		internal.port = mapping->set_first;
		first = model_find(model, &internal);
		REQUIRE(first && first->set_size == mapping->set_size && first->expires_s == mapping->expires_s);
		REQUIRE(mapping->external.port - first->external.port == mapping->internal.port - first->internal.port);
	}
}

static bool has_sets(const struct model *model)
{
	unsigned i;

	for (i = 0; i < model->count; i++)
		if (model->mapping[i].set_size > 1)
			return true;
	return false;
}

static void check_filters(const struct model *model)
{
	unsigned i, j;

	for (i = 0; i < model->count; i++) {
		const struct model_mapping *mapping = &model->mapping[i];

		REQUIRE(mapping->filter_count <= 8 && (!mapping->filter_count || mapping->origins & CGN_MAP));
		for (j = 0; j < mapping->filter_count; j++)
			REQUIRE(mapping->filter[j].prefix_length >= 96 && mapping->filter[j].prefix_length <= 128);
	}
}

/* Another address that the agent may ask for. */
static bool is_neighbour(struct pcp_option option, const struct pcp_datagram *request)
{
	return option.length == 16 && !memcmp(option.data, "\0\0\0\0\0\0\0\0\0\0\xff\xff\306\63\144", 15) &&
	       memcmp(option.data, request->source6, 16);
}

static void check_success(const struct pcp_datagram *request, const uint8_t *reply, size_t len, uint32_t lifetime_s)
{
	static const uint8_t zeros[12];
	struct pcp_option option;
	struct reader r;
	size_t body_len;
	int more;

	REQUIRE(request->bytes[0] == 2 && request->bytes[1] <= PCP_PEER);
	REQUIRE(request->len <= PCP_MESSAGE_MAX && request->len % 4 == 0 && len <= request->len);
	REQUIRE(!memcmp(request->bytes + 8, request->source6, 16));
	REQUIRE(!memcmp(reply + 12, zeros, 12));
	body_len = request->bytes[1] == PCP_MAP ? 36 : request->bytes[1] == PCP_PEER ? 56 : 0;
	REQUIRE(len >= 24 + body_len);
	if (request->bytes[1] == PCP_MAP)
		check_map(request, reply, lifetime_s);
	else if (body_len)
		check_peer(request, reply, lifetime_s);
	else
		REQUIRE(!lifetime_s);
	reader_init(&r, reply + 24 + body_len, len - 24 - body_len);
	while ((more = pcp_decode_option(&r, &option)) == 1)
		REQUIRE((option.code == PCP_OPTION_PREFER_FAILURE && !option.length) ||
			(option.code == PCP_OPTION_FILTER && option.length == 20 && is_judged(option.data)) ||
			(option.code == PCP_OPTION_PORT_SET && option.length == 5 && is_set(option.data, request)) ||
			(option.code == PCP_OPTION_DESCRIPTION && option.length <= DESCRIPTION_MAX) ||
			(scene_has_agent && option.code == PCP_OPTION_CHECKPOINT_REQUIRED && !option.length) ||
			(scene_has_agent && option.code == PCP_OPTION_THIRD_PARTY && is_neighbour(option, request)));
	REQUIRE(!more);
}

/* 130 or a page: the payload bit by bit, then NEXT options only, one END at the most and nothing behind it; nonces are never shown
 * while they are checked. */
static void check_get(const struct pcp_datagram *request, const uint8_t *reply, size_t len, bool is_found, bool is_checked)
{
	static const uint8_t zeros[12];
	struct pcp_option option;
	bool is_end = false, is_own = !scene_has_agent || !has_option(request->bytes + 64, request->len - 64, PCP_OPTION_THIRD_PARTY);
	struct reader r;
	int more;

	REQUIRE(request->len >= 64 && len >= 64 && !memcmp(reply + 24, request->bytes + 24, 40));
	reader_init(&r, reply + 64, len - 64);
	while ((more = pcp_decode_option(&r, &option)) == 1) {
		if (!is_own && option.code == PCP_OPTION_THIRD_PARTY && is_neighbour(option, request))
			continue;
		REQUIRE(is_found && !is_end && option.code == PCP_OPTION_NEXT && option.length >= 56);
		REQUIRE(!is_checked || !memcmp(option.data, zeros, 12));
		REQUIRE(!is_own || !memcmp(option.data + 28, request->source6 + 12, 4));
		REQUIRE(!memcmp(option.data + 44, model_pool, 4));
		is_end = option.data[15];
	}
	REQUIRE(!more);
}

/* RFC 6886 section 3.5: an opcode's own response, or the whole request again. */
static void check_natpmp(const struct pcp_datagram *request, const uint8_t *reply, size_t len)
{
	static const size_t request_len[] = { 2, 12, 12 }, reply_len[] = { 12, 16, 16 };
	uint8_t opcode = request->len > 1 ? request->bytes[1] : 0;

	if (opcode < 3 && request->len >= request_len[opcode])
		REQUIRE(len == (pcp_address_is_ipv4(request->source6) ? reply_len[opcode] : 0));
	if (!len)
		return;
	REQUIRE(!reply[0] && reply[1] == (opcode | 0x80) && !reply[2] && reply[3] < 6);
	REQUIRE(reply[len] == 0xee);
	if (opcode >= 3)
		REQUIRE(reply[3] == 5 && len == (request->len < 4 ? 4 : request->len > PCP_MESSAGE_MAX ? PCP_MESSAGE_MAX : request->len));
	else
		REQUIRE(!memcmp(reply + 4, "\0\0\4\xe2", 4));
	if (opcode == 1 || opcode == 2)
		REQUIRE(!memcmp(reply + 8, request->bytes + 4, 2));
}

static void check_reply(const struct pcp_datagram *request, const uint8_t *reply, size_t len, unsigned changes, bool has_natpmp)
{
	struct pcp_response_header header;
	struct reader r;

	if (has_natpmp && request->len && !request->bytes[0]) {
		check_natpmp(request, reply, len);
		return;
	}
	REQUIRE((len == 0) == is_to_be_ignored(request));
	if (!len) {
		REQUIRE(!changes);
		return;
	}
	REQUIRE(len <= PCP_MESSAGE_MAX && len % 4 == 0);
	REQUIRE(reply[len] == 0xee);	/* nothing behind it was touched */
	reader_init(&r, reply, len);
	REQUIRE(!pcp_decode_response_header(&r, &header));
	REQUIRE(header.version == 2 && header.is_response && !reply[2]);
	REQUIRE(header.opcode == request->bytes[1]);
	REQUIRE(header.epoch_s == EPOCH_S);
	if (header.opcode == PCP_GET && (header.result == PCP_SUCCESS || header.result == PCP_NONEXIST_MAP)) {
		REQUIRE(!changes && header.lifetime_s == (header.result == PCP_SUCCESS ? 0 : 30));
		check_get(request, reply, len, header.result == PCP_SUCCESS, scene_checks_nonces);
		return;
	}
	if (header.result == PCP_SUCCESS) {
		check_success(request, reply, len, header.lifetime_s);
		return;
	}
	REQUIRE(!changes);
	check_error(request, reply, len);
}

static void send_one(struct pcp_server *server, struct model *model, const uint8_t *bytes, size_t len, unsigned scene)
{
	static const uint8_t client[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 2 };
	struct pcp_datagram datagram = { .len = len, .source_port = 50000, .is_internal = true };
	uint8_t reply[PCP_MESSAGE_MAX + 1], *copy = malloc(len ? len : 1);	/* it ends where it ends: ASan sees a byte too far */
	unsigned changes = model->changes;
	bool had_sets = has_sets(model);
	size_t reply_len;

	REQUIRE(copy);
	if (len)
		memcpy(copy, bytes, len);
	datagram.bytes = copy;
	memcpy(datagram.source6, client, sizeof(client));
	if (scene & SCENE_OTHER_SOURCE && len >= 24)
		memcpy(datagram.source6, bytes + 8, sizeof(datagram.source6));	/* whoever the header names */
	memset(reply, 0xee, sizeof(reply));
	reply_len = pcp_server_handle(server, &datagram, NOW_S, reply, sizeof(reply));
	/* NAT-PMP deletes many at once, a set takes many along, and so does who asks for a set over mappings of one port. */
	if (len && bytes[0] && !had_sets && !(len > 60 && has_option(bytes + 60, len - 60, PCP_OPTION_PORT_SET)))
		REQUIRE(model->changes - changes <= 1 || has_sets(model));
	check_reply(&datagram, reply, reply_len, model->changes - changes, scene & SCENE_NATPMP);
	check_filters(model);
	if (!(scene & SCENE_NATPMP))	/* which knows of single ports only */
		check_sets(model);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct pcp_policy policy = {
		.lifetime_min_s = LIFETIME_MIN_S, .lifetime_max_s = LIFETIME_MAX_S, .error_short_s = 30, .error_long_s = 1800,
		.announce = true, .map = true, .peer = true, .get = true, .get_policy = { PCP_GET, PCP_OPTION_NEXT, PCP_NONEXIST_MAP, false },
		.description_max = DESCRIPTION_MAX, .filters = 8,
	};
	static const struct pcp_third_party agent[] = {
		{ { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 2 }, 128 },
		  { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 0 }, 120 } },
	};
	struct pcp_server *server;
	static struct model model;
	size_t first, rest;
	unsigned scene;

	if (size < 3)
		return 0;
	scene_checks_nonces = !(input[0] & SCENE_ANY_NONCE);
	scene = input[0] | (input[1] & 0xc0u) << 8;
	scene_has_agent = scene & SCENE_AGENT;
	scene_set(&model, scene);
	policy.nat_pmp = scene & SCENE_NATPMP;
	policy.third_party = agent;
	policy.third_party_count = scene_has_agent;
	policy.is_durable = scene_has_agent;
	policy.nonce_policy = input[0] & SCENE_ANY_NONCE ? CGN_NONCE_OFF : CGN_NONCE_STRICT;
	first = (size_t)((input[1] & 0x3f) << 8 | input[2]);
	if (first > size - 3)
		first = size - 3;
	rest = size - 3 - first;
	server = pcp_server_new(&policy, &model_ops, &model);
	REQUIRE(server);
	pcp_server_set_epoch_base(server, NOW_S - EPOCH_S);
	send_one(server, &model, input + 3, first, scene);
	send_one(server, &model, rest ? input + 3 + first : input + 3, rest ? rest : first, scene);
	pcp_server_free(server);
	return 0;
}
