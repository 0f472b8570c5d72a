/* SPDX-License-Identifier: GPL-2.0-only */
/* PCP messages to and from bytes (RFC 6887 sections 7, 11.1, 12.1, 13). No policy here: what was said, not what is allowed.
 * Ports, lifetimes and times in host order; addresses 16 bytes in network order, IPv4 as ::ffff:a.b.c.d (section 5). */
#ifndef CGN_PCP_CODEC_H
#define CGN_PCP_CODEC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "pcp_proto.h"
#include "reader.h"
#include "writer.h"

struct pcp_request_header {	/* section 7.1 */
	uint8_t version;
	uint8_t opcode;		/* without the response bit */
	bool is_response;
	uint32_t lifetime_s;
	uint8_t client6[16];
};

struct pcp_response_header {	/* section 7.2; encoded always as PCP_VERSION with the response bit */
	uint8_t version;	/* decoded only */
	bool is_response;	/* decoded only */
	uint8_t opcode;		/* without the response bit */
	uint8_t result;
	uint32_t lifetime_s;
	uint32_t epoch_s;
};

struct pcp_map {		/* section 11.1: request and response alike */
	uint8_t nonce[PCP_NONCE_LEN];
	uint8_t protocol;
	uint16_t internal_port;
	uint16_t external_port;	/* suggested or assigned */
	uint8_t external6[16];
};

struct pcp_peer {		/* section 12.1 */
	struct pcp_map map;
	uint16_t remote_port;
	uint8_t remote6[16];
};

struct pcp_option {		/* section 7.3; data borrowed from the message */
	uint8_t code;
	uint16_t length;	/* of data, without padding */
	const uint8_t *data;
};

struct pcp_filter {		/* section 13.3 */
	uint8_t prefix_length;	/* 0: remove all filters */
	uint16_t remote_port;	/* 0: all */
	uint8_t remote6[16];
};

struct pcp_port_set {		/* RFC 7753 section 4 */
	uint16_t size;		/* 0xffff in a request: as many as possible */
	uint16_t first_internal_port;
	bool keeps_parity;
};

/* Every decoder: 0, or CGN_ESHORT and the output untouched. */
int pcp_decode_request_header(struct reader *r, struct pcp_request_header *ret_header);
int pcp_decode_response_header(struct reader *r, struct pcp_response_header *ret_header);
int pcp_decode_map(struct reader *r, struct pcp_map *ret_map);
int pcp_decode_peer(struct reader *r, struct pcp_peer *ret_peer);
/* The next option with its padding. Returns 1 if there was one, 0 at the end, CGN_EBADOPTION if it runs past the message. */
int pcp_decode_option(struct reader *r, struct pcp_option *ret_option);
/* CGN_EBADOPTION if the length is not 20. */
int pcp_decode_filter(const struct pcp_option *option, struct pcp_filter *ret_filter);
/* Section 13.1. CGN_EBADOPTION if the length is not 16. */
int pcp_decode_third_party(const struct pcp_option *option, uint8_t ret_internal6[16]);
/* CGN_EBADOPTION if the length is not 5. */
int pcp_decode_port_set(const struct pcp_option *option, struct pcp_port_set *ret_port_set);
/* RFC 7220: bytes borrowed from the message, without a NUL, not checked to be UTF-8. CGN_EBADOPTION beyond PCP_DESCRIPTION_MAX. */
int pcp_decode_description(const struct pcp_option *option, const char **ret_text, uint16_t *ret_length);

void pcp_encode_request_header(struct writer *w, const struct pcp_request_header *header);
void pcp_encode_response_header(struct writer *w, const struct pcp_response_header *header);
void pcp_encode_map(struct writer *w, const struct pcp_map *map);
void pcp_encode_peer(struct writer *w, const struct pcp_peer *peer);
void pcp_encode_option(struct writer *w, uint8_t code, const void *data, uint16_t length);
void pcp_encode_filter(struct writer *w, const struct pcp_filter *filter);
void pcp_encode_third_party(struct writer *w, const uint8_t internal6[16]);
void pcp_encode_port_set(struct writer *w, const struct pcp_port_set *port_set);
void pcp_encode_description(struct writer *w, const char *text, uint16_t length);

/* IPv4-mapped addresses (section 5: all 96 prefix bits count). */
bool pcp_address_is_ipv4(const uint8_t address6[16]);
bool pcp_address_is_any(const uint8_t address6[16]);	/* ::, or ::ffff:0.0.0.0 */
void pcp_address_from_ipv4(const uint8_t addr4[4], uint8_t ret_address6[16]);

#endif
