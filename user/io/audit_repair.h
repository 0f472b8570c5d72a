/* SPDX-License-Identifier: GPL-2.0-only */
/* What the audit file should say by what `blocks` says: records that were lost, and the owners a new file begins with. */
#ifndef CGN_AUDIT_REPAIR_H
#define CGN_AUDIT_REPAIR_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "nat_log.h"

struct audit_error;
struct audit_file;
struct cgn_event;
struct cgn_subscriber_key;
struct dataplane;

struct audit_repair { uint64_t added, gaps; };

/* Within a transaction of `file`. `is_fresh`: the file is empty, so that nobody in it can have lost a block. Stops early, and says
 * true, when *stop is set. */
bool audit_repair(struct audit_file *file, const struct dataplane *dp, bool is_fresh, const atomic_bool *stop, struct audit_repair *ret_repair,
		  struct audit_error *error);

/* A second of the boot clock as Unix time. */
int64_t audit_unix_s(uint32_t boot_s);
void audit_name_subscriber(const struct cgn_subscriber_key *subscriber, char ret_text[48]);

#endif
