/* SPDX-License-Identifier: GPL-2.0-only */
/* A log record of the NAT (RFC 6888 REQ-12: no destinations; REQ-14: one a port block, not one a flow), and its form as a syslog
 * message with structured data (RFC 5424). */
#ifndef CGN_NAT_LOG_H
#define CGN_NAT_LOG_H
#include <stddef.h>
#include <stdint.h>

enum nat_log_event { NAT_LOG_ALLOCATED, NAT_LOG_RELEASED, NAT_LOG_EXHAUSTED, NAT_LOG_QUOTA };

struct nat_log {
	enum nat_log_event event;
	int64_t unix_s;
	char subscriber[48];		/* its address as text, or "static" */
	uint8_t external4[4];		/* of a block, as the ports and the generation */
	uint16_t first_port, last_port;	/* both inside */
	uint32_t generation;		/* counts the owners of the block since the tables were made */
};

#define NAT_LOG_MESSAGE_MAX 512

/* "allocated", "released", "exhausted", "quota" */
const char *nat_log_event_name(enum nat_log_event event);
/* Host name and process id as they shall stand in the header; what no header may hold is left out. Returns the length. */
size_t nat_log_syslog(const struct nat_log *record, const char *host, int pid, char *ret_message, size_t size);

#endif
