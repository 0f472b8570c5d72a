/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "config_source.h"

struct config_place config_at(const char *format, ...)
{
	struct config_place place;
	va_list args;

	va_start(args, format);
	vsnprintf(place.path, sizeof(place.path), format, args);
	va_end(args);
	return place;
}

/* ---- errors ---- */

/* An error is one line, whatever the file's text smuggles into it. */
static void flatten(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static bool fail_at(struct config_source *source, size_t line, const char *name, const char *format, va_list args)
{
	char what[512];

	vsnprintf(what, sizeof(what), format, args);
	if (line)
		snprintf(source->error, source->error_size, "%s:%zu: %s%s%s", source->path, line, name, *name ? ": " : "", what);
	else
		snprintf(source->error, source->error_size, "%s: %s", source->path, what);
	flatten(source->error);
	return false;
}

bool config_fail_line(struct config_source *source, size_t line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail_at(source, line, "", format, args);
	va_end(args);
	return false;
}

size_t config_node_line(const yaml_node_t *node)
{
	return node->start_mark.line + 1;
}

/* ---- places ---- */

static yaml_node_t *child_by_key(struct config_source *source, const yaml_node_t *node, const char *key, size_t length)
{
	yaml_node_pair_t *pair;

	if (node->type != YAML_MAPPING_NODE)
		return NULL;
	for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *name = yaml_document_get_node(&source->document, pair->key);

		if (name->type == YAML_SCALAR_NODE && name->data.scalar.length == length &&
		    !memcmp(name->data.scalar.value, key, length))
			return yaml_document_get_node(&source->document, pair->value);
	}
	return NULL;
}

static yaml_node_t *child_by_index(struct config_source *source, const yaml_node_t *node, unsigned long index)
{
	if (node->type != YAML_SEQUENCE_NODE ||
	    index >= (size_t)(node->data.sequence.items.top - node->data.sequence.items.start))
		return NULL;
	return yaml_document_get_node(&source->document, node->data.sequence.items.start[index]);
}

/* Goes down as far as the file has it; *ret_rest is what is left of the path. */
static yaml_node_t *descend(struct config_source *source, const char *path, const char **ret_rest)
{
	yaml_node_t *node = yaml_document_get_root_node(&source->document), *child;

	while (*path) {
		const char *end;

		if (*path == '[') {
			child = child_by_index(source, node, strtoul(path + 1, NULL, 10));
			end = path + strcspn(path, "]") + 1;
		} else {
			end = path + strcspn(path, ".[");
			child = child_by_key(source, node, path, (size_t)(end - path));
		}
		if (!child)
			break;
		node = child;
		path = end + (*end == '.');
	}
	*ret_rest = path;
	return node;
}

yaml_node_t *config_node(struct config_source *source, struct config_place place)
{
	const char *rest;
	yaml_node_t *node = descend(source, place.path, &rest);

	return *rest ? NULL : node;
}

bool config_fail(struct config_source *source, struct config_place place, const char *format, ...)
{
	const char *rest;
	va_list args;

	va_start(args, format);
	fail_at(source, config_node_line(descend(source, place.path, &rest)), place.path, format, args);
	va_end(args);
	return false;
}

/* ---- reading ---- */

static bool read_descriptor(struct config_source *source, int fd)
{
	struct stat status;
	ssize_t got;

	if (fstat(fd, &status))
		return config_fail_line(source, 0, "cannot read: %s", strerror(errno));
	if (S_ISDIR(status.st_mode))
		return config_fail_line(source, 0, "is a directory; give the configuration file itself");
	source->text = malloc(CONFIG_BYTES_MAX + 1);
	if (!source->text)
		return config_fail_line(source, 0, "out of memory");
	do {
		got = read(fd, source->text + source->length, CONFIG_BYTES_MAX + 1 - source->length);
		if (got > 0)
			source->length += (size_t)got;
	} while ((got > 0 && source->length <= CONFIG_BYTES_MAX) || (got < 0 && errno == EINTR));
	if (got < 0)
		return config_fail_line(source, 0, "cannot read: %s", strerror(errno));
	if (source->length > CONFIG_BYTES_MAX)
		return config_fail_line(source, 0, "larger than %u bytes; that is no configuration file", CONFIG_BYTES_MAX);
	return true;
}

static bool read_text(struct config_source *source)
{
	int fd = open(source->path, O_RDONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return config_fail_line(source, 0, "cannot open: %s", strerror(errno));
	ok = read_descriptor(source, fd);
	close(fd);
	return ok;
}

/* ---- parsing ---- */

static bool open_parser(struct config_source *source, yaml_parser_t *parser)
{
	if (!yaml_parser_initialize(parser))
		return config_fail_line(source, 0, "out of memory");
	yaml_parser_set_input_string(parser, (const unsigned char *)source->text, source->length);
	return true;
}

static bool fail_parser(struct config_source *source, const yaml_parser_t *parser)
{
	size_t line = parser->problem_mark.line + 1, i;
	const char *context = parser->context ? parser->context : "";

	if (parser->error == YAML_MEMORY_ERROR)
		return config_fail_line(source, 0, "out of memory");
	if (parser->error == YAML_READER_ERROR) {	/* knows an offset only */
		for (line = 1, i = 0; i < parser->problem_offset && i < source->length; i++)
			line += source->text[i] == '\n';
		return config_fail_line(source, line, "%s; the file must be UTF-8 text", parser->problem);
	}
	return config_fail_line(source, line, "not YAML: %s%s%s", context, *context ? ": " : "", parser->problem);
}

static bool check_node_event(struct config_source *source, size_t line, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		return config_fail_line(source, line, "anchor &" CONFIG_SHOWN "; write the value out where it is needed", anchor);
	if (tag)
		return config_fail_line(source, line, "tag " CONFIG_SHOWN "; leave it out", tag);
	return true;
}

/* What YAML allows and no configuration needs is refused before a tree is built from it. */
static bool check_event(struct config_source *source, const yaml_event_t *event, unsigned *documents, unsigned *depth)
{
	size_t line = event->start_mark.line + 1;

	switch (event->type) {
	case YAML_STREAM_START_EVENT:
		if (event->data.stream_start.encoding != YAML_UTF8_ENCODING)
			return config_fail_line(source, line, "UTF-16 text; the file must be UTF-8 text");
		return true;
	case YAML_DOCUMENT_START_EVENT:
		if (++*documents > 1)
			return config_fail_line(source, line, "a second document begins; one file holds one configuration");
		return true;
	case YAML_ALIAS_EVENT:
		return config_fail_line(source, line, "alias *" CONFIG_SHOWN "; write the value out",
					event->data.alias.anchor);
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		if (++*depth > CONFIG_DEPTH_MAX)
			return config_fail_line(source, line, "nested deeper than %u levels; no key needs that", CONFIG_DEPTH_MAX);
		if (event->type == YAML_SEQUENCE_START_EVENT)
			return check_node_event(source, line, event->data.sequence_start.anchor, event->data.sequence_start.tag);
		return check_node_event(source, line, event->data.mapping_start.anchor, event->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		--*depth;
		return true;
	case YAML_SCALAR_EVENT:
		if (memchr(event->data.scalar.value, '\0', event->data.scalar.length))
			return config_fail_line(source, line, "a NUL character inside a value; leave it out");
		return check_node_event(source, line, event->data.scalar.anchor, event->data.scalar.tag);
	default:
		return true;
	}
}

static bool check_events(struct config_source *source)
{
	unsigned documents = 0, depth = 0;
	yaml_parser_t parser;
	yaml_event_t event;
	bool ok, done = false;

	if (!open_parser(source, &parser))
		return false;
	do {
		if (!yaml_parser_parse(&parser, &event)) {
			ok = fail_parser(source, &parser);
		} else {
			ok = check_event(source, &event, &documents, &depth);
			done = event.type == YAML_STREAM_END_EVENT;
			yaml_event_delete(&event);
		}
	} while (ok && !done);
	yaml_parser_delete(&parser);
	if (ok && !documents)
		return config_fail_line(source, 1, "empty; %s at least are needed", source->needed);
	return ok;
}

static bool load_document(struct config_source *source)
{
	yaml_parser_t parser;
	bool ok;

	if (!open_parser(source, &parser))
		return false;
	ok = yaml_parser_load(&parser, &source->document);
	source->has_document = ok;
	if (!ok)
		fail_parser(source, &parser);
	yaml_parser_delete(&parser);
	return ok;
}

bool config_source_read(struct config_source *source)
{
	return read_text(source) && check_events(source) && load_document(source);
}

void config_source_done(struct config_source *source)
{
	if (source->has_document)
		yaml_document_delete(&source->document);
	free(source->text);
}
