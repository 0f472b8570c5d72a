/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared by the dataplane_*.c files only. */
#ifndef CGN_DATAPLANE_INTERNAL_H
#define CGN_DATAPLANE_INTERNAL_H
#include <stddef.h>
#include <stdint.h>
#include "dataplane.h"

struct bpf_object;

enum dataplane_program { DP_CONTROL_MAP, DP_CONTROL_PEER, DP_CONTROL_SET, DP_CONTROL_DELETE, DP_CONTROL_REAP, DP_CONTROL_RELEASE, DP_CONTROL_LIST,
	DP_CONTROL_CLOCK, DP_CONTROL_DESCRIBE, DP_CONTROL_PAIR, DP_CONTROL_CLEAR, DP_CONTROL_MOVE, DP_CONTROL_OWN, DP_CONTROL_DRAIN,
	DP_CONTROL_REROUTE, DP_CONTROL_POOL, DP_RELEASE, DP_PROGRAM_COUNT };

struct dataplane {
	char pin_dir[192];
	int map[DP_MAP_COUNT];
	int templates;			/* map of new subscribers, written with the settings */
	int program[DP_PROGRAM_COUNT];	/* -1 in the tools' read-only view */
	int packet_program[2];		/* by cgn_side: loaded over the maps of another build, -1 if they were not; until dataplane_upgrade() */
	uint64_t build;			/* of the BPF object embedded here: a hash of it, never 0 */
	void *slots, *blocks, *pools, *batch;
	uint32_t slot_count, block_count, pool_count;
	uint32_t cpus;
};

extern const char *const dataplane_map_names[DP_MAP_COUNT];
extern const char *const dataplane_program_names[DP_PROGRAM_COUNT];

/* Fills error and returns false, so that callers can `return dataplane_fail(...)`. */
bool dataplane_fail(struct dataplane_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- dataplane_pins.c ---- */
/* bpffs at or above pin_dir, mounted if it is /sys/fs/bpf and missing; pin_dir and its programs/ made, 0700. */
bool dataplane_prepare_pin_dir(const char *pin_dir, struct dataplane_error *error);
void dataplane_pin_path(const char *pin_dir, const char *name, char *ret_path, size_t size);
void dataplane_program_path(const char *pin_dir, const char *name, char *ret_path, size_t size);
/* An fd, or -errno. */
int dataplane_open_pin(const char *pin_dir, const char *name);
/* 0; -EBADMSG: a layout of another size, of which only ret_meta->layout was read; or -errno. */
int dataplane_read_meta(int fd, struct cgn_meta *ret_meta);
/* Removes our pins and the folder; what is not ours stays, and then so does the folder. */
void dataplane_remove_pins(const char *pin_dir);

/* ---- dataplane_attach.c ---- */
/* Does one of our packet programs, wherever it is attached, use this map? In any network namespace. */
bool dataplane_is_in_use(int mappings);
/* What is attached nowhere ends with it. */
void dataplane_drop_packet_programs(struct dataplane *dp);

/* ---- dataplane_migrate.c ---- */
/* May maps of this layout version be adopted? */
bool dataplane_layout_is_known(uint32_t layout);
/* Has an opened object take over the maps below pin_dir. Those that may be empty will be made by its load if they do not fit, are missing
 * or of another layout version; of others it is DATAPLANE_STATE, with the reason. */
bool dataplane_reuse_maps(struct bpf_object *object, const char *pin_dir, bool same_layout, struct dataplane_error *error);
/* After the load: pins those that were made, each in the place of the one before. */
bool dataplane_pin_new_maps(struct bpf_object *object, const char *pin_dir, struct dataplane_error *error);

/* ---- dataplane_control.c ---- */
int dataplane_pool(struct dataplane *dp, struct cgn_pool_request *request);

/* ---- dataplane_pools.c ---- */
/* Tells packets the addresses of the table as it stands, but for those entries that `without` marks (NULL: none), and whose ports are
 * computed by `config` (NULL: as before). When it returns, no program runs that knows others. */
bool dataplane_publish_pools(struct dataplane *dp, const struct config *config, const bool *without, struct dataplane_error *error);
void dataplane_count_pools(const struct config *config, struct cgn_meta *meta);

/* ---- dataplane.c ---- */
/* The BPF object, opened, not loaded, with every map that is pinned below pin_dir reused and the clock set; only
 * `program` (or all, if NULL) will be loaded. The caller closes it with dataplane_object_close(). */
struct bpf_object *dataplane_object_open(const char *pin_dir, const char *program, void **ret_skeleton,
					 struct dataplane_error *error);
void dataplane_object_close(void *skeleton);

#endif
