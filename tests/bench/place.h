/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a bench runs: in which namespace, on which CPU. Functions that return false have printed why. */
#ifndef PLACE_H
#define PLACE_H
#include <stdbool.h>
#include <sys/types.h>

#define ANY_CPU (-1)

/* Says why on stderr; always false. */
bool bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Network namespace PREFIX-NAME of the rig that scripts/bench.sh has built: a file descriptor, or -1. */
int namespace_open(const char *prefix, const char *name);
bool namespace_enter(int fd);

bool cpu_keep_to(int cpu);		/* this process runs there only */
bool cpu_keep_off(int cpu);		/* anywhere but there; ANY_CPU: anywhere */

double seconds_now(void);		/* CLOCK_MONOTONIC */
double thread_seconds(void);		/* CPU time that this thread has had */
/* CPU time that the threads of a process have had, in seconds; 0 if it cannot be read. Tells what something costs even where
 * others take the CPU away meanwhile. */
double cpu_seconds(pid_t pid);

#endif
