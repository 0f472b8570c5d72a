/* SPDX-License-Identifier: GPL-2.0-only */
/* A PCP client's side of the protocol (RFC 6887 sections 8, 9, 11.4, 12.4; RFC 6886): bytes and the time in, bytes and the next
 * deadline out. No socket, no clock, no chance of its own. A client is what is known of one server; an exchange is one request to it
 * with its retransmissions and answers. Any number of exchanges may share a client. Both are embedded by their owner, need no _done
 * and must outlive nothing. Times in nanoseconds of one clock that never goes backwards; ports in host order; addresses 16 bytes. */
#ifndef CGN_PCP_CLIENT_H
#define CGN_PCP_CLIENT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "get_codec.h"
#include "pcp_codec.h"
#include "retransmission.h"
#include "server_epoch.h"

#define PCP_CLIENT_FILTERS_MAX	43			/* more do not fit a message */
#define PCP_CLIENT_LIFETIME_MAX_S 86400			/* longer ones are not believed (sections 8.3, 15) */

struct pcp_client_path {
	uint8_t server6[16], client6[16];	/* the packets' destination and source */
	uint16_t server_port;
};

struct pcp_client {
	struct pcp_client_path path;
	uint8_t version;		/* that the server speaks: PCP_VERSION until it says otherwise, then perhaps NATPMP_VERSION */
	struct server_epoch epoch;
	uint64_t random_state;
	uint64_t no_new_until_ns;	/* after NO_RESOURCES: nothing that creates a mapping (section 11.4) */
	uint64_t silent_until_ns;	/* after NO_RESOURCES for a deletion: nothing at all */
};

struct pcp_client_request {
	uint8_t opcode;			/* PCP_ANNOUNCE, PCP_MAP, PCP_PEER; any other one is sent as a GET */
	uint32_t lifetime_s;		/* of MAP 0: delete */
	bool renews;			/* a mapping that the client has already */
	struct pcp_peer peer;		/* MAP: its map alone. The nonce stays the same in all transmissions */
	struct pcp_get get;
	bool has_next;			/* with GET */
	uint8_t next_code;
	struct pcp_next next;
	/* other options */
	bool is_third_party, prefers_failure, has_port_set, requires_checkpoint;
	uint8_t third_party6[16];
	struct pcp_port_set port_set;
	unsigned filter_count;
	struct pcp_filter filters[PCP_CLIENT_FILTERS_MAX];
	const char *description;	/* borrowed; NULL: none */
	uint16_t description_len;
};

struct pcp_exchange {
	struct pcp_client_request request;
	struct retransmission retransmission;	/* next_ns is the deadline to call pcp_exchange_send() at */
	uint64_t hold_until_ns;			/* the request was refused: not to be repeated before */
	unsigned version_changes;
};

struct pcp_client_datagram {	/* what was received; the caller owns bytes */
	const uint8_t *bytes;
	size_t len;
	uint8_t source6[16];
	uint16_t source_port;
};

struct pcp_client_reply {
	uint8_t version;	/* that it came in */
	uint8_t opcode;		/* of the request that it answers */
	uint8_t result;		/* enum pcp_result, of NAT-PMP's the one that says the same */
	uint32_t lifetime_s;	/* as the server says; pcp_client_lifetime_s() is what to believe */
	uint32_t epoch_s;
	bool epoch_is_valid;	/* false: the server may have lost its state (section 8.5) */
	struct pcp_peer peer;	/* of MAP (the map alone) and PEER; external6 also of a NAT-PMP address, any of a NAT-PMP mapping */
	struct pcp_get get;
	struct reader options;	/* for pcp_decode_option(); borrowed from the datagram */
};

enum pcp_exchange_outcome {
	PCP_EXCHANGE_IGNORED,	/* not for this exchange, or not to be trusted */
	PCP_EXCHANGE_AGAIN,	/* the server speaks another version: the request is due again now */
	PCP_EXCHANGE_ANSWERED,
};

/* A server of which nothing is known. seed differs from run to run. */
void pcp_client_init(struct pcp_client *client, const struct pcp_client_path *path, uint64_t seed);

/* min(what the server says, PCP_CLIENT_LIFETIME_MAX_S) */
uint32_t pcp_client_lifetime_s(const struct pcp_client_reply *reply);

/* Copies the request (not its description) and begins: at once, or when the server wants to hear from clients again. It fails
 * mrd_ns later; 0: never. An exchange begun for the first time is zeroed; begun again, it keeps to the lifetime of its last error.
 * CGN_EMALFORMED: the request does not fit into a message, and nothing begins. */
int pcp_exchange_start(struct pcp_exchange *exchange, const struct pcp_client *client, const struct pcp_client_request *request,
		       const struct retransmission_rule *rule, uint64_t now_ns, uint64_t mrd_ns);
/* Writes the request to buffer (PCP_MESSAGE_MAX bytes) if it is due. Returns its length, or 0: not due yet, answered, or, with
 * retransmission.has_failed, given up. */
size_t pcp_exchange_send(struct pcp_exchange *exchange, struct pcp_client *client, uint64_t now_ns, uint8_t *buffer);
/* Judges a datagram from source6, source_port. Only PCP_EXCHANGE_ANSWERED fills ret_reply and stops the retransmissions; further
 * answers (section 8.3) are as welcome. */
enum pcp_exchange_outcome pcp_exchange_receive(struct pcp_exchange *exchange, struct pcp_client *client,
					       const struct pcp_client_datagram *datagram, uint64_t now_ns,
					       struct pcp_client_reply *ret_reply);

#endif
