/* SPDX-License-Identifier: GPL-2.0-only */
/* The client's way through a table that GET/NEXT shows in pages (draft-boucadair-pcp-failure-06 B.5): which page to ask for next, what
 * is new in it, and when to stop. Pure. What is new is told by the mappings' own key, so that neither seams between pages nor a
 * server that starts over show a mapping twice. */
#ifndef CGN_GET_WALK_H
#define CGN_GET_WALK_H
#include <stddef.h>
#include "pcp_client.h"

#define GET_WALK_MAPPINGS_MAX (1u << 20)	/* no table of one subscriber is larger */

struct get_walk;	/* opaque */

enum get_walk_step {
	GET_WALK_ASK,		/* there is more: ask get_walk_request() */
	GET_WALK_ASK_ANEW,	/* the reply may be a late one to an earlier request: the same, from where late ones do not come */
	GET_WALK_DONE,		/* that was all; also when nothing matches */
	GET_WALK_REFUSED,	/* the server's result says so */
	GET_WALK_BROKEN,	/* the server leads in circles, shows no NEXT options, or never stops */
	GET_WALK_NO_MEMORY,
};

/* `first` is the GET with its filter, options, and an undefined NEXT; what it points to is borrowed for the walk's life.
 * result_nonexist: the result that says that nothing matches. NULL: out of memory. */
struct get_walk *get_walk_new(const struct pcp_client_request *first, uint8_t result_nonexist);
void get_walk_free(struct get_walk *walk);	/* NULL is fine */

/* The page to ask for. Borrowed until the next step. */
const struct pcp_client_request *get_walk_request(const struct get_walk *walk);
/* What a reply to it brings. An Epoch that does not fit throws all away that was collected, and the walk begins again. */
enum get_walk_step get_walk_step(struct get_walk *walk, const struct pcp_client_reply *reply);

size_t get_walk_count(const struct get_walk *walk);
/* In the order in which the server showed them; options borrowed until the walk is freed or begins again. */
const struct pcp_next *get_walk_mapping(const struct get_walk *walk, size_t index);
unsigned get_walk_pages(const struct get_walk *walk);
unsigned get_walk_restarts(const struct get_walk *walk);

#endif
