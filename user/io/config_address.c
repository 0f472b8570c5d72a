/* SPDX-License-Identifier: GPL-2.0-only */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config_address.h"

/* Digits up to `end` (exclusive), without leading zeros, at most `most`. */
static bool number_parse(const char *text, const char *end, uint32_t most, uint32_t *ret_number)
{
	uint32_t number = 0;

	if (text == end || end - text > 5 || (*text == '0' && end - text > 1))
		return false;
	for (; text < end; text++) {
		if (!isdigit((unsigned char)*text))
			return false;
		number = number * 10 + (uint32_t)(*text - '0');
	}
	if (number > most)
		return false;
	*ret_number = number;
	return true;
}

bool address_parse(const char *text, uint32_t *ret_address)
{
	struct in_addr address;

	if (inet_pton(AF_INET, text, &address) != 1)
		return false;
	*ret_address = ntohl(address.s_addr);
	return true;
}

/* The address before `end`. */
static bool address_parse_until(const char *text, const char *end, uint32_t *ret_address)
{
	char copy[INET_ADDRSTRLEN];
	size_t length = (size_t)(end - text);

	if (length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return address_parse(copy, ret_address);
}

bool prefix_parse(const char *text, struct config_prefix4 *ret_prefix)
{
	const char *slash = strchr(text, '/'), *end = text + strlen(text);
	uint32_t network, length = 32;

	if (!address_parse_until(text, slash ? slash : end, &network))
		return false;
	if (slash && !number_parse(slash + 1, end, 32, &length))
		return false;
	*ret_prefix = (struct config_prefix4){ .network = network, .length = (uint8_t)length };
	return true;
}

bool port_range_parse(const char *text, uint32_t *ret_first, uint32_t *ret_last)
{
	const char *dash = strchr(text, '-'), *end = text + strlen(text);
	uint32_t first, last;

	if (!dash || !number_parse(text, dash, 65535, &first) || !number_parse(dash + 1, end, 65535, &last))
		return false;
	*ret_first = first;
	*ret_last = last;
	return true;
}

bool endpoint_parse(const char *text, uint32_t *ret_address, uint16_t *ret_port)
{
	const char *colon = strchr(text, ':'), *end = text + strlen(text);
	uint32_t address, port;

	if (!colon || !address_parse_until(text, colon, &address) || !number_parse(colon + 1, end, 65535, &port) || !port)
		return false;
	*ret_address = address;
	*ret_port = (uint16_t)port;
	return true;
}

uint32_t address_from_bytes(const uint8_t addr4[4])
{
	return (uint32_t)addr4[0] << 24 | (uint32_t)addr4[1] << 16 | (uint32_t)addr4[2] << 8 | addr4[3];
}

void address_to_bytes(uint32_t address, uint8_t ret_addr4[4])
{
	int i;

	for (i = 0; i < 4; i++)
		ret_addr4[i] = (uint8_t)(address >> (24 - 8 * i));
}

struct address_text address_text(uint32_t address)
{
	struct address_text written;

	snprintf(written.text, sizeof(written.text), "%u.%u.%u.%u", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff,
		 address & 0xff);
	return written;
}

struct address_text prefix_text(struct config_prefix4 prefix)
{
	struct address_text written = address_text(prefix.network);
	size_t used = strlen(written.text);

	snprintf(written.text + used, sizeof(written.text) - used, "/%u", prefix.length);
	return written;
}

uint32_t prefix_mask(struct config_prefix4 prefix)
{
	return prefix.length ? ~0u << (32 - prefix.length) : 0;
}

uint64_t prefix_count(struct config_prefix4 prefix)
{
	return 1ull << (32 - prefix.length);
}

bool prefix_contains(struct config_prefix4 prefix, uint32_t address)
{
	return (address & prefix_mask(prefix)) == prefix.network;
}

bool prefix_overlaps(struct config_prefix4 one, struct config_prefix4 other)
{
	return one.length < other.length ? prefix_contains(one, other.network) : prefix_contains(other, one.network);
}

const char *prefix_unfit(struct config_prefix4 prefix)
{
	static const struct { struct config_prefix4 prefix; const char *what; } unfit[] = {
		{ { 0x00000000, 8 }, "\"this network\", 0.0.0.0/8" },
		{ { 0x7f000000, 8 }, "loopback, 127.0.0.0/8" },
		{ { 0xe0000000, 4 }, "multicast, 224.0.0.0/4" },
		{ { 0xf0000000, 4 }, "reserved, 240.0.0.0/4" },
	};
	size_t i;

	for (i = 0; i < sizeof(unfit) / sizeof(unfit[0]); i++)
		if (prefix_overlaps(prefix, unfit[i].prefix))
			return unfit[i].what;
	return NULL;
}
