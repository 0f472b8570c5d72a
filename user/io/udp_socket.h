/* SPDX-License-Identifier: GPL-2.0-only */
/* UDP over IPv4, bound to one address, many datagrams a system call. Addresses in network order, ports in host order. */
#ifndef CGN_UDP_SOCKET_H
#define CGN_UDP_SOCKET_H
#include <stddef.h>
#include <stdint.h>

#define UDP_BATCH_MAX		64
#define UDP_DATAGRAM_MAX	1536	/* longer ones arrive cut to this */

struct udp_datagram {
	const uint8_t *bytes;
	size_t len;
	uint8_t source4[4];
	uint16_t source_port;
	uint32_t ifindex;	/* where it came in; 0 if unknown */
};

struct udp_batch;	/* opaque: the datagrams received last, and an answer to each */

struct udp_batch *udp_batch_new(void);
void udp_batch_free(struct udp_batch *batch);	/* NULL is fine */

/* A non-blocking socket, or -errno (-EADDRNOTAVAIL: not an address of this box, -EADDRINUSE: somebody else has the port). */
int udp_socket_open(const uint8_t addr4[4], uint16_t port);

/* What is there, at most UDP_BATCH_MAX; the datagrams before are gone. Returns how many, or -errno. */
int udp_batch_receive(struct udp_batch *batch, int fd);
unsigned udp_batch_count(const struct udp_batch *batch);	/* datagrams in it */
struct udp_datagram udp_batch_datagram(const struct udp_batch *batch, unsigned index);
/* UDP_DATAGRAM_MAX bytes for the answer to a datagram. */
uint8_t *udp_batch_answer(struct udp_batch *batch, unsigned index);
void udp_batch_set_answer_len(struct udp_batch *batch, unsigned index, size_t len);	/* 0, as at first: none */
/* Sends the answers, each to whom its datagram came from. Returns how many could not be sent. */
unsigned udp_batch_send(struct udp_batch *batch, int fd);

/* One datagram to a multicast group, out of one interface. 0 or -errno. */
int udp_socket_multicast(int fd, uint32_t ifindex, const uint8_t group4[4], uint16_t port, const uint8_t *bytes, size_t len);

#endif
