/* SPDX-License-Identifier: GPL-2.0-only */
#include "block_walk.h"

static uint64_t read_word(const __u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

uint32_t pool_next_block(const struct cgn_pool *pool, uint32_t number)
{
	uint64_t taken;

	while (number < pool->block_count && number < CGN_BLOCKS_PER_ADDRESS) {
		taken = read_word(&pool->taken[number / 64]) >> (number & 63);
		if (taken) {
			number += (uint32_t)__builtin_ctzll(taken);
			break;
		}
		number = (number / 64 + 1) * 64;
	}
	return number < pool->block_count ? number : pool->block_count;
}

uint32_t pool_block_words(const struct cgn_pool *pool)
{
	uint32_t words = pool->block_shift < 32 ? (1u << pool->block_shift) / 64 : 0;

	return words < 1 ? 1 : words > CGN_BLOCK_WORDS ? CGN_BLOCK_WORDS : words;
}

bool block_is_live(const struct cgn_block *block)
{
	return __atomic_load_n(&block->state, __ATOMIC_ACQUIRE) == CGN_BLOCK_LIVE;
}

static uint32_t count_bits(const __u64 *bitmap, uint32_t words)
{
	uint32_t count = 0, i;

	for (i = 0; i < words; i++)
		count += (uint32_t)__builtin_popcountll(read_word(&bitmap[i]));
	return count;
}

uint32_t block_used(const struct cgn_block *block, uint32_t words, uint32_t protocol_index)
{
	return count_bits(block->used[protocol_index], words);
}

uint32_t block_explicit(const struct cgn_block *block, uint32_t words, uint32_t protocol_index)
{
	return count_bits(block->explicit_ports[protocol_index], words);
}

struct block_due block_find_due(const struct cgn_block *block, uint32_t words, uint32_t word, const struct cgn_slot *slots,
				uint32_t slot_count, uint32_t now_s, uint32_t *ret_slots, uint32_t max)
{
	struct block_due due = { .next = word };
	union cgn_slot_word state;
	uint64_t used;
	uint32_t base, slot;

	for (; due.next < CGN_PROTOCOLS * words && due.count + 64 <= max; due.next++) {
		used = read_word(&block->used[due.next / words][due.next % words]);
		due.used += (uint32_t)__builtin_popcountll(used);
		base = CGN_SLOT(block->address, due.next / words, block->first_port + due.next % words * 64);
		for (; used; used &= used - 1) {
			slot = base + (uint32_t)__builtin_ctzll(used);
			if (slot >= slot_count)
				break;
			state.word = __atomic_load_n(&slots[slot].state.word, __ATOMIC_RELAXED);
			if (state.state == CGN_SLOT_LIVE && state.deadline_s <= now_s)
				ret_slots[due.count++] = slot;
		}
	}
	return due;
}
