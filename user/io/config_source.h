/* SPDX-License-Identifier: GPL-2.0-only */
/* The text of a configuration file as a tree of YAML nodes, and errors that name the line of a node.
 * A place in the file is written as people would: "pools[0].addresses[2]", "pcp.lifetime.min". */
#ifndef CGN_CONFIG_SOURCE_H
#define CGN_CONFIG_SOURCE_H
#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

#define CONFIG_BYTES_MAX	(1u << 20)
#define CONFIG_DEPTH_MAX	8	/* the deepest legal value stands on level 4 */
#define CONFIG_SHOWN		"%.60s"	/* text of the file inside an error */

struct config_source {
	const char *path;
	const char *needed;		/* what a file has to give at least, for the error about an empty one */
	char *error;			/* the caller's, of error_size bytes */
	size_t error_size;
	char *text;
	size_t length;
	yaml_document_t document;
	bool has_document;
};

struct config_place { char path[128]; };

struct config_place config_at(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reads the file and parses it as one UTF-8 YAML document without anchors, aliases and tags. */
bool config_source_read(struct config_source *source);
void config_source_done(struct config_source *source);

/* The node at a place, or NULL if the file does not give it. */
yaml_node_t *config_node(struct config_source *source, struct config_place place);

/* Writes the error and returns false. The line is that of the place, or of the nearest thing around it that the file gives. */
bool config_fail(struct config_source *source, struct config_place place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Lines count from 1; 0: the error is about the whole file. */
bool config_fail_line(struct config_source *source, size_t line, const char *format, ...) __attribute__((format(printf, 3, 4)));
size_t config_node_line(const yaml_node_t *node);

#endif
