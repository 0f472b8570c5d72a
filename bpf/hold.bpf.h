/* SPDX-License-Identifier: GPL-2.0-only */
/* Follow-on fragments that come before their first one (RFC 4787 REQ-14, RFC 6888 REQ-1). XDP cannot keep a frame, so it hands a copy to
 * the daemon by a ring buffer; when the first one has come, the daemon gives it back to the kernel by BPF_PROG_RUN with live frames,
 * where cgn_release() translates it like any other. Nothing leaves but by the programs here, so nothing leaves untranslated; there is
 * no socket for each queue of each NIC to bind, as AF_XDP would need, and it works with every driver. Bounded by rates here, by the
 * ring, and by what the daemon keeps. While none lives they are dropped at once. */
#ifndef CGN_HOLD_BPF_H
#define CGN_HOLD_BPF_H
#include "maps.bpf.h"
#include "clock.bpf.h"
#include "rate.bpf.h"

#define HOLD_TOTAL_NS 500000	/* 2000 a second on each side */
#define HOLD_TOTAL_BURST 500
#define HOLD_SENDER_NS 10000000	/* 100 a second of each sender */
#define HOLD_SENDER_BURST CGN_HELD_SENDER_MAX

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} held SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgn_holder);
} holder SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CGN_HOLD_BUCKETS);
	__type(key, __u32);
	__type(value, __u64);
} hold_buckets SEC(".maps");

static __always_inline bool hold_is_served(__u32 now_s)
{
	__u32 zero = 0;
	struct cgn_holder *who = bpf_map_lookup_elem(&holder, &zero);

	return who && (__s32)(who->alive_until_s - now_s) > 0;
}

static __always_inline bool hold_is_within_rate(const struct cgn_fragment_key *key)
{
	__u32 side = key->side;
	__u64 now_ns = bpf_ktime_get_ns();

	return rate_take(&hold_buckets, rate_own(side, CGN_HOLD_BUCKETS, load_u32(key->source4)), now_ns, HOLD_SENDER_NS, HOLD_SENDER_BURST) &&
	       rate_take(&hold_buckets, rate_total(side, CGN_HOLD_BUCKETS), now_ns, HOLD_TOTAL_NS, HOLD_TOTAL_BURST);
}

/* Marks that somebody waits for the first fragment. If that comes on another CPU meanwhile, its word stands and the daemon sees it. */
static __always_inline void hold_wait(const struct cgn_fragment_key *key, bool is_stale, __u32 now_s)
{
	struct cgn_fragment waiting = { .seen_s = now_s, .is_waiting = 1 };

	bpf_map_update_elem(&fragments, key, &waiting, is_stale ? BPF_ANY : BPF_NOEXIST);
}

/* CGN_HELD, or CGN_DROP_FRAGMENT. `is_stale`: word of another packet with this key stands, and is too old. */
__noinline int hold(struct xdp_md *ctx, struct cgn_fragment_key *key, __u32 is_stale)
{
	__u64 len = frame_length(ctx);
	__u32 now_s = clock_now_s();
	struct cgn_held *record;

	if (!key || len < ETH_HLEN || len > CGN_HELD_BYTES || !hold_is_served(now_s) || !hold_is_within_rate(key))
		return CGN_DROP_FRAGMENT;
	record = bpf_ringbuf_reserve(&held, sizeof(*record), 0);
	if (!record)
		return CGN_DROP_FRAGMENT;
	hold_wait(key, is_stale, now_s);
	record->key = *key;
	record->ifindex = ctx->ingress_ifindex;
	record->seen_s = now_s;
	record->length = (__u32)len;
	if (bpf_xdp_load_bytes(ctx, 0, record->bytes, (__u32)len)) {
		bpf_ringbuf_discard(record, 0);
		return CGN_DROP_FRAGMENT;
	}
	bpf_ringbuf_submit(record, 0);
	return CGN_HELD;
}

/* The first one came: says so to the daemon. If the ring is full, they go when their time is over. */
static __always_inline void hold_end(const struct cgn_fragment_key *key)
{
	struct cgn_held *record = bpf_ringbuf_reserve(&held, offsetof(struct cgn_held, bytes), 0);

	if (!record)
		return;
	record->key = *key;
	record->ifindex = 0;
	record->seen_s = clock_now_s();
	record->length = 0;
	bpf_ringbuf_submit(record, 0);
}

#endif
