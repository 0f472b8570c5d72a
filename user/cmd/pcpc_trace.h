/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages as they are on the wire, field by field: for people who look for a fault, and for showing the protocol. */
#ifndef CGN_PCPC_TRACE_H
#define CGN_PCPC_TRACE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pcpc_trace {
	bool is_on;
	uint8_t get_opcode, next_code;	/* the numbers that stand for GET and NEXT at this server */
};

/* Prints a datagram to stderr, whatever is in it; nothing if the trace is off. */
void pcpc_trace_message(const struct pcpc_trace *trace, bool is_received, const uint8_t *bytes, size_t len);

#endif
