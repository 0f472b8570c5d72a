/* SPDX-License-Identifier: GPL-2.0-only */
/* What a server answered, on stdout: one line for people, or one JSON object. */
#ifndef CGN_PCPC_OUTPUT_H
#define CGN_PCPC_OUTPUT_H
#include <jansson.h>
#include "pcp_client.h"
#include "pcpc.h"

/* The answer to a request. Returns the exit code that says the same. */
int pcpc_output_reply(const struct pcpc *pcpc, const struct pcp_client_path *path, const struct pcp_client_request *request,
		      const struct pcp_client_reply *reply);

/* Options of a mapping as members of an object, in the words that --filter and so on take. What is not known is left out. */
void pcpc_output_options(json_t *object, struct reader options);
/* The same for people: " filter 203.0.113.0/24:443 description …". */
void pcpc_output_options_text(struct reader options);

/* Prints the object and gives it up. */
void pcpc_output_json(json_t *object);
/* 24 hex digits */
struct inet_text pcpc_nonce_text(const uint8_t nonce[PCP_NONCE_LEN]);

#endif
