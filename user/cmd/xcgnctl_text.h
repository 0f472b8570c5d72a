/* SPDX-License-Identifier: GPL-2.0-only */
/* Names and addresses as xcgnctl reads and writes them. Addresses in network order, ports in host order. */
#ifndef CGN_XCGNCTL_TEXT_H
#define CGN_XCGNCTL_TEXT_H
#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>
#include "cgn/abi.h"

#define ENDPOINT_TEXT_MAX 56	/* "[IPv6]:port" */

struct endpoint_text { char text[ENDPOINT_TEXT_MAX]; };

struct endpoint_text text_address4(const uint8_t addr4[4]);
struct endpoint_text text_endpoint4(const uint8_t addr4[4], uint16_t port);
struct endpoint_text text_endpoint6(const uint8_t addr6[16], uint16_t port);	/* IPv4-mapped: as IPv4 */
struct endpoint_text text_internal(const struct cgn_internal *internal);
struct endpoint_text text_subscriber(const struct cgn_subscriber_key *subscriber);	/* "operator": owns static mappings */

void subscriber_of(const struct cgn_internal *internal, struct cgn_subscriber_key *ret_subscriber);

const char *text_protocol(unsigned protocol_index);	/* "udp" */
const char *text_protocol_number(uint8_t protocol);
bool read_protocol(const char *text, unsigned *ret_protocol_index);

/* ["map","peer"]; NULL without memory */
json_t *json_origins(unsigned flags);
bool read_origin(const char *text, unsigned *ret_flag);
/* {"udp":n,"tcp":n,"icmp":n} */
json_t *json_per_protocol(const uint32_t counts[CGN_PROTOCOLS]);

/* Unix time of a second of the boot clock. */
json_int_t unix_time(uint32_t boot_s);

#endif
