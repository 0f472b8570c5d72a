/* SPDX-License-Identifier: GPL-2.0-only */
/* The PCP server on the network: one socket for each address it listens on, requests decided in batches (RFC 6887 section 8). */
#ifndef CGN_PCP_SERVICE_H
#define CGN_PCP_SERVICE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct ev_loop;
struct pcp_server;
struct pcp_service;	/* opaque */

struct pcp_service_stats {
	uint64_t unsent;	/* answers that the socket did not take */
};

/* `loop`, `server` and `config` are borrowed for the service's life. NULL: out of memory. */
struct pcp_service *pcp_service_new(struct ev_loop *loop, struct pcp_server *server, const struct config *config);
void pcp_service_free(struct pcp_service *service);	/* NULL is fine */

/* Brings interfaces and sockets in line with what the machine and the configuration have now: at start, and whenever either
 * changes. An address that is not there yet is waited for; one that somebody else listens on is an error.
 * On failure returns false with one line in `error`; the sockets that could be opened stay open. */
bool pcp_service_refresh(struct pcp_service *service, char *error, size_t error_size);
/* Another configuration, borrowed as the first; pcp_service_refresh() comes next. */
void pcp_service_set_config(struct pcp_service *service, const struct config *config);

/* What was decided must be safe before it is answered. Requests are decided while what the ones before decided is being made safe. */
struct pcp_commit {
	bool (*begin)(void *context);	/* with a group of requests decided; false: there is nothing to make safe */
	/* Waits. False: neither that group nor what was decided since is safe. All of it is decided anew, with nothing changed by that,
	 * and then answered. */
	bool (*end)(void *context);
	void *context;
	int done_fd;			/* readable once end() need not wait, until it was called */
};
void pcp_service_set_commit(struct pcp_service *service, const struct pcp_commit *commit);

/* Unsolicited: one datagram to a client's port, from every address that it may have asked at. Returns how many were sent. */
unsigned pcp_service_send(struct pcp_service *service, const uint8_t client4[4], uint16_t client_port, const uint8_t *bytes, size_t len);
/* To 224.0.0.1:5350 out of the internal interfaces, each from its own address (RFC 6887 section 14.1.3). Requests come over IPv4
 * only, so that ff02::1 is not told. Returns how many were sent. */
unsigned pcp_service_multicast(struct pcp_service *service, const uint8_t *bytes, size_t len);
/* The external address that a NAT-PMP announcement can name to all at once; false: NAT-PMP is off, or there are several. */
bool pcp_service_natpmp_address(const struct pcp_service *service, uint8_t ret_external4[4]);

const struct pcp_service_stats *pcp_service_stats(const struct pcp_service *service);
unsigned pcp_service_listening(const struct pcp_service *service);	/* sockets open */

#endif
