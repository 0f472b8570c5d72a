/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "table_read.h"
#include "xcgnctl.h"
#include "xcgnctl_text.h"

static const struct column columns[] = {
	{ "SUBSCRIBER", "subscriber", -15, false }, { "EXTERNAL", "external", -15, false }, { "UDP", "used.udp", 6, false },
	{ "TCP", "used.tcp", 6, false }, { "ICMP", "used.icmp", 6, false }, { "OF", "limit", 6, false },
	{ "EXPLICIT", "explicit.used", 8, false }, { "OF", "explicit.limit", 6, false }, { "BLOCKS", "blocks.used", 6, false },
	{ "OF", "blocks.limit", 4, false }, { "REFUSED-QUOTA", "refused.quota", 13, false },
	{ "REFUSED-POOL", "refused.pool", 12, false }, {}
};

/* The external address it is paired with, or null while it has none. */
static json_t *json_paired(const struct dataplane *dp, const struct cgn_subscriber *subscriber)
{
	const struct cgn_pool *pools;
	uint32_t count;

	pools = dataplane_pools(dp, &count);
	if (!subscriber->address || subscriber->address > count)
		return json_null();
	return json_string(text_address4(pools[subscriber->address - 1].addr4).text);
}

static json_t *describe(const struct dataplane *dp, const struct cgn_subscriber_key *key, const struct cgn_subscriber *subscriber)
{
	uint32_t blocks = 0, i;

	for (i = 0; i < CGN_SUBSCRIBER_BLOCKS_MAX; i++)
		blocks += subscriber->block[i] != 0;
	return json_pack("{s:s, s:o, s:s, s:o, s:o, s:{s:I, s:I}, s:I, s:{s:I, s:I}, s:{s:I, s:I}, s:I}",
			 "subscriber", text_subscriber(key).text,
			 "external", json_paired(dp, subscriber),
			 "state", subscriber->state == CGN_SUBSCRIBER_LIVE ? "live" : "idle",
			 "used", json_per_protocol(subscriber->used),
			 "limit", subscriber->address ? json_integer(subscriber->port_limit) : json_null(),	/* of each protocol */
			 "explicit", "used", (json_int_t)subscriber->explicit_used, "limit", (json_int_t)subscriber->explicit_limit,
			 "reserve", (json_int_t)subscriber->reserve,
			 "blocks", "used", (json_int_t)blocks, "limit", (json_int_t)subscriber->blocks_limit,
			 "refused", "quota", (json_int_t)subscriber->refused_quota, "pool", (json_int_t)subscriber->refused_pool,
			 "created", unix_time(subscriber->created_s));
}

/* False: nothing more can be written. One that is gone meanwhile is left out. */
static bool show(const struct dataplane *dp, const struct cgn_subscriber_key *key, struct output *output)
{
	struct cgn_subscriber subscriber;

	if (!dataplane_find_subscriber(dp, key, &subscriber) || subscriber.state == CGN_SUBSCRIBER_GONE)
		return true;
	return output_record(output, describe(dp, key, &subscriber));
}

int xcgnctl_show_subscribers(struct xcgnctl *ctl)
{
	struct output output = { .is_json = ctl->is_json, .columns = columns };
	struct cgn_subscriber_key *keys;
	int count, i;

	if (ctl->listing.has_subscriber)
		return show(ctl->dp, &ctl->listing.subscriber, &output) ? output_finish(&output) : EXIT_KERNEL;
	count = table_subscribers(ctl->dp, &keys);
	if (count < 0) {
		struct dataplane_error error = { .code = EXIT_KERNEL };

		snprintf(error.text, sizeof(error.text), "subscribers: cannot read the pinned map: %s", strerror(-count));
		return xcgnctl_fail(&error);
	}
	for (i = 0; i < count && show(ctl->dp, &keys[i], &output); i++)
		;
	free(keys);
	return i < count ? EXIT_KERNEL : output_finish(&output);
}
