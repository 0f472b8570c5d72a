/* SPDX-License-Identifier: GPL-2.0-only */
/* The GET opcode and its NEXT option (draft-boucadair-pcp-failure-06 appendix B): the explicit mappings of one subscriber, a page a
 * request. Nothing is kept between requests and nothing is changed: the client's locator says where a page begins, and mappings
 * have a total order (external address, protocol, external port), so that one which vanished leaves its place behind. */
#include <stdlib.h>
#include "get_codec.h"
#include "pcp_request.h"

#define NEXT_ROOM	(PCP_OPTION_HEADER_LEN + PCP_NEXT_LEN)

void pcp_get_decode(struct reader *body, struct pcp_request *request)
{
	request->get_payload = body->pos;
	(void)pcp_decode_get(body, &request->get);	/* the caller has seen to the length */
}

/* ---- which mappings, in which order ---- */

static int compare_number(unsigned a, unsigned b)
{
	return (a > b) - (a < b);
}

/* The total order. Addresses of one family, thus by their last four bytes. */
static int compare_external(const struct cgn_external *a, const struct cgn_external *b)
{
	int order = memcmp(a->addr4, b->addr4, sizeof(a->addr4));

	if (!order)
		order = compare_number(a->protocol, b->protocol);
	return order ? order : compare_number(a->port, b->port);
}

static int compare_listed(const void *a, const void *b)
{
	return compare_external(&((const struct cgn_listed *)a)->external, &((const struct cgn_listed *)b)->external);
}

static bool address_matches(const uint8_t wanted6[16], const uint8_t addr4[4])
{
	return pcp_address_is_any(wanted6) || (pcp_address_is_ipv4(wanted6) && !memcmp(wanted6 + 12, addr4, 4));
}

static bool filter_matches(const struct pcp_get *get, const struct cgn_listed *listed)
{
	return (!get->protocol || get->protocol == listed->internal.protocol) &&
	       (!get->internal_port || get->internal_port == listed->internal.port) &&
	       (!get->external_port || get->external_port == listed->external.port) &&
	       address_matches(get->internal6, listed->internal.addr4) && address_matches(get->external6, listed->external.addr4);
}

/* Matching ones come first, in order. Returns how many. */
static size_t select_matching(const struct pcp_get *get, struct cgn_listed *listed, size_t count)
{
	size_t kept = 0, i;

	for (i = 0; i < count; i++)
		if (filter_matches(get, &listed[i]))
			listed[kept++] = listed[i];
	qsort(listed, kept, sizeof(*listed), compare_listed);
	return kept;
}

/* The first at or behind the locator; the last of all if everything stands before it, so that a walk always meets its end. */
static size_t locate(const struct pcp_next *locator, const struct cgn_listed *listed, size_t count)
{
	struct cgn_external place = { .port = locator->external_port, .protocol = locator->protocol };
	size_t low = 0, high = count;

	if (pcp_next_is_undefined(locator))
		return 0;
	memcpy(place.addr4, locator->external6 + 12, sizeof(place.addr4));
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_external(&listed[middle].external, &place) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count ? low : count - 1;
}

/* ---- what is said of one ---- */

static bool nonces_are_shown(const struct pcp_policy *policy)
{
	return policy->get_policy.reveals_nonces || policy->nonce_policy == CGN_NONCE_OFF;
}

/* False: it ended since it was listed. */
static bool describe(const struct pcp_server *server, const struct cgn_listed *listed, uint32_t now_s, struct cgn_explicit *ret_details,
		     struct pcp_next *ret_next)
{
	struct pcp_next next = { .protocol = listed->internal.protocol, .internal_port = listed->internal.port,
		.external_port = listed->external.port };
	struct cgn_explicit details;

	if (!server->ops->details(server->dataplane, listed, &details))
		return false;
	if (details.expires_s != CGN_FOREVER && details.expires_s <= now_s)
		return false;
	if (nonces_are_shown(&server->policy))
		memcpy(next.nonce, details.nonce, sizeof(next.nonce));
	pcp_address_from_ipv4(listed->internal.addr4, next.internal6);
	pcp_address_from_ipv4(listed->external.addr4, next.external6);
	next.lifetime_s = details.expires_s == CGN_FOREVER ? CGN_FOREVER : details.expires_s - now_s;
	*ret_details = details;
	*ret_next = next;
	return true;
}

/* A set is shown as one, by its first port (RFC 7753). Turns another port of it into that one. False: the port before stands in the
 * listing too, and the set with it. */
static bool show_as_set(const struct cgn_listed *before, const struct cgn_explicit *details, struct cgn_listed *listed,
			struct pcp_next *next)
{
	uint16_t offset = (uint16_t)(listed->internal.port - details->set_first);

	if (details->set_size <= 1 || !offset || offset >= details->set_size)
		return true;
	if (before && !compare_number(before->internal.protocol, listed->internal.protocol) &&
	    !memcmp(before->external.addr4, listed->external.addr4, sizeof(listed->external.addr4)) &&
	    before->external.port + 1 == listed->external.port && before->internal.port + 1 == listed->internal.port)
		return false;
	listed->internal.port = next->internal_port = details->set_first;
	listed->external.port = next->external_port = (uint16_t)(next->external_port - offset);
	return true;
}

/* What options are made of: read when the first of them is asked for. */
struct attributes {
	const struct pcp_server *server;
	const struct cgn_listed *listed;
	const struct cgn_explicit *details;
	const struct pcp_next *next;
	bool has_read_filters;
	struct cgn_filters filters;
};

static bool encode_third_party(struct attributes *attributes, unsigned n, struct writer *w)
{
	if (n || !memcmp(attributes->details->client4, attributes->listed->internal.addr4, sizeof(attributes->details->client4)))
		return false;
	pcp_encode_third_party(w, attributes->next->internal6);
	return true;
}

static bool encode_description(struct attributes *attributes, unsigned n, struct writer *w)
{
	const struct pcp_server *server = attributes->server;
	struct cgn_description description;

	if (n || !server->ops->description(server->dataplane, attributes->listed, &description) || description.length > CGN_DESCRIPTION_MAX)
		return false;
	pcp_encode_description(w, (const char *)description.text, description.length);
	return true;
}

static bool encode_filter(struct attributes *attributes, unsigned n, struct writer *w)
{
	const struct pcp_server *server = attributes->server;
	const struct cgn_filter *filter = &attributes->filters.filter[n];
	struct pcp_filter encoded;

	if (!attributes->has_read_filters && !server->ops->filters(server->dataplane, attributes->listed, &attributes->filters))
		attributes->filters.count = 0;
	attributes->has_read_filters = true;
	if (n >= attributes->filters.count || n >= CGN_FILTERS_MAX)
		return false;
	encoded = (struct pcp_filter){ .prefix_length = filter->prefix_length, .remote_port = filter->remote_port };
	memcpy(encoded.remote6, filter->remote6, sizeof(encoded.remote6));
	pcp_encode_filter(w, &encoded);
	return true;
}

static bool encode_port_set(struct attributes *attributes, unsigned n, struct writer *w)
{
	const struct cgn_explicit *details = attributes->details;
	const struct pcp_port_set set = { .size = details->set_size, .first_internal_port = details->set_first };

	if (n || details->set_size <= 1)
		return false;
	pcp_encode_port_set(w, &set);
	return true;
}

static const struct { uint8_t code; bool (*encode)(struct attributes *attributes, unsigned n, struct writer *w); } embeddable[] = {
	{ PCP_OPTION_THIRD_PARTY, encode_third_party },
	{ PCP_OPTION_FILTER, encode_filter },
	{ PCP_OPTION_DESCRIPTION, encode_description },
	{ PCP_OPTION_PORT_SET, encode_port_set },
};

/* The n-th option of a code that the mapping has, as it would stand in a request for it. False: it has no such. */
static bool option_of(struct attributes *attributes, uint8_t code, unsigned n, struct writer *w)
{
	size_t i;

	for (i = 0; i < sizeof(embeddable) / sizeof(*embeddable); i++)
		if (embeddable[i].code == code)
			return embeddable[i].encode(attributes, n, w);
	return false;
}

#define EMBEDDED_MAX 64

struct embedded { uint8_t bytes[PCP_MESSAGE_MAX]; size_t start[EMBEDDED_MAX + 1]; unsigned count; };

static void embed_all(const struct pcp_request *request, struct attributes *attributes, struct embedded *all)
{
	const uint8_t *codes = request->next.options;
	struct writer w;
	unsigned i, n;

	writer_init(&w, all->bytes, sizeof(all->bytes));
	all->count = 0;
	all->start[0] = 0;
	for (i = 0; i < request->next.options_len; i++) {
		if (!codes[i] || memchr(codes, codes[i], i))
			continue;	/* padding; or said twice */
		for (n = 0; all->count < EMBEDDED_MAX && option_of(attributes, codes[i], n, &w) && !w.overflow; n++)
			all->start[++all->count] = writer_len(&w);
	}
}

static void drop_largest(struct embedded *all)
{
	unsigned largest = 0, i;
	size_t len;

	for (i = 1; i < all->count; i++)
		if (all->start[i + 1] - all->start[i] > all->start[largest + 1] - all->start[largest])
			largest = i;
	len = all->start[largest + 1] - all->start[largest];
	memmove(all->bytes + all->start[largest], all->bytes + all->start[largest + 1], all->start[all->count] - all->start[largest + 1]);
	for (i = largest + 1; i < all->count; i++)
		all->start[i] = all->start[i + 1] - len;
	all->count--;
}

/* What the client asked to see of a mapping, in at most `room` bytes. False: it does not fit, and `may_drop` does not allow to leave
 * the largest out. */
static bool embed(const struct pcp_request *request, struct attributes *attributes, size_t room, bool may_drop, struct pcp_page *page,
		  struct pcp_next *next)
{
	struct embedded all;

	embed_all(request, attributes, &all);
	while (may_drop && all.count && all.start[all.count] > room)
		drop_largest(&all);
	if (all.start[all.count] > room)
		return false;
	next->options = page->options + page->options_len;
	next->options_len = (uint16_t)all.start[all.count];
	memcpy(page->options + page->options_len, all.bytes, next->options_len);
	page->options_len += next->options_len;
	return true;
}

/* ---- the page ---- */

/* Fills `room` bytes with what is listed from `first` to `end`, with at most `most` mappings. One mapping more is looked for: whether there is one decides
 * between MORE and END. The locator is inclusive, so that a page of one would never advance: the first two always have room, if need
 * be without some of their options. */
static void fill_page(const struct pcp_server *server, const struct pcp_request *request, size_t first, size_t end, size_t most,
		      size_t room, struct pcp_page *page)
{
	size_t spare = most > 1 ? NEXT_ROOM : 0, i;	/* kept for the second */
	struct attributes attributes;
	struct cgn_explicit details;
	struct cgn_listed listed;
	bool has_more = false;
	struct pcp_next next;

	page->count = page->options_len = 0;
	for (i = first; i < end && !has_more; i++) {
		listed = server->listed[i];
		if (!describe(server, &listed, request->now_s, &details, &next) ||
		    !show_as_set(i ? &server->listed[i - 1] : NULL, &details, &listed, &next))
			continue;
		attributes = (struct attributes){ .server = server, .listed = &listed, .details = &details, .next = &next };
		has_more = page->count == most || room < NEXT_ROOM + spare ||
			   !embed(request, &attributes, room - NEXT_ROOM - spare, page->count < 2, page, &next);
		if (has_more)
			break;
		room -= NEXT_ROOM + next.options_len;
		spare = 0;
		page->next[page->count++] = next;
	}
	if (page->count && !has_more)
		page->next[page->count - 1].is_end = true;
}

static int page_fill(struct pcp_server *server, const struct pcp_request *request, size_t count, size_t room)
{
	size_t first = locate(&request->next, server->listed, count), most = request->next.is_end ? 1 : PCP_PAGE_MAX;
	struct pcp_page *page = &server->page;

	page->code = server->policy.get_policy.next;
	fill_page(server, request, first, count, most, room, page);
	/* What stood at and behind the locator has just ended: the greatest that is left marks the end. */
	while (!page->count && first--)
		fill_page(server, request, first, first + 1, most, room, page);
	return page->count ? 0 : CGN_ENOMAPPING;
}

/* Bytes that the response has for mappings, behind header, payload and the options that are echoed. */
static size_t page_room(const struct pcp_request *request)
{
	size_t fixed = PCP_HEADER_LEN + PCP_GET_LEN + pcp_options_echo_len(request);

	return fixed < PCP_MESSAGE_MAX ? PCP_MESSAGE_MAX - fixed : 0;
}

int pcp_get_decide(struct pcp_server *server, const struct pcp_request *request, struct pcp_answer *answer)
{
	struct cgn_subscriber_key subscriber = {};
	size_t room = page_room(request);
	int count;

	answer->get_payload = request->get_payload;
	answer->page = NULL;
	if (!request->get.protocol && (request->get.internal_port || request->get.external_port))
		return CGN_EMALFORMED;
	if (request->has_next && room < 2 * NEXT_ROOM)
		return CGN_EMALFORMED;	/* the answer would be too large, and a walk would stand still */
	if (!pcp_address_is_ipv4(request->internal6))
		return CGN_ENOMAPPING;
	memcpy(subscriber.addr4, request->internal6 + 12, sizeof(subscriber.addr4));
	if (!server->listed)	/* touched as far as a subscriber needs */
		server->listed = calloc(PCP_LISTED_MAX, sizeof(*server->listed));
	if (!server->listed)
		return CGN_ENORESOURCES;
	count = server->ops->list(server->dataplane, &subscriber, server->listed, PCP_LISTED_MAX);
	if (count < 0)
		return count;
	count = (int)select_matching(&request->get, server->listed, (size_t)count);
	if (!count)
		return CGN_ENOMAPPING;
	if (!request->has_next)
		return 0;
	answer->page = &server->page;
	return page_fill(server, request, (size_t)count, room);
}

void pcp_get_encode(struct writer *w, const struct pcp_answer *answer)
{
	size_t i;

	writer_bytes(w, answer->get_payload, PCP_GET_LEN);
	for (i = 0; answer->page && i < answer->page->count; i++)
		pcp_encode_next(w, answer->page->code, &answer->page->next[i]);
}
