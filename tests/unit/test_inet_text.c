/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "client_socket.h"
#include "inet_text.h"

#define MAPPED 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff
#define DB8 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0

static void test_endpoints(void **state)
{
	static const struct { const char *text; uint8_t address6[16]; uint16_t port; } good[] = {
		{ "192.0.2.1", { MAPPED, 192, 0, 2, 1 }, 9 },
		{ "192.0.2.1:7000", { MAPPED, 192, 0, 2, 1 }, 7000 },
		{ "192.0.2.1:0", { MAPPED, 192, 0, 2, 1 }, 0 },
		{ ":7000", { 7 }, 7000 },
		{ "2001:db8::1", { DB8, 1 }, 9 },
		{ "[2001:db8::1]", { DB8, 1 }, 9 },
		{ "[2001:db8::1]:65535", { DB8, 1 }, 65535 },
		{ "::", { 0 }, 9 },
	};
	static const char *const bad[] = { "", ":", "[]", "[]:5", "192.0.2", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:x", "192.0.2.1/24",
		"2001:db8::1:", "[2001:db8::1", "[2001:db8::1]5", "192.0.2.1 ", "192.0.2.1: 5", "192.0.2.1:+5", "[192.0.2.1]:5]", "a:5",
		"0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000:5" };
	uint8_t address6[16];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		memcpy(address6, (uint8_t[16]){ 7 }, 16);
		port = 9;
		assert_true(inet_endpoint_parse(good[i].text, address6, &port));
		assert_memory_equal(address6, good[i].address6, 16);
		assert_int_equal(port, good[i].port);
	}
	memcpy(address6, (uint8_t[16]){ 7 }, 16);
	port = 9;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (inet_endpoint_parse(bad[i], address6, &port))
			fail_msg("%s", bad[i]);
		assert_memory_equal(address6, ((uint8_t[16]){ 7 }), 16);
		assert_int_equal(port, 9);
	}
}

static void test_prefixes(void **state)
{
	static const struct { const char *text; uint8_t address6[16]; uint8_t length; uint16_t port; const char *printed; } good[] = {
		{ "203.0.113.0/24", { MAPPED, 203, 0, 113, 0 }, 120, 0, "203.0.113.0/24" },
		{ "203.0.113.0/24:443", { MAPPED, 203, 0, 113, 0 }, 120, 443, "203.0.113.0/24:443" },
		{ "203.0.113.9", { MAPPED, 203, 0, 113, 9 }, 128, 0, "203.0.113.9/32" },
		{ "203.0.113.9:443", { MAPPED, 203, 0, 113, 9 }, 128, 443, "203.0.113.9/32:443" },
		{ "0.0.0.0/0", { MAPPED, 0, 0, 0, 0 }, 96, 0, "0.0.0.0/0" },
		{ "2001:db8::/32", { DB8, 0 }, 32, 0, "2001:db8::/32" },
		{ "[2001:db8::]/32:443", { DB8, 0 }, 32, 443, "[2001:db8::]/32:443" },
		{ "[2001:db8::1]:443", { DB8, 1 }, 128, 443, "[2001:db8::1]/128:443" },
		{ "::/0", { 0 }, 0, 0, "::/0" },
	};
	static const char *const bad[] = { "", "/24", ":5", "203.0.113.0/33", "203.0.113.0/", "203.0.113.0/24:", "203.0.113.0/24:65536",
		"203.0.113.0/24x", "203.0.113.0:443/24", "2001:db8::/129", "[2001:db8::/32]" };
	uint8_t address6[16], length;
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(inet_prefix_parse(good[i].text, address6, &length, &port));
		assert_memory_equal(address6, good[i].address6, 16);
		assert_int_equal(length, good[i].length);
		assert_int_equal(port, good[i].port);
		assert_string_equal(inet_prefix_text(address6, length, port).text, good[i].printed);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (inet_prefix_parse(bad[i], address6, &length, &port))
			fail_msg("%s", bad[i]);
}

static void test_text(void **state)
{
	static const uint8_t ipv4[16] = { MAPPED, 192, 0, 2, 1 }, ipv6[16] = { DB8, 1 };

	(void)state;
	assert_string_equal(inet_address_text(ipv4).text, "192.0.2.1");
	assert_string_equal(inet_address_text(ipv6).text, "2001:db8::1");
	assert_string_equal(inet_endpoint_text(ipv4, 7000).text, "192.0.2.1:7000");
	assert_string_equal(inet_endpoint_text(ipv6, 7000).text, "[2001:db8::1]:7000");
}

/* A server's address has a zone if it is link-local, and always a port. */
static void test_servers(void **state)
{
	static const char *const bad[] = { "", ":5351", "198.51.100.1:0", "fe80::1%", "fe80::1%no-such-link", "%lo", "[fe80::1%lo" };
	struct client_address address;

	(void)state;
	assert_true(client_address_parse("198.51.100.1", 5351, &address));
	assert_memory_equal(address.address6, ((uint8_t[]){ MAPPED, 198, 51, 100, 1 }), 16);
	assert_int_equal(address.port, 5351);
	assert_int_equal(address.ifindex, 0);
	assert_true(client_address_parse("198.51.100.1:7", 5351, &address));
	assert_int_equal(address.port, 7);
	assert_true(client_address_parse("::1", 5351, &address));
	assert_true(client_address_parse("[::1%lo]:99", 5351, &address));
	assert_int_equal(address.port, 99);
	assert_int_equal(address.ifindex, 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (client_address_parse(bad[i], 5351, &address))
			fail_msg("%s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
