/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "udp_socket.h"

#define RECEIVE_BUFFER (4 << 20)	/* a burst of requests while the daemon is busy elsewhere */

struct udp_batch {
	unsigned count;
	struct mmsghdr headers[UDP_BATCH_MAX], answer_headers[UDP_BATCH_MAX];
	struct iovec vectors[UDP_BATCH_MAX], answer_vectors[UDP_BATCH_MAX];
	struct sockaddr_in sources[UDP_BATCH_MAX];
	size_t answer_len[UDP_BATCH_MAX];
	_Alignas(8) uint8_t control[UDP_BATCH_MAX][64];
	uint8_t bytes[UDP_BATCH_MAX][UDP_DATAGRAM_MAX];
	uint8_t answers[UDP_BATCH_MAX][UDP_DATAGRAM_MAX];
};

struct udp_batch *udp_batch_new(void)
{
	return calloc(1, sizeof(struct udp_batch));
}

void udp_batch_free(struct udp_batch *batch)
{
	free(batch);
}

int udp_socket_open(const uint8_t addr4[4], uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd, one = 1, size = RECEIVE_BUFFER, failed;

	memcpy(&address.sin_addr, addr4, 4);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* No SO_REUSEADDR: UDP has no TIME_WAIT, and with it another program could take the port over without a word. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)) ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address))) {
		failed = -errno;
		close(fd);
		return failed;
	}
	return fd;
}

int udp_batch_receive(struct udp_batch *batch, int fd)
{
	unsigned i;
	int count;

	for (i = 0; i < UDP_BATCH_MAX; i++) {
		batch->vectors[i] = (struct iovec){ batch->bytes[i], sizeof(batch->bytes[i]) };
		batch->headers[i].msg_hdr = (struct msghdr){
			.msg_name = &batch->sources[i], .msg_namelen = sizeof(batch->sources[i]),
			.msg_iov = &batch->vectors[i], .msg_iovlen = 1,
			.msg_control = batch->control[i], .msg_controllen = sizeof(batch->control[i]) };
		batch->answer_len[i] = 0;
	}
	batch->count = 0;
	count = recvmmsg(fd, batch->headers, UDP_BATCH_MAX, MSG_DONTWAIT, NULL);
	if (count < 0)
		return -errno;
	batch->count = (unsigned)count;
	return count;
}

static uint32_t ingress_of(struct msghdr *header)
{
	struct cmsghdr *control;
	struct in_pktinfo arrival;

	for (control = CMSG_FIRSTHDR(header); control; control = CMSG_NXTHDR(header, control))
		if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
			memcpy(&arrival, CMSG_DATA(control), sizeof(arrival));
			return (uint32_t)arrival.ipi_ifindex;
		}
	return 0;
}

unsigned udp_batch_count(const struct udp_batch *batch)
{
	return batch->count;
}

struct udp_datagram udp_batch_datagram(const struct udp_batch *batch, unsigned index)
{
	struct msghdr header = batch->headers[index].msg_hdr;
	struct udp_datagram datagram = { .bytes = batch->bytes[index], .len = batch->headers[index].msg_len,
		.source_port = ntohs(batch->sources[index].sin_port), .ifindex = ingress_of(&header) };

	memcpy(datagram.source4, &batch->sources[index].sin_addr, 4);
	return datagram;
}

uint8_t *udp_batch_answer(struct udp_batch *batch, unsigned index)
{
	return batch->answers[index];
}

void udp_batch_set_answer_len(struct udp_batch *batch, unsigned index, size_t len)
{
	batch->answer_len[index] = len;
}

unsigned udp_batch_send(struct udp_batch *batch, int fd)
{
	unsigned count = 0, done = 0, unsent = 0, i;
	int sent;

	for (i = 0; i < batch->count; i++) {
		if (!batch->answer_len[i])
			continue;
		batch->answer_vectors[count] = (struct iovec){ batch->answers[i], batch->answer_len[i] };
		batch->answer_headers[count].msg_hdr = (struct msghdr){
			.msg_name = &batch->sources[i], .msg_namelen = sizeof(batch->sources[i]),
			.msg_iov = &batch->answer_vectors[count], .msg_iovlen = 1 };
		count++;
	}
	while (done < count) {
		sent = sendmmsg(fd, batch->answer_headers + done, count - done, MSG_DONTWAIT);
		if (sent > 0) {
			done += (unsigned)sent;
		} else if (errno != EINTR) {	/* that one cannot go; PCP clients ask again */
			done++;
			unsent++;
		}
	}
	return unsent;
}

int udp_socket_multicast(int fd, uint32_t ifindex, const uint8_t group4[4], uint16_t port, const uint8_t *bytes, size_t len)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct ip_mreqn out = { .imr_ifindex = (int)ifindex };

	memcpy(&to.sin_addr, group4, 4);
	if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof(out)))
		return -errno;
	return sendto(fd, bytes, len, MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}
