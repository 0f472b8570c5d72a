/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "announce.h"
#include "control.h"
#include "dataplane.h"
#include "explicit_parts.h"
#include "log.h"
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

static int compare_clients(const void *a, const void *b)
{
	const struct explicit_part *x = *(const struct explicit_part *const *)a, *y = *(const struct explicit_part *const *)b;
	int order = memcmp(x->value.client6, y->value.client6, sizeof(x->value.client6));

	return order ? order : (x->value.client_port > y->value.client_port) - (x->value.client_port < y->value.client_port);
}

int operator_tell_loss(const struct operator *operator, const struct explicit_parts *lost)
{
	const struct explicit_part **sorted = calloc(lost->count + 1, sizeof(*sorted));
	const struct cgn_explicit *before = NULL, *value;
	int clients = 0;
	size_t i;

	for (i = 0; sorted && i < lost->count; i++)
		sorted[i] = &lost->part[i];
	if (!sorted)
		return -1;
	qsort(sorted, lost->count, sizeof(*sorted), compare_clients);
	for (i = 0; i < lost->count && clients >= 0; i++) {
		value = &sorted[i]->value;
		if (!before || memcmp(before->client6, value->client6, sizeof(value->client6)))
			clients = announce_reset_of(operator->announce, value->client6, CGN_EPOCH_CLEARED) ? clients + 1 : -1;
		if (clients >= 0)
			notices_add(operator->notices, value->client6, value->client_port);
		before = value;
	}
	free(sorted);
	return clients;
}
