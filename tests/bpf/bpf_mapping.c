/* SPDX-License-Identifier: GPL-2.0-only */
/* The life of mappings in the kernel, step by step, and by thousands of random steps against a model that is a plain list. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sched.h>
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

#define HOST "198.51.100.2"
#define OTHER "198.51.100.3"
#define EXT "192.0.2.1"
#define OVER (-1u - CGN_CACHE_S_MAX)	/* minus one second, with what the cache adds: an idle time that is over at once */

static struct plane plane;

/* ---- tools ---- */

static void start(const char *config)
{
	plane_start(&plane, config);
}

static void stop(void)
{
	struct invariants found;

	assert_true(invariants_check(plane.dp, stdout, &found));
	plane_stop(&plane);
}

static void set_times(uint32_t idle_s, uint32_t rest_s)
{
	struct cgn_settings settings;
	uint32_t zero = 0;

	assert_true(dataplane_settings(plane.dp, &settings));
	settings.udp_s = settings.tcp_established_s = settings.tcp_opening_s = settings.tcp_closing_s = settings.icmp_s = idle_s;
	settings.rest_s = rest_s;
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_SETTINGS), &zero, &settings, 0), 0);
}

static int send_tcp(const char *source, uint16_t port, uint8_t protocol, uint8_t flags)
{
	struct frame frame = { .source = source, .source_port = port, .destination = "203.0.113.9", .destination_port = 80,
		.protocol = protocol, .tcp_flags = flags, .icmp_type = 8, .identifier = port, .payload = 8 };
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;

	plane_send(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&frame, bytes), &run);
	return run.verdict;
}

static int send_packet(const char *source, uint16_t port, uint8_t protocol)
{
	return send_tcp(source, port, protocol, FRAME_SYN);
}

static struct cgn_map_request request_for(const char *internal, uint16_t port, uint8_t protocol)
{
	return (struct cgn_map_request){ .internal = plane_internal(protocol, internal, port), .origin = CGN_MAP, .lifetime_s = 3600,
		.nonce = { 1, 2, 3 } };
}

static uint32_t ask(struct cgn_map_request *request)
{
	request->lifetime_s = 3600;
	assert_int_equal(dataplane_map(plane.dp, request), 0);
	return request->status;
}

static uint32_t ask_delete(struct cgn_map_request *request)
{
	assert_int_equal(dataplane_delete(plane.dp, request), 0);
	return request->status;
}

static struct cgn_mapping mapping_of(const char *internal, uint16_t port, uint8_t protocol)
{
	struct cgn_internal key = plane_internal(protocol, internal, port);
	struct cgn_mapping mapping;

	assert_true(dataplane_find_mapping(plane.dp, &key, &mapping));
	return mapping;
}

static bool has_mapping(const char *internal, uint16_t port, uint8_t protocol)
{
	struct cgn_internal key = plane_internal(protocol, internal, port);
	struct cgn_mapping mapping;

	return dataplane_find_mapping(plane.dp, &key, &mapping);
}

static struct cgn_reap_request reap(uint32_t slot)
{
	struct cgn_reap_request request;

	assert_int_equal(dataplane_reap(plane.dp, &slot, 1, &request), 0);
	return request;
}

static void suggest(struct cgn_map_request *request, const char *external, uint16_t port, bool prefer_failure)
{
	assert_int_equal(inet_pton(AF_INET, external, request->suggested.addr4), 1);
	request->suggested.port = port;
	request->flags = prefer_failure ? CGN_PREFER_FAILURE : 0;
}

static uint32_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

static void pause_ms(unsigned ms)
{
	struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&pause, NULL);
}

static const char roomy[] =
	"pools:\n  - {addresses: [192.0.2.1/32, 192.0.2.2/32]}\n"
	"subscribers: {prefixes: [198.51.100.0/24]}\n"
	"tables: {mappings: 65536, subscribers: 64}\n";

/* One block, which has the ports that are never mapped (RFC 6887 section 11.3). */
static const char tight[] =
	"pools:\n  - {addresses: [192.0.2.1/32], ports: 5312-5375, block-size: 64}\n"
	"subscribers: {prefixes: [198.51.100.0/24], blocks: 1, reserve: 4, explicit: 8}\n"
	"tables: {mappings: 4096, subscribers: 64}\n";

/* ---- explicit and implicit (RFC 6887 sections 11.3, 15) ---- */

static void map_joins_what_packets_made(void **state)
{
	struct cgn_map_request request = request_for(HOST, 1000, IPPROTO_UDP);
	struct cgn_mapping before;

	(void)state;
	start(roomy);
	assert_int_equal(send_packet(HOST, 1000, IPPROTO_UDP), CGN_OUTBOUND);
	before = mapping_of(HOST, 1000, IPPROTO_UDP);
	suggest(&request, "192.0.2.2", 50000, false);
	assert_int_equal(ask(&request), CGN_OK);
	assert_int_equal(request.external.port, before.external.port);
	assert_int_equal(request.created, 1);
	assert_int_equal(mapping_of(HOST, 1000, IPPROTO_UDP).state.flags & CGN_ORIGINS, CGN_MAP);
	assert_int_equal(ask(&request), CGN_OK);
	assert_int_equal(request.created, 0);
	/* ended by its client, it lives on for as long as its packets let it */
	assert_int_equal(ask_delete(&request), CGN_OK);
	assert_in_range(request.lifetime_s, 298, 300);
	assert_int_equal(mapping_of(HOST, 1000, IPPROTO_UDP).state.flags & CGN_ORIGINS, CGN_IMPLICIT);
	assert_int_equal(mapping_of(HOST, 1000, IPPROTO_UDP).external.port, before.external.port);
	assert_int_equal(ask_delete(&request), CGN_NOT_ALLOWED);
	assert_int_equal(reap(before.slot).kept, 1);
	set_times(OVER, 0);
	assert_int_equal(reap(before.slot).deleted, 1);
	assert_int_equal(ask_delete(&request), CGN_NOT_FOUND);
	stop();
}

static void map_without_packets_ends_at_once(void **state)
{
	struct cgn_map_request request = request_for(HOST, 1001, IPPROTO_TCP), other;

	(void)state;
	start(roomy);
	assert_int_equal(ask(&request), CGN_OK);
	other = request;
	other.nonce[0] = 9;
	assert_int_equal(ask(&other), CGN_NONCE_MISMATCH);
	assert_in_range(other.lifetime_s, 3599, 3600);
	assert_int_equal(ask_delete(&other), CGN_NONCE_MISMATCH);
	assert_int_equal(ask_delete(&request), CGN_OK);
	assert_int_equal(request.lifetime_s, 0);
	assert_false(has_mapping(HOST, 1001, IPPROTO_TCP));
	stop();
}

/* RFC 6887 section 15: the mapping stays for its lifetime, and the reaper's seconds do not shorten it. */
static void lifetime_is_whole(void **state)
{
	struct cgn_map_request request = request_for(HOST, 1002, IPPROTO_UDP);
	uint32_t begun_ms, slot, round;

	(void)state;
	start(roomy);
	for (round = 0; round < 3; round++) {
		request.lifetime_s = 1;
		begun_ms = now_ms();
		assert_int_equal(dataplane_map(plane.dp, &request), 0);
		assert_int_equal(request.status, CGN_OK);
		slot = mapping_of(HOST, 1002, IPPROTO_UDP).slot;
		while (!reap(slot).deleted) {
			assert_in_range(now_ms() - begun_ms, 0, 10000);
			pause_ms(10);
		}
		assert_in_range(now_ms() - begun_ms, 1000, 10000);
		pause_ms(370);
	}
	stop();
}

static void static_mappings(void **state)
{
	struct cgn_map_request operator = request_for(HOST, 7000, IPPROTO_UDP), client = operator;

	(void)state;
	start(roomy);
	operator.origin = CGN_STATIC;
	suggest(&operator, EXT, 7777, true);
	assert_int_equal(ask(&operator), CGN_OK);
	assert_int_equal(operator.external.port, 7777);
	assert_int_equal(ask(&client), CGN_OK);
	assert_int_equal(client.external.port, 7777);
	assert_true(client.lifetime_s == CGN_FOREVER);
	assert_int_equal(ask_delete(&client), CGN_NOT_ALLOWED);
	set_times(OVER, 0);
	assert_int_equal(send_packet(HOST, 7000, IPPROTO_UDP), CGN_OUTBOUND);
	assert_int_equal(reap(mapping_of(HOST, 7000, IPPROTO_UDP).slot).kept, 1);
	/* its block is the operator's: no subscriber gets ports of it */
	client = request_for(OTHER, 7000, IPPROTO_UDP);
	suggest(&client, EXT, 7776, true);
	assert_int_equal(ask(&client), CGN_CANNOT_PROVIDE);
	assert_int_equal(ask_delete(&operator), CGN_OK);
	assert_false(has_mapping(HOST, 7000, IPPROTO_UDP));
	stop();
}

/* ---- suggestions ---- */

static void suggestions(void **state)
{
	struct cgn_map_request first = request_for(HOST, 1003, IPPROTO_UDP), second = request_for(HOST, 1004, IPPROTO_UDP);
	struct cgn_map_request other = request_for(OTHER, 1003, IPPROTO_UDP);

	(void)state;
	start(roomy);
	suggest(&first, "192.0.2.2", 40000, false);
	assert_int_equal(ask(&first), CGN_OK);
	assert_int_equal(first.external.port, 40000);
	assert_int_equal(first.external.addr4[3], 2);
	/* taken: something else, or nothing if only that will do */
	suggest(&second, "192.0.2.2", 40000, true);
	assert_int_equal(ask(&second), CGN_CANNOT_PROVIDE);
	suggest(&second, "192.0.2.2", 40000, false);
	assert_int_equal(ask(&second), CGN_OK);
	assert_int_not_equal(second.external.port, 40000);
	assert_int_equal(second.external.addr4[3], 2);
	/* another subscriber's block, another address than the paired one, no address of ours, ports that are never mapped */
	suggest(&other, "192.0.2.2", 40001, true);
	assert_int_equal(ask(&other), CGN_CANNOT_PROVIDE);
	second = request_for(HOST, 1005, IPPROTO_UDP);
	suggest(&second, EXT, 40000, true);
	assert_int_equal(ask(&second), CGN_CANNOT_PROVIDE);
	suggest(&second, "192.0.2.77", 40000, true);
	assert_int_equal(ask(&second), CGN_CANNOT_PROVIDE);
	suggest(&second, "192.0.2.2", 5350, true);
	assert_int_equal(ask(&second), CGN_CANNOT_PROVIDE);
	suggest(&second, "192.0.2.2", 5351, true);
	assert_int_equal(ask(&second), CGN_CANNOT_PROVIDE);
	suggest(&second, "192.0.2.2", 1023, true);
	assert_int_equal(ask(&second), CGN_CANNOT_PROVIDE);
	assert_false(has_mapping(HOST, 1005, IPPROTO_UDP));
	stop();
}

/* ---- limits ---- */

static void quota_and_forbidden_ports(void **state)
{
	struct cgn_map_request request;
	unsigned port, made[2] = { 0, 0 };
	uint32_t count;
	const struct cgn_slot *slots;

	(void)state;
	start(tight);
	slots = dataplane_slots(plane.dp, &count);
	/* the reserve of 4 is left to requests */
	for (port = 2000; port < 2064; port++) {
		made[0] += send_packet(HOST, (uint16_t)port, IPPROTO_UDP) == CGN_OUTBOUND;
		made[1] += send_packet(HOST, (uint16_t)port, IPPROTO_TCP) == CGN_OUTBOUND;
	}
	assert_int_equal(made[0], 60);
	assert_int_equal(made[1], 60);
	assert_int_equal(send_packet(HOST, 2999, IPPROTO_UDP), CGN_DROP_QUOTA);
	for (port = 3000; port < 3002; port++) {	/* 62 ports of UDP are to be had */
		request = request_for(HOST, (uint16_t)port, IPPROTO_UDP);
		assert_int_equal(ask(&request), CGN_OK);
	}
	request = request_for(HOST, 3002, IPPROTO_UDP);
	assert_int_equal(ask(&request), CGN_QUOTA);
	for (port = 3000; port < 3004; port++) {
		request = request_for(HOST, (uint16_t)port, IPPROTO_TCP);
		assert_int_equal(ask(&request), CGN_OK);
	}
	request = request_for(HOST, 3004, IPPROTO_TCP);
	assert_int_equal(ask(&request), CGN_QUOTA);
	assert_int_equal(slots[CGN_SLOT(0, CGN_UDP, 5350)].state.state, CGN_SLOT_EMPTY);
	assert_int_equal(slots[CGN_SLOT(0, CGN_UDP, 5351)].state.state, CGN_SLOT_EMPTY);
	assert_int_equal(slots[CGN_SLOT(0, CGN_TCP, 5351)].state.state, CGN_SLOT_LIVE);
	/* the limit of explicit mappings: 8 */
	for (port = 3010; port < 3012; port++) {
		request = request_for(HOST, (uint16_t)port, IPPROTO_ICMP);
		assert_int_equal(ask(&request), CGN_OK);
	}
	request = request_for(HOST, 3012, IPPROTO_ICMP);
	assert_int_equal(ask(&request), CGN_QUOTA);
	/* and nobody else gets anything */
	assert_int_equal(send_packet(OTHER, 2000, IPPROTO_UDP), CGN_DROP_EXHAUSTED);
	stop();
}

/* What explicit mappings of one protocol have is no part of the reserve of another. */
static void reserve_of_each_protocol(void **state)
{
	struct cgn_map_request request;
	unsigned port, made = 0;

	(void)state;
	start(tight);
	for (port = 3000; port < 3004; port++) {
		request = request_for(HOST, (uint16_t)port, IPPROTO_UDP);
		assert_int_equal(ask(&request), CGN_OK);
	}
	for (port = 2000; port < 2070; port++)
		made += send_packet(HOST, (uint16_t)port, IPPROTO_TCP) == CGN_OUTBOUND;
	assert_int_equal(made, 60);
	for (; port < 2140; port++)
		made += send_packet(HOST, (uint16_t)port, IPPROTO_UDP) == CGN_OUTBOUND;
	assert_int_equal(made, 60 + 62 - 4);	/* 62 ports of UDP are to be had, and the reserve is used */
	/* an explicit mapping that packets had before needs no more than the reserve either */
	request = request_for(HOST, 2000, IPPROTO_TCP);
	assert_int_equal(ask(&request), CGN_OK);
	assert_int_equal(send_packet(HOST, 2900, IPPROTO_TCP), CGN_OUTBOUND);
	assert_int_equal(send_packet(HOST, 2901, IPPROTO_TCP), CGN_DROP_QUOTA);
	stop();
}

/* ---- a new configuration ---- */

static void configure(const char *config)
{
	struct dataplane_error error;
	struct config *new = plane_config(config);

	assert_true(dataplane_configure(plane.dp, new, &error));
	config_free(new);
}

static bool cache_is_empty(void)
{
	int fd = dataplane_map_fd(plane.dp, DP_CACHE);
	struct bpf_map_info info = {};
	struct cgn_cache_line line;
	uint32_t len = sizeof(info), index;
	uint64_t any = 0;
	int i;

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	for (index = 0; index < info.max_entries; index++) {
		assert_int_equal(bpf_map_lookup_elem(fd, &index, &line), 0);
		for (i = 0; i < CGN_CACHE_WAYS; i++)
			any |= line.word[i];
	}
	return !any;
}

/* With other idle times the cache tells time by other units: what it had would keep packets from stamping their mappings. */
static void other_times(void **state)
{
	char other[1024];

	(void)state;
	start(tight);
	assert_int_equal(send_packet(HOST, 1000, IPPROTO_UDP), CGN_OUTBOUND);
	assert_int_equal(send_packet(HOST, 1000, IPPROTO_UDP), CGN_OUTBOUND);	/* the first one made the mapping, this one enters it */
	assert_false(cache_is_empty());
	configure(tight);
	assert_false(cache_is_empty());
	snprintf(other, sizeof(other), "%stimeouts: {udp: 20000}\n", tight);
	configure(other);
	assert_true(cache_is_empty());
	assert_int_equal(send_packet(HOST, 1000, IPPROTO_UDP), CGN_OUTBOUND);
	assert_false(cache_is_empty());
	stop();
}

/* Who is no subscriber any more gets nothing new; what he has lives on, and new limits count from the next mapping on. */
static void removed_subscriber(void **state)
{
	static const char others_only[] =
		"pools:\n  - {addresses: [192.0.2.1/32], ports: 5312-5375, block-size: 64}\n"
		"subscribers: {prefixes: [198.51.100.128/25], blocks: 1}\n"
		"tables: {mappings: 4096, subscribers: 64}\n";
	static const char fewer[] =
		"pools:\n  - {addresses: [192.0.2.1/32], ports: 5312-5375, block-size: 64}\n"
		"subscribers: {prefixes: [198.51.100.0/24], blocks: 1, explicit: 1, reserve: 0}\n"
		"tables: {mappings: 4096, subscribers: 64}\n";
	struct cgn_map_request request = request_for(HOST, 3000, IPPROTO_UDP), more = request_for(HOST, 3001, IPPROTO_UDP);
	uint16_t external_port;

	(void)state;
	start(tight);
	assert_int_equal(ask(&request), CGN_OK);
	external_port = request.external.port;
	assert_int_equal(send_packet(HOST, 1000, IPPROTO_UDP), CGN_OUTBOUND);
	configure(others_only);
	assert_int_equal(send_packet(HOST, 1001, IPPROTO_UDP), CGN_DROP_NOT_SUBSCRIBER);
	assert_int_equal(send_packet(HOST, 1001, IPPROTO_TCP), CGN_DROP_NOT_SUBSCRIBER);
	assert_int_equal(ask(&more), CGN_NOT_ALLOWED);
	assert_false(has_mapping(HOST, 1001, IPPROTO_UDP));
	assert_int_equal(send_packet(HOST, 1000, IPPROTO_UDP), CGN_OUTBOUND);
	assert_int_equal(send_packet(HOST, 3000, IPPROTO_UDP), CGN_OUTBOUND);
	assert_int_equal(ask(&request), CGN_OK);
	assert_int_equal(request.external.port, external_port);
	configure(fewer);
	assert_int_equal(send_packet(HOST, 1001, IPPROTO_UDP), CGN_OUTBOUND);
	assert_int_equal(ask(&more), CGN_QUOTA);
	configure(tight);
	assert_int_equal(ask(&more), CGN_OK);
	stop();
}

/* ---- rest (RFC 6888 REQ-8, RFC 6887 section 15) ---- */

static void released_ports_rest(void **state)
{
	struct cgn_map_request request = request_for(HOST, 1006, IPPROTO_UDP), other = request_for(HOST, 1007, IPPROTO_UDP);
	struct cgn_release_request release = { .subscriber = plane_subscriber(HOST) };

	(void)state;
	start(tight);
	suggest(&request, EXT, 5320, true);
	assert_int_equal(ask(&request), CGN_OK);
	assert_int_equal(ask_delete(&request), CGN_OK);
	/* another internal endpoint of the same subscriber does not get it, the same one does */
	suggest(&other, EXT, 5320, true);
	assert_int_equal(ask(&other), CGN_CANNOT_PROVIDE);
	assert_int_equal(ask(&request), CGN_OK);
	assert_int_equal(ask_delete(&request), CGN_OK);
	/* neither does another subscriber get the block */
	assert_int_equal(dataplane_release(plane.dp, &release), 0);
	assert_int_equal(release.released, 1);
	assert_int_equal(send_packet(OTHER, 1006, IPPROTO_UDP), CGN_DROP_EXHAUSTED);
	assert_int_equal(ask(&request), CGN_OK);
	assert_int_equal(ask_delete(&request), CGN_OK);
	assert_int_equal(dataplane_release(plane.dp, &release), 0);
	configure("pools:\n  - {addresses: [192.0.2.1/32], ports: 5312-5375, block-size: 64}\n"
		  "subscribers: {prefixes: [198.51.100.0/24], blocks: 1}\ntimeouts: {rest: 0}\n"
		  "tables: {mappings: 4096, subscribers: 64}\n");
	assert_int_equal(send_packet(OTHER, 1006, IPPROTO_UDP), CGN_OUTBOUND);
	stop();
}

/* Another CPU has entered a block in the list, and has not come to open it: the next packet finds its port there all the same. */
static void blocks_are_opened_for_others(void **state)
{
	struct cgn_subscriber_key key = plane_subscriber(HOST);
	struct cgn_subscriber before, after;
	struct cgn_block block;
	uint32_t index;

	(void)state;
	start(tight);
	assert_int_equal(send_packet(HOST, 1000, IPPROTO_UDP), CGN_OUTBOUND);
	assert_true(dataplane_find_subscriber(plane.dp, &key, &before));
	index = before.block[0] - 1;
	assert_int_equal(bpf_map_lookup_elem(dataplane_map_fd(plane.dp, DP_BLOCKS), &index, &block), 0);
	assert_int_equal(block.state, CGN_BLOCK_LIVE);
	block.state = CGN_BLOCK_CLAIMED;
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_BLOCKS), &index, &block, 0), 0);
	assert_int_equal(send_packet(HOST, 1001, IPPROTO_UDP), CGN_OUTBOUND);
	assert_int_equal(bpf_map_lookup_elem(dataplane_map_fd(plane.dp, DP_BLOCKS), &index, &block), 0);
	assert_int_equal(block.state, CGN_BLOCK_LIVE);
	/* under the same pairing, whose change count says so: who meant to take it away sees that a block came */
	assert_true(dataplane_find_subscriber(plane.dp, &key, &after));
	assert_int_equal(after.address, before.address);
	assert_int_equal(after.changes, before.changes + 1);
	stop();
}

/* New subscribers go to the least used address, so that addresses fill alike; those that are drained get nobody. */
static void least_used_address(void **state)
{
	uint32_t count, i, least = ~0u, most = 0;
	struct cgn_drain_request request;
	const struct cgn_pool *pools;
	char host[16];

	(void)state;
	start("pools:\n  - {name: a, addresses: [192.0.2.0/30], block-size: 64}\n"
	      "  - {name: b, addresses: [192.0.2.8/32], ports: 1024-2047, block-size: 64}\n"
	      "subscribers: {prefixes: [198.51.100.0/24], blocks: 1}\ntables: {mappings: 4096, subscribers: 512}\n");
	request = (struct cgn_drain_request){ .first = 1, .count = 1, .state = CGN_POOL_DRAINING };
	assert_int_equal(dataplane_drain(plane.dp, &request), 0);
	assert_int_equal(request.changed, 1);
	for (i = 2; i < 242; i++) {
		snprintf(host, sizeof(host), "198.51.100.%u", i);
		assert_int_equal(send_packet(host, 5000, IPPROTO_UDP), CGN_OUTBOUND);
	}
	pools = dataplane_pools(plane.dp, &count);
	assert_int_equal(count, 5);
	for (i = 0; i < 4; i++) {
		if (i == 1)
			continue;
		least = pools[i].blocks_used < least ? pools[i].blocks_used : least;
		most = pools[i].blocks_used > most ? pools[i].blocks_used : most;
	}
	print_message("blocks at each address: %u to %u; at the small one %u of %u\n", least, most, pools[4].blocks_used, pools[4].block_count);
	assert_true(most - least <= 1);
	assert_int_equal(pools[1].blocks_used, 0);
	assert_true(pools[4].blocks_used <= 2);	/* as full as the others, in its measure */
	request.state = CGN_POOL_ACTIVE;
	assert_int_equal(dataplane_drain(plane.dp, &request), 0);
	assert_int_equal(send_packet("198.51.100.242", 5000, IPPROTO_UDP), CGN_OUTBOUND);
	assert_int_equal(pools[1].blocks_used, 1);
	stop();
}

/* The same where not all addresses are looked at. */
static void least_used_of_many(void **state)
{
	uint32_t count, i, most = 0, hosts = 600;
	const struct cgn_pool *pools;
	char host[16];

	(void)state;
	start("pools:\n  - {name: a, addresses: [192.0.2.0/27], block-size: 1024}\n"
	      "subscribers: {prefixes: [198.51.96.0/20], blocks: 1}\ntables: {mappings: 4096, subscribers: 4096}\n");
	for (i = 0; i < hosts; i++) {
		snprintf(host, sizeof(host), "198.51.%u.%u", 96 + i / 250, 2 + i % 250);
		assert_int_equal(send_packet(host, 5000, IPPROTO_UDP), CGN_OUTBOUND);
	}
	pools = dataplane_pools(plane.dp, &count);
	for (i = 0; i < count; i++)
		most = pools[i].blocks_used > most ? pools[i].blocks_used : most;
	print_message("%u subscribers on %u addresses: %u on the fullest, %.1f on average\n", hosts, count, most, (double)hosts / count);
	assert_true(most <= hosts / count + 3);	/* by chance alone it would be 28 or more */
	stop();
}

/* Log records that find no room are counted. */
static void lost_events(void **state)
{
	struct cgn_release_request release;
	struct cgn_pair_request pair;
	uint32_t i, room = (1u << 22) / (sizeof(struct cgn_event) + 8);

	(void)state;
	start("pools:\n  - {name: a, addresses: [192.0.2.0/32], block-size: 64}\nsubscribers: {prefixes: [198.51.100.0/24], blocks: 1}\n"
	      "tables: {mappings: 4096, subscribers: 512}\n");
	for (i = 0; i < room / 2 + 8; i++) {
		pair = (struct cgn_pair_request){ .subscriber = plane_subscriber(HOST) };
		assert_int_equal(dataplane_pair(plane.dp, &pair), 0);
		assert_int_equal(pair.status, CGN_OK);
		if (i == room / 2 - 8)
			assert_int_equal(dataplane_events_lost(plane.dp), 0);
		release = (struct cgn_release_request){ .subscriber = plane_subscriber(HOST) };
		assert_int_equal(dataplane_release(plane.dp, &release), 0);
		assert_int_equal(release.released, 1);
	}
	assert_in_range(dataplane_events_lost(plane.dp), 1, 32);
	stop();
}

static void subscribers_retire(void **state)
{
	struct cgn_release_request release = { .subscriber = plane_subscriber(HOST) };
	struct cgn_subscriber_key key = plane_subscriber(HOST);
	struct cgn_subscriber subscriber;
	uint32_t begun_ms;

	(void)state;
	start(tight);
	set_times(OVER, 0);
	assert_int_equal(send_packet(HOST, 1000, IPPROTO_UDP), CGN_OUTBOUND);
	assert_int_equal(dataplane_release(plane.dp, &release), 0);
	assert_int_equal(release.released, 0);
	assert_int_equal(reap(mapping_of(HOST, 1000, IPPROTO_UDP).slot).deleted, 1);
	assert_int_equal(dataplane_release(plane.dp, &release), 0);
	assert_int_equal(release.released, 1);
	assert_int_equal(release.gone, 0);
	assert_true(dataplane_find_subscriber(plane.dp, &key, &subscriber));
	assert_int_equal(subscriber.state, CGN_SUBSCRIBER_IDLE);
	/* a packet brings it back */
	assert_int_equal(send_packet(HOST, 1000, IPPROTO_UDP), CGN_OUTBOUND);
	assert_true(dataplane_find_subscriber(plane.dp, &key, &subscriber));
	assert_int_equal(subscriber.state, CGN_SUBSCRIBER_LIVE);
	assert_int_equal(reap(mapping_of(HOST, 1000, IPPROTO_UDP).slot).deleted, 1);
	for (begun_ms = now_ms(); !release.gone; pause_ms(20)) {
		assert_in_range(now_ms() - begun_ms, 0, 10000);
		assert_int_equal(dataplane_release(plane.dp, &release), 0);
	}
	assert_in_range(now_ms() - begun_ms, 1000, 10000);
	assert_false(dataplane_find_subscriber(plane.dp, &key, &subscriber));
	assert_int_equal(send_packet(HOST, 1000, IPPROTO_UDP), CGN_OUTBOUND);
	stop();
}

/* ---- listings ---- */

static void listing_is_complete(void **state)
{
	struct cgn_subscriber_key key = plane_subscriber(HOST);
	struct cgn_map_request request;
	uint32_t *slots;
	unsigned i;
	int count;

	(void)state;
	start("pools:\n  - {addresses: [192.0.2.1/32], block-size: 1024}\n"
	      "subscribers: {prefixes: [198.51.100.0/24], blocks: 8, explicit: 4096, reserve: 0}\n"
	      "tables: {mappings: 16384, subscribers: 64}\n");
	for (i = 0; i < 3000; i++) {
		request = request_for(HOST, (uint16_t)(10000 + i), IPPROTO_UDP);
		assert_int_equal(ask(&request), CGN_OK);
		if (i % 10 == 0)
			assert_int_equal(send_packet(HOST, (uint16_t)(20000 + i), IPPROTO_UDP), CGN_OUTBOUND);
	}
	count = dataplane_list(plane.dp, &key, CGN_MAP, &slots);
	assert_int_equal(count, 3000);
	free(slots);
	/* few among many that are not wanted */
	count = dataplane_list(plane.dp, &key, CGN_IMPLICIT, &slots);
	assert_int_equal(count, 300);
	free(slots);
	count = dataplane_list(plane.dp, &key, CGN_ORIGINS, &slots);
	assert_int_equal(count, 3300);
	for (i = 1; i < 3300; i++)
		assert_true(slots[i - 1] < slots[i]);
	free(slots);
	stop();
}

/* ---- TCP (RFC 5382 REQ-5) ---- */

static int answer_tcp(uint8_t flags)
{
	struct cgn_mapping mapping = mapping_of(HOST, 4000, IPPROTO_TCP);
	char external[16];
	struct frame frame = { .source = "203.0.113.9", .source_port = 80, .destination_port = mapping.external.port, .protocol = IPPROTO_TCP,
		.tcp_flags = flags, .sequence = 0x9abcdef0 };	/* what the host acknowledged */
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;

	frame.destination = inet_ntop(AF_INET, mapping.external.addr4, external, sizeof(external));
	plane_send(&plane, CGN_EXTERNAL_SIDE, bytes, frame_build(&frame, bytes), &run);
	return run.verdict;
}

/* Times of 0 for one state and 300 for the other show by the reaper's choice in which of them the mapping is. */
static void expect_tcp(bool is_established)
{
	struct cgn_settings settings;
	struct cgn_mapping mapping = mapping_of(HOST, 4000, IPPROTO_TCP);
	uint32_t zero = 0;

	assert_true(dataplane_settings(plane.dp, &settings));
	settings.tcp_established_s = is_established ? 300 : OVER;
	settings.tcp_opening_s = settings.tcp_closing_s = is_established ? OVER : 300;
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_SETTINGS), &zero, &settings, 0), 0);
	assert_int_equal(reap(mapping.slot).kept, 1);
}

static void tcp_states(void **state)
{
	(void)state;
	start(roomy);
	assert_int_equal(send_tcp(HOST, 4000, IPPROTO_TCP, FRAME_SYN), CGN_OUTBOUND);
	expect_tcp(false);
	assert_int_equal(answer_tcp(FRAME_SYN | FRAME_ACK), CGN_INBOUND);
	expect_tcp(false);
	assert_int_equal(send_tcp(HOST, 4000, IPPROTO_TCP, FRAME_ACK), CGN_OUTBOUND);
	expect_tcp(true);
	assert_int_equal(send_tcp(HOST, 4000, IPPROTO_TCP, FRAME_FIN | FRAME_ACK), CGN_OUTBOUND);
	expect_tcp(true);
	assert_int_equal(answer_tcp(FRAME_FIN | FRAME_ACK), CGN_INBOUND);
	expect_tcp(false);
	/* a new connection between the same endpoints, and its reset; traffic that goes on shows that the reset was not meant */
	assert_int_equal(send_tcp(HOST, 4000, IPPROTO_TCP, FRAME_SYN), CGN_OUTBOUND);
	assert_int_equal(answer_tcp(FRAME_SYN | FRAME_ACK), CGN_INBOUND);
	assert_int_equal(send_tcp(HOST, 4000, IPPROTO_TCP, FRAME_ACK), CGN_OUTBOUND);
	expect_tcp(true);
	assert_int_equal(answer_tcp(FRAME_RST), CGN_INBOUND);
	expect_tcp(false);
	assert_int_equal(send_tcp(HOST, 4000, IPPROTO_TCP, FRAME_ACK), CGN_OUTBOUND);
	expect_tcp(true);
	stop();
}

/* RFC 6887 section 15: they end no explicit lifetime, however short the times of TCP are. */
static void fin_and_rst_leave_a_map(void **state)
{
	struct cgn_map_request request = request_for(HOST, 4000, IPPROTO_TCP);
	struct cgn_mapping mapping;

	(void)state;
	start(roomy);
	assert_int_equal(ask(&request), CGN_OK);
	assert_int_equal(send_tcp(HOST, 4000, IPPROTO_TCP, FRAME_SYN), CGN_OUTBOUND);
	assert_int_equal(answer_tcp(FRAME_SYN | FRAME_ACK), CGN_INBOUND);
	assert_int_equal(send_tcp(HOST, 4000, IPPROTO_TCP, FRAME_FIN | FRAME_ACK), CGN_OUTBOUND);
	assert_int_equal(answer_tcp(FRAME_FIN | FRAME_ACK), CGN_INBOUND);
	assert_int_equal(answer_tcp(FRAME_RST), CGN_INBOUND);
	set_times(OVER, 0);
	mapping = mapping_of(HOST, 4000, IPPROTO_TCP);
	assert_int_equal(reap(mapping.slot).kept, 1);
	assert_int_equal(mapping.external.port, request.external.port);
	assert_in_range(mapping.expires_s, dataplane_now_s() + 3590, dataplane_now_s() + 3601);
	stop();
}

/* ---- next hops ---- */

static void send_to(const char *destination, struct plane_run *run)
{
	struct frame frame = { .source = HOST, .source_port = 5000, .destination = destination, .destination_port = 53, .protocol = IPPROTO_UDP };
	uint8_t bytes[FRAME_MAX];

	plane_send(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&frame, bytes), run);
}

/* What the kernel said serves a second, and only if it was a way out. */
static void next_hops_do_not_go_stale(void **state)
{
	static const uint8_t new_mac[6] = { 2, 0, 0, 0, 7, 7 };
	struct plane_run run;
	uint32_t begun_ms;
	cpu_set_t one;

	(void)state;
	start(roomy);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	send_to("203.0.114.5", &run);
	assert_int_equal(run.verdict, CGN_DROP_NO_ROUTE);
	plane_command("ip route replace 203.0.114.5/32 via 203.0.113.9");
	send_to("203.0.114.5", &run);
	assert_int_equal(run.verdict, CGN_OUTBOUND);
	plane_command("ip neighbour replace 203.0.113.9 lladdr 02:00:00:00:07:07 nud permanent dev out0");
	begun_ms = now_ms();
	do {
		assert_in_range(now_ms() - begun_ms, 0, 1500);
		send_to("203.0.114.5", &run);
		assert_int_equal(run.verdict, CGN_OUTBOUND);
	} while (memcmp(run.frame, new_mac, 6));
	plane_command("ip neighbour replace 203.0.113.9 lladdr 02:00:00:00:02:09 nud permanent dev out0");
	plane_command("ip route del 203.0.114.5/32");
	begun_ms = now_ms();
	do {
		assert_in_range(now_ms() - begun_ms, 0, 1500);
		send_to("203.0.114.5", &run);
	} while (run.verdict == CGN_OUTBOUND);
	assert_int_equal(run.verdict, CGN_DROP_NO_ROUTE);
	stop();
}

/* ---- fragments ---- */

static void fragments_are_forgotten(void **state)
{
	struct frame first = { .source = HOST, .source_port = 5000, .destination = "203.0.113.9", .destination_port = 53, .protocol = IPPROTO_UDP,
		.fragment_id = 9, .fragment = 0x2000, .payload = 504 }, last = first;
	struct cgn_fragment_key key;
	struct cgn_fragment fragment;
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;
	int fd;

	(void)state;
	start(roomy);
	fd = dataplane_map_fd(plane.dp, DP_FRAGMENTS);
	last.fragment = 64;
	plane_send(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&first, bytes), &run);
	assert_int_equal(run.verdict, CGN_OUTBOUND);
	assert_int_equal(bpf_map_get_next_key(fd, NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &fragment), 0);
	fragment.seen_s -= CGN_FRAGMENT_S;
	assert_int_equal(bpf_map_update_elem(fd, &key, &fragment, BPF_EXIST), 0);
	plane_send(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&last, bytes), &run);
	assert_int_equal(run.verdict, CGN_OUTBOUND);
	fragment.seen_s -= 2;
	assert_int_equal(bpf_map_update_elem(fd, &key, &fragment, BPF_EXIST), 0);
	plane_send(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&last, bytes), &run);
	assert_int_equal(run.verdict, CGN_DROP_FRAGMENT);
	stop();
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(map_joins_what_packets_made),
		cmocka_unit_test(map_without_packets_ends_at_once),
		cmocka_unit_test(lifetime_is_whole),
		cmocka_unit_test(static_mappings),
		cmocka_unit_test(suggestions),
		cmocka_unit_test(quota_and_forbidden_ports),
		cmocka_unit_test(reserve_of_each_protocol),
		cmocka_unit_test(removed_subscriber),
		cmocka_unit_test(other_times),
		cmocka_unit_test(released_ports_rest),
		cmocka_unit_test(blocks_are_opened_for_others),
		cmocka_unit_test(least_used_address),
		cmocka_unit_test(least_used_of_many),
		cmocka_unit_test(lost_events),
		cmocka_unit_test(subscribers_retire),
		cmocka_unit_test(listing_is_complete),
		cmocka_unit_test(tcp_states),
		cmocka_unit_test(fin_and_rst_leave_a_map),
		cmocka_unit_test(next_hops_do_not_go_stale),
		cmocka_unit_test(fragments_are_forgotten),
	};

	return cmocka_run_group_tests_name("mappings", all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
