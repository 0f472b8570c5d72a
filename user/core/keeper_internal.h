/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files keeper*.c share. */
#ifndef CGN_KEEPER_INTERNAL_H
#define CGN_KEEPER_INTERNAL_H
#include "get_walk.h"
#include "keeper.h"

#define NS_PER_S 1000000000ull
#define NEVER RETRANSMISSION_NEVER
#define NONCES_MAX 4

struct nonce_of {		/* section 11.2: another nonce for every server */
	uint8_t identity6[16];
	uint8_t nonce[PCP_NONCE_LEN];
};

struct held {			/* a mapping wanted, and what is known of it */
	struct pcp_client_request wish;
	struct pcp_exchange exchange;
	struct nonce_of nonces[NONCES_MAX];	/* the first one is in use */
	unsigned nonce_count, nonces_refused;
	bool nonce_is_stored;
	bool is_told;		/* applications know of it */
	bool has_external;	/* now, or of a life before: what to suggest */
	bool is_live;		/* granted, not expired as far as is known */
	bool is_doubtful;	/* may have gone with the server's state */
	bool clears_filters;
	uint8_t external6[16];
	uint16_t external_port;
	uint16_t ports;		/* granted, of a port set */
	uint64_t granted_ns, expires_ns;
	uint64_t asked_ns;	/* the last renewal; 0: none since it was granted */
	unsigned renewals;	/* sent since it was granted */
	uint64_t due_ns;	/* when to ask; NEVER: while the exchange does */
};

struct removal {		/* of what nobody wants any more */
	struct pcp_client_request request;
	uint8_t external6[16];
	uint16_t external_port;
	uint32_t lifetime_s;
	bool is_stale;		/* found at the server: not of the table */
	uint64_t expires_ns;	/* then it is gone without being asked for; NEVER: not known */
};

struct keeper {
	struct keeper_options options;
	struct held *held;
	unsigned count, size;
	struct removal *removals;	/* the first one is being asked for */
	unsigned removal_count, removal_size;
	bool refuses_redacted;		/* the server checks nonces, and does not show them */

	struct pcp_client client;	/* of the address that is asked */
	struct pcp_client known;	/* of the one that answered last before it, in this run or the one before */
	bool knows_path;		/* one did */
	bool has_answered;		/* client is that one now */
	bool has_path, is_up, is_moved;
	bool wants_path, is_table_lost, is_restored, time_is_unknown, is_releasing;
	unsigned server, server_count, servers_failed;
	uint8_t identity6[16];
	uint64_t server_retry_ns, server_wait_ns;

	struct pcp_exchange probe, walk_exchange, removal_exchange, listener;
	struct get_walk *walk;
	uint64_t walk_end_ns;
	uint8_t natpmp_external6[16];
	uint64_t next_send_ns;

	struct keeper_event *events;
	unsigned event_first, event_count, event_size;
	bool is_dirty;
};

/* The address that answered last. */
const struct pcp_client *keeper_known(const struct keeper *keeper);
bool keeper_is_same_server(const struct pcp_client_path *one, const struct pcp_client_path *other);
/* Room for so many mappings. False: out of memory. */
bool keeper_reserve(struct keeper *keeper, unsigned count);
/* RFC 7488 section 3: with several addresses, four transmissions to each. */
const struct retransmission_rule *keeper_rule(const struct keeper *keeper);
/* uniform in 0 .. span_ns */
uint64_t keeper_random_ns(const struct keeper *keeper, uint64_t span_ns);
void keeper_event(struct keeper *keeper, const struct keeper_event *event);
/* An event of the path alone. */
void keeper_tell(struct keeper *keeper, enum keeper_event_type type);

/* keeper_mapping.c */
const uint8_t *held_internal6(const struct keeper *keeper, const struct held *held);
/* Without a nonce yet. */
void held_init(struct held *held, const struct pcp_client_request *wish, uint64_t now_ns);
/* The nonce for this server comes first. */
void held_select_nonce(struct keeper *keeper, struct held *held);
void held_add_nonce(struct keeper *keeper, struct held *held, const uint8_t nonce[PCP_NONCE_LEN]);
void held_tell(struct keeper *keeper, struct held *held, enum keeper_event_type type, const struct keeper_event *more);
/* To be asked for again at at_ns, whatever the schedule says. */
void held_doubt(struct held *held, uint64_t at_ns);
void held_stop(struct held *held);
uint64_t held_deadline(const struct held *held);
void held_expire(struct keeper *keeper, struct held *held, uint64_t now_ns);
size_t held_send(struct keeper *keeper, struct held *held, uint64_t now_ns, uint8_t *buffer);
void held_answer(struct keeper *keeper, struct held *held, const struct pcp_client_reply *reply, uint64_t now_ns);
/* The first renewal (section 11.2.1), of a mapping granted at granted_ns. */
void held_schedule(struct keeper *keeper, struct held *held);

/* keeper_sync.c */
void sync_probe(struct keeper *keeper, uint64_t now_ns);
/* Its retransmissions begin anew. */
void sync_probe_again(struct keeper *keeper, uint64_t at_ns);
/* The Epoch does not fit: everything but `except` is asked for again after delay_ns. */
void sync_epoch_reset(struct keeper *keeper, const struct held *except, uint64_t now_ns, uint64_t delay_ns);
size_t sync_send(struct keeper *keeper, uint64_t now_ns, uint8_t *buffer);
bool sync_receive(struct keeper *keeper, const struct pcp_client_datagram *datagram, uint64_t now_ns);
uint64_t sync_deadline(const struct keeper *keeper);
/* False: out of memory. */
bool sync_remove(struct keeper *keeper, const struct removal *removal);
bool sync_remove_held(struct keeper *keeper, const struct held *held, uint64_t now_ns);
/* It is wanted again, with the nonce and endpoint that it has: true if it was about to be deleted. */
bool sync_revive(struct keeper *keeper, struct held *held);
/* What would be deleted has ended by itself. */
void sync_expire(struct keeper *keeper, uint64_t now_ns);
/* This address of the server does not answer: on to the next one. */
void sync_server_failed(struct keeper *keeper, uint64_t now_ns);
void sync_stop(struct keeper *keeper);

#endif
