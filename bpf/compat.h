/* SPDX-License-Identifier: GPL-2.0-only */
/* The one place that knows BPF from host: the same parser and arithmetic build for the kernel and for tests and fuzzers. */
#ifndef CGN_COMPAT_H
#define CGN_COMPAT_H

#include <linux/types.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include "cgn/abi.h"

#ifdef __bpf__
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
/* Bytes of a frame with all its parts: of a long one the program sees the first page alone. */
#define frame_length(ctx) bpf_xdp_get_buff_len(ctx)

__attribute__((noinline)) int frame_ends_before(struct xdp_md *ctx, __u32 length)
{
	return length > frame_length(ctx);
}
/* Most frames are whole where the program sees them: no call. */
#define frame_is_shorter(ctx, data, end, length) \
	((__u32)(length) > (__u64)((long)(end) - (long)(data)) && frame_ends_before(ctx, (__u32)(length)))
#else
struct xdp_md;
#define frame_is_shorter(ctx, data, end, length) ((void)(ctx), (length) > (unsigned long)((end) - (data)))
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif
#endif

#ifndef NULL
#define NULL ((void *)0)
#endif
#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif

typedef _Bool bool;
#define true 1
#define false 0

/* Makes the compiler forget what it proved about a number, so that the check below it stays for the verifier to see. */
#define cgn_forget(x) __asm__ __volatile__("" : "+r"(x))

/* Keeps the compiler from merging or reordering reads of memory that another CPU writes. */
#define cgn_barrier() __asm__ __volatile__("" ::: "memory")
#define cgn_read_once(x) (*(const volatile __typeof__(x) *)&(x))

static __always_inline __u32 load_u32(const void *from)
{
	return *(const __u32 *)from;
}

static __always_inline void store_u32(void *to, __u32 value)
{
	*(__u32 *)to = value;
}

#endif
