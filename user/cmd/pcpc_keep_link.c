/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "inet_text.h"
#include "log.h"
#include "netlink.h"
#include "pcpc_keep_link.h"

#define NS_PER_S	1000000000ull

uint64_t keep_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- the server's addresses ---- */

static unsigned routers_find(bool ipv6, struct client_address *addresses)
{
	struct netlink_router routers[KEEP_ADDRESSES_MAX];
	int count = netlink_default_routers(ipv6, routers, KEEP_ADDRESSES_MAX);

	if (count < 0)
		log_warning("cannot read the routes: %s", strerror(-count));
	for (int i = 0; i < count; i++) {
		addresses[i] = (struct client_address){ .port = PCP_SERVER_PORT, .ifindex = routers[i].ifindex };
		if (ipv6)
			memcpy(addresses[i].address6, routers[i].address, sizeof(addresses[i].address6));
		else
			pcp_address_from_ipv4(routers[i].address, addresses[i].address6);
	}
	return count > 0 ? (unsigned)count : 0;
}

/* RFC 6887 section 8.1: those of the file, else the default routers. */
static unsigned addresses_find(const struct keep_server *server, struct client_address *addresses)
{
	bool wants_ipv6 = server->has_source && !pcp_address_is_ipv4(server->source6);
	unsigned count;

	memset(addresses, 0, KEEP_ADDRESSES_MAX * sizeof(*addresses));
	memcpy(addresses, server->addresses, server->address_count * sizeof(*addresses));
	if (server->address_count)
		return server->address_count;
	count = routers_find(wants_ipv6, addresses);
	return count || server->has_source ? count : routers_find(true, addresses);
}

static void disconnect(struct keep_link *link)
{
	if (link->fd < 0)
		return;
	ev_io_stop(link->loop, &link->readable);
	close(link->fd);
	link->fd = -1;
}

/* RFC 7488 section 3: to the address that answered once, until it does so no more; also over a restart. */
static unsigned first_find(const struct keep_link *link)
{
	struct pcp_client_path path;

	if (!keeper_known_path(link->keeper, &path))
		return 0;
	for (unsigned i = 0; i < link->address_count; i++)
		if (link->addresses[i].port == path.server_port && !memcmp(link->addresses[i].address6, path.server6, sizeof(path.server6)))
			return i;
	return 0;
}

/* True: they are others than before, and keeper_wants_path(). */
static bool addresses_refresh(struct keep_link *link)
{
	struct client_address addresses[KEEP_ADDRESSES_MAX];
	unsigned count = addresses_find(&link->server, addresses), i;

	for (i = 0; i < count && i < link->address_count && client_address_is_same(&addresses[i], &link->addresses[i]); i++)
		;
	if (i == count && i == link->address_count)
		return false;
	memcpy(link->addresses, addresses, sizeof(addresses));
	link->address_count = count;
	if (!count)
		log_warning("no default router to ask, and no server in the file");
	disconnect(link);
	keeper_servers(link->keeper, count, addresses[0].address6, first_find(link));
	return true;
}

/* ---- the way to one of them ---- */

static int path_open(const struct keep_link *link, unsigned index, struct pcp_client_path *ret_path)
{
	const struct keep_server *server = &link->server;
	const struct client_address *address = &link->addresses[index];
	const uint8_t *source6 = server->has_source ? server->source6 : NULL;
	uint8_t interface6[16];

	if (*server->interface) {
		if (!client_address_of_interface(server->interface, !pcp_address_is_ipv4(address->address6), interface6))
			return -EADDRNOTAVAIL;
		source6 = interface6;
	}
	return client_socket_open(address, source6, ret_path);
}

static void path_use(struct keep_link *link, int fd, const struct pcp_client_path *path)
{
	disconnect(link);
	link->fd = fd;
	link->path_now = *path;
	ev_io_set(&link->readable, fd, EV_READ);
	ev_io_start(link->loop, &link->readable);
	keeper_path(link->keeper, path, keep_now_ns());
}

static void path_fail(struct keep_link *link, unsigned index, int error)
{
	log_warning("%s: %s", inet_endpoint_text(link->addresses[index].address6, link->addresses[index].port).text, strerror(-error));
	disconnect(link);
	keeper_no_path(link->keeper, keep_now_ns());
}

static void path_try(struct keep_link *link, unsigned index)
{
	struct pcp_client_path path;
	int fd = path_open(link, index, &path);

	if (fd >= 0)
		path_use(link, fd, &path);
	else
		path_fail(link, index, fd);
}

void keep_link_refresh(struct keep_link *link)
{
	struct pcp_client_path path;
	unsigned index;
	int fd;

	if (addresses_refresh(link) || !link->address_count || keeper_wants_path(link->keeper, &index))
		return;
	fd = path_open(link, index, &path);
	if (fd < 0 && link->fd < 0)
		return;		/* still none */
	if (fd < 0) {
		path_fail(link, index, fd);
	} else if (link->fd >= 0 && !memcmp(path.client6, link->path_now.client6, sizeof(path.client6)) &&
		   !memcmp(path.server6, link->path_now.server6, sizeof(path.server6))) {
		close(fd);
		keeper_path(link->keeper, &path, keep_now_ns());
	} else {
		path_use(link, fd, &path);
	}
}

/* ---- datagrams ---- */

/* Errors are as good as a lost datagram: the kernel tells of a changed way, the schedule repeats. */
bool keep_link_step(struct keep_link *link)
{
	uint8_t bytes[PCP_MESSAGE_MAX];
	size_t len = keeper_send(link->keeper, keep_now_ns(), bytes);
	bool goes_on = len;
	unsigned index;

	if (len && link->fd >= 0 && send(link->fd, bytes, len, MSG_NOSIGNAL) < 0 && errno != ECONNREFUSED)
		log_info("send: %s", strerror(errno));
	if (keeper_wants_path(link->keeper, &index)) {
		path_try(link, index);
		goes_on = true;
	}
	return goes_on;
}

bool keep_receive(int fd, uint8_t *buffer, size_t size, struct pcp_client_datagram *ret_datagram, int *ret_error)
{
	struct client_address source;
	ssize_t len;

	do {
		len = client_socket_receive(fd, buffer, size, &source);
	} while (len == -EINTR);
	*ret_error = len < 0 ? (int)len : 0;
	if (len < 0)
		return false;
	*ret_datagram = (struct pcp_client_datagram){ .bytes = buffer, .source_port = source.port,
						      .len = (size_t)len < size ? (size_t)len : size };
	memcpy(ret_datagram->source6, source.address6, sizeof(source.address6));
	return true;
}

/* RFC 7488 section 3: nobody listens there, or nobody may get there. With one address there is nothing to do but to wait. */
static bool is_hard_error(int error)
{
	return error == -ECONNREFUSED || error == -EACCES || error == -EPERM || error == -ENOPROTOOPT;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	uint8_t bytes[PCP_MESSAGE_MAX + 4];	/* a longer datagram is seen to be longer */
	struct keep_link *link = io->data;
	struct pcp_client_datagram datagram;
	int error;

	(void)loop;
	(void)events;
	while (keep_receive(link->fd, bytes, sizeof(bytes), &datagram, &error))
		keeper_receive(link->keeper, &datagram, keep_now_ns());
	if (is_hard_error(error) && link->address_count > 1) {
		disconnect(link);
		keeper_no_path(link->keeper, keep_now_ns());
	}
	link->turn(link->context);
}

/* ---- life ---- */

struct keep_link *keep_link_new(const struct keep_server *server, const struct keeper_options *options, void (*turn)(void *context),
				void *context)
{
	struct keep_link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	*link = (struct keep_link){ .server = *server, .fd = -1, .loop = ev_default_loop(0), .turn = turn, .context = context };
	ev_io_init(&link->readable, on_readable, -1, EV_READ);
	link->readable.data = link;
	link->keeper = keeper_new(options);
	if (link->keeper && link->loop)
		return link;
	keep_link_free(link);
	return NULL;
}

void keep_link_free(struct keep_link *link)
{
	if (!link)
		return;
	disconnect(link);
	keeper_free(link->keeper);
	free(link);
}
