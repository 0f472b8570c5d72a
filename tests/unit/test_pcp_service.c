/* SPDX-License-Identifier: GPL-2.0-only */
/* An answer never leaves before what it promises is durable: requests over the loopback, decided over the model, recorded in a store
 * whose disk is slow, or full. */
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include "config.h"
#include "dataplane_recorder.h"
#include "event_loop.h"
#include "explicit_record.h"
#include "pcp_fixture.h"
#include "pcp_service.h"
#include "slow_disk.h"

#define QUIET_MS 60	/* so long there is no answer */
#define SOON_MS 5000

struct site {
	struct model model;
	struct store *store;
	struct dataplane_recorder *recorder;
	struct pcp_server *server;
	struct pcp_service *service;
	struct ev_loop *loop;
	struct config config;
	struct config_interface interface;
	uint32_t listen4;
	int client;
};

static bool never_read(void *dataplane, const struct store *store, const struct store_key *key, struct explicit_record *ret_record)
{
	(void)dataplane;
	(void)store;
	(void)key;
	(void)ret_record;
	return false;
}

/* ---- the site ---- */

static void open_server(struct site *site)
{
	static const struct pcp_third_party anybody = { { { [10] = 0xff, 0xff, 127 }, 104 }, { { [10] = 0xff, 0xff, 198, 51, 100 }, 120 } };
	struct pcp_policy policy = { .lifetime_min_s = 120, .lifetime_max_s = 86400, .error_short_s = 30, .error_long_s = 1800, .announce = true,
		.map = true, .nonce_policy = CGN_NONCE_STRICT, .third_party = &anybody, .third_party_count = 1, .is_durable = true };
	struct recorder_source source = { &model_ops, &site->model, never_read };

	model_init(&site->model, NOW_S);
	site->store = slow_disk_open(STORE_CREATED);
	site->recorder = dataplane_recorder_new(&source, site->store);
	assert_non_null(site->recorder);
	site->server = pcp_server_new(&policy, &dataplane_recorder_ops, site->recorder);
	assert_non_null(site->server);
}

static int open_client(const struct site *site)
{
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(PCP_SERVER_PORT), .sin_addr.s_addr = htonl(site->listen4) };
	struct sockaddr_in client = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&client, sizeof(client)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&server, sizeof(server)), 0);
	return fd;
}

static int up(void **state)
{
	struct site *site = calloc(1, sizeof(*site));
	struct pcp_commit commit;
	char error[256];

	if (!site || store_fixture_up(state))
		return -1;
	open_server(site);
	site->listen4 = 127u << 24 | (uint32_t)getpid() << 2 | 2;	/* an address of its own */
	site->interface = (struct config_interface){ .name = "lo", .side = CGN_INTERNAL_SIDE };
	site->config = (struct config){ .interfaces = &site->interface, .interfaces_count = 1,
		.pcp = { .listen4 = &site->listen4, .listen4_count = 1 } };
	site->loop = ev_loop_new(EVFLAG_AUTO);
	site->service = pcp_service_new(site->loop, site->server, &site->config);
	assert_non_null(site->service);
	commit = (struct pcp_commit){ dataplane_recorder_commit_begin, dataplane_recorder_commit_end, site->recorder, store_done_fd(site->store) };
	pcp_service_set_commit(site->service, &commit);
	if (!pcp_service_refresh(site->service, error, sizeof(error)) || pcp_service_listening(site->service) != 1)
		fail_msg("%s", error);
	site->client = open_client(site);
	*state = site;
	return 0;
}

static int down(void **state)
{
	struct site *site = *state;

	disk_set_full(false);
	slow_disk_release();	/* a case that failed may hold it */
	close(site->client);
	pcp_service_free(site->service);
	pcp_server_free(site->server);
	dataplane_recorder_free(site->recorder);
	store_close(site->store);
	ev_loop_destroy(site->loop);
	free(site);
	return store_fixture_down(state);
}

/* ---- what clients do ---- */

/* For a port of 198.51.100.2; its number is in the nonce too. */
static void ask(const struct site *site, uint8_t opcode, uint16_t port)
{
	uint8_t map[] = { 2, opcode, 0, 0, S3600, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1,
		(uint8_t)(port >> 8), (uint8_t)port, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, UDP, 0, 0, 0, (uint8_t)(port >> 8), (uint8_t)port, PORT_0, ANY4,
		THIRD_PARTY_OPTION(CLIENT) };

	assert_true(send(site->client, map, opcode ? sizeof(map) : 24, 0) > 0);
}

/* Lets the daemon run until there is an answer. Its result, and the port that it is about; -1: none came. */
static int answer(const struct site *site, int within_ms, uint16_t *ret_port)
{
	struct pollfd readable = { .fd = site->client, .events = POLLIN };
	uint8_t bytes[PCP_MESSAGE_MAX];
	int waited;

	for (waited = 0; waited < within_ms; waited++) {
		ev_run(site->loop, EVRUN_NOWAIT);
		if (poll(&readable, 1, 1) != 1)
			continue;
		assert_true(recv(site->client, bytes, sizeof(bytes), 0) >= 24);
		*ret_port = (uint16_t)(bytes[24] << 8 | bytes[25]);
		return bytes[3];
	}
	return -1;
}

static void expect_answer(const struct site *site, uint16_t port, int result)
{
	uint16_t answered = 0;

	assert_int_equal(answer(site, SOON_MS, &answered), result);
	assert_int_equal(answered, port);
}

static void expect_quiet(const struct site *site)
{
	uint16_t port;

	assert_int_equal(answer(site, QUIET_MS, &port), -1);
}

/* Ends what holds the disk, after the daemon has come to wait for it. */
static void *release_later(void *is_full)
{
	usleep(QUIET_MS * 1000);
	disk_set_full(is_full != NULL);
	slow_disk_release();
	return NULL;
}

/* ---- */

static void nothing_is_answered_before_it_is_durable(void **state)
{
	struct site *site = *state;

	slow_disk_hold();
	ask(site, 1, 1000);
	expect_quiet(site);
	assert_int_equal(site->model.count, 1);
	expect_held(site->store, 0, 0, 1);
	slow_disk_release();
	expect_answer(site, 1000, PCP_SUCCESS);
	assert_int_equal(store_stats(site->store).commits, 2);	/* one is that of the opening */
	ask(site, 0, 0);	/* nothing is written for it */
	assert_int_equal(answer(site, SOON_MS, &(uint16_t){ 0 }), PCP_SUCCESS);
	assert_int_equal(store_stats(site->store).commits, 2);
}

/* Decided while those before are being written, answered behind them. */
static void answers_keep_their_order(void **state)
{
	struct site *site = *state;
	pthread_t releasing;
	uint16_t port;

	for (port = 1000; port < 1006; port += 2) {
		slow_disk_hold();
		ask(site, 1, port);
		expect_quiet(site);
		ask(site, 1, (uint16_t)(port + 1));
		assert_int_equal(pthread_create(&releasing, NULL, release_later, NULL), 0);
		expect_answer(site, port, PCP_SUCCESS);
		expect_answer(site, (uint16_t)(port + 1), PCP_SUCCESS);
		pthread_join(releasing, NULL);
	}
	assert_int_equal(site->model.count, 6);
}

static void what_fails_is_refused_with_what_came_after(void **state)
{
	struct site *site = *state;
	pthread_t releasing;

	ask(site, 1, 999);
	expect_answer(site, 999, PCP_SUCCESS);
	slow_disk_hold();
	ask(site, 1, 1000);
	expect_quiet(site);
	ask(site, 1, 1001);
	assert_int_equal(pthread_create(&releasing, NULL, release_later, site), 0);
	expect_answer(site, 1000, PCP_NO_RESOURCES);
	expect_answer(site, 1001, PCP_NO_RESOURCES);
	pthread_join(releasing, NULL);
	assert_int_equal(site->model.count, 1);
	ask(site, 1, 1002);
	expect_answer(site, 1002, PCP_NO_RESOURCES);
	disk_set_full(false);
	assert_int_equal(store_tick(site->store), 0);
	ask(site, 1, 1003);
	expect_answer(site, 1003, PCP_SUCCESS);
	assert_int_equal(site->model.count, 2);
}

/* A socket that goes, an unsolicited message: not before what was decided is answered. */
static void answered_before_anything_else(void **state)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 }, announcement[24] = { 2, 0x80, 0, 99 };
	struct site *site = *state;
	uint16_t port = 0;
	struct sockaddr_in self;
	socklen_t len = sizeof(self);
	char error[256];

	assert_int_equal(getsockname(site->client, (struct sockaddr *)&self, &len), 0);
	slow_disk_hold();
	ask(site, 1, 1000);
	expect_quiet(site);
	slow_disk_release();
	assert_int_equal(pcp_service_send(site->service, loopback, ntohs(self.sin_port), announcement, sizeof(announcement)), 1);
	expect_answer(site, 1000, PCP_SUCCESS);
	assert_int_equal(answer(site, SOON_MS, &port), 99);
	slow_disk_hold();
	ask(site, 1, 1001);
	expect_quiet(site);
	slow_disk_release();
	site->listen4 += 4;
	assert_true(pcp_service_refresh(site->service, error, sizeof(error)));
	expect_answer(site, 1001, PCP_SUCCESS);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, up, down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(nothing_is_answered_before_it_is_durable), CASE(answers_keep_their_order), CASE(what_fails_is_refused_with_what_came_after),
		CASE(answered_before_anything_else),
	};

	return cmocka_run_group_tests_name("pcp_service", tests, NULL, NULL);
}
