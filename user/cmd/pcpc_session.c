/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "inet_text.h"
#include "log.h"
#include "netlink.h"
#include "pcpc_session.h"

#define NS_PER_S 1000000000ull

/* RFC 7488 section 3: with several addresses, four tries each. */
static const struct retransmission_rule one_of_many = { .irt_ns = 3 * NS_PER_S, .mrt_ns = 1024 * NS_PER_S, .mrc = 4, .jitters = true };

struct pcpc_session {
	const struct pcpc *pcpc;
	struct client_address servers[PCPC_SERVERS_MAX];
	unsigned server_count, current;
	int fd;			/* connected to the current one */
	struct pcp_client client;
	uint8_t bytes[PCP_MESSAGE_MAX + 4];	/* a longer datagram is seen to be longer */
};

/* Counts while the machine sleeps: the Epoch of the server does too. */
static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static struct inet_text server_text(const struct pcpc_session *session, unsigned server)
{
	return inet_endpoint_text(session->servers[server].address6, session->servers[server].port);
}

/* ---- servers ---- */

static void add_routers(struct pcpc_session *session, bool ipv6)
{
	struct netlink_router routers[PCPC_SERVERS_MAX];
	struct client_address *server;
	int count = netlink_default_routers(ipv6, routers, PCPC_SERVERS_MAX);

	if (count < 0)
		log_warning("cannot read the routes: %s", strerror(-count));
	for (int i = 0; i < count && session->server_count < PCPC_SERVERS_MAX; i++) {
		server = &session->servers[session->server_count++];
		*server = (struct client_address){ .port = PCP_SERVER_PORT, .ifindex = routers[i].ifindex };
		if (ipv6)
			memcpy(server->address6, routers[i].address, sizeof(server->address6));
		else
			pcp_address_from_ipv4(routers[i].address, server->address6);
	}
}

/* Section 8.1: those configured, else the default routers, of the family of the source if one was given. */
static void servers_find(struct pcpc_session *session)
{
	const struct pcpc *pcpc = session->pcpc;
	bool wants_ipv6 = pcpc->has_source && !pcp_address_is_ipv4(pcpc->source6);

	session->server_count = pcpc->server_count;
	memcpy(session->servers, pcpc->servers, sizeof(session->servers));
	if (pcpc->server_count)
		return;
	add_routers(session, wants_ipv6);
	if (!session->server_count && !pcpc->has_source)
		add_routers(session, true);
}

static void disconnect(struct pcpc_session *session)
{
	if (session->fd >= 0)
		close(session->fd);
	session->fd = -1;
}

/* What is known of the Epoch stays: the addresses are of one server. */
static int connect_to(struct pcpc_session *session, unsigned server)
{
	const struct pcpc *pcpc = session->pcpc;
	struct server_epoch epoch = session->client.epoch;
	struct pcp_client_path path;
	uint64_t seed;
	int fd;

	disconnect(session);
	fd = client_socket_open(&session->servers[server], pcpc->has_source ? pcpc->source6 : NULL, &path);
	if (fd < 0)
		return fd;
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = now_ns();	/* for the spread of retransmissions only */
	session->fd = fd;
	session->current = server;
	pcp_client_init(&session->client, &path, seed);
	session->client.epoch = epoch;
	return 0;
}

struct pcpc_session *pcpc_session_new(const struct pcpc *pcpc, int *ret_exit)
{
	struct pcpc_session *session = calloc(1, sizeof(*session));
	int failed = 0;

	*ret_exit = PCPC_NO_ANSWER;
	if (!session)
		return NULL;
	session->pcpc = pcpc;
	session->fd = -1;
	servers_find(session);
	if (!session->server_count)
		log_error("no default router to ask: name a server with -s");
	for (unsigned i = 0; i < session->server_count && session->fd < 0; i++) {
		failed = connect_to(session, i);
		if (failed)
			log_error("%s: %s", server_text(session, i).text, strerror(-failed));
	}
	if (session->fd >= 0)
		return session;
	if (failed == -EADDRNOTAVAIL || failed == -EAFNOSUPPORT)	/* a source that does not fit */
		*ret_exit = PCPC_USAGE;
	pcpc_session_free(session);
	return NULL;
}

void pcpc_session_free(struct pcpc_session *session)
{
	if (!session)
		return;
	disconnect(session);
	free(session);
}

const struct pcp_client_path *pcpc_session_path(const struct pcpc_session *session)
{
	return &session->client.path;
}

int pcpc_session_reopen(struct pcpc_session *session)
{
	return connect_to(session, session->current);
}

/* ---- one request ---- */

/* Nobody listens there, or nobody may get there: the next server at once (RFC 7488 section 3). Other errors may pass. */
static bool is_hard_error(int error)
{
	return error == -ECONNREFUSED || error == -EACCES || error == -EPERM || error == -ENOPROTOOPT;
}

static int wait_until(int fd, uint64_t deadline_ns)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	uint64_t now = now_ns(), left = deadline_ns > now ? deadline_ns - now : 0;
	struct timespec timeout = { .tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S) };

	return ppoll(&readable, 1, deadline_ns == RETRANSMISSION_NEVER ? NULL : &timeout, NULL) < 0 && errno != EINTR ? -errno : 0;
}

/* Reads until an answer, or nothing more. 1: answered, 0: not yet, or -errno. */
static int receive_all(struct pcpc_session *session, struct pcp_exchange *exchange, struct pcp_client_reply *ret_reply)
{
	struct pcp_client_datagram datagram = { .bytes = session->bytes };
	struct client_address source;
	ssize_t len;

	for (;;) {
		len = client_socket_receive(session->fd, session->bytes, sizeof(session->bytes), &source);
		if (len < 0)
			return len == -EAGAIN || len == -EINTR ? 0 : (int)len;
		datagram.len = (size_t)len < sizeof(session->bytes) ? (size_t)len : sizeof(session->bytes);
		pcpc_trace_message(&session->pcpc->trace, true, datagram.bytes, datagram.len);
		memcpy(datagram.source6, source.address6, sizeof(datagram.source6));
		datagram.source_port = source.port;
		switch (pcp_exchange_receive(exchange, &session->client, &datagram, now_ns(), ret_reply)) {
		case PCP_EXCHANGE_ANSWERED:
			return 1;
		case PCP_EXCHANGE_AGAIN:
			return 0;
		case PCP_EXCHANGE_IGNORED:
			break;
		}
	}
}

static int send_due(struct pcpc_session *session, struct pcp_exchange *exchange)
{
	uint8_t bytes[PCP_MESSAGE_MAX];
	size_t len = pcp_exchange_send(exchange, &session->client, now_ns(), bytes);

	if (!len)
		return 0;
	pcpc_trace_message(&session->pcpc->trace, false, bytes, len);
	if (send(session->fd, bytes, len, MSG_NOSIGNAL) >= 0)
		return 0;
	return -errno;
}

/* One request to the current server. 1: answered, 0: no answer, or a hard error. */
static int ask_current(struct pcpc_session *session, struct pcp_exchange *exchange, struct pcp_client_reply *ret_reply)
{
	int failed;

	for (;;) {
		failed = send_due(session, exchange);
		if (is_hard_error(failed))
			return failed;
		if (exchange->retransmission.has_failed)
			return 0;
		failed = wait_until(session->fd, exchange->retransmission.next_ns);
		if (failed)
			return failed;
		failed = receive_all(session, exchange, ret_reply);
		if (failed == 1 || is_hard_error(failed))
			return failed;
	}
}

/* What is left of the time, in equal parts for the servers left. */
static uint64_t share_ns(const struct pcpc_session *session, uint64_t started_ns, unsigned servers_left)
{
	uint64_t end_ns = started_ns + session->pcpc->timeout_s * NS_PER_S, now = now_ns();

	if (!session->pcpc->timeout_s)
		return 0;
	return end_ns > now + servers_left ? (end_ns - now) / servers_left : 1;
}

int pcpc_session_ask(struct pcpc_session *session, const struct pcp_client_request *request, struct pcp_client_reply *ret_reply)
{
	const struct retransmission_rule *rule = session->server_count > 1 ? &one_of_many : &retransmission_pcp;
	unsigned first = session->current, tried, server;
	uint64_t started_ns = now_ns();
	struct pcp_exchange exchange;
	int failed;

	for (tried = 0; tried < session->server_count; tried++) {
		server = (first + tried) % session->server_count;
		failed = server == session->current && session->fd >= 0 ? 0 : connect_to(session, server);
		if (!failed) {
			exchange = (struct pcp_exchange){ 0 };
			if (pcp_exchange_start(&exchange, &session->client, request, rule, now_ns(),
					       share_ns(session, started_ns, session->server_count - tried))) {
				log_error("the request does not fit into the %d bytes of a PCP message", PCP_MESSAGE_MAX);
				return PCPC_USAGE;
			}
			failed = ask_current(session, &exchange, ret_reply);
		}
		if (failed == 1)
			return PCPC_OK;
		log_line(tried + 1 < session->server_count ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR, "%s: %s", server_text(session, server).text,
			 failed ? strerror(-failed) : "no answer");
	}
	return PCPC_NO_ANSWER;
}
