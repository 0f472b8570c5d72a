/* SPDX-License-Identifier: GPL-2.0-only */
/* Announcements (RFC 6887 section 14.1.3) to single clients whose mappings are gone, so that no walk over the tables finds them any
 * more: three times each, with growing gaps, and not all in one burst. */
#ifndef CGN_NOTICES_H
#define CGN_NOTICES_H
#include <stdbool.h>
#include <stdint.h>

struct ev_loop;
struct notices;		/* opaque */
struct pcp_server;
struct pcp_service;

/* All are borrowed. NULL: out of memory. */
struct notices *notices_new(struct ev_loop *loop, const struct pcp_server *server, struct pcp_service *service);
void notices_free(struct notices *notices);	/* NULL is fine */

/* One client's address (IPv4-mapped) and port. A client that is told already is not told more often. False: out of memory. */
bool notices_add(struct notices *notices, const uint8_t client6[16], uint16_t client_port);

#endif
