/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "quiet_thread.h"
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
	if (worker->asked >= 0 && worker->done >= 0 && quiet_thread_start(&worker->thread, run, worker))
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
