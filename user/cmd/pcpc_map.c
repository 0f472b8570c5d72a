/* SPDX-License-Identifier: GPL-2.0-only */
/* map, peer and delete: one request, one answer. */
#include <string.h>
#include "inet_text.h"
#include "pcpc_arguments.h"
#include "pcpc_output.h"
#include "pcpc_session.h"

#define LIFETIME_DEFAULT_S 3600

static const struct argp_child children[] = { { &pcpc_common_argp, 0, NULL, 0 }, { 0 } };

/* PROTO PORT, of map and delete. A protocol without ports, or all of them (0), has port 0 (RFC 6887 section 11.2). */
static void map_argument_parse(struct pcpc_arguments *arguments, char *argument, struct argp_state *state)
{
	struct pcp_map *map = &arguments->request.peer.map;

	switch (state->arg_num) {
	case 0:
		map->protocol = pcpc_protocol_parse(argument, state);
		break;
	case 1:
		map->internal_port = pcpc_port_parse(argument, map->protocol, true, state);
		break;
	default:
		argp_error(state, "%s: one argument too many", argument);
	}
}

static void map_check(struct pcpc_arguments *arguments, struct argp_state *state)
{
	struct pcp_client_request *request = &arguments->request;

	if (state->arg_num < 2)
		argp_error(state, "PROTO and PORT are needed");
	if (!request->lifetime_s)
		argp_error(state, "a lifetime of 0 deletes: use pcpc delete");
	if (request->prefers_failure && !request->peer.map.external_port)
		argp_error(state, "--prefer-failure is about an external port: name it with --external");
	if (request->prefers_failure && request->has_port_set)
		argp_error(state, "--prefer-failure and --port-set exclude each other");
	request->port_set.first_internal_port = request->peer.map.internal_port;
}

static error_t map_parse(int key, char *argument, struct argp_state *state)
{
	if (key == ARGP_KEY_ARG)
		map_argument_parse(state->input, argument, state);
	else if (key == ARGP_KEY_END)
		map_check(state->input, state);
	else
		return pcpc_option_parse(key, argument, state);
	return 0;
}

static const struct argp_option map_options[] = {
	PCPC_ROW_EXTERNAL, PCPC_ROW_LIFETIME, PCPC_ROW_PREFER_FAILURE, PCPC_ROW_FILTER, PCPC_ROW_THIRD_PARTY, PCPC_ROW_NONCE,
	PCPC_ROW_PORT_SET, PCPC_ROW_DESCRIPTION, PCPC_ROW_CHECKPOINT, { 0 },
};

static const struct argp map_argp = {
	.options = map_options, .parser = map_parse, .args_doc = "PROTO PORT", .children = children,
	.doc = "Makes a mapping for this port of this host, or renews the one whose nonce is given.\v"
	       "PROTO is tcp, udp, sctp or a number; PORT 0 means all ports of the protocol, PROTO 0 and PORT 0 everything. Keep the nonce that is "
	       "printed: only with it can the mapping be renewed and deleted.",
};

static void peer_argument_parse(struct pcpc_arguments *arguments, char *argument, struct argp_state *state)
{
	struct pcp_peer *peer = &arguments->request.peer;

	switch (state->arg_num) {
	case 0:
		peer->map.protocol = pcpc_protocol_parse(argument, state);
		if (!pcpc_protocol_has_ports(peer->map.protocol))
			argp_error(state, "protocol %u has no ports, which PEER needs", peer->map.protocol);
		break;
	case 1:
		peer->map.internal_port = pcpc_port_parse(argument, peer->map.protocol, false, state);
		break;
	case 2:
		if (!inet_endpoint_parse(argument, peer->remote6, &peer->remote_port) || !peer->remote_port ||
		    pcp_address_is_any(peer->remote6))
			argp_error(state, "%s: not an address and port of a remote peer", argument);
		break;
	default:
		argp_error(state, "%s: one argument too many", argument);
	}
}

static error_t peer_parse(int key, char *argument, struct argp_state *state)
{
	if (key == ARGP_KEY_ARG)
		peer_argument_parse(state->input, argument, state);
	else if (key == ARGP_KEY_END && state->arg_num < 3)
		argp_error(state, "PROTO, PORT and REMOTE:PORT are needed");
	else
		return pcpc_option_parse(key, argument, state);
	return 0;
}

static const struct argp_option peer_options[] = {
	PCPC_ROW_EXTERNAL, PCPC_ROW_LIFETIME, PCPC_ROW_THIRD_PARTY, PCPC_ROW_NONCE, PCPC_ROW_DESCRIPTION, PCPC_ROW_CHECKPOINT, { 0 },
};

static const struct argp peer_argp = {
	.options = peer_options, .parser = peer_parse, .args_doc = "PROTO PORT REMOTE:PORT", .children = children,
	.doc = "Asks for the mapping that this port of this host has, or gets, towards one remote peer, and extends its life.\v"
	       "A lifetime of 0 only asks. What PEER makes cannot be deleted; it ends when its lifetime and its traffic do.",
};

/* Section 15.1: a deletion suggests nothing. RFC 7753 section 4.4: a set is deleted as one. */
static error_t delete_parse(int key, char *argument, struct argp_state *state)
{
	struct pcpc_arguments *arguments = state->input;

	if (key == ARGP_KEY_ARG) {
		map_argument_parse(arguments, argument, state);
		return 0;
	}
	if (key != ARGP_KEY_END)
		return pcpc_option_parse(key, argument, state);
	if (state->arg_num < 2)
		argp_error(state, "PROTO and PORT are needed");
	if (!arguments->has_nonce)
		argp_error(state, "a mapping can be deleted only with its --nonce");
	arguments->request.port_set.first_internal_port = arguments->request.peer.map.internal_port;
	return 0;
}

static const struct argp_option delete_options[] = { PCPC_ROW_NONCE, PCPC_ROW_THIRD_PARTY, PCPC_ROW_PORT_SET, { 0 } };

static const struct argp delete_argp = {
	.options = delete_options, .parser = delete_parse, .args_doc = "PROTO PORT --nonce HEX", .children = children,
	.doc = "Deletes the mapping of this port, made with this nonce.\v"
	       "That there is none is a success. A mapping that still carries traffic lives on for the lifetime that is printed. With --stale and "
	       "without PORT and nonce: all mappings of this host that no application on it uses any more.",
};

/* Section 11.1: without a preference the all-zero address of the family, which is that of the client. */
static void no_preference(struct pcp_map *map, const struct pcp_client_path *path)
{
	static const uint8_t any4[4];

	memset(map->external6, 0, sizeof(map->external6));
	if (pcp_address_is_ipv4(path->client6))
		pcp_address_from_ipv4(any4, map->external6);
}

/* NAT-PMP has the external address in a message of its own. Without an answer to it the mapping is there all the same. */
static void natpmp_address_ask(struct pcpc_session *session, struct pcp_client_reply *reply)
{
	const struct pcp_client_request request = { .opcode = PCP_ANNOUNCE };
	struct pcp_client_reply address;

	if (pcpc_session_ask(session, &request, &address) == PCPC_OK && address.result == PCP_SUCCESS)
		memcpy(reply->peer.map.external6, address.peer.map.external6, sizeof(reply->peer.map.external6));
}

static int ask_and_print(struct pcpc_arguments *arguments)
{
	struct pcp_client_request *request = &arguments->request;
	bool is_delete = request->opcode == PCP_MAP && !request->lifetime_s;
	struct pcpc_session *session;
	struct pcp_client_reply reply;
	int ret;

	session = pcpc_session_new(arguments->pcpc, &ret);
	if (!session)
		return ret;
	if (!arguments->has_external_address && !is_delete)
		no_preference(&request->peer.map, pcpc_session_path(session));
	ret = pcpc_session_ask(session, request, &reply);
	if (ret == PCPC_OK && reply.version == NATPMP_VERSION && reply.result == PCP_SUCCESS && !is_delete)
		natpmp_address_ask(session, &reply);
	if (ret == PCPC_OK)
		ret = pcpc_output_reply(arguments->pcpc, pcpc_session_path(session), request, &reply);
	pcpc_session_free(session);
	return ret;
}

int pcpc_map(struct pcpc *pcpc, int argc, char **argv)
{
	struct pcpc_arguments arguments = { .pcpc = pcpc, .request = { .opcode = PCP_MAP, .lifetime_s = LIFETIME_DEFAULT_S } };

	argp_parse(&map_argp, argc, argv, 0, NULL, &arguments);
	return ask_and_print(&arguments);
}

int pcpc_peer(struct pcpc *pcpc, int argc, char **argv)
{
	struct pcpc_arguments arguments = { .pcpc = pcpc, .request = { .opcode = PCP_PEER, .lifetime_s = LIFETIME_DEFAULT_S } };

	argp_parse(&peer_argp, argc, argv, 0, NULL, &arguments);
	return ask_and_print(&arguments);
}

/* --stale names no mapping: it is a command of its own, with other arguments. */
int pcpc_delete(struct pcpc *pcpc, int argc, char **argv)
{
	struct pcpc_arguments arguments = { .pcpc = pcpc, .request = { .opcode = PCP_MAP } };

	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--stale"))
			return pcpc_delete_stale(pcpc, argc, argv);
	argp_parse(&delete_argp, argc, argv, 0, NULL, &arguments);
	return ask_and_print(&arguments);
}
