/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "config.h"
#include "event_loop.h"
#include "log.h"
#include "netlink.h"
#include "pcp_codec.h"
#include "pcp_server.h"
#include "pcp_service.h"
#include "udp_socket.h"

#define LISTEN_MAX	256	/* addresses */
#define ROUNDS		8	/* batches decided before they are committed together and answered */
#define GROUPS		2	/* one is decided while the other is committed */

struct listener {
	struct ev_io io;	/* io.data is the service */
	uint8_t addr4[4];
	bool is_wanted;		/* scratch of pcp_service_refresh() */
};

/* Requests that are committed together, of one socket. */
struct group {
	struct udp_batch *batches[ROUNDS];
	unsigned rounds;	/* of them in use */
	int fd;
};

struct pcp_service {
	struct ev_loop *loop;
	struct pcp_server *server;
	const struct config *config;
	struct pcp_commit commit;
	struct ev_io committed;
	struct listener *listeners[LISTEN_MAX];
	unsigned listener_count;
	uint32_t internal_ifindex[CGN_INTERFACES_MAX];
	unsigned internal_count;
	struct group groups[GROUPS], *waiting;	/* `waiting`: is decided and being committed */
	struct pcp_service_stats stats;
};

static bool is_internal(const struct pcp_service *service, uint32_t ifindex)
{
	unsigned i;

	for (i = 0; i < service->internal_count; i++)
		if (service->internal_ifindex[i] == ifindex)
			return true;
	return false;
}

/* ---- requests ---- */

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void decide(struct pcp_service *service, struct udp_batch *batch, unsigned index, uint64_t now_ms)
{
	struct udp_datagram received = udp_batch_datagram(batch, index);
	struct pcp_datagram datagram = { .bytes = received.bytes, .len = received.len, .source_port = received.source_port,
		.is_internal = is_internal(service, received.ifindex), .received_ms = now_ms };
	uint32_t now_s = (uint32_t)(now_ms / 1000);	/* the boot clock, as dataplane_now_s() */

	pcp_address_from_ipv4(received.source4, datagram.source6);
	udp_batch_set_answer_len(batch, index, pcp_server_handle(service->server, &datagram, now_s, udp_batch_answer(batch, index),
								UDP_DATAGRAM_MAX));
}

/* What waits, up to ROUNDS batches. */
static void group_decide(struct pcp_service *service, struct group *group, int fd)
{
	uint64_t now_ms = monotonic_ms();
	int count = UDP_BATCH_MAX, i;

	group->fd = fd;
	for (group->rounds = 0; group->rounds < ROUNDS && count == UDP_BATCH_MAX; group->rounds++) {
		count = udp_batch_receive(group->batches[group->rounds], fd);
		if (count <= 0)
			break;
		for (i = 0; i < count; i++)
			decide(service, group->batches[group->rounds], (unsigned)i, now_ms);
	}
}

/* What could not be made safe is not promised: asked again, it is refused. */
static void group_decide_again(struct pcp_service *service, struct group *group)
{
	uint64_t now_ms = monotonic_ms();
	unsigned round, i;

	for (round = 0; round < group->rounds; round++)
		for (i = 0; i < udp_batch_count(group->batches[round]); i++)
			decide(service, group->batches[round], i, now_ms);
}

static void group_answer(struct pcp_service *service, struct group *group)
{
	unsigned i;

	for (i = 0; i < group->rounds; i++)
		service->stats.unsent += udp_batch_send(group->batches[i], group->fd);
}

/* Answers what is being committed, once it is. False: it failed, and with it all that was decided since. */
static bool settle(struct pcp_service *service)
{
	struct group *group = service->waiting;
	bool is_safe;

	if (!group)
		return true;
	service->waiting = NULL;
	is_safe = service->commit.end(service->commit.context);
	ev_clear_pending(service->loop, &service->committed);
	if (!is_safe)
		group_decide_again(service, group);
	group_answer(service, group);
	return is_safe;
}

static void handle_committed(struct ev_loop *loop, struct ev_io *io, int events)
{
	(void)loop;
	(void)events;
	settle(io->data);
}

/* Answers leave in the order of their requests, and not before everything that was decided until then is safe. */
static void handle_readable(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct pcp_service *service = io->data;
	struct group *group = &service->groups[service->waiting == &service->groups[0]];

	(void)loop;
	(void)events;
	group_decide(service, group, io->fd);
	if (!group->rounds)
		return;
	if (!settle(service))
		group_decide_again(service, group);
	else if (service->commit.begin && service->commit.begin(service->commit.context))
		service->waiting = group;
	if (!service->waiting)
		group_answer(service, group);
}

/* ---- sockets ---- */

static struct listener *listener_find(struct pcp_service *service, const uint8_t addr4[4])
{
	unsigned i;

	for (i = 0; i < service->listener_count; i++)
		if (!memcmp(service->listeners[i]->addr4, addr4, 4))
			return service->listeners[i];
	return NULL;
}

/* 0 or -errno; -EADDRNOTAVAIL: the address is not there (yet). */
static int listener_add(struct pcp_service *service, const uint8_t addr4[4])
{
	struct listener *listener = listener_find(service, addr4);
	int fd;

	if (listener) {
		listener->is_wanted = true;
		return 0;
	}
	if (service->listener_count == LISTEN_MAX)
		return -E2BIG;
	listener = calloc(1, sizeof(*listener));
	if (!listener)
		return -ENOMEM;
	fd = udp_socket_open(addr4, PCP_SERVER_PORT);
	if (fd < 0) {
		free(listener);
		return fd;
	}
	memcpy(listener->addr4, addr4, 4);
	listener->is_wanted = true;
	ev_io_init(&listener->io, handle_readable, fd, EV_READ);
	listener->io.data = service;
	ev_io_start(service->loop, &listener->io);
	service->listeners[service->listener_count++] = listener;
	log_info("listening on %u.%u.%u.%u:%d", addr4[0], addr4[1], addr4[2], addr4[3], PCP_SERVER_PORT);
	return 0;
}

static void listener_remove(struct pcp_service *service, unsigned index)
{
	struct listener *listener = service->listeners[index];

	settle(service);	/* by this socket, perhaps */
	ev_io_stop(service->loop, &listener->io);
	close(listener->io.fd);
	free(listener);
	service->listeners[index] = service->listeners[--service->listener_count];
}

static bool listen_failed(const uint8_t addr4[4], int failed, char *error, size_t error_size)
{
	if (!failed || failed == -EADDRNOTAVAIL)
		return false;
	snprintf(error, error_size, "cannot listen on %u.%u.%u.%u:%d: %s%s", addr4[0], addr4[1], addr4[2], addr4[3], PCP_SERVER_PORT,
		 strerror(-failed), failed == -EADDRINUSE ? "; another PCP or NAT-PMP server runs there" : "");
	return true;
}

/* The configured addresses. */
static bool listen_configured(struct pcp_service *service, char *error, size_t error_size)
{
	const struct config_pcp *pcp = &service->config->pcp;
	bool done = true;
	unsigned i;
	int failed;

	for (i = 0; i < pcp->listen4_count; i++) {
		uint32_t address = pcp->listen4[i];
		uint8_t addr4[4] = { (uint8_t)(address >> 24), (uint8_t)(address >> 16), (uint8_t)(address >> 8), (uint8_t)address };

		failed = listener_add(service, addr4);
		if (failed == -EADDRNOTAVAIL)
			log_warning("pcp.listen: no interface has %u.%u.%u.%u yet", addr4[0], addr4[1], addr4[2], addr4[3]);
		done = !listen_failed(addr4, failed, error, error_size) && done;
	}
	return done;
}

/* Every address of the internal interfaces. */
static bool listen_internal(struct pcp_service *service, char *error, size_t error_size)
{
	struct netlink_address *addresses = NULL;
	bool done = true;
	int count = netlink_addresses(&addresses), i;

	if (count < 0) {
		snprintf(error, error_size, "cannot list addresses: %s", strerror(-count));
		return false;
	}
	for (i = 0; i < count; i++)
		if (is_internal(service, addresses[i].ifindex))
			done = !listen_failed(addresses[i].addr4, listener_add(service, addresses[i].addr4), error, error_size) && done;
	free(addresses);
	return done;
}

bool pcp_service_refresh(struct pcp_service *service, char *error, size_t error_size)
{
	const struct config *config = service->config;
	uint32_t ifindex;
	bool done;
	unsigned i;

	service->internal_count = 0;
	for (i = 0; i < config->interfaces_count; i++) {
		ifindex = if_nametoindex(config->interfaces[i].name);
		if (ifindex && (config->interfaces[i].side == CGN_INTERNAL_SIDE || config->interfaces[i].side == CGN_EITHER_SIDE))
			service->internal_ifindex[service->internal_count++] = ifindex;
	}
	for (i = 0; i < service->listener_count; i++)
		service->listeners[i]->is_wanted = false;
	done = config->pcp.listen4_count ? listen_configured(service, error, error_size) : listen_internal(service, error, error_size);
	for (i = service->listener_count; done && i-- > 0; )
		if (!service->listeners[i]->is_wanted)
			listener_remove(service, i);
	return done;
}

/* ---- unsolicited ---- */

unsigned pcp_service_send(struct pcp_service *service, const uint8_t client4[4], uint16_t client_port, const uint8_t *bytes, size_t len)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(client_port) };
	unsigned i, sent = 0;

	settle(service);	/* it may tell of what is not safe yet */
	memcpy(&to.sin_addr, client4, 4);
	for (i = 0; i < service->listener_count; i++)
		sent += sendto(service->listeners[i]->io.fd, bytes, len, MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof(to)) == (ssize_t)len;
	return sent;
}

static bool is_address_of(const struct netlink_address *addresses, int count, const uint8_t addr4[4], uint32_t ifindex)
{
	int i;

	for (i = 0; i < count; i++)
		if (addresses[i].ifindex == ifindex && !memcmp(addresses[i].addr4, addr4, 4))
			return true;
	return false;
}

unsigned pcp_service_multicast(struct pcp_service *service, const uint8_t *bytes, size_t len)
{
	static const uint8_t all_hosts[4] = { 224, 0, 0, 1 };
	struct netlink_address *addresses = NULL;
	int count = netlink_addresses(&addresses);
	unsigned i, j, sent = 0;

	for (i = 0; i < service->listener_count; i++)
		for (j = 0; j < service->internal_count; j++)
			if (is_address_of(addresses, count, service->listeners[i]->addr4, service->internal_ifindex[j]))
				sent += !udp_socket_multicast(service->listeners[i]->io.fd, service->internal_ifindex[j], all_hosts,
							      PCP_CLIENT_PORT, bytes, len);
	if (count >= 0)
		free(addresses);
	return sent;
}

bool pcp_service_natpmp_address(const struct pcp_service *service, uint8_t ret_external4[4])
{
	uint32_t address;

	if (!service->config->pcp.nat_pmp || config_address_count(service->config) != 1)
		return false;
	address = htonl(service->config->pools[0].addresses[0].network);
	memcpy(ret_external4, &address, 4);
	return true;
}

/* ---- life ---- */

static bool groups_init(struct pcp_service *service)
{
	unsigned i;

	for (i = 0; i < GROUPS * ROUNDS; i++) {
		service->groups[i / ROUNDS].batches[i % ROUNDS] = udp_batch_new();
		if (!service->groups[i / ROUNDS].batches[i % ROUNDS])
			return false;
	}
	return true;
}

struct pcp_service *pcp_service_new(struct ev_loop *loop, struct pcp_server *server, const struct config *config)
{
	struct pcp_service *service = calloc(1, sizeof(*service));

	if (!service)
		return NULL;
	service->loop = loop;
	service->server = server;
	service->config = config;
	ev_io_init(&service->committed, handle_committed, -1, EV_READ);
	service->committed.data = service;
	if (groups_init(service))
		return service;
	pcp_service_free(service);
	return NULL;
}

void pcp_service_free(struct pcp_service *service)
{
	int i;

	if (!service)
		return;
	settle(service);
	ev_io_stop(service->loop, &service->committed);
	while (service->listener_count)
		listener_remove(service, service->listener_count - 1);
	for (i = 0; i < GROUPS * ROUNDS; i++)
		udp_batch_free(service->groups[i / ROUNDS].batches[i % ROUNDS]);
	free(service);
}

void pcp_service_set_config(struct pcp_service *service, const struct config *config)
{
	service->config = config;
}

void pcp_service_set_commit(struct pcp_service *service, const struct pcp_commit *commit)
{
	service->commit = *commit;
	ev_io_set(&service->committed, commit->done_fd, EV_READ);
	ev_io_start(service->loop, &service->committed);
}

const struct pcp_service_stats *pcp_service_stats(const struct pcp_service *service)
{
	return &service->stats;
}

unsigned pcp_service_listening(const struct pcp_service *service)
{
	return service->listener_count;
}
