/* SPDX-License-Identifier: GPL-2.0-only */
/* The document against the schema. libcyaml checks too, but takes "-1", 010 or any word for a boolean, and cannot tell what
 * would be right. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config_tree.h"

static bool check_value(struct config_source *source, const yaml_node_t *node, const cyaml_schema_value_t *schema,
			struct config_place place);

/* ---- what would be right ---- */

struct expectation { char text[256]; };

static void add(struct expectation *expected, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct expectation *expected, const char *format, ...)
{
	size_t used = strlen(expected->text);
	va_list args;

	va_start(args, format);
	vsnprintf(expected->text + used, sizeof(expected->text) - used, format, args);
	va_end(args);
}

static void add_keys(struct expectation *expected, const cyaml_schema_field_t *field)
{
	for (; field->key; field++)
		add(expected, "%s%s", field->key, field[1].key ? ", " : "");
}

static void add_choices(struct expectation *expected, const cyaml_schema_value_t *schema)
{
	uint32_t i;

	for (i = 0; i < schema->enumeration.count; i++)
		add(expected, "%s%s", i ? ", " : "", schema->enumeration.strings[i].str);
}

static struct expectation expect(const cyaml_schema_value_t *schema)
{
	struct expectation expected = { "" };

	switch (schema->type) {
	case CYAML_UINT:
		add(&expected, "a whole number");
		break;
	case CYAML_BOOL:
		add(&expected, "true or false");
		break;
	case CYAML_ENUM:
		add(&expected, "one of ");
		add_choices(&expected, schema);
		break;
	case CYAML_FLAGS:
		add(&expected, "a list of ");
		add_choices(&expected, schema);
		break;
	case CYAML_MAPPING:
		add(&expected, "the keys ");
		add_keys(&expected, schema->mapping.fields);
		break;
	case CYAML_SEQUENCE:
		add(&expected, "a list; each entry is ");
		add(&expected, "%s", expect(schema->sequence.entry).text);
		break;
	default:
		add(&expected, "one text");
	}
	return expected;
}

static bool fail_type(struct config_source *source, const yaml_node_t *node, const cyaml_schema_value_t *schema,
		      struct config_place place)
{
	struct expectation right = expect(schema);
	const char *expected = right.text;

	if (node->type == YAML_SEQUENCE_NODE)
		return config_fail(source, place, "a list is given; right is %s", expected);
	if (node->type == YAML_MAPPING_NODE)
		return config_fail(source, place, "keys are given; right is %s", expected);
	if (!node->data.scalar.length)
		return config_fail(source, place, "no value is given; right is %s", expected);
	return config_fail(source, place, "\"" CONFIG_SHOWN "\" is given; right is %s", (const char *)node->data.scalar.value, expected);
}

/* ---- values ---- */

/* Decimal and nothing else: what looks like a number of another base, or a text, is not guessed at. */
static bool is_number(const yaml_node_t *node)
{
	const char *text = (const char *)node->data.scalar.value;
	size_t length = node->data.scalar.length, i;

	if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || !length || (length > 1 && text[0] == '0'))
		return false;
	for (i = 0; i < length; i++)
		if (!isdigit((unsigned char)text[i]))
			return false;
	return true;
}

static bool number_fits(const yaml_node_t *node)
{
	return node->data.scalar.length <= 10 && strtoull((const char *)node->data.scalar.value, NULL, 10) <= UINT32_MAX;
}

static bool is_choice(const yaml_node_t *node, const cyaml_schema_value_t *schema)
{
	uint32_t i;

	for (i = 0; i < schema->enumeration.count; i++)
		if (!strcmp((const char *)node->data.scalar.value, schema->enumeration.strings[i].str))
			return true;
	return false;
}

static bool is_boolean(const yaml_node_t *node)
{
	const char *text = (const char *)node->data.scalar.value;

	return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && (!strcmp(text, "true") || !strcmp(text, "false"));
}

static bool check_scalar(struct config_source *source, const yaml_node_t *node, const cyaml_schema_value_t *schema,
			 struct config_place place)
{
	bool ok = node->type == YAML_SCALAR_NODE && node->data.scalar.length;

	if (ok && schema->type == CYAML_UINT) {
		ok = is_number(node);
		if (ok && !number_fits(node))
			return config_fail(source, place, CONFIG_SHOWN " is too big; right is a number below 2^32",
					   (const char *)node->data.scalar.value);
	} else if (ok && schema->type == CYAML_BOOL) {
		ok = is_boolean(node);
	} else if (ok && schema->type == CYAML_ENUM) {
		ok = is_choice(node, schema);
	}
	return ok || fail_type(source, node, schema, place);
}

/* ---- lists ---- */

static const yaml_node_t *item_at(struct config_source *source, const yaml_node_t *node, unsigned i)
{
	return yaml_document_get_node(&source->document, node->data.sequence.items.start[i]);
}

static unsigned item_count(const yaml_node_t *node)
{
	return (unsigned)(node->data.sequence.items.top - node->data.sequence.items.start);
}

static bool check_list(struct config_source *source, const yaml_node_t *node, const cyaml_schema_value_t *schema,
		       struct config_place place)
{
	unsigned count, i;

	if (node->type != YAML_SEQUENCE_NODE)
		return fail_type(source, node, schema, place);
	count = item_count(node);
	if (count < schema->sequence.min || count > schema->sequence.max)
		return config_fail(source, place, "%u entries; right are %u to %u", count, schema->sequence.min, schema->sequence.max);
	for (i = 0; i < count; i++)
		if (!check_value(source, item_at(source, node, i), schema->sequence.entry, config_at("%s[%u]", place.path, i)))
			return false;
	return true;
}

/* A list of distinct words. */
static bool check_flags(struct config_source *source, const yaml_node_t *node, const cyaml_schema_value_t *schema,
			struct config_place place)
{
	unsigned i, j;

	if (node->type != YAML_SEQUENCE_NODE || !item_count(node))
		return fail_type(source, node, schema, place);
	for (i = 0; i < item_count(node); i++) {
		const yaml_node_t *item = item_at(source, node, i);

		if (item->type != YAML_SCALAR_NODE || !is_choice(item, schema))
			return fail_type(source, item, schema, config_at("%s[%u]", place.path, i));
		for (j = 0; j < i; j++)
			if (!strcmp((const char *)item->data.scalar.value, (const char *)item_at(source, node, j)->data.scalar.value))
				return config_fail(source, config_at("%s[%u]", place.path, i), "%s is given twice; once is right",
						   (const char *)item->data.scalar.value);
	}
	return true;
}

/* ---- keys ---- */

static struct config_place place_below(struct config_place place, const char *key)
{
	return config_at("%s%s" CONFIG_SHOWN, place.path, *place.path ? "." : "", key);
}

static const cyaml_schema_field_t *find_field(const cyaml_schema_field_t *field, const char *key)
{
	for (; field->key; field++)
		if (!strcmp(field->key, key))
			return field;
	return NULL;
}

static bool fail_key(struct config_source *source, const yaml_node_t *key, const cyaml_schema_value_t *schema,
		     struct config_place place)
{
	struct expectation known = { "" };

	add_keys(&known, schema->mapping.fields);
	if (key->type != YAML_SCALAR_NODE)
		return config_fail_line(source, config_node_line(key), "%s: a list or keys where a key is needed; known here: %s",
					*place.path ? place.path : "file", known.text);
	place = place_below(place, (const char *)key->data.scalar.value);
	return config_fail_line(source, config_node_line(key), "%s: unknown key; known here: %s", place.path, known.text);
}

/* `seen` has the key node of every field found, in the order of the schema. */
static bool check_pair(struct config_source *source, const yaml_node_pair_t *pair, const cyaml_schema_value_t *schema,
		       struct config_place place, const yaml_node_t *seen[])
{
	const yaml_node_t *key = yaml_document_get_node(&source->document, pair->key);
	const cyaml_schema_field_t *field = NULL;

	if (key->type == YAML_SCALAR_NODE)
		field = find_field(schema->mapping.fields, (const char *)key->data.scalar.value);
	if (!field)
		return fail_key(source, key, schema, place);
	place = place_below(place, field->key);
	if (seen[field - schema->mapping.fields])
		return config_fail_line(source, config_node_line(key), "%s: given twice, first in line %zu; once is right", place.path,
					config_node_line(seen[field - schema->mapping.fields]));
	seen[field - schema->mapping.fields] = key;
	return check_value(source, yaml_document_get_node(&source->document, pair->value), &field->value, place);
}

#define KEYS_MAX 32	/* keys of one mapping of the schema */

static bool check_mapping(struct config_source *source, const yaml_node_t *node, const cyaml_schema_value_t *schema,
			  struct config_place place)
{
	const yaml_node_t *seen[KEYS_MAX] = {};
	const yaml_node_pair_t *pair;
	unsigned i;

	if (node->type != YAML_MAPPING_NODE)
		return fail_type(source, node, schema, place);
	for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++)
		if (!check_pair(source, pair, schema, place, seen))
			return false;
	for (i = 0; schema->mapping.fields[i].key; i++) {
		const cyaml_schema_field_t *field = &schema->mapping.fields[i];

		if (!seen[i] && !(field->value.flags & CYAML_FLAG_OPTIONAL))
			return config_fail(source, place_below(place, field->key), "missing; right is %s", expect(&field->value).text);
	}
	return true;
}

static bool check_value(struct config_source *source, const yaml_node_t *node, const cyaml_schema_value_t *schema,
			struct config_place place)
{
	switch (schema->type) {
	case CYAML_MAPPING:
		return check_mapping(source, node, schema, place);
	case CYAML_SEQUENCE:
		return check_list(source, node, schema, place);
	case CYAML_FLAGS:
		return check_flags(source, node, schema, place);
	case CYAML_IGNORE:
		return true;
	default:
		return check_scalar(source, node, schema, place);
	}
}

bool config_check_shape(struct config_source *source, const cyaml_schema_value_t *schema)
{
	return check_value(source, yaml_document_get_root_node(&source->document), schema, config_at("%s", ""));
}
