/* SPDX-License-Identifier: GPL-2.0-only */
/* Thousands of random steps on the tables in the kernel, each with what a plain list of mappings says must come of it. Which port is
 * given the list does not say, only which ones may be. Time passes by idle times of minus one second, and lifetimes by
 * writing an older end. The seed is printed; XCGN_SEED repeats a run. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include "frame.h"
#include "invariants.h"
#include "plane.h"

#define STEPS 40000
#define CHECK_EVERY 2000
#define OVER (-1u - CGN_CACHE_S_MAX)	/* minus one second, with what the cache adds */
#define SUBSCRIBERS 5
#define PORTS 160		/* internal ports of each: more than two blocks have */
#define FIRST_PORT 1024
#define BLOCK_SIZE 64
#define BLOCKS 8		/* of the one address: not enough for all */
#define BLOCKS_LIMIT 2
#define EXPLICIT_LIMIT 40
#define RESERVE 16
#define ADDRESS "192.0.2.1"

static const char config[] =
	"pools:\n  - {addresses: [192.0.2.1/32], ports: 1024-1535, block-size: 64}\n"
	"subscribers: {prefixes: [198.51.100.0/24], blocks: 2, explicit: 40, reserve: 16}\n"
	"tables: {mappings: 4096, subscribers: 16}\n";

static struct plane plane;
static unsigned seed;

/* ---- the model ---- */

struct entry {
	bool is_explicit, is_over;	/* its lifetime */
	bool had_packets;
	uint16_t external;		/* 0: there is no mapping */
	uint8_t nonce;
};

static struct entry model[SUBSCRIBERS][2][PORTS];	/* by protocol: UDP, TCP */
static int owner[BLOCKS];				/* subscriber plus 1, 0 = nobody */
static const uint8_t protocols[2] = { IPPROTO_UDP, IPPROTO_TCP };

struct place {
	unsigned subscriber, protocol, port;
};

static struct entry *entry_at(struct place place)
{
	return &model[place.subscriber][place.protocol][place.port];
}

static unsigned count_used(unsigned subscriber, unsigned protocol)
{
	unsigned port, count = 0;

	for (port = 0; port < PORTS; port++)
		count += model[subscriber][protocol][port].external != 0;
	return count;
}

static unsigned count_explicit(unsigned subscriber, unsigned protocol)
{
	unsigned port, count = 0;

	for (port = 0; port < PORTS; port++)
		count += model[subscriber][protocol][port].is_explicit;
	return count;
}

static unsigned explicit_of(unsigned subscriber)
{
	return count_explicit(subscriber, 0) + count_explicit(subscriber, 1);
}

static unsigned count_blocks(int of)
{
	unsigned block, count = 0;

	for (block = 0; block < BLOCKS; block++)
		count += owner[block] == of;
	return count;
}

static bool is_taken(unsigned protocol, uint16_t external)
{
	unsigned subscriber, port;

	for (subscriber = 0; subscriber < SUBSCRIBERS; subscriber++)
		for (port = 0; port < PORTS; port++)
			if (model[subscriber][protocol][port].external == external)
				return true;
	return false;
}

/* What a new mapping comes to if no port is asked for. */
static uint32_t model_status(struct place place, bool is_explicit)
{
	unsigned used = count_used(place.subscriber, place.protocol), explicit_used = count_explicit(place.subscriber, place.protocol);
	unsigned blocks = count_blocks((int)place.subscriber + 1), limit = BLOCKS_LIMIT * BLOCK_SIZE;

	if (is_explicit && explicit_of(place.subscriber) >= EXPLICIT_LIMIT)
		return CGN_QUOTA;
	if (used == blocks * BLOCK_SIZE && blocks == BLOCKS_LIMIT)
		return CGN_QUOTA;
	if (used == blocks * BLOCK_SIZE && !count_blocks(0))
		return CGN_EXHAUSTED;
	if (!is_explicit)
		limit -= explicit_used < RESERVE ? RESERVE - explicit_used : 0;
	return used < limit ? CGN_OK : CGN_QUOTA;
}

/* May this external port be the subscriber's new one? */
static bool model_permits(struct place place, uint16_t external)
{
	unsigned block = (unsigned)(external - FIRST_PORT) / BLOCK_SIZE;

	if (external < FIRST_PORT || block >= BLOCKS || is_taken(place.protocol, external))
		return false;
	if (owner[block] == (int)place.subscriber + 1)
		return true;
	return !owner[block] && count_blocks((int)place.subscriber + 1) < BLOCKS_LIMIT;
}

static void model_enter(struct place place, uint16_t external)
{
	if (!model_permits(place, external))
		fail_msg("port %u for subscriber %u", external, place.subscriber);
	owner[(external - FIRST_PORT) / BLOCK_SIZE] = (int)place.subscriber + 1;
	entry_at(place)->external = external;
}

/* A refusal may have claimed a block on its way: the data plane says whose blocks are whose, the model that it may be so. */
static void learn_blocks(void)
{
	struct cgn_subscriber subscriber;
	struct cgn_subscriber_key key;
	unsigned i, n, count;
	char address[16];

	for (i = 0; i < SUBSCRIBERS; i++) {
		snprintf(address, sizeof(address), "198.51.100.%u", 2 + i);
		key = plane_subscriber(address);
		if (!dataplane_find_subscriber(plane.dp, &key, &subscriber))
			continue;
		for (n = count = 0; n < CGN_SUBSCRIBER_BLOCKS_MAX; n++) {
			if (!subscriber.block[n])
				continue;
			count++;
			assert_true(!owner[subscriber.block[n] - 1] || owner[subscriber.block[n] - 1] == (int)i + 1);
			owner[subscriber.block[n] - 1] = (int)i + 1;
		}
		assert_true(count <= BLOCKS_LIMIT);
		assert_int_equal(count, count_blocks((int)i + 1));
	}
}

/* ---- the steps ---- */

/* A run that never came upon a refusal has tested little. */
static unsigned seen_packet[CGN_STATUS_COUNT], seen_map[CGN_STATUS_COUNT], seen_delete[CGN_STATUS_COUNT], seen_reap[3], seen_released;

static unsigned draw(unsigned below)
{
	return (unsigned)rand_r(&seed) % below;
}

static struct place draw_place(void)
{
	return (struct place){ draw(SUBSCRIBERS), draw(2), draw(PORTS) };
}

static struct cgn_internal internal_at(struct place place)
{
	char address[16];

	snprintf(address, sizeof(address), "198.51.100.%u", 2 + place.subscriber);
	return plane_internal(protocols[place.protocol], address, (uint16_t)(3000 + place.port));
}

static uint32_t status_of(enum cgn_verdict verdict)
{
	return verdict == CGN_OUTBOUND ? CGN_OK : verdict == CGN_DROP_QUOTA ? CGN_QUOTA :
	       verdict == CGN_DROP_EXHAUSTED ? CGN_EXHAUSTED : CGN_STATUS_COUNT;
}

static uint16_t external_of(struct place place)
{
	struct cgn_internal internal = internal_at(place);
	struct cgn_mapping mapping;

	return dataplane_find_mapping(plane.dp, &internal, &mapping) ? mapping.external.port : 0;
}

static void step_packet(struct place place)
{
	struct cgn_internal internal = internal_at(place);
	struct frame frame = { .source_port = internal.port, .destination = "203.0.113.9", .destination_port = 53, .protocol = internal.protocol,
		.tcp_flags = FRAME_SYN };
	struct entry *entry = entry_at(place);
	uint32_t expected = entry->external ? CGN_OK : model_status(place, false);
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;
	char address[16];

	frame.source = inet_ntop(AF_INET, internal.addr4, address, sizeof(address));
	plane_send(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&frame, bytes), &run);
	assert_int_equal(status_of((enum cgn_verdict)run.verdict), expected);
	seen_packet[expected]++;
	if (expected == CGN_OK) {
		if (!entry->external)
			model_enter(place, external_of(place));
		assert_int_equal(run.frame[34] << 8 | run.frame[35], entry->external);
		entry->had_packets = true;
	}
}

static uint32_t model_map(struct place place, const struct cgn_map_request *request)
{
	struct entry *entry = entry_at(place);
	bool prefers = request->flags & CGN_PREFER_FAILURE, wishes = request->suggested.port;

	if (entry->is_explicit && !entry->is_over && entry->nonce != request->nonce[0])
		return CGN_NONCE_MISMATCH;
	if (!entry->is_explicit && explicit_of(place.subscriber) >= EXPLICIT_LIMIT)
		return CGN_QUOTA;
	if (entry->external)
		return prefers && request->suggested.port != entry->external ? CGN_CANNOT_PROVIDE : CGN_OK;
	if (wishes && model_permits(place, request->suggested.port))
		return count_used(place.subscriber, place.protocol) < BLOCKS_LIMIT * BLOCK_SIZE ? CGN_OK : CGN_QUOTA;
	return wishes && prefers ? CGN_CANNOT_PROVIDE : model_status(place, true);
}

static void step_map(struct place place)
{
	struct cgn_map_request request = { .internal = internal_at(place), .origin = CGN_MAP, .lifetime_s = 3600,
		.nonce = { (uint8_t)(1 + draw(8) / 7) } };
	struct entry *entry = entry_at(place);
	uint32_t expected;
	bool is_met;

	if (draw(2)) {
		inet_pton(AF_INET, ADDRESS, request.suggested.addr4);
		request.suggested.port = (uint16_t)(FIRST_PORT - 10 + draw(BLOCKS * BLOCK_SIZE + 20));
		request.flags = draw(2) ? CGN_PREFER_FAILURE : 0;
	}
	expected = model_map(place, &request);
	is_met = expected == CGN_OK && !entry->external && request.suggested.port && model_permits(place, request.suggested.port);
	assert_int_equal(dataplane_map(plane.dp, &request), 0);
	assert_int_equal(request.status, expected);
	seen_map[expected]++;
	if (expected != CGN_OK)
		return;
	assert_int_equal(request.created, !entry->is_explicit);
	if (entry->external)
		assert_int_equal(request.external.port, entry->external);
	else
		model_enter(place, request.external.port);
	if (is_met)
		assert_int_equal(request.external.port, request.suggested.port);
	if (!entry->is_explicit || entry->is_over)
		entry->nonce = request.nonce[0];
	entry->is_explicit = true;
	entry->is_over = false;
}

static void model_end_explicit(struct entry *entry)
{
	entry->is_explicit = entry->is_over = false;
	if (!entry->had_packets)
		entry->external = 0;
}

static void step_delete(struct place place)
{
	struct cgn_map_request request = { .internal = internal_at(place), .origin = CGN_MAP, .nonce = { (uint8_t)(1 + draw(8) / 7) } };
	struct entry *entry = entry_at(place);
	uint32_t expected = !entry->external ? CGN_NOT_FOUND : !entry->is_explicit ? CGN_NOT_ALLOWED :
			    !entry->is_over && entry->nonce != request.nonce[0] ? CGN_NONCE_MISMATCH : CGN_OK;

	assert_int_equal(dataplane_delete(plane.dp, &request), 0);
	assert_int_equal(request.status, expected);
	seen_delete[expected]++;
	if (expected == CGN_OK) {
		assert_int_equal(request.lifetime_s != 0, entry->had_packets);
		model_end_explicit(entry);
	}
}

/* Writes an end in the past, as if the lifetime had gone by. */
static void step_lifetime_goes_by(struct place place)
{
	struct cgn_explicit_key key = { .internal = internal_at(place), .opcode = CGN_MAP };
	struct cgn_explicit part;
	struct cgn_mapping mapping;

	if (!entry_at(place)->is_explicit)
		return;
	assert_true(dataplane_find_explicit(plane.dp, &key, &part));
	assert_true(dataplane_find_mapping(plane.dp, &key.internal, &mapping));
	part.expires_s = mapping.expires_s = dataplane_now_s() - 2;
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_EXPLICIT), &key, &part, BPF_EXIST), 0);
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_MAPPINGS), &key.internal, &mapping, BPF_EXIST), 0);
	entry_at(place)->is_over = true;
}

static void set_times(uint32_t idle_s)
{
	struct cgn_settings settings;
	uint32_t zero = 0;

	assert_true(dataplane_settings(plane.dp, &settings));
	settings.udp_s = settings.tcp_established_s = settings.tcp_opening_s = settings.tcp_closing_s = settings.icmp_s = idle_s;
	settings.rest_s = 0;
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_SETTINGS), &zero, &settings, 0), 0);
}

static void step_reap(struct place place)
{
	struct entry *entry = entry_at(place);
	struct cgn_internal internal = internal_at(place);
	struct cgn_reap_request reaped;
	struct cgn_mapping mapping;
	bool is_idle = draw(2);
	enum { KEPT, DEMOTED, DELETED } expected;

	if (!entry->external)
		return;
	assert_true(dataplane_find_mapping(plane.dp, &internal, &mapping));
	if (entry->is_explicit && !entry->is_over)
		expected = KEPT;
	else if (entry->is_explicit)
		expected = entry->had_packets && !is_idle ? DEMOTED : DELETED;
	else
		expected = is_idle ? DELETED : KEPT;
	if (is_idle)
		set_times(OVER);
	assert_int_equal(dataplane_reap(plane.dp, &mapping.slot, 1, &reaped), 0);
	if (is_idle)
		set_times(300);
	assert_int_equal(reaped.kept, expected == KEPT);
	assert_int_equal(reaped.demoted, expected == DEMOTED);
	assert_int_equal(reaped.deleted, expected == DELETED);
	seen_reap[expected]++;
	if (expected == DEMOTED)
		entry->is_explicit = entry->is_over = false;
	if (expected == DELETED)
		*entry = (struct entry){};
}

static void step_release(struct place place)
{
	struct cgn_release_request request = {};
	struct cgn_internal internal = internal_at(place);
	unsigned block, protocol, empty = 0;
	uint16_t port;
	bool is_used;

	memcpy(request.subscriber.addr4, internal.addr4, 4);
	for (block = 0; block < BLOCKS; block++) {
		if (owner[block] != (int)place.subscriber + 1)
			continue;
		is_used = false;
		for (protocol = 0; protocol < 2; protocol++)
			for (port = 0; port < BLOCK_SIZE; port++)
				is_used |= is_taken(protocol, (uint16_t)(FIRST_PORT + block * BLOCK_SIZE + port));
		if (is_used)
			continue;
		owner[block] = 0;
		empty++;
	}
	assert_int_equal(dataplane_release(plane.dp, &request), 0);
	assert_int_equal(request.released, empty);
	seen_released += empty;
}

/* A stretch in which much of one subscriber ends, so that blocks get empty. */
static void step_sweep(struct place place)
{
	for (place.protocol = 0; place.protocol < 2; place.protocol++)
		for (place.port = 0; place.port < PORTS; place.port++) {
			step_lifetime_goes_by(place);
			step_reap(place);
			step_reap(place);
		}
	step_release(place);
}

static void check_all(unsigned step)
{
	struct invariants found;
	struct place place;

	if (!invariants_check(plane.dp, stdout, &found))
		fail_msg("after %u steps", step);
	for (place.subscriber = 0; place.subscriber < SUBSCRIBERS; place.subscriber++)
		for (place.protocol = 0; place.protocol < 2; place.protocol++)
			for (place.port = 0; place.port < PORTS; place.port++)
				assert_int_equal(external_of(place), entry_at(place)->external);
}

/* By turns: something of everything, the packets of one subscriber until he has all that he may, and much of it ends. */
static void random_step(unsigned step)
{
	static void (*const steps[])(struct place) = { step_packet, step_packet, step_packet, step_map, step_map, step_map, step_delete,
		step_lifetime_goes_by, step_reap, step_release };
	struct place place = draw_place();

	switch (step / 1000 % 4) {
	case 2:
		place.subscriber = step / 4000 % SUBSCRIBERS;
		step_packet(place);
		break;
	case 3:
		if (draw(100) == 0)
			step_sweep(place);
		else
			steps[6 + draw(4)](place);
		break;
	default:
		steps[draw(sizeof(steps) / sizeof(*steps))](place);
	}
}

static void random_steps(void **state)
{
	const char *given = getenv("XCGN_SEED");
	unsigned step;

	(void)state;
	seed = given ? (unsigned)atoi(given) : (unsigned)time(NULL);
	printf("XCGN_SEED=%u\n", seed);
	plane_start(&plane, config);
	set_times(300);
	for (step = 0; step < STEPS; step++) {
		random_step(step);
		learn_blocks();
		if (step % CHECK_EVERY == 0)
			check_all(step);
	}
	check_all(step);
	plane_stop(&plane);
	printf("packets: %u ok, %u over quota, %u without a port; requests: %u, %u, %u, %u of another, %u not to be had; deletions: %u, %u of "
	       "another, %u of nothing, %u not allowed; reaper: %u kept, %u demoted, %u deleted; %u blocks released\n",
	       seen_packet[CGN_OK], seen_packet[CGN_QUOTA], seen_packet[CGN_EXHAUSTED], seen_map[CGN_OK], seen_map[CGN_QUOTA],
	       seen_map[CGN_EXHAUSTED], seen_map[CGN_NONCE_MISMATCH], seen_map[CGN_CANNOT_PROVIDE], seen_delete[CGN_OK],
	       seen_delete[CGN_NONCE_MISMATCH], seen_delete[CGN_NOT_FOUND], seen_delete[CGN_NOT_ALLOWED], seen_reap[0], seen_reap[1],
	       seen_reap[2], seen_released);
	assert_true(seen_packet[CGN_QUOTA] && seen_packet[CGN_EXHAUSTED] && seen_map[CGN_QUOTA] && seen_map[CGN_NONCE_MISMATCH] &&
		    seen_map[CGN_CANNOT_PROVIDE] && seen_delete[CGN_NOT_ALLOWED] && seen_reap[1] && seen_reap[2] && seen_released);
}

static int tests(void)
{
	const struct CMUnitTest all[] = { cmocka_unit_test(random_steps) };

	return cmocka_run_group_tests_name("model", all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
