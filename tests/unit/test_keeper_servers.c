/* SPDX-License-Identifier: GPL-2.0-only */
/* Several PCP servers at once (RFC 7488 section 4, RFC 6887 sections 8.1 and 11.2): a keeper each, which no other holds up, and one
 * string of bytes on disk for all. */
#include "keeper_world.h"
#include "keeper_tables.h"

#define SERVERS 2

/* Each world is a server and the host's keeper for it; the disk is one. */
struct worlds {
	struct world *each[SERVERS];
	uint8_t *disk;
	size_t disk_len;
};

static const char *const names[SERVERS] = { "a", "b" };

static int worlds_up(void **state)
{
	struct worlds *worlds = calloc(1, sizeof(*worlds));
	void *world;

	if (!worlds)
		return -1;
	for (unsigned i = 0; i < SERVERS; i++) {
		if (world_up(&world))
			return -1;
		worlds->each[i] = world;
		memcpy(worlds->each[i]->servers[0], worlds->each[i]->servers[i], 16);
	}
	*state = worlds;
	return 0;
}

static int worlds_down(void **state)
{
	struct worlds *worlds = *state;
	void *world;

	for (unsigned i = 0; i < SERVERS; i++) {
		world = worlds->each[i];
		world_down(&world);
	}
	free(worlds->disk);
	free(worlds);
	return 0;
}

static const struct pcp_client_request *two_wishes(void)
{
	static struct pcp_client_request wishes[2];

	wishes[0] = world_wish(UDP, 5060, 3600);
	wishes[1] = world_wish(TCP, 8080, 7200);
	return wishes;
}

static void start_both(struct worlds *worlds)
{
	for (unsigned i = 0; i < SERVERS; i++)
		world_start(worlds->each[i], two_wishes(), 2);
}

/* Both clocks are one. */
static void wait_both(struct worlds *worlds, uint64_t ns)
{
	for (unsigned i = 0; i < SERVERS; i++)
		world_wait(worlds->each[i], ns);
}

static void forget_logs(struct worlds *worlds)
{
	for (unsigned i = 0; i < SERVERS; i++)
		world_forget_log(worlds->each[i]);
}

/* A server tells all hosts of the link; every keeper hears it. */
static void announce_to_both(struct worlds *worlds, unsigned from)
{
	uint8_t bytes[PCP_MESSAGE_MAX];
	struct pcp_client_datagram datagram = { .bytes = bytes, .source_port = PCP_SERVER_PORT };
	struct world *world = worlds->each[from];

	memcpy(datagram.source6, world->servers[0], 16);
	datagram.len = pcp_server_announcement(world->fixture->server, (uint32_t)(world->now_ns / S), bytes, sizeof(bytes));
	for (unsigned i = 0; i < SERVERS; i++)
		keeper_hear(worlds->each[i]->keeper, &datagram, world->now_ns);
}

static void store(struct worlds *worlds)
{
	struct keeper_table tables[SERVERS];

	for (unsigned i = 0; i < SERVERS; i++) {
		tables[i] = (struct keeper_table){ .keeper = worlds->each[i]->keeper };
		strcpy(tables[i].name, names[i]);
	}
	free(worlds->disk);
	assert_true(keeper_tables_encode(tables, SERVERS, &worlds->disk, &worlds->disk_len));
}

static void expect_asked_nothing(const struct world *world)
{
	assert_int_equal(world->sent_count, 0);
	assert_int_equal(world->event_count, 0);
}

static void test_kept_on_both(void **state)
{
	struct worlds *worlds = *state;

	start_both(worlds);
	wait_both(worlds, S);
	for (unsigned i = 0; i < SERVERS; i++) {
		assert_int_equal(world_count(worlds->each[i], KEEPER_CREATED), 2);
		assert_int_equal(worlds->each[i]->fixture->model.count, 2);
		assert_int_equal(worlds->each[i]->events[0].path.server6[15], worlds->each[i]->servers[0][15]);
	}
	for (unsigned i = 2; i < 4; i++)	/* section 11.2: another nonce for each server */
		assert_memory_not_equal(worlds->each[0]->sent[i].map.nonce, worlds->each[1]->sent[i].map.nonce, PCP_NONCE_LEN);
	forget_logs(worlds);
	wait_both(worlds, 86400 * S);
	for (unsigned i = 0; i < SERVERS; i++) {
		assert_int_equal(worlds->each[i]->fixture->model.count, 2);
		assert_int_equal(world_count(worlds->each[i], KEEPER_RENEWED), worlds->each[i]->event_count);
	}
}

static void test_announcement_of_one(void **state)
{
	struct worlds *worlds = *state;

	start_both(worlds);
	wait_both(worlds, 60 * S);
	forget_logs(worlds);
	world_server_forgets(worlds->each[0]);
	announce_to_both(worlds, 0);
	wait_both(worlds, 6 * S);
	assert_int_equal(world_count(worlds->each[0], KEEPER_EPOCH_RESET), 1);
	assert_int_equal(world_asked(worlds->each[0], PCP_MAP), 2);
	assert_int_equal(worlds->each[0]->fixture->model.count, 2);
	expect_asked_nothing(worlds->each[1]);
}

/* One is silent from the start: the other has its mappings at once, keeps them for days, and restarts without a question for them. */
static void test_one_is_down(void **state)
{
	struct worlds *worlds = *state;

	worlds->each[0]->is_silent[0] = true;
	start_both(worlds);
	wait_both(worlds, S);
	assert_int_equal(worlds->each[1]->fixture->model.count, 2);
	wait_both(worlds, 86400 * S);
	assert_int_equal(worlds->each[1]->fixture->model.count, 2);
	assert_int_equal(world_count(worlds->each[1], KEEPER_LOST), 0);
	assert_int_equal(worlds->each[0]->fixture->model.count, 0);
	worlds->each[0]->is_silent[0] = false;
	wait_both(worlds, 1200 * S);
	assert_int_equal(worlds->each[0]->fixture->model.count, 2);
}

/* Killed and started from the one file: each keeper has its own part, by its name. */
static void test_restart(void **state)
{
	struct keeper_table_bytes tables[KEEPER_TABLES_MAX];
	struct worlds *worlds = *state;
	struct pcp_client_path path;
	uint16_t ports[SERVERS];
	unsigned count;

	start_both(worlds);
	wait_both(worlds, 60 * S);
	for (unsigned i = 0; i < SERVERS; i++)
		ports[i] = world_mapping(worlds->each[i], UDP, 5060)->external.port;
	store(worlds);
	for (unsigned i = 0; i < SERVERS; i++)
		world_kill(worlds->each[i]);
	world_server_forgets(worlds->each[1]);		/* meanwhile */
	assert_true(keeper_tables_decode(worlds->disk, worlds->disk_len, tables, &count));
	assert_int_equal(count, SERVERS);
	forget_logs(worlds);
	for (unsigned i = 0; i < SERVERS; i++) {
		assert_string_equal(tables[i].name, names[i]);
		world_lose_disk(worlds->each[i]);
		worlds->each[i]->disk = malloc(tables[i].len);
		memcpy(worlds->each[i]->disk, tables[i].bytes, tables[i].len);
		worlds->each[i]->disk_len = tables[i].len;
		world_start(worlds->each[i], two_wishes(), 2);
		assert_true(keeper_known_path(worlds->each[i]->keeper, &path));
		assert_memory_equal(path.server6, worlds->each[i]->servers[0], 16);
	}
	wait_both(worlds, 6 * S);
	assert_int_equal(world_count(worlds->each[0], KEEPER_KEPT), 2);
	assert_int_equal(world_asked(worlds->each[0], PCP_MAP), 0);
	assert_int_equal(world_count(worlds->each[1], KEEPER_EPOCH_RESET), 1);
	assert_int_equal(world_asked(worlds->each[1], PCP_MAP), 2);
	for (unsigned i = 0; i < SERVERS; i++)
		assert_int_equal(world_mapping(worlds->each[i], UDP, 5060)->external.port, ports[i]);
}

/* A server that the file names no more: its mappings are deleted, also if it answers only after a restart, ... */
static void leave_and_restart(struct world *world)
{
	world_start(world, two_wishes(), 2);
	world_wait(world, 60 * S);
	world->is_silent[0] = true;
	keeper_release(world->keeper, world->now_ns);
	world_wait(world, 60 * S);
	assert_false(keeper_is_released(world->keeper));
	world_kill(world);
	world->keeper = keeper_new(&world->options);
	assert_true(keeper_restore(world->keeper, world->disk, world->disk_len, 0, false));
	keeper_release(world->keeper, world->now_ns);
	keeper_servers(world->keeper, 1, world->servers[0], 0);
	world_forget_log(world);
}

static void test_server_leaves(void **state)
{
	struct world *world = ((struct worlds *)*state)->each[0];

	leave_and_restart(world);
	world->is_silent[0] = false;
	world_wait(world, S);
	assert_true(keeper_is_released(world->keeper));
	assert_int_equal(world_count(world, KEEPER_DELETED), 2);
	assert_int_equal(world->fixture->model.count, 0);
}

/* ... and waited for no longer than they live. */
static void test_server_leaves_silently(void **state)
{
	struct world *world = ((struct worlds *)*state)->each[0];

	leave_and_restart(world);
	world_wait(world, 7000 * S);
	assert_false(keeper_is_released(world->keeper));
	assert_int_equal(world_count(world, KEEPER_DELETED), 1);	/* UDP lived 3600 s */
	world_wait(world, 200 * S);
	assert_true(keeper_is_released(world->keeper));
	assert_int_equal(world_asked(world, PCP_MAP), 0);
}

/* Taken out of the file and put in again before the server could answer: it goes on, with its nonce and its endpoint. */
static void test_wanted_again(void **state)
{
	struct worlds *worlds = *state;
	struct world *world = worlds->each[0];
	uint8_t nonce[PCP_NONCE_LEN];
	uint16_t port;

	world_start(world, two_wishes(), 2);
	world_wait(world, 60 * S);
	memcpy(nonce, world->sent[3].map.nonce, sizeof(nonce));
	port = world_mapping(world, TCP, 8080)->external.port;
	world->is_silent[0] = true;
	assert_true(keeper_wish(world->keeper, two_wishes(), 1, world->now_ns));
	world_wait(world, S);
	world->is_silent[0] = false;
	world_forget_log(world);
	assert_true(keeper_wish(world->keeper, two_wishes(), 2, world->now_ns));
	world_wait(world, S);
	assert_int_equal(world->sent_count, 1);
	assert_int_equal(world->sent[0].lifetime_s, 7200);
	assert_memory_equal(world->sent[0].map.nonce, nonce, sizeof(nonce));
	assert_int_equal(world_mapping(world, TCP, 8080)->external.port, port);
	assert_int_equal(world_count(world, KEEPER_DELETED), 0);
}

/* ---- the bytes ---- */

/* One server without a name is written as it was before there were several, and such a file is read. */
static void test_one_without_a_name(void **state)
{
	struct keeper_table_bytes tables[KEEPER_TABLES_MAX];
	struct worlds *worlds = *state;
	struct keeper_table table = { .name = "" };
	uint8_t *alone;
	size_t alone_len;
	unsigned count;

	start_both(worlds);
	wait_both(worlds, S);
	table.keeper = worlds->each[0]->keeper;
	assert_true(keeper_tables_encode(&table, 1, &worlds->disk, &worlds->disk_len));
	assert_true(keeper_encode(table.keeper, &alone, &alone_len));
	assert_int_equal(worlds->disk_len, alone_len);
	assert_memory_equal(worlds->disk, alone, alone_len);
	assert_true(keeper_tables_decode(alone, alone_len, tables, &count));
	assert_int_equal(count, 1);
	assert_string_equal(tables[0].name, "");
	assert_ptr_equal(tables[0].bytes, alone);
	assert_int_equal(tables[0].len, alone_len);
	free(alone);
}

/* Cut anywhere, or with any bit changed, it is refused or read, and nothing worse. */
static void test_garbage(void **state)
{
	struct keeper_table_bytes tables[KEEPER_TABLES_MAX];
	struct worlds *worlds = *state;
	struct keeper *keeper;
	unsigned count;
	uint8_t *copy;

	start_both(worlds);
	wait_both(worlds, S);
	store(worlds);
	for (size_t len = 0; len < worlds->disk_len; len++) {
		copy = malloc(len ? len : 1);
		memcpy(copy, worlds->disk, len);
		assert_false(keeper_tables_decode(copy, len, tables, &count));
		free(copy);
	}
	for (size_t i = 0; i < worlds->disk_len * 8; i++) {
		worlds->disk[i / 8] ^= (uint8_t)(1 << i % 8);
		if (keeper_tables_decode(worlds->disk, worlds->disk_len, tables, &count) && i % 7 == 0)
			for (unsigned j = 0; j < count; j++) {
				keeper = keeper_new(&worlds->each[0]->options);
				keeper_restore(keeper, tables[j].bytes, tables[j].len, 0, false);
				keeper_free(keeper);
			}
		worlds->disk[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_false(keeper_tables_encode(NULL, KEEPER_TABLES_MAX + 1, &copy, &(size_t){ 0 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define SERVERS_TEST(name) cmocka_unit_test_setup_teardown(test_##name, worlds_up, worlds_down)
		SERVERS_TEST(kept_on_both), SERVERS_TEST(announcement_of_one), SERVERS_TEST(one_is_down), SERVERS_TEST(restart),
		SERVERS_TEST(server_leaves), SERVERS_TEST(server_leaves_silently), SERVERS_TEST(wanted_again), SERVERS_TEST(one_without_a_name), SERVERS_TEST(garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
