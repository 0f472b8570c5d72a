/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "latency.h"
#include "place.h"
#include "result.h"

void result_add_value(struct result *result, double value)
{
	if (result->windows < RESULT_WINDOWS_MAX)
		result->window[result->windows++] = value;
}

void result_add(struct result *result, uint64_t sent, uint64_t received, double seconds)
{
	result->sent += sent;
	result->received += received;
	if (seconds > 0)
		result_add_value(result, (double)received / seconds);
}

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const struct result *result)
{
	double sorted[RESULT_WINDOWS_MAX];

	memcpy(sorted, result->window, result->windows * sizeof(*sorted));
	qsort(sorted, result->windows, sizeof(*sorted), compare_double);
	return result->windows ? sorted[result->windows / 2] : 0;
}

static json_t *result_json(const struct result *result)
{
	json_t *windows = json_array(), *object;
	size_t i;

	for (i = 0; i < result->windows; i++)
		json_array_append_new(windows, json_real(result->window[i]));
	object = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "measure", result->measure, "direction", result->direction,
			   "path", result->path, "unit", result->unit ? result->unit : "per second", "flows",
			   (json_int_t)result->flows, "held", (json_int_t)result->held, "sent", (json_int_t)result->sent, "received",
			   (json_int_t)result->received, "windows", windows);
	if (object && result->latency)
		json_object_set_new(object, "latency_us", json_pack("{s:f, s:f}", "p50", (double)latency_quantile(result->latency, 0.5) / 1e3,
								    "p99", (double)latency_quantile(result->latency, 0.99) / 1e3));
	if (object && result->server_seconds > 0 && result->received)
		json_object_set_new(object, "server_ns", json_real(result->server_seconds * 1e9 / (double)result->received));
	return object;
}

static void result_say(const struct result *result)
{
	double middle = median(result);

	fprintf(stderr, "  %-10s %-9s %8u %-6s ", result->measure, result->direction, result->flows, result->path);
	if (result->unit)
		fprintf(stderr, "%8.1f %s", middle, result->unit);
	else
		fprintf(stderr, "%6.3f M/s (%5.0f ns)", middle / 1e6, 1e9 / middle);
	if (result->latency)
		fprintf(stderr, "  p50 %.0f us, p99 %.0f us", (double)latency_quantile(result->latency, 0.5) / 1e3,
			(double)latency_quantile(result->latency, 0.99) / 1e3);
	if (result->server_seconds > 0 && result->received)
		fprintf(stderr, ", server's CPU %.0f ns", result->server_seconds * 1e9 / (double)result->received);
	fputc('\n', stderr);
}

bool result_write(const struct result *result, const char *path)
{
	json_t *object = result_json(result);
	FILE *file = fopen(path, "a");
	bool done = false;

	if (file && object)
		done = !json_dumpf(object, file, JSON_COMPACT | JSON_REAL_PRECISION(9)) && fputc('\n', file) != EOF;
	if (file)
		done = !fclose(file) && done;
	json_decref(object);
	result_say(result);
	return done ? true : bench_fail("%s could not be written", path);
}
