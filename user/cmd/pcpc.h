/* SPDX-License-Identifier: GPL-2.0-only */
/* pcpc, the PCP client: what all of its commands share. */
#ifndef CGN_PCPC_H
#define CGN_PCPC_H
#include <argp.h>
#include <stdbool.h>
#include <stdint.h>
#include "client_socket.h"
#include "pcpc_trace.h"

#define PCPC_SERVERS_MAX 8
#define PCPC_TIMEOUT_S 30

enum pcpc_exit { PCPC_OK = 0, PCPC_USAGE = 1, PCPC_NO_ANSWER = 2, PCPC_REFUSED = 3 };

struct pcpc {			/* what the options say that every command has */
	struct client_address servers[PCPC_SERVERS_MAX];	/* addresses of one server, in the order of trial (RFC 7488 section 3) */
	unsigned server_count;	/* 0: the default routers */
	bool has_source;
	uint8_t source6[16];
	bool json;
	struct pcpc_trace trace;
	uint32_t timeout_s;	/* for the answer to one request; 0: no limit */
};

/* The options of struct pcpc, as a child of a command's parser; its input is the struct pcpc. */
extern const struct argp pcpc_common_argp;

struct pcpc_command {
	const char *name;
	const char *arguments;	/* for the help */
	const char *what;
	/* argv[0] is for messages. Returns enum pcpc_exit. */
	int (*run)(struct pcpc *pcpc, int argc, char **argv);
};

int pcpc_map(struct pcpc *pcpc, int argc, char **argv);
int pcpc_peer(struct pcpc *pcpc, int argc, char **argv);
int pcpc_delete(struct pcpc *pcpc, int argc, char **argv);
int pcpc_keep(struct pcpc *pcpc, int argc, char **argv);
int pcpc_delete_stale(struct pcpc *pcpc, int argc, char **argv);	/* delete --stale */
int pcpc_announce(struct pcpc *pcpc, int argc, char **argv);
int pcpc_get(struct pcpc *pcpc, int argc, char **argv);

#endif
