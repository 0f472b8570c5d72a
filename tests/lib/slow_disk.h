/* SPDX-License-Identifier: GPL-2.0-only */
/* A disk that takes its time: the store's own thread stands still in a commit for as long as the test wants. With store_fixture.h. */
#ifndef CGN_SLOW_DISK_H
#define CGN_SLOW_DISK_H
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#include "store_fixture.h"

static sem_t slow_disk_gate;	/* 1: it is open */

static inline struct store_clocks slow_disk_clocks(void)
{
	if (gettid() != getpid()) {	/* the store's thread reads the clocks for each chunk and after the flush */
		sem_wait(&slow_disk_gate);
		sem_post(&slow_disk_gate);
	}
	return fixture_clocks;
}

static inline void slow_disk_hold(void)
{
	sem_wait(&slow_disk_gate);
}

static inline void slow_disk_release(void)
{
	sem_post(&slow_disk_gate);
}

static inline struct store *slow_disk_open(enum store_origin expected)
{
	fixture_clocks_of = slow_disk_clocks;
	sem_init(&slow_disk_gate, 0, 1);
	return fixture_open(expected);
}

/* Nothing can be written from now on; or can again. */
static inline void disk_set_full(bool is_full)
{
	struct rlimit limit = { is_full ? 0 : RLIM_INFINITY, RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

#endif
