/* SPDX-License-Identifier: GPL-2.0-only */
/* PCP requests answered per second, and how long an answer takes: MAP create, renew and delete, ANNOUNCE, PEER, by two servers
 * side by side. One has nothing mapped but what a window creates, the other PRESENT explicit mappings beforehand. Windows of
 * the two are interleaved. What PEER makes cannot be deleted: it comes last, and stays while the next window runs. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "pcp_load.h"
#include "place.h"
#include "result.h"

#define ALONE_REQUESTS 1000	/* of a window with one request at a time */
#define RESEND_US 250000
#define PATIENCE_S 10

enum path { PATH_EMPTY, PATH_FILLED, PATHS };
static const char *const path_names[PATHS] = { [PATH_EMPTY] = "empty", [PATH_FILLED] = "filled" };
static const uint8_t servers[PATHS][4] = { [PATH_EMPTY] = { 10, 1, 0, 1 }, [PATH_FILLED] = { 10, 1, 1, 1 } };

enum measure { CREATE, RENEW, ALONE, ANNOUNCE, DELETE, PEER, MEASURES };
static const struct {
	const char *name;
	enum load_operation operation;
} measures[MEASURES] = {
	[CREATE] = { "map-create", LOAD_CREATE },
	[RENEW] = { "map-renew", LOAD_RENEW },
	[ALONE] = { "map-alone", LOAD_RENEW },
	[ANNOUNCE] = { "announce", LOAD_ANNOUNCE },
	[DELETE] = { "map-delete", LOAD_DELETE },
	[PEER] = { "peer-create", LOAD_PEER },
};

struct options {
	const char *prefix, *output, *storage;
	uint32_t present;
	uint32_t window;	/* mappings created in one */
	uint32_t rounds;
	uint32_t under_way;
	int cpu;
	pid_t server[PATHS];	/* 0: unknown */
};

struct bench {
	const struct options *options;
	struct load *load[PATHS];
	struct latency latency[MEASURES][PATHS];
	struct result results[MEASURES][PATHS];
	uint32_t *numbers;	/* room for all mappings there ever are at once */
	uint64_t random;
};

static uint32_t random_below(struct bench *bench, uint32_t limit)
{
	bench->random ^= bench->random << 13;
	bench->random ^= bench->random >> 7;
	bench->random ^= bench->random << 17;
	return (uint32_t)(((bench->random >> 32) * limit) >> 32);
}

/* Draws `count` of the numbers 0 .. among-1, each at most once, in random order. */
static void draw(struct bench *bench, uint32_t among, uint32_t count)
{
	uint32_t i, j, other;

	for (i = 0; i < among; i++)
		bench->numbers[i] = i;
	for (i = 0; i < count; i++) {
		j = i + random_below(bench, among - i);
		other = bench->numbers[i];
		bench->numbers[i] = bench->numbers[j];
		bench->numbers[j] = other;
	}
}

/* What a window of this measure asks for. `first`: of the mappings that this round creates and deletes again. */
static uint32_t window_draw(struct bench *bench, enum measure measure, enum path path, uint32_t first)
{
	const struct options *options = bench->options;
	uint32_t count = measure == ALONE ? ALONE_REQUESTS : options->window, older = 0, i;

	if (path == PATH_FILLED && (measure == RENEW || measure == ALONE))
		older = options->present;
	draw(bench, older + options->window, count);
	for (i = 0; i < count; i++)
		if (measure == ANNOUNCE)	/* by as many subscribers, known or not */
			bench->numbers[i] <<= LOAD_OF_SUBSCRIBER_BITS;
		else if (bench->numbers[i] >= older)
			bench->numbers[i] += first - older;
	return count;
}

static bool window_run(struct bench *bench, enum measure measure, enum path path, uint32_t first)
{
	struct load_job job = { .operation = measures[measure].operation, .mappings = bench->numbers, .resend_us = RESEND_US,
		.patience_s = PATIENCE_S, .under_way = measure == ALONE ? 1 : bench->options->under_way };
	pid_t server = bench->options->server[path];
	struct load_outcome outcome;
	double server_seconds;

	job.count = window_draw(bench, measure, path, first);
	server_seconds = cpu_seconds(server);
	if (!load_run(bench->load[path], &job, &outcome))
		return bench_fail("%s, %s table: failed", measures[measure].name, path_names[path]);
	result_add(&bench->results[measure][path], outcome.sent, outcome.answered, outcome.seconds);
	if (measure != ALONE)	/* waking up for each request costs more than answering it */
		bench->results[measure][path].server_seconds += cpu_seconds(server) - server_seconds;
	latency_merge(&bench->latency[measure][path], &outcome.latency);
	return true;
}

/* Creates or deletes the mappings first .. first+count-1, and measures nothing. */
static bool prepare(struct bench *bench, enum path path, enum load_operation operation, uint32_t first, uint32_t count)
{
	struct load_job job = { .operation = operation, .mappings = bench->numbers, .count = count,
		.under_way = bench->options->under_way, .resend_us = RESEND_US, .patience_s = PATIENCE_S };
	struct load_outcome outcome;
	uint32_t i;

	draw(bench, count, count);
	for (i = 0; i < count; i++)
		bench->numbers[i] += first;
	return load_run(bench->load[path], &job, &outcome);
}

/* The filled one has its mappings; both have had memory touched and code loaded. */
static bool prepare_all(struct bench *bench, uint32_t *first)
{
	uint32_t count = bench->options->window;
	int path;

	if (!prepare(bench, PATH_FILLED, LOAD_CREATE, 0, bench->options->present))
		return false;
	for (path = 0; path < PATHS; path++)
		if (!prepare(bench, (enum path)path, LOAD_CREATE, *first, count) ||
		    !prepare(bench, (enum path)path, LOAD_DELETE, *first, count))
			return false;
	*first += count;
	return true;
}

static bool run(struct bench *bench)
{
	const struct options *options = bench->options;
	uint32_t first = options->present, round;
	int measure;

	if (!prepare_all(bench, &first))
		return false;
	/* every round has numbers of its own, because freed ports rest */
	for (round = 0; round < options->rounds; round++, first += options->window)
		for (measure = 0; measure < PEER; measure++)
			if (!window_run(bench, (enum measure)measure, PATH_EMPTY, first) ||
			    !window_run(bench, (enum measure)measure, PATH_FILLED, first))
				return false;
	for (round = 0; round < options->rounds; round++, first += options->window)
		if (!window_run(bench, PEER, PATH_EMPTY, first) || !window_run(bench, PEER, PATH_FILLED, first))
			return false;
	return true;
}

static bool write_results(struct bench *bench)
{
	int measure, path;

	for (measure = 0; measure < MEASURES; measure++)
		for (path = 0; path < PATHS; path++) {
			struct result *result = &bench->results[measure][path];

			if (!result->windows)
				continue;
			result->measure = measures[measure].name;
			result->direction = bench->options->storage;
			result->path = path_names[path];
			result->flows = bench->options->present;
			result->held = path == PATH_FILLED ? bench->options->present : 0;
			result->latency = &bench->latency[measure][path];
			if (!result_write(result, bench->options->output))
				return false;
		}
	return true;
}

static bool bench_open(struct bench *bench)
{
	const struct options *options = bench->options;
	uint32_t mappings = options->present + (2 * options->rounds + 1) * options->window;
	int path, fd = namespace_open(options->prefix, "client");
	bool is_inside = fd >= 0 && namespace_enter(fd);

	if (fd >= 0)
		close(fd);
	if (!is_inside || !cpu_keep_to(options->cpu))
		return false;
	if (mappings < options->window << LOAD_OF_SUBSCRIBER_BITS)
		mappings = options->window << LOAD_OF_SUBSCRIBER_BITS;
	bench->numbers = calloc(mappings, sizeof(*bench->numbers));
	for (path = 0; path < PATHS; path++)
		bench->load[path] = load_open(servers[path], mappings);
	return bench->numbers && bench->load[PATH_EMPTY] && bench->load[PATH_FILLED];
}

static bool parse(int argc, char **argv, struct options *options)
{
	int option;

	*options = (struct options){ .storage = "", .present = 100000, .window = 16384, .rounds = 10, .under_way = 1024,
		.cpu = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1 };
	while ((option = getopt(argc, argv, "c:p:w:n:u:s:e:f:")) != -1)
		switch (option) {
		case 'c': options->cpu = atoi(optarg); break;
		case 'p': options->present = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'w': options->window = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'n': options->rounds = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'u': options->under_way = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 's': options->storage = optarg; break;
		case 'e': options->server[PATH_EMPTY] = (pid_t)atoi(optarg); break;
		case 'f': options->server[PATH_FILLED] = (pid_t)atoi(optarg); break;
		default: return false;
		}
	if (argc - optind != 2 || !options->present || options->window < ALONE_REQUESTS || options->window > 65536 || !options->rounds ||
	    options->rounds > RESULT_WINDOWS_MAX || !options->under_way)
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
		fprintf(stderr, "usage: map_bench [-p PRESENT] [-w WINDOW] [-n ROUNDS] [-u UNDER-WAY] [-c CPU] [-s STORAGE] [-e PID] [-f PID] "
			"PREFIX OUTPUT\nPRESENT and WINDOW (%u to 65536) mappings; STORAGE: a name for where the servers keep theirs; "
			"-e, -f: the empty and the filled one\n", ALONE_REQUESTS);
		return 1;
	}
	bench = calloc(1, sizeof(*bench));
	if (!bench)
		return 2;
	bench->options = &options;
	bench->random = 0x9e3779b97f4a7c15ull;
	done = bench_open(bench) && run(bench) && write_results(bench);
	for (path = 0; path < PATHS; path++)
		load_close(bench->load[path]);
	free(bench->numbers);
	free(bench);
	return done ? 0 : 2;
}
