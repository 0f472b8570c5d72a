/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include "keep_store.h"
#include "reader.h"
#include "writer.h"

#define MAGIC		"xcgnkeep"
#define VERSION		1
#define BOOT_ID_LEN	36
#define HEAD_LEN	(8 + 4 + BOOT_ID_LEN + 8 + 8 + 4)	/* magic, version, boot, its clock, the wall clock, length */
#define SUM_LEN		4
#define BYTES_MAX	(8u << 20)

struct head {
	char boot_id[BOOT_ID_LEN];
	uint64_t boot_s, wall_s;
	uint32_t len;
};

/* ---- clocks ---- */

static uint64_t clock_s(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec;
}

static void boot_id_read(char *boot_id)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	memset(boot_id, '?', BOOT_ID_LEN);
	if (fd < 0)
		return;
	if (read(fd, boot_id, BOOT_ID_LEN) != BOOT_ID_LEN)
		memset(boot_id, '?', BOOT_ID_LEN);
	close(fd);
}

static void shift_find(const struct head *head, struct keep_stored *stored)
{
	uint64_t boot_s = clock_s(CLOCK_BOOTTIME), wall_s = clock_s(CLOCK_REALTIME);
	char boot_id[BOOT_ID_LEN];

	boot_id_read(boot_id);
	stored->shift_s = 0;
	stored->time_is_unknown = false;
	if (*boot_id != '?' && !memcmp(boot_id, head->boot_id, sizeof(boot_id)))
		return;
	stored->time_is_unknown = wall_s < head->wall_s;
	stored->shift_s = (int64_t)(boot_s - head->boot_s) - (int64_t)(wall_s - head->wall_s);
}

/* ---- reading ---- */

static uint64_t get_u64(struct reader *r)
{
	uint64_t high = reader_u32(r);

	return high << 32 | reader_u32(r);
}

static bool head_decode(struct reader *r, struct head *head)
{
	char magic[8];

	reader_bytes(r, magic, sizeof(magic));
	if (memcmp(magic, MAGIC, sizeof(magic)) || reader_u32(r) != VERSION)
		return false;
	reader_bytes(r, head->boot_id, sizeof(head->boot_id));
	head->boot_s = get_u64(r);
	head->wall_s = get_u64(r);
	head->len = reader_u32(r);
	return !r->short_read;
}

static enum keep_read decode(const uint8_t *bytes, size_t len, struct keep_stored *ret_stored)
{
	struct head head;
	struct reader r;

	if (len < HEAD_LEN + SUM_LEN)
		return KEEP_READ_BAD;
	reader_init(&r, bytes, len);
	if (!head_decode(&r, &head) || head.len != len - HEAD_LEN - SUM_LEN)
		return KEEP_READ_BAD;
	reader_take(&r, head.len);
	if (reader_u32(&r) != crc32(0, bytes, (uInt)(len - SUM_LEN)))
		return KEEP_READ_BAD;
	ret_stored->bytes = malloc(head.len ? head.len : 1);
	if (!ret_stored->bytes)
		return KEEP_READ_FAILED;
	memcpy(ret_stored->bytes, bytes + HEAD_LEN, head.len);
	ret_stored->len = head.len;
	shift_find(&head, ret_stored);
	return KEEP_READ_OK;
}

static ssize_t read_all(int fd, uint8_t *bytes, size_t size)
{
	size_t len = 0;
	ssize_t got;

	do {
		got = read(fd, bytes + len, size - len);
		if (got > 0)
			len += (size_t)got;
	} while ((got > 0 && len < size) || (got < 0 && errno == EINTR));
	return got < 0 ? -1 : (ssize_t)len;
}

enum keep_read keep_store_read(const char *path, struct keep_stored *ret_stored)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum keep_read result;
	uint8_t *bytes;
	ssize_t len;

	if (fd < 0)
		return errno == ENOENT ? KEEP_READ_NONE : KEEP_READ_FAILED;
	bytes = malloc(BYTES_MAX);
	len = bytes ? read_all(fd, bytes, BYTES_MAX) : -1;
	result = len < 0 ? KEEP_READ_FAILED : decode(bytes, (size_t)len, ret_stored);
	free(bytes);
	close(fd);
	return result;
}

/* ---- writing ---- */

/* What a name in a folder stands for is on disk when the folder is. */
static int folder_sync(const char *path)
{
	char copy[PATH_MAX];
	int fd, failed;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	failed = fsync(fd) ? -errno : 0;
	close(fd);
	return failed;
}

static int name_beside(const char *path, const char *suffix, char *name)
{
	return snprintf(name, PATH_MAX, "%s%s", path, suffix) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int keep_store_set_aside(const char *path)
{
	char aside[PATH_MAX];
	int failed = name_beside(path, ".bad", aside);

	if (failed)
		return failed;
	return rename(path, aside) ? -errno : folder_sync(path);
}

static size_t encode(const uint8_t *bytes, size_t len, uint8_t *file)
{
	struct head head = { .boot_s = clock_s(CLOCK_BOOTTIME), .wall_s = clock_s(CLOCK_REALTIME) };
	struct writer w;

	boot_id_read(head.boot_id);
	writer_init(&w, file, HEAD_LEN + len + SUM_LEN);
	writer_bytes(&w, MAGIC, 8);
	writer_u32(&w, VERSION);
	writer_bytes(&w, head.boot_id, sizeof(head.boot_id));
	writer_u32(&w, (uint32_t)(head.boot_s >> 32));
	writer_u32(&w, (uint32_t)head.boot_s);
	writer_u32(&w, (uint32_t)(head.wall_s >> 32));
	writer_u32(&w, (uint32_t)head.wall_s);
	writer_u32(&w, (uint32_t)len);
	writer_bytes(&w, bytes, len);
	writer_u32(&w, (uint32_t)crc32(0, file, (uInt)writer_len(&w)));
	return writer_len(&w);
}

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
	ssize_t written;

	while (len) {
		written = write(fd, bytes, len);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		len -= (size_t)written;
	}
	return fsync(fd) ? -errno : 0;
}

/* Open for the file's user only: nonces are secrets. A folder that is missing is made, not its parents. */
static int new_open(const char *path, const char *name)
{
	char folder[PATH_MAX];
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	snprintf(folder, sizeof(folder), "%s", path);
	if (mkdir(dirname(folder), 0700))
		return -errno;
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : fd;
}

static int replace(const char *path, const uint8_t *file, size_t len)
{
	char name[PATH_MAX];
	int failed = name_beside(path, ".new", name), fd;

	if (failed)
		return failed;
	fd = new_open(path, name);
	if (fd < 0)
		return fd;
	failed = write_all(fd, file, len);
	if (close(fd) && !failed)
		failed = -errno;
	if (!failed && rename(name, path))
		failed = -errno;
	if (!failed)
		return folder_sync(path);
	unlink(name);
	return failed;
}

int keep_store_write(const char *path, const uint8_t *bytes, size_t len)
{
	uint8_t *file = len <= BYTES_MAX / 2 ? malloc(HEAD_LEN + len + SUM_LEN) : NULL;
	int failed;

	if (!file)
		return -ENOMEM;
	failed = replace(path, file, encode(bytes, len, file));
	free(file);
	return failed;
}
