/* SPDX-License-Identifier: GPL-2.0-only */
/* IP identifications of fragments that leave with an external address. Hosts that share it draw theirs without knowing of each
 * other, and whoever joins their fragments takes two packets for one (RFC 6864 section 5.3.1, RFC 7857 section 10). So they are
 * given new ones: counters that packets between two addresses share, which return to a value only after thousands. */
#ifndef CGN_IDENTIFICATION_BPF_H
#define CGN_IDENTIFICATION_BPF_H
#include "maps.bpf.h"
#include "checksum.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CGN_IDENTIFICATIONS);
	__type(key, __u32);
	__type(value, __u32);
} identifications SEC(".maps");

/* As in packets. By steps of 1 to 4, so that a peer cannot tell how many packets others get. */
__noinline int identification_draw(__u32 source_be, __u32 destination_be, __u32 protocol)
{
	__u32 key = ((source_be ^ destination_be * 0x85ebca6bu ^ protocol) * 0x9e3779b1u) >> 21, *last;

	last = bpf_map_lookup_elem(&identifications, &key);
	if (!last)
		return 0;
	return (__u16)__sync_fetch_and_add(last, 1 + (bpf_get_prandom_u32() & 3));
}

static __always_inline void identification_write(struct iphdr *ip, __u16 id)
{
	ip->check = checksum_update(ip->check, checksum_delta16(ip->id, id));
	ip->id = id;
}

#endif
