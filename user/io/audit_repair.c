/* SPDX-License-Identifier: GPL-2.0-only */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "audit_file.h"
#include "audit_repair.h"
#include "block_walk.h"
#include "dataplane.h"

int64_t audit_unix_s(uint32_t boot_s)
{
	struct timespec real, boot;
	int64_t base_ns;

	clock_gettime(CLOCK_MONOTONIC, &boot);
	clock_gettime(CLOCK_REALTIME, &real);
	base_ns = ((int64_t)real.tv_sec - boot.tv_sec) * 1000000000 + real.tv_nsec - boot.tv_nsec;
	return (base_ns + (int64_t)boot.tv_sec * 1000000000) / 1000000000 - (int32_t)((uint32_t)boot.tv_sec - boot_s);
}

void audit_name_subscriber(const struct cgn_subscriber_key *subscriber, char ret_text[48])
{
	static const uint8_t zero[16];

	if (subscriber->realm == CGN_OPERATOR_REALM)
		strcpy(ret_text, "static");
	else if (memcmp(subscriber->host6, zero, sizeof(zero)))
		inet_ntop(AF_INET6, subscriber->host6, ret_text, 48);
	else
		inet_ntop(AF_INET, subscriber->addr4, ret_text, 48);
}

/* A copy that no claim or release came into; false: one did, and its record is under way. */
static bool copy_block(const struct cgn_block *block, struct cgn_block *ret_copy)
{
	uint32_t state = __atomic_load_n(&block->state, __ATOMIC_ACQUIRE);
	size_t size = offsetof(struct cgn_block, used);

	if (state != CGN_BLOCK_LIVE && state != CGN_BLOCK_FREE)
		return false;
	memcpy(ret_copy, block, size);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&block->state, __ATOMIC_ACQUIRE) == state && ret_copy->state == state &&
	       __atomic_load_n(&block->generation, __ATOMIC_ACQUIRE) == ret_copy->generation;
}

struct repairing {
	struct audit_file *file;
	const struct cgn_pool *pool;
	struct audit_error *error;
	struct audit_repair *repair;
};

static bool add(const struct repairing *repairing, struct nat_log *record)
{
	repairing->repair->added++;
	return audit_file_add(repairing->file, record, repairing->error);
}

/* What the file believes owned, and is not, or is somebody else's by now. The second in which it ended is known if nobody came after. */
static bool end_last(const struct repairing *repairing, const struct cgn_block *block, struct nat_log *last)
{
	bool is_same = last->generation == block->generation;

	last->event = NAT_LOG_RELEASED;
	if (is_same && block->released_s)
		last->unix_s = audit_unix_s(block->released_s);
	else
		last->unix_s = block->claimed_s ? audit_unix_s(block->claimed_s) : (int64_t)time(NULL);
	if (block->generation > last->generation + (block->state == CGN_BLOCK_LIVE))
		repairing->repair->gaps += block->generation - last->generation - (block->state == CGN_BLOCK_LIVE);
	return add(repairing, last);
}

static bool repair_block(const struct repairing *repairing, const struct cgn_block *block, uint16_t first_port, bool is_fresh)
{
	struct nat_log last = {}, record = { .event = NAT_LOG_ALLOCATED, .first_port = first_port, .generation = block->generation };
	bool is_live = block->state == CGN_BLOCK_LIVE;
	int found;

	if (is_fresh && !is_live)
		return true;
	found = is_fresh ? 0 : audit_file_last(repairing->file, repairing->pool->addr4, first_port, &last, repairing->error);
	if (found < 0)
		return false;
	if (is_live) {
		audit_name_subscriber(&block->owner, record.subscriber);
		record.unix_s = audit_unix_s(block->claimed_s);
		record.last_port = (uint16_t)(first_port + (1u << (repairing->pool->block_shift & 15)) - 1);
		memcpy(record.external4, repairing->pool->addr4, sizeof(record.external4));
		if (found && last.event == NAT_LOG_ALLOCATED && last.generation == record.generation && !strcmp(last.subscriber, record.subscriber))
			return true;
	}
	if (found && last.event == NAT_LOG_ALLOCATED && !end_last(repairing, block, &last))
		return false;
	return !is_live || add(repairing, &record);
}

bool audit_repair(struct audit_file *file, const struct dataplane *dp, bool is_fresh, const atomic_bool *stop, struct audit_repair *ret_repair,
		  struct audit_error *error)
{
	struct repairing repairing = { .file = file, .error = error, .repair = ret_repair };
	uint32_t pool_count, block_count, i, n;
	const struct cgn_pool *pools = dataplane_pools(dp, &pool_count);
	const struct cgn_block *blocks = dataplane_blocks(dp, &block_count);
	struct cgn_block block;

	*ret_repair = (struct audit_repair){};
	for (i = 0; i < pool_count; i++) {
		repairing.pool = &pools[i];
		for (n = pools[i].planned; n < pools[i].block_count && pools[i].first_block + n < block_count; n++) {
			if (atomic_load(stop))
				return true;
			if (copy_block(&blocks[pools[i].first_block + n], &block) &&
			    !repair_block(&repairing, &block, (uint16_t)(pools[i].first_port + (n << (pools[i].block_shift & 15))), is_fresh))
				return false;
		}
	}
	return true;
}
