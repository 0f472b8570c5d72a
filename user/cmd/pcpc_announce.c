/* SPDX-License-Identifier: GPL-2.0-only */
#include "pcpc_output.h"
#include "pcpc_session.h"

static error_t parse(int key, char *argument, struct argp_state *state)
{
	if (key == ARGP_KEY_INIT) {
		state->child_inputs[0] = state->input;
		return 0;
	}
	if (key == ARGP_KEY_ARG)
		argp_error(state, "%s: announce has no arguments", argument);
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_child children[] = { { &pcpc_common_argp, 0, NULL, 0 }, { 0 } };

static const struct argp argp = {
	.parser = parse, .children = children,
	.doc = "Asks a PCP server for nothing but its answer, which has its Epoch (RFC 6887 section 14.1). A NAT-PMP server also says its "
	       "external address.",
};

int pcpc_announce(struct pcpc *pcpc, int argc, char **argv)
{
	const struct pcp_client_request request = { .opcode = PCP_ANNOUNCE };
	struct pcpc_session *session;
	struct pcp_client_reply reply;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, pcpc);
	session = pcpc_session_new(pcpc, &ret);
	if (!session)
		return ret;
	ret = pcpc_session_ask(session, &request, &reply);
	if (ret == PCPC_OK)
		ret = pcpc_output_reply(pcpc, pcpc_session_path(session), &request, &reply);
	pcpc_session_free(session);
	return ret;
}
