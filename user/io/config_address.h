/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses, prefixes, ports and endpoints as people write them. Host byte order. Parsers leave the result alone on failure. */
#ifndef CGN_CONFIG_ADDRESS_H
#define CGN_CONFIG_ADDRESS_H
#include <stdbool.h>
#include <stdint.h>
#include "config.h"

struct address_text { char text[32]; };

bool address_parse(const char *text, uint32_t *ret_address);
/* "192.0.2.0/28", or one address for a /32. Host bits are kept: *ret_prefix.network is what was written. */
bool prefix_parse(const char *text, struct config_prefix4 *ret_prefix);
/* "1024-65535", both from 0 to 65535 */
bool port_range_parse(const char *text, uint32_t *ret_first, uint32_t *ret_last);
/* "198.51.100.15:7000" */
bool endpoint_parse(const char *text, uint32_t *ret_address, uint16_t *ret_port);

struct address_text address_text(uint32_t address);
/* From and to its bytes in network byte order, as tables and packets have it. */
uint32_t address_from_bytes(const uint8_t addr4[4]);
void address_to_bytes(uint32_t address, uint8_t ret_addr4[4]);
struct address_text prefix_text(struct config_prefix4 prefix);

uint32_t prefix_mask(struct config_prefix4 prefix);
uint64_t prefix_count(struct config_prefix4 prefix);
bool prefix_contains(struct config_prefix4 prefix, uint32_t address);
bool prefix_overlaps(struct config_prefix4 one, struct config_prefix4 other);
/* What makes an address unfit to be a host's, as "loopback"; NULL if nothing does. */
const char *prefix_unfit(struct config_prefix4 prefix);

#endif
