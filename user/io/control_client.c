/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "control_client.h"
#include "dataplane_internal.h"

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool fail_errno(struct dataplane_error *error, const char *path, int failed)
{
	switch (failed) {
	case ENOENT:
	case ECONNREFUSED:
		return dataplane_fail(error, DATAPLANE_STATE, "xcgnd does not run (nobody listens at %s); start it", path);
	case EACCES:
	case EPERM:
		return dataplane_fail(error, DATAPLANE_KERNEL, "%s: %s; run as root", path, strerror(failed));
	case EAGAIN:
	case ETIMEDOUT:
		return dataplane_fail(error, DATAPLANE_STATE, "xcgnd did not answer at %s in time", path);
	case EPIPE:
	case ECONNRESET:
		return dataplane_fail(error, DATAPLANE_STATE, "xcgnd ended before it answered at %s; try again", path);
	default:
		return dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot ask xcgnd: %s", path, strerror(failed));
	}
}

/* A connected socket, or -errno. Connecting and sending wait as long as the kernel is told here. */
static int connect_to(const char *path)
{
	const struct timeval timeout = { .tv_sec = CONTROL_TIMEOUT_MS / 1000, .tv_usec = CONTROL_TIMEOUT_MS % 1000 * 1000 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, failed;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
		failed = -errno;
		close(fd);
		return failed;
	}
	return fd;
}

/* 0 or -errno */
static int send_line(int fd, const json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0, sent = 0;
	ssize_t count = 0;

	if (!text)
		return -ENOMEM;
	text[len++] = '\n';	/* where the end of the string was: it is sent by length */
	while (sent < len && count >= 0) {
		count = send(fd, text + sent, len - sent, MSG_NOSIGNAL);
		if (count > 0)
			sent += (size_t)count;
		else if (count < 0 && errno == EINTR)
			count = 0;
	}
	free(text);
	return count < 0 ? -errno : 0;
}

/* Up to the newline, or to the end if there is none. How many bytes without it, or -errno. */
static ssize_t receive_line(int fd, char *reply, size_t size, int64_t deadline_ms)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t count;
	int64_t left_ms;
	char *end;

	while (len < size) {
		left_ms = deadline_ms - now_ms();
		if (left_ms <= 0)
			return -ETIMEDOUT;
		if (poll(&readable, 1, (int)left_ms) <= 0)
			continue;
		count = recv(fd, reply + len, size - len, MSG_DONTWAIT);
		if (count < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (count < 0)
			return -errno;
		if (!count)
			return len ? (ssize_t)len : -ECONNRESET;
		end = memchr(reply + len, '\n', (size_t)count);
		if (end)
			return end - reply;
		len += (size_t)count;
	}
	return -EMSGSIZE;
}

static bool read_reply(json_t *reply, struct dataplane_error *error)
{
	const json_t *ok = json_object_get(reply, "ok");
	const char *text = json_string_value(json_object_get(reply, "error"));
	json_int_t code = json_integer_value(json_object_get(reply, "code"));

	if (!json_is_boolean(ok))
		return dataplane_fail(error, DATAPLANE_STATE, "xcgnd's answer cannot be understood; is it of another version?");
	if (json_is_true(ok))
		return true;
	return dataplane_fail(error, code >= DATAPLANE_CONFIG && code <= DATAPLANE_STATE ? (int)code : DATAPLANE_STATE, "%s",
			      text ? text : "xcgnd refused, and gave no reason");
}

bool control_ask(const char *path, const json_t *request, json_t **ret_reply, struct dataplane_error *error)
{
	return control_ask_within(path, request, CONTROL_TIMEOUT_MS, ret_reply, error);
}

bool control_ask_within(const char *path, const json_t *request, int timeout_ms, json_t **ret_reply, struct dataplane_error *error)
{
	int64_t deadline_ms = now_ms() + timeout_ms;
	int fd = connect_to(path), failed;
	json_t *parsed = NULL;
	ssize_t len = 0;
	char *reply;

	if (fd < 0)
		return fail_errno(error, path, -fd);
	reply = malloc(CONTROL_REPLY_MAX);
	failed = reply ? send_line(fd, request) : -ENOMEM;
	if (!failed)
		len = receive_line(fd, reply, CONTROL_REPLY_MAX, deadline_ms);
	if (!failed && len > 0)
		parsed = json_loadb(reply, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
	close(fd);
	free(reply);
	if (failed || (len < 0 && len != -EMSGSIZE))
		return fail_errno(error, path, failed ? -failed : (int)-len);
	if (!read_reply(parsed, error)) {
		json_decref(parsed);
		return false;
	}
	*ret_reply = parsed;
	return true;
}
