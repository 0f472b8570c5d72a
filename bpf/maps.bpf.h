/* SPDX-License-Identifier: GPL-2.0-only */
/* Every map. Sizes of 1 are set by the daemon before load, from the configuration. */
#ifndef CGN_MAPS_BPF_H
#define CGN_MAPS_BPF_H
#include "compat.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct cgn_internal);
	__type(value, struct cgn_mapping);
} mappings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgn_slot);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgn_block);
} blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgn_pool);
} pools SEC(".maps");

/* Mmapable for its alignment: such arrays begin on a page, so that a line is a line. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgn_cache_line);
} cache SEC(".maps");

/* Mmapable for its alignment, as `cache`. One line unless filtering is address-dependent. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgn_session_line);
} sessions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct cgn_subscriber_key);
	__type(value, struct cgn_subscriber);
} subscribers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct cgn_explicit_key);
	__type(value, struct cgn_explicit);
} explicit SEC(".maps");

/* Allocated as texts come: few mappings have one, and it is no matter of packets. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct cgn_explicit_key);
	__type(value, struct cgn_description);
} descriptions SEC(".maps");

/* Of subscribers who alone lost something; written by the daemon. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct cgn_client);
	__type(value, struct cgn_epoch);
} epochs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CGN_FRAGMENTS_MAX);
	__type(key, struct cgn_fragment_key);
	__type(value, struct cgn_fragment);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * CGN_INTERFACES_MAX);	/* and the NICs of those with tags */
	__type(key, __u32);
	__type(value, struct cgn_interface);
} interfaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CGN_INTERFACES_MAX);
	__type(key, struct cgn_link_key);
	__type(value, struct cgn_link);
} links SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 2 * CGN_INTERFACES_MAX);	/* those with both sides stand there twice */
	__type(key, __u32);
	__type(value, __u32);
} tx_ports SEC(".maps");

/* An address of each interface, as in packets; key: ifindex. Written by the daemon. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CGN_INTERFACES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} addresses SEC(".maps");

/* What bpf_fib_lookup() said of a destination. Each CPU has entries of its own: nobody reads one while it is written. */
struct next_hop {
	__u32 destination;	/* as in the packet */
	__u32 ifindex;
	__u64 until_jiffies:48;	/* ask again after this; 0: no neighbour is known */
	__u64 inner_tag:16;	/* as in struct cgn_link_key; 0: none */
	__u16 destination_mac[3];
	__u16 source_mac[3];
	__u16 mtu;
	__u16 outer_tag;
};

#define NEXT_HOPS 16384		/* of one CPU */

/* Key: CPU times NEXT_HOPS, and two places next to each other for every destination, which are one cache line: mmapable for its
 * alignment. With 4096 places and one for each destination, half the packets to 4,000 hosts asked the kernel again. An array and
 * not a per-CPU one: those read a pointer first. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, NEXT_HOPS);	/* times the CPUs: set by the daemon */
	__type(key, __u32);
	__type(value, struct next_hop);
} next_hops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CGN_VERDICT_COUNT);
	__type(key, __u32);
	__type(value, struct cgn_count);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} events SEC(".maps");

/* Events for which the ring buffer had no room, by cgn_event_type. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CGN_EVENT_TYPES);
	__type(key, __u32);
	__type(value, __u64);
} events_lost SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgn_meta);
} meta SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgn_settings);
} settings SEC(".maps");

/* A new subscriber by the number of the rule that admits it: the stack has no room for one. Written by the daemon. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CGN_PREFIXES_MAX);
	__type(key, __u32);
	__type(value, struct cgn_subscriber);
} templates SEC(".maps");

/* Slots for the control programs that take or give many at once. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, CGN_BATCH_MAX);
	__type(key, __u32);
	__type(value, __u32);
} batch SEC(".maps");

/* Regions of CGN_REQUESTS_MAX, each for one thread of the daemon at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, CGN_REGIONS_MAX * CGN_REQUESTS_MAX);
	__type(key, __u32);
	__type(value, struct cgn_map_request);
} requests SEC(".maps");

/* Allocated as they come: few mappings have filters. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct cgn_internal);
	__type(value, struct cgn_filters);
} filters SEC(".maps");

/* [0]: the filters of a request, written by the daemon; [1]: room to put them together with those that the mapping has; [2]: those
 * that the mapping had, for a request that fails after that. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct cgn_filters);
} filter_batch SEC(".maps");

static __always_inline struct cgn_settings *map_settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}

static __always_inline struct cgn_slot *map_slot(__u32 slot)
{
	return bpf_map_lookup_elem(&ports, &slot);
}

static __always_inline struct cgn_block *map_block(__u32 block)
{
	return bpf_map_lookup_elem(&blocks, &block);
}

static __always_inline struct cgn_pool *map_pool(__u32 address)
{
	return bpf_map_lookup_elem(&pools, &address);
}

static __always_inline struct cgn_mapping *map_mapping(const struct cgn_internal *internal)
{
	return bpf_map_lookup_elem(&mappings, internal);
}

static __always_inline struct cgn_subscriber *map_subscriber(const struct cgn_subscriber_key *key)
{
	return bpf_map_lookup_elem(&subscribers, key);
}

static __always_inline void map_count(__u32 verdict, __u64 bytes)
{
	struct cgn_count *count = bpf_map_lookup_elem(&stats, &verdict);

	if (count) {
		count->packets++;
		count->bytes += bytes;
	}
}

#endif
