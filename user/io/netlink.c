/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <libmnl/libmnl.h>
#include "netlink.h"

struct address_list {
	struct netlink_address *addresses;
	int count, size;
};

static int find_local(const struct nlattr *attribute, void *context)
{
	const struct nlattr **ret_local = context;

	if (mnl_attr_get_type(attribute) == IFA_LOCAL && mnl_attr_get_payload_len(attribute) == 4)
		*ret_local = attribute;
	return MNL_CB_OK;
}

static int add_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
	struct address_list *list = context;
	struct netlink_address *grown;
	const struct nlattr *local = NULL;

	if (message->nlmsg_type != RTM_NEWADDR || header->ifa_family != AF_INET)
		return MNL_CB_OK;
	if (mnl_attr_parse(message, sizeof(*header), find_local, &local) < 0 || !local)
		return MNL_CB_OK;
	if (list->count == list->size) {
		list->size = list->size ? list->size * 2 : 16;
		grown = realloc(list->addresses, (size_t)list->size * sizeof(*grown));
		if (!grown) {
			errno = ENOMEM;
			return MNL_CB_ERROR;
		}
		list->addresses = grown;
	}
	list->addresses[list->count].ifindex = header->ifa_index;
	memcpy(list->addresses[list->count].addr4, mnl_attr_get_payload(local), 4);
	list->count++;
	return MNL_CB_OK;
}

static int dump_addresses(struct mnl_socket *socket, struct address_list *list)
{
	char buffer[16384];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *header;
	ssize_t len;
	int going;

	message->nlmsg_type = RTM_GETADDR;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = 1;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ifa_family = AF_INET;
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	do {
		len = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		going = len < 0 ? MNL_CB_ERROR : mnl_cb_run(buffer, (size_t)len, 1, mnl_socket_get_portid(socket), add_address, list);
	} while (going == MNL_CB_OK);
	return going == MNL_CB_ERROR ? -errno : 0;
}

int netlink_addresses(struct netlink_address **ret_addresses)
{
	struct address_list list = {};
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int failed;

	if (!socket)
		return -errno;
	failed = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) ? -errno : dump_addresses(socket, &list);
	mnl_socket_close(socket);
	if (failed) {
		free(list.addresses);
		return failed;
	}
	*ret_addresses = list.addresses;
	return list.count;
}

int netlink_watch_open(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE), failed;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address))) {
		failed = -errno;
		close(fd);
		return failed;
	}
	return fd;
}

void netlink_watch_drain(int fd)
{
	char buffer[16384];

	/* an overrun (ENOBUFS) is cleared by reading it, and means the same: something changed */
	while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) >= 0 || errno == ENOBUFS || errno == EINTR)
		;
}
