/* SPDX-License-Identifier: GPL-2.0-only */
/* Opening: adopt what is pinned, or build it fresh. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "xcgn.skel.h"
#pragma GCC diagnostic pop
#include "config.h"
#include "dataplane_internal.h"
#include "dataplane_pools.h"
#include "pool_plan.h"

#define CLOCK_SHIFT 34	/* bpf/clock.bpf.h */

/* ---- the kernel's clock ---- */

/* bpf_jiffies64() now, through a program of four instructions: the constant must be known before the object is loaded. */
static bool read_jiffies(uint64_t *ret_jiffies, struct dataplane_error *error)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_jiffies64 },
		{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, load, .prog_flags = BPF_F_SLEEPABLE);
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = ret_jiffies, .ctx_size_in = sizeof(*ret_jiffies));
	int fd, failed;

	fd = bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "jiffies", "GPL", program, sizeof(program) / sizeof(*program), &load);
	if (fd < 0)
		return dataplane_fail(error, DATAPLANE_KERNEL, "cannot load a BPF program: %s; xcgn needs Linux 6.1, CAP_BPF and CAP_NET_ADMIN",
				      strerror(errno));
	failed = bpf_prog_test_run_opts(fd, &run);
	close(fd);
	return failed ? dataplane_fail(error, DATAPLANE_KERNEL, "cannot run a BPF program: %s", strerror(-failed)) : true;
}

static bool clock_set(struct xcgn_bpf *skeleton, struct dataplane_error *error)
{
	struct timespec tick, now;
	uint64_t jiffies = 0, hz;

	/* a coarse clock moves by the kernel's tick */
	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	hz = tick.tv_nsec > 0 ? (uint64_t)(1000000000 + tick.tv_nsec / 2) / (uint64_t)tick.tv_nsec : 0;
	if (!hz || tick.tv_sec)
		return dataplane_fail(error, DATAPLANE_KERNEL, "cannot tell the kernel's tick from CLOCK_MONOTONIC_COARSE");
	if (!read_jiffies(&jiffies, error))
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	skeleton->rodata->clock_hz = (uint32_t)hz;
	skeleton->rodata->clock_multiplier = (1ull << CLOCK_SHIFT) / hz;
	skeleton->rodata->clock_base_jiffies = jiffies - ((uint64_t)now.tv_sec * hz + (uint64_t)now.tv_nsec / (1000000000 / hz));
	return true;
}

uint32_t dataplane_now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)now.tv_sec;
}

/* ---- the object ---- */

static int log_libbpf(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level == LIBBPF_WARN && getenv("XCGN_DEBUG"))
		return vfprintf(stderr, format, arguments);
	return 0;
}

static struct xcgn_bpf *skeleton_open(struct dataplane_error *error)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct xcgn_bpf *skeleton;

	setrlimit(RLIMIT_MEMLOCK, &unlimited);	/* kernels before 5.11; what newer ones need is checked at load */
	libbpf_set_print(log_libbpf);
	skeleton = xcgn_bpf__open();
	if (!skeleton) {
		dataplane_fail(error, DATAPLANE_KERNEL, "cannot open the embedded BPF object: %s", strerror(errno));
		return NULL;
	}
	if (clock_set(skeleton, error))
		return skeleton;
	xcgn_bpf__destroy(skeleton);
	return NULL;
}

struct bpf_object *dataplane_object_open(const char *pin_dir, const char *program, void **ret_skeleton,
					 struct dataplane_error *error)
{
	struct xcgn_bpf *skeleton = skeleton_open(error);
	struct bpf_program *each;
	struct bpf_map *map;
	int fd, failed;

	if (!skeleton)
		return NULL;
	bpf_object__for_each_map(map, skeleton->obj) {
		if (strchr(bpf_map__name(map), '.'))
			continue;	/* the object's own constants */
		fd = dataplane_open_pin(pin_dir, bpf_map__name(map));
		failed = fd < 0 ? fd : bpf_map__reuse_fd(map, fd);
		if (fd >= 0)
			close(fd);
		if (failed) {
			dataplane_fail(error, DATAPLANE_STATE, "%s/%s: cannot be reused: %s", pin_dir, bpf_map__name(map), strerror(-failed));
			xcgn_bpf__destroy(skeleton);
			return NULL;
		}
	}
	bpf_object__for_each_program(each, skeleton->obj)
		bpf_program__set_autoload(each, !program || !strcmp(program, bpf_program__name(each)));
	*ret_skeleton = skeleton;
	return skeleton->obj;
}

void dataplane_object_close(void *skeleton)
{
	xcgn_bpf__destroy(skeleton);
}

/* ---- what is to be built ---- */

static void read_boot_id(char *ret_id, size_t size)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read(fd, ret_id, size - 1);

	if (fd >= 0)
		close(fd);
	ret_id[len > 0 ? len : 0] = '\0';
	ret_id[strcspn(ret_id, "\n")] = '\0';
}

/* Which build's programs these are: a hash of the embedded object, so that a new xcgnd loads its own. */
static uint64_t read_build(void)
{
	const uint8_t *bytes;
	size_t length, i;
	uint64_t hash = 0xcbf29ce484222325ull;

	bytes = xcgn_bpf__elf_bytes(&length);
	for (i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ull;
	return hash ? hash : 1;
}

static void build_id(const struct dataplane *dp, char *ret_id, size_t size)
{
	snprintf(ret_id, size, "%016llx", (unsigned long long)dp->build);
}

bool dataplane_is_of_this_build(const struct dataplane *dp)
{
	struct cgn_meta meta;
	char id[sizeof(meta.programs)];

	build_id(dp, id, sizeof(id));
	return dataplane_meta(dp, &meta) && !strcmp(id, meta.programs);
}

/* `addresses`: that the tables have room for. */
static void size_maps(struct xcgn_bpf *skeleton, const struct config *config, uint32_t addresses)
{
	bpf_map__set_max_entries(skeleton->maps.next_hops, bpf_map__max_entries(skeleton->maps.next_hops) * (uint32_t)libbpf_num_possible_cpus());
	bpf_map__set_max_entries(skeleton->maps.mappings, config_mapping_room(config));
	bpf_map__set_max_entries(skeleton->maps.cache, 1u << config_cache_line_bits(config, addresses));
	bpf_map__set_max_entries(skeleton->maps.explicit, config->mappings_max);
	bpf_map__set_max_entries(skeleton->maps.descriptions, config_description_room(config));
	bpf_map__set_max_entries(skeleton->maps.filters, config_filter_room(config));
	bpf_map__set_max_entries(skeleton->maps.epochs, config->subscribers_max);
	bpf_map__set_max_entries(skeleton->maps.subscribers, config->subscribers_max);
	bpf_map__set_max_entries(skeleton->maps.ports, addresses * CGN_PROTOCOLS * CGN_PORTS_PER_ADDRESS);
	bpf_map__set_max_entries(skeleton->maps.blocks, config_block_room(config));
	bpf_map__set_max_entries(skeleton->maps.pools, addresses);
	bpf_map__set_max_entries(skeleton->maps.sessions, config->address_dependent ? CGN_SESSION_LINE(addresses, 0) : 1);
}

/* ---- memory shared with BPF ---- */

void *dataplane_map_memory(int fd, uint32_t *ret_count, bool writable)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	void *memory;
	size_t bytes, page = (size_t)sysconf(_SC_PAGESIZE);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return NULL;
	bytes = ((size_t)info.max_entries * ((info.value_size + 7u) & ~7u) + page - 1) / page * page;
	memory = mmap(NULL, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	*ret_count = info.max_entries;
	if (memory == MAP_FAILED)
		return NULL;
	madvise(memory, bytes, MADV_DONTFORK);	/* its page tables would be copied for a child that never looks */
	return memory;
}

void dataplane_unmap_memory(void *memory, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (memory)
		munmap(memory, (bytes + page - 1) / page * page);
}

static bool share_memory(struct dataplane *dp, struct dataplane_error *error)
{
	uint32_t batch, requests;

	dp->slots = dataplane_map_memory(dp->map[DP_PORTS], &dp->slot_count, false);
	dp->blocks = dataplane_map_memory(dp->map[DP_BLOCKS], &dp->block_count, false);
	dp->pools = dataplane_map_memory(dp->map[DP_POOLS], &dp->pool_count, false);
	dp->batch = dataplane_map_memory(dp->map[DP_BATCH], &batch, true);
	dp->requests = dataplane_map_memory(dp->map[DP_REQUESTS], &requests, true);
	if (dp->slots && dp->blocks && dp->pools && dp->batch && dp->requests)
		return true;
	return dataplane_fail(error, DATAPLANE_KERNEL, "cannot map the tables into memory: %s", strerror(errno));
}

static struct dataplane *dataplane_alloc(const char *pin_dir)
{
	struct dataplane *dp = calloc(1, sizeof(*dp));
	int i;

	if (!dp)
		return NULL;
	for (i = 0; i < DP_MAP_COUNT; i++)
		dp->map[i] = -1;
	for (i = 0; i < DP_PROGRAM_COUNT; i++)
		dp->program[i] = -1;
	dp->templates = dp->packet_program[0] = dp->packet_program[1] = dp->packet_program[2] = -1;
	snprintf(dp->pin_dir, sizeof(dp->pin_dir), "%s", pin_dir);
	dp->cpus = (uint32_t)libbpf_num_possible_cpus();
	dp->build = read_build();
	return dp;
}

void dataplane_close(struct dataplane *dp)
{
	int i;

	if (!dp)
		return;
	dataplane_unmap_memory(dp->slots, (size_t)dp->slot_count * sizeof(struct cgn_slot));
	dataplane_unmap_memory(dp->blocks, (size_t)dp->block_count * sizeof(struct cgn_block));
	dataplane_unmap_memory(dp->pools, (size_t)dp->pool_count * sizeof(struct cgn_pool));
	dataplane_unmap_memory(dp->batch, CGN_BATCH_MAX * 8);
	dataplane_unmap_memory(dp->requests, CGN_REGIONS_MAX * CGN_REQUESTS_MAX * sizeof(*dp->requests));
	for (i = 0; i < DP_MAP_COUNT; i++)
		if (dp->map[i] >= 0)
			close(dp->map[i]);
	for (i = 0; i < DP_PROGRAM_COUNT; i++)
		if (dp->program[i] >= 0)
			close(dp->program[i]);
	if (dp->templates >= 0)
		close(dp->templates);
	dataplane_drop_packet_programs(dp);
	free(dp);
}

/* ---- building ---- */

static bool pin_programs(struct dataplane *dp, struct xcgn_bpf *skeleton, struct dataplane_error *error)
{
	struct bpf_program *program;
	char path[256];
	int i, failed;

	for (i = 0; i < DP_PROGRAM_COUNT; i++) {
		program = bpf_object__find_program_by_name(skeleton->obj, dataplane_program_names[i]);
		dataplane_program_path(dp->pin_dir, dataplane_program_names[i], path, sizeof(path));
		unlink(path);
		failed = bpf_obj_pin(bpf_program__fd(program), path) ? -errno : 0;
		if (failed)
			return dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot pin: %s", path, strerror(-failed));
		dp->program[i] = fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 3);
	}
	return true;
}

static bool pin_maps(struct dataplane *dp, struct xcgn_bpf *skeleton, struct dataplane_error *error)
{
	struct bpf_map *map;
	char path[256];
	int i;

	bpf_object__for_each_map(map, skeleton->obj) {
		if (strchr(bpf_map__name(map), '.'))
			continue;
		dataplane_pin_path(dp->pin_dir, bpf_map__name(map), path, sizeof(path));
		unlink(path);
		if (bpf_obj_pin(bpf_map__fd(map), path))
			return dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot pin: %s", path, strerror(errno));
	}
	for (i = 0; i < DP_MAP_COUNT; i++) {
		map = bpf_object__find_map_by_name(skeleton->obj, dataplane_map_names[i]);
		dp->map[i] = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3);
	}
	dp->templates = fcntl(bpf_map__fd(skeleton->maps.templates), F_DUPFD_CLOEXEC, 3);
	return true;
}

/* Into tables that nobody uses yet. */
static bool fill_pools(struct dataplane *dp, const struct config *config, struct dataplane_error *error)
{
	uint32_t count = config_address_room(config), index;
	struct cgn_pool *none = calloc(count, sizeof(*none));
	struct pool_plan plan = {};
	bool is_done;

	error->code = DATAPLANE_CONFIG;
	is_done = none ? pool_plan_make(none, count, config_block_room(config), config, &plan, error->text, sizeof(error->text)) :
		  dataplane_fail(error, DATAPLANE_KERNEL, "out of memory");
	for (index = 0; is_done && index < plan.count; index++)
		if (plan.change[index] == POOL_ENTERS && bpf_map_update_elem(dp->map[DP_POOLS], &index, &plan.after[index], 0))
			is_done = dataplane_fail(error, DATAPLANE_KERNEL, "pools: cannot write: %s", strerror(errno));
	pool_plan_done(&plan);
	free(none);
	return is_done;
}

static bool write_meta(struct dataplane *dp, const struct cgn_meta *meta, struct dataplane_error *error)
{
	uint32_t zero = 0;

	if (bpf_map_update_elem(dp->map[DP_META], &zero, meta, 0))
		return dataplane_fail(error, DATAPLANE_KERNEL, "meta: cannot write: %s", strerror(errno));
	return true;
}

static bool build(struct dataplane *dp, const struct config *config, struct dataplane_error *error)
{
	struct xcgn_bpf *skeleton = skeleton_open(error);
	struct cgn_meta meta = {};
	bool built = false;
	int failed;

	if (!skeleton)
		return false;
	size_maps(skeleton, config, config_address_room(config));
	bpf_program__set_autoload(skeleton->progs.cgn_outbound, false);
	bpf_program__set_autoload(skeleton->progs.cgn_inbound, false);
	bpf_program__set_autoload(skeleton->progs.cgn_both, false);
	bpf_program__set_autoload(skeleton->progs.cgn_pass, false);
	failed = xcgn_bpf__load(skeleton);
	if (failed) {
		dataplane_fail(error, DATAPLANE_KERNEL,
			       "cannot load the BPF object: %s; %s (XCGN_DEBUG=1 in the environment shows the kernel's log)", strerror(-failed),
			       failed == -ENOMEM ? "not enough memory: make pools or tables smaller" : "xcgn needs Linux 6.1 with BTF and JIT");
	} else if (pin_maps(dp, skeleton, error) && fill_pools(dp, config, error) && pin_programs(dp, skeleton, error)) {
		meta.epoch_base_s = dataplane_now_s();
		meta.epoch_base_unix = (uint64_t)time(NULL);
		dataplane_count_pools(config, &meta);
		meta.mappings_max = config->mappings_max;
		meta.subscribers_max = config->subscribers_max;
		meta.clock_hz = skeleton->rodata->clock_hz;
		read_boot_id(meta.boot_id, sizeof(meta.boot_id));
		build_id(dp, meta.programs, sizeof(meta.programs));
		meta.layout = CGN_LAYOUT_VERSION;
		built = share_memory(dp, error) && write_meta(dp, &meta, error);
	}
	xcgn_bpf__destroy(skeleton);
	return built;
}

/* ---- adopting ---- */

/* Size of a pinned map; 0: there is none. */
static uint32_t pinned_entries(const char *pin_dir, enum dataplane_map map)
{
	int fd = dataplane_open_pin(pin_dir, dataplane_map_names[map]);
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	bool is_read = fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len);

	if (fd >= 0)
		close(fd);
	return is_read ? info.max_entries : 0;
}

static bool open_maps(struct dataplane *dp, struct dataplane_error *error)
{
	int i;

	for (i = 0; i < DP_MAP_COUNT; i++) {
		dp->map[i] = dataplane_open_pin(dp->pin_dir, dataplane_map_names[i]);
		if (dp->map[i] < 0)
			return dataplane_fail(error, dp->map[i] == -EPERM || dp->map[i] == -EACCES ? DATAPLANE_KERNEL : DATAPLANE_STATE,
					      "%s/%s: cannot open: %s", dp->pin_dir, dataplane_map_names[i], strerror(-dp->map[i]));
	}
	dp->templates = dataplane_open_pin(dp->pin_dir, "templates");
	return dp->templates >= 0 ? true :
	       dataplane_fail(error, DATAPLANE_STATE, "%s/templates: cannot open: %s", dp->pin_dir, strerror(-dp->templates));
}

static bool open_pinned_programs(struct dataplane *dp)
{
	char path[256];
	int i;

	for (i = 0; i < DP_PROGRAM_COUNT; i++) {
		dataplane_program_path(dp->pin_dir, dataplane_program_names[i], path, sizeof(path));
		dp->program[i] = bpf_obj_get(path);
		if (dp->program[i] < 0)
			return false;
	}
	return true;
}

/* This build's programs over the maps of another. All are loaded, those for packets too, before anything changes: a kernel that
 * refuses them leaves everything to the version that made the maps. */
static bool take_over(struct dataplane *dp, const struct config *config, struct cgn_meta *meta, struct dataplane_error *error)
{
	struct xcgn_bpf *skeleton = skeleton_open(error);
	bool done;
	int failed;

	if (!skeleton)
		return false;
	size_maps(skeleton, config, pinned_entries(dp->pin_dir, DP_POOLS));
	bpf_program__set_autoload(skeleton->progs.cgn_pass, false);
	if (!dataplane_reuse_maps(skeleton->obj, dp->pin_dir, meta->layout, error)) {
		xcgn_bpf__destroy(skeleton);
		return false;
	}
	failed = xcgn_bpf__load(skeleton);
	if (failed)
		done = dataplane_fail(error, DATAPLANE_KERNEL, "cannot load this build's programs over the pinned maps: %s", strerror(-failed));
	else
		done = dataplane_convert_maps(skeleton->obj, dp->pin_dir, error) &&
		       dataplane_slots_fill(dp->pin_dir, meta->layout, bpf_map__fd(skeleton->maps.ports), error) &&
		       dataplane_pin_new_maps(skeleton->obj, dp->pin_dir, error) && pin_programs(dp, skeleton, error);
	if (done) {
		dp->packet_program[CGN_INTERNAL_SIDE] = fcntl(bpf_program__fd(skeleton->progs.cgn_outbound), F_DUPFD_CLOEXEC, 3);
		dp->packet_program[CGN_EXTERNAL_SIDE] = fcntl(bpf_program__fd(skeleton->progs.cgn_inbound), F_DUPFD_CLOEXEC, 3);
	}
	xcgn_bpf__destroy(skeleton);
	if (!done)
		return false;
	build_id(dp, meta->programs, sizeof(meta->programs));
	meta->layout = CGN_LAYOUT_VERSION;
	return true;
}

/* The control programs as pinned, or this build's own if another build pinned them: the maps stay. */
static bool adopt(struct dataplane *dp, const struct config *config, struct cgn_meta *meta, struct dataplane_error *error)
{
	char id[sizeof(meta->programs)];

	build_id(dp, id, sizeof(id));
	if (meta->layout == CGN_LAYOUT_VERSION && !strcmp(id, meta->programs) && open_pinned_programs(dp))
		return open_maps(dp, error);
	return take_over(dp, config, meta, error) && open_maps(dp, error) && write_meta(dp, meta, error);
}

static bool fail_size(struct dataplane_error *error, const char *pin_dir, const char *key, uint32_t is, uint32_t wanted)
{
	return dataplane_fail(error, DATAPLANE_STATE,
			      "%s: the tables were made with `%s` %u, and the configuration has %u; restore that, or `xcgnctl detach` and `xcgnctl purge` (every mapping is lost)",
			      pin_dir, key, is, wanted);
}

/* What tables cannot follow. Their pools they can: see dataplane_pools.c. */
static bool check_sizes(const char *pin_dir, const struct config *config, const struct cgn_meta *meta, struct dataplane_error *error)
{
	uint32_t addresses = pinned_entries(pin_dir, DP_POOLS), sessions = pinned_entries(pin_dir, DP_SESSIONS),
		 texts = pinned_entries(pin_dir, DP_DESCRIPTIONS), filters = pinned_entries(pin_dir, DP_FILTERS);

	if (meta->mappings_max != config->mappings_max)
		return fail_size(error, pin_dir, "tables.mappings", meta->mappings_max, config->mappings_max);
	if (meta->subscribers_max != config->subscribers_max)
		return fail_size(error, pin_dir, "tables.subscribers", meta->subscribers_max, config->subscribers_max);
	if (addresses && config->addresses_max && config->addresses_max != addresses)
		return fail_size(error, pin_dir, "tables.addresses", addresses, config->addresses_max);
	if (texts && config->descriptions_max && config->descriptions_max != texts)
		return fail_size(error, pin_dir, "tables.descriptions", texts, config->descriptions_max);
	if (filters && config->filters_max && config->filters_max != filters)
		return fail_size(error, pin_dir, "tables.filters", filters, config->filters_max);
	if (sessions && (sessions > 1) != config->address_dependent)
		return dataplane_fail(error, DATAPLANE_STATE,
				      "%s: the tables were made for another `filtering` than the configuration has; restore that, or `xcgnctl detach` and `xcgnctl purge` (every mapping is lost)",
				      pin_dir);
	return true;
}

/* Refuses what may not be adopted, with the reason and the way out. */
static bool check_meta(const struct dataplane *dp, const struct config *config, const struct cgn_meta *meta, struct dataplane_error *error)
{
	if (!dataplane_layout_is_known(meta->layout))
		return dataplane_fail(error, DATAPLANE_STATE,
				      "%s: pinned maps have layout version %u, this program needs %u; start the version that made them, or `xcgnctl detach` and `xcgnctl purge` (every mapping is lost)",
				      dp->pin_dir, meta->layout, CGN_LAYOUT_VERSION);
	return check_sizes(dp->pin_dir, config, meta, error);
}

bool dataplane_accepts(const struct dataplane *dp, const struct config *config, struct dataplane_error *error)
{
	struct cgn_meta meta;

	if (!dataplane_meta(dp, &meta))
		return dataplane_fail(error, DATAPLANE_STATE, "%s/meta: cannot read", dp->pin_dir);
	return check_meta(dp, config, &meta, error);
}

static struct dataplane *give_up(struct dataplane *dp, bool remove_pins)
{
	if (remove_pins)
		dataplane_remove_pins(dp->pin_dir);
	dataplane_close(dp);
	return NULL;
}

struct dataplane *dataplane_open(const struct config *config, bool *ret_fresh, struct dataplane_error *error)
{
	struct dataplane *dp = dataplane_alloc(config->pin_dir);
	struct cgn_meta meta = {};
	bool had_meta;
	int fd, failed;

	if (!dp) {
		dataplane_fail(error, DATAPLANE_KERNEL, "out of memory");
		return NULL;
	}
	if (!dataplane_prepare_pin_dir(config->pin_dir, error))
		return give_up(dp, false);
	fd = dataplane_open_pin(config->pin_dir, dataplane_map_names[DP_META]);
	if (fd == -EPERM || fd == -EACCES) {
		dataplane_fail(error, DATAPLANE_KERNEL, "%s: cannot open pins: %s; run as root, or with CAP_BPF", config->pin_dir, strerror(-fd));
		return give_up(dp, false);
	}
	failed = fd >= 0 ? dataplane_read_meta(fd, &meta) : fd;
	if (fd >= 0)
		close(fd);
	if (failed == -EBADMSG) {
		dataplane_fail(error, DATAPLANE_STATE,
			       "%s: pinned maps have layout version %u, this program needs %u; start the version that made them, or `xcgnctl detach` and `xcgnctl purge` (every mapping is lost)",
			       config->pin_dir, meta.layout, CGN_LAYOUT_VERSION);
		return give_up(dp, false);
	}
	had_meta = !failed && meta.layout;
	*ret_fresh = !had_meta;
	if (!had_meta) {	/* nothing, or a build that was cut short before anything was promised */
		dataplane_remove_pins(config->pin_dir);
		if (dataplane_prepare_pin_dir(config->pin_dir, error) && build(dp, config, error))
			return dp;
		return give_up(dp, true);
	}
	if (check_meta(dp, config, &meta, error) && adopt(dp, config, &meta, error) && share_memory(dp, error))
		return dp;
	return give_up(dp, false);
}

struct dataplane *dataplane_open_existing(const char *pin_dir, struct dataplane_error *error)
{
	struct dataplane *dp = dataplane_alloc(pin_dir);
	struct cgn_meta meta = {};
	int i, fd, failed = 0;

	if (!dp) {
		dataplane_fail(error, DATAPLANE_KERNEL, "out of memory");
		return NULL;
	}
	fd = dataplane_open_pin(pin_dir, dataplane_map_names[DP_META]);
	if (fd >= 0) {
		failed = dataplane_read_meta(fd, &meta);
		close(fd);
	}
	if (fd < 0) {
		bool denied = fd == -EPERM || fd == -EACCES;

		dataplane_fail(error, denied ? DATAPLANE_KERNEL : DATAPLANE_STATE, "%s: no pinned maps: %s; %s", pin_dir, strerror(-fd),
			       denied ? "run as root" : "xcgnd makes them when it starts");
		return give_up(dp, false);
	}
	if (failed || meta.layout != CGN_LAYOUT_VERSION) {
		dataplane_fail(error, DATAPLANE_STATE, meta.layout || failed ? "%s: pinned maps have another layout version than this program's %u" :
			       "%s: pinned maps are being built, or were never finished (layout version %u)", pin_dir, CGN_LAYOUT_VERSION);
		return give_up(dp, false);
	}
	if (!open_maps(dp, error))
		return give_up(dp, false);
	for (i = 0; i < DP_PROGRAM_COUNT; i++) {
		char path[256];

		dataplane_program_path(pin_dir, dataplane_program_names[i], path, sizeof(path));
		dp->program[i] = bpf_obj_get(path);
	}
	return share_memory(dp, error) ? dp : give_up(dp, false);
}

/* ---- settings ---- */

static void add_rule(struct cgn_settings *settings, struct cgn_subscriber *templates, struct config_prefix4 prefix, uint32_t blocks,
		     uint32_t explicit_limit, uint32_t reserve)
{
	struct cgn_subscriber_rule *rule;
	struct cgn_subscriber *template;
	uint32_t octet;

	if (settings->rule_count >= CGN_PREFIXES_MAX)
		return;		/* config_load() has refused that */
	rule = &settings->rule[settings->rule_count];
	template = &templates[settings->rule_count++];
	rule->network = prefix.network;
	rule->mask = prefix.length ? ~0u << (32 - prefix.length) : 0;
	for (octet = rule->network >> 24; octet <= (rule->network | ~rule->mask) >> 24; octet++)
		settings->rule_octets[octet / 32] |= 1u << octet % 32;
	template->blocks_limit = blocks;
	template->explicit_limit = explicit_limit;
	template->reserve = reserve;
}

/* Nanoseconds between two at this rate. */
static uint32_t interval_ns(uint32_t per_second)
{
	return per_second ? 1000000000 / per_second : 0;
}

/* What the cache has tells time by units that are no more. Programs that still know those have to end before, for they would enter more. */
static bool empty_cache(struct dataplane *dp, struct dataplane_error *error)
{
	uint32_t lines;
	void *memory = dataplane_map_memory(dp->map[DP_CACHE], &lines, true);

	if (!memory)
		return dataplane_fail(error, DATAPLANE_KERNEL, "cache: cannot map it into memory: %s", strerror(errno));
	dataplane_wait_for_programs();
	memset(memory, 0, lines * sizeof(struct cgn_cache_line));
	dataplane_unmap_memory(memory, lines * sizeof(struct cgn_cache_line));
	return true;
}

bool dataplane_configure(struct dataplane *dp, const struct config *config, struct dataplane_error *error)
{
	struct cgn_subscriber templates[CGN_PREFIXES_MAX] = {};
	struct cgn_settings settings = { .udp_s = config->udp_s, .tcp_established_s = config->tcp_established_s,
		.tcp_opening_s = config->tcp_opening_s, .tcp_closing_s = config->tcp_closing_s, .icmp_s = config->icmp_s, .rest_s = config->rest_s,
		.report_source_ns = interval_ns(config->report_source), .report_total_ns = interval_ns(config->report_total),
		.mss_clamp = config->mss_clamp, .filtering = config->address_dependent ? CGN_ADDRESS_DEPENDENT : CGN_ENDPOINT_INDEPENDENT,
		.cache_line_bits = 31 - (uint32_t)__builtin_clz(pinned_entries(dp->pin_dir, DP_CACHE) | 1),
		.cache_address_bits = config_cache_address_bits(pinned_entries(dp->pin_dir, DP_POOLS)) };
	struct cgn_settings before;
	uint32_t zero = 0, i;

	if (!dataplane_settings(dp, &before))
		return dataplane_fail(error, DATAPLANE_KERNEL, "settings: cannot read: %s", strerror(errno));
	/* counted from another number each time that `settings` is made: subscribers remember by which they were admitted */
	settings.rules = (before.rules ? before.rules : dataplane_now_s()) + 1;
	if (!settings.rules)
		settings.rules = 1;
	settings.routes_jiffies = before.routes_jiffies;
	for (i = 0; i < CGN_PROTOCOLS; i++)
		settings.cache_clock[i] = config_cache_clock(config, settings.cache_line_bits - settings.cache_address_bits - 2, i);
	for (i = 0; i < config->overrides_count; i++)
		add_rule(&settings, templates, config->overrides[i].prefix, config->overrides[i].blocks,
			 config->overrides[i].explicit_limit, config->overrides[i].reserve);
	for (i = 0; i < config->subscriber_prefixes_count; i++)
		add_rule(&settings, templates, config->subscriber_prefixes[i], config->blocks, config->explicit_limit, config->reserve);
	settings.address_count = before.address_count;
	settings.ranges_now = before.ranges_now;
	memcpy(settings.ranges, before.ranges, sizeof(settings.ranges));
	for (i = 0; i < settings.rule_count; i++) {
		templates[i].rules = settings.rules;
		if (bpf_map_update_elem(dp->templates, &i, &templates[i], 0))
			return dataplane_fail(error, DATAPLANE_KERNEL, "templates: cannot write: %s", strerror(errno));
	}
	if (bpf_map_update_elem(dp->map[DP_SETTINGS], &zero, &settings, 0))
		return dataplane_fail(error, DATAPLANE_KERNEL, "settings: cannot write: %s", strerror(errno));
	if (before.cache_line_bits && memcmp(before.cache_clock, settings.cache_clock, sizeof(before.cache_clock)) && !empty_cache(dp, error))
		return false;
	return dataplane_publish_pools(dp, config, NULL, error);
}

bool dataplane_set_epoch(struct dataplane *dp, uint32_t epoch_base_s, enum cgn_epoch_reason reason)
{
	struct cgn_meta meta;
	uint32_t zero = 0;

	if (!dataplane_meta(dp, &meta))
		return false;
	meta.epoch_base_s = epoch_base_s;
	meta.epoch_base_unix = (uint64_t)time(NULL) - (dataplane_now_s() - epoch_base_s);
	meta.epoch_reason = reason;
	return !bpf_map_update_elem(dp->map[DP_META], &zero, &meta, 0);
}

bool dataplane_bind_store(struct dataplane *dp, uint64_t store_id)
{
	struct cgn_meta meta;
	uint32_t zero = 0;

	if (!dataplane_meta(dp, &meta))
		return false;
	meta.store_id = store_id;
	return !bpf_map_update_elem(dp->map[DP_META], &zero, &meta, 0);
}
