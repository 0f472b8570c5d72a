/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the maps and the store: one explicit part of a mapping, with all that belongs to it, as a record. */
#ifndef CGN_EXPLICIT_RECORD_H
#define CGN_EXPLICIT_RECORD_H
#include "store_record.h"

struct dataplane;
struct dataplane_ops;
struct store;

enum explicit_attribute {	/* tags; their bytes */
	EXPLICIT_DESCRIPTION = 1,	/* UTF-8 (RFC 7220) */
	EXPLICIT_SET = 3,		/* first internal port 2 | ports 2 of the set that it is of (RFC 7753) */
	EXPLICIT_FILTERS = 2,		/* for each: prefix length 1 | remote port 2 | remote address 16 (RFC 6887 section 13.3) */
};

struct explicit_record {
	struct store_record record;	/* its attributes are those below */
	uint8_t attributes[STORE_RECORD_MAX / 2];
};

/* From an element of `explicit` that was just read. False: not to be stored, because the configuration has it, or because it has
 * ended meanwhile. */
bool explicit_record_from(const struct dataplane *dp, const struct store *store, const struct cgn_explicit_key *key,
			  const struct cgn_explicit *value, struct explicit_record *ret_record);

/* The element of `explicit` that a key of the store stands for. False: there is none. */
bool explicit_record_find(const struct dataplane *dp, const struct store_key *key, struct cgn_explicit_key *ret_key,
			  struct cgn_explicit *ret_value);

/* The request that grants a record again, with `lifetime_s` left. */
void explicit_record_request(const struct store_record *record, uint32_t lifetime_s, struct cgn_map_request *ret_request);
/* The filters that belong to that request, CGN_FILTERS_MAX at most; they are granted with it, so that it is never open to all.
 * Returns how many, or -1: malformed. */
int explicit_record_filters(const struct store_record *record, struct cgn_filter *ret_filters);
/* The set that it is of, entered into the request. False: malformed. */
bool explicit_record_set(const struct store_record *record, struct cgn_map_request *request);
/* Gives a mapping that was just granted again its other attributes. False: one is unknown, or was refused. */
bool explicit_record_apply(const struct store_record *record, const struct dataplane_ops *ops, void *dataplane);

#endif
