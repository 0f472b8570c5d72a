/* SPDX-License-Identifier: GPL-2.0-only */
/* A commit in the store's own thread: what is put meanwhile, and what stands when it fails. */
#include <poll.h>
#include "slow_disk.h"

static void begun_goes_on_meanwhile(void **state)
{
	struct store *store = slow_disk_open(STORE_CREATED);
	struct pollfd done = { .fd = store_done_fd(store), .events = POLLIN };

	(void)state;
	assert_false(store_commit_begin(store));
	fixture_put_grants(store, 0, 100);
	slow_disk_hold();
	assert_true(store_commit_begin(store));
	fixture_put_grants(store, 100, 200);
	assert_int_equal(poll(&done, 1, 50), 0);
	assert_true(store_is_writing(store));
	slow_disk_release();
	assert_int_equal(poll(&done, 1, 5000), 1);
	assert_int_equal(store_commit_end(store), 0);
	assert_int_equal(poll(&done, 1, 0), 0);
	expect_held(store, 0, 100, 200);
	assert_true(store_commit_begin(store));
	assert_int_equal(store_commit(store), 0);	/* waits */
	assert_false(store_is_writing(store));
	expect_held(store, 0, 200, 200);
	fixture_put_grants(store, 200, 250);
	assert_int_equal(store_commit(store), 0);
	assert_int_equal(poll(&done, 1, 0), 1);		/* and still the first is to be ended */
	assert_int_equal(store_commit_end(store), 0);
	fixture_put_grants(store, 250, 300);
	assert_true(store_commit_begin(store));
	store_close(store);				/* waits too */
	store = fixture_open(STORE_ADOPTED);
	expect_held(store, 0, 300, 300);
	store_close(store);
}

/* What failed stays before what was put meanwhile, and until it has been ended nothing else is written. */
static void begun_fails(void **state)
{
	struct store *store = slow_disk_open(STORE_CREATED);
	struct store_record deletion = fixture_deletion(7);

	(void)state;
	fixture_put_grants(store, 0, 50);
	assert_int_equal(store_commit(store), 0);
	fixture_put_grants(store, 50, 100);
	disk_set_full(true);
	slow_disk_hold();
	assert_true(store_commit_begin(store));
	fixture_put(store, &deletion);
	slow_disk_release();
	assert_int_not_equal(store_commit(store), 0);
	disk_set_full(false);
	assert_int_not_equal(store_commit(store), 0);	/* of the one that was begun */
	assert_int_not_equal(store_tick(store), 0);
	expect_held(store, 0, 50, 100);
	assert_int_not_equal(store_commit_end(store), 0);
	assert_int_not_equal(store_failure(store), 0);
	deletion = fixture_deletion(0);
	fixture_put(store, &deletion);
	assert_true(store_commit_begin(store));
	assert_int_equal(store_commit_end(store), 0);
	assert_int_equal(store_failure(store), 0);
	deletion = fixture_grant(7);
	fixture_put(store, &deletion);
	assert_int_equal(store_commit(store), 0);
	store_close(store);
	store = fixture_open(STORE_ADOPTED);
	expect_held(store, 1, 100, 100);
	store_close(store);
}

/* A daemon whose maps lived on answers before it has written anything but what the answer promises. */
static void opening_waits_for_the_disk_only_to_read(void **state)
{
	struct store *store = fixture_open(STORE_CREATED);

	(void)state;
	fixture_put_grants(store, 0, 10);
	assert_int_equal(store_commit(store), 0);
	store_close(store);
	fixture_will_be_read = false;
	store = fixture_open(STORE_ADOPTED);
	assert_int_equal(store_stats(store).commits, 0);
	store_close(store);				/* killed at once: nothing has happened */
	store = fixture_open(STORE_ADOPTED);
	fixture_put_grants(store, 10, 20);
	assert_true(store_commit_begin(store));
	assert_int_equal(store_commit_end(store), 0);
	assert_int_equal(store_stats(store).commits, 1);
	store_close(store);
	fixture_will_be_read = true;
	store = fixture_open(STORE_ADOPTED);
	assert_int_equal(store_stats(store).commits, 1);
	expect_held(store, 0, 20, 20);
	store_close(store);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, store_fixture_up, store_fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = { CASE(begun_goes_on_meanwhile), CASE(begun_fails), CASE(opening_waits_for_the_disk_only_to_read) };

	return cmocka_run_group_tests_name("store_begun", tests, NULL, NULL);
}
