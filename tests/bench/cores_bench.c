/* SPDX-License-Identifier: GPL-2.0-only */
/* What two cores translate together beside one alone: CPU 0 and CPU 1, each with subscribers of its own, in the same tables.
 * Frames are neither received nor sent, because on a machine of two cores a generator leaves no room for both: xcgn's programs
 * are run on frames that are made in place. A rate is that of CPU time, so that it does not matter who else takes the CPU away.
 * Windows of one core, of the other and of both are interleaved. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "cgn/abi.h"
#include "place.h"
#include "result.h"
#include "rig.h"

#define CORES TRAFFIC_CORES
#define WINDOW_SECONDS 0.3
#define WARM_UP_FRAMES (1u << 20)
#define FEW ((uint32_t)CORES << TRAFFIC_HOST_BITS)	/* one subscriber for each core */

struct options {
	const char *prefix, *output, *pins;
	uint32_t rounds, flows, remotes;
};

enum variant { ONE, BOTH, VARIANTS };
static const char *const variant_names[VARIANTS] = { [ONE] = "one core", [BOTH] = "both cores" };
static const char *const direction_names[] = { [TRAFFIC_OUTBOUND] = "outbound", [TRAFFIC_INBOUND] = "inbound" };
static const uint32_t verdicts[] = { [TRAFFIC_OUTBOUND] = CGN_OUTBOUND, [TRAFFIC_INBOUND] = CGN_INBOUND };

struct bench {
	const struct options *options;
	struct rig *rig;
	int stats;		/* xcgn's counters */
	pthread_barrier_t start;
};

struct core {
	struct bench *bench;
	int number;
	bool is_together;
	enum traffic_direction direction;
	uint32_t count;
	double rate;		/* 0: failed */
};

static void *core_run(void *argument)
{
	struct core *core = argument;
	bool is_placed = cpu_keep_to(core->number);
	double seconds;

	core->rate = 0;
	if (core->is_together)
		pthread_barrier_wait(&core->bench->start);
	seconds = thread_seconds();
	if (is_placed && rig_run_core(core->bench->rig, core->direction, core->count))
		core->rate = core->count / (thread_seconds() - seconds);
	return NULL;
}

/* On the cores first .. last at the same time. */
static bool cores_run(struct core cores[CORES], int first, int last)
{
	pthread_t threads[CORES];
	bool done = true;
	int i, failed;

	for (i = first; i <= last; i++) {
		cores[i].is_together = first != last;
		failed = pthread_create(&threads[i], NULL, core_run, &cores[i]);
		if (failed) {	/* nobody comes to the barrier any more */
			fprintf(stderr, "bench: cannot start a thread: %s\n", strerror(failed));
			exit(2);
		}
	}
	for (i = first; i <= last; i++) {
		pthread_join(threads[i], NULL);
		done = done && cores[i].rate > 0;
	}
	return done;
}

/* ---- every frame was translated: xcgn's own counters say so ---- */

static bool translated(const struct bench *bench, enum traffic_direction direction, uint64_t *ret_count)
{
	int cpus = libbpf_num_possible_cpus(), cpu;
	struct cgn_count *counts = calloc((size_t)cpus, sizeof(*counts));
	bool done = counts && !bpf_map_lookup_elem(bench->stats, &verdicts[direction], counts);

	*ret_count = 0;
	for (cpu = 0; done && cpu < cpus; cpu++)
		*ret_count += counts[cpu].packets;
	free(counts);
	return done ? true : bench_fail("xcgn's counters cannot be read: %s", strerror(errno));
}

static bool check(const struct bench *bench, enum traffic_direction direction, uint64_t before, uint64_t frames)
{
	uint64_t after;

	if (!translated(bench, direction, &after))
		return false;
	return after - before == frames ? true : bench_fail("%llu of %llu frames were translated", (unsigned long long)(after - before),
							     (unsigned long long)frames);
}

/* ---- windows ---- */

static bool plan(struct bench *bench, struct core cores[CORES], enum traffic_direction direction, uint32_t flows)
{
	struct rig_burst burst = { .path = RIG_XCGN, .direction = direction, .order = TRAFFIC_RANDOM,
		.flows = flows / CORES >> TRAFFIC_HOST_BITS << TRAFFIC_HOST_BITS };
	int i;

	if (!rig_prepare_cores(bench->rig))
		return false;
	for (i = 0; i < CORES; i++) {
		burst.first = (uint64_t)i * burst.flows;
		rig_plan_core(bench->rig, (unsigned)i, &burst);
		cores[i] = (struct core){ .bench = bench, .number = i, .direction = direction, .count = WARM_UP_FRAMES };
	}
	return true;
}

static bool round_run(struct core cores[CORES], struct result results[VARIANTS])
{
	double alone = 0, together = 0;
	int i;

	for (i = 0; i < CORES; i++) {
		if (!cores_run(cores, i, i))
			return false;
		alone += cores[i].rate / CORES;
	}
	if (!cores_run(cores, 0, CORES - 1))
		return false;
	for (i = 0; i < CORES; i++)
		together += cores[i].rate;
	result_add_value(&results[ONE], alone);
	result_add_value(&results[BOTH], together);
	return true;
}

static bool measure_cell(struct bench *bench, enum traffic_direction direction, uint32_t flows)
{
	struct result results[VARIANTS] = {};
	struct core cores[CORES];
	uint64_t before, frames;
	uint32_t round;
	int i;

	if (!plan(bench, cores, direction, flows) || !cores_run(cores, 0, CORES - 1))	/* warms the caches */
		return false;
	for (i = 0; i < CORES; i++)
		cores[i].count = (uint32_t)(cores[i].rate * WINDOW_SECONDS);
	if (!translated(bench, direction, &before))
		return false;
	for (round = 0; round < bench->options->rounds; round++)
		if (!round_run(cores, results))
			return false;
	for (frames = 0, i = 0; i < CORES; i++)
		frames += (uint64_t)cores[i].count * 2 * bench->options->rounds;
	if (!check(bench, direction, before, frames))
		return false;
	for (i = 0; i < VARIANTS; i++) {
		results[i].measure = "two-cores";
		results[i].direction = direction_names[direction];
		results[i].path = variant_names[i];
		results[i].flows = results[i].held = flows;
		if (!result_write(&results[i], bench->options->output))
			return false;
	}
	return true;
}

static bool run(struct bench *bench)
{
	const uint32_t loads[] = { FEW, bench->options->flows };
	uint32_t held, targets;
	size_t i;

	for (i = 0; i < sizeof(loads) / sizeof(*loads); i++)
		if (!rig_establish(bench->rig, RIG_XCGN, loads[i], &held) ||
		    !rig_aim(bench->rig, RIG_XCGN, RIG_XCGN, TRAFFIC_RANDOM, loads[i], &targets) ||
		    !measure_cell(bench, TRAFFIC_OUTBOUND, loads[i]) || !measure_cell(bench, TRAFFIC_INBOUND, targets))
			return false;
	return true;
}

static bool bench_open(struct bench *bench)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/stats", bench->options->pins);
	bench->stats = bpf_obj_get(path);
	if (bench->stats < 0)
		return bench_fail("%s: %s", path, strerror(errno));
	if (pthread_barrier_init(&bench->start, NULL, CORES))
		return bench_fail("no barrier");
	bench->rig = rig_open(bench->options->prefix, CORES - 1, bench->options->remotes);
	return bench->rig != NULL;
}

static bool parse(int argc, char **argv, struct options *options)
{
	int option;

	*options = (struct options){ .rounds = 10, .flows = 1000000, .remotes = 256 };
	while ((option = getopt(argc, argv, "c:n:r:f:")) != -1)
		switch (option) {
		case 'c': break;	/* as every bench gets it: here the first two are measured */
		case 'n': options->rounds = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'r': options->remotes = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'f': options->flows = (uint32_t)strtoul(optarg, NULL, 10); break;
		default: return false;
		}
	if (argc - optind != 3 || !options->rounds || options->rounds > RESULT_WINDOWS_MAX || options->flows < FEW ||
	    options->flows > TRAFFIC_FLOWS_MAX || !options->remotes || options->remotes & (options->remotes - 1) || options->remotes > 32768)
		return false;
	options->prefix = argv[optind];
	options->output = argv[optind + 1];
	options->pins = argv[optind + 2];
	return true;
}

int main(int argc, char **argv)
{
	struct bench bench = {};
	struct options options;
	bool done;

	if (!parse(argc, argv, &options)) {
		fprintf(stderr, "usage: cores_bench [-n ROUNDS] [-f FLOWS] [-r REMOTES] PREFIX OUTPUT PIN-DIR\n"
			"FLOWS from %u to %u; REMOTES a power of two up to 32768\n", FEW, TRAFFIC_FLOWS_MAX);
		return 1;
	}
	bench.options = &options;
	done = bench_open(&bench) && run(&bench);
	rig_close(bench.rig);
	return done ? 0 : 2;
}
