/* SPDX-License-Identifier: GPL-2.0-only */
/* What a command found, record by record on stdout: a JSON object a line, or a row of a table made from the same object. */
#ifndef CGN_XCGNCTL_OUTPUT_H
#define CGN_XCGNCTL_OUTPUT_H
#include <stdbool.h>
#include <jansson.h>

struct column {
	const char *title;
	const char *path;	/* member of the record; "used.udp" is a member of a member */
	int width;		/* negative: left-aligned; longer values push the rest of their row */
	bool is_time;		/* Unix seconds, shown as date and time in UTC */
};

struct output {
	bool is_json;
	const struct column *columns;	/* ends with a NULL title; NULL: one "member: value" a line */
	bool has_header;
};

/* Writes one record and drops the caller's reference to it. False if it was NULL (no memory) or cannot be written, which is
 * said on stderr: give up. */
bool output_record(struct output *output, json_t *record);
/* An empty table still has its header; what is buffered must get out. Returns an exit code. */
int output_finish(struct output *output);

#endif
