/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdio.h>
#include "pcp_proto.h"

const char *pcp_result_name(int result)
{
	static char unknown[24];

	switch (result) {
#define PCP_RESULT_CASE(name, number) case number: return #name;
	PCP_RESULTS(PCP_RESULT_CASE)
	default:
		snprintf(unknown, sizeof(unknown), "RESULT_%d", result);
		return unknown;
	}
}
