/* SPDX-License-Identifier: GPL-2.0-only */
/* core/keeper against the PCP server of core, over days of a clock that jumps (RFC 6887 sections 8.1.1, 8.5, 11.2.1, 14.1.3; RFC 7488;
 * draft-boucadair-pcp-failure sections 2, 3, appendix A). */
#include "keeper_world.h"

static const struct pcp_client_request *two_wishes(void)
{
	static struct pcp_client_request wishes[2];

	wishes[0] = world_wish(UDP, 5060, 3600);
	wishes[1] = world_wish(TCP, 8080, 7200);
	return wishes;
}

static void announce(struct world *world, const uint8_t *source6)
{
	uint8_t bytes[PCP_MESSAGE_MAX];
	struct pcp_client_datagram datagram = { .bytes = bytes, .source_port = PCP_SERVER_PORT };

	memcpy(datagram.source6, source6, 16);
	datagram.len = pcp_server_announcement(world->fixture->server, (uint32_t)(world->now_ns / S), bytes, sizeof(bytes));
	keeper_hear(world->keeper, &datagram, world->now_ns);
	world_turn(world);
}

/* ---- life in peace ---- */

static void test_created(void **state)
{
	struct world *world = *state;

	world_start(world, two_wishes(), 2);
	world_wait(world, S);
	assert_int_equal(world_count(world, KEEPER_CREATED), 2);
	assert_int_equal(world->event_count, 2);
	assert_int_equal(world->fixture->model.count, 2);
	assert_int_equal(world->sent[0].opcode, PCP_ANNOUNCE);
	assert_int_equal(world->sent[1].opcode, PCP_GET);
	assert_int_equal(world->sent_count, 4);
	/* section 11.1: no preference */
	assert_int_equal(world->sent[2].map.external_port, 0);
	assert_memory_equal(world->sent[2].map.external6, ((uint8_t[]){ ANY4 }), 16);
	assert_memory_not_equal(world->sent[2].map.nonce, world->sent[3].map.nonce, PCP_NONCE_LEN);
}

/* Uniform in 1/2 to 5/8 of the lifetime; what is renewed keeps its endpoint, which it suggests. */
static void test_renewal_in_time(void **state)
{
	struct world *world = *state;
	struct pcp_client_request wish = world_wish(UDP, 5060, 3600);
	uint64_t granted_ns, least = UINT64_MAX, most = 0, after_ns;
	uint16_t port;

	world_start(world, &wish, 1);
	world_wait(world, S);
	granted_ns = world->sent[2].at_ns;
	port = world->events[0].external_port;
	for (unsigned round = 0; round < 200; round++) {
		world_forget_log(world);
		world_run(world, granted_ns + 3600 * 3 / 4 * S);
		assert_int_equal(world->sent_count, 1);
		assert_int_equal(world_count(world, KEEPER_RENEWED), 1);
		assert_int_equal(world->sent[0].map.external_port, port);
		after_ns = world->sent[0].at_ns - granted_ns;
		assert_in_range(after_ns, 1800 * S, 2250 * S);
		least = after_ns < least ? after_ns : least;
		most = after_ns > most ? after_ns : most;
		granted_ns = world->sent[0].at_ns;
	}
	assert_in_range(least, 1800 * S, 1815 * S);	/* spread over all of it */
	assert_in_range(most, 2235 * S, 2250 * S);
}

/* No answer: 1/2, 3/4, 7/8 ... of the lifetime, never closer than 4 s; then it is lost, and asked for anew by section 8.1.1. */
static void test_renewals_unanswered(void **state)
{
	struct world *world = *state;
	struct pcp_client_request wish = world_wish(UDP, 5060, 3600);
	uint64_t granted_ns, expires_ns, at_ns, gap_ns, before_ns;
	unsigned i;

	world_start(world, &wish, 1);
	world_wait(world, S);
	granted_ns = world->sent[2].at_ns;
	expires_ns = granted_ns + 3600 * S;
	world->is_silent[0] = true;
	world_forget_log(world);
	world_run(world, expires_ns - 1);
	assert_in_range(world->sent_count, 9, 11);
	for (i = 0; i < world->sent_count; i++) {
		at_ns = world->sent[i].at_ns - granted_ns;
		if (i < 8)
			assert_in_range(at_ns, 3600 * S - (3600 * S >> (i + 1)), 3600 * S - (3600 * S >> (i + 1)) + (3600 * S >> (i + 3)) + 5 * S);
		if (i)
			assert_true(world->sent[i].at_ns - world->sent[i - 1].at_ns >= 4 * S);
	}
	assert_int_equal(world->event_count, 0);
	world_forget_log(world);
	world_run(world, expires_ns + 4000 * S);
	assert_int_equal(world->events[0].type, KEEPER_LOST);
	before_ns = 3 * S;
	for (i = 1; i < world->sent_count; i++) {	/* IRT 3 s, doubled with jitter, MRT 1024 s */
		gap_ns = world->sent[i].at_ns - world->sent[i - 1].at_ns;
		assert_in_range(gap_ns, (i > 1 ? 2 * before_ns < 1024 * S ? 2 * before_ns : 1024 * S : 3 * S) * 9 / 10 - 1,
				(i > 1 ? 2 * before_ns < 1024 * S ? 2 * before_ns : 1024 * S : 3 * S) * 11 / 10 + S / 10);
		before_ns = gap_ns;
	}
	world->is_silent[0] = false;
	world_wait(world, 1200 * S);
	assert_int_equal(world_count(world, KEEPER_CREATED), 1);
	assert_int_equal(world->fixture->model.count, 1);
}

static void test_quiet(void **state)
{
	struct world *world = *state;

	world_start(world, two_wishes(), 2);
	world_wait(world, S);
	world_forget_log(world);
	world_wait(world, 86400 * S);
	assert_in_range(world->sent_count, 86400 / 2250 + 86400 / 4500, 86400 / 1800 + 86400 / 3600 + 2);
	assert_true(world->turns <= 3 * world->sent_count + 3);
}

/* A whole day without a nonce that is not on disk. */
static void test_nothing_asked_before_it_is_stored(void **state)
{
	struct world *world = *state;

	world->disk_fails = true;
	world_start(world, two_wishes(), 2);
	world_wait(world, 86400 * S);
	assert_int_equal(world_asked(world, PCP_MAP), 0);
	world->disk_fails = false;
	world_wait(world, S);
	assert_int_equal(world_count(world, KEEPER_CREATED), 2);
}

static void test_refusal_is_respected(void **state)
{
	struct world *world = *state;
	uint64_t at_ns;

	world->fixture->model.quota = 1;
	world_start(world, two_wishes(), 2);
	world_wait(world, S);
	assert_int_equal(world_count(world, KEEPER_CREATED), 1);
	assert_int_equal(world_count(world, KEEPER_REFUSED), 1);
	at_ns = world->sent[3].at_ns;
	world_forget_log(world);
	world_run(world, at_ns + 30 * S - 1);
	assert_int_equal(world->sent_count, 0);
	world->fixture->model.quota = 2;
	world_wait(world, S);
	assert_int_equal(world_count(world, KEEPER_CREATED), 1);
}

static void test_wishes_change(void **state)
{
	struct world *world = *state;
	struct pcp_client_request wishes[2] = { world_wish(UDP, 5060, 3600), world_wish(UDP, 5061, 3600) };

	world_start(world, two_wishes(), 2);
	world_wait(world, S);
	world_forget_log(world);
	assert_true(keeper_wish(world->keeper, wishes, 2, world->now_ns));
	world_wait(world, S);
	assert_null(world_mapping(world, TCP, 8080));
	assert_non_null(world_mapping(world, UDP, 5061));
	assert_int_equal(world_count(world, KEEPER_DELETED), 1);
	assert_int_equal(world_count(world, KEEPER_CREATED), 1);
	assert_int_equal(world->sent_count, 2);		/* what stays is not touched */
	world_forget_log(world);
	wishes[0].lifetime_s = 1000;
	assert_true(keeper_wish(world->keeper, wishes, 2, world->now_ns));
	world_wait(world, S);
	assert_int_equal(world->sent_count, 1);
	assert_int_equal(world->sent[0].lifetime_s, 1000);
}

/* A deletion that the client dies over is made up for by the next start. */
static void test_deletion_survives(void **state)
{
	struct world *world = *state;

	world_start(world, two_wishes(), 2);
	world_wait(world, S);
	world->is_silent[0] = true;
	assert_true(keeper_wish(world->keeper, two_wishes(), 1, world->now_ns));
	world_wait(world, S);
	world_kill(world);
	world->is_silent[0] = false;
	world_start(world, two_wishes(), 1);
	world_wait(world, S);
	assert_null(world_mapping(world, TCP, 8080));
	assert_non_null(world_mapping(world, UDP, 5060));
}

static void test_release(void **state)
{
	struct world *world = *state;

	world_start(world, two_wishes(), 2);
	world_wait(world, S);
	keeper_release(world->keeper, world->now_ns);
	assert_false(keeper_is_released(world->keeper));
	world_wait(world, S);
	assert_true(keeper_is_released(world->keeper));
	assert_int_equal(world->fixture->model.count, 0);
	world_wait(world, 86400 * S);
	assert_int_equal(world->fixture->model.count, 0);
}

/* ---- the server loses its state ---- */

/* Section 14.1.3: after a random 0 to 5 s, everything, with the former endpoints suggested. */
static void test_announced_loss(void **state)
{
	struct world *world = *state;
	uint64_t least = UINT64_MAX, most = 0, begin_ns, after_ns;
	uint16_t ports[2];

	world->fixture->model.ports = 60;
	world_start(world, two_wishes(), 2);
	world_wait(world, S);
	ports[0] = world_mapping(world, UDP, 5060)->external.port;
	ports[1] = world_mapping(world, TCP, 8080)->external.port;
	for (unsigned round = 0; round < 60; round++) {
		world_wait(world, 60 * S);
		world_server_forgets(world);
		world_forget_log(world);
		begin_ns = world->now_ns;
		announce(world, world->servers[0]);
		assert_int_equal(world->events[0].type, KEEPER_EPOCH_RESET);
		world_wait(world, 6 * S);
		assert_int_equal(world->sent_count, 2);
		after_ns = world->sent[0].at_ns - begin_ns;
		assert_in_range(after_ns, 0, 5 * S);
		least = after_ns < least ? after_ns : least;
		most = after_ns > most ? after_ns : most;
		assert_int_equal(world_count(world, KEEPER_RENEWED), 2);
		assert_int_equal(world->event_count, 3);
		assert_int_equal(world_mapping(world, UDP, 5060)->external.port, ports[0]);
		assert_int_equal(world_mapping(world, TCP, 8080)->external.port, ports[1]);
	}
	assert_true(least < S / 2 && most > 9 * S / 2);
}

static void test_announcements_that_say_nothing(void **state)
{
	static const uint8_t stranger[16] = { ADDRESS6 };
	struct world *world = *state;

	world_start(world, two_wishes(), 2);
	world_wait(world, 60 * S);
	world_forget_log(world);
	announce(world, world->servers[0]);	/* its Epoch fits */
	world_wait(world, 10 * S);
	assert_int_equal(world->sent_count, 0);
	world_server_forgets(world);
	announce(world, stranger);		/* not our server */
	world_wait(world, 10 * S);
	assert_int_equal(world->sent_count, 0);
	assert_int_equal(world->event_count, 0);
}

/* A server that is away for hours is asked less and less; when it is heard again, or the network changed, it is asked at once. */
static void test_back_after_hours(void **state)
{
	struct world *world = *state;

	for (unsigned heard = 0; heard < 2; heard++) {
		world->is_silent[0] = true;
		world_start(world, two_wishes(), 2);
		world_wait(world, 36000 * S);
		world->is_silent[0] = false;
		world_forget_log(world);
		if (heard)
			announce(world, world->servers[0]);
		else
			world_path(world, 0);
		world_wait(world, heard ? 6 * S : S);
		assert_int_equal(world->fixture->model.count, 2);
		assert_int_equal(world_count(world, KEEPER_CREATED), 2);
		world_kill(world);
		world_lose_disk(world);
		world_server_forgets(world);
	}
}

/* Section 8.5: a reply that shows it makes the others be renewed at once. */
static void test_loss_in_a_reply(void **state)
{
	struct world *world = *state;
	uint64_t renewal_ns;

	world_start(world, two_wishes(), 2);
	world_wait(world, S);
	world_server_forgets(world);
	world_forget_log(world);
	world_wait(world, 2250 * S);		/* the shorter one is renewed */
	assert_int_equal(world_count(world, KEEPER_EPOCH_RESET), 1);
	assert_int_equal(world->sent_count, 2);
	renewal_ns = world->sent[0].at_ns;
	assert_in_range(world->sent[1].at_ns - renewal_ns, 0, S);
	assert_int_equal(world->sent[1].map.protocol, TCP);
	assert_int_equal(world->fixture->model.count, 2);
}

/* A part of the state was lost, for another host took the port: it changes, and that is told. */
static void test_port_taken(void **state)
{
	struct world *world = *state;
	struct model_mapping *mapping;
	uint16_t port;

	world_start(world, two_wishes(), 2);
	world_wait(world, 60 * S);
	port = world_mapping(world, UDP, 5060)->external.port;
	world_server_forgets(world);
	mapping = &world->fixture->model.mapping[world->fixture->model.count++];
	*mapping = (struct model_mapping){ .internal = { .addr4 = { 198, 51, 100, 9 }, .port = 1, .protocol = UDP }, .origins = CGN_MAP,
					   .external = { .port = port, .protocol = UDP }, .expires_s = UINT32_MAX };
	memcpy(mapping->external.addr4, model_pool, 4);
	world_forget_log(world);
	announce(world, world->servers[0]);
	world_wait(world, 6 * S);
	assert_int_equal(world_count(world, KEEPER_CHANGED), 1);
	assert_int_equal(world->events[1].former_port, port);
	assert_int_not_equal(world->events[1].external_port, port);
}

/* Section 14.2: a Mapping Update comes unasked. */
static void test_mapping_update(void **state)
{
	struct world *world = *state;
	uint8_t bytes[PCP_MESSAGE_MAX];
	struct pcp_client_datagram datagram = { .bytes = bytes, .source_port = PCP_SERVER_PORT };
	struct pcp_response_header header = { .opcode = PCP_MAP, .lifetime_s = 500,
					      .epoch_s = (uint32_t)(NOW_S + 60 - EPOCH_BASE_S) };
	struct pcp_map map;
	struct writer w;

	world_start(world, two_wishes(), 2);
	world_wait(world, 60 * S);
	map = world->sent[2].map;
	map.external_port = 1055;
	memcpy(map.external6, ((uint8_t[]){ POOL }), 16);
	writer_init(&w, bytes, sizeof(bytes));
	pcp_encode_response_header(&w, &header);
	pcp_encode_map(&w, &map);
	datagram.len = writer_len(&w);
	memcpy(datagram.source6, world->servers[0], 16);
	world_forget_log(world);
	bytes[24] ^= 1;			/* another nonce: not ours */
	keeper_receive(world->keeper, &datagram, world->now_ns);
	world_turn(world);
	assert_int_equal(world->event_count, 0);
	bytes[24] ^= 1;
	keeper_receive(world->keeper, &datagram, world->now_ns);
	world_turn(world);
	assert_int_equal(world_count(world, KEEPER_CHANGED), 1);
	assert_int_equal(world->events[0].external_port, 1055);
	world_wait(world, 500 * 5 / 8 * S);	/* its lifetime counts */
	assert_int_equal(world->sent_count, 1);
}

/* ---- the client crashes, the server, both (appendix A) ---- */

static void expect_agreement(struct world *world, const uint16_t ports[2])
{
	assert_int_equal(world->fixture->model.count, 2);
	assert_int_equal(world_mapping(world, UDP, 5060)->external.port, ports[0]);
	assert_int_equal(world_mapping(world, TCP, 8080)->external.port, ports[1]);
}

static void crash(struct world *world, bool client_forgets, bool server_forgets, uint16_t ports[2])
{
	world_start(world, two_wishes(), 2);
	world_wait(world, 100 * S);
	ports[0] = world_mapping(world, UDP, 5060)->external.port;
	ports[1] = world_mapping(world, TCP, 8080)->external.port;
	world_kill(world);
	if (client_forgets)
		world_lose_disk(world);
	if (server_forgets)
		world_server_forgets(world);
	world->now_ns += 10 * S;
	world_forget_log(world);
	world_start(world, two_wishes(), 2);
	world_wait(world, 6 * S);
}

/* Nobody lost anything: the Epoch is asked for, and that is all. */
static void test_crash_both_kept(void **state)
{
	struct world *world = *state;
	uint16_t ports[2];

	crash(world, false, false, ports);
	assert_int_equal(world->sent_count, 1);
	assert_int_equal(world->sent[0].opcode, PCP_ANNOUNCE);
	assert_int_equal(world_count(world, KEEPER_KEPT), 2);
	assert_int_equal(world->event_count, 2);
	expect_agreement(world, ports);
	world_wait(world, 86400 * S);
	expect_agreement(world, ports);
}

static void test_crash_server_lost(void **state)
{
	struct world *world = *state;
	uint16_t ports[2];

	crash(world, false, true, ports);
	assert_int_equal(world_count(world, KEEPER_EPOCH_RESET), 1);
	assert_int_equal(world_asked(world, PCP_GET), 0);
	expect_agreement(world, ports);
}

/* Nonces are checked and not shown: refused until the lifetime ends; the mappings live on meanwhile. */
static void test_crash_client_lost_redacted(void **state)
{
	struct world *world = *state;
	uint16_t ports[2];

	crash(world, true, false, ports);
	assert_int_equal(world_asked(world, PCP_GET), 1);
	assert_int_equal(world_count(world, KEEPER_REFUSED), 2);
	assert_int_equal(world->events[0].external_port, ports[0]);	/* what GET told */
	expect_agreement(world, ports);
	world_wait(world, 7200 * S);
	assert_int_equal(world_count(world, KEEPER_CREATED), 2);
	expect_agreement(world, ports);
}

static void test_crash_client_lost_revealed(void **state)
{
	struct world *world = *state;
	uint16_t ports[2];

	world->fixture->policy.get_policy.reveals_nonces = true;
	pcp_server_set_policy(world->fixture->server, &world->fixture->policy);
	crash(world, true, false, ports);
	assert_int_equal(world_count(world, KEEPER_REFUSED), 0);
	assert_int_equal(world_count(world, KEEPER_CREATED), 2);
	expect_agreement(world, ports);
}

static void test_crash_both_lost(void **state)
{
	struct world *world = *state;
	uint16_t ports[2];

	crash(world, true, true, ports);
	assert_int_equal(world_count(world, KEEPER_CREATED), 2);
	assert_int_equal(world->fixture->model.count, 2);
}

/* The machine itself was off: the wall clock says for how long; one that went backwards says nothing, and everything is doubted. */
static void test_reboot(void **state)
{
	struct world *world = *state;

	world_start(world, two_wishes(), 2);
	world_wait(world, 100 * S);
	for (unsigned unknown = 0; unknown < 2; unknown++) {
		world_kill(world);
		world_forget_log(world);
		world->keeper = keeper_new(&world->options);
		assert_true(keeper_restore(world->keeper, world->disk, world->disk_len, 0, unknown));
		keeper_servers(world->keeper, 1, world->servers[0], 0);
		keeper_wish(world->keeper, two_wishes(), 2, world->now_ns);
		world_wait(world, 6 * S);
		assert_int_equal(world_asked(world, PCP_MAP), unknown ? 2 : 0);
		assert_int_equal(world_count(world, KEEPER_EPOCH_RESET), unknown);
	}
}

/* Another clock: everything stands where it stood, shifted. */
static void test_restore_shifted(void **state)
{
	struct world *world = *state;

	world_start(world, two_wishes(), 2);
	world_wait(world, 100 * S);
	world_kill(world);
	world_forget_log(world);
	world->keeper = keeper_new(&world->options);
	assert_true(keeper_restore(world->keeper, world->disk, world->disk_len, -3000, false));
	world->now_ns -= 3000 * S;
	pcp_server_set_epoch_base(world->fixture->server, EPOCH_BASE_S - 3000);
	for (unsigned i = 0; i < world->fixture->model.count; i++)
		world->fixture->model.mapping[i].expires_s -= 3000;
	keeper_servers(world->keeper, 1, world->servers[0], 0);
	keeper_wish(world->keeper, two_wishes(), 2, world->now_ns);
	world_wait(world, 6 * S);
	assert_int_equal(world_count(world, KEEPER_KEPT), 2);
	assert_int_equal(world_asked(world, PCP_MAP), 0);
	world_wait(world, 2250 * S);
	assert_int_equal(world_count(world, KEEPER_RENEWED), 1);
}

/* Cut anywhere, or with any byte changed, it is refused or read, and nothing worse. */
static void test_restore_garbage(void **state)
{
	struct world *world = *state;
	struct keeper *keeper;
	uint8_t *copy;

	world_start(world, two_wishes(), 2);
	world_wait(world, S);
	for (size_t i = 0; i < world->disk_len; i++) {
		copy = malloc(i ? i : 1);
		memcpy(copy, world->disk, i);
		keeper = keeper_new(&world->options);
		assert_false(keeper_restore(keeper, copy, i, 0, false));
		assert_true(keeper_wish(keeper, two_wishes(), 2, world->now_ns));
		keeper_free(keeper);
		free(copy);
	}
	for (size_t i = 0; i < world->disk_len * 8; i++) {
		keeper = keeper_new(&world->options);
		world->disk[i / 8] ^= (uint8_t)(1 << i % 8);
		keeper_restore(keeper, world->disk, world->disk_len, 0, false);
		assert_true(keeper_wish(keeper, two_wishes(), 2, world->now_ns));
		world->disk[i / 8] ^= (uint8_t)(1 << i % 8);
		keeper_free(keeper);
	}
}

/* ---- what nobody wants ---- */

static void stale(struct world *world, bool cleans_up, bool reveals)
{
	static const struct pcp_client_request none[1];
	struct pcp_client_request wishes[40];

	for (unsigned i = 0; i < 40; i++)
		wishes[i] = world_wish(UDP, (uint16_t)(6000 + i), 3600);
	world_start(world, wishes, 40);
	world_wait(world, 10 * S);
	assert_int_equal(world->fixture->model.count, 40);
	world_kill(world);
	world_lose_disk(world);
	world->fixture->policy.get_policy.reveals_nonces = reveals;
	pcp_server_set_policy(world->fixture->server, &world->fixture->policy);
	world->options.cleans_up = cleans_up;
	world_forget_log(world);
	world_start(world, none, 0);
	world_wait(world, 20 * S);
}

static void test_stale_cleaned_up(void **state)
{
	struct world *world = *state;

	stale(world, true, true);
	assert_int_equal(world_asked(world, PCP_GET), 3);	/* 17 a page, seams twice */
	assert_int_equal(world_count(world, KEEPER_DELETED), 40);
	assert_int_equal(world->fixture->model.count, 0);
}

static void test_stale_refused(void **state)
{
	struct world *world = *state;

	stale(world, true, false);
	assert_int_equal(world_asked(world, PCP_MAP), 1);	/* the first refusal says it all */
	assert_int_equal(world_count(world, KEEPER_STALE), 40);
	assert_int_equal(world->fixture->model.count, 40);
}

static void test_stale_only_told(void **state)
{
	struct world *world = *state;

	stale(world, false, true);
	assert_int_equal(world_asked(world, PCP_MAP), 0);
	assert_int_equal(world_count(world, KEEPER_STALE), 40);
}

/* ---- addresses change ---- */

static void test_host_address(void **state)
{
	static const uint8_t moved[16] = { MOVED_CLIENT };
	struct world *world = *state;
	uint16_t port;

	world_start(world, two_wishes(), 2);
	world_wait(world, 60 * S);
	port = world_mapping(world, UDP, 5060)->external.port;
	world_forget_log(world);
	memcpy(world->client6, moved, 16);
	world_path(world, 0);
	world_wait(world, S);
	assert_int_equal(world_count(world, KEEPER_ADDRESS_CHANGED), 1);
	assert_int_equal(world_count(world, KEEPER_CHANGED), 2);
	assert_int_equal(world->sent[1].map.external_port, port);	/* suggested, but the stale mapping owns it */
	assert_int_equal(world->fixture->model.count, 4);
	world_forget_log(world);
	world_path(world, 0);		/* the same again: nothing */
	world_wait(world, S);
	assert_int_equal(world->sent_count, 0);
}

/* The server may have another Epoch for another address of the same host (RFC 6887 section 8.5): that is no loss of state. */
static void test_host_address_own_epoch(void **state)
{
	static const uint8_t moved[16] = { MOVED_CLIENT };
	struct world *world = *state;

	world_start(world, two_wishes(), 2);
	world_wait(world, 60 * S);
	assert_true(pcp_server_set_epoch_base_of(world->fixture->server, world->client6, EPOCH_BASE_S - 3000));
	world_wait(world, 2000 * S);
	world_forget_log(world);
	memcpy(world->client6, moved, 16);
	world_path(world, 0);
	world_wait(world, S);
	assert_int_equal(world_count(world, KEEPER_EPOCH_RESET), 0);
	assert_int_equal(world_count(world, KEEPER_CHANGED), 2);	/* at once, not after the wait of a reset */
}

/* F1: the server at another address. It may be another one: it gets another nonce first. */
static void test_server_address(void **state)
{
	struct world *world = *state;
	uint8_t nonce[PCP_NONCE_LEN];

	world_start(world, two_wishes(), 1);
	world_wait(world, 60 * S);
	memcpy(nonce, world->sent[2].map.nonce, sizeof(nonce));
	world_forget_log(world);
	memcpy(world->servers[0], world->servers[1], 16);
	keeper_servers(world->keeper, 1, world->servers[0], 0);
	world_wait(world, S);
	assert_int_equal(world_count(world, KEEPER_SERVER_CHANGED), 1);
	assert_int_equal(world_count(world, KEEPER_RENEWED), 1);
	assert_int_equal(world_asked(world, PCP_MAP), 2);
	assert_memory_not_equal(world->sent[1].map.nonce, nonce, sizeof(nonce));
	assert_memory_equal(world->sent[2].map.nonce, nonce, sizeof(nonce));
	world_forget_log(world);
	world_wait(world, 2250 * S);
	assert_memory_equal(world->sent[0].map.nonce, nonce, sizeof(nonce));
	assert_int_equal(world->sent_count, 1);
}

/* RFC 7488: four transmissions to an address, then the next; all of them again after a while. */
static void test_servers_in_turn(void **state)
{
	struct world *world = *state;
	unsigned to_a = 0;

	world->server_count = 2;
	world->is_silent[0] = true;
	world_start(world, two_wishes(), 2);
	world_wait(world, 60 * S);
	for (unsigned i = 0; i < world->sent_count; i++)
		to_a += world->sent[i].server_last == 1;
	assert_int_equal(to_a, 4);
	assert_int_equal(world_count(world, KEEPER_SERVER_SILENT), 1);
	assert_int_equal(world_count(world, KEEPER_CREATED), 2);

	/* the other one falls silent, and the first is back */
	world->is_silent[1] = true;
	world->is_silent[0] = false;
	world_forget_log(world);
	world_wait(world, 3600 * S);
	assert_int_equal(world_count(world, KEEPER_LOST), 0);
	assert_int_equal(world_count(world, KEEPER_SERVER_CHANGED), 1);
	assert_true(world_count(world, KEEPER_RENEWED) >= 2);
	assert_int_equal(world->fixture->model.count, 2);

	/* none: every 15 minutes at last, and no more */
	world->is_silent[0] = true;
	world_wait(world, 86400 * S);
	world_forget_log(world);
	world_wait(world, 86400 * S);
	assert_in_range(world->sent_count, 86400 / 1100 * 8, 86400 / 900 * 8 + 8);
	world->is_silent[0] = false;
	world_wait(world, 1100 * S);
	assert_int_equal(world->fixture->model.count, 2);
}

/* An address that was tried in vain meanwhile changes nothing: what was known of the one that answers still is, also after a restart. */
static void test_tried_in_vain(void **state)
{
	struct world *world = *state;

	world->server_count = 2;
	world_start(world, two_wishes(), 2);
	world_wait(world, 60 * S);
	for (unsigned forgets = 0; forgets < 2; forgets++) {
		world->is_silent[0] = world->is_silent[1] = true;
		keeper_no_path(world->keeper, world->now_ns);
		world_wait(world, S);		/* the other one is being asked */
		if (forgets)
			world_server_forgets(world);
		world_kill(world);
		world_forget_log(world);
		world->is_silent[0] = false;
		world_start(world, two_wishes(), 2);
		world_wait(world, 6 * S);
		assert_int_equal(world_count(world, KEEPER_SERVER_CHANGED), 0);
		assert_int_equal(world_count(world, KEEPER_EPOCH_RESET), forgets);
		assert_int_equal(world_count(world, KEEPER_KEPT), forgets ? 0 : 2);
		assert_int_equal(world_asked(world, PCP_MAP), forgets ? 2 : 0);
		assert_int_equal(world->fixture->model.count, 2);
	}
	world->is_silent[0] = true;
	keeper_no_path(world->keeper, world->now_ns);
	world_forget_log(world);
	world_wait(world, 50 * S);	/* neither answers */
	world->is_silent[0] = false;
	world_wait(world, 60 * S);
	assert_int_equal(world_count(world, KEEPER_SERVER_CHANGED) + world_count(world, KEEPER_ADDRESS_CHANGED), 0);
	assert_int_equal(world_asked(world, PCP_MAP), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, world_up, world_down)
		TEST(created), TEST(renewal_in_time), TEST(renewals_unanswered), TEST(quiet), TEST(nothing_asked_before_it_is_stored),
		TEST(refusal_is_respected), TEST(wishes_change), TEST(deletion_survives), TEST(release), TEST(announced_loss),
		TEST(announcements_that_say_nothing), TEST(back_after_hours), TEST(loss_in_a_reply), TEST(port_taken), TEST(mapping_update),
		TEST(crash_both_kept), TEST(crash_server_lost), TEST(crash_client_lost_redacted), TEST(crash_client_lost_revealed),
		TEST(crash_both_lost), TEST(reboot), TEST(restore_shifted), TEST(restore_garbage), TEST(stale_cleaned_up),
		TEST(stale_refused), TEST(stale_only_told), TEST(host_address), TEST(host_address_own_epoch), TEST(server_address), TEST(servers_in_turn),
		TEST(tried_in_vain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
