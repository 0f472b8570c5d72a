/* SPDX-License-Identifier: GPL-2.0-only */
/* External addresses that are configured no more go when the last port block of them is free, and stable storage knows it. */
#ifndef CGN_LEAVING_H
#define CGN_LEAVING_H

struct dataplane;
struct ev_loop;
struct leaving;		/* opaque */
struct persistence;

/* Looks once a second. Both are borrowed. NULL: out of memory. */
struct leaving *leaving_new(struct ev_loop *loop, struct dataplane *dp, struct persistence *persistence);
void leaving_free(struct leaving *leaving);	/* NULL is fine */
/* Looks now. */
void leaving_look(struct leaving *leaving);

#endif
