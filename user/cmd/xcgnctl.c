/* SPDX-License-Identifier: GPL-2.0-only */
/* The operator's tool. It reads the pinned tables itself, and asks the daemon only for what the daemon alone knows. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "log.h"
#include "xcgnctl.h"
#include "xcgnctl_text.h"

#define CONFIG_PATH	"/etc/xcgn/xcgn.yaml"
#define STALE_S		3600
#define NAME_MAX_LEN	64	/* "xcgnctl show subscribers" */

enum { KEY_STALE = 0x100, KEY_ALL, KEY_YES };

static const struct command commands[] = {
	{ "status", NULL, "the daemon, the Epoch, mappings, attached interfaces",
	  "Exits with 3 while xcgnd does not run; what the tables say is shown all the same.", NULL, true, xcgnctl_status },
	{ "show mappings", NULL, "mappings by external address, protocol and port",
	  "Without options: every mapping.", mapping_options, true, xcgnctl_show_mappings },
	{ "show subscribers", NULL, "what every subscriber uses, and may use", NULL, subscriber_options, true, xcgnctl_show_subscribers },
	{ "show pools", NULL, "external addresses and what is taken of them", NULL, NULL, true, xcgnctl_show_pools },
	{ "show blocks", NULL, "port blocks and who owns them", NULL, subscriber_options, true, xcgnctl_show_blocks },
	{ "show stats", NULL, "packets and bytes of every verdict", NULL, NULL, true, xcgnctl_show_stats },
	{ "show interfaces", NULL, "interfaces of the configuration, and whether the programs are on them",
	  "Needs neither tables nor xcgnd.", NULL, false, xcgnctl_show_interfaces },
	{ "who", "ADDRESS:PORT", "whose an external port is, or was at a time",
	  "By computation where ports are (`allocation: deterministic'), by the tables, and by the audit files for what they do not reach back to. TIME is in UTC: 2026-11-25T07:30:00Z, or Unix seconds. Needs no "
	  "xcgnd.", who_options, false, xcgnctl_who },
	{ "clear", NULL, "end mappings of one subscriber, or of all",
	  "Static mappings stay. The Epoch is reset of those clients alone who lost explicit mappings, with --all that of everybody; they "
	  "are told. Needs xcgnd.", clear_options, false, xcgnctl_clear },
	{ "subscriber moved", "OLD NEW", "a subscriber's address has changed: its explicit mappings go along",
	  "External endpoints, nonces and lifetimes stay, and the client is told by a Mapping Update. For hooks of DHCP or RADIUS servers. "
	  "Needs xcgnd.", NULL, false, xcgnctl_subscriber_moved },
	{ "pool drain", "ADDRESS|NAME", "no new mapping at an external address, or at all of a pool",
	  "What is there lives on until it ends by itself; clients of explicit mappings are told when that is, and get another address after it. "
	  "`show pools' tells what is left. Holds until `pool undrain' or a reboot. Needs xcgnd.", NULL, false, xcgnctl_pool_drain },
	{ "pool undrain", "ADDRESS|NAME", "new mappings there again", "Needs xcgnd.", NULL, false, xcgnctl_pool_undrain },
	{ "reload", NULL, "take over the configuration file as it is now, as by SIGHUP",
	  "Refused wholly, with the reason, if any of it cannot be had without loss. Addresses that are taken out of `pools' leave when the "
	  "last port block of each is free: `show pools'. Needs xcgnd.", NULL, false, xcgnctl_reload },
	{ "attach", "[INTERFACE...]", "put the programs on interfaces",
	  "Default: all interfaces of the configuration. If one fails, those attached by this call are detached again.", NULL, true,
	  xcgnctl_attach },
	{ "upgrade", NULL, "replace attached programs of another build, under traffic",
	  "To be run after another build of xcgnd has started. Attaches nothing where nothing is attached.", NULL, true, xcgnctl_upgrade },
	{ "detach", "[INTERFACE...]", "take the programs off interfaces",
	  "Default: all interfaces of the configuration. Translation ends there; the mappings stay.", NULL, false, xcgnctl_detach },
	{ "purge", NULL, "remove the pinned tables: every mapping is lost",
	  "Refused while xcgnd runs or an interface is attached.", NULL, false, xcgnctl_purge },
	{}
};

const struct argp_option subscriber_options[] = {
	{ "subscriber", 's', "ADDRESS", 0, "only of this subscriber (its internal address)", 0 },
	{}
};

const struct argp_option mapping_options[] = {
	{ "subscriber", 's', "ADDRESS", 0, "only of this subscriber (its internal address)", 0 },
	{ "origin", 'o', "ORIGIN", 0, "only of this origin: map, peer, implicit or static; may be repeated", 0 },
	{ "protocol", 'p', "PROTOCOL", 0, "only udp, tcp or icmp; may be repeated", 0 },
	{ "limit", 'n', "N", 0, "stop after N mappings", 0 },
	{ "stale", KEY_STALE, "SECONDS", OPTION_ARG_OPTIONAL, "only explicit ones that sent no packet for so long (default: 3600)", 0 },
	{ "nonces", 'N', NULL, 0, "with their Mapping Nonces: who knows one can change or delete the mapping", 0 },
	{}
};

const struct argp_option who_options[] = {
	{ "at", 't', "TIME", 0, "who had it then (default: now)", 0 },
	{ "subscriber", 's', "ADDRESS", 0, "instead: which external ports this internal address has", 0 },
	{ "protocol", 'p', "PROTOCOL", 0, "mappings of udp, tcp or icmp only; may be repeated", 0 },
	{}
};

const struct argp_option clear_options[] = {
	{ "subscriber", 's', "ADDRESS", 0, "of this subscriber (its internal address)", 0 },
	{ "all", KEY_ALL, NULL, 0, "of every subscriber; needs --yes", 0 },
	{ "yes", KEY_YES, NULL, 0, "confirms --all", 0 },
	{ "origin", 'o', "ORIGIN", 0, "only of this origin: map, peer or implicit; may be repeated", 0 },
	{ "protocol", 'p', "PROTOCOL", 0, "only udp, tcp or icmp; may be repeated", 0 },
	{}
};

int xcgnctl_fail(const struct dataplane_error *error)
{
	log_error("%s", error->text);
	return error->code;
}

int xcgnctl_fail_memory(void)
{
	log_error("out of memory");
	return EXIT_KERNEL;
}

/* ---- options ---- */

static void read_subscriber(const char *text, struct listing_options *listing, struct argp_state *state)
{
	struct in_addr address;

	if (inet_pton(AF_INET, text, &address) != 1)
		argp_error(state, "--subscriber %s: not an IPv4 address", text);
	memset(&listing->subscriber, 0, sizeof(listing->subscriber));
	memcpy(listing->subscriber.addr4, &address, sizeof(listing->subscriber.addr4));
	listing->has_subscriber = true;
}

static uint64_t read_number(const char *option, const char *text, struct argp_state *state)
{
	unsigned long long limit;
	char *end;

	errno = 0;
	limit = strtoull(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end || !limit)
		argp_error(state, "--%s %s: not a number from 1 on", option, text);
	return limit;
}

/* "2026-11-25T07:30:00Z", the same with a space and without Z, or Unix seconds. */
static int64_t read_time(const char *text, struct argp_state *state)
{
	static const char *const formats[] = { "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d %H:%M" };
	const char *end;
	struct tm when;
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		when = (struct tm){};
		end = strptime(text, formats[i], &when);
		if (end && !*end)
			return (int64_t)timegm(&when);
	}
	if (!*text || text[strspn(text, "0123456789")])
		argp_error(state, "--at %s: not a time in UTC like 2026-11-25T07:30:00Z, nor Unix seconds", text);
	return (int64_t)read_number("at", text, state);
}

static error_t parse_listing(int key, char *argument, struct argp_state *state)
{
	struct listing_options *listing = &((struct xcgnctl *)state->input)->listing;
	unsigned found;

	switch (key) {
	case 's':
		read_subscriber(argument, listing, state);
		return 0;
	case 'o':
		if (!read_origin(argument, &found))
			argp_error(state, "--origin %s: neither map, peer, implicit nor static", argument);
		listing->origins |= found;
		return 0;
	case 'p':
		if (!read_protocol(argument, &found))
			argp_error(state, "--protocol %s: neither udp, tcp nor icmp", argument);
		listing->protocols |= 1u << found;
		return 0;
	case 'n':
		listing->limit = read_number("limit", argument, state);
		return 0;
	case 't':
		listing->at_s = read_time(argument, state);
		listing->has_at = true;
		return 0;
	case 'N':
		listing->nonces = true;
		return 0;
	case KEY_STALE:
		listing->stale_s = argument ? read_number("stale", argument, state) : STALE_S;
		return 0;
	case KEY_ALL:
		listing->is_all = true;
		return 0;
	case KEY_YES:
		listing->is_sure = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option common_options[] = {
	{ "config", 'c', "FILE", 0, "the configuration of xcgnd (default: " CONFIG_PATH ")", 0 },
	{ "json", 'j', NULL, 0, "JSON instead of a table: one object a line", 0 },
	{}
};

static error_t parse_common(int key, char *argument, struct argp_state *state)
{
	struct xcgnctl *ctl = state->input;

	if (key == 'c')
		ctl->config_path = argument;
	else if (key == 'j')
		ctl->is_json = true;
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

static const struct argp common_argp = { .options = common_options, .parser = parse_common };
static const struct argp_child common_children[] = { { &common_argp, 0, "For every command:", 1 }, {} };

/* ---- the command ---- */

static error_t parse_command(int key, char *argument, struct argp_state *state)
{
	struct xcgnctl *ctl = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = ctl;
		return 0;
	case ARGP_KEY_ARG:
		if (!ctl->command->arguments)
			argp_error(state, "takes no argument, and got: %s", argument);
		return ARGP_ERR_UNKNOWN;	/* they come together, below */
	case ARGP_KEY_ARGS:
		ctl->arguments = state->argv + state->next;
		ctl->argument_count = state->argc - state->next;
		return 0;
	default:
		return ctl->command->options ? parse_listing(key, argument, state) : ARGP_ERR_UNKNOWN;
	}
}

/* The command that the first one or two words name; *ret_words is how many. */
static const struct command *find_command(char **words, int count, int *ret_words)
{
	const struct command *command;
	char name[NAME_MAX_LEN];
	int used;

	for (command = commands; command->name; command++)
		for (used = 1; used <= count && used <= 2; used++) {
			snprintf(name, sizeof(name), used == 1 ? "%s" : "%s %s", words[0], words[used - 1]);
			if (!strcmp(name, command->name)) {
				*ret_words = used;
				return command;
			}
		}
	return NULL;
}

static void parse_words(struct xcgnctl *ctl, char **words, int count, struct argp_state *state)
{
	struct argp argp = { .parser = parse_command, .children = common_children };
	static char name[NAME_MAX_LEN];
	char text[512];
	int used;

	ctl->command = find_command(words, count, &used);
	if (!ctl->command) {
		argp_error(state, "no such command: %s%s%s", words[0], count > 1 ? " " : "", count > 1 ? words[1] : "");
		return;
	}
	snprintf(name, sizeof(name), "xcgnctl %s", ctl->command->name);
	snprintf(text, sizeof(text), "%s: %s.\v%s", name, ctl->command->summary, ctl->command->details ? ctl->command->details : "");
	argp.options = ctl->command->options;
	argp.args_doc = ctl->command->arguments;
	argp.doc = text;
	words[used - 1] = name;		/* stands for the program's name in errors and help */
	argp_parse(&argp, count - used + 1, words + used - 1, 0, NULL, ctl);
}

static error_t parse_program(int key, char *argument, struct argp_state *state)
{
	struct xcgnctl *ctl = state->input;

	(void)argument;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = ctl;
		return 0;
	case ARGP_KEY_ARGS:
		parse_words(ctl, state->argv + state->next, state->argc - state->next, state);
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which command?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static char *help_with_commands(int key, const char *text, void *input)
{
	const struct command *command;
	char *help = NULL, name[NAME_MAX_LEN];
	size_t size;
	FILE *stream;

	(void)input;
	if (key != ARGP_KEY_HELP_PRE_DOC)
		return (char *)text;
	stream = open_memstream(&help, &size);
	if (!stream)
		return (char *)text;
	fprintf(stream, "%s\n", text);
	for (command = commands; command->name; command++) {
		snprintf(name, sizeof(name), "%s %s", command->name, command->arguments ? command->arguments : "");
		fprintf(stream, "  %-23s %s\n", name, command->summary);
	}
	fprintf(stream, "\n`xcgnctl COMMAND --help' tells the options of a command.");
	fclose(stream);
	return help;
}

static const struct argp program_argp = {
	.parser = parse_program, .args_doc = "COMMAND", .children = common_children, .help_filter = help_with_commands,
	.doc = "Shows and controls xcgn, the carrier-grade NAT. Commands:\n"
	       "\vExit status: 0 done, 1 usage or configuration, 2 kernel or permission, 3 state (not running, no tables, still attached).",
};

/* ---- running it ---- */

static int run(struct xcgnctl *ctl)
{
	struct dataplane_error error;
	char text[512];
	int code;

	if (!config_load(ctl->config_path, &ctl->config, text, sizeof(text))) {
		log_error("%s", text);
		return EXIT_CONFIG;
	}
	if (ctl->command->wants_dataplane)
		ctl->dp = dataplane_open_existing(ctl->config->pin_dir, &error);
	if (ctl->command->wants_dataplane && !ctl->dp)
		code = xcgnctl_fail(&error);
	else
		code = ctl->command->run(ctl);
	dataplane_close(ctl->dp);
	config_free(ctl->config);
	return code;
}

int main(int argc, char **argv)
{
	struct xcgnctl ctl = { .config_path = CONFIG_PATH };

	log_init("xcgnctl");
	signal(SIGPIPE, SIG_IGN);	/* a reader who left is an error to report */
	argp_err_exit_status = EXIT_CONFIG;
	argp_parse(&program_argp, argc, argv, ARGP_IN_ORDER, NULL, &ctl);
	return run(&ctl);
}
