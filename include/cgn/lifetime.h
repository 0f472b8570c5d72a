/* SPDX-License-Identifier: GPL-2.0-only */
/* When a mapping ends: the rule by which the programs expire it and the tools say what remains of it. Pure functions of the
 * layouts; times in seconds of the boot clock. The includer has IPPROTO_* (from either family of headers, which do not mix). */
#ifndef CGN_LIFETIME_H
#define CGN_LIFETIME_H
#include "cgn/abi.h"

/* Closed by both sides, or reset. */
static __always_inline int remote_is_over(const struct cgn_remote *remote)
{
	return remote->tcp & CGN_TCP_RST ||
	       (remote->tcp & (CGN_TCP_FIN_OUT | CGN_TCP_FIN_IN)) == (CGN_TCP_FIN_OUT | CGN_TCP_FIN_IN);
}

static __always_inline int remote_is_established(const struct cgn_remote *remote)
{
	const __u8 handshake = CGN_TCP_SYN_OUT | CGN_TCP_SYN_IN | CGN_TCP_DATA_OUT;

	return (remote->tcp & handshake) == handshake && !remote_is_over(remote);
}

/* TCP: does any of its connections stand, as far as was seen? */
static __always_inline int mapping_is_established(const struct cgn_mapping *mapping)
{
	return mapping->state.flags & CGN_MANY_PEERS || remote_is_established(&mapping->remote[0]) ||
	       remote_is_established(&mapping->remote[1]);
}

/* TCP without an established connection: by those that are opening or closing, whichever lets it live longer. */
static __always_inline __u32 mapping_transitory_s(const struct cgn_settings *settings, const struct cgn_mapping *mapping)
{
	int is_closing = remote_is_over(&mapping->remote[0]) || remote_is_over(&mapping->remote[1]);
	int is_opening = (mapping->remote[0].port && !remote_is_over(&mapping->remote[0])) ||
			 (mapping->remote[1].port && !remote_is_over(&mapping->remote[1]));

	if (is_closing && (!is_opening || settings->tcp_closing_s > settings->tcp_opening_s))
		return settings->tcp_closing_s;
	return settings->tcp_opening_s;
}

/* How long the mapping lives without an outbound packet (RFC 4787 REQ-5, RFC 5382 REQ-5, RFC 5508 REQ-2). */
static __always_inline __u32 mapping_idle_s(const struct cgn_settings *settings, const struct cgn_mapping *mapping)
{
	if (mapping->external.protocol == IPPROTO_UDP)
		return settings->udp_s;
	if (mapping->external.protocol == IPPROTO_ICMP)
		return settings->icmp_s;
	return mapping_is_established(mapping) ? settings->tcp_established_s : mapping_transitory_s(settings, mapping);
}

/* How far its stamp may lag behind its packets. */
static __always_inline __u32 mapping_lag_s(const struct cgn_settings *settings, const struct cgn_mapping *mapping)
{
	if (mapping->external.protocol == IPPROTO_UDP)
		return settings->cache_clock[CGN_UDP].lag_s;
	return settings->cache_clock[mapping->external.protocol == IPPROTO_ICMP ? CGN_ICMP : CGN_TCP].lag_s;
}

/* The end of the explicit lifetime, else of the idle time. */
static __always_inline __u32 mapping_deadline_s(const struct cgn_settings *settings, const struct cgn_mapping *mapping)
{
	if (mapping->state.flags & CGN_EXPLICIT)
		return mapping->expires_s;
	return mapping->state.last_outbound_s + mapping_idle_s(settings, mapping);
}

/* The first second in which it is idle for all of the idle time: its last packet came somewhere inside the second of its stamp, or
 * up to the cache's lag after that. */
static __always_inline __u32 mapping_idle_over_s(const struct cgn_settings *settings, const struct cgn_mapping *mapping)
{
	return mapping->state.last_outbound_s + mapping_idle_s(settings, mapping) + mapping_lag_s(settings, mapping) + 1;
}

/* The first second in which the reaper may end it: a second after the deadline, which was reckoned from inside a second. */
static __always_inline __u32 mapping_reap_s(const struct cgn_settings *settings, const struct cgn_mapping *mapping)
{
	if (!(mapping->state.flags & CGN_EXPLICIT))
		return mapping_idle_over_s(settings, mapping);
	return mapping->expires_s == CGN_FOREVER ? CGN_FOREVER : mapping->expires_s + 1;
}

#endif
