/* SPDX-License-Identifier: GPL-2.0-only */
/* Frames forwarded per second by xcgn, by nftables with conntrack, and by an XDP program that only rewrites MAC addresses:
 * 1, 10,000 and 1,000,000 established flows that are equally busy, and 1,000,000 by Zipf's law; both directions. Windows of the
 * three are interleaved. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "result.h"
#include "rig.h"

#define WINDOW_SECONDS 0.5
#define WARM_UP_FRAMES 65536

struct options {
	const char *prefix, *output;
	double seconds;		/* of every path in every cell */
	int cpu;
	uint32_t remotes;
};

static const struct load {
	const char *measure;
	enum traffic_order order;
	uint32_t flows;
} loads[] = {
	{ "forward", TRAFFIC_RANDOM, 1 },
	{ "forward", TRAFFIC_RANDOM, 10000 },
	{ "forward", TRAFFIC_RANDOM, 1000000 },
	{ "zipf", TRAFFIC_ZIPF, 1000000 },
};
static const char *const direction_names[] = { [TRAFFIC_OUTBOUND] = "outbound", [TRAFFIC_INBOUND] = "inbound" };

struct prepared {
	uint32_t held[RIG_PATHS];	/* flows */
	uint32_t targets[RIG_PATHS];
};

/* Every flow once in checked frames, so that what is measured afterwards is established and right. */
static bool prepare(struct rig *rig, const struct load *load, struct prepared *ret_prepared)
{
	uint32_t *held = ret_prepared->held, flows = load->flows;
	int path;

	for (path = 0; path < RIG_PATHS; path++) {
		if (!rig_establish(rig, (enum rig_path)path, flows, &held[path]))
			return false;
		if (held[path] < flows)
			fprintf(stderr, "bench: %s holds %u of %u flows\n", rig_path_name((enum rig_path)path), held[path], flows);
	}
	for (path = 0; path < RIG_PATHS; path++)	/* the limit translates nothing: it gets what xcgn gets */
		if (!rig_aim(rig, (enum rig_path)path, path == RIG_LIMIT ? RIG_XCGN : (enum rig_path)path, load->order, flows,
			     &ret_prepared->targets[path]))
			return false;
	return true;
}

/* A window's worth of frames for each path, from a first burst that also warms the caches. */
static bool calibrate(struct rig *rig, struct rig_burst *burst, uint32_t *ret_count)
{
	struct rig_outcome outcome;

	burst->count = WARM_UP_FRAMES;
	if (!rig_send(rig, burst, &outcome) || !rig_send(rig, burst, &outcome))
		return false;
	*ret_count = (uint32_t)((double)outcome.sent / outcome.seconds * WINDOW_SECONDS);
	return true;
}

static bool measure_cell(struct rig *rig, const struct options *options, enum traffic_direction direction,
			 const struct load *load, const struct prepared *prepared)
{
	struct result results[RIG_PATHS] = {};
	uint32_t counts[RIG_PATHS];
	int path, round, rounds = (int)(options->seconds / WINDOW_SECONDS);
	struct rig_outcome outcome;

	for (round = -1; round < rounds; round++)
		for (path = 0; path < RIG_PATHS; path++) {
			struct rig_burst burst = { .path = (enum rig_path)path, .direction = direction, .order = load->order,
				.flows = direction == TRAFFIC_INBOUND ? prepared->targets[path] : load->flows };

			if (round < 0 && !calibrate(rig, &burst, &counts[path]))
				return false;
			if (round < 0)
				continue;
			burst.count = counts[path];
			if (!rig_send(rig, &burst, &outcome))
				return false;
			result_add(&results[path], outcome.sent, outcome.received, outcome.seconds);
		}
	for (path = 0; path < RIG_PATHS; path++) {
		results[path].measure = load->measure;
		results[path].direction = direction_names[direction];
		results[path].path = rig_path_name((enum rig_path)path);
		results[path].flows = load->flows;
		results[path].held = prepared->held[path];
		if (!result_write(&results[path], options->output))
			return false;
	}
	return true;
}

static bool run(struct rig *rig, const struct options *options)
{
	struct prepared prepared;
	size_t i;

	for (i = 0; i < sizeof(loads) / sizeof(*loads); i++)
		if (!prepare(rig, &loads[i], &prepared) || !measure_cell(rig, options, TRAFFIC_OUTBOUND, &loads[i], &prepared) ||
		    !measure_cell(rig, options, TRAFFIC_INBOUND, &loads[i], &prepared))
			return false;
	return true;
}

static bool parse(int argc, char **argv, struct options *options)
{
	int option;

	*options = (struct options){ .seconds = 4, .cpu = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1, .remotes = 256 };
	while ((option = getopt(argc, argv, "s:c:r:")) != -1)
		switch (option) {
		case 's': options->seconds = strtod(optarg, NULL); break;
		case 'c': options->cpu = atoi(optarg); break;
		case 'r': options->remotes = (uint32_t)strtoul(optarg, NULL, 10); break;
		default: return false;
		}
	if (argc - optind != 2 || options->seconds < WINDOW_SECONDS || options->remotes & (options->remotes - 1) ||
	    !options->remotes || options->remotes > 32768 || options->seconds > RESULT_WINDOWS_MAX * WINDOW_SECONDS)
		return false;
	options->prefix = argv[optind];
	options->output = argv[optind + 1];
	return true;
}

int main(int argc, char **argv)
{
	struct options options;
	struct rig *rig;
	bool done;

	if (!parse(argc, argv, &options)) {
		fprintf(stderr, "usage: forward_bench [-s SECONDS] [-c CPU] [-r REMOTES] PREFIX OUTPUT\n"
			"SECONDS of every path in every cell, %.2f to %.0f; REMOTES a power of two up to 32768\n", WINDOW_SECONDS,
			RESULT_WINDOWS_MAX * WINDOW_SECONDS);
		return 1;
	}
	rig = rig_open(options.prefix, options.cpu, options.remotes);
	done = rig && run(rig, &options);
	rig_close(rig);
	return done ? 0 : 2;
}
