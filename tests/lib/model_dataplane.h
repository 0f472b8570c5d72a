/* SPDX-License-Identifier: GPL-2.0-only */
/* A data plane that is a list: what the PCP server's tests and fuzzer have in place of the kernel. Subscribers are
 * 198.51.100.0/24, the pool is 192.0.2.1, ports 1024 to 1024 + ports - 1 of each protocol. */
#ifndef CGN_MODEL_DATAPLANE_H
#define CGN_MODEL_DATAPLANE_H
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "dataplane_ops.h"

#define MODEL_MAPPINGS_MAX 64

struct model_peer {
	__u8 remote6[16];
	__u16 remote_port;
	__u8 nonce[CGN_NONCE_LEN];
	__u32 expires_s;
	struct cgn_description description;	/* length 0: none */
};

struct model_mapping {
	struct cgn_internal internal;
	struct cgn_external external;
	__u8 nonce[CGN_NONCE_LEN];
	unsigned origins;	/* CGN_MAP, CGN_PEER, CGN_IMPLICIT, CGN_STATIC */
	__u32 expires_s;	/* of CGN_MAP */
	struct model_peer peer[CGN_PEERS_MAX];
	unsigned peer_count;
	__u32 idle_until_s;	/* of the traffic it carries; 0: none */
	__u16 set_first, set_size;	/* of CGN_MAP: size 0: of no set */
	struct cgn_filter filter[CGN_FILTERS_MAX];	/* of CGN_MAP */
	unsigned filter_count;
	struct cgn_description description;	/* length 0: none */
};

struct model {
	struct model_mapping mapping[MODEL_MAPPINGS_MAX];
	unsigned count;
	__u32 now_s;
	unsigned quota;		/* explicit mappings of one subscriber */
	unsigned ports;
	int busy;		/* so many calls answer CGN_BUSY first */
	int error;		/* every call returns this */
	int status;		/* every call answers this, if not CGN_OK */
	bool no_texts;		/* descriptions find no room */
	unsigned calls, changes;
	struct cgn_map_request last;	/* as it was asked */
	const struct cgn_filter *asked;	/* its filters */
};

static const __u8 model_pool[4] = { 192, 0, 2, 1 };

static inline void model_init(struct model *model, __u32 now_s)
{
	memset(model, 0, sizeof(*model));
	model->now_s = now_s;
	model->quota = 8;
	model->ports = 64;
}

static inline struct model_mapping *model_find(struct model *model, const struct cgn_internal *internal)
{
	unsigned i;

	for (i = 0; i < model->count; i++)
		if (!memcmp(&model->mapping[i].internal, internal, sizeof(*internal)))
			return &model->mapping[i];
	return NULL;
}

static inline void model_remove(struct model *model, struct model_mapping *mapping)
{
	*mapping = model->mapping[--model->count];
}

static inline bool model_is_free(const struct model *model, __u8 protocol, __u16 port)
{
	unsigned i;

	if (port < 1024 || port >= 1024 + model->ports)
		return false;
	for (i = 0; i < model->count; i++)
		if (model->mapping[i].external.protocol == protocol && model->mapping[i].external.port == port)
			return false;
	return true;
}

/* The suggestion if it is to be had, else (unless that is all that will do) the lowest free port. 0: none. */
static inline __u16 model_port(const struct model *model, const struct cgn_map_request *request)
{
	static const __u8 any[4];
	const struct cgn_external *suggested = &request->suggested;
	bool here = !memcmp(suggested->addr4, model_pool, 4) || !memcmp(suggested->addr4, any, 4);
	unsigned port;

	if (here && model_is_free(model, request->internal.protocol, suggested->port))
		return suggested->port;
	if (request->flags & CGN_PREFER_FAILURE && (suggested->port || !here))
		return 0;
	for (port = 1024; port < 1024 + model->ports; port++)
		if (model_is_free(model, request->internal.protocol, (__u16)port))
			return (__u16)port;
	return 0;
}

static inline bool model_is_suggested(const struct cgn_map_request *request, const struct cgn_external *external)
{
	static const __u8 any[4];

	return (!memcmp(request->suggested.addr4, any, 4) || !memcmp(request->suggested.addr4, external->addr4, 4)) &&
	       request->suggested.port == external->port;
}

static inline unsigned model_explicit_count(const struct model *model, const struct cgn_internal *internal)
{
	unsigned i, count = 0;

	for (i = 0; i < model->count; i++)
		if (!memcmp(model->mapping[i].internal.addr4, internal->addr4, 4))
			count += !!(model->mapping[i].origins & CGN_MAP) + model->mapping[i].peer_count;
	return count;
}

static inline struct model_mapping *model_add(struct model *model, const struct cgn_internal *internal, __u16 port,
					      unsigned origins)
{
	struct model_mapping *mapping = &model->mapping[model->count++];

	memset(mapping, 0, sizeof(*mapping));
	mapping->internal = *internal;
	memcpy(mapping->external.addr4, model_pool, 4);
	mapping->external.port = port;
	mapping->external.protocol = internal->protocol;
	mapping->origins = origins;
	return mapping;
}

static inline bool model_nonce_permits(const __u8 *nonce, const struct cgn_map_request *request)
{
	return request->nonce_policy != CGN_NONCE_STRICT || !memcmp(nonce, request->nonce, CGN_NONCE_LEN);
}

/* What remains of a mapping by its parts and by its traffic. */
static inline __u32 model_remaining_s(const struct model *model, const struct model_mapping *mapping)
{
	__u32 until_s = mapping->origins & CGN_MAP ? mapping->expires_s : 0;
	unsigned i;

	if (mapping->origins & CGN_STATIC)
		return CGN_FOREVER;
	for (i = 0; i < mapping->peer_count; i++)
		if (mapping->peer[i].expires_s > until_s)
			until_s = mapping->peer[i].expires_s;
	if (mapping->idle_until_s > until_s)
		until_s = mapping->idle_until_s;
	return until_s > model->now_s ? until_s - model->now_s : 0;
}

/* What happens before any thought: errors and races. True: that is the answer. */
static inline bool model_is_interrupted(struct model *model, struct cgn_map_request *request)
{
	model->calls++;
	model->last = *request;
	if (model->busy > 0) {
		model->busy--;
		request->status = CGN_BUSY;
	} else if (model->status != CGN_OK) {
		request->status = (__u32)model->status;
	} else {
		return false;
	}
	request->lifetime_s = 0xdeadbeef;	/* "defined for CGN_OK only": nobody may use it, nor ask again with it */
	memset(&request->external, 0xee, sizeof(request->external));
	return true;
}

static inline void model_grant(struct model *model, struct model_mapping *mapping, struct cgn_map_request *request)
{
	mapping->origins = (mapping->origins | CGN_MAP) & ~(unsigned)CGN_IMPLICIT;
	mapping->expires_s = model->now_s + request->lifetime_s;
	request->external = mapping->external;
	request->status = CGN_OK;
	model->changes++;
}

/* What the filters of a mapping (NULL: a new one) become by a request. CGN_OK, or CGN_FILTERS_EXCEEDED. */
static inline __u32 model_filter(const struct model *model, const struct cgn_map_request *request, struct model_mapping *filtered)
{
	unsigned i, j;

	if (request->flags & CGN_CLEAR_FILTERS)
		filtered->filter_count = 0;
	for (i = 0; i < request->filter_count; i++) {
		for (j = 0; j < filtered->filter_count; j++)
			if (!memcmp(&filtered->filter[j], &model->asked[i], sizeof(model->asked[i])))
				break;
		if (j == request->filter_limit)
			return CGN_FILTERS_EXCEEDED;
		filtered->filter[j] = model->asked[i];
		filtered->filter_count += j == filtered->filter_count;
	}
	return CGN_OK;
}

static inline __u32 model_create(struct model *model, struct cgn_map_request *request, struct model_mapping *mapping)
{
	static const __u8 subscribers[3] = { 198, 51, 100 };
	struct model_mapping filtered = { 0 };
	__u16 port;

	if (memcmp(request->internal.addr4, subscribers, 3))
		return CGN_NOT_ALLOWED;
	if (model_explicit_count(model, &request->internal) >= model->quota)
		return CGN_QUOTA;
	if (model_filter(model, request, &filtered) != CGN_OK)
		return CGN_FILTERS_EXCEEDED;
	if (mapping && request->flags & CGN_PREFER_FAILURE && !model_is_suggested(request, &mapping->external))
		return CGN_CANNOT_PROVIDE;
	if (!mapping) {
		port = model_port(model, request);
		if (!port)
			return request->flags & CGN_PREFER_FAILURE ? CGN_CANNOT_PROVIDE : CGN_EXHAUSTED;
		if (model->count == MODEL_MAPPINGS_MAX)
			return CGN_TABLE_FULL;
		mapping = model_add(model, &request->internal, port, 0);
	}
	memcpy(mapping->nonce, request->nonce, CGN_NONCE_LEN);
	memcpy(mapping->filter, filtered.filter, sizeof(mapping->filter));
	mapping->filter_count = filtered.filter_count;
	model_grant(model, mapping, request);
	request->created = 1;
	return CGN_OK;
}

static inline __u32 model_renew(struct model *model, struct cgn_map_request *request, struct model_mapping *mapping)
{
	struct model_mapping filtered = *mapping;

	if (mapping->origins & CGN_MAP && !model_nonce_permits(mapping->nonce, request)) {
		request->lifetime_s = mapping->expires_s - model->now_s;
		return CGN_NONCE_MISMATCH;
	}
	if (request->flags & CGN_PREFER_FAILURE && !model_is_suggested(request, &mapping->external))
		return CGN_CANNOT_PROVIDE;
	request->created = 0;
	if (mapping->origins & CGN_STATIC) {
		if (request->filter_count || request->flags & CGN_CLEAR_FILTERS)
			return CGN_NOT_ALLOWED;
		request->external = mapping->external;
		request->lifetime_s = CGN_FOREVER;
		return CGN_OK;
	}
	if (model_filter(model, request, &filtered) != CGN_OK)
		return CGN_FILTERS_EXCEEDED;
	*mapping = filtered;
	model_grant(model, mapping, request);
	request->set_first = mapping->set_first;
	request->set_size = mapping->set_size;
	return CGN_OK;
}

static inline int model_map(void *dataplane, struct cgn_map_request *request)
{
	struct model *model = dataplane;
	struct model_mapping *mapping;

	if (model->error)
		return model->error;
	if (model_is_interrupted(model, request))
		return 0;
	if (request->flags & CGN_RESTORE)
		request->flags |= CGN_PREFER_FAILURE;
	mapping = model_find(model, &request->internal);
	if (mapping && mapping->origins & (CGN_STATIC | CGN_MAP))
		request->status = model_renew(model, request, mapping);
	else
		request->status = model_create(model, request, mapping);
	return 0;
}

static inline void model_map_many(void *dataplane, struct cgn_map_request *requests, int *ret_failed, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		ret_failed[i] = model_map(dataplane, &requests[i]);
}

static inline int model_map_filtered(void *dataplane, struct cgn_map_request *request, const struct cgn_filter *filters)
{
	((struct model *)dataplane)->asked = filters;
	return model_map(dataplane, request);
}

static inline __u32 model_end(struct model *model, struct cgn_map_request *request, struct model_mapping *mapping)
{
	if (!(mapping->origins & CGN_MAP))
		return CGN_NOT_ALLOWED;
	if (!model_nonce_permits(mapping->nonce, request)) {
		request->lifetime_s = mapping->expires_s - model->now_s;
		return CGN_NONCE_MISMATCH;
	}
	model->changes++;
	request->set_first = mapping->set_first;
	request->set_size = mapping->set_size;
	mapping->set_size = 0;
	mapping->description.length = 0;
	mapping->filter_count = 0;
	mapping->origins &= ~(unsigned)CGN_MAP;
	request->lifetime_s = model_remaining_s(model, mapping);
	if (!request->lifetime_s)
		model_remove(model, mapping);
	else if (!mapping->peer_count)
		mapping->origins = CGN_IMPLICIT;
	return CGN_OK;
}

static inline struct model_peer *model_peer_of(struct model_mapping *mapping, const __u8 remote6[16], __u16 remote_port)
{
	unsigned i;

	for (i = 0; i < mapping->peer_count; i++)
		if (mapping->peer[i].remote_port == remote_port && !memcmp(mapping->peer[i].remote6, remote6, 16))
			return &mapping->peer[i];
	return NULL;
}

static inline __u32 model_take_back(struct model *model, const struct cgn_map_request *request, struct model_mapping *mapping)
{
	struct model_peer *peer = model_peer_of(mapping, request->remote6, request->remote_port);

	if (!peer)
		return CGN_NOT_FOUND;
	model->changes++;
	*peer = mapping->peer[--mapping->peer_count];
	if (!mapping->peer_count)
		mapping->origins &= ~(unsigned)CGN_PEER;
	if (!model_remaining_s(model, mapping))
		model_remove(model, mapping);
	return CGN_OK;
}

static inline int model_delete(void *dataplane, struct cgn_map_request *request)
{
	struct model *model = dataplane;
	struct model_mapping *mapping;

	if (model->error)
		return model->error;
	if (model_is_interrupted(model, request))
		return 0;
	mapping = model_find(model, &request->internal);
	if (mapping && request->origin == CGN_PEER)
		request->status = model_take_back(model, request, mapping);
	else
		request->status = mapping ? model_end(model, request, mapping) : CGN_NOT_FOUND;
	return 0;
}

static inline int model_list(void *dataplane, const struct cgn_subscriber_key *subscriber, struct cgn_listed *ret_listed, size_t max)
{
	struct model *model = dataplane;
	size_t count = 0;
	unsigned i;

	if (model->error)
		return model->error;
	for (i = 0; i < model->count && count < max; i++) {
		if (!(model->mapping[i].origins & CGN_MAP) || memcmp(model->mapping[i].internal.addr4, subscriber->addr4, 4))
			continue;
		ret_listed[count].internal = model->mapping[i].internal;
		ret_listed[count++].external = model->mapping[i].external;
	}
	return (int)count;
}

static inline bool model_details(void *dataplane, const struct cgn_listed *listed, struct cgn_explicit *ret_details)
{
	struct model *model = dataplane;
	struct model_mapping *mapping = model_find(model, &listed->internal);

	if (!mapping || !(mapping->origins & CGN_MAP))
		return false;
	memset(ret_details, 0, sizeof(*ret_details));
	memcpy(ret_details->nonce, mapping->nonce, sizeof(ret_details->nonce));
	memcpy(ret_details->client4, mapping->internal.addr4, 4);
	ret_details->expires_s = mapping->expires_s;
	return true;
}

static inline bool model_description(void *dataplane, const struct cgn_listed *listed, struct cgn_description *ret_description)
{
	struct model_mapping *mapping = model_find(dataplane, &listed->internal);

	if (!mapping || !mapping->description.length)
		return false;
	*ret_description = mapping->description;
	return true;
}

static inline bool model_filters(void *dataplane, const struct cgn_listed *listed, struct cgn_filters *ret_filters)
{
	struct model_mapping *mapping = model_find(dataplane, &listed->internal);

	if (!mapping || !mapping->filter_count)
		return false;
	memset(ret_filters, 0, sizeof(*ret_filters));
	ret_filters->count = mapping->filter_count;
	memcpy(ret_filters->filter, mapping->filter, sizeof(mapping->filter));
	return true;
}

static inline struct cgn_description *model_text_of(struct model *model, const struct cgn_describe_request *request)
{
	struct model_mapping *mapping = model_find(model, &request->key.internal);
	struct model_peer *peer;

	if (!mapping)
		return NULL;
	if (request->key.opcode == CGN_MAP)
		return mapping->origins & CGN_MAP ? &mapping->description : NULL;
	peer = model_peer_of(mapping, request->remote6, request->remote_port);
	return peer ? &peer->description : NULL;
}

static inline int model_describe(void *dataplane, struct cgn_describe_request *request)
{
	struct model *model = dataplane;
	struct cgn_description *text = model_text_of(model, request);

	if (model->error)
		return model->error;
	request->status = !text ? CGN_NOT_FOUND : model->no_texts ? CGN_TABLE_FULL : CGN_OK;
	if (request->status == CGN_OK)
		*text = request->description;
	return 0;
}

static inline int model_pair(void *dataplane, struct cgn_pair_request *request)
{
	static const __u8 subscribers[3] = { 198, 51, 100 };
	struct model *model = dataplane;

	model->calls++;
	if (model->error)
		return model->error;
	request->status = memcmp(request->subscriber.addr4, subscribers, 3) ? CGN_NOT_ALLOWED : CGN_OK;
	if (model->status != CGN_OK)
		request->status = (__u32)model->status;
	if (model->busy > 0) {
		model->busy--;
		request->status = CGN_BUSY;
	}
	memcpy(request->addr4, model_pool, 4);
	return 0;
}

static inline bool model_find_copy(void *dataplane, const struct cgn_internal *internal, struct cgn_mapping *ret_mapping)
{
	struct model *model = dataplane;
	struct model_mapping *mapping = model_find(model, internal);

	if (!mapping)
		return false;
	memset(ret_mapping, 0, sizeof(*ret_mapping));
	ret_mapping->external = mapping->external;
	ret_mapping->state.flags = (__u16)mapping->origins;
	return true;
}

/* A subscriber's, or (realm CGN_OPERATOR_REALM) the operator's. */
static inline int model_list_internals(void *dataplane, const struct cgn_subscriber_key *subscriber, __u32 origins,
				       struct cgn_internal **ret_internals)
{
	struct model *model = dataplane;
	struct cgn_internal *internals;
	unsigned i;
	int count = 0;

	if (model->error)
		return model->error;
	internals = calloc(MODEL_MAPPINGS_MAX, sizeof(*internals));
	for (i = 0; internals && i < model->count; i++) {
		const struct model_mapping *mapping = &model->mapping[i];
		bool is_operators = mapping->origins & CGN_STATIC;

		if (mapping->origins & origins && is_operators == (subscriber->realm == CGN_OPERATOR_REALM) &&
		    (is_operators || !memcmp(mapping->internal.addr4, subscriber->addr4, 4)))
			internals[count++] = mapping->internal;
	}
	*ret_internals = internals;
	return internals ? count : -12;
}

/* ---- PORT_SET ---- */

/* The first explicit mapping of [port, port + size), or NULL; *ret_unmapped ports from the first on have none of any kind. */
static inline struct model_mapping *model_set_find(struct model *model, const struct cgn_map_request *request, unsigned size,
						   unsigned *ret_unmapped)
{
	bool takes_any = !request->lifetime_s || request->flags & CGN_RENEW_ONLY, is_over = false;
	struct cgn_internal internal = request->internal;
	struct model_mapping *mapping;
	unsigned i;

	*ret_unmapped = 0;
	for (i = 0; i < size && request->internal.port + i <= 0xffff; i++) {
		internal.port = (__u16)(request->internal.port + i);
		mapping = model_find(model, &internal);
		if (mapping && mapping->origins & CGN_MAP)
			return mapping->set_size > 1 || !i || takes_any ? mapping : NULL;
		is_over = is_over || mapping;
		*ret_unmapped += !is_over;
	}
	return NULL;
}

/* Renews or ends every port of the set that `mapping` is of. */
static inline __u32 model_set_each(struct model *model, struct cgn_map_request *request, const struct model_mapping *mapping)
{
	__u16 first = mapping->set_size > 1 ? mapping->set_first : mapping->internal.port, size = mapping->set_size > 1 ? mapping->set_size : 1;
	struct cgn_external external = { { 0 }, 0, 0, 0 };
	__u32 status = CGN_OK, remaining_s = 0;
	unsigned changes = model->changes, i;
	struct cgn_map_request each;
	struct model_mapping *member;

	for (i = 0; i < size && status == CGN_OK; i++) {
		each = *request;
		each.internal.port = (__u16)(first + i);
		member = model_find(model, &each.internal);
		if (!member || !(member->origins & CGN_MAP))
			continue;
		if (!external.port)
			external = member->external;
		status = request->lifetime_s ? model_renew(model, &each, member) : model_end(model, &each, member);
		if (each.lifetime_s > remaining_s)
			remaining_s = each.lifetime_s;
	}
	model->changes = changes + (status == CGN_OK);
	request->lifetime_s = remaining_s;
	request->external = external;
	request->set_first = first;
	request->set_size = size;
	request->created = 0;
	return status;
}

/* The longest run of free ports, of `want` at most. */
static inline unsigned model_set_run(const struct model *model, const struct cgn_map_request *request, unsigned want, __u16 *ret_port)
{
	__u8 protocol = request->internal.protocol;
	unsigned best = 0, run, port;

	for (port = 1024; port < 1024 + model->ports && best < want; port++) {
		if (request->flags & CGN_KEEP_PARITY && (port ^ request->internal.port) & 1)
			continue;
		for (run = 0; run < want && model_is_free(model, protocol, (__u16)(port + run)); run++)
			;
		if (run > best) {
			best = run;
			*ret_port = (__u16)port;
		}
	}
	return best;
}

static inline __u32 model_set_create(struct model *model, struct cgn_map_request *request, unsigned want)
{
	static const __u8 subscribers[3] = { 198, 51, 100 };
	unsigned used = model_explicit_count(model, &request->internal), i;
	struct model_mapping filtered = { 0 }, *member;
	struct cgn_internal internal = request->internal;
	__u16 port = 0;

	if (memcmp(request->internal.addr4, subscribers, 3))
		return CGN_NOT_ALLOWED;
	if (used >= model->quota)
		return CGN_QUOTA;
	if (model_filter(model, request, &filtered) != CGN_OK)
		return CGN_FILTERS_EXCEEDED;
	want = want < model->quota - used ? want : model->quota - used;
	want = want < MODEL_MAPPINGS_MAX - model->count ? want : MODEL_MAPPINGS_MAX - model->count;
	want = model_set_run(model, request, want, &port);
	if (!want)
		return CGN_EXHAUSTED;
	for (i = 0; i < want; i++) {
		internal.port = (__u16)(request->internal.port + i);
		member = model_add(model, &internal, (__u16)(port + i), CGN_MAP);
		memcpy(member->nonce, request->nonce, CGN_NONCE_LEN);
		memcpy(member->filter, filtered.filter, sizeof(member->filter));
		member->filter_count = filtered.filter_count;
		member->expires_s = model->now_s + request->lifetime_s;
		member->set_first = request->internal.port;
		member->set_size = want > 1 ? (__u16)want : 0;
		if (!i)
			request->external = member->external;
	}
	model->changes++;
	request->created = 1;
	request->set_first = request->internal.port;
	request->set_size = want > 1 ? (__u16)want : 0;
	return CGN_OK;
}

static inline int model_set(void *dataplane, struct cgn_map_request *request, const struct cgn_filter *filters)
{
	struct model *model = dataplane;
	struct model_mapping *mapping;
	unsigned unmapped;

	if (model->error)
		return model->error;
	if (model_is_interrupted(model, request))
		return 0;
	model->asked = filters;
	mapping = model_set_find(model, request, request->set_size, &unmapped);
	if (mapping)
		request->status = model_set_each(model, request, mapping);
	else if (!request->lifetime_s || !unmapped || request->flags & CGN_RENEW_ONLY)
		request->status = CGN_NOT_FOUND;
	else
		request->status = model_set_create(model, request, unmapped);
	return 0;
}

/* ---- PEER ---- */

static inline struct model_peer *model_find_peer(struct model_mapping *mapping, const struct cgn_map_request *request)
{
	return model_peer_of(mapping, request->remote6, request->remote_port);
}

static inline __u32 model_peer_report(struct model *model, struct cgn_map_request *request, const struct model_mapping *mapping)
{
	request->external = mapping->external;
	request->lifetime_s = model_remaining_s(model, mapping);
	return CGN_OK;
}

static inline __u32 model_peer_renew(struct model *model, struct cgn_map_request *request, struct model_mapping *mapping,
				     struct model_peer *peer)
{
	if (!model_nonce_permits(peer->nonce, request)) {
		request->lifetime_s = peer->expires_s - model->now_s;
		return CGN_NONCE_MISMATCH;
	}
	if (request->lifetime_s && model->now_s + request->lifetime_s > peer->expires_s) {
		peer->expires_s = model->now_s + request->lifetime_s;
		model->changes++;
	}
	return model_peer_report(model, request, mapping);
}

static inline __u32 model_peer_create(struct model *model, struct cgn_map_request *request, struct model_mapping *mapping)
{
	static const __u8 subscribers[3] = { 198, 51, 100 };
	struct model_peer *peer;
	__u16 port;

	if (memcmp(request->internal.addr4, subscribers, 3))
		return CGN_NOT_ALLOWED;
	if (model_explicit_count(model, &request->internal) >= model->quota || (mapping && mapping->peer_count == CGN_PEERS_MAX))
		return CGN_QUOTA;
	if (!mapping) {
		port = model_port(model, request);
		if (!port)
			return request->flags & CGN_PREFER_FAILURE ? CGN_CANNOT_PROVIDE : CGN_EXHAUSTED;
		if (model->count == MODEL_MAPPINGS_MAX)
			return CGN_TABLE_FULL;
		mapping = model_add(model, &request->internal, port, 0);
	}
	mapping->origins = (mapping->origins & CGN_MAP) | CGN_PEER;
	peer = &mapping->peer[mapping->peer_count++];
	memset(peer, 0, sizeof(*peer));
	memcpy(peer->remote6, request->remote6, 16);
	peer->remote_port = request->remote_port;
	memcpy(peer->nonce, request->nonce, CGN_NONCE_LEN);
	peer->expires_s = model->now_s + request->lifetime_s;
	model->changes++;
	request->created = 1;
	return model_peer_report(model, request, mapping);
}

static inline int model_peer(void *dataplane, struct cgn_map_request *request)
{
	struct model *model = dataplane;
	struct model_mapping *mapping;
	struct model_peer *peer;

	if (model->error)
		return model->error;
	if (model_is_interrupted(model, request))
		return 0;
	mapping = model_find(model, &request->internal);
	peer = mapping ? model_find_peer(mapping, request) : NULL;
	request->created = 0;
	if (peer)
		request->status = model_peer_renew(model, request, mapping, peer);
	else if (mapping && (mapping->origins & CGN_STATIC || !request->lifetime_s))
		request->status = model_peer_report(model, request, mapping);
	else
		request->status = request->lifetime_s ? model_peer_create(model, request, mapping) : CGN_NOT_FOUND;
	return 0;
}

static const struct dataplane_ops model_ops = {
	.map = model_map, .map_many = model_map_many, .map_filtered = model_map_filtered, .set = model_set, .peer = model_peer, .delete = model_delete, .describe = model_describe, .pair = model_pair, .find = model_find_copy,
	.list_internals = model_list_internals, .list = model_list, .details = model_details,
	.description = model_description, .filters = model_filters,
};

#endif
