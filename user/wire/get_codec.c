/* SPDX-License-Identifier: GPL-2.0-only */
#include <string.h>
#include "error.h"
#include "get_codec.h"

int pcp_decode_get(struct reader *r, struct pcp_get *ret_get)
{
	struct pcp_get get;

	get.protocol = reader_u8(r);
	reader_take(r, 3);	/* reserved */
	reader_bytes(r, get.internal6, sizeof(get.internal6));
	reader_bytes(r, get.external6, sizeof(get.external6));
	get.internal_port = reader_u16(r);
	get.external_port = reader_u16(r);
	if (r->short_read)
		return CGN_ESHORT;
	*ret_get = get;
	return 0;
}

int pcp_decode_next(const struct pcp_option *option, struct pcp_next *ret_next)
{
	struct pcp_next next;
	struct reader r;

	reader_init(&r, option->data, option->length);
	reader_bytes(&r, next.nonce, sizeof(next.nonce));
	next.protocol = reader_u8(&r);
	reader_take(&r, 2);	/* reserved */
	next.is_end = reader_u8(&r);
	reader_bytes(&r, next.internal6, sizeof(next.internal6));
	reader_bytes(&r, next.external6, sizeof(next.external6));
	next.lifetime_s = reader_u32(&r);
	next.internal_port = reader_u16(&r);
	next.external_port = reader_u16(&r);
	if (r.short_read)
		return CGN_EBADOPTION;
	next.options_len = (uint16_t)reader_left(&r);
	next.options = r.pos;
	*ret_next = next;
	return 0;
}

void pcp_encode_get(struct writer *w, const struct pcp_get *get)
{
	writer_u8(w, get->protocol);
	writer_zeros(w, 3);
	writer_bytes(w, get->internal6, sizeof(get->internal6));
	writer_bytes(w, get->external6, sizeof(get->external6));
	writer_u16(w, get->internal_port);
	writer_u16(w, get->external_port);
}

void pcp_encode_next(struct writer *w, uint8_t code, const struct pcp_next *next)
{
	writer_u8(w, code);
	writer_u8(w, 0);
	writer_u16(w, (uint16_t)(PCP_NEXT_LEN + next->options_len));
	writer_bytes(w, next->nonce, sizeof(next->nonce));
	writer_u8(w, next->protocol);
	writer_zeros(w, 2);
	writer_u8(w, next->is_end);
	writer_bytes(w, next->internal6, sizeof(next->internal6));
	writer_bytes(w, next->external6, sizeof(next->external6));
	writer_u32(w, next->lifetime_s);
	writer_u16(w, next->internal_port);
	writer_u16(w, next->external_port);
	writer_bytes(w, next->options, next->options_len);
	writer_pad4(w);
}

bool pcp_next_is_undefined(const struct pcp_next *next)
{
	return !next->protocol && !next->internal_port && !next->external_port && pcp_address_is_any(next->internal6) &&
	       pcp_address_is_any(next->external6);
}

bool pcp_next_is_same(const struct pcp_next *one, const struct pcp_next *other)
{
	return one->protocol == other->protocol && one->internal_port == other->internal_port &&
	       one->external_port == other->external_port && !memcmp(one->internal6, other->internal6, sizeof(one->internal6)) &&
	       !memcmp(one->external6, other->external6, sizeof(one->external6));
}
