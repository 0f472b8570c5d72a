/* SPDX-License-Identifier: GPL-2.0-only */
/* The file that says which mappings `pcpc keep` has to keep, with whom, and whom it tells (pcpc(1)). */
#ifndef CGN_KEEP_CONFIG_H
#define CGN_KEEP_CONFIG_H
#include "client_socket.h"
#include "pcp_client.h"

#define KEEP_SERVERS_MAX 8

struct keep_file;	/* as written: owns the texts */

struct keep_config {
	struct keep_file *file;
	struct client_address servers[KEEP_SERVERS_MAX];	/* addresses of one server, in the order of trial */
	unsigned server_count;			/* 0: the default routers */
	bool has_source;
	uint8_t source6[16];
	const char *interface;			/* whose address is the source; NULL: any */
	const char *state;			/* path */
	char **hook;				/* argv, NULL at its end; NULL: none */
	uint32_t hook_timeout_s;
	bool releases, cleans_up;
	uint8_t get_opcode, next_code, nonexist;
	struct pcp_client_request *wishes;	/* MAP requests; descriptions borrowed from the file */
	unsigned wish_count;
};

/* The caller owns *ret_config. False: `error` is one line, "FILE:LINE: KEY: what is wrong; what would be right". */
bool keep_config_load(const char *path, struct keep_config **ret_config, char *error, size_t error_size);
void keep_config_free(struct keep_config *config);	/* NULL is fine */

#endif
