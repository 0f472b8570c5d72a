/* SPDX-License-Identifier: GPL-2.0-only */
/* The file that says which mappings `pcpc keep` has to keep, with whom, and whom it tells (pcpc(1)). */
#ifndef CGN_KEEP_CONFIG_H
#define CGN_KEEP_CONFIG_H
#include <net/if.h>
#include "client_socket.h"
#include "keeper_tables.h"
#include "pcp_client.h"

#define KEEP_SERVERS_MAX	8
#define KEEP_ADDRESSES_MAX	8

struct keep_file;	/* as written: owns the texts */

struct keep_server {
	char name[KEEPER_NAME_MAX + 1];		/* "": the only one, without a name */
	struct client_address addresses[KEEP_ADDRESSES_MAX];	/* in the order of trial */
	unsigned address_count;			/* 0: the default routers */
	bool has_source;
	uint8_t source6[16];
	char interface[IF_NAMESIZE];		/* whose address is the source; "": any */
};

struct keep_wishes {
	struct pcp_client_request *requests;	/* MAP; descriptions borrowed from the file */
	unsigned count;
};

struct keep_config {
	struct keep_file *file;
	struct keep_server servers[KEEP_SERVERS_MAX];
	struct keep_wishes wishes[KEEP_SERVERS_MAX];	/* of each */
	unsigned server_count;			/* 1 or more */
	unsigned mapping_count;			/* of the file: one may be wished from several servers */
	const char *state;			/* path */
	char **hook;				/* argv, NULL at its end; NULL: none */
	uint32_t hook_timeout_s;
	bool releases, cleans_up;
	uint8_t get_opcode, next_code, nonexist;
};

/* The caller owns *ret_config. False: `error` is one line, "FILE:LINE: KEY: what is wrong; what would be right". */
bool keep_config_load(const char *path, struct keep_config **ret_config, char *error, size_t error_size);
void keep_config_free(struct keep_config *config);	/* NULL is fine */

#endif
