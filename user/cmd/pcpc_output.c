/* SPDX-License-Identifier: GPL-2.0-only */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "inet_text.h"
#include "pcpc_arguments.h"
#include "pcpc_output.h"

struct inet_text pcpc_nonce_text(const uint8_t nonce[PCP_NONCE_LEN])
{
	struct inet_text text;

	for (size_t i = 0; i < PCP_NONCE_LEN; i++)
		snprintf(text.text + 2 * i, 3, "%02x", nonce[i]);
	return text;
}

void pcpc_output_json(json_t *object)
{
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

static void set_text(json_t *object, const char *name, struct inet_text text)
{
	json_object_set_new(object, name, json_string(text.text));
}

/* ---- options ---- */

static struct inet_text filter_text(const struct pcp_filter *filter)
{
	return filter->prefix_length ? inet_prefix_text(filter->remote6, filter->prefix_length, filter->remote_port) :
				       (struct inet_text){ "none" };
}

static void filter_add(json_t *object, const struct pcp_option *option)
{
	json_t *filters = json_object_get(object, "filters");
	struct pcp_filter filter;

	if (pcp_decode_filter(option, &filter))
		return;
	if (!filters) {
		filters = json_array();
		json_object_set_new(object, "filters", filters);
	}
	json_array_append_new(filters, json_string(filter_text(&filter).text));
}

static void option_add(json_t *object, const struct pcp_option *option)
{
	struct pcp_port_set port_set;
	uint8_t internal6[16];
	const char *text;
	uint16_t len;

	switch (option->code) {
	case PCP_OPTION_THIRD_PARTY:
		if (!pcp_decode_third_party(option, internal6))
			set_text(object, "third_party", inet_address_text(internal6));
		break;
	case PCP_OPTION_PREFER_FAILURE:
		json_object_set_new(object, "prefer_failure", json_true());
		break;
	case PCP_OPTION_FILTER:
		filter_add(object, option);
		break;
	case PCP_OPTION_PORT_SET:
		if (!pcp_decode_port_set(option, &port_set))
			json_object_set_new(object, "port_set", json_pack("{s:i,s:i,s:b}", "size", port_set.size, "first",
					    port_set.first_internal_port, "parity", port_set.keeps_parity));
		break;
	case PCP_OPTION_DESCRIPTION:	/* a string that is no UTF-8 is no JSON: left out */
		if (!pcp_decode_description(option, &text, &len))
			json_object_set_new(object, "description", json_stringn(text, len));
		break;
	case PCP_OPTION_CHECKPOINT_REQUIRED:
		json_object_set_new(object, "checkpoint", json_true());
		break;
	}
}

void pcpc_output_options(json_t *object, struct reader options)
{
	struct pcp_option option;

	while (pcp_decode_option(&options, &option) == 1)
		option_add(object, &option);
}

/* Somebody else's text on a terminal: no control characters. */
static void description_print(const char *text, uint16_t len)
{
	printf(" description \"");
	for (uint16_t i = 0; i < len; i++)
		putchar(iscntrl((unsigned char)text[i]) ? '?' : text[i]);
	putchar('"');
}

static void option_print(const struct pcp_option *option)
{
	struct pcp_port_set port_set;
	struct pcp_filter filter;
	uint8_t internal6[16];
	const char *text;
	uint16_t len;

	switch (option->code) {
	case PCP_OPTION_THIRD_PARTY:
		if (!pcp_decode_third_party(option, internal6))
			printf(" third-party %s", inet_address_text(internal6).text);
		break;
	case PCP_OPTION_PREFER_FAILURE:
		printf(" prefer-failure");
		break;
	case PCP_OPTION_FILTER:
		if (!pcp_decode_filter(option, &filter))
			printf(" filter %s", filter_text(&filter).text);
		break;
	case PCP_OPTION_PORT_SET:
		if (!pcp_decode_port_set(option, &port_set))
			printf(" port-set %u from %u%s", port_set.size, port_set.first_internal_port,
			       port_set.keeps_parity ? " parity kept" : "");
		break;
	case PCP_OPTION_DESCRIPTION:
		if (!pcp_decode_description(option, &text, &len))
			description_print(text, len);
		break;
	case PCP_OPTION_CHECKPOINT_REQUIRED:
		printf(" checkpoint");
		break;
	}
}

void pcpc_output_options_text(struct reader options)
{
	struct pcp_option option;

	while (pcp_decode_option(&options, &option) == 1)
		option_print(&option);
}

/* ---- replies ---- */

static const char *opcode_name(uint8_t opcode)
{
	switch (opcode) {
	case PCP_ANNOUNCE:
		return "announce";
	case PCP_MAP:
		return "map";
	case PCP_PEER:
		return "peer";
	default:
		return "get";
	}
}

static bool has_mapping(const struct pcp_client_request *request)
{
	return request->opcode == PCP_MAP || request->opcode == PCP_PEER;
}

/* NAT-PMP tells the address apart from the port: until both are known there is no endpoint to show. */
static bool has_external(const struct pcp_client_request *request, const struct pcp_client_reply *reply)
{
	bool is_delete = request->opcode == PCP_MAP && !request->lifetime_s;

	return reply->result == PCP_SUCCESS && !is_delete && !pcp_address_is_any(reply->peer.map.external6);
}

static const uint8_t *internal_of(const struct pcp_client_path *path, const struct pcp_client_request *request)
{
	return request->is_third_party ? request->third_party6 : path->client6;
}

static void mapping_add(json_t *object, const struct pcp_client_path *path, const struct pcp_client_request *request,
			const struct pcp_client_reply *reply)
{
	const struct pcp_map *map = &reply->peer.map;

	set_text(object, "protocol", pcpc_protocol_text(map->protocol));
	set_text(object, "internal", inet_endpoint_text(internal_of(path, request), map->internal_port));
	if (has_external(request, reply))
		set_text(object, "external", inet_endpoint_text(map->external6, map->external_port));
	if (request->opcode == PCP_PEER)
		set_text(object, "remote", inet_endpoint_text(reply->peer.remote6, reply->peer.remote_port));
}

static void reply_json(const struct pcp_client_path *path, const struct pcp_client_request *request, const struct pcp_client_reply *reply)
{
	json_t *object = json_object();

	json_object_set_new(object, "result", json_string(pcp_result_name(reply->result)));
	json_object_set_new(object, "opcode", json_string(opcode_name(request->opcode)));
	if (has_mapping(request))
		mapping_add(object, path, request, reply);
	else if (request->opcode == PCP_ANNOUNCE && reply->version == NATPMP_VERSION && reply->result == PCP_SUCCESS)
		set_text(object, "external", inet_address_text(reply->peer.map.external6));
	json_object_set_new(object, "lifetime", json_integer(reply->lifetime_s));
	json_object_set_new(object, "epoch", json_integer(reply->epoch_s));
	if (has_mapping(request) && reply->version == PCP_VERSION)
		set_text(object, "nonce", pcpc_nonce_text(reply->peer.map.nonce));
	if (reply->result == PCP_SUCCESS)
		pcpc_output_options(object, reply->options);
	set_text(object, "server", inet_endpoint_text(path->server6, path->server_port));
	json_object_set_new(object, "version", json_integer(reply->version));
	pcpc_output_json(object);
}

static void mapping_print(const struct pcp_client_path *path, const struct pcp_client_request *request, const struct pcp_client_reply *reply)
{
	const struct pcp_map *map = &reply->peer.map;

	printf(" %s %s", pcpc_protocol_text(map->protocol).text, inet_endpoint_text(internal_of(path, request), map->internal_port).text);
	if (has_external(request, reply))
		printf(" = %s", inet_endpoint_text(map->external6, map->external_port).text);
	if (request->opcode == PCP_PEER)
		printf(" to %s", inet_endpoint_text(reply->peer.remote6, reply->peer.remote_port).text);
}

static void reply_text(const struct pcp_client_path *path, const struct pcp_client_request *request, const struct pcp_client_reply *reply)
{
	printf("%s %s", pcp_result_name(reply->result), opcode_name(request->opcode));
	if (has_mapping(request))
		mapping_print(path, request, reply);
	else if (request->opcode == PCP_ANNOUNCE && reply->version == NATPMP_VERSION && reply->result == PCP_SUCCESS)
		printf(" external %s", inet_address_text(reply->peer.map.external6).text);
	printf(" lifetime %u epoch %u", reply->lifetime_s, reply->epoch_s);
	if (has_mapping(request) && reply->version == PCP_VERSION)
		printf(" nonce %s", pcpc_nonce_text(reply->peer.map.nonce).text);
	if (reply->result == PCP_SUCCESS)
		pcpc_output_options_text(reply->options);
	printf(" server %s%s\n", inet_endpoint_text(path->server6, path->server_port).text,
	       reply->version == NATPMP_VERSION ? " by NAT-PMP" : "");
}

int pcpc_output_reply(const struct pcpc *pcpc, const struct pcp_client_path *path, const struct pcp_client_request *request,
		      const struct pcp_client_reply *reply)
{
	if (pcpc->json)
		reply_json(path, request, reply);
	else
		reply_text(path, request, reply);
	return reply->result == PCP_SUCCESS ? PCPC_OK : PCPC_REFUSED;
}
