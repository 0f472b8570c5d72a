/* SPDX-License-Identifier: GPL-2.0-only */
/* The rig that scripts/bench.sh has built: three NATs side by side, each in a namespace of its own between a client's and a
 * server's end. Sends bursts through one of them on one CPU and says what came out.
 *
 *   PREFIX-client            PREFIX-limit            PREFIX-server
 *     c-limit ──────────── in0 (limit) out0 ──────────── s-limit
 *                            PREFIX-xcgn
 *     c-xcgn ───────────── in0 (xcgnd) out0 ───────────── s-xcgn
 *                             PREFIX-nft
 *     c-nft ─────────── in0 (nftables) out0 ─────────────── s-nft
 *
 * Everything runs in one chain of soft interrupts on the sender's CPU: generator, NAT, sink. Nothing is lost in queues then,
 * and the rate is the inverse of the sum of the costs.
 * Functions that return false have printed why. What is attached goes with the namespaces, which the script removes. */
#ifndef RIG_H
#define RIG_H
#include <stdbool.h>
#include <stdint.h>
#include "traffic.h"

enum rig_path { RIG_LIMIT, RIG_XCGN, RIG_NFTABLES, RIG_PATHS };
_Static_assert((int)RIG_PATHS == TRAFFIC_PATHS, "every path has its part of the maps");

struct rig;	/* opaque */

struct rig_burst {
	enum rig_path path;
	enum traffic_direction direction;
	enum traffic_order order;
	uint32_t flows;
	uint32_t count;		/* frames */
	uint64_t first;		/* flow (or target) to begin with */
	bool is_checked;	/* look at every frame that comes out: slower */
};

struct rig_outcome {
	uint64_t sent, received, bad;
	double seconds;
};

/* Moves this process to one CPU and into the rig's namespaces. `remotes`: remote peers, a power of two. */
struct rig *rig_open(const char *prefix, int cpu, uint32_t remotes);
void rig_close(struct rig *rig);	/* NULL is fine */

const char *rig_path_name(enum rig_path path);

bool rig_send(struct rig *rig, const struct rig_burst *burst, struct rig_outcome *ret_outcome);

/* Opens the flows 0 .. flows-1 outbound, checks every translated frame, and learns the external endpoints. *ret_held says how
 * many flows the NAT holds. False: a frame came out wrong, or two flows share an external endpoint. */
bool rig_establish(struct rig *rig, enum rig_path path, uint32_t flows, uint32_t *ret_held);

/* Lets inbound bursts of a path go to the endpoints that `learned_by` has given to the flows 0 .. flows-1: each once and
 * shuffled, or drawn by Zipf's law. Then checks that every one of them leads to its flow. *ret_targets: what such a burst has
 * to say for `flows`. */
bool rig_aim(struct rig *rig, enum rig_path path, enum rig_path learned_by, enum traffic_order order, uint32_t flows,
	     uint32_t *ret_targets);

/* Translating on several cores side by side: each frame is made anew, given to xcgn's program, and goes nowhere. First prepare,
 * then plan for each core (direction, order, `flows` from `first` on), then run on that core, in a thread that has entered no
 * namespace since. False: a frame was not translated. */
bool rig_prepare_cores(struct rig *rig);
void rig_plan_core(struct rig *rig, unsigned core, const struct rig_burst *burst);
bool rig_run_core(struct rig *rig, enum traffic_direction direction, uint32_t count);

#endif
