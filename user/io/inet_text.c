/* SPDX-License-Identifier: GPL-2.0-only */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "inet_text.h"
#include "pcp_codec.h"

#define IPV4_BITS_BEFORE 96

static bool number_parse(const char *text, unsigned long max, unsigned long *ret_number)
{
	unsigned long number;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || *end || number > max)
		return false;
	*ret_number = number;
	return true;
}

bool inet_port_parse(const char *text, uint16_t *ret_port)
{
	unsigned long port;

	if (!number_parse(text, UINT16_MAX, &port))
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

bool inet_address_parse(const char *text, uint8_t ret_address6[16])
{
	uint8_t address[16];

	if (inet_pton(AF_INET, text, address) == 1) {
		pcp_address_from_ipv4(address, ret_address6);
		return true;
	}
	if (inet_pton(AF_INET6, text, address) != 1)
		return false;
	memcpy(ret_address6, address, sizeof(address));
	return true;
}

/* Cuts "ADDRESS", "[ADDRESS]" or nothing off the front of a copy: *ret_address is it, *ret_rest what follows it. */
static bool address_split(char *copy, char **ret_address, char **ret_rest, char *ret_separator)
{
	char *end;

	if (*copy == '[') {
		end = strchr(copy, ']');
		if (!end)
			return false;
		*end++ = '\0';
		*ret_address = copy + 1;
	} else {
		*ret_address = copy;
		/* more than one colon: a bare IPv6 address, which no port can follow */
		end = strchr(copy, ':') != strrchr(copy, ':') ? copy + strcspn(copy, "/") : copy + strcspn(copy, ":/");
	}
	*ret_separator = *end;
	if (*end)
		*end++ = '\0';
	*ret_rest = end;
	return true;
}

static bool copy_of(const char *text, char *copy, size_t size)
{
	if (strlen(text) >= size)
		return false;
	strcpy(copy, text);
	return true;
}

bool inet_endpoint_parse(const char *text, uint8_t ret_address6[16], uint16_t *ret_port)
{
	char copy[80], *address, *rest, separator;
	uint8_t address6[16];
	uint16_t port = *ret_port;

	memcpy(address6, ret_address6, sizeof(address6));
	if (!copy_of(text, copy, sizeof(copy)) || !address_split(copy, &address, &rest, &separator))
		return false;
	if (*address ? !inet_address_parse(address, address6) : separator != ':' || *text == '[')
		return false;
	if (separator && (separator != ':' || !inet_port_parse(rest, &port)))
		return false;
	memcpy(ret_address6, address6, sizeof(address6));
	*ret_port = port;
	return true;
}

bool inet_prefix_parse(const char *text, uint8_t ret_address6[16], uint8_t *ret_length, uint16_t *ret_port)
{
	char copy[80], *address, *rest, *port_text, separator;
	unsigned long length = 128, shift;
	uint8_t address6[16];
	uint16_t port = 0;

	if (!copy_of(text, copy, sizeof(copy)) || !address_split(copy, &address, &rest, &separator) ||
	    !inet_address_parse(address, address6))
		return false;
	port_text = separator == ':' ? rest : strchr(rest, ':');
	if (port_text && separator != ':')
		*port_text++ = '\0';
	shift = pcp_address_is_ipv4(address6) ? IPV4_BITS_BEFORE : 0;
	if (separator == '/') {
		if (!number_parse(rest, 128 - shift, &length))
			return false;
		length += shift;
	}
	if ((port_text && !inet_port_parse(port_text, &port)) || (separator && separator != ':' && separator != '/'))
		return false;
	memcpy(ret_address6, address6, sizeof(address6));
	*ret_length = (uint8_t)length;
	*ret_port = port;
	return true;
}

struct inet_text inet_address_text(const uint8_t address6[16])
{
	struct inet_text text;

	if (pcp_address_is_ipv4(address6))
		inet_ntop(AF_INET, address6 + 12, text.text, sizeof(text.text));
	else
		inet_ntop(AF_INET6, address6, text.text, sizeof(text.text));
	return text;
}

struct inet_text inet_endpoint_text(const uint8_t address6[16], uint16_t port)
{
	struct inet_text address = inet_address_text(address6), text;
	const char *format = pcp_address_is_ipv4(address6) ? "%.45s:%u" : "[%.45s]:%u";

	snprintf(text.text, sizeof(text.text), format, address.text, port);
	return text;
}

struct inet_text inet_prefix_text(const uint8_t address6[16], uint8_t length, uint16_t port)
{
	bool is_ipv4 = pcp_address_is_ipv4(address6) && length >= IPV4_BITS_BEFORE;
	struct inet_text address = inet_address_text(address6), text;
	unsigned bits = is_ipv4 ? length - IPV4_BITS_BEFORE : length;

	if (!port)
		snprintf(text.text, sizeof(text.text), "%.45s/%u", address.text, bits);
	else if (is_ipv4)
		snprintf(text.text, sizeof(text.text), "%.45s/%u:%u", address.text, bits, port);
	else
		snprintf(text.text, sizeof(text.text), "[%.45s]/%u:%u", address.text, bits, port);
	return text;
}
