/* SPDX-License-Identifier: GPL-2.0-only */
/* The tables of several servers as one string of bytes: what stable storage holds of them is of one moment. Pure. */
#ifndef CGN_KEEPER_TABLES_H
#define CGN_KEEPER_TABLES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEEPER_NAME_MAX		31
#define KEEPER_TABLES_MAX	16

struct keeper;

struct keeper_table {		/* of the server that the configuration calls so; "": it needs no name */
	char name[KEEPER_NAME_MAX + 1];
	const struct keeper *keeper;
};

struct keeper_table_bytes {
	char name[KEEPER_NAME_MAX + 1];
	const uint8_t *bytes;	/* for keeper_restore(); borrowed */
	size_t len;
};

/* Allocates *ret_bytes for the caller. A table alone and without a name is written as keeper_encode() does. False: out of memory. */
bool keeper_tables_encode(const struct keeper_table *tables, unsigned count, uint8_t **ret_bytes, size_t *ret_len);
/* Also what keeper_encode() wrote. False: not readable, or more than KEEPER_TABLES_MAX. */
bool keeper_tables_decode(const uint8_t *bytes, size_t len, struct keeper_table_bytes ret_tables[KEEPER_TABLES_MAX],
			  unsigned *ret_count);

#endif
