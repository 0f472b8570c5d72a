/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "nat_log.h"

#define FACILITY	16	/* local0 */
#define SEVERITY_WARNING 4
#define SEVERITY_INFO	6
#define HOST_MAX	255	/* section 6.2.4 */
#define SD_ID		"xcgn@32473"	/* section 7.2.2: a name, and the enterprise number that RFC 5612 keeps for who has none */

static const struct { const char *name, *message_id; int severity; } events[] = {
	[NAT_LOG_ALLOCATED] = { "allocated", "BLOCK-ALLOCATED", SEVERITY_INFO },
	[NAT_LOG_RELEASED] = { "released", "BLOCK-RELEASED", SEVERITY_INFO },
	[NAT_LOG_EXHAUSTED] = { "exhausted", "EXHAUSTED", SEVERITY_WARNING },
	[NAT_LOG_QUOTA] = { "quota", "QUOTA", SEVERITY_WARNING },
};

const char *nat_log_event_name(enum nat_log_event event)
{
	return events[event].name;
}

/* PRINTUSASCII (section 6): no spaces, no controls; nothing at all is "-". */
static void copy_host(const char *host, char ret_host[HOST_MAX + 1])
{
	size_t used = 0;

	for (; *host && used < HOST_MAX; host++)
		if (*host > ' ' && *host < 0x7f)
			ret_host[used++] = *host;
	if (!used)
		ret_host[used++] = '-';
	ret_host[used] = '\0';
}

size_t nat_log_syslog(const struct nat_log *record, const char *host, int pid, char *ret_message, size_t size)
{
	time_t seconds = (time_t)record->unix_s;
	char host_text[HOST_MAX + 1], block[112] = "";
	const uint8_t *a = record->external4;
	struct tm when;
	int length;

	copy_host(host, host_text);
	if (record->event <= NAT_LOG_RELEASED)
		snprintf(block, sizeof(block), " external=\"%u.%u.%u.%u\" first-port=\"%u\" last-port=\"%u\" generation=\"%u\"", a[0], a[1], a[2],
			 a[3], record->first_port, record->last_port, record->generation);
	if (!gmtime_r(&seconds, &when))
		memset(&when, 0, sizeof(when));
	length = snprintf(ret_message, size, "<%d>1 %04d-%02d-%02dT%02d:%02d:%02dZ %s xcgnd %d %s [" SD_ID " subscriber=\"%s\"%s]",
			  FACILITY * 8 + events[record->event].severity, when.tm_year + 1900, when.tm_mon + 1, when.tm_mday, when.tm_hour,
			  when.tm_min, when.tm_sec, host_text, pid, events[record->event].message_id, record->subscriber, block);
	return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}
