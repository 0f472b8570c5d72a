/* SPDX-License-Identifier: GPL-2.0-only */
/* Ports computed from internal addresses (RFC 7422): nobody needs a record to know who had which.
 *
 * The subscribers of a pool are numbered from 0 on in the order in which its prefixes and their addresses are written, and so are its
 * external addresses. With c subscribers on each address and b blocks for each of them, number n has address n / c, and its blocks from
 * (n % c) * b on. Blocks from c * b on are nobody's, or for who needs more. Pure; host byte order. */
#ifndef CGN_DETERMINISTIC_H
#define CGN_DETERMINISTIC_H
#include <stdbool.h>
#include <stdint.h>
#include "cgn/abi.h"

struct config;
struct config_pool;

struct computed_place {
	uint32_t pool;			/* which of the configuration's */
	uint32_t internal4, external4;
	uint16_t first_port, last_port;
	uint32_t first_block, blocks;	/* of the external address */
};

/* Where a subscriber's ports are. False: they are not computed. */
bool deterministic_find(const struct config *config, uint32_t internal4, struct computed_place *ret_place);
/* Whose an external port is. False: it is not computed, or nobody's. */
bool deterministic_owner(const struct config *config, uint32_t external4, uint16_t port, struct computed_place *ret_place);

uint32_t deterministic_subscribers(const struct config_pool *pool);	/* of one pool, all */
/* What programs are told, from the table of external addresses. False: more than CGN_PLANS_MAX runs. */
bool deterministic_plans(const struct config *config, const struct cgn_pool *pools, uint32_t pool_count, struct cgn_ranges *ranges);

#endif
