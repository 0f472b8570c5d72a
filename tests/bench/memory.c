/* SPDX-License-Identifier: GPL-2.0-only */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "memory.h"
#include "place.h"

/* The number behind a name in a file of /proc. */
static bool proc_number(const char *path, const char *format, unsigned long long *ret_number)
{
	FILE *file = fopen(path, "r");
	bool is_there = false;
	char line[256];

	while (file && !is_there && fgets(line, sizeof(line), file))
		is_there = sscanf(line, format, ret_number) == 1;
	if (file)
		fclose(file);
	return is_there;
}

static double map_bytes(const char *path)
{
	unsigned long long bytes = 0;
	int fd = bpf_obj_get(path);
	char info[64];

	if (fd < 0)
		return 0;	/* a folder */
	snprintf(info, sizeof(info), "/proc/self/fdinfo/%d", fd);
	if (!proc_number(info, "memlock: %llu", &bytes))
		bytes = 0;	/* a program or a link */
	close(fd);
	return (double)bytes;
}

/* Their size follows from the pool, and not from the mappings. */
static bool is_of_pool(const char *name)
{
	return !strcmp(name, "ports") || !strcmp(name, "blocks") || !strcmp(name, "pools");
}

bool memory_of_maps(const char *pins, double *ret_bytes, double *ret_pool)
{
	DIR *folder = opendir(pins);
	const struct dirent *entry;
	char path[512];
	double bytes, sum = 0, pool = 0;

	if (!folder)
		return bench_fail("%s: %s", pins, strerror(errno));
	while ((entry = readdir(folder))) {
		snprintf(path, sizeof(path), "%s/%s", pins, entry->d_name);
		bytes = *entry->d_name == '.' ? 0 : map_bytes(path);
		sum += bytes;
		pool += is_of_pool(entry->d_name) ? bytes : 0;
	}
	closedir(folder);
	*ret_bytes = sum;
	*ret_pool = pool;
	return sum > 0 ? true : bench_fail("%s: no maps", pins);
}

bool memory_of_process(pid_t pid, double *ret_bytes)
{
	unsigned long long kilobytes;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (!proc_number(path, "RssAnon: %llu kB", &kilobytes))
		return bench_fail("%s: no RssAnon", path);
	*ret_bytes = (double)kilobytes * 1024;
	return true;
}
