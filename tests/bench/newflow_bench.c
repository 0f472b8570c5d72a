/* SPDX-License-Identifier: GPL-2.0-only */
/* New flows per second: every frame opens one, by xcgn (subscriber, port block, port, mapping, slot) and by nftables with
 * conntrack. Both begin empty; windows of the two are interleaved while the tables fill. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "result.h"
#include "rig.h"

#define WINDOW_FLOWS (1u << 17)

struct options {
	const char *prefix, *output;
	uint32_t flows;		/* a power of two */
	int cpu;
	uint32_t remotes;
	enum traffic_order order;
};

static const enum rig_path paths[] = { RIG_XCGN, RIG_NFTABLES };
#define PATHS (sizeof(paths) / sizeof(*paths))

static bool fill(struct rig *rig, const struct options *options, struct result results[PATHS])
{
	struct rig_burst burst = { .direction = TRAFFIC_OUTBOUND, .order = options->order, .flows = options->flows, .count = WINDOW_FLOWS };
	struct rig_outcome outcome;
	size_t i;

	for (burst.first = 0; burst.first < options->flows; burst.first += WINDOW_FLOWS)
		for (i = 0; i < PATHS; i++) {
			burst.path = paths[i];
			if (!rig_send(rig, &burst, &outcome))
				return false;
			result_add(&results[i], outcome.sent, outcome.received, outcome.seconds);
		}
	return true;
}

/* A frame that came out is a flow that was opened; that they were opened right, checked frames show. */
static bool check(struct rig *rig, const struct options *options, struct result results[PATHS])
{
	uint32_t flows = options->flows < TRAFFIC_FLOWS_MAX ? options->flows : TRAFFIC_FLOWS_MAX, held;
	size_t i;

	for (i = 0; i < PATHS; i++) {
		if (!rig_establish(rig, paths[i], flows, &held))
			return false;
		results[i].held = (uint32_t)results[i].received;
		if (held < flows)
			fprintf(stderr, "bench: %s holds %u of the first %u flows\n", rig_path_name(paths[i]), held, flows);
	}
	return true;
}

static bool run(struct rig *rig, const struct options *options)
{
	struct result results[PATHS] = {};
	bool done = fill(rig, options, results) && check(rig, options, results);
	size_t i;

	for (i = 0; done && i < PATHS; i++) {
		results[i].measure = "new-flows";
		results[i].direction = "outbound";
		results[i].path = rig_path_name(paths[i]);
		results[i].flows = options->flows;
		done = result_write(&results[i], options->output);
	}
	return done;
}

static bool parse(int argc, char **argv, struct options *options)
{
	int option;

	*options = (struct options){ .flows = 1u << 21, .cpu = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1, .remotes = 256,
		.order = TRAFFIC_MIXED };
	while ((option = getopt(argc, argv, "f:c:r:t")) != -1)
		switch (option) {
		case 'f': options->flows = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'c': options->cpu = atoi(optarg); break;
		case 'r': options->remotes = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 't': options->order = TRAFFIC_IN_TURN; break;
		default: return false;
		}
	if (argc - optind != 2 || options->flows & (options->flows - 1) || options->flows < WINDOW_FLOWS ||
	    options->flows > WINDOW_FLOWS * RESULT_WINDOWS_MAX || options->remotes & (options->remotes - 1) ||
	    !options->remotes || options->remotes > 32768)
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
		fprintf(stderr, "usage: newflow_bench [-f FLOWS] [-c CPU] [-r REMOTES] [-t] PREFIX OUTPUT\n"
			"FLOWS a power of two from %u to %u; REMOTES a power of two up to 32768; -t: subscriber after subscriber\n",
			WINDOW_FLOWS, WINDOW_FLOWS * RESULT_WINDOWS_MAX);
		return 1;
	}
	rig = rig_open(options.prefix, options.cpu, options.remotes);
	done = rig && run(rig, &options);
	rig_close(rig);
	return done ? 0 : 2;
}
