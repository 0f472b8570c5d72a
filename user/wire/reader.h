/* SPDX-License-Identifier: GPL-2.0-only */
/* A cursor over received bytes. The error sticks: decode a whole message, then ask short_read once. */
#ifndef CGN_READER_H
#define CGN_READER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct reader { const uint8_t *pos, *end; bool short_read; };

static inline void reader_init(struct reader *r, const void *bytes, size_t len)
{
	r->pos = bytes;
	r->end = r->pos + len;
	r->short_read = false;
}

static inline size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->pos);
}

/* The next n bytes, or NULL (and short_read for good) if fewer remain. */
static inline const uint8_t *reader_take(struct reader *r, size_t n)
{
	if (r->short_read || n > reader_left(r)) {
		r->short_read = true;
		return NULL;
	}
	r->pos += n;
	return r->pos - n;
}

static inline uint8_t reader_u8(struct reader *r)
{
	const uint8_t *p = reader_take(r, 1);

	return p ? p[0] : 0;
}

static inline uint16_t reader_u16(struct reader *r)
{
	const uint8_t *p = reader_take(r, 2);

	return (uint16_t)(p ? p[0] << 8 | p[1] : 0);
}

static inline uint32_t reader_u32(struct reader *r)
{
	const uint8_t *p = reader_take(r, 4);

	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

/* Zeros if fewer than n bytes remain. */
static inline void reader_bytes(struct reader *r, void *to, size_t n)
{
	const uint8_t *p = reader_take(r, n);

	if (p)
		memcpy(to, p, n);
	else
		memset(to, 0, n);
}

#endif
