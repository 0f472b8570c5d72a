/* SPDX-License-Identifier: GPL-2.0-only */
/* Asking the daemon: one JSON object and a newline to its Unix socket, one JSON object in a line back. */
#ifndef CGN_CONTROL_CLIENT_H
#define CGN_CONTROL_CLIENT_H
#include <stdbool.h>
#include <jansson.h>

struct dataplane_error;

#define CONTROL_REPLY_MAX	(64 * 1024)	/* bytes of an answer */
#define CONTROL_TIMEOUT_MS	2000	

/* Asks the daemon that listens at `path`, e.g. {"command":"status"}, and returns what it answered ("ok" is true in it); the
 * caller owns *ret_reply. False with one line of text: nobody listens, no answer in time, none that can be understood, or the
 * daemon's own refusal with its exit code. `timeout_ms` is for its answer. */
bool control_ask_within(const char *path, const json_t *request, int timeout_ms, json_t **ret_reply, struct dataplane_error *error);
/* The same within CONTROL_TIMEOUT_MS: for what takes the daemon no time. */
bool control_ask(const char *path, const json_t *request, json_t **ret_reply, struct dataplane_error *error);

#endif
