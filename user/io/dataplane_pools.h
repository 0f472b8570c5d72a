/* SPDX-License-Identifier: GPL-2.0-only */
/* The pools of the tables follow those of the configuration under traffic, in two steps: what is new has room and is known to packets
 * first, but nobody gets a port of it; then it serves, and what is configured no more is left. Until the second step there is nothing to
 * undo: a start or a reload with whatever configuration goes on from any place in between. */
#ifndef CGN_DATAPLANE_POOLS_H
#define CGN_DATAPLANE_POOLS_H
#include <stdbool.h>
#include <stdint.h>

struct config;
struct dataplane;
struct dataplane_error;
struct pool_plan;

/* DATAPLANE_CONFIG: they cannot be had, and nothing changed. The caller frees *ret_plan by pool_plan_done(). */
bool dataplane_pools_prepare(struct dataplane *dp, const struct config *config, struct pool_plan *ret_plan, struct dataplane_error *error);
bool dataplane_pools_commit(struct dataplane *dp, const struct config *config, const struct pool_plan *plan, struct dataplane_error *error);

/* Forgets addresses that are leaving, if no block of them is in use: those entries that `gone` marks, of all entries. Afterwards it marks
 * those that are gone. */
bool dataplane_pools_remove(struct dataplane *dp, bool *gone, struct dataplane_error *error);

#endif
