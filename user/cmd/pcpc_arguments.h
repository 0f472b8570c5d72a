/* SPDX-License-Identifier: GPL-2.0-only */
/* Arguments and options that several commands of pcpc have. Parsers end the program by argp_error() on what cannot be meant. */
#ifndef CGN_PCPC_ARGUMENTS_H
#define CGN_PCPC_ARGUMENTS_H
#include "pcp_client.h"
#include "pcpc.h"

enum pcpc_option {
	PCPC_OPTION_EXTERNAL = 0x200, PCPC_OPTION_LIFETIME, PCPC_OPTION_PREFER_FAILURE, PCPC_OPTION_FILTER, PCPC_OPTION_THIRD_PARTY,
	PCPC_OPTION_NONCE, PCPC_OPTION_PORT_SET, PCPC_OPTION_DESCRIPTION, PCPC_OPTION_CHECKPOINT,
};

/* Rows of an argp_option table. */
#define PCPC_ROW_EXTERNAL { "external", PCPC_OPTION_EXTERNAL, "[ADDRESS][:PORT]", 0, "Suggest this external address, port or both", 0 }
#define PCPC_ROW_LIFETIME { "lifetime", PCPC_OPTION_LIFETIME, "SECONDS", 0, "Ask for this lifetime (default 3600)", 0 }
#define PCPC_ROW_PREFER_FAILURE { "prefer-failure", PCPC_OPTION_PREFER_FAILURE, NULL, 0, "Rather no mapping than another one than --external", 0 }
#define PCPC_ROW_FILTER { "filter", PCPC_OPTION_FILTER, "NET[:PORT]", 0, "Let this remote network in only, repeatable; none: drop filters before", 0 }
#define PCPC_ROW_THIRD_PARTY { "third-party", PCPC_OPTION_THIRD_PARTY, "ADDRESS", 0, "For this host instead of the own one", 0 }
#define PCPC_ROW_NONCE { "nonce", PCPC_OPTION_NONCE, "HEX", 0, "Mapping nonce, 24 hex digits (default: a new one)", 0 }
#define PCPC_ROW_PORT_SET { "port-set", PCPC_OPTION_PORT_SET, "N[p]", 0, "Map N ports from PORT on, 65535: what there is; p: keep parity", 0 }
#define PCPC_ROW_DESCRIPTION { "description", PCPC_OPTION_DESCRIPTION, "TEXT", 0, "Name the mapping, in UTF-8", 0 }
#define PCPC_ROW_CHECKPOINT { "checkpoint", PCPC_OPTION_CHECKPOINT, NULL, 0, "Ask for the mapping to be replicated", 0 }

struct pcpc_arguments {
	struct pcpc *pcpc;
	struct pcp_client_request request;	/* the nonce is drawn unless --nonce gave it */
	bool has_nonce;
	bool has_external_address;
};

/* One of PCPC_OPTION_*; ARGP_ERR_UNKNOWN for other keys. The request's nonce is drawn at ARGP_KEY_INIT, where the common options
 * become the first child. */
error_t pcpc_option_parse(int key, char *argument, struct argp_state *state);

/* "tcp", "udp", "sctp" or 0 to 255 */
uint8_t pcpc_protocol_parse(const char *text, struct argp_state *state);
/* A port that the protocol has: 1 to 65535, of a protocol without ports 0. 0 also stands for all ports, where allowed. */
uint16_t pcpc_port_parse(const char *text, uint8_t protocol, bool may_be_all, struct argp_state *state);
bool pcpc_protocol_has_ports(uint8_t protocol);

/* "tcp", or "47" */
struct inet_text pcpc_protocol_text(uint8_t protocol);

#endif
