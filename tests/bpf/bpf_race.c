/* SPDX-License-Identifier: GPL-2.0-only */
/* Packets against packets, requests, the reaper and the release of blocks, on two CPUs at once. Afterwards everything is counted
 * (tests/lib/invariants.h). Idle times of minus one second are over at once, lifetimes of none with the second, ports and blocks do
 * not rest: what happens once a minute in a network happens here all the time. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include "frame.h"
#include "invariants.h"
#include "plane.h"

#define SUBSCRIBERS 6		/* 198.51.100.2 and on */
#define PORTS 40		/* internal ports of each and protocol: more than one block has */
#define EXPLICIT_LIMIT 24
#define FEW_PORTS 2
#define OVER (-1u - CGN_CACHE_S_MAX)	/* minus one second, with what the cache adds: an idle time that is over at once */
#define STORM_MS 2500

static const char config[] =
	/* four blocks for six subscribers: there are never enough */
	"pools:\n  - {addresses: [192.0.2.1/32], ports: 1024-1279, block-size: 64}\n"
	"subscribers: {prefixes: [198.51.100.0/24], blocks: 2, reserve: 8, explicit: 24}\n"
	"icmp-errors: {sender: 0}\n"
	"tables: {mappings: 256, subscribers: 16}\n";

static struct plane plane;
static atomic_bool stop;
static atomic_uint turns;	/* of everybody: a storm in which nothing happens is no test */

struct worker {
	pthread_t thread;
	unsigned cpu, seed;
	unsigned ports;			/* PORTS, or fewer for more collisions */
	void (*turn)(struct worker *worker);
	unsigned done[8];		/* by what came of it */
};

static uint32_t draw(struct worker *worker, uint32_t below)
{
	return (uint32_t)rand_r(&worker->seed) % below;
}

static void random_endpoint(struct worker *worker, char ret_address[16], uint16_t *ret_port, uint8_t *ret_protocol)
{
	static const uint8_t protocols[] = { IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP };

	snprintf(ret_address, 16, "198.51.100.%u", 2 + draw(worker, SUBSCRIBERS));
	*ret_port = (uint16_t)(3000 + draw(worker, worker->ports));
	*ret_protocol = protocols[draw(worker, 2 + (worker->ports == PORTS))];
}

/* ---- what workers do ---- */

static void send_packet(struct worker *worker)
{
	struct frame frame = { .destination = "203.0.113.9", .destination_port = 53, .tcp_flags = FRAME_SYN, .icmp_type = 8, .payload = 8 };
	uint8_t bytes[FRAME_MAX];
	char address[16];
	uint32_t action;

	random_endpoint(worker, address, &frame.source_port, &frame.protocol);
	frame.source = address;
	frame.identifier = frame.source_port;
	action = plane_send_fast(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&frame, bytes));
	worker->done[action == XDP_REDIRECT]++;
}

static void random_request(struct worker *worker, struct cgn_map_request *request)
{
	char address[16];
	uint16_t port;
	uint8_t protocol;

	random_endpoint(worker, address, &port, &protocol);
	*request = (struct cgn_map_request){ .internal = plane_internal(protocol, address, port), .origin = CGN_MAP, .nonce = { 7 } };
	request->lifetime_s = draw(worker, 2) ? 3600 : 0;
	if (draw(worker, 2)) {
		inet_pton(AF_INET, "192.0.2.1", request->suggested.addr4);
		request->suggested.port = (uint16_t)(1024 + draw(worker, 256));
		request->flags = draw(worker, 2) ? CGN_PREFER_FAILURE : 0;
	}
}

/* PEER for one of a few remote peers, as a mapping of MAP or of packets may have it too. */
static void make_peer(struct worker *worker)
{
	static const uint8_t remote6[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9 };
	struct cgn_map_request request;

	random_request(worker, &request);
	request.origin = CGN_PEER;
	memcpy(request.remote6, remote6, sizeof(remote6));
	request.remote_port = (uint16_t)(53 + draw(worker, 3));
	request.lifetime_s = draw(worker, 2) ? 3600 : 1;
	if (dataplane_peer(plane.dp, &request))
		abort();
	worker->done[request.status == CGN_OK]++;
	worker->done[2] += request.status == CGN_BUSY;
}

static void make_request(struct worker *worker)
{
	struct cgn_map_request request;

	random_request(worker, &request);
	if (worker->ports <= FEW_PORTS)
		request.lifetime_s = 0;	/* nothing holds a block for long */
	if (draw(worker, 3) ? dataplane_map(plane.dp, &request) : dataplane_delete(plane.dp, &request))
		abort();
	worker->done[request.status == CGN_OK]++;
	worker->done[2] += request.status == CGN_BUSY;
}

static void make_request_or_peer(struct worker *worker)
{
	if (draw(worker, 3))
		make_request(worker);
	else
		make_peer(worker);
}

static void reap_some(struct worker *worker)
{
	const struct cgn_slot *slots;
	struct cgn_reap_request request;
	uint32_t count, batch[CGN_BATCH_MAX], found = 0, protocol, port;

	slots = dataplane_slots(plane.dp, &count);
	for (protocol = 0; protocol < CGN_PROTOCOLS; protocol++)
		for (port = 1024; port < 1280 && found < CGN_BATCH_MAX; port++)
			if (slots[CGN_SLOT(0, protocol, port)].state.state == CGN_SLOT_LIVE && !draw(worker, 3))
				batch[found++] = CGN_SLOT(0, protocol, port);
	if (dataplane_reap(plane.dp, batch, found, &request))
		abort();
	worker->done[0] += request.kept;
	worker->done[1] += request.deleted;
	worker->done[2] += request.busy;
	worker->done[3] += request.demoted;
}

static void release_some(struct worker *worker)
{
	struct cgn_release_request request = {};
	char address[16];

	snprintf(address, sizeof(address), "198.51.100.%u", 2 + draw(worker, SUBSCRIBERS));
	request.subscriber = plane_subscriber(address);
	if (dataplane_release(plane.dp, &request))
		abort();
	worker->done[1] += request.released;
	worker->done[2] += request.gone;
}

static void reap_and_release(struct worker *worker)
{
	reap_some(worker);
	release_some(worker);
}

/* ---- storms ---- */

static void *work(void *argument)
{
	struct worker *worker = argument;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(worker->cpu, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	while (!stop) {
		worker->turn(worker);
		turns++;
	}
	return NULL;
}

static void set_timeouts(uint32_t idle_s, uint32_t rest_s)
{
	struct cgn_settings settings;
	uint32_t zero = 0;

	assert_true(dataplane_settings(plane.dp, &settings));
	settings.udp_s = settings.tcp_established_s = settings.tcp_opening_s = settings.tcp_closing_s = settings.icmp_s = idle_s;
	settings.rest_s = rest_s;
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_SETTINGS), &zero, &settings, 0), 0);
}

static void expect_invariants(const char *what)
{
	struct invariants found;

	if (!invariants_check(plane.dp, stdout, &found))
		fail_msg("after %s: %u broken", what, found.broken);
	printf("after %s: %u mappings, %u explicit, %u blocks\n", what, found.mappings, found.explicit_mappings, found.blocks);
}

static void storm(const char *what, unsigned ports, void (*const first[])(struct worker *), unsigned count)
{
	struct timespec pause = { STORM_MS / 1000, STORM_MS % 1000 * 1000000 };
	struct worker workers[8] = {};
	unsigned i;

	stop = false;
	turns = 0;
	for (i = 0; i < count; i++) {
		workers[i] = (struct worker){ .cpu = i % 2, .seed = i * 7919 + (unsigned)time(NULL), .ports = ports, .turn = first[i] };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	nanosleep(&pause, NULL);
	stop = true;
	for (i = 0; i < count; i++)
		pthread_join(workers[i].thread, NULL);
	for (i = 0; i < count; i++)
		printf("  worker %u: %u %u %u %u\n", i, workers[i].done[0], workers[i].done[1], workers[i].done[2], workers[i].done[3]);
	assert_true(turns > 1000);
	expect_invariants(what);
}

#define STORM(what, ports, ...) do { \
	static void (*const turns_[])(struct worker *) = { __VA_ARGS__ }; \
	storm(what, ports, turns_, sizeof(turns_) / sizeof(*turns_)); \
} while (0)

static int start(void **state)
{
	(void)state;
	plane_start(&plane, config);
	return 0;
}

static int end(void **state)
{
	(void)state;
	plane_stop(&plane);
	return 0;
}

/* The same flows on both CPUs, until ports run out; emptied and again. */
static void packets_packets(void **state)
{
	unsigned round;

	(void)state;
	for (round = 0; round < 2; round++) {
		set_timeouts(300, 0);
		STORM("packets against packets", PORTS, send_packet, send_packet);
		set_timeouts(OVER, 0);
		STORM("packets against packets and the reaper", 4, send_packet, send_packet, reap_some);
	}
}

static void packets_requests(void **state)
{
	(void)state;
	set_timeouts(300, 0);
	STORM("packets against requests", 8, send_packet, make_request);
	set_timeouts(OVER, 0);
	STORM("packets against requests that end at once", 8, send_packet, make_request);
}

static void requests_reaper(void **state)
{
	(void)state;
	set_timeouts(OVER, 0);
	STORM("requests against the reaper", 6, make_request_or_peer, reap_some);
	STORM("packets and requests against the reaper", 6, send_packet, make_request_or_peer, reap_some);
	set_timeouts(300, 0);
	STORM("explicit mappings that live on", 6, send_packet, make_request_or_peer, reap_some);
}

/* Ends every lifetime, as if it had gone by; reaps and releases until nothing is left. */
static void give_back_all(void)
{
	struct worker worker = { .ports = PORTS };
	static struct cgn_explicit_key keys[SUBSCRIBERS * EXPLICIT_LIMIT];
	struct cgn_explicit part;
	int fd = dataplane_map_fd(plane.dp, DP_EXPLICIT);
	unsigned i, count = 0;

	while (count < SUBSCRIBERS * EXPLICIT_LIMIT && !bpf_map_get_next_key(fd, count ? &keys[count - 1] : NULL, &keys[count]))
		count++;
	for (i = 0; i < count; i++) {
		assert_int_equal(bpf_map_lookup_elem(fd, &keys[i], &part), 0);
		part.expires_s = dataplane_now_s() - 2;
		assert_int_equal(bpf_map_update_elem(fd, &keys[i], &part, BPF_EXIST), 0);
	}
	set_timeouts(OVER, 0);
	for (i = 0; i < 100; i++)
		reap_some(&worker);
	for (i = 0; i < 100; i++)
		release_some(&worker);
}

static void blocks_packets(void **state)
{
	(void)state;
	give_back_all();
	STORM("packets against the release of blocks", FEW_PORTS, send_packet, send_packet, reap_and_release);
	STORM("requests against the release of blocks", FEW_PORTS, make_request, reap_and_release, release_some);
	STORM("packets and requests against it", FEW_PORTS, send_packet, make_request, reap_and_release, release_some);
	STORM("everything", 6, send_packet, send_packet, make_request_or_peer, reap_and_release);
}

/* No leak, whatever went on before. */
static void all_is_given_back(void **state)
{
	struct invariants found;

	(void)state;
	give_back_all();
	assert_true(invariants_check(plane.dp, stdout, &found));
	assert_int_equal(found.mappings, 0);
	assert_int_equal(found.explicit_mappings, 0);
	assert_int_equal(found.blocks, 0);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(packets_packets),
		cmocka_unit_test(packets_requests),
		cmocka_unit_test(requests_reaper),
		cmocka_unit_test(blocks_packets),
		cmocka_unit_test(all_is_given_back),
	};

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		puts("needs two CPUs");
		return 4;
	}
	return cmocka_run_group_tests_name("races", all, start, end);
}

int main(void)
{
	return plane_guard(tests);
}
