/* SPDX-License-Identifier: GPL-2.0-only */
/* The loop around keepers: clock, chance, disk, signals, announcements. It sleeps until a datagram, a change of the network or the
 * next deadline of a keeper. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "event_loop.h"
#include "inet_text.h"
#include "instance_lock.h"
#include "keep_store.h"
#include "log.h"
#include "netlink.h"
#include "pcpc_keep.h"
#include "pcpc_keep_links.h"

#define NS_PER_S	1000000000ull
#define STORE_RETRY_NS	(10 * NS_PER_S)
#define SETTLE_S	0.1	/* changes of the network come in flocks */
#define RELEASE_S	5.	/* for the server to answer deletions, and for hooks to end */

struct keep {
	const struct pcpc *pcpc;
	const char *path;
	struct keep_config *config;
	struct keep_links links;
	struct keep_hook *hook;
	int lock_fd;
	struct ev_loop *loop;
	ev_io heard[2], changed, due;
	ev_timer settle, give_up;
	ev_signal signals[3];
	uint64_t store_again_ns;	/* the disk refused: not before */
	bool is_ending;
};

static void random_fill(void *bytes, size_t len)
{
	size_t done = 0;
	ssize_t got;

	while (done < len) {
		got = getrandom((uint8_t *)bytes + done, len - done, 0);
		if (got > 0)
			done += (size_t)got;
		else if (errno != EINTR)
			abort();	/* no kernel that runs this lacks it; a nonce that can be guessed is worse */
	}
}

/* ---- a turn: what the keepers want done ---- */

static bool store(struct keep *keep)
{
	uint8_t *bytes = NULL;
	size_t len;
	int failed;

	if (!keep_links_need_store(&keep->links) || keep_now_ns() < keep->store_again_ns)
		return false;
	failed = keep_links_encode(&keep->links, &bytes, &len) ? keep_store_write(keep->config->state, bytes, len) : -ENOMEM;
	free(bytes);
	if (failed) {
		log_error("%s: %s; trying again", keep->config->state, strerror(-failed));
		keep->store_again_ns = keep_now_ns() + STORE_RETRY_NS;
		return false;
	}
	keep->store_again_ns = 0;
	keep_links_stored(&keep->links);
	return true;
}

static bool tell(struct keep *keep, const struct keep_link *link)
{
	struct keep_event event = { 0 };
	bool told = false;

	memcpy(event.server, link->server.name, sizeof(event.server));
	while (keeper_next_event(link->keeper, &event.event)) {
		keep_output_event(&event, keep->pcpc->json);
		keep_hook_event(keep->hook, &event);
		told = true;
	}
	return told;
}

static void arm(struct keep *keep)
{
	uint64_t deadline_ns = RETRANSMISSION_NEVER, one_ns;
	struct itimerspec when = { 0 };

	for (unsigned i = 0; i < keep->links.count; i++) {
		one_ns = keeper_deadline(keep->links.all[i]->keeper);
		if (one_ns < deadline_ns)
			deadline_ns = one_ns;
	}
	if (keep->store_again_ns && keep->store_again_ns < deadline_ns)
		deadline_ns = keep->store_again_ns;
	if (!deadline_ns)
		deadline_ns = 1;	/* at once; 0 would disarm */
	if (deadline_ns != RETRANSMISSION_NEVER) {
		when.it_value.tv_sec = (time_t)(deadline_ns / NS_PER_S);
		when.it_value.tv_nsec = (long)(deadline_ns % NS_PER_S);
	}
	timerfd_settime(keep->due.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static bool is_released(const struct keep *keep)
{
	for (unsigned i = 0; i < keep->links.count; i++)
		if (!keeper_is_released(keep->links.all[i]->keeper))
			return false;
	return true;
}

static void end_if_done(struct keep *keep)
{
	bool released = !keep->config->releases || is_released(keep);

	if (keep->is_ending && released && keep_hook_is_idle(keep->hook))
		ev_break(keep->loop, EVBREAK_ALL);
}

static void turn(void *context)
{
	struct keep *keep = context;
	bool goes_on;

	do {
		goes_on = false;
		for (unsigned i = 0; i < keep->links.count; i++)
			goes_on |= keep_link_step(keep->links.all[i]);
		goes_on |= store(keep);
		for (unsigned i = 0; i < keep->links.count; i++)
			goes_on |= tell(keep, keep->links.all[i]);
	} while (goes_on);
	keep_links_part(&keep->links);
	store(keep);
	arm(keep);
	end_if_done(keep);
}

/* ---- what happens ---- */

/* Every keeper hears it, and heeds it if its own server sent it. */
static void on_heard(struct ev_loop *loop, ev_io *io, int events)
{
	uint8_t bytes[PCP_MESSAGE_MAX + 4];	/* a longer datagram is seen to be longer */
	struct keep *keep = io->data;
	struct pcp_client_datagram datagram;
	int error;

	(void)loop;
	(void)events;
	while (keep_receive(io->fd, bytes, sizeof(bytes), &datagram, &error))
		for (unsigned i = 0; i < keep->links.count; i++)
			keeper_hear(keep->links.all[i]->keeper, &datagram, keep_now_ns());
	turn(keep);
}

static void on_changed(struct ev_loop *loop, ev_io *io, int events)
{
	struct keep *keep = io->data;

	(void)events;
	netlink_watch_drain(io->fd);
	if (!ev_is_active(&keep->settle)) {
		ev_timer_set(&keep->settle, SETTLE_S, 0.);
		ev_timer_start(loop, &keep->settle);
	}
}

static void on_settled(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct keep *keep = timer->data;

	(void)loop;
	(void)events;
	for (unsigned i = 0; i < keep->links.count; i++)
		keep_link_refresh(keep->links.all[i]);
	turn(keep);
}

static void on_due(struct ev_loop *loop, ev_io *io, int events)
{
	uint64_t times;

	(void)loop;
	(void)events;
	if (read(io->fd, &times, sizeof(times)) == sizeof(times))
		turn(io->data);
}

static void reload(struct keep *keep)
{
	struct keep_config *config, *before = keep->config;
	char error[1024];

	if (!keep_config_load(keep->path, &config, error, sizeof(error))) {
		log_error("reload: %s; nothing was changed", error);
		return;
	}
	if (strcmp(config->state, before->state)) {
		log_error("reload: `state` changes with a restart only; nothing was changed");
		keep_config_free(config);
		return;
	}
	if (!keep_links_configure(&keep->links, config)) {
		log_error("reload: out of memory; nothing was changed");
		keep_config_free(config);
		return;
	}
	keep->config = config;
	keep_hook_set(keep->hook, config->hook, config->hook_timeout_s);
	keep_config_free(before);
	log_info("reload: %u mappings", config->mapping_count);
}

static void on_give_up(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	log_warning("ending before everything was answered");
	ev_break(loop, EVBREAK_ALL);
}

static void on_signal(struct ev_loop *loop, ev_signal *signal, int events)
{
	struct keep *keep = signal->data;

	(void)events;
	if (signal->signum == SIGHUP) {
		reload(keep);
	} else if (keep->is_ending) {
		ev_break(loop, EVBREAK_ALL);
	} else {
		keep->is_ending = true;
		for (unsigned i = 0; keep->config->releases && i < keep->links.count; i++)
			keeper_release(keep->links.all[i]->keeper, keep_now_ns());
		ev_timer_start(loop, &keep->give_up);
	}
	turn(keep);
}

static void on_idle_hook(void *context)
{
	end_if_done(context);
}

/* ---- start and end ---- */

/* What an earlier run left. Its loss is no reason not to start: then the server is asked. */
static void table_restore(struct keep *keep)
{
	struct keep_stored stored = { 0 };
	enum keep_read read = keep_store_read(keep->config->state, &stored);
	bool is_ours = read == KEEP_READ_OK && keep_links_restore(&keep->links, stored.bytes, stored.len, stored.shift_s, stored.time_is_unknown);
	int failed;

	free(stored.bytes);
	if (is_ours || read == KEEP_READ_NONE)
		return;
	failed = keep_store_set_aside(keep->config->state);
	log_error("%s: %s; %s", keep->config->state, read == KEEP_READ_FAILED ? "cannot be read" : "torn, or not written by pcpc keep",
		  failed ? strerror(-failed) : "set aside as .bad, the server is asked instead");
}

static bool take_lock(struct keep *keep)
{
	pid_t holder;

	keep->lock_fd = instance_lock_take(keep->config->state, 0, &holder);
	if (keep->lock_fd >= 0)
		return true;
	if (keep->lock_fd == -EWOULDBLOCK)
		log_error("%s: process %ld keeps it", keep->config->state, (long)holder);
	else
		log_error("%s.lock: %s", keep->config->state, strerror(-keep->lock_fd));
	return false;
}

static bool watch(struct keep *keep, ev_io *io, int fd, void (*callback)(struct ev_loop *, ev_io *, int), const char *what)
{
	if (fd < 0) {
		log_warning("%s: %s", what, strerror(-fd));
		return false;
	}
	ev_io_init(io, callback, fd, EV_READ);
	io->data = keep;
	ev_io_start(keep->loop, io);
	return true;
}

static bool watches_start(struct keep *keep)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
	int timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);

	for (unsigned i = 0; i < 3; i++) {
		ev_signal_init(&keep->signals[i], on_signal, numbers[i]);
		keep->signals[i].data = keep;
		ev_signal_start(keep->loop, &keep->signals[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	ev_timer_init(&keep->settle, on_settled, SETTLE_S, 0.);
	ev_timer_init(&keep->give_up, on_give_up, RELEASE_S, 0.);
	keep->settle.data = keep->give_up.data = keep;
	watch(keep, &keep->heard[0], client_socket_open_announcements(false), on_heard, "announcements over IPv4");
	watch(keep, &keep->heard[1], client_socket_open_announcements(true), on_heard, "announcements over IPv6");
	watch(keep, &keep->changed, netlink_watch_open_host(), on_changed, "changes of addresses and routes");
	return watch(keep, &keep->due, timer < 0 ? -errno : timer, on_due, "timer");
}

static bool keep_start(struct keep *keep)
{
	const struct keep_config *config = keep->config;

	keep->links.options = (struct keeper_options){ .cleans_up = config->cleans_up, .get_opcode = config->get_opcode,
		.next_code = config->next_code, .nonexist = config->nonexist, .random = random_fill };
	keep->links.turn = turn;
	keep->links.context = keep;
	keep->loop = ev_default_loop(0);
	keep->hook = keep_hook_new(on_idle_hook, keep);
	if (!keep->loop || !keep->hook || !watches_start(keep))
		return false;
	keep_hook_set(keep->hook, config->hook, config->hook_timeout_s);
	table_restore(keep);
	return keep_links_configure(&keep->links, config);
}

static void keep_end(struct keep *keep)
{
	ev_io *watched[] = { &keep->heard[0], &keep->heard[1], &keep->changed, &keep->due };

	for (unsigned i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
		if (ev_is_active(watched[i])) {
			ev_io_stop(keep->loop, watched[i]);
			close(watched[i]->fd);
		}
	keep_links_done(&keep->links);
	keep_hook_free(keep->hook);
	keep_config_free(keep->config);
	if (keep->lock_fd >= 0)
		close(keep->lock_fd);
}

int pcpc_keep_run(const struct pcpc *pcpc, const char *path)
{
	struct keep keep = { .pcpc = pcpc, .path = path, .lock_fd = -1 };
	char error[1024];
	int ret = PCPC_NO_ANSWER;

	if (!keep_config_load(path, &keep.config, error, sizeof(error))) {
		log_error("%s", error);
		return PCPC_USAGE;
	}
	if (take_lock(&keep)) {
		if (keep_start(&keep)) {
			turn(&keep);
			ev_run(keep.loop, 0);
			ret = PCPC_OK;
		} else {
			log_error("out of memory");
		}
	}
	keep_end(&keep);
	return ret;
}
