/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests of pcpc on their way to a server and back: socket, clock and chance for core/pcp_client. One request at a time. */
#ifndef CGN_PCPC_SESSION_H
#define CGN_PCPC_SESSION_H
#include "pcp_client.h"
#include "pcpc.h"

struct pcpc_session;	/* opaque */

/* Finds a server to talk to; says on stderr why there is none. NULL then, and *ret_exit is what to exit with. pcpc is borrowed. */
struct pcpc_session *pcpc_session_new(const struct pcpc *pcpc, int *ret_exit);
void pcpc_session_free(struct pcpc_session *session);	/* NULL is fine */

/* The way to the server that is asked now: it may change with every pcpc_session_ask(). */
const struct pcp_client_path *pcpc_session_path(const struct pcpc_session *session);

/* From another source port: late answers to what was asked before do not come here. 0 or -errno. */
int pcpc_session_reopen(struct pcpc_session *session);

/* Asks until there is an answer, or no server is left. PCPC_OK with ret_reply, whose options are borrowed until the next call;
 * PCPC_USAGE if the request is too long, PCPC_NO_ANSWER: with the reason on stderr. */
int pcpc_session_ask(struct pcpc_session *session, const struct pcp_client_request *request, struct pcp_client_reply *ret_reply);

#endif
