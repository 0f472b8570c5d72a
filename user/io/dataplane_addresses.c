/* SPDX-License-Identifier: GPL-2.0-only */
/* Which address the programs may report from, where the kernel's own choice cannot be asked for. */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include "config.h"
#include "dataplane_internal.h"
#include "netlink.h"

static bool set_address(struct dataplane *dp, uint32_t ifindex, const struct netlink_address *known, int count)
{
	uint32_t address;
	int i;

	for (i = 0; i < count && known[i].ifindex != ifindex; i++)
		;
	if (i == count)
		return !bpf_map_delete_elem(dp->map[DP_ADDRESSES], &ifindex) || errno == ENOENT;
	memcpy(&address, known[i].addr4, sizeof(address));
	return !bpf_map_update_elem(dp->map[DP_ADDRESSES], &ifindex, &address, 0);
}

bool dataplane_set_addresses(struct dataplane *dp, const struct config *config, struct dataplane_error *error)
{
	struct netlink_address *known = NULL;
	int count = netlink_addresses(&known);
	bool done = true;
	uint32_t ifindex;
	unsigned i;

	if (count < 0)
		return dataplane_fail(error, DATAPLANE_KERNEL, "cannot ask for addresses: %s", strerror(-count));
	for (i = 0; done && i < config->interfaces_count; i++) {
		ifindex = if_nametoindex(config->interfaces[i].name);
		done = !ifindex || set_address(dp, ifindex, known, count);
	}
	free(known);
	return done ? true : dataplane_fail(error, DATAPLANE_KERNEL, "addresses: cannot write: %s", strerror(errno));
}
