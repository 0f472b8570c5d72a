/* SPDX-License-Identifier: GPL-2.0-only */
/* PEER (RFC 6887 section 12): a mapping towards one remote peer, as a packet would make it, with a lifetime of its own. Mapping is
 * endpoint-independent: the PEERs of one internal endpoint share a mapping, also with a MAP. */
#ifndef CGN_CONTROL_PEER_BPF_H
#define CGN_CONTROL_PEER_BPF_H
#include "control.bpf.h"

#define PEER_NONE	0xffffffffu
#define PEER_KNOWN	0x100u		/* beside the ordinal: there is a PEER for this remote peer */

/* As it stands in cgn_map_request and in cgn_describe_request. */
struct peer_remote {
	__u8 remote6[16] __attribute__((aligned(4)));
	__u16 remote_port, rest;
};

/* The ordinal of the PEER for a remote peer, or the first one unused of those that are left, or PEER_NONE. */
__noinline int peer_find(struct cgn_internal *internal, struct peer_remote *remote, __u32 peers)
{
	struct cgn_explicit_key key;
	struct cgn_explicit *part;
	__u32 ordinal, unused = PEER_NONE;

	if (!internal || !remote)
		return (int)PEER_NONE;
	explicit_key(&key, internal, CGN_PEER);
	for (ordinal = 0; ordinal < CGN_PEERS_MAX; ordinal++) {
		if (!(peers >> ordinal & 1)) {
			if (unused == PEER_NONE)
				unused = ordinal;
			continue;
		}
		key.ordinal = (__u8)ordinal;
		part = bpf_map_lookup_elem(&explicit, &key);
		if (part && part->remote_port == remote->remote_port && load_u32(part->remote4) == load_u32(remote->remote6 + 12))
			return (int)(ordinal | PEER_KNOWN);
	}
	return (int)unused;
}

/* What stands: external endpoint, and what remains by parts and by traffic. */
__noinline int peer_report(struct cgn_map_request *request)
{
	struct cgn_settings *settings = map_settings();
	struct explicit_sum sum = {};
	struct cgn_mapping seen, *mapping;

	if (!request || !settings)
		return CGN_BUSY;
	mapping = map_mapping(&request->internal);
	if (!mapping || !mapping_copy(mapping, &request->internal, &seen))
		return CGN_BUSY;
	explicit_sum_of(&sum, &request->internal, &seen, 0);
	request->lifetime_s = explicit_remaining_s(settings, &seen, &sum);
	request->external = seen.external;
	return CGN_OK;
}

/* Creates, joins or renews; a lifetime of 0 has no part in this. */
static __always_inline int peer_enter(struct cgn_map_request *request, struct cgn_explicit_key *key, __u32 found)
{
	int status;

	if (found == PEER_NONE)
		return CGN_QUOTA;
	status = found & PEER_KNOWN ? control_renew(request, key) : control_add(request, key);
	return status == CGN_OK ? peer_report(request) : status;
}

static __always_inline int control_peer_request(struct cgn_map_request *request)
{
	struct cgn_explicit_key key;
	struct cgn_explicit *known;
	struct cgn_mapping *mapping;
	__u32 found;
	int status;

	if (!request || request->origin != CGN_PEER || !request->remote_port || request->filter_count)
		return CGN_BAD_REQUEST;
	if (protocol_index(request->internal.protocol) < 0 || !request->internal.port)
		return CGN_BAD_REQUEST;
	status = control_answer_static(request);
	if (status != CGN_NOT_FOUND)
		return status;
	mapping = map_mapping(&request->internal);
	if (!mapping && !request->lifetime_s)
		return CGN_NOT_FOUND;
	found = (__u32)peer_find(&request->internal, (struct peer_remote *)request->remote6, mapping ? mapping->peers : 0);
	explicit_key(&key, &request->internal, CGN_PEER);
	key.ordinal = found & (CGN_PEERS_MAX - 1);
	if (request->lifetime_s)
		return peer_enter(request, &key, found);
	known = found != PEER_NONE && found & PEER_KNOWN ? bpf_map_lookup_elem(&explicit, &key) : NULL;
	if (known && !nonce_permits(known, request, clock_now_s())) {
		request->lifetime_s = remaining_s(known->expires_s, clock_now_s());
		return CGN_NONCE_MISMATCH;
	}
	request->created = 0;
	return peer_report(request);
}

/* Ends the PEER of a request that was granted, but not answered. What the mapping has besides, and its traffic, goes on. */
__noinline int peer_take_back(struct cgn_map_request *request)
{
	struct explicit_sum sum = {};
	struct cgn_mapping seen, *mapping;
	__u32 found;
	int status;

	if (!request)
		return CGN_BAD_REQUEST;
	mapping = map_mapping(&request->internal);
	if (!mapping)
		return CGN_NOT_FOUND;
	if (!mapping_copy(mapping, &request->internal, &seen))
		return CGN_BUSY;
	found = (__u32)peer_find(&request->internal, (struct peer_remote *)request->remote6, seen.peers);
	if (found == PEER_NONE || !(found & PEER_KNOWN))
		return CGN_NOT_FOUND;
	sum.internal = request->internal;
	sum.now_s = clock_now_s();
	sum.peers = seen.peers & ~(1u << (found & (CGN_PEERS_MAX - 1)));
	sum.parts = seen.state.flags & (CGN_MAP | CGN_PEER);
	explicit_add_up(&sum);
	status = explicit_settle(&seen, &sum);
	if (status != CGN_OK)
		return status;
	explicit_forget_ended(&seen, &sum);
	request->external = seen.external;
	request->lifetime_s = sum.remaining_s;
	return CGN_OK;
}

#endif
