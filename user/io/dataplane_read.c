/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading the tables: shared memory where there is some, one element at a time else. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include "cgn/slot.h"
#include "dataplane_internal.h"

int dataplane_map_fd(const struct dataplane *dp, enum dataplane_map map)
{
	return dp->map[map];
}

const struct cgn_slot *dataplane_slots(const struct dataplane *dp, uint32_t *ret_count)
{
	*ret_count = dp->slot_count;
	return dp->slots;
}

const struct cgn_block *dataplane_blocks(const struct dataplane *dp, uint32_t *ret_count)
{
	*ret_count = dp->block_count;
	return dp->blocks;
}

const struct cgn_pool *dataplane_pools(const struct dataplane *dp, uint32_t *ret_count)
{
	*ret_count = dp->pool_count;
	return dp->pools;
}

bool dataplane_settings(const struct dataplane *dp, struct cgn_settings *ret_settings)
{
	uint32_t zero = 0;

	return !bpf_map_lookup_elem(dp->map[DP_SETTINGS], &zero, ret_settings);
}

bool dataplane_meta(const struct dataplane *dp, struct cgn_meta *ret_meta)
{
	uint32_t zero = 0;

	return !bpf_map_lookup_elem(dp->map[DP_META], &zero, ret_meta);
}

bool dataplane_find_mapping(const struct dataplane *dp, const struct cgn_internal *internal, struct cgn_mapping *ret_mapping)
{
	return !bpf_map_lookup_elem(dp->map[DP_MAPPINGS], internal, ret_mapping);
}

bool dataplane_find_explicit(const struct dataplane *dp, const struct cgn_explicit_key *key, struct cgn_explicit *ret_explicit)
{
	return !bpf_map_lookup_elem(dp->map[DP_EXPLICIT], key, ret_explicit);
}

bool dataplane_find_filters(const struct dataplane *dp, const struct cgn_internal *internal, struct cgn_filters *ret_filters)
{
	return !bpf_map_lookup_elem(dp->map[DP_FILTERS], internal, ret_filters);
}

bool dataplane_find_description(const struct dataplane *dp, const struct cgn_explicit_key *key, struct cgn_description *ret_description)
{
	return !bpf_map_lookup_elem(dp->map[DP_DESCRIPTIONS], key, ret_description);
}

bool dataplane_find_subscriber(const struct dataplane *dp, const struct cgn_subscriber_key *key, struct cgn_subscriber *ret_subscriber)
{
	return !bpf_map_lookup_elem(dp->map[DP_SUBSCRIBERS], key, ret_subscriber);
}

int dataplane_walk_explicit(const struct dataplane *dp, uint64_t *cursor, struct cgn_explicit_key *ret_keys,
			    struct cgn_explicit *ret_values, uint32_t max)
{
	uint32_t bucket = (uint32_t)*cursor, next = 0, count = max;	/* *cursor is the kernel's number plus a bit that it stands there */
	int failed;

	failed = bpf_map_lookup_batch(dp->map[DP_EXPLICIT], *cursor ? &bucket : NULL, &next, ret_keys, ret_values, &count, NULL) ? -errno : 0;
	if (failed && failed != -ENOENT)
		return failed;
	*cursor = failed ? 0 : (uint64_t)1 << 32 | next;
	return (int)count;
}

bool dataplane_read_slot(const struct dataplane *dp, uint32_t slot, struct dataplane_slot *ret_slot)
{
	const struct cgn_slot *live;
	union cgn_slot_word before, after;

	if (slot >= dp->slot_count)
		return false;
	live = (const struct cgn_slot *)dp->slots + slot;
	before.word = __atomic_load_n(&live->state.word, __ATOMIC_ACQUIRE);
	if (before.state != CGN_SLOT_LIVE)
		return false;
	slot_read(live, &ret_slot->internal);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	after.word = __atomic_load_n(&live->state.word, __ATOMIC_RELAXED);
	ret_slot->state = after;
	return after.state == CGN_SLOT_LIVE && after.generation == before.generation;
}

bool dataplane_read_stats(const struct dataplane *dp, struct cgn_count ret_counts[CGN_VERDICT_COUNT])
{
	struct cgn_count *per_cpu = calloc(dp->cpus, sizeof(*per_cpu));
	uint32_t verdict, cpu;
	bool done = per_cpu;

	for (verdict = 0; done && verdict < CGN_VERDICT_COUNT; verdict++) {
		memset(&ret_counts[verdict], 0, sizeof(ret_counts[verdict]));
		done = !bpf_map_lookup_elem(dp->map[DP_STATS], &verdict, per_cpu);
		for (cpu = 0; done && cpu < dp->cpus; cpu++) {
			ret_counts[verdict].packets += per_cpu[cpu].packets;
			ret_counts[verdict].bytes += per_cpu[cpu].bytes;
		}
	}
	free(per_cpu);
	return done;
}

#define VERDICT_NAME(symbol, name, text) [symbol] = { name, text },
static const struct { const char *name, *text; } verdicts[CGN_VERDICT_COUNT] = { CGN_VERDICTS(VERDICT_NAME) };

const char *cgn_verdict_name(enum cgn_verdict verdict)
{
	return (unsigned)verdict < CGN_VERDICT_COUNT ? verdicts[verdict].name : "unknown";
}

const char *cgn_verdict_text(enum cgn_verdict verdict)
{
	return (unsigned)verdict < CGN_VERDICT_COUNT ? verdicts[verdict].text : "unknown";
}

uint64_t dataplane_events_lost(const struct dataplane *dp)
{
	uint64_t lost, all = 0;
	uint32_t type;

	for (type = 0; type < CGN_EVENT_TYPES; type++)
		if (!bpf_map_lookup_elem(dp->map[DP_EVENTS_LOST], &type, &lost))
			all += lost;
	return all;
}
