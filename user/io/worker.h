/* SPDX-License-Identifier: GPL-2.0-only */
/* A thread that does one thing, each time it is asked to. Whoever asks hands over all that the thread touches until it is done. */
#ifndef CGN_WORKER_H
#define CGN_WORKER_H

struct worker;	/* opaque */

/* `work` runs in the thread, which takes no signals. NULL: there is no thread or memory to be had. */
struct worker *worker_new(void (*work)(void *context), void *context);
void worker_free(struct worker *worker);	/* after what it does; NULL is fine */

/* Not again before worker_take(). */
void worker_ask(struct worker *worker);
void worker_wait(const struct worker *worker);	/* until it is done; worker_take() is still due */
void worker_take(struct worker *worker);	/* waits too */
/* Readable from when it is done until worker_take(). */
int worker_done_fd(const struct worker *worker);

#endif
