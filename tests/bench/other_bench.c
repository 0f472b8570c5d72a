/* SPDX-License-Identifier: GPL-2.0-only */
/* MAP requests that are answered per second, and how long an answer takes, by xcgnd and by miniupnpd side by side: both begin
 * with nothing mapped, and get the same requests, as few under way at once as the slower one bears. A window creates some more
 * mappings, or renews some. Windows of the two are interleaved; when the time is over, no more begin. What xcgnd has answered is
 * in its stable storage; miniupnpd keeps nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "pcp_load.h"
#include "place.h"
#include "result.h"

#define WINDOW 50		/* mappings created or renewed in one */
#define UNDER_WAY 16
#define RESEND_US 1000000
#define PATIENCE_S 10

enum path { PATH_XCGN, PATH_OTHER, PATHS };
static const char *const path_names[PATHS] = { [PATH_XCGN] = "xcgn", [PATH_OTHER] = "miniupnpd" };
static const uint8_t servers[PATHS][4] = { [PATH_XCGN] = { 10, 1, 0, 1 }, [PATH_OTHER] = { 10, 1, 1, 1 } };

enum measure { CREATE, RENEW, MEASURES };
static const char *const measure_names[MEASURES] = { [CREATE] = "pcp-create", [RENEW] = "pcp-renew" };
static const enum load_operation operations[MEASURES] = { [CREATE] = LOAD_CREATE, [RENEW] = LOAD_RENEW };

struct options {
	const char *prefix, *output;
	uint32_t mappings;
	uint32_t other_net;	/* where miniupnpd's external address is */
	double seconds;		/* at most, for each measure */
	int cpu;
};

struct bench {
	struct load *load[PATHS];
	struct latency latency[MEASURES][PATHS];
	struct result results[MEASURES][PATHS];
	uint32_t created;
};

static bool window_run(struct bench *bench, enum measure measure, enum path path, uint32_t first)
{
	uint32_t numbers[WINDOW], i;
	const struct load_job job = { .operation = operations[measure], .mappings = numbers, .count = WINDOW,
		.under_way = UNDER_WAY, .resend_us = RESEND_US, .patience_s = PATIENCE_S };
	struct load_outcome outcome;

	for (i = 0; i < WINDOW; i++)
		numbers[i] = first + i;
	if (!load_run(bench->load[path], &job, &outcome))
		return bench_fail("%s, %s: failed after %u mappings", measure_names[measure], path_names[path], first);
	result_add(&bench->results[measure][path], outcome.sent, outcome.answered, outcome.seconds);
	latency_merge(&bench->latency[measure][path], &outcome.latency);
	return true;
}

/* The mappings 0 .. below-1; fewer, if the time is over before. */
static bool measure_run(struct bench *bench, enum measure measure, uint32_t below, double seconds, uint32_t *ret_done)
{
	double end = seconds_now() + seconds;
	uint32_t first;
	int path;

	for (first = 0; first < below && seconds_now() < end; first += WINDOW)
		for (path = 0; path < PATHS; path++)
			if (!window_run(bench, measure, (enum path)path, first))
				return false;
	*ret_done = first;
	return true;
}

static bool run(struct bench *bench, const struct options *options)
{
	uint32_t renewed;

	return measure_run(bench, CREATE, options->mappings, options->seconds, &bench->created) &&
	       measure_run(bench, RENEW, bench->created, options->seconds, &renewed);
}

static bool write_results(struct bench *bench, const struct options *options)
{
	int measure, path;

	for (measure = 0; measure < MEASURES; measure++)
		for (path = 0; path < PATHS; path++) {
			struct result *result = &bench->results[measure][path];

			result->measure = measure_names[measure];
			result->direction = "";
			result->path = path_names[path];
			result->flows = result->held = bench->created;
			result->latency = &bench->latency[measure][path];
			if (!result_write(result, options->output))
				return false;
		}
	return true;
}

static bool bench_open(struct bench *bench, const struct options *options)
{
	int path, fd = namespace_open(options->prefix, "client");
	bool is_inside = fd >= 0 && namespace_enter(fd);

	if (fd >= 0)
		close(fd);
	if (!is_inside || !cpu_keep_to(options->cpu))
		return false;
	for (path = 0; path < PATHS; path++) {
		bench->load[path] = load_open(servers[path], options->mappings);
		if (!bench->load[path])
			return false;
	}
	load_expect_external(bench->load[PATH_OTHER], options->other_net);
	return true;
}

static bool parse(int argc, char **argv, struct options *options)
{
	int option;

	*options = (struct options){ .mappings = 1000, .seconds = 20, .cpu = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1 };
	while ((option = getopt(argc, argv, "c:m:s:x:")) != -1)
		switch (option) {
		case 'c': options->cpu = atoi(optarg); break;
		case 'm': options->mappings = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 's': options->seconds = strtod(optarg, NULL); break;
		case 'x': options->other_net = (uint32_t)strtoul(optarg, NULL, 16); break;
		default: return false;
		}
	if (argc - optind != 2 || !options->mappings || options->mappings % WINDOW ||
	    options->mappings / WINDOW > RESULT_WINDOWS_MAX || options->seconds <= 0 || !options->other_net)
		return false;
	options->prefix = argv[optind];
	options->output = argv[optind + 1];
	return true;
}

int main(int argc, char **argv)
{
	struct options options;
	struct bench *bench;
	int path;
	bool done;

	if (!parse(argc, argv, &options)) {
		fprintf(stderr, "usage: other_bench -x NET [-m MAPPINGS] [-s SECONDS] [-c CPU] PREFIX OUTPUT\nNET: the /24, in hexadecimal, of "
			"miniupnpd's external address; MAPPINGS: a multiple of %u, at most %u\n", WINDOW, WINDOW * RESULT_WINDOWS_MAX);
		return 1;
	}
	bench = calloc(1, sizeof(*bench));
	if (!bench)
		return 2;
	done = bench_open(bench, &options) && run(bench, &options) && write_results(bench, &options);
	for (path = 0; path < PATHS; path++)
		load_close(bench->load[path]);
	free(bench);
	return done ? 0 : 2;
}
