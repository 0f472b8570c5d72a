/* SPDX-License-Identifier: GPL-2.0-only */
/* A client's messages: its request as bytes of PCP or NAT-PMP, and whether an answer belongs to it. For pcp_client.c only. */
#ifndef CGN_PCP_CLIENT_MESSAGE_H
#define CGN_PCP_CLIENT_MESSAGE_H
#include "natpmp_codec.h"
#include "pcp_client.h"

/* Into PCP_MESSAGE_MAX bytes. Returns the length, 0 if it does not fit. */
size_t pcp_client_encode(const struct pcp_client_request *request, const uint8_t client6[16], uint8_t *buffer);
size_t natpmp_client_encode(const struct pcp_client_request *request, uint8_t *buffer);

/* Can NAT-PMP say it without losing what the client insists on (RFC 6887 appendix A)? */
bool natpmp_client_can(const struct pcp_client_request *request, const uint8_t client6[16]);

/* What follows the header of a response, at `body`: false if it is not an answer to the request (RFC 6887 sections 11.4, 12.4, 13.2;
 * draft-boucadair-pcp-failure B.1). Fills body and options of the reply, whose header is decoded already. */
bool pcp_client_body_matches(const struct pcp_client_request *request, const uint8_t client6[16], struct reader *body,
			     struct pcp_client_reply *reply);
bool natpmp_client_matches(const struct pcp_client_request *request, const struct natpmp_response *response);

#endif
