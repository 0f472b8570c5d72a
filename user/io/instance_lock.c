/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "instance_lock.h"

#define POLL_MS 5

static int lock_open(const char *control)
{
	char path[512], *slash;
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s.lock", control) >= sizeof(path))
		return -ENAMETOOLONG;
	slash = strrchr(path, '/');
	if (slash && slash != path) {
		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : fd;
}

static pid_t read_holder(int fd)
{
	char text[24] = "";
	long pid;

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	pid = strtol(text, NULL, 10);
	return pid > 0 ? (pid_t)pid : 0;
}

/* Who holds it is for messages only: the lock itself is the kernel's. */
static void write_holder(int fd)
{
	if (ftruncate(fd, 0) || dprintf(fd, "%ld\n", (long)getpid()) < 0)
		return;
}

int instance_lock_take(const char *control, unsigned wait_ms, pid_t *ret_holder)
{
	int fd = lock_open(control), failed;
	unsigned waited_ms = 0;

	*ret_holder = 0;
	if (fd < 0)
		return fd;
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		failed = -errno;
		if (failed == -EWOULDBLOCK && waited_ms < wait_ms) {
			usleep(POLL_MS * 1000);
			waited_ms += POLL_MS;
			continue;
		}
		*ret_holder = read_holder(fd);
		close(fd);
		return failed;
	}
	write_holder(fd);
	return fd;
}
