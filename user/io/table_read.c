/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include "dataplane.h"
#include "table_read.h"

#define TRIES	4	/* for what changes while it is read */
#define BATCH	4096	/* no bucket of the kernel's hash has more elements */

/* ---- mappings ---- */

/* Read twice: the kernel reuses an element at once after a delete, and an expiry may just be moving. */
static bool read_explicit(const struct dataplane *dp, struct table_mapping *record)
{
	struct cgn_explicit_key key = { .internal = record->internal };
	struct cgn_explicit again;
	int i;

	record->has_explicit = false;
	if (!(record->mapping.state.flags & (CGN_MAP | CGN_STATIC)))
		return true;
	key.opcode = record->mapping.state.flags & CGN_MAP ? CGN_MAP : CGN_STATIC;
	for (i = 0; i < TRIES; i++) {
		if (!dataplane_find_explicit(dp, &key, &record->explicit_entry) || !dataplane_find_explicit(dp, &key, &again))
			return false;
		if (memcmp(&again, &record->explicit_entry, sizeof(again)))
			continue;
		record->has_explicit = again.slot == record->slot && again.generation == record->mapping.state.generation;
		return record->has_explicit;
	}
	return false;
}

/* A slot stops being live before its mapping is deleted, so what was read between two looks at one life of the slot is its own. */
bool table_read_mapping(const struct dataplane *dp, uint32_t slot, struct table_mapping *ret_mapping)
{
	struct table_mapping record = { .slot = slot };
	struct dataplane_slot before, after;
	int i;

	for (i = 0; i < TRIES; i++) {
		if (!dataplane_read_slot(dp, slot, &before))
			return false;
		record.internal = before.internal;
		if (!dataplane_find_mapping(dp, &record.internal, &record.mapping) || record.mapping.slot != slot ||
		    record.mapping.state.generation != before.state.generation || record.mapping.state.flags & CGN_DYING)
			continue;
		/* an entry not yet, or no longer there: a request is at work, the last try shows the mapping without it */
		if (!read_explicit(dp, &record) && i + 1 < TRIES)
			continue;
		if (!dataplane_read_slot(dp, slot, &after) || after.state.generation != before.state.generation)
			continue;
		*ret_mapping = record;
		return true;
	}
	return false;
}

/* ---- subscribers ---- */

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct cgn_subscriber_key));
}

/* Appends every key; returns how many, or -errno. */
static int read_keys(int fd, struct cgn_subscriber_key **keys)
{
	struct cgn_subscriber *values = malloc(BATCH * sizeof(*values));
	struct cgn_subscriber_key *grown;
	uint32_t token = 0, got;
	int count = 0, failed = values ? 0 : -ENOMEM;

	while (!failed) {
		grown = realloc(*keys, ((size_t)count + BATCH) * sizeof(*grown));
		if (!grown) {
			failed = -ENOMEM;
			break;
		}
		*keys = grown;
		got = BATCH;
		failed = bpf_map_lookup_batch(fd, count ? &token : NULL, &token, grown + count, values, &got, NULL) ? -errno : 0;
		if (!failed || failed == -ENOENT)
			count += (int)got;
	}
	free(values);
	return failed == -ENOENT ? count : failed;
}

int table_subscribers(const struct dataplane *dp, struct cgn_subscriber_key **ret_keys)
{
	struct cgn_subscriber_key *keys = NULL;
	int count = read_keys(dataplane_map_fd(dp, DP_SUBSCRIBERS), &keys), i, kept = 0;

	if (count < 0) {
		free(keys);
		return count;
	}
	qsort(keys, (size_t)count, sizeof(*keys), compare_keys);
	for (i = 0; i < count; i++)
		if (!i || compare_keys(&keys[i], &keys[kept - 1]))
			keys[kept++] = keys[i];
	*ret_keys = keys;
	return kept;
}
