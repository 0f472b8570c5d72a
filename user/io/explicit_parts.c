/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>
#include <string.h>
#include "dataplane.h"
#include "explicit_parts.h"

/* One that has just ended is none. */
static bool add(struct explicit_parts *parts, const struct dataplane *dp, const struct cgn_explicit_key *key,
		const struct cgn_mapping *mapping)
{
	size_t size = parts->size ? parts->size * 2 : 64;
	struct explicit_part *grown, *part;

	if (parts->count == parts->size) {
		grown = realloc(parts->part, size * sizeof(*grown));
		if (!grown)
			return false;
		parts->part = grown;
		parts->size = size;
	}
	part = &parts->part[parts->count];
	part->key = *key;
	part->external = mapping->external;
	parts->count += dataplane_find_explicit(dp, key, &part->value);
	return true;
}

static bool add_all(struct explicit_parts *parts, const struct dataplane *dp, const struct cgn_internal *internal,
		    const struct cgn_mapping *mapping, unsigned origins)
{
	struct cgn_explicit_key key = { .internal = *internal, .opcode = CGN_MAP };
	unsigned flags = mapping->state.flags & origins;

	if (flags & CGN_MAP && !add(parts, dp, &key, mapping))
		return false;
	key.opcode = CGN_PEER;
	for (key.ordinal = 0; flags & CGN_PEER && key.ordinal < CGN_PEERS_MAX; key.ordinal++)
		if (mapping->peers >> key.ordinal & 1 && !add(parts, dp, &key, mapping))
			return false;
	return true;
}

bool explicit_parts_read(struct explicit_parts *parts, const struct dataplane *dp, const uint32_t *slots, size_t count, unsigned origins)
{
	struct cgn_mapping mapping;
	struct dataplane_slot slot;
	size_t i;

	for (i = 0; i < count; i++) {
		if (!dataplane_read_slot(dp, slots[i], &slot) || !(slot.state.flags & origins))
			continue;
		if (!dataplane_find_mapping(dp, &slot.internal, &mapping) || mapping.slot != slots[i])
			continue;
		if (!add_all(parts, dp, &slot.internal, &mapping, origins))
			return false;
	}
	return true;
}

void explicit_parts_done(struct explicit_parts *parts)
{
	free(parts->part);
	memset(parts, 0, sizeof(*parts));
}

bool explicit_part_stands(const struct dataplane *dp, const struct cgn_explicit_key *key, const struct cgn_external *external)
{
	struct cgn_mapping mapping;
	struct cgn_explicit value;

	return dataplane_find_explicit(dp, key, &value) && dataplane_find_mapping(dp, &key->internal, &mapping) &&
	       !memcmp(&mapping.external, external, sizeof(*external));
}
