// SPDX-License-Identifier: GPL-2.0-only
/* The bench's traffic: a generator run as live frames, a sink, and the least that an XDP router can do (the rig's limit). */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "traffic.h"

char LICENSE[] SEC("license") = "GPL";

struct traffic_plan plan;
struct traffic_core cores[TRAFFIC_CORES] __attribute__((aligned(128)));
struct traffic_watch watch;
__u16 limit_mac[2][6];	/* by direction: Ethernet header towards the next hop */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TRAFFIC_COUNT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TRAFFIC_PATHS * TRAFFIC_FLOWS_MAX);
	__type(key, __u32);
	__type(value, struct traffic_endpoint);
} learned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TRAFFIC_PATHS * TRAFFIC_TARGETS_MAX);
	__type(key, __u32);
	__type(value, struct traffic_endpoint);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 2);		/* by direction */
	__type(key, __u32);
	__type(value, __u32);
} limit_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);		/* by direction: xcgn's programs */
	__type(key, __u32);
	__type(value, __u32);
} translators SEC(".maps");

struct frame {
	struct ethhdr *eth;
	struct iphdr *ip;
	struct udphdr *udp;
	__be32 *payload;	/* magic, flow */
};

static __always_inline bool frame_at(struct frame *frame, void *data, void *end)
{
	frame->eth = data;
	frame->ip = data + sizeof(*frame->eth);
	frame->udp = (void *)(frame->ip + 1);
	frame->payload = (void *)(frame->udp + 1);
	return data + TRAFFIC_FRAME_LEN <= end;
}

static __always_inline void count(__u32 what)
{
	__u64 *counter = bpf_map_lookup_elem(&counts, &what);

	if (counter)
		(*counter)++;
}

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)((sum & 0xffff) + (sum >> 16));
}

/* Sum of a 32-bit number's two words, in host order. */
static __always_inline __u32 words(__u32 number)
{
	return (number >> 16) + (number & 0xffff);
}

static __always_inline void copy_macs(struct ethhdr *eth, const __u16 *mac)
{
	__u16 *to = (__u16 *)eth;
	int i;

	for (i = 0; i < 6; i++)
		to[i] = mac[i];
}

/* ---- generator ---- */

struct endpoints {
	__u32 source, destination;
	__u16 source_port, destination_port;
	__u32 flow;
};

static __always_inline __u32 next_flow(struct traffic_plan *plan)
{
	__u64 random, position;

	if (plan->order == TRAFFIC_RANDOM || plan->order == TRAFFIC_ZIPF) {
		random = plan->random;	/* xorshift: costs 1 ns, bpf_get_prandom_u32() 14 */
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		plan->random = random;
		if (plan->order == TRAFFIC_ZIPF)
			return traffic_zipf((__u32)(random >> 32), plan->zipf_span, plan->flows);
		return plan->base + (__u32)(((random >> 32) * plan->flows) >> 32);
	}
	position = plan->position;
	plan->position = position + 1 < plan->flows ? position + 1 : 0;
	if (plan->order == TRAFFIC_IN_TURN)
		return (__u32)position;
	return (__u32)((position & ((1ull << (plan->mixed_bits & 31)) - 1)) << TRAFFIC_HOST_BITS | position >> (plan->mixed_bits & 31));
}

static __always_inline void choose_outbound(struct traffic_plan *plan, struct endpoints *endpoints)
{
	__u32 flow = next_flow(plan);

	endpoints->flow = flow;
	endpoints->source = traffic_internal_address(flow);
	endpoints->source_port = traffic_internal_port(flow);
	endpoints->destination = traffic_remote_address(flow, plan->remotes);
	endpoints->destination_port = TRAFFIC_REMOTE_PORT;
}

/* Targets are read one after the other: their order is random, and reading them costs the generator no cache miss. */
static __always_inline bool choose_inbound(struct traffic_plan *plan, struct endpoints *endpoints)
{
	__u64 position = plan->position;
	__u32 index = plan->targets_base + (__u32)position;
	struct traffic_endpoint *target = bpf_map_lookup_elem(&targets, &index);

	if (!target)
		return false;
	plan->position = position + 1 < plan->flows ? position + 1 : 0;
	endpoints->flow = target->flow;
	endpoints->destination = target->address;
	endpoints->destination_port = target->port;
	endpoints->source = traffic_remote_address(target->flow, plan->remotes);
	endpoints->source_port = TRAFFIC_REMOTE_PORT;
	return true;
}

/* Every byte in front of the payload's end is written: the page comes back as the NAT left it. */
static __always_inline void frame_fill(const struct traffic_plan *plan, const struct frame *frame, const struct endpoints *endpoints)
{
	const __u32 total_len = TRAFFIC_FRAME_LEN - sizeof(struct ethhdr), udp_len = total_len - sizeof(struct iphdr);
	__u32 addresses = words(endpoints->source) + words(endpoints->destination);
	__u32 sum;

	copy_macs(frame->eth, plan->mac);
	frame->eth->h_proto = bpf_htons(ETH_P_IP);
	*(__be32 *)frame->ip = bpf_htonl(0x45000000 | total_len);
	*(__be32 *)&frame->ip->id = bpf_htonl(0x4000);		/* don't fragment */
	frame->ip->ttl = TRAFFIC_TTL;
	frame->ip->protocol = IPPROTO_UDP;
	frame->ip->check = bpf_htons((__u16)~fold(0x4500 + total_len + 0x4000 + (TRAFFIC_TTL << 8 | IPPROTO_UDP) + addresses));
	frame->ip->saddr = bpf_htonl(endpoints->source);
	frame->ip->daddr = bpf_htonl(endpoints->destination);
	frame->udp->source = bpf_htons(endpoints->source_port);
	frame->udp->dest = bpf_htons(endpoints->destination_port);
	frame->udp->len = bpf_htons((__u16)udp_len);
	frame->payload[0] = bpf_htonl(TRAFFIC_MAGIC);
	frame->payload[1] = bpf_htonl(endpoints->flow);		/* the ten bytes after it are zero */
	sum = addresses + IPPROTO_UDP + udp_len + endpoints->source_port + endpoints->destination_port + udp_len +
	      words(TRAFFIC_MAGIC) + words(endpoints->flow);
	sum = (__u16)~fold(sum);
	frame->udp->check = bpf_htons(sum ? (__u16)sum : 0xffff);
}

static __always_inline bool generate(struct traffic_plan *plan, struct xdp_md *ctx)
{
	struct endpoints endpoints = {};
	struct frame frame;

	if (!frame_at(&frame, (void *)(long)ctx->data, (void *)(long)ctx->data_end))
		return false;
	if (plan->direction == TRAFFIC_OUTBOUND)
		choose_outbound(plan, &endpoints);
	else if (!choose_inbound(plan, &endpoints))
		return false;
	frame_fill(plan, &frame, &endpoints);
	return true;
}

SEC("xdp")
int traffic_generate(struct xdp_md *ctx)
{
	if (!generate(&plan, ctx))
		return XDP_ABORTED;
	count(TRAFFIC_SENT);
	return bpf_redirect(plan.egress, 0);
}

/* A frame that xcgn's program then translates, and that goes nowhere: in runs without live frames, by core. One program calls
 * another only if both take frames longer than a page, or neither. */
SEC("xdp.frags")
int traffic_translate(struct xdp_md *ctx)
{
	struct traffic_plan *mine = &cores[bpf_get_smp_processor_id() & (TRAFFIC_CORES - 1)].plan;

	if (generate(mine, ctx))
		bpf_tail_call(ctx, &translators, mine->direction);
	return XDP_ABORTED;
}

/* ---- the rig's limit ---- */

static __always_inline int limit(struct xdp_md *ctx, __u32 direction)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	copy_macs(eth, limit_mac[direction]);
	return bpf_redirect_map(&limit_ports, direction, XDP_DROP);
}

SEC("xdp")
int limit_outbound(struct xdp_md *ctx)
{
	return limit(ctx, TRAFFIC_OUTBOUND);
}

SEC("xdp")
int limit_inbound(struct xdp_md *ctx)
{
	return limit(ctx, TRAFFIC_INBOUND);
}

/* A veth takes redirected frames only with a program or with GRO; nftables is a few per cent faster with this. */
SEC("xdp")
int pass_xdp(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* ---- sink ---- */

static __always_inline bool ip_checksum_is_good(const struct iphdr *ip)
{
	const __be16 *word = (const void *)ip;
	__u32 sum = 0;
	int i;

	for (i = 0; i < 10; i++)
		sum += bpf_ntohs(word[i]);
	return fold(sum) == 0xffff;
}

static __always_inline bool udp_checksum_is_good(const struct frame *frame)
{
	const __u32 udp_len = TRAFFIC_FRAME_LEN - sizeof(struct ethhdr) - sizeof(struct iphdr);
	__u32 sum = words(bpf_ntohl(frame->ip->saddr)) + words(bpf_ntohl(frame->ip->daddr)) + IPPROTO_UDP + udp_len;
	const __be16 *word = (const void *)frame->udp;
	__u32 i;

	for (i = 0; i < udp_len / 2; i++)
		sum += bpf_ntohs(word[i]);
	return fold(sum) == 0xffff;
}

/* The local side of an outbound frame as the outside sees it: translated into the pool, or untouched by the limit. */
static __always_inline bool source_is_good(const struct frame *frame, __u32 flow)
{
	__u32 address = bpf_ntohl(frame->ip->saddr);

	if (watch.is_translated)
		return (address & TRAFFIC_EXTERNAL_MASK) == TRAFFIC_EXTERNAL_NET;
	return address == traffic_internal_address(flow) && bpf_ntohs(frame->udp->source) == traffic_internal_port(flow);
}

static __always_inline void learn(const struct frame *frame, __u32 flow)
{
	__u32 index = watch.learned_base + flow;
	struct traffic_endpoint *endpoint;

	if (flow >= TRAFFIC_FLOWS_MAX)
		return;
	endpoint = bpf_map_lookup_elem(&learned, &index);
	if (!endpoint)
		return;
	endpoint->address = bpf_ntohl(frame->ip->saddr);
	endpoint->port = bpf_ntohs(frame->udp->source);
	endpoint->flow = flow;
	endpoint->is_known = 1;
}

static __always_inline enum traffic_count check_outbound(const struct frame *frame, __u32 flow)
{
	if (bpf_ntohl(frame->ip->daddr) != traffic_remote_address(flow, watch.remotes) || frame->udp->dest != bpf_htons(TRAFFIC_REMOTE_PORT))
		return TRAFFIC_BAD_REMOTE;
	if (!source_is_good(frame, flow))
		return TRAFFIC_BAD_INTERNAL;
	learn(frame, flow);
	return TRAFFIC_RECEIVED;
}

/* The limit delivers to the external address: what it got. */
static __always_inline enum traffic_count check_inbound(const struct frame *frame, __u32 flow)
{
	if (bpf_ntohl(frame->ip->saddr) != traffic_remote_address(flow, watch.remotes) || frame->udp->source != bpf_htons(TRAFFIC_REMOTE_PORT))
		return TRAFFIC_BAD_REMOTE;
	if (!watch.is_translated)
		return TRAFFIC_RECEIVED;
	if (bpf_ntohl(frame->ip->daddr) != traffic_internal_address(flow) || bpf_ntohs(frame->udp->dest) != traffic_internal_port(flow))
		return TRAFFIC_BAD_INTERNAL;
	return TRAFFIC_RECEIVED;
}

static __always_inline enum traffic_count check(const struct frame *frame)
{
	__u32 flow = bpf_ntohl(frame->payload[1]);

	if (!ip_checksum_is_good(frame->ip))
		return TRAFFIC_BAD_IP_CHECKSUM;
	if (!udp_checksum_is_good(frame))
		return TRAFFIC_BAD_UDP_CHECKSUM;
	if (frame->ip->ttl != (watch.is_translated ? TRAFFIC_TTL - 1 : TRAFFIC_TTL))
		return TRAFFIC_BAD_TTL;
	return watch.direction == TRAFFIC_OUTBOUND ? check_outbound(frame, flow) : check_inbound(frame, flow);
}

/* False: not of this bench. */
static __always_inline bool sink(void *data, void *end)
{
	struct frame frame;

	if (!frame_at(&frame, data, end) || frame.eth->h_proto != bpf_htons(ETH_P_IP) ||
	    frame.payload[0] != bpf_htonl(TRAFFIC_MAGIC))
		return false;
	count(watch.is_checking ? check(&frame) : TRAFFIC_RECEIVED);
	return true;
}

SEC("xdp")
int sink_xdp(struct xdp_md *ctx)
{
	return sink((void *)(long)ctx->data, (void *)(long)ctx->data_end) ? XDP_DROP : XDP_PASS;
}

/* Behind the kernel's own forwarding frames come as socket buffers: dropping them here is cheaper than in XDP. */
SEC("tc")
int sink_tc(struct __sk_buff *skb)
{
	return sink((void *)(long)skb->data, (void *)(long)skb->data_end) ? TC_ACT_SHOT : TC_ACT_OK;
}
