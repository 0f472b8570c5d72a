/* SPDX-License-Identifier: GPL-2.0-only */
/* keep: one PCP server, with the keeper of its mappings and the socket to it. What becomes of one server is nothing to the others. */
#ifndef CGN_PCPC_KEEP_LINK_H
#define CGN_PCPC_KEEP_LINK_H
#include "event_loop.h"
#include "keep_config.h"
#include "keeper.h"

struct keep_link {
	struct keep_server server;
	struct keeper *keeper;
	bool is_leaving;			/* the file does not name it any more: its mappings are being deleted */
	/* the rest is the link's own */
	int fd;					/* connected to the server; -1: none */
	struct client_address addresses[KEEP_ADDRESSES_MAX];	/* as found, where the file names none */
	unsigned address_count;
	struct pcp_client_path path_now;	/* of fd */
	struct ev_loop *loop;
	ev_io readable;
	void (*turn)(void *context);
	void *context;
};

/* The clock of keepers: counts while the machine sleeps, for the server's Epoch does too. */
uint64_t keep_now_ns(void);

/* turn(context) is called after something came from the server. NULL: out of memory. */
struct keep_link *keep_link_new(const struct keep_server *server, const struct keeper_options *options, void (*turn)(void *context),
				void *context);
void keep_link_free(struct keep_link *link);	/* NULL is fine */

/* The file, or the host's addresses or routes, changed. The way is another one only if one of its ends is. */
void keep_link_refresh(struct keep_link *link);
/* Sends what is due, opens a socket if one is wanted. True: to be called again. */
bool keep_link_step(struct keep_link *link);

/* One datagram from fd into size bytes of buffer. False: none; *ret_error is then 0 or -errno. */
bool keep_receive(int fd, uint8_t *buffer, size_t size, struct pcp_client_datagram *ret_datagram, int *ret_error);

#endif
