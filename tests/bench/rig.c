/* SPDX-License-Identifier: GPL-2.0-only */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "place.h"
#include "rig.h"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "traffic.skel.h"
#pragma GCC diagnostic pop

#define FRAMES_AT_ONCE 64	/* frames that the kernel makes and sends in one go */
#define ESTABLISH_PASSES 4	/* a flow may be lost to a queue that overflowed */
#define MAC_LEN 6
#define IP_SOURCE_AT 26		/* in a frame */
#define IP_DESTINATION_AT 30

enum rig_side { CLIENT, SERVER, SIDES };

static const char *const path_names[RIG_PATHS] = { [RIG_LIMIT] = "limit", [RIG_XCGN] = "xcgn", [RIG_NFTABLES] = "nft" };
static const char *const side_names[SIDES] = { [CLIENT] = "client", [SERVER] = "server" };
static const char *const nat_interfaces[SIDES] = { [CLIENT] = "in0", [SERVER] = "out0" };

#define COUNT_TEXT(symbol, text) [symbol] = text,
static const char *const count_texts[TRAFFIC_COUNT_MAX] = { TRAFFIC_COUNTS(COUNT_TEXT) };

struct interface {
	uint32_t index;
	uint8_t mac[MAC_LEN];
};

struct rig {
	struct traffic_bpf *programs;
	struct traffic_endpoint *learned, *targets;	/* shared with the programs, a part for each path */
	int namespace[SIDES];
	int translators;				/* the namespace of xcgn's programs */
	struct interface end[RIG_PATHS][SIDES];		/* in the client's and the server's namespace */
	struct interface nat[RIG_PATHS][SIDES];		/* the other ends, in each NAT's namespace */
	uint32_t remotes;				/* mask */
	uint64_t random;
};

const char *rig_path_name(enum rig_path path)
{
	return path_names[path];
}

/* ---- namespaces and interfaces ---- */

static bool interface_read(const char *name, struct interface *ret_interface)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {};
	int failed;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	failed = fd < 0 ? -1 : ioctl(fd, SIOCGIFHWADDR, &request);
	if (fd >= 0)
		close(fd);
	if (failed)
		return bench_fail("%s: %s", name, strerror(errno));
	memcpy(ret_interface->mac, request.ifr_hwaddr.sa_data, MAC_LEN);
	ret_interface->index = if_nametoindex(name);
	return true;
}

static bool attach_xdp(const struct interface *interface, const struct bpf_program *program)
{
	int failed = bpf_xdp_attach((int)interface->index, bpf_program__fd(program), XDP_FLAGS_DRV_MODE, NULL);

	return failed ? bench_fail("cannot attach %s: %s", bpf_program__name(program), strerror(-failed)) : true;
}

static bool attach_tc(const struct interface *interface, const struct bpf_program *program)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)interface->index, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = bpf_program__fd(program));
	int failed = bpf_tc_hook_create(&hook);

	if (!failed || failed == -EEXIST)
		failed = bpf_tc_attach(&hook, &options);
	return failed ? bench_fail("cannot attach %s: %s", bpf_program__name(program), strerror(-failed)) : true;
}

/* The sinks, one at either end of every path. */
static bool attach_sinks(struct rig *rig, enum rig_side side)
{
	char name[IFNAMSIZ];
	int path;

	if (!namespace_enter(rig->namespace[side]))
		return false;
	for (path = 0; path < RIG_PATHS; path++) {
		struct interface *end = &rig->end[path][side];

		snprintf(name, sizeof(name), "%c-%s", side_names[side][0], path_names[path]);
		if (!interface_read(name, end))
			return false;
		if (path == RIG_NFTABLES ? !attach_tc(end, rig->programs->progs.sink_tc) : !attach_xdp(end, rig->programs->progs.sink_xdp))
			return false;
	}
	return true;
}

static bool read_nat(struct rig *rig, enum rig_path path)
{
	return interface_read(nat_interfaces[CLIENT], &rig->nat[path][CLIENT]) &&
	       interface_read(nat_interfaces[SERVER], &rig->nat[path][SERVER]);
}

/* Where the limit sends frames that go towards `side`. The caller is in its namespace. */
static bool limit_aim(struct rig *rig, enum rig_side side)
{
	uint32_t direction = side == SERVER ? TRAFFIC_OUTBOUND : TRAFFIC_INBOUND;
	uint8_t *mac = (uint8_t *)rig->programs->bss->limit_mac[direction];

	memcpy(mac, rig->end[RIG_LIMIT][side].mac, MAC_LEN);
	memcpy(mac + MAC_LEN, rig->nat[RIG_LIMIT][side].mac, MAC_LEN);
	if (bpf_map_update_elem(bpf_map__fd(rig->programs->maps.limit_ports), &direction, &rig->nat[RIG_LIMIT][side].index, 0))
		return bench_fail("limit_ports: %s", strerror(errno));
	return true;
}

static bool attach_both(struct rig *rig, enum rig_path path, const struct bpf_program *client, const struct bpf_program *server)
{
	return attach_xdp(&rig->nat[path][CLIENT], client) && attach_xdp(&rig->nat[path][SERVER], server);
}

/* xcgn's own programs are there already; the sinks are attached before, because the limit sends to their interfaces. */
static bool prepare_nat(struct rig *rig, const char *prefix, enum rig_path path)
{
	int fd = namespace_open(prefix, path_names[path]);
	bool done;

	if (fd < 0)
		return false;
	done = namespace_enter(fd) && read_nat(rig, path);
	if (done && path == RIG_XCGN) {
		rig->translators = fd;
		return true;
	}
	close(fd);
	if (done && path == RIG_LIMIT)
		done = limit_aim(rig, SERVER) && limit_aim(rig, CLIENT) &&
		       attach_both(rig, path, rig->programs->progs.limit_outbound, rig->programs->progs.limit_inbound);
	if (done && path == RIG_NFTABLES)
		done = attach_both(rig, path, rig->programs->progs.pass_xdp, rig->programs->progs.pass_xdp);
	return done;
}

/* ---- opening ---- */

static size_t shared_bytes(const struct bpf_map *map)
{
	return (size_t)bpf_map__max_entries(map) * bpf_map__value_size(map);
}

static void *share(const struct bpf_map *map)
{
	void *memory = mmap(NULL, shared_bytes(map), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static bool programs_open(struct rig *rig)
{
	rig->programs = traffic_bpf__open_and_load();
	if (!rig->programs)
		return bench_fail("cannot load the traffic programs: %s", strerror(errno));
	rig->learned = share(rig->programs->maps.learned);
	rig->targets = share(rig->programs->maps.targets);
	return rig->learned && rig->targets ? true : bench_fail("cannot share memory with the traffic programs: %s", strerror(errno));
}

struct rig *rig_open(const char *prefix, int cpu, uint32_t remotes)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	bool done = rig != NULL;
	int i;

	if (!rig)
		return NULL;
	rig->remotes = remotes - 1;
	rig->random = 0x9e3779b97f4a7c15ull;
	rig->translators = -1;
	for (i = 0; i < SIDES; i++)
		rig->namespace[i] = namespace_open(prefix, side_names[i]);
	done = programs_open(rig) && attach_sinks(rig, CLIENT) && attach_sinks(rig, SERVER);
	for (i = 0; done && i < RIG_PATHS; i++)
		done = prepare_nat(rig, prefix, (enum rig_path)i);
	if (done && cpu_keep_to(cpu))
		return rig;
	rig_close(rig);
	return NULL;
}

void rig_close(struct rig *rig)
{
	int i;

	if (!rig)
		return;
	if (rig->learned)
		munmap(rig->learned, shared_bytes(rig->programs->maps.learned));
	if (rig->targets)
		munmap(rig->targets, shared_bytes(rig->programs->maps.targets));
	traffic_bpf__destroy(rig->programs);
	for (i = 0; i < SIDES; i++)
		if (rig->namespace[i] >= 0)
			close(rig->namespace[i]);
	if (rig->translators >= 0)
		close(rig->translators);
	free(rig);
}

/* ---- bursts ---- */

static uint64_t random_next(struct rig *rig)
{
	rig->random ^= rig->random << 13;
	rig->random ^= rig->random >> 7;
	rig->random ^= rig->random << 17;
	return rig->random;
}

/* Reads what was counted since the last call, and counts from zero again. */
static bool take_counts(const struct rig *rig, uint64_t ret_counts[TRAFFIC_COUNT_MAX])
{
	int cpus = libbpf_num_possible_cpus(), fd = bpf_map__fd(rig->programs->maps.counts), cpu;
	uint64_t *values = calloc((size_t)cpus, sizeof(*values));
	bool done = values != NULL;
	uint32_t i;

	for (i = 0; done && i < TRAFFIC_COUNT_MAX; i++) {
		done = !bpf_map_lookup_elem(fd, &i, values);
		ret_counts[i] = 0;
		for (cpu = 0; done && cpu < cpus; cpu++)
			ret_counts[i] += values[cpu];
		memset(values, 0, (size_t)cpus * sizeof(*values));
		done = done && !bpf_map_update_elem(fd, &i, values, 0);
	}
	free(values);
	return done;
}

static uint32_t log2_of(uint32_t value)
{
	return value ? 31 - (uint32_t)__builtin_clz(value) : 0;
}

static uint32_t zipf_span(uint32_t flows)
{
	return flows > 1 ? (uint32_t)(log2(flows) * (1u << TRAFFIC_ZIPF_BITS)) : 0;
}

static void plan_make(struct rig *rig, const struct rig_burst *burst, struct traffic_plan *plan)
{
	enum rig_side from = burst->direction == TRAFFIC_OUTBOUND ? CLIENT : SERVER;

	plan->egress = rig->end[burst->path][from].index;
	plan->direction = burst->direction;
	plan->order = burst->order;
	plan->flows = burst->flows;
	plan->mixed_bits = log2_of(burst->flows >> TRAFFIC_HOST_BITS);
	plan->remotes = rig->remotes;
	plan->targets_base = (uint32_t)burst->path * TRAFFIC_TARGETS_MAX;
	plan->zipf_span = zipf_span(burst->flows);
	plan->position = burst->first < burst->flows ? burst->first : 0;
	plan->random = random_next(rig);
	memcpy(plan->mac, rig->nat[burst->path][from].mac, MAC_LEN);
	memcpy(plan->mac + MAC_LEN / 2, rig->end[burst->path][from].mac, MAC_LEN);
}

static void set_plan(struct rig *rig, const struct rig_burst *burst)
{
	struct traffic_watch *watch = &rig->programs->bss->watch;

	plan_make(rig, burst, &rig->programs->bss->plan);
	watch->is_checking = burst->is_checked;
	watch->direction = burst->direction;
	watch->is_translated = burst->path != RIG_LIMIT;
	watch->remotes = rig->remotes;
	watch->learned_base = (uint32_t)burst->path * TRAFFIC_FLOWS_MAX;
}

bool rig_send(struct rig *rig, const struct rig_burst *burst, struct rig_outcome *ret_outcome)
{
	enum rig_side from = burst->direction == TRAFFIC_OUTBOUND ? CLIENT : SERVER;
	const struct timespec settle = { .tv_nsec = 2000000 };
	uint8_t frame[TRAFFIC_FRAME_LEN] = {};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame), .repeat = (int)burst->count,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = FRAMES_AT_ONCE);
	uint64_t counts[TRAFFIC_COUNT_MAX];
	int failed, i;

	if (!namespace_enter(rig->namespace[from]))
		return false;
	if (!take_counts(rig, counts))
		return bench_fail("cannot read the counters: %s", strerror(errno));
	set_plan(rig, burst);
	ret_outcome->seconds = seconds_now();
	failed = bpf_prog_test_run_opts(bpf_program__fd(rig->programs->progs.traffic_generate), &run);
	ret_outcome->seconds = seconds_now() - ret_outcome->seconds;
	if (failed)
		return bench_fail("cannot send live frames: %s", strerror(-failed));
	nanosleep(&settle, NULL);	/* frames left in a queue when the last batch was sent */
	if (!take_counts(rig, counts))
		return bench_fail("cannot read the counters: %s", strerror(errno));
	ret_outcome->sent = counts[TRAFFIC_SENT];
	ret_outcome->received = counts[TRAFFIC_RECEIVED];
	ret_outcome->bad = 0;
	for (i = TRAFFIC_RECEIVED + 1; i < TRAFFIC_COUNT_MAX; i++) {
		ret_outcome->bad += counts[i];
		if (counts[i])
			bench_fail("%s: %llu frames %s", path_names[burst->path], (unsigned long long)counts[i], count_texts[i]);
	}
	return true;
}

/* ---- cores ---- */

static bool set_translator(struct rig *rig, enum traffic_direction direction, enum rig_side side)
{
	uint32_t key = direction, id = 0;
	int failed = bpf_xdp_query_id((int)rig->nat[RIG_XCGN][side].index, 0, &id), fd;

	fd = failed ? -1 : bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return bench_fail("xcgn's program cannot be found: %s", strerror(errno));
	failed = bpf_map_update_elem(bpf_map__fd(rig->programs->maps.translators), &key, &fd, 0);
	close(fd);
	return failed ? bench_fail("xcgn's program cannot be called: %s", strerror(errno)) : true;
}

bool rig_prepare_cores(struct rig *rig)
{
	return namespace_enter(rig->translators) && set_translator(rig, TRAFFIC_OUTBOUND, CLIENT) &&
	       set_translator(rig, TRAFFIC_INBOUND, SERVER);
}

void rig_plan_core(struct rig *rig, unsigned core, const struct rig_burst *burst)
{
	struct traffic_plan *plan = &rig->programs->bss->cores[core].plan;

	plan_make(rig, burst, plan);
	plan->position = 0;
	plan->base = (uint32_t)burst->first;
	plan->targets_base += (uint32_t)burst->first;
}

static uint32_t address_at(const uint8_t *bytes)
{
	uint32_t address;

	memcpy(&address, bytes, sizeof(address));
	return ntohl(address);
}

/* From the pool, or towards a subscriber. */
static bool is_translated(const uint8_t *frame, enum traffic_direction direction)
{
	return direction == TRAFFIC_OUTBOUND ?
		(address_at(frame + IP_SOURCE_AT) & TRAFFIC_EXTERNAL_MASK) == TRAFFIC_EXTERNAL_NET :
		(address_at(frame + IP_DESTINATION_AT) & TRAFFIC_INTERNAL_MASK) == TRAFFIC_INTERNAL_NET;
}

bool rig_run_core(struct rig *rig, enum traffic_direction direction, uint32_t count)
{
	enum rig_side from = direction == TRAFFIC_OUTBOUND ? CLIENT : SERVER;
	uint8_t in[TRAFFIC_FRAME_LEN] = {}, out[TRAFFIC_FRAME_LEN] = {};
	struct xdp_md context = { .data_end = sizeof(in), .ingress_ifindex = rig->nat[RIG_XCGN][from].index };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in, .data_size_in = sizeof(in), .data_out = out, .data_size_out = sizeof(out),
		    .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = (int)count);
	int failed = bpf_prog_test_run_opts(bpf_program__fd(rig->programs->progs.traffic_translate), &run);

	if (failed)
		return bench_fail("cannot run xcgn's program: %s", strerror(-failed));
	if (run.retval != XDP_REDIRECT || !is_translated(out, direction))
		return bench_fail("xcgn's program has not translated a frame: verdict %u", run.retval);
	return true;
}

/* ---- flows ---- */

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* No two flows behind one external endpoint. nftables may reuse one towards another remote peer. */
static bool endpoints_are_unique(const struct rig *rig, enum rig_path path, uint32_t flows)
{
	const struct traffic_endpoint *learned = rig->learned + (size_t)path * TRAFFIC_FLOWS_MAX;
	uint64_t *keys = calloc(flows, sizeof(*keys));
	uint32_t i, count = 0;
	bool is_unique = keys != NULL;

	for (i = 0; keys && i < flows; i++) {
		uint32_t remote = path == RIG_NFTABLES ? traffic_remote_address(i, rig->remotes) & 0xffff : 0;

		if (learned[i].is_known)
			keys[count++] = (uint64_t)learned[i].address << 32 | (uint64_t)learned[i].port << 16 | remote;
	}
	if (keys)
		qsort(keys, count, sizeof(*keys), compare_u64);
	for (i = 1; is_unique && i < count; i++)
		is_unique = keys[i] != keys[i - 1];
	free(keys);
	return is_unique ? true : bench_fail("%s: two flows share an external endpoint", path_names[path]);
}

static uint32_t flows_known(const struct rig *rig, enum rig_path path, uint32_t flows)
{
	const struct traffic_endpoint *learned = rig->learned + (size_t)path * TRAFFIC_FLOWS_MAX;
	uint32_t i, count = 0;

	for (i = 0; i < flows; i++)
		count += learned[i].is_known;
	return count;
}

bool rig_establish(struct rig *rig, enum rig_path path, uint32_t flows, uint32_t *ret_held)
{
	struct rig_burst burst = { .path = path, .direction = TRAFFIC_OUTBOUND, .order = TRAFFIC_IN_TURN, .flows = flows,
		.count = flows < FRAMES_AT_ONCE ? FRAMES_AT_ONCE : flows, .is_checked = true };
	struct rig_outcome outcome;
	int pass;

	if (flows > TRAFFIC_FLOWS_MAX)
		return bench_fail("%u flows are more than %u", flows, TRAFFIC_FLOWS_MAX);
	memset(rig->learned + (size_t)path * TRAFFIC_FLOWS_MAX, 0, flows * sizeof(*rig->learned));
	*ret_held = 0;
	for (pass = 0; pass < ESTABLISH_PASSES && *ret_held < flows; pass++) {
		if (!rig_send(rig, &burst, &outcome) || outcome.bad)
			return false;
		*ret_held = flows_known(rig, path, flows);
	}
	return endpoints_are_unique(rig, path, flows);
}

/* Frames leave in this order: each flow once, shuffled. Returns their number. */
static uint32_t fill_evenly(struct rig *rig, const struct traffic_endpoint *learned, struct traffic_endpoint *targets, uint32_t flows)
{
	struct traffic_endpoint other;
	uint32_t i, j, count = 0;

	for (i = 0; i < flows; i++)
		if (learned[i].is_known)
			targets[count++] = learned[i];
	for (i = count; i > 1; i--) {
		j = (uint32_t)(((random_next(rig) >> 32) * i) >> 32);
		other = targets[i - 1];
		targets[i - 1] = targets[j];
		targets[j] = other;
	}
	return count;
}

static uint32_t fill_by_zipf(struct rig *rig, const struct traffic_endpoint *learned, struct traffic_endpoint *targets, uint32_t flows)
{
	uint32_t span = zipf_span(flows), i, count = 0;

	for (i = 0; i < TRAFFIC_TARGETS_MAX; i++) {
		uint32_t flow = traffic_zipf((uint32_t)(random_next(rig) >> 32), span, flows);

		if (learned[flow].is_known)
			targets[count++] = learned[flow];
	}
	return count;
}

bool rig_aim(struct rig *rig, enum rig_path path, enum rig_path learned_by, enum traffic_order order, uint32_t flows,
	     uint32_t *ret_targets)
{
	const struct traffic_endpoint *learned = rig->learned + (size_t)learned_by * TRAFFIC_FLOWS_MAX;
	struct traffic_endpoint *targets = rig->targets + (size_t)path * TRAFFIC_TARGETS_MAX;
	uint32_t count = (order == TRAFFIC_ZIPF ? fill_by_zipf : fill_evenly)(rig, learned, targets, flows);
	struct rig_burst burst = { .path = path, .direction = TRAFFIC_INBOUND, .is_checked = true, .flows = count,
		.count = count < FRAMES_AT_ONCE ? FRAMES_AT_ONCE : count };
	struct rig_outcome outcome;

	if (!count)
		return bench_fail("%s: no flow to answer", path_names[path]);
	if (!rig_send(rig, &burst, &outcome) || outcome.bad)
		return false;
	if (outcome.received < outcome.sent - outcome.sent / 100)
		return bench_fail("%s: %llu of %llu inbound frames came out", path_names[path], (unsigned long long)outcome.received,
				  (unsigned long long)outcome.sent);
	*ret_targets = count;
	return true;
}
