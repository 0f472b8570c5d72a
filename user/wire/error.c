/* SPDX-License-Identifier: GPL-2.0-only */
#include <stddef.h>
#include <string.h>
#include "error.h"
#include "pcp_proto.h"

#define CGN_ERROR_ROW(name, result, text) { name, result, text },
static const struct error_row {
	int error;
	int pcp_result;
	const char *text;
} rows[] = { CGN_ERRORS(CGN_ERROR_ROW) };

static const struct error_row *row_find(int error)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].error == error)
			return &rows[i];
	return NULL;
}

const char *cgn_error_text(int error)
{
	const struct error_row *row = row_find(error);
	const char *text = row ? row->text : NULL;

	if (!text && error > CGN_EBASE && error <= 0)
		text = error ? strerrordesc_np(-error) : "success";
	return text ? text : "unknown error";
}

int cgn_error_pcp_result(int error)
{
	const struct error_row *row = row_find(error);

	if (!error)
		return PCP_SUCCESS;
	return row ? row->pcp_result : PCP_NO_RESOURCES;
}
