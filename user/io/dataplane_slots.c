/* SPDX-License-Identifier: GPL-2.0-only */
/* `ports` of layouts before 26, whose slots had the whole key: made anew and filled, while the programs of the version before still
 * serve packets by theirs. That stays pinned until they are replaced, by whichever process does it, for what they enter until then. They
 * only publish slots, of ports whose bits they set: what the daemon ends it ends in the new one, and nobody else writes a slot there whose
 * mapping is not published there. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "block_walk.h"
#include "cgn/slot.h"
#include "dataplane_internal.h"

#define BEFORE "ports_before"

struct slot_before {
	struct cgn_internal internal;
	union cgn_slot_word state;
};
CGN_ASSERT_SIZE(struct slot_before, 32);

struct carrying {
	const struct dataplane *dp;	/* NULL: nobody uses `slots` yet */
	const struct slot_before *before;
	struct cgn_slot *slots;
	uint32_t before_count, count;
};

bool dataplane_slots_differ(uint32_t layout)
{
	return layout < 26;
}

/* ---- one slot ---- */

static bool read_before(const struct slot_before *slot, struct slot_before *ret_slot)
{
	union cgn_slot_word after;

	ret_slot->state.word = __atomic_load_n(&slot->state.word, __ATOMIC_ACQUIRE);
	if (ret_slot->state.state != CGN_SLOT_LIVE && ret_slot->state.state != CGN_SLOT_RESTING)
		return false;
	ret_slot->internal = slot->internal;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	after.word = __atomic_load_n(&slot->state.word, __ATOMIC_RELAXED);
	return after.state == ret_slot->state.state && after.generation == ret_slot->state.generation;
}

static bool mapping_has(const struct carrying *carrying, const struct slot_before *slot, uint32_t index)
{
	struct cgn_mapping mapping;

	return dataplane_find_mapping(carrying->dp, &slot->internal, &mapping) && mapping.slot == index &&
	       mapping.state.generation == slot->state.generation;
}

/* A deadline that was moved meanwhile needs no carrying: whoever finds the one before looks at the mapping. */
static void carry_slot(const struct carrying *carrying, uint32_t index)
{
	struct cgn_slot *slot = &carrying->slots[index];
	union cgn_slot_word seen, claimed;
	struct slot_before before;

	if (!read_before(&carrying->before[index], &before))
		return;
	seen.word = __atomic_load_n(&slot->state.word, __ATOMIC_ACQUIRE);
	if (seen.state != CGN_SLOT_EMPTY && seen.generation == before.state.generation && slot_is_of(slot, &before.internal))
		return;
	if (carrying->dp && (before.state.state != CGN_SLOT_LIVE || !mapping_has(carrying, &before, index)))
		return;
	claimed = before.state;
	claimed.state = CGN_SLOT_CLAIMED;
	if (!__atomic_compare_exchange_n(&slot->state.word, &seen.word, claimed.word, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	slot_write(slot, &before.internal);
	__atomic_store_n(&slot->state.word, before.state.word, __ATOMIC_RELEASE);
}

/* ---- all ---- */

static void carry_all(const struct carrying *carrying)
{
	uint32_t i;

	for (i = 0; i < carrying->count; i++)
		carry_slot(carrying, i);
}

static void carry_block(const struct carrying *carrying, const struct cgn_block *block, uint32_t words)
{
	uint32_t n, base;
	uint64_t bits;

	for (n = 0; n < CGN_PROTOCOLS * words; n++) {
		base = CGN_SLOT(block->address, n / words, block->first_port + n % words * 64);
		bits = __atomic_load_n(&block->used[n / words][n % words], __ATOMIC_RELAXED);
		for (; bits && base + 63 < carrying->count; bits &= bits - 1)
			carry_slot(carrying, base + (uint32_t)__builtin_ctzll(bits));
	}
}

/* Whoever publishes a slot has set its bit before: of large pools only that is looked at, for packets may be waiting. */
static void carry_used(const struct carrying *carrying)
{
	const struct cgn_pool *pools = carrying->dp->pools, *pool;
	const struct cgn_block *blocks = carrying->dp->blocks;
	uint32_t number;

	for (pool = pools; pool < pools + carrying->dp->pool_count; pool++)
		for (number = pool_next_block(pool, 0); number < pool->block_count; number = pool_next_block(pool, number + 1))
			if (pool->first_block + number < carrying->dp->block_count)
				carry_block(carrying, &blocks[pool->first_block + number], pool_block_words(pool));
}

static bool carry(struct carrying *carrying, int before, int ports)
{
	bool done;

	carrying->before = dataplane_map_memory(before, &carrying->before_count, false);
	carrying->slots = dataplane_map_memory(ports, &carrying->count, true);
	done = carrying->before && carrying->slots;
	if (done && carrying->before_count != carrying->count) {
		errno = EBADMSG;
		done = false;
	}
	if (done)
		(carrying->dp ? carry_used : carry_all)(carrying);
	dataplane_unmap_memory((void *)carrying->before, carrying->before_count * sizeof(*carrying->before));
	dataplane_unmap_memory(carrying->slots, carrying->count * sizeof(*carrying->slots));
	return done;
}

/* Of a map of slots as they were: an fd. A start that was cut short may have left the new one in its place. */
static int open_before(const char *pin_dir, bool *ret_is_pinned)
{
	static const char *const names[] = { "ports", BEFORE };
	struct bpf_map_info info;
	uint32_t len = sizeof(info);
	unsigned i;
	int fd;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		fd = dataplane_open_pin(pin_dir, names[i]);
		memset(&info, 0, sizeof(info));
		*ret_is_pinned = i;
		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && info.type == BPF_MAP_TYPE_ARRAY &&
		    info.value_size == sizeof(struct slot_before) && info.map_flags & BPF_F_MMAPABLE)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -ENOENT;
}

bool dataplane_slots_fill(const char *pin_dir, uint32_t layout, int ports, struct dataplane_error *error)
{
	struct carrying carrying = {};
	bool is_pinned, done;
	char path[256];
	int fd;

	if (!dataplane_slots_differ(layout))
		return true;
	fd = open_before(pin_dir, &is_pinned);
	if (fd < 0)
		return dataplane_fail(error, DATAPLANE_STATE,
				      "%s/ports: was made with another layout than its version says; start the version that made it, or `xcgnctl detach` and `xcgnctl purge` (every mapping is lost)",
				      pin_dir);
	dataplane_pin_path(pin_dir, BEFORE, path, sizeof(path));
	done = carry(&carrying, fd, ports);
	if (done && !is_pinned) {
		unlink(path);
		done = !bpf_obj_pin(fd, path);
	}
	if (!done)
		dataplane_fail(error, DATAPLANE_KERNEL, "%s/ports: cannot copy the slots of the version before: %s", pin_dir, strerror(errno));
	close(fd);
	return done;
}

void dataplane_slots_carry(const struct dataplane *dp, bool is_last)
{
	struct carrying carrying = { .dp = dp };
	int fd = dataplane_open_pin(dp->pin_dir, BEFORE);
	char path[256];

	if (fd < 0)
		return;
	if (is_last)
		dataplane_wait_for_programs();
	if (carry(&carrying, fd, dp->map[DP_PORTS]) && is_last && !dataplane_is_pin_in_use(dp->pin_dir, BEFORE))
		unlink((dataplane_pin_path(dp->pin_dir, BEFORE, path, sizeof(path)), path));
	close(fd);
}
