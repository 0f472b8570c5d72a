/* SPDX-License-Identifier: GPL-2.0-only */
/* Frames from a description, with checksums computed from scratch: the plain way, not that of bpf/checksum.h. */
#ifndef CGN_TEST_FRAME_H
#define CGN_TEST_FRAME_H
#include <stdbool.h>
#include <stdint.h>

#define FRAME_MAX 2048

enum frame_tcp { FRAME_FIN = 1, FRAME_SYN = 2, FRAME_RST = 4, FRAME_ACK = 16 };

struct frame {
	/* Ethernet */
	uint8_t destination_mac[6], source_mac[6];
	unsigned vlan_tags;		/* 0 to 3: VLANs 103 to 101; the outermost of two and more is 802.1ad */
	uint16_t tags[2];		/* or these, as in struct cgn_link_key */
	uint16_t ethertype;		/* 0: IPv4 */
	const char *source6, *destination6;	/* makes it IPv6, with a UDP header and `payload` bytes */
	/* IPv4 */
	const char *source, *destination;
	uint8_t tos;
	uint8_t ttl;			/* 0: 64 */
	uint8_t protocol;
	unsigned option_words;		/* no-operation options, 4 bytes each */
	uint16_t fragment_id, fragment;	/* as in the header, host order: 0x2000 is "more follow" */
	/* transport: ports, or ICMP type, code and identifier */
	uint16_t source_port, destination_port;
	uint8_t tcp_flags;
	uint8_t tcp_options[40];	/* the first `tcp_option_words` times 4 bytes */
	unsigned tcp_option_words;
	uint32_t sequence, acknowledged;	/* TCP; 0: some numbers, always the same */
	uint8_t icmp_type, icmp_code;
	uint16_t identifier;
	bool no_checksum;		/* UDP checksum 0 */
	uint16_t first_word;		/* of the payload; 0: as the rest */
	bool whole_sum;			/* of a first fragment: the checksum is that of the datagram, which is twice its payload */
	unsigned payload;		/* bytes behind the transport header, or behind IP for follow-on fragments and others */
	/* ICMP errors: the packet inside and how much of it there is (0: all) */
	const struct frame *inner;
	unsigned inner_length;
	uint16_t mtu;			/* of "fragmentation needed" */
	bool padded;			/* to 60 bytes, as a NIC does; with bytes that are not zero */
	unsigned tail;			/* further bytes behind the IP packet */
	/* written last, over what stands there: malformed frames. `at` 0 ends the list */
	struct { uint16_t at; uint8_t value; } edits[4];
};

/* Writes the frame; returns its length. */
uint32_t frame_build(const struct frame *frame, uint8_t ret_bytes[FRAME_MAX]);

/* One's complement sum over bytes in network order, folded and inverted; `sum` is added first. */
uint16_t frame_checksum(const uint8_t *bytes, uint32_t length, uint32_t sum);

#endif
