/* SPDX-License-Identifier: GPL-2.0-only */
#include "xcgnctl.h"

static const struct column columns[] = {
	{ "VERDICT", "verdict", -20, false }, { "PACKETS", "packets", 14, false }, { "BYTES", "bytes", 18, false },
	{ "MEANING", "text", -1, false }, {}
};

int xcgnctl_show_stats(struct xcgnctl *ctl)
{
	struct output output = { .is_json = ctl->is_json, .columns = columns };
	struct cgn_count counts[CGN_VERDICT_COUNT];
	enum cgn_verdict verdict;

	if (!dataplane_read_stats(ctl->dp, counts))
		return xcgnctl_fail(&(struct dataplane_error){ EXIT_KERNEL, "stats: cannot read the pinned map" });
	for (verdict = 0; verdict < CGN_VERDICT_COUNT; verdict++)
		if (!output_record(&output, json_pack("{s:s, s:I, s:I, s:s}", "verdict", cgn_verdict_name(verdict),
						      "packets", (json_int_t)counts[verdict].packets,
						      "bytes", (json_int_t)counts[verdict].bytes,
						      "text", cgn_verdict_text(verdict))))
			return EXIT_KERNEL;
	return output_finish(&output);
}
