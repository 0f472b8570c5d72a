/* SPDX-License-Identifier: GPL-2.0-only */
/* What another configuration means to the tables. */
#ifndef CGN_XCGND_RELOAD_H
#define CGN_XCGND_RELOAD_H
#include <stdbool.h>

struct config;
struct dataplane_error;
struct operator;
struct pool_plan;

/* Pools, static mappings and settings become those of `config`; on any error they are those of `before`, as they were. The caller frees
 * *ret_plan, by pool_plan_done(). */
bool reload_tables(const struct operator *operator, const struct config *before, const struct config *config, struct pool_plan *ret_plan,
		   struct dataplane_error *error);
/* Logs by what ports are computed: what it takes to tell later who had which. */
void reload_log_plans(const struct config *config);
/* Logs what a committed plan changed, and tells clients of mappings at addresses that leave (RFC 6887 section 14.2). */
void reload_tell(const struct operator *operator, const struct pool_plan *plan);

#endif
