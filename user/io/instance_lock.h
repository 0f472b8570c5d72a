/* SPDX-License-Identifier: GPL-2.0-only */
/* One xcgnd at a time: a lock that the kernel drops when its holder dies, however it dies. */
#ifndef CGN_INSTANCE_LOCK_H
#define CGN_INSTANCE_LOCK_H
#include <sys/types.h>

/* Takes the lock of a control socket (the file beside it, "CONTROL.lock"), waiting at most wait_ms for a holder that is just
 * dying. Returns an fd to close when done, or -errno; with -EWOULDBLOCK *ret_holder is its process, 0 if unknown. */
int instance_lock_take(const char *control, unsigned wait_ms, pid_t *ret_holder);

#endif
