/* SPDX-License-Identifier: GPL-2.0-only */
/* A configuration file as structs, by a schema of libcyaml, with errors that name a line and what would be right. */
#ifndef CGN_CONFIG_TREE_H
#define CGN_CONFIG_TREE_H
#include <cyaml/cyaml.h>
#include "config_source.h"

/* Does the document have the schema's shape: known keys, each once, the required ones there, values of the right type? */
bool config_check_shape(struct config_source *source, const cyaml_schema_value_t *schema);
/* What the schema describes, of a document that config_check_shape() passed; NULL with the error. */
void *config_tree_load(struct config_source *source, const cyaml_schema_value_t *schema);
void config_tree_free(const cyaml_schema_value_t *schema, void *tree);

#endif
