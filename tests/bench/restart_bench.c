/* SPDX-License-Identifier: GPL-2.0-only */
/* How long from starting xcgnd to its first PCP answer, with PRESENT explicit mappings in its tables (those that another bench
 * has made), and how much CPU time it took until then. Ends with kill -9 each time. With -e it is a reboot: its pins are
 * removed too, and only stable storage has the mappings. Nothing may be attached then.
 * A sample of the mappings is asked for before and after: each has the nonce and the external endpoint of before, and the Epoch
 * goes on. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "pcp_load.h"
#include "place.h"
#include "result.h"

#define RESEND_US 1000
#define PATIENCE_S 300
#define SAMPLE 4096
#define SAMPLE_RESEND_US 250000
#define FOLDERS_OPEN 8

static const uint8_t server[4] = { 10, 1, 1, 1 };

enum time { ELAPSED, CPU, TIMES };
/* A reboot is worked off by several threads: no CPU time of one thread tells what it costs. */
static const char *const time_names[2][TIMES] = {
	[false] = { [ELAPSED] = "restart", [CPU] = "restart-cpu" },
	[true] = { [ELAPSED] = "reboot" },
};

struct options {
	const char *prefix, *output, *storage, *log;
	const char *pins;	/* to be removed each time; NULL: they stay */
	char **program;
	uint32_t present;
	uint32_t rounds;
	int cpu;
};

/* In the server's namespace, on the other CPUs; after a reboot on all of them, because then it works on all of them, and until it
 * answers there is next to nothing to do for us. -1: it could not be started. */
static pid_t server_start(const struct options *options, int namespace)
{
	pid_t pid = fork();
	int log;

	if (pid)
		return pid;
	log = open(options->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (!namespace_enter(namespace) || !cpu_keep_off(options->pins ? ANY_CPU : options->cpu) || log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(127);
	execv(options->program[0], options->program);
	_exit(127);
}

static void server_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int remove_pin(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status, (void)type, (void)place;
	return remove(path);
}

static bool power_off(const struct options *options)
{
	if (!options->pins || !nftw(options->pins, remove_pin, FOLDERS_OPEN, FTW_DEPTH | FTW_PHYS) || errno == ENOENT)
		return true;
	return bench_fail("cannot remove %s: %s", options->pins, strerror(errno));
}

static uint32_t sample_count(const struct options *options)
{
	return options->present < SAMPLE ? options->present : SAMPLE;
}

/* Mappings that lie all over, each once. */
static bool sample_ask(const struct options *options, struct load *load)
{
	struct load_job job = { .operation = LOAD_RENEW, .count = sample_count(options), .under_way = 64, .resend_us = SAMPLE_RESEND_US,
		.patience_s = PATIENCE_S };
	uint32_t numbers[SAMPLE], i;
	struct load_outcome outcome;

	for (i = 0; i < job.count; i++)
		numbers[i] = (uint32_t)((uint64_t)options->present * i / job.count);
	job.mappings = numbers;
	return load_run(load, &job, &outcome);
}

/* Asks for one mapping again and again until there is an answer. `results` is NULL before anything is measured. */
static bool measure_round(const struct options *options, struct load *load, int namespace, uint32_t place, struct result *results)
{
	uint32_t number = (uint32_t)((uint64_t)options->present * (place % sample_count(options)) / sample_count(options));
	struct load_job job = { .operation = LOAD_RENEW, .mappings = &number, .count = 1, .under_way = 1, .resend_us = RESEND_US,
		.patience_s = PATIENCE_S };
	struct load_outcome outcome;
	double begin, end, cpu;
	bool done;
	pid_t pid;

	begin = seconds_now();
	pid = server_start(options, namespace);
	if (pid < 0)
		return bench_fail("cannot start %s: %s", options->program[0], strerror(errno));
	done = load_run(load, &job, &outcome);
	end = seconds_now();
	cpu = cpu_seconds(pid);
	done = done && sample_ask(options, load);
	if (done && results) {
		result_add_value(&results[ELAPSED], (end - begin) * 1e3);
		result_add_value(&results[CPU], cpu * 1e3);
	}
	server_kill(pid);
	return done ? true : bench_fail("%s: no good answer; see %s", options->program[0], options->log);
}

static bool run(const struct options *options, struct load *load, int namespace)
{
	struct result results[TIMES] = {};
	uint32_t round;
	int time;

	if (!measure_round(options, load, namespace, 0, NULL))	/* learns the endpoints, with everything in place */
		return false;
	for (round = 0; round < options->rounds; round++)
		if (!power_off(options) || !measure_round(options, load, namespace, round * 61, results))
			return false;
	for (time = 0; time < TIMES; time++) {
		results[time].measure = time_names[options->pins != NULL][time];
		if (!results[time].measure)
			continue;
		results[time].direction = options->storage;
		results[time].path = "filled";
		results[time].unit = "ms";
		results[time].flows = results[time].held = options->present;
		if (!result_write(&results[time], options->output))
			return false;
	}
	return true;
}

static bool parse(int argc, char **argv, struct options *options)
{
	int option;

	*options = (struct options){ .storage = "", .log = "/dev/null", .present = 100000, .rounds = 10,
		.cpu = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1 };
	while ((option = getopt(argc, argv, "+c:p:n:s:l:e:")) != -1)
		switch (option) {
		case 'c': options->cpu = atoi(optarg); break;
		case 'p': options->present = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'n': options->rounds = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 's': options->storage = optarg; break;
		case 'l': options->log = optarg; break;
		case 'e': options->pins = optarg; break;
		default: return false;
		}
	if (argc - optind < 3 || !options->present || !options->rounds || options->rounds > RESULT_WINDOWS_MAX)
		return false;
	options->prefix = argv[optind];
	options->output = argv[optind + 1];
	options->program = argv + optind + 2;
	return true;
}

int main(int argc, char **argv)
{
	struct options options;
	struct load *load = NULL;
	int client, namespace;
	bool done = false;

	if (!parse(argc, argv, &options)) {
		fprintf(stderr, "usage: restart_bench [-p PRESENT] [-n ROUNDS] [-s STORAGE] [-l LOG] [-e PIN-DIR] [-c CPU] "
			"PREFIX OUTPUT PROGRAM ARGUMENT...\n");
		return 1;
	}
	client = namespace_open(options.prefix, "client");
	namespace = namespace_open(options.prefix, "filled");
	if (client >= 0 && namespace >= 0 && namespace_enter(client) && cpu_keep_to(options.cpu))
		load = load_open(server, options.present);
	if (load)
		done = run(&options, load, namespace);
	load_close(load);
	return done ? 0 : 2;
}
