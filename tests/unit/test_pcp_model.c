/* SPDX-License-Identifier: GPL-2.0-only */
/* Ten thousand random requests and clock steps, each answer compared with what a naive table says that it must be. The table
 * knows rules, not the server's ways: RFC 6887 sections 11.3, 13.1, 13.2, 15, 15.1. */
#include <stdio.h>
#include "pcp_fixture.h"
#include "pcp_codec.h"

#define STEPS 10000
#define HOSTS 4
#define PORTS 5
#define QUOTA 6			/* explicit mappings of a host */
#define EXTERNAL_PORTS 20	/* from 1024 on, in each protocol */
#define RESULT_OK 0

struct row {			/* one internal endpoint */
	bool is_mapped;
	uint8_t nonce;
	uint16_t external_port;
	uint32_t expires_s;
};

struct naive {
	struct row row[HOSTS][PORTS][2];	/* TCP, UDP */
	uint32_t now_s;
	uint64_t random;
};

struct question {
	unsigned host, port, is_udp, sender;	/* sender is the host, or 0 who may ask for all others */
	uint8_t nonce;
	uint32_t lifetime_s;
	uint16_t wish;		/* external port */
	bool prefers_failure;
};

struct verdict {
	uint8_t result;
	uint32_t lifetime_s;
	bool any_port;		/* a free one, of the server's choice */
	uint16_t external_port;
};

static unsigned roll(struct naive *naive, unsigned sides)
{
	naive->random = naive->random * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(naive->random >> 33) % sides;
}

static struct row *row_of(struct naive *naive, const struct question *question)
{
	return &naive->row[question->host][question->port][question->is_udp];
}

static bool is_taken(const struct naive *naive, unsigned is_udp, uint16_t external_port)
{
	unsigned host, port;

	for (host = 0; host < HOSTS; host++)
		for (port = 0; port < PORTS; port++)
			if (naive->row[host][port][is_udp].is_mapped && naive->row[host][port][is_udp].external_port == external_port)
				return true;
	return external_port < 1024 || external_port >= 1024 + EXTERNAL_PORTS;
}

static unsigned mapped_count(const struct naive *naive, unsigned host)
{
	unsigned port, count = 0;

	for (port = 0; port < PORTS; port++)
		count += (unsigned)naive->row[host][port][0].is_mapped + (unsigned)naive->row[host][port][1].is_mapped;
	return count;
}

static bool is_full(const struct naive *naive, unsigned is_udp)
{
	uint16_t port;

	for (port = 1024; port < 1024 + EXTERNAL_PORTS; port++)
		if (!is_taken(naive, is_udp, port))
			return false;
	return true;
}

static uint32_t granted(uint32_t asked_s)
{
	return asked_s < 120 ? 120 : asked_s > 86400 ? 86400 : asked_s;
}

static struct verdict judge_creation(struct naive *naive, const struct question *question, const struct row *row)
{
	bool meets = row->is_mapped ? row->external_port == question->wish : !is_taken(naive, question->is_udp, question->wish);

	if (!row->is_mapped && mapped_count(naive, question->host) >= QUOTA)
		return (struct verdict){ .result = PCP_USER_EX_QUOTA, .lifetime_s = 30 };
	if (question->prefers_failure && !meets)
		return (struct verdict){ .result = PCP_CANNOT_PROVIDE_EXTERNAL, .lifetime_s = 30 };
	if (row->is_mapped)
		return (struct verdict){ .lifetime_s = granted(question->lifetime_s), .external_port = row->external_port };
	if (is_full(naive, question->is_udp))
		return (struct verdict){ .result = PCP_NO_RESOURCES, .lifetime_s = 30 };
	return (struct verdict){ .lifetime_s = granted(question->lifetime_s), .external_port = question->wish, .any_port = !meets };
}

static struct verdict judge(struct naive *naive, const struct question *question)
{
	const struct row *row = row_of(naive, question);

	if (question->sender != question->host && question->sender)
		return (struct verdict){ .result = PCP_UNSUPP_OPTION, .lifetime_s = 1800 };
	if (question->prefers_failure && (!question->wish || !question->lifetime_s))
		return (struct verdict){ .result = PCP_MALFORMED_OPTION, .lifetime_s = 1800 };
	if (row->is_mapped && row->nonce != question->nonce)
		return (struct verdict){ .result = PCP_NOT_AUTHORIZED, .lifetime_s = row->expires_s - naive->now_s };
	if (!question->lifetime_s)	/* gone now, whether it was there or not; the wish is copied */
		return (struct verdict){ .external_port = question->wish };
	return judge_creation(naive, question, row);
}

static void address_of(unsigned host, uint8_t address6[16])
{
	const uint8_t first[16] = { CLIENT };

	memcpy(address6, first, 16);
	address6[15] = (uint8_t)(10 + host);
}

static struct question ask_anything(struct naive *naive)
{
	static const uint32_t lifetimes[] = { 0, 0, 1, 120, 600, 3600, 100000 };
	struct question question = {
		.host = roll(naive, HOSTS), .port = roll(naive, PORTS), .is_udp = roll(naive, 2), .nonce = (uint8_t)(roll(naive, 4) ? 1 : 2),
		.lifetime_s = lifetimes[roll(naive, 7)], .wish = (uint16_t)(roll(naive, 2) ? 1020 + roll(naive, EXTERNAL_PORTS + 8) : 0),
		.prefers_failure = !roll(naive, 6),
	};

	question.sender = roll(naive, 5) ? question.host : roll(naive, HOSTS);
	return question;
}

static size_t encode(const struct question *question, uint8_t bytes[200])
{
	struct pcp_request_header header = { .version = 2, .opcode = PCP_MAP, .lifetime_s = question->lifetime_s };
	struct pcp_map map = { .protocol = question->is_udp ? UDP : TCP, .internal_port = (uint16_t)(80 + question->port),
		.external_port = question->wish, .external6 = { POOL } };
	uint8_t target[16];
	struct writer w;

	address_of(question->sender, header.client6);
	address_of(question->host, target);
	memset(map.nonce, question->nonce, sizeof(map.nonce));
	writer_init(&w, bytes, 200);
	pcp_encode_request_header(&w, &header);
	pcp_encode_map(&w, &map);
	if (question->sender != question->host)
		pcp_encode_option(&w, PCP_OPTION_THIRD_PARTY, target, 16);
	if (question->prefers_failure)
		pcp_encode_option(&w, PCP_OPTION_PREFER_FAILURE, NULL, 0);
	return writer_len(&w);
}

static void compare(struct fixture *fixture, struct naive *naive, const struct question *question, size_t len)
{
	struct verdict verdict = judge(naive, question);
	struct row *row = row_of(naive, question);
	struct pcp_response_header header;
	struct pcp_map map;
	struct reader r;

	reader_init(&r, fixture->reply, len);
	assert_int_equal(pcp_decode_response_header(&r, &header), 0);
	assert_int_equal(pcp_decode_map(&r, &map), 0);
	assert_int_equal(header.result, verdict.result);
	assert_int_equal(header.lifetime_s, verdict.lifetime_s);
	assert_int_equal(header.epoch_s, naive->now_s - EPOCH_BASE_S);
	assert_int_equal(map.internal_port, 80 + question->port);
	assert_int_equal(map.nonce[0], question->nonce);
	if (verdict.result != RESULT_OK)
		return;
	if (verdict.any_port)
		assert_false(is_taken(naive, question->is_udp, map.external_port));
	else
		assert_int_equal(map.external_port, verdict.external_port);
	if (question->lifetime_s)
		*row = (struct row){ true, question->nonce, map.external_port, naive->now_s + verdict.lifetime_s };
	else
		row->is_mapped = false;
}

/* Both sides end what is over: the data plane's list, and the table. */
static void advance(struct fixture *fixture, struct naive *naive, uint32_t seconds)
{
	struct row *row = &naive->row[0][0][0];
	struct model *model = &fixture->model;
	unsigned i;

	naive->now_s += seconds;
	fixture->now_s = model->now_s = naive->now_s;
	for (i = 0; i < HOSTS * PORTS * 2; i++)
		row[i].is_mapped = row[i].is_mapped && row[i].expires_s > naive->now_s;
	for (i = model->count; i-- > 0; )
		if (model->mapping[i].expires_s <= naive->now_s)
			model_remove(model, &model->mapping[i]);
}

static void expect_same_count(const struct fixture *fixture, const struct naive *naive)
{
	unsigned host, count = 0;

	for (host = 0; host < HOSTS; host++)
		count += mapped_count(naive, host);
	assert_int_equal(fixture->model.count, count);
}

static void run(struct fixture *fixture, uint64_t seed)
{
	static struct naive naive;
	struct question question;
	uint8_t bytes[200];
	unsigned step;
	size_t len;

	naive = (struct naive){ .now_s = NOW_S, .random = seed };
	for (step = 0; step < STEPS; step++) {
		if (!roll(&naive, 4))
			advance(fixture, &naive, roll(&naive, 3) ? roll(&naive, 60) : roll(&naive, 4000));
		question = ask_anything(&naive);
		len = encode(&question, bytes);
		memcpy(fixture->source6, bytes + 8, 16);
		compare(fixture, &naive, &question, fixture_send(fixture, bytes, len));
		if (roll(&naive, 2) && question.lifetime_s) {	/* the answer was lost: the same request again */
			len = encode(&question, bytes);
			compare(fixture, &naive, &question, fixture_send(fixture, bytes, len));
		}
		expect_same_count(fixture, &naive);
	}
}

static void test_random_operations(void **state)
{
	static const struct pcp_third_party agent[] = {
		{ { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 10 }, 128 }, { { CLIENT }, 120 } },
	};
	struct fixture *fixture = *state;

	fixture->policy.third_party = agent;
	fixture->policy.third_party_count = 1;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	fixture->model.quota = QUOTA;
	fixture->model.ports = EXTERNAL_PORTS;
	run(fixture, 20130401);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_random_operations, fixture_up, fixture_down) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
