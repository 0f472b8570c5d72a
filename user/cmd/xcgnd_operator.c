/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "announce.h"
#include "announcer.h"
#include "control.h"
#include "dataplane.h"
#include "explicit_parts.h"
#include "log.h"
#include "pcp_server.h"
#include "notices.h"
#include "persistence.h"
#include "xcgnd_operator.h"

bool operator_fail(struct control_error *error, int code, const char *format, ...)
{
	va_list arguments;

	error->code = code;
	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return false;
}

void operator_record(const struct operator *operator, const struct explicit_part *part)
{
	if (!persistence_record(operator->persistence, &part->key, &part->value))
		log_error("out of memory: stable storage does not know what the operator did");
}

static void add_filters(const struct operator *operator, const struct explicit_part *part, struct pcp_update *update)
{
	struct cgn_filters filters;
	uint32_t i;

	if (part->key.opcode != CGN_MAP || !dataplane_find_filters(operator->dp, &part->key.internal, &filters))
		return;
	for (i = 0; i < filters.count && i < ANNOUNCER_FILTERS_MAX; i++) {
		update->filter[i] = (struct pcp_filter){ .prefix_length = filters.filter[i].prefix_length,
			.remote_port = filters.filter[i].remote_port };
		memcpy(update->filter[i].remote6, filters.filter[i].remote6, sizeof(update->filter[i].remote6));
		update->filter_count++;
	}
}

bool operator_tell_update(const struct operator *operator, const struct explicit_part *part)
{
	struct pcp_update update = { .opcode = part->key.opcode == CGN_MAP ? PCP_MAP : PCP_PEER, .client_port = part->value.client_port,
		.expires_s = part->value.expires_s };

	if (part->value.set_size > 1 && part->key.internal.port != part->value.set_first)
		return true;
	update.set_first = part->value.set_first;
	update.set_size = part->value.set_size;
	pcp_address_from_ipv4(part->key.internal.addr4, update.internal6);
	pcp_address_from_ipv4(part->value.client4, update.client6);
	memcpy(update.peer.map.nonce, part->value.nonce, sizeof(update.peer.map.nonce));
	update.peer.map.protocol = part->key.internal.protocol;
	update.peer.map.internal_port = part->key.internal.port;
	update.peer.map.external_port = part->external.port;
	pcp_address_from_ipv4(part->external.addr4, update.peer.map.external6);
	update.peer.remote_port = part->value.remote_port;
	pcp_address_from_ipv4(part->value.remote4, update.peer.remote6);
	add_filters(operator, part, &update);
	return announce_update(operator->announce, &update);
}

static int compare_clients(const void *a, const void *b)
{
	const struct explicit_part *x = *(const struct explicit_part *const *)a, *y = *(const struct explicit_part *const *)b;
	int order = memcmp(x->value.client4, y->value.client4, sizeof(x->value.client4));

	return order ? order : (x->value.client_port > y->value.client_port) - (x->value.client_port < y->value.client_port);
}

int operator_tell_loss(const struct operator *operator, const struct explicit_parts *lost)
{
	const struct explicit_part **sorted = calloc(lost->count + 1, sizeof(*sorted));
	const struct cgn_explicit *before = NULL, *value;
	uint8_t client6[16];
	int clients = 0;
	size_t i;

	for (i = 0; sorted && i < lost->count; i++)
		sorted[i] = &lost->part[i];
	if (!sorted)
		return -1;
	qsort(sorted, lost->count, sizeof(*sorted), compare_clients);
	for (i = 0; i < lost->count && clients >= 0; i++) {
		value = &sorted[i]->value;
		pcp_address_from_ipv4(value->client4, client6);
		if (!before || memcmp(before->client4, value->client4, sizeof(value->client4)))
			clients = announce_reset_of(operator->announce, client6, CGN_EPOCH_CLEARED) ? clients + 1 : -1;
		if (clients >= 0)
			notices_add(operator->notices, client6, value->client_port);
		before = value;
	}
	free(sorted);
	return clients;
}
