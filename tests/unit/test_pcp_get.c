/* SPDX-License-Identifier: GPL-2.0-only */
/* GET and NEXT (draft-boucadair-pcp-failure-06 appendix B), tests T1 to T17 of the conformance checklist as far as the server goes.
 * Messages are read and written by their offsets in the draft's figures, not by the codec under test. */
#include "pcp_fixture.h"

#define TABLE_MAX 10000

/* A data plane that lists from a table; deletion and creation between two requests is up to the test. */
struct entry {
	struct cgn_listed listed;
	struct cgn_explicit details;
	bool is_gone;		/* listed, but ended when looked at */
	const char *text;	/* NULL: no description */
	unsigned filters;	/* so many: 203.0.113.n/32, port 1000 + n */
};

struct table { struct entry entries[TABLE_MAX]; size_t count; unsigned asked; };

static int table_list(void *dataplane, const struct cgn_subscriber_key *subscriber, struct cgn_listed *ret_listed, size_t max)
{
	struct table *table = dataplane;
	size_t i, count = 0;

	for (i = 0; i < table->count && count < max; i++)
		if (!memcmp(table->entries[i].listed.internal.addr4, subscriber->addr4, 4))
			ret_listed[count++] = table->entries[i].listed;
	return (int)count;
}

static bool table_details(void *dataplane, const struct cgn_listed *listed, struct cgn_explicit *ret_details)
{
	struct table *table = dataplane;
	size_t i;

	table->asked++;
	for (i = 0; i < table->count; i++)
		if (!memcmp(&table->entries[i].listed, listed, sizeof(*listed)) && !table->entries[i].is_gone) {
			*ret_details = table->entries[i].details;
			return true;
		}
	return false;
}

static const struct entry *entry_of(const struct table *table, const struct cgn_listed *listed)
{
	size_t i;

	for (i = 0; i < table->count; i++)
		if (!memcmp(&table->entries[i].listed, listed, sizeof(*listed)))
			return &table->entries[i];
	return NULL;
}

static bool table_description(void *dataplane, const struct cgn_listed *listed, struct cgn_description *ret_description)
{
	const struct entry *entry = entry_of(dataplane, listed);

	if (!entry || !entry->text)
		return false;
	ret_description->length = (uint16_t)strlen(entry->text);
	memcpy(ret_description->text, entry->text, ret_description->length);
	return true;
}

static bool table_filters(void *dataplane, const struct cgn_listed *listed, struct cgn_filters *ret_filters)
{
	const struct entry *entry = entry_of(dataplane, listed);
	uint8_t n;

	if (!entry || !entry->filters)
		return false;
	ret_filters->count = entry->filters;
	for (n = 0; n < entry->filters; n++)
		ret_filters->filter[n] = (struct cgn_filter){ .prefix_length = 128, .remote_port = (uint16_t)(1000 + n),
			.remote6 = { [10] = 0xff, 0xff, 203, 0, 113, n } };
	return true;
}

static int refuse(void *dataplane, struct cgn_map_request *request)
{
	(void)dataplane;
	(void)request;
	fail_msg("GET changes nothing");
	return -1;
}

static const struct dataplane_ops table_ops = { .map = refuse, .delete = refuse, .list = table_list, .details = table_details,
	.description = table_description, .filters = table_filters };

struct get_fixture {
	struct pcp_server *server;
	struct pcp_policy policy;
	struct table table;
	uint8_t request[PCP_MESSAGE_MAX], reply[PCP_MESSAGE_MAX];
	size_t request_len, reply_len;
};

static int up(void **state)
{
	struct get_fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->policy = (struct pcp_policy){ .lifetime_min_s = 120, .lifetime_max_s = 86400, .error_short_s = 30, .error_long_s = 1800,
		.announce = true, .map = true, .get = true, .get_policy = { 98, 131, 130, false } };
	f->server = pcp_server_new(&f->policy, &table_ops, &f->table);
	if (!f->server)
		return -1;
	pcp_server_set_epoch_base(f->server, EPOCH_BASE_S);
	*state = f;
	return 0;
}

static int down(void **state)
{
	struct get_fixture *f = *state;

	pcp_server_free(f->server);
	free(f);
	return 0;
}

/* ---- the table ---- */

static struct entry *add_of(struct get_fixture *f, uint8_t host, uint8_t protocol, uint16_t internal, uint16_t external, uint32_t lifetime_s)
{
	static const uint8_t nonce[12] = { NONCE };
	struct entry *entry = &f->table.entries[f->table.count++];

	*entry = (struct entry){ .listed = { .internal = { .addr4 = { 198, 51, 100, host }, .port = internal, .protocol = protocol },
					     .external = { .addr4 = { 192, 0, 2, 1 }, .port = external, .protocol = protocol } },
				 .details = { .expires_s = NOW_S + lifetime_s } };
	memcpy(entry->details.nonce, nonce, sizeof(nonce));
	memcpy(entry->details.client4, (const uint8_t[]){ 198, 51, 100, host }, 4);
	return entry;
}

static struct entry *add(struct get_fixture *f, uint8_t protocol, uint16_t internal, uint16_t external, uint32_t lifetime_s)
{
	return add_of(f, 2, protocol, internal, external, lifetime_s);
}

static void remove_external(struct get_fixture *f, uint16_t external)
{
	size_t i;

	for (i = 0; i < f->table.count; i++)
		if (f->table.entries[i].listed.external.port == external) {
			f->table.entries[i] = f->table.entries[--f->table.count];
			return;
		}
	fail();
}

/* ---- messages, by offset ---- */

static const uint8_t header[24] = { 2, 98, 0, 0, 0, 0, 0, 0, CLIENT };
static const uint8_t any_filter[40] = { 0, 0, 0, 0, ANY4, ANY4, 0, 0, 0, 0 };

static void begin_request(struct get_fixture *f, const uint8_t filter[40])
{
	memcpy(f->request, header, 24);
	memcpy(f->request + 24, filter, 40);
	f->request_len = 64;
}

/* A NEXT option; `locator` is the 56 bytes of one received, or NULL. */
static void put_next(struct get_fixture *f, bool is_end, const uint8_t *locator, const uint8_t *codes, size_t count)
{
	uint8_t *option = f->request + f->request_len;

	memset(option, 0, 60 + (count + 3) / 4 * 4);
	option[0] = 131;
	option[3] = (uint8_t)(56 + count);
	if (locator)
		memcpy(option + 4, locator, 56);
	else
		memcpy(option + 4 + 16, (const uint8_t[]){ ANY4, ANY4 }, 32);
	memset(option + 4 + 48, 0, 4);
	option[4 + 15] = is_end;
	if (count)
		memcpy(option + 60, codes, count);
	f->request_len += 60 + (count + 3) / 4 * 4;
}

static void ask(struct get_fixture *f)
{
	struct pcp_datagram datagram = { .bytes = f->request, .len = f->request_len, .source6 = { CLIENT }, .source_port = SOURCE_PORT,
		.is_internal = true };

	f->reply_len = pcp_server_handle(f->server, &datagram, NOW_S, f->reply, sizeof(f->reply));
	assert_true(f->reply_len >= 64 && f->reply_len <= 1100);
	assert_int_equal(f->reply_len % 4, 0);
	assert_int_equal(f->reply[0], 2);
	assert_int_equal(f->reply[1], f->request[1] | 0x80);
	assert_memory_equal(f->reply + 24, f->request + 24, 40);	/* bit by bit, in errors too */
}

static void get(struct get_fixture *f, const uint8_t filter[40], bool is_end, const uint8_t *locator)
{
	begin_request(f, filter);
	put_next(f, is_end, locator, NULL, 0);
	ask(f);
}

static unsigned u16_at(const uint8_t *p)
{
	return (unsigned)(p[0] << 8 | p[1]);
}

/* The n-th NEXT of the reply, at its data; NULL if there are fewer. */
static const uint8_t *next_at(const struct get_fixture *f, unsigned n)
{
	size_t pos = 64;

	while (pos < f->reply_len) {
		assert_true(pos + 4 <= f->reply_len);
		if (f->reply[pos] == 131 && !n--)
			return f->reply + pos + 4;
		pos += 4 + (u16_at(f->reply + pos + 2) + 3) / 4 * 4;
	}
	assert_int_equal(pos, f->reply_len);
	return NULL;
}

static unsigned next_count(const struct get_fixture *f)
{
	unsigned n = 0;

	while (next_at(f, n))
		n++;
	return n;
}

static void expect_success(const struct get_fixture *f, unsigned count)
{
	assert_int_equal(f->reply[3], 0);
	assert_memory_equal(f->reply + 4, ((const uint8_t[]){ 0, 0, 0, 0, EPOCH, ZERO12 }), 20);
	assert_int_equal(next_count(f), count);
}

/* Walks all pages; the external ports as they come, without the seams, into `ports`. Returns how many. */
static unsigned walk(struct get_fixture *f, const uint8_t filter[40], unsigned *ports, unsigned max, void (*between)(struct get_fixture *))
{
	const uint8_t *next, *last = NULL;
	unsigned count = 0, n, pages = 0;
	uint8_t locator[56];
	bool is_end = false;

	while (!is_end) {
		get(f, filter, false, last ? locator : NULL);
		assert_int_equal(f->reply[3], 0);
		for (n = 0; (next = next_at(f, n)); n++) {
			assert_false(is_end);	/* nothing stands behind END */
			is_end = next[15];
			last = next;
			if (count && ports[count - 1] == u16_at(next + 54))
				continue;
			assert_true(count < max);
			ports[count++] = u16_at(next + 54);
		}
		assert_non_null(last);
		memcpy(locator, last, 56);
		assert_true(++pages <= max + 1);
		if (between)
			between(f);
	}
	return count;
}

/* ---- tests ---- */

/* The worked bytes of the checklist, 5.4, with this fixture's host. Nonces are checked here, and therefore redacted. */
static void test_worked_bytes(void **state)
{
	static const uint8_t request[] = {
		0x02, 0x62, 0, 0, 0, 0, 0, 0, CLIENT,
		0, 0, 0, 0, ANY4, ANY4, 0, 0, 0, 0,
		0x83, 0, 0, 0x3a, ZERO12, 0, 0, 0, 0, ANY4, ANY4, 0, 0, 0, 0, 0, 0, 0, 0, 3, 128, 0, 0 };
	static const uint8_t expected[] = {
		0x02, 0xe2, 0, 0, 0, 0, 0, 0, EPOCH, ZERO12,
		0, 0, 0, 0, ANY4, ANY4, 0, 0, 0, 0,
		0x83, 0, 0, 0x38, ZERO12, 6, 0, 0, 0, CLIENT, POOL, 0, 0, 0x0e, 0x10, 0x1f, 0x90, 0x3a, 0x98,
		0x83, 0, 0, 0x38, ZERO12, 17, 0, 0, 1, CLIENT, POOL, 0, 0, 0x06, 0x7b, 0x13, 0xc4, 0x3d, 0x2b };
	struct get_fixture *f = *state;

	add(f, UDP, 5060, 15659, 1659);
	add(f, TCP, 8080, 15000, 3600);
	memcpy(f->request, request, sizeof(request));
	f->request_len = sizeof(request);
	ask(f);
	assert_int_equal(f->reply_len, 184);
	assert_int_equal(sizeof(expected), 184);
	assert_memory_equal(f->reply, expected, sizeof(expected));
}

/* T1: every size around a page, and 10,000; T16: never above 1100 bytes, asserted by every ask(). */
static void test_walks_of_every_size(void **state)
{
	static const unsigned sizes[] = { 1, 16, 17, 18, 33, 34, 10000 };
	static unsigned ports[TABLE_MAX];
	struct get_fixture *f = *state;
	unsigned s, i;

	for (s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		f->table.count = 0;
		for (i = 0; i < sizes[s]; i++)	/* a bijection, so that the table is in no order */
			add(f, UDP, (uint16_t)(1 + i), (uint16_t)(20000 + i * 7919 % sizes[s]), 3600);
		if (sizes[s] == 10000)
			f->table.asked = 0;
		assert_int_equal(walk(f, any_filter, ports, TABLE_MAX, NULL), sizes[s]);
		for (i = 0; i < sizes[s]; i++)
			assert_int_equal(ports[i], 20000 + i);
	}
	assert_true(f->table.asked < 10000 / 16 * 18 + 32);	/* a page looks closely at its own mappings, and one more */
}

static void test_page_of_seventeen(void **state)
{
	struct get_fixture *f = *state;
	uint16_t i;

	for (i = 0; i < 18; i++)
		add(f, UDP, (uint16_t)(1 + i), (uint16_t)(20000 + i), 3600);
	get(f, any_filter, false, NULL);
	expect_success(f, 17);
	assert_int_equal(f->reply_len, 1084);
	assert_int_equal(next_at(f, 16)[15], 0);
	remove_external(f, 20017);
	get(f, any_filter, false, NULL);
	expect_success(f, 17);
	assert_int_equal(next_at(f, 16)[15], 1);
}

/* T2, T3 */
static void test_end_asks_for_one(void **state)
{
	struct get_fixture *f = *state;

	add(f, UDP, 7000, 20001, 100);
	add(f, UDP, 7001, 20000, 100);
	get(f, any_filter, true, NULL);
	expect_success(f, 1);
	assert_int_equal(u16_at(next_at(f, 0) + 54), 20000);
	assert_int_equal(next_at(f, 0)[15], 0);
	remove_external(f, 20001);
	get(f, any_filter, true, NULL);
	expect_success(f, 1);
	assert_int_equal(next_at(f, 0)[15], 1);
}

/* T4, T12: 64 bytes with the short lifetime. */
static void test_existence(void **state)
{
	struct get_fixture *f = *state;

	begin_request(f, any_filter);
	ask(f);
	assert_int_equal(f->reply_len, 64);
	assert_memory_equal(f->reply, ((const uint8_t[]){ 2, 0xe2, 0, 130, 0, 0, 0, 30, EPOCH, ZERO12 }), 24);
	get(f, any_filter, false, NULL);
	assert_int_equal(f->reply_len, 64);
	assert_int_equal(f->reply[3], 130);
	add(f, UDP, 7000, 20000, 100);
	begin_request(f, any_filter);
	ask(f);
	expect_success(f, 0);
	assert_int_equal(f->reply_len, 64);
}

/* T5: the locator's mapping, and all behind it, end between two pages. */
static void test_locator_vanishes(void **state)
{
	struct get_fixture *f = *state;
	uint8_t locator[56];
	uint16_t i;

	for (i = 0; i < 40; i++)
		add(f, UDP, (uint16_t)(1 + i), (uint16_t)(20000 + i), 3600);
	get(f, any_filter, false, NULL);
	memcpy(locator, next_at(f, 16), 56);
	remove_external(f, 20016);
	get(f, any_filter, false, locator);
	assert_int_equal(u16_at(next_at(f, 0) + 54), 20017);	/* nothing missed, nothing again */
	for (i = 17; i < 40; i++)
		remove_external(f, (uint16_t)(20000 + i));
	get(f, any_filter, false, locator);
	expect_success(f, 1);		/* the last that is left marks the end */
	assert_int_equal(u16_at(next_at(f, 0) + 54), 20015);
	assert_int_equal(next_at(f, 0)[15], 1);
	f->table.entries[0].is_gone = f->table.entries[1].is_gone = true;	/* ended between listing and looking */
	get(f, any_filter, false, NULL);
	expect_success(f, 14);
}

static void grow(struct get_fixture *f)
{
	static uint16_t below = 19999, above = 30001;

	if (f->table.count < 200) {
		add(f, UDP, (uint16_t)(10000 + f->table.count), below--, 3600);
		add(f, UDP, (uint16_t)(10000 + f->table.count), above++, 3600);
	}
}

/* T6 */
static void test_mappings_come_during_a_walk(void **state)
{
	unsigned ports[400], count, i, original = 0;
	struct get_fixture *f = *state;

	for (i = 0; i < 100; i++)
		add(f, UDP, (uint16_t)(1 + i), (uint16_t)(20000 + i * 100), 3600);
	count = walk(f, any_filter, ports, 400, grow);
	for (i = 0; i < count; i++) {
		assert_true(!i || ports[i] > ports[i - 1]);	/* no swaps */
		original += ports[i] >= 20000 && ports[i] < 30000;
	}
	assert_int_equal(original, 100);
}

static void renew_all(struct get_fixture *f)
{
	size_t i;

	for (i = 0; i < f->table.count; i++)
		f->table.entries[i].details.expires_s += (uint32_t)(i * 7919 % 1000);
}

/* T7; T17: the table's operations refuse to change anything. */
static void test_renewal_keeps_the_order(void **state)
{
	struct get_fixture *f = *state;
	unsigned ports[64], i;

	for (i = 0; i < 50; i++)
		add(f, i % 2 ? UDP : TCP, (uint16_t)(1 + i), (uint16_t)(20000 + i), 100 + i);
	assert_int_equal(walk(f, any_filter, ports, 64, renew_all), 50);
	for (i = 0; i < 50; i++)	/* TCP is 6 and comes before UDP */
		assert_int_equal(ports[i], 20000 + (i < 25 ? 2 * i : 2 * (i - 25) + 1));
}

/* T8, T9 */
static void test_filters(void **state)
{
	static const uint8_t by_protocol[40] = { TCP, 1, 2, 3, ANY6, ANY6, 0, 0, 0, 0 };
	static const uint8_t by_internal[40] = { UDP, 0, 0, 0, CLIENT, ANY6, 0x1b, 0x58, 0, 0 };
	static const uint8_t by_external[40] = { TCP, 0, 0, 0, ANY4, POOL, 0, 0, 0x4e, 0x22 };
	static const uint8_t other_address[40] = { UDP, 0, 0, 0, ANY4, ADDRESS6, 0, 0, 0, 0 };
	static const uint8_t unsound[2][40] = { { 0, 0, 0, 0, ANY4, ANY4, 0x1b, 0x58, 0, 0 }, { 0, 0, 0, 0, ANY4, ANY4, 0, 0, 1, 1 } };
	struct get_fixture *f = *state;
	int i;

	add(f, UDP, 7000, 20000, 100);
	add(f, TCP, 7000, 20001, 100);
	add(f, TCP, 7001, 20002, 100);
	get(f, by_protocol, false, NULL);
	expect_success(f, 2);
	get(f, by_internal, false, NULL);
	expect_success(f, 1);
	assert_int_equal(u16_at(next_at(f, 0) + 54), 20000);
	get(f, by_external, false, NULL);
	expect_success(f, 1);
	assert_int_equal(u16_at(next_at(f, 0) + 54), 20002);
	get(f, other_address, false, NULL);
	assert_int_equal(f->reply[3], 130);
	for (i = 0; i < 2; i++) {
		get(f, unsound[i], false, NULL);
		assert_int_equal(f->reply[3], 3);
		assert_int_equal(f->reply_len, f->request_len);	/* errors but 130 return the NEXT */
	}
}

/* T11: THIRD_PARTY where somebody else asked; twice, unknown, padding, 40 codes. */
static void test_embedded_options(void **state)
{
	static const uint8_t codes[] = { 0, 1, 1, 128, 200, 0 };
	struct get_fixture *f = *state;
	uint8_t many[40];
	size_t i;

	add(f, UDP, 7000, 20000, 100)->details.client4[3] = 99;
	add(f, UDP, 7001, 20001, 100);
	begin_request(f, any_filter);
	put_next(f, false, NULL, codes, sizeof(codes));
	ask(f);
	expect_success(f, 2);
	assert_int_equal(u16_at(next_at(f, 0) - 2), 76);
	assert_memory_equal(next_at(f, 0) + 56, ((const uint8_t[]){ 1, 0, 0, 16, CLIENT }), 20);
	assert_int_equal(u16_at(next_at(f, 1) - 2), 56);
	for (i = 0; i < sizeof(many); i++)
		many[i] = (uint8_t)(i + 1);
	begin_request(f, any_filter);
	put_next(f, false, NULL, many, sizeof(many));
	ask(f);
	expect_success(f, 2);
	f->table.count = 0;
	for (i = 0; i < 20; i++)
		add(f, UDP, (uint16_t)(7000 + i), (uint16_t)(20000 + i), 100)->details.client4[3] = 99;
	begin_request(f, any_filter);
	put_next(f, false, NULL, codes, sizeof(codes));
	ask(f);
	expect_success(f, 12);
	assert_int_equal(f->reply_len, 64 + 12 * 80);
}

static void ask_options(struct get_fixture *f, const uint8_t *codes, size_t count)
{
	begin_request(f, any_filter);
	put_next(f, false, NULL, codes, count);
	ask(f);
}

/* The bytes embedded in the n-th NEXT. */
static void expect_embedded(const struct get_fixture *f, unsigned n, const void *bytes, size_t len)
{
	const uint8_t *next = next_at(f, n);

	assert_non_null(next);
	assert_int_equal(u16_at(next - 2), 56 + len);
	assert_memory_equal(next + 56, bytes, len);
}

#define CAMERA_OPTION		128, 0, 0, 6, 'c', 'a', 'm', 'e', 'r', 'a', 0, 0
#define NTH_FILTER(n)	3, 0, 0, 20, 0, 128, (1000 + (n)) >> 8, (1000 + (n)) & 255, \
				0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, (n)

/* T11: what was listed and what the mapping has, every filter of it, and nothing else. */
static void test_embedded_attributes(void **state)
{
	static const uint8_t filter = 3, description = 128, both[] = { 3, 128 }, turned[] = { 0, 128, 128, 3, 0, 77 };
	static const uint8_t camera[] = { CAMERA_OPTION }, filters[] = { NTH_FILTER(0), NTH_FILTER(1) },
		filters_camera[] = { NTH_FILTER(0), NTH_FILTER(1), CAMERA_OPTION },
		camera_filters[] = { CAMERA_OPTION, NTH_FILTER(0), NTH_FILTER(1) };
	struct get_fixture *f = *state;
	struct entry *entry = add(f, UDP, 7000, 20000, 100);

	entry->text = "camera";
	entry->filters = 2;
	add(f, UDP, 7001, 20001, 100);
	ask_options(f, &filter, 1);
	expect_success(f, 2);
	expect_embedded(f, 0, filters, sizeof(filters));
	expect_embedded(f, 1, "", 0);
	ask_options(f, &description, 1);
	expect_embedded(f, 0, camera, sizeof(camera));
	ask_options(f, both, 2);
	expect_embedded(f, 0, filters_camera, sizeof(filters_camera));
	ask_options(f, turned, sizeof(turned));
	expect_embedded(f, 0, camera_filters, sizeof(camera_filters));
	get(f, any_filter, false, NULL);	/* nothing that was not asked for */
	expect_embedded(f, 0, "", 0);
}

/* T11, 6.4.9: filters that fill a message, and a walk that goes on all the same: two mappings a page, without what has no room. */
static void test_embedded_too_much(void **state)
{
	static const uint8_t codes[] = { 3, 128 };
	struct get_fixture *f = *state;
	uint8_t locator[56];
	char text[255];
	unsigned i, pages;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (i = 0; i < 5; i++) {
		struct entry *entry = add(f, UDP, (uint16_t)(7000 + i), (uint16_t)(20000 + i), 100);

		entry->filters = CGN_FILTERS_MAX;
		entry->text = text;
	}
	ask_options(f, codes, 1);
	expect_success(f, 2);
	assert_int_equal(u16_at(next_at(f, 0) - 2), 56 + 32 * 24);	/* the first has all of its filters */
	assert_true(u16_at(next_at(f, 1) - 2) >= 56);
	ask_options(f, codes, 2);
	for (pages = 1; !next_at(f, 1)[15]; pages++) {
		assert_true(pages < 10);
		memcpy(locator, next_at(f, 1), sizeof(locator));
		begin_request(f, any_filter);
		put_next(f, false, locator, codes, 2);
		ask(f);
		assert_memory_equal(next_at(f, 0) + 52, locator + 52, 4);	/* the seam: the locator is inclusive */
	}
	assert_int_equal(pages, 4);
	assert_int_equal(u16_at(next_at(f, 1) + 54), 20004);
}

static void add_set(struct get_fixture *f, uint16_t internal, uint16_t external, uint16_t size)
{
	struct entry *entry;
	uint16_t i;

	for (i = 0; i < size; i++) {
		entry = add(f, UDP, (uint16_t)(internal + i), (uint16_t)(external + i), 100);
		entry->details.set_first = internal;
		entry->details.set_size = size;
		entry->text = i ? NULL : "set";
	}
}

/* 6.8.4: a PORT_SET is one NEXT, with its first ports; its size on request only. */
static void test_port_sets(void **state)
{
	static const uint8_t codes[] = { 130, 128 }, options[] = { 130, 0, 0, 5, 0, 40, 7000 >> 8, 7000 & 255, 0, 0, 0, 0, 128, 0, 0, 3, 's', 'e', 't', 0 };
	uint8_t filter[40];
	struct get_fixture *f = *state;

	add_set(f, 7000, 20000, 40);
	add_set(f, 7040, 20040, 2);	/* beside the other, inside as outside */
	add(f, UDP, 7042, 20042, 100);
	get(f, any_filter, false, NULL);
	expect_success(f, 3);
	assert_int_equal(u16_at(next_at(f, 0) + 52), 7000);
	assert_int_equal(u16_at(next_at(f, 0) + 54), 20000);
	assert_int_equal(u16_at(next_at(f, 1) + 52), 7040);
	assert_int_equal(u16_at(next_at(f, 2) + 52), 7042);
	assert_true(next_at(f, 2)[15]);
	ask_options(f, codes, 2);
	expect_embedded(f, 0, options, sizeof(options));
	expect_embedded(f, 2, "", 0);
	memcpy(filter, any_filter, sizeof(filter));	/* one of its ports finds the set */
	filter[0] = UDP;
	filter[36] = 7025 >> 8;
	filter[37] = 7025 & 255;
	get(f, filter, true, NULL);
	expect_success(f, 1);
	assert_int_equal(u16_at(next_at(f, 0) + 52), 7000);
	assert_int_equal(u16_at(next_at(f, 0) + 54), 20000);
	assert_true(next_at(f, 0)[15]);
	remove_external(f, 20042);			/* the last is a set: it has the end */
	get(f, any_filter, false, NULL);
	expect_success(f, 2);
	assert_true(next_at(f, 1)[15]);
}

/* T13 */
static void test_others_are_not_seen(void **state)
{
	struct get_fixture *f = *state;

	add_of(f, 3, UDP, 7000, 20000, 100);
	get(f, any_filter, false, NULL);
	assert_int_equal(f->reply[3], 130);
	add(f, UDP, 7000, 20001, 100);
	get(f, any_filter, false, NULL);
	expect_success(f, 1);
	assert_int_equal(u16_at(next_at(f, 0) + 54), 20001);
}

static void put_third_party(struct get_fixture *f, uint8_t host)
{
	memcpy(f->request + f->request_len, ((const uint8_t[]){ THIRD_PARTY_OPTION(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, host) }), 20);
	f->request_len += 20;
}

static void test_third_party(void **state)
{
	static const struct pcp_third_party permission = { { { CLIENT }, 128 }, { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 3 }, 128 } };
	struct get_fixture *f = *state;
	uint16_t i;

	for (i = 0; i < 20; i++)
		add_of(f, 3, UDP, (uint16_t)(7000 + i), (uint16_t)(20000 + i), 100);
	begin_request(f, any_filter);
	put_third_party(f, 3);
	put_next(f, false, NULL, NULL, 0);
	ask(f);
	assert_int_equal(f->reply[3], 5);
	f->policy.third_party = &permission;
	f->policy.third_party_count = 1;
	pcp_server_set_policy(f->server, &f->policy);
	ask(f);
	expect_success(f, 16);		/* the echoed option takes the room of a mapping */
	assert_int_equal(f->reply_len, 1044);
	f->table.count = 0;
	ask(f);
	assert_int_equal(f->reply[3], 130);
	assert_int_equal(f->reply_len, 84);
}

/* T14 */
static void test_nonces(void **state)
{
	static const uint8_t nonce[12] = { NONCE }, redacted[12];
	struct get_fixture *f = *state;

	add(f, UDP, 7000, 20000, 100);
	get(f, any_filter, false, NULL);
	assert_memory_equal(next_at(f, 0), redacted, 12);
	f->policy.nonce_policy = CGN_NONCE_OFF;
	pcp_server_set_policy(f->server, &f->policy);
	get(f, any_filter, false, NULL);
	assert_memory_equal(next_at(f, 0), nonce, 12);
	f->policy.nonce_policy = CGN_NONCE_SAME_SOURCE;
	f->policy.get_policy.reveals_nonces = true;
	pcp_server_set_policy(f->server, &f->policy);
	get(f, any_filter, false, NULL);
	assert_memory_equal(next_at(f, 0), nonce, 12);
}

static void test_malformed(void **state)
{
	struct get_fixture *f = *state;

	add(f, UDP, 7000, 20000, 100);
	begin_request(f, any_filter);		/* two of them */
	put_next(f, false, NULL, NULL, 0);
	put_next(f, false, NULL, NULL, 0);
	ask(f);
	assert_int_equal(f->reply[3], 6);
	begin_request(f, any_filter);		/* 52 bytes */
	put_next(f, false, NULL, NULL, 0);
	f->request[64 + 3] = 52;
	f->request_len -= 4;
	ask(f);
	assert_int_equal(f->reply[3], 6);
	assert_memory_equal(f->reply + 4, ((const uint8_t[]){ S1800 }), 4);
	begin_request(f, any_filter);		/* room for one mapping only, behind what is returned */
	put_next(f, false, NULL, NULL, 0);
	ask(f);
	expect_success(f, 1);
}

/* 5.1, 2.5: all numbers are the operator's. */
static void test_other_numbers(void **state)
{
	struct get_fixture *f = *state;

	f->policy.get_policy = (struct pcp_get_policy){ 100, 250, 200, false };
	pcp_server_set_policy(f->server, &f->policy);
	begin_request(f, any_filter);
	put_next(f, false, NULL, NULL, 0);
	ask(f);
	assert_int_equal(f->reply[3], 4);	/* 98 is unknown now */
	f->request[1] = 100;
	f->request[64] = 250;
	ask(f);
	assert_int_equal(f->reply[3], 200);
	add(f, UDP, 7000, 20000, 100);
	ask(f);
	assert_int_equal(f->reply[3], 0);
	assert_int_equal(f->reply[64], 250);
	f->policy.get = false;
	pcp_server_set_policy(f->server, &f->policy);
	ask(f);
	assert_int_equal(f->reply[3], 4);
}

/* 6.8.3, and one that has run out but was not ended yet. */
static void test_lifetimes(void **state)
{
	struct get_fixture *f = *state;

	add(f, UDP, 7000, 20000, 0)->details.expires_s = CGN_FOREVER;
	add(f, UDP, 7001, 20001, 0);
	get(f, any_filter, false, NULL);
	expect_success(f, 1);
	assert_memory_equal(next_at(f, 0) + 48, ((const uint8_t[]){ S_FOREVER }), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_worked_bytes, up, down),
		cmocka_unit_test_setup_teardown(test_walks_of_every_size, up, down),
		cmocka_unit_test_setup_teardown(test_page_of_seventeen, up, down),
		cmocka_unit_test_setup_teardown(test_end_asks_for_one, up, down),
		cmocka_unit_test_setup_teardown(test_existence, up, down),
		cmocka_unit_test_setup_teardown(test_locator_vanishes, up, down),
		cmocka_unit_test_setup_teardown(test_mappings_come_during_a_walk, up, down),
		cmocka_unit_test_setup_teardown(test_renewal_keeps_the_order, up, down),
		cmocka_unit_test_setup_teardown(test_filters, up, down),
		cmocka_unit_test_setup_teardown(test_embedded_options, up, down),
		cmocka_unit_test_setup_teardown(test_embedded_attributes, up, down),
		cmocka_unit_test_setup_teardown(test_embedded_too_much, up, down),
		cmocka_unit_test_setup_teardown(test_port_sets, up, down),
		cmocka_unit_test_setup_teardown(test_others_are_not_seen, up, down),
		cmocka_unit_test_setup_teardown(test_third_party, up, down),
		cmocka_unit_test_setup_teardown(test_nonces, up, down),
		cmocka_unit_test_setup_teardown(test_malformed, up, down),
		cmocka_unit_test_setup_teardown(test_other_numbers, up, down),
		cmocka_unit_test_setup_teardown(test_lifetimes, up, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
