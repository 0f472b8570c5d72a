/* SPDX-License-Identifier: GPL-2.0-only */
/* The data plane as userspace sees it: pinned maps, pinned control programs, XDP programs on interfaces.
 * Errors come as one line of text in struct dataplane_error, with the exit code of design section 5 in `code`. */
#ifndef CGN_DATAPLANE_H
#define CGN_DATAPLANE_H
#include <stdbool.h>
#include <stdint.h>
#include "cgn/abi.h"
#include "dataplane_ops.h"

struct config;
struct config_interface;
struct dataplane;	/* opaque */

enum dataplane_exit { DATAPLANE_CONFIG = 1, DATAPLANE_KERNEL = 2, DATAPLANE_STATE = 3 };
struct dataplane_error { int code; char text[512]; };

enum dataplane_map {	/* X-free list: the names are those of the pins */
	DP_MAPPINGS, DP_CACHE, DP_PORTS, DP_BLOCKS, DP_POOLS, DP_SUBSCRIBERS, DP_EXPLICIT, DP_FRAGMENTS,
	DP_INTERFACES, DP_TX_PORTS, DP_STATS, DP_EVENTS, DP_META, DP_SETTINGS, DP_BATCH, DP_DESCRIPTIONS, DP_EPOCHS, DP_FILTERS, DP_FILTER_BATCH,
	DP_ADDRESSES, DP_HELD, DP_HOLDER, DP_EVENTS_LOST, DP_SESSIONS, DP_LINKS, DP_REQUESTS,
	DP_MAP_COUNT,
};

/* The daemon's door: adopts the pins if they are of this boot, layout and the configuration's sizes, else builds them fresh.
 * *ret_fresh says which. Pins of another layout version are refused, never rebuilt. Needs CAP_BPF and CAP_NET_ADMIN.
 * On failure returns NULL and nothing is left pinned that was not before. */
struct dataplane *dataplane_open(const struct config *config, bool *ret_fresh, struct dataplane_error *error);
/* The tools' door: existing pins only, never changes them. */
struct dataplane *dataplane_open_existing(const char *pin_dir, struct dataplane_error *error);
void dataplane_close(struct dataplane *dp);	/* pins stay; NULL is fine */

/* Are there tables below pin_dir, so that dataplane_open() would adopt rather than build? */
bool dataplane_is_pinned(const char *pin_dir);
/* May a running data plane be given this configuration? Tables have the sizes that they were made with; of pools see dataplane_pools.h. */
bool dataplane_accepts(const struct dataplane *dp, const struct config *config, struct dataplane_error *error);

/* Writes settings (timeouts, rules) from the configuration, and external addresses as the tables have them. */
bool dataplane_configure(struct dataplane *dp, const struct config *config, struct dataplane_error *error);

/* Tells the programs an address of each configured interface of this network namespace, for ICMP errors of their own. */
bool dataplane_set_addresses(struct dataplane *dp, const struct config *config, struct dataplane_error *error);

/* Routes, neighbours or links may have changed: every next hop that the programs know is asked for again. */
bool dataplane_reroute(struct dataplane *dp);
/* Is one of our programs on it? */
bool dataplane_uses_interface(const struct dataplane *dp, uint32_t ifindex);

/* Attaches the XDP program of one configured interface, to its NIC if it has VLAN tags, in this network namespace through libxdp,
 * replacing only our own, at once: every packet meets the one or the other. DATAPLANE_STATE if the maps are in the hands of another build. */
bool dataplane_attach(struct dataplane *dp, const struct config *config, const char *interface, struct dataplane_error *error);
/* Replaces ours where they are attached and of another build; attaches nowhere else. Needs CAP_SYS_ADMIN if there are any. */
bool dataplane_upgrade(struct dataplane *dp, const struct config *config, unsigned *ret_replaced, struct dataplane_error *error);
/* Was the last daemon on these maps of the build that this program is of? */
bool dataplane_is_of_this_build(const struct dataplane *dp);
/* From then on nothing leaves by it either. Not attached is fine. */
bool dataplane_detach(const struct config *config, const char *interface, struct dataplane_error *error);
/* Is our program on this interface, or on the NIC that bears it, for it now? */
bool dataplane_is_attached(const struct config *config, const struct config_interface *interface);
/* Where it stands: the NIC that its program is on, and its VLAN tags as text, the outer one first, "-" without. False: it is not there, and nothing is written. */
bool dataplane_link_text(const struct config_interface *interface, char ret_nic[16], char *ret_vlans, size_t size);
/* VLAN devices that are attached and were made anew have other numbers now. */
void dataplane_refresh_links(struct dataplane *dp, const struct config *config);
/* Refused (DATAPLANE_STATE): our programs are on one of the configured interfaces. */
bool dataplane_may_purge(const struct config *config, struct dataplane_error *error);
/* Removes every pin below pin_dir, and the folder, if it may. */
bool dataplane_purge(const struct config *config, struct dataplane_error *error);

int dataplane_map_fd(const struct dataplane *dp, enum dataplane_map map);
uint32_t dataplane_now_s(void);		/* the boot clock: CLOCK_MONOTONIC in seconds */

/* Borrowed until dataplane_close(); shared memory that BPF writes: read single words, re-check state words. */
const struct cgn_slot *dataplane_slots(const struct dataplane *dp, uint32_t *ret_count);
const struct cgn_block *dataplane_blocks(const struct dataplane *dp, uint32_t *ret_count);
const struct cgn_pool *dataplane_pools(const struct dataplane *dp, uint32_t *ret_count);
bool dataplane_settings(const struct dataplane *dp, struct cgn_settings *ret_settings);
bool dataplane_meta(const struct dataplane *dp, struct cgn_meta *ret_meta);
/* Epoch Time is the boot clock minus epoch_base_s, modulo 2^32: a base before this boot is fine. */
bool dataplane_set_epoch(struct dataplane *dp, uint32_t epoch_base_s, enum cgn_epoch_reason reason);
/* The Epoch of one client (IPv4-mapped) who alone lost something; it counts until that of all is reset. False: no room. */
bool dataplane_set_epoch_of(struct dataplane *dp, const uint8_t client6[16], uint32_t base_s, enum cgn_epoch_reason reason);
/* Goes on to the next of those; *client is where the walk is. False: no more. */
bool dataplane_next_epoch(const struct dataplane *dp, struct cgn_client *client, bool is_first, struct cgn_epoch *ret_epoch);
void dataplane_forget_epochs(struct dataplane *dp);
/* Writes into `meta` which stable storage has all that these maps promised. */
bool dataplane_bind_store(struct dataplane *dp, uint64_t store_id);

/* One element; false if there is none. */
bool dataplane_find_mapping(const struct dataplane *dp, const struct cgn_internal *internal, struct cgn_mapping *ret_mapping);
bool dataplane_find_explicit(const struct dataplane *dp, const struct cgn_explicit_key *key, struct cgn_explicit *ret_explicit);
bool dataplane_find_filters(const struct dataplane *dp, const struct cgn_internal *internal, struct cgn_filters *ret_filters);
bool dataplane_find_description(const struct dataplane *dp, const struct cgn_explicit_key *key, struct cgn_description *ret_description);
bool dataplane_find_subscriber(const struct dataplane *dp, const struct cgn_subscriber_key *key,
			       struct cgn_subscriber *ret_subscriber);
/* Steps through all of `explicit`, a hash: *cursor is 0 at first and has come back 0 at the end. An element that stands there
 * all the while is met exactly once. Returns how many were written, which may be 0 before the end, or -errno. `max` at least 256. */
int dataplane_walk_explicit(const struct dataplane *dp, uint64_t *cursor, struct cgn_explicit_key *ret_keys,
			    struct cgn_explicit *ret_values, uint32_t max);
struct dataplane_slot {
	struct cgn_internal internal;
	union cgn_slot_word state;
};
/* A consistent copy of a live slot; false if it is not live. */
bool dataplane_read_slot(const struct dataplane *dp, uint32_t slot, struct dataplane_slot *ret_slot);
/* Sums of all CPUs. */
/* Events that the ring buffer had no room for, since the tables were made. */
uint64_t dataplane_events_lost(const struct dataplane *dp);
bool dataplane_read_stats(const struct dataplane *dp, struct cgn_count ret_counts[CGN_VERDICT_COUNT]);

/* For the PCP server: see dataplane_ops.h. */
int dataplane_list_explicit(void *dp, const struct cgn_subscriber_key *subscriber, struct cgn_listed *ret_listed, size_t max);
bool dataplane_explicit_details(void *dp, const struct cgn_listed *listed, struct cgn_explicit *ret_details);
bool dataplane_listed_description(void *dp, const struct cgn_listed *listed, struct cgn_description *ret_description);
bool dataplane_listed_filters(void *dp, const struct cgn_listed *listed, struct cgn_filters *ret_filters);

/* The control programs. Return 0 or -errno; what came of it stands in the request. */
int dataplane_map(void *dp, struct cgn_map_request *request);
/* The same for each of `count`, in their order and in as few runs as that takes. Any thread may, as long as no two ask for the same
 * internal endpoint. */
void dataplane_map_many(void *dp, struct cgn_map_request *requests, int *ret_failed, size_t count);
/* The same with request->filter_count filters; dataplane_map() has none. */
int dataplane_map_filtered(void *dp, struct cgn_map_request *request, const struct cgn_filter *filters);
/* A set of ports (RFC 7753); see dataplane_ops.set. */
int dataplane_set(void *dp, struct cgn_map_request *request, const struct cgn_filter *filters);
int dataplane_peer(void *dp, struct cgn_map_request *request);
int dataplane_delete(void *dp, struct cgn_map_request *request);
int dataplane_describe(void *dp, struct cgn_describe_request *request);
int dataplane_pair(void *dp, struct cgn_pair_request *request);
/* Gives a frame that was held back to the data plane, as if it came in by that interface: it goes on translated, or is dropped and
 * counted. 0 or -errno. */
int dataplane_release_held(struct dataplane *dp, const struct cgn_held *held);
/* Says that held frames are kept until then, by the boot clock. */
bool dataplane_set_holder(struct dataplane *dp, uint32_t alive_until_s);
/* Did the first fragment of a packet come? */
bool dataplane_knows_fragment(const struct dataplane *dp, const struct cgn_fragment_key *key);
int dataplane_reap(struct dataplane *dp, const uint32_t *slots, uint32_t count, struct cgn_reap_request *ret_request);
/* `request` with origins; ends those of at most CGN_BATCH_MAX slots. */
int dataplane_clear(struct dataplane *dp, const uint32_t *slots, uint32_t count, struct cgn_clear_request *request);
int dataplane_move(struct dataplane *dp, struct cgn_move_request *request);
int dataplane_own(struct dataplane *dp, struct cgn_own_request *request);
int dataplane_drain(struct dataplane *dp, struct cgn_drain_request *request);
int dataplane_release(struct dataplane *dp, struct cgn_release_request *request);
/* Slots of one subscriber in ascending order, with any of `origins`. Returns how many, or -errno; the caller frees *ret_slots. */
int dataplane_list(struct dataplane *dp, const struct cgn_subscriber_key *subscriber, uint32_t origins, uint32_t **ret_slots);

extern const struct dataplane_ops dataplane_bpf_ops;	/* its `dataplane` is a struct dataplane */

const char *cgn_verdict_name(enum cgn_verdict verdict);
const char *cgn_verdict_text(enum cgn_verdict verdict);

#endif
