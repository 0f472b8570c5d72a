/* SPDX-License-Identifier: GPL-2.0-only */
/* Address-dependent filtering (RFC 4787 REQ-8, RFC 5382 REQ-3; RFC 6888 REQ-7 prefers the other): whom an internal endpoint wrote to may
 * write back, from any port. Only a configuration that asks for it has this table, and looks here.
 *
 * The sessions of a port block stand in a part of `sessions` of its own, a few for each port of it and shared among them, in lines that
 * are found by port and remote peer. So a subscriber fills no more than his own; in a line that is full the one that was used
 * longest ago gives way. Nothing has to be removed: a session counts while it is younger than the idle time of its protocol, and for
 * the mapping whose generation it has. */
#ifndef CGN_SESSION_BPF_H
#define CGN_SESSION_BPF_H
#include "maps.bpf.h"
#include "clock.bpf.h"
#include "endpoint.h"

#define SESSION_RETRIES 3
#define SESSION_CLOCK_MASK ((1u << CGN_SESSION_CLOCK_BITS) - 1)

static __always_inline __u32 session_clock(void)
{
	return (clock_now_s() / CGN_SESSION_UNIT_S) & SESSION_CLOCK_MASK;
}

static __always_inline __u32 session_age(union cgn_session session, __u32 now)
{
	return (now - session.seen) & SESSION_CLOCK_MASK;
}

/* Is it the same but for its time? */
static __always_inline bool session_is(union cgn_session session, union cgn_session wanted)
{
	session.seen = wanted.seen;
	return session.word == wanted.word;
}

/* The line of a port and a remote peer, and how the session stands there. NULL: no such port. */
static __always_inline struct cgn_session_line *session_find(__u32 slot_index, __u32 generation, __u32 remote_be, union cgn_session *ret_session)
{
	struct cgn_pool *pool = map_pool(CGN_SLOT_ADDRESS(slot_index));
	__u32 port = CGN_SLOT_PORT(slot_index), size, offset, line;
	__u64 hash;

	if (!pool || port < pool->first_port)
		return NULL;
	size = 1u << (pool->block_shift & 15);
	offset = (port - pool->first_port) & (size - 1);
	ret_session->word = 0;
	store_u32(ret_session->remote4, remote_be);
	ret_session->port = offset;
	ret_session->protocol = CGN_SLOT_PROTOCOL(slot_index) + 1;	/* so that no session is 0 */
	ret_session->generation = generation & 0xff;
	hash = ((__u64)bpf_ntohl(remote_be) << 16 | offset << 2 | ret_session->protocol) * 0x9e3779b97f4a7c15ull;
	line = (__u32)((hash >> 32) * CGN_SESSION_LINES(size) >> 32);	/* by the upper bits, which depend on all of the key */
	line += CGN_SESSION_LINE(CGN_SLOT_ADDRESS(slot_index), port - offset);
	return bpf_map_lookup_elem(&sessions, &line);
}

/* A packet goes out to a remote peer. Also when the mapping's filters are those of PCP: they may end before it does. */
__noinline int session_enter(struct cgn_internal *internal, __u32 remote_be)
{
	struct cgn_mapping *mapping;
	struct cgn_session_line *line;
	union cgn_session wanted, seen, oldest;
	__u32 slot, generation, now = session_clock(), place, first, i, try;

	if (!internal)
		return 0;
	mapping = map_mapping(internal);
	if (!mapping)
		return 0;
	slot = mapping->slot;
	generation = mapping->state.generation;
	cgn_barrier();
	if (cgn_read_once(mapping->tag) != cgn_tag(internal))
		return 0;
	line = session_find(slot, generation, remote_be, &wanted);
	if (!line)
		return 0;
	wanted.seen = now;
	for (try = 0; try < SESSION_RETRIES; try++) {
		for (i = 0; i < CGN_SESSION_WAYS; i++) {
			seen.word = cgn_read_once(line->session[i].word);
			if (!session_is(seen, wanted))
				continue;
			if (seen.seen != now)
				__sync_val_compare_and_swap(&line->session[i].word, seen.word, wanted.word);
			return 0;
		}
		first = bpf_get_prandom_u32();	/* of some that are equally old any one gives way */
		place = first & (CGN_SESSION_WAYS - 1);
		oldest.word = cgn_read_once(line->session[place].word);
		for (i = 1; i < CGN_SESSION_WAYS && oldest.word; i++) {
			seen.word = cgn_read_once(line->session[(first + i) & (CGN_SESSION_WAYS - 1)].word);
			if (!seen.word || session_age(seen, now) > session_age(oldest, now)) {
				oldest = seen;
				place = (first + i) & (CGN_SESSION_WAYS - 1);
			}
		}
		if (__sync_val_compare_and_swap(&line->session[place].word, oldest.word, wanted.word) == oldest.word)
			return 0;
	}
	return 0;	/* other CPUs were faster: the next packet enters it */
}

static __always_inline __u32 session_idle_s(const struct cgn_settings *settings, __u32 slot_index)
{
	__u32 index = CGN_SLOT_PROTOCOL(slot_index);

	return index == CGN_UDP ? settings->udp_s : index == CGN_TCP ? settings->tcp_established_s : settings->icmp_s;
}

/* CGN_NEXT, or CGN_DROP_UNASKED. PEER names its remote peer before any packet does (RFC 6887 section 12). */
__noinline int session_peer_verdict(struct cgn_internal *internal, __u32 remote_be)
{
	struct cgn_explicit_key key = {};
	struct cgn_mapping *mapping;
	struct cgn_explicit *part;
	__u32 ordinal;

	mapping = internal ? map_mapping(internal) : NULL;
	if (!mapping)
		return CGN_DROP_UNASKED;
	key.internal = *internal;
	key.opcode = CGN_PEER;
	for (ordinal = 0; ordinal < CGN_PEERS_MAX; ordinal++) {
		if (!(mapping->peers >> ordinal & 1))
			continue;
		key.ordinal = (__u8)ordinal;
		part = bpf_map_lookup_elem(&explicit, &key);
		if (part && load_u32(part->remote4) == remote_be && part->generation == mapping->state.generation)
			return CGN_NEXT;
	}
	return CGN_DROP_UNASKED;
}

/* CGN_NEXT, or CGN_DROP_UNASKED. */
__noinline int session_verdict(__u32 slot_index, __u32 generation, __u32 remote_be)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_session_line *line;
	union cgn_session wanted, seen;
	__u32 now = session_clock(), i;

	if (!settings)
		return CGN_DROP_UNASKED;
	line = session_find(slot_index, generation, remote_be, &wanted);
	for (i = 0; line && i < CGN_SESSION_WAYS; i++) {
		seen.word = cgn_read_once(line->session[i].word);
		wanted.seen = seen.seen;
		/* the time before this session was seen again may be one unit and what the clock cuts off */
		if (seen.word == wanted.word && session_age(seen, now) * CGN_SESSION_UNIT_S <= session_idle_s(settings, slot_index) + CGN_SESSION_UNIT_S)
			return CGN_NEXT;
	}
	return CGN_DROP_UNASKED;
}

#endif
