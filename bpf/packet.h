/* SPDX-License-Identifier: GPL-2.0-only */
/* One received frame: where its headers stand and what the transport header says. Reads only; every access is bounded.
 * packet_parse() stops after IP, because traffic of this box must not be judged further; packet_parse_transport() goes on. */
#ifndef CGN_PACKET_H
#define CGN_PACKET_H
#include "compat.h"

#define PACKET_VLAN_TAGS_MAX 2
#define PACKET_FRAGMENT_OFFSET 0x1fff
#define PACKET_MORE_FRAGMENTS 0x2000
#define PACKET_DONT_FRAGMENT 0x4000
#define PACKET_LENGTH_MAX 65535
#define PACKET_TCP_CHECKSUM_END 18	/* bytes of a TCP header that hold its checksum */

enum packet_kind {
	PACKET_IPV6,		/* set by packet_parse(): nothing behind the Ethernet header was read */
	PACKET_FLOW,		/* ports are known */
	PACKET_FOLLOW_ON,	/* fragment but the first */
	PACKET_ICMP_ERROR,
};

struct packet {
	struct ethhdr *eth;
	struct iphdr *ip;
	void *l4;
	void *end;
	__u32 kind;			/* packet_kind */
	__u32 vlan_len;			/* bytes of VLAN tags between the addresses and the ethertype */
	__u32 header_len;		/* of IP, with options */
	__u32 protocol_index;		/* cgn_protocol_index */
	__u16 source_port, destination_port;	/* host order; ICMP echo: the identifier in both */
	__u8 protocol;
	bool may_open;			/* may an outbound packet like this make a mapping? */
	bool is_first_fragment;
	bool is_tcp_change;		/* SYN, FIN or RST: it changes what is known of a TCP connection */
};

struct packet_vlan {
	__be16 tag;
	__be16 proto;
};

static __always_inline bool packet_is_tag(__be16 proto)
{
	return proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD);
}

/* Ethernet, VLAN tags, IPv4. Headers are read where they stand between `data` and `end`; what follows them may be in further parts of
 * the frame (`ctx`). CGN_NEXT: an IPv4 packet with a sound header, or PACKET_IPV6; else the verdict. */
static __always_inline enum cgn_verdict packet_parse(struct packet *pkt, void *data, void *end, struct xdp_md *ctx)
{
	struct packet_vlan *vlan;
	__be16 proto;
	void *pos;
	int i;

	pkt->eth = data;
	pkt->end = end;
	pkt->vlan_len = 0;
	if ((void *)(pkt->eth + 1) > end)
		return CGN_DROP_SHORT;
	proto = pkt->eth->h_proto;
	pos = pkt->eth + 1;
	for (i = 0; i < PACKET_VLAN_TAGS_MAX; i++) {
		if (!packet_is_tag(proto))
			break;
		vlan = pos;
		if ((void *)(vlan + 1) > end)
			return CGN_DROP_SHORT;
		proto = vlan->proto;
		pos = vlan + 1;
		pkt->vlan_len += sizeof(*vlan);
	}
	pkt->ip = pos;
	if (proto == bpf_htons(ETH_P_IPV6)) {
		pkt->kind = PACKET_IPV6;
		return CGN_NEXT;
	}
	if (proto != bpf_htons(ETH_P_IP)) {
		/* ARP, and the link's own control: LACP, LLDP, spanning tree go to 01:80:c2:00:00:0x */
		if (proto == bpf_htons(ETH_P_ARP))
			return CGN_CONTROL;
		if (pkt->eth->h_dest[0] == 0x01 && pkt->eth->h_dest[1] == 0x80 && pkt->eth->h_dest[2] == 0xc2)
			return CGN_CONTROL;
		return CGN_DROP_NOT_IP;
	}
	if ((void *)(pkt->ip + 1) > end)
		return CGN_DROP_SHORT;
	pkt->kind = PACKET_FLOW;
	pkt->header_len = (__u32)pkt->ip->ihl * 4;
	if (pkt->ip->version != 4 || pkt->header_len < sizeof(*pkt->ip) || bpf_ntohs(pkt->ip->tot_len) < pkt->header_len)
		return CGN_DROP_IP_HEADER;
	pkt->l4 = (void *)pkt->ip + pkt->header_len;
	if (pkt->l4 > end)
		return CGN_DROP_SHORT;
	if (frame_is_shorter(ctx, data, end, sizeof(*pkt->eth) + pkt->vlan_len + bpf_ntohs(pkt->ip->tot_len)))
		return CGN_DROP_IP_HEADER;
	return CGN_NEXT;
}

static __always_inline enum cgn_verdict packet_parse_udp(struct packet *pkt)
{
	struct udphdr *udp = pkt->l4;

	if ((void *)(udp + 1) > pkt->end || bpf_ntohs(pkt->ip->tot_len) < pkt->header_len + sizeof(*udp))
		return CGN_DROP_L4_HEADER;	/* also: a header that is the frame's padding */
	if (bpf_ntohs(udp->len) < sizeof(*udp))
		return CGN_DROP_L4_HEADER;
	if (!pkt->is_first_fragment && bpf_ntohs(udp->len) > bpf_ntohs(pkt->ip->tot_len) - pkt->header_len)
		return CGN_DROP_L4_HEADER;
	pkt->protocol_index = CGN_UDP;
	pkt->source_port = bpf_ntohs(udp->source);
	pkt->destination_port = bpf_ntohs(udp->dest);
	pkt->may_open = true;
	/* RFC 768: source port 0 means "none", and port 0 cannot be mapped */
	return pkt->source_port && pkt->destination_port ? CGN_NEXT : CGN_DROP_L4_HEADER;
}

static __always_inline enum cgn_verdict packet_parse_tcp(struct packet *pkt)
{
	struct tcphdr *tcp = pkt->l4;

	if ((void *)(tcp + 1) > pkt->end || tcp->doff < 5)
		return CGN_DROP_L4_HEADER;
	if (bpf_ntohs(pkt->ip->tot_len) < pkt->header_len + (__u32)tcp->doff * 4)
		return CGN_DROP_L4_HEADER;
	pkt->protocol_index = CGN_TCP;
	pkt->source_port = bpf_ntohs(tcp->source);
	pkt->destination_port = bpf_ntohs(tcp->dest);
	pkt->may_open = tcp->syn && !tcp->rst && !tcp->fin;
	pkt->is_tcp_change = tcp->syn || tcp->fin || tcp->rst;
	return pkt->source_port && pkt->destination_port ? CGN_NEXT : CGN_DROP_L4_HEADER;
}

static __always_inline bool packet_icmp_is_error(__u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

static __always_inline enum cgn_verdict packet_parse_icmp(struct packet *pkt)
{
	struct icmphdr *icmp = pkt->l4;

	if ((void *)(icmp + 1) > pkt->end || bpf_ntohs(pkt->ip->tot_len) < pkt->header_len + sizeof(*icmp))
		return CGN_DROP_L4_HEADER;
	if (packet_icmp_is_error(icmp->type)) {
		pkt->kind = PACKET_ICMP_ERROR;
		return CGN_NEXT;
	}
	if (icmp->type != ICMP_ECHO && icmp->type != ICMP_ECHOREPLY)
		return CGN_DROP_ICMP_TYPE;
	pkt->protocol_index = CGN_ICMP;
	pkt->source_port = pkt->destination_port = bpf_ntohs(icmp->un.echo.id);
	pkt->may_open = icmp->type == ICMP_ECHO;
	return CGN_NEXT;
}

static __always_inline __u32 packet_fragment_len(const struct packet *pkt)
{
	return bpf_ntohs(pkt->ip->tot_len) - pkt->header_len;
}

/* RFC 791: all but the last end at a multiple of 8, and none beyond what a packet can hold. */
static __always_inline bool packet_fragment_is_sound(const struct packet *pkt, __u16 fragment)
{
	__u32 len = packet_fragment_len(pkt);

	if (fragment & PACKET_MORE_FRAGMENTS && (len & 7 || !len))
		return false;
	return (fragment & PACKET_FRAGMENT_OFFSET) * 8u + len + pkt->header_len <= PACKET_LENGTH_MAX;
}

/* CGN_NEXT: `kind` says what it is. The transport header of a first fragment must be whole (RFC 1858 tiny fragments). */
static __always_inline enum cgn_verdict packet_parse_transport(struct packet *pkt)
{
	__u16 fragment = bpf_ntohs(pkt->ip->frag_off);

	pkt->protocol = pkt->ip->protocol;
	pkt->may_open = false;
	pkt->is_tcp_change = false;
	pkt->is_first_fragment = false;
	pkt->source_port = pkt->destination_port = 0;
	pkt->protocol_index = 0;
	if (pkt->protocol != IPPROTO_UDP && pkt->protocol != IPPROTO_TCP && pkt->protocol != IPPROTO_ICMP)
		return CGN_DROP_PROTOCOL;
	if (fragment & (PACKET_FRAGMENT_OFFSET | PACKET_MORE_FRAGMENTS) && !packet_fragment_is_sound(pkt, fragment))
		return CGN_DROP_FRAGMENT_BAD;
	if (fragment & PACKET_FRAGMENT_OFFSET) {
		pkt->kind = PACKET_FOLLOW_ON;
		/* RFC 3128: a follow-on fragment at offset 1 would rewrite the TCP flags of the first */
		if (pkt->protocol == IPPROTO_TCP && (fragment & PACKET_FRAGMENT_OFFSET) == 1)
			return CGN_DROP_L4_HEADER;
		return CGN_NEXT;
	}
	pkt->is_first_fragment = fragment & PACKET_MORE_FRAGMENTS ? true : false;
	if (pkt->protocol == IPPROTO_UDP)
		return packet_parse_udp(pkt);
	if (pkt->protocol == IPPROTO_TCP)
		return packet_parse_tcp(pkt);
	return packet_parse_icmp(pkt);
}

/* The packet inside an ICMP error: as much of it as must be there (RFC 792: header and 8 bytes). */
struct packet_inner {
	struct iphdr *ip;
	void *l4;
	__u32 l4_len;		/* bytes of it that are there: 8 at least */
	__u32 protocol_index;
	__u16 source_port, destination_port;	/* host order */
};

static __always_inline enum cgn_verdict packet_parse_inner(const struct packet *pkt, struct packet_inner *inner)
{
	struct icmphdr *icmp = pkt->l4;
	struct udphdr *udp;
	__u32 header_len, total_len;

	inner->ip = (void *)(icmp + 1);
	if ((void *)(inner->ip + 1) > pkt->end)
		return CGN_DROP_ICMP_INNER;
	header_len = (__u32)inner->ip->ihl * 4;
	if (inner->ip->version != 4 || header_len < sizeof(*inner->ip) ||
	    inner->ip->frag_off & bpf_htons(PACKET_FRAGMENT_OFFSET))
		return CGN_DROP_ICMP_INNER;
	inner->l4 = (void *)inner->ip + header_len;
	udp = inner->l4;
	header_len += pkt->header_len + sizeof(*icmp);
	total_len = bpf_ntohs(pkt->ip->tot_len);	/* what follows in the frame is padding, and not under the checksum */
	if ((void *)(udp + 1) > pkt->end || total_len < header_len + sizeof(*udp))
		return CGN_DROP_ICMP_INNER;
	inner->l4_len = total_len - header_len;
	if (inner->ip->protocol == IPPROTO_ICMP) {
		struct icmphdr *echo = inner->l4;

		if (echo->type != ICMP_ECHO && echo->type != ICMP_ECHOREPLY)
			return CGN_DROP_ICMP_INNER;	/* also: no errors about errors */
		inner->protocol_index = CGN_ICMP;
		inner->source_port = inner->destination_port = bpf_ntohs(echo->un.echo.id);
		return CGN_NEXT;
	}
	if (inner->ip->protocol != IPPROTO_UDP && inner->ip->protocol != IPPROTO_TCP)
		return CGN_DROP_ICMP_INNER;
	inner->protocol_index = inner->ip->protocol == IPPROTO_UDP ? CGN_UDP : CGN_TCP;
	inner->source_port = bpf_ntohs(udp->source);
	inner->destination_port = bpf_ntohs(udp->dest);
	return CGN_NEXT;
}

#endif
