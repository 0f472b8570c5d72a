// SPDX-License-Identifier: GPL-2.0-only
/* Entry points: one XDP program for each side, and the control programs that the daemon calls. */
#include "compat.h"
#include "clock.bpf.h"
#include "maps.bpf.h"
#include "packet.h"
#include "rewrite.h"
#include "emit.bpf.h"
#include "translate.bpf.h"
#include "icmp.bpf.h"
#include "fragment.bpf.h"
#include "mss.bpf.h"
#include "control.bpf.h"
#include "control_peer.bpf.h"
#include "control_set.bpf.h"
#include "control_clear.bpf.h"
#include "control_move.bpf.h"
#include "control_own.bpf.h"
#include "control_drain.bpf.h"
#include "control_pool.bpf.h"
#include "describe.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* ---- packets ---- */

/* IPv6 is not translated here: what is for this box passes, the rest is dropped. */
__noinline int ipv6_verdict(struct xdp_md *ctx, __u32 l3_offset)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct bpf_fib_lookup fib = {};
	struct ipv6hdr *ip6;
	long result;

	if (l3_offset > sizeof(struct ethhdr) + PACKET_VLAN_TAGS_MAX * sizeof(struct packet_vlan))
		return CGN_DROP_SHORT;
	ip6 = data + l3_offset;
	if ((void *)(ip6 + 1) > end)
		return CGN_DROP_SHORT;
	/* multicast (neighbour discovery, router advertisement, MLD) and link-local: never forwarded */
	if (ip6->daddr.s6_addr[0] == 0xff)
		return CGN_CONTROL;
	if (ip6->daddr.s6_addr[0] == 0xfe && (ip6->daddr.s6_addr[1] & 0xc0) == 0x80)
		return CGN_CONTROL;
	fib.family = AF_INET6;
	__builtin_memcpy(fib.ipv6_src, &ip6->saddr, sizeof(fib.ipv6_src));
	__builtin_memcpy(fib.ipv6_dst, &ip6->daddr, sizeof(fib.ipv6_dst));
	fib.ifindex = link_ifindex(ctx);
	result = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	if (result == BPF_FIB_LKUP_RET_NOT_FWDED)
		return CGN_LOCAL;
	return result == BPF_FIB_LKUP_RET_FWD_DISABLED ? CGN_FORWARDING_OFF : CGN_DROP_IPV6;
}

/* Destinations that the route table must not decide (RFC 1122 section 3.2.1.3). CGN_NEXT: an ordinary address. */
static __always_inline enum cgn_verdict destination_verdict(__u32 address)
{
	if ((address & 0xf0000000) == 0xe0000000 || address == 0xffffffff)
		return CGN_LOCAL;	/* multicast, broadcast: the kernel keeps it or drops it */
	if (address >> 24 == 0 || address >> 24 == 127 || address >= 0xf0000000)
		return CGN_DROP_MARTIAN;
	return CGN_NEXT;
}

static __always_inline bool source_is_martian(__u32 address)
{
	return address >> 24 == 0 || address >> 24 == 127 || address >= 0xe0000000;
}

#define ADDRESS_FILTERED 0x7fffffff	/* no index: a hairpin to a mapping that is filtered. One variable more, and the stack is too small */

/* From inside: to the outside, or to an external address of ours and back to the inside with the external source (hairpin,
 * RFC 4787 REQ-9). Where it goes is known before anything is made or changed. `is_sorted`: that it came from there has been asked; else
 * frames without tags did. */
static __always_inline enum cgn_verdict outbound(struct xdp_md *ctx, bool is_sorted)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_external external;
	struct cgn_internal target;
	enum cgn_verdict verdict;
	__u32 destination;
	struct next_hop *hop;
	struct packet pkt;
	int address, kind;

	verdict = packet_parse(&pkt, (void *)(long)ctx->data, (void *)(long)ctx->data_end, ctx);
	if (verdict != CGN_NEXT)
		return verdict;
	if (!is_sorted && pkt.vlan_len && link_side(ctx) != CGN_INTERNAL_SIDE)
		return CGN_DROP_VLAN;
	if (pkt.kind == PACKET_IPV6)
		return ipv6_verdict(ctx, sizeof(struct ethhdr) + pkt.vlan_len);
	destination = pkt.ip->daddr;
	verdict = destination_verdict(bpf_ntohl(destination));
	if (verdict != CGN_NEXT)
		return verdict;
	if (!settings || !settings->address_count)
		return CGN_DROP_NOT_READY;
	address = address_index(settings, bpf_ntohl(destination));
	hop = route_hop(destination);
	if (!hop)
		return CGN_DROP_NOT_READY;
	if (address < 0) {	/* traffic of this box must not be judged by its transport header */
		kind = route_find(ctx, settings, hop, destination, pkt.ip->saddr, bpf_ntohs(pkt.ip->tot_len));
		if (!route_leads_on(kind))
			return route_verdict(kind);
	}
	verdict = packet_parse_transport(&pkt);
	if (verdict != CGN_NEXT)
		return verdict;
	if (pkt.kind == PACKET_FOLLOW_ON)
		return fragment_follow(ctx, CGN_INTERNAL_SIDE);
	if (pkt.kind == PACKET_ICMP_ERROR)
		return icmp_error_outbound(ctx);
	if (address >= 0) {
		bool is_filtered;

		verdict = inbound_endpoint(settings, CGN_SLOT(address, pkt.protocol_index, pkt.destination_port), &target, &is_filtered);
		if (verdict != CGN_NEXT)
			return verdict;
		if (is_filtered)
			address = ADDRESS_FILTERED;
		destination = load_u32(target.addr4);
		hop = route_hop(destination);
		if (!hop)
			return CGN_DROP_NOT_READY;
		kind = route_find(ctx, settings, hop, destination, pkt.ip->saddr, bpf_ntohs(pkt.ip->tot_len));
	}
	if (pkt.ip->ttl <= 1)
		return CGN_DROP_TTL;
	verdict = route_egress(kind, hop, address < 0 ? CGN_EXTERNAL_SIDE : CGN_INTERNAL_SIDE, pkt.ip);
	if (verdict != CGN_NEXT)
		return verdict;
	verdict = outbound_endpoint(settings, &pkt, &external);
	if (verdict == CGN_NEXT && address == ADDRESS_FILTERED)	/* the target's remote peer is the source's external endpoint */
		verdict = filter_target_verdict(&target, load_u32(external.addr4), external.port);
	if (verdict != CGN_NEXT)
		return verdict;
	if (pkt.is_first_fragment) {
		struct cgn_fragment_key fragment;

		fragment_key(&fragment, pkt.ip, CGN_INTERNAL_SIDE);
		identification_write(pkt.ip, (__u16)fragment_remember(&fragment, load_u32(external.addr4), destination,
				     address < 0 ? CGN_EXTERNAL_SIDE : CGN_INTERNAL_SIDE, packet_fragment_len(&pkt)));
	}
	if (pkt.is_tcp_change)
		mss_clamp(ctx, mss_l4(&pkt));
	rewrite_source(&pkt, load_u32(external.addr4), external.port);
	if (address < 0)
		return emit_translated(ctx, &pkt, hop, CGN_OUTBOUND);
	if (pkt.is_tcp_change)	/* the target sees the source's external endpoint as its remote peer */
		tcp_track_inbound(ctx, &target);
	rewrite_destination(&pkt, destination, target.port);
	return emit_translated(ctx, &pkt, hop, CGN_HAIRPIN);
}

static __always_inline enum cgn_verdict inbound(struct xdp_md *ctx, bool is_sorted)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_internal internal;
	enum cgn_verdict verdict;
	struct packet pkt;
	struct next_hop *hop;
	bool is_filtered;
	int address, kind;
	__u32 source;

	verdict = packet_parse(&pkt, (void *)(long)ctx->data, (void *)(long)ctx->data_end, ctx);
	if (verdict != CGN_NEXT)
		return verdict;
	if (!is_sorted && pkt.vlan_len && link_side(ctx) != CGN_EXTERNAL_SIDE)
		return CGN_DROP_VLAN;
	if (pkt.kind == PACKET_IPV6)
		return ipv6_verdict(ctx, sizeof(struct ethhdr) + pkt.vlan_len);
	verdict = destination_verdict(bpf_ntohl(pkt.ip->daddr));
	if (verdict != CGN_NEXT)
		return verdict;
	if (!settings || !settings->address_count)
		return CGN_DROP_NOT_READY;
	address = address_index(settings, bpf_ntohl(pkt.ip->daddr));
	if (address < 0) {
		hop = route_hop(pkt.ip->daddr);
		if (!hop)
			return CGN_DROP_NOT_READY;
		kind = route_find(ctx, settings, hop, pkt.ip->daddr, pkt.ip->saddr, 0);
		return kind == ROUTE_LOCAL || kind == ROUTE_FORWARDING_OFF ? route_verdict(kind) : CGN_DROP_NOT_OURS;
	}
	verdict = packet_parse_transport(&pkt);
	if (verdict != CGN_NEXT)
		return verdict;
	source = bpf_ntohl(pkt.ip->saddr);
	if (source_is_martian(source) || address_index(settings, source) >= 0)
		return CGN_DROP_MARTIAN;
	if (pkt.kind == PACKET_FOLLOW_ON)
		return fragment_follow(ctx, CGN_EXTERNAL_SIDE);
	if (pkt.kind == PACKET_ICMP_ERROR)	/* of any router (RFC 4787 REQ-12a): many have private addresses */
		return icmp_error_inbound(ctx);
	if (address_is_subscriber(settings, source))	/* what he sends comes in by the other side */
		return CGN_DROP_SPOOFED;
	verdict = inbound_endpoint(settings, CGN_SLOT(address, pkt.protocol_index, pkt.destination_port), &internal, &is_filtered);
	if (verdict == CGN_NEXT && is_filtered)
		verdict = filter_verdict(&internal, CGN_SLOT(address, pkt.protocol_index, pkt.destination_port), pkt.ip->saddr, pkt.source_port);
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
	if (pkt.is_tcp_change) {
		tcp_track_inbound(ctx, &internal);
		mss_clamp(ctx, mss_l4(&pkt));
	}
	if (pkt.is_first_fragment) {
		struct cgn_fragment_key fragment;

		fragment_key(&fragment, pkt.ip, CGN_EXTERNAL_SIDE);
		fragment_remember(&fragment, pkt.ip->saddr, load_u32(internal.addr4), CGN_INTERNAL_SIDE, packet_fragment_len(&pkt));
	}
	rewrite_destination(&pkt, load_u32(internal.addr4), internal.port);
	return emit_translated(ctx, &pkt, hop, CGN_INBOUND);
}

SEC("xdp.frags")
int cgn_outbound(struct xdp_md *ctx)
{
	return emit_verdict(ctx, outbound(ctx, false), CGN_INTERNAL_SIDE);
}

SEC("xdp.frags")
int cgn_inbound(struct xdp_md *ctx)
{
	return emit_verdict(ctx, inbound(ctx, false), CGN_EXTERNAL_SIDE);
}

/* On a NIC whose interfaces are not all of one side: by VLANs, or by addresses where one has both. */
SEC("xdp.frags")
int cgn_both(struct xdp_md *ctx)
{
	__u32 side = link_side(ctx);

	if (side == CGN_INTERNAL_SIDE)
		return emit_verdict(ctx, outbound(ctx, true), CGN_INTERNAL_SIDE);
	if (side == CGN_EXTERNAL_SIDE)
		return emit_verdict(ctx, inbound(ctx, true), CGN_EXTERNAL_SIDE);
	return emit_verdict(ctx, side == CGN_NO_SIDE ? CGN_UNTOUCHED : link_stray(ctx), CGN_INTERNAL_SIDE);
}

/* A fragment that was held, given back by the daemon: goes on if its first one has come, else is dropped at last. Never attached. */
SEC("xdp.frags")
int cgn_release(struct xdp_md *ctx)
{
	__u32 side = link_side(ctx);

	if (side > CGN_EXTERNAL_SIDE)
		return emit_verdict(ctx, CGN_DROP_FRAGMENT, CGN_INTERNAL_SIDE);
	return emit_verdict(ctx, fragment_follow(ctx, side | FRAGMENT_RELEASED), side);
}

/* On the peer of a veth, so that redirected frames arrive there. */
SEC("xdp.frags")
int cgn_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* ---- control: the daemon's requests ---- */

SEC("syscall")
int control_map(struct cgn_many_request *ctx)
{
	struct cgn_many_request many = *ctx;

	bpf_loop(CGN_REQUESTS_MAX, map_step, &many, 0);
	return 0;
}

SEC("syscall")
int control_peer(struct cgn_map_request *ctx)
{
	struct cgn_map_request request = *ctx;

	request.status = (__u32)control_peer_request(&request);
	*ctx = request;
	return 0;
}

SEC("syscall")
int control_set(struct cgn_map_request *ctx)
{
	struct set_walk *walk = set_walk_find();
	__u16 first = ctx->internal.port;

	if (!walk)
		return 0;
	__builtin_memset(walk, 0, sizeof(*walk));
	walk->request = *ctx;
	control_set_request(walk);
	*ctx = walk->request;
	ctx->internal.port = first;
	return 0;
}

SEC("syscall")
int control_delete(struct cgn_map_request *ctx)
{
	struct cgn_map_request request = *ctx;

	request.status = (__u32)(request.origin == CGN_PEER ? peer_take_back(&request) : control_delete_request(&request));
	*ctx = request;
	return 0;
}

SEC("syscall")
int control_reap(struct cgn_reap_request *ctx)
{
	struct cgn_reap_request request = {};

	request.count = ctx->count;
	bpf_loop(CGN_BATCH_MAX, reap_step, &request, 0);
	*ctx = request;
	return 0;
}

SEC("syscall")
int control_clear(struct cgn_clear_request *ctx)
{
	struct cgn_clear_request request = {};

	request.count = ctx->count;
	request.origins = ctx->origins;
	bpf_loop(CGN_BATCH_MAX, clear_step, &request, 0);
	*ctx = request;
	return 0;
}

SEC("syscall")
int control_move(struct cgn_move_request *ctx)
{
	ctx->moved = ctx->parts = ctx->ended = ctx->lost = ctx->conflicts = 0;
	ctx->status = (__u32)control_move_request(ctx);
	return 0;
}

SEC("syscall")
int control_release(struct cgn_release_request *ctx)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_release_request request = *ctx;

	request.released = request.gone = 0;
	request.status = CGN_NOT_FOUND;
	if (settings && map_subscriber(&request.subscriber)) {
		bpf_loop(CGN_SUBSCRIBER_BLOCKS_MAX, release_step, &request, 0);
		subscriber_retire(&request, settings->rest_s);
		request.status = CGN_OK;
	}
	*ctx = request;
	return 0;
}

SEC("syscall")
int control_list(struct cgn_list_request *ctx)
{
	struct list_walk walk = {};

	walk.owner = ctx->subscriber;
	walk.origins = ctx->origins;
	walk.position = ctx->next;
	if (!map_subscriber(&walk.owner)) {
		ctx->status = CGN_NOT_FOUND;
		ctx->count = ctx->next = 0;
		return 0;
	}
	bpf_loop(LIST_STEPS, list_step, &walk, 0);
	ctx->status = CGN_OK;
	ctx->count = walk.count;
	ctx->next = walk.position >= LIST_POSITIONS ? 0 : walk.position;
	return 0;
}

SEC("syscall")
int control_describe(struct cgn_describe_request *ctx)
{
	struct cgn_describe_request request = *ctx;

	ctx->status = (__u32)describe(&request);
	return 0;
}

SEC("syscall")
int control_pair(struct cgn_pair_request *ctx)
{
	struct cgn_pair_request request = *ctx;

	request.status = (__u32)pair(&request);
	*ctx = request;
	return 0;
}

SEC("syscall")
int control_own(struct cgn_own_request *ctx)
{
	struct cgn_own_request request = *ctx;

	ctx->status = (__u32)own(&request);
	return 0;
}

SEC("syscall")
int control_drain(struct cgn_drain_request *ctx)
{
	struct cgn_drain_request request = *ctx;

	drain(&request);
	*ctx = request;
	return 0;
}

/* Routes, neighbours or links changed before this is called: whatever next hop was asked for in this jiffy or earlier is asked for again. */
SEC("syscall")
int control_reroute(struct cgn_clock_request *ctx)
{
	struct cgn_settings *settings = map_settings();

	ctx->jiffies = bpf_jiffies64();
	if (settings)
		settings->routes_jiffies = ctx->jiffies + clock_hz;
	return 0;
}

SEC("syscall")
int control_pool(struct cgn_pool_request *ctx)
{
	struct cgn_pool_request request = *ctx;

	ctx->status = (__u32)pool_change(&request);
	return 0;
}

SEC("syscall")
int control_clock(struct cgn_clock_request *ctx)
{
	ctx->jiffies = bpf_jiffies64();
	ctx->now_ns = bpf_ktime_get_ns();
	ctx->now_s = clock_now_s();
	return 0;
}
