/* SPDX-License-Identifier: GPL-2.0-only */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "inet_text.h"
#include "log.h"
#include "pcpc_arguments.h"
#include "pcpc_keep.h"
#include "pcpc_output.h"

static const struct event_kind {
	const char *name;
	bool is_news, has_mapping;
} kinds[] = {
	[KEEPER_KEPT] = { "kept", false, true },
	[KEEPER_CREATED] = { "created", true, true },
	[KEEPER_RENEWED] = { "renewed", false, true },
	[KEEPER_CHANGED] = { "changed", true, true },
	[KEEPER_LOST] = { "lost", true, true },
	[KEEPER_REFUSED] = { "refused", true, true },
	[KEEPER_DELETED] = { "deleted", true, true },
	[KEEPER_STALE] = { "stale", true, true },
	[KEEPER_EPOCH_RESET] = { "epoch-reset", true, false },
	[KEEPER_SERVER_CHANGED] = { "server-changed", true, false },
	[KEEPER_SERVER_SILENT] = { "server-silent", true, false },
	[KEEPER_ADDRESS_CHANGED] = { "address-changed", true, false },
};

const char *keep_event_name(enum keeper_event_type type)
{
	return kinds[type].name;
}

bool keep_event_is_news(enum keeper_event_type type)
{
	return kinds[type].is_news;
}

/* A pipe that is writable has room for PIPE_BUF bytes, which no event exceeds: writing does not block. */
static bool is_read(void)
{
	static bool was_read = true;
	struct pollfd output = { .fd = STDOUT_FILENO, .events = POLLOUT };
	bool is = poll(&output, 1, 0) == 1 && output.revents & POLLOUT;

	if (was_read && !is)
		log_warning("nobody reads the events on stdout: they are dropped");
	was_read = is;
	return is;
}

static struct inet_text time_text(void)
{
	struct inet_text text;
	time_t now = time(NULL);
	struct tm tm;

	strftime(text.text, sizeof(text.text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	return text;
}

static void set_text(json_t *object, const char *name, struct inet_text text)
{
	json_object_set_new(object, name, json_string(text.text));
}

static void mapping_json(json_t *object, const struct keeper_event *event)
{
	set_text(object, "protocol", pcpc_protocol_text(event->protocol));
	set_text(object, "internal", inet_endpoint_text(event->internal6, event->internal_port));
	if (!pcp_address_is_any(event->external6))
		set_text(object, "external", inet_endpoint_text(event->external6, event->external_port));
	if (!pcp_address_is_any(event->former6))
		set_text(object, "former", inet_endpoint_text(event->former6, event->former_port));
	if (event->ports > 1)
		json_object_set_new(object, "ports", json_integer(event->ports));
	if (event->lifetime_s)
		json_object_set_new(object, "lifetime", json_integer(event->lifetime_s));
	if (event->result)
		json_object_set_new(object, "result", json_string(pcp_result_name(event->result)));
}

static void event_json(const struct keep_event *told)
{
	const struct keeper_event *event = &told->event;
	json_t *object = json_object();

	json_object_set_new(object, "event", json_string(kinds[event->type].name));
	set_text(object, "time", time_text());
	if (kinds[event->type].has_mapping)
		mapping_json(object, event);
	set_text(object, "host", inet_address_text(event->path.client6));
	set_text(object, "server", inet_endpoint_text(event->path.server6, event->path.server_port));
	if (*told->server)
		json_object_set_new(object, "server_name", json_string(told->server));
	json_object_set_new(object, "epoch", json_integer(event->epoch_s));
	pcpc_output_json(object);
}

static void event_text(const struct keep_event *told)
{
	const struct keeper_event *event = &told->event;

	printf("%s %s", time_text().text, kinds[event->type].name);
	if (kinds[event->type].has_mapping)
		printf(" %s %s", pcpc_protocol_text(event->protocol).text, inet_endpoint_text(event->internal6, event->internal_port).text);
	if (!pcp_address_is_any(event->external6))
		printf(" = %s", inet_endpoint_text(event->external6, event->external_port).text);
	if (event->type == KEEPER_CHANGED && !pcp_address_is_any(event->former6))
		printf(" was %s", inet_endpoint_text(event->former6, event->former_port).text);
	if (event->ports > 1)
		printf(" ports %u", event->ports);
	if (event->result)
		printf(" %s", pcp_result_name(event->result));
	if (event->lifetime_s)
		printf(" lifetime %u", event->lifetime_s);
	printf(" host %s server %s%s%s epoch %u\n", inet_address_text(event->path.client6).text,
	       inet_endpoint_text(event->path.server6, event->path.server_port).text, *told->server ? " name " : "", told->server,
	       event->epoch_s);
}

void keep_output_event(const struct keep_event *event, bool json)
{
	if (!is_read())
		return;
	if (json)
		event_json(event);
	else
		event_text(event);
	fflush(stdout);
}
