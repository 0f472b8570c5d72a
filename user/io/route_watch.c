/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <libmnl/libmnl.h>
#include "dataplane.h"
#include "event_loop.h"
#include "log.h"
#include "route_watch.h"

#define PAUSE_S 0.01		/* between two calls upon the programs: a table of routes may change thousands of times a second */
#define BUFFER_BYTES (1 << 20)	/* what may wait in the socket */
#define DUMP_SEQUENCE 1

struct neighbour {
	uint32_t ifindex;
	uint8_t addr4[4];
	uint8_t mac[6];
};

struct route_watch {
	struct ev_loop *loop;
	struct dataplane *dp;
	struct mnl_socket *socket;
	struct ev_io io;
	struct ev_timer pause;
	bool is_due;		/* something changed during the pause */
	void *neighbours;	/* tree of struct neighbour: those whose hardware address is known */
};

/* ---- the programs ---- */

static void reroute(struct route_watch *watch)
{
	watch->is_due = false;
	if (!dataplane_reroute(watch->dp))
		log_warning("cannot tell the programs that routes changed; they find out within a second");
	ev_timer_set(&watch->pause, PAUSE_S, 0.);
	ev_timer_start(watch->loop, &watch->pause);
}

static void note_change(struct route_watch *watch)
{
	if (ev_is_active(&watch->pause))
		watch->is_due = true;
	else
		reroute(watch);
}

static void handle_pause(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct route_watch *watch = timer->data;

	(void)loop;
	(void)events;
	if (watch->is_due)
		reroute(watch);
}

/* ---- neighbours ---- */

static int compare(const void *a, const void *b)
{
	const struct neighbour *left = a, *right = b;

	if (left->ifindex != right->ifindex)
		return left->ifindex < right->ifindex ? -1 : 1;
	return memcmp(left->addr4, right->addr4, sizeof(left->addr4));
}

static void forget(struct route_watch *watch, const struct neighbour *neighbour)
{
	struct neighbour **found = tfind(neighbour, &watch->neighbours, compare), *known;

	if (!found)
		return;
	known = *found;
	tdelete(neighbour, &watch->neighbours, compare);
	free(known);
	note_change(watch);
}

/* No change for the programs if it was not known: what they find unresolved they ask for with every packet. */
static void remember(struct route_watch *watch, const struct neighbour *neighbour)
{
	struct neighbour **found = tfind(neighbour, &watch->neighbours, compare), *known;

	if (found) {
		if (!memcmp((*found)->mac, neighbour->mac, sizeof(neighbour->mac)))
			return;
		memcpy((*found)->mac, neighbour->mac, sizeof(neighbour->mac));
		note_change(watch);
		return;
	}
	known = malloc(sizeof(*known));
	if (!known)
		return;
	*known = *neighbour;
	if (!tsearch(known, &watch->neighbours, compare))
		free(known);
}

/* As if the kernel had sent a packet there: it probes, and forgets who does not answer. */
static void confirm(const struct route_watch *watch, const struct neighbour *neighbour)
{
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ndmsg *header;

	message->nlmsg_type = RTM_NEWNEIGH;
	message->nlmsg_flags = NLM_F_REQUEST;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ndm_family = AF_INET;
	header->ndm_ifindex = (int)neighbour->ifindex;
	header->ndm_flags = NTF_USE;
	mnl_attr_put(message, NDA_DST, sizeof(neighbour->addr4), neighbour->addr4);
	if (mnl_socket_sendto(watch->socket, message, message->nlmsg_len) < 0)
		return;		/* it goes stale again, or is forgotten by the kernel and found by the next packet */
}

struct attributes {
	const struct nlattr *address, *mac;
};

static int find_attribute(const struct nlattr *attribute, void *context)
{
	struct attributes *found = context;

	if (mnl_attr_get_type(attribute) == NDA_DST && mnl_attr_get_payload_len(attribute) == 4)
		found->address = attribute;
	if (mnl_attr_get_type(attribute) == NDA_LLADDR && mnl_attr_get_payload_len(attribute) == 6)
		found->mac = attribute;
	return MNL_CB_OK;
}

static void handle_neighbour(struct route_watch *watch, const struct nlmsghdr *message)
{
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	struct neighbour neighbour = { .ifindex = (uint32_t)header->ndm_ifindex };
	struct attributes found = {};

	if (header->ndm_family != AF_INET || mnl_attr_parse(message, sizeof(*header), find_attribute, &found) < 0 || !found.address)
		return;
	memcpy(neighbour.addr4, mnl_attr_get_payload(found.address), sizeof(neighbour.addr4));
	if (message->nlmsg_type == RTM_DELNEIGH || !found.mac || header->ndm_state & (NUD_FAILED | NUD_INCOMPLETE) || !header->ndm_state) {
		forget(watch, &neighbour);
		return;
	}
	memcpy(neighbour.mac, mnl_attr_get_payload(found.mac), sizeof(neighbour.mac));
	remember(watch, &neighbour);
	if (header->ndm_state & NUD_STALE && dataplane_uses_interface(watch->dp, neighbour.ifindex))
		confirm(watch, &neighbour);
}

/* ---- netlink ---- */

static int handle_message(const struct nlmsghdr *message, void *context)
{
	if (message->nlmsg_type == RTM_NEWNEIGH || message->nlmsg_type == RTM_DELNEIGH)
		handle_neighbour(context, message);
	else if (message->nlmsg_type >= RTM_BASE)
		note_change(context);
	return MNL_CB_OK;
}

static void ask_for_neighbours(const struct route_watch *watch)
{
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ndmsg *header;

	message->nlmsg_type = RTM_GETNEIGH;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = DUMP_SEQUENCE;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ndm_family = AF_INET;
	if (mnl_socket_sendto(watch->socket, message, message->nlmsg_len) < 0)
		log_warning("cannot ask for neighbours: %s", strerror(errno));
}

static void handle_readable(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct route_watch *watch = io->data;
	char buffer[32768];
	ssize_t len;

	(void)loop;
	(void)events;
	for (;;) {
		len = mnl_socket_recvfrom(watch->socket, buffer, sizeof(buffer));
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno == ENOBUFS) {	/* some was lost: what, nobody knows */
			tdestroy(watch->neighbours, free);
			watch->neighbours = NULL;
			note_change(watch);
			ask_for_neighbours(watch);
			continue;
		}
		if (len <= 0)
			return;
		mnl_cb_run(buffer, (size_t)len, 0, 0, handle_message, watch);	/* an error reply to confirm() ends the batch: it is alone in it */
	}
}

static struct mnl_socket *open_socket(void)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_NEXTHOP };
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int size = BUFFER_BYTES, group;
	size_t i;

	if (!socket)
		return NULL;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID)) {
		mnl_socket_close(socket);
		return NULL;
	}
	if (setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		log_warning("netlink: cannot enlarge the buffer: %s", strerror(errno));
	for (i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		group = groups[i];
		if (mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)))
			log_warning("netlink: cannot join group %d: %s", group, strerror(errno));
	}
	return socket;
}

struct route_watch *route_watch_new(struct ev_loop *loop, struct dataplane *dp)
{
	struct route_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->loop = loop;
	watch->dp = dp;
	watch->socket = open_socket();
	if (!watch->socket) {
		free(watch);
		return NULL;
	}
	ev_timer_init(&watch->pause, handle_pause, PAUSE_S, 0.);
	watch->pause.data = watch;
	ev_io_init(&watch->io, handle_readable, mnl_socket_get_fd(watch->socket), EV_READ);
	watch->io.data = watch;
	ev_io_start(loop, &watch->io);
	note_change(watch);	/* whatever changed while nobody watched */
	ask_for_neighbours(watch);
	return watch;
}

void route_watch_free(struct route_watch *watch)
{
	if (!watch)
		return;
	ev_io_stop(watch->loop, &watch->io);
	ev_timer_stop(watch->loop, &watch->pause);
	mnl_socket_close(watch->socket);
	tdestroy(watch->neighbours, free);
	free(watch);
}
