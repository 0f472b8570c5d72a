/* SPDX-License-Identifier: GPL-2.0-only */
/* What can go wrong above the data plane. One list gives the name, the result sent to a PCP client and the text for logs. */
#ifndef CGN_ERROR_H
#define CGN_ERROR_H

/* X(name, PCP result of RFC 6887 section 7.4, text) */
#define CGN_ERRORS(X) \
	X(CGN_ESILENT,		PCP_SUCCESS,			"to be ignored without an answer") \
	X(CGN_EVERSION,		PCP_UNSUPP_VERSION,		"version not supported") \
	X(CGN_ESHORT,		PCP_MALFORMED_REQUEST,		"message ends inside a field") \
	X(CGN_EMALFORMED,	PCP_MALFORMED_REQUEST,		"message breaks a rule of its opcode") \
	X(CGN_EOPCODE,		PCP_UNSUPP_OPCODE,		"opcode unknown or disabled") \
	X(CGN_EOPTION,		PCP_UNSUPP_OPTION,		"mandatory option unknown, disabled or not permitted") \
	X(CGN_EBADOPTION,	PCP_MALFORMED_OPTION,		"option malformed or out of place") \
	X(CGN_EADDRESS,		PCP_ADDRESS_MISMATCH,		"client address is not the packet's source") \
	X(CGN_EPROTOCOL,	PCP_UNSUPP_PROTOCOL,		"protocol cannot be mapped") \
	X(CGN_ENOTAUTH,		PCP_NOT_AUTHORIZED,		"not permitted") \
	X(CGN_ENONCE,		PCP_NOT_AUTHORIZED,		"another nonce owns the mapping") \
	X(CGN_EQUOTA,		PCP_USER_EX_QUOTA,		"subscriber is at its quota") \
	X(CGN_ENORESOURCES,	PCP_NO_RESOURCES,		"no free external port, or a table is full") \
	X(CGN_ECANNOTPROVIDE,	PCP_CANNOT_PROVIDE_EXTERNAL,	"suggested external endpoint is not available") \
	X(CGN_EPEERS,		PCP_EXCESSIVE_REMOTE_PEERS,	"too many filters") \
	X(CGN_ENOMAPPING,	PCP_NONEXIST_MAP,		"no mapping matches") \
	X(CGN_ENETWORK,		PCP_NETWORK_FAILURE,		"no external address")

#define CGN_ERROR_NAME(name, result, text) name,
enum cgn_error {
	CGN_EBASE = -1000,	/* below every -errno */
	CGN_ERRORS(CGN_ERROR_NAME)
};

/* For logs; never NULL, also for -errno. */
const char *cgn_error_text(int error);
/* The PCP result (enum pcp_result) of an error; PCP_NO_RESOURCES for what is not in the list. */
int cgn_error_pcp_result(int error);

#endif
