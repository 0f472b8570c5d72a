/* SPDX-License-Identifier: GPL-2.0-only */
/* How it is: from the tables what they know, from the daemon what only it knows. */
#include <stdlib.h>
#include "block_walk.h"
#include "control_client.h"
#include "table_walk.h"
#include "xcgnctl.h"
#include "xcgnctl_text.h"

struct totals { uint64_t explicit_mappings, mappings, blocks; };

static const char *reason_name(uint32_t reason)
{
	static const char *const names[] = {
		[CGN_EPOCH_FIRST_START] = "first-start", [CGN_EPOCH_REBOOT] = "reboot", [CGN_EPOCH_PURGED] = "purged",
		[CGN_EPOCH_STATE_LOST] = "state-lost", [CGN_EPOCH_CLEARED] = "cleared",
	};

	return reason < sizeof(names) / sizeof(*names) ? names[reason] : "unknown";
}

/* From the bitmaps of the owned blocks. */
static bool count_totals(const struct tables *tables, struct totals *ret_totals)
{
	struct totals totals = {};
	struct table_block *blocks;
	int count = table_blocks(tables, TABLE_SUBSCRIBER | TABLE_OPERATOR, NULL, &blocks), i;
	unsigned protocol;

	if (count < 0)
		return false;
	for (i = 0; i < count; i++) {
		const struct cgn_block *block = &tables->blocks[blocks[i].index];

		for (protocol = 0; protocol < CGN_PROTOCOLS; protocol++) {
			totals.mappings += block_used(block, blocks[i].words, protocol);
			totals.explicit_mappings += block_explicit(block, blocks[i].words, protocol);
		}
	}
	totals.blocks = (uint64_t)count;
	if (totals.mappings < totals.explicit_mappings)	/* one came between the two counts */
		totals.mappings = totals.explicit_mappings;
	free(blocks);
	*ret_totals = totals;
	return true;
}

/* Names of the interfaces with our program, in the network namespace where we run. */
static json_t *list_attached(const struct config *config)
{
	json_t *names = json_array();
	unsigned i;

	for (i = 0; i < config->interfaces_count; i++)
		if (dataplane_is_attached(config, &config->interfaces[i]))
			json_array_append_new(names, json_string(config->interfaces[i].name));
	return names;
}

/* What the daemon said, or the same members without it. */
static void add_daemon(json_t *status, json_t *reply)
{
	static const char *const members[] = { "pid", "uptime", "pcp", "fragments", "store", "log" };
	json_t *value;
	size_t i;

	for (i = 0; i < sizeof(members) / sizeof(*members); i++) {
		value = json_object_get(reply, members[i]);
		if (value)
			json_object_set(status, members[i], value);
		else
			json_object_set_new(status, members[i], json_null());
	}
}

static json_t *describe(const struct xcgnctl *ctl, const struct cgn_meta *meta, json_t *reply)
{
	struct tables tables = tables_of(ctl->dp);
	struct totals totals;
	json_t *status;

	if (!count_totals(&tables, &totals))
		return NULL;
	status = json_pack("{s:I, s:s, s:I, s:{s:I, s:I, s:I}, s:{s:I, s:I}, s:o}",
			   "epoch", (json_int_t)(dataplane_now_s() - meta->epoch_base_s),
			   "epoch_reset_reason", reason_name(meta->epoch_reason),
			   "epoch_reset", (json_int_t)meta->epoch_base_unix,
			   "mappings", "explicit", (json_int_t)totals.explicit_mappings,
			   "implicit", (json_int_t)(totals.mappings - totals.explicit_mappings), "limit", (json_int_t)meta->mappings_max,
			   "blocks", "used", (json_int_t)totals.blocks, "total", (json_int_t)meta->block_count,
			   "attached", list_attached(ctl->config));
	if (status)
		add_daemon(status, reply);
	return status;
}

int xcgnctl_status(struct xcgnctl *ctl)
{
	struct output output = { .is_json = ctl->is_json };
	json_t *request = json_pack("{s:s}", "command", "status"), *reply = NULL, *status;
	struct dataplane_error error = {};
	struct cgn_meta meta;
	int code;

	if (!dataplane_meta(ctl->dp, &meta))
		return xcgnctl_fail(&(struct dataplane_error){ EXIT_KERNEL, "meta: cannot read the pinned map" });
	if (!request)
		return xcgnctl_fail_memory();
	control_ask(ctl->config->control, request, &reply, &error);
	status = describe(ctl, &meta, reply);
	json_decref(request);
	json_decref(reply);
	if (!output_record(&output, status))
		return EXIT_KERNEL;
	code = output_finish(&output);
	return code || !error.code ? code : xcgnctl_fail(&error);
}
