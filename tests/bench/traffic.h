/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared by the traffic programs in the kernel (traffic.bpf.c) and the benches that steer them: which flow is which endpoint,
 * what to send, what to expect.
 *
 * A frame carries the number of its flow in its payload, so that the sink knows what a translated frame was before. */
#ifndef TRAFFIC_H
#define TRAFFIC_H
#include <linux/types.h>

#define TRAFFIC_FRAME_LEN	60	/* 64 bytes on a wire, which adds the frame check sequence */
#define TRAFFIC_MAGIC		0x7863676e
#define TRAFFIC_TTL		64
#define TRAFFIC_REMOTE_PORT	9000

#define TRAFFIC_INTERNAL_NET	0x64400000u	/* 100.64.0.0/10: subscribers, from .0.2 on */
#define TRAFFIC_INTERNAL_MASK	0xffc00000u
#define TRAFFIC_EXTERNAL_NET	0xc0000200u	/* 192.0.2.0/24: pools are in it */
#define TRAFFIC_EXTERNAL_MASK	0xffffff00u
#define TRAFFIC_REMOTE_NET	0xc6120000u	/* 198.18.0.0/16: remote peers, from .0.1 on */

#define TRAFFIC_PATHS		3		/* things under test, side by side */
#define TRAFFIC_FLOWS_MAX	(1u << 20)	/* flows of one path whose external endpoints are remembered */
#define TRAFFIC_CORES		2		/* that translate side by side: a power of two */
#define TRAFFIC_TARGETS_MAX	(1u << 22)	/* inbound frames of one path until they are the same again */

/* 256 flows a subscriber. Their ports lie all over the range, as those of real clients do, for the NATs that keep them. */
#define TRAFFIC_HOST_BITS	8
#define TRAFFIC_PORT_STEP	252u		/* 256 steps from 1024 end below 65536 */

static inline __u32 traffic_internal_address(__u32 flow)
{
	return TRAFFIC_INTERNAL_NET + 2 + (flow >> TRAFFIC_HOST_BITS);
}

static inline __u16 traffic_internal_port(__u32 flow)
{
	__u32 offset = (((flow >> TRAFFIC_HOST_BITS) * 0x9e3779b1u >> 24) * TRAFFIC_PORT_STEP) >> 8;

	return (__u16)(1024 + (flow & ((1u << TRAFFIC_HOST_BITS) - 1)) * TRAFFIC_PORT_STEP + offset);
}

/* `remotes` is a mask: the number of remote peers minus 1. */
static inline __u32 traffic_remote_address(__u32 flow, __u32 remotes)
{
	return TRAFFIC_REMOTE_NET + 1 + ((flow * 0x9e3779b1u >> 16) & remotes);
}

/* A flow by Zipf's law with exponent 1: the logarithm of its rank is uniform. `span` is log2(flows) with 26 bits of fraction.
 * 2^x within an octave is a parabola, right to 0.3 %. Neighbours in rank are far from each other in number, so that the
 * busiest flows are not one subscriber's. */
#define TRAFFIC_ZIPF_BITS	26

static inline __u32 traffic_zipf(__u32 random, __u32 span, __u32 flows)
{
	__u32 logarithm = (__u32)((__u64)random * span >> 32);
	__u64 fraction = logarithm & ((1u << TRAFFIC_ZIPF_BITS) - 1);
	__u64 mantissa = (1u << TRAFFIC_ZIPF_BITS) + (fraction * (44056812 + (23052052 * fraction >> TRAFFIC_ZIPF_BITS)) >> TRAFFIC_ZIPF_BITS);
	__u64 rank = mantissa << (logarithm >> TRAFFIC_ZIPF_BITS) >> TRAFFIC_ZIPF_BITS;

	return flows ? (__u32)(rank * 7368787 % flows) : 0;	/* a prime: every flow has one rank */
}

enum traffic_direction { TRAFFIC_OUTBOUND, TRAFFIC_INBOUND };

enum traffic_order {
	TRAFFIC_IN_TURN,	/* 0, 1, 2, ...: subscriber after subscriber */
	TRAFFIC_MIXED,		/* each once, every packet from another subscriber than the one before */
	TRAFFIC_RANDOM,		/* any, at random */
	TRAFFIC_ZIPF,		/* few of them most of the time: traffic_zipf() */
};

/* What the generator sends. */
struct traffic_plan {
	__u32 egress;		/* ifindex */
	__u32 direction;	/* traffic_direction */
	__u32 order;		/* traffic_order; inbound always follows `targets`, which is shuffled already */
	__u32 flows;		/* flow numbers 0 .. flows-1 */
	__u32 mixed_bits;	/* log2 of the subscribers that TRAFFIC_MIXED goes round */
	__u32 remotes;
	__u32 targets_base;	/* inbound: where this path's targets begin */
	__u32 zipf_span;	/* log2(flows) with TRAFFIC_ZIPF_BITS bits of fraction */
	__u64 position;		/* next flow, or next target */
	__u64 random;		/* never 0 */
	__u16 mac[6];		/* Ethernet header: destination, source */
	__u32 base;		/* TRAFFIC_RANDOM: added to a flow's number */
};

/* One for each core that translates without sending; in cache lines of its own. */
struct traffic_core {
	struct traffic_plan plan;
	__u64 apart[8];
};

/* What the sink expects. */
struct traffic_watch {
	__u32 is_checking;	/* else it only counts */
	__u32 direction;
	__u32 is_translated;	/* else frames come as they were sent */
	__u32 remotes;
	__u32 learned_base;	/* outbound: where this path's external endpoints are written */
	__u32 reserved;
};

/* One flow's external endpoint: written by the checking sink as `learned` [flow], read by the inbound generator as `targets`. */
struct traffic_endpoint {
	__u32 address;		/* host order */
	__u16 port;
	__u16 is_known;
	__u32 flow;
	__u32 reserved;
};

/* X(symbol, what a frame with it is) */
#define TRAFFIC_COUNTS(X) \
	X(TRAFFIC_SENT,			"sent") \
	X(TRAFFIC_RECEIVED,		"received") \
	X(TRAFFIC_BAD_IP_CHECKSUM,	"received with a wrong IP checksum") \
	X(TRAFFIC_BAD_UDP_CHECKSUM,	"received with a wrong UDP checksum") \
	X(TRAFFIC_BAD_TTL,		"received with a wrong time to live") \
	X(TRAFFIC_BAD_INTERNAL,		"received with a wrong internal endpoint, or not translated") \
	X(TRAFFIC_BAD_REMOTE,		"received with a wrong remote endpoint")

#define TRAFFIC_COUNT_SYMBOL(symbol, text) symbol,
enum traffic_count { TRAFFIC_COUNTS(TRAFFIC_COUNT_SYMBOL) TRAFFIC_COUNT_MAX };

#endif
