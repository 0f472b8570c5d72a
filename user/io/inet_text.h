/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses of both families as people write them, in the 16 bytes of RFC 6887 section 5 (IPv4 as ::ffff:a.b.c.d). Ports in host
 * order. Parsers leave the result alone on failure. */
#ifndef CGN_INET_TEXT_H
#define CGN_INET_TEXT_H
#include <stdbool.h>
#include <stdint.h>

struct inet_text { char text[64]; };

bool inet_port_parse(const char *text, uint16_t *ret_port);
bool inet_address_parse(const char *text, uint8_t ret_address6[16]);
/* "192.0.2.1", "192.0.2.1:7000", ":7000", "2001:db8::1", "[2001:db8::1]:7000"; what is not said stays as it is. */
bool inet_endpoint_parse(const char *text, uint8_t ret_address6[16], uint16_t *ret_port);
/* "203.0.113.0/24", "203.0.113.0/24:443", "203.0.113.9:443", "2001:db8::/32", "[2001:db8::]/32:443". The length counts all 128 bits: 120
 * for /24 of IPv4. Without a length it is one address. */
bool inet_prefix_parse(const char *text, uint8_t ret_address6[16], uint8_t *ret_length, uint16_t *ret_port);

struct inet_text inet_address_text(const uint8_t address6[16]);
struct inet_text inet_endpoint_text(const uint8_t address6[16], uint16_t port);
/* The port only if it is not 0. */
struct inet_text inet_prefix_text(const uint8_t address6[16], uint8_t length, uint16_t port);

#endif
