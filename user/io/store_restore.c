/* SPDX-License-Identifier: GPL-2.0-only */
#include "dataplane_ops.h"
#include "explicit_record.h"
#include "store.h"
#include "store_image.h"
#include "store_restore.h"

#define RESTORE_TRIES 8		/* CGN_BUSY: a packet changed the same endpoint */

static bool ask(const struct dataplane_ops *ops, void *dataplane, const struct cgn_map_request *question)
{
	int (*grant)(void *, struct cgn_map_request *) = question->origin == CGN_PEER ? ops->peer : ops->map;
	struct cgn_map_request request;
	int tries;

	for (tries = 0; tries < RESTORE_TRIES; tries++) {
		request = *question;
		if (grant(dataplane, &request))
			return false;
		if (request.status != CGN_BUSY)
			return request.status == CGN_OK;
	}
	return false;
}

static bool restore_one(const struct store_record *record, uint32_t lifetime_s, const struct dataplane_ops *ops, void *dataplane)
{
	struct cgn_map_request request;

	explicit_record_request(record, lifetime_s, &request);
	return ask(ops, dataplane, &request) && explicit_record_apply(record, ops, dataplane);
}

int store_restore(struct store *store, const struct dataplane_ops *ops, void *dataplane, struct store_restored *ret_restored)
{
	struct store_restored restored = { 0 };
	uint64_t now_s = store_now_s(store);
	struct store_record record, deletion;
	struct store_image *image;
	int failed;

	failed = store_image_new(store, &image);
	while (!failed && store_image_next(image, &record)) {
		if (record.expires_s <= now_s) {
			restored.expired++;
		} else if (restore_one(&record, (uint32_t)(record.expires_s - now_s), ops, dataplane)) {
			restored.restored++;
		} else {
			restored.lost++;
			deletion = (struct store_record){ .kind = STORE_DELETION, .key = record.key };
			failed = store_put(store, &deletion);
		}
	}
	if (failed)
		return failed;
	restored.superseded = (uint32_t)store_image_superseded(image);
	store_image_free(image);
	*ret_restored = restored;
	return 0;
}
