/* SPDX-License-Identifier: GPL-2.0-only */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/if_link.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>
#include "dataplane_internal.h"
#include "plane.h"

#define SKIPPED 4

static char pin_dir[64];
static pid_t child;

const char *plane_pin_dir(void)
{
	return pin_dir;
}

/* ---- the process ---- */

static void pass_signal(int number)
{
	(void)number;
	if (child > 0)
		kill(child, SIGKILL);
}

int plane_guard(int (*tests)(void))
{
	int status = 0;

	if (geteuid()) {
		puts("needs root");
		return SKIPPED;
	}
	snprintf(pin_dir, sizeof(pin_dir), "/sys/fs/bpf/xcgn-test-%d", (int)getpid());
	signal(SIGINT, pass_signal);
	signal(SIGTERM, pass_signal);
	fflush(stdout);
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		if (unshare(CLONE_NEWNET)) {
			printf("needs network namespaces: %s\n", strerror(errno));
			exit(SKIPPED);
		}
		exit(tests());
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	dataplane_remove_pins(pin_dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

void plane_command(const char *format, ...)
{
	char command[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	if (system(command))
		fail_msg("failed: %s", command);
}

void plane_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	close(fd);
}

/* ---- the namespace ---- */

static const char network[] =
	"link set lo up\n"
	"link add in0 type veth peer name in1\n"
	"link add out0 type veth peer name out1\n"
	"link set in0 up\nlink set in1 up\nlink set out0 up\nlink set out1 up\n"
	"address add 198.51.100.1/24 dev in0\n"
	"address add 203.0.113.1/24 dev out0\n"
	"address add fd00:1::1/64 dev in0 nodad\n"
	"address add fd00:2::1/64 dev out0 nodad\n"
	"neighbour add 203.0.113.9 lladdr 02:00:00:00:02:09 nud permanent dev out0\n"
	"neighbour add 203.0.113.10 lladdr 02:00:00:00:02:10 nud permanent dev out0\n"
	"route add blackhole 203.0.114.0/24\n"
	"route add 203.0.115.0/24 via 203.0.113.9 mtu lock 1000\n"
	"route add 203.0.116.0/24 via 198.51.100.2\n"
	"route add 10.9.0.0/24 via 203.0.113.9\n"
	"route add default via 203.0.113.10\n";

static void build_network(void)
{
	FILE *batch = popen("ip -batch -", "w");
	int host;

	assert_non_null(batch);
	for (const char *line = network, *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!strncmp(line, "neighbour add 203.0.113.9 ", 26))
			for (host = 2; host <= 60; host++)
				fprintf(batch, "neighbour add 198.51.100.%d lladdr 02:00:00:00:01:%02d nud permanent dev in0\n", host, host);
		fprintf(batch, "%.*s\n", (int)(end - line), line);
	}
	assert_int_equal(pclose(batch), 0);
	plane_write("/proc/sys/net/ipv4/ip_forward", "1");
	plane_write("/proc/sys/net/ipv6/conf/all/forwarding", "1");
}

void plane_read_mac(const char *name, uint8_t ret_mac[6])
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &request), 0);
	close(fd);
	memcpy(ret_mac, request.ifr_hwaddr.sa_data, 6);
}

/* ---- the data plane ---- */

struct config *plane_config(const char *yaml)
{
	char path[] = "/tmp/xcgn-test-XXXXXX", error[512];
	struct config *config = NULL;
	int fd = mkstemp(path);
	bool loaded;

	assert_true(fd >= 0);
	dprintf(fd, "%spin-dir: %s\n%s", strstr(yaml, "interfaces:") ? "" :
		"interfaces:\n  - {name: in0, side: internal}\n  - {name: out0, side: external}\n", pin_dir, yaml);
	close(fd);
	loaded = config_load(path, &config, error, sizeof(error));
	unlink(path);
	if (!loaded)
		fail_msg("%s", error);
	return config;
}

static void add_interface(struct plane *plane, enum cgn_side side, const char *name)
{
	struct dataplane_link_maps maps = dataplane_link_maps(plane->dp);
	struct cgn_link_key key = { .nic = if_nametoindex(name), .tags = { 101 } };
	struct dataplane_place place = { .side = side, .ifindex = key.nic, .nic = key.nic };
	struct cgn_link link = { .side = side, .ifindex = key.nic };

	plane->ifindex[side] = key.nic;
	plane_read_mac(name, plane->mac[side]);
	assert_true(dataplane_enter_link(&maps, &place));
	assert_int_equal(bpf_map_update_elem(maps.links, &key, &link, 0), 0);
	key.tags[0] = CGN_TAG_8021AD | 102;
	key.tags[1] = 101;
	assert_int_equal(bpf_map_update_elem(maps.links, &key, &link, 0), 0);
}

static void plane_open(struct plane *plane, bool wants_fresh)
{
	struct dataplane_error error;
	struct bpf_object *object;
	bool fresh;

	plane->dp = dataplane_open(plane->config, &fresh, &error);
	if (!plane->dp)
		fail_msg("%s", error.text);
	assert_int_equal(fresh, wants_fresh);
	if (!dataplane_configure(plane->dp, plane->config, &error) || !dataplane_set_addresses(plane->dp, plane->config, &error))
		fail_msg("%s", error.text);
	add_interface(plane, CGN_INTERNAL_SIDE, "in0");
	add_interface(plane, CGN_EXTERNAL_SIDE, "out0");
	object = dataplane_object_open(pin_dir, NULL, &plane->skeleton, &error);
	if (!object)
		fail_msg("%s", error.text);
	bpf_program__set_autoload(bpf_object__find_program_by_name(object, "cgn_both"), plane->with_both);
	assert_int_equal(bpf_object__load(object), 0);
	plane->program[CGN_EITHER_SIDE] = plane->with_both ? bpf_program__fd(bpf_object__find_program_by_name(object, "cgn_both")) : -1;
	plane->program[CGN_INTERNAL_SIDE] = bpf_program__fd(bpf_object__find_program_by_name(object, "cgn_outbound"));
	plane->program[CGN_EXTERNAL_SIDE] = bpf_program__fd(bpf_object__find_program_by_name(object, "cgn_inbound"));
}

void plane_start(struct plane *plane, const char *yaml)
{
	if (!if_nametoindex("in0"))
		build_network();
	dataplane_remove_pins(pin_dir);		/* of a test that failed before */
	plane->config = plane_config(yaml);
	plane_open(plane, true);
}

void plane_adopt(struct plane *plane)
{
	dataplane_object_close(plane->skeleton);
	dataplane_close(plane->dp);
	plane_open(plane, false);
}

void plane_stop(struct plane *plane)
{
	dataplane_object_close(plane->skeleton);
	dataplane_close(plane->dp);
	config_free(plane->config);
	dataplane_remove_pins(pin_dir);
}

/* ---- frames ---- */

static int run_program(const struct plane *plane, unsigned program, uint32_t ifindex, const void *frame, uint32_t length,
		       struct bpf_test_run_opts *options)
{
	struct xdp_md context = { .data_end = length, .ingress_ifindex = ifindex };

	options->data_in = frame;
	options->data_size_in = length;
	options->ctx_in = &context;
	options->ctx_size_in = sizeof(context);
	return bpf_prog_test_run_opts(plane->program[program], options);
}

uint32_t plane_send_fast(const struct plane *plane, enum cgn_side side, const void *frame, uint32_t length)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .repeat = 1);

	return run_program(plane, side, plane->ifindex[side], frame, length, &options) ? ~0u : options.retval;
}

void plane_send_quiet(const struct plane *plane, enum cgn_side side, const void *frame, uint32_t length, struct plane_run *ret_run)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .repeat = 1, .data_out = ret_run->frame, .data_size_out = sizeof(ret_run->frame));
	int failed = run_program(plane, side, plane->ifindex[side], frame, length, &options);

	if (failed)
		fail_msg("BPF_PROG_RUN: %s", strerror(-failed));
	ret_run->action = options.retval;
	ret_run->length = options.data_size_out;
	ret_run->verdict = -1;
}

void plane_send_by(struct plane *plane, unsigned program, uint32_t ifindex, const void *frame, uint32_t length, struct plane_run *ret_run)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .repeat = 1, .data_out = ret_run->frame, .data_size_out = sizeof(ret_run->frame));
	struct cgn_count before[CGN_VERDICT_COUNT], after[CGN_VERDICT_COUNT];
	int verdict, moved = 0, failed;

	assert_true(dataplane_read_stats(plane->dp, before));
	failed = run_program(plane, program, ifindex, frame, length, &options);
	if (failed)
		fail_msg("BPF_PROG_RUN: %s", strerror(-failed));
	assert_true(dataplane_read_stats(plane->dp, after));
	ret_run->action = options.retval;
	ret_run->length = options.data_size_out;
	ret_run->verdict = -1;
	ret_run->report = 0;
	for (verdict = 0; verdict < CGN_VERDICT_COUNT; verdict++) {
		if (after[verdict].packets == before[verdict].packets)
			continue;
		if (verdict >= CGN_REPORT_TTL && verdict <= CGN_REPORT_WITHHELD) {
			ret_run->report = verdict;
			continue;
		}
		ret_run->verdict = verdict;
		moved += (int)(after[verdict].packets - before[verdict].packets);
	}
	if (moved != 1)
		ret_run->verdict = -1;
}

void plane_send(struct plane *plane, enum cgn_side side, const void *frame, uint32_t length, struct plane_run *ret_run)
{
	plane_send_by(plane, side, plane->ifindex[side], frame, length, ret_run);
}

/* ---- requests ---- */

struct cgn_internal plane_internal(uint8_t protocol, const char *internal4, uint16_t port)
{
	struct cgn_internal internal = { .port = port, .protocol = protocol };

	assert_int_equal(inet_pton(AF_INET, internal4, internal.addr4), 1);
	return internal;
}

struct cgn_subscriber_key plane_subscriber(const char *internal4)
{
	struct cgn_subscriber_key key = {};

	assert_int_equal(inet_pton(AF_INET, internal4, key.addr4), 1);
	return key;
}

uint32_t plane_map(struct plane *plane, uint8_t protocol, const char *internal4, uint16_t port, const char *external4,
		   uint16_t external_port)
{
	struct cgn_map_request request = { .internal = plane_internal(protocol, internal4, port), .lifetime_s = 3600, .origin = CGN_MAP };

	if (*external4) {
		assert_int_equal(inet_pton(AF_INET, external4, request.suggested.addr4), 1);
		request.suggested.port = external_port;
		request.flags = CGN_PREFER_FAILURE;
	}
	assert_int_equal(dataplane_map(plane->dp, &request), 0);
	return request.status;
}
