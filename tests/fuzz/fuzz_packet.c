/* SPDX-License-Identifier: GPL-2.0-only */
/* Any frame to the parser and the rewriting of bpf/, built for the host. The input's first byte chooses, six more are the new
 * address and port, the rest is the frame. It lies on the heap at a multiple of 16 plus 2, as a NIC aligns it, and ends where its memory
 * ends: a byte read too far is found. Sums are computed here in full, the plain way: a valid checksum stays valid, a bad one
 * bad, and no other byte changes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "rewrite.h"

#define CHOICES 7		/* bytes before the frame */
#define HEAP_SHIFT 2
#define REQUIRE(claim) do { if (!(claim)) abort(); } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum choice {
	CHOOSE_SOURCE = 1 << 0,		/* rewrite the source, else the destination */
	CHOOSE_REPAIR = 1 << 1,		/* make checksums right before */
};

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* One's complement sum of bytes, and of a pseudo header if `ip` is there. A message with its checksum in it sums to 0xffff. */
static uint16_t sum_of(const uint8_t *bytes, size_t length, const uint8_t *ip, uint8_t protocol)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint64_t)bytes[i] << 8;
	if (ip) {
		for (i = 12; i < 20; i += 2)
			sum += get16(ip + i);
		sum += protocol + length;
	}
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* ---- one packet, be it the frame's or one inside an ICMP error ---- */

struct view {			/* of a packet whose header was found sound */
	uint8_t *ip, *l4;
	size_t header_len, l4_len;	/* l4_len: bytes that are there */
	uint8_t protocol;
	uint8_t *check;			/* of the transport, NULL if it is not there */
	size_t covered;			/* bytes of the transport under it; 0: they are not all here */
};

static struct view view_of(uint8_t *ip, size_t length)
{
	struct view view = { .ip = ip, .header_len = (ip[0] & 15u) * 4, .protocol = ip[9] };
	size_t said = get16(ip + 2);
	bool is_whole = said <= length && said >= view.header_len && !(get16(ip + 6) & 0x3fff);

	view.l4 = ip + view.header_len;
	view.l4_len = length - view.header_len;
	if (get16(ip + 6) & 0x1fff)
		return view;
	if (is_whole)
		view.covered = said - view.header_len;
	if (view.protocol == IPPROTO_UDP && view.l4_len >= 8) {
		view.check = view.l4 + 6;
		view.covered = view.covered >= get16(view.l4 + 4) ? get16(view.l4 + 4) : 0;
	} else if (view.protocol == IPPROTO_TCP && view.l4_len >= 18) {
		view.check = view.l4 + 16;
	} else if (view.protocol == IPPROTO_ICMP && view.l4_len >= 4) {
		view.check = view.l4 + 2;
	}
	/* some hosts send back an embedded header with another length: then nothing can be said about what is behind it */
	if (!view.check || view.covered < 8 || view.covered < (size_t)(view.check + 2 - view.l4))
		view.covered = 0;
	return view;
}

/* 0 is the other zero of one's complement: a message of zeros whose checksum should be 0xffff, and which no sum tells from right. */
static bool sum_is_right(uint16_t sum)
{
	return sum == 0xffff || sum == 0;
}

static bool header_is_valid(const struct view *view)
{
	return sum_is_right(sum_of(view->ip, view->header_len, NULL, 0));
}

static bool transport_is_valid(const struct view *view)
{
	const uint8_t *pseudo = view->protocol == IPPROTO_ICMP ? NULL : view->ip;

	return sum_is_right(sum_of(view->l4, view->covered, pseudo, view->protocol));
}

static void repair_transport(const struct view *view)
{
	const uint8_t *pseudo = view->protocol == IPPROTO_ICMP ? NULL : view->ip;
	uint16_t sum;

	if (!view->covered || (view->protocol == IPPROTO_UDP && !get16(view->check)))
		return;
	put16(view->check, 0);
	sum = (uint16_t)~sum_of(view->l4, view->covered, pseudo, view->protocol);
	put16(view->check, view->protocol == IPPROTO_UDP && !sum ? 0xffff : sum);
}

static void repair_header(const struct view *view)
{
	put16(view->ip + 10, 0);
	put16(view->ip + 10, (uint16_t)~sum_of(view->ip, view->header_len, NULL, 0));
}

struct validity { bool header, transport, has_transport; };

static struct validity validity_of(const struct view *view)
{
	bool has = view->covered && !(view->protocol == IPPROTO_UDP && !get16(view->check));

	return (struct validity){ header_is_valid(view), has && transport_is_valid(view), has };
}

static void require_same(const struct view *view, struct validity before)
{
	struct validity after = validity_of(view);

	REQUIRE(after.header == before.header);
	REQUIRE(after.has_transport == before.has_transport);
	REQUIRE(after.transport == before.transport);
}

/* ---- which bytes may change ---- */

struct frame {
	uint8_t *bytes;
	size_t size;
	uint8_t *before, *may_change;
};

static void allow(struct frame *frame, const uint8_t *from, size_t length)
{
	size_t at = (size_t)(from - frame->bytes);

	REQUIRE(at + length <= frame->size);
	memset(frame->may_change + at, 1, length);
}

static void allow_rewrite(struct frame *frame, const struct view *view, bool is_source)
{
	allow(frame, view->ip + 10, 2);
	allow(frame, view->ip + (is_source ? 12 : 16), 4);
	if (view->check)
		allow(frame, view->check, 2);
	if (view->protocol == IPPROTO_ICMP)
		allow(frame, view->l4 + 4, 2);
	else
		allow(frame, view->l4 + (is_source ? 0 : 2), 2);
}

static void require_rest_same(const struct frame *frame)
{
	size_t i;

	for (i = 0; i < frame->size; i++)
		REQUIRE(frame->may_change[i] || frame->bytes[i] == frame->before[i]);
}

/* ---- rewriting ---- */

static void require_endpoint(const struct view *view, bool is_source, const uint8_t *wanted)
{
	const uint8_t *port = view->protocol == IPPROTO_ICMP ? view->l4 + 4 : view->l4 + (is_source ? 0 : 2);

	REQUIRE(!memcmp(view->ip + (is_source ? 12 : 16), wanted, 4));
	REQUIRE(get16(port) == get16(wanted + 4));
}

static void rewrite_flow(struct frame *frame, struct packet *pkt, uint8_t choice, const uint8_t *wanted)
{
	struct view view = view_of((uint8_t *)pkt->ip, bpf_ntohs(pkt->ip->tot_len));
	bool is_source = choice & CHOOSE_SOURCE;
	struct validity before;

	if (choice & CHOOSE_REPAIR) {
		repair_header(&view);
		repair_transport(&view);
	}
	before = validity_of(&view);
	REQUIRE(!(choice & CHOOSE_REPAIR) || (before.header && before.transport == before.has_transport));
	memcpy(frame->before, frame->bytes, frame->size);
	if (is_source)
		rewrite_source(pkt, load_u32(wanted), get16(wanted + 4));
	else
		rewrite_destination(pkt, load_u32(wanted), get16(wanted + 4));
	require_same(&view, before);
	require_endpoint(&view, is_source, wanted);
	allow_rewrite(frame, &view, is_source);
	require_rest_same(frame);
}

static void rewrite_follow_on(struct frame *frame, struct packet *pkt, uint8_t choice, const uint8_t *wanted)
{
	struct view view = view_of((uint8_t *)pkt->ip, bpf_ntohs(pkt->ip->tot_len));
	bool before;

	if (choice & CHOOSE_REPAIR)
		repair_header(&view);
	before = header_is_valid(&view);
	memcpy(frame->before, frame->bytes, frame->size);
	if (choice & CHOOSE_SOURCE)
		rewrite_ip_source(pkt->ip, load_u32(wanted));
	else
		rewrite_ip_destination(pkt->ip, load_u32(wanted));
	REQUIRE(header_is_valid(&view) == before);
	allow(frame, view.ip + 10, 2);
	allow(frame, view.ip + (choice & CHOOSE_SOURCE ? 12 : 16), 4);
	require_rest_same(frame);
}

static void rewrite_error(struct frame *frame, struct packet *pkt, uint8_t choice, const uint8_t *wanted)
{
	struct view outer = view_of((uint8_t *)pkt->ip, bpf_ntohs(pkt->ip->tot_len)), view;
	struct validity before_outer, before;
	struct packet_inner inner;

	if (packet_parse_inner(pkt, &inner) != CGN_NEXT)
		return;
	REQUIRE((uint8_t *)inner.l4 + inner.l4_len == outer.l4 + outer.l4_len);
	view = view_of((uint8_t *)inner.ip, (size_t)(outer.l4 + outer.l4_len - (uint8_t *)inner.ip));
	if (choice & CHOOSE_REPAIR) {
		repair_header(&view);
		repair_transport(&view);
		repair_header(&outer);
		repair_transport(&outer);
	}
	before = validity_of(&view);
	before_outer = validity_of(&outer);
	memcpy(frame->before, frame->bytes, frame->size);
	rewrite_inner(pkt, &inner, load_u32(wanted), get16(wanted + 4), choice & CHOOSE_SOURCE);
	require_same(&view, before);
	require_same(&outer, before_outer);
	require_endpoint(&view, choice & CHOOSE_SOURCE, wanted);
	allow_rewrite(frame, &view, choice & CHOOSE_SOURCE);
	allow(frame, outer.check, 2);
	require_rest_same(frame);
}

static void translate(struct frame *frame, uint8_t choice, const uint8_t *wanted)
{
	struct packet pkt;

	if (packet_parse(&pkt, frame->bytes, frame->bytes + frame->size, NULL) != CGN_NEXT || pkt.kind == PACKET_IPV6)
		return;
	REQUIRE((uint8_t *)pkt.ip + bpf_ntohs(pkt.ip->tot_len) <= frame->bytes + frame->size);
	if (packet_parse_transport(&pkt) != CGN_NEXT)
		return;
	if (pkt.kind == PACKET_FOLLOW_ON)
		rewrite_follow_on(frame, &pkt, choice, wanted);
	else if (pkt.kind == PACKET_ICMP_ERROR)
		rewrite_error(frame, &pkt, choice, wanted);
	else
		rewrite_flow(frame, &pkt, choice, wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	_Alignas(4) uint8_t wanted[CHOICES - 1];
	struct frame frame;
	uint8_t *heap;

	if (size < CHOICES)
		return 0;
	memcpy(wanted, input + 1, sizeof(wanted));
	frame.size = size - CHOICES;
	heap = malloc(frame.size + HEAP_SHIFT);
	frame.before = malloc(frame.size + 1);
	frame.may_change = calloc(1, frame.size + 1);
	REQUIRE(heap && frame.before && frame.may_change);
	frame.bytes = heap + HEAP_SHIFT;
	memcpy(frame.bytes, input + CHOICES, frame.size);
	translate(&frame, input[0], wanted);
	free(heap);
	free(frame.before);
	free(frame.may_change);
	return 0;
}
