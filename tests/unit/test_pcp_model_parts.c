/* SPDX-License-Identifier: GPL-2.0-only */
/* Ten thousand random requests of MAP, PEER, FILTER and PORT_SET and clock steps, each answer compared with what a naive table says
 * that it must be: every internal endpoint has at most one MAP and one PEER for each remote peer, and one external port as long as
 * any of them stands. RFC 6887 sections 11.3, 12.3, 13.3, 15; RFC 7753 section 4. test_pcp_model has the rest of MAP. */
#include "pcp_fixture.h"
#include "pcp_codec.h"

#define STEPS 10000
#define HOSTS 2
#define PORTS 8			/* internal ones of a host, from 80 on */
#define REMOTES 2
#define QUOTA 9			/* MAPs and PEERs of a host */
#define EXTERNALS 14		/* ports from 1024 on */
#define FILTERS 4		/* that there are */
#define FILTERS_LIMIT 3		/* that a mapping may have */

struct part { bool stands; uint8_t nonce; uint32_t expires_s; };

struct row {			/* one internal endpoint */
	uint16_t external;	/* counts while any part stands */
	struct part map, peer[REMOTES];
	unsigned filters;	/* a bit each */
	unsigned set_first, set_size;	/* size 0: of no set */
};

struct naive { struct row row[HOSTS][PORTS]; uint32_t now_s; uint64_t random; };

enum kind { MAP, PEER, SET };

struct question {
	enum kind kind;
	unsigned host, port, remote, size, filters;
	bool clears;
	uint8_t nonce;
	uint32_t lifetime_s;
	uint16_t wish;
};

struct verdict {
	uint8_t result, or_result;	/* two rules broken at once: either is right */
	uint32_t lifetime_s;
	uint16_t external;	/* 0: a free one */
	unsigned set_first, set_size;
};

static unsigned roll(struct naive *naive, unsigned sides)
{
	naive->random = naive->random * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(naive->random >> 33) % sides;
}

static uint32_t granted(uint32_t asked_s)
{
	return asked_s < 120 ? 120 : asked_s > 86400 ? 86400 : asked_s;
}

/* ---- the table ---- */

static unsigned parts_of(const struct row *row)
{
	return (unsigned)row->map.stands + (unsigned)row->peer[0].stands + (unsigned)row->peer[1].stands;
}

static unsigned used(const struct naive *naive, unsigned host)
{
	unsigned port, count = 0;

	for (port = 0; port < PORTS; port++)
		count += parts_of(&naive->row[host][port]);
	return count;
}

static bool is_free(const struct naive *naive, unsigned external)
{
	unsigned host, port;

	for (host = 0; host < HOSTS; host++)
		for (port = 0; port < PORTS; port++)
			if (parts_of(&naive->row[host][port]) && naive->row[host][port].external == external)
				return false;
	return external >= 1024 && external < 1024 + EXTERNALS;
}

static unsigned longest_run(const struct naive *naive)
{
	unsigned external, run = 0, longest = 0;

	for (external = 1024; external < 1024 + EXTERNALS; external++) {
		run = is_free(naive, external) ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	return longest;
}

static uint32_t later(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t remaining(const struct naive *naive, const struct row *row)
{
	uint32_t end_s = row->map.stands ? row->map.expires_s : naive->now_s;
	unsigned i;

	for (i = 0; i < REMOTES; i++)
		if (row->peer[i].stands)
			end_s = later(end_s, row->peer[i].expires_s);
	return end_s - naive->now_s;
}

static unsigned bits(unsigned mask)
{
	return (unsigned)__builtin_popcount(mask);
}

/* What a deletion leaves of the first `size` rows: their PEERs. */
static uint32_t left_by_deletion(const struct naive *naive, const struct row *row, unsigned size)
{
	uint32_t left_s = 0;
	unsigned i;

	for (i = 0; i < size; i++) {
		struct row without = row[i];

		without.map.stands = false;
		left_s = later(left_s, remaining(naive, &without));
	}
	return left_s;
}

/* ---- what must come of a request ---- */

static struct verdict refused(uint8_t result, uint32_t lifetime_s)
{
	return (struct verdict){ .result = result, .or_result = result, .lifetime_s = lifetime_s };
}

/* The external port of a new part: that of its endpoint, the wish, or any. */
static struct verdict placed(const struct naive *naive, const struct row *row, uint16_t wish, uint32_t lifetime_s)
{
	struct verdict verdict = { .lifetime_s = lifetime_s };

	if (parts_of(row))
		verdict.external = row->external;
	else if (is_free(naive, wish))
		verdict.external = wish;
	else if (!longest_run(naive))
		return refused(PCP_NO_RESOURCES, 30);
	return verdict;
}

static struct verdict judge_map(const struct naive *naive, const struct question *question, const struct row *row)
{
	unsigned filters = (question->clears ? 0 : row->filters) | question->filters;
	bool is_quota = !row->map.stands && used(naive, question->host) >= QUOTA, is_excess = bits(filters) > FILTERS_LIMIT;
	struct verdict verdict;

	if (!question->lifetime_s && (question->filters || question->clears))
		return refused(PCP_MALFORMED_OPTION, 1800);
	if (row->map.stands && row->map.nonce != question->nonce) {
		verdict = refused(PCP_NOT_AUTHORIZED, row->map.expires_s - naive->now_s);
		if (bits(question->filters) > FILTERS_LIMIT)
			verdict.or_result = PCP_EXCESSIVE_REMOTE_PEERS;
		return verdict;
	}
	if (!question->lifetime_s && !row->map.stands && parts_of(row))
		return refused(PCP_NOT_AUTHORIZED, 1800);
	if (!question->lifetime_s)
		return (struct verdict){ .lifetime_s = left_by_deletion(naive, row, 1), .external = question->wish };
	if (is_quota || (is_excess && question->filters)) {
		verdict = refused(is_quota ? PCP_USER_EX_QUOTA : PCP_EXCESSIVE_REMOTE_PEERS, is_quota ? 30 : 1800);
		if (is_quota && is_excess)
			verdict.or_result = PCP_EXCESSIVE_REMOTE_PEERS;
		return verdict;
	}
	return placed(naive, row, question->wish, granted(question->lifetime_s));
}

static struct verdict judge_peer(const struct naive *naive, const struct question *question, const struct row *row)
{
	const struct part *peer = &row->peer[question->remote];
	uint32_t lifetime_s;

	if (peer->stands && peer->nonce != question->nonce)
		return refused(PCP_NOT_AUTHORIZED, peer->expires_s - naive->now_s);
	if (!question->lifetime_s)
		return (struct verdict){ .lifetime_s = remaining(naive, row), .external = parts_of(row) ? row->external : question->wish };
	if (!peer->stands && used(naive, question->host) >= QUOTA)
		return refused(PCP_USER_EX_QUOTA, 30);
	if (!parts_of(row) && question->wish && !is_free(naive, question->wish))
		return refused(PCP_CANNOT_PROVIDE_EXTERNAL, 30);
	lifetime_s = later(remaining(naive, row), granted(question->lifetime_s));
	return placed(naive, row, question->wish, lifetime_s);
}

static struct verdict judge_set(const struct naive *naive, const struct question *question, const struct row *row)
{
	unsigned most = QUOTA - used(naive, question->host);
	struct verdict verdict = { .lifetime_s = granted(question->lifetime_s), .set_first = question->port };

	if (row->map.stands && row->map.nonce != question->nonce)
		return refused(PCP_NOT_AUTHORIZED, row->map.expires_s - naive->now_s);
	if (!question->lifetime_s)
		return (struct verdict){ .lifetime_s = left_by_deletion(naive, row, question->size), .external = question->wish, .set_first = question->port,
			.set_size = question->size };
	if (row->map.stands) {
		verdict.external = row->external;
		verdict.set_size = row->set_size;
		return verdict;
	}
	if (!most)
		return refused(PCP_USER_EX_QUOTA, 30);
	if (!longest_run(naive))
		return refused(PCP_NO_RESOURCES, 30);
	verdict.set_size = question->size < most ? question->size : most;
	if (verdict.set_size > longest_run(naive))
		verdict.set_size = longest_run(naive);
	return verdict;
}

static struct verdict judge(const struct naive *naive, const struct question *question)
{
	const struct row *row = &naive->row[question->host][question->port];

	return question->kind == MAP ? judge_map(naive, question, row) :
	       question->kind == PEER ? judge_peer(naive, question, row) : judge_set(naive, question, row);
}

/* ---- what becomes of the table ---- */

static void end_map(struct row *row)
{
	row->map.stands = false;
	row->filters = row->set_first = row->set_size = 0;
}

static void renew_map(const struct naive *naive, struct row *row, const struct question *question)
{
	row->map = (struct part){ true, question->nonce, naive->now_s + granted(question->lifetime_s) };
}

/* Every port of the set that a row is of, or it alone. */
static void change_map(struct naive *naive, const struct question *question)
{
	struct row *rows = naive->row[question->host], *row = &rows[question->port];
	unsigned first = row->set_size ? row->set_first : question->port, size = row->set_size ? row->set_size : 1, i;

	for (i = first; i < first + size; i++) {
		if (question->lifetime_s)
			renew_map(naive, &rows[i], question);
		else
			end_map(&rows[i]);
	}
}

static void change(struct naive *naive, const struct question *question, const struct verdict *verdict, uint16_t external)
{
	struct row *row = &naive->row[question->host][question->port];
	struct part *peer = &row->peer[question->remote];
	unsigned i;

	if (question->kind == PEER) {
		if (!question->lifetime_s)
			return;
		row->external = external;
		*peer = (struct part){ true, question->nonce,
			later(peer->stands ? peer->expires_s : 0, naive->now_s + granted(question->lifetime_s)) };
		return;
	}
	if (question->kind == SET && question->lifetime_s && !row->map.stands) {
		for (i = 0; i < verdict->set_size; i++) {
			row[i].external = (uint16_t)(external + i);
			renew_map(naive, &row[i], question);
			row[i].set_first = question->port;
			row[i].set_size = verdict->set_size > 1 ? verdict->set_size : 0;
		}
		return;
	}
	if (question->lifetime_s)
		row->external = external;
	change_map(naive, question);
	if (question->kind == MAP && question->lifetime_s)
		row->filters = (question->clears ? 0 : row->filters) | question->filters;
}

/* ---- requests ---- */

static void end_address(unsigned which, uint8_t address6[16])
{
	static const uint8_t first[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 1 };

	memcpy(address6, first, 16);
	address6[15] = (uint8_t)(1 + which);
}

static size_t encode(const struct question *question, const uint8_t client6[16], uint8_t bytes[300])
{
	struct pcp_request_header header = { .version = 2, .opcode = question->kind == PEER ? PCP_PEER : PCP_MAP,
		.lifetime_s = question->lifetime_s };
	struct pcp_peer peer = { .map = { .protocol = UDP, .internal_port = (uint16_t)(80 + question->port),
		.external_port = question->wish, .external6 = { ANY4 } }, .remote_port = 443 };
	struct pcp_filter filter = { .prefix_length = 0 };
	struct writer w;
	unsigned i;

	memcpy(header.client6, client6, 16);
	memset(peer.map.nonce, question->nonce, sizeof(peer.map.nonce));
	end_address(question->remote, peer.remote6);
	writer_init(&w, bytes, 300);
	pcp_encode_request_header(&w, &header);
	if (question->kind == PEER)
		pcp_encode_peer(&w, &peer);
	else
		pcp_encode_map(&w, &peer.map);
	if (question->clears)
		pcp_encode_filter(&w, &filter);
	filter.prefix_length = 128;
	for (i = 0; i < FILTERS; i++) {
		end_address(i, filter.remote6);
		if (question->filters >> i & 1)
			pcp_encode_filter(&w, &filter);
	}
	if (question->kind == SET)
		pcp_encode_port_set(&w, &(struct pcp_port_set){ .size = (uint16_t)question->size, .first_internal_port = peer.map.internal_port });
	return writer_len(&w);
}

/* A set is asked for where nothing is mapped, or as it stands: what overlaps has its own tests. False: neither. */
static bool make_set(const struct naive *naive, struct question *question)
{
	const struct row *row = &naive->row[question->host][question->port];
	unsigned i;

	question->wish = 0;
	if (row->set_size) {
		question->size = row->set_size;
		return row->set_first == question->port;
	}
	if (question->port + question->size > PORTS || !question->lifetime_s)
		return false;
	for (i = 0; i < question->size; i++)
		if (parts_of(&row[i]))
			return false;
	return true;
}

static struct question ask_anything(struct naive *naive)
{
	static const uint32_t lifetimes[] = { 0, 0, 0, 1, 120, 600, 2000 };
	struct question question = {
		.kind = (enum kind[]){ MAP, PEER, SET }[roll(naive, 3)], .host = roll(naive, HOSTS), .port = roll(naive, PORTS),
		.remote = roll(naive, REMOTES), .size = 2 + roll(naive, 3), .nonce = (uint8_t)(roll(naive, 5) ? 1 : 2),
		.lifetime_s = lifetimes[roll(naive, 7)], .wish = (uint16_t)(roll(naive, 2) ? 1022 + roll(naive, EXTERNALS + 4) : 0),
	};

	if (question.kind == SET && !make_set(naive, &question))
		question.kind = PEER;
	if (question.kind == MAP && !naive->row[question.host][question.port].set_size && !roll(naive, 2)) {
		question.filters = roll(naive, 1 << FILTERS);
		question.clears = !roll(naive, 3);
	}
	return question;
}

/* ---- both side by side ---- */

static void expect_set(struct reader *r, const struct verdict *verdict)
{
	struct pcp_port_set set = { .size = 0 };
	struct pcp_option option;

	while (pcp_decode_option(r, &option) == 1)
		if (option.code == PCP_OPTION_PORT_SET)
			assert_int_equal(pcp_decode_port_set(&option, &set), 0);
	assert_int_equal(set.size, verdict->set_size > 1 ? verdict->set_size : 0);
	if (set.size)
		assert_int_equal(set.first_internal_port, 80 + verdict->set_first);
}

static void compare(struct fixture *fixture, struct naive *naive, const struct question *question, size_t len)
{
	struct verdict verdict = judge(naive, question);
	struct pcp_response_header header;
	struct pcp_map map;
	struct pcp_peer peer;
	struct reader r;
	unsigned i;

	reader_init(&r, fixture->reply, len);
	assert_int_equal(pcp_decode_response_header(&r, &header), 0);
	if (question->kind == PEER) {
		assert_int_equal(pcp_decode_peer(&r, &peer), 0);
		map = peer.map;
	} else {
		assert_int_equal(pcp_decode_map(&r, &map), 0);
	}
	if (header.result != verdict.or_result)
		assert_int_equal(header.result, verdict.result);
	if (header.result == verdict.result)
		assert_int_equal(header.lifetime_s, verdict.lifetime_s);
	assert_int_equal(map.internal_port, 80 + question->port);
	assert_int_equal(map.nonce[0], question->nonce);
	if (header.result)
		return;
	if (verdict.external || !question->lifetime_s)
		assert_int_equal(map.external_port, verdict.external);
	else
		for (i = 0; i < (verdict.set_size ? verdict.set_size : 1); i++)
			assert_true(is_free(naive, map.external_port + i));
	expect_set(&r, &verdict);
	change(naive, question, &verdict, map.external_port);
}

static unsigned filters_of(const struct model_mapping *mapping)
{
	unsigned mask = 0, i;

	for (i = 0; i < mapping->filter_count; i++)
		mask |= 1u << (mapping->filter[i].remote6[15] - 1);
	assert_int_equal(bits(mask), mapping->filter_count);
	return mask;
}

/* The data plane has what the table has, no more and no less. */
static void compare_state(struct fixture *fixture, const struct naive *naive, uint8_t host6[HOSTS][16])
{
	unsigned host, port, count = 0;

	for (host = 0; host < HOSTS; host++)
		for (port = 0; port < PORTS; port++) {
			const struct row *row = &naive->row[host][port];
			struct cgn_internal internal = { .port = (__u16)(80 + port), .protocol = UDP };
			const struct model_mapping *mapping;

			memcpy(internal.addr4, host6[host] + 12, 4);
			mapping = model_find(&fixture->model, &internal);
			assert_int_equal(mapping != NULL, parts_of(row) != 0);
			if (!mapping)
				continue;
			count++;
			assert_int_equal(mapping->external.port, row->external);
			assert_int_equal((mapping->origins & CGN_MAP) != 0, row->map.stands);
			assert_int_equal(mapping->peer_count, row->peer[0].stands + row->peer[1].stands);
			assert_int_equal(filters_of(mapping), row->filters);
		}
	assert_int_equal(fixture->model.count, count);
}

/* What the reaper would do: each part ends at its own time. */
static void reap(struct model *model)
{
	unsigned i, j;

	for (i = model->count; i-- > 0; ) {
		struct model_mapping *mapping = &model->mapping[i];

		for (j = mapping->peer_count; j-- > 0; )
			if (mapping->peer[j].expires_s <= model->now_s)
				mapping->peer[j] = mapping->peer[--mapping->peer_count];
		if (!mapping->peer_count)
			mapping->origins &= ~(unsigned)CGN_PEER;
		if (mapping->origins & CGN_MAP && mapping->expires_s <= model->now_s) {
			mapping->origins &= ~(unsigned)CGN_MAP;
			mapping->filter_count = 0;
			mapping->set_first = mapping->set_size = 0;
		}
		if (!(mapping->origins & (CGN_MAP | CGN_PEER)))
			model_remove(model, mapping);
	}
}

static void advance(struct fixture *fixture, struct naive *naive, uint32_t seconds)
{
	struct row *row = &naive->row[0][0];
	unsigned i, j;

	naive->now_s += seconds;
	fixture->now_s = fixture->model.now_s = naive->now_s;
	for (i = 0; i < HOSTS * PORTS; i++) {
		if (row[i].map.stands && row[i].map.expires_s <= naive->now_s)
			end_map(&row[i]);
		for (j = 0; j < REMOTES; j++)
			row[i].peer[j].stands = row[i].peer[j].stands && row[i].peer[j].expires_s > naive->now_s;
	}
	reap(&fixture->model);
}

static void test_random_operations(void **state)
{
	static struct naive naive = { .now_s = NOW_S, .random = 20150227 };
	uint8_t host6[HOSTS][16] = { { CLIENT }, { CLIENT } }, bytes[300];
	unsigned step, kinds[3] = { 0, 0, 0 }, sets = 0;
	struct fixture *fixture = *state;
	struct question question;
	size_t len;

	host6[1][15]++;
	fixture->policy.peer = true;
	fixture->policy.filters = FILTERS_LIMIT;
	pcp_server_set_policy(fixture->server, &fixture->policy);
	fixture->model.quota = QUOTA;
	fixture->model.ports = EXTERNALS;
	for (step = 0; step < STEPS; step++) {
		if (!roll(&naive, 4))
			advance(fixture, &naive, roll(&naive, 3) ? roll(&naive, 60) : roll(&naive, 4000));
		question = ask_anything(&naive);
		kinds[question.kind]++;
		sets += question.kind == SET && !naive.row[question.host][question.port].set_size;
		memcpy(fixture->source6, host6[question.host], 16);
		len = encode(&question, fixture->source6, bytes);
		compare(fixture, &naive, &question, fixture_send(fixture, bytes, len));
		compare_state(fixture, &naive, host6);
	}
	print_message("%u MAP, %u PEER, %u PORT_SET, %u of those new\n", kinds[MAP], kinds[PEER], kinds[SET], sets);
	assert_true(kinds[MAP] > 2000 && kinds[PEER] > 2000 && kinds[SET] > 600 && sets > 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_random_operations, fixture_up, fixture_down) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
