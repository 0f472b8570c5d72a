/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config_tree.h"

/* Its complaint comes as several lines: the first says what, the next one where. */
struct complaint {
	char what[200];
	size_t line;
};

static void hear_complaint(cyaml_log_t level, void *context, const char *format, va_list args)
{
	struct complaint *complaint = context;
	char text[200], *at;

	(void)level;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	if (!complaint->what[0])
		memcpy(complaint->what, text, sizeof(text));
	at = strstr(text, "(line: ");
	if (at && !complaint->line)
		complaint->line = strtoul(at + strlen("(line: "), NULL, 10);
}

static cyaml_config_t loader_config(struct complaint *complaint)
{
	return (cyaml_config_t){ .log_fn = hear_complaint, .log_ctx = complaint, .log_level = CYAML_LOG_ERROR,
				 .mem_fn = cyaml_mem, .flags = CYAML_CFG_NO_ALIAS };
}

/* What libcyaml still refuses is memory, or a check of its own that config_check_shape() lacks. */
void *config_tree_load(struct config_source *source, const cyaml_schema_value_t *schema)
{
	struct complaint complaint = { "", 0 };
	cyaml_config_t loader = loader_config(&complaint);
	cyaml_data_t *data = NULL;
	cyaml_err_t error = cyaml_load_data((const uint8_t *)source->text, source->length, &loader, schema, &data, NULL);

	if (error == CYAML_OK)
		return data;
	config_fail_line(source, complaint.line ? complaint.line : 1, "%s", complaint.what[0] ? complaint.what : cyaml_strerror(error));
	return NULL;
}

void config_tree_free(const cyaml_schema_value_t *schema, void *tree)
{
	struct complaint complaint = { "", 0 };
	cyaml_config_t loader = loader_config(&complaint);

	cyaml_free(&loader, schema, tree, 0);
}
