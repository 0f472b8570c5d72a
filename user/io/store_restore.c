/* SPDX-License-Identifier: GPL-2.0-only */
/* Asking the kernel takes longer than reading the store, so that a long list is shared out to threads: by subscriber, because blocks
 * are claimed for one by one program at a time. Alone afterwards: what was refused, which is asked once more before it is given
 * up, and what has attributes, some of which are handed over in maps that two threads must not write at once. Each thread goes by
 * external endpoints: of neighbours, the port block, its owner and the ports' state are in the processor's cache. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "dataplane_ops.h"
#include "explicit_record.h"
#include "store.h"
#include "store_image.h"
#include "store_restore.h"

#define RESTORE_TRIES	8	/* CGN_BUSY: a packet changed the same endpoint */
#define THREADS_MAX	8
#define SHARE_LEAST	4096	/* grants that are worth a thread */

struct grant {
	const uint8_t *record;
	uint64_t place;		/* its external endpoint */
	uint32_t subscriber;	/* a hash */
};
struct grants { struct grant *grant; size_t count, size; };

struct work {
	const struct grants *grants;
	const struct dataplane_ops *ops;
	void *dataplane;
	uint64_t now_s;
	unsigned share, shares;
	bool is_alone;
	uint32_t restored;
	struct grants left;	/* to be done alone */
	int failed;
};

static int grants_add(struct grants *grants, const struct grant *grant)
{
	size_t size = grants->size ? grants->size * 2 : 1024;
	struct grant *grown;

	if (grants->count == grants->size) {
		grown = realloc(grants->grant, size * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		grants->grant = grown;
		grants->size = size;
	}
	grants->grant[grants->count++] = *grant;
	return 0;
}

static int grant(const struct work *work, struct cgn_map_request *request, const struct cgn_filter *filters)
{
	if (request->origin == CGN_PEER)
		return work->ops->peer(work->dataplane, request);
	return request->filter_count ? work->ops->map_filtered(work->dataplane, request, filters) : work->ops->map(work->dataplane, request);
}

static bool ask(const struct work *work, const struct cgn_map_request *question, const struct cgn_filter *filters)
{
	struct cgn_map_request request;
	int tries;

	for (tries = 0; tries < RESTORE_TRIES; tries++) {
		request = *question;
		if (grant(work, &request, filters))
			return false;
		if (request.status != CGN_BUSY)
			return request.status == CGN_OK;
	}
	return false;
}

static bool restore_one(const struct work *work, const struct store_record *record)
{
	struct cgn_filter filters[CGN_FILTERS_MAX];
	int filter_count = explicit_record_filters(record, filters);
	struct cgn_map_request request;

	if (filter_count < 0)
		return false;
	explicit_record_request(record, (uint32_t)(record->expires_s - work->now_s), &request);
	request.filter_count = (__u8)filter_count;
	request.filter_limit = CGN_FILTERS_MAX;		/* granted before, whatever the configuration says now */
	if (!explicit_record_set(record, &request))
		return false;
	return ask(work, &request, filters) && explicit_record_apply(record, work->ops, work->dataplane);
}

/* Granted in one run of the kernel's program: records of MAPs without attributes. */
struct questions {
	struct cgn_map_request request[CGN_REQUESTS_MAX];
	const struct grant *grant[CGN_REQUESTS_MAX];
	size_t count;
};

static int questions_ask(struct questions *questions, struct work *work)
{
	int refused[CGN_REQUESTS_MAX], failed = 0;
	size_t i;

	work->ops->map_many(work->dataplane, questions->request, refused, questions->count);
	for (i = 0; i < questions->count && !failed; i++) {
		if (!refused[i] && questions->request[i].status == CGN_OK)
			work->restored++;
		else
			failed = grants_add(&work->left, questions->grant[i]);
	}
	questions->count = 0;
	return failed;
}

static int questions_add(struct questions *questions, struct work *work, const struct grant *grant, const struct store_record *record)
{
	explicit_record_request(record, (uint32_t)(record->expires_s - work->now_s), &questions->request[questions->count]);
	questions->grant[questions->count++] = grant;
	return questions->count == CGN_REQUESTS_MAX ? questions_ask(questions, work) : 0;
}

static int compare_places(const void *a, const void *b)
{
	uint64_t x = ((const struct grant *)a)->place, y = ((const struct grant *)b)->place;

	return x < y ? -1 : x > y;
}

/* Of all grants those that are this share's, ordered. */
static int take_share(const struct work *work, struct grants *ret_grants)
{
	const struct grant *grant;
	int failed = 0;
	size_t i;

	for (i = 0; i < work->grants->count && !failed; i++) {
		grant = &work->grants->grant[i];
		if (grant->subscriber % work->shares == work->share)
			failed = grants_add(ret_grants, grant);
	}
	if (ret_grants->count)
		qsort(ret_grants->grant, ret_grants->count, sizeof(*ret_grants->grant), compare_places);
	return failed;
}

static void *do_share(void *argument)
{
	struct questions questions = { .count = 0 };
	struct work *work = argument;
	struct grants grants = { 0 };
	struct store_record record;
	const struct grant *grant;
	size_t i;

	work->failed = take_share(work, &grants);
	for (i = 0; i < grants.count && !work->failed; i++) {
		grant = &grants.grant[i];
		store_record_at(grant->record, &record);
		if (!work->is_alone && !record.attributes_len && record.key.opcode == CGN_MAP)
			work->failed = questions_add(&questions, work, grant, &record);
		else if ((work->is_alone || !record.attributes_len) && restore_one(work, &record))
			work->restored++;
		else
			work->failed = grants_add(&work->left, grant);
	}
	if (questions.count && !work->failed)
		work->failed = questions_ask(&questions, work);
	free(grants.grant);
	return NULL;
}

static unsigned shares_for(size_t count)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	size_t shares = count / SHARE_LEAST;

	if (shares > THREADS_MAX)
		shares = THREADS_MAX;
	if (processors > 0 && shares > (size_t)processors)
		shares = (size_t)processors;
	return shares ? (unsigned)shares : 1;
}

/* All of `grants`, shared out. The last share is this thread's. */
static unsigned do_all(struct work *works, const struct work *all)
{
	unsigned shares = shares_for(all->grants->count), i;
	bool is_running[THREADS_MAX] = { false };
	pthread_t threads[THREADS_MAX];

	for (i = 0; i < shares; i++) {
		works[i] = *all;
		works[i].share = i;
		works[i].shares = shares;
		is_running[i] = i + 1 < shares && !pthread_create(&threads[i], NULL, do_share, &works[i]);
	}
	for (i = 0; i < shares; i++)
		if (!is_running[i])
			do_share(&works[i]);
	for (i = 0; i < shares; i++)
		if (is_running[i])
			pthread_join(threads[i], NULL);
	return shares;
}

static int note_lost(struct store *store, const struct grants *lost)
{
	struct store_record record, deletion;
	int failed = 0;
	size_t i;

	for (i = 0; i < lost->count && !failed; i++) {
		store_record_at(lost->grant[i].record, &record);
		deletion = (struct store_record){ .kind = STORE_DELETION, .key = record.key };
		failed = store_put(store, &deletion);
	}
	return failed;
}

static int restore(struct store *store, const struct work *all, struct store_restored *restored)
{
	struct work works[THREADS_MAX], again;
	unsigned shares = do_all(works, all), i;
	int failed = 0;

	for (i = 0; i < shares; i++) {
		again = *all;
		again.grants = &works[i].left;
		again.shares = 1;
		again.is_alone = true;
		do_share(&again);
		restored->restored += works[i].restored + again.restored;
		restored->lost += (uint32_t)again.left.count;
		if (!failed)
			failed = works[i].failed ? works[i].failed : again.failed;
		if (!failed)
			failed = note_lost(store, &again.left);
		free(works[i].left.grant);
		free(again.left.grant);
	}
	return failed;
}

static struct grant grant_of(const uint8_t *bytes, const struct store_record *record)
{
	const struct cgn_internal *internal = &record->key.internal;
	struct grant grant = { .record = bytes, .subscriber = internal->realm };
	size_t i;

	for (i = 0; i < sizeof(internal->host6); i++)
		grant.subscriber = grant.subscriber * 31 + internal->host6[i];
	for (i = 0; i < sizeof(internal->addr4); i++)
		grant.subscriber = grant.subscriber * 31 + internal->addr4[i];
	for (i = 0; i < sizeof(record->external4); i++)
		grant.place = grant.place << 8 | record->external4[i];
	grant.place = grant.place << 16 | record->external_port;
	return grant;
}

/* Those that still run. */
static int collect(struct store_image *image, uint64_t now_s, struct grants *grants, struct store_restored *restored)
{
	struct store_record record;
	struct grant grant;
	const uint8_t *bytes;
	int failed = 0;

	while (!failed && (bytes = store_image_next(image, &record))) {
		grant = grant_of(bytes, &record);
		if (record.expires_s > now_s)
			failed = grants_add(grants, &grant);
		else
			restored->expired++;
	}
	restored->superseded = (uint32_t)store_image_superseded(image);
	return failed;
}

static int collect_epochs(const struct store_image *image, struct store_restored *restored)
{
	struct store_record *grown;
	const uint8_t *bytes;
	size_t position = 0;

	while ((bytes = store_image_next_of(image, STORE_EPOCH, &position))) {
		grown = realloc(restored->epochs, (restored->epoch_count + 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		restored->epochs = grown;
		store_record_at(bytes, &restored->epochs[restored->epoch_count++]);
	}
	return 0;
}

static void block_from(const struct store_record *record, struct store_block *ret_block)
{
	*ret_block = (struct store_block){ .owner = record->owner, .released_s = record->released_s,
		.first_port = record->key.internal.port, .block_shift = record->block_shift };
	memcpy(ret_block->external4, record->key.internal.addr4, sizeof(ret_block->external4));
}

static int collect_blocks(const struct store_image *image, struct store_restored *restored)
{
	struct store_record record;
	const uint8_t *bytes;
	size_t position = 0, count = 0;

	while (store_image_next_of(image, STORE_BLOCK, &position))
		count++;
	if (!count)
		return 0;
	restored->blocks = calloc(count, sizeof(*restored->blocks));
	if (!restored->blocks)
		return -ENOMEM;
	for (position = 0; (bytes = store_image_next_of(image, STORE_BLOCK, &position)); ) {
		store_record_at(bytes, &record);
		block_from(&record, &restored->blocks[restored->block_count++]);
	}
	return 0;
}

int store_restore(struct store *store, const struct dataplane_ops *ops, void *dataplane, struct store_restored *ret_restored)
{
	struct store_restored restored = { 0 };
	struct grants grants = { 0 };
	struct work all = { .grants = &grants, .ops = ops, .dataplane = dataplane, .now_s = store_now_s(store) };
	struct store_image *image;
	int failed;

	failed = store_image_new(store, &image);
	if (failed)
		return failed;
	failed = collect(image, all.now_s, &grants, &restored);
	if (!failed)
		failed = restore(store, &all, &restored);
	if (!failed)
		failed = collect_epochs(image, &restored);
	if (!failed)
		failed = collect_blocks(image, &restored);
	free(grants.grant);
	store_image_free(image);
	if (failed) {
		free(restored.epochs);
		free(restored.blocks);
	} else {
		*ret_restored = restored;
	}
	return failed;
}
