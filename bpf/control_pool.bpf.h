/* SPDX-License-Identifier: GPL-2.0-only */
/* External addresses come and go under traffic. An entry of `pools` counts from the moment that it has blocks; no program finds the
 * address before it stands in `settings`, nor after it was taken out there, which the daemon does around this. */
#ifndef CGN_CONTROL_POOL_BPF_H
#define CGN_CONTROL_POOL_BPF_H
#include "port_block.bpf.h"
#include "control.bpf.h"

struct pool_walk {
	__u32 index;		/* in pools */
	__u32 first_block, block_count, first_port, block_shift;
	__u32 status;
};

/* A block that another address had: who owned it there has no right to it here, and it does not rest. */
static long block_reset_step(__u32 number, struct pool_walk *walk)
{
	struct cgn_block *block;

	if (number >= walk->block_count)
		return 1;
	block = map_block(walk->first_block + number);
	if (!block || cgn_read_once(block->state) != CGN_BLOCK_FREE) {
		walk->status = CGN_BUSY;
		return 1;
	}
	__builtin_memset(&block->owner, 0, sizeof(block->owner));
	block->released_s = 0;
	block->address = walk->index;
	block->first_port = (__u16)(walk->first_port + (number << (walk->block_shift & 15)));
	return 0;
}

static __always_inline int pool_enter(const struct cgn_pool_request *request, struct cgn_pool *pool)
{
	struct pool_walk walk = {};

	if (cgn_read_once(pool->block_count))
		return CGN_BUSY;
	if (request->block_count > CGN_BLOCKS_PER_ADDRESS || request->block_shift < 6 || request->block_shift > 10)
		return CGN_BAD_REQUEST;
	walk.index = request->index;
	walk.first_block = request->first_block;
	walk.block_count = request->block_count;
	walk.first_port = request->first_port;
	walk.block_shift = request->block_shift;
	bpf_loop(CGN_BLOCKS_PER_ADDRESS, block_reset_step, &walk, 0);
	if (walk.status != CGN_OK)
		return (int)walk.status;
	store_u32(pool->addr4, load_u32(request->addr4));
	pool->first_block = request->first_block;
	pool->first_port = (__u16)request->first_port;
	pool->block_shift = (__u16)request->block_shift;
	pool->each = request->each;
	pool->planned = request->planned;
	pool->pool = request->pool;
	pool->state = request->state;
	cgn_barrier();
	__sync_lock_test_and_set(&pool->block_count, request->block_count);
	return CGN_OK;
}

/* Static mappings leave with the configuration that has the address no more; their blocks have no list that they would stand in. */
static long operator_block_step(__u32 number, struct pool_walk *walk)
{
	struct cgn_pool *pool = map_pool(walk->index);
	struct cgn_block *block;

	if (!pool || number >= pool->block_count)
		return 1;
	if (!(cgn_read_once(pool->taken[(number >> 6) & (CGN_POOL_WORDS - 1)]) & 1ull << (number & 63)))
		return 0;
	block = map_block(pool->first_block + number);
	if (!block || block->owner.realm != CGN_OPERATOR_REALM || !block_is_empty(block) ||
	    __sync_val_compare_and_swap(&block->state, CGN_BLOCK_LIVE, CGN_BLOCK_RELEASING) != CGN_BLOCK_LIVE)
		return 1;	/* in use: so is the address */
	if (!block_is_empty(block)) {
		__sync_val_compare_and_swap(&block->state, CGN_BLOCK_RELEASING, CGN_BLOCK_LIVE);
		return 1;
	}
	block_free(block, pool->first_block + number, pool, clock_now_s());
	return 0;
}

static long pool_taken_step(__u32 word, struct pool_walk *walk)
{
	struct cgn_pool *pool = map_pool(walk->index);

	if (!pool || word >= CGN_POOL_WORDS)
		return 1;
	if (cgn_read_once(pool->taken[word & (CGN_POOL_WORDS - 1)]))
		walk->status = CGN_BUSY;
	return 0;
}

/* No packet and no request for any address has claimed a block here for a while, as it is leaving; a claim that began before shows in
 * `taken` when every program that ran then has ended. The daemon has waited for that. */
static __always_inline int pool_remove(__u32 index, struct cgn_pool *pool)
{
	struct pool_walk walk = { .index = index };

	if (cgn_read_once(pool->state) != CGN_POOL_LEAVING)
		return CGN_BUSY;
	bpf_loop(CGN_BLOCKS_PER_ADDRESS, operator_block_step, &walk, 0);
	bpf_loop(CGN_POOL_WORDS, pool_taken_step, &walk, 0);
	if (walk.status == CGN_OK)
		__sync_lock_test_and_set(&pool->block_count, 0);
	return (int)walk.status;
}

__noinline int pool_change(struct cgn_pool_request *request)
{
	struct cgn_pool *pool;

	if (!request)
		return CGN_BAD_REQUEST;
	pool = map_pool(request->index);
	if (!pool)
		return CGN_BAD_REQUEST;
	if (request->action == CGN_POOL_ENTER)
		return pool_enter(request, pool);
	if (request->action == CGN_POOL_REMOVE)
		return pool_remove(request->index, pool);
	if (request->action != CGN_POOL_STATE || !cgn_read_once(pool->block_count))
		return CGN_BAD_REQUEST;
	pool->pool = request->pool;
	pool->each = request->each;
	pool->planned = request->planned;
	__sync_lock_test_and_set(&pool->state, request->state);
	return CGN_OK;
}

#endif
