/* SPDX-License-Identifier: GPL-2.0-only */
/* Keys that the file format has and this version does not honour yet: refused, never ignored.
 * A feature that arrives deletes its row. */
#include <string.h>
#include "config_file.h"

static const struct missing_feature {
	const char *place;
	const char *value;		/* that needs the feature; NULL: any but an empty list */
	const char *instead;
} missing[] = {
	{ "filtering", "address-dependent", "leave it out, or endpoint-independent" },
};

static bool is_value(const yaml_node_t *node, const char *value)
{
	return node->type == YAML_SCALAR_NODE && !strcmp((const char *)node->data.scalar.value, value);
}

static bool needs_feature(struct config_source *source, const yaml_node_t *node, const char *value)
{
	const yaml_node_item_t *item;

	if (node->type != YAML_SEQUENCE_NODE)
		return !value || is_value(node, value);
	for (item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++)
		if (!value || is_value(yaml_document_get_node(&source->document, *item), value))
			return true;
	return false;
}

bool config_check_features(struct config_source *source)
{
	size_t i;

	for (i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		const struct missing_feature *feature = &missing[i];
		const yaml_node_t *node = config_node(source, config_at("%s", feature->place));

		if (node && needs_feature(source, node, feature->value))
			return config_fail(source, config_at("%s", feature->place), "%s%snot in this version; right is: %s",
					   feature->value ? feature->value : "", feature->value ? " is " : "", feature->instead);
	}
	return true;
}
