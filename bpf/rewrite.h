/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses and ports of a parsed packet, with their checksums. Ports in host order. */
#ifndef CGN_REWRITE_H
#define CGN_REWRITE_H
#include "packet.h"
#include "checksum.h"

/* The transport checksum covers the address too; `delta` is the address's. */
static __always_inline void rewrite_transport(struct packet *pkt, __u32 delta, __u16 port, bool is_source)
{
	__u16 from, to = bpf_htons(port);

	if (pkt->protocol == IPPROTO_UDP) {
		struct udphdr *udp = pkt->l4;

		if ((void *)(udp + 1) > pkt->end)
			return;
		from = is_source ? udp->source : udp->dest;
		udp->check = checksum_update_udp(udp->check, delta + checksum_delta16(from, to));
		if (is_source)
			udp->source = to;
		else
			udp->dest = to;
	} else if (pkt->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = pkt->l4;

		if ((void *)(tcp + 1) > pkt->end)
			return;
		from = is_source ? tcp->source : tcp->dest;
		tcp->check = checksum_update(tcp->check, delta + checksum_delta16(from, to));
		if (is_source)
			tcp->source = to;
		else
			tcp->dest = to;
	} else {	/* ICMP echo: the checksum knows no addresses */
		struct icmphdr *icmp = pkt->l4;

		if ((void *)(icmp + 1) > pkt->end)
			return;
		icmp->checksum = checksum_update(icmp->checksum, checksum_delta16(icmp->un.echo.id, to));
		icmp->un.echo.id = to;
	}
}

static __always_inline __u32 rewrite_ip_source(struct iphdr *ip, __u32 address_be)
{
	__u32 delta = checksum_delta32(ip->saddr, address_be);

	ip->check = checksum_update(ip->check, delta);
	ip->saddr = address_be;
	return delta;
}

static __always_inline __u32 rewrite_ip_destination(struct iphdr *ip, __u32 address_be)
{
	__u32 delta = checksum_delta32(ip->daddr, address_be);

	ip->check = checksum_update(ip->check, delta);
	ip->daddr = address_be;
	return delta;
}

static __always_inline void rewrite_source(struct packet *pkt, __u32 address_be, __u16 port)
{
	rewrite_transport(pkt, rewrite_ip_source(pkt->ip, address_be), port, true);
}

static __always_inline void rewrite_destination(struct packet *pkt, __u32 address_be, __u16 port)
{
	rewrite_transport(pkt, rewrite_ip_destination(pkt->ip, address_be), port, false);
}

/* The packet inside an ICMP error: one of its endpoints, its checksums, and the ICMP checksum over all of that. */
static __always_inline void rewrite_inner(struct packet *pkt, struct packet_inner *inner, __u32 address_be, __u16 port, bool is_source)
{
	struct icmphdr *icmp = pkt->l4;
	__u16 before, to = bpf_htons(port), *field;
	__u32 delta, sum;

	before = inner->ip->check;
	delta = is_source ? rewrite_ip_source(inner->ip, address_be) : rewrite_ip_destination(inner->ip, address_be);
	sum = delta + checksum_delta16(before, inner->ip->check);
	if (inner->protocol_index == CGN_ICMP) {
		struct icmphdr *echo = inner->l4;

		field = &echo->un.echo.id;
		before = echo->checksum;
		echo->checksum = checksum_update(before, checksum_delta16(*field, to));
		sum += checksum_delta16(before, echo->checksum);
	} else {
		struct udphdr *ports = inner->l4;
		struct tcphdr *tcp = inner->l4;

		field = is_source ? &ports->source : &ports->dest;
		delta += checksum_delta16(*field, to);
		if (inner->protocol_index == CGN_UDP) {
			before = ports->check;
			ports->check = checksum_update_udp(before, delta);
			sum += checksum_delta16(before, ports->check);
		} else if (inner->l4_len >= PACKET_TCP_CHECKSUM_END && (void *)tcp + PACKET_TCP_CHECKSUM_END <= pkt->end) {
			/* often cut off before its checksum */
			before = tcp->check;
			tcp->check = checksum_update(before, delta);
			sum += checksum_delta16(before, tcp->check);
		}
	}
	sum += checksum_delta16(*field, to);
	*field = to;
	icmp->checksum = checksum_update(icmp->checksum, sum);
}

#endif
