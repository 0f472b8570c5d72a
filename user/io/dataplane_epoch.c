/* SPDX-License-Identifier: GPL-2.0-only */
/* Epochs: that of all in `meta`, those of clients who alone lost something in `epochs`. */
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include "dataplane_internal.h"

bool dataplane_set_epoch_of(struct dataplane *dp, const uint8_t client6[16], uint32_t base_s, enum cgn_epoch_reason reason)
{
	struct cgn_epoch epoch = { .base_s = base_s, .reason = reason };
	struct cgn_client client;

	memcpy(client.client6, client6, sizeof(client.client6));
	return !bpf_map_update_elem(dp->map[DP_EPOCHS], &client, &epoch, BPF_ANY);
}

bool dataplane_next_epoch(const struct dataplane *dp, struct cgn_client *client, bool is_first, struct cgn_epoch *ret_epoch)
{
	struct cgn_client before = *client;

	while (!bpf_map_get_next_key(dp->map[DP_EPOCHS], is_first ? NULL : &before, client)) {
		if (!bpf_map_lookup_elem(dp->map[DP_EPOCHS], client, ret_epoch))
			return true;
		before = *client;
		is_first = false;
	}
	return false;
}

void dataplane_forget_epochs(struct dataplane *dp)
{
	struct cgn_client client;

	while (!bpf_map_get_next_key(dp->map[DP_EPOCHS], NULL, &client))
		if (bpf_map_delete_elem(dp->map[DP_EPOCHS], &client) && errno != ENOENT)
			return;
}
