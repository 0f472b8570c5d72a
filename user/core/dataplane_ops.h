/* SPDX-License-Identifier: GPL-2.0-only */
/* What the PCP server asks of the data plane. io/dataplane.c does it with the SEC("syscall") programs; tests with a model. */
#ifndef CGN_DATAPLANE_OPS_H
#define CGN_DATAPLANE_OPS_H
#include <stdbool.h>
#include <stddef.h>
#include "cgn/abi.h"

struct cgn_listed {	/* one explicit mapping of a listing */
	struct cgn_internal internal;
	struct cgn_external external;
};

struct dataplane_ops {
	/* Creates or renews one explicit mapping; request->status says what came of it (enum cgn_status).
	 * On any status but CGN_OK nothing changed. Returns 0, or -errno if the data plane could not be asked. */
	int (*map)(void *dataplane, struct cgn_map_request *request);
	/* map for each of `count` requests, in their order; ret_failed: what it returns of each. */
	void (*map_many)(void *dataplane, struct cgn_map_request *requests, int *ret_failed, size_t count);
	/* map with the request->filter_count filters that a MAP brings (RFC 6887 section 13.3), added to those that the mapping has;
	 * after those are removed if CGN_CLEAR_FILTERS is set. CGN_FILTERS_EXCEEDED: they would be more than filter_limit. */
	int (*map_filtered)(void *dataplane, struct cgn_map_request *request, const struct cgn_filter *filters);
	/* A set of request->set_size contiguous internal ports, from the internal endpoint's on, mapped to contiguous external ports
	 * (RFC 7753): makes one, perhaps of fewer ports, or refreshes the first set or single mapping that overlaps it, or with lifetime 0
	 * ends that. Out: set_first, set_size (0 or 1: a single one), the external endpoint of the first port. CGN_NOT_FOUND: nothing
	 * overlaps, and the first port is mapped by its traffic (or CGN_RENEW_ONLY, or lifetime 0). */
	int (*set)(void *dataplane, struct cgn_map_request *request, const struct cgn_filter *filters);
	/* Creates, joins or extends a mapping for one remote peer (RFC 6887 section 12.3); never shortens it. lifetime_s 0 asks only:
	 * CGN_OK with external endpoint and lifetime, or CGN_NOT_FOUND. Out, lifetime_s is that of the mapping. */
	int (*peer)(void *dataplane, struct cgn_map_request *request);
	/* Ends one explicit mapping. CGN_OK with lifetime_s = what remains by its traffic (RFC 6887 section 15), else 0;
	 * CGN_NOT_FOUND if there is none (a success for PCP); CGN_NOT_ALLOWED for static, implicit and PEER; CGN_NONCE_MISMATCH.
	 * With origin CGN_PEER it takes back a PEER that was granted and not answered: no request of a client leads there. */
	int (*delete)(void *dataplane, struct cgn_map_request *request);
	/* The MAP mappings of one subscriber, in no order; static ones are none of them. Changes nothing. Returns how many were
	 * written, at most `max`, or -errno. */
	int (*list)(void *dataplane, const struct cgn_subscriber_key *subscriber, struct cgn_listed *ret_listed, size_t max);
	/* Nonce, client and expiry of a listed one; false: it has ended since. */
	bool (*details)(void *dataplane, const struct cgn_listed *listed, struct cgn_explicit *ret_details);
	/* The text of a listed one (RFC 7220), and its filters. False: it has none. */
	bool (*description)(void *dataplane, const struct cgn_listed *listed, struct cgn_description *ret_description);
	bool (*filters)(void *dataplane, const struct cgn_listed *listed, struct cgn_filters *ret_filters);
	/* Sets or removes the text of an explicit mapping that exists (RFC 7220). */
	int (*describe)(void *dataplane, struct cgn_describe_request *request);
	/* The external address that a subscriber's mappings have, or will have. */
	int (*pair)(void *dataplane, struct cgn_pair_request *request);
	/* A copy of one mapping. False: there is none. */
	bool (*find)(void *dataplane, const struct cgn_internal *internal, struct cgn_mapping *ret_mapping);
	/* Internal endpoints of one subscriber that are mapped with any of `origins` (enum cgn_mapping_flag). Returns how many, or
	 * -errno; the caller frees *ret_internals. */
	int (*list_internals)(void *dataplane, const struct cgn_subscriber_key *subscriber, __u32 origins,
			      struct cgn_internal **ret_internals);
};

#endif
