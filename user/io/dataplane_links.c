/* SPDX-License-Identifier: GPL-2.0-only */
/* Interfaces of the configuration and the NICs that bear them: `interfaces`, `links` and `tx_ports`. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "config.h"
#include "dataplane_internal.h"
#include "netlink.h"

/* ---- where an interface stands ---- */

static bool place_by_config(const struct config_interface *interface, struct dataplane_place *place, struct dataplane_error *error)
{
	struct netlink_vlan vlan;
	uint16_t tags[2];
	unsigned i;

	for (i = 0; i < 2; i++)
		tags[i] = (uint16_t)(i < interface->vlans_count ? interface->vlans[i] : 0);
	if (interface->outer_tag == CONFIG_8021AD)
		tags[0] |= CGN_TAG_8021AD;
	if (place->tags[0] && (place->tags[0] != tags[0] || place->tags[1] != tags[1] || strcmp(place->nic_name, interface->link)))
		return dataplane_fail(error, DATAPLANE_CONFIG, "%s: is a VLAN device of %s with other tags than `link` and `vlans` say; leave those away",
				      interface->name, place->nic_name);
	memcpy(place->tags, tags, sizeof(tags));
	snprintf(place->nic_name, sizeof(place->nic_name), "%s", interface->link);
	place->nic = if_nametoindex(interface->link);
	if (!place->nic)
		return dataplane_fail(error, DATAPLANE_KERNEL, "%s: its link %s is no interface", interface->name, interface->link);
	if (netlink_vlan(place->nic, &vlan) == 1)
		return dataplane_fail(error, DATAPLANE_CONFIG, "%s: its link %s is a VLAN device; name the NIC, and both tags in `vlans`",
				      interface->name, interface->link);
	return true;
}

bool dataplane_place(const struct config_interface *interface, struct dataplane_place *ret_place, struct dataplane_error *error)
{
	struct dataplane_place place = { .side = (uint32_t)interface->side };
	struct netlink_vlan vlan;
	int found;

	place.ifindex = place.nic = if_nametoindex(interface->name);
	if (!place.ifindex)
		return dataplane_fail(error, DATAPLANE_KERNEL, "%s: no such interface", interface->name);
	while ((found = netlink_vlan(place.nic, &vlan)) == 1) {
		if (place.tags[1])
			return dataplane_fail(error, DATAPLANE_CONFIG, "%s: has more than two VLAN tags", interface->name);
		place.tags[1] = place.tags[0];	/* the device next to the NIC has the outer tag */
		place.tags[0] = (uint16_t)(vlan.id | (vlan.is_8021ad ? CGN_TAG_8021AD : 0));
		place.nic = vlan.lower;
	}
	if (found < 0)
		return dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot ask what it is: %s", interface->name, strerror(-found));
	if (!if_indextoname(place.nic, place.nic_name))
		return dataplane_fail(error, DATAPLANE_KERNEL, "%s: its NIC is not in this network namespace", interface->name);
	if (interface->link && !place_by_config(interface, &place, error))
		return false;
	*ret_place = place;
	return true;
}

uint32_t dataplane_program_side(const struct config *config, uint32_t nic)
{
	uint32_t side = CGN_EITHER_SIDE;
	bool is_bare = false, is_mixed = false, is_first = true;
	struct dataplane_place place;
	struct dataplane_error error;
	unsigned i;

	for (i = 0; i < config->interfaces_count; i++) {
		if (!dataplane_place(&config->interfaces[i], &place, &error) || place.nic != nic)
			continue;
		is_bare |= !place.tags[0];
		is_mixed |= !is_first && place.side != side;
		side = place.side;
		is_first = false;
	}
	return is_bare && !is_mixed && side <= CGN_EXTERNAL_SIDE ? side : CGN_EITHER_SIDE;
}

/* ---- what the programs know of it ---- */

bool dataplane_link_maps_open(const char *pin_dir, struct dataplane_link_maps *ret_maps)
{
	ret_maps->interfaces = dataplane_open_pin(pin_dir, dataplane_map_names[DP_INTERFACES]);
	ret_maps->links = dataplane_open_pin(pin_dir, dataplane_map_names[DP_LINKS]);
	ret_maps->tx_ports = dataplane_open_pin(pin_dir, dataplane_map_names[DP_TX_PORTS]);
	if (ret_maps->interfaces >= 0 && ret_maps->links >= 0 && ret_maps->tx_ports >= 0)
		return true;
	dataplane_link_maps_close(ret_maps);
	return false;
}

void dataplane_link_maps_close(struct dataplane_link_maps *maps)
{
	if (maps->interfaces >= 0)
		close(maps->interfaces);
	if (maps->links >= 0)
		close(maps->links);
	if (maps->tx_ports >= 0)
		close(maps->tx_ports);
}

struct dataplane_link_maps dataplane_link_maps(const struct dataplane *dp)
{
	return (struct dataplane_link_maps){ .interfaces = dp->map[DP_INTERFACES], .links = dp->map[DP_LINKS], .tx_ports = dp->map[DP_TX_PORTS] };
}

struct listed_link {
	struct cgn_link_key key;
	struct cgn_link link;
};

static unsigned list_links(int links, struct listed_link *ret_list)
{
	struct cgn_link_key key, *before = NULL;
	unsigned count = 0;

	while (count < CGN_INTERFACES_MAX && !bpf_map_get_next_key(links, before, &key)) {
		ret_list[count].key = key;
		if (!bpf_map_lookup_elem(links, &key, &ret_list[count].link))
			count++;
		before = &key;
	}
	return count;
}

static void set_egress(const struct dataplane_link_maps *maps, uint32_t side, uint32_t ifindex, uint32_t nic)
{
	uint32_t key = CGN_TX_KEY(side, ifindex);

	if (nic)
		bpf_map_update_elem(maps->tx_ports, &key, &nic, 0);
	else
		bpf_map_delete_elem(maps->tx_ports, &key);
}

static void forget_ifindex(const struct dataplane_link_maps *maps, uint32_t ifindex)
{
	struct listed_link list[CGN_INTERFACES_MAX];
	unsigned count = list_links(maps->links, list), i;

	set_egress(maps, CGN_INTERNAL_SIDE, ifindex, 0);
	set_egress(maps, CGN_EXTERNAL_SIDE, ifindex, 0);
	for (i = 0; i < count; i++)
		if (list[i].link.ifindex == ifindex)
			bpf_map_delete_elem(maps->links, &list[i].key);
	bpf_map_delete_elem(maps->interfaces, &ifindex);
}

bool dataplane_nic_is_used(const struct dataplane_link_maps *maps, uint32_t nic, uint32_t except)
{
	struct listed_link list[CGN_INTERFACES_MAX];
	unsigned count = list_links(maps->links, list), i;
	char name[IF_NAMESIZE];

	for (i = 0; i < count; i++)
		if (list[i].key.nic == nic && list[i].link.side != CGN_NO_SIDE && list[i].link.ifindex != except &&
		    if_indextoname(list[i].link.ifindex, name))
			return true;
	return false;
}

static void forget_nic(const struct dataplane_link_maps *maps, uint32_t nic)
{
	struct listed_link list[CGN_INTERFACES_MAX];
	unsigned count = list_links(maps->links, list), i;

	for (i = 0; i < count; i++)
		if (list[i].key.nic == nic)
			forget_ifindex(maps, list[i].link.ifindex);
	bpf_map_delete_elem(maps->interfaces, &nic);
}

void dataplane_forget_link(const struct dataplane_link_maps *maps, uint32_t ifindex, uint32_t nic)
{
	struct cgn_interface entry = {};
	bool is_nic = ifindex == nic;

	if (is_nic && !bpf_map_lookup_elem(maps->interfaces, &nic, &entry))
		entry = (struct cgn_interface){ .side = CGN_NO_SIDE, .nic = nic, .build = entry.build };
	forget_ifindex(maps, ifindex);
	if (!dataplane_nic_is_used(maps, nic, 0))
		forget_nic(maps, nic);
	else if (is_nic)	/* it bears others still */
		bpf_map_update_elem(maps->interfaces, &nic, &entry, 0);
}

void dataplane_forget_gone(const struct dataplane_link_maps *maps)
{
	struct listed_link list[CGN_INTERFACES_MAX];
	unsigned count = list_links(maps->links, list), i;
	uint32_t key, egress;

	for (i = 0; i < count; i++) {
		key = CGN_TX_KEY(list[i].link.side == CGN_EXTERNAL_SIDE, list[i].link.ifindex);
		if (list[i].link.side != CGN_NO_SIDE && bpf_map_lookup_elem(maps->tx_ports, &key, &egress))
			dataplane_forget_link(maps, list[i].link.ifindex, list[i].key.nic);
	}
}

static bool write_interface(const struct dataplane_link_maps *maps, uint32_t ifindex, const struct dataplane_place *place)
{
	struct cgn_interface entry = {};

	bpf_map_lookup_elem(maps->interfaces, &ifindex, &entry);
	entry.side = place->side;
	entry.nic = place->nic;
	memcpy(entry.tags, place->tags, sizeof(entry.tags));
	return !bpf_map_update_elem(maps->interfaces, &ifindex, &entry, 0);
}

/* The NIC of an interface with tags has an element of its own, whatever it is itself. */
static bool write_nic(const struct dataplane_link_maps *maps, uint32_t nic)
{
	struct cgn_interface entry = { .side = CGN_NO_SIDE, .nic = nic };

	return !bpf_map_update_elem(maps->interfaces, &nic, &entry, BPF_NOEXIST) || errno == EEXIST;
}

bool dataplane_enter_link(const struct dataplane_link_maps *maps, const struct dataplane_place *place)
{
	struct cgn_link_key key = { .nic = place->nic, .tags = { place->tags[0], place->tags[1] } };
	struct cgn_link link = { .ifindex = place->ifindex, .side = place->side };
	struct listed_link list[CGN_INTERFACES_MAX];
	unsigned count = list_links(maps->links, list), i;

	for (i = 0; i < count; i++)	/* it had other tags before */
		if (list[i].link.ifindex == place->ifindex && memcmp(&list[i].key, &key, sizeof(key)))
			bpf_map_delete_elem(maps->links, &list[i].key);
	if (!write_nic(maps, place->nic) || !write_interface(maps, place->ifindex, place))
		return false;
	for (i = 0; i < 2; i++)
		set_egress(maps, i, place->ifindex, place->side == i || place->side == CGN_EITHER_SIDE ? place->nic : 0);
	return !bpf_map_update_elem(maps->links, &key, &link, 0);
}

bool dataplane_link_is_entered(const struct dataplane_link_maps *maps, const struct dataplane_place *place, uint32_t *ret_ifindex)
{
	struct cgn_link_key key = { .nic = place->nic, .tags = { place->tags[0], place->tags[1] } };
	struct cgn_link link;

	if (bpf_map_lookup_elem(maps->links, &key, &link))
		return false;
	if (ret_ifindex)
		*ret_ifindex = link.ifindex;
	return true;
}

void dataplane_refresh_links(struct dataplane *dp, const struct config *config)
{
	struct dataplane_link_maps maps = dataplane_link_maps(dp);
	struct dataplane_place place;
	struct dataplane_error error;
	uint32_t entered;
	unsigned i;

	for (i = 0; i < config->interfaces_count; i++) {
		if (!dataplane_place(&config->interfaces[i], &place, &error) || !place.tags[0] ||
		    !dataplane_link_is_entered(&maps, &place, &entered) || entered == place.ifindex)
			continue;
		forget_ifindex(&maps, entered);
		dataplane_enter_link(&maps, &place);
	}
}
