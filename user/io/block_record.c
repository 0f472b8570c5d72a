/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block_record.h"
#include "block_walk.h"
#include "dataplane.h"
#include "store.h"
#include "store_record.h"
#include "store_restore.h"

#define CHECKS		4096	/* owned blocks looked at in one update, whether or not their bit has changed: an operator may move one */
#define ALL_SLICE	4096	/* blocks looked at in one go of writing all */
#define OWN_TRIES	8

struct block_recorder {
	struct dataplane *dp;
	struct store *store;
	const struct cgn_pool *pools;
	const struct cgn_block *blocks;
	uint32_t pool_count, block_count;
	uint64_t (*owned)[CGN_POOL_WORDS];	/* of each address, as recorded */
	uint32_t *prints;			/* of each block, as recorded */
	uint32_t address, number;		/* where the checks go on */
	uint32_t count;				/* owned by subscribers, as recorded */
};

/* What of a block is recorded. */
struct block_state {
	struct cgn_subscriber_key owner;
	uint32_t state, generation, released_s;
};

struct block_recorder *block_recorder_new(struct dataplane *dp, struct store *store)
{
	struct block_recorder *recorder = calloc(1, sizeof(*recorder));

	if (!recorder)
		return NULL;
	recorder->dp = dp;
	recorder->store = store;
	recorder->pools = dataplane_pools(dp, &recorder->pool_count);
	recorder->blocks = dataplane_blocks(dp, &recorder->block_count);
	recorder->owned = calloc(recorder->pool_count + 1, sizeof(*recorder->owned));
	recorder->prints = calloc(recorder->block_count + 1, sizeof(*recorder->prints));
	if (recorder->owned && recorder->prints)
		return recorder;
	block_recorder_free(recorder);
	return NULL;
}

void block_recorder_free(struct block_recorder *recorder)
{
	if (!recorder)
		return;
	free(recorder->owned);
	free(recorder->prints);
	free(recorder);
}

/* ---- one block ---- */

/* False: it is just changing hands. The owner is written before the state says so, and not after. */
static bool block_read(const struct cgn_block *block, struct block_state *ret_state)
{
	struct block_state state = { .state = __atomic_load_n(&block->state, __ATOMIC_ACQUIRE) };

	if (state.state != CGN_BLOCK_LIVE && state.state != CGN_BLOCK_FREE)
		return false;
	state.generation = __atomic_load_n(&block->generation, __ATOMIC_RELAXED);
	state.released_s = __atomic_load_n(&block->released_s, __ATOMIC_RELAXED);
	state.owner = block->owner;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	*ret_state = state;
	return __atomic_load_n(&block->state, __ATOMIC_RELAXED) == state.state &&
	       __atomic_load_n(&block->generation, __ATOMIC_RELAXED) == state.generation;
}

static uint32_t fingerprint(const struct block_state *state)
{
	const uint8_t *bytes = (const uint8_t *)&state->owner;
	uint32_t print = 2166136261u ^ state->generation * 2 ^ (state->state == CGN_BLOCK_LIVE);
	size_t i;

	for (i = 0; i < sizeof(state->owner); i++)
		print = (print ^ bytes[i]) * 16777619u;
	return print;
}

/* The boot clock may have wrapped: a block may have been given back before this boot. */
static uint64_t released_at(const struct block_recorder *recorder, const struct block_state *state)
{
	uint64_t now_s = store_now_s(recorder->store), age_s = (uint32_t)(dataplane_now_s() - state->released_s);

	return now_s > age_s ? now_s - age_s : 1;
}

static int put(struct block_recorder *recorder, const struct cgn_pool *pool, uint32_t number, const struct block_state *state)
{
	struct store_record record = { .kind = STORE_BLOCK, .owner = state->owner, .block_shift = (uint8_t)pool->block_shift };

	if (state->owner.realm == CGN_OPERATOR_REALM)	/* the configuration has them */
		return 0;
	if (state->state != CGN_BLOCK_LIVE)
		record.released_s = released_at(recorder, state);
	memcpy(record.key.internal.addr4, pool->addr4, sizeof(pool->addr4));
	record.key.internal.port = (uint16_t)(pool->first_port + (number << pool->block_shift));
	return store_put(recorder->store, &record);
}

static void note(struct block_recorder *recorder, uint32_t address, uint32_t number, const struct block_state *state)
{
	uint64_t bit = 1ull << (number & 63), *word = &recorder->owned[address][number / 64];
	bool was_owned = *word & bit, is_owned = state->state == CGN_BLOCK_LIVE;

	if (was_owned != is_owned && state->owner.realm != CGN_OPERATOR_REALM)
		recorder->count += is_owned ? 1 : -1u;
	recorder->prints[recorder->pools[address].first_block + number] = fingerprint(state);
	*word = is_owned ? *word | bit : *word & ~bit;
}

static const struct cgn_block *block_at(const struct block_recorder *recorder, uint32_t address, uint32_t number)
{
	uint32_t index = recorder->pools[address].first_block + number;

	return number < recorder->pools[address].block_count && index < recorder->block_count ? &recorder->blocks[index] : NULL;
}

/* Puts a block, if it is not as it was recorded. */
static int look_at(struct block_recorder *recorder, uint32_t address, uint32_t number)
{
	const struct cgn_block *block = block_at(recorder, address, number);
	struct block_state state;
	int failed;

	if (!block || !block_read(block, &state))
		return 0;
	if (recorder->prints[recorder->pools[address].first_block + number] == fingerprint(&state))
		return 0;
	failed = put(recorder, &recorder->pools[address], number, &state);
	if (!failed)
		note(recorder, address, number, &state);
	return failed;
}

/* ---- what has changed ---- */

static int look_at_changed(struct block_recorder *recorder, uint32_t address)
{
	const struct cgn_pool *pool = &recorder->pools[address];
	uint64_t changed;
	int failed = 0;
	uint32_t word;

	for (word = 0; word < CGN_POOL_WORDS && word * 64 < pool->block_count; word++) {
		changed = __atomic_load_n(&pool->taken[word], __ATOMIC_RELAXED) ^ recorder->owned[address][word];
		for (; changed && !failed; changed &= changed - 1)
			failed = look_at(recorder, address, word * 64 + (uint32_t)__builtin_ctzll(changed));
	}
	return failed;
}

/* Some of those that are owned, in turn. */
static int look_at_owned(struct block_recorder *recorder)
{
	uint32_t left = CHECKS, addresses = recorder->pool_count;
	const struct cgn_pool *pool;
	int failed = 0;

	while (left && addresses && !failed) {
		pool = &recorder->pools[recorder->address];
		recorder->number = pool_next_block(pool, recorder->number);
		if (recorder->number < pool->block_count) {
			failed = look_at(recorder, recorder->address, recorder->number++);
			left--;
			continue;
		}
		recorder->number = 0;
		recorder->address = (recorder->address + 1) % recorder->pool_count;
		addresses--;
	}
	return failed;
}

int block_recorder_update(struct block_recorder *recorder)
{
	uint32_t address;
	int failed = 0;

	for (address = 0; address < recorder->pool_count && !failed; address++)
		failed = look_at_changed(recorder, address);
	return failed ? failed : look_at_owned(recorder);
}

void block_recorder_adopt(struct block_recorder *recorder)
{
	const struct cgn_pool *pool;
	struct block_state state;
	uint32_t address, number;

	for (address = 0; address < recorder->pool_count; address++) {
		pool = &recorder->pools[address];
		for (number = pool_next_block(pool, 0); number < pool->block_count; number = pool_next_block(pool, number + 1))
			if (block_at(recorder, address, number) && block_read(block_at(recorder, address, number), &state))
				note(recorder, address, number, &state);
	}
}

/* Nothing is recorded of the operator's. */
static bool is_operators(const struct block_recorder *recorder, uint32_t address, uint32_t number)
{
	const struct cgn_block *block = block_at(recorder, address, number);
	struct block_state state;

	return block && block_read(block, &state) && state.owner.realm == CGN_OPERATOR_REALM &&
	       recorder->prints[recorder->pools[address].first_block + number] == fingerprint(&state);
}

bool block_recorder_is_clear(const struct block_recorder *recorder, uint32_t address)
{
	uint32_t word;
	uint64_t owned;

	for (word = 0; address < recorder->pool_count && word < CGN_POOL_WORDS; word++)
		for (owned = recorder->owned[address][word]; owned; owned &= owned - 1)
			if (!is_operators(recorder, address, word * 64 + (uint32_t)__builtin_ctzll(owned)))
				return false;
	return true;
}

uint32_t block_recorder_count(const struct block_recorder *recorder)
{
	return recorder->count;
}

/* ---- all ---- */

static bool is_resting(const struct block_state *state, uint32_t rest_s)
{
	return state->state == CGN_BLOCK_FREE && state->released_s && dataplane_now_s() - state->released_s < rest_s;
}

int block_recorder_put_all(struct block_recorder *recorder, uint32_t *cursor)
{
	uint32_t end = *cursor + ALL_SLICE, index, number;
	struct cgn_settings settings;
	struct block_state state;
	int failed = 0;

	if (!dataplane_settings(recorder->dp, &settings))
		return -EIO;
	for (index = *cursor; index < end && index < recorder->block_count && !failed; index++) {
		uint32_t address = __atomic_load_n(&recorder->blocks[index].address, __ATOMIC_RELAXED);

		if (!block_read(&recorder->blocks[index], &state) || address >= recorder->pool_count)
			continue;
		number = index - recorder->pools[address].first_block;
		if (number >= recorder->pools[address].block_count)	/* never owned */
			continue;
		if (state.state == CGN_BLOCK_LIVE || is_resting(&state, settings.rest_s))
			failed = put(recorder, &recorder->pools[address], number, &state);
		if (!failed)
			note(recorder, address, number, &state);
	}
	*cursor = index < recorder->block_count ? index : 0;
	return failed;
}

/* ---- after a reboot ---- */

static uint32_t own(struct dataplane *dp, const struct store_block *block, uint64_t now_s)
{
	uint64_t age_s = now_s > block->released_s ? now_s - block->released_s : 0;
	struct cgn_own_request request = { .owner = block->owner, .first_port = block->first_port, .block_shift = block->block_shift,
		.status = CGN_BUSY };
	int tries;

	memcpy(request.addr4, block->external4, sizeof(request.addr4));
	if (block->released_s) {
		if (age_s > INT32_MAX)
			return CGN_NOT_FOUND;	/* it has rested enough */
		request.is_released = 1;
		request.released_s = dataplane_now_s() - (uint32_t)age_s;
	}
	for (tries = 0; tries < OWN_TRIES; tries++)
		if (dataplane_own(dp, &request) || request.status != CGN_BUSY)
			break;
	return request.status;
}

uint32_t block_record_restore(struct dataplane *dp, const struct store *store, const struct store_block *blocks, uint32_t count)
{
	uint64_t now_s = store_now_s(store);
	uint32_t owned = 0, i;

	for (i = 0; i < count; i++)
		if (own(dp, &blocks[i], now_s) == CGN_OK && !blocks[i].released_s)
			owned++;
	return owned;
}
