/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include "block_walk.h"
#include "config.h"
#include "dataplane_internal.h"
#include "log.h"
#include "statics.h"

#define TRIES 16	/* CGN_BUSY: a packet was quicker */

static void put_address(uint8_t addr4[4], uint32_t address)
{
	uint32_t network = htonl(address);

	memcpy(addr4, &network, 4);
}

static struct cgn_map_request request_of(const struct config_static *wanted)
{
	struct cgn_map_request request = { .origin = CGN_STATIC, .internal = { .port = wanted->internal_port, .protocol = wanted->protocol },
		.suggested = { .port = wanted->external_port, .protocol = wanted->protocol } };

	put_address(request.internal.addr4, wanted->internal4);
	put_address(request.suggested.addr4, wanted->external4);
	return request;
}

static bool is_configured(const struct config *config, const struct cgn_internal *internal, const struct cgn_external *external)
{
	struct cgn_map_request each;
	unsigned i;

	for (i = 0; i < config->statics_count; i++) {
		each = request_of(&config->statics[i]);
		if (!memcmp(&each.internal, internal, sizeof(*internal)) && !memcmp(&each.suggested, external, sizeof(*external)))
			return true;
	}
	return false;
}

/* Asks until the data plane has an answer. Returns 0 with the status in *request, or -errno. */
static int ask(struct dataplane *dp, int (*operation)(void *, struct cgn_map_request *), struct cgn_map_request *request)
{
	const struct cgn_map_request question = *request;
	int tries, failed = 0;

	for (tries = 0; tries < TRIES; tries++) {
		*request = question;
		failed = operation(dp, request);
		if (failed || request->status != CGN_BUSY)
			break;
	}
	return failed;
}

static void remove_unless_configured(struct dataplane *dp, const struct config *config, uint32_t slot_index)
{
	struct cgn_map_request request = { .origin = CGN_STATIC };
	struct cgn_mapping mapping;
	struct dataplane_slot slot;

	if (!dataplane_read_slot(dp, slot_index, &slot) || !(slot.state.flags & CGN_STATIC))
		return;
	if (!dataplane_find_mapping(dp, &slot.internal, &mapping) || mapping.slot != slot_index)
		return;
	if (is_configured(config, &slot.internal, &mapping.external))
		return;
	request.internal = slot.internal;
	if (ask(dp, dataplane_delete, &request) || request.status != CGN_OK)
		log_warning("a static mapping that is no longer configured could not be removed (status %u)", request.status);
}

static void remove_others_in_block(struct dataplane *dp, const struct config *config, const struct cgn_block *block, uint32_t words)
{
	uint32_t n, bit;

	for (n = 0; n < CGN_PROTOCOLS * words; n++)
		for (bit = 0; bit < 64; bit++)
			if (block->used[n / words][n % words] >> bit & 1)
				remove_unless_configured(dp, config, CGN_SLOT(block->address, n / words,
									      block->first_port + n % words * 64 + bit));
}

/* Static mappings stand in blocks of their own owner: a walk over few. */
static void remove_others(struct dataplane *dp, const struct config *config)
{
	uint32_t pool_count, block_count, address, number;
	const struct cgn_pool *pools = dataplane_pools(dp, &pool_count);
	const struct cgn_block *blocks = dataplane_blocks(dp, &block_count), *block;

	for (address = 0; address < pool_count; address++)
		for (number = 0; (number = pool_next_block(&pools[address], number)) < pools[address].block_count; number++) {
			block = &blocks[pools[address].first_block + number];
			if (block_is_live(block) && block->owner.realm == CGN_OPERATOR_REALM)
				remove_others_in_block(dp, config, block, pool_block_words(&pools[address]));
		}
}

static const char *refusal(uint32_t status)
{
	switch (status) {
	case CGN_CANNOT_PROVIDE:
		return "the external port is in use, in a subscriber's port block, or forbidden, or the internal endpoint has another mapping";
	case CGN_BUSY:
		return "the internal endpoint has a mapping made by its traffic; it can become static when that has ended";
	case CGN_TABLE_FULL:
		return "a table is full";
	default:
		return "the data plane refused it";
	}
}

bool statics_apply(struct dataplane *dp, const struct config *config, struct dataplane_error *error)
{
	struct cgn_map_request request;
	unsigned i;
	int failed;

	remove_others(dp, config);
	for (i = 0; i < config->statics_count; i++) {
		request = request_of(&config->statics[i]);
		failed = ask(dp, dataplane_map, &request);
		if (!failed && request.status == CGN_OK)
			continue;
		return dataplane_fail(error, failed ? DATAPLANE_KERNEL : DATAPLANE_STATE,
				      "static mapping %u.%u.%u.%u:%u to %u.%u.%u.%u:%u: %s", request.suggested.addr4[0],
				      request.suggested.addr4[1], request.suggested.addr4[2], request.suggested.addr4[3],
				      request.suggested.port, request.internal.addr4[0], request.internal.addr4[1], request.internal.addr4[2],
				      request.internal.addr4[3], request.internal.port, failed ? strerror(-failed) : refusal(request.status));
	}
	return true;
}
