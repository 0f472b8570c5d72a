/* SPDX-License-Identifier: GPL-2.0-only */
/* Two things at once to one mapping, on two CPUs, thousands of times: each round both sides start within nanoseconds. After a round
 * what was promised must hold, after a batch of rounds everything (tests/lib/invariants.h). */
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

#define OVER (-1u - CGN_CACHE_S_MAX)	/* minus one second, with what the cache adds: an idle time that is over at once */
#define BATCH 128		/* rounds between two counts of everything */
#define SUBSCRIBERS 32		/* of a batch */
#define BLOCK_SIZE 64
#define DUEL_MS 1200

static const char config[] =
	"pools:\n  - {addresses: [192.0.2.1/32], block-size: 64, ports: 5376-65535}\n"	/* past 5350 and 5351, never mapped: every block has 64 */
	"subscribers:\n  prefixes: [10.0.0.0/8]\n  blocks: 2\n  reserve: 0\n  explicit: 64\n"
	"  overrides: [{prefix: 10.1.0.0/16, blocks: 1, reserve: 0}]\n"
	"icmp-errors: {sender: 0}\n"
	"tables: {mappings: 4096, subscribers: 65536}\n";

static struct plane plane;

struct side {			/* what one side does, and what came of it */
	void (*act)(struct side *side);
	struct cgn_map_request request;
	uint32_t slot;
	uint32_t action;	/* XDP_* */
	uint8_t frame[FRAME_MAX];
	uint32_t frame_length;
	struct cgn_internal internal;
	struct cgn_reap_request reaped;
};

struct duel {
	const char *name;
	void (*prepare)(unsigned round);
	void (*left)(struct side *side), (*right)(struct side *side);
	void (*verify)(unsigned round);
	uint32_t idle_s;	/* while both sides act */
	bool fresh;		/* subscribers that were never seen before */
};

static struct side sides[2];
static atomic_uint go, arrived;		/* round under way; the right side's last one */
static atomic_bool quit;
static bool is_clean;			/* nothing is left of the last duel */
static uint32_t subscriber_base;

/* ---- what a side may do ---- */

static void aim(struct side *side, const struct cgn_internal *internal)
{
	struct frame frame = { .destination = "203.0.113.9", .destination_port = 53, .payload = 4, .protocol = IPPROTO_UDP };
	char address[16];

	side->internal = *internal;
	frame.source = inet_ntop(AF_INET, internal->addr4, address, sizeof(address));
	frame.source_port = internal->port;
	side->frame_length = frame_build(&frame, side->frame);
	side->request = (struct cgn_map_request){ .internal = *internal, .origin = CGN_MAP, .lifetime_s = 3600, .nonce = { 7 } };
}

static void send_packet(struct side *side)
{
	side->action = plane_send_fast(&plane, CGN_INTERNAL_SIDE, side->frame, side->frame_length);
}

static void ask_map(struct side *side)
{
	if (dataplane_map(plane.dp, &side->request))
		abort();
}

static void ask_delete(struct side *side)
{
	if (dataplane_delete(plane.dp, &side->request))
		abort();
}

static void reap(struct side *side)
{
	if (dataplane_reap(plane.dp, &side->slot, 1, &side->reaped))
		abort();
}

static void release(struct side *side)
{
	struct cgn_release_request request = {};

	memcpy(request.subscriber.addr4, side->internal.addr4, 4);
	if (dataplane_release(plane.dp, &request))
		abort();
}

/* ---- before a round ---- */

static struct cgn_internal endpoint_of(unsigned round)
{
	uint32_t subscriber = subscriber_base + round % SUBSCRIBERS;

	return (struct cgn_internal){ .addr4 = { 10, (uint8_t)(subscriber >> 16), (uint8_t)(subscriber >> 8), (uint8_t)subscriber },
		.port = (uint16_t)(3000 + round / SUBSCRIBERS), .protocol = IPPROTO_UDP };
}

static void set_idle(uint32_t idle_s)
{
	struct cgn_settings settings;
	uint32_t zero = 0;

	assert_true(dataplane_settings(plane.dp, &settings));
	settings.udp_s = idle_s;
	settings.rest_s = 0;
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_SETTINGS), &zero, &settings, 0), 0);
}

static struct cgn_mapping mapping_now(void)
{
	struct cgn_mapping mapping;

	assert_true(dataplane_find_mapping(plane.dp, &sides[0].internal, &mapping));
	return mapping;
}

static void aim_reaper(void)
{
	sides[0].slot = sides[1].slot = mapping_now().slot;
}

static void with_implicit(unsigned round)
{
	(void)round;
	send_packet(&sides[0]);
	assert_int_equal(sides[0].action, XDP_REDIRECT);
	aim_reaper();
}

/* As if its last packet had come long ago: the next one stamps it and brings the slot up to date. */
static void with_stale_implicit(unsigned round)
{
	struct cgn_mapping mapping;

	with_implicit(round);
	mapping = mapping_now();
	mapping.state.last_outbound_s -= CGN_SLOT_SYNC_S + 1;
	mapping.synced_s -= CGN_SLOT_SYNC_S + 1;
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_MAPPINGS), &sides[0].internal, &mapping, BPF_EXIST), 0);
}

static void with_explicit(unsigned round)
{
	(void)round;
	ask_map(&sides[0]);
	assert_int_equal(sides[0].request.status, CGN_OK);
	aim_reaper();
}

/* As if it had been granted long ago. */
static void with_explicit_over(unsigned round)
{
	struct cgn_explicit_key key = { .internal = sides[0].internal, .opcode = CGN_MAP };
	struct cgn_explicit entry;
	struct cgn_mapping mapping;

	with_explicit(round);
	mapping = mapping_now();
	assert_true(dataplane_find_explicit(plane.dp, &key, &entry));
	entry.expires_s = mapping.expires_s = dataplane_now_s() - 2;
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_MAPPINGS), &key.internal, &mapping, BPF_EXIST), 0);
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_EXPLICIT), &key, &entry, BPF_EXIST), 0);
}

static void with_busy_explicit_over(unsigned round)
{
	send_packet(&sides[0]);
	with_explicit_over(round);
}

static void with_empty_block(unsigned round)
{
	with_explicit(round);
	ask_delete(&sides[0]);
	assert_int_equal(sides[0].request.status, CGN_OK);
	sides[0].request.lifetime_s = 3600;
	/* its suggestion: a port of that block */
	inet_pton(AF_INET, "192.0.2.1", sides[0].request.suggested.addr4);
	sides[0].request.suggested.port = CGN_SLOT_PORT(sides[0].slot) ^ 1;
}

/* All ports of the only block but one; the right side's packet is of another flow. */
static void with_one_port(unsigned round)
{
	struct cgn_internal internal = endpoint_of(round);
	struct cgn_subscriber_key key = {};
	struct cgn_subscriber subscriber;
	unsigned i;

	memcpy(key.addr4, internal.addr4, 4);
	for (i = 0; i < BLOCK_SIZE - 1; i++) {
		if (dataplane_find_subscriber(plane.dp, &key, &subscriber) && subscriber.used[CGN_UDP] == BLOCK_SIZE - 1)
			break;
		internal.port = (uint16_t)(10000 + i);
		aim(&sides[0], &internal);
		send_packet(&sides[0]);
	}
	internal.port = 20000;
	aim(&sides[0], &internal);
	internal.port = 20001;
	aim(&sides[1], &internal);
}

/* ---- after a round ---- */

static void both_sent(unsigned round)
{
	(void)round;
	assert_int_equal(sides[0].action, XDP_REDIRECT);
	assert_int_equal(sides[1].action, XDP_REDIRECT);
}

/* What was granted stands, with its nonce, until it is over. */
static void left_was_granted(unsigned round)
{
	struct cgn_explicit_key key = { .internal = sides[0].internal, .opcode = CGN_MAP };
	struct cgn_explicit entry;
	struct cgn_mapping mapping;
	struct dataplane_slot slot;

	(void)round;
	if (sides[0].request.status != CGN_OK) {
		assert_int_equal(sides[0].request.status, CGN_BUSY);
		return;
	}
	mapping = mapping_now();
	assert_true(mapping.state.flags & CGN_MAP);
	assert_int_equal(mapping.external.port, sides[0].request.external.port);
	assert_true(dataplane_find_explicit(plane.dp, &key, &entry));
	assert_true(entry.expires_s > dataplane_now_s() + 3000);
	assert_true(mapping.expires_s > dataplane_now_s() + 3000);
	assert_true(dataplane_read_slot(plane.dp, mapping.slot, &slot));
	assert_int_equal(slot.state.deadline_s, mapping.expires_s + 1);
}

static void both_sent_and_granted(unsigned round)
{
	assert_int_equal(sides[1].action, XDP_REDIRECT);
	left_was_granted(round);
}

static void left_was_granted_for_sure(unsigned round)
{
	assert_int_equal(sides[0].request.status, CGN_OK);
	left_was_granted(round);
}

static void one_was_sent(unsigned round)
{
	(void)round;
	assert_int_equal((sides[0].action == XDP_REDIRECT) + (sides[1].action == XDP_REDIRECT), 1);
}

static void right_was_sent(unsigned round)
{
	(void)round;
	assert_int_equal(sides[1].action, XDP_REDIRECT);
}

static void nothing(unsigned round) { (void)round; }

static const struct duel duels[] = {
	{ "first packet, first packet", nothing, send_packet, send_packet, both_sent, 300, false },
	{ "first packet of a subscriber, another", nothing, send_packet, send_packet, both_sent, 300, true },
	{ "last port, two flows", with_one_port, send_packet, send_packet, one_was_sent, 300, true },
	{ "request, first packet", nothing, ask_map, send_packet, both_sent_and_granted, 300, false },
	{ "request of a subscriber, its first packet", nothing, ask_map, send_packet, both_sent_and_granted, 300, true },
	{ "request, packet after long", with_stale_implicit, ask_map, send_packet, both_sent_and_granted, 300, false },
	{ "renewal, reaper", with_explicit_over, ask_map, reap, left_was_granted, 300, false },
	{ "renewal, reaper, with traffic", with_busy_explicit_over, ask_map, reap, left_was_granted, 300, false },
	{ "request, reaper", with_implicit, ask_map, reap, left_was_granted, OVER, false },
	{ "request, reaper that looks in vain", with_stale_implicit, ask_map, reap, left_was_granted_for_sure, 300, false },
	{ "deletion, reaper", with_explicit_over, ask_delete, reap, nothing, 300, false },
	{ "deletion, reaper, with traffic", with_busy_explicit_over, ask_delete, reap, nothing, 300, false },
	{ "deletion, packet", with_explicit, ask_delete, send_packet, right_was_sent, 300, false },
	{ "reaper, packet", with_implicit, reap, send_packet, right_was_sent, OVER, false },
	{ "release, first packet", with_empty_block, release, send_packet, nothing, 300, false },
	{ "request for a port, release", with_empty_block, ask_map, release, left_was_granted, 300, false },
};

/* ---- rounds ---- */

static void pin(unsigned cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
}

static void wait_for(atomic_uint *number, unsigned value)
{
	unsigned spins;

	for (spins = 0; *number != value && !quit; spins++)
		if (spins > 20000)	/* the other CPU does something else now */
			sched_yield();
}

static void stagger(unsigned *seed)
{
	volatile unsigned i;
	unsigned until = (unsigned)rand_r(seed) % 200;

	for (i = 0; i < until; i++)
		;
}

static void *right_side(void *argument)
{
	unsigned round = 0, seed = 1;

	(void)argument;
	pin(1);
	for (;;) {
		wait_for(&go, ++round);
		if (quit)
			return NULL;
		stagger(&seed);
		sides[1].act(&sides[1]);
		arrived = round;
	}
}

static void give_back(unsigned rounds)
{
	struct cgn_release_request request;
	struct cgn_internal internal;
	struct cgn_reap_request reaped;
	uint32_t slots[CGN_BATCH_MAX], *list;
	struct cgn_subscriber_key key = {};
	unsigned i;
	int count, from, part;

	for (i = 0; i < rounds; i++) {
		internal = endpoint_of(i);
		aim(&sides[0], &internal);
		ask_delete(&sides[0]);
	}
	set_idle(OVER);
	for (i = 0; i < SUBSCRIBERS; i++) {
		internal = endpoint_of(i);
		memcpy(key.addr4, internal.addr4, 4);
		count = dataplane_list(plane.dp, &key, CGN_ORIGINS, &list);
		for (from = 0; from < count; from += part) {
			part = count - from > CGN_BATCH_MAX ? CGN_BATCH_MAX : count - from;
			memcpy(slots, list + from, (size_t)part * sizeof(*slots));
			assert_int_equal(dataplane_reap(plane.dp, slots, (uint32_t)part, &reaped), 0);
			assert_int_equal(reaped.deleted, part);
		}
		if (count >= 0)
			free(list);
		request = (struct cgn_release_request){ .subscriber = key };
		assert_int_equal(dataplane_release(plane.dp, &request), 0);
	}
}

/* A batch: rounds, everything counted, everything given back. Each round has an endpoint of its own, so that no round covers up
 * for another one. */
static void run_batch(const struct duel *duel, unsigned *round)
{
	struct invariants found;
	struct cgn_internal internal;
	unsigned i, seed = *round + 1;

	set_idle(duel->idle_s);
	for (i = 0; i < BATCH; i++) {
		internal = endpoint_of(i);
		aim(&sides[0], &internal);
		aim(&sides[1], &internal);
		duel->prepare(i);
		go = ++*round;
		stagger(&seed);
		sides[0].act(&sides[0]);
		wait_for(&arrived, *round);
		duel->verify(i);
	}
	if (!invariants_check(plane.dp, stdout, &found))
		fail_msg("after %u rounds of %s", *round, duel->name);
	give_back(BATCH);
	if (!invariants_check(plane.dp, stdout, &found) || found.mappings || found.explicit_mappings || found.blocks)
		fail_msg("%s: %u mappings, %u explicit ones, %u blocks were left", duel->name, found.mappings, found.explicit_mappings,
			 found.blocks);
	if (duel->fresh)
		subscriber_base += SUBSCRIBERS;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void fight(void **state)
{
	const struct duel *duel = *state;
	uint64_t until = now_ms() + DUEL_MS;
	unsigned round = 0;
	pthread_t right;

	go = arrived = 0;
	quit = is_clean = false;
	subscriber_base = duel->prepare == with_one_port ? 0x010000 : (subscriber_base & 0xffff) + SUBSCRIBERS;
	sides[0].act = duel->left;
	sides[1].act = duel->right;
	pin(0);
	assert_int_equal(pthread_create(&right, NULL, right_side, NULL), 0);
	do
		run_batch(duel, &round);
	while (now_ms() < until);
	quit = true;
	pthread_join(right, NULL);
	printf("%u rounds\n", round);
	is_clean = true;
}

/* A duel that failed has left its right side waiting, and its mappings. */
static int clean_up(void **state)
{
	struct timespec until_the_other_side_ended = { .tv_nsec = 100000000 };

	(void)state;
	if (is_clean)
		return 0;
	quit = true;
	nanosleep(&until_the_other_side_ended, NULL);
	plane_stop(&plane);
	plane_start(&plane, config);
	return 0;
}

static int start(void **state) { (void)state; plane_start(&plane, config); return 0; }
static int end(void **state) { (void)state; plane_stop(&plane); return 0; }

static int tests(void)
{
	struct CMUnitTest all[sizeof(duels) / sizeof(*duels)];
	unsigned i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		puts("needs two CPUs");
		return 4;
	}
	for (i = 0; i < sizeof(duels) / sizeof(*duels); i++)
		all[i] = (struct CMUnitTest){ duels[i].name, fight, NULL, clean_up, (void *)&duels[i] };
	return cmocka_run_group_tests_name("duels", all, start, end);
}

int main(void)
{
	return plane_guard(tests);
}
