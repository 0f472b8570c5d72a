/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers that tell clients apart in tables of powers of two: every bit of what goes in changes about half of those that come out, the
 * lowest too. A product alone does not do it: of addresses of one network its low bits are the same, and a table is then one long list. */
#ifndef CGN_MIX_H
#define CGN_MIX_H
#include <stdint.h>
#include <string.h>

static inline uint64_t mix_bits(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	return x ^ x >> 32;
}

static inline uint64_t mix_address(uint64_t seed, const uint8_t address6[16])
{
	uint64_t half[2];

	memcpy(half, address6, sizeof(half));
	return mix_bits(mix_bits(half[0] ^ seed) ^ half[1]);
}

#endif
