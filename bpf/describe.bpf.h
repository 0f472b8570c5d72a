/* SPDX-License-Identifier: GPL-2.0-only */
/* What the daemon may ask beside mappings: a description's text, a subscriber's external address. */
#ifndef CGN_DESCRIBE_BPF_H
#define CGN_DESCRIBE_BPF_H
#include "port_block.bpf.h"

/* The text of an explicit mapping that is there, replaced as a whole (RFC 7220). It goes with its mapping: explicit_forget(). */
__noinline int describe(struct cgn_describe_request *request)
{
	struct cgn_explicit_key key;
	struct cgn_explicit *part;

	if (!request)
		return CGN_BAD_REQUEST;
	key = request->key;
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
