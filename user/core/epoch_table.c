/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>
#include <string.h>
#include "epoch_table.h"
#include "mix.h"

#define PLACES_MIN 64u

struct place {
	uint8_t client6[16];
	uint32_t base_s;
	bool is_used;
};

/* Open addressing, never more than half full. Clients get in by the operator's or the system's doing, not by their own. */
struct epoch_table {
	struct place *places;
	unsigned size;		/* a power of two; 0 at first */
	unsigned count, max;
};

struct epoch_table *epoch_table_new(unsigned clients_max)
{
	struct epoch_table *table = calloc(1, sizeof(*table));

	if (table)
		table->max = clients_max;
	return table;
}

void epoch_table_free(struct epoch_table *table)
{
	if (!table)
		return;
	free(table->places);
	free(table);
}

/* The client's place, or the free one where it would stand. */
static struct place *place_of(struct place *places, unsigned size, const uint8_t client6[16])
{
	unsigned at;

	for (at = (unsigned)mix_address(0, client6) & (size - 1); places[at].is_used; at = (at + 1) & (size - 1))
		if (!memcmp(places[at].client6, client6, 16))
			break;
	return &places[at];
}

static bool table_grow(struct epoch_table *table)
{
	unsigned size = table->size ? table->size * 2 : PLACES_MIN, i;
	struct place *grown = calloc(size, sizeof(*grown));

	if (!grown)
		return false;
	for (i = 0; i < table->size; i++)
		if (table->places[i].is_used)
			*place_of(grown, size, table->places[i].client6) = table->places[i];
	free(table->places);
	table->places = grown;
	table->size = size;
	return true;
}

bool epoch_table_set(struct epoch_table *table, const uint8_t client6[16], uint32_t base_s)
{
	struct place *place = table->size ? place_of(table->places, table->size, client6) : NULL;

	if (place && place->is_used) {
		place->base_s = base_s;
		return true;
	}
	if (table->count == table->max)
		return false;
	if (table->count * 2 >= table->size) {
		if (!table_grow(table))
			return false;
		place = place_of(table->places, table->size, client6);
	}
	memcpy(place->client6, client6, 16);
	place->base_s = base_s;
	place->is_used = true;
	table->count++;
	return true;
}

bool epoch_table_find(const struct epoch_table *table, const uint8_t client6[16], uint32_t *ret_base_s)
{
	const struct place *place = table->size ? place_of(table->places, table->size, client6) : NULL;

	if (!place || !place->is_used)
		return false;
	*ret_base_s = place->base_s;
	return true;
}

void epoch_table_clear(struct epoch_table *table)
{
	free(table->places);
	table->places = NULL;
	table->size = table->count = 0;
}

unsigned epoch_table_count(const struct epoch_table *table)
{
	return table->count;
}
