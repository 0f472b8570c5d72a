/* SPDX-License-Identifier: GPL-2.0-only */
/* A keeper, a PCP server over the model data plane, a network and a disk between them that may fail, and a clock that jumps from
 * deadline to deadline. */
#ifndef CGN_KEEPER_WORLD_H
#define CGN_KEEPER_WORLD_H
#include "keeper.h"
#include "pcp_fixture.h"

#define S 1000000000ull
#define LOG_MAX 4096
#define SERVER_A 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 1
#define SERVER_B 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 254
#define MOVED_CLIENT 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 7

struct sent {
	uint64_t at_ns;
	uint8_t server_last, opcode;	/* last byte of the server's address */
	uint32_t lifetime_s;
	struct pcp_map map;
};

struct world {
	struct fixture *fixture;	/* the server */
	struct keeper *keeper;
	struct keeper_options options;
	uint64_t now_ns;
	uint8_t servers[2][16], client6[16];
	unsigned server_count;
	bool is_silent[2];		/* a server's address does not answer */
	bool disk_fails;
	uint8_t *disk;
	size_t disk_len;
	unsigned writes, turns;
	struct sent sent[LOG_MAX];
	unsigned sent_count;
	struct keeper_event events[LOG_MAX];
	unsigned event_count;
};

static uint64_t world_random_state;

/* Reproducible; any seed will do. */
static void world_random(void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		world_random_state = world_random_state * 6364136223846793005ull + 1442695040888963407ull;
		((uint8_t *)bytes)[i] = (uint8_t)(world_random_state >> 56);
	}
}

/* ---- the server ---- */

static inline void world_clock(struct world *world)
{
	uint32_t now_s = (uint32_t)(world->now_ns / S);

	world->fixture->now_s = now_s;
	world->fixture->now_ms = world->now_ns / 1000000;
	world->fixture->model.now_s = now_s;
	for (unsigned i = world->fixture->model.count; i-- > 0;)
		if (world->fixture->model.mapping[i].expires_s <= now_s)
			model_remove(&world->fixture->model, &world->fixture->model.mapping[i]);
}

/* Its tables are gone, and so it says. */
static inline void world_server_forgets(struct world *world)
{
	world->fixture->model.count = 0;
	pcp_server_set_epoch_base(world->fixture->server, (uint32_t)(world->now_ns / S));
}

static inline struct model_mapping *world_mapping(struct world *world, uint8_t protocol, uint16_t port)
{
	struct cgn_internal internal = { .protocol = protocol, .port = port };

	memcpy(internal.addr4, world->client6 + 12, 4);
	return model_find(&world->fixture->model, &internal);
}

static inline void world_note_sent(struct world *world, const uint8_t *bytes, size_t len, const uint8_t *server6)
{
	struct sent *sent = &world->sent[world->sent_count++];
	struct pcp_request_header header;
	struct reader r;

	assert_true(world->sent_count < LOG_MAX);
	reader_init(&r, bytes, len);
	assert_int_equal(pcp_decode_request_header(&r, &header), 0);
	assert_memory_equal(header.client6, world->client6, 16);
	*sent = (struct sent){ .at_ns = world->now_ns, .server_last = server6[15], .opcode = header.opcode, .lifetime_s = header.lifetime_s };
	if (header.opcode == PCP_MAP)
		assert_int_equal(pcp_decode_map(&r, &sent->map), 0);
}

static inline void world_deliver(struct world *world, const uint8_t *bytes, size_t len, unsigned server)
{
	struct pcp_client_datagram reply = { .bytes = world->fixture->reply, .source_port = PCP_SERVER_PORT };

	world_note_sent(world, bytes, len, world->servers[server]);
	if (world->is_silent[server])
		return;
	memcpy(world->fixture->source6, world->client6, 16);
	reply.len = fixture_send(world->fixture, bytes, len);
	memcpy(reply.source6, world->servers[server], 16);
	if (reply.len)
		keeper_receive(world->keeper, &reply, world->now_ns);
}

/* ---- the host ---- */

static inline void world_path(struct world *world, unsigned server)
{
	struct pcp_client_path path = { .server_port = PCP_SERVER_PORT };

	memcpy(path.server6, world->servers[server], 16);
	memcpy(path.client6, world->client6, 16);
	keeper_path(world->keeper, &path, world->now_ns);
}

static inline bool world_store(struct world *world)
{
	if (!keeper_needs_store(world->keeper) || world->disk_fails)
		return false;
	free(world->disk);
	assert_true(keeper_encode(world->keeper, &world->disk, &world->disk_len));
	world->writes++;
	keeper_stored(world->keeper);
	return true;
}

static inline bool world_take_events(struct world *world)
{
	bool took = false;

	while (keeper_next_event(world->keeper, &world->events[world->event_count])) {
		assert_true(++world->event_count < LOG_MAX);
		took = true;
	}
	return took;
}

/* What the loop of pcpc keep does in one turn. */
static inline void world_turn(struct world *world)
{
	uint8_t bytes[PCP_MESSAGE_MAX];
	unsigned server, asked_of;
	bool goes_on;
	size_t len;

	world->turns++;
	world_clock(world);
	do {
		len = keeper_send(world->keeper, world->now_ns, bytes);
		keeper_wants_path(world->keeper, &asked_of);
		if (len)
			world_deliver(world, bytes, len, asked_of);
		goes_on = len;
		if (keeper_wants_path(world->keeper, &server)) {
			world_path(world, server);
			goes_on = true;
		}
		goes_on |= world_store(world);
		goes_on |= world_take_events(world);
	} while (goes_on);
}

static inline void world_run(struct world *world, uint64_t until_ns)
{
	uint64_t deadline_ns, last_ns = 0;
	unsigned same = 0;

	world_turn(world);
	for (deadline_ns = keeper_deadline(world->keeper); deadline_ns <= until_ns; deadline_ns = keeper_deadline(world->keeper)) {
		same = deadline_ns == last_ns ? same + 1 : 0;
		assert_true(same < 100);	/* no busy loop */
		last_ns = deadline_ns;
		if (deadline_ns > world->now_ns)
			world->now_ns = deadline_ns;
		world_turn(world);
	}
	if (until_ns > world->now_ns)
		world->now_ns = until_ns;
	world_turn(world);
}

static inline void world_wait(struct world *world, uint64_t ns)
{
	world_run(world, world->now_ns + ns);
}

static inline struct pcp_client_request world_wish(uint8_t protocol, uint16_t port, uint32_t lifetime_s)
{
	return (struct pcp_client_request){ .opcode = PCP_MAP, .lifetime_s = lifetime_s,
					    .peer.map = { .protocol = protocol, .internal_port = port } };
}

/* A process: with the disk as it is. */
static inline void world_start(struct world *world, const struct pcp_client_request *wishes, unsigned count)
{
	world->keeper = keeper_new(&world->options);
	assert_non_null(world->keeper);
	if (world->disk)
		assert_true(keeper_restore(world->keeper, world->disk, world->disk_len, 0, false));
	keeper_servers(world->keeper, world->server_count, world->servers[0], 0);
	assert_true(keeper_wish(world->keeper, wishes, count, world->now_ns));
	world_turn(world);
}

static inline void world_kill(struct world *world)
{
	keeper_free(world->keeper);
	world->keeper = NULL;
}

static inline void world_lose_disk(struct world *world)
{
	free(world->disk);
	world->disk = NULL;
	world->disk_len = 0;
}

static inline void world_forget_log(struct world *world)
{
	world->sent_count = world->event_count = world->turns = 0;
}

/* ---- what was seen ---- */

static inline unsigned world_count(const struct world *world, enum keeper_event_type type)
{
	unsigned count = 0;

	for (unsigned i = 0; i < world->event_count; i++)
		count += world->events[i].type == type;
	return count;
}

static inline unsigned world_asked(const struct world *world, uint8_t opcode)
{
	unsigned count = 0;

	for (unsigned i = 0; i < world->sent_count; i++)
		count += world->sent[i].opcode == opcode;
	return count;
}

static inline int world_up(void **state)
{
	static const uint8_t server_a[16] = { SERVER_A }, server_b[16] = { SERVER_B }, client[16] = { CLIENT };
	struct world *world = calloc(1, sizeof(*world));
	void *fixture;

	if (!world || fixture_up(&fixture))
		return -1;
	world->fixture = fixture;
	world->fixture->policy.lifetime_min_s = 1;
	world->fixture->policy.get = true;
	world->fixture->policy.get_policy = (struct pcp_get_policy){ .opcode = PCP_GET, .next = PCP_OPTION_NEXT, .not_found = PCP_NONEXIST_MAP };
	world->fixture->model.quota = 64;
	pcp_server_set_policy(world->fixture->server, &world->fixture->policy);
	world->now_ns = NOW_S * S;
	world->server_count = 1;
	memcpy(world->servers[0], server_a, 16);
	memcpy(world->servers[1], server_b, 16);
	memcpy(world->client6, client, 16);
	world->options = (struct keeper_options){ .get_opcode = PCP_GET, .next_code = PCP_OPTION_NEXT, .nonexist = PCP_NONEXIST_MAP,
						  .random = world_random };
	world_random_state = 1;
	*state = world;
	return 0;
}

static inline int world_down(void **state)
{
	struct world *world = *state;
	void *fixture = world->fixture;

	keeper_free(world->keeper);
	free(world->disk);
	free(world);
	return fixture_down(&fixture);
}

#endif
