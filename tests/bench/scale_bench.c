/* SPDX-License-Identifier: GPL-2.0-only */
/* What a frame costs xcgn while its tables hold ten million mappings: with a flow of any of them, and with a flow of the first
 * million only, in turns; beside the limit. And how much memory the tables take. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "memory.h"
#include "place.h"
#include "result.h"
#include "rig.h"

#define WINDOW_SECONDS 0.5
#define WARM_UP_FRAMES (1u << 20)
#define FILL_PASSES 4		/* a flow may be lost to a queue that overflowed */
#define FEW 1000000u

struct options {
	const char *prefix, *output, *pins;
	int windows, cpu;
	uint32_t remotes, flows;
};

/* Opens the flows, and looks at every translated frame. The last pass sends on all of them what the first may have lost. */
static bool fill(struct rig *rig, const struct options *options, uint64_t *ret_held)
{
	struct rig_burst burst = { .path = RIG_XCGN, .direction = TRAFFIC_OUTBOUND, .order = TRAFFIC_IN_TURN, .flows = options->flows,
		.count = options->flows, .is_checked = true };
	struct rig_outcome outcome;
	int pass;

	for (pass = 0; pass < FILL_PASSES; pass++) {
		if (!rig_send(rig, &burst, &outcome) || outcome.bad)
			return false;
		fprintf(stderr, "  pass %d over %u flows: %llu came out, %.0f ns each\n", pass + 1, options->flows,
			(unsigned long long)outcome.received, outcome.seconds * 1e9 / (double)outcome.sent);
		if (pass && outcome.received == outcome.sent)
			break;
	}
	*ret_held = outcome.received;
	return outcome.received >= options->flows - options->flows / 1000 ?
		true : bench_fail("%llu of %u flows came out", (unsigned long long)outcome.received, options->flows);
}

/* ---- memory ---- */

static bool measure_memory(const struct options *options, struct result *result)
{
	double bytes, pool;

	if (!memory_of_maps(options->pins, &bytes, &pool))
		return false;
	fprintf(stderr, "  tables: %.0f MB, %.0f MB of them for the pool\n", bytes / 1e6, pool / 1e6);
	result->unit = "bytes";
	result_add_value(result, bytes / options->flows);
	return true;
}

/* ---- frames ---- */

enum variant { LIMIT, SOME, ALL, VARIANTS };

static bool measure(struct rig *rig, const struct options *options, struct result results[VARIANTS])
{
	const struct rig_burst base[VARIANTS] = {
		[LIMIT] = { .path = RIG_LIMIT, .order = TRAFFIC_RANDOM, .flows = options->flows },
		[SOME] = { .path = RIG_XCGN, .order = TRAFFIC_RANDOM, .flows = FEW },
		[ALL] = { .path = RIG_XCGN, .order = TRAFFIC_RANDOM, .flows = options->flows },
	};
	uint32_t counts[VARIANTS];
	struct rig_outcome outcome;
	int variant, round;

	for (round = -1; round < options->windows; round++)
		for (variant = 0; variant < VARIANTS; variant++) {
			struct rig_burst burst = base[variant];

			burst.count = round < 0 ? WARM_UP_FRAMES : counts[variant];
			if (!rig_send(rig, &burst, &outcome))
				return false;
			if (round < 0) {
				counts[variant] = (uint32_t)((double)outcome.sent / outcome.seconds * WINDOW_SECONDS);
				continue;
			}
			results[variant].sent += outcome.sent;
			results[variant].received += outcome.received;
			result_add_value(&results[variant], outcome.seconds * 1e9 / (double)outcome.received);
		}
	return true;
}

static bool run(struct rig *rig, const struct options *options)
{
	struct result frames[VARIANTS] = { [LIMIT] = { .path = "limit" }, [SOME] = { .path = "of 1000000" }, [ALL] = { .path = "of all" } };
	struct result memory = { .measure = "memory", .direction = "in maps", .path = "of all", .flows = options->flows };
	uint64_t held;
	int variant;

	if (!fill(rig, options, &held) || !measure_memory(options, &memory) || !measure(rig, options, frames))
		return false;
	memory.held = (uint32_t)held;
	for (variant = 0; variant < VARIANTS; variant++) {
		frames[variant].measure = "scale";
		frames[variant].direction = "outbound";
		frames[variant].unit = "ns";
		frames[variant].flows = options->flows;
		frames[variant].held = (uint32_t)held;
		if (!result_write(&frames[variant], options->output))
			return false;
	}
	return result_write(&memory, options->output);
}

static bool parse(int argc, char **argv, struct options *options)
{
	int option;

	*options = (struct options){ .windows = 8, .cpu = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1, .remotes = 256, .flows = 10000000 };
	while ((option = getopt(argc, argv, "n:c:r:f:")) != -1)
		switch (option) {
		case 'n': options->windows = atoi(optarg); break;
		case 'c': options->cpu = atoi(optarg); break;
		case 'r': options->remotes = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'f': options->flows = (uint32_t)strtoul(optarg, NULL, 10); break;
		default: return false;
		}
	if (argc - optind != 3 || options->windows < 1 || options->windows > RESULT_WINDOWS_MAX || !options->remotes ||
	    options->remotes & (options->remotes - 1) || options->remotes > 32768 || options->flows <= FEW || options->flows > 16000000)
		return false;
	options->prefix = argv[optind];
	options->output = argv[optind + 1];
	options->pins = argv[optind + 2];
	return true;
}

int main(int argc, char **argv)
{
	struct options options;
	struct rig *rig;
	bool done;

	if (!parse(argc, argv, &options)) {
		fprintf(stderr, "usage: scale_bench [-n WINDOWS] [-f FLOWS] [-c CPU] [-r REMOTES] PREFIX OUTPUT PIN-DIR\n"
			"FLOWS more than 1000000, up to 16000000; REMOTES a power of two up to 32768\n");
		return 1;
	}
	rig = rig_open(options.prefix, options.cpu, options.remotes);
	done = rig && run(rig, &options);
	rig_close(rig);
	return done ? 0 : 2;
}
