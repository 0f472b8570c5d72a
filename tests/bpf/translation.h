/* SPDX-License-Identifier: GPL-2.0-only */
/* What must hold of any frame and what a program made of it, whether the frame is sound or not: nothing leaves untranslated, a
 * translated packet belongs to a mapping, and nothing changed in it but what must. One's complement sums keep their residue: a right
 * checksum stays right, a wrong one wrong. Computed the plain way, from the frames and from `ports`. */
#ifndef CGN_TEST_TRANSLATION_H
#define CGN_TEST_TRANSLATION_H
#include "plane.h"

enum translation { UNTOUCHED, TRANSLATED, SOUND };	/* SOUND: translated, whole, between addresses of the sides
						 * that they belong to, and every checksum of it was and is right */

/* NULL, or what is wrong. ICMP errors of xcgn's own are UNTOUCHED. Addresses are those of plane.h; the pool is 192.0.2.1 and .2. */
const char *translation_check(const struct plane *plane, enum cgn_side side, const uint8_t *in, uint32_t in_length,
			      const struct plane_run *run, enum translation *ret_kind);

/* Writes right checksums into an untagged or tagged IPv4 frame, as far as its lengths let it be read. */
void translation_repair(uint8_t *frame, uint32_t length);

#endif
