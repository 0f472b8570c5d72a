/* SPDX-License-Identifier: GPL-2.0-only */
/* The only layouts shared by bpf/ and user/: map keys and values, requests to the control programs, events, verdicts.
 *
 * Byte order: addresses are byte arrays in network order, as they stand in a packet. Ports, protocols, indexes and
 * times are numbers in host order. Times ending in _s are seconds of CLOCK_MONOTONIC ("the boot clock"), 32 bits.
 * No packed structs; every hole is a named member and zero.
 *
 * Who writes: "live" maps (mappings, ports, blocks, pools, subscribers, explicit, fragments) are written by BPF code only,
 * from XDP for packets and through SEC("syscall") programs for the daemon. Anybody may read them. */
#ifndef CGN_ABI_H
#define CGN_ABI_H

#include <linux/types.h>
#include "cgn/limits.h"

#define CGN_LAYOUT_VERSION 26	/* change it with any layout below; of others only those are adopted that user/io/dataplane_migrate.c knows */

#define CGN_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " is not " #size " bytes")

/* ---- endpoints ---- */

/* Key of `mappings`: an internal endpoint. NAT44: host6 is zero. ICMP: port is the query identifier. */
struct cgn_internal {
	__u8 host6[16] __attribute__((aligned(8)));
	__u8 addr4[4];
	__u16 port;
	__u8 protocol;		/* IANA number */
	__u8 realm;
};
CGN_ASSERT_SIZE(struct cgn_internal, 24);

struct cgn_external {
	__u8 addr4[4] __attribute__((aligned(4)));
	__u16 port;
	__u8 protocol;
	__u8 realm;
};
CGN_ASSERT_SIZE(struct cgn_external, 8);

enum cgn_protocol_index {	/* position of a protocol in ports, bitmaps and counts */
	CGN_UDP,
	CGN_TCP,
	CGN_ICMP,
};

/* Where one external endpoint stands in `ports`. */
#define CGN_SLOT(address_index, protocol_index, port) \
	((((__u32)(address_index) * CGN_PROTOCOLS + (__u32)(protocol_index)) << 16) | (__u16)(port))
#define CGN_SLOT_PORT(slot)		((__u16)(slot))
#define CGN_SLOT_PROTOCOL(slot)		(((slot) >> 16) % CGN_PROTOCOLS)
#define CGN_SLOT_ADDRESS(slot)		(((slot) >> 16) / CGN_PROTOCOLS)

/* ---- mappings ---- */

enum cgn_mapping_flag {		/* origin flags may stand together (RFC 6887 section 16.5) */
	CGN_MAP = 1 << 0,	/* asked by PCP MAP or NAT-PMP */
	CGN_PEER = 1 << 1,	/* asked by PCP PEER */
	CGN_IMPLICIT = 1 << 2,	/* made by a packet */
	CGN_STATIC = 1 << 3,	/* the operator's */
	CGN_FILTERED = 1 << 4,	/* inbound packets must pass `filters` */
	CGN_MANY_PEERS = 1 << 5,/* TCP: more remote peers than the mapping embeds */
	CGN_DYING = 1 << 6,	/* being deleted: serves the packets that still find it, is never renewed */
	CGN_RENEWED = 1 << 7,	/* flips with every renewal, so that a compare-and-swap of `word` sees it */
	CGN_EXPLICIT = CGN_MAP | CGN_PEER | CGN_STATIC,
	CGN_ORIGINS = CGN_EXPLICIT | CGN_IMPLICIT,
	CGN_SLOT_FLAGS = CGN_ORIGINS | CGN_FILTERED,	/* those that stand in the slot too */
};

enum cgn_tcp_flag {		/* what was seen of one TCP connection */
	CGN_TCP_SYN_OUT = 1 << 0,
	CGN_TCP_SYN_IN = 1 << 1,
	CGN_TCP_FIN_OUT = 1 << 2,
	CGN_TCP_FIN_IN = 1 << 3,
	CGN_TCP_RST = 1 << 4,
	CGN_TCP_DATA_OUT = 1 << 5,	/* anything but SYN went out: handshake done */
};

/* One TCP connection of a mapping; the first two are embedded, RFC 5382 timers need no more. */
struct cgn_remote {
	__u8 addr4[4] __attribute__((aligned(8)));
	__u16 port;
	__u8 tcp;		/* cgn_tcp_flag */
	__u8 window;		/* of the first: how far beyond `acked` an RST is believed, in units of 4 MiB; 0: nothing is known */
};
CGN_ASSERT_SIZE(struct cgn_remote, 8);

/* The word of a mapping that changes hands atomically: whoever changes flags does it by compare-and-swap on `word`. */
union cgn_mapping_word {
	struct {
		__u32 last_outbound_s;	/* 0: no packet yet */
		__u16 generation;	/* equals the slot's */
		__u16 flags;		/* cgn_mapping_flag */
	};
	__u64 word;
};

/* Value of `mappings`. With key and hash header one element is 128 bytes, two cache lines. `tag` stands first: the kernel
 * reuses an element at once after a delete, and a reader who finds its own tag before and after copying read its own mapping. */
struct cgn_mapping {
	__u32 tag;			/* cgn_tag() of the key */
	__u32 slot;			/* index in `ports` */
	struct cgn_external external;
	union cgn_mapping_word state;
	__u32 expires_s;		/* end of the last of its explicit parts; 0 if there is none, CGN_FOREVER if static */
	__u16 synced_s;			/* when the slot's deadline was last written from here, the lower 16 bits */
	__u16 acked;			/* TCP, remote[0]: what the host last acknowledged, the upper 16 bits */
	__u32 created_s;
	__u32 peers;			/* bit n: `explicit` has a PEER with ordinal n */
	struct cgn_remote remote[2];	/* TCP only */
};
CGN_ASSERT_SIZE(struct cgn_mapping, 56);

enum cgn_slot_state {
	CGN_SLOT_EMPTY,		/* never used */
	CGN_SLOT_CLAIMED,	/* its bit is taken, its owner is being written */
	CGN_SLOT_LIVE,
	CGN_SLOT_DYING,		/* being deleted */
	CGN_SLOT_RESTING,	/* freed at deadline_s by `internal`, who alone may have it back within CGN_REST_S */
};

union cgn_slot_word {
	struct {
		__u32 deadline_s;	/* live: not before this second can it, or one of its explicit parts, end (lags behind packets
					 * by CGN_SLOT_SYNC_S) */
		__u16 generation;
		__u8 flags;		/* origin flags, CGN_FILTERED */
		__u8 state;		/* cgn_slot_state */
	};
	__u64 word;
};

/* Of an internal endpoint what a slot has, in one word: struct cgn_internal without host6, which is zero for NAT44. In a realm whose hosts
 * have IPv6 addresses host6 is that of the block's owner; then the operator's mappings of such hosts must have blocks of their own. */
union cgn_internal4 {
	struct {
		__u8 addr4[4] __attribute__((aligned(8)));
		__u16 port;
		__u8 protocol;
		__u8 realm;
	};
	__u64 word;
};
_Static_assert(sizeof(struct cgn_internal) == 16 + sizeof(union cgn_internal4), "host6 and what a slot has are not all of a key");

/* Value of `ports`: one external endpoint, four in a cache line. Read `state`, copy, read `state` again: see slot.h. */
struct cgn_slot {
	union cgn_internal4 internal;
	union cgn_slot_word state;
};
CGN_ASSERT_SIZE(struct cgn_slot, 16);

/* Address-dependent filtering: a remote peer that an internal endpoint wrote to. One word, changed by compare-and-swap. */
union cgn_session {
	struct {
		__u8 remote4[4] __attribute__((aligned(8)));
		__u32 port:10;		/* in its block */
		__u32 protocol:2;	/* cgn_protocol_index plus 1; 0: no session */
		__u32 generation:8;	/* of its mapping, the lower bits */
		__u32 seen:CGN_SESSION_CLOCK_BITS;	/* the last packet out, in units of CGN_SESSION_UNIT_S */
	};
	__u64 word;
};

/* Value of `sessions`: see bpf/session.bpf.h. */
struct cgn_session_line {
	union cgn_session session[CGN_SESSION_WAYS];
};
CGN_ASSERT_SIZE(struct cgn_session_line, 64);

/* The lines of a block, by the external address and the first port of the block. */
#define CGN_SESSION_LINES(ports)	((ports) * CGN_SESSIONS_PER_PORT / CGN_SESSION_WAYS)
#define CGN_SESSION_LINE(address_index, first_port) CGN_SESSION_LINES((address_index) * CGN_PORTS_PER_ADDRESS + (first_port))

/* ---- subscribers, blocks, pools ---- */

struct cgn_subscriber_key {	/* NAT44: one internal address */
	__u8 host6[16] __attribute__((aligned(8)));
	__u8 addr4[4];
	__u8 realm;
	__u8 reserved[3];
};
CGN_ASSERT_SIZE(struct cgn_subscriber_key, 24);

/* Owner of the blocks that hold the operator's static mappings: no subscriber's address, so that they share blocks. */
#define CGN_OPERATOR_REALM 0xff

enum cgn_subscriber_state { CGN_SUBSCRIBER_LIVE, CGN_SUBSCRIBER_IDLE, CGN_SUBSCRIBER_GONE };

struct cgn_subscriber {
	__u32 state;		/* cgn_subscriber_state; changed by compare-and-swap */
	__u32 idle_since_s;	/* when it became CGN_SUBSCRIBER_IDLE */
	union {
		struct {
			__u16 address;	/* paired external address (RFC 6888 REQ-2): its index in `pools` plus 1, 0 = none yet */
			__u16 changes;	/* of the pairing, and of blocks entered under it; wraps */
		};
		__u32 pairing;		/* both; changed by compare-and-swap */
	};
	__u32 blocks_limit;
	__u32 explicit_limit;
	__u32 explicit_used;	/* explicit mappings: each MAP and each PEER counts */
	__u32 used[CGN_PROTOCOLS];	/* mappings */
	__u32 port_limit;	/* mappings per protocol: blocks_limit times the block size of the paired address */
	__u32 block[CGN_SUBSCRIBER_BLOCKS_MAX];	/* index in `blocks` plus 1, 0 = none */
	__u32 refused_quota;	/* packets and requests over quota */
	__u32 refused_pool;	/* packets and requests that found no free port */
	__u32 created_s;
	__u32 reserve;		/* ports per protocol kept for explicit mappings */
	__u32 statics;		/* the operator's mappings of this host: they pair it, and keep the entry */
	__u32 rules;		/* the `rules` of cgn_settings by which it was last admitted */
};
CGN_ASSERT_SIZE(struct cgn_subscriber, 192);

enum cgn_block_state {
	CGN_BLOCK_FREE,
	CGN_BLOCK_CLAIMED,	/* its owner is being written, or it into its owner's list: no port of it is claimed */
	CGN_BLOCK_LIVE,
	CGN_BLOCK_RELEASING,
};

/* Value of `blocks`. Bit n of used[protocol] is port first_port + n. */
struct cgn_block {
	struct cgn_subscriber_key owner;	/* after release: the last owner */
	__u32 state;		/* cgn_block_state; changed by compare-and-swap */
	__u32 generation;	/* counts owners */
	__u32 claimed_s;
	__u32 released_s;	/* rests CGN_REST_S before another subscriber may have it */
	__u32 address;		/* index in `pools` */
	__u16 first_port;
	__u16 reserved;
	__u64 used[CGN_PROTOCOLS][CGN_BLOCK_WORDS];
	__u64 explicit_ports[CGN_PROTOCOLS][CGN_BLOCK_WORDS];
};
CGN_ASSERT_SIZE(struct cgn_block, 48 + 2 * CGN_PROTOCOLS * CGN_BLOCK_WORDS * 8);

enum cgn_pool_state {
	CGN_POOL_ACTIVE,
	CGN_POOL_DRAINING,	/* no new mapping; those that there are live on until they end by themselves */
	CGN_POOL_LEAVING,	/* the same, and the address is none of ours any more when the last block of it is free */
};

#define CGN_POOL_NONE 0xffffffffu	/* `pool` of an address that is in no pool of the configuration */

/* Value of `pools`: one external address, if it has blocks. Block n of it has ports first_port + n * block_size and on. */
struct cgn_pool {
	__u8 addr4[4] __attribute__((aligned(4)));
	__u32 state;		/* cgn_pool_state */
	__u32 first_block;	/* index in `blocks` */
	__u32 block_count;
	__u16 first_port;
	__u16 each;		/* most blocks that one subscriber may have here; 0: as many as he may have */
	__u16 block_shift;	/* log2 of the block size */
	__u16 planned;		/* so many from the first one on belong to subscribers by cgn_plan, and nobody else; 0: it is no such address */
	__u32 blocks_used;
	__u32 pool;		/* which entry of the configuration's `pools`, or CGN_POOL_NONE */
	__u64 taken[CGN_POOL_WORDS];	/* one bit a block */
};
CGN_ASSERT_SIZE(struct cgn_pool, 32 + CGN_POOL_WORDS * 8);

/* ---- explicit mappings ---- */

/* One explicit part of a mapping: it has at most one MAP, and a PEER for each of CGN_PEERS_MAX remote peers at most, each with its
 * own nonce and end. Which ordinals are in use stands in cgn_mapping.peers: so the PEERs of a mapping are found without a search. */
struct cgn_explicit_key {
	struct cgn_internal internal;
	__u8 opcode;		/* CGN_MAP, CGN_PEER or CGN_STATIC */
	__u8 ordinal;		/* PEER: 0 to CGN_PEERS_MAX - 1, else 0 */
	__u8 reserved[6];
};
CGN_ASSERT_SIZE(struct cgn_explicit_key, 32);

/* Value of `explicit`. With key and hash header one element is 128 bytes. Requests carry addresses in the 16 bytes of RFC 6887; both
 * of these are IPv4 ones. */
struct cgn_explicit {
	__u8 nonce[CGN_NONCE_LEN] __attribute__((aligned(4)));
	__u32 expires_s;
	__u8 client4[4];	/* who asked, for Mapping Updates (RFC 6887 section 14.2) */
	__u8 remote4[4];	/* PEER: the remote peer, else zero */
	__u16 client_port;
	__u16 generation;	/* of the mapping it stands for */
	__u32 slot;
	__u32 created_s;
	__u16 remote_port;	/* PEER */
	__u16 set_first;	/* PORT_SET: first internal port of its set (RFC 7753) */
	__u16 set_size;		/* PORT_SET: ports of its set; 0: none */
	__u8 described;		/* 1: `descriptions` has its text */
	__u8 filtered;		/* MAP: 1: `filters` has an element of its mapping */
};
CGN_ASSERT_SIZE(struct cgn_explicit, 44);

/* One FILTER of a MAP mapping (RFC 6887 section 13.3). */
struct cgn_filter {
	__u8 remote6[16] __attribute__((aligned(4)));	/* IPv4-mapped; bits beyond the prefix are zero */
	__u16 remote_port;	/* 0: all */
	__u8 prefix_length;	/* 96 to 128 */
	__u8 reserved;
};
CGN_ASSERT_SIZE(struct cgn_filter, 20);

/* Value of `filters`: all of one mapping, replaced as one. A remote peer is permitted if any filter has it. */
struct cgn_filters {
	__u32 tag;		/* cgn_tag() of the key */
	__u32 version;		/* changes with every replacement */
	__u32 count;
	struct cgn_filter filter[CGN_FILTERS_MAX];
};
CGN_ASSERT_SIZE(struct cgn_filters, 12 + CGN_FILTERS_MAX * 20);

/* Value of `descriptions`: what the client calls its explicit mapping (RFC 7220). UTF-8, no NUL at its end. */
struct cgn_description {
	__u16 length;		/* 1 to CGN_DESCRIPTION_MAX */
	__u8 text[CGN_DESCRIPTION_MAX];
};
CGN_ASSERT_SIZE(struct cgn_description, 2 + CGN_DESCRIPTION_MAX);

/* Key of `epochs`: the address of a PCP client, IPv4-mapped. */
struct cgn_client { __u8 client6[16] __attribute__((aligned(8))); };

struct cgn_epoch {		/* value of `epochs`: counts if it is later than meta's */
	__u32 base_s;		/* this client's Epoch Time is now minus this */
	__u32 reason;		/* cgn_epoch_reason */
};

/* ---- fragments, interfaces, settings ---- */

struct cgn_fragment_key {
	__u8 source4[4] __attribute__((aligned(4)));
	__u8 destination4[4];
	__u16 id;		/* as in the packet */
	__u8 protocol;
	__u8 side;		/* cgn_side on which it came in */
};
CGN_ASSERT_SIZE(struct cgn_fragment_key, 12);

struct cgn_fragment {		/* what the first fragment's addresses became */
	__u8 source4[4] __attribute__((aligned(4)));
	__u8 destination4[4];
	__u32 seen_s;
	__u16 id;		/* that they leave with, as in packets */
	__u16 next;		/* where what came in order ends, as an offset in units of 8 bytes */
	__u8 egress_side;	/* cgn_side */
	__u8 is_waiting;	/* 1: no first one came yet, others are held; the rest means nothing */
	__u8 reserved[2];
};
CGN_ASSERT_SIZE(struct cgn_fragment, 20);

/* Record of the ring buffer `held`: a follow-on fragment before its first one, for the daemon to keep. Length 0, and cut off before
 * `bytes`: the first one came. */
struct cgn_held {
	struct cgn_fragment_key key;
	__u32 ifindex;		/* where it came in */
	__u32 seen_s;
	__u32 length;
	__u8 bytes[CGN_HELD_BYTES];
};

struct cgn_holder {		/* value of `holder` [0]: does anybody keep them? */
	__u32 alive_until_s;
	__u32 reserved;
};

enum cgn_side {
	CGN_INTERNAL_SIDE,
	CGN_EXTERNAL_SIDE,
	CGN_EITHER_SIDE,	/* of interfaces: what comes there is told apart by its addresses */
	CGN_NO_SIDE,		/* of interfaces: it is the kernel's */
};

/* Key of `tx_ports`, whose value is the NIC: an egress is allowed only on its own side. */
#define CGN_TX_KEY(side, ifindex) (((__u32)(side) << 31) | (__u32)(ifindex))

/* Value of `interfaces`, key: ifindex as routes have it, which with tags is not the NIC's. Written by whoever attaches. A NIC that
 * only bears others stands there too, with CGN_NO_SIDE. */
struct cgn_interface {
	__u32 side;		/* cgn_side */
	__u32 nic;		/* ifindex of the device that frames leave by */
	__u16 tags[2];		/* as in struct cgn_link_key */
	__u32 reserved;
	__u64 build;		/* of a NIC: which build's program was attached last */
};
CGN_ASSERT_SIZE(struct cgn_interface, 24);

#define CGN_TAG_ID 0x0fff	/* of a VLAN tag in keys: the VLAN, and whether the tag is 802.1ad's and not 802.1Q's */
#define CGN_TAG_8021AD 0x8000

struct cgn_link_key {		/* key of `links`: what frames of one interface look like where they come in */
	__u32 nic;		/* ifindex */
	__u16 tags[2];		/* the outer one first; 0: none */
};
CGN_ASSERT_SIZE(struct cgn_link_key, 8);

struct cgn_link {
	__u32 ifindex;		/* the interface's own */
	__u32 side;		/* cgn_side */
};

struct cgn_range {		/* contiguous external addresses */
	__u32 first, last;	/* host order, inclusive */
	__u32 index;		/* of `first` in `pools` */
	__u32 reserved;
};

/* Whose port blocks are computed from their internal addresses (RFC 7422), and how: subscriber n of these, from 0 on, is number
 * p = position + n of those of address `index`, or (p - each) of those of the next one, and so on. Number p of an address has its blocks
 * from p * blocks on. */
struct cgn_plan {
	__u32 first, last;	/* internal addresses, host order, inclusive */
	__u32 index;		/* in `pools` */
	__u16 position;
	__u16 each;		/* subscribers of one address */
	__u16 blocks;		/* of one subscriber */
	__u16 shared;		/* blocks behind those of all, for who needs more; 0: he gets none */
};
CGN_ASSERT_SIZE(struct cgn_plan, 20);

/* All external addresses, and whose they are. */
struct cgn_ranges {
	__u32 count, plan_count;
	struct cgn_range range[CGN_RANGES_MAX];
	struct cgn_plan plan[CGN_PLANS_MAX];
};

/* First match wins; overrides stand before prefixes. Rule n admits subscribers with the limits of `templates` [n]. */
struct cgn_subscriber_rule {
	__u32 network, mask;	/* host order */
};

/* Value of `cache`: one line, any of whose words may be the entry of an internal endpoint that belongs there. See cgn/cache.h. */
struct cgn_cache_line {
	__u64 word[CGN_CACHE_WAYS] __attribute__((aligned(64)));
};
CGN_ASSERT_SIZE(struct cgn_cache_line, 64);

/* How the entries of one protocol tell time. */
struct cgn_cache_clock {
	__u16 lag_s;		/* packets may go this long without stamping their mapping; 0: none is cached */
	__u8 shift;		/* the unit is 2^shift seconds */
	__u8 units;		/* an entry serves for fewer */
};

enum cgn_filtering { CGN_ENDPOINT_INDEPENDENT, CGN_ADDRESS_DEPENDENT };	/* of implicit and PEER mappings */

/* Value of `settings` [0]: what the daemon tells the programs; may change while packets flow. */
struct cgn_settings {
	__u32 udp_s, tcp_established_s, tcp_opening_s, tcp_closing_s, icmp_s;
	__u32 rest_s;
	__u32 cache_line_bits;	/* log2 of the lines of `cache` */
	__u32 cache_address_bits;	/* of an external address's index, in its entries */
	struct cgn_cache_clock cache_clock[4];	/* by cgn_protocol_index; a power of two, for the verifier */
	__u32 address_count;		/* entries of `pools` in use all lie below */
	__u32 ranges_now;		/* which of the two `ranges` counts: the other one is written, then this */
	__u32 rule_count;
	__u32 rules;			/* another number with every writing of `rule` and `templates`, never 0 */
	__u32 report_source_ns, report_total_ns;	/* ICMP errors of our own: one each so many ns to one sender, and in all; 0: none */
	__u32 filtering;		/* cgn_filtering */
	__u32 mss_clamp;		/* most that a SYN may say; 0: whatever it says */
	/* Next hops that serve until this jiffy or less were asked for before routes, neighbours or links changed: they serve no more. */
	__u64 routes_jiffies;
	__u32 rule_octets[8];		/* bit n: a rule has addresses that begin with n */
	struct cgn_ranges ranges[2];
	struct cgn_subscriber_rule rule[CGN_PREFIXES_MAX];
};

/* Value of `meta` [0]; written by the daemon. */
struct cgn_meta {
	__u32 layout;		/* CGN_LAYOUT_VERSION; written last, 0 = being built */
	__u32 epoch_base_s;	/* Epoch Time is now minus this (RFC 6887 section 8.5) */
	__u32 epoch_reason;	/* cgn_epoch_reason */
	__u32 address_count;	/* external addresses of the configuration */
	__u32 block_count;	/* their port blocks */
	__u32 mappings_max, subscribers_max;
	__u32 clock_hz;		/* ticks of bpf_jiffies64() per second */
	__u64 epoch_base_unix;	/* wall clock of the last reset, for people */
	__u64 reserved;		/* before layout 19: a hash of the pools */
	__u64 store_id;		/* of the stable storage that has every acknowledged mapping of these maps; 0: none has */
	char boot_id[40];
	char programs[40];	/* which build's programs are pinned */
};

enum cgn_epoch_reason { CGN_EPOCH_FIRST_START, CGN_EPOCH_REBOOT, CGN_EPOCH_PURGED, CGN_EPOCH_STATE_LOST, CGN_EPOCH_CLEARED };

/* ---- verdicts: each is a counter in `stats`, and its name in every tool ---- */

/* X(symbol, name, what it means) */
#define CGN_VERDICTS(X) \
	X(CGN_OUTBOUND,			"outbound",		"translated, internal to external") \
	X(CGN_INBOUND,			"inbound",		"translated, external to internal") \
	X(CGN_HAIRPIN,			"hairpin",		"translated twice, internal to internal (RFC 4787 REQ-9)") \
	X(CGN_NEIGHBOUR_UNKNOWN,	"neighbour-unknown",	"translated and given to the kernel, which resolves the next hop") \
	X(CGN_FRAGMENTED,		"fragmented",		"translated and given to the kernel, which cuts it: larger than the egress MTU, and may be cut") \
	X(CGN_HELD,			"held",			"follow-on fragment before its first one: kept, and counted once more when it goes on or is dropped") \
	X(CGN_LOCAL,			"local",		"for this box: given to the kernel as it came") \
	X(CGN_FORWARDING_OFF,		"forwarding-off",	"IPv4 forwarding is off on the interface: given to the kernel, which keeps only what is local") \
	X(CGN_UNTOUCHED,		"untouched",		"of an interface with `side: none`: given to the kernel as it came") \
	X(CGN_CONTROL,			"control",		"ARP, neighbour discovery, link control: given to the kernel") \
	X(CGN_DROP_SHORT,		"drop-short",		"ends inside a header") \
	X(CGN_DROP_VLAN,		"drop-vlan",		"its VLAN tags, or their absence, are those of no interface of the configuration") \
	X(CGN_DROP_NOT_IP,		"drop-not-ip",		"neither IP nor ARP") \
	X(CGN_DROP_IPV6,		"drop-ipv6",		"IPv6 to forward: not translated here") \
	X(CGN_DROP_IP_HEADER,		"drop-ip-header",	"bad IPv4 version, header length or total length") \
	X(CGN_DROP_MARTIAN,		"drop-martian",		"source or destination address that must not be forwarded") \
	X(CGN_DROP_SPOOFED,		"drop-spoofed",		"inbound with the address of a subscriber as its source") \
	X(CGN_DROP_TTL,			"drop-ttl",		"time to live ended") \
	X(CGN_DROP_L4_HEADER,		"drop-l4-header",	"bad TCP, UDP or ICMP header") \
	X(CGN_DROP_PROTOCOL,		"drop-protocol",	"transport protocol without translation") \
	X(CGN_DROP_ICMP_TYPE,		"drop-icmp-type",	"ICMP neither echo nor a translatable error") \
	X(CGN_DROP_ICMP_INNER,		"drop-icmp-inner",	"ICMP error whose embedded packet cannot be read") \
	X(CGN_DROP_ICMP_NO_MAPPING,	"drop-icmp-no-mapping",	"ICMP error about no mapping") \
	X(CGN_DROP_FRAGMENT,		"drop-fragment",	"follow-on fragment whose first one is unknown, and did not come in time") \
	X(CGN_DROP_FRAGMENT_BAD,	"drop-fragment-bad",	"fragment that overlaps one before, is cut at an odd place, or ends beyond the longest packet") \
	X(CGN_DROP_NOT_SUBSCRIBER,	"drop-not-subscriber",	"source is no configured subscriber") \
	X(CGN_DROP_NO_MAPPING,		"drop-no-mapping",	"inbound to an external port without mapping") \
	X(CGN_DROP_NOT_OURS,		"drop-not-ours",	"inbound to an address that is neither ours nor local") \
	X(CGN_DROP_NOT_OPENING,		"drop-not-opening",	"outbound without mapping that may not open one (TCP without SYN, echo reply)") \
	X(CGN_DROP_FILTER,		"drop-filter",		"remote peer not permitted by the mapping's FILTER") \
	X(CGN_DROP_UNASKED,		"drop-unasked",		"inbound from whom the host did not write to (address-dependent filtering)") \
	X(CGN_DROP_QUOTA,		"drop-quota",		"subscriber at its quota") \
	X(CGN_DROP_EXHAUSTED,		"drop-exhausted",	"no free external port or block") \
	X(CGN_DROP_TABLE_FULL,		"drop-table-full",	"a map is full") \
	X(CGN_DROP_RACE,		"drop-race",		"state changed under the packet more often than it retries") \
	X(CGN_DROP_NO_ROUTE,		"drop-no-route",	"no route, or route refused") \
	X(CGN_DROP_NO_EGRESS,		"drop-no-egress",	"route leaves by an interface of the wrong side, or there is no room for its VLAN tags") \
	X(CGN_DROP_TOO_BIG,		"drop-too-big",		"larger than the egress MTU, and may not be cut (DF)") \
	X(CGN_DROP_NOT_READY,		"drop-not-ready",	"settings not yet written") \
	/* what xcgn sends itself: counted beside the verdict of the packet that it is about */ \
	X(CGN_REPORT_TTL,		"report-ttl",		"ICMP time exceeded sent about a drop-ttl") \
	X(CGN_REPORT_TOO_BIG,		"report-too-big",	"ICMP fragmentation needed sent about a drop-too-big") \
	X(CGN_REPORT_UNREACHABLE,	"report-unreachable",	"ICMP host unreachable sent about a drop-quota or drop-exhausted") \
	X(CGN_REPORT_WITHHELD,		"report-withheld",	"ICMP error not sent: over its rate, or no address of ours to send it from")

#define CGN_VERDICT_SYMBOL(symbol, name, text) symbol,
enum cgn_verdict { CGN_VERDICTS(CGN_VERDICT_SYMBOL) CGN_VERDICT_COUNT, CGN_NEXT = -1 };

struct cgn_count { __u64 packets, bytes; };	/* value of `stats`, per CPU, key: cgn_verdict */

/* ---- requests to the control programs ---- */

enum cgn_status {		/* result of a control program; not a verdict, not a PCP result */
	CGN_OK,
	CGN_NOT_FOUND,		/* nothing to delete or renew */
	CGN_NONCE_MISMATCH,	/* lifetime_s: what remains of the mapping */
	CGN_NOT_ALLOWED,	/* internal address is no subscriber; deletion of a static, implicit or PEER mapping */
	CGN_QUOTA,		/* subscriber at its limit of explicit mappings, ports or blocks */
	CGN_EXHAUSTED,		/* no free external port or block */
	CGN_TABLE_FULL,		/* a map is full */
	CGN_CANNOT_PROVIDE,	/* PREFER_FAILURE, and the suggested endpoint is not to be had */
	CGN_BUSY,		/* lost a race too often: try again */
	CGN_BAD_REQUEST,	/* protocol without mapping, index out of range */
	CGN_FILTERS_EXCEEDED,	/* more filters than filter_limit */
	CGN_STATUS_COUNT,
};

enum cgn_nonce_policy { CGN_NONCE_STRICT, CGN_NONCE_SAME_SOURCE, CGN_NONCE_OFF };

enum cgn_request_flag {
	CGN_PREFER_FAILURE = 1 << 0,
	CGN_RESTORE = 1 << 1,	/* was granted before a reboot: the suggested endpoint or nothing, whatever rest times and quotas say */
	CGN_CLEAR_FILTERS = 1 << 2,	/* before those of this request are added */
	CGN_RENEW_ONLY = 1 << 4,	/* PORT_SET: make nothing that is not there */
	CGN_KEEP_PARITY = 1 << 3,	/* PORT_SET: first external port as odd or even as the first internal one */
};

/* Control programs read and write their request as the context of BPF_PROG_RUN; this is that of control_peer(), control_set()
 * and control_delete(), and what control_map() is asked in `requests`. `out` fields are defined for CGN_OK only, except where said. */
struct cgn_map_request {
	struct cgn_internal internal;
	struct cgn_external suggested;	/* address 0.0.0.0 or port 0: no wish */
	__u8 nonce[CGN_NONCE_LEN];
	__u32 lifetime_s;		/* in: granted; out: remaining. With CGN_NONCE_MISMATCH: remaining of the other's */
	__u8 client6[16];
	__u16 client_port;
	__u8 origin;			/* CGN_MAP, CGN_PEER or CGN_STATIC. No client may delete a PEER (RFC 6887 section 12.3): control_delete()
					 * of one is the daemon's, for what it granted and could not answer */
	__u8 nonce_policy;		/* cgn_nonce_policy */
	__u32 flags;			/* cgn_request_flag */
	__u32 status;			/* out: cgn_status */
	struct cgn_external external;	/* out: assigned */
	__u32 created;			/* out: 1 = a new explicit mapping, 0 = renewed */
	__u8 remote6[16];		/* PEER: IPv4-mapped, else zero */
	__u16 remote_port;		/* PEER */
	__u8 filter_count;		/* MAP: so many stand in map `filter_batch` */
	__u8 filter_limit;		/* MAP: most that a mapping may have, at most CGN_FILTERS_MAX */
	__u16 set_size;			/* control_set() in: ports wanted. Out, of all that MAP asks: ports of the set that the mapping is of, 0 or
					 * 1 = none. In with CGN_RESTORE: the same */
	__u16 set_first;		/* out: first internal port of that set */
};
CGN_ASSERT_SIZE(struct cgn_map_request, 112);

/* Of control_map(): `count` requests stand in map `requests` from `first` on, and are answered there, in their order and each as if it
 * were asked alone. One of them at most has filters. */
struct cgn_many_request {
	__u32 first;
	__u32 count;			/* at most CGN_REQUESTS_MAX */
};

/* In and out of control_reap(): `count` slots stand in map `batch`. */
struct cgn_reap_request {
	__u32 count;			/* at most CGN_BATCH_MAX */
	__u32 deleted;			/* out: mappings deleted */
	__u32 kept;			/* out: alive after all, their slots' deadlines corrected */
	__u32 demoted;			/* out: explicit lifetime ended, lives on by a longer one or as implicit */
	__u32 busy;			/* out: try again */
	__u32 reserved;
};

/* In and out of control_clear(): `count` slots stand in map `batch`. */
struct cgn_clear_request {
	__u32 count;			/* at most CGN_BATCH_MAX */
	__u32 origins;			/* in: what shall end (cgn_mapping_flag). Explicit without CGN_IMPLICIT: what has traffic lives on by it */
	__u32 ended;			/* out: mappings ended */
	__u32 demoted;			/* out: mappings that live on by another part, or by their traffic */
	__u32 explicit_ended;		/* out: MAPs and PEERs ended */
	__u32 kept;			/* out: none of `origins`, or static, or gone already */
	__u32 busy;			/* out: try again */
	__u32 reserved;
};

/* In and out of control_move(): one port block and the explicit mappings in it go from one subscriber to another. */
struct cgn_move_request {
	struct cgn_subscriber_key from, to;
	__u32 position;			/* of the block in the list of `from` */
	__u32 status;			/* out: CGN_OK; CGN_NOT_FOUND (no block there), CGN_CANNOT_PROVIDE (conflicts: `to` has a mapping of
					 * the same internal endpoint), CGN_QUOTA (`to` can have no more blocks), CGN_NOT_ALLOWED (`to` is no
					 * subscriber, or the ports of either are computed), CGN_TABLE_FULL, CGN_BUSY: then nothing changed */
	__u32 moved;			/* out: explicit mappings that went */
	__u32 parts;			/* out: MAPs and PEERs of those */
	__u32 ended;			/* out: implicit mappings ended */
	__u32 lost;			/* out: explicit mappings for which a table had no room */
	__u32 conflicts;		/* out, with CGN_CANNOT_PROVIDE */
	__u32 reserved;
};

/* In and out of control_release(): give back the empty blocks of one subscriber, and its entry once it has none. */
struct cgn_release_request {
	struct cgn_subscriber_key subscriber;
	__u32 released;			/* out: blocks given back */
	__u32 gone;			/* out: 1 = the subscriber's entry was deleted */
	__u32 status;			/* out: CGN_OK, CGN_NOT_FOUND */
	__u32 reserved;
};

/* In and out of control_list(): fills map `batch` with the slots of one subscriber that have any of `origins`.
 * Unsorted between blocks, ascending within one block and protocol. */
struct cgn_list_request {
	struct cgn_subscriber_key subscriber;
	__u32 origins;			/* cgn_mapping_flag */
	__u32 next;			/* in: 0 at first; out: pass it again, 0 = complete */
	__u32 count;			/* out: slots in `batch` */
	__u32 status;			/* out: CGN_OK, CGN_NOT_FOUND */
};

/* In and out of control_describe(): text of an explicit mapping that exists; length 0 removes it. */
struct cgn_describe_request {
	struct cgn_explicit_key key;	/* a PEER's ordinal is found by its remote peer */
	struct cgn_description description;
	__u8 remote6[16];		/* PEER: IPv4-mapped, else zero */
	__u16 remote_port;		/* PEER */
	__u16 reserved;
	__u32 status;			/* out: CGN_OK, CGN_NOT_FOUND (no such mapping), CGN_TABLE_FULL */
};

/* In and out of control_pair(): the external address of a subscriber, chosen now if it has none yet. */
struct cgn_pair_request {
	struct cgn_subscriber_key subscriber;
	__u8 addr4[4];			/* out */
	__u32 status;			/* out: CGN_OK, CGN_NOT_ALLOWED, CGN_QUOTA, CGN_EXHAUSTED, CGN_TABLE_FULL, CGN_BUSY */
};

/* In and out of control_own(): a port block that is known from before a reboot, when explicit mappings stand again. */
struct cgn_own_request {
	struct cgn_subscriber_key owner;
	__u8 addr4[4];			/* external */
	__u16 first_port;
	__u8 block_shift;
	__u8 is_released;		/* 1: it was given back at released_s, and only rests */
	__u32 released_s;		/* modulo 2^32: may be before this boot */
	__u32 status;			/* out: CGN_OK; CGN_NOT_FOUND: there is no such block any more; CGN_CANNOT_PROVIDE: it has another
					 * owner by now; CGN_QUOTA, CGN_BUSY: it rests */
};
CGN_ASSERT_SIZE(struct cgn_own_request, 40);

/* In and out of control_drain(): `count` external addresses from index `first` on take a state. */
struct cgn_drain_request {
	__u32 first, count;
	__u32 state;			/* cgn_pool_state */
	__u32 changed;			/* out: that had another one */
};

/* In and out of control_pool(): one entry of `pools` begins, changes hands between pools of the configuration, or ends. */
struct cgn_pool_request {
	__u32 action;			/* cgn_pool_action */
	__u32 index;			/* in `pools` */
	__u32 status;			/* out: CGN_OK; CGN_BUSY: the entry, or a block of it, is in use: then nothing changed */
	__u32 state;			/* CGN_POOL_ENTER, CGN_POOL_STATE: cgn_pool_state */
	__u32 pool;			/* the same: its entry of the configuration's `pools`, or CGN_POOL_NONE */
	__u8 addr4[4];			/* CGN_POOL_ENTER, and what follows */
	__u32 first_block, block_count, first_port, block_shift;
	__u16 each, planned;		/* CGN_POOL_ENTER, CGN_POOL_STATE */
};
CGN_ASSERT_SIZE(struct cgn_pool_request, 44);

enum cgn_pool_action {
	CGN_POOL_ENTER,			/* an entry that is free becomes this address */
	CGN_POOL_STATE,			/* other state, pool, plan; nothing else */
	CGN_POOL_REMOVE,		/* one that is CGN_POOL_LEAVING and has no block in use but empty ones of the operator becomes free */
};

/* In and out of control_clock(), and what control_reroute() takes and leaves. */
struct cgn_clock_request {
	__u64 jiffies;			/* out: bpf_jiffies64() */
	__u64 now_ns;			/* out: bpf_ktime_get_ns() */
	__u32 now_s;			/* out: what the programs take for now */
	__u32 reserved;
};

/* ---- events: records of the ring buffer `events` ---- */

enum cgn_event_type { CGN_EVENT_BLOCK_ALLOCATED, CGN_EVENT_BLOCK_RELEASED, CGN_EVENT_EXHAUSTED, CGN_EVENT_QUOTA, CGN_EVENT_TYPES };

struct cgn_event {
	__u32 type;		/* cgn_event_type */
	__u32 time_s;
	struct cgn_subscriber_key subscriber;
	__u8 addr4[4];
	__u16 first_port, last_port;
	__u32 block, generation;
};
CGN_ASSERT_SIZE(struct cgn_event, 48);

#endif
