/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "client_socket.h"
#include "inet_text.h"
#include "pcp_client.h"

bool client_address_parse(const char *text, uint16_t default_port, struct client_address *ret_address)
{
	struct client_address address = { .port = default_port };
	const char *zone = strchr(text, '%');
	size_t zone_len = zone ? strcspn(zone, "]") : 0;
	char copy[80], interface[IF_NAMESIZE];

	if (strlen(text) >= sizeof(copy) || zone_len > sizeof(interface))
		return false;
	strcpy(copy, text);
	if (zone) {	/* inet_pton() knows no zones: cut it out */
		memcpy(interface, zone + 1, zone_len - 1);
		interface[zone_len - 1] = '\0';
		strcpy(copy + (zone - text), zone + zone_len);
		address.ifindex = if_nametoindex(interface);
		if (!address.ifindex)
			return false;
	}
	if (*copy == ':' && copy[1] != ':')	/* a port alone is no address */
		return false;
	if (!inet_endpoint_parse(copy, address.address6, &address.port) || !address.port)
		return false;
	*ret_address = address;
	return true;
}

bool client_address_is_same(const struct client_address *one, const struct client_address *other)
{
	return one->port == other->port && one->ifindex == other->ifindex && !memcmp(one->address6, other->address6, sizeof(one->address6));
}

static socklen_t sockaddr_fill(const struct client_address *address, struct sockaddr_storage *ret_sockaddr)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)ret_sockaddr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_sockaddr;

	memset(ret_sockaddr, 0, sizeof(*ret_sockaddr));
	if (pcp_address_is_ipv4(address->address6)) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons(address->port);
		memcpy(&in4->sin_addr, address->address6 + 12, 4);
		return sizeof(*in4);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(address->port);
	in6->sin6_scope_id = address->ifindex;
	memcpy(&in6->sin6_addr, address->address6, 16);
	return sizeof(*in6);
}

static void address_fill(const struct sockaddr_storage *sockaddr, struct client_address *ret_address)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)sockaddr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sockaddr;

	*ret_address = (struct client_address){ 0 };
	if (sockaddr->ss_family == AF_INET) {
		pcp_address_from_ipv4((const uint8_t *)&in4->sin_addr, ret_address->address6);
		ret_address->port = ntohs(in4->sin_port);
	} else if (sockaddr->ss_family == AF_INET6) {
		memcpy(ret_address->address6, &in6->sin6_addr, 16);
		ret_address->port = ntohs(in6->sin6_port);
		ret_address->ifindex = in6->sin6_scope_id;
	}
}

static int bind_and_connect(int fd, const struct client_address *server, const uint8_t source6[16], struct pcp_client_path *ret_path)
{
	struct client_address local = { .ifindex = server->ifindex };
	struct sockaddr_storage sockaddr;
	socklen_t len;

	if (source6) {
		memcpy(local.address6, source6, sizeof(local.address6));
		len = sockaddr_fill(&local, &sockaddr);
		if (bind(fd, (const struct sockaddr *)&sockaddr, len))
			return -errno;
	}
	len = sockaddr_fill(server, &sockaddr);
	if (connect(fd, (const struct sockaddr *)&sockaddr, len))
		return -errno;
	len = sizeof(sockaddr);
	if (getsockname(fd, (struct sockaddr *)&sockaddr, &len))
		return -errno;
	address_fill(&sockaddr, &local);
	memcpy(ret_path->client6, local.address6, sizeof(ret_path->client6));
	memcpy(ret_path->server6, server->address6, sizeof(ret_path->server6));
	ret_path->server_port = server->port;
	return 0;
}

int client_socket_open(const struct client_address *server, const uint8_t source6[16], struct pcp_client_path *ret_path)
{
	int family = pcp_address_is_ipv4(server->address6) ? AF_INET : AF_INET6, fd, failed;

	if (source6 && pcp_address_is_ipv4(source6) != (family == AF_INET))
		return -EAFNOSUPPORT;
	fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	failed = bind_and_connect(fd, server, source6, ret_path);
	if (failed) {
		close(fd);
		return failed;
	}
	return fd;
}

static bool is_fit_source(const uint8_t address6[16])
{
	if (pcp_address_is_ipv4(address6))
		return true;
	return !(address6[0] == 0xfe && (address6[1] & 0xc0) == 0x80) && (address6[0] & 0xfe) != 0xfc;
}

bool client_address_of_interface(const char *name, bool ipv6, uint8_t ret_address6[16])
{
	struct ifaddrs *all, *one;
	struct sockaddr_storage sockaddr;
	struct client_address address;
	int family = ipv6 ? AF_INET6 : AF_INET;
	bool found = false;

	if (getifaddrs(&all))
		return false;
	for (one = all; one && !found; one = one->ifa_next) {
		if (!one->ifa_addr || one->ifa_addr->sa_family != family || strcmp(one->ifa_name, name))
			continue;
		memset(&sockaddr, 0, sizeof(sockaddr));
		memcpy(&sockaddr, one->ifa_addr, ipv6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
		address_fill(&sockaddr, &address);
		found = is_fit_source(address.address6);
		if (found)
			memcpy(ret_address6, address.address6, sizeof(address.address6));
	}
	freeifaddrs(all);
	return found;
}

/* Every host is in both groups, on every link, without joining: 224.0.0.1 can be bound to, ff02::1 would want a link to be named. */
int client_socket_open_announcements(bool ipv6)
{
	static const uint8_t all_hosts4[4] = { 224, 0, 0, 1 };
	struct client_address local = { .port = PCP_CLIENT_PORT };
	int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, failed;
	struct sockaddr_storage sockaddr;
	socklen_t len;

	if (fd < 0)
		return -errno;
	if (!ipv6)
		pcp_address_from_ipv4(all_hosts4, local.address6);
	len = sockaddr_fill(&local, &sockaddr);
	if (!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) &&
	    (!ipv6 || !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))) && !bind(fd, (const struct sockaddr *)&sockaddr, len))
		return fd;
	failed = -errno;
	close(fd);
	return failed;
}

ssize_t client_socket_receive(int fd, void *buffer, size_t size, struct client_address *ret_source)
{
	struct sockaddr_storage sockaddr = { 0 };
	socklen_t sockaddr_len = sizeof(sockaddr);
	ssize_t len = recvfrom(fd, buffer, size, MSG_TRUNC, (struct sockaddr *)&sockaddr, &sockaddr_len);

	if (len < 0)
		return -errno;
	address_fill(&sockaddr, ret_source);
	return len;
}
