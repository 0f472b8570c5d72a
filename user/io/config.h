/* SPDX-License-Identifier: GPL-2.0-only */
/* The configuration file of design section 5: YAML, checked, with defaults filled in. Host byte order. */
#ifndef CGN_CONFIG_H
#define CGN_CONFIG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cgn/abi.h"
#include "pcp_server.h"

#define CONFIG_STATICS_MAX	4096
#define CONFIG_EXPLICIT_MAX	(CGN_SUBSCRIBER_BLOCKS_MAX * CGN_BLOCK_SIZE_MAX * CGN_PROTOCOLS)	/* nobody has more mappings */

struct config_prefix4 {		/* network is masked: host bits are zero */
	uint32_t network;
	uint8_t length;
};

enum config_tag { CONFIG_TAG_UNSAID, CONFIG_8021Q, CONFIG_8021AD };

struct config_interface {
	char *name;
	int side;			/* enum cgn_side */
	char *link;			/* the NIC that bears it with these tags; NULL: as the kernel says */
	uint32_t *vlans;		/* the outer one first */
	unsigned vlans_count;
	int outer_tag;			/* CONFIG_8021Q or CONFIG_8021AD; set where there are `vlans` */
};

struct config_pool {
	char *name;
	struct config_prefix4 *addresses;
	unsigned addresses_count;
	uint16_t first_port, last_port;		/* both inside; first_port is a multiple of 64 */
	uint32_t block_size;
	bool is_deterministic;			/* its ports are computed from internal addresses: see deterministic.h */
	struct config_prefix4 *subscribers;	/* those addresses */
	unsigned subscribers_count;
	uint32_t per_address;			/* subscribers of one external address */
	uint32_t each_blocks;			/* of one subscriber */
	uint32_t dynamic_blocks;		/* of each address, for who needs more */
};

struct config_override {
	struct config_prefix4 prefix;
	uint32_t blocks, explicit_limit, reserve;
};

struct config_static {
	uint8_t protocol;			/* IANA */
	uint32_t internal4, external4;		/* host order */
	uint16_t internal_port, external_port;
};

struct config_pcp {
	uint32_t *listen4;			/* empty: every address of the internal interfaces */
	unsigned listen4_count;
	uint32_t lifetime_min_s, lifetime_max_s;
	uint32_t error_short_s, error_long_s;
	bool announce, map, peer, get;		/* opcodes served */
	int nonce_policy;			/* enum cgn_nonce_policy */
	uint32_t filters;
	bool nat_pmp;
	uint32_t description_max;		/* bytes; 0: none is stored */
	uint32_t rate_requests, rate_burst;	/* of one source address; 0 requests: no limit */
	struct pcp_third_party *third_party;	/* who may ask for whom, as the PCP server takes it */
	unsigned third_party_count;
	uint32_t get_opcode, get_next, get_not_found, get_ambiguous;	/* numbers of GET, NEXT and two results */
	int get_reveals_nonces;
};

struct config_log {
	uint32_t audit_days;			/* audit files are kept for so long; 0: none are written */
	char *syslog;				/* "none", or a target of syslog_socket.h */
};

struct config {
	struct config_interface *interfaces;
	unsigned interfaces_count;
	bool xdp_generic;
	struct config_pool *pools;
	unsigned pools_count;
	struct config_prefix4 *subscriber_prefixes;
	unsigned subscriber_prefixes_count;
	uint32_t blocks, explicit_limit, reserve;
	struct config_override *overrides;
	unsigned overrides_count;
	struct config_static *statics;
	unsigned statics_count;
	uint32_t udp_s, tcp_established_s, tcp_transitory_s, icmp_s;
	uint32_t rest_s;	/* of a freed external port */
	uint32_t tcp_opening_s, tcp_closing_s;	/* tcp_transitory_s where the file does not say */
	uint32_t report_source, report_total;	/* ICMP errors of our own per second: to one sender, and in all; 0: none */
	bool address_dependent;			/* filtering of what MAP and the operator did not make */
	uint32_t mss_clamp;			/* most that a TCP SYN may say; 0: whatever it says */
	uint32_t mappings_max, subscribers_max;
	uint32_t descriptions_max, filters_max;	/* explicit mappings that have any; 0: as config_description_room() says */
	uint32_t addresses_max;			/* external addresses that the tables have room for; 0: as many as there are */
	struct config_pcp pcp;
	struct config_log log;
	char *state_dir, *pin_dir, *control;
};

/* Reads and checks a file. On failure returns false and writes one line "FILE:LINE: what is wrong and what would be right"
 * into error; *ret_config is untouched. The caller owns *ret_config. */
bool config_load(const char *path, struct config **ret_config, char *error, size_t error_size);
void config_free(struct config *config);	/* NULL is fine */

/* What is legal and yet less than an RFC asks for: the n-th such thing as one line of text; false if there are no more. */
bool config_warning(const struct config *config, unsigned n, char *text, size_t text_size);

/* External addresses of all pools together, in order of configuration. */
uint32_t config_address_count(const struct config *config);
uint32_t config_pool_addresses(const struct config_pool *pool);
/* Port blocks of each address of a pool. */
uint32_t config_pool_blocks(const struct config_pool *pool);
/* So many external addresses and port blocks tables are made for: those of the pools, and what `tables.addresses` wants beyond. */
uint32_t config_address_room(const struct config *config);
uint32_t config_block_room(const struct config *config);
/* So many elements `mappings` has: tables.mappings, and a few for those that stand there twice while a subscriber moves. */
uint32_t config_mapping_room(const struct config *config);
/* So many elements `descriptions` and `filters` have. Few mappings have any, and the kernel takes 16 bytes for each element that could
 * be there: a small table has room for all, a large one for an eighth. */
uint32_t config_description_room(const struct config *config);
uint32_t config_filter_room(const struct config *config);

/* The cache in front of `mappings` (cgn/cache.h), in tables with room for so many external addresses: log2 of its lines, so that five of
 * the eight words of each are in use when all mappings are, and time has its bits; bits of an external address's index; and how a
 * protocol's entries tell time. A quarter of the shortest idle time: a mapping lives no more than that too long, and never too short.
 * None of a protocol is cached if its time would come round within the longest idle time, or if every packet must say whom its host
 * writes to. */
uint32_t config_cache_line_bits(const struct config *config, uint32_t addresses);
uint32_t config_cache_address_bits(uint32_t addresses);
struct cgn_cache_clock config_cache_clock(const struct config *config, uint32_t time_bits, uint32_t protocol);

#endif
