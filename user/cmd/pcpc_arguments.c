/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <jansson.h>
#include "inet_text.h"
#include "pcpc_arguments.h"

static const struct protocol_name {
	uint8_t number;
	bool is_name;	/* that people may write */
	const char *name;
} protocols[] = {	/* those with ports (RFC 6887 section 11.2) */
	{ 6, true, "tcp" }, { 17, true, "udp" }, { 132, true, "sctp" }, { 33, false, "33" }, { 136, false, "136" },
};

#define PROTOCOL_COUNT (sizeof(protocols) / sizeof(protocols[0]))

/* Decimal, whole, at most max. */
static bool number_parse(const char *text, unsigned long max, unsigned long *ret_number)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || number > max)
		return false;
	*ret_number = number;
	return true;
}

uint8_t pcpc_protocol_parse(const char *text, struct argp_state *state)
{
	unsigned long number = 0;

	for (size_t i = 0; i < PROTOCOL_COUNT; i++)
		if (protocols[i].is_name && !strcmp(protocols[i].name, text))
			return protocols[i].number;
	if (!number_parse(text, UINT8_MAX, &number))
		argp_error(state, "%s: not a protocol (tcp, udp, sctp, or a number to 255)", text);
	return (uint8_t)number;
}

bool pcpc_protocol_has_ports(uint8_t protocol)
{
	for (size_t i = 0; i < PROTOCOL_COUNT; i++)
		if (protocols[i].number == protocol)
			return true;
	return false;
}

struct inet_text pcpc_protocol_text(uint8_t protocol)
{
	struct inet_text text;

	snprintf(text.text, sizeof(text.text), "%u", protocol);
	for (size_t i = 0; i < PROTOCOL_COUNT; i++)
		if (protocols[i].number == protocol)
			snprintf(text.text, sizeof(text.text), "%s", protocols[i].name);
	return text;
}

uint16_t pcpc_port_parse(const char *text, uint8_t protocol, bool may_be_all, struct argp_state *state)
{
	uint16_t port;

	if (!inet_port_parse(text, &port))
		argp_error(state, "%s: not a port", text);
	if (port && !pcpc_protocol_has_ports(protocol))
		argp_error(state, "protocol %u has no ports: its port is 0", protocol);
	if (!port && !may_be_all)
		argp_error(state, "port 0 cannot be meant here");
	return port;
}

/* ---- options ---- */

static void external_parse(struct pcpc_arguments *arguments, const char *argument, struct argp_state *state)
{
	struct pcp_map *map = &arguments->request.peer.map;
	uint8_t before[16];

	memcpy(before, map->external6, sizeof(before));
	if (!inet_endpoint_parse(argument, map->external6, &map->external_port))
		argp_error(state, "%s: not an address, a port with a colon before it, or both", argument);
	arguments->has_external_address = memcmp(before, map->external6, sizeof(before));
}

static uint32_t lifetime_parse(const char *argument, struct argp_state *state)
{
	unsigned long lifetime_s = 0;

	if (!number_parse(argument, UINT32_MAX, &lifetime_s))
		argp_error(state, "%s: not a number of seconds", argument);
	return (uint32_t)lifetime_s;
}

static void filter_parse(struct pcp_client_request *request, const char *argument, struct argp_state *state)
{
	struct pcp_filter filter = { 0 };

	if (request->filter_count == PCP_CLIENT_FILTERS_MAX)
		argp_error(state, "more filters than fit into a message");
	if (strcmp(argument, "none") && !inet_prefix_parse(argument, filter.remote6, &filter.prefix_length, &filter.remote_port))
		argp_error(state, "%s: not a network, a network and port, or none", argument);
	if (!filter.prefix_length && strcmp(argument, "none"))	/* ::/0: length 0 says another thing (section 13.3) */
		argp_error(state, "%s: no filter; to drop the filters there are, write none", argument);
	request->filters[request->filter_count++] = filter;
}

static void nonce_parse(struct pcpc_arguments *arguments, const char *argument, struct argp_state *state)
{
	uint8_t *nonce = arguments->request.peer.map.nonce;
	unsigned octet;
	size_t i;

	if (strlen(argument) != 2 * PCP_NONCE_LEN || strspn(argument, "0123456789abcdefABCDEF") != 2 * PCP_NONCE_LEN)
		argp_error(state, "%s: not a nonce of %d hex digits", argument, 2 * PCP_NONCE_LEN);
	for (i = 0; i < PCP_NONCE_LEN && sscanf(argument + 2 * i, "%2x", &octet) == 1; i++)
		nonce[i] = (uint8_t)octet;
	arguments->has_nonce = true;
}

/* RFC 7753: a set of one port is none. */
static void port_set_parse(struct pcp_client_request *request, const char *argument, struct argp_state *state)
{
	size_t len = strlen(argument);
	bool keeps_parity = len && argument[len - 1] == 'p';
	unsigned long size = 0;
	char copy[16];

	snprintf(copy, sizeof(copy), "%.*s", (int)(len - keeps_parity), argument);
	if (len >= sizeof(copy) || !number_parse(copy, UINT16_MAX, &size) || size < 2)
		argp_error(state, "%s: not a number of ports from 2 to 65535, with p behind it to keep parity", argument);
	request->has_port_set = true;
	request->port_set.size = (uint16_t)size;
	request->port_set.keeps_parity = keeps_parity;
}

/* RFC 7220 wants UTF-8, which is what a JSON string has to be. */
static void description_parse(struct pcp_client_request *request, const char *argument, struct argp_state *state)
{
	size_t len = strlen(argument);
	json_t *text = json_stringn(argument, len);

	if (!text || len > PCP_DESCRIPTION_MAX)
		argp_error(state, "a description is UTF-8 of at most %d bytes", PCP_DESCRIPTION_MAX);
	json_decref(text);
	request->description = argument;
	request->description_len = (uint16_t)len;
}

static void arguments_init(struct pcpc_arguments *arguments, struct argp_state *state)
{
	uint8_t *nonce = arguments->request.peer.map.nonce;

	state->child_inputs[0] = arguments->pcpc;
	/* RFC 4086: what a stranger must not guess */
	if (getrandom(nonce, PCP_NONCE_LEN, 0) != PCP_NONCE_LEN)
		argp_failure(state, PCPC_NO_ANSWER, 0, "the kernel has no random numbers yet");
}

error_t pcpc_option_parse(int key, char *argument, struct argp_state *state)
{
	struct pcpc_arguments *arguments = state->input;
	struct pcp_client_request *request = &arguments->request;

	switch (key) {
	case ARGP_KEY_INIT:
		arguments_init(arguments, state);
		break;
	case PCPC_OPTION_EXTERNAL:
		external_parse(arguments, argument, state);
		break;
	case PCPC_OPTION_LIFETIME:
		request->lifetime_s = lifetime_parse(argument, state);
		break;
	case PCPC_OPTION_PREFER_FAILURE:
		request->prefers_failure = true;
		break;
	case PCPC_OPTION_FILTER:
		filter_parse(request, argument, state);
		break;
	case PCPC_OPTION_THIRD_PARTY:
		if (!inet_address_parse(argument, request->third_party6))
			argp_error(state, "%s: not an address", argument);
		request->is_third_party = true;
		break;
	case PCPC_OPTION_NONCE:
		nonce_parse(arguments, argument, state);
		break;
	case PCPC_OPTION_PORT_SET:
		port_set_parse(request, argument, state);
		break;
	case PCPC_OPTION_DESCRIPTION:
		description_parse(request, argument, state);
		break;
	case PCPC_OPTION_CHECKPOINT:
		request->requires_checkpoint = true;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}
