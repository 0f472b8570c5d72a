/* SPDX-License-Identifier: GPL-2.0-only */
/* A cursor over a buffer to send. The error sticks: encode a whole message, then ask overflow once. */
#ifndef CGN_WRITER_H
#define CGN_WRITER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct writer { uint8_t *start, *pos, *end; bool overflow; };

static inline void writer_init(struct writer *w, void *buffer, size_t size)
{
	w->start = w->pos = buffer;
	w->end = w->start + size;
	w->overflow = false;
}

static inline size_t writer_len(const struct writer *w)
{
	return (size_t)(w->pos - w->start);
}

/* Room for n bytes, or NULL (and overflow for good). */
static inline uint8_t *writer_take(struct writer *w, size_t n)
{
	if (w->overflow || n > (size_t)(w->end - w->pos)) {
		w->overflow = true;
		return NULL;
	}
	w->pos += n;
	return w->pos - n;
}

static inline void writer_bytes(struct writer *w, const void *from, size_t n)
{
	uint8_t *p = writer_take(w, n);

	if (p && n)
		memcpy(p, from, n);
}

static inline void writer_zeros(struct writer *w, size_t n)
{
	uint8_t *p = writer_take(w, n);

	if (p)
		memset(p, 0, n);
}

static inline void writer_u8(struct writer *w, uint8_t value)
{
	writer_bytes(w, &value, 1);
}

static inline void writer_u16(struct writer *w, uint16_t value)
{
	writer_u8(w, (uint8_t)(value >> 8));
	writer_u8(w, (uint8_t)value);
}

static inline void writer_u32(struct writer *w, uint32_t value)
{
	writer_u16(w, (uint16_t)(value >> 16));
	writer_u16(w, (uint16_t)value);
}

/* Zero bytes up to the next multiple of 4 (RFC 6887 section 7.3). */
static inline void writer_pad4(struct writer *w)
{
	writer_zeros(w, (size_t)(-writer_len(w) & 3));
}

#endif
