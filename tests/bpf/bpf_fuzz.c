/* SPDX-License-Identifier: GPL-2.0-only */
/* Frames that nobody thought of, through the loaded programs, while mappings come and go: each is a frame of the fixtures or one towards
 * an endpoint that is in use, changed here and there. After each translation.h holds, after all the invariants of the tables; a part of
 * what was translated scapy checks again. Environment: PACKET_SECONDS=6, PACKET_SEED (printed by every run). */
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
#include <unistd.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include "fixtures.h"
#include "invariants.h"
#include "translation.h"

#define LENGTH_MOST 1600
#define KNOWN 512		/* endpoints remembered */
#define SAMPLES 800		/* frames for scapy */
#define SEASON 500		/* frames between changes of the tables */
#define OVER (-1u - CGN_CACHE_S_MAX)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct plane plane;
static uint64_t random_state;
static FILE *record;
static char record_path[64];
static unsigned sampled;
static uint64_t actions[8];

struct known { uint8_t protocol; uint32_t internal, external; uint16_t port, external_port; };
static struct known known[KNOWN];
static unsigned known_count;

/* ---- chance ---- */

static uint32_t draw(uint32_t below)
{
	random_state ^= random_state << 13;	/* xorshift64 */
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 16) % below);
}

static bool one_in(uint32_t n)
{
	return !draw(n);
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

/* ---- frames ---- */

static uint32_t some_address(void)
{
	static const uint32_t addresses[] = { 0xc6336402, 0xc6336403, 0xc6336432, 0xc633644d, 0xc6336401, 0xc0000201, 0xc0000202, 0xc0000203,
		0xcb007109, 0xcb00710a, 0xcb00714d, 0xcb007101, 0xcb007201, 0xcb007301, 0xcb007401, 0x0a090005, 0x08080808, 0, 0x7f000001,
		0xe0000001, 0xf0000001, 0xffffffff, 0xc63364ff };

	return one_in(8) ? draw(0xffffffff) : addresses[draw(COUNT(addresses))];
}

/* A text that lasts for one frame. */
static const char *text_of(uint32_t address, char *text)
{
	struct in_addr in = { htonl(address) };

	return inet_ntop(AF_INET, &in, text, INET_ADDRSTRLEN);
}

static uint32_t random_flow(enum cgn_side side, uint8_t *bytes)
{
	static const uint8_t protocols[] = { IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP };
	static const uint8_t flags[] = { FRAME_SYN, FRAME_SYN, FRAME_ACK, FRAME_FIN | FRAME_ACK, FRAME_RST, FRAME_SYN | FRAME_ACK };
	const struct known *to = known_count ? &known[draw(known_count)] : NULL;
	char source[INET_ADDRSTRLEN], destination[INET_ADDRSTRLEN];
	struct frame frame = { .protocol = protocols[draw(3)], .tcp_flags = flags[draw(COUNT(flags))], .payload = draw(64), .vlan_tags = one_in(10),
		.icmp_type = side == CGN_INTERNAL_SIDE ? 8 : 0, .source_port = (uint16_t)(1024 + draw(400)), .destination_port = 53,
		.identifier = (uint16_t)draw(400), .no_checksum = one_in(10), .option_words = one_in(10) ? draw(10) : 0 };

	frame.source = text_of(side == CGN_INTERNAL_SIDE ? 0xc6336402 + draw(40) : 0xcb007109, source);
	frame.destination = text_of(0xcb007109 + draw(2), destination);
	if (to && (side == CGN_EXTERNAL_SIDE || one_in(5))) {	/* inbound, or hairpin */
		frame.protocol = to->protocol;
		frame.destination = text_of(to->external, destination);
		frame.destination_port = frame.identifier = to->external_port;
	} else if (to && one_in(2)) {
		frame.protocol = to->protocol;
		frame.source = text_of(to->internal, source);
		frame.source_port = frame.identifier = to->port;
	}
	return frame_build(&frame, bytes);
}

/* An ICMP error about a packet of an endpoint that is in use. */
static uint32_t random_error(enum cgn_side side, uint8_t *bytes)
{
	static const uint8_t types[] = { 3, 3, 11, 12 };
	const struct known *about = &known[draw(known_count)];
	char ours[INET_ADDRSTRLEN], host[INET_ADDRSTRLEN];
	struct frame inner = { .protocol = about->protocol, .icmp_type = 8, .payload = draw(40) };
	struct frame frame = { .protocol = IPPROTO_ICMP, .icmp_type = types[draw(4)], .icmp_code = (uint8_t)draw(5), .inner = &inner,
		.inner_length = one_in(2) ? 28 + draw(20) : 0, .source = "203.0.113.9", .destination = "203.0.113.9" };

	text_of(about->external, ours);
	text_of(about->internal, host);
	if (side == CGN_EXTERNAL_SIDE) {
		inner.source = frame.destination = ours;
		inner.source_port = inner.identifier = about->external_port;
		inner.destination = "203.0.113.9";
		inner.destination_port = 53;
	} else {
		frame.source = inner.destination = host;
		inner.destination_port = inner.identifier = about->port;
		inner.source = "203.0.113.9";
		inner.source_port = 53;
		inner.icmp_type = 0;
	}
	return frame_build(&frame, bytes);
}

static uint32_t begin(enum cgn_side *side, uint8_t *bytes)
{
	const struct fixture *fixture = &fixtures[draw(fixture_count)];
	struct frame frame = fixture->in;
	uint32_t kind = draw(10), length;

	*side = one_in(2) ? CGN_EXTERNAL_SIDE : CGN_INTERNAL_SIDE;
	if (kind < 4) {
		*side = fixture->side;
		length = frame_build(&frame, bytes);
	} else if (kind < 8 || !known_count) {
		length = random_flow(*side, bytes);
	} else {
		length = random_error(*side, bytes);
	}
	memcpy(bytes, plane.mac[*side], 6);
	return length;
}

/* ---- changes ---- */

static uint32_t ip_offset(const uint8_t *bytes)
{
	return get16(bytes + 12) == 0x8100 || get16(bytes + 12) == 0x88a8 ? 18 : 14;
}

static uint32_t change(uint8_t *bytes, uint32_t length)
{
	static const uint16_t numbers[] = { 0, 1, 7, 8, 19, 20, 27, 28, 53, 1023, 1024, 5351, 0x1fff, 0x2000, 0x2001, 0x4000, 0x7fff, 0x8000, 0xffff };
	uint32_t ip = ip_offset(bytes), at = draw(length), i;
	const struct known *other = known_count ? &known[draw(known_count)] : NULL;

	if (length < ip + 28)
		ip = 0;
	switch (draw(14)) {
	case 0:
		bytes[at] ^= (uint8_t)(1 << draw(8));
		break;
	case 1:
		bytes[at] = (uint8_t)draw(256);
		break;
	case 2:			/* somewhere in the headers */
		bytes[ip + draw(28) % length] = (uint8_t)draw(256);
		break;
	case 3:
		at = (ip + 2 * draw(24)) % length;
		if (at + 2 <= length)
			put16(bytes + at, numbers[draw(COUNT(numbers))]);
		break;
	case 4:
		if (ip)
			put32(bytes + ip + (one_in(2) ? 12 : 16), some_address());
		break;
	case 5:			/* ports, or the identifier */
		if (ip && other)
			put16(bytes + ip + 20 + 2 * draw(3), one_in(2) ? other->external_port : other->port);
		break;
	case 6:			/* fragments */
		if (ip)
			put16(bytes + ip + 6, one_in(2) ? 0x2000 : one_in(2) ? draw(200) : draw(0x10000));
		break;
	case 7:
		if (ip)
			bytes[ip + 8] = (uint8_t)draw(4);
		break;
	case 8:
		if (ip)
			put16(bytes + ip + 2, draw(length + 8));
		break;
	case 9:			/* cut */
		return 14 + draw(length - 13);
	case 10:		/* longer */
		for (i = length; i < LENGTH_MOST && i < length + draw(64); i++)
			bytes[i] = (uint8_t)draw(256);
		return i;
	case 11:
		if (ip)
			bytes[ip + 33 < length ? ip + 33 : ip] = (uint8_t)draw(256);	/* TCP flags, or a byte inside an ICMP error */
		break;
	case 12:
		if (ip)
			bytes[ip] = (uint8_t)(0x40 | draw(16));
		break;
	default:		/* one tag more */
		if (length + 4 > LENGTH_MOST)
			break;
		memmove(bytes + 16, bytes + 12, length - 12);
		put16(bytes + 12, one_in(2) ? 0x8100 : 0x88a8);
		return length + 4;
	}
	return length;
}

/* ---- what is known of the tables ---- */

static void remember(uint32_t slot_index, const struct cgn_slot *slot)
{
	static const uint8_t protocols[CGN_PROTOCOLS] = { IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP };
	struct known *entry = &known[known_count < KNOWN ? known_count++ : draw(KNOWN)];
	uint32_t address;

	memcpy(&address, slot->internal.addr4, 4);
	*entry = (struct known){ .protocol = protocols[CGN_SLOT_PROTOCOL(slot_index)], .internal = ntohl(address),
		.external = 0xc0000201 + CGN_SLOT_ADDRESS(slot_index), .port = slot->internal.port, .external_port = CGN_SLOT_PORT(slot_index) };
}

static void set_times(uint32_t idle_s, uint32_t rest_s, uint32_t cache_s)
{
	struct cgn_settings settings;
	uint32_t zero = 0, i;

	assert_true(dataplane_settings(plane.dp, &settings));
	settings.udp_s = settings.tcp_established_s = settings.tcp_opening_s = settings.tcp_closing_s = settings.icmp_s = idle_s;
	settings.rest_s = rest_s;
	for (i = 0; i < CGN_PROTOCOLS; i++)
		settings.cache_clock[i] = (struct cgn_cache_clock){ .lag_s = (uint16_t)cache_s, .units = (uint8_t)cache_s };
	assert_int_equal(bpf_map_update_elem(dataplane_map_fd(plane.dp, DP_SETTINGS), &zero, &settings, 0), 0);
}

static void request(void)
{
	static const uint8_t protocols[] = { IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP };
	struct cgn_map_request asked = { .internal = { .addr4 = { 198, 51, 100, (uint8_t)(2 + draw(40)) }, .port = (uint16_t)(1024 + draw(400)),
		.protocol = protocols[draw(3)] }, .origin = CGN_MAP, .lifetime_s = 1 + draw(3600) };
	struct cgn_filter filter = { .remote6 = { [10] = 0xff, 0xff, 203, 0, 113, 9 }, .prefix_length = 128 };

	if (one_in(3)) {
		assert_int_equal(dataplane_delete(plane.dp, &asked), 0);
	} else if (one_in(3)) {
		asked.filter_count = asked.filter_limit = 1;
		assert_int_equal(dataplane_map_filtered(plane.dp, &asked, &filter), 0);
	} else {
		assert_int_equal(dataplane_map(plane.dp, &asked), 0);
	}
}

/* Other times, requests, and some of what lives ended if those times say so. */
static void season(void)
{
	uint32_t count, index, live[CGN_BATCH_MAX], found = 0, start, i;
	const struct cgn_slot *slots = dataplane_slots(plane.dp, &count);
	struct cgn_reap_request reaped;

	set_times(one_in(3) ? OVER : 300, one_in(2) ? 0 : CGN_REST_S, one_in(2) ? 0 : CGN_CACHE_S_MAX);
	for (i = draw(20); i; i--)
		request();
	known_count = 0;
	start = draw(count);
	for (i = 0; i < count; i++) {
		index = (start + i) % count;
		if (slots[index].state.state != CGN_SLOT_LIVE)
			continue;
		if (known_count < KNOWN)
			remember(index, &slots[index]);
		if (found < CGN_BATCH_MAX)
			live[found++] = index;
	}
	if (found)
		assert_int_equal(dataplane_reap(plane.dp, live, found, &reaped), 0);
}

/* ---- one frame ---- */

static void write_hex(FILE *out, const uint8_t *bytes, uint32_t length)
{
	uint32_t i;

	fputc(' ', out);
	for (i = 0; i < length; i++)
		fprintf(out, "%02x", bytes[i]);
}

static void sample(const uint8_t *bytes, uint32_t length, const struct plane_run *run, uint64_t number)
{
	fprintf(record, "frame-%llu %s", (unsigned long long)number, run->action != XDP_PASS ? "translated" : length > 1000 ? "fragmented" : "neighbour-unknown");
	write_hex(record, bytes, length);
	write_hex(record, run->frame, run->length);
	fputc('\n', record);
	sampled++;
}

static void one_frame(uint64_t number)
{
	uint8_t bytes[FRAME_MAX];
	enum translation kind;
	struct plane_run run;
	enum cgn_side side;
	const char *wrong;
	uint32_t length = begin(&side, bytes), changes;

	for (changes = one_in(3) ? 0 : draw(6); changes; changes--)
		length = change(bytes, length);
	if (!one_in(4))
		translation_repair(bytes, length);
	plane_send_quiet(&plane, side, bytes, length, &run);
	actions[run.action & 7]++;
	wrong = translation_check(&plane, side, bytes, length, &run, &kind);
	if (wrong) {
		printf("frame %llu by %s, XDP action %u: %s\n", (unsigned long long)number, side == CGN_INTERNAL_SIDE ? "in0" : "out0", run.action, wrong);
		write_hex(stdout, bytes, length);
		write_hex(stdout, run.frame, run.length);
		fail_msg("%s", wrong);
	}
	if (kind == SOUND && sampled < SAMPLES)
		sample(bytes, length, &run, number);
}

static uint64_t total_of(const struct cgn_count *counts, unsigned *ret_verdicts)
{
	uint64_t total = 0;
	int i;

	*ret_verdicts = 0;
	for (i = 0; i < CGN_VERDICT_COUNT; i++) {
		if (strncmp(cgn_verdict_name((enum cgn_verdict)i), "report-", 7))	/* those count beside the drop that they are about */
			total += counts[i].packets;
		*ret_verdicts += counts[i].packets != 0;
	}
	return total;
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void run(const char *config, double seconds)
{
	const char *seed = getenv("PACKET_SEED");
	double end;
	struct cgn_count counts[CGN_VERDICT_COUNT];
	struct invariants found;
	uint64_t number = 0;
	unsigned verdicts;

	memset(actions, 0, sizeof(actions));
	random_state = seed ? strtoull(seed, NULL, 0) : (uint64_t)(now_s() * 1e6) * 0x9e3779b97f4a7c15ull;
	random_state |= 1;
	printf("PACKET_SEED=0x%llx\n", (unsigned long long)random_state);
	plane_start(&plane, config);
	fixtures_prepare(&plane, SCENE_MAIN);
	for (end = now_s() + seconds; now_s() < end; number++) {
		if (number % SEASON == 0)
			season();
		one_frame(number);
		if (number % (SEASON * 40) == SEASON * 40 - 1)
			assert_true(invariants_check(plane.dp, stdout, &found));
	}
	set_times(300, CGN_REST_S, CGN_CACHE_S_MAX);
	assert_true(invariants_check(plane.dp, stdout, &found));
	assert_true(dataplane_read_stats(plane.dp, counts));
	assert_int_equal(total_of(counts, &verdicts), number);	/* each has one verdict */
	printf("%llu frames: %llu dropped, %llu passed, %llu redirected; %u verdicts; %u mappings stand\n", (unsigned long long)number,
	       (unsigned long long)actions[XDP_DROP], (unsigned long long)actions[XDP_PASS], (unsigned long long)actions[XDP_REDIRECT],
	       verdicts, found.mappings);
	assert_true(actions[XDP_REDIRECT] > number / 20);
	assert_true(verdicts >= 25);
	plane_stop(&plane);
}

static double seconds_of(double part)
{
	const char *seconds = getenv("PACKET_SECONDS");

	return part * (seconds ? atof(seconds) : 6);
}

static void changed_frames(void **state)
{
	(void)state;
	run(scene_configs[SCENE_MAIN], seconds_of(0.7));
}

static void address_dependent(void **state)
{
	char config[1024];

	(void)state;
	snprintf(config, sizeof(config), "%sfiltering: address-dependent\n", scene_configs[SCENE_MAIN]);
	run(config, seconds_of(0.3));
}

static void scapy_agrees(void **state)
{
	char command[256];

	(void)state;
	fflush(record);
	if (system("/usr/bin/python3 -c 'import scapy.all' 2>/dev/null"))
		skip();
	snprintf(command, sizeof(command), "/usr/bin/python3 tests/bpf/check_frames.py %s whole", record_path);
	assert_int_equal(system(command), 0);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(changed_frames),
		cmocka_unit_test(address_dependent),
		cmocka_unit_test(scapy_agrees),
	};
	int failed;

	snprintf(record_path, sizeof(record_path), "/tmp/xcgn-test-%d.frames", (int)getpid());
	record = fopen(record_path, "w");
	if (!record)
		return 1;
	failed = cmocka_run_group_tests(all, NULL, NULL);
	fclose(record);
	unlink(record_path);
	return failed;
}

int main(void)
{
	return plane_guard(tests);
}
