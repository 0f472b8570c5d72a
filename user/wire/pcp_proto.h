/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers of PCP (RFC 6887), NAT-PMP (RFC 6886) and the extensions that xcgn speaks. */
#ifndef CGN_PCP_PROTO_H
#define CGN_PCP_PROTO_H

#define PCP_VERSION		2
#define NATPMP_VERSION		0
#define PCP_SERVER_PORT		5351
#define PCP_CLIENT_PORT		5350
#define PCP_MESSAGE_MAX		1100	/* UDP payload, both directions (section 7) */
#define PCP_HEADER_LEN		24
#define PCP_MAP_LEN		36
#define PCP_PEER_LEN		56
#define PCP_OPTION_HEADER_LEN	4
#define PCP_NONCE_LEN		12
#define PCP_RESPONSE_BIT	0x80

enum pcp_opcode {
	PCP_ANNOUNCE = 0,
	PCP_MAP = 1,
	PCP_PEER = 2,
	PCP_AUTHENTICATION = 3,		/* RFC 7652 */
	PCP_GET = 98,			/* private use; the default, configurable */
};

/* X(name, number) : RFC 6887 section 7.4 and its successors */
#define PCP_RESULTS(X) \
	X(SUCCESS, 0) X(UNSUPP_VERSION, 1) X(NOT_AUTHORIZED, 2) X(MALFORMED_REQUEST, 3) X(UNSUPP_OPCODE, 4) \
	X(UNSUPP_OPTION, 5) X(MALFORMED_OPTION, 6) X(NETWORK_FAILURE, 7) X(NO_RESOURCES, 8) X(UNSUPP_PROTOCOL, 9) \
	X(USER_EX_QUOTA, 10) X(CANNOT_PROVIDE_EXTERNAL, 11) X(ADDRESS_MISMATCH, 12) X(EXCESSIVE_REMOTE_PEERS, 13)

#define PCP_RESULT_ENUM(name, number) PCP_##name = number,
enum pcp_result { PCP_RESULTS(PCP_RESULT_ENUM) };

enum pcp_option_code {
	PCP_OPTION_THIRD_PARTY = 1,
	PCP_OPTION_PREFER_FAILURE = 2,
	PCP_OPTION_FILTER = 3,
	PCP_OPTION_THIRD_PARTY_ID = 13,
	PCP_OPTION_DESCRIPTION = 128,
	PCP_OPTION_PREFIX64 = 129,
	PCP_OPTION_PORT_SET = 130,
	PCP_OPTION_NEXT = 131,
	PCP_OPTION_CHECKPOINT_REQUIRED = 192,
	PCP_OPTION_OPTIONAL = 128,	/* this bit set: may be ignored by who does not know it (section 7.3) */
};

/* "NOT_AUTHORIZED", or "RESULT_200" from a static buffer for an unknown one. */
const char *pcp_result_name(int result);

#endif
