/* SPDX-License-Identifier: GPL-2.0-only */
/* What changes mappings of subscribers: xcgnd does it, because it alone resets Epochs and tells clients. */
#include <arpa/inet.h>
#include "control_client.h"
#include "log.h"
#include "xcgnctl.h"
#include "xcgnctl_text.h"

#define PATIENCE_MS (120 * 1000)	/* a table of millions takes seconds */

static int ask(const struct xcgnctl *ctl, json_t *request)
{
	struct output output = { .is_json = ctl->is_json };
	struct dataplane_error error = {};
	json_t *reply = NULL;
	bool is_answered;

	if (!request)
		return xcgnctl_fail_memory();
	is_answered = control_ask_within(ctl->config->control, request, PATIENCE_MS, &reply, &error);
	json_decref(request);
	if (!is_answered)
		return xcgnctl_fail(&error);
	json_object_del(reply, "ok");
	return output_record(&output, reply) ? output_finish(&output) : EXIT_KERNEL;
}

static json_t *protocols_of(unsigned protocols)
{
	json_t *names = json_array();
	unsigned i;

	for (i = 0; i < CGN_PROTOCOLS; i++)
		if (protocols >> i & 1)
			json_array_append_new(names, json_string(text_protocol(i)));
	return names;
}

static int refuse(const char *text)
{
	log_error("clear: %s", text);
	return EXIT_CONFIG;
}

int xcgnctl_clear(struct xcgnctl *ctl)
{
	const struct listing_options *options = &ctl->listing;
	json_t *request = NULL;

	if (options->has_subscriber == options->is_all)
		return refuse("name a subscriber with --subscriber, or all of them with --all");
	if (options->is_all && !options->is_sure)
		return refuse("--all ends the mappings of every subscriber: confirm it with --yes");
	if (options->origins & CGN_STATIC)
		return refuse("static mappings are those of the configuration: take them out there, and reload");
	request = options->is_all ? json_pack("{s:s, s:b}", "command", "clear", "all", 1) :
		  json_pack("{s:s, s:s}", "command", "clear", "subscriber", text_subscriber(&options->subscriber).text);
	if (request && options->origins)
		json_object_set_new(request, "origins", json_origins(options->origins));
	if (request && options->protocols)
		json_object_set_new(request, "protocols", protocols_of(options->protocols));
	return ask(ctl, request);
}

int xcgnctl_subscriber_moved(struct xcgnctl *ctl)
{
	struct in_addr address;
	int i;

	if (ctl->argument_count != 2) {
		log_error("subscriber moved: the old and the new address are needed");
		return EXIT_CONFIG;
	}
	for (i = 0; i < 2; i++)
		if (inet_pton(AF_INET, ctl->arguments[i], &address) != 1) {
			log_error("subscriber moved: %s is no IPv4 address", ctl->arguments[i]);
			return EXIT_CONFIG;
		}
	return ask(ctl, json_pack("{s:s, s:s, s:s}", "command", "move", "from", ctl->arguments[0], "to", ctl->arguments[1]));
}

static int ask_drain(const struct xcgnctl *ctl, int is_draining)
{
	if (ctl->argument_count != 1) {
		log_error("pool: one external address is needed, or the name of a pool");
		return EXIT_CONFIG;
	}
	return ask(ctl, json_pack("{s:s, s:s, s:b}", "command", "drain", "what", ctl->arguments[0], "draining", is_draining));
}

int xcgnctl_reload(struct xcgnctl *ctl)
{
	return ask(ctl, json_pack("{s:s}", "command", "reload"));
}

int xcgnctl_pool_drain(struct xcgnctl *ctl)
{
	return ask_drain(ctl, 1);
}

int xcgnctl_pool_undrain(struct xcgnctl *ctl)
{
	return ask_drain(ctl, 0);
}
