/* SPDX-License-Identifier: GPL-2.0-only */
/* xcgn_invariants PIN_DIR: checks pinned tables at rest. Exit: 0 all holds, 1 something is broken (said line by line), 2 usage,
 * or the tables cannot be read. */
#include <stdio.h>
#include "dataplane.h"
#include "invariants.h"

int main(int argc, char **argv)
{
	struct dataplane_error error;
	struct invariants found;
	struct dataplane *dp;
	bool holds;

	if (argc != 2) {
		fprintf(stderr, "usage: %s PIN_DIR\n", argv[0]);
		return 2;
	}
	dp = dataplane_open_existing(argv[1], &error);
	if (!dp) {
		fprintf(stderr, "%s\n", error.text);
		return 2;
	}
	holds = invariants_check(dp, stdout, &found);
	printf("%u mappings, %u explicit ones, %u subscribers, %u blocks: %u broken\n", found.mappings, found.explicit_mappings,
	       found.subscribers, found.blocks, found.broken);
	dataplane_close(dp);
	return holds ? 0 : 1;
}
