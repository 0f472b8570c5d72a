/* SPDX-License-Identifier: GPL-2.0-only */
/* Frames forwarded per second by xcgn, by nftables with conntrack, and by an XDP program that only rewrites MAC addresses:
 * 1, 10,000 and 1,000,000 established flows, both directions. Windows of the three are interleaved. */
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

static const uint32_t flow_counts[] = { 1, 10000, 1000000 };
static const char *const direction_names[] = { [TRAFFIC_OUTBOUND] = "outbound", [TRAFFIC_INBOUND] = "inbound" };

/* Every flow once in checked frames, so that what is measured afterwards is established and right. */
static bool prepare(struct rig *rig, uint32_t flows, uint32_t ret_held[RIG_PATHS])
{
	int path;

	for (path = 0; path < RIG_PATHS; path++) {
		if (!rig_establish(rig, (enum rig_path)path, flows, &ret_held[path]))
			return false;
		if (ret_held[path] < flows)
			fprintf(stderr, "bench: %s holds %u of %u flows\n", rig_path_name((enum rig_path)path), ret_held[path], flows);
	}
	/* the limit translates nothing: it gets what xcgn gets */
	return rig_aim(rig, RIG_LIMIT, RIG_XCGN, flows) && rig_aim(rig, RIG_XCGN, RIG_XCGN, flows) &&
	       rig_aim(rig, RIG_NFTABLES, RIG_NFTABLES, flows);
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

static bool measure_cell(struct rig *rig, const struct options *options, enum traffic_direction direction, uint32_t flows,
			 const uint32_t held[RIG_PATHS])
{
	struct result results[RIG_PATHS] = {};
	uint32_t counts[RIG_PATHS];
	int path, round, rounds = (int)(options->seconds / WINDOW_SECONDS);
	struct rig_outcome outcome;

	for (round = -1; round < rounds; round++)
		for (path = 0; path < RIG_PATHS; path++) {
			struct rig_burst burst = { .path = (enum rig_path)path, .direction = direction, .order = TRAFFIC_RANDOM,
				.flows = direction == TRAFFIC_INBOUND ? held[path == RIG_LIMIT ? RIG_XCGN : path] : flows };

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
		results[path].measure = "forward";
		results[path].direction = direction_names[direction];
		results[path].path = rig_path_name((enum rig_path)path);
		results[path].flows = flows;
		results[path].held = held[path];
		if (!result_write(&results[path], options->output))
			return false;
	}
	return true;
}

static bool run(struct rig *rig, const struct options *options)
{
	uint32_t held[RIG_PATHS];
	size_t i;

	for (i = 0; i < sizeof(flow_counts) / sizeof(*flow_counts); i++)
		if (!prepare(rig, flow_counts[i], held) || !measure_cell(rig, options, TRAFFIC_OUTBOUND, flow_counts[i], held) ||
		    !measure_cell(rig, options, TRAFFIC_INBOUND, flow_counts[i], held))
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
