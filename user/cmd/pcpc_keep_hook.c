/* SPDX-License-Identifier: GPL-2.0-only */
/* The command that tells applications what became of their mappings. No shell: a program and its arguments, and what there is to say
 * in environment variables. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "event_loop.h"
#include "inet_text.h"
#include "log.h"
#include "pcpc_arguments.h"
#include "pcpc_keep.h"

#define QUEUE_MAX	4096	/* events waiting for a command that takes its time */
#define VARIABLES_MAX	16

struct keep_hook {
	struct ev_loop *loop;
	ev_child child;
	ev_timer limit;
	bool is_running;
	char **argv;		/* owned; with room for the event's name at its end */
	unsigned argc;
	uint32_t timeout_s;
	struct keep_event *queue;
	unsigned first, count;
	void (*idle)(void *context);
	void *context;
};

/* ---- what the command is told ---- */

struct variables {
	char *texts[VARIABLES_MAX];
	unsigned count;
};

static void set(struct variables *variables, const char *name, const char *value)
{
	if (variables->count < VARIABLES_MAX && asprintf(&variables->texts[variables->count], "PCPC_%s=%s", name, value) >= 0)
		variables->count++;
}

static void set_number(struct variables *variables, const char *name, unsigned long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", value);
	set(variables, name, text);
}

static void set_endpoint(struct variables *variables, const char *what, const uint8_t address6[16], uint16_t port)
{
	char name[32];

	if (pcp_address_is_any(address6))
		return;
	snprintf(name, sizeof(name), "%s_ADDRESS", what);
	set(variables, name, inet_address_text(address6).text);
	snprintf(name, sizeof(name), "%s_PORT", what);
	set_number(variables, name, port);
}

static void variables_fill(struct variables *variables, const struct keep_event *told)
{
	const struct keeper_event *event = &told->event;

	set(variables, "EVENT", keep_event_name(event->type));
	set(variables, "HOST_ADDRESS", inet_address_text(event->path.client6).text);
	set(variables, "SERVER", inet_endpoint_text(event->path.server6, event->path.server_port).text);
	if (*told->server)
		set(variables, "SERVER_NAME", told->server);
	set_number(variables, "EPOCH", event->epoch_s);
	if (!event->ports)
		return;
	set(variables, "PROTOCOL", pcpc_protocol_text(event->protocol).text);
	set_endpoint(variables, "INTERNAL", event->internal6, event->internal_port);
	set_endpoint(variables, "EXTERNAL", event->external6, event->external_port);
	set_endpoint(variables, "FORMER", event->former6, event->former_port);
	set_number(variables, "PORTS", event->ports);
	set_number(variables, "LIFETIME", event->lifetime_s);
	set(variables, "RESULT", pcp_result_name(event->result));
}

/* The variables, then what this process was started with, without variables of ours. */
static char **environment(const struct variables *variables)
{
	unsigned count = 0, i;
	char **all;

	for (i = 0; environ[i]; i++)
		;
	all = calloc(variables->count + i + 1, sizeof(*all));
	if (!all)
		return NULL;
	for (i = 0; i < variables->count; i++)
		all[count++] = variables->texts[i];
	for (i = 0; environ[i]; i++)
		if (strncmp(environ[i], "PCPC_", 5))
			all[count++] = environ[i];
	return all;
}

/* ---- running it ---- */

/* In a process group of its own, so that it ends as a whole; its output goes where our messages go: stdout is for events. */
static int spawn(char *const argv[], char *const envp[], pid_t *ret_pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int failed;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	failed = posix_spawn(ret_pid, argv[0], &files, &attributes, argv, envp);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return failed;
}

static int start(struct keep_hook *hook, const struct keep_event *event, pid_t *ret_pid)
{
	struct variables variables = { 0 };
	int failed = ENOMEM;
	char **envp;

	variables_fill(&variables, event);
	envp = environment(&variables);
	hook->argv[hook->argc] = (char *)keep_event_name(event->event.type);
	if (envp)
		failed = spawn(hook->argv, envp, ret_pid);
	free(envp);
	for (unsigned i = 0; i < variables.count; i++)
		free(variables.texts[i]);
	return failed;
}

static void run_next(struct keep_hook *hook)
{
	struct keep_event event;
	pid_t pid;
	int failed;

	while (!hook->is_running && hook->count) {
		event = hook->queue[hook->first];
		hook->first = (hook->first + 1) % QUEUE_MAX;
		hook->count--;
		if (!hook->argv)
			continue;
		failed = start(hook, &event, &pid);
		if (failed) {
			log_error("hook %s: %s", hook->argv[0], strerror(failed));
			continue;
		}
		hook->is_running = true;
		ev_child_set(&hook->child, pid, 0);
		ev_child_start(hook->loop, &hook->child);
		ev_timer_set(&hook->limit, hook->timeout_s, 0.);
		ev_timer_start(hook->loop, &hook->limit);
	}
}

static void on_end(struct ev_loop *loop, ev_child *child, int events)
{
	struct keep_hook *hook = child->data;

	(void)events;
	ev_child_stop(loop, child);
	ev_timer_stop(loop, &hook->limit);
	kill(-child->pid, SIGKILL);	/* what it left behind in its group */
	hook->is_running = false;
	if (WIFEXITED(child->rstatus) && WEXITSTATUS(child->rstatus))
		log_warning("hook: exit code %d", WEXITSTATUS(child->rstatus));
	run_next(hook);
	if (keep_hook_is_idle(hook))
		hook->idle(hook->context);
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct keep_hook *hook = timer->data;

	(void)loop;
	(void)events;
	log_warning("hook: not done after %u s: killed", hook->timeout_s);
	kill(-hook->child.pid, SIGKILL);
}

/* ---- life ---- */

struct keep_hook *keep_hook_new(void (*idle)(void *context), void *context)
{
	struct keep_hook *hook = calloc(1, sizeof(*hook));

	if (!hook)
		return NULL;
	hook->loop = ev_default_loop(0);
	hook->idle = idle;
	hook->context = context;
	hook->queue = calloc(QUEUE_MAX, sizeof(*hook->queue));
	ev_child_init(&hook->child, on_end, 0, 0);
	ev_timer_init(&hook->limit, on_limit, 0., 0.);
	hook->child.data = hook->limit.data = hook;
	if (hook->queue && hook->loop)
		return hook;
	free(hook->queue);
	free(hook);
	return NULL;
}

static void argv_free(struct keep_hook *hook)
{
	for (unsigned i = 0; i < hook->argc; i++)
		free(hook->argv[i]);
	free(hook->argv);
	hook->argv = NULL;
	hook->argc = 0;
}

void keep_hook_free(struct keep_hook *hook)
{
	if (!hook)
		return;
	if (hook->is_running)
		kill(-hook->child.pid, SIGKILL);
	ev_child_stop(hook->loop, &hook->child);
	ev_timer_stop(hook->loop, &hook->limit);
	argv_free(hook);
	free(hook->queue);
	free(hook);
}

void keep_hook_set(struct keep_hook *hook, char *const argv[], uint32_t timeout_s)
{
	unsigned count = 0;

	argv_free(hook);
	hook->timeout_s = timeout_s;
	while (argv && argv[count])
		count++;
	hook->argv = count ? calloc(count + 2, sizeof(*hook->argv)) : NULL;
	for (; hook->argv && hook->argc < count; hook->argc++) {
		hook->argv[hook->argc] = strdup(argv[hook->argc]);
		if (!hook->argv[hook->argc])
			break;
	}
}

void keep_hook_event(struct keep_hook *hook, const struct keep_event *event)
{
	if (!hook->argv || !keep_event_is_news(event->event.type))
		return;
	if (hook->count == QUEUE_MAX) {
		log_error("hook: too slow, the event %s is dropped", keep_event_name(event->event.type));
		return;
	}
	hook->queue[(hook->first + hook->count++) % QUEUE_MAX] = *event;
	run_next(hook);
}

bool keep_hook_is_idle(const struct keep_hook *hook)
{
	return !hook->is_running && !hook->count;
}
