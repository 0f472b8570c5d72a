/* SPDX-License-Identifier: GPL-2.0-only */
/* The configuration as written in the file, before its texts are understood, and what stands between it and struct config. */
#ifndef CGN_CONFIG_FILE_H
#define CGN_CONFIG_FILE_H
#include "config.h"
#include "config_tree.h"

struct config_file_pool {
	char *name, *ports;		/* NULL: not given */
	char **addresses;
	unsigned addresses_count;
	uint32_t block_size;
	int allocation;			/* 1: deterministic */
	char **subscribers;
	unsigned subscribers_count;
	uint32_t blocks, dynamic;
};

struct config_file_override {
	char *prefix;
	uint32_t blocks, explicit_limit, reserve;
};

struct config_file_static {
	uint8_t protocol;
	char *internal, *external;
};

struct config_file_third_party {
	char *from, **targets;
	unsigned targets_count;
};

enum config_opcode {
	CONFIG_ANNOUNCE = 1 << 0,
	CONFIG_MAP = 1 << 1,
	CONFIG_PEER = 1 << 2,
	CONFIG_GET = 1 << 3,
};

struct config_file {
	struct config config;		/* what libcyaml fills in as it stands: numbers, choices, names, paths */
	struct config_file_pool *pools;
	unsigned pools_count;
	char **prefixes;
	unsigned prefixes_count;
	struct config_file_override *overrides;
	unsigned overrides_count;
	struct config_file_static *statics;
	unsigned statics_count;
	char **listen;
	unsigned listen_count;
	struct config_file_third_party *third_party;
	unsigned third_party_count;
	uint32_t opcodes;		/* config_opcode */
};

extern const cyaml_schema_value_t config_schema;

/* Each understands and checks one part of the file. On failure `config` is half filled, for config_free(). */
bool config_build_numbers(struct config_source *source, struct config *config);
bool config_build_interfaces(struct config_source *source, struct config *config);
bool config_build_pools(struct config_source *source, const struct config_file *file, struct config *config);
bool config_build_subscribers(struct config_source *source, const struct config_file *file, struct config *config);
bool config_build_deterministic(struct config_source *source, const struct config_file *file, struct config *config);
bool config_build_statics(struct config_source *source, const struct config_file *file, struct config *config);
bool config_build_pcp(struct config_source *source, const struct config_file *file, struct config *config);
bool config_build_third_party(struct config_source *source, const struct config_file *file, struct config *config);
bool config_build_paths(struct config_source *source, struct config *config);
bool config_build_log(struct config_source *source, struct config *config);

/* One prefix of unicast addresses without host bits. */
bool config_build_prefix(struct config_source *source, struct config_place place, const char *text, struct config_prefix4 *ret_prefix);
bool config_check_range(struct config_source *source, struct config_place place, uint32_t value, uint32_t least, uint32_t most);
/* A zeroed array; count may be 0. NULL (and the error written): out of memory. */
void *config_array(struct config_source *source, unsigned count, size_t size);
/* The n-th number below what an RFC asks for. */
bool config_number_warning(const struct config *config, unsigned n, char *text, size_t text_size);

#endif
