/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>
#include "block_walk.h"
#include "dataplane.h"
#include "dataplane_pools.h"
#include "event_loop.h"
#include "leaving.h"
#include "log.h"
#include "persistence.h"

#define LOOK_S 1.

struct leaving {
	struct ev_loop *loop;
	struct ev_timer timer;
	struct dataplane *dp;
	struct persistence *persistence;
	bool *gone;			/* of each entry of `pools` */
	bool is_failing;		/* said once */
};

static bool block_has_ports(const struct cgn_block *block, uint32_t words)
{
	unsigned protocol;

	for (protocol = 0; protocol < CGN_PROTOCOLS; protocol++)
		if (block_used(block, words, protocol))
			return true;
	return false;
}

/* The operator's blocks are given back with the address. */
static bool is_empty(const struct cgn_pool *pool, const struct cgn_block *blocks, uint32_t block_count)
{
	uint32_t number, index;

	for (number = pool_next_block(pool, 0); number < pool->block_count; number = pool_next_block(pool, number + 1)) {
		index = pool->first_block + number;
		if (index >= block_count || blocks[index].owner.realm != CGN_OPERATOR_REALM ||
		    block_has_ports(&blocks[index], pool_block_words(pool)))
			return false;
	}
	return true;
}

void leaving_look(struct leaving *leaving)
{
	uint32_t pool_count, block_count, i, count = 0;
	const struct cgn_pool *pools = dataplane_pools(leaving->dp, &pool_count);
	const struct cgn_block *blocks = dataplane_blocks(leaving->dp, &block_count);
	struct dataplane_error error;
	bool is_done;

	for (i = 0; i < pool_count; i++) {
		leaving->gone[i] = pools[i].block_count && pools[i].state == CGN_POOL_LEAVING && is_empty(&pools[i], blocks, block_count) &&
				   persistence_is_clear_of(leaving->persistence, i);
		count += leaving->gone[i];
	}
	if (!count)
		return;
	is_done = dataplane_pools_remove(leaving->dp, leaving->gone, &error);
	if (!is_done && !leaving->is_failing)
		log_error("%s", error.text);
	leaving->is_failing = !is_done;
	for (i = 0; is_done && i < pool_count; i++)
		if (leaving->gone[i])
			log_info("%u.%u.%u.%u is gone: no port of it is in use any more", pools[i].addr4[0], pools[i].addr4[1],
				 pools[i].addr4[2], pools[i].addr4[3]);
}

static void handle_timer(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	leaving_look(timer->data);
}

struct leaving *leaving_new(struct ev_loop *loop, struct dataplane *dp, struct persistence *persistence)
{
	struct leaving *leaving = calloc(1, sizeof(*leaving));
	uint32_t count;

	if (!leaving)
		return NULL;
	leaving->loop = loop;
	leaving->dp = dp;
	leaving->persistence = persistence;
	dataplane_pools(dp, &count);
	leaving->gone = calloc(count + 1, sizeof(*leaving->gone));
	if (!leaving->gone) {
		free(leaving);
		return NULL;
	}
	ev_timer_init(&leaving->timer, handle_timer, LOOK_S, LOOK_S);
	leaving->timer.data = leaving;
	ev_timer_start(loop, &leaving->timer);
	return leaving;
}

void leaving_free(struct leaving *leaving)
{
	if (!leaving)
		return;
	ev_timer_stop(leaving->loop, &leaving->timer);
	free(leaving->gone);
	free(leaving);
}
