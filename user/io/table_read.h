/* SPDX-License-Identifier: GPL-2.0-only */
/* Whole records out of the tables, each consistent in itself, while packets and requests change them. */
#ifndef CGN_TABLE_READ_H
#define CGN_TABLE_READ_H
#include <stdbool.h>
#include <stdint.h>
#include "cgn/abi.h"

struct dataplane;

struct table_mapping {
	uint32_t slot;
	struct cgn_internal internal;
	struct cgn_mapping mapping;
	bool has_explicit;		/* MAP and STATIC */
	struct cgn_explicit explicit_entry;	/* with the nonce: keep it to yourself */
};

/* The mapping that holds a slot now; false if there is none (any more). */
bool table_read_mapping(const struct dataplane *dp, uint32_t slot, struct table_mapping *ret_mapping);

/* Every subscriber by address, once. Returns how many, or -errno; the caller frees *ret_keys. */
int table_subscribers(const struct dataplane *dp, struct cgn_subscriber_key **ret_keys);

#endif
