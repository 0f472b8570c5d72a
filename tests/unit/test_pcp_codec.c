/* SPDX-License-Identifier: GPL-2.0-only */
/* Every message of the codec against bytes written by hand from the figures of RFC 6887, both ways, cut at every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "error.h"
#include "pcp_codec.h"

#define CLIENT4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 2
#define EXTERNAL4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1
#define REMOTE4 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9
#define NONCE 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab

static const uint8_t client4[16] = { CLIENT4 }, external4[16] = { EXTERNAL4 }, remote4[16] = { REMOTE4 };
static const uint8_t nonce[12] = { NONCE };

/* Section 7.1, figure 2. */
static const uint8_t request_header[24] = { 2, 0x01, 0, 0, 0x00, 0x00, 0x0e, 0x10, CLIENT4 };
/* Section 7.2, figure 3. */
static const uint8_t response_header[24] = { 2, 0x81, 0, 11, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0 };
/* Section 11.1, figure 9. */
static const uint8_t map_body[36] = { NONCE, 6, 0, 0, 0, 0x30, 0x42, 0x7f, 0x8e, EXTERNAL4 };
/* Section 12.1, figure 11. */
static const uint8_t peer_body[56] = { NONCE, 17, 0, 0, 0, 0x13, 0x88, 0xff, 0xff, EXTERNAL4, 0x0d, 0x96, 0, 0, REMOTE4 };
/* Section 13.3, figure 15. */
static const uint8_t filter_option[24] = { 3, 0, 0, 20, 0, 120, 0x01, 0xbb, REMOTE4 };

static void test_request_header(void **state)
{
	struct pcp_request_header header;
	struct reader r;
	struct writer w;
	uint8_t bytes[24];

	(void)state;
	reader_init(&r, request_header, sizeof(request_header));
	assert_int_equal(pcp_decode_request_header(&r, &header), 0);
	assert_int_equal(reader_left(&r), 0);
	assert_int_equal(header.version, 2);
	assert_int_equal(header.opcode, PCP_MAP);
	assert_false(header.is_response);
	assert_int_equal(header.lifetime_s, 3600);
	assert_memory_equal(header.client6, client4, 16);

	writer_init(&w, bytes, sizeof(bytes));
	pcp_encode_request_header(&w, &header);
	assert_false(w.overflow);
	assert_memory_equal(bytes, request_header, sizeof(bytes));
}

/* Section 7.1: reserved bits are ignored when received, whatever they are; the R bit is no part of the opcode. */
static void test_request_header_reserved_and_response_bit(void **state)
{
	uint8_t bytes[24];
	struct pcp_request_header header;
	struct reader r;

	(void)state;
	memcpy(bytes, request_header, sizeof(bytes));
	bytes[1] = 0xff;
	bytes[2] = 0xde;
	bytes[3] = 0xad;
	reader_init(&r, bytes, sizeof(bytes));
	assert_int_equal(pcp_decode_request_header(&r, &header), 0);
	assert_int_equal(header.opcode, 0x7f);
	assert_true(header.is_response);
	assert_int_equal(header.lifetime_s, 3600);
}

static void test_response_header(void **state)
{
	struct pcp_response_header header;
	struct reader r;
	struct writer w;
	uint8_t bytes[24];

	(void)state;
	reader_init(&r, response_header, sizeof(response_header));
	assert_int_equal(pcp_decode_response_header(&r, &header), 0);
	assert_int_equal(header.version, 2);
	assert_true(header.is_response);
	assert_int_equal(header.opcode, PCP_MAP);
	assert_int_equal(header.result, PCP_CANNOT_PROVIDE_EXTERNAL);
	assert_int_equal(header.lifetime_s, 0x12345678);
	assert_int_equal(header.epoch_s, 0x9abcdef0);

	memset(bytes, 0xee, sizeof(bytes));	/* what the encoder must zero */
	writer_init(&w, bytes, sizeof(bytes));
	pcp_encode_response_header(&w, &header);
	assert_memory_equal(bytes, response_header, sizeof(bytes));
}

static void test_map(void **state)
{
	struct pcp_map map;
	struct reader r;
	struct writer w;
	uint8_t bytes[36];

	(void)state;
	reader_init(&r, map_body, sizeof(map_body));
	assert_int_equal(pcp_decode_map(&r, &map), 0);
	assert_memory_equal(map.nonce, nonce, 12);
	assert_int_equal(map.protocol, 6);
	assert_int_equal(map.internal_port, 12354);
	assert_int_equal(map.external_port, 32654);
	assert_memory_equal(map.external6, external4, 16);

	memset(bytes, 0xee, sizeof(bytes));
	writer_init(&w, bytes, sizeof(bytes));
	pcp_encode_map(&w, &map);
	assert_memory_equal(bytes, map_body, sizeof(bytes));
}

static void test_peer(void **state)
{
	struct pcp_peer peer;
	struct reader r;
	struct writer w;
	uint8_t bytes[56];

	(void)state;
	reader_init(&r, peer_body, sizeof(peer_body));
	assert_int_equal(pcp_decode_peer(&r, &peer), 0);
	assert_int_equal(peer.map.protocol, 17);
	assert_int_equal(peer.map.internal_port, 5000);
	assert_int_equal(peer.map.external_port, 65535);
	assert_int_equal(peer.remote_port, 3478);
	assert_memory_equal(peer.remote6, remote4, 16);

	memset(bytes, 0xee, sizeof(bytes));
	writer_init(&w, bytes, sizeof(bytes));
	pcp_encode_peer(&w, &peer);
	assert_memory_equal(bytes, peer_body, sizeof(bytes));
}

static void test_filter(void **state)
{
	struct pcp_option option;
	struct pcp_filter filter;
	struct reader r;
	struct writer w;
	uint8_t bytes[24];

	(void)state;
	reader_init(&r, filter_option, sizeof(filter_option));
	assert_int_equal(pcp_decode_option(&r, &option), 1);
	assert_int_equal(option.code, PCP_OPTION_FILTER);
	assert_int_equal(option.length, 20);
	assert_ptr_equal(option.data, filter_option + 4);
	assert_int_equal(pcp_decode_filter(&option, &filter), 0);
	assert_int_equal(filter.prefix_length, 120);
	assert_int_equal(filter.remote_port, 443);
	assert_memory_equal(filter.remote6, remote4, 16);
	assert_int_equal(pcp_decode_option(&r, &option), 0);

	memset(bytes, 0xee, sizeof(bytes));
	writer_init(&w, bytes, sizeof(bytes));
	pcp_encode_filter(&w, &filter);
	assert_memory_equal(bytes, filter_option, sizeof(bytes));

	memset(&filter, 0x5a, sizeof(filter));
	option.length = 19;
	assert_int_equal(pcp_decode_filter(&option, &filter), CGN_EBADOPTION);
	option.length = 21;
	assert_int_equal(pcp_decode_filter(&option, &filter), CGN_EBADOPTION);
	assert_int_equal(filter.prefix_length, 0x5a);
}

/* RFC 6887 section 13.1, figure 13. */
static void test_third_party(void **state)
{
	static const uint8_t expected[20] = { 1, 0, 0, 16, CLIENT4 };
	struct pcp_option option;
	struct reader r;
	struct writer w;
	uint8_t bytes[20], internal6[16];

	(void)state;
	writer_init(&w, bytes, sizeof(bytes));
	pcp_encode_third_party(&w, client4);
	assert_int_equal(writer_len(&w), sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(expected));

	reader_init(&r, expected, sizeof(expected));
	assert_int_equal(pcp_decode_option(&r, &option), 1);
	assert_int_equal(pcp_decode_third_party(&option, internal6), 0);
	assert_memory_equal(internal6, client4, 16);
	for (option.length = 0; option.length < 20; option.length++)
		assert_int_equal(pcp_decode_third_party(&option, internal6), option.length == 16 ? 0 : CGN_EBADOPTION);
}

/* RFC 7753 section 4, figure 1: three bytes of padding follow, the seven bits above P are reserved. */
static void test_port_set(void **state)
{
	static const uint8_t expected[12] = { 130, 0, 0, 5, 0xff, 0xff, 0x1b, 0x58, 1, 0, 0, 0 };
	static const uint8_t reserved_set[12] = { 130, 0, 0, 5, 0x00, 0x10, 0x1b, 0x58, 0xfe, 0, 0, 0 };
	struct pcp_port_set port_set = { .size = 0xffff, .first_internal_port = 7000, .keeps_parity = true };
	struct pcp_option option;
	struct reader r;
	struct writer w;
	uint8_t bytes[12];

	(void)state;
	memset(bytes, 0xee, sizeof(bytes));
	writer_init(&w, bytes, sizeof(bytes));
	pcp_encode_port_set(&w, &port_set);
	assert_int_equal(writer_len(&w), sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(expected));

	reader_init(&r, reserved_set, sizeof(reserved_set));
	assert_int_equal(pcp_decode_option(&r, &option), 1);
	assert_int_equal(pcp_decode_port_set(&option, &port_set), 0);
	assert_int_equal(port_set.size, 16);
	assert_int_equal(port_set.first_internal_port, 7000);
	assert_false(port_set.keeps_parity);
	for (option.length = 0; option.length < 9; option.length++)
		assert_int_equal(pcp_decode_port_set(&option, &port_set), option.length == 5 ? 0 : CGN_EBADOPTION);
}

/* RFC 7220 section 2: no NUL, padded outside its length; the empty one erases (section 3). */
static void test_description(void **state)
{
	static const uint8_t expected[16] = { 128, 0, 0, 5, 'm', 'a', 0xc3, 0xaf, 'l', 0, 0, 0, 128, 0, 0, 0 };
	struct pcp_option option;
	struct reader r;
	struct writer w;
	uint8_t bytes[16];
	const char *text;
	uint16_t length;

	(void)state;
	memset(bytes, 0xee, sizeof(bytes));
	writer_init(&w, bytes, sizeof(bytes));
	pcp_encode_description(&w, "ma\xc3\xafl", 5);
	pcp_encode_description(&w, NULL, 0);
	assert_int_equal(writer_len(&w), sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(expected));

	reader_init(&r, expected, sizeof(expected));
	assert_int_equal(pcp_decode_option(&r, &option), 1);
	assert_int_equal(pcp_decode_description(&option, &text, &length), 0);
	assert_int_equal(length, 5);
	assert_memory_equal(text, "ma\xc3\xafl", 5);
	assert_int_equal(pcp_decode_option(&r, &option), 1);
	assert_int_equal(pcp_decode_description(&option, &text, &length), 0);
	assert_int_equal(length, 0);
	option.length = 1016;
	assert_int_equal(pcp_decode_description(&option, &text, &length), 0);
	option.length = 1017;
	assert_int_equal(pcp_decode_description(&option, &text, &length), CGN_EBADOPTION);
}

/* Section 7.3: the length counts data without padding; every residue of 4. */
static void test_option_padding(void **state)
{
	static const uint8_t message[] = {
		128, 0, 0, 1, 'a', 0, 0, 0,
		129, 0x77, 0, 2, 'b', 'c', 0xff, 0xff,	/* reserved and padding are not looked at */
		130, 0, 0, 3, 'd', 'e', 'f', 0,
		131, 0, 0, 4, 'g', 'h', 'i', 'j',
		2, 0, 0, 0,
	};
	static const uint8_t expected_lengths[] = { 1, 2, 3, 4, 0 }, expected_codes[] = { 128, 129, 130, 131, 2 };
	struct pcp_option option;
	struct reader r;
	size_t i;

	(void)state;
	reader_init(&r, message, sizeof(message));
	for (i = 0; i < sizeof(expected_codes); i++) {
		assert_int_equal(pcp_decode_option(&r, &option), 1);
		assert_int_equal(option.code, expected_codes[i]);
		assert_int_equal(option.length, expected_lengths[i]);
		assert_int_equal(option.data - message, i < 4 ? i * 8 + 4 : sizeof(message));
	}
	assert_int_equal(pcp_decode_option(&r, &option), 0);
	assert_int_equal(pcp_decode_option(&r, &option), 0);
}

static void test_option_encode_pads(void **state)
{
	static const uint8_t expected[] = { 128, 0, 0, 5, 'h', 'e', 'l', 'l', 'o', 0, 0, 0, 2, 0, 0, 0 };
	uint8_t bytes[sizeof(expected)];
	struct writer w;

	(void)state;
	memset(bytes, 0xee, sizeof(bytes));
	writer_init(&w, bytes, sizeof(bytes));
	pcp_encode_option(&w, 128, "hello", 5);
	pcp_encode_option(&w, 2, NULL, 0);
	assert_false(w.overflow);
	assert_int_equal(writer_len(&w), sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(expected));
}

/* Section 7.3, trap 15: a length that runs past the message is the option's fault, at the end of the data and of the padding. */
static void test_option_past_the_end(void **state)
{
	static const uint8_t past_data[] = { 3, 0, 0, 5, 1, 2, 3, 4 }, past_padding[] = { 3, 0, 0, 2, 1, 2 };
	static const uint8_t longest[] = { 3, 0, 0xff, 0xff, 1, 2, 3, 4 }, header_cut[] = { 3, 0, 0 };
	static const struct { const uint8_t *bytes; size_t len; } cases[] = {
		{ past_data, sizeof(past_data) }, { past_padding, sizeof(past_padding) },
		{ longest, sizeof(longest) }, { header_cut, sizeof(header_cut) },
	};
	struct pcp_option option = { .code = 77 };
	struct reader r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reader_init(&r, cases[i].bytes, cases[i].len);
		assert_int_equal(pcp_decode_option(&r, &option), CGN_EBADOPTION);
		assert_int_equal(option.code, 77);
		assert_int_equal(pcp_decode_option(&r, &option), CGN_EBADOPTION);	/* the error sticks */
	}
}

/* A message cut anywhere is CGN_ESHORT, and what the caller had stays as it was. */
static void test_cut_at_every_length(void **state)
{
	struct pcp_request_header request, request_before;
	struct pcp_response_header response, response_before;
	struct pcp_map map, map_before;
	struct pcp_peer peer, peer_before;
	struct reader r;
	size_t len;

	(void)state;
	memset(&request, 0x5a, sizeof(request));
	memset(&response, 0x5a, sizeof(response));
	memset(&map, 0x5a, sizeof(map));
	memset(&peer, 0x5a, sizeof(peer));
	memcpy(&request_before, &request, sizeof(request));
	memcpy(&response_before, &response, sizeof(response));
	memcpy(&map_before, &map, sizeof(map));
	memcpy(&peer_before, &peer, sizeof(peer));
	for (len = 0; len < sizeof(peer_body); len++) {
		reader_init(&r, request_header, len < 24 ? len : 23);
		assert_int_equal(pcp_decode_request_header(&r, &request), CGN_ESHORT);
		reader_init(&r, response_header, len < 24 ? len : 23);
		assert_int_equal(pcp_decode_response_header(&r, &response), CGN_ESHORT);
		reader_init(&r, map_body, len < 36 ? len : 35);
		assert_int_equal(pcp_decode_map(&r, &map), CGN_ESHORT);
		reader_init(&r, peer_body, len);
		assert_int_equal(pcp_decode_peer(&r, &peer), CGN_ESHORT);
	}
	assert_memory_equal(&request, &request_before, sizeof(request));
	assert_memory_equal(&response, &response_before, sizeof(response));
	assert_memory_equal(&map, &map_before, sizeof(map));
	assert_memory_equal(&peer, &peer_before, sizeof(peer));
}

static void test_writer_overflow_sticks(void **state)
{
	struct pcp_map map = { .protocol = 6 };
	uint8_t bytes[37] = { 0 };
	struct writer w;

	(void)state;
	writer_init(&w, bytes, 35);
	pcp_encode_map(&w, &map);
	assert_true(w.overflow);
	assert_int_equal(bytes[35], 0);
	writer_u8(&w, 1);
	assert_true(w.overflow);
}

/* Section 5, trap 16: all 96 bits of the prefix count. */
static void test_ipv4_mapped(void **state)
{
	static const uint8_t any6[16], any4[16] = { [10] = 0xff, [11] = 0xff };
	uint8_t address[16], made[16];
	size_t i;
	int bit;

	(void)state;
	assert_true(pcp_address_is_ipv4(client4));
	assert_true(pcp_address_is_ipv4(any4));
	assert_false(pcp_address_is_ipv4(any6));
	for (i = 0; i < 12; i++)
		for (bit = 0; bit < 8; bit++) {
			memcpy(address, client4, 16);
			address[i] ^= (uint8_t)(1 << bit);
			assert_false(pcp_address_is_ipv4(address));
		}
	assert_true(pcp_address_is_any(any6));
	assert_true(pcp_address_is_any(any4));
	for (i = 0; i < 16; i++) {
		memcpy(address, any4, 16);
		address[i] ^= 1;
		assert_false(pcp_address_is_any(address));
	}
	pcp_address_from_ipv4((const uint8_t[4]){ 198, 51, 100, 2 }, made);
	assert_memory_equal(made, client4, 16);
}

/* Every result of section 7.4 by number, and every error's place in it. */
static void test_results_and_errors(void **state)
{
	static const char *const names[] = {
		"SUCCESS", "UNSUPP_VERSION", "NOT_AUTHORIZED", "MALFORMED_REQUEST", "UNSUPP_OPCODE", "UNSUPP_OPTION",
		"MALFORMED_OPTION", "NETWORK_FAILURE", "NO_RESOURCES", "UNSUPP_PROTOCOL", "USER_EX_QUOTA",
		"CANNOT_PROVIDE_EXTERNAL", "ADDRESS_MISMATCH", "EXCESSIVE_REMOTE_PEERS",
	};
	int i;

	(void)state;
	for (i = 0; i < 14; i++)
		assert_string_equal(pcp_result_name(i), names[i]);
	assert_string_equal(pcp_result_name(200), "RESULT_200");
	assert_int_equal(cgn_error_pcp_result(0), 0);
	assert_int_equal(cgn_error_pcp_result(CGN_ESHORT), 3);
	assert_int_equal(cgn_error_pcp_result(CGN_EBADOPTION), 6);
	assert_int_equal(cgn_error_pcp_result(CGN_ENONCE), 2);
	assert_int_equal(cgn_error_pcp_result(CGN_EQUOTA), 10);
	assert_int_equal(cgn_error_pcp_result(-12), 8);
	assert_int_equal(cgn_error_pcp_result(CGN_EBASE), 8);
	assert_string_equal(cgn_error_text(CGN_EQUOTA), "subscriber is at its quota");
	assert_string_equal(cgn_error_text(0), "success");
	assert_string_equal(cgn_error_text(-2), "No such file or directory");
	assert_string_equal(cgn_error_text(-100000), "unknown error");
	assert_string_equal(cgn_error_text(7), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_header),
		cmocka_unit_test(test_request_header_reserved_and_response_bit),
		cmocka_unit_test(test_response_header),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_peer),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_third_party),
		cmocka_unit_test(test_port_set),
		cmocka_unit_test(test_description),
		cmocka_unit_test(test_option_padding),
		cmocka_unit_test(test_option_encode_pads),
		cmocka_unit_test(test_option_past_the_end),
		cmocka_unit_test(test_cut_at_every_length),
		cmocka_unit_test(test_writer_overflow_sticks),
		cmocka_unit_test(test_ipv4_mapped),
		cmocka_unit_test(test_results_and_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
