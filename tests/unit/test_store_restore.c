/* SPDX-License-Identifier: GPL-2.0-only */
/* From requests through the recorder into the store, and after the loss of all maps from the store back: over the model. */
#include "dataplane_recorder.h"
#include "explicit_record.h"
#include "model_dataplane.h"
#include "slow_disk.h"
#include "store_fixture.h"
#include "store_restore.h"

struct machine {	/* one boot */
	struct model model;
	struct store *store;
	struct dataplane_recorder *recorder;
};

/* As dataplane_recorder_read() does over the maps. */
static bool model_read(void *dataplane, const struct store *store, const struct store_key *key, struct explicit_record *ret_record)
{
	struct model_mapping *mapping = model_find(dataplane, &key->internal);
	struct store_record *record = &ret_record->record;
	struct writer w;
	unsigned i;

	if (!mapping)
		return false;
	memset(record, 0, sizeof(*record));
	record->kind = STORE_GRANT;
	record->key = *key;
	record->expires_s = store_from_boot_s(store, mapping->expires_s);
	memcpy(record->nonce, mapping->nonce, CGN_NONCE_LEN);
	for (i = 0; i < mapping->peer_count && key->opcode == CGN_PEER; i++)
		if (mapping->peer[i].remote_port == key->remote_port) {
			record->expires_s = store_from_boot_s(store, mapping->peer[i].expires_s);
			memcpy(record->nonce, mapping->peer[i].nonce, CGN_NONCE_LEN);
		}
	memset(record->client6 + 10, 0xff, 2);
	memcpy(record->external4, mapping->external.addr4, 4);
	record->external_port = mapping->external.port;
	writer_init(&w, ret_record->attributes, sizeof(ret_record->attributes));
	if (mapping->description.length && key->opcode == CGN_MAP)
		store_attribute_encode(&w, EXPLICIT_DESCRIPTION, mapping->description.text, mapping->description.length);
	record->attributes_len = writer_len(&w);
	record->attributes = ret_record->attributes;
	return true;
}

static void power_on(struct machine *machine, enum store_origin expected)
{
	struct recorder_source source = { &model_ops, &machine->model, model_read };

	model_init(&machine->model, (uint32_t)(fixture_clocks.boot_ms / 1000));
	machine->store = fixture_open(expected);
	machine->recorder = dataplane_recorder_new(&source, machine->store);
	assert_non_null(machine->recorder);
}

/* The maps go, and with them what was not committed; `seconds` pass until it runs again. */
static void reboot(struct machine *machine, unsigned seconds, struct store_restored *ret_restored)
{
	static char name[16];
	static unsigned boots = 1;

	dataplane_recorder_free(machine->recorder);
	store_close(machine->store);
	snprintf(name, sizeof(name), "boot-%u", ++boots);
	fixture_boot = name;
	fixture_clocks.boot_ms = 30000 + boots;
	fixture_clocks.wall_ms += seconds * 1000;
	power_on(machine, STORE_ADOPTED);
	assert_int_equal(store_restore(machine->store, &model_ops, &machine->model, ret_restored), 0);
}

static void power_off(struct machine *machine)
{
	dataplane_recorder_free(machine->recorder);
	store_close(machine->store);
}

static struct cgn_map_request request_of(unsigned host, uint16_t port, uint32_t lifetime_s)
{
	struct cgn_map_request request = { .internal = { .addr4 = { 198, 51, 100, (uint8_t)host }, .port = port, .protocol = 17 },
		.lifetime_s = lifetime_s, .origin = CGN_MAP, .client_port = 5000, .client6 = { [10] = 0xff, 0xff, 198, 51, 100, (uint8_t)host } };

	memset(request.nonce, (int)(host + port), sizeof(request.nonce));
	return request;
}

static void map(struct machine *machine, struct cgn_map_request request)
{
	assert_int_equal(dataplane_recorder_ops.map(machine->recorder, &request), 0);
	assert_int_equal(request.status, CGN_OK);
}

static void delete(struct machine *machine, struct cgn_map_request request)
{
	assert_int_equal(dataplane_recorder_ops.delete(machine->recorder, &request), 0);
	assert_int_equal(request.status, CGN_OK);
}

static void describe(struct machine *machine, const struct cgn_map_request *request, const char *text)
{
	struct cgn_describe_request describe = { .key = { .internal = request->internal, .opcode = CGN_MAP } };

	describe.description.length = (__u16)strlen(text);
	memcpy(describe.description.text, text, strlen(text));
	assert_int_equal(dataplane_recorder_ops.describe(machine->recorder, &describe), 0);
	assert_int_equal(describe.status, CGN_OK);
}

static bool is_committed(struct machine *machine)
{
	return !dataplane_recorder_commit_begin(machine->recorder) || dataplane_recorder_commit_end(machine->recorder);
}

static void commit(struct machine *machine)
{
	assert_true(is_committed(machine));
}

static void everything_comes_back(void **state)
{
	struct cgn_map_request renewed = request_of(2, 1000, 600), deleted = request_of(2, 1001, 600), short_lived = request_of(3, 1000, 60),
		suggested = request_of(3, 1001, 3600), peer = request_of(4, 1000, 500);
	struct store_record epoch = { .kind = STORE_EPOCH, .epoch_base_s = 1700000000, .epoch_reason = CGN_EPOCH_CLEARED };
	struct store_restored restored;
	struct machine machine;
	struct model before;
	unsigned i;

	(void)state;
	power_on(&machine, STORE_CREATED);
	map(&machine, renewed);
	map(&machine, deleted);
	commit(&machine);
	map(&machine, short_lived);
	suggested.suggested = (struct cgn_external){ .port = 1050, .protocol = 17 };
	map(&machine, suggested);
	describe(&machine, &renewed, "first name");
	describe(&machine, &suggested, "name");
	delete(&machine, deleted);
	peer.origin = CGN_PEER;
	peer.remote_port = 443;
	peer.remote6[15] = 9;
	assert_int_equal(dataplane_recorder_ops.peer(machine.recorder, &peer), 0);
	assert_int_equal(peer.status, CGN_OK);
	commit(&machine);
	renewed.lifetime_s = 1200;
	map(&machine, renewed);		/* keeps its name */
	commit(&machine);
	for (i = 0; i < 3; i++) {	/* the last one counts */
		epoch.epoch_base_s += i;
		fixture_put(machine.store, &epoch);
	}
	commit(&machine);
	map(&machine, request_of(5, 1000, 600));	/* neither committed nor answered */
	before = machine.model;
	reboot(&machine, 100, &restored);
	assert_int_equal(restored.restored, 3);
	assert_int_equal(restored.expired, 1);
	assert_int_equal(restored.lost, 0);
	assert_int_equal(restored.superseded, 0);
	assert_int_equal(machine.model.count, 3);
	for (i = 0; i < machine.model.count; i++) {
		const struct model_mapping *now = &machine.model.mapping[i], *then = model_find(&before, &now->internal);

		assert_non_null(then);
		assert_memory_equal(&now->external, &then->external, sizeof(now->external));
		assert_memory_equal(now->nonce, then->nonce, sizeof(now->nonce));
		assert_int_equal(now->origins, then->origins);
		assert_memory_equal(&now->description, &then->description, sizeof(now->description));
		assert_int_equal(model_remaining_s(&machine.model, now), model_remaining_s(&before, then) - 100);
	}
	assert_int_equal(restored.epoch_count, 1);
	record_equal(restored.epochs, &epoch);
	free(restored.epochs);
	power_off(&machine);
}

/* An endpoint that is not to be had any more is lost once; the second reboot does not lose it again. */
static void lost_is_counted_once(void **state)
{
	struct cgn_map_request request = request_of(2, 1000, 3600);
	struct store_restored restored;
	struct machine machine;

	(void)state;
	power_on(&machine, STORE_CREATED);
	map(&machine, request_of(2, 1001, 3600));
	request.suggested = (struct cgn_external){ .port = 1060, .protocol = 17 };
	map(&machine, request);
	commit(&machine);
	reboot(&machine, 1, &restored);
	assert_int_equal(restored.restored, 2);
	assert_int_equal(machine.model.last.client_port, request.client_port);	/* for Mapping Updates */
	assert_memory_equal(machine.model.last.client6, request.client6, sizeof(request.client6));
	dataplane_recorder_free(machine.recorder);
	store_close(machine.store);
	power_on(&machine, STORE_ADOPTED);
	machine.model.ports = 16;
	assert_int_equal(store_restore(machine.store, &model_ops, &machine.model, &restored), 0);
	assert_int_equal(restored.restored, 1);
	assert_int_equal(restored.lost, 1);
	commit(&machine);
	reboot(&machine, 1, &restored);
	assert_int_equal(restored.restored, 1);
	assert_int_equal(restored.lost, 0);
	power_off(&machine);
}

/* An attribute of a version to come was part of what was promised. */
static void unknown_attribute_is_a_loss(void **state)
{
	struct store_record record = fixture_grant(1);
	struct store_restored restored;
	struct machine machine;
	uint8_t attributes[8];
	struct writer w;

	(void)state;
	power_on(&machine, STORE_CREATED);
	writer_init(&w, attributes, sizeof(attributes));
	store_attribute_encode(&w, 200, "x", 1);
	record.key.internal = request_of(2, 1000, 1).internal;
	memcpy(record.external4, model_pool, 4);
	record.attributes = attributes;
	record.attributes_len = writer_len(&w);
	fixture_put(machine.store, &record);
	assert_int_equal(store_commit(machine.store), 0);
	reboot(&machine, 1, &restored);
	assert_int_equal(restored.lost, 1);
	power_off(&machine);
}

/* Under a relaxed nonce policy whoever renews does not become the owner. */
static void kept_nonce_is_recorded(void **state)
{
	struct cgn_map_request request = request_of(2, 1000, 3600), other = request;
	struct store_restored restored;
	struct machine machine;

	(void)state;
	power_on(&machine, STORE_CREATED);
	map(&machine, request);
	memset(other.nonce, 0xee, sizeof(other.nonce));
	other.nonce_policy = CGN_NONCE_OFF;
	map(&machine, other);
	commit(&machine);
	reboot(&machine, 1, &restored);
	assert_int_equal(restored.restored, 1);
	assert_memory_equal(machine.model.mapping[0].nonce, request.nonce, sizeof(request.nonce));
	power_off(&machine);
}

static void statics_are_not_recorded(void **state)
{
	struct cgn_map_request request = request_of(2, 1000, 3600);
	struct store_restored restored;
	struct machine machine;

	(void)state;
	power_on(&machine, STORE_CREATED);
	model_add(&machine.model, &request.internal, 1040, CGN_STATIC);
	map(&machine, request);
	commit(&machine);
	reboot(&machine, 1, &restored);
	assert_int_equal(restored.restored + restored.lost + restored.expired, 0);
	power_off(&machine);
}

/* What cannot be made durable is not promised: created mappings go again, and everything is refused until the disk has room. */
static void full_disk_refuses(void **state)
{
	struct cgn_map_request kept = request_of(2, 1000, 3600), request = request_of(2, 1001, 3600);
	struct cgn_map_request peer = request_of(2, 1003, 3600), joined = request_of(2, 1000, 3600);
	struct cgn_describe_request text = { .key = { .internal = kept.internal, .opcode = CGN_MAP } };
	struct store_restored restored;
	struct machine machine;

	(void)state;
	power_on(&machine, STORE_CREATED);
	map(&machine, kept);
	commit(&machine);
	peer.origin = joined.origin = CGN_PEER;
	peer.remote_port = joined.remote_port = 443;
	disk_set_full(true);
	map(&machine, request);
	assert_int_equal(dataplane_recorder_ops.peer(machine.recorder, &peer), 0);
	assert_int_equal(dataplane_recorder_ops.peer(machine.recorder, &joined), 0);
	assert_true(peer.status == CGN_OK && joined.status == CGN_OK && machine.model.count == 3);
	assert_false(is_committed(&machine));
	assert_int_equal(machine.model.count, 1);
	assert_int_equal(model_find(&machine.model, &kept.internal)->origins, CGN_MAP);
	assert_int_not_equal(dataplane_recorder_ops.map(machine.recorder, &request), 0);
	assert_int_not_equal(dataplane_recorder_ops.peer(machine.recorder, &request), 0);
	assert_int_not_equal(dataplane_recorder_ops.delete(machine.recorder, &kept), 0);
	assert_int_not_equal(dataplane_recorder_ops.describe(machine.recorder, &text), 0);
	assert_int_equal(machine.model.count, 1);
	disk_set_full(false);
	assert_int_equal(store_tick(machine.store), 0);
	map(&machine, request_of(2, 1002, 3600));
	commit(&machine);
	reboot(&machine, 1, &restored);
	assert_int_equal(restored.restored, 2);
	assert_null(model_find(&machine.model, &request.internal));
	power_off(&machine);
}

/* What was decided on top of a commit that fails goes with it; what was durable before stands. */
static void failure_takes_along_what_came_after(void **state)
{
	struct cgn_map_request first = request_of(2, 1000, 3600), second = request_of(2, 1001, 3600), third = request_of(2, 1002, 3600);
	struct store_restored restored;
	struct machine machine;

	(void)state;
	power_on(&machine, STORE_CREATED);
	map(&machine, first);
	assert_true(dataplane_recorder_commit_begin(machine.recorder));
	map(&machine, second);
	assert_true(dataplane_recorder_commit_end(machine.recorder));
	disk_set_full(true);
	assert_true(dataplane_recorder_commit_begin(machine.recorder));
	map(&machine, third);
	delete(&machine, second);	/* made by what fails, and made again by another */
	second.nonce[0]++;
	map(&machine, second);
	assert_int_equal(machine.model.count, 3);
	assert_false(dataplane_recorder_commit_end(machine.recorder));
	assert_int_equal(machine.model.count, 1);
	assert_non_null(model_find(&machine.model, &first.internal));
	assert_int_not_equal(dataplane_recorder_ops.map(machine.recorder, &third), 0);
	disk_set_full(false);
	commit(&machine);
	map(&machine, third);
	commit(&machine);
	reboot(&machine, 1, &restored);
	assert_int_equal(restored.restored, 2);
	assert_null(model_find(&machine.model, &second.internal));
	power_off(&machine);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, store_fixture_up, store_fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(everything_comes_back), CASE(lost_is_counted_once), CASE(unknown_attribute_is_a_loss), CASE(kept_nonce_is_recorded),
		CASE(statics_are_not_recorded), CASE(full_disk_refuses),
		CASE(failure_takes_along_what_came_after),
	};

	return cmocka_run_group_tests_name("store_restore", tests, NULL, NULL);
}
