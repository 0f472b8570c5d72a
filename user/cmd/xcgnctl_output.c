/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "dataplane.h"
#include "log.h"
#include "xcgnctl_output.h"

#define CELL_MAX 256

static const json_t *find_member(const json_t *record, const char *path)
{
	const char *dot;
	char name[64];

	while ((dot = strchr(path, '.'))) {
		snprintf(name, sizeof(name), "%.*s", (int)(dot - path), path);
		record = json_object_get(record, name);
		path = dot + 1;
	}
	return json_object_get(record, path);
}

static void write_time(char *cell, size_t size, json_int_t seconds)
{
	time_t when = (time_t)seconds;
	struct tm utc;

	if (!gmtime_r(&when, &utc) || !strftime(cell, size, "%Y-%m-%dT%H:%M:%SZ", &utc))
		snprintf(cell, size, "%lld", (long long)seconds);
}

/* A value in words: null and what is missing as "-", lists with commas. */
static void write_cell(char *cell, size_t size, const json_t *value)
{
	size_t length = 0, i;

	snprintf(cell, size, "-");
	if (json_is_string(value))
		snprintf(cell, size, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(cell, size, "%lld", (long long)json_integer_value(value));
	else if (json_is_boolean(value))
		snprintf(cell, size, "%s", json_is_true(value) ? "yes" : "no");
	else if (json_is_object(value))
		snprintf(cell, size, "{}");
	for (i = 0; i < json_array_size(value) && length + 1 < size; i++) {
		if (i)
			cell[length++] = ',';
		write_cell(cell + length, size - length, json_array_get(value, i));
		length += strlen(cell + length);
	}
}

static void write_row(const struct output *output, const json_t *record)
{
	const struct column *column;
	const json_t *value;
	char cell[CELL_MAX];
	int width;

	for (column = output->columns; column->title; column++) {
		value = find_member(record, column->path);
		if (!record)
			snprintf(cell, sizeof(cell), "%s", column->title);
		else if (column->is_time && json_is_integer(value))
			write_time(cell, sizeof(cell), json_integer_value(value));
		else
			write_cell(cell, sizeof(cell), value);
		width = column[1].title || column->width > 0 ? column->width : 0;	/* nothing to align behind the last */
		printf("%*s%c", width, cell, column[1].title ? ' ' : '\n');
	}
}

static void write_header(struct output *output)
{
	if (!output->has_header)
		write_row(output, NULL);
	output->has_header = true;
}

/* Members of members get the names of both: "mappings.explicit". */
static void write_members(json_t *record, const char *prefix)
{
	char cell[4 * CELL_MAX], name[96];
	json_t *value;
	const char *key;

	json_object_foreach(record, key, value) {
		snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key);
		if (json_object_size(value)) {
			write_members(value, name);
			continue;
		}
		write_cell(cell, sizeof(cell), value);
		printf("%s: %s\n", name, cell);
	}
}

static bool is_written(void)
{
	if (!ferror(stdout))
		return true;
	log_error("cannot write to stdout: %s", strerror(errno));
	return false;
}

bool output_record(struct output *output, json_t *record)
{
	if (!record) {
		log_error("out of memory");
		return false;
	}
	if (output->is_json) {
		json_dumpf(record, stdout, JSON_COMPACT);
		putchar('\n');
	} else if (output->columns) {
		write_header(output);
		write_row(output, record);
	} else {
		write_members(record, "");
	}
	json_decref(record);
	return is_written();
}

int output_finish(struct output *output)
{
	if (!output->is_json && output->columns)
		write_header(output);
	fflush(stdout);
	return is_written() ? 0 : DATAPLANE_KERNEL;
}
