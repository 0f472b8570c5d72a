/* SPDX-License-Identifier: GPL-2.0-only */
/* A data plane of its own for one test process: pins below /sys/fs/bpf/xcgn-test-PID, a network namespace with a veth on each side,
 * routes and neighbours, and the programs run by BPF_PROG_RUN as if frames had come in.
 *
 *   198.51.100.0/24 (.2 to .60 known, .77 not) ── in0 .1   [here]   203.0.113.1 out0 ── 203.0.113.0/24 (.9, .10 known, .77 not)
 *   203.0.114.0/24 blackhole   203.0.115.0/24 by .9, MTU 1000   203.0.116.0/24 by in0   10.9.0.0/24 by out0   default by .10 */
#ifndef CGN_TEST_PLANE_H
#define CGN_TEST_PLANE_H
#include <stdbool.h>
#include <stdint.h>
#include "cgn/abi.h"
#include "config.h"
#include "dataplane.h"

#define PLANE_FRAME_MAX 2048

struct plane {
	struct config *config;
	struct dataplane *dp;
	void *skeleton;			/* the XDP programs */
	int program[3];			/* by cgn_side: cgn_outbound, cgn_inbound; CGN_EITHER_SIDE: cgn_both, -1 without `with_both` */
	bool with_both;
	uint32_t ifindex[2];		/* by cgn_side: in0, out0 */
	uint8_t mac[2][6];
};

/* What one run of a program did. */
struct plane_run {
	uint32_t action;		/* XDP_* */
	uint32_t length;
	int verdict;			/* the one counter that moved, but for those of our own ICMP errors; -1: none or several */
	int report;			/* of those, the one that moved; 0: none */
	uint8_t frame[PLANE_FRAME_MAX];
};

/* Runs `tests` (a main function) in a child with its own network namespace, and removes the pins whatever becomes of it.
 * Returns its exit code, for main() to return. Exits with 4 where the kernel or the privileges do not do. */
int plane_guard(int (*tests)(void));

/* Builds a data plane from the text of a configuration, without `pin-dir`, and without `interfaces` if those are in0 and out0. These also
 * take frames with the tags that `vlan_tags` of a frame makes. Fails the test if that fails. */
void plane_start(struct plane *plane, const char *yaml);
/* What it builds from such a text; the caller frees it by config_free(). */
struct config *plane_config(const char *yaml);
/* What is pinned by now in the place of what it has: as the next xcgnd does it, up to the upgrade of what is attached. */
void plane_adopt(struct plane *plane);
void plane_stop(struct plane *plane);	/* removes the pins */
const char *plane_pin_dir(void);

/* Runs the program of `side` on a frame. */
void plane_send(struct plane *plane, enum cgn_side side, const void *frame, uint32_t length, struct plane_run *ret_run);
/* The same without looking at counters: the verdict stays unknown. */
void plane_send_quiet(const struct plane *plane, enum cgn_side side, const void *frame, uint32_t length, struct plane_run *ret_run);
/* Runs a program by its place in `program` on a frame that came in by any NIC. */
void plane_send_by(struct plane *plane, unsigned program, uint32_t ifindex, const void *frame, uint32_t length, struct plane_run *ret_run);
void plane_read_mac(const char *name, uint8_t ret_mac[6]);
/* And without what becomes of the frame: for races. Returns the XDP action. */
uint32_t plane_send_fast(const struct plane *plane, enum cgn_side side, const void *frame, uint32_t length);

/* "ip ARGUMENTS" or another command in the namespace; fails the test if it fails. */
void plane_command(const char *format, ...) __attribute__((format(printf, 1, 2)));
void plane_write(const char *path, const char *text);	/* a sysctl */

/* MAP for an internal endpoint; the status. `external` may be "" (no wish). */
uint32_t plane_map(struct plane *plane, uint8_t protocol, const char *internal4, uint16_t port, const char *external4,
		   uint16_t external_port);
struct cgn_internal plane_internal(uint8_t protocol, const char *internal4, uint16_t port);
struct cgn_subscriber_key plane_subscriber(const char *internal4);

#endif
