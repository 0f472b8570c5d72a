/* SPDX-License-Identifier: GPL-2.0-only */
/* Port blocks after a reboot: whose they were when it went down they are again, with the same external address, and those that rested
 * rest on (RFC 6888 REQ-8): no subscriber gets a port on which another's remote peers may still send. */
#ifndef CGN_CONTROL_OWN_BPF_H
#define CGN_CONTROL_OWN_BPF_H
#include "port_block.bpf.h"

/* Unowned, as if given back by `owner` at that time. What somebody has by now is not touched. */
static __always_inline int own_rest(const struct block_search *search, struct cgn_pool *pool, __u32 number, struct cgn_block *block,
				    __u32 released_s)
{
	if (cgn_read_once(pool->taken[(number >> 6) & (CGN_POOL_WORDS - 1)]) & 1ull << (number & 63))
		return CGN_CANNOT_PROVIDE;
	block->owner = search->owner;
	block->address = search->address;
	block->first_port = (__u16)(pool->first_port + (number << (pool->block_shift & 15)));
	block->released_s = released_s ? released_s : 1;
	return CGN_OK;
}

/* What explicit mappings brought back counts first: their subscriber's address, and their blocks. */
__noinline int own(struct cgn_own_request *request)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_subscriber *subscriber = NULL;
	struct block_search search = {};
	struct cgn_block *block;
	struct cgn_pool *pool;
	__u32 number;
	int address, status;

	if (!request || !settings || !settings->address_count)
		return CGN_BAD_REQUEST;
	address = address_index(settings, bpf_ntohl(load_u32(request->addr4)));
	pool = address < 0 ? NULL : map_pool((__u32)address);
	if (!pool || request->first_port < pool->first_port || request->block_shift != pool->block_shift)
		return CGN_NOT_FOUND;
	number = (request->first_port - pool->first_port) >> (pool->block_shift & 15);
	if (number >= pool->block_count || pool->first_port + (number << (pool->block_shift & 15)) != request->first_port)
		return CGN_NOT_FOUND;
	block = map_block(pool->first_block + number);
	if (!block)
		return CGN_NOT_FOUND;
	search.owner = request->owner;
	search.address = (__u32)address;
	search.now_s = clock_now_s();
	if (request->is_released)
		return own_rest(&search, pool, number, block, request->released_s);
	if (!block_is_allowed(&search.owner, search.address, number))
		return CGN_NOT_FOUND;
	if (cgn_read_once(block->state) == CGN_BLOCK_LIVE && subscriber_is_same(&block->owner, &search.owner))
		return CGN_OK;
	if (pool->state == CGN_POOL_ACTIVE && subscriber_apply_rule(&search.owner) == CGN_OK)
		subscriber = subscriber_get(&search.owner, &status);
	if (!subscriber || !subscriber_may_have_block(subscriber, subscriber->blocks_limit) || (subscriber->address && subscriber->address != (__u32)address + 1))
		return own_rest(&search, pool, number, block, search.now_s);
	if (!block_claim(&search, pool, number))
		return CGN_CANNOT_PROVIDE;
	return block_enter(&search.owner, search.found, subscriber->blocks_limit, false);
}

#endif
