/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel says of addresses, and when it says something else. */
#ifndef CGN_NETLINK_H
#define CGN_NETLINK_H
#include <stdbool.h>
#include <stdint.h>

struct netlink_address {
	uint32_t ifindex;
	uint8_t addr4[4];
};

/* All IPv4 addresses of this network namespace. Returns how many, or -errno; the caller frees *ret_addresses. */
int netlink_addresses(struct netlink_address **ret_addresses);

struct netlink_vlan {		/* what a VLAN device is made of */
	uint32_t lower;		/* ifindex of the device that it stands on */
	uint16_t id;
	bool is_8021ad;		/* and not 802.1Q */
};

/* 1: the interface is a VLAN device; 0: it is something else, or is not there; or -errno. */
int netlink_vlan(uint32_t ifindex, struct netlink_vlan *ret_vlan);
struct nlmsghdr;
/* The same of one message of the kernel's about a link. */
bool netlink_vlan_read(const struct nlmsghdr *message, struct netlink_vlan *ret_vlan);

struct netlink_router {
	bool is_ipv6;
	uint8_t address[16];	/* network order; of IPv4 the first 4 bytes */
	uint32_t ifindex;
	uint32_t metric;
};

/* The gateways of the default routes of the main table, lowest metric first. Returns how many (at most size), or -errno. */
int netlink_default_routers(bool ipv6, struct netlink_router *routers, unsigned size);

/* A non-blocking fd that becomes readable when links or IPv4 addresses change, or -errno. */
int netlink_watch_open(void);
/* The same for whatever changes the host's way to others: links, addresses and routes of both families. */
int netlink_watch_open_host(void);
/* Reads what came, unseen: the caller then asks for what there is now. */
void netlink_watch_drain(int fd);

#endif
