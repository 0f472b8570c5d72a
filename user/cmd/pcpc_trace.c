/* SPDX-License-Identifier: GPL-2.0-only */
#include <ctype.h>
#include <stdio.h>
#include "get_codec.h"
#include "inet_text.h"
#include "natpmp_codec.h"
#include "pcp_proto.h"
#include "pcpc_arguments.h"
#include "pcpc_output.h"
#include "pcpc_trace.h"

#define DEPTH_MAX 2	/* an option inside a NEXT */

static void field(unsigned depth, const char *name, const char *value)
{
	fprintf(stderr, "%*s%-*s %s\n", (int)(4 + 4 * depth), "", (int)(24 - 4 * depth), name, value);
}

static void number(unsigned depth, const char *name, unsigned long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", value);
	field(depth, name, text);
}

static void named(unsigned depth, const char *name, unsigned value, const char *meaning)
{
	char text[96];

	snprintf(text, sizeof(text), "%u (%s)", value, meaning);
	field(depth, name, text);
}

static void octets(unsigned depth, const char *name, const uint8_t *bytes, size_t len)
{
	size_t i;

	fprintf(stderr, "%*s%-*s", (int)(4 + 4 * depth), "", (int)(24 - 4 * depth), name);
	for (i = 0; i < len; i++)
		fprintf(stderr, "%s%02x", i % 4 ? "" : " ", bytes[i]);
	fputc('\n', stderr);
}

static void address(unsigned depth, const char *name, const uint8_t address6[16])
{
	field(depth, name, inet_address_text(address6).text);
}

/* ---- options ---- */

static void options(const struct pcpc_trace *trace, unsigned depth, bool is_received, struct reader *r);

/* What a NEXT carries behind its fields: in a request the codes wanted, in a response the mapping's options. */
static void next_rest(const struct pcpc_trace *trace, unsigned depth, bool is_received, const struct pcp_next *next)
{
	struct reader r;

	if (!next->options_len)
		return;
	if (!is_received) {
		octets(depth, "options wanted", next->options, next->options_len);
		return;
	}
	reader_init(&r, next->options, next->options_len);
	options(trace, depth, is_received, &r);
}

static void next_fields(const struct pcpc_trace *trace, unsigned depth, bool is_received, const struct pcp_option *option)
{
	struct pcp_next next;

	if (pcp_decode_next(option, &next)) {
		octets(depth, "too short", option->data, option->length);
		return;
	}
	octets(depth, "nonce", next.nonce, sizeof(next.nonce));
	field(depth, "protocol", pcpc_protocol_text(next.protocol).text);
	named(depth, "MORE or END", next.is_end, next.is_end ? "END" : "MORE");
	address(depth, "internal address", next.internal6);
	address(depth, "external address", next.external6);
	number(depth, "remaining lifetime", next.lifetime_s);
	number(depth, "internal port", next.internal_port);
	number(depth, "external port", next.external_port);
	next_rest(trace, depth, is_received, &next);
}

static void filter_fields(unsigned depth, const struct pcp_option *option)
{
	struct pcp_filter filter;

	if (pcp_decode_filter(option, &filter)) {
		octets(depth, "not a filter", option->data, option->length);
		return;
	}
	number(depth, "prefix length", filter.prefix_length);
	number(depth, "remote port", filter.remote_port);
	address(depth, "remote address", filter.remote6);
}

static void port_set_fields(unsigned depth, const struct pcp_option *option)
{
	struct pcp_port_set set;

	if (pcp_decode_port_set(option, &set)) {
		octets(depth, "not a port set", option->data, option->length);
		return;
	}
	number(depth, "size", set.size);
	number(depth, "first internal port", set.first_internal_port);
	number(depth, "parity kept", set.keeps_parity);
}

/* Text from the net: what a terminal would obey is shown as a dot. */
static void text_field(unsigned depth, const char *name, const uint8_t *text, size_t len)
{
	char shown[PCP_DESCRIPTION_MAX + 1];
	size_t i;

	for (i = 0; i < len && i + 1 < sizeof(shown); i++)
		shown[i] = iscntrl(text[i]) ? '.' : (char)text[i];
	shown[i] = '\0';
	field(depth, name, shown);
}

static const char *option_name(const struct pcpc_trace *trace, uint8_t code)
{
	if (code == trace->next_code)
		return "NEXT";
	switch (code) {
	case PCP_OPTION_THIRD_PARTY: return "THIRD_PARTY";
	case PCP_OPTION_PREFER_FAILURE: return "PREFER_FAILURE";
	case PCP_OPTION_FILTER: return "FILTER";
	case PCP_OPTION_DESCRIPTION: return "DESCRIPTION";
	case PCP_OPTION_PORT_SET: return "PORT_SET";
	case PCP_OPTION_CHECKPOINT_REQUIRED: return "CHECKPOINT_REQUIRED";
	default: return "unknown here";
	}
}

static void option_fields(const struct pcpc_trace *trace, unsigned depth, bool is_received, const struct pcp_option *option)
{
	uint8_t internal6[16];

	if (option->code == trace->next_code && depth <= 1)
		next_fields(trace, depth, is_received, option);
	else if (option->code == PCP_OPTION_FILTER)
		filter_fields(depth, option);
	else if (option->code == PCP_OPTION_PORT_SET)
		port_set_fields(depth, option);
	else if (option->code == PCP_OPTION_DESCRIPTION)
		text_field(depth, "text", option->data, option->length);
	else if (option->code == PCP_OPTION_THIRD_PARTY && !pcp_decode_third_party(option, internal6))
		address(depth, "internal address", internal6);
	else if (option->length)
		octets(depth, "data", option->data, option->length);
}

static void options(const struct pcpc_trace *trace, unsigned depth, bool is_received, struct reader *r)
{
	struct pcp_option option;
	int found = 0;

	while (depth <= DEPTH_MAX && (found = pcp_decode_option(r, &option)) == 1) {
		named(depth, "option", option.code, option_name(trace, option.code));
		number(depth + 1, "length", option.length);
		option_fields(trace, depth + 1, is_received, &option);
	}
	if (found < 0)
		octets(depth, "no option", r->pos, reader_left(r));
}

/* ---- messages ---- */

static void map_fields(const struct pcp_map *map, bool is_received)
{
	octets(0, "nonce", map->nonce, sizeof(map->nonce));
	field(0, "protocol", pcpc_protocol_text(map->protocol).text);
	number(0, "internal port", map->internal_port);
	number(0, is_received ? "external port" : "suggested port", map->external_port);
	address(0, is_received ? "external address" : "suggested address", map->external6);
}

static void payload(const struct pcpc_trace *trace, uint8_t opcode, bool is_received, struct reader *r)
{
	struct pcp_peer peer;
	struct pcp_get get;

	if (opcode == PCP_MAP && !pcp_decode_map(r, &peer.map)) {
		map_fields(&peer.map, is_received);
	} else if (opcode == PCP_PEER && !pcp_decode_peer(r, &peer)) {
		map_fields(&peer.map, is_received);
		number(0, "remote port", peer.remote_port);
		address(0, "remote address", peer.remote6);
	} else if (opcode == trace->get_opcode && !pcp_decode_get(r, &get)) {
		named(0, "protocol", get.protocol, get.protocol ? pcpc_protocol_text(get.protocol).text : "any");
		address(0, "internal address", get.internal6);
		address(0, "external address", get.external6);
		number(0, "internal port", get.internal_port);
		number(0, "external port", get.external_port);
	}
}

static const char *opcode_text(const struct pcpc_trace *trace, uint8_t opcode)
{
	if (opcode == trace->get_opcode)
		return "GET";
	return opcode == PCP_ANNOUNCE ? "ANNOUNCE" : opcode == PCP_MAP ? "MAP" : opcode == PCP_PEER ? "PEER" : "unknown here";
}

static bool header(const struct pcpc_trace *trace, bool is_received, struct reader *r, uint8_t *ret_opcode)
{
	struct pcp_response_header response;
	struct pcp_request_header request;

	if (is_received ? pcp_decode_response_header(r, &response) : pcp_decode_request_header(r, &request))
		return false;
	*ret_opcode = is_received ? response.opcode : request.opcode;
	number(0, "version", is_received ? response.version : request.version);
	field(0, "R", (is_received ? response.is_response : request.is_response) ? "1 (response)" : "0 (request)");
	named(0, "opcode", *ret_opcode, opcode_text(trace, *ret_opcode));
	if (is_received)
		named(0, "result", response.result, pcp_result_name(response.result));
	number(0, is_received ? "lifetime" : "requested lifetime", is_received ? response.lifetime_s : request.lifetime_s);
	if (is_received)
		number(0, "epoch", response.epoch_s);
	else
		address(0, "client address", request.client6);
	return true;
}

void pcpc_trace_message(const struct pcpc_trace *trace, bool is_received, const uint8_t *bytes, size_t len)
{
	uint8_t opcode = 0;
	struct reader r;

	if (!trace->is_on)
		return;
	fprintf(stderr, "%s %zu bytes\n", is_received ? "<--" : "-->", len);
	reader_init(&r, bytes, len);
	if (!len || bytes[0] != PCP_VERSION || !header(trace, is_received, &r, &opcode)) {
		octets(0, len && bytes[0] == NATPMP_VERSION ? "NAT-PMP" : "not PCP", bytes, len);
		return;
	}
	payload(trace, opcode, is_received, &r);
	options(trace, 0, is_received, &r);
}
