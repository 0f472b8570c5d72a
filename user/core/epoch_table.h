/* SPDX-License-Identifier: GPL-2.0-only */
/* Epochs of single clients (RFC 6887 section 8.5: "per client" is allowed): those who lost something that others did not.
 * Pure; who is not in it has the Epoch of all. */
#ifndef CGN_EPOCH_TABLE_H
#define CGN_EPOCH_TABLE_H
#include <stdbool.h>
#include <stdint.h>

struct epoch_table;	/* opaque; 24 bytes for each client in it, twice that while it grows */

/* NULL: out of memory. The caller owns it. */
struct epoch_table *epoch_table_new(unsigned clients_max);
void epoch_table_free(struct epoch_table *table);	/* NULL is fine */

/* False: full, or out of memory; then nothing changed, and only the Epoch of all can tell the client. */
bool epoch_table_set(struct epoch_table *table, const uint8_t client6[16], uint32_t base_s);
/* False: the client has none of its own. */
bool epoch_table_find(const struct epoch_table *table, const uint8_t client6[16], uint32_t *ret_base_s);
/* Everybody has the Epoch of all again: it was reset after every single one. */
void epoch_table_clear(struct epoch_table *table);
unsigned epoch_table_count(const struct epoch_table *table);

#endif
