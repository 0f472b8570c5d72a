/* SPDX-License-Identifier: GPL-2.0-only */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include "fixtures.h"

const char *const scene_configs[SCENES] = {
	[SCENE_MAIN] =
		"pools:\n  - {addresses: [192.0.2.1/32, 192.0.2.2/32]}\n"
		"subscribers:\n  prefixes: [198.51.100.0/24, 10.9.0.0/24]\n"
		"  overrides: [{prefix: 198.51.100.50/32, blocks: 1, reserve: 255}]\n"
		"icmp-errors: {sender: 1000000, total: 1000000}\n"
		"tables: {mappings: 4096, subscribers: 64}\n",
	[SCENE_SMALL] =		/* two blocks, three subscribers */
		"pools:\n  - {addresses: [192.0.2.1/32], ports: 1024-1151, block-size: 64}\n"
		"subscribers: {prefixes: [198.51.100.0/24]}\n"
		"tables: {mappings: 4096, subscribers: 3}\n",
	[SCENE_TINY] =		/* one mapping, and the few that `mappings` has room for beyond */
		"pools:\n  - {addresses: [192.0.2.1/32]}\n"
		"subscribers: {prefixes: [198.51.100.0/24]}\n"
		"tables: {mappings: 1, subscribers: 64}\n",
	[SCENE_ASKED] =		/* whom the host wrote to may write back */
		"pools:\n  - {addresses: [192.0.2.1/32]}\n"
		"subscribers: {prefixes: [198.51.100.0/24]}\n"
		"filtering: address-dependent\n"
		"tables: {mappings: 4096, subscribers: 64}\n",
	[SCENE_CLAMPED] =
		"pools:\n  - {addresses: [192.0.2.1/32, 192.0.2.2/32]}\n"
		"subscribers: {prefixes: [198.51.100.0/24, 10.9.0.0/24]}\n"
		"mss-clamp: 1300\n"
		"tables: {mappings: 4096, subscribers: 64}\n",
};

#define A "198.51.100.2"
#define B "198.51.100.3"
#define EXT "192.0.2.1"
#define EXT2 "192.0.2.2"
#define REMOTE "203.0.113.9"
#define MORE 0x2000
#define DF 0x4000

/* Packets by their endpoints; more members may follow. */
#define UDP(from, from_port, to, to_port) \
	.source = (from), .source_port = (from_port), .destination = (to), .destination_port = (to_port), .protocol = IPPROTO_UDP
#define TCP(flags, from, from_port, to, to_port) \
	.source = (from), .source_port = (from_port), .destination = (to), .destination_port = (to_port), .protocol = IPPROTO_TCP, \
	.tcp_flags = (flags)
#define ICMP(type, from, id, to) \
	.source = (from), .destination = (to), .identifier = (id), .protocol = IPPROTO_ICMP, .icmp_type = (type)
#define ECHO_REQUEST 8
#define ECHO_REPLY 0
#define UNREACHABLE 3
#define TIME_EXCEEDED 11
#define ERROR(type, code, from, to, about) \
	.source = (from), .destination = (to), .protocol = IPPROTO_ICMP, .icmp_type = (type), .icmp_code = (code), .inner = &(about)
#define FOLLOW_ON(from, to) .source = (from), .destination = (to), .protocol = IPPROTO_ICMP

#define BECOMES(from, from_port, to, to_port) \
	.source = (from), .source_port = (from_port), .destination = (to), .destination_port = (to_port)

/* Of a SYN segment, as so many words; MSS(value) is one of them. */
#define OPTIONS(words, ...) .tcp_option_words = (words), .tcp_options = { __VA_ARGS__ }
#define MSS(value) 2, 4, (value) >> 8, (value) & 0xff

#define INSIDE .side = CGN_INTERNAL_SIDE
#define OUTSIDE .side = CGN_EXTERNAL_SIDE

/* A's port 5010 is 20010 for REMOTE, port 53, alone. */
static void map_for_one_peer(struct plane *plane)
{
	static const struct cgn_filter filter = { .remote6 = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9 }, .remote_port = 53,
		.prefix_length = 128 };
	struct cgn_map_request request = { .internal = plane_internal(IPPROTO_UDP, A, 5010), .lifetime_s = 3600, .origin = CGN_MAP,
		.suggested = { .addr4 = { 192, 0, 2, 1 }, .port = 20010 }, .flags = CGN_PREFER_FAILURE, .filter_count = 1, .filter_limit = 1 };

	assert_int_equal(dataplane_map_filtered(plane->dp, &request, &filter), 0);
	assert_int_equal(request.status, CGN_OK);
}

void fixtures_prepare(struct plane *plane, enum scene scene)
{
	if (scene != SCENE_MAIN && scene != SCENE_CLAMPED)
		return;
	assert_int_equal(plane_map(plane, IPPROTO_UDP, A, 5000, EXT, 20000), CGN_OK);
	assert_int_equal(plane_map(plane, IPPROTO_TCP, A, 5001, EXT, 20001), CGN_OK);
	assert_int_equal(plane_map(plane, IPPROTO_ICMP, A, 77, EXT, 20077), CGN_OK);
	assert_int_equal(plane_map(plane, IPPROTO_UDP, B, 6000, EXT, 30000), CGN_OK);
	assert_int_equal(plane_map(plane, IPPROTO_TCP, B, 6001, EXT, 30001), CGN_OK);
	assert_int_equal(plane_map(plane, IPPROTO_ICMP, B, 66, EXT, 30066), CGN_OK);
	assert_int_equal(plane_map(plane, IPPROTO_UDP, "10.9.0.5", 7000, EXT2, 40000), CGN_OK);
	map_for_one_peer(plane);
	assert_int_equal(plane_map(plane, IPPROTO_UDP, "198.51.100.77", 7700, EXT2, 41000), CGN_OK);
}

/* ---- what some need before them ---- */

static void send_udp(struct plane *plane, const char *source, uint16_t port, enum cgn_verdict verdict)
{
	struct frame frame = { UDP(source, port, REMOTE, 53), .payload = 8 };
	uint8_t bytes[FRAME_MAX];
	struct plane_run run;

	plane_send(plane, CGN_INTERNAL_SIDE, bytes, frame_build(&frame, bytes), &run);
	assert_int_equal(run.verdict, verdict);
}

static void use_up_quota(struct plane *plane) { send_udp(plane, "198.51.100.50", 1111, CGN_OUTBOUND); }

static void take_both_blocks(struct plane *plane)
{
	send_udp(plane, A, 1111, CGN_OUTBOUND);
	send_udp(plane, B, 1111, CGN_OUTBOUND);
}

static void fill_mappings(struct plane *plane)
{
	uint32_t i;

	for (i = 0; i < config_mapping_room(plane->config); i++)
		send_udp(plane, A, (uint16_t)(1111 + i), CGN_OUTBOUND);
}

/* A's port 5000 is 20000, which a request chose and packets keep: it wrote to REMOTE. */
static void write_to_remote(struct plane *plane)
{
	struct cgn_map_request request = { .internal = plane_internal(IPPROTO_UDP, A, 5000), .origin = CGN_MAP };

	assert_int_equal(plane_map(plane, IPPROTO_UDP, A, 5000, EXT, 20000), CGN_OK);
	send_udp(plane, A, 5000, CGN_OUTBOUND);
	assert_int_equal(dataplane_delete(plane->dp, &request), 0);
	assert_int_equal(request.status, CGN_OK);
}

static void mark_gone(struct plane *plane)
{
	struct cgn_subscriber_key key = plane_subscriber("198.51.100.20");
	struct cgn_subscriber subscriber = { .state = CGN_SUBSCRIBER_GONE };

	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane->dp, DP_SUBSCRIBERS), &key, &subscriber, BPF_NOEXIST), 0);
}

static void unmark_gone(struct plane *plane)
{
	struct cgn_subscriber_key key = plane_subscriber("198.51.100.20");

	assert_int_equal(bpf_map_delete_elem(dataplane_map_fd(plane->dp, DP_SUBSCRIBERS), &key), 0);
}

static struct cgn_settings kept;

static void clear_settings(struct plane *plane)
{
	struct cgn_settings none = {};
	uint32_t zero = 0;

	assert_true(dataplane_settings(plane->dp, &kept));
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane->dp, DP_SETTINGS), &zero, &none, 0), 0);
}

static void restore_settings(struct plane *plane)
{
	uint32_t zero = 0;

	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane->dp, DP_SETTINGS), &zero, &kept, 0), 0);
}

static void take_address(struct plane *plane)
{
	assert_int_equal(bpf_map_delete_elem(dataplane_map_fd(plane->dp, DP_ADDRESSES), &plane->ifindex[CGN_EXTERNAL_SIDE]), 0);
}

static void give_address(struct plane *plane)
{
	struct dataplane_error error;

	assert_true(dataplane_set_addresses(plane->dp, plane->config, &error));
}

static void hold_on(struct plane *plane) { assert_true(dataplane_set_holder(plane->dp, dataplane_now_s() + 9)); }
static void hold_off(struct plane *plane) { assert_true(dataplane_set_holder(plane->dp, 0)); }

static void forwarding_off(struct plane *plane)
{
	(void)plane;
	plane_write("/proc/sys/net/ipv4/conf/in0/forwarding", "0");
	plane_write("/proc/sys/net/ipv6/conf/in0/forwarding", "0");
}

static void forwarding_on(struct plane *plane)
{
	(void)plane;
	plane_write("/proc/sys/net/ipv4/conf/in0/forwarding", "1");
	plane_write("/proc/sys/net/ipv6/conf/in0/forwarding", "1");
}

/* ---- packets inside ICMP errors ---- */

static const struct frame
	udp_sent = { UDP(EXT, 20000, REMOTE, 53), .payload = 24, .ttl = 1 },
	udp_sent_inside = { UDP(A, 5000, REMOTE, 53), .payload = 24, .ttl = 1 },
	udp_sent_bare = { UDP(EXT, 20000, REMOTE, 53), .payload = 24, .no_checksum = true },
	udp_sent_bare_inside = { UDP(A, 5000, REMOTE, 53), .payload = 24, .no_checksum = true },
	udp_sent_options = { UDP(EXT, 20000, REMOTE, 53), .payload = 24, .option_words = 3 },
	udp_sent_options_inside = { UDP(A, 5000, REMOTE, 53), .payload = 24, .option_words = 3 },
	tcp_sent = { TCP(FRAME_ACK, EXT, 20001, REMOTE, 80), .payload = 40 },
	tcp_sent_inside = { TCP(FRAME_ACK, A, 5001, REMOTE, 80), .payload = 40 },
	echo_sent = { ICMP(ECHO_REQUEST, EXT, 20077, REMOTE), .payload = 16 },
	echo_sent_inside = { ICMP(ECHO_REQUEST, A, 77, REMOTE), .payload = 16 },
	udp_came = { UDP(REMOTE, 53, A, 5000), .payload = 24 },
	udp_came_outside = { UDP(REMOTE, 53, EXT, 20000), .payload = 24 },
	tcp_came = { TCP(FRAME_ACK, REMOTE, 80, A, 5001), .payload = 40 },
	tcp_came_outside = { TCP(FRAME_ACK, REMOTE, 80, EXT, 20001), .payload = 40 },
	echo_came = { ICMP(ECHO_REPLY, REMOTE, 77, A), .payload = 16 },
	echo_came_outside = { ICMP(ECHO_REPLY, REMOTE, 20077, EXT), .payload = 16 },
	hairpin_came = { UDP(EXT, 20000, B, 6000), .payload = 24 },		/* from A, as B got it */
	hairpin_sent = { UDP(A, 5000, EXT, 30000), .payload = 24 },		/* and as A sent it */
	hairpin_tcp_came = { TCP(FRAME_ACK, EXT, 20001, B, 6001), .payload = 40 },
	hairpin_tcp_sent = { TCP(FRAME_ACK, A, 5001, EXT, 30001), .payload = 40 },
	long_came = { UDP("203.0.115.1", 53, A, 5000), .payload = 1100 },
	unknown_sent = { UDP(EXT, 20999, REMOTE, 53), .payload = 24 },
	unknown_came = { UDP(REMOTE, 53, A, 5999), .payload = 24 },
	other_sent = { UDP(EXT2, 20000, REMOTE, 53), .payload = 24 },		/* not of the error's destination */
	forged_came = { UDP("203.0.113.10", 53, A, 5000), .payload = 24 },	/* not of the error's destination */
	error_sent = { ERROR(UNREACHABLE, 3, EXT, REMOTE, udp_sent) },
	esp_sent = { .source = EXT, .destination = REMOTE, .protocol = 50, .payload = 32 },
	follow_on_sent = { .source = EXT, .destination = REMOTE, .protocol = IPPROTO_UDP, .fragment = 3, .payload = 32 };

#define IP 14		/* where headers stand in a frame without tags and options */
#define L4 34
#define ARP_FRAME .ethertype = 0x0806, .payload = 28

const struct fixture fixtures[] = {
	/* ---- outbound ---- */
	{ "udp-out-first", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 1234, REMOTE, 53), .payload = 18 },
	  .out = { BECOMES(MAPPED, 0, REMOTE, 53) } },
	{ "udp-out", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18 }, .out = { BECOMES(EXT, 20000, REMOTE, 53) } },
	{ "udp-out-other-remote", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 5000, "203.0.113.10", 9999), .payload = 1 },
	  .out = { BECOMES(EXT, 20000, "203.0.113.10", 9999) } },
	{ "udp-out-default-route", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 5000, "8.8.8.8", 53) },
	  .out = { BECOMES(EXT, 20000, "8.8.8.8", 53) } },
	{ "udp-out-no-checksum", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18, .no_checksum = true },
	  .out = { BECOMES(EXT, 20000, REMOTE, 53) } },
	{ "udp-out-odd-length", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 5000, REMOTE, 53), .payload = 777 },
	  .out = { BECOMES(EXT, 20000, REMOTE, 53) } },
	{ "udp-out-options", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18, .option_words = 10 },
	  .out = { BECOMES(EXT, 20000, REMOTE, 53) } },
	{ "udp-out-padded", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 5000, REMOTE, 53), .payload = 1, .padded = true },
	  .out = { BECOMES(EXT, 20000, REMOTE, 53) } },
	{ "udp-out-tail", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 5000, REMOTE, 53), .payload = 5, .tail = 33 },
	  .out = { BECOMES(EXT, 20000, REMOTE, 53) } },
	{ "udp-out-ttl-2", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18, .ttl = 2 },
	  .out = { BECOMES(EXT, 20000, REMOTE, 53) } },
	{ "udp-out-ttl-255", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18, .ttl = 255 },
	  .out = { BECOMES(EXT, 20000, REMOTE, 53) } },
	{ "udp-out-vlan", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18, .vlan_tags = 1 },
	  .out = { BECOMES(EXT, 20000, REMOTE, 53) } },
	{ "udp-out-two-vlans", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18, .vlan_tags = 2, .option_words = 1 },
	  .out = { BECOMES(EXT, 20000, REMOTE, 53) } },
	{ "tcp-out-first", INSIDE, .verdict = CGN_OUTBOUND, .in = { TCP(FRAME_SYN, A, 1235, REMOTE, 80), .payload = 0 },
	  .out = { BECOMES(MAPPED, 0, REMOTE, 80) } },
	{ "tcp-out-syn", INSIDE, .verdict = CGN_OUTBOUND, .in = { TCP(FRAME_SYN, A, 5001, REMOTE, 80), .payload = 0 },
	  .out = { BECOMES(EXT, 20001, REMOTE, 80) } },
	{ "tcp-out-data", INSIDE, .verdict = CGN_OUTBOUND, .in = { TCP(FRAME_ACK, A, 5001, REMOTE, 80), .payload = 333 },
	  .out = { BECOMES(EXT, 20001, REMOTE, 80) } },
	{ "tcp-out-fin", INSIDE, .verdict = CGN_OUTBOUND, .in = { TCP(FRAME_FIN | FRAME_ACK, A, 5001, REMOTE, 80), .vlan_tags = 2 },
	  .out = { BECOMES(EXT, 20001, REMOTE, 80) } },
	{ "echo-out-first", INSIDE, .verdict = CGN_OUTBOUND, .in = { ICMP(ECHO_REQUEST, A, 1236, REMOTE), .payload = 56 },
	  .out = { BECOMES(MAPPED, 0, REMOTE, 0) } },
	{ "echo-out-identifier-0", INSIDE, .verdict = CGN_OUTBOUND, .in = { ICMP(ECHO_REQUEST, A, 0, REMOTE), .payload = 56 },
	  .out = { BECOMES(MAPPED, 0, REMOTE, 0) } },
	{ "echo-out", INSIDE, .verdict = CGN_OUTBOUND, .in = { ICMP(ECHO_REQUEST, A, 77, REMOTE), .payload = 57 },
	  .out = { .source = EXT, .identifier = 20077 } },
	{ "echo-reply-out", INSIDE, .verdict = CGN_OUTBOUND, .in = { ICMP(ECHO_REPLY, A, 77, REMOTE), .payload = 56, .option_words = 2 },
	  .out = { .source = EXT, .identifier = 20077 } },

	/* ---- inbound ---- */
	{ "udp-in", OUTSIDE, .verdict = CGN_INBOUND, .in = { UDP(REMOTE, 53, EXT, 20000), .payload = 18 }, .out = { BECOMES(REMOTE, 53, A, 5000) } },
	{ "udp-in-permitted", OUTSIDE, .verdict = CGN_INBOUND, .in = { UDP(REMOTE, 53, EXT, 20010), .payload = 18 },
	  .out = { BECOMES(REMOTE, 53, A, 5010) } },
	{ "udp-in-other-port", OUTSIDE, .verdict = CGN_DROP_FILTER, .in = { UDP(REMOTE, 54, EXT, 20010), .payload = 18 } },
	{ "udp-in-other-address", OUTSIDE, .verdict = CGN_DROP_FILTER, .in = { UDP("203.0.113.10", 53, EXT, 20010), .payload = 18 } },
	{ "udp-in-first-other", OUTSIDE, .verdict = CGN_DROP_FILTER,
	  .in = { UDP("203.0.113.10", 53, EXT, 20010), .payload = 24, .fragment_id = 7010, .fragment = MORE } },
	{ "udp-in-rest-other", OUTSIDE, .verdict = CGN_DROP_FRAGMENT,
	  .in = { UDP("203.0.113.10", 53, EXT, 20010), .payload = 24, .fragment_id = 7010, .fragment = 4 } },
	{ "udp-in-any-remote", OUTSIDE, .verdict = CGN_INBOUND, .in = { UDP("8.8.4.4", 1, EXT, 20000), .payload = 2 },
	  .out = { BECOMES("8.8.4.4", 1, A, 5000) } },
	{ "udp-in-no-checksum", OUTSIDE, .verdict = CGN_INBOUND, .in = { UDP(REMOTE, 53, EXT, 20000), .payload = 18, .no_checksum = true },
	  .out = { BECOMES(REMOTE, 53, A, 5000) } },
	{ "udp-in-options", OUTSIDE, .verdict = CGN_INBOUND, .in = { UDP(REMOTE, 53, EXT, 20000), .payload = 19, .option_words = 10 },
	  .out = { BECOMES(REMOTE, 53, A, 5000) } },
	{ "udp-in-padded", OUTSIDE, .verdict = CGN_INBOUND, .in = { UDP(REMOTE, 53, EXT, 20000), .payload = 3, .padded = true },
	  .out = { BECOMES(REMOTE, 53, A, 5000) } },
	{ "udp-in-two-vlans", OUTSIDE, .verdict = CGN_INBOUND, .in = { UDP(REMOTE, 53, EXT, 20000), .payload = 3, .vlan_tags = 2 },
	  .out = { BECOMES(REMOTE, 53, A, 5000) } },
	{ "tcp-in-syn", OUTSIDE, .verdict = CGN_INBOUND, .in = { TCP(FRAME_SYN, REMOTE, 4444, EXT, 20001) }, .out = { BECOMES(REMOTE, 4444, A, 5001) } },
	{ "tcp-in-data", OUTSIDE, .verdict = CGN_INBOUND, .in = { TCP(FRAME_ACK, REMOTE, 80, EXT, 20001), .payload = 1000, .vlan_tags = 1 },
	  .out = { BECOMES(REMOTE, 80, A, 5001) } },
	{ "tcp-in-rst", OUTSIDE, .verdict = CGN_INBOUND, .in = { TCP(FRAME_RST, REMOTE, 80, EXT, 20001), .option_words = 1 },
	  .out = { BECOMES(REMOTE, 80, A, 5001) } },
	{ "echo-in", OUTSIDE, .verdict = CGN_INBOUND, .in = { ICMP(ECHO_REQUEST, REMOTE, 20077, EXT), .payload = 56 },
	  .out = { .destination = A, .identifier = 77 } },
	{ "echo-reply-in", OUTSIDE, .verdict = CGN_INBOUND, .in = { ICMP(ECHO_REPLY, REMOTE, 20077, EXT), .payload = 55 },
	  .out = { .destination = A, .identifier = 77 } },

	/* ---- hairpin: with the external source (RFC 4787 REQ-9) ---- */
	{ "udp-hairpin", INSIDE, .verdict = CGN_HAIRPIN, .in = { UDP(A, 5000, EXT, 30000), .payload = 18 }, .out = { BECOMES(EXT, 20000, B, 6000) } },
	{ "udp-hairpin-first", INSIDE, .verdict = CGN_HAIRPIN, .in = { UDP(A, 1237, EXT, 30000), .payload = 18 },
	  .out = { BECOMES(MAPPED, 0, B, 6000) } },
	{ "udp-hairpin-to-itself", INSIDE, .verdict = CGN_HAIRPIN, .in = { UDP(A, 5000, EXT, 20000), .payload = 18 },
	  .out = { BECOMES(EXT, 20000, A, 5000) } },
	{ "udp-hairpin-no-checksum", INSIDE, .verdict = CGN_HAIRPIN, .in = { UDP(A, 5000, EXT, 30000), .payload = 18, .no_checksum = true },
	  .out = { BECOMES(EXT, 20000, B, 6000) } },
	{ "tcp-hairpin", INSIDE, .verdict = CGN_HAIRPIN, .in = { TCP(FRAME_SYN, A, 5001, EXT, 30001), .vlan_tags = 1 },
	  .out = { BECOMES(EXT, 20001, B, 6001) } },
	{ "echo-hairpin", INSIDE, .verdict = CGN_HAIRPIN, .in = { ICMP(ECHO_REQUEST, A, 30066, EXT), .payload = 56 },
	  .out = { .source = EXT, .destination = B, .identifier = 66 } },

	/* ---- ICMP errors ---- */
	{ "error-in-udp", OUTSIDE, .verdict = CGN_INBOUND, .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, udp_sent) },
	  .out = { .destination = A, .inner = &udp_sent_inside } },
	{ "error-in-from-router", OUTSIDE, .verdict = CGN_INBOUND, .in = { ERROR(TIME_EXCEEDED, 0, "8.8.8.8", EXT, udp_sent), .inner_length = 28 },
	  .out = { .destination = A, .inner = &udp_sent_inside } },
	{ "error-in-udp-no-checksum", OUTSIDE, .verdict = CGN_INBOUND, .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, udp_sent_bare) },
	  .out = { .destination = A, .inner = &udp_sent_bare_inside } },
	{ "error-in-udp-options", OUTSIDE, .verdict = CGN_INBOUND, .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, udp_sent_options), .option_words = 2 },
	  .out = { .destination = A, .inner = &udp_sent_options_inside } },
	{ "error-in-tcp", OUTSIDE, .verdict = CGN_INBOUND, .in = { ERROR(UNREACHABLE, 4, REMOTE, EXT, tcp_sent), .vlan_tags = 1 },
	  .out = { .destination = A, .inner = &tcp_sent_inside } },
	{ "error-in-tcp-8-bytes", OUTSIDE, .verdict = CGN_INBOUND, .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, tcp_sent), .inner_length = 28 },
	  .out = { .destination = A, .inner = &tcp_sent_inside } },
	{ "error-in-tcp-16-bytes", OUTSIDE, .verdict = CGN_INBOUND, .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, tcp_sent), .inner_length = 36 },
	  .out = { .destination = A, .inner = &tcp_sent_inside } },
	{ "error-in-tcp-18-bytes", OUTSIDE, .verdict = CGN_INBOUND, .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, tcp_sent), .inner_length = 38 },
	  .out = { .destination = A, .inner = &tcp_sent_inside } },
	{ "error-in-tcp-8-bytes-tail", OUTSIDE, .verdict = CGN_INBOUND,
	  .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, tcp_sent), .inner_length = 28, .tail = 40 },
	  .out = { .destination = A, .inner = &tcp_sent_inside } },
	{ "error-in-echo", OUTSIDE, .verdict = CGN_INBOUND, .in = { ERROR(UNREACHABLE, 1, REMOTE, EXT, echo_sent) },
	  .out = { .destination = A, .inner = &echo_sent_inside } },
	{ "error-out-udp", INSIDE, .verdict = CGN_OUTBOUND, .in = { ERROR(UNREACHABLE, 3, A, REMOTE, udp_came) },
	  .out = { .source = EXT, .inner = &udp_came_outside } },
	{ "error-out-from-router", INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { ERROR(TIME_EXCEEDED, 0, "198.51.100.40", REMOTE, udp_came), .inner_length = 28 },
	  .out = { .source = EXT, .inner = &udp_came_outside } },
	{ "error-out-tcp", INSIDE, .verdict = CGN_OUTBOUND, .in = { ERROR(UNREACHABLE, 3, A, REMOTE, tcp_came) },
	  .out = { .source = EXT, .inner = &tcp_came_outside } },
	{ "error-out-tcp-8-bytes", INSIDE, .verdict = CGN_OUTBOUND, .in = { ERROR(UNREACHABLE, 3, A, REMOTE, tcp_came), .inner_length = 28 },
	  .out = { .source = EXT, .inner = &tcp_came_outside } },
	{ "error-out-echo", INSIDE, .verdict = CGN_OUTBOUND, .in = { ERROR(UNREACHABLE, 3, A, REMOTE, echo_came), .vlan_tags = 2 },
	  .out = { .source = EXT, .inner = &echo_came_outside } },
	{ "error-hairpin-udp", INSIDE, .verdict = CGN_HAIRPIN, .in = { ERROR(UNREACHABLE, 3, B, EXT, hairpin_came) },
	  .out = { .source = EXT, .destination = A, .inner = &hairpin_sent } },
	{ "error-hairpin-tcp-8-bytes", INSIDE, .verdict = CGN_HAIRPIN, .in = { ERROR(UNREACHABLE, 3, B, EXT, hairpin_tcp_came), .inner_length = 28 },
	  .out = { .source = EXT, .destination = A, .inner = &hairpin_tcp_sent } },
	{ "error-no-mapping-in", OUTSIDE, .verdict = CGN_DROP_ICMP_NO_MAPPING, .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, unknown_sent) } },
	{ "error-no-mapping-out", INSIDE, .verdict = CGN_DROP_ICMP_NO_MAPPING, .in = { ERROR(UNREACHABLE, 3, A, REMOTE, unknown_came) } },
	{ "error-about-another-in", OUTSIDE, .verdict = CGN_DROP_ICMP_NO_MAPPING, .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, other_sent) } },
	{ "error-about-another-out", INSIDE, .verdict = CGN_DROP_ICMP_NO_MAPPING, .in = { ERROR(UNREACHABLE, 3, A, REMOTE, forged_came) } },
	{ "error-about-error", OUTSIDE, .verdict = CGN_DROP_ICMP_INNER, .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, error_sent) } },
	{ "error-about-esp", OUTSIDE, .verdict = CGN_DROP_ICMP_INNER, .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, esp_sent) } },
	{ "error-about-follow-on", OUTSIDE, .verdict = CGN_DROP_ICMP_INNER, .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, follow_on_sent) } },
	{ "error-7-inner-bytes", OUTSIDE, .verdict = CGN_DROP_ICMP_INNER, .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, udp_sent), .inner_length = 27 } },
	{ "error-inner-in-the-tail", OUTSIDE, .verdict = CGN_DROP_ICMP_INNER,
	  .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, udp_sent), .inner_length = 27, .tail = 40 } },
	{ "error-inner-cut-out", INSIDE, .verdict = CGN_DROP_ICMP_INNER, .in = { ERROR(UNREACHABLE, 3, A, REMOTE, udp_came), .inner_length = 20 } },
	{ "error-ttl", OUTSIDE, .verdict = CGN_DROP_TTL, .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, udp_sent), .ttl = 1 } },
	{ "icmp-type", INSIDE, .verdict = CGN_DROP_ICMP_TYPE, .in = { ICMP(13, A, 1, REMOTE), .payload = 12 } },
	{ "icmp-redirect-in", OUTSIDE, .verdict = CGN_DROP_ICMP_TYPE, .in = { ERROR(5, 1, REMOTE, EXT, udp_sent) } },

	/* ---- fragments: order matters ---- */
	{ "fragment-early", INSIDE, .verdict = CGN_DROP_FRAGMENT,
	  .in = { UDP(A, 0, REMOTE, 0), .fragment_id = 1, .fragment = 64, .payload = 512 } },
	{ "fragment-held", INSIDE, .verdict = CGN_HELD, .before = hold_on, .after = hold_off,
	  .in = { UDP(A, 0, REMOTE, 0), .fragment_id = 21, .fragment = 64, .payload = 512, .vlan_tags = 2 } },
	{ "fragment-held-first", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 5000, REMOTE, 53), .fragment_id = 21, .fragment = MORE, .payload = 504 },
	  .out = { BECOMES(EXT, 20000, REMOTE, 53) } },
	{ "fragment-held-again", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 0, REMOTE, 0), .fragment_id = 21, .fragment = 64, .payload = 512 },
	  .out = { .source = EXT } },
	{ "fragment-held-in", OUTSIDE, .verdict = CGN_HELD, .before = hold_on, .after = hold_off,
	  .in = { UDP(REMOTE, 0, EXT, 0), .fragment_id = 22, .fragment = 64, .payload = 1 } },
	{ "fragment-first", INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { UDP(A, 5000, REMOTE, 53), .fragment_id = 1, .fragment = MORE, .payload = 504, .whole_sum = true },
	  .out = { BECOMES(EXT, 20000, REMOTE, 53) } },
	{ "fragment-last", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 0, REMOTE, 0), .fragment_id = 1, .fragment = 64, .payload = 504 },
	  .out = { .source = EXT } },
	{ "fragment-other-id", INSIDE, .verdict = CGN_DROP_FRAGMENT,
	  .in = { UDP(A, 0, REMOTE, 0), .fragment_id = 2, .fragment = 64, .payload = 504 } },
	{ "fragment-other-side", OUTSIDE, .verdict = CGN_DROP_FRAGMENT,
	  .in = { UDP(REMOTE, 0, EXT, 0), .fragment_id = 1, .fragment = 64, .payload = 504 } },
	{ "fragment-in-first", OUTSIDE, .verdict = CGN_INBOUND,
	  .in = { UDP(REMOTE, 53, EXT, 20000), .fragment_id = 3, .fragment = MORE, .payload = 504, .whole_sum = true },
	  .out = { BECOMES(REMOTE, 53, A, 5000) } },
	{ "fragment-in-middle", OUTSIDE, .verdict = CGN_INBOUND,
	  .in = { UDP(REMOTE, 0, EXT, 0), .fragment_id = 3, .fragment = MORE | 64, .payload = 504, .vlan_tags = 1 }, .out = { .destination = A } },
	{ "fragment-in-short", OUTSIDE, .verdict = CGN_INBOUND,
	  .in = { UDP(REMOTE, 0, EXT, 0), .fragment_id = 3, .fragment = 127, .payload = 1, .padded = true }, .out = { .destination = A } },
	{ "fragment-hairpin-first", INSIDE, .verdict = CGN_HAIRPIN,
	  .in = { UDP(A, 5000, EXT, 30000), .fragment_id = 4, .fragment = MORE, .payload = 504, .whole_sum = true },
	  .out = { BECOMES(EXT, 20000, B, 6000) } },
	{ "fragment-hairpin-last", INSIDE, .verdict = CGN_HAIRPIN, .in = { UDP(A, 0, EXT, 0), .fragment_id = 4, .fragment = 64, .payload = 504 },
	  .out = { .source = EXT, .destination = B } },
	{ "fragment-error-in-first", OUTSIDE, .verdict = CGN_INBOUND,
	  .in = { ERROR(UNREACHABLE, 3, "8.8.8.8", EXT, udp_sent), .inner_length = 48, .fragment_id = 31, .fragment = MORE },
	  .out = { .destination = A, .inner = &udp_sent_inside } },
	{ "fragment-error-in-last", OUTSIDE, .verdict = CGN_INBOUND,
	  .in = { FOLLOW_ON("8.8.8.8", EXT), .fragment_id = 31, .fragment = 7, .payload = 100 }, .out = { .destination = A } },
	{ "fragment-error-out-first", INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { ERROR(TIME_EXCEEDED, 0, "198.51.100.40", REMOTE, tcp_came), .inner_length = 40, .fragment_id = 32, .fragment = MORE },
	  .out = { .source = EXT, .inner = &tcp_came_outside } },
	{ "fragment-error-out-last", INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { FOLLOW_ON("198.51.100.40", REMOTE), .fragment_id = 32, .fragment = 6, .payload = 100 }, .out = { .source = EXT } },
	{ "fragment-error-hairpin-first", INSIDE, .verdict = CGN_HAIRPIN,
	  .in = { ERROR(UNREACHABLE, 3, B, EXT, hairpin_came), .inner_length = 48, .fragment_id = 33, .fragment = MORE },
	  .out = { .source = EXT, .destination = A, .inner = &hairpin_sent } },
	{ "fragment-error-hairpin-last", INSIDE, .verdict = CGN_HAIRPIN,
	  .in = { FOLLOW_ON(B, EXT), .fragment_id = 33, .fragment = 7, .payload = 8 }, .out = { .source = EXT, .destination = A } },
	{ "fragment-error-no-mapping", OUTSIDE, .verdict = CGN_DROP_ICMP_NO_MAPPING,
	  .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, unknown_sent), .inner_length = 48, .fragment_id = 34, .fragment = MORE } },
	{ "fragment-error-no-mapping-last", OUTSIDE, .verdict = CGN_DROP_FRAGMENT,
	  .in = { FOLLOW_ON(REMOTE, EXT), .fragment_id = 34, .fragment = 7, .payload = 8 } },
	{ "fragment-error-early", OUTSIDE, .verdict = CGN_HELD, .before = hold_on, .after = hold_off,
	  .in = { FOLLOW_ON(REMOTE, EXT), .fragment_id = 35, .fragment = 7, .payload = 8 } },
	{ "fragment-error-inner-cut", OUTSIDE, .verdict = CGN_DROP_ICMP_INNER,
	  .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, udp_sent), .inner_length = 24, .fragment_id = 36, .fragment = MORE } },
	{ "fragment-first-again", INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { UDP(A, 5000, REMOTE, 53), .fragment_id = 1, .fragment = MORE, .payload = 504, .whole_sum = true },
	  .out = { BECOMES(EXT, 20000, REMOTE, 53) } },
	{ "fragment-over-the-first", INSIDE, .verdict = CGN_DROP_FRAGMENT_BAD,
	  .in = { UDP(A, 0, REMOTE, 0), .fragment_id = 1, .fragment = 63, .payload = 504 } },
	{ "fragment-over-the-header", INSIDE, .verdict = CGN_DROP_FRAGMENT_BAD,
	  .in = { UDP(A, 0, REMOTE, 0), .fragment_id = 1, .fragment = MORE | 1, .payload = 16 } },
	{ "fragment-with-a-gap", INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { UDP(A, 0, REMOTE, 0), .fragment_id = 1, .fragment = 80, .payload = 9 }, .out = { .source = EXT } },
	{ "fragment-second", INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { UDP(A, 0, REMOTE, 0), .fragment_id = 1, .fragment = MORE | 64, .payload = 128 }, .out = { .source = EXT } },
	{ "fragment-second-again", INSIDE, .verdict = CGN_DROP_FRAGMENT_BAD,
	  .in = { UDP(A, 0, REMOTE, 0), .fragment_id = 1, .fragment = MORE | 64, .payload = 128 } },
	{ "fragment-odd-first", INSIDE, .verdict = CGN_DROP_FRAGMENT_BAD,
	  .in = { UDP(A, 5000, REMOTE, 53), .fragment_id = 5, .fragment = MORE, .payload = 505 } },
	{ "fragment-odd-middle", OUTSIDE, .verdict = CGN_DROP_FRAGMENT_BAD,
	  .in = { UDP(REMOTE, 0, EXT, 0), .fragment_id = 3, .fragment = MORE | 128, .payload = 20 } },
	{ "fragment-empty", OUTSIDE, .verdict = CGN_DROP_FRAGMENT_BAD,
	  .in = { UDP(REMOTE, 0, EXT, 0), .fragment_id = 3, .fragment = MORE | 128, .payload = 0, .padded = true } },
	{ "fragment-longest", OUTSIDE, .verdict = CGN_INBOUND,
	  .in = { UDP(REMOTE, 0, EXT, 0), .fragment_id = 3, .fragment = 8186, .payload = 27 }, .out = { .destination = A } },
	{ "fragment-too-long", OUTSIDE, .verdict = CGN_DROP_FRAGMENT_BAD,
	  .in = { UDP(REMOTE, 0, EXT, 0), .fragment_id = 3, .fragment = 8186, .payload = 28 } },
	{ "fragment-ttl", INSIDE, .verdict = CGN_DROP_TTL,
	  .in = { UDP(A, 0, REMOTE, 0), .fragment_id = 1, .fragment = 64, .payload = 504, .ttl = 1 } },
	{ "fragment-tiny-udp", INSIDE, .verdict = CGN_DROP_FRAGMENT_BAD,
	  .in = { UDP(A, 5000, REMOTE, 53), .fragment = MORE, .payload = 0, .padded = true, .edits = { { IP + 3, 27 } } } },
	{ "fragment-tiny-tcp", INSIDE, .verdict = CGN_DROP_L4_HEADER,
	  .in = { TCP(FRAME_ACK, A, 5001, REMOTE, 80), .fragment = 1, .payload = 24 } },

	/* ---- given to the kernel ---- */
	{ "neighbour-unknown-out", INSIDE, .verdict = CGN_NEIGHBOUR_UNKNOWN, .in = { UDP(A, 5000, "203.0.113.77", 53), .payload = 18 },
	  .out = { BECOMES(EXT, 20000, "203.0.113.77", 53) } },
	{ "neighbour-unknown-out-vlans", INSIDE, .verdict = CGN_NEIGHBOUR_UNKNOWN,
	  .in = { UDP(A, 5000, "203.0.113.77", 53), .payload = 18, .vlan_tags = 2 },
	  .out = { BECOMES(EXT, 20000, "203.0.113.77", 53) } },
	{ "neighbour-unknown-in", OUTSIDE, .verdict = CGN_NEIGHBOUR_UNKNOWN, .in = { UDP(REMOTE, 53, EXT2, 41000), .payload = 18, .vlan_tags = 1 },
	  .out = { BECOMES(REMOTE, 53, "198.51.100.77", 7700) } },
	{ "local-in", INSIDE, .verdict = CGN_LOCAL, .in = { UDP(A, 5000, "198.51.100.1", 5351), .payload = 60 } },
	{ "local-other-interface", INSIDE, .verdict = CGN_LOCAL, .in = { TCP(FRAME_SYN, A, 5001, "203.0.113.1", 22) } },
	{ "local-any-protocol", OUTSIDE, .verdict = CGN_LOCAL, .in = { .source = REMOTE, .destination = "203.0.113.1", .protocol = 89, .payload = 44 } },
	{ "local-subnet-broadcast", INSIDE, .verdict = CGN_LOCAL, .in = { UDP(A, 68, "198.51.100.255", 67), .payload = 60 } },
	{ "local-broadcast", INSIDE, .verdict = CGN_LOCAL, .in = { UDP(A, 68, "255.255.255.255", 67), .payload = 60 } },
	{ "local-multicast", OUTSIDE, .verdict = CGN_LOCAL, .in = { UDP(REMOTE, 68, "224.0.0.5", 67), .payload = 60 } },
	{ "forwarding-off", INSIDE, .verdict = CGN_FORWARDING_OFF, .in = { UDP(A, 5000, "203.0.115.9", 53), .payload = 18 }, .before = forwarding_off,
	  .after = forwarding_on },
	{ "arp", INSIDE, .verdict = CGN_CONTROL, .in = { ARP_FRAME } },
	{ "arp-vlan", OUTSIDE, .verdict = CGN_CONTROL, .in = { ARP_FRAME, .vlan_tags = 1 } },
	{ "lldp", INSIDE, .verdict = CGN_CONTROL, .in = { .destination_mac = { 0x01, 0x80, 0xc2, 0, 0, 0x0e }, .ethertype = 0x88cc, .payload = 46 } },

	{ "ipv6-local", INSIDE, .verdict = CGN_LOCAL, .in = { .source6 = "fd00:1::2", .destination6 = "fd00:1::1", .payload = 8 } },
	{ "ipv6-neighbour-discovery", INSIDE, .verdict = CGN_CONTROL, .in = { .source6 = "fd00:1::2", .destination6 = "ff02::1:ff00:1", .payload = 8 } },
	{ "ipv6-link-local", OUTSIDE, .verdict = CGN_CONTROL, .in = { .source6 = "fe80::2", .destination6 = "fe80::1", .payload = 8 } },
	{ "ipv6-forwarding-off", INSIDE, .verdict = CGN_FORWARDING_OFF, .in = { .source6 = "fd00:1::2", .destination6 = "fd00:2::2", .payload = 8 },
	  .before = forwarding_off, .after = forwarding_on },

	/* ---- dropped ---- */
	{ "ipv6", INSIDE, .verdict = CGN_DROP_IPV6, .in = { .source6 = "fd00:1::2", .destination6 = "fd00:2::2", .payload = 8 } },
	{ "ipv6-in", OUTSIDE, .verdict = CGN_DROP_IPV6, .in = { .source6 = "fd00:2::2", .destination6 = "fd00:1::2", .payload = 8, .vlan_tags = 2 } },
	{ "ip-version", INSIDE, .verdict = CGN_DROP_IP_HEADER, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18, .edits = { { IP, 0x65 } } } },
	{ "ip-header-length", INSIDE, .verdict = CGN_DROP_IP_HEADER, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18, .edits = { { IP, 0x44 } } } },
	{ "ip-header-beyond-total", OUTSIDE, .verdict = CGN_DROP_IP_HEADER,
	  .in = { UDP(REMOTE, 53, EXT, 20000), .payload = 18, .edits = { { IP, 0x4f } } } },
	{ "ip-total-length-0", OUTSIDE, .verdict = CGN_DROP_IP_HEADER,
	  .in = { UDP(REMOTE, 53, EXT, 20000), .payload = 18, .edits = { { IP + 2, 0 }, { IP + 3, 0 } } } },
	{ "ip-total-length-beyond", OUTSIDE, .verdict = CGN_DROP_IP_HEADER,
	  .in = { UDP(REMOTE, 53, EXT, 20000), .payload = 18, .edits = { { IP + 3, 47 } } } },
	{ "udp-length-7", INSIDE, .verdict = CGN_DROP_L4_HEADER, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18, .edits = { { L4 + 5, 7 } } } },
	{ "udp-length-beyond", INSIDE, .verdict = CGN_DROP_L4_HEADER, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18, .edits = { { L4 + 5, 27 } } } },
	{ "udp-header-in-the-padding", INSIDE, .verdict = CGN_DROP_L4_HEADER,
	  .in = { UDP(A, 5000, REMOTE, 53), .payload = 0, .padded = true, .edits = { { IP + 3, 27 }, { L4 + 5, 8 } } } },
	{ "tcp-data-offset-4", INSIDE, .verdict = CGN_DROP_L4_HEADER, .in = { TCP(FRAME_ACK, A, 5001, REMOTE, 80), .edits = { { L4 + 12, 0x40 } } } },
	{ "tcp-data-offset-beyond", INSIDE, .verdict = CGN_DROP_L4_HEADER,
	  .in = { TCP(FRAME_ACK, A, 5001, REMOTE, 80), .payload = 4, .tail = 40, .edits = { { L4 + 12, 0x70 } } } },
	{ "icmp-header-cut", OUTSIDE, .verdict = CGN_DROP_L4_HEADER,
	  .in = { ICMP(ECHO_REPLY, REMOTE, 20077, EXT), .tail = 20, .edits = { { IP + 3, 27 } } } },
	{ "inner-version", OUTSIDE, .verdict = CGN_DROP_ICMP_INNER,
	  .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, udp_sent), .edits = { { L4 + 8, 0x55 } } } },
	{ "inner-header-length", OUTSIDE, .verdict = CGN_DROP_ICMP_INNER,
	  .in = { ERROR(UNREACHABLE, 3, REMOTE, EXT, udp_sent), .edits = { { L4 + 8, 0x4f } } } },
	{ "not-ip", INSIDE, .verdict = CGN_DROP_NOT_IP, .in = { .ethertype = 0x8864, .payload = 46 } },
	{ "three-vlans", INSIDE, .verdict = CGN_DROP_NOT_IP, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18, .vlan_tags = 3 } },
	{ "vlan-unknown", INSIDE, .verdict = CGN_DROP_VLAN, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18, .tags = { 200 } } },
	{ "vlan-unknown-inside", OUTSIDE, .verdict = CGN_DROP_VLAN, .in = { UDP(REMOTE, 53, EXT, 20000), .tags = { 101, 7 } } },
	{ "vlan-of-another-kind", OUTSIDE, .verdict = CGN_DROP_VLAN, .in = { UDP(REMOTE, 53, EXT, 20000), .tags = { 0x8000 | 101 } } },
	{ "vlan-unknown-ipv6", INSIDE, .verdict = CGN_DROP_VLAN, .in = { .source6 = "fd00:1::2", .destination6 = "fd00:1::1", .tags = { 200 } } },
	{ "short-vlan", INSIDE, .verdict = CGN_DROP_SHORT, .in = { .ethertype = 0x8100, .payload = 3 } },
	{ "short-ip", OUTSIDE, .verdict = CGN_DROP_SHORT, .in = { .vlan_tags = 1, .ethertype = 0x88a8, .payload = 2 } },
	{ "martian-loopback", INSIDE, .verdict = CGN_DROP_MARTIAN, .in = { UDP(A, 5000, "127.0.0.1", 53), .payload = 18 } },
	{ "martian-zero", INSIDE, .verdict = CGN_DROP_MARTIAN, .in = { UDP(A, 5000, "0.0.0.1", 53), .payload = 18 } },
	{ "martian-class-e", OUTSIDE, .verdict = CGN_DROP_MARTIAN, .in = { UDP(REMOTE, 5000, "240.0.0.1", 53), .payload = 18 } },
	{ "martian-source-loopback", OUTSIDE, .verdict = CGN_DROP_MARTIAN, .in = { UDP("127.0.0.1", 53, EXT, 20000), .payload = 18 } },
	{ "martian-source-multicast", OUTSIDE, .verdict = CGN_DROP_MARTIAN, .in = { UDP("224.0.0.1", 53, EXT, 20000), .payload = 18 } },
	{ "martian-source-ours", OUTSIDE, .verdict = CGN_DROP_MARTIAN, .in = { UDP(EXT2, 53, EXT, 20000), .payload = 18 } },
	{ "spoofed", OUTSIDE, .verdict = CGN_DROP_SPOOFED, .in = { UDP(B, 53, EXT, 20000), .payload = 18 } },
	{ "spoofed-itself", OUTSIDE, .verdict = CGN_DROP_SPOOFED, .in = { TCP(FRAME_SYN, A, 80, EXT, 20001), .vlan_tags = 1 } },
	{ "spoofed-last-of-its-prefix", OUTSIDE, .verdict = CGN_DROP_SPOOFED, .in = { UDP("198.51.100.255", 53, EXT, 20000), .payload = 18 } },
	{ "spoofed-no-mapping", OUTSIDE, .verdict = CGN_DROP_SPOOFED, .in = { UDP(B, 53, EXT, 20999), .payload = 18 } },
	{ "spoofed-echo", OUTSIDE, .verdict = CGN_DROP_SPOOFED, .in = { ICMP(ECHO_REPLY, B, 20077, EXT), .payload = 8 } },
	{ "not-spoofed-error", OUTSIDE, .verdict = CGN_INBOUND,
	  .in = { ERROR(TIME_EXCEEDED, 0, "10.9.0.1", EXT, udp_sent), .inner_length = 48, .fragment_id = 42, .fragment = MORE },
	  .out = { .destination = A, .inner = &udp_sent_inside } },
	{ "not-spoofed-error-last", OUTSIDE, .verdict = CGN_INBOUND,
	  .in = { FOLLOW_ON("10.9.0.1", EXT), .fragment_id = 42, .fragment = 7, .payload = 8 }, .out = { .destination = A } },
	{ "spoofed-fragment", OUTSIDE, .verdict = CGN_DROP_SPOOFED,
	  .in = { UDP(B, 53, EXT, 20000), .fragment_id = 41, .fragment = MORE, .payload = 504 } },
	{ "spoofed-follow-on", OUTSIDE, .verdict = CGN_DROP_FRAGMENT,
	  .in = { UDP(B, 0, EXT, 0), .fragment_id = 41, .fragment = 64, .payload = 504 } },
	{ "not-spoofed-first-octet", OUTSIDE, .verdict = CGN_INBOUND, .in = { UDP("198.51.99.9", 53, EXT, 20000), .payload = 18 },
	  .out = { BECOMES("198.51.99.9", 53, A, 5000) } },
	{ "not-spoofed-next-prefix", OUTSIDE, .verdict = CGN_INBOUND, .in = { UDP("198.51.101.0", 53, EXT, 20000), .payload = 18 },
	  .out = { BECOMES("198.51.101.0", 53, A, 5000) } },
	{ "ttl-out", INSIDE, .verdict = CGN_DROP_TTL, .report = CGN_REPORT_TTL, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18, .ttl = 1 } },
	{ "ttl-not-subscriber", INSIDE, .verdict = CGN_DROP_TTL, .in = { UDP("198.18.0.1", 5000, REMOTE, 53), .payload = 18, .ttl = 1 } },
	{ "ttl-out-new", INSIDE, .verdict = CGN_DROP_TTL, .report = CGN_REPORT_TTL, .in = { UDP(A, 5555, REMOTE, 53), .payload = 18, .ttl = 1 } },
	{ "ttl-in", OUTSIDE, .verdict = CGN_DROP_TTL, .report = CGN_REPORT_TTL, .in = { UDP(REMOTE, 53, EXT, 20000), .payload = 18, .ttl = 1 } },
	{ "ttl-hairpin", INSIDE, .verdict = CGN_DROP_TTL, .report = CGN_REPORT_TTL, .in = { UDP(A, 5000, EXT, 30000), .payload = 18, .ttl = 1 } },
	{ "l4-port-0", INSIDE, .verdict = CGN_DROP_L4_HEADER, .in = { UDP(A, 0, REMOTE, 53), .payload = 18 } },
	{ "l4-to-port-0", INSIDE, .verdict = CGN_DROP_L4_HEADER, .in = { TCP(FRAME_SYN, A, 5001, REMOTE, 0) } },
	{ "protocol", INSIDE, .verdict = CGN_DROP_PROTOCOL, .in = { .source = A, .destination = REMOTE, .protocol = 50, .payload = 40 } },
	{ "protocol-in", OUTSIDE, .verdict = CGN_DROP_PROTOCOL, .in = { .source = REMOTE, .destination = EXT, .protocol = 132, .payload = 40 } },
	{ "not-subscriber", INSIDE, .verdict = CGN_DROP_NOT_SUBSCRIBER, .in = { UDP("198.18.0.1", 5000, REMOTE, 53), .payload = 18 } },
	{ "no-mapping", OUTSIDE, .verdict = CGN_DROP_NO_MAPPING, .in = { UDP(REMOTE, 53, EXT, 30002), .payload = 18 } },
	{ "no-mapping-other-protocol", OUTSIDE, .verdict = CGN_DROP_NO_MAPPING, .in = { TCP(FRAME_SYN, REMOTE, 53, EXT, 30000) } },
	{ "no-mapping-other-address", OUTSIDE, .verdict = CGN_DROP_NO_MAPPING, .in = { UDP(REMOTE, 53, EXT2, 20000), .payload = 18 } },
	{ "no-mapping-hairpin", INSIDE, .verdict = CGN_DROP_NO_MAPPING, .in = { UDP(A, 5556, EXT, 30002), .payload = 18 } },
	{ "not-ours", OUTSIDE, .verdict = CGN_DROP_NOT_OURS, .in = { UDP(REMOTE, 53, A, 5000), .payload = 18 } },
	{ "not-ours-transit", OUTSIDE, .verdict = CGN_DROP_NOT_OURS, .in = { UDP(REMOTE, 53, "8.8.8.8", 5000), .payload = 18 } },
	{ "not-opening-ack", INSIDE, .verdict = CGN_DROP_NOT_OPENING, .in = { TCP(FRAME_ACK, A, 5557, REMOTE, 80) } },
	{ "not-opening-syn-fin", INSIDE, .verdict = CGN_DROP_NOT_OPENING, .in = { TCP(FRAME_SYN | FRAME_FIN, A, 5557, REMOTE, 80) } },
	{ "not-opening-echo-reply", INSIDE, .verdict = CGN_DROP_NOT_OPENING, .in = { ICMP(ECHO_REPLY, A, 5557, REMOTE), .payload = 8 } },
	{ "quota", INSIDE, .verdict = CGN_DROP_QUOTA, .report = CGN_REPORT_UNREACHABLE, .in = { UDP("198.51.100.50", 1112, REMOTE, 53), .payload = 18 }, .before = use_up_quota },
	{ "race", INSIDE, .verdict = CGN_DROP_RACE, .in = { UDP("198.51.100.20", 1112, REMOTE, 53), .payload = 18 }, .before = mark_gone,
	  .after = unmark_gone },
	{ "ttl-out-identifier", INSIDE, .verdict = CGN_DROP_TTL, .report = CGN_REPORT_TTL,
	  .in = { ICMP(ECHO_REQUEST, A, 77, REMOTE), .payload = 57, .ttl = 1 } },
	{ "ttl-out-vlans", INSIDE, .verdict = CGN_DROP_TTL, .report = CGN_REPORT_TTL,
	  .in = { TCP(FRAME_SYN, A, 5001, REMOTE, 80), .vlan_tags = 2, .option_words = 10, .ttl = 1, .tail = 13 } },
	{ "ttl-out-smallest", INSIDE, .verdict = CGN_DROP_TTL, .report = CGN_REPORT_TTL,
	  .in = { UDP(A, 5000, REMOTE, 53), .payload = 1, .padded = true, .ttl = 1, .vlan_tags = 1 } },
	{ "ttl-out-548", INSIDE, .verdict = CGN_DROP_TTL, .report = CGN_REPORT_TTL, .in = { UDP(A, 5000, REMOTE, 53), .payload = 520, .ttl = 1 } },
	{ "ttl-out-549", INSIDE, .verdict = CGN_DROP_TTL, .report = CGN_REPORT_TTL, .in = { UDP(A, 5000, REMOTE, 53), .payload = 521, .ttl = 1 } },
	{ "ttl-out-long", INSIDE, .verdict = CGN_DROP_TTL, .report = CGN_REPORT_TTL,
	  .in = { UDP(A, 5000, REMOTE, 53), .payload = 1472, .ttl = 1, .no_checksum = true } },
	{ "ttl-out-first-fragment", INSIDE, .verdict = CGN_DROP_TTL, .report = CGN_REPORT_TTL,
	  .in = { UDP(A, 5000, REMOTE, 53), .fragment_id = 99, .fragment = MORE, .payload = 504, .ttl = 1 } },
	{ "ttl-in-long", OUTSIDE, .verdict = CGN_DROP_TTL, .report = CGN_REPORT_TTL,
	  .in = { TCP(FRAME_ACK, "8.8.4.4", 80, EXT, 20001), .payload = 1000, .ttl = 1, .vlan_tags = 1 } },
	{ "ttl-in-no-way-back", OUTSIDE, .verdict = CGN_DROP_TTL, .report = CGN_REPORT_TTL,
	  .in = { UDP("203.0.114.1", 53, EXT, 20000), .payload = 18, .ttl = 1 } },	/* from the interface's address */
	{ "ttl-in-no-address", OUTSIDE, .verdict = CGN_DROP_TTL, .report = CGN_REPORT_WITHHELD,
	  .in = { UDP("203.0.114.1", 53, EXT, 20000), .payload = 18, .ttl = 1 }, .before = take_address, .after = give_address },
	{ "ttl-out-broadcast-frame", INSIDE, .verdict = CGN_DROP_TTL,
	  .in = { UDP(A, 5000, REMOTE, 53), .payload = 18, .ttl = 1, .destination_mac = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } } },
	{ "ttl-out-from-nobody", INSIDE, .verdict = CGN_DROP_TTL, .in = { UDP("0.0.0.0", 5000, REMOTE, 53), .payload = 18, .ttl = 1 } },
	{ "ttl-out-from-loopback", INSIDE, .verdict = CGN_DROP_TTL, .in = { UDP("127.0.0.1", 5000, REMOTE, 53), .payload = 18, .ttl = 1 } },
	{ "ttl-out-from-many", INSIDE, .verdict = CGN_DROP_TTL, .in = { UDP("224.0.0.1", 5000, REMOTE, 53), .payload = 18, .ttl = 1 } },
	{ "ttl-out-from-us", INSIDE, .verdict = CGN_DROP_TTL, .in = { UDP(EXT, 5000, REMOTE, 53), .payload = 18, .ttl = 1 } },
	{ "no-route", INSIDE, .verdict = CGN_DROP_NO_ROUTE, .in = { UDP(A, 5558, "203.0.114.1", 53), .payload = 18 } },
	{ "no-egress-out", INSIDE, .verdict = CGN_DROP_NO_EGRESS, .in = { UDP(A, 5559, "203.0.116.1", 53), .payload = 18 } },
	{ "no-egress-to-neighbour", INSIDE, .verdict = CGN_DROP_NO_EGRESS, .in = { UDP(A, 5559, B, 53), .payload = 18 } },
	{ "no-egress-unresolved", INSIDE, .verdict = CGN_DROP_NO_EGRESS, .in = { UDP(A, 5559, "198.51.100.78", 53), .payload = 18 } },
	{ "no-egress-in", OUTSIDE, .verdict = CGN_DROP_NO_EGRESS, .in = { UDP(REMOTE, 53, EXT2, 40000), .payload = 18 } },
	{ "too-big", INSIDE, .verdict = CGN_DROP_TOO_BIG, .report = CGN_REPORT_TOO_BIG, .mtu = 1000,
	  .in = { UDP(A, 5560, "203.0.115.1", 53), .payload = 973, .fragment = DF } },
	{ "too-big-known", INSIDE, .verdict = CGN_DROP_TOO_BIG, .report = CGN_REPORT_TOO_BIG, .mtu = 1000,
	  .in = { TCP(FRAME_ACK, A, 5001, "203.0.115.1", 80), .payload = 1460, .fragment = DF, .vlan_tags = 2 } },
	{ "too-big-in", OUTSIDE, .verdict = CGN_DROP_TOO_BIG, .report = CGN_REPORT_TOO_BIG, .mtu = 1500,
	  .in = { UDP(REMOTE, 53, EXT, 20000), .payload = 1473, .fragment = DF } },
	{ "too-big-hairpin", INSIDE, .verdict = CGN_DROP_TOO_BIG, .report = CGN_REPORT_TOO_BIG, .mtu = 1500,
	  .in = { UDP(A, 5000, EXT, 30000), .payload = 1473, .fragment = DF } },
	{ "too-big-error", INSIDE, .verdict = CGN_DROP_TOO_BIG,		/* no error about an error */
	  .in = { ERROR(UNREACHABLE, 3, A, "203.0.115.1", long_came), .fragment = DF } },
	{ "not-too-big", INSIDE, .verdict = CGN_OUTBOUND, .in = { UDP(A, 5000, "203.0.115.1", 53), .payload = 972, .fragment = DF },
	  .out = { BECOMES(EXT, 20000, "203.0.115.1", 53) } },
	{ "fragmented", INSIDE, .verdict = CGN_FRAGMENTED, .in = { UDP(A, 5000, "203.0.115.1", 53), .payload = 973 },
	  .out = { BECOMES(EXT, 20000, "203.0.115.1", 53) } },
	{ "fragmented-vlan", INSIDE, .verdict = CGN_FRAGMENTED, .in = { UDP(A, 5000, "203.0.115.1", 53), .payload = 1200, .vlan_tags = 1 },
	  .out = { BECOMES(EXT, 20000, "203.0.115.1", 53) } },
	{ "fragmented-in", OUTSIDE, .verdict = CGN_FRAGMENTED, .in = { UDP(REMOTE, 53, EXT, 20000), .payload = 1473 },
	  .out = { BECOMES(REMOTE, 53, A, 5000) } },
	{ "fragmented-hairpin", INSIDE, .verdict = CGN_FRAGMENTED, .in = { UDP(A, 5000, EXT, 30000), .payload = 1600 },
	  .out = { BECOMES(EXT, 20000, B, 6000) } },
	{ "not-ready", INSIDE, .verdict = CGN_DROP_NOT_READY, .in = { UDP(A, 5000, REMOTE, 53), .payload = 18 }, .before = clear_settings,
	  .after = restore_settings },
	{ "not-ready-in", OUTSIDE, .verdict = CGN_DROP_NOT_READY, .in = { UDP(REMOTE, 53, EXT, 20000), .payload = 18 }, .before = clear_settings,
	  .after = restore_settings },

	/* ---- nothing left ---- */
	{ "exhausted", SCENE_SMALL, INSIDE, .verdict = CGN_DROP_EXHAUSTED, .report = CGN_REPORT_UNREACHABLE, .in = { UDP("198.51.100.4", 1111, REMOTE, 53), .payload = 18 },
	  .before = take_both_blocks },
	{ "subscribers-full", SCENE_SMALL, INSIDE, .verdict = CGN_DROP_TABLE_FULL, .in = { UDP("198.51.100.5", 1111, REMOTE, 53), .payload = 18 } },
	{ "mappings-full", SCENE_TINY, INSIDE, .verdict = CGN_DROP_TABLE_FULL, .in = { UDP("198.51.100.4", 1112, REMOTE, 53), .payload = 18 },
	  .before = fill_mappings },

	/* ---- address-dependent filtering ---- */
	{ "unasked", SCENE_ASKED, OUTSIDE, .verdict = CGN_DROP_UNASKED, .in = { UDP("203.0.113.10", 53, EXT, 20000), .payload = 18 },
	  .before = write_to_remote },
	{ "asked", SCENE_ASKED, OUTSIDE, .verdict = CGN_INBOUND, .in = { UDP(REMOTE, 54, EXT, 20000), .payload = 18 },
	  .out = { BECOMES(REMOTE, 54, A, 5000) } },

	/* ---- MSS: no more than 1300 ---- */
	{ "mss-out", SCENE_CLAMPED, INSIDE, .verdict = CGN_OUTBOUND, .in = { TCP(FRAME_SYN, A, 5001, REMOTE, 80), OPTIONS(1, MSS(1460)) },
	  .out = { BECOMES(EXT, 20001, REMOTE, 80), OPTIONS(1, MSS(1300)) } },
	{ "mss-out-first", SCENE_CLAMPED, INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { TCP(FRAME_SYN, A, 1235, REMOTE, 80), OPTIONS(10, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7, MSS(65535)), .vlan_tags = 2 },
	  .out = { BECOMES(MAPPED, 0, REMOTE, 80), OPTIONS(10, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7, MSS(1300)) } },
	{ "mss-out-odd-place", SCENE_CLAMPED, INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { TCP(FRAME_SYN, A, 5001, REMOTE, 80), OPTIONS(2, 1, MSS(1461), 1, 1, 0), .option_words = 3, .payload = 5 },
	  .out = { BECOMES(EXT, 20001, REMOTE, 80), OPTIONS(2, 1, MSS(1300), 1, 1, 0) } },
	{ "mss-out-last", SCENE_CLAMPED, INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { TCP(FRAME_SYN, A, 5001, REMOTE, 80), OPTIONS(10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
							       1, 1, 1, 1, 1, 1, 1, 1, 1, 1, MSS(1301)) },
	  .out = { BECOMES(EXT, 20001, REMOTE, 80), OPTIONS(10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
							    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, MSS(1300)) } },
	{ "mss-in", SCENE_CLAMPED, OUTSIDE, .verdict = CGN_INBOUND,
	  .in = { TCP(FRAME_SYN | FRAME_ACK, REMOTE, 80, EXT, 20001), OPTIONS(2, MSS(9000), 1, 3, 3, 7) },
	  .out = { BECOMES(REMOTE, 80, A, 5001), OPTIONS(2, MSS(1300), 1, 3, 3, 7) } },
	{ "mss-hairpin", SCENE_CLAMPED, INSIDE, .verdict = CGN_HAIRPIN,
	  .in = { TCP(FRAME_SYN, A, 5001, EXT, 30001), OPTIONS(1, MSS(1460)) },
	  .out = { BECOMES(EXT, 20001, B, 6001), OPTIONS(1, MSS(1300)) } },
	{ "mss-small-enough", SCENE_CLAMPED, INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { TCP(FRAME_SYN, A, 5001, REMOTE, 80), OPTIONS(1, MSS(1300)) }, .out = { BECOMES(EXT, 20001, REMOTE, 80) } },
	{ "mss-of-no-syn", SCENE_CLAMPED, INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { TCP(FRAME_ACK, A, 5001, REMOTE, 80), OPTIONS(1, MSS(1460)), .payload = 9 }, .out = { BECOMES(EXT, 20001, REMOTE, 80) } },
	{ "mss-of-fin", SCENE_CLAMPED, INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { TCP(FRAME_FIN | FRAME_ACK, A, 5001, REMOTE, 80), OPTIONS(1, MSS(1460)) }, .out = { BECOMES(EXT, 20001, REMOTE, 80) } },
	{ "mss-none", SCENE_CLAMPED, INSIDE, .verdict = CGN_OUTBOUND, .in = { TCP(FRAME_SYN, A, 5001, REMOTE, 80), .payload = 4 },
	  .out = { BECOMES(EXT, 20001, REMOTE, 80) } },
	{ "mss-behind-the-end", SCENE_CLAMPED, INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { TCP(FRAME_SYN, A, 5001, REMOTE, 80), OPTIONS(2, 1, 0, MSS(1460)) }, .out = { BECOMES(EXT, 20001, REMOTE, 80) } },
	{ "mss-in-the-payload", SCENE_CLAMPED, INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { TCP(FRAME_SYN, A, 5001, REMOTE, 80), OPTIONS(1, 1, 1, 1, 2), .payload = 4, .first_word = 0x0440 },
	  .out = { BECOMES(EXT, 20001, REMOTE, 80) } },
	{ "mss-of-3-bytes", SCENE_CLAMPED, INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { TCP(FRAME_SYN, A, 5001, REMOTE, 80), OPTIONS(2, 2, 3, 5, MSS(1460)) }, .out = { BECOMES(EXT, 20001, REMOTE, 80) } },
	{ "mss-behind-length-0", SCENE_CLAMPED, INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { TCP(FRAME_SYN, A, 5001, REMOTE, 80), OPTIONS(2, 8, 0, MSS(1460)) }, .out = { BECOMES(EXT, 20001, REMOTE, 80) } },
	{ "mss-behind-length-255", SCENE_CLAMPED, INSIDE, .verdict = CGN_OUTBOUND,
	  .in = { TCP(FRAME_SYN, A, 5001, REMOTE, 80), OPTIONS(2, 8, 255, MSS(1460)) }, .out = { BECOMES(EXT, 20001, REMOTE, 80) } },
	{ "mss-unclamped", INSIDE, .verdict = CGN_OUTBOUND, .in = { TCP(FRAME_SYN, A, 5001, REMOTE, 80), OPTIONS(1, MSS(1460)) },
	  .out = { BECOMES(EXT, 20001, REMOTE, 80) } },
};

const unsigned fixture_count = sizeof(fixtures) / sizeof(fixtures[0]);
