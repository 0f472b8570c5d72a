/* SPDX-License-Identifier: GPL-2.0-only */
/* What must hold of the pinned tables whenever no packet and no request is under way, whatever went on before:
 * - mappings and live slots stand for each other, one to one: no external port has two owners;
 * - a port's bit is set exactly while its slot is live, and among the explicit ones exactly while the mapping is explicit;
 * - a block is taken exactly while its owner has it in its list, once, and pools count theirs;
 * - subscribers count their mappings and explicit mappings, and who has a mapping has the block that it is in;
 * - an entry of the cache stands for a mapping, with its external endpoint;
 * - each MAP, PEER and STATIC flag has its element in `explicit`, and each element its flag;
 * - each filtered mapping has its element in `filters`, and each element its flag, on the mapping and on its MAP part. */
#ifndef CGN_TEST_INVARIANTS_H
#define CGN_TEST_INVARIANTS_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct dataplane;

struct invariants {		/* what was counted, and what is wrong */
	uint32_t mappings, explicit_mappings, subscribers, blocks;
	uint32_t broken;
};

/* Writes a line to `out` for each thing that is wrong, 20 at most. False if any is, or if a table cannot be read. */
bool invariants_check(struct dataplane *dp, FILE *out, struct invariants *ret_invariants);

#endif
