/* SPDX-License-Identifier: GPL-2.0-only */
/* A PCP server over the model data plane, and requests and replies as bytes written by hand from the figures of RFC 6887. */
#ifndef CGN_PCP_FIXTURE_H
#define CGN_PCP_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "model_dataplane.h"
#include "pcp_proto.h"
#include "pcp_server.h"

#define NOW_S 5000u
#define EPOCH_BASE_S 3750u	/* so that the Epoch is 1250 = 0x4e2 */
#define SOURCE_PORT 50000

#define CLIENT 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 2
#define POOL 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1
#define ANY4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0
#define ANY6 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define ADDRESS6 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
#define CLIENT_LAST12 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 2
#define ZERO12 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define EPOCH 0, 0, 0x04, 0xe2
#define NONCE 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab
#define OTHER_NONCE 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xac

#define S0 0, 0, 0, 0
#define S1 0, 0, 0, 1
#define S30 0, 0, 0, 0x1e		/* errors of short life */
#define S120 0, 0, 0, 0x78
#define S1800 0, 0, 0x07, 0x08	/* errors of long life */
#define S3600 0, 0, 0x0e, 0x10
#define S86400 0, 0x01, 0x51, 0x80
#define S_FOREVER 0xff, 0xff, 0xff, 0xff

#define UDP 17
#define TCP 6
#define PORT_0 0, 0
#define PORT_12354 0x30, 0x42
#define PORT_1024 0x04, 0x00
#define PORT_1030 0x04, 0x06

/* Section 7.1; a response's R bit and opcode come as one number, as on the wire. */
#define REQUEST(opcode, ...) 2, opcode, 0, 0, __VA_ARGS__, CLIENT
#define MAP_REQUEST(...) REQUEST(0x01, __VA_ARGS__)
/* Section 7.2 */
#define SUCCESS(opcode, ...) 2, opcode, 0, 0, __VA_ARGS__, EPOCH, ZERO12
#define MAP_SUCCESS(...) SUCCESS(0x81, __VA_ARGS__)

#define PREFER_FAILURE_OPTION 2, 0, 0, 0
#define FILTER_OPTION(prefix_length, ...) 3, 0, 0, 20, 0, prefix_length, 0, 0, __VA_ARGS__
#define THIRD_PARTY_OPTION(...) 1, 0, 0, 16, __VA_ARGS__

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

struct fixture {
	struct pcp_server *server;
	struct pcp_policy policy;
	struct model model;
	uint8_t source6[16];
	uint32_t now_s;
	uint64_t now_ms;	/* of reception */
	bool is_external;
	uint8_t reply[PCP_MESSAGE_MAX + 64];
};

static inline int fixture_up(void **state)
{
	static const uint8_t client[16] = { CLIENT };
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;
	fixture->policy = (struct pcp_policy){
		.lifetime_min_s = 120, .lifetime_max_s = 86400, .error_short_s = 30, .error_long_s = 1800,
		.announce = true, .map = true, .nonce_policy = CGN_NONCE_STRICT, .filters = 8, .description_max = 128,
	};
	fixture->now_s = NOW_S;
	memcpy(fixture->source6, client, sizeof(client));
	model_init(&fixture->model, NOW_S);
	fixture->server = pcp_server_new(&fixture->policy, &model_ops, &fixture->model);
	if (!fixture->server)
		return -1;
	pcp_server_set_epoch_base(fixture->server, EPOCH_BASE_S);
	*state = fixture;
	return 0;
}

static inline int fixture_down(void **state)
{
	struct fixture *fixture = *state;

	pcp_server_free(fixture->server);
	free(fixture);
	return 0;
}

/* Sends one request in a buffer of exactly its size, so that ASan sees a byte too far; returns the reply's length. */
static inline size_t fixture_send(struct fixture *fixture, const uint8_t *request, size_t len)
{
	struct pcp_datagram datagram = { .len = len, .source_port = SOURCE_PORT, .is_internal = !fixture->is_external,
					 .received_ms = fixture->now_ms };
	uint8_t *bytes = malloc(len ? len : 1);
	size_t reply_len;

	assert_non_null(bytes);
	if (len)
		memcpy(bytes, request, len);
	datagram.bytes = bytes;
	memcpy(datagram.source6, fixture->source6, sizeof(datagram.source6));
	memset(fixture->reply, 0xee, sizeof(fixture->reply));
	reply_len = pcp_server_handle(fixture->server, &datagram, fixture->now_s, fixture->reply, sizeof(fixture->reply));
	free(bytes);
	assert_true(reply_len <= PCP_MESSAGE_MAX);
	assert_true(reply_len % 4 == 0 || fixture->reply[0] != PCP_VERSION);
	assert_int_equal(fixture->reply[reply_len], 0xee);	/* nothing is written behind the reply */
	return reply_len;
}

static inline void expect_reply(struct fixture *fixture, const uint8_t *request, size_t len, const uint8_t *expected,
				size_t expected_len)
{
	assert_int_equal(fixture_send(fixture, request, len), expected_len);
	assert_memory_equal(fixture->reply, expected, expected_len);
}

static inline void expect_silence(struct fixture *fixture, const uint8_t *request, size_t len)
{
	unsigned calls = fixture->model.calls;

	assert_int_equal(fixture_send(fixture, request, len), 0);
	assert_int_equal(fixture->model.calls, calls);
}

/* Section 8.2: an error reply is the request with the server's fields set, and nothing has changed. */
static inline void expect_error(struct fixture *fixture, const uint8_t *request, size_t len, uint8_t result, uint32_t lifetime_s)
{
	bool is_parsed = result != 1 && result != 3 && result != 4 && result != 6;
	unsigned changes = fixture->model.changes;
	uint8_t expected[PCP_MESSAGE_MAX] = { 0 };
	size_t expected_len = len < 24 ? 24 : len < PCP_MESSAGE_MAX ? (len + 3) / 4 * 4 : PCP_MESSAGE_MAX;

	memcpy(expected, request, len < PCP_MESSAGE_MAX ? len : PCP_MESSAGE_MAX);
	expected[0] = 2;
	expected[1] |= 0x80;
	expected[2] = 0;
	expected[3] = result;
	expected[4] = (uint8_t)(lifetime_s >> 24);
	expected[5] = (uint8_t)(lifetime_s >> 16);
	expected[6] = (uint8_t)(lifetime_s >> 8);
	expected[7] = (uint8_t)lifetime_s;
	memcpy(expected + 8, (const uint8_t[]){ EPOCH }, 4);
	if (is_parsed)
		memset(expected + 12, 0, 12);
	assert_int_equal(fixture_send(fixture, request, len), expected_len);
	assert_memory_equal(fixture->reply, expected, expected_len);
	assert_int_equal(fixture->model.changes, changes);
}

#endif
