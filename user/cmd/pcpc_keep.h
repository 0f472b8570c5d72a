/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of `pcpc keep` share. */
#ifndef CGN_PCPC_KEEP_H
#define CGN_PCPC_KEEP_H
#include "keep_config.h"
#include "keeper.h"
#include "pcpc.h"

/* Runs until it is told to end. Returns enum pcpc_exit. */
int pcpc_keep_run(const struct pcpc *pcpc, const char *path);

/* ---- pcpc_keep_output.c ---- */

struct keep_event {
	struct keeper_event event;
	char server[KEEPER_NAME_MAX + 1];	/* its name in the file; "": it has none */
};

/* One line on stdout; dropped, and said so on stderr, while nobody reads there. */
void keep_output_event(const struct keep_event *event, bool json);
/* "created", "epoch-reset", ... */
const char *keep_event_name(enum keeper_event_type type);
/* Is it for the hook? Not what only confirms what is known. */
bool keep_event_is_news(enum keeper_event_type type);

/* ---- pcpc_keep_hook.c ---- */

struct keep_hook;	/* opaque: the commands to run, one after another, in the order of their events */

/* Runs in the default loop. idle(context) is called when the last one ended. NULL: out of memory. */
struct keep_hook *keep_hook_new(void (*idle)(void *context), void *context);
/* Ends a command that is running. NULL is fine. */
void keep_hook_free(struct keep_hook *hook);
/* argv is copied. */
void keep_hook_set(struct keep_hook *hook, char *const argv[], uint32_t timeout_s);
void keep_hook_event(struct keep_hook *hook, const struct keep_event *event);
bool keep_hook_is_idle(const struct keep_hook *hook);

#endif
