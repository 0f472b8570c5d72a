/* SPDX-License-Identifier: GPL-2.0-only */
/* The loop around core/keeper: sockets, clock, chance, disk, signals. It sleeps until a datagram, a change of the network or the
 * keeper's deadline. */
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

#define NS_PER_S	1000000000ull
#define STORE_RETRY_NS	(10 * NS_PER_S)
#define SETTLE_S	0.1	/* changes of the network come in flocks */
#define RELEASE_S	5.	/* for the server to answer deletions, and for hooks to end */

struct keep {
	const struct pcpc *pcpc;
	const char *path;
	struct keep_config *config;
	struct keeper *keeper;
	struct keep_hook *hook;
	int lock_fd, fd;		/* fd: connected to the server; -1: none */
	struct client_address servers[KEEP_SERVERS_MAX];
	unsigned server_count;
	struct pcp_client_path path_now;	/* of fd */
	struct ev_loop *loop;
	ev_io readable, heard[2], changed, due;
	ev_timer settle, give_up;
	ev_signal signals[3];
	uint64_t store_again_ns;	/* the disk refused: not before */
	bool is_ending;
	uint8_t bytes[PCP_MESSAGE_MAX + 4];	/* a longer datagram is seen to be longer */
};

/* Counts while the machine sleeps: the server's Epoch does too. */
static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

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

/* ---- servers and the way to them ---- */

static unsigned routers_find(bool ipv6, struct client_address *servers)
{
	struct netlink_router routers[KEEP_SERVERS_MAX];
	int count = netlink_default_routers(ipv6, routers, KEEP_SERVERS_MAX);

	if (count < 0)
		log_warning("cannot read the routes: %s", strerror(-count));
	for (int i = 0; i < count; i++) {
		servers[i] = (struct client_address){ .port = PCP_SERVER_PORT, .ifindex = routers[i].ifindex };
		if (ipv6)
			memcpy(servers[i].address6, routers[i].address, sizeof(servers[i].address6));
		else
			pcp_address_from_ipv4(routers[i].address, servers[i].address6);
	}
	return count > 0 ? (unsigned)count : 0;
}

/* RFC 6887 section 8.1: those of the file, else the default routers. */
static unsigned servers_find(const struct keep_config *config, struct client_address *servers)
{
	bool wants_ipv6 = config->has_source && !pcp_address_is_ipv4(config->source6);
	unsigned count;

	memset(servers, 0, KEEP_SERVERS_MAX * sizeof(*servers));
	memcpy(servers, config->servers, config->server_count * sizeof(*servers));
	if (config->server_count)
		return config->server_count;
	count = routers_find(wants_ipv6, servers);
	return count || config->has_source ? count : routers_find(true, servers);
}

static bool is_same_address(const struct client_address *one, const struct client_address *other)
{
	return one->port == other->port && one->ifindex == other->ifindex && !memcmp(one->address6, other->address6, sizeof(one->address6));
}

static void disconnect(struct keep *keep)
{
	if (keep->fd < 0)
		return;
	ev_io_stop(keep->loop, &keep->readable);
	close(keep->fd);
	keep->fd = -1;
}

/* True: the servers are others than before, and keeper_wants_path(). */
static bool servers_refresh(struct keep *keep)
{
	struct client_address servers[KEEP_SERVERS_MAX];
	unsigned count = servers_find(keep->config, servers), i;

	for (i = 0; i < count && i < keep->server_count && is_same_address(&servers[i], &keep->servers[i]); i++)
		;
	if (i == count && i == keep->server_count)
		return false;
	memcpy(keep->servers, servers, sizeof(servers));
	keep->server_count = count;
	if (!count)
		log_warning("no default router to ask, and no server in the file");
	disconnect(keep);
	keeper_servers(keep->keeper, count, servers[0].address6, now_ns());
	return true;
}

static int path_open(const struct keep *keep, unsigned server, struct pcp_client_path *ret_path)
{
	const struct keep_config *config = keep->config;
	const struct client_address *address = &keep->servers[server];
	const uint8_t *source6 = config->has_source ? config->source6 : NULL;
	uint8_t interface6[16];

	if (config->interface) {
		if (!client_address_of_interface(config->interface, !pcp_address_is_ipv4(address->address6), interface6))
			return -EADDRNOTAVAIL;
		source6 = interface6;
	}
	return client_socket_open(address, source6, ret_path);
}

static void path_use(struct keep *keep, int fd, const struct pcp_client_path *path)
{
	disconnect(keep);
	keep->fd = fd;
	keep->path_now = *path;
	ev_io_set(&keep->readable, fd, EV_READ);
	ev_io_start(keep->loop, &keep->readable);
	keeper_path(keep->keeper, path, now_ns());
}

static void path_try(struct keep *keep, unsigned server)
{
	struct pcp_client_path path;
	int fd = path_open(keep, server, &path);

	if (fd >= 0) {
		path_use(keep, fd, &path);
		return;
	}
	log_warning("%s: %s", inet_endpoint_text(keep->servers[server].address6, keep->servers[server].port).text, strerror(-fd));
	disconnect(keep);
	keeper_no_path(keep->keeper, now_ns());
}

/* The host's addresses or routes changed. The way is another one only if one of its ends is. */
static void path_refresh(struct keep *keep)
{
	struct pcp_client_path path;
	unsigned server;
	int fd;

	if (servers_refresh(keep) || !keep->server_count || keeper_wants_path(keep->keeper, &server))
		return;
	fd = path_open(keep, server, &path);
	if (fd < 0 && keep->fd < 0)
		return;		/* still none */
	if (fd < 0) {
		log_warning("%s: %s", inet_endpoint_text(keep->servers[server].address6, keep->servers[server].port).text, strerror(-fd));
		disconnect(keep);
		keeper_no_path(keep->keeper, now_ns());
	} else if (keep->fd >= 0 && !memcmp(path.client6, keep->path_now.client6, sizeof(path.client6)) &&
		   !memcmp(path.server6, keep->path_now.server6, sizeof(path.server6))) {
		close(fd);
		keeper_path(keep->keeper, &path, now_ns());
	} else {
		path_use(keep, fd, &path);
	}
}

/* ---- a turn: what the keeper wants done ---- */

static bool store(struct keep *keep)
{
	uint8_t *bytes = NULL;
	size_t len;
	int failed;

	if (!keeper_needs_store(keep->keeper) || now_ns() < keep->store_again_ns)
		return false;
	failed = keeper_encode(keep->keeper, &bytes, &len) ? keep_store_write(keep->config->state, bytes, len) : -ENOMEM;
	free(bytes);
	if (failed) {
		log_error("%s: %s; trying again", keep->config->state, strerror(-failed));
		keep->store_again_ns = now_ns() + STORE_RETRY_NS;
		return false;
	}
	keep->store_again_ns = 0;
	keeper_stored(keep->keeper);
	return true;
}

static bool tell(struct keep *keep)
{
	struct keeper_event event;
	bool told = false;

	while (keeper_next_event(keep->keeper, &event)) {
		keep_output_event(&event, keep->pcpc->json);
		keep_hook_event(keep->hook, &event);
		told = true;
	}
	return told;
}

/* Errors are as good as a lost datagram: the kernel tells of a changed way, the schedule repeats. */
static bool send_next(struct keep *keep)
{
	uint8_t bytes[PCP_MESSAGE_MAX];
	size_t len = keeper_send(keep->keeper, now_ns(), bytes);

	if (len && keep->fd >= 0 && send(keep->fd, bytes, len, MSG_NOSIGNAL) < 0 && errno != ECONNREFUSED)
		log_info("send: %s", strerror(errno));
	return len;
}

static void arm(struct keep *keep)
{
	uint64_t deadline_ns = keeper_deadline(keep->keeper);
	struct itimerspec when = { 0 };

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

static void end_if_done(struct keep *keep)
{
	bool released = !keep->config->releases || keeper_is_released(keep->keeper);

	if (keep->is_ending && released && keep_hook_is_idle(keep->hook))
		ev_break(keep->loop, EVBREAK_ALL);
}

static void turn(struct keep *keep)
{
	unsigned server;
	bool goes_on;

	do {
		goes_on = send_next(keep);
		if (keeper_wants_path(keep->keeper, &server)) {
			path_try(keep, server);
			goes_on = true;
		}
		goes_on |= store(keep);
		goes_on |= tell(keep);
	} while (goes_on);
	arm(keep);
	end_if_done(keep);
}

/* ---- what happens ---- */

static bool receive_one(struct keep *keep, int fd, struct pcp_client_datagram *ret_datagram, int *ret_error)
{
	struct client_address source;
	ssize_t len;

	do {
		len = client_socket_receive(fd, keep->bytes, sizeof(keep->bytes), &source);
	} while (len == -EINTR);
	*ret_error = len < 0 ? (int)len : 0;
	if (len < 0)
		return false;
	*ret_datagram = (struct pcp_client_datagram){ .bytes = keep->bytes, .source_port = source.port,
		.len = (size_t)len < sizeof(keep->bytes) ? (size_t)len : sizeof(keep->bytes) };
	memcpy(ret_datagram->source6, source.address6, sizeof(source.address6));
	return true;
}

/* RFC 7488 section 3: nobody listens there, or nobody may get there. With one address there is nothing to do but to wait. */
static bool is_hard_error(int error)
{
	return error == -ECONNREFUSED || error == -EACCES || error == -EPERM || error == -ENOPROTOOPT;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	struct keep *keep = io->data;
	struct pcp_client_datagram datagram;
	int error;

	(void)loop;
	(void)events;
	while (receive_one(keep, keep->fd, &datagram, &error))
		keeper_receive(keep->keeper, &datagram, now_ns());
	if (is_hard_error(error) && keep->server_count > 1) {
		disconnect(keep);
		keeper_no_path(keep->keeper, now_ns());
	}
	turn(keep);
}

static void on_heard(struct ev_loop *loop, ev_io *io, int events)
{
	struct keep *keep = io->data;
	struct pcp_client_datagram datagram;
	int error;

	(void)loop;
	(void)events;
	while (receive_one(keep, io->fd, &datagram, &error))
		keeper_hear(keep->keeper, &datagram, now_ns());
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
	path_refresh(keep);
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
	keep->config = config;
	keep_hook_set(keep->hook, config->hook, config->hook_timeout_s);
	if (!keeper_wish(keep->keeper, config->wishes, config->wish_count, now_ns()))
		log_error("reload: out of memory");
	path_refresh(keep);
	keep_config_free(before);
	log_info("reload: %u mappings", config->wish_count);
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
		if (keep->config->releases)
			keeper_release(keep->keeper, now_ns());
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
	bool is_ours = read == KEEP_READ_OK && keeper_restore(keep->keeper, stored.bytes, stored.len, stored.shift_s, stored.time_is_unknown);
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
	ev_io_init(&keep->readable, on_readable, -1, EV_READ);
	ev_timer_init(&keep->settle, on_settled, SETTLE_S, 0.);
	ev_timer_init(&keep->give_up, on_give_up, RELEASE_S, 0.);
	keep->readable.data = keep->settle.data = keep->give_up.data = keep;
	watch(keep, &keep->heard[0], client_socket_open_announcements(false), on_heard, "announcements over IPv4");
	watch(keep, &keep->heard[1], client_socket_open_announcements(true), on_heard, "announcements over IPv6");
	watch(keep, &keep->changed, netlink_watch_open_host(), on_changed, "changes of addresses and routes");
	return watch(keep, &keep->due, timer < 0 ? -errno : timer, on_due, "timer");
}

static bool keep_start(struct keep *keep)
{
	const struct keep_config *config = keep->config;
	const struct keeper_options options = { .cleans_up = config->cleans_up, .get_opcode = config->get_opcode,
		.next_code = config->next_code, .nonexist = config->nonexist, .random = random_fill };

	keep->loop = ev_default_loop(0);
	keep->keeper = keeper_new(&options);
	keep->hook = keep_hook_new(on_idle_hook, keep);
	if (!keep->loop || !keep->keeper || !keep->hook || !watches_start(keep))
		return false;
	keep_hook_set(keep->hook, config->hook, config->hook_timeout_s);
	table_restore(keep);
	servers_refresh(keep);
	return keeper_wish(keep->keeper, config->wishes, config->wish_count, now_ns());
}

static void keep_end(struct keep *keep)
{
	ev_io *watched[] = { &keep->heard[0], &keep->heard[1], &keep->changed, &keep->due };

	for (unsigned i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
		if (ev_is_active(watched[i])) {
			ev_io_stop(keep->loop, watched[i]);
			close(watched[i]->fd);
		}
	if (keep->loop)
		disconnect(keep);
	keep_hook_free(keep->hook);
	keeper_free(keep->keeper);
	keep_config_free(keep->config);
	if (keep->lock_fd >= 0)
		close(keep->lock_fd);
}

int pcpc_keep_run(const struct pcpc *pcpc, const char *path)
{
	struct keep keep = { .pcpc = pcpc, .path = path, .lock_fd = -1, .fd = -1 };
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
