/* SPDX-License-Identifier: GPL-2.0-only */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "dataplane.h"
#include "log.h"
#include "quiet_thread.h"
#include "warm.h"

#define NICENESS 10	/* it yields to requests, but comes to its end on a busy machine too */

struct warm {
	const struct dataplane *dp;
	pthread_t thread;
	bool is_over;
};

/* Arrays: hash tables are touched wholly when they are made. */
static const enum dataplane_map touched[] = { DP_BLOCKS, DP_PORTS, DP_CACHE, DP_SESSIONS };

/* By the kernel, at its address: what is mapped into this process is other memory to a hypervisor. */
static bool touch(const struct warm *warm, int fd)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), page = (uint32_t)sysconf(_SC_PAGESIZE), size, step;
	uint64_t index = 0;
	void *value;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return false;
	size = (info.value_size + 7u) & ~7u;
	step = size < page ? page / size : 1;
	value = malloc(size);
	if (!value)
		return false;
	for (; index < info.max_entries && !__atomic_load_n(&warm->is_over, __ATOMIC_RELAXED); index += step) {
		uint32_t key = (uint32_t)index;

		if (bpf_map_lookup_elem(fd, &key, value))
			break;
	}
	free(value);
	return index >= info.max_entries;
}

static void *touch_all(void *argument)
{
	const struct warm *warm = argument;
	bool is_whole = true;
	size_t i;

	setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);	/* of this thread only */
	for (i = 0; i < sizeof(touched) / sizeof(*touched); i++)
		is_whole &= touch(warm, dataplane_map_fd(warm->dp, touched[i]));
	if (is_whole)
		log_info("touched every page of the new tables");
	return NULL;
}

struct warm *warm_start(const struct dataplane *dp)
{
	struct warm *warm = calloc(1, sizeof(*warm));

	if (!warm)
		return NULL;
	warm->dp = dp;
	if (quiet_thread_start(&warm->thread, touch_all, warm))
		return warm;
	free(warm);
	return NULL;
}

void warm_stop(struct warm *warm)
{
	if (!warm)
		return;
	__atomic_store_n(&warm->is_over, true, __ATOMIC_RELAXED);
	pthread_join(warm->thread, NULL);
	free(warm);
}
