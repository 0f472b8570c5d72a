/* SPDX-License-Identifier: GPL-2.0-only */
/* Frames that the data plane gave away for a while. */
#include <errno.h>
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include "dataplane_internal.h"

int dataplane_release_held(struct dataplane *dp, const struct cgn_held *held)
{
	struct xdp_md context = { .data_end = held->length, .ingress_ifindex = held->ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = held->bytes, .data_size_in = held->length, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = 1, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 1);

	return bpf_prog_test_run_opts(dp->program[DP_RELEASE], &options) ? -errno : 0;
}

bool dataplane_set_holder(struct dataplane *dp, uint32_t alive_until_s)
{
	struct cgn_holder holder = { .alive_until_s = alive_until_s };
	uint32_t zero = 0;

	return !bpf_map_update_elem(dp->map[DP_HOLDER], &zero, &holder, 0);
}

bool dataplane_knows_fragment(const struct dataplane *dp, const struct cgn_fragment_key *key)
{
	struct cgn_fragment fragment;

	return !bpf_map_lookup_elem(dp->map[DP_FRAGMENTS], key, &fragment) && !fragment.is_waiting &&
	       dataplane_now_s() - fragment.seen_s <= CGN_FRAGMENT_S;
}
