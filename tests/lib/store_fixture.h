/* SPDX-License-Identifier: GPL-2.0-only */
/* A store in a folder of its own, under clocks that the test sets. */
#ifndef CGN_STORE_FIXTURE_H
#define CGN_STORE_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "store.h"
#include "store_image.h"
#include "store_record.h"

static struct store_clocks fixture_clocks = { .boot_ms = 5000000, .wall_ms = 1700000000000 };
static const char *fixture_boot = "boot-1";
static char fixture_directory[64], fixture_file[96];
static bool fixture_will_be_read = true;
static char fixture_error[512];

static inline struct store_clocks fixture_read_clocks(void)
{
	return fixture_clocks;
}

static struct store_clocks (*fixture_clocks_of)(void) = fixture_read_clocks;

static inline int store_fixture_up(void **state)
{
	(void)state;
	fixture_clocks = (struct store_clocks){ .boot_ms = 5000000, .wall_ms = 1700000000000 };
	fixture_clocks_of = fixture_read_clocks;
	fixture_boot = "boot-1";
	fixture_will_be_read = true;
	/* memory if there is some: what a flush means is for test_store_power to say, not for this machine's disk */
	strcpy(fixture_directory, access("/dev/shm", W_OK) ? "/tmp/xcgn-store-XXXXXX" : "/dev/shm/xcgn-store-XXXXXX");
	if (!mkdtemp(fixture_directory))
		return -1;
	snprintf(fixture_file, sizeof(fixture_file), "%s/store.mdb", fixture_directory);
	return 0;
}

static inline int store_fixture_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", fixture_directory);
	return system(command);
}

static inline struct store *fixture_open_as(struct store_report *report)
{
	struct store_options options = { .directory = fixture_directory, .mappings_max = 1000, .will_be_read = fixture_will_be_read,
		.boot_id = fixture_boot, .read_clocks = fixture_clocks_of };

	return store_open(&options, report, fixture_error, sizeof(fixture_error));
}

static inline struct store *fixture_open(enum store_origin expected)
{
	struct store_report report;
	struct store *store = fixture_open_as(&report);

	if (!store)
		fail_msg("%s", fixture_error);
	if (report.origin != expected)
		fail_msg("origin %d, not %d: %s", report.origin, expected, report.why ? report.why : "");
	return store;
}

/* Grant number n: its own client, endpoint and nonce. */
static inline struct store_record fixture_grant(unsigned n)
{
	struct store_record record = { .kind = STORE_GRANT, .expires_s = 1700003600 + n, .client_port = (uint16_t)(5000 + n),
		.external4 = { 192, 0, 2, (uint8_t)(n >> 14) }, .external_port = (uint16_t)(1024 + (n & 0x3fff)) };
	unsigned char client[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, (uint8_t)(n >> 8), (uint8_t)n };

	record.key.opcode = CGN_MAP;
	record.key.internal.protocol = 17;
	record.key.internal.port = (uint16_t)(1000 + n);
	memcpy(record.key.internal.addr4, client + 12, 4);
	memcpy(record.client6, client, 16);
	memset(record.nonce, (int)n, sizeof(record.nonce));
	memcpy(record.nonce, &n, sizeof(n));
	return record;
}

static inline struct store_record fixture_deletion(unsigned n)
{
	struct store_record record = { .kind = STORE_DELETION, .key = fixture_grant(n).key };

	return record;
}

static inline void fixture_put(struct store *store, const struct store_record *record)
{
	assert_int_equal(store_put(store, record), 0);
}

static inline void fixture_put_grants(struct store *store, unsigned from, unsigned to)
{
	struct store_record record;

	for (; from < to; from++) {
		record = fixture_grant(from);
		fixture_put(store, &record);
	}
}

static inline void record_equal(const struct store_record *a, const struct store_record *b)
{
	assert_memory_equal(&a->key, &b->key, sizeof(a->key));
	assert_int_equal(a->kind, b->kind);
	assert_memory_equal(a->nonce, b->nonce, sizeof(a->nonce));
	assert_true(a->expires_s == b->expires_s);
	assert_memory_equal(a->client6, b->client6, 16);
	assert_int_equal(a->client_port, b->client_port);
	assert_memory_equal(a->external4, b->external4, 4);
	assert_int_equal(a->external_port, b->external_port);
	assert_true(a->epoch_base_s == b->epoch_base_s);
	assert_int_equal(a->epoch_reason, b->epoch_reason);
	assert_memory_equal(&a->owner, &b->owner, sizeof(a->owner));
	assert_int_equal(a->block_shift, b->block_shift);
	assert_true(a->released_s == b->released_s);
	assert_int_equal(a->attributes_len, b->attributes_len);
	if (a->attributes_len)
		assert_memory_equal(a->attributes, b->attributes, a->attributes_len);
}

/* Which of the first `count` grants the store holds, as one byte each; every other record is a failure. */
static inline void fixture_read(struct store *store, uint8_t *ret_held, unsigned count)
{
	struct store_record record, expected;
	struct store_image *image;
	unsigned n;

	memset(ret_held, 0, count);
	assert_int_equal(store_image_new(store, &image), 0);
	while (store_image_next(image, &record)) {
		memcpy(&n, record.nonce, sizeof(n));
		assert_in_range(n, 0, count - 1);
		expected = fixture_grant(n);
		record_equal(&record, &expected);
		assert_int_equal(ret_held[n], 0);
		ret_held[n] = 1;
	}
	store_image_free(image);
}

static inline void expect_held(struct store *store, unsigned from, unsigned to, unsigned count)
{
	uint8_t *held = malloc(count);
	unsigned n;

	assert_non_null(held);
	fixture_read(store, held, count);
	for (n = 0; n < count; n++)
		if (held[n] != (n >= from && n < to))
			fail_msg("grant %u is %s", n, held[n] ? "held" : "not held");
	free(held);
}

#endif
