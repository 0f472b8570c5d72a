/* SPDX-License-Identifier: GPL-2.0-only */
/* When a client sends its request again (RFC 6887 section 8.1.1; with other figures RFC 6886 section 3.1). No clock and no
 * chance of its own: the caller says what time it is and brings the state of the random numbers. Nanoseconds. */
#ifndef CGN_RETRANSMISSION_H
#define CGN_RETRANSMISSION_H
#include <stdbool.h>
#include <stdint.h>

#define RETRANSMISSION_NEVER UINT64_MAX

struct retransmission_rule {
	uint64_t irt_ns;	/* initial retransmission time */
	uint64_t mrt_ns;	/* longest between two transmissions; 0: no limit */
	unsigned mrc;		/* most transmissions; 0: no limit */
	bool jitters;		/* each time multiplied by 1 + RAND, uniform in +-0.1 */
};

extern const struct retransmission_rule retransmission_pcp;	/* IRT 3 s, MRT 1024 s, MRC 0 */
extern const struct retransmission_rule retransmission_natpmp;	/* 250 ms doubling, nine times */

struct retransmission {
	const struct retransmission_rule *rule;	/* borrowed */
	uint64_t rt_ns;		/* the current retransmission time; 0: nothing was sent */
	uint64_t next_ns;	/* when to send, or to give up; RETRANSMISSION_NEVER once that has happened */
	uint64_t give_up_ns;	/* start + MRD; RETRANSMISSION_NEVER: no limit */
	unsigned sent;
	bool has_failed;
};

/* The first transmission is due at start_ns, the exchange fails at give_up_ns. */
void retransmission_start(struct retransmission *retransmission, const struct retransmission_rule *rule, uint64_t start_ns,
			  uint64_t give_up_ns);
/* True: to be transmitted now, and the next time is set. False: not due, or (has_failed) no answer came and none is waited for. */
bool retransmission_due(struct retransmission *retransmission, uint64_t now_ns, uint64_t *random_state);
/* An answer came. */
void retransmission_stop(struct retransmission *retransmission);

#endif
