/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared by the dataplane_*.c files only. */
#ifndef CGN_DATAPLANE_INTERNAL_H
#define CGN_DATAPLANE_INTERNAL_H
#include <stddef.h>
#include <stdint.h>
#include "dataplane.h"

struct bpf_object;
struct config_interface;

enum dataplane_program { DP_CONTROL_MAP, DP_CONTROL_PEER, DP_CONTROL_SET, DP_CONTROL_DELETE, DP_CONTROL_REAP, DP_CONTROL_RELEASE, DP_CONTROL_LIST,
	DP_CONTROL_CLOCK, DP_CONTROL_DESCRIBE, DP_CONTROL_PAIR, DP_CONTROL_CLEAR, DP_CONTROL_MOVE, DP_CONTROL_OWN, DP_CONTROL_DRAIN,
	DP_CONTROL_REROUTE, DP_CONTROL_POOL, DP_RELEASE, DP_PROGRAM_COUNT };

struct dataplane {
	char pin_dir[192];
	int map[DP_MAP_COUNT];
	int templates;			/* map of new subscribers, written with the settings */
	int program[DP_PROGRAM_COUNT];	/* -1 in the tools' read-only view */
	int packet_program[3];		/* by cgn_side, cgn_both() under CGN_EITHER_SIDE: loaded over the maps of another build, -1 if they were not; until dataplane_upgrade() */
	uint64_t build;			/* of the BPF object embedded here: a hash of it, never 0 */
	void *slots, *blocks, *pools, *batch;
	struct cgn_map_request *requests;
	uint32_t regions;		/* of `requests`: a bit for each that a thread has */
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
/* Does one of our packet programs still use the map of that pin? */
bool dataplane_is_pin_in_use(const char *pin_dir, const char *name);
/* Removes our pins and the folder; what is not ours stays, and then so does the folder. */
void dataplane_remove_pins(const char *pin_dir);

/* ---- dataplane_links.c ---- */
struct dataplane_place {	/* of an interface of the configuration, in this network namespace */
	uint32_t ifindex, side;
	uint32_t nic;			/* its own ifindex, or that of what bears it */
	char nic_name[16];
	uint16_t tags[2];		/* as in struct cgn_link_key */
};
struct dataplane_link_maps { int interfaces, links, tx_ports; };

/* By `link` and `vlans`, or by what the kernel says of VLAN devices. */
bool dataplane_place(const struct config_interface *interface, struct dataplane_place *ret_place, struct dataplane_error *error);
/* Which program a NIC needs: of a side, or cgn_both() (CGN_EITHER_SIDE) where its interfaces are not all of one. */
uint32_t dataplane_program_side(const struct config *config, uint32_t nic);
struct dataplane_link_maps dataplane_link_maps(const struct dataplane *dp);	/* borrowed */
bool dataplane_link_maps_open(const char *pin_dir, struct dataplane_link_maps *ret_maps);
void dataplane_link_maps_close(struct dataplane_link_maps *maps);
/* What comes by it is of its side from now on, and packets of that side may leave by it. False: errno. */
bool dataplane_enter_link(const struct dataplane_link_maps *maps, const struct dataplane_place *place);
/* *ret_ifindex (may be NULL): of the device that it was entered for. */
bool dataplane_link_is_entered(const struct dataplane_link_maps *maps, const struct dataplane_place *place, uint32_t *ret_ifindex);
void dataplane_forget_link(const struct dataplane_link_maps *maps, uint32_t ifindex, uint32_t nic);
/* Interfaces that are gone: the kernel took their NICs out of `tx_ports` itself. */
void dataplane_forget_gone(const struct dataplane_link_maps *maps);
/* Is an interface that is there, and not the kernel's, entered on this NIC, beside `except` (0: none)? */
bool dataplane_nic_is_used(const struct dataplane_link_maps *maps, uint32_t nic, uint32_t except);

/* ---- dataplane_attach.c ---- */
/* Does one of our packet programs, wherever it is attached, use this map? In any network namespace. */
bool dataplane_is_in_use(int mappings);
/* What is attached nowhere ends with it. */
void dataplane_drop_packet_programs(struct dataplane *dp);

/* ---- dataplane_migrate.c ---- */
/* May maps of this layout version be adopted? */
bool dataplane_layout_is_known(uint32_t layout);
/* Has an opened object take over the maps below pin_dir. Those that may be empty will be made by its load if they do not fit, are missing
 * or of another `layout` version, and so will those that can be converted, and `ports` of one whose slots differ; of others it is
 * DATAPLANE_STATE, with the reason. */
bool dataplane_reuse_maps(struct bpf_object *object, const char *pin_dir, uint32_t layout, struct dataplane_error *error);
/* After the load: pins those that were made, each in the place of the one before. */
bool dataplane_pin_new_maps(struct bpf_object *object, const char *pin_dir, struct dataplane_error *error);

/* ---- dataplane_convert.c ---- */
struct bpf_map_info;

bool dataplane_may_convert(const char *name, const struct bpf_map_info *pinned);
/* After the load, and before they are pinned: fills new maps with what those hold that they replace. */
bool dataplane_convert_maps(struct bpf_object *object, const char *pin_dir, struct dataplane_error *error);

/* ---- dataplane_slots.c ---- */
/* Are slots of this layout version others than ours? */
bool dataplane_slots_differ(uint32_t layout);
/* Before it is pinned: fills `ports` from that of a `layout` whose slots differ, which stays pinned under another name. */
bool dataplane_slots_fill(const char *pin_dir, uint32_t layout, int ports, struct dataplane_error *error);
/* Carries over what attached programs of that version entered since, if there are any. The last time, when all are replaced, ends it. */
void dataplane_slots_carry(const struct dataplane *dp, bool is_last);

/* ---- dataplane_control.c ---- */
int dataplane_pool(struct dataplane *dp, struct cgn_pool_request *request);

/* ---- dataplane_pools.c ---- */
/* When this returns, every program that ran when it was called has ended: they are read-side sections of RCU, for which this waits. */
void dataplane_wait_for_programs(void);
/* Tells packets the addresses of the table as it stands, but for those entries that `without` marks (NULL: none), and whose ports are
 * computed by `config` (NULL: as before). When it returns, no program runs that knows others. */
bool dataplane_publish_pools(struct dataplane *dp, const struct config *config, const bool *without, struct dataplane_error *error);
void dataplane_count_pools(const struct config *config, struct cgn_meta *meta);

/* ---- dataplane.c ---- */
/* All of an array that was made to be mapped; NULL with errno. Undone by dataplane_unmap_memory() (NULL is fine). */
void *dataplane_map_memory(int fd, uint32_t *ret_count, bool writable);
void dataplane_unmap_memory(void *memory, size_t bytes);

/* The BPF object, opened, not loaded, with every map that is pinned below pin_dir reused and the clock set; only
 * `program` (or all, if NULL) will be loaded. The caller closes it with dataplane_object_close(). */
struct bpf_object *dataplane_object_open(const char *pin_dir, const char *program, void **ret_skeleton,
					 struct dataplane_error *error);
void dataplane_object_close(void *skeleton);

#endif
