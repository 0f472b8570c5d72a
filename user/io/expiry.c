/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <bpf/bpf.h>
#include "block_walk.h"
#include "dataplane.h"
#include "event_loop.h"
#include "expiry.h"
#include "log.h"

#define PASS_S			1.0	/* a pass begins every second, or when the one before is done */
#define SLICE_PAUSE_S		0.002	/* between slices: requests come first */
#define SLICE_S			0.001	/* a slice ends after the block in which it took so long */
#define SUBSCRIBERS_EVERY	15	/* passes */
#define SUBSCRIBERS_SLICE	512

struct expiry {
	struct ev_loop *loop;
	struct ev_timer timer;
	struct dataplane *dp;
	struct expiry_stats stats;
	double began;			/* of this pass */
	bool is_between;		/* the next slice begins a new pass */
	uint32_t address, number, word;	/* where it goes on: external address, its block, bitmap word of that */
	uint32_t pass_used, block_used;
	bool is_walking_subscribers;
	struct cgn_subscriber_key token;	/* where the walk over subscribers goes on */
	bool has_token;
	struct cgn_subscriber_key keys[SUBSCRIBERS_SLICE];
	struct cgn_subscriber subscribers[SUBSCRIBERS_SLICE];
};

static double monotonic_s(void)		/* ev_now() is the wall clock, which may be set */
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void release(struct expiry *expiry, const struct cgn_subscriber_key *owner)
{
	struct cgn_release_request request = { .subscriber = *owner };

	if (dataplane_release(expiry->dp, &request) || request.status != CGN_OK)
		return;
	expiry->stats.blocks_released += request.released;
	expiry->stats.subscribers_removed += request.gone;
}

/* ---- ports ---- */

static void reap(struct expiry *expiry, const uint32_t *slots, uint32_t count)
{
	struct cgn_reap_request reaped;
	int failed = dataplane_reap(expiry->dp, slots, count, &reaped);

	if (failed) {
		log_error("cannot run the reaper: %s", strerror(-failed));
		return;
	}
	expiry->stats.deleted += reaped.deleted;
	expiry->stats.demoted += reaped.demoted;
}

/* What of one block is due. True: the block is done. */
static bool walk_block(struct expiry *expiry, const struct cgn_pool *pool, const struct cgn_block *block)
{
	uint32_t words = pool_block_words(pool), slot_count, slots[CGN_BATCH_MAX];
	const struct cgn_slot *all = dataplane_slots(expiry->dp, &slot_count);
	struct block_due due;

	due = block_find_due(block, words, expiry->word, all, slot_count, dataplane_now_s(), slots, CGN_BATCH_MAX);
	if (due.count)
		reap(expiry, slots, due.count);
	expiry->block_used += due.used;
	expiry->word = due.next;
	return due.next >= CGN_PROTOCOLS * words;
}

/* Operator's blocks stay: their mappings come back with the configuration. */
static void finish_block(struct expiry *expiry, const struct cgn_block *block)
{
	struct cgn_subscriber_key owner = block->owner;

	if (!expiry->block_used && owner.realm != CGN_OPERATOR_REALM)
		release(expiry, &owner);
	expiry->pass_used += expiry->block_used;
	expiry->block_used = 0;
	expiry->word = 0;
	expiry->number++;
}

/* The next slice of the walk over all owned blocks. The first walk after a start is slow, because every page is touched for the
 * first time: counting ports instead of time, requests would wait for it. True: the walk is over. */
static bool walk_ports(struct expiry *expiry)
{
	uint32_t pool_count, block_count;
	const struct cgn_pool *pools = dataplane_pools(expiry->dp, &pool_count);
	const struct cgn_block *blocks = dataplane_blocks(expiry->dp, &block_count);
	double until = monotonic_s() + SLICE_S;

	while (expiry->address < pool_count) {
		const struct cgn_pool *pool = &pools[expiry->address];
		uint32_t number = pool_next_block(pool, expiry->number);

		if (number >= pool->block_count || pool->first_block + number >= block_count) {
			expiry->address++;
			expiry->number = expiry->word = expiry->block_used = 0;
			continue;
		}
		if (number != expiry->number)	/* the one begun is gone */
			expiry->word = expiry->block_used = 0;
		expiry->number = number;
		if (!block_is_live(&blocks[pool->first_block + number]))
			expiry->number++;
		else if (walk_block(expiry, pool, &blocks[pool->first_block + number]))
			finish_block(expiry, &blocks[pool->first_block + number]);
		if (monotonic_s() >= until)
			return false;
	}
	return true;
}

/* ---- subscribers ---- */

static bool has_blocks(const struct cgn_subscriber *subscriber)
{
	uint32_t any = 0;
	int i;

	for (i = 0; i < CGN_SUBSCRIBER_BLOCKS_MAX; i++)
		any |= subscriber->block[i];
	return any;
}

/* Subscribers without blocks are marked idle, and a while later removed. True: the walk is over. */
static bool walk_subscribers(struct expiry *expiry)
{
	struct cgn_subscriber_key next;
	uint32_t count = SUBSCRIBERS_SLICE, i;
	int failed;

	failed = bpf_map_lookup_batch(dataplane_map_fd(expiry->dp, DP_SUBSCRIBERS), expiry->has_token ? &expiry->token : NULL, &next,
				      expiry->keys, expiry->subscribers, &count, NULL);
	if (failed && errno != ENOENT) {
		if (errno != ENOSPC)
			log_error("cannot read subscribers: %s", strerror(errno));
		return true;
	}
	for (i = 0; i < count; i++)
		if (!has_blocks(&expiry->subscribers[i]) && expiry->keys[i].realm != CGN_OPERATOR_REALM)
			release(expiry, &expiry->keys[i]);
	expiry->token = next;
	expiry->has_token = true;
	return failed;
}

/* ---- passes ---- */

static void begin_pass(struct expiry *expiry)
{
	expiry->began = monotonic_s();
	expiry->is_between = false;
	expiry->address = expiry->number = expiry->word = 0;
	expiry->pass_used = expiry->block_used = 0;
	expiry->is_walking_subscribers = false;
	expiry->has_token = false;
}

static void again_after(struct expiry *expiry, double seconds)
{
	ev_timer_set(&expiry->timer, seconds > SLICE_PAUSE_S ? seconds : SLICE_PAUSE_S, 0.);
	ev_timer_start(expiry->loop, &expiry->timer);
}

/* True: the pass is done. */
static bool go_on(struct expiry *expiry)
{
	if (expiry->is_walking_subscribers)
		return walk_subscribers(expiry);
	if (!walk_ports(expiry))
		return false;
	expiry->stats.used = expiry->pass_used;
	expiry->is_walking_subscribers = ++expiry->stats.passes % SUBSCRIBERS_EVERY == 0;
	return !expiry->is_walking_subscribers;
}

static void handle_timer(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct expiry *expiry = timer->data;

	(void)loop;
	(void)events;
	if (expiry->is_between)
		begin_pass(expiry);
	expiry->is_between = go_on(expiry);
	again_after(expiry, expiry->is_between ? expiry->began + PASS_S - monotonic_s() : SLICE_PAUSE_S);
}

struct expiry *expiry_new(struct ev_loop *loop, struct dataplane *dp)
{
	struct expiry *expiry = calloc(1, sizeof(*expiry));

	if (!expiry)
		return NULL;
	expiry->loop = loop;
	expiry->dp = dp;
	ev_timer_init(&expiry->timer, handle_timer, 0., 0.);
	expiry->timer.data = expiry;
	begin_pass(expiry);
	again_after(expiry, SLICE_PAUSE_S);
	return expiry;
}

void expiry_free(struct expiry *expiry)
{
	if (!expiry)
		return;
	ev_timer_stop(expiry->loop, &expiry->timer);
	free(expiry);
}

const struct expiry_stats *expiry_stats(const struct expiry *expiry)
{
	return &expiry->stats;
}
