/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tables cost: preallocated, so that memory is short at start or never. */
#ifndef CGN_XCGND_MEMORY_H
#define CGN_XCGND_MEMORY_H
#include <stdbool.h>
#include <stdint.h>

struct config;

struct memory_need { uint64_t ports, blocks, mappings, explicit_mappings, subscribers; };	/* bytes */

struct memory_need memory_need(const struct config *config);
uint64_t memory_total(const struct memory_need *need);
uint64_t memory_available(void);	/* bytes that the kernel can give; UINT64_MAX if it does not say */

#endif
