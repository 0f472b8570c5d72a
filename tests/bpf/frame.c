/* SPDX-License-Identifier: GPL-2.0-only */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include "frame.h"

#define ETHERNET_LEN 14

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

uint16_t frame_checksum(const uint8_t *bytes, uint32_t length, uint32_t sum)
{
	uint32_t i;

	for (i = 0; i < length; i++)
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Over addresses, protocol and length (RFC 768, RFC 9293 section 3.1). */
static uint32_t pseudo_header(const uint8_t *ip, uint32_t length)
{
	uint32_t sum = ip[9] + length, i;

	for (i = 12; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	return sum;
}

static void put_udp(const struct frame *frame, const uint8_t *ip, uint8_t *udp, uint32_t length)
{
	uint32_t said = frame->whole_sum ? length + frame->payload : length;
	uint16_t sum;

	put16(udp, frame->source_port);
	put16(udp + 2, frame->destination_port);
	put16(udp + 4, said);
	put16(udp + 6, 0);
	if (frame->no_checksum)
		return;
	if (frame->whole_sum)	/* the second half is the same bytes again: its sum counts twice */
		sum = frame_checksum(udp, length, pseudo_header(ip, said) + (uint16_t)~frame_checksum(udp + 8, frame->payload, 0));
	else
		sum = frame_checksum(udp, length, pseudo_header(ip, length));
	put16(udp + 6, sum ? sum : 0xffff);
}

static void put_tcp(const struct frame *frame, const uint8_t *ip, uint8_t *tcp, uint32_t length)
{
	put16(tcp, frame->source_port);
	put16(tcp + 2, frame->destination_port);
	put16(tcp + 4, (frame->sequence ? frame->sequence : 0x12345678) >> 16);
	put16(tcp + 6, (frame->sequence ? frame->sequence : 0x12345678) & 0xffff);
	put16(tcp + 8, (frame->acknowledged ? frame->acknowledged : 0x9abcdef0) >> 16);
	put16(tcp + 10, (frame->acknowledged ? frame->acknowledged : 0x9abcdef0) & 0xffff);
	tcp[12] = (uint8_t)((5 + frame->tcp_option_words) << 4);
	tcp[13] = frame->tcp_flags;
	put16(tcp + 14, 8192);
	put16(tcp + 16, 0);
	put16(tcp + 18, 0);
	memcpy(tcp + 20, frame->tcp_options, 4 * frame->tcp_option_words);
	put16(tcp + 16, frame_checksum(tcp, length, pseudo_header(ip, length)));
}

static void put_icmp(const struct frame *frame, uint8_t *icmp, uint32_t length)
{
	icmp[0] = frame->icmp_type;
	icmp[1] = frame->icmp_code;
	put16(icmp + 2, 0);
	put16(icmp + 4, frame->inner ? 0 : frame->identifier);
	put16(icmp + 6, frame->inner ? frame->mtu : 7);
	put16(icmp + 2, frame_checksum(icmp, length, 0));
}

static uint32_t transport_length(const struct frame *frame)
{
	if (frame->fragment & 0x1fff)
		return 0;
	if (frame->protocol == IPPROTO_UDP || frame->protocol == IPPROTO_ICMP)
		return 8;
	return frame->protocol == IPPROTO_TCP ? 20 + 4 * frame->tcp_option_words : 0;
}

/* An IPv4 packet with everything in it. */
static uint32_t put_packet(const struct frame *frame, uint8_t *ip)
{
	uint32_t header = 20 + 4 * frame->option_words, transport = transport_length(frame), payload = frame->payload, i;
	uint8_t *l4 = ip + header, inner[FRAME_MAX];

	if (frame->inner) {
		payload = put_packet(frame->inner, inner);
		if (frame->inner_length && frame->inner_length < payload)
			payload = frame->inner_length;
		memcpy(l4 + transport, inner, payload);
	} else {
		for (i = 0; i < payload; i++)
			l4[transport + i] = (uint8_t)(i * 7 + 1);
		if (frame->first_word)
			put16(l4 + transport, frame->first_word);
	}
	ip[0] = (uint8_t)(4 << 4 | header / 4);
	ip[1] = frame->tos;
	put16(ip + 2, header + transport + payload);
	put16(ip + 4, frame->fragment_id);
	put16(ip + 6, frame->fragment);
	ip[8] = frame->ttl ? frame->ttl : 64;
	ip[9] = frame->protocol;
	put16(ip + 10, 0);
	inet_pton(AF_INET, frame->source, ip + 12);
	inet_pton(AF_INET, frame->destination, ip + 16);
	memset(ip + 20, 1, header - 20);
	put16(ip + 10, frame_checksum(ip, header, 0));
	if (transport && frame->protocol == IPPROTO_UDP)
		put_udp(frame, ip, l4, transport + payload);
	else if (transport && frame->protocol == IPPROTO_TCP)
		put_tcp(frame, ip, l4, transport + payload);
	else if (transport)
		put_icmp(frame, l4, transport + payload);
	return header + transport + payload;
}

static uint32_t put_packet6(const struct frame *frame, uint8_t *ip6)
{
	uint32_t length = 8 + frame->payload, sum = IPPROTO_UDP + length, i;
	uint8_t *udp = ip6 + 40;

	ip6[0] = 6 << 4;
	put16(ip6 + 4, length);
	ip6[6] = IPPROTO_UDP;
	ip6[7] = 64;
	inet_pton(AF_INET6, frame->source6, ip6 + 8);
	inet_pton(AF_INET6, frame->destination6, ip6 + 24);
	put16(udp, 1000);
	put16(udp + 2, 2000);
	put16(udp + 4, length);
	for (i = 8; i < 40; i += 2)
		sum += (uint32_t)ip6[i] << 8 | ip6[i + 1];
	put16(udp + 6, frame_checksum(udp, length, sum));
	return 40 + length;
}

uint32_t frame_build(const struct frame *frame, uint8_t ret_bytes[FRAME_MAX])
{
	uint8_t *at = ret_bytes + 12;
	uint32_t length, i, tail = frame->tail;

	memset(ret_bytes, 0, FRAME_MAX);
	memcpy(ret_bytes, frame->destination_mac, 6);
	memcpy(ret_bytes + 6, frame->source_mac, 6);
	for (i = frame->vlan_tags; i; i--, at += 4) {
		put16(at, i > 1 ? 0x88a8 : 0x8100);
		put16(at + 2, 100 + i);
	}
	for (i = 0; i < 2 && frame->tags[i]; i++, at += 4) {
		put16(at, frame->tags[i] & 0x8000 ? 0x88a8 : 0x8100);
		put16(at + 2, frame->tags[i] & 0x0fff);
	}
	put16(at, frame->source6 ? 0x86dd : frame->ethertype ? frame->ethertype : 0x0800);
	at += 2;
	if (frame->source6) {
		at += put_packet6(frame, at);
	} else if (frame->ethertype && frame->ethertype != 0x0800) {
		for (i = 0; i < frame->payload; i++)
			at[i] = (uint8_t)(i * 7 + 1);
		at += frame->payload;
	} else {
		at += put_packet(frame, at);
	}
	length = (uint32_t)(at - ret_bytes);
	if (frame->padded && length < 60)
		tail += 60 - length;
	memset(at, 0xa5, tail);
	for (i = 0; i < 4 && frame->edits[i].at; i++)
		ret_bytes[frame->edits[i].at] = frame->edits[i].value;
	return length + tail;
}
