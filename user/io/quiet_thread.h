/* SPDX-License-Identifier: GPL-2.0-only */
/* Threads that take no signals: those are the event loop's. */
#ifndef CGN_QUIET_THREAD_H
#define CGN_QUIET_THREAD_H
#include <pthread.h>
#include <stdbool.h>

/* Runs `run` with `argument` in *ret_thread, which the caller joins. False: there is no thread to be had. */
bool quiet_thread_start(pthread_t *ret_thread, void *(*run)(void *argument), void *argument);

#endif
