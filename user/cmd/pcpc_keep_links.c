/* SPDX-License-Identifier: GPL-2.0-only */
#include <string.h>
#include "inet_text.h"
#include "log.h"
#include "pcpc_keep_links.h"

#define LEAVING_MAX	(KEEPER_TABLES_MAX - KEEP_SERVERS_MAX)

void keep_links_done(struct keep_links *links)
{
	for (unsigned i = 0; i < links->count; i++)
		keep_link_free(links->all[i]);
	links->count = 0;
}

/* ---- from the disk, and to it ---- */

/* Until the file says more of it, it has the address that answered last. */
static struct keep_link *restored(const struct keep_links *links, const struct keeper_table_bytes *table, int64_t shift_s,
				  bool time_is_unknown)
{
	struct keep_server server = { 0 };
	struct keep_link *link;
	struct pcp_client_path path;

	memcpy(server.name, table->name, sizeof(server.name));
	link = keep_link_new(&server, &links->options, links->turn, links->context);
	if (!link)
		return NULL;
	if (!keeper_restore(link->keeper, table->bytes, table->len, shift_s, time_is_unknown)) {
		keep_link_free(link);
		return NULL;
	}
	if (keeper_known_path(link->keeper, &path)) {
		memcpy(link->server.addresses[0].address6, path.server6, sizeof(path.server6));
		link->server.addresses[0].port = path.server_port;
		link->server.address_count = 1;
	}
	return link;
}

bool keep_links_restore(struct keep_links *links, const uint8_t *bytes, size_t len, int64_t shift_s, bool time_is_unknown)
{
	struct keeper_table_bytes tables[KEEPER_TABLES_MAX];
	unsigned count;

	if (!keeper_tables_decode(bytes, len, tables, &count))
		return false;
	for (unsigned i = 0; i < count; i++) {
		links->all[links->count] = restored(links, &tables[i], shift_s, time_is_unknown);
		if (links->all[links->count])
			links->count++;
	}
	return links->count == count;
}

bool keep_links_need_store(const struct keep_links *links)
{
	for (unsigned i = 0; i < links->count; i++)
		if (keeper_needs_store(links->all[i]->keeper))
			return true;
	return links->is_dirty;
}

bool keep_links_encode(const struct keep_links *links, uint8_t **ret_bytes, size_t *ret_len)
{
	struct keeper_table tables[KEEPER_TABLES_MAX];

	for (unsigned i = 0; i < links->count; i++) {
		memcpy(tables[i].name, links->all[i]->server.name, sizeof(tables[i].name));
		tables[i].keeper = links->all[i]->keeper;
	}
	return keeper_tables_encode(tables, links->count, ret_bytes, ret_len);
}

void keep_links_stored(struct keep_links *links)
{
	for (unsigned i = 0; i < links->count; i++)
		keeper_stored(links->all[i]->keeper);
	links->is_dirty = false;
}

/* ---- who there is ---- */

static bool is_at(const struct keep_link *link, const struct keep_server *server)
{
	struct pcp_client_path path;

	if (!keeper_known_path(link->keeper, &path))
		return false;
	for (unsigned i = 0; i < server->address_count; i++)
		if (server->addresses[i].port == path.server_port &&
		    !memcmp(server->addresses[i].address6, path.server6, sizeof(path.server6)))
			return true;
	return false;
}

/* Out of `former`, where it leaves NULL. */
static struct keep_link *take(struct keep_link **former, unsigned count, const struct keep_server *server, bool by_name)
{
	struct keep_link *link;

	for (unsigned i = 0; i < count; i++) {
		link = former[i];
		if (!link || (by_name ? strcmp(link->server.name, server->name) != 0 : !is_at(link, server)))
			continue;
		former[i] = NULL;
		return link;
	}
	return NULL;
}

static bool choose(const struct keep_links *links, const struct keep_config *config, struct keep_link **former, struct keep_link **chosen)
{
	unsigned count = config->server_count, known, i;

	for (i = 0; i < count; i++)
		chosen[i] = take(former, links->count, &config->servers[i], true);
	for (i = 0; i < count; i++)
		if (!chosen[i])
			chosen[i] = take(former, links->count, &config->servers[i], false);
	for (known = 0, i = 0; i < count; i++)
		known |= chosen[i] ? 1u << i : 0;
	for (i = 0; i < count; i++) {
		if (!chosen[i])
			chosen[i] = keep_link_new(&config->servers[i], &links->options, links->turn, links->context);
		if (chosen[i])
			continue;
		while (i-- > 0)
			if (!(known & 1u << i))
				keep_link_free(chosen[i]);
		return false;
	}
	return true;
}

static void leave(struct keep_links *links, struct keep_link *link, unsigned *leaving)
{
	struct pcp_client_path path;

	if (!link->is_leaving)
		keeper_release(link->keeper, keep_now_ns());
	link->is_leaving = true;
	if (keeper_known_path(link->keeper, &path) && !keeper_is_released(link->keeper)) {
		if (++*leaving <= LEAVING_MAX) {
			links->all[links->count++] = link;
			return;
		}
		log_warning("%s: does not answer, and too many servers leave: its mappings stay until they end",
			    inet_endpoint_text(path.server6, path.server_port).text);
	}
	keep_link_free(link);
}

bool keep_links_configure(struct keep_links *links, const struct keep_config *config)
{
	struct keep_link *former[KEEPER_TABLES_MAX], *chosen[KEEP_SERVERS_MAX];
	unsigned former_count = links->count, leaving = 0, i;

	memcpy(former, links->all, sizeof(former));
	if (!choose(links, config, former, chosen))
		return false;
	memcpy(links->all, chosen, sizeof(chosen));
	links->count = config->server_count;
	links->is_dirty = true;
	for (i = 0; i < former_count; i++)
		if (former[i])
			leave(links, former[i], &leaving);
	for (i = 0; i < config->server_count; i++) {
		chosen[i]->server = config->servers[i];
		chosen[i]->is_leaving = false;
		if (!keeper_wish(chosen[i]->keeper, config->wishes[i].requests, config->wishes[i].count, keep_now_ns()))
			log_error("out of memory: the mappings wanted at %s are not all known",
				  *config->servers[i].name ? config->servers[i].name : "the server");
	}
	for (i = 0; i < links->count; i++)
		keep_link_refresh(links->all[i]);
	return true;
}

void keep_links_part(struct keep_links *links)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < links->count; i++) {
		struct keep_link *link = links->all[i];

		if (!link->is_leaving || !keeper_is_released(link->keeper)) {
			links->all[kept++] = link;
			continue;
		}
		log_info("%s: left", *link->server.name ? link->server.name : "the server without a name");
		keep_link_free(link);
		links->is_dirty = true;
	}
	links->count = kept;
}
