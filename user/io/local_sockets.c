/* SPDX-License-Identifier: GPL-2.0-only */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <libmnl/libmnl.h>
#include "local_sockets.h"
#include "pcp_codec.h"

#define BIT(state)	(1u << (state))
#define TCP_STATES	(BIT(TCP_LISTEN) | BIT(TCP_ESTABLISHED) | BIT(TCP_SYN_SENT) | BIT(TCP_SYN_RECV) | BIT(TCP_CLOSE_WAIT))
#define UDP_STATES	0xffffffffu

struct question {
	const uint8_t *address6;
	uint16_t port;
	bool is_used;
};

/* IPv4 sockets have four bytes and zeros, IPv6 ones may serve IPv4 by the mapped address or by `::`. */
static bool address_fits(const struct inet_diag_msg *socket, const uint8_t address6[16])
{
	uint8_t bound6[16];

	memcpy(bound6, socket->id.idiag_src, sizeof(bound6));
	if (socket->idiag_family == AF_INET)
		pcp_address_from_ipv4((const uint8_t *)socket->id.idiag_src, bound6);
	return pcp_address_is_any(bound6) || !memcmp(bound6, address6, sizeof(bound6));
}

static int look(const struct nlmsghdr *message, void *context)
{
	const struct inet_diag_msg *socket = mnl_nlmsg_get_payload(message);
	struct question *question = context;

	if (message->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(*socket))
		return MNL_CB_OK;
	if (ntohs(socket->id.idiag_sport) == question->port && address_fits(socket, question->address6))
		question->is_used = true;
	return MNL_CB_OK;
}

static int ask(struct mnl_socket *socket, uint8_t family, uint8_t protocol, struct question *question)
{
	char buffer[16384];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *request;
	int going = MNL_CB_OK;
	ssize_t len;

	message->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = family;
	request = mnl_nlmsg_put_extra_header(message, sizeof(*request));
	request->sdiag_family = family;
	request->sdiag_protocol = protocol;
	request->idiag_states = protocol == IPPROTO_TCP ? TCP_STATES : UDP_STATES;
	request->id.idiag_sport = htons(question->port);
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	while (going == MNL_CB_OK) {
		len = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		going = len < 0 ? MNL_CB_ERROR : mnl_cb_run(buffer, (size_t)len, family, mnl_socket_get_portid(socket), look, question);
	}
	return going == MNL_CB_ERROR ? -errno : 0;
}

int local_socket_uses(uint8_t protocol, const uint8_t address6[16], uint16_t port)
{
	struct question question = { .address6 = address6, .port = port };
	struct mnl_socket *socket;
	int failed;

	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return -EPROTONOSUPPORT;
	socket = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (!socket)
		return -errno;
	failed = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) ? -errno : 0;
	if (!failed)
		failed = ask(socket, AF_INET, protocol, &question);
	if (!failed)
		failed = ask(socket, AF_INET6, protocol, &question);
	mnl_socket_close(socket);
	return failed ? failed : question.is_used;
}
