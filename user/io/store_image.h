/* SPDX-License-Identifier: GPL-2.0-only */
/* What a store holds, read as a whole after a reboot: of each key the last record, of each external endpoint the last owner. */
#ifndef CGN_STORE_IMAGE_H
#define CGN_STORE_IMAGE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store_record.h"

struct store;
struct store_image;	/* opaque */

/* Reads every chunk that counts. The store must not be committed to before the image is freed: it points into its pages.
 * 0 or -errno; -EIO: a chunk is damaged. */
int store_image_new(struct store *store, struct store_image **ret_image);
void store_image_free(struct store_image *image);	/* NULL is fine */

/* Grants, the youngest first, decoded and as they stand there. NULL: there are no more. Borrowed until the image is freed. */
const uint8_t *store_image_next(struct store_image *image, struct store_record *ret_record);
/* Records of another kind, in no order; *position is 0 at first. NULL: there are no more. */
const uint8_t *store_image_next_of(const struct store_image *image, enum store_kind kind, size_t *position);
/* Grants left out because a younger one has their external endpoint: theirs had ended before. */
size_t store_image_superseded(const struct store_image *image);

#endif
