/* SPDX-License-Identifier: GPL-2.0-only */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <string.h>
#include "translation.h"

#define ETHERNET_LEN 14
#define MTU_LEAST 1000		/* plane.h */
#define TRY(claim, text) do { if (!(claim)) return (text); } while (0)

/* An IPv4 packet in a frame or in an ICMP error, as far as it is there. */
struct view {
	const uint8_t *ip, *l4;
	uint32_t length, header, l4_length;	/* bytes that are there */
	uint32_t source, destination;
	uint16_t fragment;
	uint8_t protocol;
	bool is_error, is_whole;
};

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static bool is_error_type(uint8_t type)
{
	return type == 3 || type == 11 || type == 12;
}

/* Of an embedded packet the total length says nothing: some hosts send back another one. */
static bool view_of(const uint8_t *ip, uint32_t available, bool is_embedded, struct view *view)
{
	*view = (struct view){ .ip = ip };
	if (available < 20 || ip[0] >> 4 != 4)
		return false;
	view->header = (ip[0] & 15u) * 4;
	view->length = get16(ip + 2) < available && !is_embedded ? get16(ip + 2) : available;
	if (view->header < 20 || view->length < view->header)
		return false;
	view->is_whole = get16(ip + 2) == view->length && !(get16(ip + 6) & 0x3fff);
	view->l4 = ip + view->header;
	view->l4_length = view->length - view->header;
	view->source = get32(ip + 12);
	view->destination = get32(ip + 16);
	view->fragment = get16(ip + 6);
	view->protocol = ip[9];
	view->is_error = view->protocol == IPPROTO_ICMP && !(view->fragment & 0x1fff) && view->l4_length >= 8 && is_error_type(view->l4[0]);
	return true;
}

/* Where the IP packet stands behind up to two VLAN tags; 0: it is none. */
static uint32_t ip_at(const uint8_t *frame, uint32_t length)
{
	uint32_t at = 12, tags;

	for (tags = 0; tags < 3 && at + 2 <= length; tags++, at += 4) {
		if (get16(frame + at) == 0x0800)
			return at + 2;
		if (get16(frame + at) != 0x8100 && get16(frame + at) != 0x88a8)
			return 0;
	}
	return 0;
}

/* ---- sums ---- */

/* One's complement sum, its two zeros taken for one; right with its checksum in it if it is 0. */
static uint32_t residue(const uint8_t *bytes, uint32_t length, uint64_t sum)
{
	uint32_t i;

	for (i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint64_t)bytes[i] << 8;
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff ? 0 : (uint32_t)sum;
}

static uint32_t header_residue(const struct view *view)
{
	return residue(view->ip, view->header, 0);
}

/* Of the transport, over as much of it as there is: translation changes nothing that is not. */
static uint32_t transport_residue(const struct view *view)
{
	uint64_t pseudo = 0;
	uint32_t i;

	for (i = 12; view->protocol != IPPROTO_ICMP && i < 20; i += 2)
		pseudo += get16(view->ip + i);
	if (view->protocol != IPPROTO_ICMP)
		pseudo += view->protocol + view->l4_length;
	return residue(view->l4, view->l4_length, pseudo);
}

/* Offset of the transport's checksum; 0: it is not there, or there is none. */
static uint32_t sum_at(const struct view *view)
{
	uint32_t at = view->protocol == IPPROTO_UDP ? 6 : view->protocol == IPPROTO_TCP ? 16 : 2;

	if (view->fragment & 0x1fff || view->l4_length < at + 2 || (view->protocol == IPPROTO_UDP && !get16(view->l4 + 6)))
		return 0;
	return at;
}

static bool is_summed(const struct view *view)
{
	return view->is_whole && (view->protocol != IPPROTO_UDP || get16(view->l4 + 4) == view->l4_length);
}

/* ---- who is who ---- */

static bool is_ours(uint32_t address)
{
	return address == 0xc0000201 || address == 0xc0000202;
}

static bool is_inside(uint32_t address)
{
	return address >> 8 == 0xc63364 || address >> 8 == 0x0a0900;
}

static uint16_t port_of(const struct view *view, bool is_source)
{
	if (view->protocol == IPPROTO_ICMP)
		return get16(view->l4 + 4);
	return get16(view->l4 + (is_source ? 0 : 2));
}

/* Do an external and an internal endpoint stand for each other? */
static bool is_pair(const struct plane *plane, uint8_t protocol, uint32_t external, uint16_t external_port, uint32_t internal, uint16_t port)
{
	uint32_t index = protocol == IPPROTO_UDP ? CGN_UDP : protocol == IPPROTO_TCP ? CGN_TCP : CGN_ICMP, count;
	const struct cgn_slot *slots = dataplane_slots(plane->dp, &count), *slot = &slots[CGN_SLOT(external - 0xc0000201, index, external_port)];

	return slot->state.state == CGN_SLOT_LIVE && get32(slot->internal.addr4) == internal && slot->internal.port == port &&
	       slot->internal.protocol == protocol;
}

/* The source of what went out, or of what it is about, seen from the other end. */
static const char *check_endpoints(const struct plane *plane, const struct view *in, const struct view *out, bool source_changed,
				   bool destination_changed)
{
	/* a hairpinned echo has one identifier, and its last owner is the destination */
	if (source_changed && !(destination_changed && in->protocol == IPPROTO_ICMP))
		TRY(is_pair(plane, in->protocol, out->source, port_of(out, true), in->source, port_of(in, true)), "source of no mapping");
	if (destination_changed)
		TRY(is_pair(plane, in->protocol, in->destination, port_of(in, false), out->destination, port_of(out, false)),
		    "destination of no mapping");
	return NULL;
}

/* ---- what may change ---- */

/* Marks bytes of a packet that translation may write: addresses, header sum, ports, transport sum. */
static void mark(const struct view *view, uint8_t *may_change)
{
	uint32_t at = view->header, sum = sum_at(view);

	memset(may_change + 10, 1, 10);
	if (view->fragment & 0x1fff)
		return;
	if (view->protocol == IPPROTO_ICMP) {
		memset(may_change + at + 2, 1, 2);
		if (!view->is_error)
			memset(may_change + at + 4, 1, 2);
	} else {
		memset(may_change + at, 1, 4);
		if (sum)
			memset(may_change + at + sum, 1, 2);
	}
}

static const char *check_sums(const struct view *in, const struct view *out)
{
	TRY(header_residue(in) == header_residue(out), "IP checksum");
	if (!sum_at(in))
		return NULL;
	TRY(sum_at(out), "UDP checksum went away");
	TRY(transport_residue(in) == transport_residue(out), "transport checksum");
	return NULL;
}

/* `is_renamed`: the identification is another one, for the packet is a part, or will be cut. */
static const char *check_bytes(const struct view *in, const struct view *out, const struct view *inner, bool is_renamed)
{
	uint8_t may_change[PLANE_FRAME_MAX] = { 0 };
	uint32_t i;

	mark(in, may_change);
	may_change[8] = 1;	/* time to live */
	memset(may_change + 4, is_renamed, 2);
	if (inner)
		mark(inner, may_change + (inner->ip - in->ip));
	for (i = 0; i < in->length; i++)
		TRY(may_change[i] || in->ip[i] == out->ip[i], "a byte changed that must not");
	return NULL;
}

static const char *check_error(const struct plane *plane, enum cgn_side side, const struct view *in, const struct view *out,
			       struct view *inner_in)
{
	struct view inner_out;
	bool is_hairpin = side == CGN_INTERNAL_SIDE && is_ours(in->destination);
	const char *wrong;

	TRY(view_of(in->l4 + 8, in->l4_length - 8, true, inner_in) && view_of(out->l4 + 8, out->l4_length - 8, true, &inner_out), "error about nothing");
	TRY(inner_in->l4_length >= 8 && !inner_in->is_error, "error about what cannot be read, or about an error");
	TRY(inner_out.source == out->destination, "error to somebody else than the sender of what it is about");
	wrong = check_sums(inner_in, &inner_out);
	if (wrong)
		return wrong;
	/* the embedded packet went the other way: its source is at the error's destination */
	if (side == CGN_EXTERNAL_SIDE || is_hairpin)
		TRY(is_pair(plane, inner_in->protocol, inner_in->source, port_of(inner_in, true), inner_out.source, port_of(&inner_out, true)),
		    "error about no mapping");
	if (side == CGN_INTERNAL_SIDE)
		TRY(is_pair(plane, inner_in->protocol, inner_out.destination, port_of(&inner_out, false), inner_in->destination,
			    port_of(inner_in, false)), "error about no mapping");
	return NULL;
}

static bool is_sound(enum cgn_side side, const struct view *in, const struct view *inner)
{
	if (is_inside(in->source) != (side == CGN_INTERNAL_SIDE) || (in->destination >> 2 == 0xc0000200 >> 2 && !is_ours(in->destination)))
		return false;	/* a router's error, or a source that is not where it belongs */
	if (!is_summed(in) || header_residue(in) || (sum_at(in) && transport_residue(in)))
		return false;
	if (!inner)
		return true;
	return !header_residue(inner) && (!is_summed(inner) || !sum_at(inner) || !transport_residue(inner));
}

static const char *check_translated(const struct plane *plane, enum cgn_side side, const uint8_t *in_frame, uint32_t in_length,
				    const struct plane_run *run, enum translation *ret_kind)
{
	uint32_t at = ip_at(in_frame, in_length), hops = run->action == XDP_REDIRECT ? 1 : 0, went = hops ? ETHERNET_LEN : at;	/* the kernel gets the tags */
	struct view in, out, inner;
	const char *wrong;

	TRY(at && view_of(in_frame + at, in_length - at, false, &in), "not IPv4, and did not stay here");
	TRY(run->length >= went + 20 && get16(run->frame + went - 2) == 0x0800, "no IPv4 went out");
	TRY(run->length - went == in_length - at, "another length");
	TRY(view_of(run->frame + went, run->length - went, false, &out), "what went out is no packet");
	TRY(in.ip[8] > 1 && out.ip[8] == in.ip[8] - hops, "time to live");
	TRY(in.length == out.length && in.header == out.header && in.protocol == out.protocol, "another packet");
	if (side == CGN_INTERNAL_SIDE) {
		TRY(is_ours(out.source), "source is not of the pool");
		TRY(is_ours(in.destination) ? is_inside(out.destination) : out.destination == in.destination, "destination");
	} else {
		TRY(is_ours(in.destination) && is_inside(out.destination), "destination is not inside");
		TRY(!is_ours(in.source) && out.source == in.source, "source");
	}
	wrong = check_sums(&in, &out);
	if (!wrong)
		wrong = in.is_error ? check_error(plane, side, &in, &out, &inner) : NULL;
	if (!wrong && !in.is_error && !(in.fragment & 0x1fff))
		wrong = check_endpoints(plane, &in, &out, side == CGN_INTERNAL_SIDE, is_ours(in.destination));
	if (!wrong)
		wrong = check_bytes(&in, &out, in.is_error ? &inner : NULL,
				    side == CGN_INTERNAL_SIDE && (in.fragment & 0x3fff || in.length > MTU_LEAST));
	*ret_kind = !wrong && is_sound(side, &in, in.is_error ? &inner : NULL) ? SOUND : TRANSLATED;
	return wrong;
}

/* ---- an ICMP error of xcgn's own ---- */

#define QUOTE_MOST 548		/* RFC 1812 section 4.3.2.3 */

static bool is_report(const uint8_t *in_frame, const struct plane_run *run)
{
	uint32_t at = ip_at(run->frame, run->length);
	struct view out;

	return at && view_of(run->frame + at, run->length - at, false, &out) && out.is_error && !memcmp(run->frame, in_frame + 6, 6) &&
	       (out.source == 0xc6336401 || out.source == 0xcb007101);
}

/* To the sender, about what he sent; never about an error or a follow-on fragment. */
static const char *check_report(const uint8_t *in_frame, uint32_t in_length, const struct plane_run *run)
{
	uint32_t at = ip_at(in_frame, in_length), quoted;
	struct view in, out;

	TRY(at && view_of(in_frame + at, in_length - at, false, &in), "report about no packet");
	TRY(ip_at(run->frame, run->length) == at, "report with other tags");
	view_of(run->frame + at, run->length - at, false, &out);
	quoted = in.length < QUOTE_MOST ? in.length : QUOTE_MOST;
	TRY(!memcmp(run->frame + 6, in_frame, 6), "report from another link address");
	TRY(out.destination == in.source && !is_ours(in.source), "report to somebody else");
	TRY(!in.is_error && !(in.fragment & 0x1fff), "report about an error or a follow-on fragment");
	TRY(out.is_whole && run->length == at + out.length && out.header == 20 && out.length == 28 + quoted, "length of a report");
	TRY(!memcmp(out.l4 + 8, in.ip, quoted), "report does not quote what came");
	TRY(!header_residue(&out) && !transport_residue(&out), "checksum of a report");
	return NULL;
}

/* What the kernel gets as it came must not be what it forwards. */
static const char *check_passed(const uint8_t *frame, uint32_t length)
{
	static const uint8_t loopback6[16] = { [15] = 1 };
	static const uint8_t routed6[2][8] = { { 0xfd, 0, 0, 1 }, { 0xfd, 0, 0, 2 } };
	uint32_t at = ip_at(frame, length), destination, tag;
	const uint8_t *destination6;

	if (at) {
		TRY(length >= at + 20, "a part of a packet was passed");
		destination = get32(frame + at + 16);
		TRY(destination == 0xc6336401 || destination == 0xcb007101 || destination == 0xc63364ff || destination == 0xcb0071ff ||
		    destination == 0xffffffff || destination >> 28 == 0xe, "passed untranslated to be forwarded");
		return NULL;
	}
	for (at = 12, tag = 0; tag < 2 && at + 6 <= length && (get16(frame + at) == 0x8100 || get16(frame + at) == 0x88a8); tag++)
		at += 4;
	if (get16(frame + at) != 0x86dd) {
		TRY(get16(frame + at) == 0x0806 || !memcmp(frame, "\x01\x80\xc2", 3), "passed, and not known");
		return NULL;
	}
	TRY(length >= at + 42, "a part of an IPv6 packet was passed");
	destination6 = frame + at + 2 + 24;
	if (destination6[-16] == 0xff || (destination6[-16] == 0xfe && (destination6[-15] & 0xc0) == 0x80) || !memcmp(destination6 - 16, loopback6, 16))
		return NULL;	/* no router forwards such a source (RFC 4291 section 2.5, 2.7) */
	TRY((memcmp(destination6, routed6[0], 8) && memcmp(destination6, routed6[1], 8)) ||	/* the kernel has no other route */
	    (!get32(destination6 + 8) && get32(destination6 + 12) <= 1), "IPv6 passed to be forwarded");
	return NULL;
}

const char *translation_check(const struct plane *plane, enum cgn_side side, const uint8_t *in, uint32_t in_length,
			      const struct plane_run *run, enum translation *ret_kind)
{
	*ret_kind = UNTOUCHED;
	switch (run->action) {
	case XDP_DROP:
		return NULL;
	case XDP_PASS:
		if (run->length == in_length && !memcmp(run->frame, in, in_length))
			return check_passed(in, in_length);
		return check_translated(plane, side, in, in_length, run, ret_kind);
	case XDP_REDIRECT:
		if (is_report(in, run))
			return check_report(in, in_length, run);
		return check_translated(plane, side, in, in_length, run, ret_kind);
	default:
		return "neither dropped nor passed nor redirected";
	}
}

/* ---- repair ---- */

static void repair_packet(uint8_t *ip, uint32_t available, bool is_embedded)
{
	struct view view;
	uint8_t *l4;
	uint32_t at;

	if (!view_of(ip, available, is_embedded, &view))
		return;
	l4 = ip + view.header;
	if (view.is_error)	/* first what is inside: the outer sum covers it */
		repair_packet(l4 + 8, view.l4_length - 8, true);
	at = sum_at(&view);
	if (at) {
		put16(l4 + at, 0);
		put16(l4 + at, ~transport_residue(&view) & 0xffff);
	}
	put16(ip + 10, 0);
	put16(ip + 10, ~header_residue(&view) & 0xffff);
}

void translation_repair(uint8_t *frame, uint32_t length)
{
	uint32_t at = ip_at(frame, length);

	if (at)
		repair_packet(frame + at, length - at, false);
}
