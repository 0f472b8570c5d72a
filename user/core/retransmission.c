/* SPDX-License-Identifier: GPL-2.0-only */
#include "retransmission.h"

#define MS 1000000ull
#define S (1000 * MS)

const struct retransmission_rule retransmission_pcp = { .irt_ns = 3 * S, .mrt_ns = 1024 * S, .jitters = true };
const struct retransmission_rule retransmission_natpmp = { .irt_ns = 250 * MS, .mrc = 9 };

/* splitmix64: the section asks for a sequence that differs from run to run, not for secrecy. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t mixed = *state += 0x9e3779b97f4a7c15ull;

	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ull;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebull;
	return mixed ^ mixed >> 31;
}

/* (1 + RAND) * time_ns, in parts of 2^-16 */
static uint64_t jitter(const struct retransmission_rule *rule, uint64_t time_ns, uint64_t *random_state)
{
	uint64_t part;

	if (!rule->jitters)
		return time_ns;
	part = 58982 + random_next(random_state) % (72089 - 58982 + 1);	/* 0.9 to 1.1 */
	return time_ns / 65536 * part + time_ns % 65536 * part / 65536;
}

void retransmission_start(struct retransmission *retransmission, const struct retransmission_rule *rule, uint64_t start_ns,
			  uint64_t give_up_ns)
{
	*retransmission = (struct retransmission){ .rule = rule, .next_ns = start_ns < give_up_ns ? start_ns : give_up_ns,
						   .give_up_ns = give_up_ns };
}

void retransmission_stop(struct retransmission *retransmission)
{
	retransmission->next_ns = RETRANSMISSION_NEVER;
}

static bool is_over(const struct retransmission *retransmission, uint64_t now_ns)
{
	const struct retransmission_rule *rule = retransmission->rule;

	return now_ns >= retransmission->give_up_ns || (rule->mrc && retransmission->sent >= rule->mrc);
}

bool retransmission_due(struct retransmission *retransmission, uint64_t now_ns, uint64_t *random_state)
{
	const struct retransmission_rule *rule = retransmission->rule;
	uint64_t base_ns;

	if (now_ns < retransmission->next_ns)
		return false;
	if (is_over(retransmission, now_ns)) {
		retransmission->has_failed = true;
		retransmission_stop(retransmission);
		return false;
	}
	base_ns = retransmission->rt_ns ? 2 * retransmission->rt_ns : rule->irt_ns;
	if (retransmission->rt_ns && rule->mrt_ns && base_ns > rule->mrt_ns)
		base_ns = rule->mrt_ns;
	retransmission->rt_ns = jitter(rule, base_ns, random_state);
	retransmission->sent++;
	retransmission->next_ns = now_ns + retransmission->rt_ns;
	if (retransmission->next_ns > retransmission->give_up_ns)
		retransmission->next_ns = retransmission->give_up_ns;
	return true;
}
