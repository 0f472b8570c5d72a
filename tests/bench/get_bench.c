/* SPDX-License-Identifier: GPL-2.0-only */
/* GET/NEXT: first pages answered per second, what one costs the server, and how long it takes: for subscribers with 2, 17, 100 and
 * 1,000 mappings, while the table holds ever more mappings of others. Every answer is checked: result, how many mappings, in order,
 * MORE and END. Requests and answers find each other by a number in the payload's reserved bytes, which the server returns. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "get_codec.h"
#include "pcp_load.h"
#include "place.h"
#include "result.h"
#include "traffic.h"

#define READERS 16			/* subscribers of each size */
#define READER_NET (TRAFFIC_INTERNAL_NET + 0x200000)
#define PAGE_MAPPINGS 17		/* NEXT options of 60 bytes in a message of 1100 */
#define RESERVED_AT (PCP_HEADER_LEN + 1)
#define BUFFER_BYTES (16 << 20)
#define PATIENCE_MS 5000
#define UNDER_WAY_MAX 256
#define PRESENT_MAX 8

static const uint8_t server4[4] = { 10, 1, 1, 1 };
static const uint32_t sizes[] = { 2, 17, 100, 1000 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

struct options {
	const char *prefix, *output, *storage;
	uint32_t present[PRESENT_MAX];
	unsigned present_count;
	uint32_t rounds, window, under_way;
	int cpu;
	pid_t server;
};

struct bench {
	const struct options *options;
	struct load *load;
	int fd;
	double sent_at[UNDER_WAY_MAX];	/* by number; 0: answered */
	uint32_t reader_of[UNDER_WAY_MAX];
};

/* ---- messages ---- */

static uint32_t reader_address(unsigned size, uint32_t reader)
{
	return READER_NET + size * 256 + reader;
}

static void header_write(struct writer *w, uint8_t opcode, uint32_t lifetime_s, uint32_t address)
{
	struct pcp_request_header header = { .version = PCP_VERSION, .opcode = opcode, .lifetime_s = lifetime_s };
	const uint32_t address_be = htonl(address);

	pcp_address_from_ipv4((const uint8_t *)&address_be, header.client6);
	pcp_encode_request_header(w, &header);
}

static bool send_from(struct bench *bench, uint32_t address, const void *bytes, size_t len)
{
	struct in_pktinfo from = { .ipi_spec_dst.s_addr = htonl(address) };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PCP_SERVER_PORT) };
	struct iovec vector = { (void *)bytes, len };
	_Alignas(8) uint8_t control[CMSG_SPACE(sizeof(from))] = {};
	struct msghdr message = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &vector, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	memcpy(&to.sin_addr, server4, sizeof(server4));
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(from));
	memcpy(CMSG_DATA(c), &from, sizeof(from));
	return sendmsg(bench->fd, &message, 0) >= 0 || bench_fail("cannot send: %s", strerror(errno));
}

/* -1: nothing came in time, and why is said. */
static ssize_t receive(struct bench *bench, uint8_t bytes[PCP_MESSAGE_MAX])
{
	struct pollfd readable = { .fd = bench->fd, .events = POLLIN };
	ssize_t len;

	len = recv(bench->fd, bytes, PCP_MESSAGE_MAX, MSG_DONTWAIT);
	if (len < 0 && errno == EAGAIN && poll(&readable, 1, PATIENCE_MS) > 0)
		len = recv(bench->fd, bytes, PCP_MESSAGE_MAX, MSG_DONTWAIT);
	if (len < 0)
		bench_fail("no answer: %s", strerror(errno));
	return len;
}

/* ---- the readers' mappings ---- */

static bool map_ask(struct bench *bench, uint32_t address, uint32_t number)
{
	struct pcp_map map = { .protocol = number & 1 ? IPPROTO_TCP : IPPROTO_UDP, .internal_port = (uint16_t)(2000 + number / 2) };
	uint8_t bytes[PCP_MESSAGE_MAX];
	struct pcp_response_header header;
	struct writer w;
	struct reader r;
	ssize_t len;

	writer_init(&w, bytes, sizeof(bytes));
	header_write(&w, PCP_MAP, LOAD_LIFETIME_S, address);
	memcpy(map.nonce, &address, sizeof(address));
	pcp_encode_map(&w, &map);
	if (!send_from(bench, address, bytes, writer_len(&w)))
		return false;
	do {	/* announcements of a server that is new come in between */
		len = receive(bench, bytes);
		if (len < 0)
			return false;
		reader_init(&r, bytes, (size_t)len);
	} while (!pcp_decode_response_header(&r, &header) && header.opcode == PCP_ANNOUNCE);
	return header.opcode == PCP_MAP && header.result == PCP_SUCCESS ? true : bench_fail("MAP: %s", pcp_result_name(header.result));
}

static bool readers_make(struct bench *bench)
{
	uint32_t reader, number;
	unsigned size;

	for (size = 0; size < SIZES; size++)
		for (reader = 0; reader < READERS; reader++)
			for (number = 0; number < sizes[size]; number++)
				if (!map_ask(bench, reader_address(size, reader), number))
					return false;
	return true;
}

/* The mappings of others, up to `count`. */
static bool others_make(struct bench *bench, uint32_t have, uint32_t count)
{
	struct load_job job = { .operation = LOAD_CREATE, .count = count - have, .under_way = 1024, .resend_us = 250000, .patience_s = 10 };
	uint32_t *numbers = calloc(count, sizeof(*numbers)), i;
	struct load_outcome outcome;
	bool done;

	if (!numbers)
		return bench_fail("out of memory");
	for (i = have; i < count; i++)
		numbers[i - have] = i;
	job.mappings = numbers;
	done = load_run(bench->load, &job, &outcome);
	free(numbers);
	return done;
}

/* ---- pages ---- */

static bool get_ask(struct bench *bench, unsigned size, uint32_t number, uint32_t reader)
{
	struct pcp_get get = {};
	struct pcp_next next = {};
	uint8_t bytes[PCP_MESSAGE_MAX];
	struct writer w;

	writer_init(&w, bytes, sizeof(bytes));
	header_write(&w, PCP_GET, 0, reader_address(size, reader));
	pcp_encode_get(&w, &get);
	pcp_encode_next(&w, PCP_OPTION_NEXT, &next);
	bytes[RESERVED_AT] = (uint8_t)number;
	bench->sent_at[number] = seconds_now();
	bench->reader_of[number] = reader;
	return send_from(bench, reader_address(size, reader), bytes, writer_len(&w));
}

/* Who stands first: external address, protocol, external port, in the server's total order. */
static int next_compare(const struct pcp_next *a, const struct pcp_next *b)
{
	int order = memcmp(a->external6, b->external6, sizeof(a->external6));

	if (order)
		return order;
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	return a->external_port < b->external_port ? -1 : a->external_port > b->external_port;
}

static bool page_is_right(struct reader *r, unsigned size, uint32_t address)
{
	uint32_t expected = sizes[size] < PAGE_MAPPINGS ? sizes[size] : PAGE_MAPPINGS, count = 0, address_be = htonl(address);
	struct pcp_next next, before = {};
	struct pcp_option option;
	uint8_t internal6[16];
	bool is_last;

	pcp_address_from_ipv4((const uint8_t *)&address_be, internal6);
	for (; pcp_decode_option(r, &option) == 1; count++, before = next) {
		is_last = count + 1 == sizes[size];
		if (option.code != PCP_OPTION_NEXT || pcp_decode_next(&option, &next) || next.is_end != is_last ||
		    memcmp(next.internal6, internal6, sizeof(internal6)) || (count && next_compare(&before, &next) >= 0))
			return false;
	}
	return count == expected;
}

/* One answer. *ret_number is whose. */
static bool get_hear(struct bench *bench, unsigned size, uint32_t *ret_number, struct latency *latency)
{
	uint8_t bytes[PCP_MESSAGE_MAX];
	struct pcp_response_header header;
	struct pcp_get get;
	struct reader r;
	ssize_t len;

	do {
		len = receive(bench, bytes);
		if (len < 0)
			return false;
		reader_init(&r, bytes, (size_t)len);
		if (pcp_decode_response_header(&r, &header))
			return bench_fail("what came is no answer");
	} while (header.opcode == PCP_ANNOUNCE);
	if (header.opcode != PCP_GET || header.result != PCP_SUCCESS || pcp_decode_get(&r, &get))
		return bench_fail("GET: %s", pcp_result_name(header.result));
	*ret_number = bytes[RESERVED_AT];
	if (*ret_number >= bench->options->under_way || bench->sent_at[*ret_number] <= 0)
		return bench_fail("an answer to no request");
	latency_add(latency, (uint64_t)((seconds_now() - bench->sent_at[*ret_number]) * 1e9));
	bench->sent_at[*ret_number] = 0;
	return page_is_right(&r, size, reader_address(size, bench->reader_of[*ret_number])) ? true : bench_fail("a page that is not right");
}

/* A window of requests, as many under way as may be. */
static bool window_run(struct bench *bench, unsigned size, uint32_t under_way, uint32_t count, struct latency *latency)
{
	uint32_t sent, heard, number;

	for (sent = 0; sent < under_way; sent++)
		if (!get_ask(bench, size, sent, sent % READERS))
			return false;
	for (heard = 0; heard < count; heard++) {
		if (!get_hear(bench, size, &number, latency))
			return false;
		if (sent < count && !get_ask(bench, size, number, sent++ % READERS))
			return false;
	}
	return true;
}

struct cell {
	struct result rate, cpu, alone;
	struct latency latency, alone_latency;
	char direction[32], path[32];
};

static bool cell_write(struct bench *bench, struct cell *cell)
{
	const char *output = bench->options->output;

	cell->rate.measure = "get";
	cell->cpu.measure = "get-cpu";
	cell->cpu.unit = "us";
	cell->alone.measure = "get-alone";
	cell->rate.latency = &cell->latency;
	cell->alone.latency = &cell->alone_latency;
	cell->rate.direction = cell->cpu.direction = cell->alone.direction = cell->direction;
	cell->rate.path = cell->cpu.path = cell->alone.path = cell->path;
	return result_write(&cell->rate, output) && result_write(&cell->cpu, output) && result_write(&cell->alone, output);
}

static bool cell_measure(struct bench *bench, unsigned size, uint32_t present)
{
	const struct options *options = bench->options;
	struct cell *cell = calloc(1, sizeof(*cell));
	double begun, server;
	bool done = cell != NULL;
	uint32_t round;

	for (round = 0; done && round <= options->rounds; round++) {
		if (round == 1)	/* the first one has warmed the caches */
			*cell = (struct cell){};
		server = cpu_seconds(options->server);
		begun = seconds_now();
		done = window_run(bench, size, options->under_way, options->window, &cell->latency);
		if (!done)
			break;
		result_add(&cell->rate, options->window, options->window, seconds_now() - begun);
		if (options->server)
			result_add_value(&cell->cpu, (cpu_seconds(options->server) - server) * 1e6 / options->window);
		begun = seconds_now();
		done = window_run(bench, size, 1, options->window / 16, &cell->alone_latency);
		result_add(&cell->alone, options->window / 16, options->window / 16, seconds_now() - begun);
	}
	if (done) {
		snprintf(cell->direction, sizeof(cell->direction), "%u mappings", sizes[size]);
		snprintf(cell->path, sizeof(cell->path), "among %u", present);
		done = cell_write(bench, cell);
	}
	free(cell);
	return done;
}

static bool run(struct bench *bench)
{
	const struct options *options = bench->options;
	uint32_t have = 0;
	unsigned i, size;

	if (!readers_make(bench))
		return false;
	for (i = 0; i < options->present_count; have = options->present[i++]) {
		if (!others_make(bench, have, options->present[i]))
			return false;
		for (size = 0; size < SIZES; size++)
			if (!cell_measure(bench, size, options->present[i]))
				return false;
	}
	return true;
}

/* ---- life ---- */

static bool bench_open(struct bench *bench)
{
	const struct options *options = bench->options;
	const struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = namespace_open(options->prefix, "client"), size = BUFFER_BYTES;
	bool is_inside = fd >= 0 && namespace_enter(fd);

	if (fd >= 0)
		close(fd);
	if (!is_inside || !cpu_keep_to(options->cpu))
		return false;
	bench->load = load_open(server4, options->present[options->present_count - 1]);
	bench->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bench->fd < 0 || setsockopt(bench->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    bind(bench->fd, (const struct sockaddr *)&any, sizeof(any)))
		return bench_fail("cannot open a client: %s", strerror(errno));
	return bench->load != NULL;
}

static bool present_parse(struct options *options, char *list)
{
	char *number;

	while ((number = strsep(&list, " "))) {
		if (!*number)
			continue;
		if (options->present_count == PRESENT_MAX)
			return false;
		options->present[options->present_count] = (uint32_t)strtoul(number, NULL, 10);
		if (options->present[options->present_count] <= (options->present_count ? options->present[options->present_count - 1] : 0))
			return false;
		options->present_count++;
	}
	return options->present_count > 0;
}

static bool parse(int argc, char **argv, struct options *options)
{
	bool has_present = false;
	int option;

	*options = (struct options){ .rounds = 10, .window = 4096, .under_way = 64, .cpu = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1 };
	while ((option = getopt(argc, argv, "c:p:w:n:u:f:")) != -1)
		switch (option) {
		case 'c': options->cpu = atoi(optarg); break;
		case 'p': has_present = present_parse(options, optarg); break;
		case 'w': options->window = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'n': options->rounds = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'u': options->under_way = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'f': options->server = (pid_t)atoi(optarg); break;
		default: return false;
		}
	if (argc - optind != 2 || !has_present || !options->rounds || options->rounds > RESULT_WINDOWS_MAX || !options->under_way ||
	    options->under_way > UNDER_WAY_MAX || options->window < 16 * options->under_way)
		return false;
	options->prefix = argv[optind];
	options->output = argv[optind + 1];
	return true;
}

int main(int argc, char **argv)
{
	struct bench bench = { .fd = -1 };
	struct options options;
	bool done;

	if (!parse(argc, argv, &options)) {
		fprintf(stderr, "usage: get_bench -p 'PRESENT...' [-w WINDOW] [-n ROUNDS] [-u UNDER-WAY] [-c CPU] [-f PID] PREFIX OUTPUT\n"
			"PRESENT: mappings of others, ascending; WINDOW: requests in one, 16 times UNDER-WAY (%u at most) or more\n", UNDER_WAY_MAX);
		return 1;
	}
	bench.options = &options;
	done = bench_open(&bench) && run(&bench);
	load_close(bench.load);
	if (bench.fd >= 0)
		close(bench.fd);
	return done ? 0 : 2;
}
