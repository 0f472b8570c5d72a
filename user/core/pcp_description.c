/* SPDX-License-Identifier: GPL-2.0-only */
/* The DESCRIPTION option (RFC 7220): UTF-8 as RFC 3629 has it. */
#include "pcp_request.h"

/* The length of the character at its start, 0 if there is no valid one: no overlong forms, no surrogates, nothing beyond U+10FFFF,
 * and no NUL, which would end the text for others. */
static size_t character_len(const uint8_t *text, size_t len)
{
	uint8_t first = text[0], low = 0x80, high = 0xbf;
	size_t size, i;

	if (first < 0x80)
		return first ? 1 : 0;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (first == 0xe0)
		low = 0xa0;
	if (first == 0xed)
		high = 0x9f;
	if (first == 0xf0)
		low = 0x90;
	if (first == 0xf4)
		high = 0x8f;
	if (size > len || text[1] < low || text[1] > high)
		return 0;
	for (i = 2; i < size; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return size;
}

bool pcp_description_decode(const struct pcp_option *option, uint16_t length_max, struct pcp_request *request)
{
	size_t at = 0, kept = 0, size;

	while (at < option->length) {
		size = character_len(option->data + at, option->length - at);
		if (!size)
			return false;
		at += size;
		if (at <= length_max)
			kept = at;
	}
	request->description = option->data;
	request->description_len = (uint16_t)kept;
	return true;
}

/* Not stored is not echoed, and no failure: the option is optional. */
void pcp_description_store(const struct pcp_server *server, const struct pcp_request *request, const struct cgn_explicit_key *key,
			   struct pcp_answer *answer)
{
	struct cgn_describe_request describe = { .key = *key, .remote_port = request->remote_port };

	if (!request->description)
		return;
	memcpy(describe.remote6, request->remote6, sizeof(describe.remote6));
	describe.description.length = request->description_len;
	memcpy(describe.description.text, request->description, request->description_len);
	answer->is_described = !server->ops->describe(server->dataplane, &describe) && describe.status == CGN_OK;
}
