/* SPDX-License-Identifier: GPL-2.0-only */
/* RFC 6056, RFC 6888 section 5, RFC 6269 section 13.5: nobody foresees which port comes next. Each bound fails once in 10^9 runs or less, if
 * ports are drawn by chance: those of chi-square are its quantiles for 10^-10, and a margin for that it is a limit of many draws. */
#include <math.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "frame.h"
#include "plane.h"

static struct plane plane;

/* The external port of a mapping that this packet, or this request, makes. */
static uint32_t draw(const char *host, uint16_t port, uint8_t protocol, bool is_asked)
{
	struct frame frame = { .source = host, .source_port = port, .destination = "203.0.113.9", .destination_port = 80, .protocol = protocol,
		.tcp_flags = FRAME_SYN, .payload = 8 };
	struct cgn_internal internal = plane_internal(protocol, host, port);
	struct cgn_mapping mapping;
	uint8_t bytes[FRAME_MAX];

	if (is_asked)
		assert_int_equal(plane_map(&plane, protocol, host, port, "", 0), CGN_OK);
	else
		plane_send_fast(&plane, CGN_INTERNAL_SIDE, bytes, frame_build(&frame, bytes));
	assert_true(dataplane_find_mapping(plane.dp, &internal, &mapping));
	return mapping.external.port;
}

static double chi_square(const uint32_t *count, unsigned cells, uint32_t all)
{
	double expected = (double)all / cells, sum = 0;
	unsigned i;

	for (i = 0; i < cells; i++)
		sum += (count[i] - expected) * (count[i] - expected) / expected;
	return sum;
}

/* Of one run of draws: how like the next one is to the one before, from -1 to 1, and how often it is the port after. */
struct series {
	double sum, squares, products, first, last;
	uint32_t count, next;
};

static void series_add(struct series *series, double value)
{
	if (series->count)
		series->products += value * series->last;
	else
		series->first = value;
	series->next += series->count && (value - series->last) * 1024 == 1;
	series->sum += value;
	series->squares += value * value;
	series->last = value;
	series->count++;
}

/* The serial correlation as Knuth has it (The Art of Computer Programming, volume 2, section 3.3.2): the last is followed by the first. */
static double series_correlation(const struct series *series)
{
	double n = series->count, products = series->products + series->last * series->first;

	return (n * products - series->sum * series->sum) / (n * series->squares - series->sum * series->sum);
}

/* A quarter of a block of 1024 for each of 16 subscribers: sixteenths of the block are drawn from alike, and one draw says nothing of
 * the next. */
static void ports_by_chance(void **state)
{
	uint32_t count[16] = {}, i, host, port;
	struct series series = {};
	double chi, correlation;
	char name[16];

	(void)state;
	plane_start(&plane, "pools: [{addresses: [192.0.2.0/31], block-size: 1024}]\n"
			    "subscribers: {prefixes: [198.51.100.0/24], blocks: 1, explicit: 256, reserve: 0}\ntables: {mappings: 8192, subscribers: 64}\n");
	for (host = 0; host < 16; host++) {
		snprintf(name, sizeof(name), "198.51.100.%u", host + 2);
		for (i = 0; i < 256; i++) {
			port = draw(name, (uint16_t)(10000 + i), host & 1 ? IPPROTO_TCP : IPPROTO_UDP, host & 2) % 1024;
			count[port / 64]++;
			series_add(&series, port / 1024.);
		}
	}
	chi = chi_square(count, 16, 4096);
	correlation = series_correlation(&series);
	print_message("chi-square %.1f of 15 degrees, serial correlation %.4f, %u of 4096 draws are the port after the one before\n", chi,
		      correlation, series.next);
	assert_true(chi > 0.33 && chi < 90);		/* below: too even to be chance */
	assert_true(fabs(correlation) < 7 / sqrt(4096));	/* its deviation is 1 / sqrt(n) */
	assert_true(series.next < 64);		/* by chance 4, and some more where ports next to each other are taken */
	plane_stop(&plane);
}

/* A subscriber's first port, and its block: eighths of the block, and of the address, are drawn from alike. */
static void blocks_by_chance(void **state)
{
	uint32_t ports[8] = {}, blocks[8] = {}, host, port;
	double chi_ports, chi_blocks;
	char name[16];

	(void)state;
	plane_start(&plane, "pools: [{addresses: [192.0.2.1], block-size: 64, ports: 1024-65535}]\n"
			    "subscribers: {prefixes: [198.51.96.0/20], blocks: 1}\ntables: {mappings: 4096, subscribers: 1024}\n");
	for (host = 0; host < 800; host++) {
		snprintf(name, sizeof(name), "198.51.%u.%u", 96 + host / 200, 2 + host % 200);
		port = draw(name, 5000, IPPROTO_UDP, false);
		ports[port % 64 / 8]++;
		if (host < 400)		/* of an address that is not nearly full */
			blocks[(port - 1024) / 64 / 126]++;
	}
	chi_ports = chi_square(ports, 8, 800);
	chi_blocks = chi_square(blocks, 8, 400);
	print_message("chi-square of first ports %.1f, of blocks %.1f, of 7 degrees each\n", chi_ports, chi_blocks);
	assert_true(chi_ports > 0.0056 && chi_ports < 70);
	assert_true(chi_blocks < 70);		/* blocks are not put back: more even than chance is right */
	plane_stop(&plane);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(ports_by_chance),
		cmocka_unit_test(blocks_by_chance),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return plane_guard(tests);
}
