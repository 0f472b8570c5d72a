/* SPDX-License-Identifier: GPL-2.0-only */
/* The UDP socket of a PCP client: of one server, from one address, at a port that the kernel draws (RFC 6887 section 8.1). */
#ifndef CGN_CLIENT_SOCKET_H
#define CGN_CLIENT_SOCKET_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pcp_client_path;

struct client_address {
	uint8_t address6[16];	/* IPv4 as ::ffff:a.b.c.d */
	uint16_t port;
	uint32_t ifindex;	/* of a link-local IPv6 address; else 0 */
};

/* "198.51.100.1", "198.51.100.1:5351", "2001:db8::1", "[2001:db8::1]:5351", "fe80::1%eth0", "[fe80::1%eth0]:5351". */
bool client_address_parse(const char *text, uint16_t default_port, struct client_address *ret_address);

bool client_address_is_same(const struct client_address *one, const struct client_address *other);

/* A non-blocking connected socket, or -errno. source6: bind to this address; NULL: what the kernel would use for the way to the server.
 * Fills ret_path with both ends: the packets' source is what a request has to name (section 8.1). */
int client_socket_open(const struct client_address *server, const uint8_t source6[16], struct pcp_client_path *ret_path);

/* The first address of an interface that can be a source for the family (section 8.4: no link-local one, no ULA). False: none. */
bool client_address_of_interface(const char *name, bool ipv6, uint8_t ret_address6[16]);

/* A non-blocking socket for what servers say to all hosts of a link (section 14.1.3), shared with other clients; or -errno. */
int client_socket_open_announcements(bool ipv6);

/* One datagram with its source, into size bytes. Its length (which may exceed size), or -errno: -EAGAIN if there is none,
 * -ECONNREFUSED if the server's host says that nobody listens there. */
ssize_t client_socket_receive(int fd, void *buffer, size_t size, struct client_address *ret_source);

#endif
