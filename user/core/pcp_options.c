/* SPDX-License-Identifier: GPL-2.0-only */
/* The options of a request (RFC 6887 sections 7.3 and 13): one row and one function each. */
#include "pcp_request.h"

#define OPTION_IGNORED 1	/* of the optional ones: not processed, thus not echoed */

struct option_rule {
	uint8_t code;
	uint16_t length_min, length_max;	/* of data */
	unsigned count_max;	/* in one request */
	unsigned accepted;	/* bit in pcp_operation.options */
	/* 0, an error, or OPTION_IGNORED */
	int (*process)(const struct pcp_server *server, struct pcp_request *request, const struct pcp_option *option);
};

static bool prefix_contains(const struct pcp_prefix *prefix, const uint8_t address6[16])
{
	unsigned bytes = prefix->length / 8, bits = prefix->length % 8;

	if (memcmp(prefix->address6, address6, bytes))
		return false;
	return !bits || !((prefix->address6[bytes] ^ address6[bytes]) >> (8 - bits));
}

/* Section 13.1. Its own address is an error of its own, for whoever names it. */
static int third_party_process(const struct pcp_server *server, struct pcp_request *request, const struct pcp_option *option)
{
	const uint8_t *source6 = request->datagram->source6;
	unsigned i;

	if (!memcmp(option->data, source6, 16))
		return CGN_EMALFORMED;
	for (i = 0; i < server->policy.third_party_count; i++) {
		const struct pcp_third_party *permission = &server->policy.third_party[i];

		if (!prefix_contains(&permission->from, source6) || !prefix_contains(&permission->target, option->data))
			continue;
		memcpy(request->internal6, option->data, sizeof(request->internal6));
		return 0;
	}
	return CGN_EOPTION;
}

/* RFC 7767 section 3.2. Everything is stored if anything is: the option asks for no more, and its absence for no less. */
static int checkpoint_process(const struct pcp_server *server, struct pcp_request *request, const struct pcp_option *option)
{
	(void)option;
	return server->policy.is_durable && request->header.lifetime_s ? 0 : OPTION_IGNORED;
}

/* RFC 7220 section 3. There is nothing to describe in a deletion. */
static int description_process(const struct pcp_server *server, struct pcp_request *request, const struct pcp_option *option)
{
	uint16_t length_max = server->policy.description_max < CGN_DESCRIPTION_MAX ? server->policy.description_max : CGN_DESCRIPTION_MAX;

	if (!length_max || !request->header.lifetime_s || !pcp_description_decode(option, length_max, request))
		return OPTION_IGNORED;
	return 0;
}

/* Section 13.2. Without a port there is nothing to prefer, and a deletion assigns nothing (section 11.3). */
static int prefer_failure_process(const struct pcp_server *server, struct pcp_request *request, const struct pcp_option *option)
{
	(void)server;
	(void)option;
	if (request->operation->opcode == PCP_PEER)
		return CGN_EMALFORMED;	/* section 12.1: it has a result of its own there */
	if (!request->header.lifetime_s || !request->map.external_port || request->has_port_set)
		return CGN_EBADOPTION;
	request->prefers_failure = true;
	return 0;
}

/* An IPv4 host has IPv4 remote peers (section 10); 0 is "remove all", for both families. */
static bool filter_is_valid(const struct pcp_filter *filter)
{
	return !filter->prefix_length ||
	       (filter->prefix_length >= 96 && filter->prefix_length <= 128 && pcp_address_is_ipv4(filter->remote6));
}

/* What the data plane compares: bits beyond the prefix are zero, so that equal filters are equal bytes. */
static struct cgn_filter filter_of(const struct pcp_filter *filter)
{
	struct cgn_filter made = { .remote_port = filter->remote_port, .prefix_length = filter->prefix_length };
	unsigned bits = filter->prefix_length, i;

	for (i = 0; i < sizeof(made.remote6); i++, bits -= bits < 8 ? bits : 8)
		made.remote6[i] = (uint8_t)(filter->remote6[i] & (bits >= 8 ? 0xffu : 0xff00u >> bits));
	return made;
}

/* Section 13.3, in the order of the request: each adds to what the mapping has, unless one of prefix length 0 removes that. */
static int filter_process(const struct pcp_server *server, struct pcp_request *request, const struct pcp_option *option)
{
	struct pcp_filter filter;
	struct cgn_filter of;
	unsigned i;

	if (!request->header.lifetime_s || pcp_decode_filter(option, &filter) || !filter_is_valid(&filter))
		return CGN_EBADOPTION;
	if (!filter.prefix_length) {
		request->clears_filters = true;
		request->filter_count = 0;
		return 0;
	}
	of = filter_of(&filter);
	for (i = 0; i < request->filter_count; i++)
		if (!memcmp(&request->filters[i], &of, sizeof(of)))
			return 0;
	if (request->filter_count >= server->policy.filters || request->filter_count >= CGN_FILTERS_MAX)
		return CGN_EPEERS;
	request->filters[request->filter_count++] = of;
	return 0;
}

/* RFC 7753 section 4.2. A set of one is no set: the option is as good as absent. */
static int port_set_process(const struct pcp_server *server, struct pcp_request *request, const struct pcp_option *option)
{
	struct pcp_port_set set;

	(void)server;
	if (pcp_decode_port_set(option, &set))
		return OPTION_IGNORED;	/* never: the length is right */
	if (request->header.lifetime_s && (!set.size || request->prefers_failure))
		return CGN_EBADOPTION;
	request->has_port_set = true;
	request->keeps_parity = set.keeps_parity;
	request->set_size = set.size > 1 ? set.size : 0;
	return set.size > 1 ? 0 : OPTION_IGNORED;
}

/* Which mappings of the page to say, and where it begins. Answered by the page itself, never echoed. It is of the optional half, but
 * a walk that ignored its locator would not end: a wrong one is an error. */
static int next_process(const struct pcp_server *server, struct pcp_request *request, const struct pcp_option *option)
{
	(void)server;
	if (pcp_decode_next(option, &request->next))
		return CGN_EBADOPTION;
	request->has_next = true;
	return OPTION_IGNORED;
}

/* Without a row, and thus refused as mandatory and unknown: THIRD_PARTY_ID. Internal addresses do not overlap here, so that no
 * identifier is needed to tell them apart (RFC 7843 section 5.2). */
static const struct option_rule rules[] = {
	{ PCP_OPTION_THIRD_PARTY,	16, 16,		1,	PCP_ACCEPTS_THIRD_PARTY,	third_party_process },
	{ PCP_OPTION_PREFER_FAILURE,	0, 0,		1,	PCP_ACCEPTS_PREFER_FAILURE,	prefer_failure_process },
	{ PCP_OPTION_FILTER,		20, 20,		-1u,	PCP_ACCEPTS_FILTER,		filter_process },
	{ PCP_OPTION_PORT_SET,		5, 5,		1,	PCP_ACCEPTS_PORT_SET,		port_set_process },
	{ PCP_OPTION_DESCRIPTION,	0, UINT16_MAX,	1,	PCP_ACCEPTS_DESCRIPTION,	description_process },
	{ PCP_OPTION_CHECKPOINT_REQUIRED, 0, 0,		1,	PCP_ACCEPTS_CHECKPOINT,		checkpoint_process },
	{ PCP_OPTION_NEXT,		0, UINT16_MAX,	1,	PCP_ACCEPTS_NEXT,		next_process },
};

#define RULE_COUNT (sizeof(rules) / sizeof(rules[0]))

/* NEXT has the number that the configuration gives it. */
static const struct option_rule *rule_find(const struct pcp_request *request, uint8_t code)
{
	uint8_t next = request->get_next;

	if (next && code == next)
		code = PCP_OPTION_NEXT;
	else if (code == PCP_OPTION_NEXT)
		return NULL;
	for (size_t i = 0; i < RULE_COUNT; i++)
		if (rules[i].code == code)
			return &rules[i];
	return NULL;
}

static int option_process(const struct pcp_server *server, struct pcp_request *request, const struct pcp_option *option,
			  unsigned counts[RULE_COUNT])
{
	const struct option_rule *rule = rule_find(request, option->code);
	bool is_optional = option->code & PCP_OPTION_OPTIONAL;
	int error;

	if (!rule)
		return is_optional ? 0 : CGN_EOPTION;
	if (!(request->operation->options & rule->accepted))
		return is_optional ? 0 : CGN_EBADOPTION;
	if (++counts[rule - rules] > rule->count_max)
		return CGN_EBADOPTION;
	if (option->length < rule->length_min || option->length > rule->length_max)
		return is_optional ? 0 : CGN_EBADOPTION;
	error = rule->process(server, request, option);
	if (!error)
		request->processed |= 1u << (rule - rules);
	return error == OPTION_IGNORED ? 0 : error;
}

int pcp_options_process(const struct pcp_server *server, struct pcp_request *request)
{
	struct reader structure = request->options, walk = request->options;
	unsigned counts[RULE_COUNT] = { 0 };
	struct pcp_option option;
	int more, error;

	/* a broken structure is told before anything about a single option */
	while ((more = pcp_decode_option(&structure, &option)) == 1)
		;
	if (more)
		return more;
	while (pcp_decode_option(&walk, &option) == 1) {
		error = option_process(server, request, &option, counts);
		if (error)
			return error;
	}
	return 0;
}

/* The set that was mapped, and none of one port (RFC 7753 section 4.2). */
static void port_set_echo(const struct pcp_request *request, const struct pcp_answer *answer, struct writer *w)
{
	struct pcp_port_set set = { .size = answer->set_size, .first_internal_port = answer->set_first, .keeps_parity = request->keeps_parity };

	if (answer->set_size > 1)
		pcp_encode_port_set(w, &set);
}

/* The description as it was stored, the set as it was mapped, everything else as it came. */
static void option_echo(const struct pcp_request *request, const struct pcp_answer *answer, const struct pcp_option *option, struct writer *w)
{
	if (option->code == PCP_OPTION_PORT_SET && request->header.lifetime_s)
		port_set_echo(request, answer, w);
	else if (option->code != PCP_OPTION_DESCRIPTION)
		pcp_encode_option(w, option->code, option->data, option->length);
	else if (answer->is_described)
		pcp_encode_option(w, option->code, request->description, request->description_len);
}

void pcp_options_echo(const struct pcp_request *request, const struct pcp_answer *answer, struct writer *w)
{
	struct reader walk = request->options;
	const struct option_rule *rule;
	struct pcp_option option;

	while (pcp_decode_option(&walk, &option) == 1) {
		rule = rule_find(request, option.code);
		if (rule && request->processed & 1u << (rule - rules))
			option_echo(request, answer, &option, w);
	}
}

size_t pcp_options_echo_len(const struct pcp_request *request)
{
	uint8_t bytes[PCP_MESSAGE_MAX];
	struct writer w;

	writer_init(&w, bytes, sizeof(bytes));
	pcp_options_echo(request, &(struct pcp_answer){ .is_described = true }, &w);
	return writer_len(&w);
}
