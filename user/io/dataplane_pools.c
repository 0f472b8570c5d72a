/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <bpf/bpf.h>
#include "block_walk.h"
#include "config.h"
#include "config_address.h"
#include "dataplane_internal.h"
#include "dataplane_pools.h"
#include "deterministic.h"
#include "pool_plan.h"

#define PROGRAMS_END_US 100000	/* where the kernel does not say when they have: no program runs for so long */

void dataplane_wait_for_programs(void)
{
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(PROGRAMS_END_US);
}

/* Packets meet the addresses before or those after, never half of both: those that do not count are written, then the word that says
 * which do. */
bool dataplane_publish_pools(struct dataplane *dp, const struct config *config, const bool *without, struct dataplane_error *error)
{
	struct cgn_settings settings;
	struct cgn_ranges ranges;
	uint32_t zero = 0, end = pool_end(dp->pools, dp->pool_count);

	if (!dataplane_settings(dp, &settings))
		return dataplane_fail(error, DATAPLANE_KERNEL, "settings: cannot read: %s", strerror(errno));
	if (!pool_ranges(dp->pools, dp->pool_count, without, &ranges))
		return dataplane_fail(error, DATAPLANE_STATE, "pools: more than %u separate runs of addresses", CGN_RANGES_MAX);
	memcpy(ranges.plan, settings.ranges[settings.ranges_now & 1].plan, sizeof(ranges.plan));
	ranges.plan_count = settings.ranges[settings.ranges_now & 1].plan_count;
	if (config && !deterministic_plans(config, dp->pools, dp->pool_count, &ranges))
		return dataplane_fail(error, DATAPLANE_CONFIG,
				      "pools: computed ports make more than %u runs of subscribers and of addresses as they stand in the tables; longer prefixes make fewer",
				      CGN_PLANS_MAX);
	if (settings.address_count == end && !memcmp(&settings.ranges[settings.ranges_now & 1], &ranges, sizeof(ranges)))
		return true;
	settings.ranges[(settings.ranges_now & 1) ^ 1] = ranges;
	dataplane_wait_for_programs();	/* of the time when those counted */
	if (!bpf_map_update_elem(dp->map[DP_SETTINGS], &zero, &settings, 0)) {
		settings.ranges_now = (settings.ranges_now & 1) ^ 1;
		settings.address_count = end;
		if (!bpf_map_update_elem(dp->map[DP_SETTINGS], &zero, &settings, 0)) {
			dataplane_wait_for_programs();
			return true;
		}
	}
	return dataplane_fail(error, DATAPLANE_KERNEL, "settings: cannot write: %s", strerror(errno));
}

void dataplane_count_pools(const struct config *config, struct cgn_meta *meta)
{
	unsigned i;

	meta->address_count = config_address_count(config);
	meta->block_count = 0;
	for (i = 0; i < config->pools_count; i++)
		meta->block_count += config_pool_addresses(&config->pools[i]) * config_pool_blocks(&config->pools[i]);
}

static bool change(struct dataplane *dp, const struct cgn_pool *entry, struct cgn_pool_request request, struct dataplane_error *error)
{
	int failed;

	memcpy(request.addr4, entry->addr4, sizeof(request.addr4));
	request.first_block = entry->first_block;
	request.block_count = entry->block_count;
	request.first_port = entry->first_port;
	request.block_shift = entry->block_shift;
	request.each = entry->each;
	request.planned = entry->planned;
	failed = dataplane_pool(dp, &request);
	if (!failed && request.status == CGN_OK)
		return true;
	return dataplane_fail(error, failed ? DATAPLANE_KERNEL : DATAPLANE_STATE, "pools: %u.%u.%u.%u cannot be entered or changed: %s",
			      entry->addr4[0], entry->addr4[1], entry->addr4[2], entry->addr4[3],
			      failed ? strerror(-failed) : "its place in the tables is in use");
}

/* May a block in use stay whose it is? What was computed for another must be his from the first packet on. */
static bool check_block(const struct config *config, const struct cgn_pool *pool, uint32_t number, const struct cgn_block *block,
			struct dataplane_error *error)
{
	uint16_t port = (uint16_t)(pool->first_port + (number << (pool->block_shift & 15)));
	uint32_t owner = address_from_bytes(block->owner.addr4), address = address_from_bytes(pool->addr4);
	struct computed_place place, his;
	bool is_computed = deterministic_owner(config, address, port, &place), has_place = deterministic_find(config, owner, &his);
	bool is_operators = block->owner.realm == CGN_OPERATOR_REALM;

	if (is_operators ? number >= pool->planned : number < pool->planned ? is_computed && place.internal4 == owner :
	    has_place ? his.external4 == address : !pool->planned)
		return true;
	return dataplane_fail(error, DATAPLANE_STATE,
			      "pools[%u]: computed ports cannot begin: the block from %s:%u on is in use by %s%s; `xcgnctl clear` ends what is in it, and `xcgnctl pool drain` before keeps others from coming",
			      pool->pool, address_text(address).text, port, is_operators ? "static mappings" : address_text(owner).text,
			      is_operators ? ", or was: such blocks are free when their address has left" : has_place ? ", whose ports are others then" : "");
}

/* Without these any block may be anybody's. */
static bool has_computed(const struct config *config, const struct cgn_pool *pools, uint32_t pool_count)
{
	bool found = false;
	uint32_t i;

	for (i = 0; i < config->pools_count; i++)
		found |= config->pools[i].is_deterministic;
	for (i = 0; i < pool_count; i++)
		found |= pools[i].planned > 0;
	return found;
}

static bool check_owners(const struct dataplane *dp, const struct config *config, const struct cgn_pool *pools, uint32_t pool_count,
			 struct dataplane_error *error)
{
	const struct cgn_block *blocks = dp->blocks, *block;
	uint32_t i, number;

	if (!has_computed(config, pools, pool_count))
		return true;
	for (i = 0; i < pool_count; i++) {
		if (pools[i].state == CGN_POOL_LEAVING)
			continue;
		for (number = pool_next_block(&pools[i], 0); number < pools[i].block_count; number = pool_next_block(&pools[i], number + 1)) {
			block = &blocks[pools[i].first_block + number];
			if (block_is_live(block) && !check_block(config, &pools[i], number, block, error))
				return false;
		}
	}
	return true;
}

bool dataplane_pools_prepare(struct dataplane *dp, const struct config *config, struct pool_plan *ret_plan, struct dataplane_error *error)
{
	bool is_done;
	uint32_t i;

	error->code = DATAPLANE_CONFIG;
	if (!pool_plan_make(dp->pools, dp->pool_count, dp->block_count, config, ret_plan, error->text, sizeof(error->text)))
		return false;
	is_done = check_owners(dp, config, ret_plan->after, ret_plan->count, error);
	for (i = 0; is_done && i < ret_plan->count; i++)
		if (ret_plan->change[i] == POOL_ENTERS)
			is_done = change(dp, &ret_plan->after[i], (struct cgn_pool_request){ .action = CGN_POOL_ENTER, .index = i,
					 .state = CGN_POOL_LEAVING, .pool = CGN_POOL_NONE }, error);
	if (is_done && dataplane_publish_pools(dp, NULL, NULL, error))
		return true;
	pool_plan_done(ret_plan);
	return false;
}

bool dataplane_pools_commit(struct dataplane *dp, const struct config *config, const struct pool_plan *plan, struct dataplane_error *error)
{
	struct cgn_meta meta;
	uint32_t zero = 0, i;

	for (i = 0; i < plan->count; i++)
		if (plan->change[i] != POOL_AS_IT_IS &&
		    !change(dp, &plan->after[i], (struct cgn_pool_request){ .action = CGN_POOL_STATE, .index = i,
			    .state = plan->after[i].state, .pool = plan->after[i].pool }, error))
			return false;
	if (!check_owners(dp, config, dp->pools, dp->pool_count, error))	/* packets may have been quicker */
		return false;
	if (!dataplane_meta(dp, &meta))
		return dataplane_fail(error, DATAPLANE_KERNEL, "meta: cannot read: %s", strerror(errno));
	dataplane_count_pools(config, &meta);
	if (bpf_map_update_elem(dp->map[DP_META], &zero, &meta, 0))
		return dataplane_fail(error, DATAPLANE_KERNEL, "meta: cannot write: %s", strerror(errno));
	return true;
}

bool dataplane_pools_remove(struct dataplane *dp, bool *gone, struct dataplane_error *error)
{
	bool is_done = true, is_kept = false;
	struct cgn_pool_request request;
	uint32_t i;
	int failed;

	if (!dataplane_publish_pools(dp, NULL, gone, error))
		return false;
	for (i = 0; i < dp->pool_count; i++) {
		if (!gone[i])
			continue;
		request = (struct cgn_pool_request){ .action = CGN_POOL_REMOVE, .index = i };
		failed = dataplane_pool(dp, &request);
		if (failed)
			is_done = dataplane_fail(error, DATAPLANE_KERNEL, "pools: cannot remove an address: %s", strerror(-failed));
		gone[i] = !failed && request.status == CGN_OK;
		is_kept |= !gone[i];
	}
	return is_kept ? dataplane_publish_pools(dp, NULL, NULL, error) && is_done : is_done;
}
