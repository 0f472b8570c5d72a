/* SPDX-License-Identifier: GPL-2.0-only */
/* The configuration file: what is understood, what is refused, and on which line. */
#include <ctype.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "cgn/abi.h"
#include "config.h"

#define INTERFACES "interfaces:\n  - {name: in0, side: internal}\n  - {name: out0, side: external}\n"	/* lines 1 to 3 */
#define POOLS "pools:\n  - {addresses: [192.0.2.0/28]}\n"						/* lines 4 and 5 */
#define MINIMAL INTERFACES POOLS									/* the next line is 6 */
#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char error[512];

/* Loads bytes as if they were a file. */
static struct config *load_bytes(const void *bytes, size_t length)
{
	struct config *config = NULL;
	int fd = memfd_create("xcgn-config", MFD_CLOEXEC);
	char path[64];
	bool ok;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), (ssize_t)length);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	error[0] = '\0';
	ok = config_load(path, &config, error, sizeof(error));
	close(fd);
	assert_int_equal(ok, config != NULL);
	return config;
}

static struct config *load(const char *text)
{
	return load_bytes(text, strlen(text));
}

static struct config *load_good(const char *text)
{
	struct config *config = load(text);

	if (!config)
		fail_msg("refused: %s", error);
	return config;
}

static void expect_one_line(void)
{
	const char *c;

	assert_true(error[0]);
	for (c = error; *c; c++)
		assert_false(iscntrl((unsigned char)*c));
}

/* The error is "FILE:LINE: ..." and has every word; line 0: "FILE: ...". */
static void expect_error(struct config *config, const char *text, unsigned line, const char *const *words, size_t count)
{
	const char *place = strchr(error, ':');
	unsigned found = 0;
	size_t i;

	if (config)
		fail_msg("accepted:\n%s", text);
	expect_one_line();
	assert_non_null(place);
	if (isdigit((unsigned char)place[1]))
		found = (unsigned)strtoul(place + 1, NULL, 10);
	if (found != line)
		fail_msg("line %u expected: %s\n%s", line, error, text);
	for (i = 0; i < count && words[i]; i++)
		if (!strstr(place, words[i]))
			fail_msg("\"%s\" expected: %s", words[i], error);
}

struct bad {
	const char *text;
	unsigned line;
	const char *words[4];		/* all of them stand in the error */
};

static void expect_bad(const struct bad *bad, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		expect_error(load(bad[i].text), bad[i].text, bad[i].line, bad[i].words, COUNT(bad[i].words));
}

/* ---- what is understood ---- */

static void test_defaults(void **state)
{
	struct config *config = load_good(MINIMAL);
	const struct config_pool *pool = &config->pools[0];

	(void)state;
	assert_int_equal(config->interfaces_count, 2);
	assert_string_equal(config->interfaces[0].name, "in0");
	assert_int_equal(config->interfaces[0].side, CGN_INTERNAL_SIDE);
	assert_string_equal(config->interfaces[1].name, "out0");
	assert_int_equal(config->interfaces[1].side, CGN_EXTERNAL_SIDE);
	assert_false(config->xdp_generic);
	assert_int_equal(config->pools_count, 1);
	assert_string_equal(pool->name, "pool0");
	assert_int_equal(pool->first_port, 1024);
	assert_int_equal(pool->last_port, 65535);
	assert_int_equal(pool->block_size, 256);
	assert_int_equal(pool->addresses_count, 1);
	assert_int_equal(pool->addresses[0].network, IP(192, 0, 2, 0));
	assert_int_equal(pool->addresses[0].length, 28);
	assert_int_equal(config_address_count(config), 16);
	assert_int_equal(config->blocks, 8);
	assert_int_equal(config->explicit_limit, 256);
	assert_int_equal(config->reserve, 64);
	assert_int_equal(config->overrides_count, 0);
	assert_int_equal(config->statics_count, 0);
	assert_int_equal(config->udp_s, 300);
	assert_int_equal(config->tcp_established_s, 7440);
	assert_int_equal(config->tcp_transitory_s, 240);
	assert_int_equal(config->tcp_opening_s, 240);
	assert_int_equal(config->tcp_closing_s, 240);
	assert_int_equal(config->rest_s, 120);
	assert_int_equal(config->icmp_s, 60);
	assert_int_equal(config->mappings_max, 1000000);
	assert_int_equal(config->report_source, 10);
	assert_int_equal(config->report_total, 1000);
	assert_int_equal(config->mss_clamp, 0);
	assert_false(config->address_dependent);
	assert_int_equal(config->subscribers_max, 65536);
	config_free(config);
}

static void test_default_subscribers_and_service(void **state)
{
	static const struct config_prefix4 prefixes[] = {
		{ IP(10, 0, 0, 0), 8 }, { IP(172, 16, 0, 0), 12 }, { IP(192, 168, 0, 0), 16 }, { IP(100, 64, 0, 0), 10 },
	};
	struct config *config = load_good(MINIMAL);
	unsigned i;

	(void)state;
	assert_int_equal(config->subscriber_prefixes_count, COUNT(prefixes));
	for (i = 0; i < COUNT(prefixes); i++) {
		assert_int_equal(config->subscriber_prefixes[i].network, prefixes[i].network);
		assert_int_equal(config->subscriber_prefixes[i].length, prefixes[i].length);
	}
	assert_int_equal(config->pcp.listen4_count, 0);
	assert_int_equal(config->pcp.lifetime_min_s, 120);
	assert_int_equal(config->pcp.lifetime_max_s, 86400);
	assert_int_equal(config->pcp.error_short_s, 30);
	assert_int_equal(config->pcp.error_long_s, 1800);
	assert_true(config->pcp.announce);
	assert_true(config->pcp.map);
	assert_true(config->pcp.peer);
	assert_true(config->pcp.get);
	assert_int_equal(config->pcp.get_opcode, 98);
	assert_int_equal(config->pcp.get_next, 131);
	assert_int_equal(config->pcp.get_not_found, 130);
	assert_int_equal(config->pcp.get_ambiguous, 131);
	assert_false(config->pcp.get_reveals_nonces);
	assert_int_equal(config->pcp.nonce_policy, CGN_NONCE_STRICT);
	assert_false(config->pcp.nat_pmp);
	assert_int_equal(config->pcp.description_max, 128);
	assert_int_equal(config->pcp.rate_requests, 100);
	assert_int_equal(config->pcp.rate_burst, 1000);
	assert_int_equal(config->pcp.filters, 8);
	assert_int_equal(config->pcp.third_party_count, 0);
	assert_int_equal(config->log.audit_days, 30);
	assert_string_equal(config->log.syslog, "none");
	assert_string_equal(config->state_dir, "/var/lib/xcgn");
	assert_string_equal(config->pin_dir, "/sys/fs/bpf/xcgn");
	assert_string_equal(config->control, "/run/xcgn/control.sock");
	config_free(config);
}

/* Every key, none at its default. */
static const char full[] =
	"interfaces:\n"
	"  - {name: lan-1, side: internal}\n"
	"  - {name: lan2, side: internal}\n"
	"  - name: wan\n"
	"    side: external\n"
	"xdp-mode: generic\n"
	"pools:\n"
	"  - {name: main, addresses: [192.0.2.0/28, 192.0.2.16/30], ports: 2048-4095, block-size: 512}\n"
	"  - {name: small, addresses: [203.0.113.77], ports: 64-127, block-size: 64}\n"
	"subscribers:\n"
	"  prefixes: [198.51.100.0/24, 10.1.0.0/16]\n"
	"  blocks: 32\n"
	"  explicit: 7\n"
	"  reserve: 5\n"
	"  overrides:\n"
	"    - {prefix: 198.51.100.60/32, blocks: 1, explicit: 4}\n"
	"    - {prefix: 198.51.100.0/25, reserve: 9}\n"
	"    - {prefix: 10.1.0.0/16, explicit: 0}\n"
	"static:\n"
	"  - {protocol: udp, internal: \"198.51.100.15:7000\", external: \"192.0.2.3:3777\"}\n"
	"  - {protocol: tcp, internal: \"198.51.100.15:7000\", external: \"203.0.113.77:80\"}\n"
	"timeouts: {udp: 121, tcp-established: 8000, tcp-transitory: 241, tcp-opening: 30, icmp: 61, rest: 0}\n"
	"icmp-errors: {sender: 3, total: 77}\n"
	"mss-clamp: 1300\n"
	"tables: {mappings: 5000, subscribers: 70, addresses: 30, descriptions: 40, filters: 50}\n"
	"filtering: address-dependent\n"
	"pcp:\n"
	"  listen: [198.51.100.1, 10.1.0.1]\n"
	"  lifetime: {min: 130, max: 7200}\n"
	"  error-lifetime: {short: 10, long: 20}\n"
	"  opcodes: [map]\n"
	"  nonce: same-source\n"
	"  filters: 5\n"
	"  rate: {requests: 33, burst: 44}\n"
	"  third-party:\n"
	"    - {from: 198.51.100.250/32, for: [198.51.100.0/25, 10.1.2.0/23]}\n"
	"    - {from: 203.0.113.0/26, for: [10.1.0.0/16]}\n"
	"  nat-pmp: true\n"
	"  description: 200\n"
	"log: {audit-days: 7, syslog: \"udp:192.0.2.9:514\"}\n"
	"state-dir: /tmp/state\n"
	"pin-dir: /sys/fs/bpf/other\n"
	"control: /tmp/control\n";

static void test_full_network(void **state)
{
	struct config *config = load_good(full);

	(void)state;
	assert_int_equal(config->interfaces_count, 3);
	assert_string_equal(config->interfaces[0].name, "lan-1");
	assert_string_equal(config->interfaces[2].name, "wan");
	assert_int_equal(config->interfaces[1].side, CGN_INTERNAL_SIDE);
	assert_int_equal(config->interfaces[2].side, CGN_EXTERNAL_SIDE);
	assert_true(config->xdp_generic);
	assert_int_equal(config->pools_count, 2);
	assert_string_equal(config->pools[0].name, "main");
	assert_int_equal(config->pools[0].addresses_count, 2);
	assert_int_equal(config->pools[0].addresses[1].network, IP(192, 0, 2, 16));
	assert_int_equal(config->pools[0].addresses[1].length, 30);
	assert_int_equal(config->pools[0].first_port, 2048);
	assert_int_equal(config->pools[0].last_port, 4095);
	assert_int_equal(config->pools[0].block_size, 512);
	assert_string_equal(config->pools[1].name, "small");
	assert_int_equal(config->pools[1].addresses[0].network, IP(203, 0, 113, 77));
	assert_int_equal(config->pools[1].addresses[0].length, 32);
	assert_int_equal(config->pools[1].first_port, 64);
	assert_int_equal(config->pools[1].last_port, 127);
	assert_int_equal(config->pools[1].block_size, 64);
	assert_int_equal(config_address_count(config), 16 + 4 + 1);
	assert_int_equal(config_address_room(config), 30);
	assert_int_equal(config_block_room(config), 20 * 4 + 1 + 9 * 4);
	config_free(config);
}

static void expect_override(const struct config_override *override, uint32_t network, uint8_t length, uint32_t blocks,
			    uint32_t explicit_limit, uint32_t reserve)
{
	assert_int_equal(override->prefix.network, network);
	assert_int_equal(override->prefix.length, length);
	assert_int_equal(override->blocks, blocks);
	assert_int_equal(override->explicit_limit, explicit_limit);
	assert_int_equal(override->reserve, reserve);
}

static void test_full_subscribers(void **state)
{
	struct config *config = load_good(full);

	(void)state;
	assert_int_equal(config->subscriber_prefixes_count, 2);
	assert_int_equal(config->subscriber_prefixes[0].network, IP(198, 51, 100, 0));
	assert_int_equal(config->subscriber_prefixes[1].length, 16);
	assert_int_equal(config->blocks, 32);
	assert_int_equal(config->explicit_limit, 7);
	assert_int_equal(config->reserve, 5);
	assert_int_equal(config->overrides_count, 3);
	expect_override(&config->overrides[0], IP(198, 51, 100, 60), 32, 1, 4, 4);	/* a reserve that 4 mappings can use */
	expect_override(&config->overrides[1], IP(198, 51, 100, 0), 25, 32, 7, 9);
	expect_override(&config->overrides[2], IP(10, 1, 0, 0), 16, 32, 0, 0);
	assert_int_equal(config->statics_count, 2);
	assert_int_equal(config->statics[0].protocol, IPPROTO_UDP);
	assert_int_equal(config->statics[0].internal4, IP(198, 51, 100, 15));
	assert_int_equal(config->statics[0].internal_port, 7000);
	assert_int_equal(config->statics[0].external4, IP(192, 0, 2, 3));
	assert_int_equal(config->statics[0].external_port, 3777);
	assert_int_equal(config->statics[1].protocol, IPPROTO_TCP);
	assert_int_equal(config->statics[1].external4, IP(203, 0, 113, 77));
	assert_int_equal(config->statics[1].external_port, 80);
	config_free(config);
}

static void expect_prefix(const struct pcp_prefix *prefix, const char addr4[4], uint8_t length)
{
	assert_memory_equal(prefix->address6, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
	assert_memory_equal(prefix->address6 + 12, addr4, 4);
	assert_int_equal(prefix->length, length);
}

static void test_full_service(void **state)
{
	struct config *config = load_good(full);

	(void)state;
	assert_int_equal(config->udp_s, 121);
	assert_int_equal(config->tcp_established_s, 8000);
	assert_int_equal(config->tcp_transitory_s, 241);
	assert_int_equal(config->tcp_opening_s, 30);
	assert_int_equal(config->tcp_closing_s, 241);
	assert_int_equal(config->rest_s, 0);
	assert_int_equal(config->icmp_s, 61);
	assert_int_equal(config->mappings_max, 5000);
	assert_int_equal(config->report_source, 3);
	assert_int_equal(config->report_total, 77);
	assert_int_equal(config->mss_clamp, 1300);
	assert_true(config->address_dependent);
	assert_int_equal(config->subscribers_max, 70);
	assert_int_equal(config_description_room(config), 40);
	assert_int_equal(config_filter_room(config), 50);
	assert_int_equal(config->pcp.listen4_count, 2);
	assert_int_equal(config->pcp.listen4[0], IP(198, 51, 100, 1));
	assert_int_equal(config->pcp.listen4[1], IP(10, 1, 0, 1));
	assert_int_equal(config->pcp.lifetime_min_s, 130);
	assert_int_equal(config->pcp.lifetime_max_s, 7200);
	assert_int_equal(config->pcp.error_short_s, 10);
	assert_int_equal(config->pcp.error_long_s, 20);
	assert_false(config->pcp.announce);
	assert_true(config->pcp.map);
	assert_int_equal(config->pcp.nonce_policy, CGN_NONCE_SAME_SOURCE);
	assert_true(config->pcp.nat_pmp);
	assert_int_equal(config->pcp.description_max, 200);
	assert_int_equal(config->pcp.rate_requests, 33);
	assert_int_equal(config->pcp.rate_burst, 44);
	assert_int_equal(config->pcp.filters, 5);
	assert_int_equal(config->pcp.third_party_count, 3);
	expect_prefix(&config->pcp.third_party[0].from, "\xc6\x33\x64\xfa", 128);
	expect_prefix(&config->pcp.third_party[0].target, "\xc6\x33\x64\0", 121);
	expect_prefix(&config->pcp.third_party[1].from, "\xc6\x33\x64\xfa", 128);
	expect_prefix(&config->pcp.third_party[1].target, "\x0a\1\2\0", 119);
	expect_prefix(&config->pcp.third_party[2].from, "\xcb\0\x71\0", 122);
	expect_prefix(&config->pcp.third_party[2].target, "\x0a\1\0\0", 112);
	assert_int_equal(config->log.audit_days, 7);
	assert_string_equal(config->log.syslog, "udp:192.0.2.9:514");
	assert_string_equal(config->state_dir, "/tmp/state");
	assert_string_equal(config->pin_dir, "/sys/fs/bpf/other");
	assert_string_equal(config->control, "/tmp/control");
	config_free(config);
}

/* What is accepted at the edge of what is right. */
static void test_edges(void **state)
{
	static const char *const good[] = {
		"# comment\n---\n" MINIMAL "...\n",
		"\xef\xbb\xbf" MINIMAL,							/* byte order mark */
		MINIMAL "pcp: {nonce: off}\n",						/* no boolean, a choice */
		MINIMAL "pcp: {nonce: \"off\", lifetime: {min: 1, max: 1}}\n",
		MINIMAL "pcp: {lifetime: {min: 86400}}\n",
		MINIMAL "pcp: {listen: [127.0.0.1]}\n",
		MINIMAL "subscribers: {blocks: 1, explicit: 0, reserve: 0}\n",
		MINIMAL "subscribers: {blocks: 1, reserve: 255}\n",
		MINIMAL "timeouts: {udp: 1, tcp-established: 604800}\n",
		MINIMAL "static: []\n",
		MINIMAL "tables: {mappings: 16777216, subscribers: 1}\n",
		INTERFACES "pools: [{addresses: [203.0.112.0/20]}]\n",			/* 4096 addresses */
		INTERFACES "pools: [{addresses: [192.0.2.1], block-size: 64, ports: 65472-65535}]\n",
		INTERFACES "pools: [{addresses: [192.0.2.1], block-size: 1024}]\n",
		INTERFACES "pools: [{addresses: [192.0.2.1], block-size: 64, ports: 1088-1151}]\nsubscribers: {blocks: 1}\n",
		"interfaces: [{name: abcdefghijklmno, side: external}, {name: '1', side: internal}]\n" POOLS,
		MINIMAL "control: /0123456789012345678901234567890123456789012345678901234567890123456789"
			"012345678901234567890123456789012345\n",			/* 107 bytes */
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(good); i++)
		config_free(load_good(good[i]));
}

/* A reserve that was not asked for shrinks to half of a small quota, and to what explicit mappings can use. */
static void test_default_reserve(void **state)
{
	struct config *config;

	(void)state;
	config = load_good(INTERFACES "pools: [{addresses: [192.0.2.1], block-size: 64}, {addresses: [192.0.2.9]}]\nsubscribers: {blocks: 1}\n");
	assert_int_equal(config->reserve, 32);
	config_free(config);
	config = load_good(MINIMAL "subscribers: {explicit: 3}\n");
	assert_int_equal(config->reserve, 3);
	config_free(config);
}

static void test_sample_file(void **state)
{
	struct config *config = NULL;

	(void)state;
	if (!config_load("../scripts/xcgn.yaml", &config, error, sizeof(error)))
		fail_msg("%s", error);
	assert_int_equal(config_address_count(config), 16);
	config_free(config);
}

/* ---- text and YAML ---- */

static void test_bad_yaml(void **state)
{
	static const struct bad bad[] = {
		{ "", 1, { "empty", "`interfaces` and `pools`" } },
		{ "# only\n# comments\n", 1, { "empty" } },
		{ "interfaces: [\n", 2, { "not YAML" } },
		{ MINIMAL "\tpcp: {}\n", 6, { "not YAML" } },
		{ MINIMAL "pcp: {\"a: 1}\n", 7, { "not YAML" } },
		{ MINIMAL "---\nxdp-mode: native\n", 6, { "second document" } },
		{ "- a\n- b\n", 1, { "a list is given", "the keys interfaces, xdp-mode, pools" } },
		{ "hello\n", 1, { "\"hello\" is given", "the keys interfaces" } },
		{ INTERFACES "pools: &p\n  - {addresses: [192.0.2.0/28]}\n", 4, { "anchor &p" } },
		{ MINIMAL "log: {syslog: \"udp:192.0.2.9\"}\n", 6, { "log.syslog", "/dev/log", "udp:192.0.2.1:514" } },
		{ MINIMAL "log: {audit-days: 4000}\n", 6, { "log.audit-days", "0 to 3650" } },
		{ MINIMAL "state-dir: *x\n", 6, { "alias *x" } },
		{ MINIMAL "state-dir: !!binary L3Zhcg==\n", 6, { "tag tag:yaml.org,2002:binary", "leave it out" } },
		{ MINIMAL "<<: {state-dir: /x}\n", 6, { "<<: unknown key" } },
		{ MINIMAL "state-dir: \"/a\\0b\"\n", 6, { "NUL character" } },
		{ MINIMAL "pcp: [[[[[[[[[[1]]]]]]]]]]\n", 6, { "nested deeper than 8" } },
		{ MINIMAL "? [a, b]\n: 1\n", 6, { "where a key is needed" } },
		{ MINIMAL "state-dir: /caf\xe9\n", 6, { "UTF-8" } },
		{ MINIMAL "state-dir: \"/a\\nb\"\n", 6, { "state-dir", "absolute path" } },
		{ MINIMAL "\"a\\nb\\e[31m\": 1\n", 6, { "a?b?[31m: unknown key" } },
	};

	(void)state;
	expect_bad(bad, COUNT(bad));
}

static void expect_bad_bytes(const void *bytes, size_t length, unsigned line, const char *word)
{
	expect_error(load_bytes(bytes, length), "(bytes)", line, &word, 1);
}

static void test_bad_bytes(void **state)
{
	static const char nul[] = MINIMAL "state-dir: /a\0b\n", utf16[] = "\xff\xfe" "a\0:\0 \0" "1\0\n\0";

	(void)state;
	expect_bad_bytes(nul, sizeof(nul) - 1, 6, "control characters");
	expect_bad_bytes(utf16, sizeof(utf16) - 1, 1, "UTF-8");
	expect_bad_bytes("\x7f" "ELF\2\1\1\0\0\0\0", 12, 1, "UTF-8");
}

static void expect_bad_repeat(const char *head, const char *piece, size_t times, unsigned line, const char *word)
{
	size_t head_length = strlen(head), piece_length = strlen(piece), i;
	char *text = malloc(head_length + piece_length * times);

	assert_non_null(text);
	memcpy(text, head, head_length);
	for (i = 0; i < times; i++)
		memcpy(text + head_length + i * piece_length, piece, piece_length);
	expect_bad_bytes(text, head_length + piece_length * times, line, word);
	free(text);
}

/* Files made to cost time or memory. */
static void test_hostile_files(void **state)
{
	static const char bomb[] = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\n";

	(void)state;
	expect_bad_repeat("", "# 34567890123456\n", 70000, 0, "larger than 1048576");
	expect_bad_repeat("", "[", 500000, 1, "nested deeper");
	expect_bad_repeat("", "- ", 500000, 1, "nested deeper");
	expect_bad_repeat("", "{a: ", 200000, 1, "nested deeper");
	expect_bad_repeat(MINIMAL, "a: b\n", 200000, 6, "a: unknown key");
	expect_bad_repeat(MINIMAL "static:\n", "  - {}\n", 100000, 7, "100000 entries; right are 0 to 4096");
	expect_bad_repeat(MINIMAL "state-dir: /", "a", 1000000, 6, "1000001 bytes long");
	expect_bad_repeat("", "a", 1000000, 1, "is given");
	expect_bad_repeat("", "\"", 1000000, 1, "not YAML");
	expect_error(load(bomb), bomb, 1, (const char *const[]){ "anchor &a" }, 1);
}

static void expect_bad_path(const char *path, const char *word)
{
	struct config *config = (struct config *)&config, *before = config;

	assert_false(config_load(path, &config, error, sizeof(error)));
	assert_ptr_equal(config, before);	/* left alone */
	expect_one_line();
	assert_memory_equal(error, path, strlen(path));
	assert_non_null(strstr(error, word));
}

static void test_bad_paths(void **state)
{
	(void)state;
	expect_bad_path("/nonexistent/xcgn.yaml", "No such file");
	expect_bad_path("/proc", "is a directory");
	expect_bad_path("/dev/zero", "larger than");
	expect_bad_path("/proc/self/mem", "cannot read: Input/output error");
	expect_bad_path("", "cannot open");
}

static void test_small_error_buffer(void **state)
{
	struct config *config = NULL;
	char small[10];

	(void)state;
	assert_false(config_load("/nonexistent/xcgn.yaml", &config, small, sizeof(small)));
	assert_string_equal(small, "/nonexist");
}

/* ---- shape ---- */

static void test_bad_shape(void **state)
{
	static const struct bad bad[] = {
		{ INTERFACES, 1, { "pools: missing", "a list", "name, addresses, ports, block-size" } },
		{ POOLS, 1, { "interfaces: missing", "name, side" } },
		{ MINIMAL "xdp: native\n", 6, { "xdp: unknown key", "known here: interfaces, xdp-mode, pools", "control" } },
		{ MINIMAL "\npcp:\n  lifetime:\n    minimum: 3\n", 9, { "pcp.lifetime.minimum: unknown key", "known here: min, max" } },
		{ INTERFACES "pools:\n  - addresses: [192.0.2.1]\n    size: 3\n", 6, { "pools[0].size: unknown key", "block-size" } },
		{ INTERFACES "pools:\n  - name: a\n    ports: 1024-2047\n", 5, { "pools[0].addresses: missing" } },
		{ "interfaces:\n  - {name: a, side: internal}\n  - {name: b}\n" POOLS, 3, { "interfaces[1].side: missing", "internal, external" } },
		{ MINIMAL "xdp-mode: native\ntables: {}\nxdp-mode: native\n", 8, { "xdp-mode: given twice, first in line 6" } },
		{ MINIMAL "pcp: {nonce: off, nonce: off}\n", 6, { "pcp.nonce: given twice" } },
		{ MINIMAL MINIMAL, 6, { "interfaces: given twice, first in line 1" } },
		{ MINIMAL "xdp-mode: fast\n", 6, { "xdp-mode", "\"fast\"", "native, generic" } },
		{ MINIMAL "xdp-mode: 1\n", 6, { "xdp-mode", "native, generic" } },
		{ MINIMAL "xdp-mode: [native]\n", 6, { "xdp-mode: a list is given" } },
		{ MINIMAL "xdp-mode:\n", 6, { "xdp-mode: no value is given" } },
		{ MINIMAL "timeouts:\n", 6, { "timeouts: no value is given", "udp, tcp-established" } },
		{ MINIMAL "timeouts: 300\n", 6, { "timeouts: \"300\" is given", "the keys udp" } },
		{ MINIMAL "timeouts: {udp: 5m}\n", 6, { "timeouts.udp", "\"5m\"", "a whole number" } },
		{ MINIMAL "timeouts: {udp: \"300\"}\n", 6, { "timeouts.udp", "a whole number" } },
		{ MINIMAL "timeouts: {udp: -1}\n", 6, { "timeouts.udp", "\"-1\"" } },
		{ MINIMAL "timeouts: {udp: +1}\n", 6, { "timeouts.udp", "\"+1\"" } },
		{ MINIMAL "timeouts: {udp: 0x10}\n", 6, { "timeouts.udp", "\"0x10\"" } },
		{ MINIMAL "timeouts: {udp: 3f}\n", 6, { "timeouts.udp", "\"3f\"" } },
		{ MINIMAL "timeouts: {udp: 0300}\n", 6, { "timeouts.udp", "\"0300\"" } },
		{ MINIMAL "timeouts: {udp: 1.5}\n", 6, { "timeouts.udp", "\"1.5\"" } },
		{ MINIMAL "timeouts: {udp: 4294967296}\n", 6, { "timeouts.udp", "too big" } },
		{ MINIMAL "timeouts: {udp: 18446744073709551617}\n", 6, { "timeouts.udp", "too big" } },
		{ MINIMAL "pools: {addresses: [192.0.2.1]}\n", 6, { "pools: given twice" } },
		{ INTERFACES "pools: {addresses: [192.0.2.1]}\n", 4, { "pools: keys are given", "a list" } },
		{ INTERFACES "pools: []\n", 4, { "pools: 0 entries", "1 to" } },
		{ INTERFACES "pools: [{addresses: []}]\n", 4, { "pools[0].addresses: 0 entries" } },
		{ INTERFACES "pools: [{addresses: 192.0.2.1}]\n", 4, { "pools[0].addresses: \"192.0.2.1\" is given", "a list" } },
		{ INTERFACES "pools: [{addresses: [[192.0.2.1]]}]\n", 4, { "pools[0].addresses[0]: a list is given" } },
		{ "interfaces: []\n" POOLS, 1, { "interfaces: 0 entries", "1 to 64" } },
		{ MINIMAL "pcp: {nat-pmp: maybe}\n", 6, { "pcp.nat-pmp", "true or false" } },
		{ MINIMAL "pcp: {nat-pmp: \"false\"}\n", 6, { "pcp.nat-pmp", "true or false" } },
		{ MINIMAL "pcp: {opcodes: []}\n", 6, { "pcp.opcodes", "announce, map, peer, get" } },
		{ MINIMAL "pcp: {opcodes: map}\n", 6, { "pcp.opcodes", "\"map\" is given", "a list of announce" } },
		{ MINIMAL "pcp: {opcodes: [map, quux]}\n", 6, { "pcp.opcodes[1]", "\"quux\"" } },
		{ MINIMAL "pcp: {opcodes: [map, 2]}\n", 6, { "pcp.opcodes[1]", "\"2\"" } },
		{ MINIMAL "pcp:\n  opcodes:\n    - map\n    - announce\n    - map\n", 10, { "pcp.opcodes[2]: map is given twice" } },
		{ MINIMAL "filtering: port-dependent\n", 6, { "filtering", "endpoint-independent, address-dependent" } },
		{ MINIMAL "pcp: {nonce: lax}\n", 6, { "pcp.nonce", "strict, same-source, off" } },
		{ MINIMAL "pcp: {listen: []}\n", 6, { "pcp.listen: 0 entries" } },
		{ MINIMAL "static: [{protocol: sctp, internal: \"10.0.0.1:1\", external: \"192.0.2.1:2048\"}]\n", 6,
		  { "static[0].protocol", "udp, tcp" } },
		{ MINIMAL "subscribers: {prefixes: []}\n", 6, { "subscribers.prefixes: 0 entries" } },
	};

	(void)state;
	expect_bad(bad, COUNT(bad));
}

/* ---- meaning ---- */

#define THIRD_PARTY(from, target) MINIMAL "pcp:\n  third-party:\n    - from: " from "\n      for: [10.2.0.0/16, " target "]\n"

static void test_bad_third_party(void **state)
{
	static const struct bad bad[] = {
		{ THIRD_PARTY("10.0.0.300", "10.0.0.0/8"), 8, { "pcp.third-party[0].from", "10.0.0.300" } },
		{ THIRD_PARTY("10.0.0.1/8", "10.0.0.0/8"), 8, { "pcp.third-party[0].from", "10.0.0.0/8" } },
		{ THIRD_PARTY("192.0.2.7", "10.0.0.0/8"), 8, { "pcp.third-party[0].from: 192.0.2.7/32 overlaps pool", "internal side" } },
		{ THIRD_PARTY("10.0.0.1", "198.51.100.0/24"), 9, { "pcp.third-party[0].for[1]: 198.51.100.0/24 is not inside" } },
		{ THIRD_PARTY("10.0.0.1", "0.0.0.0/0"), 9, { "pcp.third-party[0].for[1]" } },
		{ THIRD_PARTY("10.0.0.1", "x"), 9, { "pcp.third-party[0].for[1]", "\"x\"" } },
		{ MINIMAL "pcp: {third-party: [{from: 10.0.0.1}]}\n", 6, { "pcp.third-party[0].for: missing" } },
		{ MINIMAL "pcp: {third-party: [{for: [10.0.0.1]}]}\n", 6, { "pcp.third-party[0].from: missing" } },
		{ MINIMAL "pcp: {third-party: [{from: 10.0.0.1, for: []}]}\n", 6, { "pcp.third-party[0].for: 0 entries" } },
		{ MINIMAL "pcp: {third-party: {from: 10.0.0.1, for: [10.0.0.2]}}\n", 6, { "pcp.third-party: keys are given", "a list" } },
		{ MINIMAL "pcp: {rate: {requests: 1000001}}\n", 6, { "pcp.rate.requests: 1000001 is out of range" } },
		{ MINIMAL "pcp: {description: 255}\n", 6, { "pcp.description: 255 is out of range; right is 0 to 254" } },
		{ MINIMAL "pcp: {filters: 0}\n", 6, { "pcp.filters: 0 is out of range", "1 to 32" } },
		{ MINIMAL "pcp: {filters: 33}\n", 6, { "pcp.filters: 33 is out of range" } },
		{ MINIMAL "pcp: {rate: {burst: 0}}\n", 6, { "pcp.rate.burst: 0 is out of range" } },
	};

	(void)state;
	expect_bad(bad, COUNT(bad));
}

#define TWO(one, two) "interfaces:\n  - {name: " one ", side: internal}\n  - {name: " two ", side: external}\n" POOLS

#define VLAN(keys) "interfaces:\n  - {name: a, side: internal}\n  - {name: b, side: external, " keys "}\n" POOLS

static void test_vlans(void **state)
{
	struct config *config = load_good("interfaces:\n  - {name: eth0.7, side: internal, link: eth0, vlans: [7]}\n"
					  "  - {name: q, side: external, link: eth0, vlans: [8, 9]}\n"
					  "  - {name: r, side: external, link: eth0, vlans: [8, 9], outer-tag: 802.1q}\n"
					  "  - {name: eth0, side: none}\n  - {name: s, side: both}\n" POOLS);

	(void)state;
	assert_string_equal(config->interfaces[0].link, "eth0");
	assert_int_equal(config->interfaces[0].vlans_count, 1);
	assert_int_equal(config->interfaces[0].vlans[0], 7);
	assert_int_equal(config->interfaces[0].outer_tag, CONFIG_8021Q);
	assert_int_equal(config->interfaces[1].vlans_count, 2);
	assert_int_equal(config->interfaces[1].vlans[1], 9);
	assert_int_equal(config->interfaces[1].outer_tag, CONFIG_8021AD);
	assert_int_equal(config->interfaces[2].outer_tag, CONFIG_8021Q);
	assert_int_equal(config->interfaces[3].side, CGN_NO_SIDE);
	assert_null(config->interfaces[3].link);
	assert_int_equal(config->interfaces[4].side, CGN_EITHER_SIDE);
	config_free(config);
	config = load_good("interfaces: [{name: a, side: both}]\n" POOLS);
	assert_int_equal(config->interfaces_count, 1);
	config_free(config);
}

static void test_bad_interfaces(void **state)
{
	static const struct bad bad[] = {
		{ TWO("a", "a"), 3, { "interfaces[1].name: a is interfaces[0] already" } },
		{ TWO("a", "abcdefghijklmnop"), 3, { "interfaces[1].name", "no interface name", "1 to 15" } },
		{ TWO("'a b'", "c"), 2, { "interfaces[0].name", "no interface name" } },
		{ TWO("a/b", "c"), 2, { "interfaces[0].name" } },
		{ TWO("a", "'c:1'"), 3, { "interfaces[1].name" } },
		{ TWO("..", "c"), 2, { "interfaces[0].name" } },
		{ TWO("''", "c"), 2, { "interfaces[0].name: no value" } },
		{ TWO("\"a\\x1bb\"", "c"), 2, { "interfaces[0].name: \"a?b\"" } },
		{ TWO("\xc3\xa9th0", "c"), 2, { "interfaces[0].name" } },
		{ "interfaces: [{name: a, side: internal}, {name: b, side: internal}]\n" POOLS, 1, { "no interface has side external" } },
		{ POOLS "interfaces:\n  - {name: a, side: external}\n  - {name: b, side: external}\n", 4, { "no interface has side internal" } },
		{ POOLS "interfaces:\n  - {name: a, side: external}\n  - {name: b, side: none}\n", 4, { "no interface has side internal" } },
		{ "interfaces: [{name: a, side: either}]\n" POOLS, 1, { "interfaces[0].side", "internal, external, both, none" } },
		{ VLAN("link: c"), 3, { "interfaces[1]: `link` and `vlans` belong together" } },
		{ VLAN("vlans: [7]"), 3, { "interfaces[1]: `link` and `vlans` belong together" } },
		{ VLAN("outer-tag: 802.1ad"), 3, { "interfaces[1]: `link` and `vlans` belong together" } },
		{ VLAN("link: b, vlans: [7]"), 3, { "interfaces[1].link: b bears itself" } },
		{ VLAN("link: c/d, vlans: [7]"), 3, { "interfaces[1].link", "no interface name" } },
		{ VLAN("link: c, vlans: []"), 3, { "interfaces[1].vlans", "1 to 2" } },
		{ VLAN("link: c, vlans: [7, 8, 9]"), 3, { "interfaces[1].vlans", "1 to 2" } },
		{ VLAN("link: c, vlans: [0]"), 3, { "interfaces[1].vlans[0]", "1 to 4094" } },
		{ VLAN("link: c, vlans: [7, 4095]"), 3, { "interfaces[1].vlans[1]", "1 to 4094" } },
		{ VLAN("link: c, vlans: [7], outer-tag: qinq"), 3, { "interfaces[1].outer-tag", "802.1q, 802.1ad" } },
		{ "interfaces:\n  - {name: a, side: internal, link: c, vlans: [7]}\n  - {name: b, side: external, link: c, vlans: [7]}\n" POOLS, 3,
		  { "interfaces[1].vlans: interfaces[0] has these on c already" } },
	};

	(void)state;
	expect_bad(bad, COUNT(bad));
}

#define POOL(entry) INTERFACES "pools:\n  - {" entry "}\n"
#define PORTS(range, size) POOL("addresses: [192.0.2.1], ports: " range ", block-size: " size)

static void test_bad_pools(void **state)
{
	static const struct bad bad[] = {
		{ POOL("addresses: [192.0.2.0/28, 192.0.2]"), 5, { "pools[0].addresses[1]: \"192.0.2\" is no IPv4 prefix" } },
		{ POOL("addresses: [192.0.2.256]"), 5, { "no IPv4 prefix" } },
		{ POOL("addresses: [192.0.2.01]"), 5, { "no IPv4 prefix" } },
		{ POOL("addresses: [192.0.2.0/33]"), 5, { "no IPv4 prefix" } },
		{ POOL("addresses: [192.0.2.0/]"), 5, { "no IPv4 prefix" } },
		{ POOL("addresses: [192.0.2.0/-1]"), 5, { "no IPv4 prefix" } },
		{ POOL("addresses: [192.0.2.0/028]"), 5, { "no IPv4 prefix" } },
		{ POOL("addresses: ['2001:db8::/64']"), 5, { "no IPv4 prefix" } },
		{ POOL("addresses: [192.0.2.0000000000000000000001]"), 5, { "no IPv4 prefix" } },
		{ POOL("addresses: [192.0.2.1/28]"), 5, { "192.0.2.1/28", "right is 192.0.2.0/28" } },
		{ POOL("addresses: [0.0.0.0/0]"), 5, { "0.0.0.0/0 touches" } },
		{ POOL("addresses: [0.1.0.0/24]"), 5, { "this network" } },
		{ POOL("addresses: [127.0.0.1]"), 5, { "loopback" } },
		{ POOL("addresses: [224.0.1.0/24]"), 5, { "multicast" } },
		{ POOL("addresses: [255.255.255.255]"), 5, { "reserved" } },
		{ POOL("addresses: [192.0.2.0/28, 192.0.2.8/29]"), 5, { "pools[0].addresses[1]", "overlaps 192.0.2.0/28 of pools[0]" } },
		{ POOL("addresses: [192.0.2.0/28, 203.0.113.1, 192.0.2.8/29]"), 5, { "pools[0].addresses[2]", "overlaps 192.0.2.0/28" } },
		{ POOL("addresses: [192.0.2.8]") "  - {addresses: [192.0.2.0/28]}\n", 6, { "pools[1].addresses[0]", "overlaps 192.0.2.8/32" } },
		{ POOL("addresses: [192.0.2.8]") "  - {addresses: [192.0.2.8]}\n", 6, { "pools[1].addresses[0]", "pools[0]" } },
		{ POOL("addresses: [203.0.112.0/20, 192.0.2.1]"), 5, { "pools[0].addresses[1]", "more than 4096" } },
		{ POOL("addresses: [192.0.0.0/4]"), 5, { "more than 4096" } },
		{ POOL("name: 'a b', addresses: [192.0.2.1]"), 5, { "pools[0].name", "letters" } },
		{ POOL("name: abcdefghijabcdefghijabcdefghijab, addresses: [192.0.2.1]"), 5, { "pools[0].name", "31" } },
		{ POOL("name: a, addresses: [192.0.2.1]") "  - {addresses: [192.0.2.2], name: a}\n", 6, { "pools[1].name", "pools[0]" } },
		{ POOL("name: pool1, addresses: [192.0.2.1]") "  - {addresses: [192.0.2.2]}\n", 6, { "pools[1].name", "\"pool1\"" } },
		{ POOL("addresses: [192.0.2.1], block-size: 100"), 5, { "pools[0].block-size: 100", "power of two from 64 to 1024" } },
		{ POOL("addresses: [192.0.2.1], block-size: 32"), 5, { "block-size: 32" } },
		{ POOL("addresses: [192.0.2.1], block-size: 2048"), 5, { "block-size: 2048" } },
		{ POOL("addresses: [192.0.2.1], block-size: 0"), 5, { "block-size: 0" } },
		{ POOL("addresses: [10.1.2.3]"), 5, { "10.1.2.3/32 overlaps the subscribers 10.0.0.0/8" } },
		{ POOL("addresses: [192.0.2.0/28]") "subscribers:\n  prefixes: [192.0.2.4/30]\n", 5, { "overlaps the subscribers 192.0.2.4/30" } },
	};

	(void)state;
	expect_bad(bad, COUNT(bad));
}

static void test_bad_ports(void **state)
{
	static const struct bad bad[] = {
		{ PORTS("1024", "64"), 5, { "pools[0].ports: \"1024\" is no range", "1024-65535" } },
		{ PORTS("1024-", "64"), 5, { "no range" } },
		{ PORTS("1024-70000", "64"), 5, { "no range" } },
		{ PORTS("4096-2047", "64"), 5, { "no range" } },
		{ PORTS("0-0", "64"), 5, { "no range" } },
		{ PORTS("1024-2047-4095", "64"), 5, { "no range" } },
		{ PORTS("01024-2047", "64"), 5, { "no range" } },
		{ PORTS("0x400-2047", "64"), 5, { "no range" } },
		{ PORTS("0-65535", "1024"), 5, { "right is 64-64575" } },
		{ PORTS("1000-65535", "256"), 5, { "right is 1024-65535" } },
		{ PORTS("1024-65000", "256"), 5, { "right is 1024-64767" } },
		{ PORTS("1024-2000", "1024"), 5, { "holds no block of 1024 ports" } },
		{ PORTS("65500-65535", "64"), 5, { "holds no block of 64 ports" } },
	};

	(void)state;
	expect_bad(bad, COUNT(bad));
}

/* 33 addresses apart from each other are one too many, 33 in a row are one run. */
static void test_runs_of_addresses(void **state)
{
	char text[2048], *end = text;
	unsigned i, step;

	(void)state;
	for (step = 1; step <= 2; step++) {
		end = text + sprintf(text, INTERFACES "pools:\n  - addresses:\n");
		for (i = 0; i < 33; i++)
			end += sprintf(end, "    - 192.0.2.%u\n", i * step);
		if (step == 1)
			config_free(load_good(text));
		else
			expect_error(load(text), text, 38, (const char *const[]){ "pools[0].addresses[32]", "more than 32 separate runs" }, 2);
	}
}

#define OVERRIDES(entries) MINIMAL "subscribers:\n  overrides:\n" entries	/* the first entry is line 8 */

static void test_bad_subscribers(void **state)
{
	static const struct bad bad[] = {
		{ MINIMAL "subscribers: {prefixes: [10.0.0.0/8, 10.1.0.0/16]}\n", 6, { "subscribers.prefixes[1]", "overlaps 10.0.0.0/8" } },
		{ MINIMAL "subscribers: {prefixes: [10.0.0.1/8]}\n", 6, { "subscribers.prefixes[0]", "right is 10.0.0.0/8" } },
		{ MINIMAL "subscribers: {prefixes: [0.0.0.0/0]}\n", 6, { "subscribers.prefixes[0]", "touches" } },
		{ MINIMAL "subscribers: {blocks: 0}\n", 6, { "subscribers.blocks: 0 is out of range; right is 1 to 32" } },
		{ MINIMAL "subscribers: {blocks: 33}\n", 6, { "subscribers.blocks: 33", "1 to 32" } },
		{ MINIMAL "subscribers: {explicit: 98305}\n", 6, { "subscribers.explicit", "0 to 98304" } },
		{ MINIMAL "subscribers:\n  blocks: 2\n  reserve: 512\n", 8, { "subscribers.reserve: 512", "512 ports of 2 blocks" } },
		{ OVERRIDES("  - {blocks: 1}\n"), 8, { "subscribers.overrides[0].prefix: missing" } },
		{ OVERRIDES("  - {prefix: 10.0.0.0/16, blocks: 0}\n"), 8, { "subscribers.overrides[0].blocks: 0", "1 to 32" } },
		{ OVERRIDES("  - {prefix: 10.0.0.0/16, explicit: 99999}\n"), 8, { "subscribers.overrides[0].explicit" } },
		{ OVERRIDES("  - {prefix: 10.0.0.0/16, blocks: 1, reserve: 256}\n"), 8, { "subscribers.overrides[0].reserve: 256" } },
		{ OVERRIDES("  - {prefix: 198.51.100.0/24}\n"), 8, { "overrides[0].prefix: 198.51.100.0/24 is not inside" } },
		{ OVERRIDES("  - {prefix: 8.0.0.0/6}\n"), 8, { "is not inside" } },
		{ OVERRIDES("  - {prefix: 10.0.0.0/16}\n  - {prefix: 10.0.3.0/24}\n"), 9, { "overrides[1].prefix: 10.0.3.0/24 is never reached" } },
		{ OVERRIDES("  - {prefix: 10.0.3.0/24}\n  - {prefix: 10.0.3.0/24}\n"), 9, { "overrides[1].prefix", "never reached" } },
	};

	(void)state;
	expect_bad(bad, COUNT(bad));
}

static void test_too_many_overrides(void **state)
{
	char text[8192], *end = text + sprintf(text, OVERRIDES(""));
	unsigned i;

	(void)state;
	for (i = 0; i < 61; i++)		/* and the four default prefixes */
		end += sprintf(end, "  - {prefix: 10.0.%u.0/24}\n", i);
	expect_error(load(text), text, 8, (const char *const[]){ "61 overrides and 4 prefixes", "64 together" }, 2);
	end[-1 - (int)strlen("  - {prefix: 10.0.60.0/24}")] = '\0';
	config_free(load_good(text));
}

#define STATIC(protocol, internal, external) \
	"  - {protocol: " protocol ", internal: \"" internal "\", external: \"" external "\"}\n"
#define STATICS(entries) MINIMAL "static:\n" entries		/* the first entry is line 7 */
#define FIRST STATIC("udp", "10.0.0.1:7000", "192.0.2.3:7777")

static void test_bad_statics(void **state)
{
	static const struct bad bad[] = {
		{ STATICS(STATIC("udp", "10.0.0.1", "192.0.2.3:7777")), 7, { "static[0].internal: \"10.0.0.1\" is no IPv4 address and port" } },
		{ STATICS(STATIC("udp", "10.0.0.1:0", "192.0.2.3:7777")), 7, { "static[0].internal" } },
		{ STATICS(STATIC("udp", "10.0.0.1:65536", "192.0.2.3:7777")), 7, { "static[0].internal" } },
		{ STATICS(STATIC("udp", "10.0.0.1:4294974296", "192.0.2.3:7777")), 7, { "static[0].internal" } },	/* 2^32 + 7000 */
		{ STATICS(STATIC("udp", "10.0.0.1:7000 ", "192.0.2.3:7777")), 7, { "static[0].internal" } },
		{ STATICS(STATIC("udp", ":7000", "192.0.2.3:7777")), 7, { "static[0].internal" } },
		{ STATICS(STATIC("udp", "[::1]:7000", "192.0.2.3:7777")), 7, { "static[0].internal" } },
		{ STATICS(STATIC("udp", "8.8.8.8:7000", "192.0.2.3:7777")), 7, { "static[0].internal: 8.8.8.8 is no subscriber" } },
		{ STATICS(STATIC("udp", "10.0.0.1:7000", "192.0.2.3")), 7, { "static[0].external", "no IPv4 address and port" } },
		{ STATICS(STATIC("udp", "10.0.0.1:7000", "192.0.2.16:7777")), 7, { "static[0].external: 192.0.2.16 is in no pool" } },
		{ STATICS(STATIC("udp", "10.0.0.1:7000", "192.0.2.3:80")), 7, { "port 80 is outside of pool pool0", "1024 to 65535" } },
		{ PORTS("1024-2047", "64") "static:\n" STATIC("udp", "10.0.0.1:7000", "192.0.2.1:2048"), 7,
		  { "port 2048 is outside of pool pool0", "1024 to 2047" } },
		{ STATICS(STATIC("udp", "10.0.0.1:7000", "192.0.2.3:5350")), 7, { "UDP port 5350 belongs to PCP" } },
		{ STATICS(STATIC("udp", "10.0.0.1:7000", "192.0.2.3:5351")), 7, { "UDP port 5351 belongs to PCP" } },
		{ STATICS(FIRST STATIC("udp", "10.0.0.1:7000", "192.0.2.3:7778")), 8, { "static[1].internal: mapped by static[0] already" } },
		{ STATICS(FIRST STATIC("udp", "10.0.0.2:7000", "192.0.2.3:7777")), 8, { "static[1].external: taken by static[0] already" } },
		{ STATICS(FIRST FIRST), 8, { "static[1].internal" } },
		{ STATICS(FIRST STATIC("tcp", "10.0.0.1:7000", "192.0.2.3:7777")) "tables: {mappings: 1}\n", 7,
		  { "static: 2 mappings", "`tables.mappings`, 1" } },
	};

	(void)state;
	config_free(load_good(STATICS(FIRST STATIC("tcp", "10.0.0.1:7000", "192.0.2.3:7777"))));
	config_free(load_good(STATICS(STATIC("tcp", "10.0.0.1:7000", "192.0.2.3:5351"))));
	expect_bad(bad, COUNT(bad));
}

static void test_bad_numbers(void **state)
{
	static const struct bad bad[] = {
		{ MINIMAL "timeouts: {udp: 0}\n", 6, { "timeouts.udp: 0 is out of range; right is 1 to 604800" } },
		{ MINIMAL "timeouts: {tcp-established: 604801}\n", 6, { "timeouts.tcp-established: 604801" } },
		{ MINIMAL "timeouts: {tcp-transitory: 0}\n", 6, { "timeouts.tcp-transitory" } },
		{ MINIMAL "timeouts: {tcp-opening: 0}\n", 6, { "timeouts.tcp-opening" } },
		{ MINIMAL "timeouts: {tcp-closing: 604801}\n", 6, { "timeouts.tcp-closing" } },
		{ MINIMAL "timeouts: {icmp: 0}\n", 6, { "timeouts.icmp" } },
		{ MINIMAL "timeouts: {rest: 604801}\n", 6, { "timeouts.rest" } },
		{ MINIMAL "icmp-errors: {sender: 1000001}\n", 6, { "icmp-errors.sender: 1000001 is out of range; right is 0 to 1000000" } },
		{ MINIMAL "icmp-errors: {total: 1000001}\n", 6, { "icmp-errors.total", "0 to 1000000" } },
		{ MINIMAL "icmp-errors: {host: 1}\n", 6, { "icmp-errors", "sender" } },
		{ MINIMAL "mss-clamp: 535\n", 6, { "mss-clamp: 535 is out of range; right is 536 to 65495, or 0 (off)" } },
		{ MINIMAL "mss-clamp: 65496\n", 6, { "mss-clamp: 65496 is out of range" } },
		{ MINIMAL "tables: {mappings: 0}\n", 6, { "tables.mappings", "1 to 16777216" } },
		{ MINIMAL "tables: {mappings: 16777217}\n", 6, { "tables.mappings" } },
		{ MINIMAL "tables: {addresses: 4097}\n", 6, { "tables.addresses", "1 to 4096" } },
		{ MINIMAL "tables: {addresses: 15}\n", 6, { "tables.addresses: 15 is less than the 16 addresses" } },
		{ MINIMAL "tables: {descriptions: 0}\n", 6, { "tables.descriptions", "1 to 16777216" } },
		{ MINIMAL "tables: {filters: 16777217}\n", 6, { "tables.filters", "1 to 16777216" } },
		{ MINIMAL "tables: {subscribers: 4194305}\n", 6, { "tables.subscribers", "1 to 4194304" } },
		{ MINIMAL "pcp: {lifetime: {min: 0}}\n", 6, { "pcp.lifetime.min", "1 to 31536000" } },
		{ MINIMAL "pcp: {lifetime: {max: 4294967295}}\n", 6, { "pcp.lifetime.max" } },
		{ MINIMAL "pcp:\n  lifetime: {min: 200, max: 199}\n", 7, { "pcp.lifetime: max 199 is below min 200" } },
		{ MINIMAL "pcp:\n  lifetime: {min: 90000}\n", 7, { "pcp.lifetime: max 86400 is below min 90000" } },
		{ MINIMAL "pcp: {error-lifetime: {short: 0}}\n", 6, { "pcp.error-lifetime.short" } },
		{ MINIMAL "pcp: {error-lifetime: {short: 31, long: 30}}\n", 6, { "long 30 is below short 31" } },
	};

	(void)state;
	expect_bad(bad, COUNT(bad));
}

#define PATH_108 "/01234567890123456789012345678901234567890123456789" "01234567890123456789012345678901234567890123456789" "0123456"

static void test_bad_service(void **state)
{
	static const struct bad bad[] = {
		{ MINIMAL "pcp: {listen: [example.org]}\n", 6, { "pcp.listen[0]: \"example.org\" is no IPv4 address" } },
		{ MINIMAL "pcp: {listen: ['2001:db8::1']}\n", 6, { "pcp.listen[0]", "no IPv4 address" } },
		{ MINIMAL "pcp: {listen: [0.0.0.0]}\n", 6, { "0.0.0.0 is no unicast address" } },
		{ MINIMAL "pcp: {listen: [224.0.0.1]}\n", 6, { "224.0.0.1 is no unicast address" } },
		{ MINIMAL "pcp: {listen: [255.255.255.255]}\n", 6, { "no unicast address" } },
		{ MINIMAL "pcp: {listen: [192.0.2.5]}\n", 6, { "192.0.2.5 is in pool pool0" } },
		{ MINIMAL "pcp: {listen: [10.0.0.1, 10.0.0.1]}\n", 6, { "pcp.listen[1]: 10.0.0.1 is pcp.listen[0] already" } },
		{ MINIMAL "state-dir: var/lib\n", 6, { "state-dir: \"var/lib\"", "absolute path" } },
		{ MINIMAL "state-dir: ~\n", 6, { "state-dir" } },
		{ MINIMAL "state-dir:\n", 6, { "state-dir: no value" } },
		{ MINIMAL "pin-dir: /\n", 6, { "pin-dir", "like /sys/fs/bpf/xcgn" } },
		{ MINIMAL "pin-dir: /sys/fs/bpf/../xcgn\n", 6, { "pin-dir", "without .." } },
		{ MINIMAL "pin-dir: /sys/..\n", 6, { "pin-dir", "without .." } },
		{ MINIMAL "pin-dir: " PATH_108 PATH_108 "\n", 6, { "pin-dir: 216 bytes long; right are 200 at most" } },
		{ MINIMAL "control: " PATH_108 "\n", 6, { "control: 108 bytes long; right are 107 at most" } },
		{ MINIMAL "control: /run/xcgn/\n", 6, { "control", "like /run/xcgn/control.sock" } },
		{ MINIMAL "pcp: {get: {opcode: 2}}\n", 6, { "pcp.get.opcode: 2 is out of range", "4 to 126" } },
		{ MINIMAL "pcp: {get: {opcode: 127}}\n", 6, { "pcp.get.opcode", "4 to 126" } },
		{ MINIMAL "pcp: {get: {next: 128}}\n", 6, { "pcp.get.next: 128 is another option's number", "131" } },
		{ MINIMAL "pcp: {get: {next: 3}}\n", 6, { "pcp.get.next", "4 to 254" } },
		{ MINIMAL "pcp: {get: {not-found: 13}}\n", 6, { "pcp.get.not-found", "27 to 255" } },
		{ MINIMAL "pcp:\n  get:\n    not-found: 131\n", 8, { "pcp.get.not-found: 131 is the number of `ambiguous`" } },
		{ MINIMAL "pcp: {get: {nonces: hide}}\n", 6, { "pcp.get.nonces", "redact, reveal" } },
	};

	(void)state;
	expect_bad(bad, COUNT(bad));
}

/* ---- robustness ---- */

/* Any file is either accepted or refused with one line. */
static void expect_either(const char *text, size_t length)
{
	struct config *config = load_bytes(text, length);

	if (!config)
		expect_one_line();
	config_free(config);
}

static void test_cut_anywhere(void **state)
{
	size_t length;

	(void)state;
	for (length = 0; length < sizeof(full); length++)
		expect_either(full, length);
}

/* Two of the bytes at each place, in turn: all of them everywhere take minutes under the sanitizers. */
static void test_bytes_changed_anywhere(void **state)
{
	static const char with[] = { '\0', '\n', ':', '[', '}', '"', '9', '\xff' };
	char text[sizeof(full)];
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(full) - 1; i++)
		for (j = 0; j < 2; j++) {
			memcpy(text, full, sizeof(full));
			text[i] = with[(i * 3 + j * 5) % sizeof(with)];
			expect_either(text, sizeof(full) - 1);
		}
}

static void test_warnings(void **state)
{
	static const char *const expected[] = {
		"timeouts.udp: 119 is below the 120 of RFC 4787 REQ-5",
		"timeouts.tcp-established: 7439 is below the 7440 of RFC 5382 REQ-5",
		"timeouts.tcp-transitory: 239 is below the 240 of RFC 5382 REQ-5",
		"timeouts.icmp: 59 is below the 60 of RFC 5508 REQ-2",
		"timeouts.rest: 119 is below the 120 of RFC 6888 REQ-8",
		"pcp.lifetime.min: 119 is below the 120 of RFC 6887 section 15",
		"pools[1].ports: ports below 1024",
		"pcp.nonce: ",
	};
	struct config *config = load_good(MINIMAL);
	char text[200] = "";
	unsigned i;

	(void)state;
	assert_false(config_warning(config, 0, text, sizeof(text)));
	config_free(config);
	config = load_good(MINIMAL "  - {addresses: [192.0.2.99], ports: 64-319}\n"
			   "timeouts: {udp: 119, tcp-established: 7439, tcp-transitory: 239, icmp: 59, rest: 119}\n"
			   "pcp: {nonce: off, lifetime: {min: 119}}\n");
	for (i = 0; i < COUNT(expected); i++) {
		assert_true(config_warning(config, i, text, sizeof(text)));
		if (strncmp(text, expected[i], strlen(expected[i])))
			fail_msg("%u: %s", i, text);
	}
	assert_false(config_warning(config, i, text, sizeof(text)));
	config_free(config);
	config = load_good(MINIMAL "timeouts: {tcp-closing: 239, tcp-opening: 5}\n");
	assert_true(config_warning(config, 0, text, sizeof(text)));
	assert_string_equal(text, "timeouts.tcp-closing: 239 is below the 240 of RFC 5382 REQ-5");
	assert_false(config_warning(config, 1, text, sizeof(text)));
	config_free(config);
	config_free(NULL);
}

/* Tables hold what they say. Texts and filters, which few mappings have, find room in a large table for an eighth of them. */
static void test_rooms(void **state)
{
	static const char small[] = MINIMAL "tables: {mappings: 70000}\n", large[] = MINIMAL "tables: {mappings: 16777216, filters: 16777216}\n";
	struct config *config = load_bytes(MINIMAL, sizeof(MINIMAL) - 1);

	(void)state;
	assert_non_null(config);
	assert_in_range(config_mapping_room(config), 1000000, 1000064);
	assert_int_equal(config_description_room(config), 125000);
	assert_int_equal(config_filter_room(config), 125000);
	config_free(config);
	config = load_good(small);
	assert_int_equal(config_description_room(config), 65536);
	config->mappings_max = 65535;
	assert_int_equal(config_description_room(config), 65535);
	config_free(config);
	config = load_good(large);
	assert_int_equal(config_description_room(config), 1u << 21);
	assert_int_equal(config_filter_room(config), 1u << 24);
	config_free(config);
}

/* What the cache in front of the mappings is made of, and how its entries tell time. */
static void test_cache(void **state)
{
	struct config *config = load_bytes(MINIMAL, sizeof(MINIMAL) - 1);
	struct cgn_cache_clock clock;

	(void)state;
	assert_non_null(config);
	assert_int_equal(config_cache_line_bits(config, 64), 18);	/* a million mappings in two million words */
	assert_int_equal(config_cache_line_bits(config, 4096), 24);	/* time has ten bits */
	assert_int_equal(config_cache_address_bits(1), 0);
	assert_int_equal(config_cache_address_bits(65), 7);
	clock = config_cache_clock(config, 10, CGN_UDP);
	assert_int_equal(clock.lag_s, CGN_CACHE_S_MAX);
	assert_int_equal(clock.shift, 0);
	clock = config_cache_clock(config, 10, CGN_TCP);	/* its 1024 units are longer than an established connection may be idle */
	assert_int_equal(clock.lag_s, CGN_CACHE_TCP_S_MAX);
	assert_true(1024u << clock.shift > config->tcp_established_s + CGN_CACHE_TCP_S_MAX);
	assert_int_equal(clock.units << clock.shift, clock.lag_s);
	config->tcp_closing_s = 4;	/* a lag of a second, and a clock that cannot tell it */
	clock = config_cache_clock(config, 10, CGN_TCP);
	assert_int_equal(clock.lag_s, 0);
	assert_int_equal(clock.units, 0);
	config->address_dependent = true;
	assert_int_equal(config_cache_clock(config, 10, CGN_UDP).units, 0);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_default_subscribers_and_service),
		cmocka_unit_test(test_full_network),
		cmocka_unit_test(test_full_subscribers),
		cmocka_unit_test(test_full_service),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_default_reserve),
		cmocka_unit_test(test_sample_file),
		cmocka_unit_test(test_bad_yaml),
		cmocka_unit_test(test_bad_bytes),
		cmocka_unit_test(test_hostile_files),
		cmocka_unit_test(test_bad_paths),
		cmocka_unit_test(test_small_error_buffer),
		cmocka_unit_test(test_bad_shape),
		cmocka_unit_test(test_bad_third_party),
		cmocka_unit_test(test_vlans),
		cmocka_unit_test(test_bad_interfaces),
		cmocka_unit_test(test_bad_pools),
		cmocka_unit_test(test_bad_ports),
		cmocka_unit_test(test_runs_of_addresses),
		cmocka_unit_test(test_bad_subscribers),
		cmocka_unit_test(test_too_many_overrides),
		cmocka_unit_test(test_bad_statics),
		cmocka_unit_test(test_bad_numbers),
		cmocka_unit_test(test_bad_service),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_bytes_changed_anywhere),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_rooms),
		cmocka_unit_test(test_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
