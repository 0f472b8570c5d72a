/* SPDX-License-Identifier: GPL-2.0-only */
/* What was measured: one JSON object a line, windows as they came. report.py makes medians and ratios of them. */
#ifndef RESULT_H
#define RESULT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESULT_WINDOWS_MAX 256

struct latency;

struct result {
	const char *measure;	/* "forward", "new-flows", "map-create", ... */
	const char *direction;	/* of packets. MAP: where the stable storage is */
	const char *path;
	const char *unit;	/* of `window`; NULL: per second */
	uint32_t flows;		/* asked for. MAP: mappings that are there already */
	uint32_t held;		/* that the NAT held */
	uint64_t sent, received;
	const struct latency *latency;	/* NULL: not measured */
	double server_seconds;	/* CPU time of who answered, for all that was received; 0: not measured */
	size_t windows;
	double window[RESULT_WINDOWS_MAX];	/* received per second in each window, or what `unit` says */
};

/* One more window; beyond RESULT_WINDOWS_MAX they are not kept. */
void result_add(struct result *result, uint64_t sent, uint64_t received, double seconds);
void result_add_value(struct result *result, double value);
/* Appends to a file, and says the median on stderr. False: it could not be written. */
bool result_write(const struct result *result, const char *path);

#endif
