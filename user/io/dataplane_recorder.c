/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "dataplane_recorder.h"
#include "store.h"
#include "store_record.h"

struct dataplane_recorder {
	const struct dataplane_ops *ops;
	void *dataplane;
	struct store *store;
	struct cgn_map_request *created;	/* by this batch */
	size_t created_count, created_size;
};

static void key_of(const struct cgn_map_request *request, struct store_key *ret_key)
{
	memset(ret_key, 0, sizeof(*ret_key));
	ret_key->internal = request->internal;
	ret_key->opcode = request->origin;
}

/* The nonce that stands there, which under a relaxed policy is not that of whoever renewed it. */
static void kept_nonce(const struct dataplane_recorder *recorder, const struct cgn_map_request *request, uint8_t ret_nonce[CGN_NONCE_LEN])
{
	struct cgn_listed listed = { .internal = request->internal, .external = request->external };
	struct cgn_explicit details;

	memcpy(ret_nonce, request->nonce, CGN_NONCE_LEN);
	if (request->nonce_policy != CGN_NONCE_STRICT && !request->created && recorder->ops->details(recorder->dataplane, &listed, &details))
		memcpy(ret_nonce, details.nonce, CGN_NONCE_LEN);
}

static int record_grant(struct dataplane_recorder *recorder, const struct cgn_map_request *request)
{
	struct store_record record = {
		.kind = STORE_GRANT,
		.expires_s = store_now_s(recorder->store) + request->lifetime_s,
		.client_port = request->client_port,
		.external_port = request->external.port,
	};

	key_of(request, &record.key);
	kept_nonce(recorder, request, record.nonce);
	memcpy(record.client6, request->client6, sizeof(record.client6));
	memcpy(record.external4, request->external.addr4, sizeof(record.external4));
	return store_put(recorder->store, &record);
}

static int record_deletion(struct dataplane_recorder *recorder, const struct cgn_map_request *request)
{
	struct store_record record = { .kind = STORE_DELETION };

	key_of(request, &record.key);
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

/* Ends a mapping that nobody was told of. */
static void take_back(struct dataplane_recorder *recorder, const struct cgn_map_request *created)
{
	struct cgn_map_request request = *created;
	int tries;

	for (tries = 0; tries < 8; tries++) {
		request.nonce_policy = CGN_NONCE_OFF;
		if (recorder->ops->delete(recorder->dataplane, &request) || request.status != CGN_BUSY)
			break;
	}
	record_deletion(recorder, created);
}

static int recorder_map(void *dataplane, struct cgn_map_request *request)
{
	struct dataplane_recorder *recorder = dataplane;
	int failed = store_failure(recorder->store);

	if (!failed)
		failed = recorder->ops->map(recorder->dataplane, request);
	if (failed || request->status != CGN_OK || request->lifetime_s == CGN_FOREVER)	/* the operator's are in the configuration */
		return failed;
	failed = request->created ? remember_creation(recorder, request) : 0;
	if (!failed)
		failed = record_grant(recorder, request);
	if (failed && request->created)
		take_back(recorder, request);
	return failed;
}

static int recorder_delete(void *dataplane, struct cgn_map_request *request)
{
	struct dataplane_recorder *recorder = dataplane;
	int failed = store_failure(recorder->store);

	if (!failed)
		failed = recorder->ops->delete(recorder->dataplane, request);
	return failed || request->status != CGN_OK ? failed : record_deletion(recorder, request);
}

static int recorder_list(void *dataplane, const struct cgn_subscriber_key *subscriber, struct cgn_listed *ret_listed, size_t max)
{
	struct dataplane_recorder *recorder = dataplane;

	return recorder->ops->list(recorder->dataplane, subscriber, ret_listed, max);
}

static bool recorder_details(void *dataplane, const struct cgn_listed *listed, struct cgn_explicit *ret_details)
{
	struct dataplane_recorder *recorder = dataplane;

	return recorder->ops->details(recorder->dataplane, listed, ret_details);
}

const struct dataplane_ops dataplane_recorder_ops = {
	.map = recorder_map, .delete = recorder_delete, .list = recorder_list, .details = recorder_details,
};

bool dataplane_recorder_commit(void *context)
{
	struct dataplane_recorder *recorder = context;
	int failed = store_commit(recorder->store);

	while (failed && recorder->created_count)
		take_back(recorder, &recorder->created[--recorder->created_count]);
	recorder->created_count = 0;
	return !failed;
}

struct dataplane_recorder *dataplane_recorder_new(const struct dataplane_ops *ops, void *dataplane, struct store *store)
{
	struct dataplane_recorder *recorder = calloc(1, sizeof(*recorder));

	if (!recorder)
		return NULL;
	recorder->ops = ops;
	recorder->dataplane = dataplane;
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
