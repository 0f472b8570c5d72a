/* SPDX-License-Identifier: GPL-2.0-only */
/* One request on its way through the server. Shared by pcp_server.c and the files of its opcodes and options only. */
#ifndef CGN_PCP_REQUEST_H
#define CGN_PCP_REQUEST_H
#include "epoch_table.h"
#include "error.h"
#include "pcp_codec.h"
#include "pcp_server.h"
#include "rate_limit.h"

#include "get_codec.h"

struct pcp_request;
struct pcp_answer;

#define PCP_PAGE_MAX ((PCP_MESSAGE_MAX - PCP_HEADER_LEN - PCP_GET_LEN) / (PCP_OPTION_HEADER_LEN + PCP_NEXT_LEN))

struct pcp_page {		/* the mappings of one answer to GET */
	size_t count;
	uint8_t code;		/* of the NEXT option */
	struct pcp_next next[PCP_PAGE_MAX];
	size_t options_len;
	uint8_t options[PCP_MESSAGE_MAX];	/* those embedded in `next` */
};

struct pcp_server {
	struct pcp_policy policy;
	const struct dataplane_ops *ops;
	void *dataplane;
	uint32_t epoch_base_s;
	bool (*update)(void *context, const struct pcp_update *update);	/* NULL: nobody can be told */
	void *update_context;
	struct epoch_table *epochs;	/* of single clients */
	struct announcer *announcer;	/* borrowed; may be NULL */
	struct rate_limit *rate;	/* NULL: no limit was asked for yet */
	struct pcp_server_stats stats;
	struct cgn_listed *listed;	/* scratch of one GET, made for the first */
	struct pcp_page page;
};

enum pcp_accepted_option {	/* bits of pcp_operation.options */
	PCP_ACCEPTS_THIRD_PARTY = 1 << 0,
	PCP_ACCEPTS_PREFER_FAILURE = 1 << 1,
	PCP_ACCEPTS_FILTER = 1 << 2,
	PCP_ACCEPTS_CHECKPOINT = 1 << 3,
	PCP_ACCEPTS_NEXT = 1 << 8,
	PCP_ACCEPTS_PORT_SET = 1 << 6,
	PCP_ACCEPTS_DESCRIPTION = 1 << 4,
};

/* One opcode: a row in pcp_server.c. The functions return 0 or an error that cgn_error_pcp_result() knows. */
struct pcp_operation {
	uint8_t opcode;
	size_t body_len;
	unsigned options;	/* pcp_accepted_option */
	size_t is_served;	/* offset of its switch in struct pcp_policy */
	void (*decode)(struct reader *body, struct pcp_request *request);	/* body_len bytes are there; NULL: no body */
	/* Does it. On an error nothing has changed. */
	int (*decide)(struct pcp_server *server, const struct pcp_request *request, struct pcp_answer *answer);
	void (*encode)(struct writer *w, const struct pcp_answer *answer);	/* NULL: no body */
};

struct pcp_request {
	const struct pcp_datagram *datagram;
	const struct pcp_operation *operation;	/* NULL until the opcode is known */
	struct pcp_request_header header;
	struct pcp_get get;
	const uint8_t *get_payload;	/* as it came: the answer returns it bit by bit */
	struct pcp_next next;		/* if has_next */
	bool has_next;
	uint8_t get_next;		/* the number of NEXT here */
	uint32_t now_s;
	struct pcp_map map;		/* PEER: the part that it shares with MAP */
	uint8_t remote6[16];		/* PEER */
	uint16_t remote_port;		/* PEER */
	uint8_t internal6[16];		/* whose mapping it is about */
	struct reader options;		/* at the first one */
	bool prefers_failure;
	bool has_port_set, keeps_parity;
	uint16_t set_size;		/* ports asked for by PORT_SET; 0: a single one */
	bool clears_filters;		/* before those that follow are added */
	uint8_t filter_count;
	struct cgn_filter filters[CGN_FILTERS_MAX];
	const uint8_t *description;	/* text to be stored, cut to what is stored; NULL: not asked for, or not valid */
	uint16_t description_len;
	unsigned processed;		/* options to be echoed, a bit for each row of the table in pcp_options.c */
};

struct pcp_answer {
	uint32_t lifetime_s;	/* of a success, and of CGN_ENONCE; other errors have theirs by result */
	struct pcp_map map;
	const uint8_t *get_payload;
	const struct pcp_page *page;	/* NULL: none is asked for */
	uint16_t set_first, set_size;	/* MAP: the set, if its size is above 1 */
	bool is_described;	/* the request's description was stored */
	uint8_t remote6[16];	/* PEER */
	uint16_t remote_port;	/* PEER */
};

/* ---- pcp_question.c ---- */
bool pcp_protocol_is_mappable(uint8_t protocol);
uint32_t pcp_lifetime_grant(const struct pcp_policy *policy, uint32_t requested_s);
/* `origin`: CGN_MAP or CGN_PEER. Lifetime and suggestion are left out. */
void pcp_question_fill(const struct pcp_server *server, const struct pcp_request *request, uint8_t origin,
		       struct cgn_map_request *ret_question);
/* The suggested endpoint; an IPv6 address is no wish that the data plane knows. */
void pcp_question_suggest(const struct pcp_map *map, struct cgn_map_request *question);
#define PCP_TRIES 8	/* CGN_BUSY: lost a race against packets, which are quick */
/* Asks until the data plane has an answer. Each try starts from the same question: a refused one may have been written to.
 * Returns 0 or -errno. */
int pcp_dataplane_ask(const struct pcp_server *server, int (*operation)(void *, struct cgn_map_request *),
		      const struct cgn_map_request *question, struct cgn_map_request *ret_answer);
/* The error that a status (enum cgn_status) is to a client; 0 for CGN_OK. */
int pcp_status_error(uint32_t status);

/* ---- pcp_options.c ---- */
/* Judges all options in their order and enters what they say into the request (RFC 6887 section 7.3). */
int pcp_options_process(const struct pcp_server *server, struct pcp_request *request);
/* Those that were processed, as they came. */
void pcp_options_echo(const struct pcp_request *request, const struct pcp_answer *answer, struct writer *w);
/* Their length in the answer. */
size_t pcp_options_echo_len(const struct pcp_request *request);

/* ---- pcp_description.c ---- */
/* Enters a valid text into the request. False: it is to be ignored. */
bool pcp_description_decode(const struct pcp_option *option, uint16_t length_max, struct pcp_request *request);
/* Stores the request's text with the explicit mapping of `key`, if there is a text. */
void pcp_description_store(const struct pcp_server *server, const struct pcp_request *request, const struct cgn_explicit_key *key,
			   struct pcp_answer *answer);

/* ---- natpmp_server.c ---- */
/* The length of the reply, of PCP_MESSAGE_MAX bytes at most; 0: silence. */
size_t natpmp_handle(struct pcp_server *server, const struct pcp_datagram *datagram, uint32_t now_s, uint8_t *reply);

/* ---- pcp_map.c ---- */
void pcp_map_decode(struct reader *body, struct pcp_request *request);
int pcp_map_decide(struct pcp_server *server, const struct pcp_request *request, struct pcp_answer *answer);
void pcp_map_encode(struct writer *w, const struct pcp_answer *answer);

/* ---- pcp_get.c ---- */
#define PCP_LISTED_MAX (CGN_SUBSCRIBER_BLOCKS_MAX * CGN_BLOCK_SIZE_MAX * CGN_PROTOCOLS)	/* no subscriber has more */
void pcp_get_decode(struct reader *body, struct pcp_request *request);
int pcp_get_decide(struct pcp_server *server, const struct pcp_request *request, struct pcp_answer *answer);
void pcp_get_encode(struct writer *w, const struct pcp_answer *answer);

/* ---- pcp_port_set.c ---- */
/* Asks for the request's set: made, refreshed or (lifetime 0) ended. Status CGN_NOT_FOUND: there is none, and a single mapping is
 * to be asked for. 0 or -errno. */
int pcp_set_ask(const struct pcp_server *server, const struct pcp_request *request, const struct cgn_map_request *question,
		struct cgn_map_request *ret_answer);
/* A single mapping was refreshed or ended: so is the rest of the set that it is of (section 4.4). */
void pcp_set_follow(const struct pcp_server *server, const struct pcp_request *request, const struct cgn_map_request *question,
		    const struct cgn_map_request *answered);

/* ---- pcp_peer.c ---- */
void pcp_peer_decode(struct reader *body, struct pcp_request *request);
int pcp_peer_decide(struct pcp_server *server, const struct pcp_request *request, struct pcp_answer *answer);
void pcp_peer_encode(struct writer *w, const struct pcp_answer *answer);

#endif
