/* SPDX-License-Identifier: GPL-2.0-only */
/* Copies of the explicit parts (MAP, PEER) of mappings: what somebody would lose, and who was promised it. */
#ifndef CGN_EXPLICIT_PARTS_H
#define CGN_EXPLICIT_PARTS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cgn/abi.h"

struct dataplane;

struct explicit_part {
	struct cgn_explicit_key key;
	struct cgn_explicit value;	/* with the nonce: keep it to yourself */
	struct cgn_external external;
};

struct explicit_parts {		/* zeroed at first */
	struct explicit_part *part;
	size_t count, size;
};

/* Adds those of the mappings that hold `slots`, as far as they are among `origins` (CGN_MAP, CGN_PEER). False: out of memory. */
bool explicit_parts_read(struct explicit_parts *parts, const struct dataplane *dp, const uint32_t *slots, size_t count, unsigned origins);
void explicit_parts_done(struct explicit_parts *parts);

/* Does it stand, with this external endpoint? */
bool explicit_part_stands(const struct dataplane *dp, const struct cgn_explicit_key *key, const struct cgn_external *external);

#endif
