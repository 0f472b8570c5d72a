/* SPDX-License-Identifier: GPL-2.0-only */
/* Every NAT-PMP message against bytes written by hand from the figures of RFC 6886, both ways, cut at every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "error.h"
#include "natpmp_codec.h"
#include "pcp_proto.h"

/* Section 3.2: address request and response. */
static const uint8_t address_request[2] = { 0, 0 };
static const uint8_t address_response[12] = { 0, 128, 0, 0, 0x00, 0x00, 0x04, 0xe2, 192, 0, 2, 1 };
/* Section 3.3: 7000 to a suggested 7001 for 7200 s, and its answer. */
static const uint8_t map_request[12] = { 0, 2, 0, 0, 0x1b, 0x58, 0x1b, 0x59, 0x00, 0x00, 0x1c, 0x20 };
static const uint8_t map_response[16] = { 0, 130, 0, 0, 0x00, 0x00, 0x04, 0xe2, 0x1b, 0x58, 0x1b, 0x5a, 0x00, 0x00, 0x0e, 0x10 };
/* Section 3.5: the answer to any other version. */
static const uint8_t unsupported_version[8] = { 0, 0, 0, 1, 0x00, 0x00, 0x04, 0xe2 };

static int request_decode(const void *bytes, size_t len, struct natpmp_request *ret_request)
{
	struct reader r;

	reader_init(&r, bytes, len);
	return natpmp_decode_request(&r, ret_request);
}

static int response_decode(const void *bytes, size_t len, struct natpmp_response *ret_response)
{
	struct reader r;

	reader_init(&r, bytes, len);
	return natpmp_decode_response(&r, ret_response);
}

static void test_address(void **state)
{
	struct natpmp_request request;
	struct natpmp_response response;
	uint8_t bytes[16];
	struct writer w;

	(void)state;
	assert_int_equal(request_decode(address_request, 2, &request), 0);
	assert_int_equal(request.opcode, NATPMP_ADDRESS);
	assert_false(request.is_response);
	writer_init(&w, bytes, sizeof(bytes));
	natpmp_encode_request(&w, &request);
	assert_int_equal(writer_len(&w), 2);
	assert_memory_equal(bytes, address_request, 2);

	assert_int_equal(response_decode(address_response, 12, &response), 0);
	assert_int_equal(response.opcode, NATPMP_ADDRESS);
	assert_true(response.is_response);
	assert_int_equal(response.result, NATPMP_SUCCESS);
	assert_int_equal(response.epoch_s, 1250);
	assert_memory_equal(response.external4, ((uint8_t[]){ 192, 0, 2, 1 }), 4);
	writer_init(&w, bytes, sizeof(bytes));
	natpmp_encode_response(&w, &response);
	assert_int_equal(writer_len(&w), 12);
	assert_memory_equal(bytes, address_response, 12);
}

static void test_map(void **state)
{
	struct natpmp_request request;
	struct natpmp_response response;
	uint8_t bytes[16];
	struct writer w;

	(void)state;
	assert_int_equal(request_decode(map_request, 12, &request), 0);
	assert_int_equal(request.opcode, NATPMP_MAP_TCP);
	assert_int_equal(request.internal_port, 7000);
	assert_int_equal(request.external_port, 7001);
	assert_int_equal(request.lifetime_s, 7200);
	memset(bytes, 0xee, sizeof(bytes));
	writer_init(&w, bytes, sizeof(bytes));
	natpmp_encode_request(&w, &request);
	assert_int_equal(writer_len(&w), 12);
	assert_memory_equal(bytes, map_request, 12);

	assert_int_equal(response_decode(map_response, 16, &response), 0);
	assert_int_equal(response.opcode, NATPMP_MAP_TCP);
	assert_int_equal(response.internal_port, 7000);
	assert_int_equal(response.external_port, 7002);
	assert_int_equal(response.lifetime_s, 3600);
	assert_int_equal(response.epoch_s, 1250);
	writer_init(&w, bytes, sizeof(bytes));
	natpmp_encode_response(&w, &response);
	assert_int_equal(writer_len(&w), 16);
	assert_memory_equal(bytes, map_response, 16);
}

/* The one response whose response bit is not set. */
static void test_unsupported_version(void **state)
{
	struct natpmp_response response;
	uint8_t bytes[8];
	struct writer w;

	(void)state;
	writer_init(&w, bytes, sizeof(bytes));
	natpmp_encode_unsupported_version(&w, 1250);
	assert_int_equal(writer_len(&w), 8);
	assert_memory_equal(bytes, unsupported_version, 8);
	assert_int_equal(response_decode(bytes, 8, &response), 0);
	assert_false(response.is_response);
	assert_int_equal(response.result, NATPMP_UNSUPP_VERSION);
	assert_int_equal(response.epoch_s, 1250);
}

static void test_cut_at_every_length(void **state)
{
	struct natpmp_request request;
	struct natpmp_response response;
	uint8_t failed[16];
	size_t len;

	(void)state;
	for (len = 0; len < 12; len++)
		assert_int_equal(request_decode(map_request, len, &request), CGN_ESHORT);
	for (len = 0; len < 2; len++)
		assert_int_equal(request_decode(address_request, len, &request), CGN_ESHORT);
	for (len = 0; len < 16; len++)
		assert_int_equal(response_decode(map_response, len, &response), CGN_ESHORT);
	for (len = 0; len < 12; len++)
		assert_int_equal(response_decode(address_response, len, &response), CGN_ESHORT);
	/* an error says enough in its header */
	memcpy(failed, map_response, sizeof(failed));
	failed[3] = NATPMP_NOT_AUTHORIZED;
	for (len = 0; len <= 16; len++)
		assert_int_equal(response_decode(failed, len, &response), len < 8 ? CGN_ESHORT : 0);
	assert_int_equal(response.result, NATPMP_NOT_AUTHORIZED);
	assert_int_equal(response.internal_port, 7000);
}

static void test_other_versions_and_opcodes(void **state)
{
	static const uint8_t pcp[12] = { 2, 1 }, opcode_3[2] = { 0, 3 }, response_3[8] = { 0, 131, 0, 5 }, response_map[12] = { 0, 129 };
	struct natpmp_request request;
	struct natpmp_response response;

	(void)state;
	assert_int_equal(request_decode(pcp, sizeof(pcp), &request), CGN_EVERSION);
	assert_int_equal(response_decode(pcp, sizeof(pcp), &response), CGN_EVERSION);
	assert_int_equal(request_decode(opcode_3, sizeof(opcode_3), &request), CGN_EOPCODE);
	assert_int_equal(request.opcode, 3);
	assert_false(request.is_response);
	assert_int_equal(response_decode(response_3, sizeof(response_3), &response), CGN_EOPCODE);
	assert_int_equal(response.opcode, 3);
	assert_int_equal(response.result, NATPMP_UNSUPP_OPCODE);
	assert_int_equal(request_decode(response_map, sizeof(response_map), &request), 0);
	assert_int_equal(request.opcode, NATPMP_MAP_UDP);
	assert_true(request.is_response);
}

/* Section 3.5 has six results; every other PCP result goes to the nearest. */
static void test_results(void **state)
{
	static const int from_pcp[] = { 0, 1, 2, 2, 5, 2, 2, 3, 4, 2, 4, 4, 2, 4 };
	static const int to_pcp[] = { 0, 1, 2, 7, 8, 4, 8 };
	int i;

	(void)state;
	for (i = 0; i < 14; i++)
		assert_int_equal(natpmp_result_from_pcp(i), from_pcp[i]);
	for (i = 0; i < 7; i++)
		assert_int_equal(natpmp_result_to_pcp(i), to_pcp[i]);
	assert_string_equal(natpmp_result_name(4), "OUT_OF_RESOURCES");
	assert_string_equal(natpmp_result_name(6), "RESULT_6");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_unsupported_version),
		cmocka_unit_test(test_cut_at_every_length),
		cmocka_unit_test(test_other_versions_and_opcodes),
		cmocka_unit_test(test_results),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
