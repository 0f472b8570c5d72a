/* SPDX-License-Identifier: GPL-2.0-only */
/* GET and its NEXT option (draft-boucadair-pcp-failure-06 appendix B) to and from bytes. The numbers of opcode, option and results
 * are configurable; PCP_GET, PCP_OPTION_NEXT and so on are the usual ones. No policy here. Host order; addresses as in pcp_codec.h. */
#ifndef CGN_GET_CODEC_H
#define CGN_GET_CODEC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "pcp_codec.h"

#define PCP_GET_LEN	40
#define PCP_NEXT_LEN	56	/* the fixed part; the draft's 11 is in words, of a version without nonces */

struct pcp_get {		/* the filter: zero (an address: :: or ::ffff:0.0.0.0) is any */
	uint8_t protocol;
	uint8_t internal6[16], external6[16];
	uint16_t internal_port, external_port;
};

struct pcp_next {		/* in a request the locator, in a response one mapping */
	uint8_t nonce[PCP_NONCE_LEN];
	uint8_t protocol;
	bool is_end;		/* request: one mapping is enough; response: no greater one matches */
	uint8_t internal6[16], external6[16];
	uint32_t lifetime_s;	/* remaining; of a request 0 */
	uint16_t internal_port, external_port;
	/* Request: codes of the options wanted, a byte each (zeros are none). Response: those options of the mapping, whole and padded.
	 * Borrowed: by a decoder from the message. */
	const uint8_t *options;
	uint16_t options_len;
};

/* 0, or CGN_ESHORT. The three reserved bytes are not kept: who has to return them copies the message. */
int pcp_decode_get(struct reader *r, struct pcp_get *ret_get);
/* 0, or CGN_EBADOPTION if the option is shorter than PCP_NEXT_LEN. */
int pcp_decode_next(const struct pcp_option *option, struct pcp_next *ret_next);

void pcp_encode_get(struct writer *w, const struct pcp_get *get);
/* The whole option under the code given. */
void pcp_encode_next(struct writer *w, uint8_t code, const struct pcp_next *next);

/* Protocol, ports and addresses all unspecified. */
bool pcp_next_is_undefined(const struct pcp_next *next);
/* The draft's equality (B.3): protocol, internal and external address and port; never the nonce. */
bool pcp_next_is_same(const struct pcp_next *one, const struct pcp_next *other);

#endif
