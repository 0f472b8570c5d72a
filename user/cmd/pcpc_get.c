/* SPDX-License-Identifier: GPL-2.0-only */
/* get: the table that the server holds for this host, page by page (draft-boucadair-pcp-failure-06). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "get_walk.h"
#include "inet_text.h"
#include "log.h"
#include "pcpc_arguments.h"
#include "pcpc_output.h"
#include "pcpc_session.h"
#include "pcpc_stale.h"

#define CODES_MAX 64

enum {
	KEY_INTERNAL = 0x300, KEY_EXTERNAL, KEY_OPTIONS, KEY_ONE, KEY_EXISTS, KEY_NUMBERS, KEY_STALE,
};

struct numbers { unsigned opcode, next, nonexist, ambiguous; };	/* all of them configurable at the server */

struct get_arguments {
	struct pcpc *pcpc;
	struct pcp_client_request request;
	struct numbers numbers;
	uint8_t codes[CODES_MAX];
	bool only_exists;
	bool only_stale, deletes_stale;
};

static const struct option_name { uint8_t code; const char *name; } option_names[] = {
	{ PCP_OPTION_THIRD_PARTY, "third-party" }, { PCP_OPTION_FILTER, "filter" }, { PCP_OPTION_DESCRIPTION, "description" },
	{ PCP_OPTION_PORT_SET, "port-set" }, { PCP_OPTION_CHECKPOINT_REQUIRED, "checkpoint" },
};

#define OPTION_COUNT (sizeof(option_names) / sizeof(option_names[0]))

/* ---- arguments ---- */

static void code_add(struct get_arguments *arguments, uint8_t code, struct argp_state *state)
{
	uint16_t *len = &arguments->request.next.options_len;

	if (memchr(arguments->codes, code, *len))
		return;		/* each is listed once */
	if (*len == CODES_MAX)
		argp_error(state, "at most %d options", CODES_MAX);
	arguments->codes[(*len)++] = code;
}

static bool named_options_add(struct get_arguments *arguments, const char *name, struct argp_state *state)
{
	bool is_all = !strcmp(name, "all"), found = false;

	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (is_all || !strcmp(name, option_names[i].name)) {
			code_add(arguments, option_names[i].code, state);
			found = true;
		}
	return found;
}

static void option_parse(struct get_arguments *arguments, const char *name, struct argp_state *state)
{
	unsigned long code;
	char *end;

	if (named_options_add(arguments, name, state))
		return;
	code = strtoul(name, &end, 10);
	if (*name < '0' || *name > '9' || *end || !code || code > UINT8_MAX)
		argp_error(state, "%s: no option (third-party, filter, description, port-set, checkpoint, all, or a code)", name);
	code_add(arguments, (uint8_t)code, state);
}

static void options_parse(struct get_arguments *arguments, const char *list, struct argp_state *state)
{
	char copy[512], *rest = copy, *name;

	if (strlen(list) >= sizeof(copy))
		argp_error(state, "that list of options is too long");
	strcpy(copy, list);
	while ((name = strsep(&rest, ",")))
		option_parse(arguments, name, state);
}

static void numbers_parse(struct numbers *numbers, const char *argument, struct argp_state *state)
{
	char end;

	if (sscanf(argument, "%3u,%3u,%3u,%3u%c", &numbers->opcode, &numbers->next, &numbers->nonexist, &numbers->ambiguous, &end) != 4 ||
	    numbers->opcode < 3 || numbers->opcode > 127 || !numbers->next || numbers->next > UINT8_MAX ||
	    !numbers->nonexist || numbers->nonexist > UINT8_MAX || !numbers->ambiguous || numbers->ambiguous > UINT8_MAX)
		argp_error(state, "%s: not OPCODE,NEXT,NONEXIST,AMBIGUOUS", argument);
}

static void endpoint_parse_or_end(const char *argument, uint8_t address6[16], uint16_t *port, struct argp_state *state)
{
	if (!inet_endpoint_parse(argument, address6, port))
		argp_error(state, "%s: not an address, a port with a colon before it, or both", argument);
}

/* Section B.1: a port alone does not say of which protocol. */
static void check(const struct get_arguments *arguments, struct argp_state *state)
{
	const struct pcp_get *get = &arguments->request.get;

	if (!get->protocol && (get->internal_port || get->external_port))
		argp_error(state, "a port is looked for with its protocol: name PROTO");
	if (arguments->only_stale && (arguments->only_exists || arguments->request.next.is_end || arguments->request.is_third_party))
		argp_error(state, "--stale is about all mappings of this host: it excludes --exists, --one and --third-party");
	if (arguments->only_exists && (arguments->request.next.options_len || arguments->request.next.is_end))
		argp_error(state, "--exists shows no mapping: it excludes --one and --options");
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct get_arguments *arguments = state->input;
	struct pcp_client_request *request = &arguments->request;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->pcpc;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num)
			argp_error(state, "%s: one argument too many", argument);
		request->get.protocol = pcpc_protocol_parse(argument, state);
		return 0;
	case ARGP_KEY_END:
		check(arguments, state);
		return 0;
	case KEY_INTERNAL:
		endpoint_parse_or_end(argument, request->get.internal6, &request->get.internal_port, state);
		return 0;
	case KEY_EXTERNAL:
		endpoint_parse_or_end(argument, request->get.external6, &request->get.external_port, state);
		return 0;
	case PCPC_OPTION_THIRD_PARTY:
		if (!inet_address_parse(argument, request->third_party6))
			argp_error(state, "%s: not an address", argument);
		request->is_third_party = true;
		return 0;
	case KEY_OPTIONS:
		options_parse(arguments, argument, state);
		return 0;
	case KEY_ONE:
		request->next.is_end = true;
		return 0;
	case KEY_EXISTS:
		arguments->only_exists = true;
		return 0;
	case KEY_STALE:
		arguments->only_stale = true;
		return 0;
	case KEY_NUMBERS:
		numbers_parse(&arguments->numbers, argument, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "internal", KEY_INTERNAL, "[ADDRESS][:PORT]", 0, "Only mappings of this internal address, port or both", 0 },
	{ "external", KEY_EXTERNAL, "[ADDRESS][:PORT]", 0, "Only mappings of this external address, port or both", 0 },
	PCPC_ROW_THIRD_PARTY,
	{ "options", KEY_OPTIONS, "LIST", 0, "Show these too: third-party, filter, description, port-set, checkpoint, all, or codes, with commas", 0 },
	{ "one", KEY_ONE, NULL, 0, "Show the first mapping only", 0 },
	{ "exists", KEY_EXISTS, NULL, 0, "Ask only whether there is one", 0 },
	{ "stale", KEY_STALE, NULL, 0, "Only those whose internal port no socket of this host uses", 0 },
	{ "numbers", KEY_NUMBERS, "OPCODE,NEXT,NONEXIST,AMBIGUOUS", 0, "As configured at the server (default 98,131,130,131)", 0 },
	{ 0 },
};

static const struct argp_child children[] = { { &pcpc_common_argp, 0, NULL, 0 }, { 0 } };

static const struct argp argp = {
	.options = options, .parser = parse, .args_doc = "[PROTO]", .children = children,
	.doc = "Lists the explicit mappings that the server holds for this host, of one protocol or of all.\v"
	       "A nonce of zeros is one that the server does not tell. When the server's Epoch shows during the listing that it lost its state, the "
	       "listing starts again. With --json, one object per mapping and then one that has the result.",
};

static const struct argp_option stale_options[] = {
	{ "stale", KEY_STALE, NULL, 0, "Those whose internal port no socket of this host uses", 0 },
	{ "numbers", KEY_NUMBERS, "OPCODE,NEXT,NONEXIST,AMBIGUOUS", 0, "As configured at the server (default 98,131,130,131)", 0 },
	{ 0 },
};

static const struct argp stale_argp = {
	.options = stale_options, .parser = parse, .args_doc = "[PROTO] --stale", .children = children,
	.doc = "Deletes the mappings of this host that no application on it uses any more, of one protocol or of all.\v"
	       "They are found by GET, which has to tell their nonces: a server that checks nonces does not, and then nothing is deleted.",
};

/* ---- output ---- */

static struct reader options_of(const struct pcp_next *next)
{
	struct reader r;

	reader_init(&r, next->options, next->options_len);
	return r;
}

static void mapping_json(const struct pcp_next *next)
{
	json_t *object = json_pack("{s:s,s:s,s:s,s:I,s:s}", "protocol", pcpc_protocol_text(next->protocol).text,
		"internal", inet_endpoint_text(next->internal6, next->internal_port).text,
		"external", inet_endpoint_text(next->external6, next->external_port).text,
		"remaining", (json_int_t)next->lifetime_s, "nonce", pcpc_nonce_text(next->nonce).text);

	pcpc_output_options(object, options_of(next));
	pcpc_output_json(object);
}

static void mapping_print(const struct pcp_next *next)
{
	printf("%-8s %-24s %-24s %10u  %s", pcpc_protocol_text(next->protocol).text,
	       inet_endpoint_text(next->internal6, next->internal_port).text,
	       inet_endpoint_text(next->external6, next->external_port).text, next->lifetime_s, pcpc_nonce_text(next->nonce).text);
	pcpc_output_options_text(options_of(next));
	putchar('\n');
}

/* Returns how many are shown. */
static size_t mappings_output(const struct get_arguments *arguments, const struct pcp_client_path *path, const struct get_walk *walk)
{
	size_t count = get_walk_count(walk), shown = 0, i;
	bool is_json = arguments->pcpc->json;

	for (i = 0; i < count; i++) {
		const struct pcp_next *next = get_walk_mapping(walk, i);

		if (arguments->only_stale && !pcpc_is_stale(next, path))
			continue;
		if (!shown++ && !is_json)
			printf("%-8s %-24s %-24s %10s  %s\n", "PROTOCOL", "INTERNAL", "EXTERNAL", "REMAINING", "NONCE");
		if (is_json)
			mapping_json(next);
		else
			mapping_print(next);
	}
	return shown;
}

/* 131 and so on are what this server's configuration calls them. */
static const char *result_name(const struct numbers *numbers, uint8_t result)
{
	if (result == numbers->nonexist)
		return "NONEXIST_MAP";
	return result == numbers->ambiguous ? "AMBIGUOUS" : pcp_result_name(result);
}

static void summary_output(const struct get_arguments *arguments, const struct pcp_client_path *path, const struct pcp_client_reply *reply,
			   const char *result, const struct get_walk *walk, size_t count)
{
	struct inet_text server = inet_endpoint_text(path->server6, path->server_port);
	json_t *object;

	if (!arguments->pcpc->json) {
		printf("%s get", result);
		if (walk)
			printf(" %zu mapping%s", count, count == 1 ? "" : "s");
		printf(" epoch %u server %s\n", reply->epoch_s, server.text);
		return;
	}
	object = json_pack("{s:s,s:s,s:I,s:I,s:s}", "result", result, "opcode", "get", "lifetime", (json_int_t)reply->lifetime_s,
			   "epoch", (json_int_t)reply->epoch_s, "server", server.text);
	if (walk) {
		json_object_set_new(object, "mappings", json_integer((json_int_t)count));
		json_object_set_new(object, "pages", json_integer(get_walk_pages(walk)));
		json_object_set_new(object, "restarts", json_integer(get_walk_restarts(walk)));
	}
	pcpc_output_json(object);
}

/* ---- asking ---- */

/* Asks for a page until it is sure to be one. *ret_exit is not PCPC_OK if there was no answer. */
static enum get_walk_step page_ask(struct pcpc_session *session, struct get_walk *walk, struct pcp_client_reply *reply, int *ret_exit)
{
	unsigned restarts = get_walk_restarts(walk);
	enum get_walk_step step;

	*ret_exit = pcpc_session_ask(session, get_walk_request(walk), reply);
	if (*ret_exit != PCPC_OK)
		return GET_WALK_BROKEN;
	step = get_walk_step(walk, reply);
	if (get_walk_restarts(walk) != restarts)
		log_warning("the server's Epoch does not fit: it may have lost its state, the listing starts again");
	if (step != GET_WALK_ASK_ANEW)
		return step;
	if (!pcpc_session_reopen(session))
		return GET_WALK_ASK;
	*ret_exit = PCPC_NO_ANSWER;
	return GET_WALK_BROKEN;
}

/* The whole table. Mappings are shown also of a walk that did not come to its end; its exit code says so. */
static int walk_all(const struct get_arguments *arguments, struct pcpc_session *session, struct get_walk *walk)
{
	struct pcp_client_reply reply = { 0 };
	enum get_walk_step step;
	const char *result;
	size_t shown = 0;
	int ret;

	do {
		step = page_ask(session, walk, &reply, &ret);
	} while (step == GET_WALK_ASK && !arguments->request.next.is_end);
	if (!arguments->deletes_stale)
		shown = mappings_output(arguments, pcpc_session_path(session), walk);
	if (ret != PCPC_OK)
		return ret;
	if (step == GET_WALK_BROKEN || step == GET_WALK_NO_MEMORY) {
		log_error("the listing is not complete: %s", step == GET_WALK_BROKEN ? "the server does not lead to its end" : "out of memory");
		return PCPC_NO_ANSWER;
	}
	/* mappings that went away during the walk are no failure of it */
	result = reply.result == arguments->numbers.nonexist && get_walk_count(walk) ? "SUCCESS" : result_name(&arguments->numbers, reply.result);
	if (arguments->deletes_stale && (!strcmp(result, "SUCCESS") || reply.result == arguments->numbers.nonexist))
		return pcpc_stale_delete(arguments->pcpc, session, walk);
	summary_output(arguments, pcpc_session_path(session), &reply, result, walk, shown);
	return strcmp(result, "SUCCESS") ? PCPC_REFUSED : PCPC_OK;
}

static int existence_ask(const struct get_arguments *arguments, struct pcpc_session *session)
{
	struct pcp_client_reply reply;
	int ret = pcpc_session_ask(session, &arguments->request, &reply);

	if (ret != PCPC_OK)
		return ret;
	summary_output(arguments, pcpc_session_path(session), &reply, result_name(&arguments->numbers, reply.result), NULL, 0);
	return reply.result == PCP_SUCCESS ? PCPC_OK : PCPC_REFUSED;
}

/* What was left open is "any", written in the client's family. */
static void wildcards_fill(struct pcp_client_request *request, const struct pcp_client_path *path)
{
	uint8_t *const addresses[] = { request->get.internal6, request->get.external6, request->next.internal6, request->next.external6 };
	static const uint8_t any4[4];

	if (!pcp_address_is_ipv4(path->client6))
		return;
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		if (pcp_address_is_any(addresses[i]))
			pcp_address_from_ipv4(any4, addresses[i]);
}

static int get_and_print(struct get_arguments *arguments)
{
	struct pcp_client_request *request = &arguments->request;
	struct pcpc_session *session;
	struct get_walk *walk;
	int ret;

	arguments->pcpc->trace.get_opcode = (uint8_t)arguments->numbers.opcode;
	arguments->pcpc->trace.next_code = (uint8_t)arguments->numbers.next;
	session = pcpc_session_new(arguments->pcpc, &ret);
	if (!session)
		return ret;
	request->opcode = (uint8_t)arguments->numbers.opcode;
	request->next_code = (uint8_t)arguments->numbers.next;
	request->has_next = !arguments->only_exists;
	request->next.options = arguments->codes;
	wildcards_fill(request, pcpc_session_path(session));
	if (arguments->only_exists) {
		ret = existence_ask(arguments, session);
	} else {
		walk = get_walk_new(request, (uint8_t)arguments->numbers.nonexist);
		ret = walk ? walk_all(arguments, session, walk) : PCPC_NO_ANSWER;
		get_walk_free(walk);
	}
	pcpc_session_free(session);
	return ret;
}

static const struct numbers default_numbers = { PCP_GET, PCP_OPTION_NEXT, PCP_NONEXIST_MAP, PCP_AMBIGUOUS };

int pcpc_get(struct pcpc *pcpc, int argc, char **argv)
{
	struct get_arguments arguments = { .pcpc = pcpc, .numbers = default_numbers };

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	return get_and_print(&arguments);
}

int pcpc_delete_stale(struct pcpc *pcpc, int argc, char **argv)
{
	struct get_arguments arguments = { .pcpc = pcpc, .numbers = default_numbers, .deletes_stale = true };

	argp_parse(&stale_argp, argc, argv, 0, NULL, &arguments);
	return get_and_print(&arguments);
}
