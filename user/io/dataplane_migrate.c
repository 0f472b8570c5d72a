/* SPDX-License-Identifier: GPL-2.0-only */
/* Maps that another version of xcgn made. Those that hold what somebody was promised are kept, or the start is refused; those that are
 * written from the configuration, the kernel's routes or packets, and may be empty, are made anew. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "dataplane_internal.h"

/* `stats` among them: counters begin at 0 when there are others, as after a reboot. */
static const char *const made_anew[] = {
	"addresses", "batch", "cache", "events", "events_lost", "filter_batch", "fragments", "held", "hold_buckets", "holder", "identifications",
	"interfaces", "links", "next_hops", "report_buckets", "report_scratch", "requests", "sessions", "set_scratch", "settings", "stats", "templates", "tx_ports",
};

/* Layout versions whose kept maps, and `meta`, mean to this one what they meant to theirs. What changed with:
 * 12: a subscriber's pairing is half as wide, the upper half, which was 0, counts its changes (little-endian); settings.
 * 13: `interfaces` says which build's program is attached; settings.
 * 14: `fragments`, `identifications`.
 * 15: `fragments`, `held`, `holder`, `hold_buckets`.
 * 16: `events_lost`.
 * 17: `sessions`; settings.
 * 18: settings.
 * 19: an entry of `pools` without blocks is none, and `meta` says nothing of pools; settings.
 * 20: an entry of `pools` has in the upper halves of two words, which were 0, what is planned there (little-endian); settings.
 * 21: settings; counters.
 * 22: `interfaces`, `links`, `next_hops`; counters.
 * 23: `cache`; settings.
 * 24: `explicit`, whose elements are copied.
 * 25: `requests`.
 * 26: `ports` has slots of half the size: see dataplane_slots.c. */
static const uint32_t same_where_kept[] = {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11,
#endif
};

bool dataplane_layout_is_known(uint32_t layout)
{
	size_t i;

	for (i = 0; i < sizeof(same_where_kept) / sizeof(*same_where_kept); i++)
		if (same_where_kept[i] == layout)
			return true;
	return layout == CGN_LAYOUT_VERSION;
}

static bool may_be_made_anew(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(made_anew) / sizeof(*made_anew); i++)
		if (!strcmp(made_anew[i], name))
			return true;
	return false;
}

/* Sizes of what is kept follow from the configuration, which was compared; the kernel adds BPF_F_RDONLY_PROG to device maps. */
static bool fits(const struct bpf_map *map, const struct bpf_map_info *pinned, bool with_size)
{
	return bpf_map__type(map) == pinned->type && bpf_map__key_size(map) == pinned->key_size &&
	       bpf_map__value_size(map) == pinned->value_size &&
	       bpf_map__map_flags(map) == (pinned->map_flags & ~(uint32_t)BPF_F_RDONLY_PROG) &&
	       (!with_size || bpf_map__max_entries(map) == pinned->max_entries);
}

static bool reuse(struct bpf_map *map, const char *pin_dir, uint32_t layout, struct dataplane_error *error)
{
	const char *name = bpf_map__name(map);
	bool replaceable = may_be_made_anew(name), same_layout = layout == CGN_LAYOUT_VERSION;
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	int fd, failed;

	if (dataplane_slots_differ(layout) && !strcmp(name, dataplane_map_names[DP_PORTS]))
		return true;
	fd = dataplane_open_pin(pin_dir, name);
	if (replaceable && (fd == -ENOENT || (fd >= 0 && !same_layout))) {	/* of the same shape it may still mean something else */
		if (fd >= 0)
			close(fd);
		return true;
	}
	failed = fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, &info, &len) ? -errno : 0;
	if (!failed && fits(map, &info, replaceable))
		failed = bpf_map__reuse_fd(map, fd);
	else if (!failed && !replaceable && (same_layout || !dataplane_may_convert(name, &info)))
		failed = -EBADMSG;
	if (fd >= 0)
		close(fd);
	if (failed == -EBADMSG)
		return dataplane_fail(error, DATAPLANE_STATE,
				      "%s/%s: was made with another layout (key %u, value %u bytes) than this program's (%u, %u); start the version that made it, or `xcgnctl detach` and `xcgnctl purge` (every mapping is lost)",
				      pin_dir, name, info.key_size, info.value_size, bpf_map__key_size(map), bpf_map__value_size(map));
	return failed ? dataplane_fail(error, DATAPLANE_STATE, "%s/%s: cannot be reused: %s", pin_dir, name, strerror(-failed)) : true;
}

bool dataplane_reuse_maps(struct bpf_object *object, const char *pin_dir, uint32_t layout, struct dataplane_error *error)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
		if (!strchr(bpf_map__name(map), '.') && !reuse(map, pin_dir, layout, error))	/* with a dot: the object's own constants */
			return false;
	return true;
}

static bool is_pinned(const char *path, const struct bpf_map *map)
{
	struct bpf_map_info ours = {}, pinned = {};
	uint32_t len = sizeof(ours);
	int fd = bpf_obj_get(path);
	bool same;

	same = fd >= 0 && !bpf_obj_get_info_by_fd(fd, &pinned, &len) && !bpf_obj_get_info_by_fd(bpf_map__fd(map), &ours, &len) &&
	       ours.id == pinned.id;
	if (fd >= 0)
		close(fd);
	return same;
}

bool dataplane_pin_new_maps(struct bpf_object *object, const char *pin_dir, struct dataplane_error *error)
{
	char path[256], aside[264];
	struct bpf_map *map;

	bpf_object__for_each_map(map, object) {
		if (strchr(bpf_map__name(map), '.'))
			continue;
		dataplane_pin_path(pin_dir, bpf_map__name(map), path, sizeof(path));
		if (is_pinned(path, map))
			continue;
		snprintf(aside, sizeof(aside), "%s_new", path);	/* a name in bpffs has no dots */
		unlink(aside);
		if (bpf_obj_pin(bpf_map__fd(map), aside) || rename(aside, path))
			return dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot pin: %s", path, strerror(errno));
	}
	return true;
}
