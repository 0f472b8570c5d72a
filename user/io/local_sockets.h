/* SPDX-License-Identifier: GPL-2.0-only */
/* Does somebody on this host use a port? Asked of the kernel (sock_diag), in this network namespace. */
#ifndef CGN_LOCAL_SOCKETS_H
#define CGN_LOCAL_SOCKETS_H
#include <stdint.h>

/* 1: a socket is bound to this port and to this address (16 bytes, IPv4-mapped) or to any: of TCP one that listens or is connected, of UDP
 * any. 0: none. -errno; -EPROTONOSUPPORT: neither TCP nor UDP. */
int local_socket_uses(uint8_t protocol, const uint8_t address6[16], uint16_t port);

#endif
