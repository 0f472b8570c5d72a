/* SPDX-License-Identifier: GPL-2.0-only */
/* Interfaces behind one NIC: a frame's VLAN tags, or its addresses, say by which of them it came. Frames without tags on a NIC whose
 * interfaces are all of one side ask for nothing here. */
#ifndef CGN_LINK_BPF_H
#define CGN_LINK_BPF_H
#include "maps.bpf.h"
#include "endpoint.h"
#include "packet.h"
#include "subscriber.bpf.h"

CGN_ASSERT_SIZE(struct packet_vlan, 4);

#define LINK_UNKNOWN (CGN_NO_SIDE + 1)	/* no side: of no interface of the configuration */

/* A tag as it stands in keys. A priority tag (VLAN 0) is none (IEEE 802.1Q section 6.9). */
static __always_inline __u16 link_tag(__be16 proto, __be16 tag)
{
	__u16 id = bpf_ntohs(tag) & CGN_TAG_ID;

	return id && proto == bpf_htons(ETH_P_8021AD) ? id | CGN_TAG_8021AD : id;
}

/* By its tags alone. */
static __always_inline void link_key(struct xdp_md *ctx, struct cgn_link_key *key)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet_vlan *vlan;
	struct ethhdr *eth = data;
	__be16 proto;
	int i;

	key->nic = ctx->ingress_ifindex;
	key->tags[0] = key->tags[1] = 0;
	if ((void *)(eth + 1) > end)
		return;
	proto = eth->h_proto;
	vlan = (void *)(eth + 1);
	for (i = 0; i < PACKET_VLAN_TAGS_MAX; i++, vlan++) {
		if (!packet_is_tag(proto) || (void *)(vlan + 1) > end)
			return;
		key->tags[i] = link_tag(proto, vlan->tag);
		proto = vlan->proto;
	}
}

/* Of an interface that has both sides: what comes to an address of ours from who is no subscriber came from outside. */
static __always_inline __u32 link_side_by_address(struct xdp_md *ctx)
{
	struct cgn_settings *settings = map_settings();
	struct packet pkt;

	if (!settings || packet_parse(&pkt, (void *)(long)ctx->data, (void *)(long)ctx->data_end, ctx) != CGN_NEXT || pkt.kind == PACKET_IPV6)
		return CGN_INTERNAL_SIDE;
	if (address_index(settings, bpf_ntohl(pkt.ip->daddr)) < 0)
		return CGN_INTERNAL_SIDE;
	return address_is_subscriber(settings, bpf_ntohl(pkt.ip->saddr)) ? CGN_INTERNAL_SIDE : CGN_EXTERNAL_SIDE;
}

/* Where a frame came in: CGN_INTERNAL_SIDE, CGN_EXTERNAL_SIDE, CGN_NO_SIDE or LINK_UNKNOWN. */
__noinline __u32 link_side(struct xdp_md *ctx)
{
	struct cgn_link_key key;
	struct cgn_link *link;

	link_key(ctx, &key);
	link = bpf_map_lookup_elem(&links, &key);
	if (!link)
		return LINK_UNKNOWN;
	return link->side == CGN_EITHER_SIDE ? link_side_by_address(ctx) : link->side;
}

/* The interface that the kernel would say it came by: routes, rules and addresses are of that. */
__noinline __u32 link_ifindex(struct xdp_md *ctx)
{
	struct cgn_link_key key;
	struct cgn_link *link = NULL;

	link_key(ctx, &key);
	if (key.tags[0])
		link = bpf_map_lookup_elem(&links, &key);
	return link ? link->ifindex : key.nic;
}

/* What came by no interface of the configuration: the link's own control may pass. */
__noinline int link_stray(struct xdp_md *ctx)
{
	struct packet pkt;

	return packet_parse(&pkt, (void *)(long)ctx->data, (void *)(long)ctx->data_end, ctx) == CGN_CONTROL ? CGN_CONTROL : CGN_DROP_VLAN;
}

/* The Ethernet header of a frame that leaves with tags, in the place of one with `vlan_len` bytes of them. 0, or there is no room. */
__noinline int link_push(struct xdp_md *ctx, struct next_hop *hop, __u32 vlan_len)
{
	__u16 *word, outer, inner;
	void *end;
	int i;

	if (!hop || vlan_len > PACKET_VLAN_TAGS_MAX * sizeof(struct packet_vlan))
		return -1;
	outer = hop->outer_tag;
	inner = (__u16)hop->inner_tag;
	if (bpf_xdp_adjust_head(ctx, (int)vlan_len - (inner ? 2 : 1) * (int)sizeof(struct packet_vlan)))
		return -1;
	word = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if ((void *)(word + 11) > end)
		return -1;
	for (i = 0; i < 3; i++) {
		word[i] = hop->destination_mac[i];
		word[i + 3] = hop->source_mac[i];
	}
	word[6] = outer & CGN_TAG_8021AD ? bpf_htons(ETH_P_8021AD) : bpf_htons(ETH_P_8021Q);
	word[7] = bpf_htons(outer & CGN_TAG_ID);
	if (!inner) {
		word[8] = bpf_htons(ETH_P_IP);
		return 0;
	}
	word[8] = inner & CGN_TAG_8021AD ? bpf_htons(ETH_P_8021AD) : bpf_htons(ETH_P_8021Q);
	word[9] = bpf_htons(inner & CGN_TAG_ID);
	word[10] = bpf_htons(ETH_P_IP);
	return 0;
}

#endif
