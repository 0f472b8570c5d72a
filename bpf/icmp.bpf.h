/* SPDX-License-Identifier: GPL-2.0-only */
/* ICMP errors about translated flows (RFC 5508 section 4.2): outer header, embedded packet and its transport header.
 * They make no mapping, refresh none and end none. One in fragments is known by its first: that has the embedded headers, or it is
 * dropped; the others follow it as any. Its checksum is over all of it, and follows from what changes in the first. */
#ifndef CGN_ICMP_BPF_H
#define CGN_ICMP_BPF_H
#include "emit.bpf.h"
#include "fragment.bpf.h"
#include "translate.bpf.h"

static __always_inline bool icmp_parse(struct xdp_md *ctx, struct packet *pkt, struct packet_inner *inner)
{
	return packet_parse(pkt, (void *)(long)ctx->data, (void *)(long)ctx->data_end, ctx) == CGN_NEXT && pkt->kind != PACKET_IPV6 &&
	       packet_parse_transport(pkt) == CGN_NEXT && pkt->kind == PACKET_ICMP_ERROR &&
	       packet_parse_inner(pkt, inner) == CGN_NEXT;
}

/* The internal endpoint of a packet that we sent out, as the error's embedded source shows it. Its filters judge the remote peer
 * that the packet went to, whichever router the error comes from. */
static __always_inline enum cgn_verdict
icmp_inner_source(const struct cgn_settings *settings, const struct packet *pkt, const struct packet_inner *inner,
		  struct cgn_external remote, struct cgn_internal *internal)
{
	bool is_filtered;
	__u32 slot;
	int address;

	if (inner->ip->saddr != pkt->ip->daddr)
		return CGN_DROP_ICMP_NO_MAPPING;
	address = address_index(settings, bpf_ntohl(inner->ip->saddr));
	slot = CGN_SLOT(address, inner->protocol_index, inner->source_port);
	if (address < 0 || inbound_endpoint(settings, slot, internal, &is_filtered) != CGN_NEXT)
		return CGN_DROP_ICMP_NO_MAPPING;
	return is_filtered ? filter_verdict(internal, slot, load_u32(remote.addr4), remote.port) : CGN_NEXT;
}

/* From outside, about a packet that went out (RFC 5508 REQ-4). */
__noinline int icmp_error_inbound(struct xdp_md *ctx)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_external remote = {};
	struct cgn_internal internal;
	struct packet_inner inner;
	enum cgn_verdict verdict;
	struct packet pkt;
	struct next_hop *hop;
	int kind;

	if (!settings)
		return CGN_DROP_NOT_READY;
	if (!icmp_parse(ctx, &pkt, &inner))
		return CGN_DROP_ICMP_INNER;
	store_u32(remote.addr4, inner.ip->daddr);
	remote.port = inner.destination_port;
	verdict = icmp_inner_source(settings, &pkt, &inner, remote, &internal);
	if (verdict != CGN_NEXT)
		return verdict;
	if (pkt.ip->ttl <= 1)
		return CGN_DROP_TTL;
	hop = route_hop(load_u32(internal.addr4));
	if (!hop)
		return CGN_DROP_NOT_READY;
	kind = route_find(ctx, settings, hop, load_u32(internal.addr4), pkt.ip->saddr, bpf_ntohs(pkt.ip->tot_len));
	verdict = route_egress(kind, hop, CGN_INTERNAL_SIDE, pkt.ip);
	if (verdict != CGN_NEXT)
		return verdict;
	if (pkt.is_first_fragment) {
		struct cgn_fragment_key fragment;

		fragment_key(&fragment, pkt.ip, CGN_EXTERNAL_SIDE);
		fragment_remember(&fragment, pkt.ip->saddr, load_u32(internal.addr4), CGN_INTERNAL_SIDE, packet_fragment_len(&pkt));
	}
	rewrite_inner(&pkt, &inner, load_u32(internal.addr4), internal.port, true);
	rewrite_ip_destination(pkt.ip, load_u32(internal.addr4));
	return emit_translated(ctx, &pkt, hop, CGN_INBOUND);
}

/* From inside, about a packet that came in (RFC 5508 REQ-5), or that came by hairpin (REQ-7). */
__noinline int icmp_error_outbound(struct xdp_md *ctx)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_internal internal, target = {};
	struct cgn_mapping seen, *mapping;
	struct packet_inner inner;
	enum cgn_verdict verdict;
	struct packet pkt;
	struct next_hop *hop;
	__u32 destination;
	bool is_hairpin;
	int kind;

	if (!settings)
		return CGN_DROP_NOT_READY;
	if (!icmp_parse(ctx, &pkt, &inner))
		return CGN_DROP_ICMP_INNER;
	if (inner.ip->saddr != pkt.ip->daddr)
		return CGN_DROP_ICMP_NO_MAPPING;	/* an error goes to the sender of what it is about */
	internal_from_ipv4(&internal, inner.ip->daddr, inner.destination_port, inner.ip->protocol);
	mapping = map_mapping(&internal);
	if (!mapping || !mapping_copy(mapping, &internal, &seen))
		return CGN_DROP_ICMP_NO_MAPPING;
	if (pkt.ip->ttl <= 1)
		return CGN_DROP_TTL;
	destination = pkt.ip->daddr;
	is_hairpin = address_index(settings, bpf_ntohl(destination)) >= 0;
	if (is_hairpin) {
		verdict = icmp_inner_source(settings, &pkt, &inner, seen.external, &target);
		if (verdict != CGN_NEXT)
			return verdict;
		destination = load_u32(target.addr4);
	}
	hop = route_hop(destination);
	if (!hop)
		return CGN_DROP_NOT_READY;
	kind = route_find(ctx, settings, hop, destination, pkt.ip->saddr, bpf_ntohs(pkt.ip->tot_len));
	verdict = route_egress(kind, hop, is_hairpin ? CGN_INTERNAL_SIDE : CGN_EXTERNAL_SIDE, pkt.ip);
	if (verdict != CGN_NEXT)
		return verdict;
	if (pkt.is_first_fragment) {
		struct cgn_fragment_key fragment;

		fragment_key(&fragment, pkt.ip, CGN_INTERNAL_SIDE);
		identification_write(pkt.ip, (__u16)fragment_remember(&fragment, load_u32(seen.external.addr4), destination,
				     is_hairpin ? CGN_INTERNAL_SIDE : CGN_EXTERNAL_SIDE, packet_fragment_len(&pkt)));
	}
	rewrite_inner(&pkt, &inner, load_u32(seen.external.addr4), seen.external.port, false);
	rewrite_ip_source(pkt.ip, load_u32(seen.external.addr4));
	if (is_hairpin) {
		rewrite_inner(&pkt, &inner, destination, target.port, true);
		rewrite_ip_destination(pkt.ip, destination);
	}
	return emit_translated(ctx, &pkt, hop, is_hairpin ? CGN_HAIRPIN : CGN_OUTBOUND);
}

#endif
