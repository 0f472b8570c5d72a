/* SPDX-License-Identifier: GPL-2.0-only */
/* The numbers of the configuration that stand alone: default, bounds, and what RFCs ask for. */
#include <stdio.h>
#include "config_file.h"

#define YEAR_S	(365u * 86400)
#define WEEK_S	(7u * 86400)
#define MSS_MIN	536u			/* RFC 9293 section 3.7.1: every host takes that */
#define MSS_MAX	65495u			/* of the largest packet */
#define AT(member) offsetof(struct config, member)

static const struct config_number {
	const char *place;
	size_t offset;			/* of a uint32_t in struct config */
	uint32_t value;			/* default */
	uint32_t least, most;
	uint32_t rfc_least;		/* less is legal here and draws a warning; 0: none */
	const char *rfc;
} numbers[] = {
	{ "subscribers.blocks", AT(blocks), 8, 1, CGN_SUBSCRIBER_BLOCKS_MAX, 0, NULL },
	{ "subscribers.explicit", AT(explicit_limit), 256, 0, CONFIG_EXPLICIT_MAX, 0, NULL },
	{ "timeouts.udp", AT(udp_s), 300, 1, WEEK_S, 120, "RFC 4787 REQ-5" },
	{ "timeouts.tcp-established", AT(tcp_established_s), 7440, 1, WEEK_S, 7440, "RFC 5382 REQ-5" },
	{ "timeouts.tcp-transitory", AT(tcp_transitory_s), 240, 1, WEEK_S, 240, "RFC 5382 REQ-5" },
	/* RFC 7857 section 2.1: two times, the first of which may be short */
	{ "timeouts.tcp-opening", AT(tcp_opening_s), 0, 1, WEEK_S, 0, NULL },
	{ "timeouts.tcp-closing", AT(tcp_closing_s), 0, 1, WEEK_S, 240, "RFC 5382 REQ-5" },
	{ "timeouts.icmp", AT(icmp_s), 60, 1, WEEK_S, 60, "RFC 5508 REQ-2" },
	{ "timeouts.rest", AT(rest_s), CGN_REST_S, 0, WEEK_S, CGN_REST_S, "RFC 6888 REQ-8" },
	{ "icmp-errors.sender", AT(report_source), 10, 0, 1000000, 0, NULL },
	{ "icmp-errors.total", AT(report_total), 1000, 0, 1000000, 0, NULL },
	{ "mss-clamp", AT(mss_clamp), 0, 0, MSS_MAX, 0, NULL },
	{ "log.audit-days", AT(log.audit_days), 30, 0, 3650, 0, NULL },
	{ "tables.mappings", AT(mappings_max), 1000000, 1, 1u << 24, 0, NULL },
	{ "tables.addresses", AT(addresses_max), 0, 1, CGN_ADDRESSES_MAX, 0, NULL },
	{ "tables.subscribers", AT(subscribers_max), 65536, 1, 1u << 22, 0, NULL },
	{ "tables.descriptions", AT(descriptions_max), 0, 1, 1u << 24, 0, NULL },
	{ "tables.filters", AT(filters_max), 0, 1, 1u << 24, 0, NULL },
	{ "pcp.lifetime.min", AT(pcp.lifetime_min_s), 120, 1, YEAR_S, 120, "RFC 6887 section 15" },
	{ "pcp.lifetime.max", AT(pcp.lifetime_max_s), 86400, 1, YEAR_S, 0, NULL },
	/* neither a registered opcode nor the reserved one; results beyond those that are registered */
	{ "pcp.get.opcode", AT(pcp.get_opcode), 98, 4, 126, 0, NULL },
	{ "pcp.get.next", AT(pcp.get_next), 131, 4, 254, 0, NULL },
	{ "pcp.get.not-found", AT(pcp.get_not_found), 130, 27, 255, 0, NULL },
	{ "pcp.get.ambiguous", AT(pcp.get_ambiguous), 131, 27, 255, 0, NULL },
	{ "pcp.error-lifetime.short", AT(pcp.error_short_s), 30, 1, WEEK_S, 0, NULL },
	{ "pcp.error-lifetime.long", AT(pcp.error_long_s), 1800, 1, WEEK_S, 0, NULL },
	{ "pcp.description", AT(pcp.description_max), 128, 0, CGN_DESCRIPTION_MAX, 128, "RFC 7220 section 3" },
	{ "pcp.filters", AT(pcp.filters), 8, 1, CGN_FILTERS_MAX, 0, NULL },
	{ "pcp.rate.requests", AT(pcp.rate_requests), 100, 0, 1000000, 0, NULL },
	{ "pcp.rate.burst", AT(pcp.rate_burst), 1000, 1, 1000000, 0, NULL },
};

#define NUMBER_COUNT (sizeof(numbers) / sizeof(numbers[0]))

bool config_check_range(struct config_source *source, struct config_place place, uint32_t value, uint32_t least, uint32_t most)
{
	if (value >= least && value <= most)
		return true;
	return config_fail(source, place, "%u is out of range; right is %u to %u", value, least, most);
}

bool config_build_numbers(struct config_source *source, struct config *config)
{
	size_t i;

	for (i = 0; i < NUMBER_COUNT; i++) {
		struct config_place place = config_at("%s", numbers[i].place);
		uint32_t *value = (uint32_t *)(void *)((char *)config + numbers[i].offset);

		if (!config_node(source, place))
			*value = numbers[i].value;
		else if (!config_check_range(source, place, *value, numbers[i].least, numbers[i].most))
			return false;
	}
	if (!config->tcp_opening_s)
		config->tcp_opening_s = config->tcp_transitory_s;
	if (!config->tcp_closing_s)
		config->tcp_closing_s = config->tcp_transitory_s;
	if (config->mss_clamp && config->mss_clamp < MSS_MIN)
		return config_fail(source, config_at("mss-clamp"), "%u is out of range; right is %u to %u, or 0 (off)", config->mss_clamp, MSS_MIN,
				   MSS_MAX);
	if (config->pcp.lifetime_max_s < config->pcp.lifetime_min_s)
		return config_fail(source, config_at("pcp.lifetime"), "max %u is below min %u; right is max >= min",
				   config->pcp.lifetime_max_s, config->pcp.lifetime_min_s);
	if (config->pcp.error_long_s < config->pcp.error_short_s)
		return config_fail(source, config_at("pcp.error-lifetime"), "long %u is below short %u; right is long >= short",
				   config->pcp.error_long_s, config->pcp.error_short_s);
	return true;
}

bool config_number_warning(const struct config *config, unsigned n, char *text, size_t text_size)
{
	size_t i;

	for (i = 0; i < NUMBER_COUNT; i++) {
		uint32_t value = *(const uint32_t *)(const void *)((const char *)config + numbers[i].offset);

		if (numbers[i].offset == AT(tcp_closing_s) && value == config->tcp_transitory_s)
			continue;	/* said of that */
		if (value >= numbers[i].rfc_least || n--)
			continue;
		snprintf(text, text_size, "%s: %u is below the %u of %s", numbers[i].place, value, numbers[i].rfc_least, numbers[i].rfc);
		return true;
	}
	return false;
}
