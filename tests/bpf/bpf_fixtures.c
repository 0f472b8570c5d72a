/* SPDX-License-Identifier: GPL-2.0-only */
/* Every verdict by frames that get it, in the kernel: counter, XDP action, and each byte of what goes out. What came and what went
 * is also written to a file, which check_frames.py reads with scapy: it knows nothing of this program's checksums. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include "fixtures.h"

#define ETHERNET_LEN 14

static struct plane plane;
static FILE *record;
static char record_path[64];
static bool lacks_scapy;

static unsigned mapping_count(void)
{
	struct cgn_internal key, next;
	unsigned count = 0;
	int fd = dataplane_map_fd(plane.dp, DP_MAPPINGS);
	bool more = !bpf_map_get_next_key(fd, NULL, &next);

	for (; more; count++) {
		key = next;
		more = !bpf_map_get_next_key(fd, &key, &next);
	}
	return count;
}

static bool is_translated(enum cgn_verdict verdict)
{
	return verdict == CGN_OUTBOUND || verdict == CGN_INBOUND || verdict == CGN_HAIRPIN || verdict == CGN_NEIGHBOUR_UNKNOWN ||
	       verdict == CGN_FRAGMENTED;
}

static uint32_t action_of(enum cgn_verdict verdict)
{
	if (verdict == CGN_OUTBOUND || verdict == CGN_INBOUND || verdict == CGN_HAIRPIN)
		return XDP_REDIRECT;
	if (verdict == CGN_NEIGHBOUR_UNKNOWN || verdict == CGN_FRAGMENTED || verdict == CGN_LOCAL || verdict == CGN_FORWARDING_OFF || verdict == CGN_CONTROL)
		return XDP_PASS;
	return XDP_DROP;
}

/* ---- frames as they come and as they should go ---- */

static void to_us(const struct fixture *fixture, struct frame *frame)
{
	static const uint8_t nobody[6], host[6] = { 2, 0, 0, 0, 9, 9 };

	*frame = fixture->in;
	memcpy(frame->source_mac, host, 6);
	if (!memcmp(frame->destination_mac, nobody, 6))
		memcpy(frame->destination_mac, plane.mac[fixture->side], 6);
}

/* The link addresses of a route by the drawing in plane.h. */
static void towards_next_hop(struct frame *frame)
{
	struct in_addr address;
	uint32_t destination;

	inet_pton(AF_INET, frame->destination, &address);
	destination = ntohl(address.s_addr);
	memcpy(frame->destination_mac, "\2\0\0\0", 4);
	if (destination >> 8 == 0xc63364) {	/* 198.51.100.0/24 */
		memcpy(frame->source_mac, plane.mac[CGN_INTERNAL_SIDE], 6);
		frame->destination_mac[4] = 1;
		frame->destination_mac[5] = (uint8_t)((destination & 0xff) / 10 * 16 + (destination & 0xff) % 10);
		return;
	}
	memcpy(frame->source_mac, plane.mac[CGN_EXTERNAL_SIDE], 6);
	frame->destination_mac[4] = 2;
	frame->destination_mac[5] = destination == 0xcb007109 || destination >> 8 == 0xcb0073 ? 0x09 : 0x10;
}

static void take_mapped(const struct frame *in, struct frame *out, char ret_text[16])
{
	bool is_icmp = in->protocol == IPPROTO_ICMP;
	struct cgn_internal internal = plane_internal(in->protocol, in->source, is_icmp ? in->identifier : in->source_port);
	struct cgn_mapping mapping;

	assert_true(dataplane_find_mapping(plane.dp, &internal, &mapping));
	out->source = inet_ntop(AF_INET, mapping.external.addr4, ret_text, 16);
	out->source_port = mapping.external.port;
	out->identifier = mapping.external.port;
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Fragments that leave with an external address get another identification: one for all of a packet. */
static void take_identification(const struct fixture *fixture, const struct plane_run *run, struct frame *out)
{
	bool is_cut = out->fragment & 0x3fff || fixture->verdict == CGN_FRAGMENTED;
	uint32_t at = ETHERNET_LEN + 4 * out->vlan_tags;
	static uint16_t given[65536];

	if (fixture->side != CGN_INTERNAL_SIDE || !is_cut || run->length < at + 6)
		return;
	if (!(out->fragment & 0x1fff))
		given[out->fragment_id] = get16(run->frame + at + 4);
	out->fragment_id = given[out->fragment_id];
}

static void translate(const struct fixture *fixture, const struct frame *in, const struct plane_run *run, struct frame *out, char text[16])
{
	const struct frame *change = &fixture->out;

	*out = *in;
	if (fixture->verdict != CGN_NEIGHBOUR_UNKNOWN && fixture->verdict != CGN_FRAGMENTED)
		out->vlan_tags = 0;
	take_identification(fixture, run, out);
	if (change->source)
		out->source = change->source;
	if (change->destination)
		out->destination = change->destination;
	if (change->source_port)
		out->source_port = change->source_port;
	if (change->destination_port)
		out->destination_port = change->destination_port;
	if (change->identifier)
		out->identifier = change->identifier;
	if (change->inner)
		out->inner = change->inner;
	if (change->tcp_option_words)
		memcpy(out->tcp_options, change->tcp_options, sizeof(out->tcp_options));
	if (!strcmp(out->source, MAPPED))
		take_mapped(in, out, text);
	if (fixture->verdict == CGN_NEIGHBOUR_UNKNOWN || fixture->verdict == CGN_FRAGMENTED)
		return;		/* the kernel counts the hop */
	out->ttl = (uint8_t)((in->ttl ? in->ttl : 64) - 1);
	towards_next_hop(out);
}

static void write_hex(const uint8_t *bytes, uint32_t length)
{
	uint32_t i;

	fputc(' ', record);
	for (i = 0; i < length; i++)
		fprintf(record, "%02x", bytes[i]);
}

static void write_record(const struct fixture *fixture, enum cgn_verdict verdict, const uint8_t *in, uint32_t in_length, const struct plane_run *run)
{
	fprintf(record, "%s %s", fixture->name, cgn_verdict_name(verdict));
	write_hex(in, in_length);
	write_hex(run->frame, run->length);
	fputc('\n', record);
}

/* All that is wrong with a scene is said in one go. */
static unsigned complaints;

static void complain(const struct fixture *fixture, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void complain(const struct fixture *fixture, const char *format, ...)
{
	va_list arguments;

	complaints++;
	printf("%s: ", fixture->name);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

static void expect_frame(const struct fixture *fixture, const struct plane_run *run, const uint8_t *expected, uint32_t length)
{
	uint32_t i;

	if (run->length != length) {
		complain(fixture, "%u bytes went out, %u are right", run->length, length);
		return;
	}
	for (i = 0; i < length; i++)
		if (run->frame[i] != expected[i])
			complain(fixture, "byte %u is 0x%02x, 0x%02x is right", i, run->frame[i], expected[i]);
}

/* The ICMP error that goes back to the sender: about the packet as it was sent, up to 576 bytes in all. */
static void expect_report(const struct fixture *fixture, const struct frame *in, const struct plane_run *run)
{
	struct frame report = { .vlan_tags = in->vlan_tags, .tos = 0xc0, .fragment = 0x4000, .destination = in->source,
		.source = fixture->side == CGN_INTERNAL_SIDE ? "198.51.100.1" : "203.0.113.1", .protocol = IPPROTO_ICMP, .icmp_type = 3,
		.inner = in, .inner_length = 548, .mtu = fixture->mtu };
	uint8_t bytes[FRAME_MAX];

	if (fixture->report == CGN_REPORT_TTL)
		report.icmp_type = 11;
	else
		report.icmp_code = fixture->report == CGN_REPORT_TOO_BIG ? 4 : 1;
	memcpy(report.destination_mac, in->source_mac, 6);
	memcpy(report.source_mac, in->destination_mac, 6);
	expect_frame(fixture, run, bytes, frame_build(&report, bytes));
}

static void check_report(const struct fixture *fixture, const struct frame *in, const uint8_t *in_bytes, uint32_t length,
			 const struct plane_run *run)
{
	bool is_sent = fixture->report && fixture->report != CGN_REPORT_WITHHELD;

	if (run->report != (int)fixture->report)
		complain(fixture, "counts as %s", run->report ? cgn_verdict_name((enum cgn_verdict)run->report) : "no ICMP error of ours");
	if (run->action != (is_sent ? XDP_REDIRECT : action_of(fixture->verdict)))
		complain(fixture, "XDP action %u", run->action);
	if (!is_sent || run->action != XDP_REDIRECT)
		return;
	write_record(fixture, fixture->report, in_bytes, length, run);
	expect_report(fixture, in, run);
}

static void check_fixture(const struct fixture *fixture)
{
	uint8_t in_bytes[FRAME_MAX], out_bytes[FRAME_MAX];
	struct frame in, out;
	struct plane_run run;
	uint32_t length;
	unsigned mappings;
	char text[16];

	to_us(fixture, &in);
	length = frame_build(&in, in_bytes);
	if (fixture->before)
		fixture->before(&plane);
	mappings = mapping_count();
	plane_send(&plane, fixture->side, in_bytes, length, &run);
	if (fixture->after)
		fixture->after(&plane);
	if (run.verdict != (int)fixture->verdict) {
		complain(fixture, "counted as %s, %s is right", cgn_verdict_name((enum cgn_verdict)run.verdict), cgn_verdict_name(fixture->verdict));
		return;
	}
	check_report(fixture, &in, in_bytes, length, &run);
	if (is_translated(fixture->verdict)) {
		translate(fixture, &in, &run, &out, text);
		write_record(fixture, fixture->verdict, in_bytes, length, &run);
		expect_frame(fixture, &run, out_bytes, frame_build(&out, out_bytes));
	} else if (run.action == XDP_PASS) {
		expect_frame(fixture, &run, in_bytes, length);
	} else if (mapping_count() != mappings) {
		complain(fixture, "dropped, and left a mapping behind");
	}
}

/* ---- frames cut short ---- */

static uint32_t ip_offset(const struct fixture *fixture)
{
	return ETHERNET_LEN + 4 * fixture->in.vlan_tags;
}

/* Whatever is left of a frame: it never leaves with an address of the other side. */
static void expect_safe(const struct fixture *fixture, const struct plane_run *run, uint32_t cut)
{
	const uint8_t *ip = run->frame + (run->action == XDP_PASS ? ip_offset(fixture) : ETHERNET_LEN);
	uint32_t source, destination;

	if (run->action == XDP_DROP)
		return;
	if (run->action != action_of(fixture->verdict) || run->verdict != (int)fixture->verdict || run->length < ETHERNET_LEN + 20) {
		complain(fixture, "cut to %u bytes: XDP action %u, counted as %s", cut, run->action, cgn_verdict_name((enum cgn_verdict)run->verdict));
		return;
	}
	memcpy(&source, ip + 12, 4);
	memcpy(&destination, ip + 16, 4);
	source = ntohl(source);
	destination = ntohl(destination);
	if (fixture->side == CGN_INTERNAL_SIDE && source >> 8 != 0xc00002)
		complain(fixture, "cut to %u bytes: went out with source %08x", cut, source);
	if (fixture->side == CGN_EXTERNAL_SIDE && destination >> 8 != 0xc63364)
		complain(fixture, "cut to %u bytes: came in with destination %08x", cut, destination);
	if (frame_checksum(ip, (ip[0] & 15u) * 4, 0))
		complain(fixture, "cut to %u bytes: bad IP checksum", cut);
}

/* Shorter than its total length says: dropped. What is cut off behind it was padding. */
static void cut_frame(const struct fixture *fixture, const uint8_t *bytes, uint32_t length)
{
	uint32_t whole = ip_offset(fixture) + get16(bytes + ip_offset(fixture) + 2), cut;
	struct plane_run run;

	for (cut = ETHERNET_LEN; cut < length; cut++) {
		plane_send(&plane, fixture->side, bytes, cut, &run);
		if (cut < whole && run.action != XDP_DROP)
			complain(fixture, "cut to %u of %u bytes: XDP action %u", cut, whole, run.action);
		if (cut >= whole && run.action != action_of(fixture->verdict))
			complain(fixture, "padding cut to %u bytes: XDP action %u", cut, run.action);
		expect_safe(fixture, &run, cut);
	}
}

/* Cut with the total length put right, padded again or not: only the transport header shows it. */
static void shorten_packet(const struct fixture *fixture, const uint8_t *bytes, uint32_t length)
{
	uint32_t at = ip_offset(fixture), header = (bytes[at] & 15u) * 4, total = get16(bytes + at + 2), cut, mappings = mapping_count();
	uint8_t changed[FRAME_MAX];
	struct plane_run run;
	uint16_t sum;

	for (cut = 0; cut < total; cut++) {
		memcpy(changed, bytes, length);
		changed[at + 2] = (uint8_t)(cut >> 8);
		changed[at + 3] = (uint8_t)cut;
		memset(changed + at + 10, 0, 2);
		sum = frame_checksum(changed + at, header, 0);
		changed[at + 10] = (uint8_t)(sum >> 8);
		changed[at + 11] = (uint8_t)sum;
		plane_send(&plane, fixture->side, changed, length, &run);
		expect_safe(fixture, &run, cut);
		if (cut < header && run.action != XDP_DROP)
			complain(fixture, "total length %u: XDP action %u", cut, run.action);
		plane_send(&plane, fixture->side, changed, at + cut > ETHERNET_LEN ? at + cut : ETHERNET_LEN, &run);
		expect_safe(fixture, &run, cut);
	}
	if (mapping_count() != mappings)
		complain(fixture, "left a mapping behind when shortened");
}

static void every_length(void **state)
{
	uint8_t bytes[FRAME_MAX];
	struct frame in;
	uint32_t length;
	unsigned i;

	(void)state;
	complaints = 0;
	plane_start(&plane, scene_configs[SCENE_MAIN]);
	fixtures_prepare(&plane, SCENE_MAIN);
	for (i = 0; i < fixture_count; i++) {
		if (fixtures[i].scene != SCENE_MAIN || !is_translated(fixtures[i].verdict))
			continue;
		to_us(&fixtures[i], &in);
		length = frame_build(&in, bytes);
		plane_send(&plane, fixtures[i].side, bytes, length, &(struct plane_run){});	/* makes what it needs */
		cut_frame(&fixtures[i], bytes, length);
		shorten_packet(&fixtures[i], bytes, length);
	}
	plane_stop(&plane);
	assert_int_equal(complaints, 0);
}

/* ---- a checksum that computes to 0 ---- */

static void udp_sum_of_zero(void **state)
{
	struct fixture fixture = { "udp-sum-0", .verdict = CGN_OUTBOUND,
		.in = { .source = "198.51.100.2", .source_port = 5000, .destination = "203.0.113.9", .destination_port = 53, .protocol = IPPROTO_UDP,
			.payload = 8 },
		.out = { .source = "192.0.2.1", .source_port = 20000 } };
	uint8_t bytes[FRAME_MAX];
	struct frame in, out;
	struct plane_run run;
	char text[16];

	(void)state;
	complaints = 0;
	plane_start(&plane, scene_configs[SCENE_MAIN]);
	fixtures_prepare(&plane, SCENE_MAIN);
	to_us(&fixture, &in);
	translate(&fixture, &in, &(struct plane_run){}, &out, text);
	/* the payload's first word such that, translated, the sum is all ones: its complement is 0, which must not be sent */
	in.first_word = 1;
	out.first_word = 1;
	frame_build(&out, bytes);
	in.first_word = out.first_word = (uint16_t)(get16(bytes + ETHERNET_LEN + 26) + 1);
	frame_build(&out, bytes);
	assert_int_equal(get16(bytes + ETHERNET_LEN + 26), 0xffff);
	plane_send(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&in, bytes), &run);
	assert_int_equal(run.verdict, CGN_OUTBOUND);
	write_record(&fixture, fixture.verdict, bytes, frame_build(&in, bytes), &run);
	expect_frame(&fixture, &run, bytes, frame_build(&out, bytes));
	plane_stop(&plane);
	assert_int_equal(complaints, 0);
}

/* ---- the tests ---- */

static void every_verdict_has_a_fixture(void **state)
{
	bool has[CGN_VERDICT_COUNT] = { false };
	unsigned i;

	(void)state;
	for (i = 0; i < fixture_count; i++) {
		has[fixtures[i].verdict] = true;
		has[fixtures[i].report] = true;
	}
	has[CGN_UNTOUCHED] = true;	/* bpf_links has it */
	for (i = 0; i < CGN_VERDICT_COUNT; i++)
		if (!has[i])
			fail_msg("no fixture for %s", cgn_verdict_name(i));
}

static void run_scene(enum scene scene)
{
	unsigned i;

	complaints = 0;
	plane_start(&plane, scene_configs[scene]);
	fixtures_prepare(&plane, scene);
	for (i = 0; i < fixture_count; i++)
		if (fixtures[i].scene == scene)
			check_fixture(&fixtures[i]);
	plane_stop(&plane);
	assert_int_equal(complaints, 0);
}

static void main_scene(void **state) { (void)state; run_scene(SCENE_MAIN); }
static void small_scene(void **state) { (void)state; run_scene(SCENE_SMALL); }
static void asked_scene(void **state) { (void)state; run_scene(SCENE_ASKED); }
static void clamped_scene(void **state) { (void)state; run_scene(SCENE_CLAMPED); }
static void tiny_scene(void **state) { (void)state; run_scene(SCENE_TINY); }

static void scapy_agrees(void **state)
{
	char command[256];
	int status;

	(void)state;
	fflush(record);
	if (system("/usr/bin/python3 -c 'import scapy.all' 2>/dev/null")) {
		lacks_scapy = true;
		skip();
	}
	snprintf(command, sizeof(command), "/usr/bin/python3 tests/bpf/check_frames.py %s", record_path);
	status = system(command);
	assert_int_equal(status, 0);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(every_verdict_has_a_fixture),
		cmocka_unit_test(main_scene),
		cmocka_unit_test(small_scene),
		cmocka_unit_test(tiny_scene),
		cmocka_unit_test(asked_scene),
		cmocka_unit_test(clamped_scene),
		cmocka_unit_test(udp_sum_of_zero),
		cmocka_unit_test(every_length),
		cmocka_unit_test(scapy_agrees),
	};
	int failed;

	snprintf(record_path, sizeof(record_path), "/tmp/xcgn-test-%d.frames", (int)getpid());
	record = fopen(record_path, "w");
	if (!record)
		return 1;
	failed = cmocka_run_group_tests_name("fixtures", all, NULL, NULL);
	fclose(record);
	unlink(record_path);
	if (!failed && lacks_scapy) {
		puts("needs scapy (python3-scapy); all else passed");
		return 4;
	}
	return failed;
}

int main(void)
{
	return plane_guard(tests);
}
