/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory that the NAT under test holds. Functions that return false have printed why. */
#ifndef MEMORY_H
#define MEMORY_H
#include <stdbool.h>
#include <sys/types.h>

/* Of all maps pinned in a folder, as the kernel accounts for it. *ret_pool: of which for the external addresses, used or not. */
bool memory_of_maps(const char *pins, double *ret_bytes, double *ret_pool);
/* What a process has for itself: the maps and files that it looks at through shared pages are none of it. */
bool memory_of_process(pid_t pid, double *ret_bytes);

#endif
