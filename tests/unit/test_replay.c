/* SPDX-License-Identifier: GPL-2.0-only */
/* Plays the scripts of tests/replay, written by tests/lib/replay.py, to the server without sockets: requests, clock steps, and the replies
 * byte by byte. Run in tests/. */
#include <arpa/inet.h>
#include <glob.h>
#include <stdio.h>
#include "pcp_fixture.h"

#define REPLAY_EPOCH_BASE_S 4000u
#define BYTES_MAX 2048

struct replay {
	struct fixture *fixture;
	const char *path;
	unsigned line, replies;
	uint8_t request[BYTES_MAX];
	size_t request_len, reply_len;
};

static const struct pcp_third_party agent[] = {
	{ { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 250 }, 128 }, { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 0 }, 121 } },
};

static void address(const struct replay *replay, const char *text, uint8_t ret_address6[16])
{
	memset(ret_address6, 0, 16);
	ret_address6[10] = ret_address6[11] = 0xff;
	if (inet_pton(AF_INET, text, ret_address6 + 12) != 1)
		fail_msg("%s:%u: no address: %s", replay->path, replay->line, text);
}

static size_t hex(const struct replay *replay, const char *text, uint8_t bytes[BYTES_MAX])
{
	size_t len = 0;
	int at = 0;

	for (; sscanf(text, "%2hhx%n", &bytes[len], &at) == 1 && len < BYTES_MAX - 1; text += at)
		len++;
	if (*text && *text != '\n')
		fail_msg("%s:%u: no hexadecimal bytes: %s", replay->path, replay->line, text);
	return len;
}

/* What the reaper would have ended by then. */
static void clock_set(struct replay *replay, uint32_t now_s)
{
	struct model *model = &replay->fixture->model;
	unsigned i;

	replay->fixture->now_s = model->now_s = now_s;
	for (i = model->count; i-- > 0; )
		if (model->mapping[i].origins & CGN_MAP && model->mapping[i].expires_s <= now_s)
			model_remove(model, &model->mapping[i]);
}

static void expect(struct replay *replay, const char *text)
{
	uint8_t expected[BYTES_MAX];
	size_t len = hex(replay, text, expected);

	if (replay->reply_len != len || memcmp(replay->fixture->reply, expected, len)) {
		print_error("%s:%u: got %zu bytes: ", replay->path, replay->line, replay->reply_len);
		for (size_t i = 0; i < replay->reply_len; i++)
			print_error("%02x", replay->fixture->reply[i]);
		fail_msg("; expected %s", text);
	}
	replay->replies++;
}

static void play(struct replay *replay, char *line)
{
	struct fixture *fixture = replay->fixture;
	char word[64] = "", argument[64] = "";
	uint8_t client6[16];

	if (line[0] == '#')
		return;
	if (line[0] == '>') {
		replay->request_len = hex(replay, line + 2, replay->request);
		replay->reply_len = fixture_send(fixture, replay->request, replay->request_len);
	} else if (line[0] == '<') {
		expect(replay, line + 2);
	} else if (!strcmp(line, "silence\n")) {
		expect(replay, "");
	} else if (!strcmp(line, "external\n")) {
		fixture->is_external = true;
	} else if (!strncmp(line, "policy ", 7)) {
		fixture->policy.nat_pmp |= !strcmp(line, "policy nat-pmp\n");
		fixture->policy.peer |= !strcmp(line, "policy peer\n");
		pcp_server_set_policy(fixture->server, &fixture->policy);
	} else if (sscanf(line, "%63s %63s", word, argument) == 2 && !strcmp(word, "now")) {
		clock_set(replay, (uint32_t)strtoul(argument, NULL, 10));
	} else if (!strcmp(word, "step")) {
		clock_set(replay, fixture->now_s + (uint32_t)strtoul(argument, NULL, 10));
	} else if (!strcmp(word, "from")) {
		address(replay, argument, fixture->source6);
	} else if (!strcmp(word, "reset")) {
		address(replay, argument, client6);
		assert_true(pcp_server_reset_epoch_of(fixture->server, client6, fixture->now_s));
	} else {
		fail_msg("%s:%u: no such line: %s", replay->path, replay->line, line);
	}
}

static void play_file(const char *path)
{
	struct replay replay = { .path = path };
	FILE *file = fopen(path, "re");
	char line[2 * BYTES_MAX];
	void *state;

	assert_non_null(file);
	assert_int_equal(fixture_up(&state), 0);
	replay.fixture = state;
	replay.fixture->policy.is_durable = true;
	replay.fixture->policy.third_party = agent;
	replay.fixture->policy.third_party_count = 1;
	pcp_server_set_policy(replay.fixture->server, &replay.fixture->policy);
	pcp_server_set_epoch_base(replay.fixture->server, REPLAY_EPOCH_BASE_S);
	for (replay.line = 1; fgets(line, sizeof(line), file); replay.line++)
		play(&replay, line);
	fclose(file);
	fixture_down(&state);
	assert_true(replay.replies > 0);
}

static void test_scripts(void **state)
{
	glob_t found;
	size_t i;

	(void)state;
	assert_int_equal(glob("replay/*.replay", 0, NULL, &found), 0);
	assert_true(found.gl_pathc >= 10);
	for (i = 0; i < found.gl_pathc; i++)
		play_file(found.gl_pathv[i]);
	globfree(&found);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_scripts) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
