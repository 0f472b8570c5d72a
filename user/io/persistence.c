/* SPDX-License-Identifier: GPL-2.0-only */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "block_record.h"
#include "config.h"
#include "dataplane.h"
#include "dataplane_recorder.h"
#include "event_loop.h"
#include "log.h"
#include "pcp_codec.h"
#include "pcp_service.h"
#include "persistence.h"
#include "store.h"
#include "store_record.h"
#include "store_restore.h"
#include "store_snapshot.h"

#define TICK_S	1.0
#define SLICE_S	0.002	/* between slices of a snapshot: requests come first */

struct persistence {
	struct dataplane *dp;
	struct store *store;
	struct dataplane_recorder *recorder;
	struct store_snapshot *snapshot;
	struct block_recorder *blocks;
	struct store_restored restored;
	struct ev_loop *loop;
	struct ev_timer timer;
	bool is_bound;		/* `meta` names the store */
	bool was_failing;
	double looked_s;	/* when `blocks` last looked */
};

const struct dataplane_ops *const persistence_ops = &dataplane_recorder_ops;

/* ---- the Epoch ---- */

static uint32_t epoch_s(const struct cgn_meta *meta)
{
	return dataplane_now_s() - meta->epoch_base_s;
}

static void state_set_epoch(struct persistence *persistence, uint32_t epoch, enum cgn_epoch_reason reason)
{
	struct store_state state = store_state(persistence->store);

	state.epoch_base_s = store_now_s(persistence->store) - epoch;
	state.epoch_reason = reason;
	store_set_state(persistence->store, &state);
}

/* Names the store in the maps, once it has what they promised. Maps that name none have never been served from. */
static void bind_store(struct persistence *persistence)
{
	if (!persistence->is_bound)
		persistence->is_bound = dataplane_bind_store(persistence->dp, store_state(persistence->store).id);
}

bool persistence_reset_epoch(struct persistence *persistence, enum cgn_epoch_reason reason)
{
	struct store_state before = store_state(persistence->store);

	state_set_epoch(persistence, 0, reason);
	if (!store_commit(persistence->store))
		return dataplane_set_epoch(persistence->dp, dataplane_now_s(), reason);
	store_set_state(persistence->store, &before);
	return false;
}

bool persistence_reset_epoch_of(struct persistence *persistence, const uint8_t client6[16], uint32_t now_s, enum cgn_epoch_reason reason)
{
	struct store_record record = { .kind = STORE_EPOCH, .epoch_base_s = store_from_boot_s(persistence->store, now_s),
		.epoch_reason = reason };

	memcpy(record.key.internal.host6, client6, sizeof(record.key.internal.host6));
	return !store_failure(persistence->store) && !store_put(persistence->store, &record) &&
	       dataplane_set_epoch_of(persistence->dp, client6, now_s, reason);
}

/* ---- start ---- */

static void log_opening(const struct config *config, const struct store_report *report)
{
	switch (report->origin) {
	case STORE_CREATED:
		log_info("%s: new stable storage", config->state_dir);
		break;
	case STORE_RECREATED:
		log_warning("%s: stable storage is gone; a new one is made", config->state_dir);
		break;
	case STORE_SET_ASIDE:
		log_error("%s: stable storage cannot be used: %s; kept as %s, a new one is made", config->state_dir, report->why,
			  report->set_aside);
		break;
	default:
		break;
	}
	if (report->wall_clock_stepped_back)
		log_warning("the wall clock is before the last entry of %s: the time spent down is unknown, lifetimes and Epoch go on "
			    "as if it were none", config->state_dir);
}

/* The maps lived on. What they promised is in the store they name; any other store knows nothing of them. */
static void adopt(struct persistence *persistence, const struct store_report *report, const struct cgn_meta *meta)
{
	struct store_state state = store_state(persistence->store);

	persistence->is_bound = report->origin == STORE_ADOPTED && state.id == meta->store_id;
	if (!persistence->is_bound) {
		if (report->origin == STORE_ADOPTED)
			log_warning("stable storage is not that of the pinned maps: it is written anew from them");
		store_begin_anew(persistence->store);
		state = store_state(persistence->store);
		state.is_complete = false;
	}
	state.is_purged = false;
	store_set_state(persistence->store, &state);
	state_set_epoch(persistence, epoch_s(meta), (enum cgn_epoch_reason)meta->epoch_reason);
	store_snapshot_begin(persistence->snapshot);
}

/* Is something that was acknowledged lost, and why? */
static bool is_state_lost(const struct persistence *persistence, const struct store_report *report, enum cgn_epoch_reason *ret_reason)
{
	struct store_state state = store_state(persistence->store);

	*ret_reason = CGN_EPOCH_STATE_LOST;
	switch (report->origin) {
	case STORE_CREATED:
		*ret_reason = CGN_EPOCH_FIRST_START;
		return true;
	case STORE_RECREATED:
		*ret_reason = CGN_EPOCH_REBOOT;
		return true;
	case STORE_SET_ASIDE:
		return true;
	default:
		break;
	}
	if (state.is_purged)
		*ret_reason = CGN_EPOCH_PURGED;
	return state.is_purged || !state.is_complete || persistence->restored.lost;
}

static void log_restored(const struct store_restored *restored, const struct store_report *report, double took_s)
{
	if (report->origin == STORE_ADOPTED)
		log_info("restored %u explicit mappings and %u port blocks in %.1f s after %" PRIu64 " s down; %u expired meanwhile, "
			 "%u had ended before", restored->restored, restored->blocks_owned, took_s, report->down_s, restored->expired,
			 restored->superseded);
	if (restored->lost)
		log_error("%u explicit mappings could not be restored: their external endpoints are no longer to be had", restored->lost);
}

static double monotonic_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Those of single clients, as far as they are younger than that of all. */
static bool restore_epochs(struct persistence *persistence, uint32_t epoch)
{
	struct store_restored *restored = &persistence->restored;
	uint64_t now_s = store_now_s(persistence->store);
	bool done = true;
	uint32_t i;

	for (i = 0; i < restored->epoch_count && done; i++) {
		const struct store_record *record = &restored->epochs[i];
		uint32_t age_s = (uint32_t)(now_s - record->epoch_base_s);

		if (age_s < epoch)
			done = dataplane_set_epoch_of(persistence->dp, record->key.internal.host6, dataplane_now_s() - age_s,
						      (enum cgn_epoch_reason)record->epoch_reason);
	}
	free(restored->epochs);
	restored->epochs = NULL;
	return done;
}

static void restore_blocks(struct persistence *persistence)
{
	struct store_restored *restored = &persistence->restored;

	restored->blocks_owned = block_record_restore(persistence->dp, persistence->store, restored->blocks, restored->block_count);
	free(restored->blocks);
	restored->blocks = NULL;
}

/* The maps are empty: what the store has comes back, and with all of it the Epoch. */
static bool restore(struct persistence *persistence, const struct store_report *report, struct dataplane_error *error)
{
	struct store_state state = store_state(persistence->store);
	double began_s = monotonic_s();
	enum cgn_epoch_reason reason;
	uint32_t epoch = 0;
	int failed;

	failed = store_restore(persistence->store, &dataplane_bpf_ops, persistence->dp, &persistence->restored);
	if (failed) {
		error->code = DATAPLANE_STATE;
		snprintf(error->text, sizeof(error->text), "stable storage cannot be read: %s", store_strerror(failed));
		return false;
	}
	restore_blocks(persistence);
	log_restored(&persistence->restored, report, monotonic_s() - began_s);
	if (!is_state_lost(persistence, report, &reason)) {
		reason = (enum cgn_epoch_reason)state.epoch_reason;
		epoch = (uint32_t)(store_now_s(persistence->store) - state.epoch_base_s);
	}
	if (!restore_epochs(persistence, epoch)) {
		reason = CGN_EPOCH_STATE_LOST;
		epoch = 0;
	}
	state.is_complete = true;	/* what is lost is said to be lost, by the Epoch */
	state.is_purged = false;
	store_set_state(persistence->store, &state);
	state_set_epoch(persistence, epoch, reason);
	if (report->origin == STORE_ADOPTED)
		store_snapshot_begin(persistence->snapshot);
	if (dataplane_set_epoch(persistence->dp, dataplane_now_s() - epoch, reason))
		return true;
	error->code = DATAPLANE_KERNEL;
	snprintf(error->text, sizeof(error->text), "meta: cannot write the Epoch");
	return false;
}

static void note_failure(struct persistence *persistence)
{
	int failed = store_failure(persistence->store);

	if (failed && !persistence->was_failing)
		log_error("stable storage cannot be written: %s; mappings are neither made, renewed nor deleted until it can", store_strerror(failed));
	if (!failed && persistence->was_failing)
		log_info("stable storage can be written again");
	persistence->was_failing = failed;
}

/* `meta`: NULL if the maps are fresh. */
static bool start(struct persistence *persistence, const struct store_report *report, const struct cgn_meta *meta,
		  struct dataplane_error *error)
{
	if (meta)
		adopt(persistence, report, meta);
	else if (!restore(persistence, report, error))
		return false;
	if (store_snapshot_is_running(persistence->snapshot))	/* which writes them all */
		block_recorder_adopt(persistence->blocks);
	/* a store that was theirs before has all that matters: the rest goes with the first answer, or the first look */
	if (persistence->is_bound)
		return true;
	/* fresh maps have promised nothing yet, and will not before a commit succeeds: packets need not wait for that */
	if (!store_commit(persistence->store) || !meta)
		bind_store(persistence);
	note_failure(persistence);
	return true;
}

static bool open_parts(struct persistence *persistence, const struct config *config, bool is_fresh, struct dataplane_error *error)
{
	struct store_options options = { .directory = config->state_dir, .mappings_max = config->mappings_max };
	struct recorder_source source = { &dataplane_bpf_ops, persistence->dp, dataplane_recorder_read };
	struct store_report report;
	struct cgn_meta meta;

	if (!dataplane_meta(persistence->dp, &meta)) {
		error->code = DATAPLANE_KERNEL;
		snprintf(error->text, sizeof(error->text), "meta: cannot be read");
		return false;
	}
	is_fresh |= !meta.store_id;	/* a start that was cut short has served nobody: it is done again */
	options.will_be_read = is_fresh;
	error->code = DATAPLANE_STATE;
	persistence->store = store_open(&options, &report, error->text, sizeof(error->text));
	if (!persistence->store)
		return false;
	log_opening(config, &report);
	persistence->recorder = dataplane_recorder_new(&source, persistence->store);
	persistence->snapshot = store_snapshot_new(persistence->store, persistence->dp);
	persistence->blocks = block_recorder_new(persistence->dp, persistence->store);
	if (persistence->recorder && persistence->snapshot && persistence->blocks) {
		store_snapshot_set_blocks(persistence->snapshot, persistence->blocks);
		return start(persistence, &report, is_fresh ? NULL : &meta, error);
	}
	error->code = DATAPLANE_KERNEL;
	snprintf(error->text, sizeof(error->text), "out of memory");
	return false;
}

struct persistence *persistence_open(const struct config *config, struct dataplane *dp, bool is_fresh, struct dataplane_error *error)
{
	struct persistence *persistence = calloc(1, sizeof(*persistence));

	if (!persistence) {
		error->code = DATAPLANE_KERNEL;
		snprintf(error->text, sizeof(error->text), "out of memory");
		return NULL;
	}
	persistence->dp = dp;
	if (open_parts(persistence, config, is_fresh, error))
		return persistence;
	persistence_close(persistence);
	return NULL;
}

void persistence_close(struct persistence *persistence)
{
	if (!persistence)
		return;
	if (persistence->loop) {
		ev_timer_stop(persistence->loop, &persistence->timer);
		if (!store_failure(persistence->store) && !block_recorder_update(persistence->blocks))
			store_commit(persistence->store);	/* whose blocks these are when the machine goes down now */
	}
	store_snapshot_free(persistence->snapshot);
	dataplane_recorder_free(persistence->recorder);
	block_recorder_free(persistence->blocks);
	store_close(persistence->store);
	free(persistence);
}

/* ---- running ---- */

void *persistence_ops_context(struct persistence *persistence)
{
	return persistence->recorder;
}

struct pcp_commit persistence_pcp_commit(struct persistence *persistence)
{
	return (struct pcp_commit){ dataplane_recorder_commit_begin, dataplane_recorder_commit_end, persistence->recorder,
		store_done_fd(persistence->store) };
}

bool persistence_commit(struct persistence *persistence)
{
	return !store_commit(persistence->store);
}

bool persistence_record(struct persistence *persistence, const struct cgn_explicit_key *key, const struct cgn_explicit *value)
{
	struct store_key stored = { .internal = key->internal, .opcode = key->opcode };

	if (key->opcode == CGN_PEER) {
		pcp_address_from_ipv4(value->remote4, stored.remote6);
		stored.remote_port = value->remote_port;
	}
	return dataplane_recorder_note(persistence->recorder, &stored);
}

/* Blocks that packets claimed, and those that were given back. False: not yet again. */
static bool look_at_blocks(struct persistence *persistence)
{
	double now_s = monotonic_s();
	int failed;

	if (store_failure(persistence->store) || now_s - persistence->looked_s < TICK_S)
		return false;
	persistence->looked_s = now_s;
	failed = block_recorder_update(persistence->blocks);
	if (failed)
		log_error("cannot record port blocks: %s", store_strerror(failed));
	return true;
}

static void handle_timer(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct persistence *persistence = timer->data;
	bool is_busy, looked;

	(void)events;
	if (!store_failure(persistence->store))
		store_snapshot_slice(persistence->snapshot);
	looked = look_at_blocks(persistence);
	/* requests do not wait for a slice: if they are being committed, their next commit takes it along */
	if ((looked || !persistence->is_bound || !store_is_writing(persistence->store)) && !store_tick(persistence->store))
		bind_store(persistence);
	note_failure(persistence);
	store_snapshot_consider(persistence->snapshot);
	is_busy = !store_failure(persistence->store) &&
		  (store_snapshot_is_running(persistence->snapshot) || store_is_trimming(persistence->store));
	ev_timer_set(timer, is_busy ? SLICE_S : TICK_S, 0.);
	ev_timer_start(loop, timer);
}

void persistence_start(struct persistence *persistence, struct ev_loop *loop)
{
	persistence->loop = loop;
	ev_timer_init(&persistence->timer, handle_timer, TICK_S, 0.);
	persistence->timer.data = persistence;
	ev_timer_start(loop, &persistence->timer);
}

bool persistence_is_clear_of(const struct persistence *persistence, uint32_t address)
{
	return block_recorder_is_clear(persistence->blocks, address);
}

struct persistence_stats persistence_stats(const struct persistence *persistence)
{
	struct store_stats store = store_stats(persistence->store);
	const struct store_restored *restored = &persistence->restored;

	return (struct persistence_stats){ .commits = store.commits, .failures = store.failures, .bytes = store.bytes,
		.is_complete = store_state(persistence->store).is_complete, .is_failing = store_failure(persistence->store),
		.restored = restored->restored, .expired = restored->expired, .superseded = restored->superseded, .lost = restored->lost,
		.blocks = block_recorder_count(persistence->blocks), .blocks_owned = restored->blocks_owned };
}
