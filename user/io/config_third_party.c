/* SPDX-License-Identifier: GPL-2.0-only */
/* Who may ask for whose mappings (RFC 6887 section 13.1). Nobody, unless the configuration says so. */
#include <string.h>
#include "config_address.h"
#include "config_file.h"

static struct pcp_prefix mapped_prefix(struct config_prefix4 prefix)
{
	return (struct pcp_prefix){
		.address6 = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, (uint8_t)(prefix.network >> 24), (uint8_t)(prefix.network >> 16),
			      (uint8_t)(prefix.network >> 8), (uint8_t)prefix.network },
		.length = (uint8_t)(96 + prefix.length),
	};
}

/* Requests come from the internal side only. */
static bool build_from(struct config_source *source, struct config_place place, const char *text, const struct config *config,
		       struct config_prefix4 *ret_prefix)
{
	unsigned i, j;

	if (!config_build_prefix(source, place, text, ret_prefix))
		return false;
	for (i = 0; i < config->pools_count; i++)
		for (j = 0; j < config->pools[i].addresses_count; j++)
			if (prefix_overlaps(config->pools[i].addresses[j], *ret_prefix))
				return config_fail(source, place, "%s overlaps pool %s; right are hosts of the internal side",
						   prefix_text(*ret_prefix).text, config->pools[i].name);
	return true;
}

static bool build_target(struct config_source *source, struct config_place place, const char *text, const struct config *config,
			 struct config_prefix4 *ret_prefix)
{
	unsigned i;

	if (!config_build_prefix(source, place, text, ret_prefix))
		return false;
	for (i = 0; i < config->subscriber_prefixes_count; i++)
		if (config->subscriber_prefixes[i].length <= ret_prefix->length &&
		    prefix_contains(config->subscriber_prefixes[i], ret_prefix->network))
			return true;
	return config_fail(source, place, "%s is not inside `subscribers.prefixes`; right is a part of one of them",
			   prefix_text(*ret_prefix).text);
}

static bool build_permissions(struct config_source *source, const struct config_file_third_party *given, struct config *config, unsigned n)
{
	struct config_prefix4 from, target;
	unsigned i;

	if (!build_from(source, config_at("pcp.third-party[%u].from", n), given->from, config, &from))
		return false;
	for (i = 0; i < given->targets_count; i++) {
		if (!build_target(source, config_at("pcp.third-party[%u].for[%u]", n, i), given->targets[i], config, &target))
			return false;
		config->pcp.third_party[config->pcp.third_party_count++] =
			(struct pcp_third_party){ .from = mapped_prefix(from), .target = mapped_prefix(target) };
	}
	return true;
}

bool config_build_third_party(struct config_source *source, const struct config_file *file, struct config *config)
{
	unsigned i, count = 0;

	for (i = 0; i < file->third_party_count; i++)
		count += file->third_party[i].targets_count;
	if (!count)
		return true;
	config->pcp.third_party = config_array(source, count, sizeof(config->pcp.third_party[0]));
	if (!config->pcp.third_party)
		return false;
	for (i = 0; i < file->third_party_count; i++)
		if (!build_permissions(source, &file->third_party[i], config, i))
			return false;
	return true;
}
