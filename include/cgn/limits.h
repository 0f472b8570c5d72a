/* SPDX-License-Identifier: GPL-2.0-only */
/* Sizes and protocol constants. A number that both sides of the map boundary must agree on stands here and nowhere else. */
#ifndef CGN_LIMITS_H
#define CGN_LIMITS_H

/* External addresses */
#define CGN_ADDRESSES_MAX	4096	/* external addresses of all pools together */
#define CGN_PLANS_MAX		64	/* runs of subscribers whose ports are computed */
#define CGN_RANGES_MAX		32	/* contiguous runs of external addresses */
#define CGN_PORTS_PER_ADDRESS	65536	/* slots of one address and protocol */
#define CGN_PROTOCOLS		3	/* enum cgn_protocol_index */

/* Port blocks (RFC 6888 REQ-14, RFC 7422): a power of two, so that a block never straddles a bitmap word */
#define CGN_BLOCK_SIZE_MIN	64
#define CGN_BLOCK_SIZE_MAX	1024
#define CGN_BLOCK_WORDS		(CGN_BLOCK_SIZE_MAX / 64)
#define CGN_BLOCKS_PER_ADDRESS	(CGN_PORTS_PER_ADDRESS / CGN_BLOCK_SIZE_MIN)
#define CGN_POOL_WORDS		(CGN_BLOCKS_PER_ADDRESS / 64)
#define CGN_SUBSCRIBER_BLOCKS_MAX 32	/* most blocks one subscriber may own */

#define CGN_PREFIXES_MAX	64	/* subscribers.prefixes plus subscribers.overrides */
#define CGN_INTERFACES_MAX	64

/* Batches of the control programs */
#define CGN_BATCH_MAX		256
#define CGN_REQUESTS_MAX	64	/* asked in one run of a program */
#define CGN_REGIONS_MAX		16	/* threads that may ask for so many at once */

/* Lazy writes of the hot path */
#define CGN_STAMP_S		1	/* a mapping's activity is stamped at most this often */
/* The slot's deadline follows at most this often, because it costs a cold line. The reaper looks at the mapping itself before
 * it ends one, so idle times shorter than this hold too. */
#define CGN_SLOT_SYNC_S		30

/* The cache in front of `mappings`: entries of a line, bits of an entry that tell time at least, and the most that it may keep a
 * mapping from being stamped. TCP less: between two packets that are looked at, what the host acknowledged must not go too far */
#define CGN_CACHE_WAYS		8
#define CGN_CACHE_TIME_BITS	10
#define CGN_CACHE_S_MAX		32
#define CGN_CACHE_TCP_S_MAX	16

/* Address-dependent filtering: sessions kept for each external port, shared among the ports of a block; those of one line; and their
 * clock: it comes round after 4.5 hours, and a session that old and unused may count once more */
#define CGN_SESSIONS_PER_PORT	4
#define CGN_SESSION_WAYS	8
#define CGN_SESSION_UNIT_S	4
#define CGN_SESSION_CLOCK_BITS	12

/* RFC 6888 REQ-8: a freed external port rests before it serves somebody else */
#define CGN_REST_S		120	/* unless the configuration says another time */
/* How long a follow-on fragment may come after its first one (RFC 4787 REQ-14; RFC 6146 section 3.4: at least 2 s) */
#define CGN_FRAGMENT_S		15
#define CGN_FRAGMENTS_MAX	65536
/* Follow-on fragments before their first one: how long and how many the daemon keeps, of one sender and in all, and the longest
 * frame (what goes back into the kernel must fit into a page with its head room) */
#define CGN_HOLD_S		5
#define CGN_HELD_MAX		1024
#define CGN_HELD_SENDER_MAX	64
#define CGN_HELD_BYTES		2048
#define CGN_HOLD_BUCKETS	2048
#define CGN_HOLD_ALIVE_S	3	/* of a daemon that says nothing */
#define CGN_IDENTIFICATIONS	2048	/* counters that IP identifications are drawn from */

#define CGN_REPORT_BUCKETS	4096	/* rates of ICMP errors, half of them for each side */

/* RFC 6887 section 11.3: external UDP 5350 and 5351 are never mapped */
#define CGN_PCP_CLIENT_PORT	5350
#define CGN_PCP_SERVER_PORT	5351

#define CGN_NONCE_LEN		12
#define CGN_DESCRIPTION_MAX	254	/* bytes; RFC 7220 section 3 asks for 128 */

#define CGN_PEERS_MAX		16	/* PEERs of one mapping, each for another remote peer */
#define CGN_FILTERS_MAX		32	/* FILTERs of one mapping; the configuration may allow fewer */

#define CGN_FOREVER		0xffffffffu	/* an expiry that never comes: static mappings */

#endif
