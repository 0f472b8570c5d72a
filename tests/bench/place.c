/* SPDX-License-Identifier: GPL-2.0-only */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "place.h"

bool bench_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return false;
}

int namespace_open(const char *prefix, const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/var/run/netns/%s-%s", prefix, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		bench_fail("%s: %s", path, strerror(errno));
	return fd;
}

bool namespace_enter(int fd)
{
	return setns(fd, CLONE_NEWNET) ? bench_fail("cannot enter a namespace of the rig: %s", strerror(errno)) : true;
}

static bool run_on(const cpu_set_t *set, int cpu)
{
	return sched_setaffinity(0, sizeof(*set), set) ? bench_fail("cannot choose by CPU %d: %s", cpu, strerror(errno)) : true;
}

bool cpu_keep_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return run_on(&set, cpu);
}

bool cpu_keep_off(int cpu)
{
	cpu_set_t set;
	long count = sysconf(_SC_NPROCESSORS_ONLN), i;

	CPU_ZERO(&set);
	for (i = 0; i < count; i++)
		if (i != cpu)
			CPU_SET((size_t)i, &set);
	return run_on(&set, cpu);
}

double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double thread_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static unsigned long long thread_ns(pid_t pid, const char *thread)
{
	unsigned long long ns = 0;
	char path[320];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, thread);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%llu", &ns) != 1)
		ns = 0;
	fclose(file);
	return ns;
}

double cpu_seconds(pid_t pid)
{
	unsigned long long ns = 0;
	struct dirent *thread;
	char path[64];
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	threads = opendir(path);
	while (threads && (thread = readdir(threads)))
		ns += thread->d_name[0] == '.' ? 0 : thread_ns(pid, thread->d_name);
	if (threads)
		closedir(threads);
	return (double)ns / 1e9;
}
