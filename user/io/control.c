/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "control.h"
#include "event_loop.h"

#define CLIENTS_MAX	16
#define REQUEST_MAX	4096
#define CLIENT_S	2.	/* a client has this long to ask and to listen */

struct client {
	struct ev_io io;	/* io.data is the client; io.fd is -1 while free */
	struct ev_timer timer;
	struct control *control;
	size_t len, sent;
	char *reply;		/* NULL: still asking */
	char request[REQUEST_MAX];
};

struct control {
	struct ev_loop *loop;
	struct ev_io io;
	char *path;
	const struct control_command *commands;
	void *context;
	struct client clients[CLIENTS_MAX];
};

static void client_close(struct client *client)
{
	if (client->io.fd < 0)
		return;
	ev_io_stop(client->control->loop, &client->io);
	ev_timer_stop(client->control->loop, &client->timer);
	close(client->io.fd);
	free(client->reply);
	client->reply = NULL;
	client->io.fd = -1;
}

static const struct control_command *command_find(const struct control *control, const char *name)
{
	const struct control_command *command;

	for (command = control->commands; command->name; command++)
		if (name && !strcmp(command->name, name))
			return command;
	return NULL;
}

/* The reply to one line; NULL: out of memory. */
static char *answer(struct control *control, const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL), *reply = json_object();
	const struct control_command *command = command_find(control, json_string_value(json_object_get(request, "command")));
	struct control_error error = { .code = 1, .text = "no such command" };
	char *text = NULL;

	if (!json_is_object(request))
		snprintf(error.text, sizeof(error.text), "not a JSON object");
	if (reply && command && command->run(control->context, request, reply, &error)) {
		json_object_set_new(reply, "ok", json_true());
	} else if (reply) {
		json_object_clear(reply);
		json_object_set_new(reply, "ok", json_false());
		json_object_set_new(reply, "code", json_integer(error.code));
		json_object_set_new(reply, "error", json_string(error.text));
	}
	if (reply)
		text = json_dumps(reply, JSON_COMPACT);
	json_decref(request);
	json_decref(reply);
	return text;
}

static void client_send(struct client *client)
{
	ssize_t n;

	while (client->sent < client->len) {
		n = send(client->io.fd, client->reply + client->sent, client->len - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			break;
		client->sent += (size_t)n;
	}
	client_close(client);
}

static void client_answer(struct client *client, size_t line_len)
{
	struct ev_loop *loop = client->control->loop;

	client->reply = answer(client->control, client->request, line_len);
	if (!client->reply) {
		client_close(client);
		return;
	}
	client->len = strlen(client->reply);
	client->reply[client->len++] = '\n';	/* in the place of the NUL */
	client->sent = 0;
	ev_io_stop(loop, &client->io);
	ev_io_set(&client->io, client->io.fd, EV_WRITE);
	ev_io_start(loop, &client->io);
	client_send(client);
}

static void handle_client(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct client *client = io->data;
	char *newline;
	ssize_t n;

	(void)loop;
	if (events & EV_WRITE) {
		client_send(client);
		return;
	}
	n = recv(io->fd, client->request + client->len, sizeof(client->request) - client->len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_close(client);
		return;
	}
	client->len += (size_t)n;
	newline = memchr(client->request, '\n', client->len);
	if (newline)
		client_answer(client, (size_t)(newline - client->request));
	else if (client->len == sizeof(client->request))
		client_close(client);
}

static void handle_timeout(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	client_close(timer->data);
}

static void handle_accept(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct control *control = io->data;
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), i;

	(void)events;
	for (i = 0; fd >= 0 && i < CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];

		if (client->io.fd >= 0)
			continue;
		client->len = client->sent = 0;
		ev_io_set(&client->io, fd, EV_READ);
		ev_io_start(loop, &client->io);
		ev_timer_set(&client->timer, CLIENT_S, 0.);
		ev_timer_start(loop, &client->timer);
		return;
	}
	if (fd >= 0)
		close(fd);	/* too many at once: the client sees the end at once, and may ask again */
}

static int listen_on(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char folder[sizeof(address.sun_path)], *slash;
	int fd, failed;
	mode_t mask;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	memcpy(folder, path, strlen(path) + 1);
	slash = strrchr(folder, '/');
	if (slash && slash != folder) {
		*slash = '\0';
		if (mkdir(folder, 0755) && errno != EEXIST)
			return -errno;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	mask = umask(0177);
	failed = bind(fd, (const struct sockaddr *)&address, sizeof(address)) || listen(fd, CLIENTS_MAX) ? -errno : 0;
	umask(mask);
	if (!failed)
		return fd;
	close(fd);
	return failed;
}

struct control *control_new(struct ev_loop *loop, const char *path, const struct control_command *commands, void *context,
			    struct control_error *error)
{
	struct control *control = calloc(1, sizeof(*control));
	int fd = control ? listen_on(path) : -ENOMEM, i;

	if (fd < 0) {
		error->code = 2;
		snprintf(error->text, sizeof(error->text), "control: cannot listen on %s: %s", path, strerror(-fd));
		free(control);
		return NULL;
	}
	control->loop = loop;
	control->path = strdup(path);
	control->commands = commands;
	control->context = context;
	for (i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];

		client->control = control;
		ev_io_init(&client->io, handle_client, -1, EV_READ);
		ev_timer_init(&client->timer, handle_timeout, CLIENT_S, 0.);
		client->io.data = client->timer.data = client;
	}
	ev_io_init(&control->io, handle_accept, fd, EV_READ);
	control->io.data = control;
	ev_io_start(loop, &control->io);
	return control;
}

void control_free(struct control *control)
{
	int i;

	if (!control)
		return;
	for (i = 0; i < CLIENTS_MAX; i++)
		client_close(&control->clients[i]);
	ev_io_stop(control->loop, &control->io);
	close(control->io.fd);
	if (control->path)
		unlink(control->path);
	free(control->path);
	free(control);
}
