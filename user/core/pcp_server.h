/* SPDX-License-Identifier: GPL-2.0-only */
/* The PCP server's decisions (RFC 6887 sections 8, 11, 14, 15). Bytes and the time in, bytes out: no socket, no clock. */
#ifndef CGN_PCP_SERVER_H
#define CGN_PCP_SERVER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dataplane_ops.h"

struct announcer;
struct pcp_server;	/* opaque */
struct pcp_update;

struct pcp_prefix {		/* of IPv6 addresses; IPv4-mapped ones have 96 bits more than in IPv4 */
	uint8_t address6[16];
	uint8_t length;
};

/* Hosts inside `from` may use THIRD_PARTY (section 13.1) for hosts inside `target`. */
struct pcp_third_party {
	struct pcp_prefix from, target;
};

/* Numbers of GET, which no registry has given (draft-boucadair-pcp-failure-06 B.1, B.2). */
struct pcp_get_policy {
	uint8_t opcode, next, not_found;
	bool reveals_nonces;	/* also while nonces are checked: whoever can send from an address learns its nonces */
};

struct pcp_policy {
	uint32_t lifetime_min_s, lifetime_max_s;	/* P15.2 */
	uint32_t error_short_s, error_long_s;		/* C1.1 */
	bool announce, map, peer, get;			/* opcodes served */
	bool nat_pmp;					/* version 0 is (RFC 6886) */
	uint16_t description_max;			/* bytes of a DESCRIPTION (RFC 7220); 0: it is ignored */
	uint8_t nonce_policy;				/* enum cgn_nonce_policy */
	uint32_t filters;				/* most FILTERs of one mapping, at most CGN_FILTERS_MAX */
	struct pcp_get_policy get_policy;
	bool is_durable;	/* what is answered is in stable storage by then: CHECKPOINT_REQUIRED (RFC 7767) is granted */
	uint32_t rate_requests, rate_burst;		/* of one source address, per second and at once; 0 requests: no limit */
	uint64_t rate_seed;				/* random */
	const struct pcp_third_party *third_party;	/* borrowed as long as the policy is in force; none: nobody may */
	unsigned third_party_count;
};

struct pcp_datagram {		/* what was received; the caller owns bytes */
	const uint8_t *bytes;
	size_t len;
	uint8_t source6[16];	/* IPv4-mapped */
	uint16_t source_port;
	bool is_internal;	/* came in by an internal interface: all others are ignored (P8.1) */
	uint64_t received_ms;	/* monotonic, for the rate limit */
};

/* Counts since the start: datagrams, how many of them got no answer (of these: from the external side, over the rate), and the
 * answers by result code. */
struct pcp_server_stats {
	uint64_t requests, silent;
	uint64_t external, over_rate;
	uint64_t natpmp;	/* answered as NAT-PMP: in no result code */
	uint64_t results[256];
};

/* ops and dataplane are borrowed for the server's life. NULL: out of memory. */
struct pcp_server *pcp_server_new(const struct pcp_policy *policy, const struct dataplane_ops *ops, void *dataplane);
void pcp_server_free(struct pcp_server *server);
void pcp_server_set_policy(struct pcp_server *server, const struct pcp_policy *policy);
/* The Epoch of all; those of single clients end with it. */
void pcp_server_set_epoch_base(struct pcp_server *server, uint32_t epoch_base_s);
/* The Epoch of one client alone starts at base_s: it lost something that the others did not. False: there are too many of
 * those, nothing changed, and only pcp_server_set_epoch_base() can tell the client. */
bool pcp_server_set_epoch_base_of(struct pcp_server *server, const uint8_t client6[16], uint32_t base_s);
bool pcp_server_reset_epoch_of(struct pcp_server *server, const uint8_t client6[16], uint32_t now_s);
uint32_t pcp_server_epoch_of(const struct pcp_server *server, const uint8_t client6[16], uint32_t now_s);
const struct pcp_server_stats *pcp_server_stats(const struct pcp_server *server);

/* Decides one request. Returns the length of the reply written to `reply` (at least PCP_MESSAGE_MAX bytes, apart from the
 * datagram's), 0 for silence. */
size_t pcp_server_handle(struct pcp_server *server, const struct pcp_datagram *datagram, uint32_t now_s,
			 uint8_t *reply, size_t reply_size);

/* An unsolicited ANNOUNCE response (section 14.1.3) to one client, or with the Epoch of all (NULL). Returns its length. */
size_t pcp_server_announcement_to(const struct pcp_server *server, const uint8_t *client6, uint32_t now_s, uint8_t *reply,
				  size_t reply_size);
/* One for everybody. 0 also while a client has an Epoch of its own: to it, that of all would look like a loss of state. */
size_t pcp_server_announcement(const struct pcp_server *server, uint32_t now_s, uint8_t *reply, size_t reply_size);
/* An unsolicited MAP or PEER response (section 14.2): with THIRD_PARTY if it is another host's mapping, and with its filters. */
size_t pcp_server_update(const struct pcp_server *server, const struct pcp_update *update, uint32_t now_s, uint8_t *reply,
			 size_t reply_size);
/* How to tell a client of a mapping that its request refreshed beside the one in the answer (RFC 7753 section 4.4.1). */
void pcp_server_set_updater(struct pcp_server *server, bool (*update)(void *context, const struct pcp_update *update), void *context);
/* Whom to tell that a client refreshed its mapping, so that its Mapping Updates end; borrowed, NULL is fine. */
void pcp_server_set_announcer(struct pcp_server *server, struct announcer *announcer);
/* May NAT-PMP have made the MAP with this nonce? Its mappings have one of zeros. A PCP client may have that too (RFC 6887 section
 * 11.1), so that it is to be told both ways; each client leaves the other's version alone. */
bool pcp_server_may_be_natpmp(const struct pcp_server *server, const uint8_t nonce[CGN_NONCE_LEN]);
/* The announcement of NAT-PMP (RFC 6886 section 3.2.1) with an external address, to one client, or with the Epoch of all (NULL). */
size_t pcp_server_natpmp_announcement(const struct pcp_server *server, const uint8_t *client6, const uint8_t external4[4], uint32_t now_s,
				      uint8_t *reply, size_t reply_size);
/* pcp_server_update() in its terms, for a MAP: the response to a mapping request that nobody sent. 0: not of NAT-PMP. */
size_t pcp_server_natpmp_update(const struct pcp_server *server, const struct pcp_update *update, uint32_t now_s, uint8_t *reply,
				size_t reply_size);

#endif
