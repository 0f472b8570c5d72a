/* SPDX-License-Identifier: GPL-2.0-only */
/* The client over a clock of the test's own: what it sends and when, which answers it believes, and what it makes of them.
 * Requests and answers are bytes written by hand from the figures of RFC 6887 and RFC 6886. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "error.h"
#include "pcp_client.h"

#define S 1000000000ull
#define CLIENT4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 2
#define SERVER4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 1
#define THIRD4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 7
#define EXTERNAL4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1
#define REMOTE4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9
#define ANY4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0
#define NONCE 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab
#define ZEROS12 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0

/* MAP of 7000/tcp for 3600 s, and its answer: 192.0.2.1:7001 for 1800 s at Epoch 1250. */
static const uint8_t map_request[60] = { 2, 1, 0, 0, 0, 0, 0x0e, 0x10, CLIENT4, NONCE, 6, 0, 0, 0, 0x1b, 0x58, 0, 0, ANY4 };
static const uint8_t map_answer[60] = { 2, 0x81, 0, 0, 0, 0, 0x07, 0x08, 0, 0, 0x04, 0xe2, ZEROS12, NONCE, 6, 0, 0, 0, 0x1b, 0x58, 0x1b, 0x59,
					EXTERNAL4 };

struct fixture {
	struct pcp_client client;
	struct pcp_exchange exchange;
	struct pcp_client_request request;
	struct pcp_client_reply reply;
	uint8_t sent[PCP_MESSAGE_MAX];
	size_t sent_len;
};

static void map_fill(struct pcp_client_request *request)
{
	*request = (struct pcp_client_request){ .opcode = PCP_MAP, .lifetime_s = 3600, .peer = { .map = { .nonce = { NONCE }, .protocol = 6,
						.internal_port = 7000, .external6 = { ANY4 } } } };
}

static void fixture_init(struct fixture *f)
{
	const struct pcp_client_path path = { .server6 = { SERVER4 }, .client6 = { CLIENT4 }, .server_port = 5351 };

	*f = (struct fixture){ 0 };
	pcp_client_init(&f->client, &path, 1);
	map_fill(&f->request);
}

/* Starts and sends the first message. */
static void begin(struct fixture *f, uint64_t now_ns)
{
	assert_int_equal(pcp_exchange_start(&f->exchange, &f->client, &f->request, &retransmission_pcp, now_ns, 0), 0);
	f->sent_len = pcp_exchange_send(&f->exchange, &f->client, now_ns, f->sent);
	assert_true(f->sent_len);
}

static enum pcp_exchange_outcome receive(struct fixture *f, const void *bytes, size_t len, uint64_t now_ns)
{
	struct pcp_client_datagram datagram = { .bytes = bytes, .len = len, .source6 = { SERVER4 }, .source_port = 5351 };

	return pcp_exchange_receive(&f->exchange, &f->client, &datagram, now_ns, &f->reply);
}

static void expect_sent(const struct fixture *f, const void *bytes, size_t len)
{
	assert_int_equal(f->sent_len, len);
	assert_memory_equal(f->sent, bytes, len);
}

/* ---- requests as bytes ---- */

static void test_map(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	begin(&f, 0);
	expect_sent(&f, map_request, sizeof(map_request));
	assert_int_equal(receive(&f, map_answer, sizeof(map_answer), S), PCP_EXCHANGE_ANSWERED);
	assert_int_equal(f.reply.version, 2);
	assert_int_equal(f.reply.opcode, PCP_MAP);
	assert_int_equal(f.reply.result, PCP_SUCCESS);
	assert_int_equal(f.reply.lifetime_s, 1800);
	assert_int_equal(f.reply.epoch_s, 1250);
	assert_true(f.reply.epoch_is_valid);
	assert_int_equal(f.reply.peer.map.external_port, 7001);
	assert_memory_equal(f.reply.peer.map.external6, ((uint8_t[]){ EXTERNAL4 }), 16);
	assert_int_equal(reader_left(&f.reply.options), 0);
	assert_true(f.exchange.retransmission.next_ns == RETRANSMISSION_NEVER);
	assert_int_equal(pcp_exchange_send(&f.exchange, &f.client, 100 * S, f.sent), 0);
	assert_false(f.exchange.retransmission.has_failed);
}

/* All options of MAP, in one order. */
static void test_map_options(void **state)
{
	static const uint8_t expected[] = {
		2, 1, 0, 0, 0, 0, 0x0e, 0x10, CLIENT4, NONCE, 6, 0, 0, 0, 0x1b, 0x58, 0x1f, 0x90, EXTERNAL4,
		1, 0, 0, 16, THIRD4,
		2, 0, 0, 0,
		3, 0, 0, 20, 0, 120, 0x01, 0xbb, REMOTE4,
		3, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		130, 0, 0, 5, 0, 8, 0x1b, 0x58, 1, 0, 0, 0,
		128, 0, 0, 2, 'h', 'i', 0, 0,
		192, 0, 0, 0,
	};
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.request.peer.map.external_port = 8080;
	memcpy(f.request.peer.map.external6, ((uint8_t[]){ EXTERNAL4 }), 16);
	f.request.is_third_party = true;
	memcpy(f.request.third_party6, ((uint8_t[]){ THIRD4 }), 16);
	f.request.prefers_failure = true;
	f.request.filter_count = 2;
	f.request.filters[0] = (struct pcp_filter){ .prefix_length = 120, .remote_port = 443, .remote6 = { REMOTE4 } };
	f.request.has_port_set = true;
	f.request.port_set = (struct pcp_port_set){ .size = 8, .first_internal_port = 7000, .keeps_parity = true };
	f.request.description = "hi";
	f.request.description_len = 2;
	f.request.requires_checkpoint = true;
	begin(&f, 0);
	expect_sent(&f, expected, sizeof(expected));
}

static void test_peer(void **state)
{
	static const uint8_t expected[80] = { 2, 2, 0, 0, 0, 0, 0, 0, CLIENT4, NONCE, 17, 0, 0, 0, 0x13, 0x88, 0, 0, ANY4, 0x0d, 0x96, 0, 0,
					      REMOTE4 };
	uint8_t answer[80] = { 2, 0x82, 0, 0, 0, 0, 0, 77, 0, 0, 0x04, 0xe2, ZEROS12, NONCE, 17, 0, 0, 0, 0x13, 0x88, 0x20, 0x00, EXTERNAL4,
			       0x0d, 0x96, 0, 0, REMOTE4 };
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.request = (struct pcp_client_request){ .opcode = PCP_PEER, .peer = { .map = { .nonce = { NONCE }, .protocol = 17,
						 .internal_port = 5000, .external6 = { ANY4 } }, .remote_port = 3478, .remote6 = { REMOTE4 } } };
	begin(&f, 0);
	expect_sent(&f, expected, sizeof(expected));
	answer[60] ^= 1;	/* another remote port */
	assert_int_equal(receive(&f, answer, sizeof(answer), 0), PCP_EXCHANGE_IGNORED);
	answer[60] ^= 1;
	answer[79] ^= 1;	/* another remote peer */
	assert_int_equal(receive(&f, answer, sizeof(answer), 0), PCP_EXCHANGE_IGNORED);
	answer[79] ^= 1;
	assert_int_equal(receive(&f, answer, 60, 0), PCP_EXCHANGE_IGNORED);
	assert_int_equal(receive(&f, answer, sizeof(answer), 0), PCP_EXCHANGE_ANSWERED);
	assert_int_equal(f.reply.peer.map.external_port, 0x2000);
	assert_int_equal(f.reply.lifetime_s, 77);
}

/* The request of section 5.4 of the project's notes on the draft, for the client's own address; the answer returns its filter. */
static void test_get(void **state)
{
	static const uint8_t codes[] = { 3, 128 };
	static const uint8_t expected[128] = { 2, 98, 0, 0, 0, 0, 0, 0, CLIENT4, 0, 0, 0, 0, ANY4, ANY4, 0, 0, 0, 0,
		131, 0, 0, 58, ZEROS12, 0, 0, 0, 0, ANY4, ANY4, 0, 0, 0, 0, 0, 0, 0, 0, 3, 128, 0, 0 };
	uint8_t answer[64] = { 2, 0xe2, 0, 130, 0, 0, 0, 30, 0, 0, 0x04, 0xe2, ZEROS12, 0, 0, 0, 0, ANY4, ANY4, 0, 0, 0, 0 };
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.request = (struct pcp_client_request){ .opcode = PCP_GET, .get = { .internal6 = { ANY4 }, .external6 = { ANY4 } },
		.has_next = true, .next_code = PCP_OPTION_NEXT,
		.next = { .internal6 = { ANY4 }, .external6 = { ANY4 }, .options = codes, .options_len = 2 } };
	begin(&f, 0);
	expect_sent(&f, expected, sizeof(expected));
	for (size_t i = 24; i < 64; i++) {
		if (i >= 25 && i < 28)
			continue;	/* reserved */
		answer[i] ^= 1;
		assert_int_equal(receive(&f, answer, sizeof(answer), 0), PCP_EXCHANGE_IGNORED);
		answer[i] ^= 1;
	}
	assert_int_equal(receive(&f, answer, sizeof(answer), 0), PCP_EXCHANGE_ANSWERED);
	assert_int_equal(f.reply.result, PCP_NONEXIST_MAP);
}

/* A page with the locator anywhere but in front answers an earlier request; without the locator it may be this one's. */
static void test_get_late_page(void **state)
{
	struct pcp_next next = { .protocol = 6, .internal6 = { CLIENT4 }, .external6 = { EXTERNAL4 }, .internal_port = 1, .external_port = 1 };
	const struct pcp_response_header header = { .opcode = PCP_GET };
	struct fixture f;
	uint8_t page[256];
	struct writer w;

	(void)state;
	for (int first = 0; first < 3; first++) {	/* ports 0 1, 1 2, 2 3; the locator is 1 */
		fixture_init(&f);
		f.request = (struct pcp_client_request){ .opcode = PCP_GET, .has_next = true, .next_code = 131, .next = next };
		begin(&f, 0);
		writer_init(&w, page, sizeof(page));
		pcp_encode_response_header(&w, &header);
		pcp_encode_get(&w, &f.request.get);
		for (int i = first; i < first + 2; i++) {
			struct pcp_next shown = next;

			shown.external_port = (uint16_t)i;
			pcp_encode_next(&w, 131, &shown);
		}
		assert_int_equal(receive(&f, page, writer_len(&w), 0), first ? PCP_EXCHANGE_ANSWERED : PCP_EXCHANGE_IGNORED);
	}
}

static void test_request_too_long(void **state)
{
	static const char text[PCP_DESCRIPTION_MAX];
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.request.filter_count = PCP_CLIENT_FILTERS_MAX;	/* 60 + 43 * 24 = 1092 */
	assert_int_equal(pcp_exchange_start(&f.exchange, &f.client, &f.request, &retransmission_pcp, 0, 0), 0);
	f.request.description = text;
	f.request.description_len = sizeof(text);
	assert_int_equal(pcp_exchange_start(&f.exchange, &f.client, &f.request, &retransmission_pcp, 0, 0), CGN_EMALFORMED);
}

/* Section 8.1.1: the same bytes, the nonce above all, every time. */
static void test_retransmission_is_the_same(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	begin(&f, 0);
	for (int i = 0; i < 5; i++) {
		memset(f.sent, 0, sizeof(f.sent));
		f.sent_len = pcp_exchange_send(&f.exchange, &f.client, f.exchange.retransmission.next_ns, f.sent);
		expect_sent(&f, map_request, sizeof(map_request));
	}
}

/* ---- answers: sections 8.3 and 11.4 ---- */

static void expect_ignored(struct fixture *f, const uint8_t *bytes, size_t len)
{
	assert_int_equal(receive(f, bytes, len, 0), PCP_EXCHANGE_IGNORED);
	assert_false(f->client.epoch.is_known);	/* what is ignored says nothing about the Epoch either */
	assert_true(f->exchange.retransmission.next_ns != RETRANSMISSION_NEVER);
}

static void test_wrong_source(void **state)
{
	struct pcp_client_datagram datagram = { .bytes = map_answer, .len = sizeof(map_answer), .source6 = { SERVER4 }, .source_port = 5350 };
	struct fixture f;

	(void)state;
	fixture_init(&f);
	begin(&f, 0);
	assert_int_equal(pcp_exchange_receive(&f.exchange, &f.client, &datagram, 0, &f.reply), PCP_EXCHANGE_IGNORED);
	datagram.source_port = 5351;
	for (int i = 0; i < 16; i++) {
		datagram.source6[i] ^= 1;
		assert_int_equal(pcp_exchange_receive(&f.exchange, &f.client, &datagram, 0, &f.reply), PCP_EXCHANGE_IGNORED);
		datagram.source6[i] ^= 1;
	}
	assert_int_equal(pcp_exchange_receive(&f.exchange, &f.client, &datagram, 0, &f.reply), PCP_EXCHANGE_ANSWERED);
}

/* Every byte that has to be the request's. */
static void test_wrong_fields(void **state)
{
	static const struct { size_t offset; uint8_t mask; } wrong[] = {
		{ 0, 1 },	/* version 3, which is no answer unless it is UNSUPP_VERSION */
		{ 1, 0x80 },	/* a request */
		{ 1, 0x03 },	/* PEER */
		{ 1, 0x01 },	/* ANNOUNCE */
		{ 24, 1 }, { 35, 0x80 },	/* nonce, both ends */
		{ 36, 23 },	/* UDP */
		{ 40, 1 }, { 41, 1 },	/* internal port */
	};
	uint8_t bytes[60];
	struct fixture f;

	(void)state;
	fixture_init(&f);
	begin(&f, 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		memcpy(bytes, map_answer, sizeof(bytes));
		bytes[wrong[i].offset] ^= wrong[i].mask;
		expect_ignored(&f, bytes, sizeof(bytes));
	}
}

/* Each byte of the nonce counts; reserved bytes of header and body do not. */
static void test_every_byte(void **state)
{
	uint8_t bytes[60];
	struct fixture f;

	(void)state;
	for (size_t i = 2; i < 60; i++) {
		bool counts = (i >= 24 && i <= 36) || i == 40 || i == 41;

		fixture_init(&f);
		begin(&f, 0);
		memcpy(bytes, map_answer, sizeof(bytes));
		bytes[i] ^= 0x40;
		assert_int_equal(receive(&f, bytes, sizeof(bytes), 0), counts ? PCP_EXCHANGE_IGNORED : PCP_EXCHANGE_ANSWERED);
	}
}

static void test_lengths(void **state)
{
	uint8_t bytes[PCP_MESSAGE_MAX + 8] = { 0 };
	struct fixture f;
	size_t len;

	(void)state;
	fixture_init(&f);
	begin(&f, 0);
	memcpy(bytes, map_answer, sizeof(map_answer));
	for (len = 0; len < 60; len++)
		expect_ignored(&f, bytes, len);
	for (len = 61; len < 64; len++)
		expect_ignored(&f, bytes, len);
	expect_ignored(&f, bytes, PCP_MESSAGE_MAX + 1);
	expect_ignored(&f, bytes, PCP_MESSAGE_MAX + 4);
	assert_int_equal(receive(&f, bytes, PCP_MESSAGE_MAX, 0), PCP_EXCHANGE_ANSWERED);
}

/* An error has the request's body, and lifetime and Epoch like any answer. Further answers come and count (section 8.3). */
static void test_error_then_success(void **state)
{
	uint8_t bytes[60];
	struct fixture f;

	(void)state;
	fixture_init(&f);
	begin(&f, 0);
	memcpy(bytes, map_request, sizeof(bytes));
	bytes[1] = 0x81;
	bytes[3] = PCP_NOT_AUTHORIZED;
	memcpy(bytes + 4, (uint8_t[]){ 0, 0, 0x07, 0x08, 0, 0, 0, 9 }, 8);
	assert_int_equal(receive(&f, bytes, sizeof(bytes), 0), PCP_EXCHANGE_ANSWERED);
	assert_int_equal(f.reply.result, PCP_NOT_AUTHORIZED);
	assert_int_equal(f.reply.lifetime_s, 1800);
	assert_int_equal(f.reply.epoch_s, 9);
	memcpy(bytes, map_answer, sizeof(bytes));
	memcpy(bytes + 8, (uint8_t[]){ 0, 0, 0, 10 }, 4);
	assert_int_equal(receive(&f, bytes, sizeof(bytes), S), PCP_EXCHANGE_ANSWERED);
	assert_int_equal(f.reply.result, PCP_SUCCESS);
}

/* Section 7.3: whatever options an answer has, also unknown ones of the mandatory half, it is an answer. */
static void test_unknown_options(void **state)
{
	static const uint8_t options[12] = { 77, 0, 0, 1, 9, 0, 0, 0, 200, 0, 0, 0 };
	uint8_t bytes[72];
	struct pcp_option option;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	begin(&f, 0);
	memcpy(bytes, map_answer, 60);
	memcpy(bytes + 60, options, 12);
	assert_int_equal(receive(&f, bytes, sizeof(bytes), 0), PCP_EXCHANGE_ANSWERED);
	assert_int_equal(pcp_decode_option(&f.reply.options, &option), 1);
	assert_int_equal(option.code, 77);
}

/* The internal address: the client's own, or what THIRD_PARTY asked for, and nobody else's. */
static void test_third_party(void **state)
{
	uint8_t bytes[80];
	struct fixture f;

	(void)state;
	memcpy(bytes, map_answer, 60);
	memcpy(bytes + 60, (uint8_t[]){ 1, 0, 0, 16, THIRD4 }, 20);
	fixture_init(&f);
	begin(&f, 0);
	expect_ignored(&f, bytes, sizeof(bytes));	/* not asked for */
	fixture_init(&f);
	f.request.is_third_party = true;
	memcpy(f.request.third_party6, ((uint8_t[]){ THIRD4 }), 16);
	begin(&f, 0);
	expect_ignored(&f, bytes, 60);			/* about the client itself */
	bytes[79] ^= 1;
	expect_ignored(&f, bytes, sizeof(bytes));	/* about another host */
	bytes[79] ^= 1;
	bytes[63] = 12;
	expect_ignored(&f, bytes, sizeof(bytes));	/* about nobody */
	bytes[63] = 16;
	assert_int_equal(receive(&f, bytes, sizeof(bytes), 0), PCP_EXCHANGE_ANSWERED);
}

/* Section 13.2: a success that is not the suggestion is about something else; an error is an answer. */
static void test_prefer_failure(void **state)
{
	uint8_t bytes[64];
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.request.prefers_failure = true;
	f.request.peer.map.external_port = 8080;
	memcpy(f.request.peer.map.external6, ((uint8_t[]){ EXTERNAL4 }), 16);
	begin(&f, 0);
	memcpy(bytes, map_answer, 60);
	memcpy(bytes + 60, (uint8_t[]){ 2, 0, 0, 0 }, 4);
	expect_ignored(&f, bytes, sizeof(bytes));	/* 7001 */
	bytes[42] = 0x1f;
	bytes[43] = 0x90;
	bytes[59] ^= 1;
	expect_ignored(&f, bytes, sizeof(bytes));	/* 192.0.2.0 */
	bytes[59] ^= 1;
	assert_int_equal(receive(&f, bytes, sizeof(bytes), 0), PCP_EXCHANGE_ANSWERED);

	fixture_init(&f);
	f.request.prefers_failure = true;
	f.request.peer.map.external_port = 8080;
	begin(&f, 0);
	bytes[3] = PCP_CANNOT_PROVIDE_EXTERNAL;
	bytes[42] = 0;
	assert_int_equal(receive(&f, bytes, sizeof(bytes), 0), PCP_EXCHANGE_ANSWERED);
}

/* Sections 8.3 and 15: five years are not believed. */
static void test_lifetime_is_capped(void **state)
{
	struct pcp_client_reply reply = { .lifetime_s = 86401 };

	(void)state;
	assert_int_equal(pcp_client_lifetime_s(&reply), 86400);
	reply.lifetime_s = UINT32_MAX;
	assert_int_equal(pcp_client_lifetime_s(&reply), 86400);
	reply.lifetime_s = 86399;
	assert_int_equal(pcp_client_lifetime_s(&reply), 86399);
}

/* ---- the Epoch, across answers ---- */

static void test_epoch(void **state)
{
	uint8_t bytes[60];
	struct fixture f;

	(void)state;
	memcpy(bytes, map_answer, sizeof(bytes));
	fixture_init(&f);
	begin(&f, 0);
	assert_int_equal(receive(&f, bytes, sizeof(bytes), 100 * S), PCP_EXCHANGE_ANSWERED);
	assert_true(f.reply.epoch_is_valid);	/* the first always is */
	bytes[11] += 10;
	assert_int_equal(receive(&f, bytes, sizeof(bytes), 110 * S), PCP_EXCHANGE_ANSWERED);
	assert_true(f.reply.epoch_is_valid);
	memset(bytes + 8, 0, 4);
	assert_int_equal(receive(&f, bytes, sizeof(bytes), 120 * S), PCP_EXCHANGE_ANSWERED);
	assert_false(f.reply.epoch_is_valid);
	bytes[11] = 10;
	assert_int_equal(receive(&f, bytes, sizeof(bytes), 130 * S), PCP_EXCHANGE_ANSWERED);
	assert_true(f.reply.epoch_is_valid);	/* compared with the one before, which was recorded */
}

/* ---- what a refusal forbids ---- */

static void refuse(struct fixture *f, uint8_t result, uint32_t lifetime_s, uint64_t now_ns)
{
	uint8_t bytes[60];

	memcpy(bytes, f->sent, sizeof(bytes));
	bytes[1] |= 0x80;
	bytes[3] = result;
	memcpy(bytes + 4, (uint8_t[]){ (uint8_t)(lifetime_s >> 24), (uint8_t)(lifetime_s >> 16), (uint8_t)(lifetime_s >> 8), (uint8_t)lifetime_s },
	       4);
	memset(bytes + 8, 0, 16);
	assert_int_equal(receive(f, bytes, sizeof(bytes), now_ns), PCP_EXCHANGE_ANSWERED);
	assert_int_equal(f->reply.result, result);
}

static uint64_t next_start_ns(struct fixture *f, struct pcp_exchange *exchange, uint64_t now_ns)
{
	assert_int_equal(pcp_exchange_start(exchange, &f->client, &f->request, &retransmission_pcp, now_ns, 0), 0);
	return exchange->retransmission.next_ns;
}

/* Section 8.3: the same request not within the error's lifetime, and that is capped; other requests are free. */
static void test_error_holds_the_request(void **state)
{
	struct pcp_exchange other = { 0 };
	struct fixture f;

	(void)state;
	fixture_init(&f);
	begin(&f, 0);
	refuse(&f, PCP_NOT_AUTHORIZED, 1800, S);
	assert_true(next_start_ns(&f, &f.exchange, 2 * S) == 1801 * S);
	assert_int_equal(pcp_exchange_send(&f.exchange, &f.client, 1801 * S - 1, f.sent), 0);
	assert_true(next_start_ns(&f, &other, 2 * S) == 2 * S);
	f.sent_len = pcp_exchange_send(&f.exchange, &f.client, 1801 * S, f.sent);
	expect_sent(&f, map_request, sizeof(map_request));
	refuse(&f, PCP_NOT_AUTHORIZED, UINT32_MAX, 1801 * S);
	assert_true(next_start_ns(&f, &f.exchange, 1802 * S) == (1801 + 86400) * S);
}

/* Section 11.4: NO_RESOURCES for a mapping stops new mappings, not renewals. */
static void test_no_resources_stops_new_mappings(void **state)
{
	struct pcp_exchange other = { 0 };
	struct fixture f;

	(void)state;
	fixture_init(&f);
	begin(&f, 0);
	refuse(&f, PCP_NO_RESOURCES, 30, 0);
	f.request.peer.map.internal_port = 7001;
	assert_true(next_start_ns(&f, &other, S) == 30 * S);
	f.request.renews = true;
	assert_true(next_start_ns(&f, &other, S) == S);
	f.request.renews = false;
	f.request.lifetime_s = 0;
	assert_true(next_start_ns(&f, &other, S) == S);
	f.request.opcode = PCP_ANNOUNCE;
	assert_true(next_start_ns(&f, &other, S) == S);
}

/* Section 11.4: NO_RESOURCES for a deletion stops everything. */
static void test_no_resources_for_deletion(void **state)
{
	struct pcp_exchange other = { 0 };
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.request.lifetime_s = 0;
	begin(&f, 0);
	refuse(&f, PCP_NO_RESOURCES, 30, 0);
	f.request = (struct pcp_client_request){ .opcode = PCP_ANNOUNCE };
	assert_true(next_start_ns(&f, &other, S) == 30 * S);
	assert_true(next_start_ns(&f, &other, 31 * S) == 31 * S);
}

/* ---- versions: section 9, RFC 6886 ---- */

static const uint8_t natpmp_only[8] = { 0, 0, 0, 1, 0, 0, 0x04, 0xe2 };
static const uint8_t natpmp_map[12] = { 0, 2, 0, 0, 0x1b, 0x58, 0, 0, 0, 0, 0x0e, 0x10 };
static const uint8_t natpmp_map_answer[16] = { 0, 130, 0, 0, 0, 0, 0x04, 0xe3, 0x1b, 0x58, 0x1b, 0x59, 0, 0, 0x0e, 0x10 };

static void fall_back(struct fixture *f, uint64_t now_ns)
{
	assert_int_equal(receive(f, natpmp_only, sizeof(natpmp_only), now_ns), PCP_EXCHANGE_AGAIN);
	assert_true(f->exchange.retransmission.next_ns == now_ns);
	f->sent_len = pcp_exchange_send(&f->exchange, &f->client, now_ns, f->sent);
}

static void test_natpmp_map(void **state)
{
	uint8_t bytes[16];
	struct fixture f;

	(void)state;
	fixture_init(&f);
	begin(&f, 0);
	fall_back(&f, S);
	expect_sent(&f, natpmp_map, sizeof(natpmp_map));
	assert_true(f.exchange.retransmission.next_ns == S + S / 4);	/* its own schedule, without jitter */
	assert_int_equal(receive(&f, natpmp_only, sizeof(natpmp_only), S), PCP_EXCHANGE_IGNORED);	/* to a second PCP request */

	memcpy(bytes, natpmp_map_answer, sizeof(bytes));
	bytes[1] = 129;		/* UDP */
	assert_int_equal(receive(&f, bytes, sizeof(bytes), S), PCP_EXCHANGE_IGNORED);
	bytes[1] = 2;		/* no response */
	assert_int_equal(receive(&f, bytes, sizeof(bytes), S), PCP_EXCHANGE_IGNORED);
	bytes[1] = 130;
	bytes[9] ^= 1;		/* another port */
	assert_int_equal(receive(&f, bytes, sizeof(bytes), S), PCP_EXCHANGE_IGNORED);
	memcpy(bytes, natpmp_map_answer, sizeof(bytes));
	memset(bytes + 10, 0, 6);	/* a deletion's */
	assert_int_equal(receive(&f, bytes, sizeof(bytes), S), PCP_EXCHANGE_IGNORED);

	assert_int_equal(receive(&f, natpmp_map_answer, sizeof(natpmp_map_answer), S), PCP_EXCHANGE_ANSWERED);
	assert_int_equal(f.reply.version, 0);
	assert_int_equal(f.reply.opcode, PCP_MAP);
	assert_int_equal(f.reply.result, PCP_SUCCESS);
	assert_int_equal(f.reply.lifetime_s, 3600);
	assert_int_equal(f.reply.epoch_s, 1251);
	assert_int_equal(f.reply.peer.map.external_port, 7001);
	assert_true(pcp_address_is_any(f.reply.peer.map.external6));
	/* "records this fact": the next request is NAT-PMP at once */
	begin(&f, 10 * S);
	expect_sent(&f, natpmp_map, sizeof(natpmp_map));
}

static void test_natpmp_delete_and_address(void **state)
{
	static const uint8_t delete[12] = { 0, 2, 0, 0, 0x1b, 0x58, 0, 0, 0, 0, 0, 0 }, address[2] = { 0, 0 };
	static const uint8_t deleted[16] = { 0, 130, 0, 0, 0, 0, 0x04, 0xe2, 0x1b, 0x58, 0, 0, 0, 0, 0, 0 };
	static const uint8_t address_answer[12] = { 0, 128, 0, 0, 0, 0, 0x04, 0xe2, 192, 0, 2, 1 };
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.request.lifetime_s = 0;
	begin(&f, 0);
	fall_back(&f, 0);
	expect_sent(&f, delete, sizeof(delete));
	assert_int_equal(receive(&f, natpmp_map_answer, sizeof(natpmp_map_answer), 0), PCP_EXCHANGE_IGNORED);
	assert_int_equal(receive(&f, deleted, sizeof(deleted), 0), PCP_EXCHANGE_ANSWERED);
	f.request = (struct pcp_client_request){ .opcode = PCP_ANNOUNCE };
	begin(&f, 0);
	expect_sent(&f, address, sizeof(address));
	assert_int_equal(receive(&f, address_answer, sizeof(address_answer), 0), PCP_EXCHANGE_ANSWERED);
	assert_memory_equal(f.reply.peer.map.external6, ((uint8_t[]){ EXTERNAL4 }), 16);
}

/* An error of NAT-PMP, in the words of PCP. */
static void test_natpmp_error(void **state)
{
	static const uint8_t refused[16] = { 0, 130, 0, 4, 0, 0, 0x04, 0xe2, 0x1b, 0x58 };
	struct fixture f;

	(void)state;
	fixture_init(&f);
	begin(&f, 0);
	fall_back(&f, 0);
	assert_int_equal(receive(&f, refused, sizeof(refused), 0), PCP_EXCHANGE_ANSWERED);
	assert_int_equal(f.reply.result, PCP_NO_RESOURCES);
}

/* What NAT-PMP cannot say, or says with another meaning, ends with UNSUPP_VERSION and is tried again in half an hour. */
static void test_natpmp_cannot(void **state)
{
	struct fixture f;

	(void)state;
	for (int i = 0; i < 8; i++) {
		fixture_init(&f);
		f.request.peer.map.protocol = i == 0 ? 132 : 6;
		f.request.peer.map.internal_port = i == 1 ? 0 : 7000;	/* "all my mappings" */
		f.request.prefers_failure = i == 2;
		f.request.peer.map.external_port = 7000;
		f.request.filter_count = i == 3;
		f.request.is_third_party = i == 4;
		f.request.opcode = i == 5 ? PCP_PEER : i == 6 ? PCP_GET : PCP_MAP;
		if (i == 7)
			memset(f.client.path.client6, 0x20, 16);	/* IPv6 */
		begin(&f, 0);
		assert_int_equal(receive(&f, natpmp_only, sizeof(natpmp_only), S), PCP_EXCHANGE_ANSWERED);
		assert_int_equal(f.reply.result, PCP_UNSUPP_VERSION);
		assert_int_equal(f.reply.lifetime_s, 1800);
		assert_int_equal(f.client.version, 2);
		assert_true(next_start_ns(&f, &f.exchange, S) == 1801 * S);
	}
}

/* A version above 2 is not known here, and 2 was the lowest to try: the shorter of its lifetime and half an hour. Before any rule
 * about lengths. */
static void test_higher_version(void **state)
{
	static const uint8_t version_3[9] = { 3, 0x81, 0, 1, 0, 0, 0, 60 };
	struct fixture f;

	(void)state;
	fixture_init(&f);
	begin(&f, 0);
	assert_int_equal(receive(&f, version_3, 3, 0), PCP_EXCHANGE_IGNORED);
	assert_int_equal(receive(&f, version_3, sizeof(version_3), 0), PCP_EXCHANGE_ANSWERED);
	assert_int_equal(f.reply.result, PCP_UNSUPP_VERSION);
	assert_int_equal(f.reply.version, 3);
	assert_int_equal(f.reply.lifetime_s, 60);
	begin(&f, 60 * S);
	assert_int_equal(receive(&f, version_3, 4, 60 * S), PCP_EXCHANGE_ANSWERED);
	assert_int_equal(f.reply.lifetime_s, 1800);
}

/* A server that was NAT-PMP only and now is PCP only; and one that cannot decide. */
static void test_back_to_pcp(void **state)
{
	static const uint8_t pcp_only[24] = { 2, 0x82, 0, 1, 0, 0, 0x07, 0x08, 0, 0, 0, 5 };
	struct fixture f;

	(void)state;
	fixture_init(&f);
	begin(&f, 0);
	fall_back(&f, 0);
	assert_int_equal(receive(&f, pcp_only, sizeof(pcp_only), S), PCP_EXCHANGE_AGAIN);
	f.sent_len = pcp_exchange_send(&f.exchange, &f.client, S, f.sent);
	expect_sent(&f, map_request, sizeof(map_request));
	assert_int_equal(receive(&f, natpmp_only, sizeof(natpmp_only), S), PCP_EXCHANGE_ANSWERED);
	assert_int_equal(f.reply.result, PCP_UNSUPP_VERSION);
}

/* The time to give up does not start anew with another version; NAT-PMP gives up after nine tries. */
static void test_versions_share_the_time(void **state)
{
	struct fixture f;
	unsigned sent;

	(void)state;
	fixture_init(&f);
	assert_int_equal(pcp_exchange_start(&f.exchange, &f.client, &f.request, &retransmission_pcp, 0, 5 * S), 0);
	assert_true(pcp_exchange_send(&f.exchange, &f.client, 0, f.sent));
	fall_back(&f, S);
	assert_true(f.exchange.retransmission.give_up_ns == 5 * S);
	fixture_init(&f);
	begin(&f, 0);
	fall_back(&f, 0);
	for (sent = 1; pcp_exchange_send(&f.exchange, &f.client, f.exchange.retransmission.next_ns, f.sent); sent++)
		assert_int_equal(f.sent[0], 0);
	assert_int_equal(sent, 9);
	assert_true(f.exchange.retransmission.has_failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_map_options),
		cmocka_unit_test(test_peer),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_get_late_page),
		cmocka_unit_test(test_request_too_long),
		cmocka_unit_test(test_retransmission_is_the_same),
		cmocka_unit_test(test_wrong_source),
		cmocka_unit_test(test_wrong_fields),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_error_then_success),
		cmocka_unit_test(test_unknown_options),
		cmocka_unit_test(test_third_party),
		cmocka_unit_test(test_prefer_failure),
		cmocka_unit_test(test_lifetime_is_capped),
		cmocka_unit_test(test_epoch),
		cmocka_unit_test(test_error_holds_the_request),
		cmocka_unit_test(test_no_resources_stops_new_mappings),
		cmocka_unit_test(test_no_resources_for_deletion),
		cmocka_unit_test(test_natpmp_map),
		cmocka_unit_test(test_natpmp_delete_and_address),
		cmocka_unit_test(test_natpmp_error),
		cmocka_unit_test(test_natpmp_cannot),
		cmocka_unit_test(test_higher_version),
		cmocka_unit_test(test_back_to_pcp),
		cmocka_unit_test(test_versions_share_the_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
