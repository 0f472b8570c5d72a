/* SPDX-License-Identifier: GPL-2.0-only */
/* External addresses are taken out of use, or back: no mapping is touched. */
#ifndef CGN_CONTROL_DRAIN_BPF_H
#define CGN_CONTROL_DRAIN_BPF_H
#include "maps.bpf.h"

static long drain_step(__u32 step, struct cgn_drain_request *request)
{
	struct cgn_pool *pool = map_pool(request->first + step);

	if (!pool || step >= request->count)
		return 1;
	if (cgn_read_once(pool->state) != CGN_POOL_LEAVING)
		request->changed += __sync_lock_test_and_set(&pool->state, request->state) != request->state;
	return 0;
}

static __always_inline void drain(struct cgn_drain_request *request)
{
	request->changed = 0;
	if (request->state <= CGN_POOL_DRAINING)
		bpf_loop(CGN_ADDRESSES_MAX, drain_step, request, 0);
}

#endif
