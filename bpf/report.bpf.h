/* SPDX-License-Identifier: GPL-2.0-only */
/* ICMP errors of xcgn's own, to the sender of a packet that is dropped: time exceeded, fragmentation needed (RFC 4787 REQ-13),
 * host unreachable where no port is left (RFC 6888 REQ-11 B). They quote the packet as its sender sent it, for nothing was rewritten
 * when the drop was decided, and go back the way it came.
 *
 * Global functions called last from the entry programs, and no tail calls: verified once and by themselves, on the stack that the
 * packet's way has left by then, and without a program array that has to be filled, pinned and kept in step with what is attached. */
#ifndef CGN_REPORT_BPF_H
#define CGN_REPORT_BPF_H
#include "maps.bpf.h"
#include "endpoint.h"
#include "packet.h"
#include "checksum.h"
#include "rate.bpf.h"
#include "link.bpf.h"
#include "subscriber.bpf.h"

#define REPORT_QUOTE_MAX 548	/* RFC 1812 section 4.3.2.3: the whole report has 576 bytes at most */
#define REPORT_TTL 64
#define REPORT_TOS 0xc0		/* RFC 1812 section 4.3.2.5: precedence of internetwork control */
#define REPORT_TOTAL_BURST 100
#define REPORT_SOURCE_BURST 10

#ifndef AF_INET
#define AF_INET 2
#define AF_INET6 10
#endif

#ifndef BPF_FIB_LOOKUP_SKIP_NEIGH
#define BPF_FIB_LOOKUP_SKIP_NEIGH 4	/* Linux 6.3 */
#endif
#define REPORT_FIB_LOOKUP_SRC 16	/* Linux 6.7; older headers do not have its name */

struct report_scratch {
	__u32 mtu;		/* of the last packet that was too big */
	__u32 quote[REPORT_QUOTE_MAX / 4];
};

/* Per CPU, and a packet's own from the drop to the end of the program. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct report_scratch);
} report_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CGN_REPORT_BUCKETS);
	__type(key, __u32);
	__type(value, __u64);
} report_buckets SEC(".maps");

static __always_inline struct report_scratch *report_scratch_find(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&report_scratch, &zero);
}

/* Keeps what fragmentation needed has to say. */
__noinline int report_note_mtu(__u32 mtu)
{
	struct report_scratch *scratch = report_scratch_find();

	if (scratch)
		scratch->mtu = mtu;
	return 0;
}

static __always_inline bool report_is_due(__u32 verdict)
{
	return verdict == CGN_DROP_TTL || verdict == CGN_DROP_TOO_BIG || verdict == CGN_DROP_QUOTA || verdict == CGN_DROP_EXHAUSTED;
}

/* Never about an error, a follow-on fragment, or what came to many or from nobody in particular (RFC 1812 section 4.3.2.7); inside,
 * only to subscribers: a report about a spoofed source would be a packet to an address that is not of this side. */
static __always_inline bool report_is_permitted(const struct cgn_settings *settings, const struct packet *pkt, __u32 side)
{
	__u32 source = bpf_ntohl(pkt->ip->saddr);
	const struct icmphdr *icmp = pkt->l4;

	if (pkt->eth->h_dest[0] & 1 || pkt->ip->frag_off & bpf_htons(PACKET_FRAGMENT_OFFSET))
		return false;
	if (source >> 24 == 0 || source >> 24 == 127 || source >= 0xe0000000 || address_index(settings, source) >= 0)
		return false;
	if (side == CGN_INTERNAL_SIDE && !address_is_subscriber(settings, source))
		return false;
	if (pkt->ip->protocol != IPPROTO_ICMP)
		return true;
	return (void *)(icmp + 1) <= pkt->end && (icmp->type == ICMP_ECHO || icmp->type == ICMP_ECHOREPLY);
}

static __always_inline bool report_is_within_rate(const struct cgn_settings *settings, __u32 side, __u32 source_be)
{
	__u64 now_ns = bpf_ktime_get_ns();

	return settings->report_source_ns && settings->report_total_ns &&
	       rate_take(&report_buckets, rate_own(side, CGN_REPORT_BUCKETS, source_be), now_ns, settings->report_source_ns, REPORT_SOURCE_BURST) &&
	       rate_take(&report_buckets, rate_total(side, CGN_REPORT_BUCKETS), now_ns, settings->report_total_ns, REPORT_TOTAL_BURST);
}

/* The address of ours that the kernel would use towards the sender; before Linux 6.7, or without a route, the first one of the interface. 0: none. */
__noinline __u32 report_source(struct xdp_md *ctx, __u32 sender_be)
{
	struct bpf_fib_lookup fib = {};
	__u32 ifindex, *known;

	fib.family = AF_INET;
	fib.ipv4_dst = sender_be;
	fib.ifindex = ifindex = link_ifindex(ctx);
	if (bpf_fib_lookup(ctx, &fib, sizeof(fib), BPF_FIB_LOOKUP_SKIP_NEIGH | REPORT_FIB_LOOKUP_SRC) == BPF_FIB_LKUP_RET_SUCCESS)
		return fib.ipv4_src;
	known = bpf_map_lookup_elem(&addresses, &ifindex);
	return known ? *known : 0;
}

/* Takes the quote out of the frame; returns the sum over it. */
static __always_inline long report_quote(struct xdp_md *ctx, struct report_scratch *scratch, __u32 offset, __u32 len)
{
	__u32 sum = 0, i;

	for (i = 0; i < REPORT_QUOTE_MAX / 4; i++)
		scratch->quote[i] = 0;
	cgn_forget(len);	/* so that what is checked is what is used */
	if (len < sizeof(struct iphdr) || len > REPORT_QUOTE_MAX || bpf_xdp_load_bytes(ctx, offset, scratch->quote, len))
		return -1;
	for (i = 0; i < REPORT_QUOTE_MAX / 4; i++)
		sum += (scratch->quote[i] & 0xffff) + (scratch->quote[i] >> 16);
	return sum;
}

struct report_header {
	struct iphdr ip;
	struct icmphdr icmp;
};

static __always_inline void report_write(struct report_header *report, __u32 source_be, __u32 destination_be, __u32 quote_len)
{
	__u16 *word = (void *)&report->ip;
	__u32 sum = 0, i;

	report->ip.version = 4;
	report->ip.ihl = 5;
	report->ip.tos = REPORT_TOS;
	report->ip.tot_len = bpf_htons((__u16)(sizeof(*report) + quote_len));
	report->ip.id = 0;	/* no identification, for it is not to be cut (RFC 6864 section 4.1) */
	report->ip.frag_off = bpf_htons(PACKET_DONT_FRAGMENT);
	report->ip.ttl = REPORT_TTL;
	report->ip.protocol = IPPROTO_ICMP;
	report->ip.check = 0;
	report->ip.saddr = source_be;
	report->ip.daddr = destination_be;
	for (i = 0; i < sizeof(report->ip) / 2; i++)
		sum += word[i];
	report->ip.check = (__u16)~checksum_fold(sum);
}

static __always_inline enum cgn_verdict report_fill(struct icmphdr *icmp, __u32 dropped, __u32 mtu, __u32 quote_sum)
{
	enum cgn_verdict made = CGN_REPORT_UNREACHABLE;

	icmp->un.gateway = 0;
	if (dropped == CGN_DROP_TTL) {
		icmp->type = ICMP_TIME_EXCEEDED;
		icmp->code = 0;
		made = CGN_REPORT_TTL;
	} else if (dropped == CGN_DROP_TOO_BIG) {
		icmp->type = ICMP_DEST_UNREACH;
		icmp->code = 4;
		icmp->un.frag.mtu = bpf_htons((__u16)mtu);
		quote_sum += icmp->un.frag.mtu;
		made = CGN_REPORT_TOO_BIG;
	} else {
		icmp->type = ICMP_DEST_UNREACH;
		icmp->code = 1;
	}
	icmp->checksum = (__u16)~checksum_fold(quote_sum + *(__u16 *)icmp);
	return made;
}

/* The frame becomes the report: Ethernet header and tags move to the front and turn round, the quote follows, the rest is cut off. */
static __always_inline long report_resize(struct xdp_md *ctx, __u32 l2_len, __u32 quote_len, __u32 frame_len)
{
	__u8 l2[ETH_HLEN + PACKET_VLAN_TAGS_MAX * sizeof(struct packet_vlan)];
	__u16 *mac = (void *)l2, kept;
	int i;

	if (l2_len < ETH_HLEN || l2_len > sizeof(l2) || bpf_xdp_load_bytes(ctx, 0, l2, l2_len))
		return -1;
	for (i = 0; i < 3; i++) {
		kept = mac[i];
		mac[i] = mac[i + 3];
		mac[i + 3] = kept;
	}
	if (bpf_xdp_adjust_tail(ctx, (int)(l2_len + quote_len) - (int)frame_len) || bpf_xdp_adjust_head(ctx, -(int)sizeof(struct report_header)))
		return -1;
	return bpf_xdp_store_bytes(ctx, 0, l2, l2_len);
}

/* Turns the frame into a report about itself. The verdict under which that counts, or CGN_NEXT: there is none. */
__noinline int report_make(struct xdp_md *ctx, __u32 dropped, __u32 side)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct cgn_settings *settings = map_settings();
	struct report_scratch *scratch = report_scratch_find();
	__u32 l2_len, quote_len, sender, source;
	struct report_header header;
	enum cgn_verdict made;
	struct packet pkt;
	long sum;

	if (!settings || !scratch || packet_parse(&pkt, data, end, ctx) != CGN_NEXT || pkt.kind == PACKET_IPV6)
		return CGN_NEXT;
	if (!report_is_permitted(settings, &pkt, side))
		return CGN_NEXT;
	sender = pkt.ip->saddr;
	l2_len = sizeof(struct ethhdr) + pkt.vlan_len;
	quote_len = bpf_ntohs(pkt.ip->tot_len);
	if (quote_len > REPORT_QUOTE_MAX)
		quote_len = REPORT_QUOTE_MAX;
	if (!report_is_within_rate(settings, side, sender))
		return CGN_REPORT_WITHHELD;
	source = report_source(ctx, sender);
	if (!source)
		return CGN_REPORT_WITHHELD;
	sum = report_quote(ctx, scratch, l2_len, quote_len);
	if (sum < 0 || report_resize(ctx, l2_len, quote_len, (__u32)frame_length(ctx)))
		return CGN_REPORT_WITHHELD;
	report_write(&header, source, sender, quote_len);
	made = report_fill(&header.icmp, dropped, scratch->mtu, (__u32)sum);
	return bpf_xdp_store_bytes(ctx, l2_len, &header, sizeof(header)) ? CGN_REPORT_WITHHELD : made;
}

/* What XDP does with a packet whose drop is counted already. The report counts beside it. Not XDP_TX: a veth then leaves the frame
 * in its peer's ring until another one comes. */
__noinline int report(struct xdp_md *ctx, __u32 dropped, __u32 side)
{
	int made = report_make(ctx, dropped, side);

	if (made == CGN_NEXT)
		return XDP_DROP;
	map_count((__u32)made, frame_length(ctx));
	return made == CGN_REPORT_WITHHELD ? XDP_DROP : (int)bpf_redirect(ctx->ingress_ifindex, 0);
}

#endif
