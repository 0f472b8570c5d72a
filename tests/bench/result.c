/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "result.h"

void result_add(struct result *result, uint64_t sent, uint64_t received, double seconds)
{
	result->sent += sent;
	result->received += received;
	if (result->windows < RESULT_WINDOWS_MAX && seconds > 0)
		result->rate[result->windows++] = (double)received / seconds;
}

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const struct result *result)
{
	double sorted[RESULT_WINDOWS_MAX];

	memcpy(sorted, result->rate, result->windows * sizeof(*sorted));
	qsort(sorted, result->windows, sizeof(*sorted), compare_double);
	return result->windows ? sorted[result->windows / 2] : 0;
}

bool result_write(const struct result *result, const char *path)
{
	json_t *rates = json_array(), *object;
	FILE *file = fopen(path, "a");
	bool done = false;
	size_t i;

	for (i = 0; i < result->windows; i++)
		json_array_append_new(rates, json_real(result->rate[i]));
	object = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "measure", result->measure, "direction", result->direction, "path",
			   result->path, "flows", (json_int_t)result->flows, "held", (json_int_t)result->held, "sent",
			   (json_int_t)result->sent, "received", (json_int_t)result->received, "windows", rates);
	if (file && object)
		done = !json_dumpf(object, file, JSON_COMPACT | JSON_REAL_PRECISION(9)) && fputc('\n', file) != EOF;
	if (file)
		done = !fclose(file) && done;
	json_decref(object);
	fprintf(stderr, "  %-9s %-9s %8u flows  %-5s %6.3f M/s (%5.0f ns)%s\n", result->measure, result->direction, result->flows,
		result->path, median(result) / 1e6, 1e9 / median(result), done ? "" : "  NOT WRITTEN");
	return done;
}
