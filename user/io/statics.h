/* SPDX-License-Identifier: GPL-2.0-only */
/* The operator's mappings: what the configuration's `static` lists is what there is. */
#ifndef CGN_STATICS_H
#define CGN_STATICS_H
#include <stdbool.h>

struct config;
struct dataplane;
struct dataplane_error;

/* Removes static mappings that are no longer configured, then makes those that are missing. On failure returns false with the
 * first that could not be made (its external endpoint is somebody's); those before it stand. */
bool statics_apply(struct dataplane *dp, const struct config *config, struct dataplane_error *error);

#endif
