/* SPDX-License-Identifier: GPL-2.0-only */
/* The MSS option of SYN segments, lowered to what the configuration says, so that TCP sends nothing that is too big for a way on
 * which ICMP gets lost (RFC 9293 section 3.7.1). Both directions: each side tells the other what it can take. */
#ifndef CGN_MSS_BPF_H
#define CGN_MSS_BPF_H
#include "maps.bpf.h"
#include "packet.h"
#include "checksum.h"

#define MSS_OPTIONS_MAX 40	/* bytes: 60 of a header less the 20 that are fixed */
#define MSS_END 0
#define MSS_NO_OPERATION 1
#define MSS_KIND 2
#define MSS_LENGTH 4

struct mss_walk {
	__u32 at, len;
	__u32 value_at;			/* out: where the value stands; 0: nowhere */
	__u8 options[MSS_OPTIONS_MAX];
};

/* One option. Whatever is odd about them ends the walk: the segment goes as it is. */
static long mss_step(__u32 index, void *context)
{
	struct mss_walk *walk = context;
	__u32 at = walk->at;
	__u8 length;

	if (at >= walk->len || at >= MSS_OPTIONS_MAX || walk->options[at] == MSS_END)
		return 1;
	if (walk->options[at] == MSS_NO_OPERATION) {
		walk->at = at + 1;
		return 0;
	}
	if (at + 1 >= walk->len || at + 1 >= MSS_OPTIONS_MAX)
		return 1;
	length = walk->options[at + 1];
	if (walk->options[at] == MSS_KIND) {
		if (length == MSS_LENGTH && at + MSS_LENGTH <= walk->len)
			walk->value_at = at + 2;
		return 1;
	}
	walk->at = at + length;
	return length < 2;
}

/* The 16-bit words of the checksum begin at even places; what stands across two of them counts with its bytes swapped. */
static __always_inline __u32 mss_delta(__u32 at, __u16 from, __u16 to)
{
	return at & 1 ? checksum_delta16(bpf_ntohs(from), bpf_ntohs(to)) : checksum_delta16(from, to);
}

/* A packet with SYN, FIN or RST whose TCP header, whole, stands at `l4`. */
__noinline int mss_clamp(struct xdp_md *ctx, __u32 l4)
{
	struct cgn_settings *settings = map_settings();
	struct mss_walk walk = {};
	struct tcphdr tcp;
	__u16 value, most;
	__u32 len;

	if (!settings || !settings->mss_clamp || bpf_xdp_load_bytes(ctx, l4, &tcp, sizeof(tcp)) || !tcp.syn)
		return 0;
	len = (__u32)tcp.doff * 4 - sizeof(tcp);
	cgn_forget(len);
	if (len < MSS_LENGTH || len > MSS_OPTIONS_MAX)
		return 0;
	walk.len = len;
	if (bpf_xdp_load_bytes(ctx, l4 + sizeof(tcp), walk.options, len))
		return 0;
	bpf_loop(MSS_OPTIONS_MAX, mss_step, &walk, 0);
	l4 += sizeof(tcp) + walk.value_at;
	if (!walk.value_at || bpf_xdp_load_bytes(ctx, l4, &value, sizeof(value)) || bpf_ntohs(value) <= settings->mss_clamp)
		return 0;
	most = bpf_htons((__u16)settings->mss_clamp);
	tcp.check = checksum_update(tcp.check, mss_delta(walk.value_at, value, most));
	bpf_xdp_store_bytes(ctx, l4, &most, sizeof(most));
	bpf_xdp_store_bytes(ctx, l4 - walk.value_at - sizeof(tcp) + offsetof(struct tcphdr, check), &tcp.check, sizeof(tcp.check));
	return 0;
}

/* Where the transport header of a parsed packet stands in its frame. */
static __always_inline __u32 mss_l4(const struct packet *pkt)
{
	return sizeof(*pkt->eth) + pkt->vlan_len + pkt->header_len;
}

#endif
