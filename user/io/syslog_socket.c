/* SPDX-License-Identifier: GPL-2.0-only */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "config_address.h"
#include "syslog_socket.h"

#define UDP "udp:"

struct target {
	union { struct sockaddr any; struct sockaddr_un local; struct sockaddr_in ipv4; } address;
	socklen_t length;
};

static bool read_target(const char *text, struct target *ret_target)
{
	struct target target = {};
	uint32_t address;
	uint16_t port;

	if (!strncmp(text, UDP, strlen(UDP))) {
		if (!endpoint_parse(text + strlen(UDP), &address, &port) || !address || !port)
			return false;
		target.address.ipv4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address) };
		target.length = sizeof(target.address.ipv4);
	} else {
		if (*text != '/' || strlen(text) >= sizeof(target.address.local.sun_path))
			return false;
		target.address.local.sun_family = AF_UNIX;
		strcpy(target.address.local.sun_path, text);
		target.length = sizeof(target.address.local);
	}
	*ret_target = target;
	return true;
}

bool syslog_target_is_valid(const char *target)
{
	struct target read;

	return !strcmp(target, "none") || read_target(target, &read);
}

void syslog_socket_init(struct syslog_socket *socket, const char *target)
{
	snprintf(socket->target, sizeof(socket->target), "%s", strcmp(target, "none") ? target : "");
	socket->fd = -1;
}

void syslog_socket_done(struct syslog_socket *socket)
{
	if (socket->fd >= 0)
		close(socket->fd);
	socket->fd = -1;
}

static bool open_socket(struct syslog_socket *syslog)
{
	struct target target;

	if (!read_target(syslog->target, &target))
		return false;
	syslog->fd = socket(target.address.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (syslog->fd < 0)
		return false;
	if (!connect(syslog->fd, &target.address.any, target.length))
		return true;
	syslog_socket_done(syslog);
	return false;
}

/* A syslog daemon that was restarted has another socket under the same name: one more try with a new one of ours. */
bool syslog_socket_send(struct syslog_socket *syslog, const char *message, size_t length)
{
	int tries;

	for (tries = 0; tries < 2; tries++) {
		if (syslog->fd < 0 && !open_socket(syslog))
			return false;
		if (send(syslog->fd, message, length, MSG_NOSIGNAL) == (ssize_t)length)
			return true;
		syslog_socket_done(syslog);
	}
	return false;
}
