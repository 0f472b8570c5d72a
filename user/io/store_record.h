/* SPDX-License-Identifier: GPL-2.0-only */
/* How an explicit mapping is written to stable storage: bytes in a fixed order, big-endian, whatever the compiler. Plain
 * functions over bytes. A record is
 *   length 2 (of what follows) | kind 1 | presence 1 | opcode 1 | host6 16? | addr4 4 | port 2 | protocol 1 | realm 1 |
 *   remote6 16, remote port 2? | and of a grant: nonce 12 | expiry 8 | client 4 or 16 | client port 2 | external addr4 4 |
 *   external port 2 | attributes to the end?; of an Epoch: base 8 | reason 4; of a block: its owner's host6 16 | addr4 4 |
 *   realm 1 | log2 of its size 1 | when it was given back 8
 * and an attribute is tag 1 | length 2 | bytes. Fields with `?` stand there if the presence bit says so. */
#ifndef CGN_STORE_RECORD_H
#define CGN_STORE_RECORD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cgn/abi.h"
#include "reader.h"
#include "writer.h"

#define STORE_RECORD_MAX	8192	/* bytes, attributes included */

enum store_kind {
	STORE_GRANT = 1,
	STORE_DELETION = 2,	/* has nothing but its key */
	STORE_EPOCH = 3,	/* of one client who alone lost something: his address is host6, the rest of the key is zero */
	STORE_BLOCK = 4,	/* a port block: its external address is addr4, its first port is port, the rest of the key is zero */
};

/* Whose grant it is. The maps number the PEERs of a mapping; here they have their names. */
struct store_key {
	struct cgn_internal internal;
	uint8_t remote6[16];			/* PEER only, else zero */
	uint16_t remote_port;			/* PEER only */
	uint8_t opcode;				/* CGN_MAP, CGN_PEER or CGN_STATIC */
	uint8_t reserved[5];
};

struct store_record {
	struct store_key key;
	enum store_kind kind;
	uint64_t epoch_base_s;			/* STORE_EPOCH: store time */
	uint32_t epoch_reason;			/* enum cgn_epoch_reason */
	struct cgn_subscriber_key owner;	/* STORE_BLOCK; released: the last one */
	uint8_t block_shift;			/* log2 of its size */
	uint64_t released_s;			/* store time; 0: it is owned */
	uint8_t nonce[CGN_NONCE_LEN];
	uint64_t expires_s;			/* store time, see store.h */
	uint8_t client6[16];
	uint16_t client_port;
	uint8_t external4[4];
	uint16_t external_port;			/* protocol and realm are those of the internal endpoint */
	const uint8_t *attributes;		/* borrowed; NULL if there are none */
	size_t attributes_len;
};

void store_record_encode(struct writer *w, const struct store_record *record);
/* The next record; its attributes are borrowed from the reader's bytes. False: malformed. */
bool store_record_decode(struct reader *r, struct store_record *ret_record);

/* One encoded, well-formed record. */
static inline enum store_kind store_record_kind(const uint8_t *bytes) { return (enum store_kind)bytes[2]; }
void store_record_at(const uint8_t *bytes, struct store_record *ret_record);
/* The part of an encoded, well-formed record that is its key. Equal keys are equal bytes. */
const uint8_t *store_record_key(const uint8_t *bytes, size_t *ret_len);

/* Appends one attribute, of at most 65535 bytes. */
void store_attribute_encode(struct writer *w, uint8_t tag, const void *bytes, size_t len);
/* Steps through the attributes of a record; false at their end. They were found well-formed when the record was decoded. */
bool store_attribute_next(struct reader *attributes, uint8_t *ret_tag, const uint8_t **ret_bytes, size_t *ret_len);

#endif
