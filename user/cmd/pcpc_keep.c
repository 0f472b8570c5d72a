/* SPDX-License-Identifier: GPL-2.0-only */
/* keep: an agent that keeps the mappings of a host alive through every failure of client, server and network. */
#include <stdio.h>
#include "inet_text.h"
#include "log.h"
#include "pcpc_arguments.h"
#include "pcpc_keep.h"

struct arguments {
	const char *path;
	bool json, checks;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case 'n':
		arguments->checks = true;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->path)
			argp_error(state, "%s: one argument too many", argument);
		arguments->path = argument;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->path)
			argp_error(state, "FILE is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "One JSON object per event on stdout", 0 },
	{ "check", 'n', NULL, 0, "Read FILE, say what is wrong in it, and end", 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = options, .parser = parse, .args_doc = "FILE",
	.doc = "Keeps the mappings that FILE names: makes and renews them, stores them on disk, and restores them when the server, this host, "
	       "an address or a way between them failed.\v"
	       "FILE is YAML, described in pcpc(1). Events go to stdout, one a line, and to the hook command of FILE. SIGHUP reads FILE again; "
	       "SIGTERM ends it and leaves the mappings, unless FILE says release: true.",
};

static int check(const char *path)
{
	struct keep_config *config;
	char error[1024];

	if (!keep_config_load(path, &config, error, sizeof(error))) {
		log_error("%s", error);
		return PCPC_USAGE;
	}
	printf("%s: %u mappings", path, config->mapping_count);
	if (config->server_count > 1)
		printf(" at %u servers", config->server_count);
	putchar('\n');
	keep_config_free(config);
	return PCPC_OK;
}

int pcpc_keep(struct pcpc *pcpc, int argc, char **argv)
{
	struct arguments arguments = { .json = pcpc->json };

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (pcpc->server_count || pcpc->has_source || pcpc->timeout_s != PCPC_TIMEOUT_S) {
		log_error("keep: servers and source stand in FILE, and it waits as long as it has to");
		return PCPC_USAGE;
	}
	pcpc->json = arguments.json;
	return arguments.checks ? check(arguments.path) : pcpc_keep_run(pcpc, arguments.path);
}
