/* SPDX-License-Identifier: GPL-2.0-only */
/* Who has an external port, or had it: by computation where the configuration says so, by the tables as far as they reach back, then by
 * the audit files. And the other way round: which ports somebody has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "audit_file.h"
#include "config_address.h"
#include "deterministic.h"
#include "log.h"
#include "table_read.h"
#include "table_walk.h"
#include "xcgnctl.h"
#include "xcgnctl_text.h"

static const struct column columns[] = {
	{ "EXTERNAL", "external", -21, false }, { "AT", "at", -20, true }, { "SUBSCRIBER", "subscriber", -15, false },
	{ "PORTS", "ports", -11, false }, { "FROM", "from", -20, true }, { "UNTIL", "until", -20, true },
	{ "LAST-SUBSCRIBER", "last_subscriber", -15, false }, { "SOURCE", "source", -8, false }, {}
};

static const struct column ports_columns[] = {
	{ "SUBSCRIBER", "subscriber", -15, false }, { "ADDRESS", "address", -15, false }, { "PORTS", "ports", -11, false },
	{ "FROM", "from", -20, true }, { "SOURCE", "source", -8, false }, {}
};

struct question {
	uint8_t addr4[4];
	uint16_t port;
	int64_t at_s;
	bool is_now;
};

struct answer {
	bool is_known, is_owned;
	char subscriber[ENDPOINT_TEXT_MAX];	/* who has it, or who had it last: may be empty */
	uint16_t first_port, last_port;
	int64_t from_s, until_s;		/* 0: unknown */
	const char *source;
	json_t *mappings;			/* of now */
};

/* ---- computed ---- */

/* By the configuration as it is now: it has no time. True: it says whose the port is. */
static bool ask_computation(const struct xcgnctl *ctl, const struct question *question, struct answer *answer)
{
	struct computed_place place;

	if (!deterministic_owner(ctl->config, address_from_bytes(question->addr4), question->port, &place))
		return false;
	*answer = (struct answer){ .is_known = true, .is_owned = true, .first_port = place.first_port, .last_port = place.last_port,
		.source = "computed", .mappings = answer->mappings };
	snprintf(answer->subscriber, sizeof(answer->subscriber), "%s", address_text(place.internal4).text);
	return true;
}

/* ---- the tables ---- */

static const struct cgn_pool *find_pool(const struct tables *tables, const uint8_t addr4[4], uint32_t *ret_index)
{
	uint32_t i;

	for (i = 0; i < tables->pool_count; i++)
		if (tables->pools[i].block_count && !memcmp(tables->pools[i].addr4, addr4, 4)) {
			*ret_index = i;
			return &tables->pools[i];
		}
	return NULL;
}

static json_t *mappings_of(const struct dataplane *dp, uint32_t address, uint16_t port, unsigned protocols)
{
	json_t *list = json_array();
	struct dataplane_slot slot;
	unsigned protocol;

	for (protocol = 0; protocol < CGN_PROTOCOLS; protocol++)
		if ((!protocols || protocols >> protocol & 1) && dataplane_read_slot(dp, CGN_SLOT(address, protocol, port), &slot))
			json_array_append_new(list, json_pack("{s:s, s:s}", "protocol", text_protocol(protocol),
							      "internal", text_internal(&slot.internal).text));
	return list;
}

/* A second off is nothing: the tables count seconds of another clock. */
static void ask_tables(const struct xcgnctl *ctl, const struct dataplane *dp, const struct question *question, struct answer *answer)
{
	struct tables tables = tables_of(dp);
	const struct cgn_block *block;
	const struct cgn_pool *pool;
	struct cgn_block copy;
	uint32_t index, number;

	pool = find_pool(&tables, question->addr4, &index);
	if (!pool || question->port < pool->first_port)
		return;
	number = (question->port - pool->first_port) >> (pool->block_shift & 15);
	if (number >= pool->block_count || pool->first_block + number >= tables.block_count)
		return;
	block = &tables.blocks[pool->first_block + number];
	answer->first_port = (uint16_t)(pool->first_port + (number << (pool->block_shift & 15)));
	answer->last_port = (uint16_t)(answer->first_port + (1u << (pool->block_shift & 15)) - 1);
	if (table_read_block(&tables, pool->first_block + number, &copy)) {
		answer->is_owned = true;
		answer->from_s = unix_time(copy.claimed_s);
	} else {
		copy = *block;
		answer->from_s = copy.released_s ? unix_time(copy.released_s) : 0;
	}
	if (copy.generation)
		snprintf(answer->subscriber, sizeof(answer->subscriber), "%s", text_subscriber(&copy.owner).text);
	answer->is_known = question->is_now || (answer->from_s && answer->from_s <= question->at_s);
	answer->source = "tables";
	if (question->is_now)
		answer->mappings = mappings_of(dp, index, question->port, ctl->listing.protocols);
}

/* ---- the files ---- */

static bool ask_files(const struct xcgnctl *ctl, const struct question *question, struct answer *answer, struct audit_error *error)
{
	struct audit_owner owner;
	char directory[512];
	int found;

	snprintf(directory, sizeof(directory), "%s/audit", ctl->config->state_dir);
	found = audit_who(directory, question->addr4, question->port, question->at_s, &owner, error);
	if (found < 0)
		return false;
	*answer = (struct answer){ .is_known = found, .source = "audit" };
	if (!found)
		return true;
	answer->is_owned = owner.is_owned;
	answer->from_s = owner.from_s;
	answer->until_s = owner.until_s;
	answer->first_port = owner.record.first_port;
	answer->last_port = owner.record.last_port;
	snprintf(answer->subscriber, sizeof(answer->subscriber), "%s", owner.record.subscriber);
	return true;
}

/* ---- the command ---- */

static json_t *number_or_null(int64_t number)
{
	return number ? json_integer((json_int_t)number) : json_null();
}

static json_t *describe(const struct question *question, struct answer *answer)
{
	const char *subscriber = answer->subscriber[0] ? answer->subscriber : NULL;
	char ports[16] = "";
	json_t *record;

	if (answer->last_port)
		snprintf(ports, sizeof(ports), "%u-%u", answer->first_port, answer->last_port);
	record = json_pack("{s:s, s:I, s:s?, s:s?, s:o, s:o, s:s?, s:s}", "external", text_endpoint4(question->addr4, question->port).text,
			   "at", (json_int_t)question->at_s, "subscriber", answer->is_owned ? subscriber : NULL,
			   "ports", ports[0] ? ports : NULL, "from", number_or_null(answer->is_owned ? answer->from_s : 0),
			   "until", number_or_null(answer->is_owned ? answer->until_s : answer->from_s),
			   "last_subscriber", answer->is_owned ? NULL : subscriber, "source", answer->source);
	if (record && answer->mappings)
		json_object_set_new(record, "mappings", answer->mappings);
	return record;
}

static bool read_question(const struct xcgnctl *ctl, struct question *question)
{
	uint32_t address;

	if (ctl->argument_count != 1 || !endpoint_parse(ctl->arguments[0], &address, &question->port)) {
		log_error("who: one external address and port is needed, as 192.0.2.1:32654, or --subscriber");
		return false;
	}
	address_to_bytes(address, question->addr4);
	question->is_now = !ctl->listing.has_at;
	question->at_s = question->is_now ? (int64_t)time(NULL) : ctl->listing.at_s;
	return true;
}

/* Records of other times come before the configuration of now. */
static bool find_answer(const struct xcgnctl *ctl, const struct dataplane *dp, const struct question *question, struct answer *answer,
			struct audit_error *error)
{
	if (dp)
		ask_tables(ctl, dp, question, answer);
	if (question->is_now && ask_computation(ctl, question, answer))
		return true;
	if (!answer->is_known && !ask_files(ctl, question, answer, error))
		return false;
	if (!answer->is_owned)
		ask_computation(ctl, question, answer);
	return true;
}

/* ---- the other way round ---- */

static bool put_ports(struct output *output, const char *subscriber, const uint8_t addr4[4], uint16_t first, uint16_t last, int64_t from_s,
		      const char *source)
{
	char ports[16];

	snprintf(ports, sizeof(ports), "%u-%u", first, last);
	return output_record(output, json_pack("{s:s, s:s, s:s, s:o, s:s}", "subscriber", subscriber, "address", text_address4(addr4).text,
					       "ports", ports, "from", number_or_null(from_s), "source", source));
}

/* What is computed, and the blocks that he owns beside it. */
static int tell_ports(const struct xcgnctl *ctl, const struct dataplane *dp, struct output *output)
{
	const struct cgn_subscriber_key *subscriber = &ctl->listing.subscriber;
	struct tables tables = dp ? tables_of(dp) : (struct tables){};
	struct endpoint_text name = text_subscriber(subscriber);
	struct table_block *blocks = NULL;
	struct computed_place place = {};
	bool is_computed = deterministic_find(ctl->config, address_from_bytes(subscriber->addr4), &place), is_put = true;
	uint8_t addr4[4];
	int count = 0, i;

	address_to_bytes(place.external4, addr4);
	if (is_computed)
		is_put = put_ports(output, name.text, addr4, place.first_port, place.last_port, 0, "computed");
	if (dp)
		count = table_blocks(&tables, TABLE_SUBSCRIBER, subscriber, &blocks);
	for (i = 0; is_put && i < count; i++) {
		const struct cgn_pool *pool = &tables.pools[blocks[i].address];
		uint16_t last = (uint16_t)(blocks[i].first_port + (1u << (pool->block_shift & 15)) - 1);
		struct cgn_block block;

		if (is_computed && !memcmp(pool->addr4, addr4, sizeof(addr4)) && blocks[i].first_port >= place.first_port && last <= place.last_port)
			continue;
		if (table_read_block(&tables, blocks[i].index, &block))
			is_put = put_ports(output, name.text, pool->addr4, blocks[i].first_port, last, unix_time(block.claimed_s), "tables");
	}
	free(blocks);
	return count < 0 ? xcgnctl_fail_memory() : is_put ? output_finish(output) : EXIT_KERNEL;
}

static int who_subscriber(const struct xcgnctl *ctl)
{
	struct output output = { .is_json = ctl->is_json, .columns = ports_columns };
	struct dataplane_error unavailable = {};
	struct computed_place place;
	struct dataplane *dp;
	int code;

	if (ctl->argument_count || ctl->listing.has_at) {
		log_error("who: --subscriber is for now, and goes without an external port");
		return EXIT_CONFIG;
	}
	dp = dataplane_open_existing(ctl->config->pin_dir, &unavailable);
	if (!dp && !deterministic_find(ctl->config, address_from_bytes(ctl->listing.subscriber.addr4), &place))
		code = xcgnctl_fail(&unavailable);
	else
		code = tell_ports(ctl, dp, &output);
	dataplane_close(dp);
	return code;
}

int xcgnctl_who(struct xcgnctl *ctl)
{
	struct output output = { .is_json = ctl->is_json, .columns = columns };
	struct dataplane_error unavailable = {};
	struct question question = {};
	struct audit_error error;
	struct answer answer = {};
	struct dataplane *dp;
	int code;

	if (ctl->listing.has_subscriber)
		return who_subscriber(ctl);
	if (!read_question(ctl, &question))
		return EXIT_CONFIG;
	if (question.at_s > (int64_t)time(NULL)) {
		log_error("who: that time has not come yet");
		return EXIT_CONFIG;
	}
	dp = dataplane_open_existing(ctl->config->pin_dir, &unavailable);
	if (!find_answer(ctl, dp, &question, &answer, &error)) {
		log_error("%s", error.text);
		code = EXIT_KERNEL;
	} else if (!answer.is_known && !dp && question.is_now) {
		code = xcgnctl_fail(&unavailable);
	} else if (!answer.is_known) {
		log_error("who: no audit file reaches back to that time (log.audit-days)");
		code = EXIT_STATE;
	} else {
		code = output_record(&output, describe(&question, &answer)) ? output_finish(&output) : EXIT_KERNEL;
	}
	dataplane_close(dp);
	return code;
}
