/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "worker.h"

/* Its two sides wait for each other by eventfds: reading one takes a signal, and waits for it. */
struct worker {
	void (*work)(void *context);
	void *context;
	pthread_t thread;
	int asked, done;
	bool is_asked;		/* the asking side's */
	bool is_over;
};

static void signal_set(int fd)
{
	uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void signal_take(int fd)
{
	uint64_t count;

	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

static void *run(void *argument)
{
	struct worker *worker = argument;

	for (signal_take(worker->asked); !worker->is_over; signal_take(worker->asked)) {
		worker->work(worker->context);
		signal_set(worker->done);
	}
	return NULL;
}

void worker_ask(struct worker *worker)
{
	worker->is_asked = true;
	signal_set(worker->asked);
}

void worker_wait(const struct worker *worker)
{
	signal_take(worker->done);
	signal_set(worker->done);
}

void worker_take(struct worker *worker)
{
	signal_take(worker->done);
	worker->is_asked = false;
}

int worker_done_fd(const struct worker *worker)
{
	return worker->done;
}

/* Signals are the event loop's. */
static bool start(struct worker *worker)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&worker->thread, NULL, run, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return !failed;
}

static void release(struct worker *worker)
{
	if (worker->asked >= 0)
		close(worker->asked);
	if (worker->done >= 0)
		close(worker->done);
	free(worker);
}

struct worker *worker_new(void (*work)(void *context), void *context)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	worker->work = work;
	worker->context = context;
	worker->asked = eventfd(0, EFD_CLOEXEC);
	worker->done = eventfd(0, EFD_CLOEXEC);
	if (worker->asked >= 0 && worker->done >= 0 && start(worker))
		return worker;
	release(worker);
	return NULL;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	if (worker->is_asked)
		worker_take(worker);
	worker->is_over = true;
	signal_set(worker->asked);
	pthread_join(worker->thread, NULL);
	release(worker);
}
