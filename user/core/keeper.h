/* SPDX-License-Identifier: GPL-2.0-only */
/* Keeps the mappings that a host wants with one PCP server, through every failure of client, server and network (RFC 6887 sections 8, 11.2, 11.4, 14;
 * draft-boucadair-pcp-failure sections 2, 3 and appendix A). Pure: the time, datagrams and paths in; datagrams, a deadline, events
 * and the state to store out. No socket, no clock, no file. Nanoseconds of one clock that never goes backwards and counts while the
 * machine sleeps; ports in host order; addresses 16 bytes. With several servers (RFC 7488 section 4) there is a keeper for each, which
 * knows nothing of the others; keeper_tables.h stores them together.
 *
 * After every call that takes now_ns: store the state if keeper_needs_store(), then take the events, then send. A mapping whose nonce
 * could not be stored is not asked for. */
#ifndef CGN_KEEPER_H
#define CGN_KEEPER_H
#include "pcp_client.h"

#define KEEPER_MAPPINGS_MAX	1024

struct keeper;	/* opaque */

struct keeper_options {
	bool cleans_up;		/* after the table was lost, delete what the server has for this address and nobody wants */
	uint8_t get_opcode, next_code, nonexist;	/* numbers of GET, its option, and the result for nothing found */
	void (*random)(void *bytes, size_t len);	/* fit for secrets */
};

enum keeper_event_type {
	KEEPER_KEPT,		/* the server still has it: after a start with the stored table */
	KEEPER_CREATED, KEEPER_RENEWED,
	KEEPER_CHANGED,		/* its external endpoint is another one */
	KEEPER_LOST,		/* its lifetime ended, or the server said that it is gone */
	KEEPER_REFUSED,		/* by `result`; asked again after lifetime_s */
	KEEPER_DELETED,
	KEEPER_STALE,		/* the server has it, nobody wants it, and it was not deleted */
	KEEPER_EPOCH_RESET,	/* the server lost its state: everything is asked for again */
	KEEPER_SERVER_CHANGED,	/* it answers at another address than before */
	KEEPER_SERVER_SILENT,
	KEEPER_ADDRESS_CHANGED,	/* the host's */
};

struct keeper_event {
	enum keeper_event_type type;
	/* of a mapping; external and former external are zero if unknown */
	uint8_t protocol;
	uint16_t internal_port, external_port, former_port;
	uint8_t internal6[16], external6[16], former6[16];
	uint32_t lifetime_s;
	uint8_t result;			/* enum pcp_result */
	uint16_t ports;			/* of a port set, else 1 */
	/* where things stand */
	struct pcp_client_path path;
	uint32_t epoch_s;
};

/* NULL: out of memory. */
struct keeper *keeper_new(const struct keeper_options *options);
void keeper_free(struct keeper *keeper);	/* NULL is fine */

/* What keeper_encode() wrote, in a run before: only at first, before anything is wished. shift_s takes times of that run's clock to
 * this one's; time_is_unknown: nobody can say how long ago it was. False: not readable, and nothing changed. */
bool keeper_restore(struct keeper *keeper, const uint8_t *bytes, size_t len, int64_t shift_s, bool time_is_unknown);

/* The mappings wanted from now on: MAP requests with lifetime, suggestion and options, their nonces unused, at most KEEPER_MAPPINGS_MAX,
 * no two for one internal endpoint. Those no longer wanted are deleted; one wanted again before it was deleted goes on. The requests are
 * copied, descriptions borrowed until the next call, which still needs them. False: out of memory, the table is not to be relied on. */
bool keeper_wish(struct keeper *keeper, const struct pcp_client_request *wishes, unsigned count, uint64_t now_ns);

/* The addresses of the server, by number, tried in turn (RFC 7488), `first` at first: the one that answered last, if there is one.
 * identity6 tells servers apart: each gets other nonces. */
void keeper_servers(struct keeper *keeper, unsigned count, const uint8_t identity6[16], unsigned first);
/* Is there to be another socket, and to which of the addresses? Answered by one of the next two. */
bool keeper_wants_path(const struct keeper *keeper, unsigned *ret_server);
/* The way on which a server answered last, in this run or the one before. False: none ever did. */
bool keeper_known_path(const struct keeper *keeper, struct pcp_client_path *ret_path);
/* The way to that address; or, unasked, the way there is now that the host's address or routes changed. */
void keeper_path(struct keeper *keeper, const struct pcp_client_path *path, uint64_t now_ns);
/* There is none, or (hard ICMP errors) nobody is there. */
void keeper_no_path(struct keeper *keeper, uint64_t now_ns);

/* From the socket of the path. */
void keeper_receive(struct keeper *keeper, const struct pcp_client_datagram *datagram, uint64_t now_ns);
/* From a multicast group at PCP_CLIENT_PORT (section 14.1.3). */
void keeper_hear(struct keeper *keeper, const struct pcp_client_datagram *datagram, uint64_t now_ns);

/* What is due, into PCP_MESSAGE_MAX bytes; 0: nothing, or not yet. Call until it is 0. */
size_t keeper_send(struct keeper *keeper, uint64_t now_ns, uint8_t *buffer);
/* When to call keeper_send() next; RETRANSMISSION_NEVER. */
uint64_t keeper_deadline(const struct keeper *keeper);

/* The oldest event not taken yet. */
bool keeper_next_event(struct keeper *keeper, struct keeper_event *ret_event);

bool keeper_needs_store(const struct keeper *keeper);
/* Allocates *ret_bytes for the caller. False: out of memory. */
bool keeper_encode(const struct keeper *keeper, uint8_t **ret_bytes, size_t *ret_len);
/* What keeper_encode() wrote last is on disk. */
void keeper_stored(struct keeper *keeper);

/* Deletes all mappings; when keeper_is_released(), the server has answered for each, or its lifetime has ended. */
void keeper_release(struct keeper *keeper, uint64_t now_ns);
bool keeper_is_released(const struct keeper *keeper);

#endif
