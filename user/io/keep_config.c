/* SPDX-License-Identifier: GPL-2.0-only */
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include "config_tree.h"
#include "inet_text.h"
#include "keep_config.h"
#include "keeper.h"

#define LIFETIME_S	3600
#define HOOK_TIMEOUT_S	10
#define HOOK_WORDS_MAX	32

struct keep_file_mapping {
	uint8_t protocol;
	uint32_t port, lifetime, port_set;
	char *external, *description, *third_party;
	char **filters;
	unsigned filters_count;
	bool prefer_failure, parity, checkpoint;
	char **servers;
	unsigned servers_count;
};

struct keep_file_server {
	char *name, *source, *interface;
	char **addresses;
	unsigned addresses_count;
};

struct keep_file {
	char **servers, **hook;
	unsigned servers_count, hook_count;
	struct keep_file_server *named;
	unsigned named_count;
	char *source, *interface, *state;
	uint32_t hook_timeout, get_opcode, get_next, get_not_found;
	bool release, clean_up;
	struct keep_file_mapping *mappings;
	unsigned mappings_count;
};

/* ---- the keys ---- */

#define OPTIONAL CYAML_FLAG_OPTIONAL
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT(key, presence, type, member) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | (presence), struct type, member, 1, CYAML_UNLIMITED)

static const cyaml_schema_value_t text_entry = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, CYAML_UNLIMITED) };
static const cyaml_strval_t protocols[] = { { "all", 0 }, { "icmp", 1 }, { "tcp", 6 }, { "udp", 17 }, { "dccp", 33 }, { "gre", 47 },
					    { "sctp", 132 }, { "udplite", 136 } };

static const cyaml_schema_field_t mapping_fields[] = {
	CYAML_FIELD_ENUM("protocol", CYAML_FLAG_STRICT, struct keep_file_mapping, protocol, protocols, COUNT(protocols)),
	CYAML_FIELD_UINT("port", OPTIONAL, struct keep_file_mapping, port),
	TEXT("external", OPTIONAL, keep_file_mapping, external),
	CYAML_FIELD_UINT("lifetime", OPTIONAL, struct keep_file_mapping, lifetime),
	CYAML_FIELD_SEQUENCE("filters", CYAML_FLAG_POINTER | OPTIONAL, struct keep_file_mapping, filters, &text_entry, 1,
			     PCP_CLIENT_FILTERS_MAX - 1),
	TEXT("description", OPTIONAL, keep_file_mapping, description),
	CYAML_FIELD_BOOL("prefer-failure", OPTIONAL, struct keep_file_mapping, prefer_failure),
	CYAML_FIELD_UINT("port-set", OPTIONAL, struct keep_file_mapping, port_set),
	CYAML_FIELD_BOOL("parity", OPTIONAL, struct keep_file_mapping, parity),
	TEXT("third-party", OPTIONAL, keep_file_mapping, third_party),
	CYAML_FIELD_BOOL("checkpoint", OPTIONAL, struct keep_file_mapping, checkpoint),
	CYAML_FIELD_SEQUENCE("servers", CYAML_FLAG_POINTER | OPTIONAL, struct keep_file_mapping, servers, &text_entry, 1, KEEP_SERVERS_MAX),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t mapping_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct keep_file_mapping, mapping_fields) };

static const cyaml_schema_field_t server_fields[] = {
	TEXT("name", CYAML_FLAG_DEFAULT, keep_file_server, name),
	CYAML_FIELD_SEQUENCE("addresses", CYAML_FLAG_POINTER, struct keep_file_server, addresses, &text_entry, 1, KEEP_ADDRESSES_MAX),
	TEXT("source", OPTIONAL, keep_file_server, source),
	TEXT("interface", OPTIONAL, keep_file_server, interface),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t server_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct keep_file_server, server_fields) };

/* Keys below a key whose values are members of struct keep_file all the same. */
static const cyaml_schema_field_t get_fields[] = {
	CYAML_FIELD_UINT("opcode", OPTIONAL, struct keep_file, get_opcode),
	CYAML_FIELD_UINT("next", OPTIONAL, struct keep_file, get_next),
	CYAML_FIELD_UINT("not-found", OPTIONAL, struct keep_file, get_not_found),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t top_fields[] = {
	CYAML_FIELD_SEQUENCE("servers", CYAML_FLAG_POINTER | OPTIONAL, struct keep_file, servers, &text_entry, 1, KEEP_ADDRESSES_MAX),
	CYAML_FIELD_SEQUENCE("named-servers", CYAML_FLAG_POINTER | OPTIONAL, struct keep_file, named, &server_entry, 1, KEEP_SERVERS_MAX),
	TEXT("source", OPTIONAL, keep_file, source),
	TEXT("interface", OPTIONAL, keep_file, interface),
	TEXT("state", CYAML_FLAG_DEFAULT, keep_file, state),
	CYAML_FIELD_SEQUENCE("hook", CYAML_FLAG_POINTER | OPTIONAL, struct keep_file, hook, &text_entry, 1, HOOK_WORDS_MAX),
	CYAML_FIELD_UINT("hook-timeout", OPTIONAL, struct keep_file, hook_timeout),
	CYAML_FIELD_BOOL("release", OPTIONAL, struct keep_file, release),
	CYAML_FIELD_BOOL("clean-up", OPTIONAL, struct keep_file, clean_up),
	{ .key = "get", .data_offset = 0, .value = { CYAML_VALUE_MAPPING(OPTIONAL, struct keep_file, get_fields) } },
	CYAML_FIELD_SEQUENCE("mappings", CYAML_FLAG_POINTER, struct keep_file, mappings, &mapping_entry, 0, KEEPER_MAPPINGS_MAX),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t schema = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct keep_file, top_fields) };

/* ---- one mapping ---- */

struct mapping_place {
	struct config_source *source;
	unsigned index;
};

static struct config_place below(const struct mapping_place *place, const char *key)
{
	return config_at("mappings[%u].%s", place->index, key);
}

static bool has_ports(uint8_t protocol)
{
	return protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132 || protocol == 136;
}

static bool build_port(const struct mapping_place *place, const struct keep_file_mapping *mapping, struct pcp_map *map)
{
	bool is_given = config_node(place->source, below(place, "port"));

	if (mapping->port > UINT16_MAX)
		return config_fail(place->source, below(place, "port"), "%u; right is 1 to 65535, or 0 for all ports", mapping->port);
	if (mapping->port && !has_ports(mapping->protocol))
		return config_fail(place->source, below(place, "port"), "%u for a protocol without ports; leave it out", mapping->port);
	if (!is_given && has_ports(mapping->protocol))
		return config_fail(place->source, below(place, "port"), "missing; right is 1 to 65535, or 0 for all ports");
	map->protocol = mapping->protocol;
	map->internal_port = (uint16_t)mapping->port;
	return true;
}

static bool build_external(const struct mapping_place *place, const struct keep_file_mapping *mapping, struct pcp_client_request *request)
{
	struct pcp_map *map = &request->peer.map;

	if (mapping->external && !inet_endpoint_parse(mapping->external, map->external6, &map->external_port))
		return config_fail(place->source, below(place, "external"), CONFIG_SHOWN "; right is an address, \":PORT\", or both",
				   mapping->external);
	request->prefers_failure = mapping->prefer_failure;
	if (mapping->prefer_failure && !map->external_port)
		return config_fail(place->source, below(place, "prefer-failure"), "is about an external port; name it with `external`");
	if (mapping->prefer_failure && mapping->port_set)
		return config_fail(place->source, below(place, "prefer-failure"), "and port-set exclude each other (RFC 7753)");
	return true;
}

static bool build_port_set(const struct mapping_place *place, const struct keep_file_mapping *mapping, struct pcp_client_request *request)
{
	if (!config_node(place->source, below(place, "port-set")))
		return !mapping->parity || config_fail(place->source, below(place, "parity"), "belongs to a port-set; there is none");
	if (mapping->port_set < 2 || mapping->port + mapping->port_set > UINT16_MAX + 1u || !mapping->port)
		return config_fail(place->source, below(place, "port-set"), "%u from port %u on; right is 2 or more, not beyond port 65535",
				   mapping->port_set, mapping->port);
	request->has_port_set = true;
	request->port_set = (struct pcp_port_set){ (uint16_t)mapping->port_set, (uint16_t)mapping->port, mapping->parity };
	return true;
}

static bool build_filters(const struct mapping_place *place, const struct keep_file_mapping *mapping, struct pcp_client_request *request)
{
	struct pcp_filter *filter;

	for (unsigned i = 0; i < mapping->filters_count; i++) {
		filter = &request->filters[i];
		if (!inet_prefix_parse(mapping->filters[i], filter->remote6, &filter->prefix_length, &filter->remote_port) ||
		    !filter->prefix_length)
			return config_fail(place->source, config_at("mappings[%u].filters[%u]", place->index, i),
					   CONFIG_SHOWN "; right is a network, \"203.0.113.0/24\", or with a port, \"203.0.113.0/24:443\"",
					   mapping->filters[i]);
	}
	request->filter_count = mapping->filters_count;
	return true;
}

static bool build_texts(const struct mapping_place *place, const struct keep_file_mapping *mapping, struct pcp_client_request *request)
{
	size_t len = mapping->description ? strlen(mapping->description) : 0;

	if (len > PCP_DESCRIPTION_MAX)
		return config_fail(place->source, below(place, "description"), "%zu bytes; right are at most %d", len, PCP_DESCRIPTION_MAX);
	request->description = mapping->description;
	request->description_len = (uint16_t)len;
	request->is_third_party = mapping->third_party;
	if (mapping->third_party && !inet_address_parse(mapping->third_party, request->third_party6))
		return config_fail(place->source, below(place, "third-party"), CONFIG_SHOWN "; right is an address", mapping->third_party);
	return true;
}

static bool is_same_endpoint(const struct pcp_client_request *one, const struct pcp_client_request *other)
{
	return one->peer.map.protocol == other->peer.map.protocol && one->peer.map.internal_port == other->peer.map.internal_port &&
	       one->is_third_party == other->is_third_party && !memcmp(one->third_party6, other->third_party6, sizeof(one->third_party6));
}

/* Of which servers: a bit each, all of them unless the mapping names some. */
static bool build_whom(const struct mapping_place *place, const struct keep_file_mapping *mapping, const struct keep_config *config,
		       uint32_t *ret_whom)
{
	uint32_t whom = 0;
	unsigned j;

	for (unsigned i = 0; i < mapping->servers_count; i++) {
		for (j = 0; j < config->server_count && (!*config->servers[j].name || strcmp(config->servers[j].name, mapping->servers[i])); j++)
			;
		if (j == config->server_count)
			return config_fail(place->source, config_at("mappings[%u].servers[%u]", place->index, i),
					   CONFIG_SHOWN "; right is a name of named-servers", mapping->servers[i]);
		whom |= 1u << j;
	}
	*ret_whom = whom ? whom : (1u << config->server_count) - 1;
	return true;
}

static bool build_mapping(const struct mapping_place *place, const struct keep_file_mapping *mapping, struct pcp_client_request *request)
{
	request->opcode = PCP_MAP;
	request->lifetime_s = mapping->lifetime ? mapping->lifetime : LIFETIME_S;
	request->requires_checkpoint = mapping->checkpoint;
	if (!mapping->lifetime && config_node(place->source, below(place, "lifetime")))
		return config_fail(place->source, below(place, "lifetime"), "0 would delete it; right is 1 or more seconds");
	return build_port(place, mapping, &request->peer.map) && build_external(place, mapping, request) &&
	       build_port_set(place, mapping, request) && build_filters(place, mapping, request) && build_texts(place, mapping, request);
}

static bool wish_add(struct keep_wishes *wishes, const struct pcp_client_request *request, const struct mapping_place *place)
{
	for (unsigned i = 0; i < wishes->count; i++)
		if (is_same_endpoint(&wishes->requests[i], request))
			return config_fail(place->source, config_at("mappings[%u]", place->index),
					   "the same protocol and port as a mapping before it; once at each server is right");
	wishes->requests[wishes->count++] = *request;
	return true;
}

static bool build_wishes(struct config_source *source, const struct keep_file *file, struct keep_config *config)
{
	struct pcp_client_request request;
	uint32_t whom = 0;

	for (unsigned i = 0; i < config->server_count; i++) {
		config->wishes[i].requests = calloc(file->mappings_count + 1, sizeof(*config->wishes[i].requests));
		if (!config->wishes[i].requests)
			return config_fail_line(source, 0, "out of memory");
	}
	for (unsigned i = 0; i < file->mappings_count; i++) {
		const struct mapping_place place = { source, i };

		request = (struct pcp_client_request){ 0 };
		if (!build_mapping(&place, &file->mappings[i], &request) || !build_whom(&place, &file->mappings[i], config, &whom))
			return false;
		for (unsigned j = 0; j < config->server_count; j++)
			if (whom & 1u << j && !wish_add(&config->wishes[j], &request, &place))
				return false;
	}
	config->mapping_count = file->mappings_count;
	return true;
}

/* ---- the servers ---- */

static bool build_source(struct config_source *source, const char *around, const char *address, const char *interface,
			 struct keep_server *server)
{
	if (address && interface)
		return config_fail(source, config_at("%sinterface", around), "and source exclude each other");
	server->has_source = address;
	if (address && !inet_address_parse(address, server->source6))
		return config_fail(source, config_at("%ssource", around), CONFIG_SHOWN "; right is an address", address);
	if (interface && strlen(interface) >= IF_NAMESIZE)
		return config_fail(source, config_at("%sinterface", around), CONFIG_SHOWN "; no interface has so long a name", interface);
	strcpy(server->interface, interface ? interface : "");
	return true;
}

static bool build_addresses(struct config_source *source, const char *where, char *const *texts, unsigned count, struct keep_server *server)
{
	for (unsigned i = 0; i < count; i++)
		if (!client_address_parse(texts[i], PCP_SERVER_PORT, &server->addresses[i]))
			return config_fail(source, config_at("%s[%u]", where, i), CONFIG_SHOWN "; right is an address, or address and port",
					   texts[i]);
	server->address_count = count;
	return true;
}

static bool is_name(const char *text)
{
	return *text && strlen(text) <= KEEPER_NAME_MAX &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == strlen(text);
}

/* Two servers at one address can be told apart only by where they are asked from. */
static bool is_same_way(const struct keep_server *one, const struct keep_server *other, unsigned *ret_index)
{
	if (one->has_source != other->has_source || strcmp(one->interface, other->interface) ||
	    memcmp(one->source6, other->source6, sizeof(one->source6)))
		return false;
	for (*ret_index = 0; *ret_index < one->address_count; ++*ret_index)
		for (unsigned i = 0; i < other->address_count; i++)
			if (client_address_is_same(&one->addresses[*ret_index], &other->addresses[i]))
				return true;
	return false;
}

static bool build_named(struct config_source *source, const struct keep_file *file, unsigned index, struct keep_config *config)
{
	const struct keep_file_server *named = &file->named[index];
	bool has_own = named->source || named->interface;
	struct keep_server *server = &config->servers[index];
	struct config_place here = config_at("named-servers[%u].", index), addresses = config_at("named-servers[%u].addresses", index);
	unsigned at;

	if (!is_name(named->name))
		return config_fail(source, config_at("named-servers[%u].name", index),
				   CONFIG_SHOWN "; right are 1 to %d letters, digits, '.', '_' and '-'", named->name, KEEPER_NAME_MAX);
	strcpy(server->name, named->name);
	if (!build_source(source, has_own ? here.path : "", has_own ? named->source : file->source,
			  has_own ? named->interface : file->interface, server) ||
	    !build_addresses(source, addresses.path, named->addresses, named->addresses_count, server))
		return false;
	for (unsigned i = 0; i < index; i++) {
		if (!strcmp(config->servers[i].name, server->name))
			return config_fail(source, config_at("named-servers[%u].name", index), "%s is a name given before", server->name);
		if (is_same_way(server, &config->servers[i], &at))
			return config_fail(source, config_at("named-servers[%u].addresses[%u]", index, at),
					   "is an address of %s, too; right is one server for an address, or another source", config->servers[i].name);
	}
	config->server_count = index + 1;
	return true;
}

static bool build_servers(struct config_source *source, const struct keep_file *file, struct keep_config *config)
{
	if (file->named_count && file->servers_count)
		return config_fail(source, config_at("named-servers"), "and servers exclude each other");
	for (unsigned i = 0; i < file->named_count; i++)
		if (!build_named(source, file, i, config))
			return false;
	if (file->named_count)
		return true;
	config->server_count = 1;
	return build_addresses(source, "servers", file->servers, file->servers_count, &config->servers[0]) &&
	       build_source(source, "", file->source, file->interface, &config->servers[0]);
}

/* ---- the rest ---- */

static bool build_number(struct config_source *source, const char *key, uint32_t value, uint32_t usual, uint8_t *ret_value)
{
	struct config_place place = config_at("get.%s", key);

	if (!config_node(source, place))
		value = usual;
	if (value < 1 || value > UINT8_MAX)
		return config_fail(source, place, "%u; right is 1 to 255", value);
	*ret_value = (uint8_t)value;
	return true;
}

static bool build_hook(struct config_source *source, const struct keep_file *file, struct keep_config *config)
{
	config->hook_timeout_s = config_node(source, config_at("hook-timeout")) ? file->hook_timeout : HOOK_TIMEOUT_S;
	if (config->hook_timeout_s < 1 || config->hook_timeout_s > 3600)
		return config_fail(source, config_at("hook-timeout"), "%u; right is 1 to 3600 seconds", config->hook_timeout_s);
	if (!file->hook_count)
		return true;
	if (*file->hook[0] != '/')
		return config_fail(source, config_at("hook[0]"), CONFIG_SHOWN "; right is a program's whole path", file->hook[0]);
	config->hook = calloc(file->hook_count + 1, sizeof(*config->hook));
	if (!config->hook)
		return config_fail_line(source, 0, "out of memory");
	memcpy(config->hook, file->hook, file->hook_count * sizeof(*config->hook));
	return true;
}

static bool build(struct config_source *source, const struct keep_file *file, struct keep_config *config)
{
	config->state = file->state;
	config->releases = file->release;
	config->cleans_up = file->clean_up;
	if (!build_servers(source, file, config) || !build_hook(source, file, config) ||
	    !build_number(source, "opcode", file->get_opcode, PCP_GET, &config->get_opcode) ||
	    !build_number(source, "next", file->get_next, PCP_OPTION_NEXT, &config->next_code) ||
	    !build_number(source, "not-found", file->get_not_found, PCP_NONEXIST_MAP, &config->nonexist))
		return false;
	return build_wishes(source, file, config);
}

static struct keep_config *understand(struct config_source *source)
{
	struct keep_config *config;

	if (!config_source_read(source) || !config_check_shape(source, &schema))
		return NULL;
	config = calloc(1, sizeof(*config));
	if (!config)
		return NULL;
	config->file = config_tree_load(source, &schema);
	if (config->file && build(source, config->file, config))
		return config;
	keep_config_free(config);
	return NULL;
}

bool keep_config_load(const char *path, struct keep_config **ret_config, char *error, size_t error_size)
{
	struct config_source source = { .path = path, .needed = "`state` and `mappings`", .error = error, .error_size = error_size };
	struct keep_config *config = understand(&source);

	config_source_done(&source);
	if (config)
		*ret_config = config;
	return config;
}

void keep_config_free(struct keep_config *config)
{
	if (!config)
		return;
	free(config->hook);
	for (unsigned i = 0; i < config->server_count; i++)
		free(config->wishes[i].requests);
	if (config->file)
		config_tree_free(&schema, config->file);
	free(config);
}
