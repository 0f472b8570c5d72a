/* SPDX-License-Identifier: GPL-2.0-only */
/* Asking the daemon: against a server that answers well, badly, in pieces, too much, too late or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "control_client.h"
#include "dataplane.h"

struct fixture {
	char folder[64], path[96];
	json_t *request, *reply;
	struct dataplane_error error;
	pid_t server;
	int requests[2];	/* what the server was asked comes back by this pipe */
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->folder, "/tmp/xcgn-control-XXXXXX");
	if (!mkdtemp(fixture->folder) || pipe(fixture->requests))
		return -1;
	snprintf(fixture->path, sizeof(fixture->path), "%s/control.sock", fixture->folder);
	fixture->request = json_pack("{s:s}", "command", "status");
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	json_decref(fixture->request);
	json_decref(fixture->reply);
	close(fixture->requests[0]);
	close(fixture->requests[1]);
	unlink(fixture->path);
	rmdir(fixture->folder);
	free(fixture);
	return 0;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	assert_false(bind(fd, (const struct sockaddr *)&address, sizeof(address)));
	assert_false(listen(fd, 1));
	return fd;
}

/* One connection: reads until the newline, sends the reply in pieces, waits, closes. */
static void serve(int listener, int requests, const char *reply, size_t len, size_t piece, unsigned wait_ms)
{
	char request[256];
	size_t got = 0, sent;
	ssize_t count;
	int fd = accept(listener, NULL, NULL);

	while (fd >= 0 && (!got || request[got - 1] != '\n') && got < sizeof(request)) {
		count = read(fd, request + got, sizeof(request) - got);
		if (count <= 0)
			break;
		got += (size_t)count;
	}
	if (write(requests, request, got) < 0)
		_exit(1);
	usleep(wait_ms * 1000);
	for (sent = 0; sent < len; sent += (size_t)count) {
		count = send(fd, reply + sent, len - sent < piece ? len - sent : piece, MSG_NOSIGNAL);
		if (count < 0)
			break;	/* the client has read enough */
	}
	_exit(0);
}

static bool ask_server(struct fixture *fixture, const char *reply, size_t len, size_t piece, unsigned wait_ms)
{
	int listener = listen_at(fixture->path);
	bool answered;

	fixture->server = fork();
	if (!fixture->server)
		serve(listener, fixture->requests[1], reply, len, piece, wait_ms);
	close(listener);
	memset(&fixture->error, 0, sizeof(fixture->error));
	answered = control_ask(fixture->path, fixture->request, &fixture->reply, &fixture->error);
	waitpid(fixture->server, NULL, 0);
	unlink(fixture->path);
	return answered;
}

static bool ask_text(struct fixture *fixture, const char *reply)
{
	return ask_server(fixture, reply, strlen(reply), 4096, 0);
}

static void test_answer(void **state)
{
	struct fixture *fixture = *state;
	char request[64] = "";

	assert_true(ask_text(fixture, "{\"ok\":true,\"pid\":123,\"pcp\":{\"requests\":7}}\n"));
	assert_int_equal(json_integer_value(json_object_get(fixture->reply, "pid")), 123);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(fixture->reply, "pcp"), "requests")), 7);
	assert_true(read(fixture->requests[0], request, sizeof(request) - 1) > 0);
	assert_string_equal(request, "{\"command\":\"status\"}\n");
}

static void test_answer_in_pieces(void **state)
{
	struct fixture *fixture = *state;
	static const char reply[] = "{\"ok\":true,\"uptime\":5}\nbehind the line";

	assert_true(ask_server(fixture, reply, strlen(reply), 1, 0));
	assert_int_equal(json_integer_value(json_object_get(fixture->reply, "uptime")), 5);
}

static void test_answer_without_newline(void **state)
{
	struct fixture *fixture = *state;

	assert_true(ask_text(fixture, "{\"ok\":true}"));
}

static void test_refusal(void **state)
{
	struct fixture *fixture = *state;

	assert_false(ask_text(fixture, "{\"ok\":false,\"code\":1,\"error\":\"no such command\"}\n"));
	assert_int_equal(fixture->error.code, DATAPLANE_CONFIG);
	assert_string_equal(fixture->error.text, "no such command");
	assert_false(ask_text(fixture, "{\"ok\":false,\"code\":0}\n"));	/* no exit code of a failure */
	assert_int_equal(fixture->error.code, DATAPLANE_STATE);
	assert_true(*fixture->error.text);
	assert_null(fixture->reply);
}

static void test_nonsense(void **state)
{
	static const char *const replies[] = { "\n", "[]\n", "{\"ok\":1}\n", "{}\n", "true\n", "{\"ok\":true", "{\"ok\":true}}\n",
		"{\"ok\":true,\"ok\":true}\n", "\xff\n" };
	struct fixture *fixture = *state;
	size_t i;

	for (i = 0; i < sizeof(replies) / sizeof(*replies); i++) {
		assert_false(ask_text(fixture, replies[i]));
		assert_int_equal(fixture->error.code, DATAPLANE_STATE);
		assert_non_null(strstr(fixture->error.text, "cannot be understood"));
	}
	assert_null(fixture->reply);
}

static void test_too_long(void **state)
{
	struct fixture *fixture = *state;
	size_t len = CONTROL_REPLY_MAX + 4096;
	char *reply = malloc(len);
	int text;

	memset(reply, ' ', len);
	memcpy(reply, "{\"ok\":true", 10);
	reply[len - 1] = '}';
	assert_false(ask_server(fixture, reply, len, len, 0));
	assert_int_equal(fixture->error.code, DATAPLANE_STATE);
	text = snprintf(reply, len, "{\"ok\":true,\"padding\":\"%*s\"}\n", CONTROL_REPLY_MAX - 64, "");	/* long, and yet fits */
	assert_true(ask_server(fixture, reply, (size_t)text, 1000, 0));
	free(reply);
}

static void test_dies_before_the_answer(void **state)
{
	struct fixture *fixture = *state;

	assert_false(ask_server(fixture, "", 0, 1, 0));
	assert_int_equal(fixture->error.code, DATAPLANE_STATE);
	assert_non_null(strstr(fixture->error.text, "ended before it answered"));
}

static void test_late(void **state)
{
	struct fixture *fixture = *state;
	struct timespec begin, end;
	int64_t waited_ms;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_false(ask_server(fixture, "{\"ok\":true}\n", 12, 12, CONTROL_TIMEOUT_MS + 500));
	clock_gettime(CLOCK_MONOTONIC, &end);
	waited_ms = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
	assert_true(waited_ms >= CONTROL_TIMEOUT_MS);
	assert_int_equal(fixture->error.code, DATAPLANE_STATE);
	assert_non_null(strstr(fixture->error.text, "did not answer"));
}

static void test_nobody_listens(void **state)
{
	struct fixture *fixture = *state;
	char path[200];

	assert_false(control_ask(fixture->path, fixture->request, &fixture->reply, &fixture->error));
	assert_int_equal(fixture->error.code, DATAPLANE_STATE);
	assert_non_null(strstr(fixture->error.text, "does not run"));
	close(listen_at(fixture->path));	/* the socket of a dead daemon stays */
	memset(&fixture->error, 0, sizeof(fixture->error));
	assert_false(control_ask(fixture->path, fixture->request, &fixture->reply, &fixture->error));
	assert_int_equal(fixture->error.code, DATAPLANE_STATE);
	assert_non_null(strstr(fixture->error.text, "does not run"));
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_false(control_ask(path, fixture->request, &fixture->reply, &fixture->error));
	assert_non_null(strstr(fixture->error.text, "too long"));
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(test_answer),
		WITH_FIXTURE(test_answer_in_pieces),
		WITH_FIXTURE(test_answer_without_newline),
		WITH_FIXTURE(test_refusal),
		WITH_FIXTURE(test_nonsense),
		WITH_FIXTURE(test_too_long),
		WITH_FIXTURE(test_dies_before_the_answer),
		WITH_FIXTURE(test_late),
		WITH_FIXTURE(test_nobody_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
