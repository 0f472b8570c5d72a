/* SPDX-License-Identifier: GPL-2.0-only */
/* keep: all the servers that the file names, and those that it does not name any more and still have mappings of ours; what stable
 * storage holds of them. */
#ifndef CGN_PCPC_KEEP_LINKS_H
#define CGN_PCPC_KEEP_LINKS_H
#include "pcpc_keep_link.h"

struct keep_links {
	struct keep_link *all[KEEPER_TABLES_MAX];	/* owned */
	unsigned count;
	bool is_dirty;			/* one came or went since the tables were stored */
	/* for new ones */
	struct keeper_options options;
	void (*turn)(void *context);
	void *context;
};

void keep_links_done(struct keep_links *links);

/* Of what an earlier run stored, before keep_links_configure(). False: not ours, or not all of it; the rest is lost. */
bool keep_links_restore(struct keep_links *links, const uint8_t *bytes, size_t len, int64_t shift_s, bool time_is_unknown);
/* A link for each server of the file, with its wishes. One that is not named any more leaves: its mappings are deleted. A server is
 * known by its name, or, with another name, by an address that answered before. False: out of memory, and nothing changed. */
bool keep_links_configure(struct keep_links *links, const struct keep_config *config);
/* Forgets those that have left. */
void keep_links_part(struct keep_links *links);

bool keep_links_need_store(const struct keep_links *links);
/* Allocates *ret_bytes for the caller. False: out of memory. */
bool keep_links_encode(const struct keep_links *links, uint8_t **ret_bytes, size_t *ret_len);
void keep_links_stored(struct keep_links *links);

#endif
