/* SPDX-License-Identifier: GPL-2.0-only */
/* What PRESENT explicit mappings take in memory: makes them by MAP in the server "filled", whose tables are made for just so
 * many, and divides what its maps and its process hold. restart_bench goes on with them. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "memory.h"
#include "pcp_load.h"
#include "place.h"
#include "result.h"

#define UNDER_WAY 1024
#define RESEND_US 250000
#define PATIENCE_S 10

static const uint8_t server4[4] = { 10, 1, 1, 1 };

struct options {
	const char *prefix, *output, *pins;
	uint32_t present;
	int cpu;
	pid_t server;
};

static bool fill(const struct options *options, struct load *load)
{
	struct load_job job = { .operation = LOAD_CREATE, .count = options->present, .under_way = UNDER_WAY, .resend_us = RESEND_US,
		.patience_s = PATIENCE_S };
	uint32_t *numbers = calloc(options->present, sizeof(*numbers)), i;
	struct load_outcome outcome;
	bool done;

	if (!numbers)
		return bench_fail("out of memory");
	for (i = 0; i < options->present; i++)
		numbers[i] = i;
	job.mappings = numbers;
	done = load_run(load, &job, &outcome);
	if (done)
		fprintf(stderr, "  %u mappings made in %.1f s\n", options->present, outcome.seconds);
	free(numbers);
	return done;
}

static bool memory_write(const struct options *options, const char *direction, double bytes)
{
	struct result result = { .measure = "memory", .direction = direction, .path = "explicit", .unit = "bytes",
		.flows = options->present, .held = options->present };

	result_add_value(&result, bytes / options->present);
	return result_write(&result, options->output);
}

static bool run(const struct options *options, struct load *load)
{
	double maps, pool, process;

	if (!fill(options, load) || !memory_of_maps(options->pins, &maps, &pool) || !memory_of_process(options->server, &process))
		return false;
	return memory_write(options, "of pool", pool) && memory_write(options, "in maps", maps) &&
	       memory_write(options, "in all", maps + process);
}

static bool parse(int argc, char **argv, struct options *options)
{
	int option;

	*options = (struct options){ .present = 1000000, .cpu = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1 };
	while ((option = getopt(argc, argv, "c:p:f:")) != -1)
		switch (option) {
		case 'c': options->cpu = atoi(optarg); break;
		case 'p': options->present = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'f': options->server = (pid_t)atoi(optarg); break;
		default: return false;
		}
	if (argc - optind != 3 || !options->present || !options->server)
		return false;
	options->prefix = argv[optind];
	options->output = argv[optind + 1];
	options->pins = argv[optind + 2];
	return true;
}

int main(int argc, char **argv)
{
	struct options options;
	struct load *load = NULL;
	bool done = false;
	int client;

	if (!parse(argc, argv, &options)) {
		fprintf(stderr, "usage: explicit_bench -f PID [-p PRESENT] [-c CPU] PREFIX OUTPUT PIN-DIR\n");
		return 1;
	}
	client = namespace_open(options.prefix, "client");
	if (client >= 0 && namespace_enter(client) && cpu_keep_to(options.cpu))
		load = load_open(server4, options.present);
	if (load)
		done = run(&options, load);
	load_close(load);
	return done ? 0 : 2;
}
