/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <string.h>
#include "inet_text.h"
#include "local_sockets.h"
#include "log.h"
#include "pcpc_output.h"
#include "pcpc_stale.h"

bool pcpc_is_stale(const struct pcp_next *next, const struct pcp_client_path *path)
{
	int used;

	if (memcmp(next->internal6, path->client6, sizeof(next->internal6)) || !next->internal_port)
		return false;
	used = local_socket_uses(next->protocol, next->internal6, next->internal_port);
	if (used < 0 && used != -EPROTONOSUPPORT)
		log_warning("cannot ask the kernel who uses port %u: %s", next->internal_port, strerror(-used));
	return !used;
}

static int delete_one(const struct pcpc *pcpc, struct pcpc_session *session, const struct pcp_next *next)
{
	struct pcp_client_request request = { .opcode = PCP_MAP };
	struct pcp_client_reply reply;
	int ret;

	memcpy(request.peer.map.nonce, next->nonce, sizeof(request.peer.map.nonce));
	request.peer.map.protocol = next->protocol;
	request.peer.map.internal_port = next->internal_port;
	ret = pcpc_session_ask(session, &request, &reply);
	return ret == PCPC_OK ? pcpc_output_reply(pcpc, pcpc_session_path(session), &request, &reply) : ret;
}

int pcpc_stale_delete(const struct pcpc *pcpc, struct pcpc_session *session, const struct get_walk *walk)
{
	static const uint8_t untold[PCP_NONCE_LEN];
	unsigned without_nonce = 0;
	int worst = PCPC_OK, ret;
	size_t i;

	for (i = 0; i < get_walk_count(walk); i++) {
		const struct pcp_next *next = get_walk_mapping(walk, i);

		if (!pcpc_is_stale(next, pcpc_session_path(session)))
			continue;
		if (!memcmp(next->nonce, untold, sizeof(untold))) {
			without_nonce++;
			continue;
		}
		ret = delete_one(pcpc, session, next);
		if (ret == PCPC_NO_ANSWER)
			return ret;
		if (ret != PCPC_OK)
			worst = ret;
	}
	if (!without_nonce)
		return worst;
	log_error("%u stale mappings stay: the server does not tell their nonces. They end with their lifetimes, or the operator clears them",
		  without_nonce);
	return PCPC_REFUSED;
}
