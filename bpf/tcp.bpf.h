/* SPDX-License-Identifier: GPL-2.0-only */
/* TCP (RFC 7857 section 2): what was seen of a mapping's connections decides which of the idle times of RFC 5382 REQ-5 it has. The
 * connections are known by what goes out: an inbound SYN alone leaves nothing behind, or a scan would keep every mapping alive.
 *
 * An RST counts only if it lies in the receive window (RFC 7857 section 2.2), as far as that is known: of the first connection, from what
 * the host last acknowledged in a packet that did not go by the cache, and from how fast that moved. Numbers are kept in units of
 * 64 KiB, for the mapping has no room for more. Whatever is believed of an RST, it is translated. */
#ifndef CGN_TCP_BPF_H
#define CGN_TCP_BPF_H
#include "mapping.bpf.h"
#include "packet.h"

enum tcp_tracked {		/* what an outbound segment means for its mapping's time */
	TCP_REFRESHES = 1,	/* it counts as traffic */
	TCP_SYNCS = 2,		/* a connection may have ended: the slot's deadline may be too late */
};

#define TCP_FIN_BIT 0x01	/* of the 14th byte of the header */
#define TCP_SYN_BIT 0x02
#define TCP_RST_BIT 0x04
#define TCP_ACK_BIT 0x10

#define TCP_NUMBER_SHIFT 16
#define TCP_WINDOW_UNIT 64	/* of cgn_remote.window: 4 MiB, in units of the numbers kept */
#define TCP_WINDOW_LEAST 4
#define TCP_WINDOW_MOST 255

/* Flags of the segment, and the remote port above them. */
static __always_inline __u32 tcp_segment(const struct tcphdr *tcp, __u16 remote_port)
{
	return (__u32)remote_port << 16 | ((const __u8 *)tcp)[13];
}

static __always_inline __u8 tcp_seen(__u32 flags, bool is_outbound)
{
	__u8 seen = 0;

	if (flags & TCP_SYN_BIT)
		seen |= is_outbound ? CGN_TCP_SYN_OUT : CGN_TCP_SYN_IN;
	else if (is_outbound)
		seen |= CGN_TCP_DATA_OUT;
	if ((flags & (TCP_SYN_BIT | TCP_ACK_BIT)) == (TCP_SYN_BIT | TCP_ACK_BIT) && is_outbound)
		seen |= CGN_TCP_SYN_IN;	/* the one that it answers */
	if (flags & TCP_FIN_BIT)
		seen |= is_outbound ? CGN_TCP_FIN_OUT : CGN_TCP_FIN_IN;
	if (flags & TCP_RST_BIT)
		seen |= CGN_TCP_RST;
	return seen;
}

static __always_inline bool remote_is(const struct cgn_remote *remote, __u32 address_be, __u16 port)
{
	return load_u32(remote->addr4) == address_be && remote->port == port;
}

/* Is this place free for a new connection? Never used, or what was there is over. */
static __always_inline bool remote_is_free(const struct cgn_remote *remote)
{
	return !remote->port || remote_is_over(remote);
}

/* One word at a time: the other direction may run on another CPU, and a connection must not be half of two. */
static __always_inline bool remote_swap(struct cgn_remote *remote, __u64 before, const struct cgn_remote *after)
{
	return __sync_val_compare_and_swap((__u64 *)remote, before, *(const __u64 *)after) == before;
}

/* Takes down what was seen, and the window if it is known. True: the connection has just ended. */
static __always_inline bool remote_note(struct cgn_remote *remote, __u8 seen, __u8 window)
{
	struct cgn_remote now;
	__u64 before;
	bool was_over;
	int i;

	for (i = 0; i < MAPPING_RETRIES; i++) {
		before = cgn_read_once(*(__u64 *)remote);
		*(__u64 *)&now = before;
		was_over = remote_is_over(&now);
		if (seen & (CGN_TCP_SYN_OUT | CGN_TCP_SYN_IN) && was_over) {	/* a new connection between the same endpoints */
			now.tcp = 0;
			now.window = 0;
		}
		if (now.tcp & CGN_TCP_RST && seen == CGN_TCP_DATA_OUT)
			now.tcp &= (__u8)~CGN_TCP_RST;	/* RFC 7857 section 2.2: traffic goes on, so the RST was not meant */
		now.tcp |= seen;
		if (window)
			now.window = window;
		if (*(__u64 *)&now == before || remote_swap(remote, before, &now))
			return !was_over && remote_is_over(&now);
	}
	return false;
}

static __always_inline void remote_enter(struct cgn_mapping *mapping, __u16 generation, __u32 address_be, __u16 port, __u8 seen)
{
	struct cgn_remote fresh = {};
	union cgn_mapping_word now;
	__u64 before;
	int i;

	store_u32(fresh.addr4, address_be);
	fresh.port = port;
	fresh.tcp = seen;
	for (i = 0; i < 2; i++) {
		before = cgn_read_once(*(__u64 *)&mapping->remote[i]);
		if (remote_is_free((struct cgn_remote *)&before) && remote_swap(&mapping->remote[i], before, &fresh))
			return;
	}
	now.word = cgn_read_once(mapping->state.word);
	if (now.generation == generation && !(now.flags & CGN_MANY_PEERS))
		mapping_change_flags(mapping, now, CGN_MANY_PEERS, 0);
}

/* How far beyond what is acknowledged now the remote peer may be before we see the next acknowledgement: four times as far as it went
 * since the last one we saw, and a receive window. Of a first acknowledgement nothing is known: then it may be anything plausible. */
static __always_inline __u8 window_of(const struct cgn_mapping *mapping, __u16 acked)
{
	__u32 advance = (__u16)(acked - mapping->acked), window;

	if (!mapping->remote[0].window)
		return TCP_WINDOW_MOST;
	window = TCP_WINDOW_LEAST + 4 * advance / TCP_WINDOW_UNIT;
	return window > TCP_WINDOW_MOST ? TCP_WINDOW_MOST : (__u8)window;
}

static __always_inline bool window_has(const struct cgn_mapping *mapping, const struct cgn_remote *remote, __u32 sequence)
{
	__u16 ahead = (__u16)((sequence >> TCP_NUMBER_SHIFT) - mapping->acked);

	if (remote != &mapping->remote[0] || !remote->window)
		return true;
	return ahead <= (__u32)remote->window * TCP_WINDOW_UNIT;
}

/* An outbound segment of a mapping that was just looked up. Segments of a known connection cost two compares in a line that is loaded
 * anyway. Returns tcp_tracked. RFC 7857 section 7.1: an RST refreshes only when it ends a connection that the host had opened or
 * accepted, so that the mapping stays for a while (section 2.2); a RST that refuses, and those after the first, do not. */
__noinline int tcp_track_outbound(struct cgn_mapping *mapping, __u32 remote_be, __u32 segment, __u32 acknowledged, __u32 generation)
{
	__u8 seen = tcp_seen(segment, true), window = 0;
	__u16 port = (__u16)(segment >> 16), acked;
	struct cgn_remote *remote;
	bool is_ended = false;

	if (!mapping)
		return 0;
	remote = remote_is(&mapping->remote[0], remote_be, port) ? &mapping->remote[0] :
		 remote_is(&mapping->remote[1], remote_be, port) ? &mapping->remote[1] : NULL;
	if (!remote) {
		if ((segment & (TCP_SYN_BIT | TCP_RST_BIT)) == TCP_SYN_BIT)
			remote_enter(mapping, (__u16)generation, remote_be, port, seen);
		return segment & TCP_RST_BIT ? 0 : TCP_REFRESHES;
	}
	if (remote == &mapping->remote[0] && (segment & (TCP_ACK_BIT | TCP_RST_BIT)) == TCP_ACK_BIT) {
		acked = (__u16)(acknowledged >> TCP_NUMBER_SHIFT);
		window = window_of(mapping, acked);
		if (mapping->acked != acked)
			mapping->acked = acked;
	}
	if ((remote->tcp & seen) != seen || remote->tcp & CGN_TCP_RST || segment & TCP_SYN_BIT || (window && window != remote->window))
		is_ended = remote_note(remote, seen, window);
	if (segment & TCP_RST_BIT)
		return is_ended ? TCP_REFRESHES | TCP_SYNCS : 0;
	return is_ended ? TCP_REFRESHES | TCP_SYNCS : TCP_REFRESHES;
}

/* Inbound SYN, FIN and RST only: data leaves the mapping alone. */
__noinline int tcp_track_inbound(struct xdp_md *ctx, struct cgn_internal *internal)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_mapping *mapping;
	struct cgn_remote *remote;
	struct packet pkt;
	struct tcphdr *tcp;
	__u8 seen;

	if (!internal || !settings)
		return 0;
	mapping = map_mapping(internal);
	if (!mapping || cgn_read_once(mapping->tag) != cgn_tag(internal) || mapping->state.flags & CGN_DYING)
		return 0;
	if (packet_parse(&pkt, (void *)(long)ctx->data, (void *)(long)ctx->data_end, ctx) != CGN_NEXT || pkt.kind == PACKET_IPV6)
		return 0;
	if (packet_parse_transport(&pkt) != CGN_NEXT || pkt.kind != PACKET_FLOW || pkt.protocol != IPPROTO_TCP)
		return 0;
	tcp = pkt.l4;
	if ((void *)(tcp + 1) > pkt.end)
		return 0;
	remote = remote_is(&mapping->remote[0], pkt.ip->saddr, pkt.source_port) ? &mapping->remote[0] :
		 remote_is(&mapping->remote[1], pkt.ip->saddr, pkt.source_port) ? &mapping->remote[1] : NULL;
	if (!remote || (tcp->rst && !window_has(mapping, remote, bpf_ntohl(tcp->seq))))
		return 0;
	seen = tcp_seen(tcp_segment(tcp, 0), false);
	if (remote_note(remote, seen, 0)) {
		/* RFC 7857 section 2.2: from now on. Once for each time that the host's own traffic takes the RST back */
		if (tcp->rst && mapping->state.last_outbound_s)
			mapping->state.last_outbound_s = clock_now_s();
		mapping_sync(internal, clock_now_s());
	}
	cache_forget(settings, internal);	/* what goes out next may say that it was not meant (RFC 7857 section 2.2) */
	return 0;
}

#endif
