/* SPDX-License-Identifier: GPL-2.0-only */
#include "error.h"
#include "pcp_codec.h"

#define IPV4_MAPPED_PREFIX { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }

static const uint8_t ipv4_mapped_prefix[12] = IPV4_MAPPED_PREFIX;

int pcp_decode_request_header(struct reader *r, struct pcp_request_header *ret_header)
{
	struct pcp_request_header header;
	uint8_t opcode;

	header.version = reader_u8(r);
	opcode = reader_u8(r);
	header.opcode = opcode & (uint8_t)~PCP_RESPONSE_BIT;
	header.is_response = opcode & PCP_RESPONSE_BIT;
	reader_take(r, 2);	/* reserved: ignored on reception */
	header.lifetime_s = reader_u32(r);
	reader_bytes(r, header.client6, sizeof(header.client6));
	if (r->short_read)
		return CGN_ESHORT;
	*ret_header = header;
	return 0;
}

int pcp_decode_response_header(struct reader *r, struct pcp_response_header *ret_header)
{
	struct pcp_response_header header;
	uint8_t opcode;

	header.version = reader_u8(r);
	opcode = reader_u8(r);
	header.opcode = opcode & (uint8_t)~PCP_RESPONSE_BIT;
	header.is_response = opcode & PCP_RESPONSE_BIT;
	reader_take(r, 1);	/* reserved */
	header.result = reader_u8(r);
	header.lifetime_s = reader_u32(r);
	header.epoch_s = reader_u32(r);
	reader_take(r, 12);	/* reserved */
	if (r->short_read)
		return CGN_ESHORT;
	*ret_header = header;
	return 0;
}

int pcp_decode_map(struct reader *r, struct pcp_map *ret_map)
{
	struct pcp_map map;

	reader_bytes(r, map.nonce, sizeof(map.nonce));
	map.protocol = reader_u8(r);
	reader_take(r, 3);	/* reserved */
	map.internal_port = reader_u16(r);
	map.external_port = reader_u16(r);
	reader_bytes(r, map.external6, sizeof(map.external6));
	if (r->short_read)
		return CGN_ESHORT;
	*ret_map = map;
	return 0;
}

int pcp_decode_peer(struct reader *r, struct pcp_peer *ret_peer)
{
	struct pcp_peer peer;

	if (pcp_decode_map(r, &peer.map))
		return CGN_ESHORT;
	peer.remote_port = reader_u16(r);
	reader_take(r, 2);	/* reserved */
	reader_bytes(r, peer.remote6, sizeof(peer.remote6));
	if (r->short_read)
		return CGN_ESHORT;
	*ret_peer = peer;
	return 0;
}

int pcp_decode_option(struct reader *r, struct pcp_option *ret_option)
{
	struct pcp_option option;

	if (!reader_left(r) && !r->short_read)
		return 0;
	option.code = reader_u8(r);
	reader_take(r, 1);	/* reserved */
	option.length = reader_u16(r);
	option.data = reader_take(r, option.length);
	reader_take(r, -(size_t)option.length & 3);	/* padding: not looked at */
	if (r->short_read)
		return CGN_EBADOPTION;
	*ret_option = option;
	return 1;
}

int pcp_decode_filter(const struct pcp_option *option, struct pcp_filter *ret_filter)
{
	struct pcp_filter filter;
	struct reader r;

	if (option->length != 20)
		return CGN_EBADOPTION;
	reader_init(&r, option->data, option->length);
	reader_take(&r, 1);	/* reserved */
	filter.prefix_length = reader_u8(&r);
	filter.remote_port = reader_u16(&r);
	reader_bytes(&r, filter.remote6, sizeof(filter.remote6));
	*ret_filter = filter;
	return 0;
}

int pcp_decode_third_party(const struct pcp_option *option, uint8_t ret_internal6[16])
{
	if (option->length != 16)
		return CGN_EBADOPTION;
	memcpy(ret_internal6, option->data, 16);
	return 0;
}

int pcp_decode_port_set(const struct pcp_option *option, struct pcp_port_set *ret_port_set)
{
	struct reader r;

	if (option->length != PCP_PORT_SET_LEN)
		return CGN_EBADOPTION;
	reader_init(&r, option->data, option->length);
	ret_port_set->size = reader_u16(&r);
	ret_port_set->first_internal_port = reader_u16(&r);
	ret_port_set->keeps_parity = reader_u8(&r) & 1;	/* the upper bits are reserved */
	return 0;
}

int pcp_decode_description(const struct pcp_option *option, const char **ret_text, uint16_t *ret_length)
{
	if (option->length > PCP_DESCRIPTION_MAX)
		return CGN_EBADOPTION;
	*ret_text = (const char *)option->data;
	*ret_length = option->length;
	return 0;
}

void pcp_encode_request_header(struct writer *w, const struct pcp_request_header *header)
{
	writer_u8(w, header->version);
	writer_u8(w, (uint8_t)(header->opcode | (header->is_response ? PCP_RESPONSE_BIT : 0)));
	writer_zeros(w, 2);
	writer_u32(w, header->lifetime_s);
	writer_bytes(w, header->client6, sizeof(header->client6));
}

void pcp_encode_response_header(struct writer *w, const struct pcp_response_header *header)
{
	writer_u8(w, PCP_VERSION);
	writer_u8(w, header->opcode | PCP_RESPONSE_BIT);
	writer_u8(w, 0);
	writer_u8(w, header->result);
	writer_u32(w, header->lifetime_s);
	writer_u32(w, header->epoch_s);
	writer_zeros(w, 12);
}

void pcp_encode_map(struct writer *w, const struct pcp_map *map)
{
	writer_bytes(w, map->nonce, sizeof(map->nonce));
	writer_u8(w, map->protocol);
	writer_zeros(w, 3);
	writer_u16(w, map->internal_port);
	writer_u16(w, map->external_port);
	writer_bytes(w, map->external6, sizeof(map->external6));
}

void pcp_encode_peer(struct writer *w, const struct pcp_peer *peer)
{
	pcp_encode_map(w, &peer->map);
	writer_u16(w, peer->remote_port);
	writer_zeros(w, 2);
	writer_bytes(w, peer->remote6, sizeof(peer->remote6));
}

void pcp_encode_option(struct writer *w, uint8_t code, const void *data, uint16_t length)
{
	writer_u8(w, code);
	writer_u8(w, 0);
	writer_u16(w, length);
	writer_bytes(w, data, length);
	writer_pad4(w);
}

void pcp_encode_filter(struct writer *w, const struct pcp_filter *filter)
{
	uint8_t bytes[20];
	struct writer data;

	writer_init(&data, bytes, sizeof(bytes));
	writer_u8(&data, 0);
	writer_u8(&data, filter->prefix_length);
	writer_u16(&data, filter->remote_port);
	writer_bytes(&data, filter->remote6, sizeof(filter->remote6));
	pcp_encode_option(w, PCP_OPTION_FILTER, bytes, sizeof(bytes));
}

void pcp_encode_third_party(struct writer *w, const uint8_t internal6[16])
{
	pcp_encode_option(w, PCP_OPTION_THIRD_PARTY, internal6, 16);
}

void pcp_encode_port_set(struct writer *w, const struct pcp_port_set *port_set)
{
	uint8_t bytes[PCP_PORT_SET_LEN];
	struct writer data;

	writer_init(&data, bytes, sizeof(bytes));
	writer_u16(&data, port_set->size);
	writer_u16(&data, port_set->first_internal_port);
	writer_u8(&data, port_set->keeps_parity);
	pcp_encode_option(w, PCP_OPTION_PORT_SET, bytes, sizeof(bytes));
}

void pcp_encode_description(struct writer *w, const char *text, uint16_t length)
{
	pcp_encode_option(w, PCP_OPTION_DESCRIPTION, text, length);
}

bool pcp_address_is_ipv4(const uint8_t address6[16])
{
	return !memcmp(address6, ipv4_mapped_prefix, sizeof(ipv4_mapped_prefix));
}

bool pcp_address_is_any(const uint8_t address6[16])
{
	static const uint8_t any6[16], any4[16] = IPV4_MAPPED_PREFIX;

	return !memcmp(address6, any6, sizeof(any6)) || !memcmp(address6, any4, sizeof(any4));
}

void pcp_address_from_ipv4(const uint8_t addr4[4], uint8_t ret_address6[16])
{
	memcpy(ret_address6, ipv4_mapped_prefix, sizeof(ipv4_mapped_prefix));
	memcpy(ret_address6 + sizeof(ipv4_mapped_prefix), addr4, 4);
}
