/* SPDX-License-Identifier: GPL-2.0-only */
/* What the daemon may ask beside mappings: a description's text, a subscriber's external address. */
#ifndef CGN_DESCRIBE_BPF_H
#define CGN_DESCRIBE_BPF_H
#include "control_peer.bpf.h"
#include "port_block.bpf.h"

/* Its ordinal, into the key. False: there is no such PEER. */
static __always_inline bool described_peer(struct cgn_describe_request *request, struct cgn_explicit_key *key)
{
	const struct cgn_mapping *mapping = map_mapping(&key->internal);
	__u32 found;

	if (!mapping)
		return false;
	found = (__u32)peer_find(&request->key.internal, (struct peer_remote *)request->remote6, mapping->peers);
	key->ordinal = found & (CGN_PEERS_MAX - 1);
	return found != PEER_NONE && found & PEER_KNOWN;
}

/* The text of an explicit mapping that is there, replaced as a whole (RFC 7220). It goes with its mapping: explicit_forget(). */
__noinline int describe(struct cgn_describe_request *request)
{
	struct cgn_explicit_key key;
	struct cgn_explicit *part;

	if (!request)
		return CGN_BAD_REQUEST;
	key = request->key;
	if (key.opcode == CGN_PEER && !described_peer(request, &key))
		return CGN_NOT_FOUND;
	part = bpf_map_lookup_elem(&explicit, &key);
	if (!part)
		return CGN_NOT_FOUND;
	if (!request->description.length) {
		bpf_map_delete_elem(&descriptions, &key);
		part->described = 0;
		return CGN_OK;
	}
	if (bpf_map_update_elem(&descriptions, &key, &request->description, BPF_ANY))
		return CGN_TABLE_FULL;
	part->described = 1;
	return CGN_OK;
}

/* The address that the subscriber's mappings have, or will have: with a block of it, so that the first one finds a port there. */
__noinline int pair(struct cgn_pair_request *request)
{
	struct cgn_subscriber *subscriber;
	struct cgn_subscriber_key key;
	struct cgn_pool *pool;
	int status;

	if (!request)
		return CGN_BAD_REQUEST;
	key = request->subscriber;
	status = subscriber_apply_rule(&key);
	if (status != CGN_OK)
		return status;
	subscriber = subscriber_get(&key, &status);
	if (!subscriber)
		return status;
	if (!subscriber_has_blocks(subscriber) || address_is_draining(cgn_read_once(subscriber->address) - 1u)) {
		status = subscriber_add_block(&key, 0);
		if (status != CGN_OK)
			return status;
	}
	pool = map_pool(cgn_read_once(subscriber->address) - 1);
	if (!pool)
		return CGN_BUSY;
	store_u32(request->addr4, load_u32(pool->addr4));
	return CGN_OK;
}

#endif
