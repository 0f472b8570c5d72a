/* SPDX-License-Identifier: GPL-2.0-only */
/* Mappings of this host that nobody on it uses any more: their application crashed, or came back on another port. */
#ifndef CGN_PCPC_STALE_H
#define CGN_PCPC_STALE_H
#include <stdbool.h>
#include "get_walk.h"
#include "pcpc_session.h"

/* Of TCP or UDP, of the address that asks, and no local socket listens on its internal port. Others cannot be judged. */
bool pcpc_is_stale(const struct pcp_next *next, const struct pcp_client_path *path);

/* Deletes the stale ones that the walk found, by the nonces that it brought, and prints each answer. PCPC_REFUSED: one could not be
 * deleted, or the server does not tell nonces. */
int pcpc_stale_delete(const struct pcpc *pcpc, struct pcpc_session *session, const struct get_walk *walk);

#endif
