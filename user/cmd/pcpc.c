/* SPDX-License-Identifier: GPL-2.0-only */
/* pcpc: asks a PCP server (RFC 6887) for mappings. Options that all commands have, and the table of commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "inet_text.h"
#include "log.h"
#include "pcp_proto.h"
#include "pcpc.h"

const char *argp_program_version = "pcpc " XCGN_VERSION;

static const struct pcpc_command commands[] = {
	{ "map", "PROTO PORT", "make or renew a mapping", pcpc_map },
	{ "peer", "PROTO PORT REMOTE:PORT", "ask for a mapping towards one remote peer", pcpc_peer },
	{ "delete", "PROTO PORT --nonce HEX", "delete a mapping, or with --stale all that nobody uses", pcpc_delete },
	{ "get", "[PROTO]", "list the mappings held for this host", pcpc_get },
	{ "keep", "FILE", "keep the mappings that a file names alive", pcpc_keep },
	{ "announce", "", "ask for a sign of life and the Epoch", pcpc_announce },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

/* ---- options of every command ---- */

enum { KEY_TIMEOUT = 0x100, KEY_TRACE };

static const struct argp_option common_options[] = {
	{ "server", 's', "SERVER[:PORT]", 0, "PCP server; more than one: addresses of it, tried in turn (default: the default routers, port 5351)", 1 },
	{ "source", 'S', "ADDRESS", 0, "Ask from this address of the host", 1 },
	{ "json", 'j', NULL, 0, "One JSON object per line", 1 },
	{ "trace", KEY_TRACE, NULL, 0, "Show every message sent and received on stderr, field by field", 1 },
	{ "timeout", KEY_TIMEOUT, "SECONDS", 0, "How long to wait for the answer to a request (default 30; 0: for ever)", 1 },
	{ 0 },
};

static error_t common_parse(int key, char *argument, struct argp_state *state)
{
	struct pcpc *pcpc = state->input;
	char *end;
	unsigned long seconds;

	switch (key) {
	case 's':
		if (pcpc->server_count == PCPC_SERVERS_MAX)
			argp_error(state, "at most %u servers", PCPC_SERVERS_MAX);
		if (!client_address_parse(argument, PCP_SERVER_PORT, &pcpc->servers[pcpc->server_count]))
			argp_error(state, "%s: not an address, or address and port", argument);
		pcpc->server_count++;
		return 0;
	case 'S':
		if (!inet_address_parse(argument, pcpc->source6))
			argp_error(state, "%s: not an address", argument);
		pcpc->has_source = true;
		return 0;
	case 'j':
		pcpc->json = true;
		return 0;
	case KEY_TRACE:
		pcpc->trace.is_on = true;
		return 0;
	case KEY_TIMEOUT:
		seconds = strtoul(argument, &end, 10);
		if (*argument < '0' || *argument > '9' || *end || seconds > 1000000)
			argp_error(state, "%s: not a number of seconds up to 1000000", argument);
		pcpc->timeout_s = (uint32_t)seconds;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp pcpc_common_argp = { .options = common_options, .parser = common_parse };

/* ---- the command ---- */

struct arguments {
	struct pcpc pcpc;
	const struct pcpc_command *command;
	int command_index;
};

static const struct pcpc_command *command_find(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->pcpc;
		return 0;
	case ARGP_KEY_ARG:
		arguments->command = command_find(argument);
		if (!arguments->command)
			argp_error(state, "%s: no such command", argument);
		arguments->command_index = state->next - 1;
		state->next = state->argc;	/* the rest is for the command's own parser */
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no command");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The table of commands, as argp's text behind the options. */
static char *help_filter(int key, const char *text, void *input)
{
	char *help = NULL;
	size_t size;
	FILE *out;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	out = open_memstream(&help, &size);
	if (!out)
		return (char *)text;
	fputs("Commands (each has --help):\n", out);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-8s %-24s %s\n", commands[i].name, commands[i].arguments, commands[i].what);
	fprintf(out, "\n%s", text);
	fclose(out);
	return help;
}

static const struct argp_child children[] = { { &pcpc_common_argp, 0, NULL, 0 }, { 0 } };

static const struct argp argp = {
	.parser = parse, .args_doc = "COMMAND [ARGUMENT...]", .children = children, .help_filter = help_filter,
	.doc = "Asks a PCP server (RFC 6887), or a NAT-PMP server (RFC 6886), for mappings of this host.\v"
	       "Exit: 0 success, 1 usage, 2 no answer, 3 the server refused (its result is printed).",
};

int main(int argc, char **argv)
{
	struct arguments arguments = { .pcpc = { .timeout_s = PCPC_TIMEOUT_S, .trace = { .get_opcode = PCP_GET, .next_code = PCP_OPTION_NEXT } } };
	char name[32];

	argp_err_exit_status = PCPC_USAGE;
	log_init("pcpc");
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments);
	snprintf(name, sizeof(name), "pcpc %s", arguments.command->name);
	argv[arguments.command_index] = name;
	return arguments.command->run(&arguments.pcpc, argc - arguments.command_index, argv + arguments.command_index);
}
