/* SPDX-License-Identifier: GPL-2.0-only */
/* A histogram of times with a resolution of 6 %, whatever their size. */
#ifndef LATENCY_H
#define LATENCY_H
#include <stdint.h>

#define LATENCY_STEP_BITS 4	/* 16 steps between a power of two and the next */
#define LATENCY_BUCKETS (64 << LATENCY_STEP_BITS)

struct latency {
	uint64_t count;
	uint32_t bucket[LATENCY_BUCKETS];
};

void latency_add(struct latency *latency, uint64_t ns);
void latency_merge(struct latency *latency, const struct latency *other);
/* What this share of all (0.5: the median) does not exceed, in ns. 0 if there are none. */
uint64_t latency_quantile(const struct latency *latency, double share);

#endif
