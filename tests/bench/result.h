/* SPDX-License-Identifier: GPL-2.0-only */
/* What was measured: one JSON object a line, windows as they came. report.py makes medians and ratios of them. */
#ifndef RESULT_H
#define RESULT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESULT_WINDOWS_MAX 256

struct result {
	const char *measure;	/* "forward", "new-flows" */
	const char *direction;
	const char *path;
	uint32_t flows;		/* asked for */
	uint32_t held;		/* that the NAT held */
	uint64_t sent, received;
	size_t windows;
	double rate[RESULT_WINDOWS_MAX];	/* frames per second, by window */
};

/* One more window; beyond RESULT_WINDOWS_MAX they are not kept. */
void result_add(struct result *result, uint64_t sent, uint64_t received, double seconds);
/* Appends to a file, and says the median on stderr. False: it could not be written. */
bool result_write(const struct result *result, const char *path);

#endif
