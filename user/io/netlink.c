/* SPDX-License-Identifier: GPL-2.0-only */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
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

/* Asks for everything of one kind and family; the family is the first byte of every route netlink header. */
static int dump(uint16_t type, size_t header_len, uint8_t family, mnl_cb_t callback, void *context)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	char buffer[32768];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	ssize_t len;
	int going = MNL_CB_OK, failed = 0;

	if (!socket)
		return -errno;
	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = 1;
	*(uint8_t *)mnl_nlmsg_put_extra_header(message, header_len) = family;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) || mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		failed = -errno;
	while (!failed && going == MNL_CB_OK) {
		len = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		going = len < 0 ? MNL_CB_ERROR : mnl_cb_run(buffer, (size_t)len, 1, mnl_socket_get_portid(socket), callback, context);
		if (going == MNL_CB_ERROR)
			failed = -errno;
	}
	mnl_socket_close(socket);
	return failed;
}

int netlink_addresses(struct netlink_address **ret_addresses)
{
	struct address_list list = {};
	int failed = dump(RTM_GETADDR, sizeof(struct ifaddrmsg), AF_INET, add_address, &list);

	if (failed) {
		free(list.addresses);
		return failed;
	}
	*ret_addresses = list.addresses;
	return list.count;
}

/* ---- VLAN devices ---- */

struct link_attributes {
	const struct nlattr *lower, *kind, *details, *id, *protocol;
};

static int find_vlan_attribute(const struct nlattr *attribute, void *context)
{
	struct link_attributes *found = context;

	if (mnl_attr_get_type(attribute) == IFLA_VLAN_ID && mnl_attr_get_payload_len(attribute) == 2)
		found->id = attribute;
	if (mnl_attr_get_type(attribute) == IFLA_VLAN_PROTOCOL && mnl_attr_get_payload_len(attribute) == 2)
		found->protocol = attribute;
	return MNL_CB_OK;
}

static int find_kind_attribute(const struct nlattr *attribute, void *context)
{
	struct link_attributes *found = context;

	if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
		found->kind = attribute;
	if (mnl_attr_get_type(attribute) == IFLA_INFO_DATA)
		found->details = attribute;
	return MNL_CB_OK;
}

static int find_link_attribute(const struct nlattr *attribute, void *context)
{
	struct link_attributes *found = context;

	if (mnl_attr_get_type(attribute) == IFLA_LINK && mnl_attr_get_payload_len(attribute) == 4)
		found->lower = attribute;
	return mnl_attr_get_type(attribute) == IFLA_LINKINFO ? mnl_attr_parse_nested(attribute, find_kind_attribute, found) : MNL_CB_OK;
}

bool netlink_vlan_read(const struct nlmsghdr *message, struct netlink_vlan *ret_vlan)
{
	struct link_attributes found = { 0 };

	if (mnl_attr_parse(message, sizeof(struct ifinfomsg), find_link_attribute, &found) < 0 || !found.lower || !found.kind || !found.details)
		return false;
	if (strncmp(mnl_attr_get_payload(found.kind), "vlan", mnl_attr_get_payload_len(found.kind)) ||
	    mnl_attr_parse_nested(found.details, find_vlan_attribute, &found) < 0 || !found.id)
		return false;
	ret_vlan->lower = mnl_attr_get_u32(found.lower);
	ret_vlan->id = mnl_attr_get_u16(found.id);
	ret_vlan->is_8021ad = found.protocol && mnl_attr_get_u16(found.protocol) == htons(ETH_P_8021AD);
	return true;
}

struct vlan_search {
	uint32_t ifindex;
	struct netlink_vlan *vlan;
	int found;
};

static int find_vlan(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	struct vlan_search *search = context;

	if (message->nlmsg_type == RTM_NEWLINK && (uint32_t)header->ifi_index == search->ifindex)
		search->found = netlink_vlan_read(message, search->vlan);
	return MNL_CB_OK;
}

int netlink_vlan(uint32_t ifindex, struct netlink_vlan *ret_vlan)
{
	struct vlan_search search = { .ifindex = ifindex, .vlan = ret_vlan };
	int failed = dump(RTM_GETLINK, sizeof(struct ifinfomsg), AF_UNSPEC, find_vlan, &search);

	return failed ? failed : search.found;
}

/* ---- routers ---- */

struct router_list {
	struct netlink_router *routers;
	unsigned count, size;
};

struct route_attributes {
	const struct nlattr *gateway, *interface, *metric, *multipath;
};

static int find_route_attribute(const struct nlattr *attribute, void *context)
{
	struct route_attributes *found = context;

	switch (mnl_attr_get_type(attribute)) {
	case RTA_GATEWAY:
		found->gateway = attribute;
		break;
	case RTA_OIF:
		found->interface = attribute;
		break;
	case RTA_PRIORITY:
		found->metric = attribute;
		break;
	case RTA_MULTIPATH:
		found->multipath = attribute;
		break;
	}
	return MNL_CB_OK;
}

/* In the order of their metrics; those of one metric as the kernel has them. */
static void insert_router(struct router_list *list, struct netlink_router router, const struct nlattr *gateway)
{
	size_t len = router.is_ipv6 ? 16 : 4;
	unsigned i;

	if (!gateway || mnl_attr_get_payload_len(gateway) != len || list->count == list->size)
		return;
	memcpy(router.address, mnl_attr_get_payload(gateway), len);
	for (i = list->count++; i && list->routers[i - 1].metric > router.metric; i--)
		list->routers[i] = list->routers[i - 1];
	list->routers[i] = router;
}

static int add_router(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	struct netlink_router router = { .is_ipv6 = header->rtm_family == AF_INET6 };
	struct route_attributes route = { 0 }, hop_attributes;
	const struct rtnexthop *hop;
	int left;

	if (message->nlmsg_type != RTM_NEWROUTE || header->rtm_dst_len || header->rtm_type != RTN_UNICAST ||
	    header->rtm_table != RT_TABLE_MAIN || mnl_attr_parse(message, sizeof(*header), find_route_attribute, &route) < 0)
		return MNL_CB_OK;
	router.metric = route.metric ? mnl_attr_get_u32(route.metric) : 0;
	router.ifindex = route.interface ? mnl_attr_get_u32(route.interface) : 0;
	insert_router(context, router, route.gateway);
	if (!route.multipath)
		return MNL_CB_OK;
	hop = mnl_attr_get_payload(route.multipath);
	for (left = mnl_attr_get_payload_len(route.multipath); RTNH_OK(hop, left); left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		hop_attributes = (struct route_attributes){ 0 };
		mnl_attr_parse_payload(RTNH_DATA(hop), hop->rtnh_len - sizeof(*hop), find_route_attribute, &hop_attributes);
		router.ifindex = (uint32_t)hop->rtnh_ifindex;
		insert_router(context, router, hop_attributes.gateway);
	}
	return MNL_CB_OK;
}

int netlink_default_routers(bool ipv6, struct netlink_router *routers, unsigned size)
{
	struct router_list list = { .routers = routers, .size = size };
	int failed = dump(RTM_GETROUTE, sizeof(struct rtmsg), ipv6 ? AF_INET6 : AF_INET, add_router, &list);

	return failed ? failed : (int)list.count;
}

static int watch_open(uint32_t groups)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
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

int netlink_watch_open(void)
{
	return watch_open(RTMGRP_LINK | RTMGRP_IPV4_IFADDR);
}

int netlink_watch_open_host(void)
{
	return watch_open(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE);
}

void netlink_watch_drain(int fd)
{
	char buffer[16384];

	/* an overrun (ENOBUFS) is cleared by reading it, and means the same: something changed */
	while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) >= 0 || errno == ENOBUFS || errno == EINTR)
		;
}
