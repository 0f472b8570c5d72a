/* SPDX-License-Identifier: GPL-2.0-only */
/* A crowd of PCP clients: one socket that speaks for many subscribers, so many requests under way at once. Every answer is
 * checked: who gets it, result, nonce, endpoint; no two mappings behind one external endpoint; a renewed mapping stays where
 * it is; the Epoch goes on.
 *
 * Mappings are numbers. Number, subscriber, internal port, protocol and nonce follow from each other, so that one bench can
 * go on with what another has made. Every subscriber has LOAD_OF_SUBSCRIBER mappings, half UDP, half TCP.
 * Functions that return false have printed why. */
#ifndef PCP_LOAD_H
#define PCP_LOAD_H
#include <stdbool.h>
#include <stdint.h>
#include "latency.h"

#define LOAD_OF_SUBSCRIBER_BITS	5
#define LOAD_OF_SUBSCRIBER	(1u << LOAD_OF_SUBSCRIBER_BITS)
#define LOAD_LIFETIME_S		3600

enum load_operation { LOAD_CREATE, LOAD_RENEW, LOAD_DELETE, LOAD_ANNOUNCE, LOAD_PEER };	/* the first three: MAP */

struct load;	/* opaque */

struct load_job {
	enum load_operation operation;
	const uint32_t *mappings;	/* by number, each once. ANNOUNCE: one of each subscriber that is to ask */
	uint32_t count;
	uint32_t under_way;		/* requests without an answer at most; above, nothing new is sent */
	uint32_t resend_us;		/* when to ask again */
	double patience_s;		/* the job fails if nothing is answered for so long */
};

struct load_outcome {
	uint64_t sent, answered;	/* datagrams; each answer once */
	double seconds;
	struct latency latency;
};

/* Speaks from the namespace where the process is. `mappings`: numbers below this may be used. */
struct load *load_open(const uint8_t server4[4], uint32_t mappings);
/* The server's external addresses are in this /24, not in TRAFFIC_EXTERNAL_NET. */
void load_expect_external(struct load *load, uint32_t net);
void load_close(struct load *load);	/* NULL is fine */

bool load_run(struct load *load, const struct load_job *job, struct load_outcome *ret_outcome);

#endif
