/* SPDX-License-Identifier: GPL-2.0-only */
/* Several interfaces behind one NIC: told apart by VLAN tags, or by addresses where one has both sides. Tags of the ingress go, those of
 * the egress come; routes, forwarding and MTU are those of the interface that the tags stand for. The devices with addresses are veths
 * here, for the kernel of the tests may have no VLANs; the configuration says which tags they stand for.
 *
 *   nic:  v100 198.51.101.1 (VLAN 100)   v101 198.51.102.1 (101)   v200 203.0.120.1 (200, MTU 1300)
 *         q300 203.0.121.1 (30 in 802.1ad 300)   m400 (400, the kernel's)
 *   nicb: 198.51.103.1 and 203.0.122.1, both sides without tags */
#include <linux/bpf.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include "dataplane_internal.h"
#include "frame.h"
#include "plane.h"

#define CONFIG \
	"interfaces:\n  - {name: in0, side: internal}\n  - {name: out0, side: external}\n" \
	"  - {name: v100, side: internal, link: nic, vlans: [100]}\n  - {name: v101, side: internal, link: nic, vlans: [101]}\n" \
	"  - {name: v200, side: external, link: nic, vlans: [200]}\n  - {name: q300, side: external, link: nic, vlans: [300, 30]}\n" \
	"  - {name: m400, side: none, link: nic, vlans: [400]}\n  - {name: nicb, side: both}\n" \
	"pools:\n  - {addresses: [192.0.2.1/32, 192.0.2.2/32]}\nsubscribers: {prefixes: [198.51.100.0/22]}\n" \
	"icmp-errors: {sender: 1000000, total: 1000000}\ntables: {mappings: 4096, subscribers: 64}\n"

#define EXT "192.0.2.1"
#define HOST "198.51.101.2"
#define SHARED "198.51.103.2"	/* behind nicb */
#define AD 0x8000
#define DF 0x4000
#define UDP(from, from_port, to, to_port) \
	.source = (from), .source_port = (from_port), .destination = (to), .destination_port = (to_port), .protocol = IPPROTO_UDP, .payload = 30

static struct plane plane;
static uint32_t nic, nicb;

static void build(void)
{
	static const char *const devices[][3] = {
		{ "nic", "", "" }, { "v100", "198.51.101.1/24", "198.51.101.2" }, { "v101", "198.51.102.1/24", "198.51.102.2" },
		{ "v200", "203.0.120.1/24", "203.0.120.9" }, { "q300", "203.0.121.1/24", "203.0.121.9" }, { "m400", "", "" },
		{ "nicb", "203.0.122.1/24", "203.0.122.9" },
	};
	size_t i;

	for (i = 0; i < sizeof(devices) / sizeof(*devices); i++) {
		plane_command("ip link add %s type veth peer name %sp && ip link set %s up && ip link set %sp up", devices[i][0], devices[i][0],
			      devices[i][0], devices[i][0]);
		if (*devices[i][1])
			plane_command("ip address add %s dev %s && ip neighbour add %s lladdr 02:00:00:00:03:0%zu nud permanent dev %s",
				      devices[i][1], devices[i][0], devices[i][2], i, devices[i][0]);
	}
	plane_command("ip address add 198.51.103.1/24 dev nicb && ip neighbour add 198.51.103.2 lladdr 02:00:00:00:03:07 nud permanent dev nicb");
	plane_command("ip link set v200 mtu 1300");
	plane_command("ip route add 198.51.99.0/24 via 198.51.102.2");
}

static void enter_all(void)
{
	struct dataplane_link_maps maps = dataplane_link_maps(plane.dp);
	struct dataplane_place place;
	struct dataplane_error error;
	unsigned i;

	for (i = 2; i < plane.config->interfaces_count; i++) {
		if (!dataplane_place(&plane.config->interfaces[i], &place, &error))
			fail_msg("%s", error.text);
		assert_true(dataplane_enter_link(&maps, &place));
	}
}

static int start(void **state)
{
	(void)state;
	plane.with_both = true;
	plane_start(&plane, CONFIG);
	if (!if_nametoindex("nic"))
		build();
	nic = if_nametoindex("nic");
	nicb = if_nametoindex("nicb");
	enter_all();
	assert_int_equal(plane_map(&plane, IPPROTO_UDP, HOST, 5000, EXT, 20000), CGN_OK);
	assert_int_equal(plane_map(&plane, IPPROTO_UDP, "198.51.102.2", 6000, EXT, 30000), CGN_OK);
	assert_int_equal(plane_map(&plane, IPPROTO_UDP, SHARED, 7000, EXT, 40000), CGN_OK);
	assert_int_equal(plane_map(&plane, IPPROTO_UDP, "198.51.100.2", 8000, EXT, 50000), CGN_OK);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	plane_stop(&plane);
	return 0;
}

static const char *name_of(int verdict)
{
	return verdict < 0 ? "nothing" : cgn_verdict_name((enum cgn_verdict)verdict);
}

static struct plane_run run;

static void expect_bytes(const char *what, const uint8_t *expected, uint32_t length)
{
	uint32_t i;

	if (run.length != length)
		fail_msg("%s: %u bytes went out, %u are right", what, run.length, length);
	for (i = 0; i < length; i++)
		if (run.frame[i] != expected[i])
			fail_msg("%s: byte %u is 0x%02x, 0x%02x is right", what, i, run.frame[i], expected[i]);
}

static void send_frame(const char *what, unsigned program, uint32_t ifindex, const struct frame *in, enum cgn_verdict verdict, uint32_t action)
{
	uint8_t bytes[FRAME_MAX];

	plane_send_by(&plane, program, ifindex, bytes, frame_build(in, bytes), &run);
	if (run.verdict != (int)verdict || run.action != action)
		fail_msg("%s: counted as %s, %s is right; XDP action %u", what, name_of(run.verdict), cgn_verdict_name(verdict), run.action);
}

/* `out` as it should go, but for the time to live. The link addresses: of that device, and of its only neighbour. */
static void expect_sent(const char *what, unsigned program, uint32_t ifindex, const struct frame *in, enum cgn_verdict verdict,
			const struct frame *out, const char *device, uint8_t neighbour)
{
	struct frame right = *out;
	uint8_t bytes[FRAME_MAX];

	send_frame(what, program, ifindex, in, verdict, XDP_REDIRECT);
	right.ttl = 63;
	plane_read_mac(device, right.source_mac);
	memcpy(right.destination_mac, (const uint8_t[]){ 2, 0, 0, 0, 3, neighbour }, 6);
	expect_bytes(what, bytes, frame_build(&right, bytes));
}

/* Given to the kernel, or dropped. What passes passes as it came. */
static void expect_kept(const char *what, unsigned program, uint32_t ifindex, const struct frame *in, enum cgn_verdict verdict, uint32_t action)
{
	uint8_t bytes[FRAME_MAX];

	send_frame(what, program, ifindex, in, verdict, action);
	if (action == XDP_PASS)
		expect_bytes(what, bytes, frame_build(in, bytes));
}

#define BOTH CGN_EITHER_SIDE
#define F(...) &(const struct frame){ __VA_ARGS__ }

static void test_programs(void **state)
{
	char nic_name[16], vlans[16];
	unsigned i;

	(void)state;
	assert_int_equal(dataplane_program_side(plane.config, plane.ifindex[0]), CGN_INTERNAL_SIDE);
	assert_int_equal(dataplane_program_side(plane.config, plane.ifindex[1]), CGN_EXTERNAL_SIDE);
	assert_int_equal(dataplane_program_side(plane.config, nic), CGN_EITHER_SIDE);
	assert_int_equal(dataplane_program_side(plane.config, nicb), CGN_EITHER_SIDE);
	for (i = 0; i < plane.config->interfaces_count; i++) {
		assert_true(dataplane_link_text(&plane.config->interfaces[i], nic_name, vlans, sizeof(vlans)));
		if (!strcmp(plane.config->interfaces[i].name, "q300")) {
			assert_string_equal(nic_name, "nic");
			assert_string_equal(vlans, "300.30");
		}
	}
}

static void test_tags_in_and_out(void **state)
{
	(void)state;
	expect_sent("VLAN to VLAN", BOTH, nic, F(UDP(HOST, 5000, "203.0.120.9", 53), .tags = { 100 }), CGN_OUTBOUND,
		    F(UDP(EXT, 20000, "203.0.120.9", 53), .tags = { 200 }), "v200", 3);
	expect_sent("and back", BOTH, nic, F(UDP("203.0.120.9", 53, EXT, 20000), .tags = { 200 }), CGN_INBOUND,
		    F(UDP("203.0.120.9", 53, HOST, 5000), .tags = { 100 }), "v100", 1);
	expect_sent("VLAN to QinQ", BOTH, nic, F(UDP(HOST, 5000, "203.0.121.9", 53), .tags = { 100 }), CGN_OUTBOUND,
		    F(UDP(EXT, 20000, "203.0.121.9", 53), .tags = { AD | 300, 30 }), "q300", 4);
	expect_sent("QinQ to VLAN", BOTH, nic, F(UDP("203.0.121.9", 53, EXT, 20000), .tags = { AD | 300, 30 }), CGN_INBOUND,
		    F(UDP("203.0.121.9", 53, HOST, 5000), .tags = { 100 }), "v100", 1);
	expect_sent("VLAN to none", BOTH, nic, F(UDP(HOST, 5000, "203.0.122.9", 53), .tags = { 100 }), CGN_OUTBOUND,
		    F(UDP(EXT, 20000, "203.0.122.9", 53)), "nicb", 6);
	expect_sent("none to VLAN", CGN_INTERNAL_SIDE, plane.ifindex[0], F(UDP("198.51.100.2", 8000, "203.0.120.9", 53)), CGN_OUTBOUND,
		    F(UDP(EXT, 50000, "203.0.120.9", 53), .tags = { 200 }), "v200", 3);
	expect_sent("none to QinQ", CGN_INTERNAL_SIDE, plane.ifindex[0], F(UDP("198.51.100.2", 8000, "203.0.121.9", 53)), CGN_OUTBOUND,
		    F(UDP(EXT, 50000, "203.0.121.9", 53), .tags = { AD | 300, 30 }), "q300", 4);
	expect_sent("priority tag", CGN_INTERNAL_SIDE, plane.ifindex[0], F(UDP("198.51.100.2", 8000, "203.0.120.9", 53), .tags = { 101 },
		    .edits = { { 14, 0xa0 }, { 15, 0 } }), CGN_OUTBOUND, F(UDP(EXT, 50000, "203.0.120.9", 53), .tags = { 200 }), "v200", 3);
	expect_sent("hairpin", BOTH, nic, F(UDP(HOST, 5000, EXT, 30000), .tags = { 100 }), CGN_HAIRPIN,
		    F(UDP(EXT, 20000, "198.51.102.2", 6000), .tags = { 101 }), "v101", 2);
}

static void test_strangers(void **state)
{
	(void)state;
	expect_kept("unknown VLAN", BOTH, nic, F(UDP(HOST, 5000, "203.0.120.9", 53), .tags = { 999 }), CGN_DROP_VLAN, XDP_DROP);
	expect_kept("tags the other way round", BOTH, nic, F(UDP("203.0.121.9", 53, EXT, 20000), .tags = { AD | 30, 300 }), CGN_DROP_VLAN, XDP_DROP);
	expect_kept("one tag of two", BOTH, nic, F(UDP("203.0.121.9", 53, EXT, 20000), .tags = { AD | 300 }), CGN_DROP_VLAN, XDP_DROP);
	expect_kept("no tag", BOTH, nic, F(UDP(HOST, 5000, "203.0.120.9", 53)), CGN_DROP_VLAN, XDP_DROP);
	expect_kept("ARP of an unknown VLAN", BOTH, nic, F(.ethertype = 0x0806, .payload = 28, .tags = { 999 }), CGN_CONTROL, XDP_PASS);
	expect_kept("the kernel's VLAN", BOTH, nic, F(UDP(HOST, 5000, "203.0.120.9", 53), .tags = { 400 }), CGN_UNTOUCHED, XDP_PASS);
	expect_kept("a host behind the wrong VLAN", BOTH, nic, F(UDP(HOST, 5000, "203.0.120.9", 53), .tags = { 200 }), CGN_DROP_NOT_OURS, XDP_DROP);
	expect_kept("to another inside", BOTH, nic, F(UDP(HOST, 5000, "198.51.99.7", 53), .tags = { 100 }), CGN_DROP_NO_EGRESS, XDP_DROP);
}

/* Routes, forwarding and addresses are those of the interface that the tags stand for. */
static void test_logical_interface(void **state)
{
	struct frame unresolved = { UDP(HOST, 5000, "203.0.120.77", 53), .tags = { 100 } };
	uint8_t bytes[FRAME_MAX];

	(void)state;
	expect_kept("to the box", BOTH, nic, F(UDP(HOST, 5000, "198.51.101.1", 5351), .tags = { 100 }), CGN_LOCAL, XDP_PASS);
	plane_write("/proc/sys/net/ipv4/conf/v100/forwarding", "0");
	assert_true(dataplane_reroute(plane.dp));
	expect_kept("forwarding off", BOTH, nic, F(UDP(HOST, 5000, "203.0.120.10", 53), .tags = { 100 }), CGN_FORWARDING_OFF, XDP_PASS);
	send_frame("of that VLAN only", BOTH, nic, F(UDP("198.51.102.2", 6000, "203.0.120.10", 53), .tags = { 101 }), CGN_NEIGHBOUR_UNKNOWN, XDP_PASS);
	plane_write("/proc/sys/net/ipv4/conf/v100/forwarding", "1");
	send_frame("unresolved", BOTH, nic, &unresolved, CGN_NEIGHBOUR_UNKNOWN, XDP_PASS);
	unresolved.source = EXT;
	unresolved.source_port = 20000;
	expect_bytes("the kernel takes it for the VLAN's", bytes, frame_build(&unresolved, bytes));
}

static void expect_report(const char *what, const struct frame *in, const char *source, uint8_t type, uint16_t mtu)
{
	struct frame report = { .tags = { in->tags[0], in->tags[1] }, .tos = 0xc0, .fragment = DF, .destination = in->source, .source = source,
		.protocol = IPPROTO_ICMP, .icmp_type = type, .icmp_code = type == 3 ? 4 : 0, .inner = in, .inner_length = 548, .mtu = mtu };
	uint8_t bytes[FRAME_MAX];

	expect_bytes(what, bytes, frame_build(&report, bytes));
}

static void test_reports_and_mtu(void **state)
{
	static const struct frame late = { UDP(HOST, 5000, "203.0.120.9", 53), .tags = { 100 }, .ttl = 1 };
	struct frame large = { UDP(HOST, 5000, "203.0.120.9", 53), .tags = { 100 }, .fragment = DF };
	struct frame came = { UDP("203.0.121.9", 53, EXT, 20000), .tags = { AD | 300, 30 }, .ttl = 1 };

	(void)state;
	send_frame("time to live", BOTH, nic, &late, CGN_DROP_TTL, XDP_REDIRECT);
	expect_report("time exceeded", &late, "198.51.101.1", 11, 0);
	send_frame("time to live outside", BOTH, nic, &came, CGN_DROP_TTL, XDP_REDIRECT);
	expect_report("time exceeded outside", &came, "203.0.121.1", 11, 0);
	large.payload = 1301 - 28;
	send_frame("beyond the MTU of v200", BOTH, nic, &large, CGN_DROP_TOO_BIG, XDP_REDIRECT);
	expect_report("fragmentation needed", &large, "198.51.101.1", 3, 1300);
	large.payload = 1300 - 28;
	send_frame("as large as v200 takes", BOTH, nic, &large, CGN_OUTBOUND, XDP_REDIRECT);
	large.payload = 1301 - 28;
	large.fragment = 0;
	send_frame("beyond the MTU of v200, to be cut", BOTH, nic, &large, CGN_FRAGMENTED, XDP_PASS);
	large.fragment = DF;
	large.destination = "203.0.122.9";
	large.payload = 1500 - 28;
	send_frame("as large as nicb takes", BOTH, nic, &large, CGN_OUTBOUND, XDP_REDIRECT);
	large.destination = "203.0.121.9";
	send_frame("with the second tag it is too large for the NIC", BOTH, nic, &large, CGN_DROP_TOO_BIG, XDP_REDIRECT);
	expect_report("fragmentation needed by tags", &large, "198.51.101.1", 3, 1496);
	plane_command("ip link set nic mtu 1504");
	assert_true(dataplane_reroute(plane.dp));
	send_frame("whose MTU is larger", BOTH, nic, &large, CGN_OUTBOUND, XDP_REDIRECT);
	plane_command("ip link set nic mtu 1500");
}

/* One NIC without tags, and both sides: by addresses. */
static void test_both_sides(void **state)
{
	struct frame first = { UDP(SHARED, 7000, "203.0.122.9", 53), .fragment = 0x2000, .fragment_id = 7 };
	struct frame last = { UDP(SHARED, 0, "203.0.122.9", 0), .fragment = 4, .fragment_id = 7 };

	(void)state;
	expect_sent("out", BOTH, nicb, F(UDP(SHARED, 7000, "203.0.122.9", 53)), CGN_OUTBOUND, F(UDP(EXT, 40000, "203.0.122.9", 53)), "nicb", 6);
	expect_sent("in", BOTH, nicb, F(UDP("203.0.122.9", 53, EXT, 40000)), CGN_INBOUND, F(UDP("203.0.122.9", 53, SHARED, 7000)), "nicb", 7);
	expect_sent("hairpin", BOTH, nicb, F(UDP(SHARED, 7000, EXT, 20000)), CGN_HAIRPIN, F(UDP(EXT, 40000, HOST, 5000), .tags = { 100 }), "v100", 1);
	expect_sent("in from a NIC with tags", BOTH, nic, F(UDP("203.0.120.9", 53, EXT, 40000), .tags = { 200 }), CGN_INBOUND,
		    F(UDP("203.0.120.9", 53, SHARED, 7000)), "nicb", 7);
	expect_kept("local", BOTH, nicb, F(UDP("203.0.122.9", 53, "203.0.122.1", 22)), CGN_LOCAL, XDP_PASS);
	expect_kept("of nobody to nobody", BOTH, nicb, F(UDP("203.0.122.9", 53, "203.0.120.9", 53)), CGN_DROP_NOT_SUBSCRIBER, XDP_DROP);
	expect_kept("no mapping", BOTH, nicb, F(UDP("203.0.122.9", 53, EXT, 40001)), CGN_DROP_NO_MAPPING, XDP_DROP);
	expect_kept("other ethertype", BOTH, nicb, F(.ethertype = 0x1234, .payload = 28), CGN_DROP_NOT_IP, XDP_DROP);
	first.payload = 24;
	send_frame("first fragment", BOTH, nicb, &first, CGN_OUTBOUND, XDP_REDIRECT);
	send_frame("last fragment", BOTH, nicb, &last, CGN_OUTBOUND, XDP_REDIRECT);
}

#define JUMBO 8042

/* A datagram of 8000 bytes in a frame of which the program sees the first page alone. */
static uint32_t jumbo(uint8_t bytes[JUMBO], const char *source, uint16_t port, const char *destination)
{
	struct frame frame = { .source = source, .source_port = port, .destination = destination, .destination_port = 53, .protocol = IPPROTO_UDP,
		.fragment = DF, .no_checksum = true };
	uint8_t head[FRAME_MAX], *ip = bytes + 14;
	uint32_t i, sum = IPPROTO_UDP + JUMBO - 34;

	memset(bytes, 0, JUMBO);
	memcpy(bytes, head, frame_build(&frame, head));
	for (i = 42; i < JUMBO; i++)
		bytes[i] = (uint8_t)(i * 11);
	ip[2] = (JUMBO - 14) >> 8;
	ip[3] = (JUMBO - 14) & 0xff;
	ip[24] = (JUMBO - 34) >> 8;
	ip[25] = (JUMBO - 34) & 0xff;
	ip[10] = ip[11] = 0;
	i = frame_checksum(ip, 20, 0);
	ip[10] = (uint8_t)(i >> 8);
	ip[11] = (uint8_t)i;
	for (i = 12; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	i = frame_checksum(ip + 20, JUMBO - 34, sum);
	ip[26] = (uint8_t)(i >> 8);
	ip[27] = (uint8_t)i;
	return JUMBO;
}

static uint32_t run_jumbo(uint8_t *bytes, uint32_t length, uint8_t ret_bytes[JUMBO], uint32_t *ret_action)
{
	struct xdp_md context = { .data_end = length, .ingress_ifindex = plane.ifindex[0] };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = bytes, .data_size_in = length, .data_out = ret_bytes, .data_size_out = JUMBO,
		    .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(plane.program[CGN_INTERNAL_SIDE], &options), 0);
	*ret_action = options.retval;
	return options.data_size_out;
}

static void test_jumbo(void **state)
{
	uint8_t in[JUMBO], out[JUMBO], right[JUMBO], mac[6];
	struct cgn_count before[CGN_VERDICT_COUNT], after[CGN_VERDICT_COUNT];
	uint32_t action;

	(void)state;
	plane_command("ip link set nicb mtu 9000");
	assert_true(dataplane_reroute(plane.dp));
	assert_true(dataplane_read_stats(plane.dp, before));
	jumbo(in, "198.51.100.2", 8000, "203.0.122.9");
	assert_int_equal(run_jumbo(in, JUMBO, out, &action), JUMBO);
	assert_int_equal(action, XDP_REDIRECT);
	assert_true(dataplane_read_stats(plane.dp, after));
	assert_int_equal(after[CGN_OUTBOUND].bytes - before[CGN_OUTBOUND].bytes, JUMBO);
	jumbo(right, EXT, 50000, "203.0.122.9");
	plane_read_mac("nicb", mac);
	memcpy(right, (const uint8_t[]){ 2, 0, 0, 0, 3, 6 }, 6);
	memcpy(right + 6, mac, 6);
	right[14 + 8] = 63;
	right[14 + 10] = out[14 + 10];	/* the sum of the header is checked below */
	right[14 + 11] = out[14 + 11];
	assert_memory_equal(out, right, JUMBO);
	assert_int_equal(frame_checksum(out + 14, 20, 0), 0);
	/* shorter than it says, if only by one byte that nobody here has seen */
	run_jumbo(in, JUMBO - 1, out, &action);
	assert_int_equal(action, XDP_DROP);
	/* too long for the egress: the whole of it becomes a report */
	plane_command("ip link set nicb mtu 4000");
	assert_true(dataplane_reroute(plane.dp));
	assert_int_equal(run_jumbo(in, JUMBO, out, &action), 14 + 576);
	assert_int_equal(action, XDP_REDIRECT);
	assert_int_equal(out[14 + 26] << 8 | out[14 + 27], 4000);
	assert_memory_equal(out + 14 + 28, in + 14, 548);
	plane_command("ip link set nicb mtu 1500");
	assert_true(dataplane_reroute(plane.dp));
}

static void test_detached(void **state)
{
	struct dataplane_link_maps maps = dataplane_link_maps(plane.dp);
	uint32_t v200 = if_nametoindex("v200");

	(void)state;
	dataplane_forget_link(&maps, v200, nic);
	expect_kept("comes by what is detached", BOTH, nic, F(UDP("203.0.120.9", 53, EXT, 20000), .tags = { 200 }), CGN_DROP_VLAN, XDP_DROP);
	expect_kept("would leave by it", BOTH, nic, F(UDP(HOST, 5000, "203.0.120.9", 53), .tags = { 100 }), CGN_DROP_NO_EGRESS, XDP_DROP);
	expect_sent("others stay", BOTH, nic, F(UDP(HOST, 5000, "203.0.121.9", 53), .tags = { 100 }), CGN_OUTBOUND,
		    F(UDP(EXT, 20000, "203.0.121.9", 53), .tags = { AD | 300, 30 }), "q300", 4);
	assert_true(dataplane_nic_is_used(&maps, nic, 0));
	dataplane_forget_link(&maps, if_nametoindex("q300"), nic);
	dataplane_forget_link(&maps, if_nametoindex("v101"), nic);
	assert_true(dataplane_nic_is_used(&maps, nic, 0));
	assert_false(dataplane_nic_is_used(&maps, nic, if_nametoindex("v100")));
	dataplane_forget_link(&maps, if_nametoindex("v100"), nic);
	expect_kept("the kernel's goes with the last", BOTH, nic, F(UDP(HOST, 1, "203.0.120.9", 53), .tags = { 400 }), CGN_DROP_VLAN, XDP_DROP);
	assert_false(dataplane_uses_interface(plane.dp, nic));
	assert_true(dataplane_uses_interface(plane.dp, nicb));
}

/* A VLAN device that is made anew has another number. */
static void test_made_anew(void **state)
{
	(void)state;
	plane_command("ip link del v101 && ip link add v101 type veth peer name v101p && ip link set v101 up && ip link set v101p up && "
		      "ip address add 198.51.102.1/24 dev v101 && ip neighbour add 198.51.102.2 lladdr 02:00:00:00:03:02 nud permanent dev v101 && "
		      "ip route add 198.51.99.0/24 via 198.51.102.2");
	assert_true(dataplane_reroute(plane.dp));
	dataplane_refresh_links(plane.dp, plane.config);
	expect_sent("by the new one", BOTH, nic, F(UDP(HOST, 5000, EXT, 30000), .tags = { 100 }), CGN_HAIRPIN,
		    F(UDP(EXT, 20000, "198.51.102.2", 6000), .tags = { 101 }), "v101", 2);
	expect_sent("from the new one", BOTH, nic, F(UDP("198.51.102.2", 6000, "203.0.120.9", 53), .tags = { 101 }), CGN_OUTBOUND,
		    F(UDP(EXT, 30000, "203.0.120.9", 53), .tags = { 200 }), "v200", 3);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_tags_in_and_out),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_logical_interface),
		cmocka_unit_test(test_reports_and_mtu),
		cmocka_unit_test(test_both_sides),
		cmocka_unit_test(test_jumbo),
		cmocka_unit_test(test_made_anew),
		cmocka_unit_test(test_detached),
	};

	return cmocka_run_group_tests_name("links", all, start, stop) ? 1 : 0;
}

int main(void)
{
	return plane_guard(tests);
}
