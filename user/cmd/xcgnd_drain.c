/* SPDX-License-Identifier: GPL-2.0-only */
/* External addresses are taken out of use: nothing new there, what there is ends by itself. Its clients are told (RFC 6887 section
 * 14.2), so that they know when: the lifetime that they were given is not prolonged any more. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include "config.h"
#include "control.h"
#include "dataplane.h"
#include "explicit_parts.h"
#include "log.h"
#include "pool_plan.h"
#include "table_walk.h"
#include "xcgnd_operator.h"

struct draining {
	const struct operator *operator;
	const struct cgn_pool *pools;
	uint32_t pool_count;
	bool is_draining;
	bool *concerned;		/* external addresses, by index */
	uint32_t addresses, changed, leaving;
	uint64_t told, untold;		/* explicit parts */
};

/* An address, or all of the pool that has this name. */
static bool find_addresses(struct draining *draining, const struct config *config, const char *what)
{
	uint8_t addr4[4] = {};
	bool is_address = inet_pton(AF_INET, what, addr4) == 1;
	const struct cgn_pool *pool;
	uint32_t i;

	for (i = 0; i < draining->pool_count; i++) {
		pool = &draining->pools[i];
		if (!pool->block_count)
			continue;
		draining->concerned[i] = is_address ? !memcmp(pool->addr4, addr4, sizeof(addr4)) :
					 pool->pool < config->pools_count && !strcmp(config->pools[pool->pool].name, what);
		draining->addresses += draining->concerned[i];
		draining->leaving += draining->concerned[i] && pool->state == CGN_POOL_LEAVING;
	}
	return draining->addresses;
}

static bool set_states(struct draining *draining, struct control_error *error)
{
	struct cgn_drain_request request;
	uint32_t i;
	int failed;

	for (i = 0; i < draining->pool_count; i++) {
		if (!draining->concerned[i])
			continue;
		request = (struct cgn_drain_request){ .first = i, .count = 1,
			.state = draining->is_draining ? CGN_POOL_DRAINING : CGN_POOL_ACTIVE };
		failed = dataplane_drain(draining->operator->dp, &request);
		if (failed)
			return operator_fail(error, DATAPLANE_KERNEL, "pool: %s", strerror(-failed));
		draining->changed += request.changed;
	}
	return true;
}

static bool tell_batch(struct draining *draining, const uint32_t *slots, uint32_t count)
{
	struct explicit_parts parts = {};
	bool is_read = explicit_parts_read(&parts, draining->operator->dp, slots, count, CGN_MAP | CGN_PEER);
	size_t i;

	for (i = 0; is_read && i < parts.count; i++)
		if (operator_tell_update(draining->operator, &parts.part[i]))
			draining->told++;
		else
			draining->untold++;
	explicit_parts_done(&parts);
	return is_read;
}

static bool tell_clients(struct draining *draining)
{
	struct tables tables = tables_of(draining->operator->dp);
	struct slot_walk walk = { .tables = &tables, .protocols = (1u << CGN_PROTOCOLS) - 1, .explicit_only = true };
	uint32_t slots[CGN_BATCH_MAX], count;
	struct table_block *blocks;
	int i, found = table_blocks(&tables, TABLE_SUBSCRIBER, NULL, &blocks);
	bool is_done = found >= 0;

	if (!is_done)
		return false;
	for (i = 0; i < found; i++)
		if (draining->concerned[blocks[i].address])
			blocks[walk.block_count++] = blocks[i];
	walk.blocks = blocks;
	do {
		for (count = 0; count < CGN_BATCH_MAX && slot_walk_next(&walk, &slots[count]); count++)
			;
		is_done = !count || tell_batch(draining, slots, count);
		sd_notify(0, "WATCHDOG=1");	/* the event loop waits, and must not be taken for dead */
	} while (is_done && count == CGN_BATCH_MAX);
	free(blocks);
	return is_done;
}

bool operator_tell_leaving(const struct operator *operator, const struct pool_plan *plan)
{
	struct draining draining = { .operator = operator };
	bool is_done;
	uint32_t i;

	draining.pools = dataplane_pools(operator->dp, &draining.pool_count);
	draining.concerned = calloc(draining.pool_count + 1, sizeof(*draining.concerned));
	for (i = 0; draining.concerned && i < draining.pool_count && i < plan->count; i++)
		draining.concerned[i] = plan->change[i] == POOL_LEAVES;
	is_done = draining.concerned && tell_clients(&draining);
	free(draining.concerned);
	return is_done;
}

static uint64_t blocks_left(const struct draining *draining)
{
	uint64_t left = 0;
	uint32_t i;

	for (i = 0; i < draining->pool_count; i++)
		left += draining->concerned[i] ? draining->pools[i].blocks_used : 0;
	return left;
}

bool operator_drain(const struct operator *operator, const struct config *config, const json_t *request, json_t *reply,
		    struct control_error *error)
{
	struct draining draining = { .operator = operator, .is_draining = json_is_true(json_object_get(request, "draining")) };
	const char *what = json_string_value(json_object_get(request, "what"));
	bool is_done = true;

	if (!what)
		return operator_fail(error, DATAPLANE_CONFIG, "pool: which address, or pool?");
	draining.pools = dataplane_pools(operator->dp, &draining.pool_count);
	draining.concerned = calloc(draining.pool_count + 1, sizeof(*draining.concerned));
	if (!draining.concerned)
		return operator_fail(error, DATAPLANE_KERNEL, "pool: out of memory");
	if (!find_addresses(&draining, config, what))
		is_done = operator_fail(error, DATAPLANE_CONFIG, "pool: \"%.64s\" is neither an external address nor the name of a pool", what);
	else if (!draining.is_draining && draining.leaving)
		is_done = operator_fail(error, DATAPLANE_STATE, "pool: %.64s is in no pool of the configuration any more, and leaves", what);
	is_done = is_done && set_states(&draining, error);
	if (is_done && draining.is_draining && draining.changed && !tell_clients(&draining))
		is_done = operator_fail(error, DATAPLANE_KERNEL, "pool: it is drained, but not all clients are told: out of memory");
	if (is_done) {
		log_info("%s %.64s: %u external addresses, %llu port blocks in use", draining.is_draining ? "draining" : "in use again:", what,
			 draining.addresses, (unsigned long long)blocks_left(&draining));
		json_object_set_new(reply, "addresses", json_integer(draining.addresses));
		json_object_set_new(reply, "changed", json_integer(draining.changed));
		json_object_set_new(reply, "blocks_left", json_integer((json_int_t)blocks_left(&draining)));
		json_object_set_new(reply, "updates", json_integer((json_int_t)draining.told));
		json_object_set_new(reply, "untold", json_integer((json_int_t)draining.untold));
	}
	free(draining.concerned);
	return is_done;
}
