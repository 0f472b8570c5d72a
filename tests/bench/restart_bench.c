/* SPDX-License-Identifier: GPL-2.0-only */
/* How long from starting xcgnd to its first PCP answer, with PRESENT explicit mappings in its tables (those that map_bench
 * has made), and how much CPU time it took until then. The answer must be a success for the nonce of before, and its Epoch
 * that of before. Ends with kill -9 each time. */
#include <errno.h>
#include <fcntl.h>
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
#define PATIENCE_S 60

static const uint8_t server[4] = { 10, 1, 1, 1 };

enum time { ELAPSED, CPU, TIMES };
static const char *const time_names[TIMES] = { [ELAPSED] = "restart", [CPU] = "restart-cpu" };

struct options {
	const char *prefix, *output, *storage, *log;
	char **program;
	uint32_t present;
	uint32_t rounds;
	int cpu;
};

/* In the server's namespace, on the other CPUs. -1: it could not be started. */
static pid_t server_start(const struct options *options, int namespace)
{
	pid_t pid = fork();
	int log;

	if (pid)
		return pid;
	log = open(options->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (!namespace_enter(namespace) || !cpu_keep_off(options->cpu) || log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(127);
	execv(options->program[0], options->program);
	_exit(127);
}

static void server_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Asks for one mapping again and again until there is an answer. */
static bool measure_round(const struct options *options, struct load *load, int namespace, uint32_t number,
			  struct result results[TIMES])
{
	struct load_job job = { .operation = LOAD_RENEW, .mappings = &number, .count = 1, .under_way = 1, .resend_us = RESEND_US,
		.patience_s = PATIENCE_S };
	double begin = seconds_now();
	struct load_outcome outcome;
	pid_t pid = server_start(options, namespace);
	bool done;

	if (pid < 0)
		return bench_fail("cannot start %s: %s", options->program[0], strerror(errno));
	done = load_run(load, &job, &outcome);
	if (done) {
		result_add_value(&results[ELAPSED], (seconds_now() - begin) * 1e3);
		result_add_value(&results[CPU], cpu_seconds(pid) * 1e3);
	}
	server_kill(pid);
	return done ? true : bench_fail("%s: no good answer; see %s", options->program[0], options->log);
}

static bool run(const struct options *options, struct load *load, int namespace)
{
	struct result results[TIMES] = {};
	uint32_t round;
	int time;

	for (round = 0; round < options->rounds; round++)
		if (!measure_round(options, load, namespace, (uint32_t)((uint64_t)options->present * round / options->rounds), results))
			return false;
	for (time = 0; time < TIMES; time++) {
		results[time].measure = time_names[time];
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
	while ((option = getopt(argc, argv, "+c:p:n:s:l:")) != -1)
		switch (option) {
		case 'c': options->cpu = atoi(optarg); break;
		case 'p': options->present = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'n': options->rounds = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 's': options->storage = optarg; break;
		case 'l': options->log = optarg; break;
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
		fprintf(stderr, "usage: restart_bench [-p PRESENT] [-n ROUNDS] [-s STORAGE] [-l LOG] [-c CPU] PREFIX OUTPUT "
			"PROGRAM ARGUMENT...\n");
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
