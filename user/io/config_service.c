/* SPDX-License-Identifier: GPL-2.0-only */
/* Where xcgnd works: interfaces, the addresses of its PCP server, paths. */
#include <ctype.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include "config_address.h"
#include "config_file.h"
#include "cgn/abi.h"
#include "pcp_proto.h"
#include "syslog_socket.h"

#define DIRECTORY_MAX	200	/* leaves room for the names of pins and files */
#define SOCKET_PATH_MAX	(sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

/* ---- interfaces ---- */

/* What the kernel takes for a name. */
static bool is_interface_name(const char *name)
{
	if (!*name || strlen(name) >= IF_NAMESIZE || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (; *name; name++)
		if (!isgraph((unsigned char)*name) || *name == '/' || *name == ':')
			return false;
	return true;
}

static bool check_interface_name(struct config_source *source, struct config_place place, const char *name)
{
	return is_interface_name(name) ||
	       config_fail(source, place, "\"" CONFIG_SHOWN "\" is no interface name; right are 1 to %u visible characters without / and :", name,
			   IF_NAMESIZE - 1);
}

static bool has_same_tags(const struct config_interface *a, const struct config_interface *b)
{
	unsigned i;

	if (!a->link || !b->link || strcmp(a->link, b->link) || a->vlans_count != b->vlans_count || a->outer_tag != b->outer_tag)
		return false;
	for (i = 0; i < a->vlans_count; i++)
		if (a->vlans[i] != b->vlans[i])
			return false;
	return true;
}

#define VLAN_ID_MAX 4094

static bool build_vlans(struct config_source *source, struct config *config, unsigned n)
{
	struct config_interface *interface = &config->interfaces[n];
	unsigned i;

	if (!interface->link != !interface->vlans_count || (interface->outer_tag && !interface->link))
		return config_fail(source, config_at("interfaces[%u]", n), "`link` and `vlans` belong together, and `outer-tag` to them; right are both or none");
	if (!interface->link)
		return true;
	if (!check_interface_name(source, config_at("interfaces[%u].link", n), interface->link))
		return false;
	if (!strcmp(interface->link, interface->name))
		return config_fail(source, config_at("interfaces[%u].link", n), "%s bears itself; right is the NIC", interface->name);
	for (i = 0; i < interface->vlans_count; i++)
		if (!config_check_range(source, config_at("interfaces[%u].vlans[%u]", n, i), interface->vlans[i], 1, VLAN_ID_MAX))
			return false;
	if (!interface->outer_tag)
		interface->outer_tag = interface->vlans_count > 1 ? CONFIG_8021AD : CONFIG_8021Q;
	for (i = 0; i < n; i++)
		if (has_same_tags(&config->interfaces[i], interface))
			return config_fail(source, config_at("interfaces[%u].vlans", n), "interfaces[%u] has these on %s already; right is another VLAN", i,
					   interface->link);
	return true;
}

bool config_build_interfaces(struct config_source *source, struct config *config)
{
	bool has_side[2] = {};
	unsigned i, j;
	int side;

	for (i = 0; i < config->interfaces_count; i++) {
		struct config_place place = config_at("interfaces[%u].name", i);
		const char *name = config->interfaces[i].name;

		if (!check_interface_name(source, place, name))
			return false;
		for (j = 0; j < i; j++)
			if (!strcmp(config->interfaces[j].name, name))
				return config_fail(source, place, "%s is interfaces[%u] already; right is each interface once, with `side: both` if it is both",
						   name, j);
		if (!build_vlans(source, config, i))
			return false;
		side = config->interfaces[i].side;
		has_side[CGN_INTERNAL_SIDE] |= side == CGN_INTERNAL_SIDE || side == CGN_EITHER_SIDE;
		has_side[CGN_EXTERNAL_SIDE] |= side == CGN_EXTERNAL_SIDE || side == CGN_EITHER_SIDE;
	}
	if (!has_side[CGN_INTERNAL_SIDE] || !has_side[CGN_EXTERNAL_SIDE])
		return config_fail(source, config_at("interfaces"), "no interface has side %s; right is at least one of each side",
				   has_side[CGN_EXTERNAL_SIDE] ? "internal" : "external");
	return true;
}

/* ---- pcp ---- */

static bool build_listen(struct config_source *source, const char *text, struct config *config, unsigned n)
{
	struct config_place place = config_at("pcp.listen[%u]", n);
	struct config_prefix4 host = { .length = 32 };
	unsigned i, j;

	if (!address_parse(text, &host.network))
		return config_fail(source, place, "\"" CONFIG_SHOWN "\" is no IPv4 address; right is one of an internal interface", text);
	if (prefix_unfit(host) && host.network >> 24 != 127)
		return config_fail(source, place, "%s is no unicast address; right is one of an internal interface",
				   address_text(host.network).text);
	for (i = 0; i < config->pools_count; i++)
		for (j = 0; j < config->pools[i].addresses_count; j++)
			if (prefix_contains(config->pools[i].addresses[j], host.network))
				return config_fail(source, place, "%s is in pool %s; right is an address of an internal interface",
						   address_text(host.network).text, config->pools[i].name);
	for (i = 0; i < n; i++)
		if (config->pcp.listen4[i] == host.network)
			return config_fail(source, place, "%s is pcp.listen[%u] already; right is each address once",
					   address_text(host.network).text, i);
	config->pcp.listen4[n] = host.network;
	return true;
}

/* Options that other opcodes have, whatever number NEXT is given. */
static bool build_get(struct config_source *source, const struct config *config)
{
	static const uint8_t known[] = { PCP_OPTION_THIRD_PARTY_ID, PCP_OPTION_DESCRIPTION, PCP_OPTION_PREFIX64, PCP_OPTION_PORT_SET,
		PCP_OPTION_CHECKPOINT_REQUIRED, 127 };
	size_t i;

	for (i = 0; i < sizeof(known); i++)
		if (config->pcp.get_next == known[i])
			return config_fail(source, config_at("pcp.get.next"), "%u is another option's number; right is 131, or one from 96 to 126",
					   known[i]);
	if (config->pcp.get_not_found == config->pcp.get_ambiguous)
		return config_fail(source, config_at("pcp.get.not-found"), "%u is the number of `ambiguous`; right are two numbers",
				   config->pcp.get_not_found);
	return true;
}

bool config_build_pcp(struct config_source *source, const struct config_file *file, struct config *config)
{
	uint32_t opcodes = file->opcodes ? file->opcodes : CONFIG_ANNOUNCE | CONFIG_MAP | CONFIG_PEER | CONFIG_GET;
	unsigned i;

	config->pcp.announce = opcodes & CONFIG_ANNOUNCE;
	config->pcp.map = opcodes & CONFIG_MAP;
	config->pcp.peer = opcodes & CONFIG_PEER;
	config->pcp.get = opcodes & CONFIG_GET;
	if (!build_get(source, config))
		return false;
	if (!file->listen_count)
		return true;
	config->pcp.listen4 = config_array(source, file->listen_count, sizeof(config->pcp.listen4[0]));
	if (!config->pcp.listen4)
		return false;
	config->pcp.listen4_count = file->listen_count;
	for (i = 0; i < file->listen_count; i++)
		if (!build_listen(source, file->listen[i], config, i))
			return false;
	return true;
}

/* ---- paths ---- */

static bool has_dots(const char *path)
{
	const char *dots;

	for (dots = strstr(path, "/.."); dots; dots = strstr(dots + 1, "/.."))
		if (!dots[3] || dots[3] == '/')
			return true;
	return false;
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

static bool build_path(struct config_source *source, const char *key, char **path, const char *fallback, size_t longest)
{
	struct config_place place = config_at("%s", key);
	size_t length;

	if (!*path)
		*path = strdup(fallback);
	if (!*path)
		return config_fail_line(source, 0, "out of memory");
	length = strlen(*path);
	if (**path != '/' || length < 2 || (*path)[length - 1] == '/' || has_dots(*path) || !is_printable(*path))
		return config_fail(source, place, "\"" CONFIG_SHOWN "\"; right is an absolute path without .. and / at its end, like %s", *path,
				   fallback);
	if (length > longest)
		return config_fail(source, place, "%zu bytes long; right are %zu at most", length, longest);
	return true;
}

bool config_build_paths(struct config_source *source, struct config *config)
{
	return build_path(source, "state-dir", &config->state_dir, "/var/lib/xcgn", DIRECTORY_MAX) &&
	       build_path(source, "pin-dir", &config->pin_dir, "/sys/fs/bpf/xcgn", DIRECTORY_MAX) &&
	       build_path(source, "control", &config->control, "/run/xcgn/control.sock", SOCKET_PATH_MAX);
}

bool config_build_log(struct config_source *source, struct config *config)
{
	if (!config->log.syslog)
		config->log.syslog = strdup("none");
	if (!config->log.syslog)
		return config_fail_line(source, 0, "out of memory");
	return syslog_target_is_valid(config->log.syslog) ||
	       config_fail(source, config_at("log.syslog"), "\"" CONFIG_SHOWN "\"; right is none, the path of a socket like /dev/log, or udp:192.0.2.1:514",
			   config->log.syslog);
}
