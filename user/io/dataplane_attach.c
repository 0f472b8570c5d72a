/* SPDX-License-Identifier: GPL-2.0-only */
/* Our programs on interfaces, through libxdp: beside other programs where the kernel can do that, alone where it cannot. */
#include <errno.h>
#include <net/if.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>
#include "config.h"
#include "dataplane_internal.h"

static bool is_ours(struct xdp_program *program)
{
	const char *name = program ? xdp_program__name(program) : NULL;

	return name && (!strcmp(name, "cgn_outbound") || !strcmp(name, "cgn_inbound"));
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

bool dataplane_is_attached(const char *interface)
{
	struct xdp_multiprog *all;
	bool found = find_ours(interface, &all) != NULL;

	xdp_multiprog__close(all);
	return found;
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
			(!strcmp(info.name, "cgn_outbound") || !strcmp(info.name, "cgn_inbound")) && program_uses(fd, map.id);
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

/* ---- what the programs know of interfaces ---- */

static uint32_t side_of(const struct config_interface *interface)
{
	return interface->is_external ? CGN_EXTERNAL_SIDE : CGN_INTERNAL_SIDE;
}

static const char *program_of(const struct config_interface *interface)
{
	return interface->is_external ? "cgn_inbound" : "cgn_outbound";
}

static void forget_interface(int interfaces, int tx_ports, uint32_t ifindex)
{
	uint32_t internal = CGN_TX_KEY(CGN_INTERNAL_SIDE, ifindex), external = CGN_TX_KEY(CGN_EXTERNAL_SIDE, ifindex);

	bpf_map_delete_elem(tx_ports, &internal);
	bpf_map_delete_elem(tx_ports, &external);
	bpf_map_delete_elem(interfaces, &ifindex);
}

/* Interfaces that are gone: the kernel took them out of `tx_ports` itself. */
static void forget_gone(const struct dataplane *dp)
{
	uint32_t before, ifindex, key, egress;
	struct cgn_interface entry;
	bool is_first = true;

	while (!bpf_map_get_next_key(dp->map[DP_INTERFACES], is_first ? NULL : &before, &ifindex)) {
		before = ifindex;
		is_first = false;
		if (bpf_map_lookup_elem(dp->map[DP_INTERFACES], &ifindex, &entry))
			continue;
		key = CGN_TX_KEY(entry.side, ifindex);
		if (!bpf_map_lookup_elem(dp->map[DP_TX_PORTS], &key, &egress))
			continue;
		forget_interface(dp->map[DP_INTERFACES], dp->map[DP_TX_PORTS], ifindex);
		is_first = true;	/* the walk stood on what is deleted now */
	}
}

/* Which side an interface is on, and that packets may leave by it on that side. */
static bool register_interface(struct dataplane *dp, const struct config_interface *interface, uint32_t ifindex,
			       struct dataplane_error *error)
{
	uint32_t side = side_of(interface), key = CGN_TX_KEY(side, ifindex), other = CGN_TX_KEY(!side, ifindex);
	struct cgn_interface entry = {};

	bpf_map_lookup_elem(dp->map[DP_INTERFACES], &ifindex, &entry);
	entry.side = side;
	bpf_map_delete_elem(dp->map[DP_TX_PORTS], &other);
	if (bpf_map_update_elem(dp->map[DP_INTERFACES], &ifindex, &entry, 0) ||
	    bpf_map_update_elem(dp->map[DP_TX_PORTS], &key, &ifindex, 0))
		return dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot enter it as an egress: %s", interface->name, strerror(errno));
	return true;
}

/* Of which build is the program that was attached last? 0: nobody knows. */
static uint64_t build_on(const struct dataplane *dp, uint32_t ifindex)
{
	struct cgn_interface entry = {};

	bpf_map_lookup_elem(dp->map[DP_INTERFACES], &ifindex, &entry);
	return entry.build;
}

static void note_build(const struct dataplane *dp, const struct config_interface *interface, uint32_t ifindex)
{
	struct cgn_interface entry = { .side = side_of(interface), .build = dp->build };

	bpf_map_update_elem(dp->map[DP_INTERFACES], &ifindex, &entry, 0);
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
static int put_program(struct dataplane *dp, const struct config *config, const struct config_interface *interface, uint32_t ifindex,
		       struct dataplane_error *error)
{
	int loaded = dp->packet_program[side_of(interface)], failed;
	const char *name = program_of(interface);
	struct xdp_multiprog *all;
	struct xdp_program *present = find_ours(interface->name, &all);
	struct bpf_object *object;
	void *skeleton;

	if (present && loaded >= 0 && xdp_multiprog__is_legacy(all)) {
		failed = attach_instead(loaded, ifindex, present, xdp_multiprog__attach_mode(all));
	} else {
		object = dataplane_object_open(dp->pin_dir, name, &skeleton, error);
		failed = !object ? 1 : present ? replace_ours(object, name, ifindex, present, all) :
			 attach_beside(object, name, ifindex, config->xdp_generic ? XDP_MODE_SKB : XDP_MODE_NATIVE);
		if (object)
			dataplane_object_close(skeleton);
	}
	xdp_multiprog__close(all);
	return failed;
}

static bool attach_program(struct dataplane *dp, const struct config *config, const struct config_interface *interface,
			   uint32_t ifindex, struct dataplane_error *error)
{
	int failed = put_program(dp, config, interface, ifindex, error);

	if (!failed)
		note_build(dp, interface, ifindex);
	if (failed >= 0)
		return !failed;
	if (failed == -EOPNOTSUPP && !config->xdp_generic)
		return dataplane_fail(error, DATAPLANE_KERNEL,
				      "%s: its driver cannot do native XDP; use another NIC, or `xdp-mode: generic` (slow, for tests)", interface->name);
	if (failed == -EBUSY || failed == -EEXIST)
		return dataplane_fail(error, DATAPLANE_KERNEL, "%s: another XDP program holds it; `ip link set dev %s xdp off` removes that",
				      interface->name, interface->name);
	return dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot attach: %s", interface->name, strerror(-failed));
}

/* Is ours there, of the right side, on these maps and of this build? */
static bool is_current(const struct dataplane *dp, const struct config_interface *interface, uint32_t ifindex)
{
	struct xdp_multiprog *all;
	struct xdp_program *present = find_ours(interface->name, &all);
	bool current = present && uses_our_maps(dp, present) && !strcmp(xdp_program__name(present), program_of(interface)) &&
		       build_on(dp, ifindex) == dp->build;

	xdp_multiprog__close(all);
	return current;
}

bool dataplane_attach(struct dataplane *dp, const struct config *config, const char *name, struct dataplane_error *error)
{
	const struct config_interface *interface = find_interface(config, name);
	uint32_t ifindex = if_nametoindex(name);

	if (!interface)
		return dataplane_fail(error, DATAPLANE_CONFIG, "%s: not among the configuration's interfaces", name);
	if (!ifindex)
		return dataplane_fail(error, DATAPLANE_KERNEL, "%s: no such interface", name);
	if (!dataplane_is_of_this_build(dp))
		return dataplane_fail(error, DATAPLANE_STATE,
				      "%s: another build of xcgnd has these tables in hand; restart xcgnd, which also replaces the attached programs",
				      dp->pin_dir);
	forget_gone(dp);
	if (!register_interface(dp, interface, ifindex, error))
		return false;
	return is_current(dp, interface, ifindex) || attach_program(dp, config, interface, ifindex, error);
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

bool dataplane_upgrade(struct dataplane *dp, const struct config *config, unsigned *ret_replaced, struct dataplane_error *error)
{
	unsigned i;

	*ret_replaced = 0;
	for (i = 0; i < config->interfaces_count; i++) {
		const char *name = config->interfaces[i].name;

		if (build_on(dp, if_nametoindex(name)) == dp->build)
			continue;
		if (!may_look(if_nametoindex(name))) {
			dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot look at the program there without CAP_SYS_ADMIN", name);
			break;
		}
		if (!dataplane_is_attached(name))
			continue;
		if (!dataplane_attach(dp, config, name, error))
			break;
		(*ret_replaced)++;
	}
	dataplane_drop_packet_programs(dp);
	return i == config->interfaces_count;
}

void dataplane_drop_packet_programs(struct dataplane *dp)
{
	int side;

	for (side = 0; side < 2; side++) {
		if (dp->packet_program[side] >= 0)
			close(dp->packet_program[side]);
		dp->packet_program[side] = -1;
	}
}

bool dataplane_detach(const struct config *config, const char *interface, struct dataplane_error *error)
{
	int interfaces, tx_ports;

	if (!find_interface(config, interface))
		return dataplane_fail(error, DATAPLANE_CONFIG, "%s: not among the configuration's interfaces", interface);
	if (!detach_ours(interface, error))
		return false;
	interfaces = dataplane_open_pin(config->pin_dir, dataplane_map_names[DP_INTERFACES]);
	tx_ports = dataplane_open_pin(config->pin_dir, dataplane_map_names[DP_TX_PORTS]);
	if (interfaces >= 0 && tx_ports >= 0)
		forget_interface(interfaces, tx_ports, if_nametoindex(interface));
	if (interfaces >= 0)
		close(interfaces);
	if (tx_ports >= 0)
		close(tx_ports);
	return true;
}
