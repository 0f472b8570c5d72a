/* SPDX-License-Identifier: GPL-2.0-only */
/* Walks over tables of every size that matters, against servers that do what draft-boucadair-pcp-failure-06 B.6 says, what is better
 * than that, and what no server should do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "get_walk.h"

#define TABLE_MAX 10000

enum habit {
	FIRST_NOT_BELOW,	/* starts at the first mapping not below the locator */
	FROM_THE_START,		/* the same, but from the start if the locator is gone (B.6 to the letter) */
	IGNORES_LOCATOR,
	ONE_FOR_EVER,		/* one mapping to a page, which the inclusive locator never gets past */
};

struct server {
	enum habit habit;
	unsigned per_page;
	size_t count;
	bool there[TABLE_MAX];	/* mapping i is key i */
	uint8_t bytes[PCP_MESSAGE_MAX];
};

static struct pcp_next mapping(size_t i)
{
	struct pcp_next next = { .protocol = 6, .internal_port = 1000, .external_port = (uint16_t)i, .lifetime_s = 60 };

	pcp_address_from_ipv4((const uint8_t[]){ 198, 51, 100, 2 }, next.internal6);
	pcp_address_from_ipv4((const uint8_t[]){ 192, 0, 2, (uint8_t)(i >> 16) }, next.external6);
	return next;
}

static size_t start_of(const struct server *server, const struct pcp_next *locator)
{
	size_t i = locator->external_port;

	if (pcp_next_is_undefined(locator) || server->habit == IGNORES_LOCATOR)
		return 0;
	return server->habit == FROM_THE_START && !server->there[i] ? 0 : i;
}

static bool any_from(const struct server *server, size_t i)
{
	for (; i < server->count; i++)
		if (server->there[i])
			return true;
	return false;
}

static struct pcp_client_reply answer(struct server *server, const struct pcp_client_request *request)
{
	struct pcp_client_reply reply = { .epoch_is_valid = true };
	unsigned on_page = 0;
	struct pcp_next next;
	struct writer w;

	writer_init(&w, server->bytes, sizeof(server->bytes));
	for (size_t i = start_of(server, &request->next); i < server->count && on_page < server->per_page; i++) {
		if (!server->there[i])
			continue;
		next = mapping(i);
		on_page++;
		next.is_end = !any_from(server, i + 1);
		pcp_encode_next(&w, request->next_code, &next);
	}
	assert_false(w.overflow);
	if (!on_page && any_from(server, 0)) {	/* nothing as great as the locator: the last one, marked END */
		for (size_t i = 0; i < server->count; i++)
			if (server->there[i])
				next = mapping(i);
		next.is_end = true;
		pcp_encode_next(&w, request->next_code, &next);
	} else if (!on_page) {
		reply.result = PCP_NONEXIST_MAP;
	}
	reader_init(&reply.options, server->bytes, writer_len(&w));
	return reply;
}

static void server_init(struct server *server, enum habit habit, size_t count)
{
	memset(server, 0, sizeof(*server));
	server->habit = habit;
	server->per_page = habit == ONE_FOR_EVER ? 1 : 17;
	server->count = count;
	for (size_t i = 0; i < count; i++)
		server->there[i] = true;
}

static const struct pcp_client_request first = { .opcode = PCP_GET, .has_next = true, .next_code = PCP_OPTION_NEXT };

static struct get_walk *walk_new(void)
{
	struct get_walk *walk = get_walk_new(&first, PCP_NONEXIST_MAP);

	assert_non_null(walk);
	assert_true(pcp_next_is_undefined(&get_walk_request(walk)->next));
	return walk;
}

static enum get_walk_step step(struct get_walk *walk, struct server *server)
{
	struct pcp_client_reply reply = answer(server, get_walk_request(walk));

	return get_walk_step(walk, &reply);
}

static enum get_walk_step walk_to_end(struct get_walk *walk, struct server *server)
{
	enum get_walk_step step_taken;
	unsigned steps = 0;

	do {
		assert_true(steps++ < 2000);
		step_taken = step(walk, server);
	} while (step_taken == GET_WALK_ASK || step_taken == GET_WALK_ASK_ANEW);
	return step_taken;
}

/* Each of the keys once. */
static void expect_all(const struct get_walk *walk, size_t count)
{
	static bool seen[TABLE_MAX];

	assert_int_equal(get_walk_count(walk), count);
	memset(seen, 0, sizeof(seen));
	for (size_t i = 0; i < count; i++) {
		size_t key = get_walk_mapping(walk, i)->external_port;

		assert_false(seen[key]);
		seen[key] = true;
	}
}

static struct server server;

/* Sizes around the pages' seams. */
static void test_sizes(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 16, 17, 18, 33, 34, 35, 1000, 10000 };

	(void)state;
	for (int habit = FIRST_NOT_BELOW; habit <= FROM_THE_START; habit++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct get_walk *walk = walk_new();

			server_init(&server, habit, sizes[i]);
			assert_int_equal(walk_to_end(walk, &server), GET_WALK_DONE);
			expect_all(walk, sizes[i]);
			/* 17, then 16 new ones a page */
			assert_int_equal(get_walk_pages(walk), !sizes[i] ? 0 : sizes[i] <= 17 ? 1 : 1 + (sizes[i] - 17 + 15) / 16);
			assert_int_equal(get_walk_restarts(walk), 0);
			get_walk_free(walk);
		}
}

/* The smallest page that a server must make room for. */
static void test_two_to_a_page(void **state)
{
	struct get_walk *walk = walk_new();

	(void)state;
	server_init(&server, FIRST_NOT_BELOW, 100);
	server.per_page = 2;
	assert_int_equal(walk_to_end(walk, &server), GET_WALK_DONE);
	expect_all(walk, 100);
	get_walk_free(walk);
}

/* B.5: the request is the last mapping, nonce and all, with lifetime, mark and wanted options put back. */
static void test_locator(void **state)
{
	static const uint8_t codes[] = { 3, 128 };
	struct pcp_client_request request = first;
	const struct pcp_client_request *next;
	struct pcp_client_reply reply = { .epoch_is_valid = true };
	struct pcp_next shown = mapping(7);
	static const uint8_t embedded[8] = { 128, 0, 0, 2, 'h', 'i', 0, 0 };
	uint8_t bytes[128];
	struct get_walk *walk;
	struct writer w;

	(void)state;
	request.next.options = codes;
	request.next.options_len = 2;
	walk = get_walk_new(&request, PCP_NONEXIST_MAP);
	memset(shown.nonce, 0xab, sizeof(shown.nonce));
	shown.options = embedded;
	shown.options_len = sizeof(embedded);
	writer_init(&w, bytes, sizeof(bytes));
	pcp_encode_option(&w, 200, "other", 5);	/* an option that is none of ours */
	pcp_encode_next(&w, 131, &shown);
	reader_init(&reply.options, bytes, writer_len(&w));
	assert_int_equal(get_walk_step(walk, &reply), GET_WALK_ASK);
	memset(bytes, 0, sizeof(bytes));	/* what was collected does not live in the datagram */
	next = get_walk_request(walk);
	assert_true(pcp_next_is_same(&next->next, &shown));
	assert_memory_equal(next->next.nonce, shown.nonce, 12);
	assert_int_equal(next->next.lifetime_s, 0);
	assert_false(next->next.is_end);
	assert_int_equal(next->next.options_len, 2);
	assert_ptr_equal(next->next.options, codes);
	assert_int_equal(get_walk_mapping(walk, 0)->lifetime_s, 60);
	assert_memory_equal(get_walk_mapping(walk, 0)->options, embedded, sizeof(embedded));
	get_walk_free(walk);
}

/* The locator expires between two pages: nothing else is missed, whichever way the server takes that. */
static void test_locator_expires(void **state)
{
	(void)state;
	for (int habit = FIRST_NOT_BELOW; habit <= FROM_THE_START; habit++) {
		struct get_walk *walk = walk_new();

		server_init(&server, habit, 100);
		for (int i = 0; i < 3; i++)
			assert_int_equal(step(walk, &server), GET_WALK_ASK);
		server.there[get_walk_request(walk)->next.external_port] = false;
		assert_int_equal(walk_to_end(walk, &server), GET_WALK_DONE);
		expect_all(walk, 100);
		get_walk_free(walk);
	}
}

/* Everything above the locator, and the locator, goes away. */
static void test_rest_expires(void **state)
{
	struct get_walk *walk = walk_new();

	(void)state;
	server_init(&server, FIRST_NOT_BELOW, 100);
	assert_int_equal(step(walk, &server), GET_WALK_ASK);
	for (size_t i = 16; i < 100; i++)
		server.there[i] = false;
	assert_int_equal(walk_to_end(walk, &server), GET_WALK_DONE);
	expect_all(walk, 17);
	get_walk_free(walk);

	walk = walk_new();
	server_init(&server, FIRST_NOT_BELOW, 100);
	assert_int_equal(step(walk, &server), GET_WALK_ASK);
	memset(server.there, 0, sizeof(server.there));
	assert_int_equal(walk_to_end(walk, &server), GET_WALK_DONE);
	expect_all(walk, 17);
	get_walk_free(walk);
}

/* Mappings come and go on both sides of the locator with every page: the walk ends, and shows whoever was there all the time. */
static void test_change(void **state)
{
	struct get_walk *walk = walk_new();
	bool shown[1000] = { false };
	enum get_walk_step step_taken;
	size_t i;

	(void)state;
	server_init(&server, FIRST_NOT_BELOW, 1000);
	for (i = 0; i < 1000; i += 2)
		server.there[i] = i % 4;	/* 2, 6, 10… stay, and odd ones, at first */
	srand(1);
	for (int pages = 0; (step_taken = step(walk, &server)) == GET_WALK_ASK; pages++) {
		assert_true(pages < 500);
		for (i = 0; i < 1000; i++)
			if (i % 4 != 2)
				server.there[i] = rand() & 1;
	}
	assert_int_equal(step_taken, GET_WALK_DONE);
	for (i = 0; i < get_walk_count(walk); i++)
		shown[get_walk_mapping(walk, i)->external_port] = true;
	for (i = 2; i < 1000; i += 4)
		assert_true(shown[i]);
	get_walk_free(walk);
}

/* An Epoch that does not fit: what was collected is worth nothing, and the walk begins again. */
static void test_epoch_restarts(void **state)
{
	struct get_walk *walk = walk_new();
	struct pcp_client_reply reply;

	(void)state;
	server_init(&server, FIRST_NOT_BELOW, 50);
	assert_int_equal(step(walk, &server), GET_WALK_ASK);
	assert_int_equal(get_walk_count(walk), 17);
	server_init(&server, FIRST_NOT_BELOW, 20);	/* restarted, with fewer mappings */
	reply = answer(&server, get_walk_request(walk));
	reply.epoch_is_valid = false;
	assert_int_equal(get_walk_step(walk, &reply), GET_WALK_ASK_ANEW);
	assert_int_equal(get_walk_count(walk), 0);
	assert_int_equal(get_walk_restarts(walk), 1);
	assert_true(pcp_next_is_undefined(&get_walk_request(walk)->next));
	assert_int_equal(walk_to_end(walk, &server), GET_WALK_DONE);
	expect_all(walk, 20);
	get_walk_free(walk);

	/* nothing to restart at the first page; an Epoch that never fits is not followed for ever */
	walk = walk_new();
	reply = answer(&server, get_walk_request(walk));
	reply.epoch_is_valid = false;
	assert_int_equal(get_walk_step(walk, &reply), GET_WALK_ASK);
	assert_int_equal(get_walk_restarts(walk), 0);
	for (int i = 0; i < 100; i++) {
		reply = answer(&server, get_walk_request(walk));
		reply.epoch_is_valid = false;
		if (get_walk_step(walk, &reply) == GET_WALK_BROKEN)
			break;
		assert_true(i < 50);
	}
	get_walk_free(walk);
}

/* The very first page once more, long after: it shows nothing new and takes nothing away. */
static void test_late_answers(void **state)
{
	struct get_walk *walk = walk_new();
	struct pcp_client_request asked;
	struct pcp_client_reply late;

	(void)state;
	server_init(&server, FIRST_NOT_BELOW, 100);
	assert_int_equal(step(walk, &server), GET_WALK_ASK);
	while (step(walk, &server) == GET_WALK_ASK) {
		asked = *get_walk_request(walk);
		late = answer(&server, &first);
		assert_int_equal(get_walk_step(walk, &late), GET_WALK_ASK_ANEW);
		assert_memory_equal(get_walk_request(walk), &asked, sizeof(asked));
	}
	expect_all(walk, 100);
	get_walk_free(walk);
}

static void test_circles(void **state)
{
	(void)state;
	for (int habit = IGNORES_LOCATOR; habit <= ONE_FOR_EVER; habit++) {
		struct get_walk *walk = walk_new();

		server_init(&server, habit, 100);
		assert_int_equal(walk_to_end(walk, &server), GET_WALK_BROKEN);
		get_walk_free(walk);
	}
}

static enum get_walk_step step_bytes(struct get_walk *walk, const void *bytes, size_t len, uint8_t result)
{
	struct pcp_client_reply reply = { .epoch_is_valid = true, .result = result };

	reader_init(&reply.options, bytes, len);
	return get_walk_step(walk, &reply);
}

/* No NEXT, one that is too short, options that run past the message; refusals. */
static void test_broken_pages(void **state)
{
	static const uint8_t short_next[8] = { 131, 0, 0, 4 }, too_long[8] = { 131, 0, 0, 60 };
	struct get_walk *walk = walk_new();

	(void)state;
	assert_int_equal(step_bytes(walk, short_next, 0, PCP_SUCCESS), GET_WALK_BROKEN);
	assert_int_equal(step_bytes(walk, short_next, 8, PCP_SUCCESS), GET_WALK_BROKEN);
	assert_int_equal(step_bytes(walk, too_long, 8, PCP_SUCCESS), GET_WALK_BROKEN);
	assert_int_equal(step_bytes(walk, short_next, 8, PCP_UNSUPP_OPCODE), GET_WALK_REFUSED);
	assert_int_equal(step_bytes(walk, short_next, 0, PCP_AMBIGUOUS), GET_WALK_REFUSED);
	assert_int_equal(step_bytes(walk, short_next, 0, PCP_NONEXIST_MAP), GET_WALK_DONE);
	assert_int_equal(get_walk_count(walk), 0);
	get_walk_free(walk);
	get_walk_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_two_to_a_page),
		cmocka_unit_test(test_locator),
		cmocka_unit_test(test_locator_expires),
		cmocka_unit_test(test_rest_expires),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_epoch_restarts),
		cmocka_unit_test(test_late_answers),
		cmocka_unit_test(test_circles),
		cmocka_unit_test(test_broken_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
