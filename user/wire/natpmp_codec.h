/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT-PMP messages to and from bytes (RFC 6886 section 3). No policy here. Ports, lifetimes and times in host order. */
#ifndef CGN_NATPMP_CODEC_H
#define CGN_NATPMP_CODEC_H
#include <stdbool.h>
#include <stdint.h>
#include "reader.h"
#include "writer.h"

#define NATPMP_RESPONSE_BIT		0x80
#define NATPMP_HEADER_LEN		8	/* of a response: all that "unsupported version" has */
#define NATPMP_ADDRESS_REQUEST_LEN	2
#define NATPMP_ADDRESS_RESPONSE_LEN	12
#define NATPMP_MAP_REQUEST_LEN		12
#define NATPMP_MAP_RESPONSE_LEN		16

enum natpmp_opcode { NATPMP_ADDRESS = 0, NATPMP_MAP_UDP = 1, NATPMP_MAP_TCP = 2 };

/* X(name, number, PCP result that says the same) : section 3.5 */
#define NATPMP_RESULTS(X) \
	X(SUCCESS, 0, PCP_SUCCESS) X(UNSUPP_VERSION, 1, PCP_UNSUPP_VERSION) X(NOT_AUTHORIZED, 2, PCP_NOT_AUTHORIZED) \
	X(NETWORK_FAILURE, 3, PCP_NETWORK_FAILURE) X(OUT_OF_RESOURCES, 4, PCP_NO_RESOURCES) X(UNSUPP_OPCODE, 5, PCP_UNSUPP_OPCODE)

#define NATPMP_RESULT_ENUM(name, number, pcp) NATPMP_##name = number,
enum natpmp_result { NATPMP_RESULTS(NATPMP_RESULT_ENUM) };

struct natpmp_request {
	uint8_t opcode;			/* without the response bit */
	bool is_response;		/* decoded only: to be ignored by a server */
	/* of NATPMP_MAP_*, else zero */
	uint16_t internal_port;
	uint16_t external_port;		/* suggested; 0: no preference */
	uint32_t lifetime_s;		/* 0: delete */
};

struct natpmp_response {
	uint8_t opcode;			/* without the response bit */
	bool is_response;		/* decoded only: "unsupported version" is sent without the bit, everything else with it */
	uint16_t result;
	uint32_t epoch_s;
	uint8_t external4[4];		/* of NATPMP_ADDRESS, network order */
	/* of NATPMP_MAP_* */
	uint16_t internal_port;
	uint16_t external_port;		/* mapped */
	uint32_t lifetime_s;
};

/* The first byte of a message, the version, must be NATPMP_VERSION. 0; CGN_EVERSION; CGN_ESHORT for less than the opcode's fields;
 * CGN_EOPCODE for an opcode that NAT-PMP does not have, with opcode and is_response filled in. */
int natpmp_decode_request(struct reader *r, struct natpmp_request *ret_request);
/* The same. A response that carries an error may end after its header, or anywhere in its fields; what is missing is zero. */
int natpmp_decode_response(struct reader *r, struct natpmp_response *ret_response);

/* The fields that the opcode has. */
void natpmp_encode_request(struct writer *w, const struct natpmp_request *request);
void natpmp_encode_response(struct writer *w, const struct natpmp_response *response);
/* The answer to a version that is not NAT-PMP's: header only, opcode 0 without the response bit. */
void natpmp_encode_unsupported_version(struct writer *w, uint32_t epoch_s);

/* NATPMP_* of a result of RFC 6887, and back: the nearest one. */
int natpmp_result_from_pcp(int pcp_result);
int natpmp_result_to_pcp(int natpmp_result);
/* "OUT_OF_RESOURCES", or "RESULT_9" from a static buffer for an unknown one. */
const char *natpmp_result_name(int natpmp_result);

#endif
