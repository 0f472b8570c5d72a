/* SPDX-License-Identifier: GPL-2.0-only */
/* The PCP server's decisions (RFC 6887 sections 8, 11, 14, 15). Bytes and the time in, bytes out: no socket, no clock. */
#ifndef CGN_PCP_SERVER_H
#define CGN_PCP_SERVER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dataplane_ops.h"

struct pcp_server;	/* opaque */

struct pcp_policy {
	uint32_t lifetime_min_s, lifetime_max_s;	/* P15.2 */
	uint32_t error_short_s, error_long_s;		/* C1.1 */
	bool announce, map, peer, get;			/* opcodes served */
	uint8_t nonce_policy;				/* enum cgn_nonce_policy */
};

struct pcp_datagram {		/* what was received; the caller owns bytes */
	const uint8_t *bytes;
	size_t len;
	uint8_t source6[16];	/* IPv4-mapped */
	uint16_t source_port;
};

/* Counts since the start: datagrams, how many of them got no answer, and the answers by result code. */
struct pcp_server_stats {
	uint64_t requests, silent;
	uint64_t results[32];
};

/* ops and dataplane are borrowed for the server's life. NULL: out of memory. */
struct pcp_server *pcp_server_new(const struct pcp_policy *policy, const struct dataplane_ops *ops, void *dataplane);
void pcp_server_free(struct pcp_server *server);
void pcp_server_set_policy(struct pcp_server *server, const struct pcp_policy *policy);
void pcp_server_set_epoch_base(struct pcp_server *server, uint32_t epoch_base_s);
const struct pcp_server_stats *pcp_server_stats(const struct pcp_server *server);

/* Decides one request. Returns the length of the reply written to `reply` (at least PCP_MESSAGE_MAX bytes, apart from the
 * datagram's), 0 for silence. */
size_t pcp_server_handle(struct pcp_server *server, const struct pcp_datagram *datagram, uint32_t now_s,
			 uint8_t *reply, size_t reply_size);

/* An unsolicited ANNOUNCE response (section 14.1.3). Returns its length. */
size_t pcp_server_announcement(const struct pcp_server *server, uint32_t now_s, uint8_t *reply, size_t reply_size);

#endif
