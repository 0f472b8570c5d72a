/* SPDX-License-Identifier: GPL-2.0-only */
/* The two halves of a translation, each with its own lookup: the source by `mappings`, the destination by its slot in `ports`.
 * A hairpinned packet takes both. */
#ifndef CGN_TRANSLATE_BPF_H
#define CGN_TRANSLATE_BPF_H
#include "mapping.bpf.h"
#include "filter.bpf.h"
#include "packet.h"
#include "rewrite.h"

static __always_inline enum cgn_verdict status_verdict(int status)
{
	switch (status) {
	case CGN_NOT_ALLOWED:
		return CGN_DROP_NOT_SUBSCRIBER;
	case CGN_QUOTA:
		return CGN_DROP_QUOTA;
	case CGN_EXHAUSTED:
		return CGN_DROP_EXHAUSTED;
	case CGN_TABLE_FULL:
		return CGN_DROP_TABLE_FULL;
	default:
		return CGN_DROP_RACE;
	}
}

/* The first packet of a flow. */
__noinline int outbound_create(struct cgn_internal *internal, struct cgn_external *external)
{
	struct cgn_new new = {};
	int status;

	if (!internal || !external)
		return CGN_BAD_REQUEST;
	new.internal = *internal;
	new.origin = CGN_IMPLICIT;
	status = mapping_create(&new);
	if (status == CGN_OK)
		*external = new.external;
	return status;
}

/* Brings a mapping's activity to its slot, where the reaper looks. Seldom: every CGN_SLOT_SYNC_S at most. */
__noinline int outbound_sync(struct cgn_internal *internal, __u32 now_s)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_mapping seen, *mapping;
	union cgn_slot_word word;
	struct cgn_slot *slot;

	if (!internal || !settings)
		return 0;
	mapping = map_mapping(internal);
	if (!mapping || !mapping_copy(mapping, internal, &seen))
		return 0;
	slot = map_slot(seen.slot);
	if (!slot)
		return 0;
	mapping->synced_s = now_s;
	word.word = cgn_read_once(slot->state.word);
	/* the slot's flags decide: a request that made the mapping explicit meanwhile writes the slot after this, or wrote it before */
	if (word.state == CGN_SLOT_LIVE && word.generation == seen.state.generation && !(word.flags & CGN_EXPLICIT) &&
	    !(seen.state.flags & (CGN_EXPLICIT | CGN_DYING)))
		slot_move_deadline(slot, word, mapping_reap_s(settings, &seen));
	return 0;
}

/* ---- TCP: what was seen of a connection decides between the idle times of RFC 5382 REQ-5 ---- */

static __always_inline __u8 tcp_seen(const struct tcphdr *tcp, bool is_outbound)
{
	__u8 seen = 0;

	if (tcp->syn)
		seen |= is_outbound ? CGN_TCP_SYN_OUT : CGN_TCP_SYN_IN;
	else if (is_outbound)
		seen |= CGN_TCP_DATA_OUT;
	if (tcp->fin)
		seen |= is_outbound ? CGN_TCP_FIN_OUT : CGN_TCP_FIN_IN;
	if (tcp->rst)
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
	__u8 both = CGN_TCP_FIN_OUT | CGN_TCP_FIN_IN;

	return !remote->port || remote->tcp & CGN_TCP_RST || (remote->tcp & both) == both;
}

/* One word at a time: the other direction may run on another CPU, and a connection must not be half of two. */
static __always_inline bool remote_swap(struct cgn_remote *remote, __u64 before, const struct cgn_remote *after)
{
	return __sync_val_compare_and_swap((__u64 *)remote, before, *(const __u64 *)after) == before;
}

static __always_inline void remote_note(struct cgn_remote *remote, __u8 seen)
{
	struct cgn_remote now;
	__u64 before = cgn_read_once(*(__u64 *)remote);

	*(__u64 *)&now = before;
	if (seen & (CGN_TCP_SYN_OUT | CGN_TCP_SYN_IN) && remote_is_free(&now))
		now.tcp = 0;		/* a new connection between the same endpoints */
	if (now.tcp & CGN_TCP_RST && seen == CGN_TCP_DATA_OUT)
		now.tcp &= (__u8)~CGN_TCP_RST;	/* RFC 7857 section 2.2: traffic goes on, so the RST was not meant */
	now.tcp |= seen;
	if (*(__u64 *)&now != before)
		remote_swap(remote, before, &now);
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

/* Outbound segments of a known connection cost two compares in a line that is loaded anyway. */
static __always_inline void tcp_track(struct cgn_mapping *mapping, __u16 generation, const struct packet *pkt, __u32 address,
				      __u16 port, bool is_outbound)
{
	struct tcphdr *tcp = pkt->l4;
	struct cgn_remote *remote;
	__u8 seen;

	if ((void *)(tcp + 1) > pkt->end)
		return;
	seen = tcp_seen(tcp, is_outbound);
	remote = remote_is(&mapping->remote[0], address, port) ? &mapping->remote[0] :
		 remote_is(&mapping->remote[1], address, port) ? &mapping->remote[1] : NULL;
	if (remote) {
		if ((remote->tcp & seen) != seen || remote->tcp & CGN_TCP_RST || tcp->syn)
			remote_note(remote, seen);
	} else if (tcp->syn && !tcp->rst) {
		remote_enter(mapping, generation, address, port, seen);
	}
}

/* Inbound SYN, FIN and RST only: data leaves the mapping alone. */
__noinline int tcp_track_inbound(struct xdp_md *ctx, struct cgn_internal *internal)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_mapping seen, *mapping;
	struct packet pkt;

	if (!internal || !settings)
		return 0;
	mapping = map_mapping(internal);
	if (!mapping || !mapping_copy(mapping, internal, &seen))
		return 0;
	if (seen.state.flags & CGN_DYING)
		return 0;
	if (packet_parse(&pkt, (void *)(long)ctx->data, (void *)(long)ctx->data_end) != CGN_NEXT || pkt.kind == PACKET_IPV6)
		return 0;
	if (packet_parse_transport(&pkt) != CGN_NEXT || pkt.kind != PACKET_FLOW || pkt.protocol != IPPROTO_TCP)
		return 0;
	tcp_track(mapping, seen.state.generation, &pkt, pkt.ip->saddr, pkt.source_port, false);
	cache_forget(settings, internal);	/* what goes out next may say that it was not meant (RFC 7857 section 2.2) */
	return 0;
}

/* ---- the two halves ---- */

/* The external endpoint of a packet's source, made if it may be. CGN_NEXT or a drop. */
static __always_inline enum cgn_verdict outbound_endpoint(const struct cgn_settings *settings, const struct packet *pkt,
							     struct cgn_external *external)
{
	struct cgn_internal internal;
	struct cgn_mapping *mapping;
	__u32 tag, now_s, last_s, synced_s;
	__u16 generation;
	int status;

	internal_from_ipv4(&internal, pkt->ip->saddr, pkt->source_port, pkt->protocol);
	now_s = clock_now_s();
	if (!pkt->is_tcp_change && cache_find(settings, &internal, now_s, external))
		return CGN_NEXT;
	mapping = map_mapping(&internal);
	if (!mapping)
		goto create;
	tag = cgn_tag(&internal);
	if (cgn_read_once(mapping->tag) != tag)
		goto create;
	*external = mapping->external;
	last_s = mapping->state.last_outbound_s;
	generation = mapping->state.generation;
	synced_s = mapping->synced_s;
	cgn_barrier();
	if (cgn_read_once(mapping->tag) != tag)
		return CGN_DROP_RACE;	/* deleted under our eyes, its element already another's */
	if (now_s - last_s >= CGN_STAMP_S) {
		mapping->state.last_outbound_s = now_s;
		if (now_s - synced_s >= CGN_SLOT_SYNC_S)
			outbound_sync(&internal, now_s);
	}
	if (pkt->protocol == IPPROTO_TCP)
		tcp_track(mapping, generation, pkt, pkt->ip->daddr, pkt->destination_port, true);
	if (pkt->is_tcp_change)		/* so that what comes next is looked at */
		cache_forget(settings, &internal);
	else
		cache_enter(&internal, generation);
	return CGN_NEXT;
create:
	if (!pkt->may_open)
		return CGN_DROP_NOT_OPENING;
	status = outbound_create(&internal, external);
	if (status != CGN_OK)
		return status_verdict(status);
	if (pkt->protocol == IPPROTO_TCP) {	/* the SYN that opened it belongs to its first connection */
		mapping = map_mapping(&internal);
		if (mapping && mapping->tag == cgn_tag(&internal))
			tcp_track(mapping, mapping->state.generation, pkt, pkt->ip->daddr, pkt->destination_port, true);
	}
	return CGN_NEXT;
}

/* The internal endpoint behind an external one, and whether filter_verdict() is to be asked. CGN_NEXT, or CGN_DROP_NO_MAPPING. */
static __always_inline enum cgn_verdict inbound_endpoint(__u32 slot_index, struct cgn_internal *internal, bool *ret_is_filtered)
{
	struct cgn_slot *slot = map_slot(slot_index);
	union cgn_slot_word before, after;

	if (!slot)
		return CGN_DROP_NO_MAPPING;
	before.word = cgn_read_once(slot->state.word);
	if (before.state != CGN_SLOT_LIVE)
		return CGN_DROP_NO_MAPPING;
	*internal = slot->internal;
	cgn_barrier();
	after.word = cgn_read_once(slot->state.word);
	if (after.state != CGN_SLOT_LIVE || after.generation != before.generation)
		return CGN_DROP_NO_MAPPING;
	*ret_is_filtered = after.flags & CGN_FILTERED;
	return CGN_NEXT;
}

#endif
