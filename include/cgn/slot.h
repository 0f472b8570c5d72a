/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the internal endpoint of a slot and that of a key. Pure functions of the layouts. */
#ifndef CGN_SLOT_H
#define CGN_SLOT_H
#include "cgn/abi.h"

/* What a slot has of a key: all behind host6. */
static __always_inline __u64 slot_word(const struct cgn_internal *internal)
{
	union cgn_internal4 part;

	__builtin_memcpy(&part, (const __u8 *)internal + sizeof(internal->host6), sizeof(part));
	return part.word;
}

/* One load: whoever looks at the slot's state before and after has what it was in between. */
static __always_inline void slot_read(const struct cgn_slot *slot, struct cgn_internal *ret_internal)
{
	__u64 word = *(const volatile __u64 *)&slot->internal.word;

	__builtin_memset(ret_internal->host6, 0, sizeof(ret_internal->host6));
	__builtin_memcpy((__u8 *)ret_internal + sizeof(ret_internal->host6), &word, sizeof(word));
}

/* One store, of a slot that is claimed. */
static __always_inline void slot_write(struct cgn_slot *slot, const struct cgn_internal *internal)
{
	*(volatile __u64 *)&slot->internal.word = slot_word(internal);
}

static __always_inline int slot_is_of(const struct cgn_slot *slot, const struct cgn_internal *internal)
{
	return slot->internal.word == slot_word(internal);
}

#endif
