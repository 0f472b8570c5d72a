/* SPDX-License-Identifier: GPL-2.0-only */
/* The two halves of a translation, each with its own lookup: the source by `mappings`, the destination by its slot in `ports`.
 * A hairpinned packet takes both. */
#ifndef CGN_TRANSLATE_BPF_H
#define CGN_TRANSLATE_BPF_H
#include "mapping.bpf.h"
#include "tcp.bpf.h"
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

/* ---- the two halves ---- */

static __always_inline int tcp_track(struct cgn_mapping *mapping, __u16 generation, const struct packet *pkt)
{
	struct tcphdr *tcp = pkt->l4;

	if ((void *)(tcp + 1) > pkt->end)
		return TCP_REFRESHES;
	return tcp_track_outbound(mapping, pkt->ip->daddr, tcp_segment(tcp, pkt->destination_port), bpf_ntohl(tcp->ack_seq), generation);
}

/* The external endpoint of a packet's source, made if it may be. CGN_NEXT or a drop. */
static __always_inline enum cgn_verdict outbound_endpoint(const struct cgn_settings *settings, const struct packet *pkt,
							     struct cgn_external *external)
{
	struct cgn_internal internal;
	struct cgn_mapping *mapping;
	__u32 tag, now_s, last_s;
	__u16 generation, synced_s;
	int status, tracked = TCP_REFRESHES;

	internal_from_ipv4(&internal, pkt->ip->saddr, pkt->source_port, pkt->protocol);
	now_s = clock_now_s();
	if (!pkt->is_tcp_change && cache_find(settings, &internal, pkt->protocol_index, now_s, external))
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
	if (pkt->protocol == IPPROTO_TCP)
		tracked = tcp_track(mapping, generation, pkt);
	if (tracked & TCP_REFRESHES && now_s - last_s >= CGN_STAMP_S) {
		mapping->state.last_outbound_s = now_s;
		if ((__u16)((__u16)now_s - synced_s) >= CGN_SLOT_SYNC_S)
			tracked |= TCP_SYNCS;
	}
	if (tracked & TCP_SYNCS)
		mapping_sync(&internal, now_s);
	if (settings->filtering)
		session_enter(&internal, pkt->ip->daddr);
	if (pkt->is_tcp_change)		/* so that what comes next is looked at */
		cache_drop(&internal);
	else
		cache_enter(&internal, generation);
	return CGN_NEXT;
create:
	if (!pkt->may_open)
		return CGN_DROP_NOT_OPENING;
	status = outbound_create(&internal, external);
	if (status != CGN_OK)
		return status_verdict(status);
	if (settings->filtering)
		session_enter(&internal, pkt->ip->daddr);
	if (pkt->protocol == IPPROTO_TCP) {	/* the SYN that opened it belongs to its first connection */
		mapping = map_mapping(&internal);
		if (mapping && mapping->tag == cgn_tag(&internal))
			tcp_track(mapping, mapping->state.generation, pkt);
	}
	return CGN_NEXT;
}

/* The internal endpoint behind an external one, and whether filter_verdict() is to be asked. CGN_NEXT, or CGN_DROP_NO_MAPPING. */
static __always_inline enum cgn_verdict
inbound_endpoint(const struct cgn_settings *settings, __u32 slot_index, struct cgn_internal *internal, bool *ret_is_filtered)
{
	struct cgn_slot *slot = map_slot(slot_index);
	union cgn_slot_word before, after;

	if (!slot)
		return CGN_DROP_NO_MAPPING;
	before.word = cgn_read_once(slot->state.word);
	if (before.state != CGN_SLOT_LIVE)
		return CGN_DROP_NO_MAPPING;
	slot_read(slot, internal);
	cgn_barrier();
	after.word = cgn_read_once(slot->state.word);
	if (after.state != CGN_SLOT_LIVE || after.generation != before.generation)
		return CGN_DROP_NO_MAPPING;
	*ret_is_filtered = filter_is_to_be_asked(settings, after.flags);
	return CGN_NEXT;
}

#endif
