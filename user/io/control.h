/* SPDX-License-Identifier: GPL-2.0-only */
/* The daemon's control socket: one JSON object and a newline in, one out, and the connection is closed.
 * {"command":"status"} -> {"ok":true, …} or {"ok":false,"code":3,"error":"one line"}; `code` is an exit code of design section 5. */
#ifndef CGN_CONTROL_H
#define CGN_CONTROL_H
#include <stdbool.h>
#include <jansson.h>

struct ev_loop;
struct control;	/* opaque */

struct control_error { int code; char text[512]; };

/* One command. Adds what it has to say to `reply`, which control owns; false with `error` filled: nothing changed. */
struct control_command {
	const char *name;
	bool (*run)(void *context, const json_t *request, json_t *reply, struct control_error *error);
};

/* Listens on a Unix socket (0600; its folder is made), replacing one that a dead daemon left: the caller holds the instance lock.
 * `commands` ends with a NULL name; loop, commands and context are borrowed. NULL with one line in error. */
struct control *control_new(struct ev_loop *loop, const char *path, const struct control_command *commands, void *context,
			    struct control_error *error);
void control_free(struct control *control);	/* removes the socket; NULL is fine */

#endif
