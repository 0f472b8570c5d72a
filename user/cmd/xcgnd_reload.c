/* SPDX-License-Identifier: GPL-2.0-only */
#include <string.h>
#include "config.h"
#include "dataplane.h"
#include "dataplane_pools.h"
#include "deterministic.h"
#include "log.h"
#include "pool_plan.h"
#include "statics.h"
#include "xcgnd_operator.h"
#include "xcgnd_reload.h"

static bool refuse(struct dataplane_error *error, const char *text)
{
	error->code = DATAPLANE_CONFIG;
	strncpy(error->text, text, sizeof(error->text) - 1);
	error->text[sizeof(error->text) - 1] = '\0';
	return false;
}

/* Back to `before`: what entered serves nobody yet, and leaves. */
static void undo(struct dataplane *dp, const struct config *before)
{
	struct dataplane_error error;
	struct pool_plan plan = {};
	bool is_done = dataplane_pools_prepare(dp, before, &plan, &error) && statics_apply(dp, before, &error) &&
		       dataplane_configure(dp, before, &error) && dataplane_pools_commit(dp, before, &plan, &error);

	if (!is_done)
		log_error("reload: the configuration before is not wholly in force again: %s", error.text);
	pool_plan_done(&plan);
}

bool reload_tables(const struct operator *operator, const struct config *before, const struct config *config, struct pool_plan *ret_plan,
		   struct dataplane_error *error)
{
	struct dataplane *dp = operator->dp;

	*ret_plan = (struct pool_plan){};
	if (strcmp(config->pin_dir, before->pin_dir) || strcmp(config->state_dir, before->state_dir) || strcmp(config->control, before->control))
		return refuse(error, "`pin-dir`, `state-dir` and `control` change with a restart only");
	if (!dataplane_accepts(dp, config, error))
		return false;
	if (dataplane_pools_prepare(dp, config, ret_plan, error) && statics_apply(dp, config, error) && dataplane_configure(dp, config, error) &&
	    dataplane_pools_commit(dp, config, ret_plan, error))
		return true;
	undo(dp, before);
	return false;
}

void reload_log_plans(const struct config *config)
{
	unsigned i;

	for (i = 0; i < config->pools_count; i++) {
		const struct config_pool *pool = &config->pools[i];

		if (pool->is_deterministic)
			log_info("pool %s: ports of %u subscribers are computed: %u on each of %u addresses, %u blocks of %u ports each, %u more of each address by need",
				 pool->name, deterministic_subscribers(pool), pool->per_address, config_pool_addresses(pool), pool->each_blocks,
				 pool->block_size, pool->dynamic_blocks);
	}
}

void reload_tell(const struct operator *operator, const struct pool_plan *plan)
{
	if (plan->entering || plan->returning || plan->leaving)
		log_info("pools: %u external addresses are new, %u have come back, %u leave when the last port block of each is free",
			 plan->entering, plan->returning, plan->leaving);
	if (plan->leaving && !operator_tell_leaving(operator, plan))
		log_error("pools: not all clients are told that addresses leave: out of memory");
}
