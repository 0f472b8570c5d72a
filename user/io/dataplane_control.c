/* SPDX-License-Identifier: GPL-2.0-only */
/* The control programs: the only way by which userspace changes a live mapping. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "dataplane_internal.h"

static int run(const struct dataplane *dp, enum dataplane_program program, void *request, uint32_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = request, .ctx_size_in = size);	/* comes back in the same memory */

	return bpf_prog_test_run_opts(dp->program[program], &options) ? -errno : 0;
}

/* One that no other thread has: there are more than threads, and each has it for a run only. */
static uint32_t region_take(struct dataplane *dp)
{
	uint32_t taken = __atomic_load_n(&dp->regions, __ATOMIC_RELAXED), bit;

	for (;;) {
		bit = ~taken & (taken + 1);	/* the lowest that is free */
		if (bit >> CGN_REGIONS_MAX) {
			sched_yield();
			taken = __atomic_load_n(&dp->regions, __ATOMIC_RELAXED);
		} else if (__atomic_compare_exchange_n(&dp->regions, &taken, taken | bit, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			return (uint32_t)__builtin_ctz(bit);
		}
	}
}

static void region_give(struct dataplane *dp, uint32_t region)
{
	__atomic_fetch_and(&dp->regions, ~(1u << region), __ATOMIC_RELEASE);
}

void dataplane_map_many(void *dataplane, struct cgn_map_request *requests, int *ret_failed, size_t count)
{
	struct dataplane *dp = dataplane;
	uint32_t region = region_take(dp), i;
	struct cgn_many_request many = { .first = region * CGN_REQUESTS_MAX };
	struct cgn_map_request *shared = &dp->requests[many.first];
	size_t at;
	int failed;

	for (at = 0; at < count; at += many.count) {
		many.count = count - at < CGN_REQUESTS_MAX ? (uint32_t)(count - at) : CGN_REQUESTS_MAX;
		memcpy(shared, &requests[at], many.count * sizeof(*shared));
		failed = run(dp, DP_CONTROL_MAP, &many, sizeof(many));
		memcpy(&requests[at], shared, many.count * sizeof(*shared));
		for (i = 0; i < many.count; i++)
			ret_failed[at + i] = failed;
	}
	region_give(dp, region);
}

int dataplane_map(void *dp, struct cgn_map_request *request)
{
	int failed;

	dataplane_map_many(dp, request, &failed, 1);
	return failed;
}

static int stage_filters(const struct dataplane *dp, const struct cgn_map_request *request, const struct cgn_filter *filters)
{
	struct cgn_filters batch = { .count = request->filter_count };
	uint32_t zero = 0;

	if (!batch.count)
		return 0;
	if (batch.count > CGN_FILTERS_MAX)
		return -E2BIG;
	memcpy(batch.filter, filters, batch.count * sizeof(*filters));
	return bpf_map_update_elem(dp->map[DP_FILTER_BATCH], &zero, &batch, 0) ? -errno : 0;
}

int dataplane_map_filtered(void *dp, struct cgn_map_request *request, const struct cgn_filter *filters)
{
	int failed = stage_filters(dp, request, filters);

	return failed ? failed : dataplane_map(dp, request);
}

int dataplane_set(void *dp, struct cgn_map_request *request, const struct cgn_filter *filters)
{
	int failed = stage_filters(dp, request, filters);

	return failed ? failed : run(dp, DP_CONTROL_SET, request, sizeof(*request));
}

int dataplane_peer(void *dp, struct cgn_map_request *request)
{
	return run(dp, DP_CONTROL_PEER, request, sizeof(*request));
}

int dataplane_delete(void *dp, struct cgn_map_request *request)
{
	return run(dp, DP_CONTROL_DELETE, request, sizeof(*request));
}

bool dataplane_reroute(struct dataplane *dp)
{
	struct cgn_clock_request request = {};

	return !run(dp, DP_CONTROL_REROUTE, &request, sizeof(request));
}

bool dataplane_uses_interface(const struct dataplane *dp, uint32_t ifindex)
{
	struct cgn_interface entry;

	return !bpf_map_lookup_elem(dp->map[DP_INTERFACES], &ifindex, &entry);
}

int dataplane_describe(void *dp, struct cgn_describe_request *request)
{
	return run(dp, DP_CONTROL_DESCRIBE, request, sizeof(*request));
}

int dataplane_pair(void *dp, struct cgn_pair_request *request)
{
	return run(dp, DP_CONTROL_PAIR, request, sizeof(*request));
}

int dataplane_own(struct dataplane *dp, struct cgn_own_request *request)
{
	return run(dp, DP_CONTROL_OWN, request, sizeof(*request));
}

int dataplane_drain(struct dataplane *dp, struct cgn_drain_request *request)
{
	return run(dp, DP_CONTROL_DRAIN, request, sizeof(*request));
}

/* Array elements stand 8 bytes apart, whatever their size. */
static uint32_t *batch_slot(struct dataplane *dp, uint32_t index)
{
	return (uint32_t *)((uint8_t *)dp->batch + (size_t)index * 8);
}

int dataplane_reap(struct dataplane *dp, const uint32_t *slots, uint32_t count, struct cgn_reap_request *ret_request)
{
	uint32_t i;

	if (count > CGN_BATCH_MAX)
		return -E2BIG;
	for (i = 0; i < count; i++)
		*batch_slot(dp, i) = slots[i];
	memset(ret_request, 0, sizeof(*ret_request));
	ret_request->count = count;
	return run(dp, DP_CONTROL_REAP, ret_request, sizeof(*ret_request));
}

int dataplane_clear(struct dataplane *dp, const uint32_t *slots, uint32_t count, struct cgn_clear_request *request)
{
	uint32_t i;

	if (count > CGN_BATCH_MAX)
		return -E2BIG;
	for (i = 0; i < count; i++)
		*batch_slot(dp, i) = slots[i];
	request->count = count;
	return run(dp, DP_CONTROL_CLEAR, request, sizeof(*request));
}

int dataplane_move(struct dataplane *dp, struct cgn_move_request *request)
{
	return run(dp, DP_CONTROL_MOVE, request, sizeof(*request));
}

int dataplane_pool(struct dataplane *dp, struct cgn_pool_request *request)
{
	return run(dp, DP_CONTROL_POOL, request, sizeof(*request));
}

int dataplane_release(struct dataplane *dp, struct cgn_release_request *request)
{
	return run(dp, DP_CONTROL_RELEASE, request, sizeof(*request));
}

static int compare_slots(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int dataplane_list(struct dataplane *dp, const struct cgn_subscriber_key *subscriber, uint32_t origins, uint32_t **ret_slots)
{
	struct cgn_list_request request = { .subscriber = *subscriber, .origins = origins };
	uint32_t *slots = NULL, *grown, i;
	int count = 0, failed;

	do {
		failed = run(dp, DP_CONTROL_LIST, &request, sizeof(request));
		if (failed)
			break;
		grown = realloc(slots, ((size_t)count + request.count + 1) * sizeof(*slots));
		if (!grown) {
			failed = -ENOMEM;
			break;
		}
		slots = grown;
		for (i = 0; i < request.count; i++)
			slots[count++] = *batch_slot(dp, i);
	} while (request.next);
	if (failed) {
		free(slots);
		return failed;
	}
	qsort(slots, (size_t)count, sizeof(*slots), compare_slots);
	*ret_slots = slots;
	return count;
}

/* ---- what the PCP server asks ---- */

static bool find(void *dp, const struct cgn_internal *internal, struct cgn_mapping *ret_mapping)
{
	return dataplane_find_mapping(dp, internal, ret_mapping);
}

static int list_internals(void *dp, const struct cgn_subscriber_key *subscriber, uint32_t origins, struct cgn_internal **ret_internals)
{
	struct cgn_internal *internals;
	struct dataplane_slot slot;
	uint32_t *slots = NULL;
	int count = dataplane_list(dp, subscriber, origins, &slots), live = 0, i;

	if (count < 0)
		return count;
	internals = calloc((size_t)count + 1, sizeof(*internals));
	for (i = 0; internals && i < count; i++)
		if (dataplane_read_slot(dp, slots[i], &slot))
			internals[live++] = slot.internal;
	free(slots);
	if (!internals)
		return -ENOMEM;
	*ret_internals = internals;
	return live;
}

const struct dataplane_ops dataplane_bpf_ops = {
	.map = dataplane_map, .map_many = dataplane_map_many, .map_filtered = dataplane_map_filtered, .set = dataplane_set, .peer = dataplane_peer, .delete = dataplane_delete, .describe = dataplane_describe, .pair = dataplane_pair,
	.find = find, .list_internals = list_internals, .list = dataplane_list_explicit, .details = dataplane_explicit_details,
	.description = dataplane_listed_description, .filters = dataplane_listed_filters,
};
