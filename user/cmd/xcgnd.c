/* SPDX-License-Identifier: GPL-2.0-only */
/* xcgnd: the daemon of xcgn. Options, exit codes; all else in xcgnd_daemon.c. */
#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "config.h"
#include "log.h"
#include "xcgnd_daemon.h"
#include "xcgnd_memory.h"

const char *argp_program_version = "xcgnd " XCGN_VERSION;

struct arguments {
	const char *config;
	bool check_only;
};

static const struct argp_option options[] = {
	{ "config", 'c', "FILE", 0, "Configuration (default: /etc/xcgn/xcgn.yaml)", 0 },
	{ "check", 'k', NULL, 0, "Check the configuration, say what its tables take, and exit 0 or 1", 0 },
	{ 0 },
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'c':
		arguments->config = argument;
		return 0;
	case 'k':
		arguments->check_only = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: no arguments but options", argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options, .parser = parse,
	.doc = "Serves PCP and NAT-PMP to the subscribers of a carrier-grade NAT, and keeps its mapping table.\v"
	       "Runs in the foreground and logs to stderr. Packets are translated by programs in the kernel, which `xcgnctl attach` puts on "
	       "the interfaces and which stay there when xcgnd ends.\n\n"
	       "SIGHUP reloads the configuration; a change that would cost mappings is refused. "
	       "Exit: 0 ok, 1 configuration, 2 kernel or permission, 3 state.",
};

static int check(const char *path)
{
	struct config *config = NULL;
	struct memory_need need;
	char text[512];
	unsigned n;

	if (!config_load(path, &config, text, sizeof(text))) {
		log_error("%s", text);
		return DAEMON_CONFIG;
	}
	for (n = 0; config_warning(config, n, text, sizeof(text)); n++)
		log_warning("%s: %s", path, text);
	need = memory_need(config);
	printf("%s: ok; %u external addresses, tables take %" PRIu64 " MiB\n", path, config_address_count(config), memory_total(&need) >> 20);
	config_free(config);
	return DAEMON_OK;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .config = "/etc/xcgn/xcgn.yaml" };
	enum daemon_exit failed;
	struct daemon *daemon;

	argp_err_exit_status = DAEMON_CONFIG;
	log_init("xcgnd");
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (arguments.check_only)
		return check(arguments.config);
	daemon = daemon_new(arguments.config, &failed);
	if (!daemon)
		return failed;
	daemon_run(daemon);
	daemon_free(daemon);
	return DAEMON_OK;
}
