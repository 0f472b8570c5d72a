/* SPDX-License-Identifier: GPL-2.0-only */
/* The file of `pcpc keep`: the sample means what it says, and an error names the line and what would be right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>
#include "keep_config.h"

static void expect_error(const char *text, const char *expected)
{
	struct keep_config *config = NULL;
	char path[64], error[1024];
	FILE *file;

	snprintf(path, sizeof(path), "/tmp/test_keep_config.%ld", (long)getpid());
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_false(keep_config_load(path, &config, error, sizeof(error)));
	unlink(path);
	if (!strstr(error, expected))
		fail_msg("got \"%s\", expected \"%s\"", error, expected);
	assert_memory_equal(error, path, strlen(path));
}

static void test_sample(void **state)
{
	struct keep_config *config;
	const struct pcp_client_request *wish;
	char error[1024];

	(void)state;
	if (!keep_config_load("../scripts/keep.yaml", &config, error, sizeof(error)))
		fail_msg("%s", error);
	assert_string_equal(config->state, "/var/lib/pcpc/keep");
	assert_int_equal(config->server_count, 1);
	assert_string_equal(config->servers[0].name, "");
	assert_int_equal(config->servers[0].address_count, 0);	/* the default routers */
	assert_null(config->hook);
	assert_int_equal(config->hook_timeout_s, 10);
	assert_int_equal(config->get_opcode, 98);
	assert_int_equal(config->next_code, 131);
	assert_int_equal(config->nonexist, 130);
	assert_int_equal(config->mapping_count, 5);
	assert_int_equal(config->wishes[0].count, 5);
	wish = &config->wishes[0].requests[0];
	assert_int_equal(wish->peer.map.protocol, 6);
	assert_int_equal(wish->peer.map.internal_port, 8080);
	assert_int_equal(wish->lifetime_s, 7200);
	assert_memory_equal(wish->description, "web", wish->description_len);
	wish = &config->wishes[0].requests[1];
	assert_int_equal(wish->lifetime_s, 3600);
	assert_int_equal(wish->peer.map.external_port, 5060);
	assert_int_equal(wish->filter_count, 2);
	assert_int_equal(wish->filters[0].prefix_length, 120);
	assert_int_equal(wish->filters[1].remote_port, 5060);
	wish = &config->wishes[0].requests[2];
	assert_true(wish->prefers_failure);
	assert_memory_equal(wish->peer.map.external6 + 12, ((uint8_t[]){ 192, 0, 2, 1 }), 4);
	wish = &config->wishes[0].requests[3];
	assert_true(wish->has_port_set && wish->port_set.keeps_parity);
	assert_int_equal(wish->port_set.size, 8);
	assert_int_equal(wish->port_set.first_internal_port, 40000);
	wish = &config->wishes[0].requests[4];
	assert_true(wish->is_third_party && wish->requires_checkpoint);
	keep_config_free(config);
}

static struct keep_config *load(const char *text)
{
	struct keep_config *config = NULL;
	char path[64], error[1024];
	FILE *file;

	snprintf(path, sizeof(path), "/tmp/test_keep_config.%ld", (long)getpid());
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	if (!keep_config_load(path, &config, error, sizeof(error)))
		fail_msg("%s", error);
	unlink(path);
	return config;
}

/* RFC 7488 section 4: a mapping is of all servers, or of those that it names, and may differ from one to the other. */
static void test_several_servers(void **state)
{
	struct keep_config *config = load("state: /tmp/x\nsource: 198.51.100.2\nnamed-servers:\n"
		"  - {name: a, addresses: [198.51.100.1, \"198.51.100.254:5352\"]}\n"
		"  - {name: b.2_x-y, addresses: [\"2001:db8::1\"], source: \"2001:db8::2\"}\n"
		"  - {name: c, addresses: [198.51.100.1], interface: eth1}\n"
		"mappings:\n"
		"  - {protocol: tcp, port: 1}\n"
		"  - {protocol: tcp, port: 2, external: \":2\", servers: [a]}\n"
		"  - {protocol: tcp, port: 2, external: \":3\", servers: [c, b.2_x-y]}\n");

	(void)state;
	assert_int_equal(config->server_count, 3);
	assert_int_equal(config->mapping_count, 3);
	assert_string_equal(config->servers[1].name, "b.2_x-y");
	assert_int_equal(config->servers[0].address_count, 2);
	assert_int_equal(config->servers[0].addresses[1].port, 5352);
	assert_true(config->servers[0].has_source && config->servers[1].has_source && !config->servers[2].has_source);
	assert_int_equal(config->servers[0].source6[15], 2);
	assert_int_equal(config->servers[1].source6[0], 0x20);
	assert_string_equal(config->servers[2].interface, "eth1");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(config->wishes[i].count, 2);
		assert_int_equal(config->wishes[i].requests[0].peer.map.internal_port, 1);
		assert_int_equal(config->wishes[i].requests[1].peer.map.external_port, i ? 3 : 2);
	}
	keep_config_free(config);
}

#define HEAD "state: /tmp/x\nmappings:\n"

static void test_errors(void **state)
{
	(void)state;
	expect_error("", "`state` and `mappings`");
	expect_error("mappings: []\n", "state: missing");
	expect_error("state: /tmp/x\n", "mappings: missing");
	expect_error("state: /tmp/x\nmaps: []\n", ":2: maps: unknown key");
	expect_error("servers: [nowhere]\n" HEAD "  []\n", ":1: servers[0]: nowhere; right is an address");
	expect_error("source: 198.51.100.2\ninterface: eth0\n" HEAD "  []\n", ":2: interface: and source exclude each other");
	expect_error("hook: [port-changed]\n" HEAD "  []\n", ":1: hook[0]: port-changed; right is a program's whole path");
	expect_error("hook-timeout: 0\n" HEAD "  []\n", ":1: hook-timeout: 0; right is 1 to 3600");
	expect_error("get: {opcode: 256}\n" HEAD "  []\n", "get.opcode: 256; right is 1 to 255");
	expect_error(HEAD "  - {port: 1}\n", "mappings[0].protocol: missing");
	expect_error(HEAD "  - {protocol: tcp}\n", ":3: mappings[0].port: missing");
	expect_error(HEAD "  - {protocol: tcp, port: 65536}\n", "65536; right is 1 to 65535");
	expect_error(HEAD "  - {protocol: gre, port: 1}\n", "1 for a protocol without ports");
	expect_error(HEAD "  - {protocol: http, port: 1}\n", "mappings[0].protocol: \"http\" is given");
	expect_error(HEAD "  - {protocol: tcp, port: 1, lifetime: 0}\n", "0 would delete it");
	expect_error(HEAD "  - {protocol: tcp, port: 1, external: here}\n", "external: here; right is an address");
	expect_error(HEAD "  - {protocol: tcp, port: 1, prefer-failure: true}\n", "is about an external port");
	expect_error(HEAD "  - {protocol: tcp, port: 1, external: \":1\", prefer-failure: true, port-set: 2}\n", "exclude each other");
	expect_error(HEAD "  - {protocol: tcp, port: 65535, port-set: 2}\n", "not beyond port 65535");
	expect_error(HEAD "  - {protocol: tcp, port: 1, parity: true}\n", "belongs to a port-set");
	expect_error(HEAD "  - {protocol: tcp, port: 1, filters: [\"::/0\"]}\n", "filters[0]: ::/0; right is a network");
	expect_error(HEAD "  - {protocol: tcp, port: 1, third-party: me}\n", "third-party: me; right is an address");
	expect_error(HEAD "  - {protocol: tcp, port: 1}\n  - {protocol: udp, port: 1}\n  - {protocol: tcp, port: 1}\n",
		     ":5: mappings[2]: the same protocol and port as a mapping before it");
}

#define NAMED(servers) "named-servers: [" servers "]\n" HEAD

static void test_errors_of_servers(void **state)
{
	(void)state;
	expect_error("servers: [198.51.100.1]\n" NAMED("{name: a, addresses: [198.51.100.1]}") "  []\n", ":2: named-servers: and servers exclude");
	expect_error(NAMED("{addresses: [198.51.100.1]}") "  []\n", ":1: named-servers[0].name: missing");
	expect_error(NAMED("{name: a}") "  []\n", ":1: named-servers[0].addresses: missing");
	expect_error(NAMED("{name: a, addresses: []}") "  []\n", "named-servers[0].addresses");
	expect_error(NAMED("{name: a, addresses: [x]}") "  []\n", "named-servers[0].addresses[0]: x; right is an address");
	expect_error(NAMED("{name: \"a b\", addresses: [198.51.100.1]}") "  []\n", "named-servers[0].name: a b; right are 1 to 31 letters");
	expect_error(NAMED("{name: \"\", addresses: [198.51.100.1]}") "  []\n", "named-servers[0].name");
	expect_error(NAMED("{name: a, addresses: [198.51.100.1]}, {name: a, addresses: [198.51.100.2]}") "  []\n",
		     "named-servers[1].name: a is a name given before");
	expect_error(NAMED("{name: a, addresses: [198.51.100.1]}, {name: b, addresses: [198.51.100.2, 198.51.100.1]}") "  []\n",
		     "named-servers[1].addresses[1]: is an address of a, too");
	expect_error(NAMED("{name: a, addresses: [198.51.100.1], source: 198.51.100.2, interface: e}") "  []\n",
		     "named-servers[0].interface: and source exclude each other");
	expect_error(NAMED("{name: a, addresses: [198.51.100.1], source: me}") "  []\n", "named-servers[0].source: me; right is an address");
	expect_error(NAMED("{name: a, addresses: [198.51.100.1]}") "  - {protocol: tcp, port: 1, servers: [b]}\n",
		     ":4: mappings[0].servers[0]: b; right is a name of named-servers");
	expect_error(HEAD "  - {protocol: tcp, port: 1, servers: [b]}\n", "mappings[0].servers[0]: b; right is a name of named-servers");
	expect_error(HEAD "  - {protocol: tcp, port: 1, servers: [\"\"]}\n", "mappings[0].servers[0]");
	expect_error(NAMED("{name: a, addresses: [198.51.100.1]}, {name: b, addresses: [198.51.100.2]}")
		     "  - {protocol: tcp, port: 1}\n  - {protocol: tcp, port: 1, servers: [b]}\n", ":5: mappings[1]: the same protocol and port");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sample), cmocka_unit_test(test_errors),
					    cmocka_unit_test(test_several_servers), cmocka_unit_test(test_errors_of_servers) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
