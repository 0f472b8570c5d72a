/* SPDX-License-Identifier: GPL-2.0-only */
#include "latency.h"

#define STEPS (1u << LATENCY_STEP_BITS)

static uint32_t bucket_of(uint64_t ns)
{
	uint32_t exponent;

	if (ns < STEPS)
		return (uint32_t)ns;
	exponent = 63 - (uint32_t)__builtin_clzll(ns);
	return (exponent - LATENCY_STEP_BITS + 1) * STEPS + (uint32_t)(ns >> (exponent - LATENCY_STEP_BITS) & (STEPS - 1));
}

/* The greatest time in a bucket. */
static uint64_t bucket_end(uint32_t bucket)
{
	uint32_t shift;

	if (bucket < STEPS)
		return bucket;
	shift = bucket / STEPS - 1;
	return ((uint64_t)(STEPS + bucket % STEPS + 1) << shift) - 1;
}

void latency_add(struct latency *latency, uint64_t ns)
{
	latency->count++;
	latency->bucket[bucket_of(ns)]++;
}

void latency_merge(struct latency *latency, const struct latency *other)
{
	uint32_t i;

	latency->count += other->count;
	for (i = 0; i < LATENCY_BUCKETS; i++)
		latency->bucket[i] += other->bucket[i];
}

uint64_t latency_quantile(const struct latency *latency, double share)
{
	uint64_t wanted = (uint64_t)((double)latency->count * share), seen = 0;
	uint32_t i;

	if (!latency->count)
		return 0;
	for (i = 0; i < LATENCY_BUCKETS - 1; i++) {
		seen += latency->bucket[i];
		if (seen && seen >= wanted)
			break;
	}
	return bucket_end(i);
}
