/* SPDX-License-Identifier: GPL-2.0-only */
/* Where syslog messages go: a local datagram socket, or UDP (RFC 5426). Never waits. */
#ifndef CGN_SYSLOG_SOCKET_H
#define CGN_SYSLOG_SOCKET_H
#include <stdbool.h>
#include <stddef.h>

struct syslog_socket {
	char target[128];	/* "/dev/log", "udp:192.0.2.1:514"; "": none */
	int fd;			/* -1: not open */
};

/* Is it a target? "none" is one too. */
bool syslog_target_is_valid(const char *target);
void syslog_socket_init(struct syslog_socket *socket, const char *target);
void syslog_socket_done(struct syslog_socket *socket);
/* Opens the socket if need be. False: the message is lost. */
bool syslog_socket_send(struct syslog_socket *socket, const char *message, size_t length);

#endif
