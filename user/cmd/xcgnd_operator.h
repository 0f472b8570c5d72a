/* SPDX-License-Identifier: GPL-2.0-only */
/* What the operator does to subscribers' mappings, by commands of the control socket (xcgnctl clear, subscriber moved, pool drain).
 * The Epoch is reset of those alone who lost something that they were promised (RFC 6887 section 8.5), before it is gone. */
#ifndef CGN_XCGND_OPERATOR_H
#define CGN_XCGND_OPERATOR_H
#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

struct announce;
struct config;
struct control_error;
struct dataplane;
struct explicit_part;
struct explicit_parts;
struct notices;
struct pcp_server;
struct persistence;
struct pool_plan;

struct operator {		/* all borrowed */
	struct dataplane *dp;
	struct persistence *persistence;
	struct pcp_server *server;
	struct announce *announce;
	struct notices *notices;
};

/* {"subscriber":"A"} or {"all":true}, with {"origins":[…],"protocols":[…]} if not all of them. */
bool operator_clear(const struct operator *operator, const json_t *request, json_t *reply, struct control_error *error);
/* {"from":"A","to":"B"} */
bool operator_move(const struct operator *operator, const json_t *request, json_t *reply, struct control_error *error);

/* {"what":"ADDRESS or NAME","draining":true}: external addresses are taken out of use, or back. */
bool operator_drain(const struct operator *operator, const struct config *config, const json_t *request, json_t *reply,
		    struct control_error *error);
/* Clients of mappings at addresses that leave are told how long those live. False: out of memory. */
bool operator_tell_leaving(const struct operator *operator, const struct pool_plan *plan);

/* ---- shared by them ---- */

bool operator_fail(struct control_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts into stable storage how a part stands now, or that it does not. */
void operator_record(const struct operator *operator, const struct explicit_part *part);
/* A Mapping Update for its client, with what the mapping is now (RFC 6887 section 14.2); a set is told as one, by its first port.
 * False: too many are under way. */
bool operator_tell_update(const struct operator *operator, const struct explicit_part *part);
/* The clients of these parts have lost them: their Epochs start now, and they will be told. Returns how many clients, or -1: it
 * cannot be written, and nothing must be taken from them. */
int operator_tell_loss(const struct operator *operator, const struct explicit_parts *lost);

#endif
