/* SPDX-License-Identifier: GPL-2.0-only */
/* Fragments (RFC 4787 REQ-14): the first one has the ports and leaves word of its new addresses; the others follow it. */
#ifndef CGN_FRAGMENT_BPF_H
#define CGN_FRAGMENT_BPF_H
#include "emit.bpf.h"
#include "hold.bpf.h"
#include "identification.bpf.h"
#include "rewrite.h"

static __always_inline void fragment_key(struct cgn_fragment_key *key, const struct iphdr *ip, __u32 side)
{
	store_u32(key->source4, ip->saddr);
	store_u32(key->destination4, ip->daddr);
	key->id = ip->id;
	key->protocol = ip->protocol;
	key->side = (__u8)side;
}

static __always_inline bool fragment_is_fresh(const struct cgn_fragment *fragment)
{
	return clock_now_s() - fragment->seen_s <= CGN_FRAGMENT_S;
}

#define FRAGMENT_RELEASED 2	/* beside the side: it was held, and is not held again */

/* Leaves word of what a first fragment of `len` bytes became. Returns the identification that it and the others get, as in packets:
 * a new one if its source is translated, and that of before if it came twice. */
__noinline int fragment_remember(struct cgn_fragment_key *key, __u32 source_be, __u32 destination_be, __u32 egress_side, __u32 len)
{
	struct cgn_fragment fragment = {}, *known;
	bool is_awaited = false;

	if (!key)
		return 0;
	store_u32(fragment.source4, source_be);
	store_u32(fragment.destination4, destination_be);
	fragment.seen_s = clock_now_s();
	fragment.egress_side = (__u8)egress_side;
	fragment.next = (__u16)(len / 8);
	fragment.id = key->id;
	known = bpf_map_lookup_elem(&fragments, key);
	if (known && known->is_waiting) {
		is_awaited = true;
		known = NULL;
	}
	if (key->side == CGN_INTERNAL_SIDE) {
		if (known && fragment_is_fresh(known) && load_u32(known->source4) == source_be && load_u32(known->destination4) == destination_be)
			fragment.id = known->id;
		else
			fragment.id = (__u16)identification_draw(source_be, destination_be, key->protocol);
	}
	bpf_map_update_elem(&fragments, key, &fragment, BPF_ANY);
	if (is_awaited)
		hold_end(key);
	return fragment.id;
}

/* RFC 1858, RFC 3128: what goes over bytes that passed already may change what filters judged by. What comes out of order, with a gap
 * before it, is not remembered. */
static __always_inline bool fragment_overlaps(struct cgn_fragment *known, const struct packet *pkt)
{
	__u32 at = bpf_ntohs(pkt->ip->frag_off) & PACKET_FRAGMENT_OFFSET, next = known->next;

	if (at < next)
		return true;
	if (at == next)
		known->next = (__u16)(at + (packet_fragment_len(pkt) + 7) / 8);
	return false;
}

__noinline int fragment_follow(struct xdp_md *ctx, __u32 whence)
{
	__u32 side = whence & 1;
	struct cgn_settings *settings = map_settings();
	struct cgn_fragment *found, fragment;
	struct cgn_fragment_key key;
	enum cgn_verdict verdict;
	struct packet pkt;
	struct next_hop *hop;
	int kind;

	if (!settings)
		return CGN_DROP_NOT_READY;
	if (packet_parse(&pkt, (void *)(long)ctx->data, (void *)(long)ctx->data_end, ctx) != CGN_NEXT || pkt.kind == PACKET_IPV6)
		return CGN_DROP_FRAGMENT;
	fragment_key(&key, pkt.ip, side);
	found = bpf_map_lookup_elem(&fragments, &key);
	if (!found || found->is_waiting || !fragment_is_fresh(found))
		return whence & FRAGMENT_RELEASED ? CGN_DROP_FRAGMENT : hold(ctx, &key, found && !fragment_is_fresh(found));
	if (pkt.ip->ttl <= 1)
		return CGN_DROP_TTL;
	if (fragment_overlaps(found, &pkt))
		return CGN_DROP_FRAGMENT_BAD;
	fragment = *found;
	hop = route_hop(load_u32(fragment.destination4));
	if (!hop)
		return CGN_DROP_NOT_READY;
	kind = route_find(ctx, settings, hop, load_u32(fragment.destination4), pkt.ip->saddr, bpf_ntohs(pkt.ip->tot_len));
	verdict = route_egress(kind, hop, fragment.egress_side & 1, pkt.ip);
	if (verdict != CGN_NEXT)
		return verdict;
	identification_write(pkt.ip, fragment.id);
	rewrite_ip_source(pkt.ip, load_u32(fragment.source4));
	rewrite_ip_destination(pkt.ip, load_u32(fragment.destination4));
	verdict = side == CGN_EXTERNAL_SIDE ? CGN_INBOUND :
		  fragment.egress_side == CGN_INTERNAL_SIDE ? CGN_HAIRPIN : CGN_OUTBOUND;
	return emit_translated(ctx, &pkt, hop, verdict);
}

#endif
