/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "pcp_codec.h"
#include "pcp_load.h"
#include "place.h"
#include "traffic.h"

#define AT_ONCE 64			/* datagrams a system call */
#define DATAGRAM_MAX 128
#define BUFFER_BYTES (16 << 20)
#define POLL_MS 1

#define REMOTES 256			/* of PEER: a power of two */

#define PORT_FIRST 1024u
#define PORT_STEP (64512u / LOAD_OF_SUBSCRIBER)	/* a subscriber's ports lie all over the range, as those of real clients do */

#define EXTERNAL_PORTS (1u << 16)
#define EXTERNAL_ADDRESSES (~TRAFFIC_EXTERNAL_MASK + 1)

static const struct {
	uint8_t opcode;
	bool has_lifetime;
} operations[] = {
	[LOAD_CREATE] = { PCP_MAP, true },
	[LOAD_RENEW] = { PCP_MAP, true },
	[LOAD_DELETE] = { PCP_MAP, false },
	[LOAD_ANNOUNCE] = { PCP_ANNOUNCE, false },
	[LOAD_PEER] = { PCP_PEER, true },
};

struct mapping {
	uint32_t external;		/* as in `taken`; NO_EXTERNAL: there is none */
	bool is_awaited;
	double sent_at;			/* the request under way */
};
#define NO_EXTERNAL 0xffffffffu

struct datagrams {
	struct mmsghdr headers[AT_ONCE];
	struct iovec vectors[AT_ONCE];
	struct sockaddr_in names[AT_ONCE];
	_Alignas(8) uint8_t control[AT_ONCE][CMSG_SPACE(sizeof(struct in_pktinfo))];
	uint8_t bytes[AT_ONCE][DATAGRAM_MAX];
};

struct load {
	int fd;
	struct sockaddr_in server;
	uint32_t mappings_max;
	struct mapping *mappings;
	uint8_t *taken;			/* external endpoints: a bit each */
	uint32_t external_net;
	uint32_t epoch_s;		/* the latest seen */
	struct datagrams out, in;
};

/* A job on its way. */
struct progress {
	const struct load_job *job;
	struct load_outcome *outcome;
	uint32_t *queue;		/* sent and perhaps not yet answered, oldest first: a ring of queue_size */
	uint32_t queue_size, head, tail;
	uint32_t next;			/* of job->mappings */
	uint32_t awaited;
	double heard_at;
};

/* ---- which mapping is what ---- */

static uint32_t mapping_address(uint32_t number)
{
	return TRAFFIC_INTERNAL_NET + 2 + (number >> LOAD_OF_SUBSCRIBER_BITS);
}

static uint16_t port_offset(uint32_t subscriber)
{
	return (uint16_t)(((subscriber * 0x9e3779b1u >> 16) * PORT_STEP) >> 16);
}

static uint16_t mapping_port(uint32_t number)
{
	uint32_t subscriber = number >> LOAD_OF_SUBSCRIBER_BITS, place = number & (LOAD_OF_SUBSCRIBER - 1);

	return (uint16_t)(PORT_FIRST + place * PORT_STEP + port_offset(subscriber));
}

static uint8_t mapping_protocol(uint32_t number)
{
	return number & 1 ? IPPROTO_TCP : IPPROTO_UDP;
}

static uint32_t mix(uint32_t word)
{
	word = (word ^ word >> 16) * 0x7feb352du;
	word = (word ^ word >> 15) * 0x846ca68bu;
	return word ^ word >> 16;
}

static void mapping_nonce(uint32_t number, uint8_t ret_nonce[PCP_NONCE_LEN])
{
	uint32_t words[PCP_NONCE_LEN / 4] = { mix(number), mix(number ^ 0x55555555u), mix(number ^ 0xaaaaaaaau) };

	memcpy(ret_nonce, words, PCP_NONCE_LEN);
}

static uint32_t subscriber_first(uint32_t address)
{
	return (address - TRAFFIC_INTERNAL_NET - 2) << LOAD_OF_SUBSCRIBER_BITS;
}

/* The mapping of a subscriber that has this internal port; any number if there is none. */
static uint32_t mapping_at(uint32_t address, uint16_t port)
{
	uint32_t first = subscriber_first(address);
	uint32_t place = (uint32_t)(port - PORT_FIRST - port_offset(first >> LOAD_OF_SUBSCRIBER_BITS)) / PORT_STEP;

	return first + (place & (LOAD_OF_SUBSCRIBER - 1));
}

/* ---- external endpoints ---- */

static bool external_number(const struct pcp_map *map, uint32_t net, uint32_t *ret_number)
{
	uint32_t address = (uint32_t)map->external6[12] << 24 | (uint32_t)map->external6[13] << 16 |
			   (uint32_t)map->external6[14] << 8 | map->external6[15];

	if (!pcp_address_is_ipv4(map->external6) || (address & TRAFFIC_EXTERNAL_MASK) != net)
		return false;
	*ret_number = ((address & ~TRAFFIC_EXTERNAL_MASK) * 2 + (map->protocol == IPPROTO_TCP)) * EXTERNAL_PORTS + map->external_port;
	return map->external_port != 0;
}

/* Was it free? It is taken now. */
static bool external_take(struct load *load, uint32_t external)
{
	uint8_t bit = (uint8_t)(1u << (external & 7));

	if (load->taken[external >> 3] & bit)
		return false;
	load->taken[external >> 3] |= bit;
	return true;
}

static void external_give(struct load *load, uint32_t external)
{
	load->taken[external >> 3] &= (uint8_t)~(1u << (external & 7));
}

/* ---- asking ---- */

static void map_make(uint32_t number, struct pcp_map *ret_map)
{
	const uint8_t none[4] = { 0 };

	*ret_map = (struct pcp_map){ .protocol = mapping_protocol(number), .internal_port = mapping_port(number) };
	mapping_nonce(number, ret_map->nonce);
	pcp_address_from_ipv4(none, ret_map->external6);
}

static void remote_make(uint32_t number, uint8_t ret_remote6[16])
{
	const uint32_t address = htonl(traffic_remote_address(number, REMOTES - 1));

	pcp_address_from_ipv4((const uint8_t *)&address, ret_remote6);
}

static void request_encode(struct writer *w, enum load_operation operation, uint32_t number)
{
	const uint32_t address = htonl(mapping_address(number));
	struct pcp_request_header header = { .version = PCP_VERSION, .opcode = operations[operation].opcode,
		.lifetime_s = operations[operation].has_lifetime ? LOAD_LIFETIME_S : 0 };
	struct pcp_peer peer = { .remote_port = TRAFFIC_REMOTE_PORT };

	pcp_address_from_ipv4((const uint8_t *)&address, header.client6);
	pcp_encode_request_header(w, &header);
	map_make(number, &peer.map);
	remote_make(number, peer.remote6);
	if (header.opcode == PCP_MAP)
		pcp_encode_map(w, &peer.map);
	else if (header.opcode == PCP_PEER)
		pcp_encode_peer(w, &peer);
}

/* From the subscriber's own address: the whole range is local to this namespace. */
static void address_from(struct msghdr *header, uint32_t address)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(header);
	struct in_pktinfo from = { .ipi_spec_dst.s_addr = htonl(address) };

	control->cmsg_level = IPPROTO_IP;
	control->cmsg_type = IP_PKTINFO;
	control->cmsg_len = CMSG_LEN(sizeof(from));
	memcpy(CMSG_DATA(control), &from, sizeof(from));
}

static void datagram_prepare(struct load *load, uint32_t index, enum load_operation operation, uint32_t number)
{
	struct msghdr *header = &load->out.headers[index].msg_hdr;
	struct writer w;

	writer_init(&w, load->out.bytes[index], DATAGRAM_MAX);
	request_encode(&w, operation, number);
	load->out.vectors[index] = (struct iovec){ load->out.bytes[index], writer_len(&w) };
	*header = (struct msghdr){ .msg_name = &load->server, .msg_namelen = sizeof(load->server),
		.msg_iov = &load->out.vectors[index], .msg_iovlen = 1,
		.msg_control = load->out.control[index], .msg_controllen = sizeof(load->out.control[index]) };
	address_from(header, mapping_address(number));
}

static bool datagrams_send(struct load *load, uint32_t count)
{
	uint32_t done = 0;
	int sent;

	while (done < count) {
		sent = sendmmsg(load->fd, load->out.headers + done, count - done, 0);
		if (sent < 0 && errno != EINTR)
			return bench_fail("cannot send requests: %s", strerror(errno));
		if (sent > 0)
			done += (uint32_t)sent;
	}
	return true;
}

static void queue_push(struct progress *progress, uint32_t number)
{
	progress->queue[progress->tail++ % progress->queue_size] = number;
}

/* As many new requests as may be under way. */
static bool ask(struct load *load, struct progress *progress)
{
	const struct load_job *job = progress->job;
	uint32_t count = 0, number;
	double now = seconds_now();

	while (count < AT_ONCE && progress->next < job->count && progress->awaited < job->under_way) {
		number = job->mappings[progress->next++];
		load->mappings[number].is_awaited = true;
		load->mappings[number].sent_at = now;
		datagram_prepare(load, count++, job->operation, number);
		queue_push(progress, number);
		progress->awaited++;
	}
	progress->outcome->sent += count;
	return datagrams_send(load, count);
}

/* The oldest requests again, if they are overdue; the server answers them as it did the first time. */
static bool ask_again(struct load *load, struct progress *progress)
{
	const struct load_job *job = progress->job;
	double now = seconds_now(), overdue = now - job->resend_us / 1e6;
	uint32_t count = 0, number;

	while (count < AT_ONCE && progress->head != progress->tail) {
		number = progress->queue[progress->head % progress->queue_size];
		if (load->mappings[number].is_awaited && load->mappings[number].sent_at > overdue)
			break;
		progress->head++;
		if (!load->mappings[number].is_awaited)
			continue;
		load->mappings[number].sent_at = now;
		datagram_prepare(load, count++, job->operation, number);
		queue_push(progress, number);
	}
	progress->outcome->sent += count;
	return datagrams_send(load, count);
}

/* ---- hearing ---- */

/* Section 8.5: the Epoch is one of a server that has lost nothing. */
static bool epoch_is_continuous(struct load *load, uint32_t epoch_s)
{
	if (epoch_s + 1 < load->epoch_s)
		return bench_fail("Epoch went back from %u to %u", load->epoch_s, epoch_s);
	if (epoch_s > load->epoch_s)
		load->epoch_s = epoch_s;
	return true;
}

static bool map_is_of(const struct pcp_map *map, uint32_t number)
{
	struct pcp_map asked;

	map_make(number, &asked);
	return map->protocol == asked.protocol && map->internal_port == asked.internal_port &&
	       !memcmp(map->nonce, asked.nonce, sizeof(asked.nonce));
}

/* The body of an answer to `address`, and which mapping it is about. */
static bool body_decode(struct reader *r, uint8_t opcode, uint32_t address, struct pcp_map *ret_map, uint32_t *ret_number)
{
	struct pcp_peer peer = {};
	uint8_t remote6[16];

	*ret_number = subscriber_first(address);
	if (opcode == PCP_ANNOUNCE)
		return true;
	if (opcode == PCP_PEER ? pcp_decode_peer(r, &peer) : pcp_decode_map(r, &peer.map))
		return false;
	*ret_map = peer.map;
	*ret_number = mapping_at(address, peer.map.internal_port);
	remote_make(*ret_number, remote6);
	return map_is_of(&peer.map, *ret_number) &&
	       (opcode == PCP_MAP || (peer.remote_port == TRAFFIC_REMOTE_PORT && !memcmp(peer.remote6, remote6, sizeof(remote6))));
}

static bool map_settle(struct load *load, enum load_operation operation, struct mapping *mapping, const struct pcp_map *map)
{
	uint32_t external;

	if (operation == LOAD_DELETE) {
		if (mapping->external != NO_EXTERNAL)
			external_give(load, mapping->external);
		mapping->external = NO_EXTERNAL;
		return true;
	}
	if (!external_number(map, load->external_net, &external))
		return bench_fail("an answer's external endpoint is none of the pool's");
	if (mapping->external != NO_EXTERNAL)
		return external == mapping->external ? true : bench_fail("a mapping moved when it was renewed");
	mapping->external = external;
	return external_take(load, external) ? true : bench_fail("two mappings share an external endpoint");
}

/* One answer to `address`. A second one to a request that was sent twice is fine. */
static bool answer_take(struct load *load, struct progress *progress, struct reader *r, uint32_t address)
{
	enum load_operation operation = progress->job->operation;
	struct pcp_response_header header;
	struct mapping *mapping;
	struct pcp_map map = {};
	uint32_t number;

	if (pcp_decode_response_header(r, &header) || !header.is_response || header.version != PCP_VERSION)
		return bench_fail("what came is no PCP answer");
	if (header.result != PCP_SUCCESS)
		return bench_fail("a request was answered %s", pcp_result_name(header.result));
	if (!epoch_is_continuous(load, header.epoch_s))
		return bench_fail("the Epoch is not that of the answers before");
	if (header.opcode == PCP_ANNOUNCE && operation != LOAD_ANNOUNCE)
		return true;	/* a new server tells the clients it knows, asked or not */
	if (header.opcode != operations[operation].opcode)
		return bench_fail("an answer to something else");
	if (!body_decode(r, header.opcode, address, &map, &number) || number >= load->mappings_max)
		return bench_fail("an answer with another nonce, protocol, port or remote peer than was asked for");
	mapping = &load->mappings[number];
	if (!mapping->is_awaited || !header.lifetime_s == operations[operation].has_lifetime)
		return true;	/* late: to the first of two requests, or in a job that is over */
	if (header.lifetime_s > LOAD_LIFETIME_S)
		return bench_fail("a lifetime of %u seconds was granted", header.lifetime_s);
	mapping->is_awaited = false;
	progress->awaited--;
	progress->outcome->answered++;
	latency_add(&progress->outcome->latency, (uint64_t)((progress->heard_at - mapping->sent_at) * 1e9));
	return operation == LOAD_ANNOUNCE || map_settle(load, operation, mapping, &map);
}

static uint32_t address_to(struct msghdr *header)
{
	struct cmsghdr *control;
	struct in_pktinfo to;

	for (control = CMSG_FIRSTHDR(header); control; control = CMSG_NXTHDR(header, control))
		if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
			memcpy(&to, CMSG_DATA(control), sizeof(to));
			return ntohl(to.ipi_addr.s_addr);
		}
	return 0;
}

/* Whatever is there, at most AT_ONCE. *ret_count is 0 if nothing was. */
static bool hear(struct load *load, struct progress *progress, uint32_t *ret_count)
{
	struct datagrams *in = &load->in;
	struct reader r;
	int count, i;

	for (i = 0; i < AT_ONCE; i++) {
		in->vectors[i] = (struct iovec){ in->bytes[i], sizeof(in->bytes[i]) };
		in->headers[i].msg_hdr = (struct msghdr){ .msg_name = &in->names[i], .msg_namelen = sizeof(in->names[i]),
			.msg_iov = &in->vectors[i], .msg_iovlen = 1,
			.msg_control = in->control[i], .msg_controllen = sizeof(in->control[i]) };
	}
	count = recvmmsg(load->fd, in->headers, AT_ONCE, MSG_DONTWAIT, NULL);
	if (count < 0 && errno != EAGAIN && errno != EINTR)
		return bench_fail("cannot receive answers: %s", strerror(errno));
	*ret_count = count > 0 ? (uint32_t)count : 0;
	if (count > 0)
		progress->heard_at = seconds_now();
	for (i = 0; i < count; i++) {
		if (in->names[i].sin_addr.s_addr != load->server.sin_addr.s_addr || in->names[i].sin_port != load->server.sin_port)
			return bench_fail("an answer from somebody else than the server");
		reader_init(&r, in->bytes[i], in->headers[i].msg_len);
		if (!answer_take(load, progress, &r, address_to(&in->headers[i].msg_hdr)))
			return false;
	}
	return true;
}

/* ---- jobs ---- */

static bool wait_for_answers(struct load *load, struct progress *progress)
{
	struct pollfd readable = { .fd = load->fd, .events = POLLIN };

	if (poll(&readable, 1, POLL_MS) > 0 || seconds_now() - progress->heard_at < progress->job->patience_s)
		return true;
	return bench_fail("no answer for %g seconds: %u of %u requests answered", progress->job->patience_s,
			  (uint32_t)progress->outcome->answered, progress->job->count);
}

static bool job_do(struct load *load, struct progress *progress)
{
	uint32_t heard = 0;

	while (progress->outcome->answered < progress->job->count) {
		if (!ask(load, progress) || !ask_again(load, progress) || !hear(load, progress, &heard))
			return false;
		if (heard || (progress->next < progress->job->count && progress->awaited < progress->job->under_way))
			continue;
		if (!wait_for_answers(load, progress))
			return false;
	}
	return true;
}

bool load_run(struct load *load, const struct load_job *job, struct load_outcome *ret_outcome)
{
	struct progress progress = { .job = job, .outcome = ret_outcome, .queue_size = job->count, .heard_at = seconds_now() };
	bool done;
	uint32_t i;

	memset(ret_outcome, 0, sizeof(*ret_outcome));
	for (i = 0; i < job->count; i++)
		if (job->mappings[i] >= load->mappings_max)
			return bench_fail("mapping %u is beyond %u", job->mappings[i], load->mappings_max);
	progress.queue = calloc(job->count, sizeof(*progress.queue));
	if (!progress.queue)
		return bench_fail("out of memory");
	ret_outcome->seconds = seconds_now();
	done = job_do(load, &progress);
	ret_outcome->seconds = seconds_now() - ret_outcome->seconds;
	free(progress.queue);
	return done;
}

/* ---- life ---- */

static bool socket_open(struct load *load)
{
	const struct sockaddr_in any = { .sin_family = AF_INET };
	int one = 1, size = BUFFER_BYTES;

	load->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return load->fd >= 0 && !setsockopt(load->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) &&
	       !setsockopt(load->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) &&
	       !setsockopt(load->fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)) &&
	       !bind(load->fd, (const struct sockaddr *)&any, sizeof(any));
}

struct load *load_open(const uint8_t server4[4], uint32_t mappings)
{
	struct load *load = calloc(1, sizeof(*load));
	uint32_t i;

	if (!load)
		return NULL;
	load->fd = -1;
	load->server = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(PCP_SERVER_PORT) };
	memcpy(&load->server.sin_addr, server4, 4);
	load->external_net = TRAFFIC_EXTERNAL_NET;
	load->mappings_max = mappings;
	load->mappings = calloc(mappings, sizeof(*load->mappings));
	load->taken = calloc(EXTERNAL_ADDRESSES * 2 * (EXTERNAL_PORTS / 8), 1);
	for (i = 0; load->mappings && i < mappings; i++)
		load->mappings[i].external = NO_EXTERNAL;
	if (load->mappings && load->taken && socket_open(load))
		return load;
	bench_fail("cannot open a client: %s", strerror(errno));
	load_close(load);
	return NULL;
}

void load_expect_external(struct load *load, uint32_t net)
{
	load->external_net = net;
}

void load_close(struct load *load)
{
	if (!load)
		return;
	if (load->fd >= 0)
		close(load->fd);
	free(load->mappings);
	free(load->taken);
	free(load);
}
