/* SPDX-License-Identifier: GPL-2.0-only */
/* The way out: next hop, time to live, Ethernet header, redirect. */
#ifndef CGN_EMIT_BPF_H
#define CGN_EMIT_BPF_H
#include "maps.bpf.h"
#include "clock.bpf.h"
#include "packet.h"
#include "checksum.h"
#include "identification.bpf.h"
#include "link.bpf.h"
#include "report.bpf.h"

CGN_ASSERT_SIZE(struct next_hop, 32);	/* two are a cache line */
_Static_assert(NEXT_HOPS == 2 << (32 - 19), "as route_key() hashes");

#define ROUTE_MTU_MAX 65535	/* of a next hop that is not known yet */

enum route_kind { ROUTE_OK, ROUTE_LOCAL, ROUTE_FORWARDING_OFF, ROUTE_NEIGHBOUR_UNKNOWN, ROUTE_NONE, ROUTE_TOO_BIG };

/* With which tags frames leave by that interface. A NIC takes one of them beyond its MTU, the second one is part of what it counts. */
static __always_inline void route_note_tags(struct xdp_md *ctx, struct next_hop *hop)
{
	__u32 ifindex = hop->ifindex, nic_mtu = 0;
	struct cgn_interface *egress = bpf_map_lookup_elem(&interfaces, &ifindex);

	hop->outer_tag = egress ? egress->tags[0] : 0;
	hop->inner_tag = egress ? egress->tags[1] : 0;
	if (!egress || !egress->tags[1])
		return;
	bpf_check_mtu(ctx, egress->nic, &nic_mtu, 0, 0);
	if (nic_mtu > sizeof(struct packet_vlan) && hop->mtu > nic_mtu - sizeof(struct packet_vlan))
		hop->mtu = (__u16)(nic_mtu - sizeof(struct packet_vlan));
}

/* Asks the kernel: 110 to 130 ns, nearly half of a redirect, therefore cached by route_find(). */
__noinline int route_ask(struct xdp_md *ctx, struct next_hop *hop, __u32 destination_be, __u32 source_be)
{
	struct bpf_fib_lookup fib = {};
	long result;
	int i;

	if (!hop)
		return ROUTE_NONE;
	fib.family = AF_INET;
	fib.ipv4_dst = destination_be;
	fib.ipv4_src = source_be;
	fib.ifindex = link_ifindex(ctx);
	result = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	if (result == BPF_FIB_LKUP_RET_NOT_FWDED)
		return ROUTE_LOCAL;
	if (result == BPF_FIB_LKUP_RET_FWD_DISABLED)
		return ROUTE_FORWARDING_OFF;
	if (result != BPF_FIB_LKUP_RET_SUCCESS && result != BPF_FIB_LKUP_RET_NO_NEIGH)
		return ROUTE_NONE;
	hop->destination = destination_be;
	hop->ifindex = fib.ifindex;
	hop->until_jiffies = 0;
	hop->mtu = ROUTE_MTU_MAX;
	if (result == BPF_FIB_LKUP_RET_NO_NEIGH)
		return ROUTE_NEIGHBOUR_UNKNOWN;	/* not kept: the next packet asks again */
	for (i = 0; i < 3; i++) {
		hop->destination_mac[i] = ((__u16 *)fib.dmac)[i];
		hop->source_mac[i] = ((__u16 *)fib.smac)[i];
	}
	if (fib.mtu_result)
		hop->mtu = fib.mtu_result;
	route_note_tags(ctx, hop);
	hop->until_jiffies = bpf_jiffies64() + clock_hz;
	return ROUTE_OK;
}

/* The key of a destination's next hop, or of the place for it: of two the one that is older. A function of its own, so that the
 * verifier goes one way onwards and not three. */
__noinline __u32 route_key(__u32 destination_be)
{
	__u32 key = ((destination_be * 0x9e3779b1u) >> 19) * 2 + bpf_get_smp_processor_id() * NEXT_HOPS, second = key + 1;
	struct next_hop *hop = bpf_map_lookup_elem(&next_hops, &key), *other;

	if (!hop || hop->destination == destination_be)
		return key;
	other = bpf_map_lookup_elem(&next_hops, &second);
	return other && (other->destination == destination_be || other->until_jiffies < hop->until_jiffies) ? second : key;
}

/* NULL only if the map is not there. */
static __always_inline struct next_hop *route_hop(__u32 destination_be)
{
	__u32 key = route_key(destination_be);

	return bpf_map_lookup_elem(&next_hops, &key);
}

/* Where a packet of this length goes; `source_be` matters for policy routing only. What the kernel said serves one second, or until
 * the daemon hears that something changed. */
static __always_inline int route_find(struct xdp_md *ctx, const struct cgn_settings *settings, struct next_hop *hop, __u32 destination_be,
				      __u32 source_be, __u32 total_len)
{
	int kind;

	if (hop->destination != destination_be || hop->until_jiffies < bpf_jiffies64() ||
	    hop->until_jiffies <= cgn_read_once(settings->routes_jiffies)) {
		kind = route_ask(ctx, hop, destination_be, source_be);
		if (kind != ROUTE_OK)
			return kind;
	}
	return total_len > hop->mtu ? ROUTE_TOO_BIG : ROUTE_OK;
}

static __always_inline enum cgn_verdict route_verdict(int kind)
{
	if (kind == ROUTE_LOCAL)
		return CGN_LOCAL;
	return kind == ROUTE_FORWARDING_OFF ? CGN_FORWARDING_OFF : CGN_DROP_NO_ROUTE;
}

/* Does the route lead on, at least for packets that may be cut? */
static __always_inline bool route_leads_on(int kind)
{
	return kind == ROUTE_OK || kind == ROUTE_NEIGHBOUR_UNKNOWN || kind == ROUTE_TOO_BIG;
}

/* May a packet leave by what route_find() found? Only by an interface of the side that it was translated for, and whole unless it
 * may be cut (RFC 4787 REQ-13). CGN_NEXT or a drop; to be asked before anything is made or changed. The redirect takes effect if
 * the program ends with XDP_REDIRECT. */
static __always_inline enum cgn_verdict route_egress(int kind, const struct next_hop *hop, __u32 side, const struct iphdr *ip)
{
	if (!route_leads_on(kind))
		return CGN_DROP_NO_ROUTE;
	if (kind == ROUTE_TOO_BIG && ip->frag_off & bpf_htons(PACKET_DONT_FRAGMENT)) {
		report_note_mtu(hop->mtu);
		return CGN_DROP_TOO_BIG;
	}
	if (bpf_redirect_map(&tx_ports, CGN_TX_KEY(side, hop->ifindex), XDP_DROP) != XDP_REDIRECT)
		return CGN_DROP_NO_EGRESS;
	return CGN_NEXT;
}

static __always_inline void ttl_decrement(struct iphdr *ip)
{
	__u32 sum = ip->check + (__u32)bpf_htons(0x0100);	/* the time to live is the upper byte of its word */

	ip->check = (__u16)(sum + ((sum + 1) >> 16));	/* 0, not 0xffff */
	ip->ttl--;
}

static __always_inline void emit_macs(__u16 *mac, const struct next_hop *hop)
{
	int i;

	for (i = 0; i < 3; i++) {
		mac[i] = hop->destination_mac[i];
		mac[i + 3] = hop->source_mac[i];
	}
}

/* Bytes of a frame without tags, padding and all, without a call: what the program does not see of it is in the IP header's length. */
static __always_inline __u64 emit_length(const struct xdp_md *ctx, const struct packet *pkt)
{
	__u64 said = sizeof(struct ethhdr) + bpf_ntohs(pkt->ip->tot_len), seen, data;

	/* in one piece: the compiler would keep half a pointer on the stack */
	__asm__ __volatile__("%[seen] = *(u32 *)(%[ctx] + %[data_end]); %[data] = *(u32 *)(%[ctx] + %[data_begin]); %[seen] -= %[data]"
			     : [seen] "=&r" (seen), [data] "=&r" (data)
			     : [ctx] "r" (ctx), [data_begin] "i" (offsetof(struct xdp_md, data)),
			       [data_end] "i" (offsetof(struct xdp_md, data_end)));
	return seen > said ? seen : said;
}

/* Counts what is not on the short way. */
__noinline int emit_count(struct xdp_md *ctx, __u32 verdict)
{
	map_count(verdict, frame_length(ctx));
	return 0;
}

/* A frame that comes with tags or leaves with them. Routed: the tags of the ingress stay behind. */
static __always_inline enum cgn_verdict
emit_tagged(struct xdp_md *ctx, struct packet *pkt, struct next_hop *hop, enum cgn_verdict verdict)
{
	struct ethhdr *eth = (void *)pkt->ip - sizeof(*eth);

	if (hop->outer_tag) {
		if (link_push(ctx, hop, pkt->vlan_len))
			return CGN_DROP_NO_EGRESS;
	} else {
		emit_macs((void *)eth, hop);
		eth->h_proto = bpf_htons(ETH_P_IP);
		if (bpf_xdp_adjust_head(ctx, (int)pkt->vlan_len))
			return CGN_DROP_SHORT;
	}
	emit_count(ctx, verdict);
	return verdict;
}

/* Sends a translated packet that route_egress() let go, and counts it, unless the kernel gets it, which takes it for what came by the
 * VLAN of its ingress. What route_find() said is taken from the next hop once more: kept in a variable, it made the verifier walk all
 * that lies between for each of its values. */
static __always_inline enum cgn_verdict
emit_translated(struct xdp_md *ctx, struct packet *pkt, struct next_hop *hop, enum cgn_verdict verdict)
{
	bool is_too_big = bpf_ntohs(pkt->ip->tot_len) > hop->mtu;

	/* its parts will need an identification of their own, if they do not have one */
	if (is_too_big && verdict != CGN_INBOUND && !(pkt->ip->frag_off & bpf_htons(PACKET_FRAGMENT_OFFSET | PACKET_MORE_FRAGMENTS)))
		identification_write(pkt->ip, (__u16)identification_draw(pkt->ip->saddr, pkt->ip->daddr, pkt->ip->protocol));
	if (is_too_big || !hop->until_jiffies)	/* the kernel decrements the time to live of what it forwards, and cuts it */
		return is_too_big ? CGN_FRAGMENTED : CGN_NEIGHBOUR_UNKNOWN;
	ttl_decrement(pkt->ip);
	if (hop->outer_tag || pkt->vlan_len)
		return emit_tagged(ctx, pkt, hop, verdict);
	emit_macs((void *)pkt->ip - sizeof(struct ethhdr), hop);
	map_count(verdict, emit_length(ctx, pkt));
	return verdict;
}

/* Counts a verdict, unless emit_translated() has; what XDP does with the packet follows from it alone. */
static __always_inline int emit_verdict(struct xdp_md *ctx, enum cgn_verdict verdict, __u32 side)
{
	if (verdict == CGN_OUTBOUND || verdict == CGN_INBOUND || verdict == CGN_HAIRPIN)
		return XDP_REDIRECT;
	emit_count(ctx, verdict);
	switch (verdict) {
	case CGN_NEIGHBOUR_UNKNOWN:
	case CGN_FRAGMENTED:
	case CGN_LOCAL:
	case CGN_UNTOUCHED:
	case CGN_CONTROL:
	case CGN_FORWARDING_OFF:
		return XDP_PASS;
	default:
		return report_is_due(verdict) ? report(ctx, verdict, side) : XDP_DROP;
	}
}

#endif
