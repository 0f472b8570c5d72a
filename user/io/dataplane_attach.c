/* SPDX-License-Identifier: GPL-2.0-only */
/* Our programs on interfaces, through libxdp: beside other programs where the kernel can do that, alone where it cannot. */
#include <errno.h>
#include <net/if.h>
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

/* Which side an interface is on, and that packets may leave by it on that side. */
static bool register_interface(struct dataplane *dp, const struct config_interface *interface, uint32_t ifindex,
			       struct dataplane_error *error)
{
	uint32_t side = interface->is_external ? CGN_EXTERNAL_SIDE : CGN_INTERNAL_SIDE, key = CGN_TX_KEY(side, ifindex);
	uint32_t other = CGN_TX_KEY(!side, ifindex);
	struct cgn_interface entry = { .side = side };

	bpf_map_delete_elem(dp->map[DP_TX_PORTS], &other);
	if (bpf_map_update_elem(dp->map[DP_INTERFACES], &ifindex, &entry, 0) ||
	    bpf_map_update_elem(dp->map[DP_TX_PORTS], &key, &ifindex, 0))
		return dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot enter it as an egress: %s", interface->name, strerror(errno));
	return true;
}

static const struct config_interface *find_interface(const struct config *config, const char *name)
{
	unsigned i;

	for (i = 0; i < config->interfaces_count; i++)
		if (!strcmp(config->interfaces[i].name, name))
			return &config->interfaces[i];
	return NULL;
}

static bool attach_program(struct dataplane *dp, const struct config *config, const struct config_interface *interface,
			   uint32_t ifindex, struct dataplane_error *error)
{
	const char *name = interface->is_external ? "cgn_inbound" : "cgn_outbound";
	enum xdp_attach_mode mode = config->xdp_generic ? XDP_MODE_SKB : XDP_MODE_NATIVE;
	DECLARE_LIBXDP_OPTS(xdp_program_opts, options, 0);
	struct xdp_program *program;
	struct bpf_object *object;
	void *skeleton;
	int failed;

	object = dataplane_object_open(dp->pin_dir, name, &skeleton, error);
	if (!object)
		return false;
	options.obj = object;
	options.prog_name = name;
	program = xdp_program__create(&options);
	failed = (int)libxdp_get_error(program);
	if (!failed) {
		failed = xdp_program__attach(program, (int)ifindex, mode, 0);
		xdp_program__close(program);
	}
	dataplane_object_close(skeleton);
	if (!failed)
		return true;
	if (failed == -EOPNOTSUPP && mode == XDP_MODE_NATIVE)
		return dataplane_fail(error, DATAPLANE_KERNEL,
				      "%s: its driver cannot do native XDP; use another NIC, or `xdp-mode: generic` (slow, for tests)", interface->name);
	if (failed == -EBUSY || failed == -EEXIST)
		return dataplane_fail(error, DATAPLANE_KERNEL, "%s: another XDP program holds it; `ip link set dev %s xdp off` removes that",
				      interface->name, interface->name);
	return dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot attach: %s", interface->name, strerror(-failed));
}

bool dataplane_attach(struct dataplane *dp, const struct config *config, const char *name, struct dataplane_error *error)
{
	const struct config_interface *interface = find_interface(config, name);
	uint32_t ifindex = if_nametoindex(name);
	struct xdp_multiprog *all;
	struct xdp_program *present;
	bool is_current;

	if (!interface)
		return dataplane_fail(error, DATAPLANE_CONFIG, "%s: not among the configuration's interfaces", name);
	if (!ifindex)
		return dataplane_fail(error, DATAPLANE_KERNEL, "%s: no such interface", name);
	if (!register_interface(dp, interface, ifindex, error))
		return false;
	present = find_ours(name, &all);
	is_current = present && uses_our_maps(dp, present) &&
		     !strcmp(xdp_program__name(present), interface->is_external ? "cgn_inbound" : "cgn_outbound");
	xdp_multiprog__close(all);
	if (is_current)
		return true;
	if (present && !detach_ours(name, error))
		return false;
	return attach_program(dp, config, interface, ifindex, error);
}

bool dataplane_detach(const struct config *config, const char *interface, struct dataplane_error *error)
{
	if (!find_interface(config, interface))
		return dataplane_fail(error, DATAPLANE_CONFIG, "%s: not among the configuration's interfaces", interface);
	return detach_ours(interface, error);
}
