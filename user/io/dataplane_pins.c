/* SPDX-License-Identifier: GPL-2.0-only */
/* The folder of pins in bpffs. */
#include <errno.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "config.h"
#include "dataplane_internal.h"

#define BPFFS "/sys/fs/bpf"

const char *const dataplane_map_names[DP_MAP_COUNT] = {
	[DP_MAPPINGS] = "mappings", [DP_CACHE] = "cache", [DP_PORTS] = "ports", [DP_BLOCKS] = "blocks", [DP_POOLS] = "pools",
	[DP_SUBSCRIBERS] = "subscribers", [DP_EXPLICIT] = "explicit", [DP_FRAGMENTS] = "fragments",
	[DP_INTERFACES] = "interfaces", [DP_TX_PORTS] = "tx_ports", [DP_STATS] = "stats", [DP_EVENTS] = "events",
	[DP_META] = "meta", [DP_SETTINGS] = "settings", [DP_BATCH] = "batch",
	[DP_DESCRIPTIONS] = "descriptions", [DP_EPOCHS] = "epochs", [DP_FILTERS] = "filters", [DP_FILTER_BATCH] = "filter_batch",
	[DP_ADDRESSES] = "addresses", [DP_HELD] = "held", [DP_HOLDER] = "holder",
	[DP_EVENTS_LOST] = "events_lost", [DP_SESSIONS] = "sessions", [DP_LINKS] = "links", [DP_REQUESTS] = "requests",
};

const char *const dataplane_program_names[DP_PROGRAM_COUNT] = {
	[DP_CONTROL_MAP] = "control_map", [DP_CONTROL_PEER] = "control_peer", [DP_CONTROL_SET] = "control_set", [DP_CONTROL_DELETE] = "control_delete", [DP_CONTROL_REAP] = "control_reap",
	[DP_CONTROL_RELEASE] = "control_release", [DP_CONTROL_LIST] = "control_list", [DP_CONTROL_CLOCK] = "control_clock",
	[DP_CONTROL_DESCRIBE] = "control_describe", [DP_CONTROL_PAIR] = "control_pair", [DP_CONTROL_CLEAR] = "control_clear", [DP_CONTROL_MOVE] = "control_move",
	[DP_CONTROL_OWN] = "control_own", [DP_CONTROL_DRAIN] = "control_drain", [DP_CONTROL_REROUTE] = "control_reroute", [DP_CONTROL_POOL] = "control_pool",
	[DP_RELEASE] = "cgn_release",
};

bool dataplane_fail(struct dataplane_error *error, int code, const char *format, ...)
{
	va_list arguments;

	error->code = code;
	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return false;
}

void dataplane_pin_path(const char *pin_dir, const char *name, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%s/%s", pin_dir, name);
}

void dataplane_program_path(const char *pin_dir, const char *name, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%s/programs/%s", pin_dir, name);
}

int dataplane_open_pin(const char *pin_dir, const char *name)
{
	char path[256];
	int fd;

	dataplane_pin_path(pin_dir, name, path, sizeof(path));
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

/* The version is the first word of every layout. */
static int read_layout(int fd, size_t size, uint32_t *ret_layout)
{
	uint32_t zero = 0, *value = size >= sizeof(*value) ? malloc(size) : NULL;
	bool found = value && !bpf_map_lookup_elem(fd, &zero, value);

	*ret_layout = found ? *value : 0;
	free(value);
	return -EBADMSG;
}

int dataplane_read_meta(int fd, struct cgn_meta *ret_meta)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	if (info.value_size != sizeof(*ret_meta))
		return read_layout(fd, info.value_size, &ret_meta->layout);
	return bpf_map_lookup_elem(fd, &zero, ret_meta) ? -errno : 0;
}

bool dataplane_is_pinned(const char *pin_dir)
{
	int fd = dataplane_open_pin(pin_dir, dataplane_map_names[DP_META]), failed;
	struct cgn_meta meta = {};

	if (fd < 0)
		return false;
	failed = dataplane_read_meta(fd, &meta);
	close(fd);
	return failed == -EBADMSG || (!failed && meta.layout);
}

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

static bool make_folder(const char *path, struct dataplane_error *error)
{
	if (!mkdir(path, 0700) || errno == EEXIST)
		return true;
	return dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot make the folder for pins: %s", path, strerror(errno));
}

bool dataplane_prepare_pin_dir(const char *pin_dir, struct dataplane_error *error)
{
	char path[256], *slash;

	snprintf(path, sizeof(path), "%s", pin_dir);
	slash = strrchr(path, '/');
	if (slash && slash != path)
		*slash = '\0';
	if (!is_bpffs(path) && !strcmp(path, BPFFS) && mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot mount bpffs: %s; run as root", BPFFS, strerror(errno));
	if (!is_bpffs(path))
		return dataplane_fail(error, DATAPLANE_KERNEL, "pin-dir %s: %s is not on a bpffs; mount one there, or use a folder of %s",
				      pin_dir, path, BPFFS);
	if (!make_folder(pin_dir, error))
		return false;
	snprintf(path, sizeof(path), "%s/programs", pin_dir);
	return make_folder(path, error);
}

void dataplane_remove_pins(const char *pin_dir)
{
	char path[256];
	int i;

	/* meta first: what is left of a purge that was cut short is no complete set, and never adopted */
	unlink((dataplane_pin_path(pin_dir, dataplane_map_names[DP_META], path, sizeof(path)), path));
	for (i = 0; i < DP_MAP_COUNT; i++)
		unlink((dataplane_pin_path(pin_dir, dataplane_map_names[i], path, sizeof(path)), path));
	unlink((dataplane_pin_path(pin_dir, "templates", path, sizeof(path)), path));
	unlink((dataplane_pin_path(pin_dir, "ports_before", path, sizeof(path)), path));
	unlink((dataplane_pin_path(pin_dir, "next_hops", path, sizeof(path)), path));
	unlink((dataplane_pin_path(pin_dir, "set_scratch", path, sizeof(path)), path));
	unlink((dataplane_pin_path(pin_dir, "report_scratch", path, sizeof(path)), path));
	unlink((dataplane_pin_path(pin_dir, "hold_buckets", path, sizeof(path)), path));
	unlink((dataplane_pin_path(pin_dir, "identifications", path, sizeof(path)), path));
	unlink((dataplane_pin_path(pin_dir, "report_buckets", path, sizeof(path)), path));
	for (i = 0; i < DP_PROGRAM_COUNT; i++)
		unlink((dataplane_program_path(pin_dir, dataplane_program_names[i], path, sizeof(path)), path));
	dataplane_pin_path(pin_dir, "programs", path, sizeof(path));
	rmdir(path);
	rmdir(pin_dir);
}

/* The kernel may take a moment to forget a program that was just detached. */
bool dataplane_is_pin_in_use(const char *pin_dir, const char *name)
{
	int fd = dataplane_open_pin(pin_dir, name), i;
	bool in_use = fd >= 0;

	for (i = 0; in_use && i < 20; i++) {
		if (i)
			usleep(10000);
		in_use = dataplane_is_in_use(fd);
	}
	if (fd >= 0)
		close(fd);
	return in_use;
}

bool dataplane_may_purge(const struct config *config, struct dataplane_error *error)
{
	unsigned i;

	for (i = 0; i < config->interfaces_count; i++)
		if (dataplane_is_attached(config, &config->interfaces[i]))
			return dataplane_fail(error, DATAPLANE_STATE, "%s: still attached; run `xcgnctl detach` first",
					      config->interfaces[i].name);
	if (dataplane_is_pin_in_use(config->pin_dir, dataplane_map_names[DP_MAPPINGS]))
		return dataplane_fail(error, DATAPLANE_STATE,
				      "%s: an interface is still attached that is not here: run `xcgnctl detach` in its network namespace, with the configuration that names it",
				      config->pin_dir);
	return true;
}

bool dataplane_purge(const struct config *config, struct dataplane_error *error)
{
	struct stat status;

	if (!dataplane_may_purge(config, error))
		return false;
	if (stat(config->pin_dir, &status))
		return dataplane_fail(error, DATAPLANE_STATE, "%s: nothing to purge: %s", config->pin_dir, strerror(errno));
	dataplane_remove_pins(config->pin_dir);
	if (!stat(config->pin_dir, &status))
		return dataplane_fail(error, DATAPLANE_STATE, "%s: pins removed, but the folder holds something else and stays",
				      config->pin_dir);
	return true;
}
