/* SPDX-License-Identifier: GPL-2.0-only */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "table_walk.h"
#include "xcgnctl_text.h"

static const char *const protocol_names[CGN_PROTOCOLS] = { [CGN_UDP] = "udp", [CGN_TCP] = "tcp", [CGN_ICMP] = "icmp" };

static const struct { const char *name; unsigned flag; } origins[] = {
	{ "map", CGN_MAP }, { "peer", CGN_PEER }, { "implicit", CGN_IMPLICIT }, { "static", CGN_STATIC },
};

#define ORIGINS (sizeof(origins) / sizeof(*origins))

/* ---- addresses ---- */

struct endpoint_text text_address4(const uint8_t addr4[4])
{
	struct endpoint_text address;

	inet_ntop(AF_INET, addr4, address.text, sizeof(address.text));
	return address;
}

struct endpoint_text text_endpoint4(const uint8_t addr4[4], uint16_t port)
{
	struct endpoint_text endpoint;

	snprintf(endpoint.text, sizeof(endpoint.text), "%u.%u.%u.%u:%u", addr4[0], addr4[1], addr4[2], addr4[3], port);
	return endpoint;
}

struct endpoint_text text_endpoint6(const uint8_t addr6[16], uint16_t port)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct endpoint_text endpoint;
	char address[INET6_ADDRSTRLEN];

	if (!memcmp(addr6, mapped, sizeof(mapped)))
		return text_endpoint4(addr6 + 12, port);
	inet_ntop(AF_INET6, addr6, address, sizeof(address));
	snprintf(endpoint.text, sizeof(endpoint.text), "[%s]:%u", address, port);
	return endpoint;
}

static bool is_zero(const uint8_t *bytes, size_t length)
{
	while (length && !bytes[length - 1])
		length--;
	return !length;
}

struct endpoint_text text_internal(const struct cgn_internal *internal)
{
	if (is_zero(internal->addr4, sizeof(internal->addr4)))
		return text_endpoint6(internal->host6, internal->port);
	return text_endpoint4(internal->addr4, internal->port);
}

struct endpoint_text text_subscriber(const struct cgn_subscriber_key *subscriber)
{
	struct endpoint_text address = { "operator" };

	if (subscriber->realm == CGN_OPERATOR_REALM)
		return address;
	if (is_zero(subscriber->host6, sizeof(subscriber->host6)))
		return text_address4(subscriber->addr4);
	inet_ntop(AF_INET6, subscriber->host6, address.text, sizeof(address.text));
	return address;
}

void subscriber_of(const struct cgn_internal *internal, struct cgn_subscriber_key *ret_subscriber)
{
	memset(ret_subscriber, 0, sizeof(*ret_subscriber));
	memcpy(ret_subscriber->host6, internal->host6, sizeof(ret_subscriber->host6));
	memcpy(ret_subscriber->addr4, internal->addr4, sizeof(ret_subscriber->addr4));
	ret_subscriber->realm = internal->realm;
}

/* ---- names ---- */

const char *text_protocol(unsigned protocol_index)
{
	return protocol_index < CGN_PROTOCOLS ? protocol_names[protocol_index] : "unknown";
}

const char *text_protocol_number(uint8_t protocol)
{
	unsigned i;

	for (i = 0; i < CGN_PROTOCOLS; i++)
		if (protocol_number(i) == protocol)
			return protocol_names[i];
	return "unknown";
}

bool read_protocol(const char *text, unsigned *ret_protocol_index)
{
	unsigned i;

	for (i = 0; i < CGN_PROTOCOLS; i++)
		if (!strcmp(text, protocol_names[i])) {
			*ret_protocol_index = i;
			return true;
		}
	return false;
}

json_t *json_origins(unsigned flags)
{
	json_t *names = json_array();
	size_t i;

	for (i = 0; i < ORIGINS; i++)
		if (flags & origins[i].flag)
			json_array_append_new(names, json_string(origins[i].name));
	return names;
}

bool read_origin(const char *text, unsigned *ret_flag)
{
	size_t i;

	for (i = 0; i < ORIGINS; i++)
		if (!strcmp(text, origins[i].name)) {
			*ret_flag = origins[i].flag;
			return true;
		}
	return false;
}

json_t *json_per_protocol(const uint32_t counts[CGN_PROTOCOLS])
{
	json_t *object = json_object();
	unsigned i;

	for (i = 0; i < CGN_PROTOCOLS; i++)
		json_object_set_new(object, protocol_names[i], json_integer(counts[i]));
	return object;
}

json_int_t unix_time(uint32_t boot_s)
{
	struct timespec boot, wall;

	clock_gettime(CLOCK_MONOTONIC, &boot);
	clock_gettime(CLOCK_REALTIME, &wall);
	return (json_int_t)wall.tv_sec - boot.tv_sec - (wall.tv_nsec < boot.tv_nsec) + boot_s;
}
