/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "dataplane.h"
#include "dataplane_recorder.h"
#include "explicit_record.h"
#include "store.h"

#define TAKE_BACK_TRIES 8	/* CGN_BUSY: a packet changed the same endpoint */

struct dataplane_recorder {
	struct recorder_source source;
	struct store *store;
	struct explicit_record record;
	struct cgn_map_request *created;	/* what nobody was told of yet */
	size_t created_count, created_size;
	size_t begun_count;			/* the first of them: by what is being committed */
};

bool dataplane_recorder_read(void *dp, const struct store *store, const struct store_key *key, struct explicit_record *ret_record)
{
	struct cgn_explicit_key found;
	struct cgn_explicit value;

	return explicit_record_find(dp, key, &found, &value) && explicit_record_from(dp, store, &found, &value, ret_record);
}

static struct store_key key_of(const struct cgn_map_request *request)
{
	struct store_key key = { .internal = request->internal, .opcode = request->origin };

	if (request->origin == CGN_PEER) {
		memcpy(key.remote6, request->remote6, sizeof(key.remote6));
		key.remote_port = request->remote_port;
	}
	return key;
}

/* ---- recording ---- */

/* As it stands in the maps: nonce, end, description may be other than the request's. */
static int record_standing(struct dataplane_recorder *recorder, const struct store_key *key)
{
	if (!recorder->source.read(recorder->source.dataplane, recorder->store, key, &recorder->record))
		return 0;	/* it has ended meanwhile */
	return store_put(recorder->store, &recorder->record.record);
}

/* A new MAP is what was asked for: no need to read it. */
static int record_new(struct dataplane_recorder *recorder, const struct cgn_map_request *request)
{
	struct store_record record = {
		.kind = STORE_GRANT,
		.key = key_of(request),
		.expires_s = store_now_s(recorder->store) + request->lifetime_s,
		.client_port = request->client_port,
		.external_port = request->external.port,
	};

	memcpy(record.nonce, request->nonce, sizeof(record.nonce));
	memcpy(record.client6, request->client6, sizeof(record.client6));
	memcpy(record.external4, request->external.addr4, sizeof(record.external4));
	return store_put(recorder->store, &record);
}

static int record_deletion(struct dataplane_recorder *recorder, const struct store_key *key)
{
	struct store_record record = { .kind = STORE_DELETION, .key = *key };

	return store_put(recorder->store, &record);
}

static int remember_creation(struct dataplane_recorder *recorder, const struct cgn_map_request *request)
{
	size_t size = recorder->created_size ? recorder->created_size * 2 : 64;
	struct cgn_map_request *grown;

	if (recorder->created_count == recorder->created_size) {
		grown = realloc(recorder->created, size * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		recorder->created = grown;
		recorder->created_size = size;
	}
	recorder->created[recorder->created_count++] = *request;
	return 0;
}

/* Ends what nobody was told of: a MAP, or a PEER, which no client could end (RFC 6887 section 12.3). */
static void take_back(struct dataplane_recorder *recorder, const struct cgn_map_request *created)
{
	struct store_key key = key_of(created);
	struct cgn_map_request request;
	int tries;

	for (tries = 0; tries < TAKE_BACK_TRIES; tries++) {
		request = *created;
		request.nonce_policy = CGN_NONCE_OFF;
		if (recorder->source.ops->delete(recorder->source.dataplane, &request) || request.status != CGN_BUSY)
			break;
	}
	record_deletion(recorder, &key);
}

static int record_granted(struct dataplane_recorder *recorder, const struct cgn_map_request *request)
{
	struct store_key key = key_of(request);
	int failed = request->created ? remember_creation(recorder, request) : 0;

	if (failed)
		return failed;
	if (request->created && request->origin == CGN_MAP && !request->filter_count)
		return record_new(recorder, request);
	return record_standing(recorder, &key);
}

/* ---- operations ---- */

/* After an operation that returned `failed`. */
static int record(struct dataplane_recorder *recorder, const struct cgn_map_request *request, bool only_asks, int failed)
{
	if (failed || request->status != CGN_OK || only_asks || request->lifetime_s == CGN_FOREVER)	/* the configuration has the operator's */
		return failed;
	failed = record_granted(recorder, request);
	if (failed && request->created)
		take_back(recorder, request);
	return failed;
}

static int grant(struct dataplane_recorder *recorder, int (*operation)(void *, struct cgn_map_request *), struct cgn_map_request *request)
{
	bool only_asks = !request->lifetime_s;
	int failed = store_failure(recorder->store);

	if (!failed)
		failed = operation(recorder->source.dataplane, request);
	return record(recorder, request, only_asks, failed);
}

static int recorder_map(void *dataplane, struct cgn_map_request *request)
{
	struct dataplane_recorder *recorder = dataplane;

	return grant(recorder, recorder->source.ops->map, request);
}

static void recorder_map_many(void *dataplane, struct cgn_map_request *requests, int *ret_failed, size_t count)
{
	struct dataplane_recorder *recorder = dataplane;
	int failed = store_failure(recorder->store);
	size_t i;

	if (!failed)
		recorder->source.ops->map_many(recorder->source.dataplane, requests, ret_failed, count);
	for (i = 0; i < count; i++)
		ret_failed[i] = failed ? failed : record(recorder, &requests[i], false, ret_failed[i]);
}

static int recorder_map_filtered(void *dataplane, struct cgn_map_request *request, const struct cgn_filter *filters)
{
	struct dataplane_recorder *recorder = dataplane;
	int failed = store_failure(recorder->store);

	if (!failed)
		failed = recorder->source.ops->map_filtered(recorder->source.dataplane, request, filters);
	return record(recorder, request, false, failed);
}

/* Every port of a set that was made, renewed or ended. */
static int record_set(struct dataplane_recorder *recorder, const struct cgn_map_request *answered, bool is_deletion)
{
	struct cgn_map_request each = *answered;
	struct store_key key;
	uint16_t size = answered->set_size ? answered->set_size : 1, i;
	int failed = 0;

	for (i = 0; i < size && !failed; i++) {
		each.internal.port = (uint16_t)((answered->set_size ? answered->set_first : answered->internal.port) + i);
		key = key_of(&each);
		if (answered->created)
			failed = remember_creation(recorder, &each);
		if (!failed)
			failed = is_deletion ? record_deletion(recorder, &key) : record_standing(recorder, &key);
	}
	return failed;
}

static int recorder_set(void *dataplane, struct cgn_map_request *request, const struct cgn_filter *filters)
{
	struct dataplane_recorder *recorder = dataplane;
	bool is_deletion = !request->lifetime_s;
	int failed = store_failure(recorder->store);

	if (!failed)
		failed = recorder->source.ops->set(recorder->source.dataplane, request, filters);
	return failed || request->status != CGN_OK ? failed : record_set(recorder, request, is_deletion);
}

static int recorder_peer(void *dataplane, struct cgn_map_request *request)
{
	struct dataplane_recorder *recorder = dataplane;

	return grant(recorder, recorder->source.ops->peer, request);
}

static int recorder_delete(void *dataplane, struct cgn_map_request *request)
{
	struct dataplane_recorder *recorder = dataplane;
	struct store_key key = key_of(request);
	int failed = store_failure(recorder->store);

	if (!failed)
		failed = recorder->source.ops->delete(recorder->source.dataplane, request);
	return failed || request->status != CGN_OK ? failed : record_deletion(recorder, &key);
}

static int recorder_describe(void *dataplane, struct cgn_describe_request *request)
{
	struct dataplane_recorder *recorder = dataplane;
	struct store_key key = { .internal = request->key.internal, .opcode = request->key.opcode };
	int failed = store_failure(recorder->store);

	memcpy(key.remote6, request->remote6, sizeof(key.remote6));
	key.remote_port = request->remote_port;
	if (!failed)
		failed = recorder->source.ops->describe(recorder->source.dataplane, request);
	return failed || request->status != CGN_OK ? failed : record_standing(recorder, &key);
}

bool dataplane_recorder_note(struct dataplane_recorder *recorder, const struct store_key *key)
{
	if (recorder->source.read(recorder->source.dataplane, recorder->store, key, &recorder->record))
		return !store_put(recorder->store, &recorder->record.record);
	return !record_deletion(recorder, key);
}

/* ---- those that change nothing that was promised ---- */

static int recorder_list(void *dataplane, const struct cgn_subscriber_key *subscriber, struct cgn_listed *ret_listed, size_t max)
{
	const struct recorder_source *source = &((struct dataplane_recorder *)dataplane)->source;

	return source->ops->list(source->dataplane, subscriber, ret_listed, max);
}

static bool recorder_details(void *dataplane, const struct cgn_listed *listed, struct cgn_explicit *ret_details)
{
	const struct recorder_source *source = &((struct dataplane_recorder *)dataplane)->source;

	return source->ops->details(source->dataplane, listed, ret_details);
}

static bool recorder_description(void *dataplane, const struct cgn_listed *listed, struct cgn_description *ret_description)
{
	const struct recorder_source *source = &((struct dataplane_recorder *)dataplane)->source;

	return source->ops->description(source->dataplane, listed, ret_description);
}

static bool recorder_filters(void *dataplane, const struct cgn_listed *listed, struct cgn_filters *ret_filters)
{
	const struct recorder_source *source = &((struct dataplane_recorder *)dataplane)->source;

	return source->ops->filters(source->dataplane, listed, ret_filters);
}

static int recorder_pair(void *dataplane, struct cgn_pair_request *request)
{
	const struct recorder_source *source = &((struct dataplane_recorder *)dataplane)->source;

	return source->ops->pair(source->dataplane, request);
}

static bool recorder_find(void *dataplane, const struct cgn_internal *internal, struct cgn_mapping *ret_mapping)
{
	const struct recorder_source *source = &((struct dataplane_recorder *)dataplane)->source;

	return source->ops->find(source->dataplane, internal, ret_mapping);
}

static int recorder_list_internals(void *dataplane, const struct cgn_subscriber_key *subscriber, __u32 origins,
				   struct cgn_internal **ret_internals)
{
	const struct recorder_source *source = &((struct dataplane_recorder *)dataplane)->source;

	return source->ops->list_internals(source->dataplane, subscriber, origins, ret_internals);
}

const struct dataplane_ops dataplane_recorder_ops = {
	.map = recorder_map, .map_many = recorder_map_many, .map_filtered = recorder_map_filtered, .set = recorder_set, .peer = recorder_peer, .delete = recorder_delete, .describe = recorder_describe,
	.list = recorder_list, .details = recorder_details, .pair = recorder_pair, .find = recorder_find,
	.list_internals = recorder_list_internals, .description = recorder_description, .filters = recorder_filters,
};

/* One more operation would be one that nobody records: it belongs above. */
_Static_assert(sizeof(struct dataplane_ops) == 14 * sizeof(void (*)(void)), "dataplane_ops has an operation that is not recorded");

/* ---- committing ---- */

bool dataplane_recorder_commit_begin(void *context)
{
	struct dataplane_recorder *recorder = context;

	if (!store_commit_begin(recorder->store))
		recorder->created_count = 0;
	recorder->begun_count = recorder->created_count;
	return store_is_writing(recorder->store);
}

/* They may be told of now. */
static void forget_begun(struct dataplane_recorder *recorder)
{
	size_t i;

	for (i = recorder->begun_count; i < recorder->created_count; i++)
		recorder->created[i - recorder->begun_count] = recorder->created[i];
	recorder->created_count -= recorder->begun_count;
}

/* What was decided since stands on what failed: both go, the youngest first. */
bool dataplane_recorder_commit_end(void *context)
{
	struct dataplane_recorder *recorder = context;
	int failed = store_commit_end(recorder->store);

	while (failed && recorder->created_count)
		take_back(recorder, &recorder->created[--recorder->created_count]);
	if (!failed)
		forget_begun(recorder);
	recorder->begun_count = 0;
	return !failed;
}

struct dataplane_recorder *dataplane_recorder_new(const struct recorder_source *source, struct store *store)
{
	struct dataplane_recorder *recorder = calloc(1, sizeof(*recorder));

	if (!recorder)
		return NULL;
	recorder->source = *source;
	recorder->store = store;
	return recorder;
}

void dataplane_recorder_free(struct dataplane_recorder *recorder)
{
	if (!recorder)
		return;
	free(recorder->created);
	free(recorder);
}
