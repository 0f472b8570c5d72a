/* SPDX-License-Identifier: GPL-2.0-only */
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include "get_walk.h"

#define CIRCLES_MAX 8		/* ways through known mappings only, in a row: each may be a locator that went away */
#define RESTARTS_MAX 8		/* a server that loses its state more often than this is not worth listing */

struct seen {
	struct pcp_next next;	/* first: the tree compares by it; its options are a copy */
	size_t located_at;	/* how many mappings were known when this one was last the locator */
};

struct get_walk {
	struct pcp_client_request first, request;
	uint8_t result_nonexist;
	void *tree;		/* of struct seen, by key */
	struct seen **list;	/* the same in the order of their coming; owns them */
	size_t count, size;
	struct seen *locator;	/* NULL: undefined */
	unsigned pages, restarts, circles;
	bool doubts;		/* the page before was not believed */
};

struct page {			/* what a reply says, before it is believed */
	struct pcp_next last;
	unsigned count;
	bool has_locator, has_news, is_broken;
};

static int compare(const void *one, const void *other)
{
	const struct pcp_next *a = one, *b = other;
	int order = memcmp(a->internal6, b->internal6, sizeof(a->internal6));

	if (!order)
		order = memcmp(a->external6, b->external6, sizeof(a->external6));
	if (!order)
		order = a->protocol - b->protocol;
	if (!order)
		order = a->internal_port - b->internal_port;
	return order ? order : a->external_port - b->external_port;
}

/* ---- what was seen ---- */

static void no_action(void *node)
{
	(void)node;
}

static void forget(struct get_walk *walk)
{
	tdestroy(walk->tree, no_action);
	walk->tree = NULL;
	for (size_t i = 0; i < walk->count; i++) {
		free((void *)walk->list[i]->next.options);
		free(walk->list[i]);
	}
	walk->count = 0;
	walk->locator = NULL;
}

static struct seen *find(struct get_walk *walk, const struct pcp_next *next)
{
	struct seen *const *found = tfind(next, &walk->tree, compare);

	return found ? *found : NULL;
}

static bool list_grow(struct get_walk *walk)
{
	size_t size = walk->size ? walk->size * 2 : 64;
	struct seen **grown;

	if (walk->count < walk->size)
		return true;
	grown = realloc(walk->list, size * sizeof(*grown));
	if (!grown)
		return false;
	walk->list = grown;
	walk->size = size;
	return true;
}

static bool remember(struct get_walk *walk, const struct pcp_next *next)
{
	struct seen *seen = calloc(1, sizeof(*seen));
	uint8_t *options = malloc(next->options_len ? next->options_len : 1);

	if (!seen || !options || !list_grow(walk)) {
		free(seen);
		free(options);
		return false;
	}
	seen->next = *next;
	if (next->options_len)
		memcpy(options, next->options, next->options_len);
	seen->next.options = options;
	if (!tsearch(seen, &walk->tree, compare)) {
		free(seen);
		free(options);
		return false;
	}
	walk->list[walk->count++] = seen;
	return true;
}

/* ---- a page ---- */

static void page_note(struct get_walk *walk, struct page *page)
{
	page->has_locator |= walk->locator && pcp_next_is_same(&page->last, &walk->locator->next);
	page->has_news |= !find(walk, &page->last);
	page->count++;
}

static struct page page_read(struct get_walk *walk, struct reader options)
{
	struct page page = { 0 };
	struct pcp_option option;
	int more;

	while ((more = pcp_decode_option(&options, &option)) == 1) {
		if (option.code != walk->first.next_code)
			continue;
		if (pcp_decode_next(&option, &page.last)) {
			page.is_broken = true;
			return page;
		}
		page_note(walk, &page);
	}
	page.is_broken = more < 0 || !page.count;
	return page;
}

static bool page_collect(struct get_walk *walk, struct reader options)
{
	struct pcp_option option;
	struct pcp_next next;

	while (pcp_decode_option(&options, &option) == 1) {
		if (option.code != walk->first.next_code || pcp_decode_next(&option, &next))
			continue;
		if (!find(walk, &next) && !remember(walk, &next))
			return false;
	}
	return true;
}

/* The locator is the last mapping seen, with what a request does not say put back (B.5). */
static enum get_walk_step locate(struct get_walk *walk, const struct pcp_next *last)
{
	struct seen *locator = find(walk, last);

	if (!locator || walk->count >= GET_WALK_MAPPINGS_MAX)
		return GET_WALK_BROKEN;
	/* the same question was asked with the same knowledge before */
	if (locator->located_at == walk->count && ++walk->circles > CIRCLES_MAX)
		return GET_WALK_BROKEN;
	locator->located_at = walk->count;
	walk->locator = locator;
	walk->request.next = locator->next;
	walk->request.next.lifetime_s = 0;
	walk->request.next.is_end = walk->first.next.is_end;
	walk->request.next.options = walk->first.next.options;
	walk->request.next.options_len = walk->first.next.options_len;
	return GET_WALK_ASK;
}

/* Neither the locator nor anything new: an answer to an earlier request, or a server that starts over because the locator went away.
 * The latter says the same when it is asked again. */
static bool is_doubtful(struct get_walk *walk, const struct page *page)
{
	walk->doubts = !walk->doubts && walk->locator && !page->has_locator && !page->has_news && !page->last.is_end;
	return walk->doubts;
}

static enum get_walk_step page_take(struct get_walk *walk, const struct pcp_client_reply *reply)
{
	struct page page = page_read(walk, reply->options);

	if (page.is_broken)
		return GET_WALK_BROKEN;
	if (is_doubtful(walk, &page))
		return GET_WALK_ASK_ANEW;
	walk->pages++;
	if (page.has_news)
		walk->circles = 0;
	if (!page_collect(walk, reply->options))
		return GET_WALK_NO_MEMORY;
	return page.last.is_end ? GET_WALK_DONE : locate(walk, &page.last);
}

static void begin(struct get_walk *walk)
{
	forget(walk);
	walk->request = walk->first;
	walk->pages = 0;
	walk->circles = 0;
	walk->doubts = false;
}

enum get_walk_step get_walk_step(struct get_walk *walk, const struct pcp_client_reply *reply)
{
	if (!reply->epoch_is_valid && walk->locator) {
		begin(walk);
		return ++walk->restarts > RESTARTS_MAX ? GET_WALK_BROKEN : GET_WALK_ASK_ANEW;
	}
	if (reply->result == walk->result_nonexist)
		return GET_WALK_DONE;
	return reply->result == PCP_SUCCESS ? page_take(walk, reply) : GET_WALK_REFUSED;
}

/* ---- life ---- */

struct get_walk *get_walk_new(const struct pcp_client_request *first, uint8_t result_nonexist)
{
	struct get_walk *walk = calloc(1, sizeof(*walk));

	if (!walk)
		return NULL;
	walk->first = *first;
	walk->result_nonexist = result_nonexist;
	begin(walk);
	return walk;
}

void get_walk_free(struct get_walk *walk)
{
	if (!walk)
		return;
	forget(walk);
	free(walk->list);
	free(walk);
}

const struct pcp_client_request *get_walk_request(const struct get_walk *walk)
{
	return &walk->request;
}

size_t get_walk_count(const struct get_walk *walk)
{
	return walk->count;
}

const struct pcp_next *get_walk_mapping(const struct get_walk *walk, size_t index)
{
	return &walk->list[index]->next;
}

unsigned get_walk_pages(const struct get_walk *walk)
{
	return walk->pages;
}

unsigned get_walk_restarts(const struct get_walk *walk)
{
	return walk->restarts;
}
