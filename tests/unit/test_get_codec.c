/* SPDX-License-Identifier: GPL-2.0-only */
/* GET and NEXT against bytes written by hand from the figures of draft-boucadair-pcp-failure-06 appendix B, both ways, cut short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "error.h"
#include "get_codec.h"

#define HOST4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 1
#define EXTERNAL4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1
#define ANY4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0
#define NONCE 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab

/* A filter for 198.51.100.1:8080/tcp at 192.0.2.1:15000. */
static const uint8_t filter[40] = { 6, 0, 0, 0, HOST4, EXTERNAL4, 0x1f, 0x90, 0x3a, 0x98 };
/* Undefined locator, MORE, FILTER and DESCRIPTION wanted: 58 bytes and two of padding. */
static const uint8_t request_next[64] = { 0x83, 0, 0x00, 0x3a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ANY4, ANY4, 0, 0, 0, 0,
					  0, 0, 0, 0, 3, 128, 0, 0 };
/* UDP 198.51.100.1:5060 = 192.0.2.1:15659 for 1659 s, END. */
static const uint8_t response_next[60] = { 0x83, 0, 0x00, 0x38, NONCE, 0x11, 0, 0, 1, HOST4, EXTERNAL4, 0x00, 0x00, 0x06, 0x7b,
					   0x13, 0xc4, 0x3d, 0x2b };

static void test_get(void **state)
{
	struct pcp_get get;
	struct reader r;
	struct writer w;
	uint8_t bytes[40];
	size_t len;

	(void)state;
	reader_init(&r, filter, sizeof(filter));
	assert_int_equal(pcp_decode_get(&r, &get), 0);
	assert_int_equal(reader_left(&r), 0);
	assert_int_equal(get.protocol, 6);
	assert_memory_equal(get.internal6, ((uint8_t[]){ HOST4 }), 16);
	assert_memory_equal(get.external6, ((uint8_t[]){ EXTERNAL4 }), 16);
	assert_int_equal(get.internal_port, 8080);
	assert_int_equal(get.external_port, 15000);
	memset(bytes, 0xee, sizeof(bytes));
	writer_init(&w, bytes, sizeof(bytes));
	pcp_encode_get(&w, &get);
	assert_int_equal(writer_len(&w), sizeof(filter));
	assert_memory_equal(bytes, filter, sizeof(filter));
	for (len = 0; len < sizeof(filter); len++) {
		reader_init(&r, filter, len);
		assert_int_equal(pcp_decode_get(&r, &get), CGN_ESHORT);
	}
}

static void next_decode(const uint8_t *bytes, size_t len, struct pcp_next *ret_next)
{
	struct pcp_option option;
	struct reader r;

	reader_init(&r, bytes, len);
	assert_int_equal(pcp_decode_option(&r, &option), 1);
	assert_int_equal(option.code, PCP_OPTION_NEXT);
	assert_int_equal(reader_left(&r), 0);
	assert_int_equal(pcp_decode_next(&option, ret_next), 0);
}

static void test_next_request(void **state)
{
	struct pcp_next next;
	struct writer w;
	uint8_t bytes[64];

	(void)state;
	next_decode(request_next, sizeof(request_next), &next);
	assert_true(pcp_next_is_undefined(&next));
	assert_false(next.is_end);
	assert_int_equal(next.options_len, 2);
	assert_memory_equal(next.options, ((uint8_t[]){ 3, 128 }), 2);
	memset(bytes, 0xee, sizeof(bytes));
	writer_init(&w, bytes, sizeof(bytes));
	pcp_encode_next(&w, 131, &next);
	assert_int_equal(writer_len(&w), sizeof(request_next));
	assert_memory_equal(bytes, request_next, sizeof(request_next));
}

static void test_next_response(void **state)
{
	struct pcp_next next;
	struct writer w;
	uint8_t bytes[60];

	(void)state;
	next_decode(response_next, sizeof(response_next), &next);
	assert_false(pcp_next_is_undefined(&next));
	assert_true(next.is_end);
	assert_int_equal(next.protocol, 17);
	assert_memory_equal(next.nonce, ((uint8_t[]){ NONCE }), 12);
	assert_memory_equal(next.internal6, ((uint8_t[]){ HOST4 }), 16);
	assert_memory_equal(next.external6, ((uint8_t[]){ EXTERNAL4 }), 16);
	assert_int_equal(next.lifetime_s, 1659);
	assert_int_equal(next.internal_port, 5060);
	assert_int_equal(next.external_port, 15659);
	assert_int_equal(next.options_len, 0);
	memset(bytes, 0xee, sizeof(bytes));
	writer_init(&w, bytes, sizeof(bytes));
	pcp_encode_next(&w, 131, &next);
	assert_int_equal(writer_len(&w), sizeof(response_next));
	assert_memory_equal(bytes, response_next, sizeof(response_next));
}

/* Any non-zero byte is END; the fixed part is needed whole, in octets. */
static void test_next_limits(void **state)
{
	uint8_t bytes[60];
	struct pcp_option option = { .code = 131, .data = bytes + 4 };
	struct pcp_next next;

	(void)state;
	memcpy(bytes, response_next, sizeof(bytes));
	bytes[4 + 15] = 0x80;
	for (option.length = 0; option.length < 56; option.length++)
		assert_int_equal(pcp_decode_next(&option, &next), CGN_EBADOPTION);
	assert_int_equal(pcp_decode_next(&option, &next), 0);
	assert_true(next.is_end);
}

/* B.3: all five fields count, the nonce, the lifetime and the mark do not. */
static void test_equality(void **state)
{
	struct pcp_next one, other;

	(void)state;
	next_decode(response_next, sizeof(response_next), &one);
	other = one;
	other.nonce[0] ^= 1;
	other.lifetime_s = 1;
	other.is_end = false;
	assert_true(pcp_next_is_same(&one, &other));
	for (int field = 0; field < 5; field++) {
		other = one;
		other.protocol ^= field == 0;
		other.internal_port ^= field == 1;
		other.external_port ^= field == 2;
		other.internal6[15] ^= field == 3;
		other.external6[0] ^= field == 4;
		assert_false(pcp_next_is_same(&one, &other));
	}
}

/* Undefined: all five unspecified, addresses in either form. A mapping of all protocols or ports is not. */
static void test_undefined(void **state)
{
	struct pcp_next next = { 0 };

	(void)state;
	assert_true(pcp_next_is_undefined(&next));
	next.nonce[3] = 9;
	next.lifetime_s = 7;
	assert_true(pcp_next_is_undefined(&next));
	memcpy(next.internal6, ((uint8_t[]){ HOST4 }), 16);
	assert_false(pcp_next_is_undefined(&next));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_next_request),
		cmocka_unit_test(test_next_response),
		cmocka_unit_test(test_next_limits),
		cmocka_unit_test(test_equality),
		cmocka_unit_test(test_undefined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
