/* SPDX-License-Identifier: GPL-2.0-only */
#include <stddef.h>
#include <stdio.h>
#include "error.h"
#include "natpmp_codec.h"
#include "pcp_proto.h"

static bool is_map(uint8_t opcode)
{
	return opcode == NATPMP_MAP_UDP || opcode == NATPMP_MAP_TCP;
}

static bool is_known(uint8_t opcode)
{
	return opcode == NATPMP_ADDRESS || is_map(opcode);
}

/* Version and opcode: the first two bytes of everything. */
static int head_decode(struct reader *r, uint8_t *ret_opcode, bool *ret_is_response)
{
	uint8_t version = reader_u8(r), opcode = reader_u8(r);

	if (r->short_read)
		return CGN_ESHORT;
	if (version != NATPMP_VERSION)
		return CGN_EVERSION;
	*ret_opcode = opcode & (uint8_t)~NATPMP_RESPONSE_BIT;
	*ret_is_response = opcode & NATPMP_RESPONSE_BIT;
	return 0;
}

int natpmp_decode_request(struct reader *r, struct natpmp_request *ret_request)
{
	struct natpmp_request request = { 0 };
	int error = head_decode(r, &request.opcode, &request.is_response);

	if (error)
		return error;
	if (!is_known(request.opcode)) {
		*ret_request = request;
		return CGN_EOPCODE;
	}
	if (is_map(request.opcode)) {
		reader_take(r, 2);	/* reserved */
		request.internal_port = reader_u16(r);
		request.external_port = reader_u16(r);
		request.lifetime_s = reader_u32(r);
	}
	if (r->short_read)
		return CGN_ESHORT;
	*ret_request = request;
	return 0;
}

int natpmp_decode_response(struct reader *r, struct natpmp_response *ret_response)
{
	struct natpmp_response response = { 0 };
	int error = head_decode(r, &response.opcode, &response.is_response);

	if (error)
		return error;
	response.result = reader_u16(r);
	response.epoch_s = reader_u32(r);
	if (r->short_read)
		return CGN_ESHORT;
	if (is_map(response.opcode)) {
		response.internal_port = reader_u16(r);
		response.external_port = reader_u16(r);
		response.lifetime_s = reader_u32(r);
	} else if (response.opcode == NATPMP_ADDRESS) {
		reader_bytes(r, response.external4, sizeof(response.external4));
	}
	if (r->short_read && response.result == NATPMP_SUCCESS)
		return CGN_ESHORT;
	*ret_response = response;
	return is_known(response.opcode) ? 0 : CGN_EOPCODE;
}

void natpmp_encode_request(struct writer *w, const struct natpmp_request *request)
{
	writer_u8(w, NATPMP_VERSION);
	writer_u8(w, request->opcode);
	if (!is_map(request->opcode))
		return;
	writer_zeros(w, 2);
	writer_u16(w, request->internal_port);
	writer_u16(w, request->external_port);
	writer_u32(w, request->lifetime_s);
}

static void response_header_encode(struct writer *w, uint8_t opcode, uint16_t result, uint32_t epoch_s)
{
	writer_u8(w, NATPMP_VERSION);
	writer_u8(w, opcode);
	writer_u16(w, result);
	writer_u32(w, epoch_s);
}

void natpmp_encode_response(struct writer *w, const struct natpmp_response *response)
{
	response_header_encode(w, response->opcode | NATPMP_RESPONSE_BIT, response->result, response->epoch_s);
	if (is_map(response->opcode)) {
		writer_u16(w, response->internal_port);
		writer_u16(w, response->external_port);
		writer_u32(w, response->lifetime_s);
	} else if (response->opcode == NATPMP_ADDRESS) {
		writer_bytes(w, response->external4, sizeof(response->external4));
	}
}

void natpmp_encode_unsupported_version(struct writer *w, uint32_t epoch_s)
{
	response_header_encode(w, 0, NATPMP_UNSUPP_VERSION, epoch_s);
}

#define NATPMP_RESULT_ROW(name, number, pcp) { number, pcp, #name },
static const struct result_row {
	int natpmp, pcp;
	const char *name;
} rows[] = { NATPMP_RESULTS(NATPMP_RESULT_ROW) };

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

int natpmp_result_from_pcp(int pcp_result)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].pcp == pcp_result)
			return rows[i].natpmp;
	/* a quota or an endpoint that cannot be had is a shortage; what the client asked wrongly, or may not, is refused */
	return pcp_result == PCP_USER_EX_QUOTA || pcp_result == PCP_CANNOT_PROVIDE_EXTERNAL || pcp_result == PCP_EXCESSIVE_REMOTE_PEERS ?
	       NATPMP_OUT_OF_RESOURCES : NATPMP_NOT_AUTHORIZED;
}

int natpmp_result_to_pcp(int natpmp_result)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].natpmp == natpmp_result)
			return rows[i].pcp;
	return PCP_NO_RESOURCES;
}

const char *natpmp_result_name(int natpmp_result)
{
	static char unknown[24];

	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].natpmp == natpmp_result)
			return rows[i].name;
	snprintf(unknown, sizeof(unknown), "RESULT_%d", natpmp_result);
	return unknown;
}
