/* SPDX-License-Identifier: GPL-2.0-only */
/* One running xcgnd: data plane, PCP server, expiry, control socket on one event loop. */
#ifndef CGN_XCGND_DAEMON_H
#define CGN_XCGND_DAEMON_H
#include <stdbool.h>
#include <stdint.h>

enum daemon_exit { DAEMON_OK, DAEMON_CONFIG, DAEMON_KERNEL, DAEMON_STATE };	/* design section 5 */

struct daemon;	/* opaque */

/* Brings everything up from a configuration file. Has logged why when it returns NULL, with the exit code in *ret_exit. */
struct daemon *daemon_new(const char *config_path, enum daemon_exit *ret_exit);
void daemon_free(struct daemon *daemon);	/* pins and attached programs stay; NULL is fine */
/* Tells systemd, and serves until SIGTERM or SIGINT. */
void daemon_run(struct daemon *daemon);

#endif
