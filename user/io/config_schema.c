/* SPDX-License-Identifier: GPL-2.0-only */
/* The keys of the configuration file and the type of each. What a value may be beyond its type is checked by config_build_*(). */
#include <netinet/in.h>
#include "cgn/abi.h"
#include "config_file.h"

#define OPTIONAL CYAML_FLAG_OPTIONAL
#define REQUIRED CYAML_FLAG_DEFAULT
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Member of struct config_file, by the type of its value. */
#define NUMBER(key, member) CYAML_FIELD_UINT(key, OPTIONAL, struct config_file, member)
#define TEXT(key, member) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | OPTIONAL, struct config_file, member, 1, CYAML_UNLIMITED)
#define CHOICE(key, member, choices) \
	CYAML_FIELD_ENUM(key, OPTIONAL | CYAML_FLAG_STRICT, struct config_file, member, choices, COUNT(choices))
#define LIST(key, presence, member, entry, least, most) \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | (presence), struct config_file, member, entry, least, most)
/* Keys below a key whose values are members of struct config_file all the same. */
#define SECTION(name, fields) \
	{ .key = name, .data_offset = 0, .value = { CYAML_VALUE_MAPPING(OPTIONAL, struct config_file, fields) } }

static const cyaml_schema_value_t text_entry = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, CYAML_UNLIMITED) };

/* ---- interfaces ---- */

static const cyaml_strval_t sides[] = {
	{ "internal", CGN_INTERNAL_SIDE }, { "external", CGN_EXTERNAL_SIDE }, { "both", CGN_EITHER_SIDE }, { "none", CGN_NO_SIDE },
};

static const cyaml_strval_t tags[] = { { "802.1q", CONFIG_8021Q }, { "802.1ad", CONFIG_8021AD } };

static const cyaml_schema_value_t vlan_entry = { CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t) };

static const cyaml_schema_field_t interface_fields[] = {
	CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct config_interface, name, 1, CYAML_UNLIMITED),
	CYAML_FIELD_ENUM("side", CYAML_FLAG_STRICT, struct config_interface, side, sides, COUNT(sides)),
	CYAML_FIELD_STRING_PTR("link", CYAML_FLAG_POINTER | OPTIONAL, struct config_interface, link, 1, CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE("vlans", CYAML_FLAG_POINTER | OPTIONAL, struct config_interface, vlans, &vlan_entry, 1, 2),
	CYAML_FIELD_ENUM("outer-tag", OPTIONAL | CYAML_FLAG_STRICT, struct config_interface, outer_tag, tags, COUNT(tags)),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t interface_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_interface, interface_fields)
};

static const cyaml_strval_t xdp_modes[] = { { "native", 0 }, { "generic", 1 } };

/* ---- pools, subscribers, static mappings ---- */

static const cyaml_strval_t allocations[] = { { "dynamic", 0 }, { "deterministic", 1 } };

static const cyaml_schema_field_t pool_fields[] = {
	CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER | OPTIONAL, struct config_file_pool, name, 1, CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE("addresses", CYAML_FLAG_POINTER, struct config_file_pool, addresses, &text_entry, 1, CGN_ADDRESSES_MAX),
	CYAML_FIELD_STRING_PTR("ports", CYAML_FLAG_POINTER | OPTIONAL, struct config_file_pool, ports, 1, CYAML_UNLIMITED),
	CYAML_FIELD_UINT("block-size", OPTIONAL, struct config_file_pool, block_size),
	CYAML_FIELD_ENUM("allocation", OPTIONAL | CYAML_FLAG_STRICT, struct config_file_pool, allocation, allocations, COUNT(allocations)),
	CYAML_FIELD_SEQUENCE("subscribers", CYAML_FLAG_POINTER | OPTIONAL, struct config_file_pool, subscribers, &text_entry, 1, CGN_PLANS_MAX),
	CYAML_FIELD_UINT("blocks", OPTIONAL, struct config_file_pool, blocks),
	CYAML_FIELD_UINT("dynamic", OPTIONAL, struct config_file_pool, dynamic),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t pool_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_file_pool, pool_fields) };

static const cyaml_schema_field_t override_fields[] = {
	CYAML_FIELD_STRING_PTR("prefix", CYAML_FLAG_POINTER, struct config_file_override, prefix, 1, CYAML_UNLIMITED),
	CYAML_FIELD_UINT("blocks", OPTIONAL, struct config_file_override, blocks),
	CYAML_FIELD_UINT("explicit", OPTIONAL, struct config_file_override, explicit_limit),
	CYAML_FIELD_UINT("reserve", OPTIONAL, struct config_file_override, reserve),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t override_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_file_override, override_fields)
};

static const cyaml_schema_field_t subscribers_fields[] = {
	LIST("prefixes", OPTIONAL, prefixes, &text_entry, 1, CGN_PREFIXES_MAX),
	NUMBER("blocks", config.blocks),
	NUMBER("explicit", config.explicit_limit),
	NUMBER("reserve", config.reserve),
	LIST("overrides", OPTIONAL, overrides, &override_entry, 0, CGN_PREFIXES_MAX),
	CYAML_FIELD_END
};

static const cyaml_strval_t protocols[] = { { "udp", IPPROTO_UDP }, { "tcp", IPPROTO_TCP } };

static const cyaml_schema_field_t static_fields[] = {
	CYAML_FIELD_ENUM("protocol", CYAML_FLAG_STRICT, struct config_file_static, protocol, protocols, COUNT(protocols)),
	CYAML_FIELD_STRING_PTR("internal", CYAML_FLAG_POINTER, struct config_file_static, internal, 1, CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("external", CYAML_FLAG_POINTER, struct config_file_static, external, 1, CYAML_UNLIMITED),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t static_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_file_static, static_fields) };

/* ---- times and sizes ---- */

static const cyaml_schema_field_t timeouts_fields[] = {
	NUMBER("udp", config.udp_s),
	NUMBER("tcp-established", config.tcp_established_s),
	NUMBER("tcp-transitory", config.tcp_transitory_s),
	NUMBER("tcp-opening", config.tcp_opening_s),
	NUMBER("tcp-closing", config.tcp_closing_s),
	NUMBER("icmp", config.icmp_s),
	NUMBER("rest", config.rest_s),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t icmp_errors_fields[] = {
	NUMBER("sender", config.report_source),
	NUMBER("total", config.report_total),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t tables_fields[] = {
	NUMBER("mappings", config.mappings_max),
	NUMBER("subscribers", config.subscribers_max),
	NUMBER("addresses", config.addresses_max),
	NUMBER("descriptions", config.descriptions_max),
	NUMBER("filters", config.filters_max),
	CYAML_FIELD_END
};

static const cyaml_strval_t filterings[] = { { "endpoint-independent", 0 }, { "address-dependent", 1 } };

/* ---- pcp ---- */

static const cyaml_schema_field_t lifetime_fields[] = {
	NUMBER("min", config.pcp.lifetime_min_s),
	NUMBER("max", config.pcp.lifetime_max_s),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t error_lifetime_fields[] = {
	NUMBER("short", config.pcp.error_short_s),
	NUMBER("long", config.pcp.error_long_s),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t rate_fields[] = {
	NUMBER("requests", config.pcp.rate_requests),
	NUMBER("burst", config.pcp.rate_burst),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t third_party_fields[] = {
	CYAML_FIELD_STRING_PTR("from", CYAML_FLAG_POINTER, struct config_file_third_party, from, 1, CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE("for", CYAML_FLAG_POINTER, struct config_file_third_party, targets, &text_entry, 1, CGN_PREFIXES_MAX),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t third_party_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_file_third_party, third_party_fields)
};

static const cyaml_strval_t opcodes[] = {
	{ "announce", CONFIG_ANNOUNCE }, { "map", CONFIG_MAP }, { "peer", CONFIG_PEER }, { "get", CONFIG_GET },
};

static const cyaml_strval_t nonce_policies[] = {
	{ "strict", CGN_NONCE_STRICT }, { "same-source", CGN_NONCE_SAME_SOURCE }, { "off", CGN_NONCE_OFF },
};

static const cyaml_strval_t get_nonces[] = { { "redact", 0 }, { "reveal", 1 } };

static const cyaml_schema_field_t get_fields[] = {
	NUMBER("opcode", config.pcp.get_opcode),
	NUMBER("next", config.pcp.get_next),
	NUMBER("not-found", config.pcp.get_not_found),
	NUMBER("ambiguous", config.pcp.get_ambiguous),
	CHOICE("nonces", config.pcp.get_reveals_nonces, get_nonces),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t pcp_fields[] = {
	LIST("listen", OPTIONAL, listen, &text_entry, 1, CGN_INTERFACES_MAX),
	SECTION("lifetime", lifetime_fields),
	SECTION("error-lifetime", error_lifetime_fields),
	CYAML_FIELD_FLAGS("opcodes", OPTIONAL | CYAML_FLAG_STRICT, struct config_file, opcodes, opcodes, COUNT(opcodes)),
	CHOICE("nonce", config.pcp.nonce_policy, nonce_policies),
	NUMBER("filters", config.pcp.filters),
	LIST("third-party", OPTIONAL, third_party, &third_party_entry, 0, CGN_PREFIXES_MAX),
	SECTION("rate", rate_fields),
	SECTION("get", get_fields),
	CYAML_FIELD_BOOL("nat-pmp", OPTIONAL, struct config_file, config.pcp.nat_pmp),
	NUMBER("description", config.pcp.description_max),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t log_fields[] = {
	NUMBER("audit-days", config.log.audit_days),
	TEXT("syslog", config.log.syslog),
	CYAML_FIELD_END
};

/* ---- the whole ---- */

static const cyaml_schema_field_t top_fields[] = {
	LIST("interfaces", REQUIRED, config.interfaces, &interface_entry, 1, CGN_INTERFACES_MAX),
	CHOICE("xdp-mode", config.xdp_generic, xdp_modes),
	LIST("pools", REQUIRED, pools, &pool_entry, 1, CGN_ADDRESSES_MAX),
	SECTION("subscribers", subscribers_fields),
	LIST("static", OPTIONAL, statics, &static_entry, 0, CONFIG_STATICS_MAX),
	SECTION("timeouts", timeouts_fields),
	SECTION("icmp-errors", icmp_errors_fields),
	NUMBER("mss-clamp", config.mss_clamp),
	SECTION("tables", tables_fields),
	CHOICE("filtering", config.address_dependent, filterings),
	SECTION("pcp", pcp_fields),
	SECTION("log", log_fields),
	TEXT("state-dir", config.state_dir),
	TEXT("pin-dir", config.pin_dir),
	TEXT("control", config.control),
	CYAML_FIELD_END
};

const cyaml_schema_value_t config_schema = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config_file, top_fields) };
