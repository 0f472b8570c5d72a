/* SPDX-License-Identifier: GPL-2.0-only */
/* PORT_SET (RFC 7753): a run of internal ports mapped to a run of external ports. Each is a mapping like any other, so that packets
 * need to know nothing of sets; its explicit part says which set it is of. A set is renewed and ends as a whole. */
#ifndef CGN_CONTROL_SET_BPF_H
#define CGN_CONTROL_SET_BPF_H
#include "control.bpf.h"

#define SET_TRIES 4	/* a packet took a port of the run that was chosen */

struct set_run {
	struct cgn_subscriber_key owner;
	struct cgn_internal internal;	/* of the first port */
	__u32 index;			/* cgn_protocol_index */
	__u32 want;
	__u32 parity;			/* 0, 1, or 2 = any */
	__u32 block, offset, count;	/* found: `count` ports from `offset` on; 0: none */
	__u32 run;			/* scratch: ports of the run that ends here */
	__u32 size;			/* of that block */
	__u32 now_s, rest_s;
	__u32 is_exact;			/* only from `offset` on; resting ports are had by the internal endpoints that had them */
};

/* ---- finding a run ---- */

/* May this port of a block be part of a run? */
static __always_inline bool set_port_is_free(const struct set_run *run, const struct cgn_block *block, __u32 offset)
{
	__u32 index = run->index, word = (offset >> 6) & (CGN_BLOCK_WORDS - 1);
	struct cgn_internal internal = run->internal;
	const struct cgn_slot *slot;

	cgn_forget(index);
	if (index >= CGN_PROTOCOLS)
		return false;
	if ((block->used[index][word] | port_forbidden(index, block->first_port + word * 64)) >> (offset & 63) & 1)
		return false;
	slot = map_slot(CGN_SLOT(block->address, index, block->first_port + offset));
	if (!slot)
		return false;
	if (run->is_exact)
		internal.port += (__u16)(offset - run->offset);
	else
		internal.port = 0;
	return !slot_is_resting(slot, &internal, run->now_s, run->rest_s);
}

/* One port after the other; keeps the longest run, and stops at one that is long enough. */
static long set_search_step(__u32 step, struct set_run *run)
{
	const struct cgn_block *block = map_block(run->block);
	__u32 offset = run->is_exact ? run->offset + step : step;

	if (!block || offset >= CGN_BLOCK_SIZE_MAX)
		return 1;
	if (!set_port_is_free(run, block, offset)) {
		run->run = 0;
		return run->is_exact ? 1 : 0;
	}
	if (!run->run && run->parity < 2 && (offset & 1) != run->parity)
		return 0;
	run->run++;
	if (run->run > run->count) {
		run->count = run->run;
		if (!run->is_exact)
			run->offset = offset + 1 - run->run;
	}
	return run->count >= run->want ? 1 : 0;
}

/* The longest run of one block, at most `want`. */
__noinline int set_search_block(struct set_run *run, __u32 number)
{
	struct cgn_block *block = map_block(number);
	struct cgn_pool *pool = block ? map_pool(block->address) : NULL;
	struct set_run search;
	__u32 size;

	if (!run)
		return 0;
	run->block = number;
	run->count = run->run = 0;
	if (!pool || pool->state != CGN_POOL_ACTIVE)
		return 0;
	size = 1u << (pool->block_shift & 15);
	if (run->is_exact)
		size -= run->offset < size ? run->offset : size;
	run->size = size;
	search = *run;
	bpf_loop(size, set_search_step, &search, 0);
	run->count = search.count;
	run->offset = search.offset;
	return 0;
}

/* The longest run of the subscriber's blocks. */
__noinline int set_search(struct set_run *run)
{
	__u32 best_block = 0, best_offset = 0, best = 0, size = 0, number, i;
	struct cgn_subscriber *subscriber;

	if (!run)
		return 0;
	subscriber = map_subscriber(&run->owner);
	for (i = 0; subscriber && i < CGN_SUBSCRIBER_BLOCKS_MAX; i++) {
		number = cgn_read_once(subscriber->block[i]);
		if (!number)
			continue;
		set_search_block(run, number - 1);
		if (run->count > best) {
			best = run->count;
			best_block = number - 1;
			best_offset = run->offset;
			size = run->size;
		}
		if (best >= run->want)
			break;
	}
	run->block = best_block;
	run->offset = best_offset;
	run->count = best;
	run->size = size;
	return 0;
}

/* ---- claiming it ---- */

/* The bits of a run in one word of the bitmap. */
static __always_inline __u64 set_mask(const struct set_run *run, __u32 word)
{
	__u32 from = run->offset > word * 64 ? run->offset - word * 64 : 0;
	__u32 to = run->offset + run->count > word * 64 ? run->offset + run->count - word * 64 : 0;

	if (to > 64)
		to = 64;
	if (from >= to)
		return 0;
	return (to - from == 64 ? ~0ull : (1ull << ((to - from) & 63)) - 1) << (from & 63);
}

/* Clears them again, in the first `words` words. */
__noinline int set_unclaim(struct set_run *run, __u32 words)
{
	struct cgn_block *block;
	__u32 index, word;

	if (!run)
		return 0;
	block = map_block(run->block);
	index = run->index;
	cgn_forget(index);
	if (!block || index >= CGN_PROTOCOLS)
		return 0;
	for (word = 0; word < CGN_BLOCK_WORDS; word++) {
		if (word >= words)
			break;
		__sync_fetch_and_and(&block->used[index][word], ~set_mask(run, word));
	}
	return 0;
}

/* All or nothing: one atomic instruction for each word. */
__noinline int set_claim(struct set_run *run)
{
	__u32 index, word;
	struct cgn_block *block;
	__u64 mask, before;

	if (!run)
		return 0;
	block = map_block(run->block);
	index = run->index;
	cgn_forget(index);
	if (!block || index >= CGN_PROTOCOLS)
		return 0;
	for (word = 0; word < CGN_BLOCK_WORDS; word++) {
		mask = set_mask(run, word);
		if (!mask)
			continue;
		before = __sync_fetch_and_or(&block->used[index][word], mask);
		if (!(before & mask))
			continue;
		__sync_fetch_and_and(&block->used[index][word], ~(mask & ~before));
		set_unclaim(run, word);
		return 0;
	}
	if (cgn_read_once(block->state) == CGN_BLOCK_LIVE && subscriber_is_same(&block->owner, &run->owner))
		return 1;
	set_unclaim(run, CGN_BLOCK_WORDS);
	return 0;
}

/* The run that begins with the suggested port, if it is long enough. */
static __always_inline bool set_claim_suggested(const struct cgn_map_request *request, struct set_run *run)
{
	struct cgn_new first = {};
	struct cgn_block *block;
	struct cgn_pool *pool;
	__u32 port = request->suggested.port;

	if (!port || (run->parity < 2 && (port & 1) != run->parity))
		return false;
	first.internal = request->internal;
	first.suggested = request->suggested;
	first.origin = CGN_MAP;
	if (mapping_claim_suggested(&first, &run->owner) != CGN_OK)
		return false;
	mapping_release_port(first.slot);	/* it has got the block; the whole run is claimed at once */
	pool = map_pool(CGN_SLOT_ADDRESS(first.slot));
	if (!pool || port < pool->first_port)
		return false;
	run->is_exact = 1;
	run->offset = (port - pool->first_port) & ((1u << (pool->block_shift & 15)) - 1);
	set_search_block(run, pool->first_block + ((port - pool->first_port) >> (pool->block_shift & 15)));
	block = map_block(run->block);
	return block && run->count >= run->want && set_claim(run);
}

/* The suggested run, else the longest that the subscriber has or may get. */
__noinline int set_claim_run(struct cgn_map_request *request, struct set_run *run)
{
	__u32 tries;

	if (!request || !run)
		return CGN_BAD_REQUEST;
	if (set_claim_suggested(request, run))
		return CGN_OK;
	run->is_exact = 0;
	for (tries = 0; tries < SET_TRIES; tries++) {
		set_search(run);
		if (run->count < run->want && (!run->count || run->count < run->size) && subscriber_add_block(&run->owner, 0) == CGN_OK)
			set_search(run);
		if (!run->count)
			return CGN_EXHAUSTED;
		if (set_claim(run))
			return CGN_OK;
	}
	return CGN_BUSY;
}

/* ---- entering its mappings ---- */

/* One port of a claimed run, against both quotas. On any status but CGN_OK its bit is free again. */
__noinline int set_enter(struct cgn_map_request *request, __u32 slot)
{
	struct cgn_subscriber *subscriber;
	struct cgn_subscriber_key owner;
	struct cgn_explicit_key key;
	struct cgn_new new = {};
	int status;

	if (!request)
		return CGN_BAD_REQUEST;
	subscriber_from_internal(&owner, &request->internal);
	subscriber = map_subscriber(&owner);
	explicit_key(&key, &request->internal, CGN_MAP);
	new.slot = slot;
	new.internal = request->internal;
	new.origin = CGN_MAP | (request->filter_count ? CGN_FILTERED : 0);
	new.expires_s = clock_now_s() + request->lifetime_s;
	if (!subscriber || !subscriber_take_explicit(subscriber)) {
		mapping_release_port(slot);
		return CGN_QUOTA;
	}
	status = subscriber_take_port(subscriber, &owner, CGN_SLOT_PROTOCOL(slot), false) ? explicit_enter(request, &key) : CGN_QUOTA;
	if (status == CGN_OK) {
		status = filter_stage(request);
		if (status != CGN_OK)
			mapping_release_port(slot);
		else
			status = mapping_enter(&new);	/* gives the bit back itself */
		if (status == CGN_OK && new.existed)
			status = CGN_BUSY;
		if (status == CGN_OK) {
			explicit_place(&key, new.slot, new.generation);
			return CGN_OK;
		}
		if (request->filter_count)
			filter_forget(&request->internal);
		bpf_map_delete_elem(&explicit, &key);
		subscriber_give_port(subscriber, CGN_SLOT_PROTOCOL(slot));
	} else {
		if (status != CGN_QUOTA)
			subscriber_give_port(subscriber, CGN_SLOT_PROTOCOL(slot));
		mapping_release_port(slot);
	}
	subscriber_give_explicit(subscriber);
	return status;
}

struct set_walk {
	struct cgn_map_request request;	/* its internal endpoint is that of the first port */
	__u32 slot;			/* of the first port */
	__u32 count;			/* ports to walk */
	__u32 done;			/* of them */
	__u32 status;			/* of the one that ended the walk */
	__u16 set_first, set_size;
};

/* One request at a time: the stack has no room for it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct set_walk);
} set_scratch SEC(".maps");

static __always_inline struct set_walk *set_walk_find(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&set_scratch, &zero);
}

static long set_enter_step(__u32 step, void *unused)
{
	struct set_walk *walk = set_walk_find();
	__u16 first;

	if (!walk || step >= walk->count)
		return 1;
	first = walk->request.internal.port;
	walk->request.internal.port = (__u16)(first + step);
	walk->status = (__u32)set_enter(&walk->request, walk->slot + step);
	walk->request.internal.port = first;
	if (walk->status != CGN_OK)
		return 1;
	walk->done++;
	return 0;
}

/* Gives back the bits of a run behind those that were entered; the one that failed gave back its own. */
static long set_trim_step(__u32 step, void *unused)
{
	struct set_walk *walk = set_walk_find();

	if (!walk || walk->done + 1 + step >= walk->count)
		return 1;
	mapping_release_port(walk->slot + walk->done + 1 + step);
	return 0;
}

/* Tells the parts which set they are of. */
static long set_mark_step(__u32 step, void *unused)
{
	struct set_walk *walk = set_walk_find();
	struct cgn_explicit_key key;
	struct cgn_explicit *part;

	if (!walk || step >= walk->done)
		return 1;
	explicit_key(&key, &walk->request.internal, CGN_MAP);
	key.internal.port += (__u16)step;
	part = bpf_map_lookup_elem(&explicit, &key);
	if (part) {
		part->set_first = walk->set_first;
		part->set_size = walk->set_size;
		part->filtered = walk->request.filter_count != 0;
	}
	return 0;
}

/* ---- what is there ---- */

struct set_scan {
	struct cgn_internal internal;	/* first port of the request */
	__u32 count;
	__u32 unmapped;			/* ports from the first on that have no mapping at all */
	__u32 is_over;			/* `unmapped` has ended */
	__u32 takes_any;		/* in: also a single mapping behind the first port */
	__u16 first, size;		/* of the first set, or single mapping, that stands; size 0: none */
};

static long set_scan_step(__u32 step, struct set_scan *scan)
{
	struct cgn_explicit_key key;
	struct cgn_explicit *part;

	if (step >= scan->count)
		return 1;
	explicit_key(&key, &scan->internal, CGN_MAP);
	key.internal.port += (__u16)step;
	part = bpf_map_lookup_elem(&explicit, &key);
	if (part) {
		/* an answer could not say that a single one is not of the first port (section 4.2): what is before it is a set */
		if (part->set_size <= 1 && step && !scan->takes_any)
			return 1;
		scan->first = part->set_size > 1 ? part->set_first : key.internal.port;
		scan->size = part->set_size > 1 ? part->set_size : 1;
		return 1;
	}
	if (map_mapping(&key.internal))
		scan->is_over = 1;
	if (!scan->is_over)
		scan->unmapped++;
	return 0;
}

static long set_renew_step(__u32 step, void *unused)
{
	struct set_walk *walk = set_walk_find();
	struct cgn_explicit_key key;
	struct cgn_explicit *part;
	__u32 lifetime_s;
	__u16 first;

	if (!walk || step >= walk->count)
		return 1;
	first = walk->request.internal.port;
	lifetime_s = walk->request.lifetime_s;
	walk->request.internal.port = (__u16)(first + step);
	explicit_key(&key, &walk->request.internal, CGN_MAP);
	part = bpf_map_lookup_elem(&explicit, &key);
	if (part) {	/* one of them may have ended */
		walk->status = (__u32)control_renew(&walk->request, &key);
		if (walk->status == CGN_OK && filter_is_asked(&walk->request))
			part->filtered = walk->request.filter_count != 0;
		if (walk->status == CGN_OK && !walk->done)
			walk->slot = part->slot;
		walk->done += walk->status == CGN_OK;
	}
	walk->request.internal.port = first;
	if (walk->status != CGN_OK)
		return 1;
	walk->request.lifetime_s = lifetime_s;
	return 0;
}

static long set_delete_step(__u32 step, void *unused)
{
	struct set_walk *walk = set_walk_find();
	__u32 status;
	__u16 first;

	if (!walk || step >= walk->count)
		return 1;
	first = walk->request.internal.port;
	walk->request.internal.port = (__u16)(first + step);
	status = (__u32)control_delete_request(&walk->request);
	walk->request.internal.port = first;
	if (status == CGN_NOT_FOUND || status == CGN_NOT_ALLOWED)
		return 0;	/* ended before, and may be its traffic's by now */
	walk->status = status;
	if (status != CGN_OK)
		return 1;
	if (walk->request.lifetime_s > walk->slot)	/* the longest that remains of any */
		walk->slot = walk->request.lifetime_s;
	walk->done++;
	return 0;
}

/* ---- the request ---- */

static __always_inline void set_create(struct set_walk *walk, __u32 unmapped)
{
	struct cgn_map_request *request = &walk->request;
	struct cgn_subscriber *subscriber;
	struct cgn_settings *settings = map_settings();
	struct set_run run = {};
	struct cgn_block *block;
	int status;

	subscriber_from_internal(&run.owner, &request->internal);
	status = subscriber_apply_rule(&run.owner);
	subscriber = status == CGN_OK ? subscriber_get(&run.owner, &status) : NULL;
	walk->status = (__u32)status;
	if (!subscriber || !settings)
		return;
	run.internal = request->internal;
	run.index = (__u32)protocol_index(request->internal.protocol);
	run.want = subscriber->explicit_used < subscriber->explicit_limit ? subscriber->explicit_limit - subscriber->explicit_used : 0;
	if (run.want > unmapped)
		run.want = unmapped;
	run.parity = request->flags & CGN_KEEP_PARITY ? request->internal.port & 1 : 2;
	run.now_s = clock_now_s();
	run.rest_s = settings->rest_s;
	walk->status = run.want ? (__u32)set_claim_run(request, &run) : CGN_QUOTA;
	if (walk->status != CGN_OK) {
		__sync_fetch_and_add(walk->status == CGN_QUOTA ? &subscriber->refused_quota : &subscriber->refused_pool, 1);
		return;
	}
	block = map_block(run.block);
	if (!block)
		return;
	walk->slot = CGN_SLOT(block->address, run.index & 3, block->first_port + run.offset);
	walk->count = run.count;
	bpf_loop(CGN_BLOCK_SIZE_MAX, set_enter_step, NULL, 0);
	if (walk->done < walk->count)
		bpf_loop(CGN_BLOCK_SIZE_MAX, set_trim_step, NULL, 0);
	if (!walk->done)
		return;
	walk->status = CGN_OK;
	walk->set_first = walk->done > 1 ? request->internal.port : 0;
	walk->set_size = walk->done > 1 ? (__u16)walk->done : 0;
	bpf_loop(CGN_BLOCK_SIZE_MAX, set_mark_step, NULL, 0);
}

/* The request of a PORT_SET. What overlaps it is refreshed instead, the first set or single mapping of it: set_first and set_size
 * say which, and the rest is asked for with what follows it (section 4.4.1). CGN_NOT_FOUND: nothing stands there, and no set can be
 * made because the first port is mapped by its traffic: ask for that port alone. With lifetime 0 the first that overlaps ends. */
static __always_inline int set_decide(struct set_walk *walk)
{
	struct cgn_map_request *request = &walk->request;
	__u16 first = request->internal.port;
	struct set_scan scan = {};
	bool is_renewal;

	if (request->origin != CGN_MAP || protocol_index(request->internal.protocol) < 0 || !first || !request->set_size)
		return CGN_BAD_REQUEST;
	scan.internal = request->internal;
	scan.count = request->set_size < CGN_BLOCK_SIZE_MAX ? request->set_size : CGN_BLOCK_SIZE_MAX;
	if (scan.count > 0x10000u - first)
		scan.count = 0x10000u - first;
	scan.takes_any = !request->lifetime_s || request->flags & CGN_RENEW_ONLY;
	bpf_loop(CGN_BLOCK_SIZE_MAX, set_scan_step, &scan, 0);
	is_renewal = scan.size != 0;
	request->created = 0;
	if (is_renewal) {
		request->internal.port = scan.first;
		walk->count = scan.size;
		walk->set_first = scan.first;
		walk->set_size = scan.size;
		walk->slot = 0;
		if (request->lifetime_s)
			bpf_loop(CGN_BLOCK_SIZE_MAX, set_renew_step, NULL, 0);
		else
			bpf_loop(CGN_BLOCK_SIZE_MAX, set_delete_step, NULL, 0);
		if (!request->lifetime_s || walk->status != CGN_OK)
			return (int)walk->status;
	} else if (!request->lifetime_s || !scan.unmapped || request->flags & CGN_RENEW_ONLY) {
		return CGN_NOT_FOUND;
	} else {
		set_create(walk, scan.unmapped);
		request->created = walk->status == CGN_OK;
	}
	return (int)walk->status;
}

static __always_inline void control_set_request(struct set_walk *walk)
{
	struct cgn_map_request *request = &walk->request;
	__u32 lifetime_s = request->lifetime_s;
	struct cgn_pool *pool;
	int status = set_decide(walk);

	request->status = (__u32)status;
	if (status != CGN_OK)
		return;
	request->set_first = walk->set_first;
	request->set_size = walk->set_size;
	if (!lifetime_s) {
		request->lifetime_s = walk->slot;
		return;
	}
	request->lifetime_s = lifetime_s;
	pool = map_pool(CGN_SLOT_ADDRESS(walk->slot));
	if (pool)
		store_u32(request->external.addr4, load_u32(pool->addr4));
	request->external.port = CGN_SLOT_PORT(walk->slot);
	request->external.protocol = request->internal.protocol;
	request->external.realm = request->internal.realm;
}

#endif
