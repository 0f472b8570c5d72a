/* SPDX-License-Identifier: GPL-2.0-only */
/* The options of a request (RFC 6887 sections 7.3 and 13): one row and one function each. */
#include "pcp_request.h"

struct option_rule {
	uint8_t code;
	uint16_t length;	/* of data, the only one allowed */
	unsigned count_max;	/* in one request */
	unsigned accepted;	/* bit in pcp_operation.options */
	int (*process)(struct pcp_request *request, const struct pcp_option *option);
};

/* Section 13.1. No client is entrusted with other hosts' mappings; its own address is an error of its own. */
static int third_party_process(struct pcp_request *request, const struct pcp_option *option)
{
	if (!memcmp(option->data, request->datagram->source6, sizeof(request->datagram->source6)))
		return CGN_EMALFORMED;
	return CGN_EOPTION;
}

/* Section 13.2. Without a port there is nothing to prefer, and a deletion assigns nothing (section 11.3). */
static int prefer_failure_process(struct pcp_request *request, const struct pcp_option *option)
{
	(void)option;
	if (!request->header.lifetime_s || !request->map.external_port)
		return CGN_EBADOPTION;
	request->prefers_failure = true;
	return 0;
}

static bool filter_is_valid(const struct pcp_filter *filter)
{
	if (!filter->prefix_length)
		return true;	/* "remove all", for both families */
	if (filter->prefix_length > 128)
		return false;
	return filter->prefix_length >= 96 || !pcp_address_is_ipv4(filter->remote6);
}

/* Section 13.3. The data plane does not filter by remote peer: a filter is refused rather than promised and not kept. */
static int filter_process(struct pcp_request *request, const struct pcp_option *option)
{
	struct pcp_filter filter;

	if (!request->header.lifetime_s || pcp_decode_filter(option, &filter) || !filter_is_valid(&filter))
		return CGN_EBADOPTION;
	return CGN_EOPTION;
}

static const struct option_rule rules[] = {
	{ PCP_OPTION_THIRD_PARTY,	16,	1,	PCP_ACCEPTS_THIRD_PARTY,	third_party_process },
	{ PCP_OPTION_PREFER_FAILURE,	0,	1,	PCP_ACCEPTS_PREFER_FAILURE,	prefer_failure_process },
	{ PCP_OPTION_FILTER,		20,	-1u,	PCP_ACCEPTS_FILTER,		filter_process },
};

#define RULE_COUNT (sizeof(rules) / sizeof(rules[0]))

static const struct option_rule *rule_find(uint8_t code)
{
	for (size_t i = 0; i < RULE_COUNT; i++)
		if (rules[i].code == code)
			return &rules[i];
	return NULL;
}

static int option_process(struct pcp_request *request, const struct pcp_option *option, unsigned counts[RULE_COUNT])
{
	const struct option_rule *rule = rule_find(option->code);
	bool is_optional = option->code & PCP_OPTION_OPTIONAL;

	if (!rule)
		return is_optional ? 0 : CGN_EOPTION;
	if (!(request->operation->options & rule->accepted))
		return is_optional ? 0 : CGN_EBADOPTION;
	if (++counts[rule - rules] > rule->count_max || option->length != rule->length)
		return CGN_EBADOPTION;
	return rule->process(request, option);
}

int pcp_options_process(struct pcp_request *request)
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
		error = option_process(request, &option, counts);
		if (error)
			return error;
	}
	return 0;
}

void pcp_options_echo(const struct pcp_request *request, struct writer *w)
{
	struct reader walk = request->options;
	const struct option_rule *rule;
	struct pcp_option option;

	while (pcp_decode_option(&walk, &option) == 1) {
		rule = rule_find(option.code);
		if (rule && request->operation->options & rule->accepted)
			pcp_encode_option(w, option.code, option.data, option.length);
	}
}
