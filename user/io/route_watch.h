/* SPDX-License-Identifier: GPL-2.0-only */
/* Has the programs ask for their next hops again when routes, rules, links or neighbours change. Without it they do so once a second.
 * Also keeps neighbours confirmed: packets forwarded by XDP are not seen by the kernel, which would never ask again who has an
 * address that only they are sent to. */
#ifndef CGN_ROUTE_WATCH_H
#define CGN_ROUTE_WATCH_H

struct dataplane;
struct ev_loop;
struct route_watch;	/* opaque */

/* Borrows both. NULL: no memory, or netlink refuses. */
struct route_watch *route_watch_new(struct ev_loop *loop, struct dataplane *dp);
void route_watch_free(struct route_watch *watch);	/* NULL is fine */

#endif
