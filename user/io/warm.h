/* SPDX-License-Identifier: GPL-2.0-only */
/* Touches every page of tables that were just made. In a virtual machine the first access to a page of the kernel's memory may cost
 * a hundred times what the later ones do, and each would be paid by a packet or a request. A thread of low priority does it
 * beforehand; it changes nothing, and who finds it unfinished pays for what is left. */
#ifndef CGN_WARM_H
#define CGN_WARM_H

struct dataplane;
struct warm;	/* opaque */

/* The data plane must outlive it. NULL: no thread is to be had, and that is no matter. */
struct warm *warm_start(const struct dataplane *dp);
void warm_stop(struct warm *warm);	/* NULL is fine */

#endif
