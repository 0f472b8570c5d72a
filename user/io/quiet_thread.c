/* SPDX-License-Identifier: GPL-2.0-only */
#include <signal.h>
#include "quiet_thread.h"

bool quiet_thread_start(pthread_t *ret_thread, void *(*run)(void *argument), void *argument)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(ret_thread, NULL, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return !failed;
}
