/* SPDX-License-Identifier: GPL-2.0-only */
/* Subscribers: made by their first packet or request, paired with one external address (RFC 6888 REQ-2), limited by the
 * configuration's rules (RFC 6888 REQ-4). An element lives on while a program may still hold a pointer to it: it is marked idle,
 * and deleted only a while later, when every program that found it unmarked has long ended. */
#ifndef CGN_SUBSCRIBER_BPF_H
#define CGN_SUBSCRIBER_BPF_H
#include "maps.bpf.h"
#include "endpoint.h"
#include "event.bpf.h"

/* Which rule an address is a subscriber by; first match wins. Negative: none. */
__noinline int subscriber_rule(__u32 address)
{
	struct cgn_settings *settings = map_settings();
	__u32 i;

	for (i = 0; settings && i < CGN_PREFIXES_MAX && i < settings->rule_count; i++)
		if ((address & settings->rule[i].mask) == settings->rule[i].network)
			return (int)i;
	return -1;
}

/* For every packet: most addresses differ from any subscriber's in their first octet. */
static __always_inline bool address_is_subscriber(const struct cgn_settings *settings, __u32 address)
{
	return settings->rule_octets[address >> 29] >> (address >> 24 & 31) & 1 && subscriber_rule(address) >= 0;
}

/* Makes the entry, or takes the limits from the rules as they are now: they may have been reloaded. */
__noinline int subscriber_apply_rule(struct cgn_subscriber_key *key)
{
	struct cgn_settings *settings = map_settings();
	struct cgn_subscriber *template, *subscriber;
	int rule;

	if (!key || !settings)
		return CGN_BAD_REQUEST;
	rule = subscriber_rule(bpf_ntohl(load_u32(key->addr4)));
	template = bpf_map_lookup_elem(&templates, &rule);	/* none by a number below 0 */
	if (!template)
		return CGN_NOT_ALLOWED;
	subscriber = map_subscriber(key);
	if (!subscriber) {	/* losing to another CPU is fine: the caller looks it up again */
		bpf_map_update_elem(&subscribers, key, template, BPF_NOEXIST);
		subscriber = map_subscriber(key);
		if (!subscriber)
			return CGN_TABLE_FULL;
		subscriber->created_s = clock_now_s();
		return CGN_OK;
	}
	subscriber->blocks_limit = template->blocks_limit;
	subscriber->explicit_limit = template->explicit_limit;
	subscriber->reserve = template->reserve;
	subscriber->rules = template->rules;
	return CGN_OK;
}

/* Makes the entry on first use. NULL with a status: CGN_NOT_ALLOWED, CGN_TABLE_FULL, CGN_BUSY (just being deleted). */
static __always_inline struct cgn_subscriber *
subscriber_get(struct cgn_subscriber_key *key, int *status)
{
	struct cgn_subscriber *subscriber = map_subscriber(key);

	if (!subscriber) {
		*status = subscriber_apply_rule(key);
		if (*status != CGN_OK)
			return NULL;
		subscriber = map_subscriber(key);
		if (!subscriber) {
			*status = CGN_TABLE_FULL;
			return NULL;
		}
	}
	if (cgn_read_once(subscriber->state) != CGN_SUBSCRIBER_LIVE &&
	    __sync_val_compare_and_swap(&subscriber->state, CGN_SUBSCRIBER_IDLE, CGN_SUBSCRIBER_LIVE) == CGN_SUBSCRIBER_GONE) {
		*status = CGN_BUSY;
		return NULL;
	}
	return subscriber;
}

/* The same for a new mapping: whom a reload took from the configuration gets none any more, what he has lives on. */
static __always_inline struct cgn_subscriber *
subscriber_admit(const struct cgn_settings *settings, struct cgn_subscriber_key *key, int *status)
{
	struct cgn_subscriber *subscriber = subscriber_get(key, status);

	if (!subscriber || subscriber->rules == settings->rules)
		return subscriber;
	*status = subscriber_apply_rule(key);
	return *status == CGN_OK ? subscriber : NULL;
}

struct port_count {
	struct cgn_subscriber_key key;
	__u32 index, count;
};

static __always_inline __u32 bits_in(__u64 word)
{
	word -= word >> 1 & 0x5555555555555555;
	word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
	return (__u32)(((word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f) * 0x0101010101010101 >> 56);
}

static long port_count_step(__u32 position, struct port_count *ports)
{
	struct cgn_subscriber *subscriber = map_subscriber(&ports->key);
	__u32 index = ports->index, number, word;
	struct cgn_block *block;

	cgn_forget(index);
	cgn_forget(position);
	if (!subscriber || position >= CGN_SUBSCRIBER_BLOCKS_MAX || index >= CGN_PROTOCOLS)
		return 1;
	number = cgn_read_once(subscriber->block[position]);
	block = number ? map_block(number - 1) : NULL;
	for (word = 0; block && word < CGN_BLOCK_WORDS; word++)
		ports->count += bits_in(block->explicit_ports[index][word]);
	return 0;
}

/* Ports of one protocol that explicit mappings have: asked for only where the quota is nearly used up. */
__noinline int subscriber_explicit_ports(struct cgn_subscriber_key *key, __u32 index)
{
	struct port_count ports = {};

	if (!key)
		return 0;
	ports.key = *key;
	ports.index = index;
	bpf_loop(CGN_SUBSCRIBER_BLOCKS_MAX, port_count_step, &ports, 0);
	return (int)ports.count;
}

/* One more mapping of a protocol. Packets leave the reserve to explicit mappings of that protocol; those already made stand for
 * their part of it. */
static __always_inline bool subscriber_take_port(struct cgn_subscriber *subscriber, struct cgn_subscriber_key *key, __u32 index,
						 bool is_implicit)
{
	__u32 limit = subscriber->port_limit;
	__u32 reserve = subscriber->reserve, made;
	__u32 *used;

	cgn_forget(index);
	if (index >= CGN_PROTOCOLS)
		return false;
	used = &subscriber->used[index];
	if (is_implicit) {
		if (reserve && cgn_read_once(*used) + reserve >= limit) {
			made = (__u32)subscriber_explicit_ports(key, index);
			reserve -= reserve < made ? reserve : made;
		}
		limit -= reserve < limit ? reserve : limit;
	}
	if (__sync_fetch_and_add(used, 1) < limit)
		return true;
	__sync_fetch_and_add(used, -1);
	return false;
}

/* One more, whatever the limit. */
static __always_inline void subscriber_add_port(struct cgn_subscriber *subscriber, __u32 index)
{
	cgn_forget(index);
	if (index < CGN_PROTOCOLS)
		__sync_fetch_and_add(&subscriber->used[index], 1);
}

static __always_inline void subscriber_give_port(struct cgn_subscriber *subscriber, __u32 index)
{
	cgn_forget(index);
	if (index < CGN_PROTOCOLS)
		__sync_fetch_and_add(&subscriber->used[index], -1);
}

static __always_inline bool subscriber_take_explicit(struct cgn_subscriber *subscriber)
{
	if (__sync_fetch_and_add(&subscriber->explicit_used, 1) < subscriber->explicit_limit)
		return true;
	__sync_fetch_and_add(&subscriber->explicit_used, -1);
	return false;
}

static __always_inline void subscriber_give_explicit(struct cgn_subscriber *subscriber)
{
	__sync_fetch_and_add(&subscriber->explicit_used, -1);
}

#endif
