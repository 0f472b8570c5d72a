/* SPDX-License-Identifier: GPL-2.0-only */
/* Our programs on interfaces, through libxdp: beside other programs where the kernel can do that, alone where it cannot. */
#include <errno.h>
#include <net/if.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>
#include "config.h"
#include "dataplane_internal.h"

static bool is_our_name(const char *name)
{
	return !strcmp(name, "cgn_outbound") || !strcmp(name, "cgn_inbound") || !strcmp(name, "cgn_both");
}

static bool is_ours(struct xdp_program *program)
{
	const char *name = program ? xdp_program__name(program) : NULL;

	return name && is_our_name(name);
}

static int log_nothing(enum libxdp_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

/* Ours among those on an interface, or NULL. The caller closes *ret_all, which owns it; *ret_all is NULL if there are none. */
static struct xdp_program *find_ours(const char *interface, struct xdp_multiprog **ret_all)
{
	unsigned ifindex = if_nametoindex(interface);
	struct xdp_program *program = NULL;
	struct xdp_multiprog *all;

	*ret_all = NULL;
	libxdp_set_print(log_nothing);
	all = ifindex ? xdp_multiprog__get_from_ifindex((int)ifindex) : NULL;
	if (!all || libxdp_get_error(all))
		return NULL;
	*ret_all = all;
	if (xdp_multiprog__is_legacy(all)) {
		program = xdp_multiprog__main_prog(all);
		return is_ours(program) ? program : NULL;
	}
	do
		program = xdp_multiprog__next_prog(program, all);
	while (program && !is_ours(program));
	return program;
}

static bool is_on(const char *nic)
{
	struct xdp_multiprog *all;
	bool found = find_ours(nic, &all) != NULL;

	xdp_multiprog__close(all);
	return found;
}

/* With tags it shares the program with others; where none are entered, as after an upgrade, it is for all of them. */
bool dataplane_is_attached(const struct config *config, const struct config_interface *interface)
{
	struct dataplane_link_maps maps;
	struct dataplane_place place;
	struct dataplane_error error;
	bool is_attached;

	if (!dataplane_place(interface, &place, &error) || !is_on(place.nic_name))
		return false;
	if (!dataplane_link_maps_open(config->pin_dir, &maps))
		return true;
	is_attached = dataplane_link_is_entered(&maps, &place, NULL) || !dataplane_nic_is_used(&maps, place.nic, 0);
	dataplane_link_maps_close(&maps);
	return is_attached;
}

bool dataplane_link_text(const struct config_interface *interface, char ret_nic[16], char *ret_vlans, size_t size)
{
	struct dataplane_place place;
	struct dataplane_error error;

	if (!dataplane_place(interface, &place, &error))
		return false;
	snprintf(ret_nic, 16, "%s", place.nic_name);
	if (place.tags[1])
		snprintf(ret_vlans, size, "%u.%u", place.tags[0] & CGN_TAG_ID, place.tags[1] & CGN_TAG_ID);
	else if (place.tags[0])
		snprintf(ret_vlans, size, "%u", place.tags[0] & CGN_TAG_ID);
	else
		snprintf(ret_vlans, size, "-");
	return true;
}

static bool program_uses(int program, uint32_t map_id)
{
	struct bpf_prog_info info = {};
	uint32_t ids[64], len = sizeof(info), i;

	info.nr_map_ids = sizeof(ids) / sizeof(*ids);
	info.map_ids = (uint64_t)(uintptr_t)ids;
	if (bpf_obj_get_info_by_fd(program, &info, &len))
		return false;
	for (i = 0; i < info.nr_map_ids && i < sizeof(ids) / sizeof(*ids); i++)
		if (ids[i] == map_id)
			return true;
	return false;
}

/* Does the attached program use the maps that are pinned now? Else it is the leftover of a life before. */
static bool uses_our_maps(const struct dataplane *dp, const struct xdp_program *program)
{
	struct bpf_map_info mappings = {};
	uint32_t len = sizeof(mappings);

	return !bpf_obj_get_info_by_fd(dp->map[DP_MAPPINGS], &mappings, &len) && program_uses(xdp_program__fd(program), mappings.id);
}

bool dataplane_is_in_use(int mappings)
{
	struct bpf_map_info map = {};
	uint32_t id = 0, len = sizeof(map);
	bool found = false;
	int fd;

	if (bpf_obj_get_info_by_fd(mappings, &map, &len))
		return false;
	while (!found && !bpf_prog_get_next_id(id, &id)) {
		struct bpf_prog_info info = {};

		fd = bpf_prog_get_fd_by_id(id);
		len = sizeof(info);
		found = fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) &&
			is_our_name(info.name) && program_uses(fd, map.id);
		if (fd >= 0)
			close(fd);
	}
	return found;
}

static bool detach_ours(const char *interface, struct dataplane_error *error)
{
	struct xdp_multiprog *all;
	struct xdp_program *program = find_ours(interface, &all);
	int failed = 0;

	if (program && xdp_multiprog__is_legacy(all))
		failed = xdp_multiprog__detach(all);
	else if (program)
		failed = xdp_program__detach(program, (int)if_nametoindex(interface), xdp_multiprog__attach_mode(all), 0);
	xdp_multiprog__close(all);
	return failed ? dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot detach: %s", interface, strerror(-failed)) : true;
}

/* ---- which program, and of which build ---- */

/* By cgn_side; of a NIC whose interfaces are of both under CGN_EITHER_SIDE. */
static const char *const program_names[] = {
	[CGN_INTERNAL_SIDE] = "cgn_outbound", [CGN_EXTERNAL_SIDE] = "cgn_inbound", [CGN_EITHER_SIDE] = "cgn_both",
};

/* Of which build is the program that was attached last? 0: nobody knows. */
static uint64_t build_on(const struct dataplane *dp, uint32_t nic)
{
	struct cgn_interface entry = {};

	bpf_map_lookup_elem(dp->map[DP_INTERFACES], &nic, &entry);
	return entry.build;
}

static void note_build(const struct dataplane *dp, uint32_t nic)
{
	struct cgn_interface entry;

	if (bpf_map_lookup_elem(dp->map[DP_INTERFACES], &nic, &entry))
		return;
	entry.build = dp->build;
	bpf_map_update_elem(dp->map[DP_INTERFACES], &nic, &entry, 0);
}

static const struct config_interface *find_interface(const struct config *config, const char *name)
{
	unsigned i;

	for (i = 0; i < config->interfaces_count; i++)
		if (!strcmp(config->interfaces[i].name, name))
			return &config->interfaces[i];
	return NULL;
}

/* Beside what the interface has. What ours passes is for the kernel: no program after it may take it for a packet as it came, nor may
 * ours of another build while both are there. */
static int attach_beside(struct bpf_object *object, const char *name, uint32_t ifindex, enum xdp_attach_mode mode)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, options, .obj = object, .prog_name = name);
	struct xdp_program *program = xdp_program__create(&options);
	int failed = (int)libxdp_get_error(program);

	if (failed)
		return failed;
	failed = xdp_program__set_chain_call_enabled(program, XDP_PASS, false);
	if (!failed)
		failed = xdp_program__attach(program, (int)ifindex, mode, 0);
	xdp_program__close(program);
	return failed;
}

/* In the place of `present`, which is alone on the interface: one exchange in the kernel, and no packet meets none. */
static int attach_instead(int program, uint32_t ifindex, const struct xdp_program *present, enum xdp_attach_mode mode)
{
	uint32_t flags = XDP_FLAGS_REPLACE | (mode == XDP_MODE_SKB ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = xdp_program__fd(present));

	return bpf_xdp_attach((int)ifindex, program, flags, &options);
}

/* Ours of another build, or of another side, gives way to ours. Beside other programs in two steps, each a new dispatcher that takes
 * the place of the one before at once: both, the old one first, which has the last word; then the new one alone. */
static int replace_ours(struct bpf_object *object, const char *name, uint32_t ifindex, struct xdp_program *present,
			struct xdp_multiprog *all)
{
	enum xdp_attach_mode mode = xdp_multiprog__attach_mode(all);
	int failed;

	if (xdp_multiprog__is_legacy(all)) {
		failed = bpf_object__load(object);
		return failed ? failed : attach_instead(bpf_program__fd(bpf_object__find_program_by_name(object, name)), ifindex, present, mode);
	}
	failed = attach_beside(object, name, ifindex, mode);
	return failed ? failed : xdp_program__detach(present, (int)ifindex, mode, 0);
}

/* 0, -errno, or 1 with *error filled. */
static int put_program(struct dataplane *dp, const struct config *config, const struct dataplane_place *place, uint32_t side,
		       struct dataplane_error *error)
{
	int loaded = dp->packet_program[side], failed;
	const char *name = program_names[side];
	struct xdp_multiprog *all;
	struct xdp_program *present = find_ours(place->nic_name, &all);
	struct bpf_object *object;
	void *skeleton;

	if (present && loaded >= 0 && xdp_multiprog__is_legacy(all)) {
		failed = attach_instead(loaded, place->nic, present, xdp_multiprog__attach_mode(all));
	} else {
		object = dataplane_object_open(dp->pin_dir, name, &skeleton, error);
		failed = !object ? 1 : present ? replace_ours(object, name, place->nic, present, all) :
			 attach_beside(object, name, place->nic, config->xdp_generic ? XDP_MODE_SKB : XDP_MODE_NATIVE);
		if (object)
			dataplane_object_close(skeleton);
	}
	xdp_multiprog__close(all);
	return failed;
}

#define WHOLE_MTU_MAX 3400	/* about what fits into a page with head room and what the kernel adds */

static int mtu_of(const char *nic)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), mtu = 0;
	struct ifreq request = {};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", nic);
	if (fd >= 0 && !ioctl(fd, SIOCGIFMTU, &request))
		mtu = request.ifr_mtu;
	if (fd >= 0)
		close(fd);
	return mtu;
}

static bool attach_program(struct dataplane *dp, const struct config *config, const struct dataplane_place *place, uint32_t side,
			   struct dataplane_error *error)
{
	int failed = put_program(dp, config, place, side, error);

	if (!failed) {
		note_build(dp, place->nic);
		dataplane_slots_carry(dp, false);
	}
	if (failed >= 0)
		return !failed;
	if ((failed == -EOPNOTSUPP || failed == -EINVAL || failed == -ERANGE) && mtu_of(place->nic_name) > WHOLE_MTU_MAX)
		return dataplane_fail(error, DATAPLANE_KERNEL,
				      "%s: cannot attach: %s; its MTU is %d, and not every driver hands XDP long frames in parts: lower it to %d, or use another NIC",
				      place->nic_name, strerror(-failed), mtu_of(place->nic_name), WHOLE_MTU_MAX);
	if (failed == -EOPNOTSUPP && !config->xdp_generic)
		return dataplane_fail(error, DATAPLANE_KERNEL,
				      "%s: its driver cannot do native XDP; use another NIC, or `xdp-mode: generic` (slow, for tests)", place->nic_name);
	if (failed == -EBUSY || failed == -EEXIST)
		return dataplane_fail(error, DATAPLANE_KERNEL, "%s: another XDP program holds it; `ip link set dev %s xdp off` removes that",
				      place->nic_name, place->nic_name);
	return dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot attach: %s", place->nic_name, strerror(-failed));
}

/* Is ours there, the right one, on these maps and of this build? */
static bool is_current(const struct dataplane *dp, const struct dataplane_place *place, uint32_t side)
{
	struct xdp_multiprog *all;
	struct xdp_program *present = find_ours(place->nic_name, &all);
	bool current = present && uses_our_maps(dp, present) && !strcmp(xdp_program__name(present), program_names[side]) &&
		       build_on(dp, place->nic) == dp->build;

	xdp_multiprog__close(all);
	return current;
}

/* With it those on the same NIC that are the kernel's: its way to them is through the program too. */
static bool enter(struct dataplane *dp, const struct config *config, const struct dataplane_place *place, struct dataplane_error *error)
{
	struct dataplane_link_maps maps = dataplane_link_maps(dp);
	struct dataplane_place other;
	struct dataplane_error ignored;
	bool done = true;
	unsigned i;

	for (i = 0; done && i < config->interfaces_count; i++)
		if (config->interfaces[i].side == CGN_NO_SIDE && dataplane_place(&config->interfaces[i], &other, &ignored) && other.nic == place->nic)
			done = dataplane_enter_link(&maps, &other);
	done = done && dataplane_enter_link(&maps, place);
	return done ? true : dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot enter it as an egress: %s", place->nic_name, strerror(errno));
}

bool dataplane_attach(struct dataplane *dp, const struct config *config, const char *name, struct dataplane_error *error)
{
	const struct config_interface *interface = find_interface(config, name);
	struct dataplane_link_maps maps = dataplane_link_maps(dp);
	struct dataplane_place place;
	uint32_t side;

	if (!interface)
		return dataplane_fail(error, DATAPLANE_CONFIG, "%s: not among the configuration's interfaces", name);
	if (!dataplane_place(interface, &place, error))
		return false;
	if (!dataplane_is_of_this_build(dp))
		return dataplane_fail(error, DATAPLANE_STATE,
				      "%s: another build of xcgnd has these tables in hand; restart xcgnd, which also replaces the attached programs",
				      dp->pin_dir);
	dataplane_forget_gone(&maps);
	if (place.side == CGN_NO_SIDE && !dataplane_nic_is_used(&maps, place.nic, 0))
		return true;	/* entered with the first that is not the kernel's */
	if (!enter(dp, config, &place, error))
		return false;
	if (place.side == CGN_NO_SIDE)
		return true;
	side = dataplane_program_side(config, place.nic);
	return is_current(dp, &place, side) || attach_program(dp, config, &place, side, error);
}

/* Which program is there may be asked by anybody who administers the network; to look at it takes more (CAP_SYS_ADMIN). */
static bool may_look(uint32_t ifindex)
{
	uint32_t id = 0;
	int fd;

	if (!ifindex || bpf_xdp_query_id((int)ifindex, 0, &id) || !id)
		return true;
	fd = bpf_prog_get_fd_by_id(id);
	if (fd >= 0)
		close(fd);
	return fd >= 0 || errno != EPERM;
}

/* All that is attached is entered before the first program is replaced: they are of one mind with whatever NIC they are on. */
bool dataplane_upgrade(struct dataplane *dp, const struct config *config, unsigned *ret_replaced, struct dataplane_error *error)
{
	struct dataplane_place place[CGN_INTERFACES_MAX];
	bool is_due[CGN_INTERFACES_MAX] = {};
	struct dataplane_error ignored;
	unsigned i;

	*ret_replaced = 0;
	for (i = 0; i < config->interfaces_count; i++) {
		if (!dataplane_place(&config->interfaces[i], &place[i], &ignored) || build_on(dp, place[i].nic) == dp->build)
			continue;
		if (!may_look(place[i].nic)) {
			dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot look at the program there without CAP_SYS_ADMIN", place[i].nic_name);
			dataplane_drop_packet_programs(dp);
			return false;
		}
		is_due[i] = dataplane_is_attached(config, &config->interfaces[i]);
	}
	for (i = 0; i < config->interfaces_count && dataplane_is_of_this_build(dp); i++)
		if (is_due[i] && !enter(dp, config, &place[i], error))
			break;	/* the same comes of attaching it */
	for (i = 0; i < config->interfaces_count; i++) {
		if (!is_due[i] || place[i].side == CGN_NO_SIDE || build_on(dp, place[i].nic) == dp->build)
			continue;
		if (!dataplane_attach(dp, config, config->interfaces[i].name, error))
			break;
		(*ret_replaced)++;
	}
	dataplane_drop_packet_programs(dp);
	if (i == config->interfaces_count)
		dataplane_slots_carry(dp, true);
	return i == config->interfaces_count;
}

void dataplane_drop_packet_programs(struct dataplane *dp)
{
	int side;

	for (side = 0; side < 3; side++) {
		if (dp->packet_program[side] >= 0)
			close(dp->packet_program[side]);
		dp->packet_program[side] = -1;
	}
}

bool dataplane_detach(const struct config *config, const char *name, struct dataplane_error *error)
{
	const struct config_interface *interface = find_interface(config, name);
	struct dataplane_link_maps maps;
	struct dataplane_place place;
	bool have_maps, is_last, done = true;

	if (!interface)
		return dataplane_fail(error, DATAPLANE_CONFIG, "%s: not among the configuration's interfaces", name);
	if (!dataplane_place(interface, &place, error))
		return !if_nametoindex(name);	/* what is gone is attached nowhere */
	have_maps = dataplane_link_maps_open(config->pin_dir, &maps);
	is_last = !have_maps || !dataplane_nic_is_used(&maps, place.nic, place.ifindex);
	if (is_last)
		done = detach_ours(place.nic_name, error);
	if (done && have_maps && (is_last || place.side != CGN_NO_SIDE))	/* the kernel's passes while the program is there */
		dataplane_forget_link(&maps, place.ifindex, place.nic);
	if (have_maps)
		dataplane_link_maps_close(&maps);
	return done;
}
