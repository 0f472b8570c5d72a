/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>
#include <string.h>
#include "mix.h"
#include "rate_limit.h"

#define SETS	8192
#define WAYS	8	/* sources that share a set */
#define TOKEN	1000u	/* thousandths of a request: one second's gain of 1/s is counted by the millisecond */

struct bucket {
	uint8_t source6[16];
	uint64_t seen_ms;
	uint64_t tokens;	/* at seen_ms, in thousandths */
};

struct rate_limit {
	uint64_t seed;
	struct bucket bucket[SETS][WAYS];	/* source6 zero: unused */
};

struct rate_limit *rate_limit_new(uint64_t seed)
{
	struct rate_limit *limit = calloc(1, sizeof(*limit));

	if (limit)
		limit->seed = seed;
	return limit;
}

void rate_limit_free(struct rate_limit *limit)
{
	free(limit);
}

static unsigned set_of(const struct rate_limit *limit, const uint8_t source6[16])
{
	return (unsigned)(mix_address(limit->seed, source6) % SETS);
}

static uint64_t tokens_at(const struct bucket *bucket, uint64_t now_ms, uint32_t per_second, uint32_t burst)
{
	uint64_t full = (uint64_t)burst * TOKEN, gained = (now_ms - bucket->seen_ms) * per_second;

	if ((now_ms - bucket->seen_ms) > full / per_second + 1)	/* before the product can overflow */
		return full;
	return bucket->tokens + gained < full ? bucket->tokens + gained : full;
}

/* The source's own bucket, or the one that is nearest to full in its place: an unused one is as good as full. */
static struct bucket *bucket_for(struct rate_limit *limit, const uint8_t source6[16], uint64_t now_ms, uint32_t per_second, uint32_t burst)
{
	static const uint8_t unused[16];
	struct bucket *set = limit->bucket[set_of(limit, source6)], *best = NULL;
	uint64_t most = 0, tokens;
	unsigned i;

	for (i = 0; i < WAYS; i++) {
		if (!memcmp(set[i].source6, source6, 16))
			return &set[i];
		tokens = memcmp(set[i].source6, unused, 16) ? tokens_at(&set[i], now_ms, per_second, burst) : UINT64_MAX;
		if (!best || tokens > most) {
			best = &set[i];
			most = tokens;
		}
	}
	memcpy(best->source6, source6, 16);
	best->seen_ms = now_ms;
	best->tokens = (uint64_t)burst * TOKEN;
	return best;
}

bool rate_limit_take(struct rate_limit *limit, const uint8_t source6[16], uint64_t now_ms, uint32_t per_second, uint32_t burst)
{
	struct bucket *bucket;

	if (!per_second)
		return true;
	bucket = bucket_for(limit, source6, now_ms, per_second, burst);
	bucket->tokens = tokens_at(bucket, now_ms, per_second, burst);
	bucket->seen_ms = now_ms;
	if (bucket->tokens < TOKEN)
		return false;
	bucket->tokens -= TOKEN;
	return true;
}
