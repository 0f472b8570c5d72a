/* SPDX-License-Identifier: GPL-2.0-only */
/* What a client knows of a server's Epoch, and whether the next one that it hears fits (RFC 6887 section 8.5, RFC 6886 section 3.6).
 * Pure. All times in seconds; the client's clock never goes backwards. */
#ifndef CGN_SERVER_EPOCH_H
#define CGN_SERVER_EPOCH_H
#include <stdbool.h>
#include <stdint.h>

struct server_epoch {		/* zeroed: nothing was heard yet */
	bool is_known;
	uint32_t server_s;	/* what it said last */
	uint64_t client_s;	/* and when */
};

/* Does it fit what was heard before? False: the server may have lost its state. Recorded either way; the first always fits. */
bool server_epoch_accept(struct server_epoch *epoch, uint32_t server_s, uint64_t client_s);
/* The same by the rule of NAT-PMP, which knows no Epoch that is too far ahead. */
bool server_epoch_accept_natpmp(struct server_epoch *epoch, uint32_t server_s, uint64_t client_s);

#endif
