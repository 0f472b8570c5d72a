/* SPDX-License-Identifier: GPL-2.0-only */
/* libev, with its header's own warnings silenced. One thread, one loop. */
#ifndef CGN_EVENT_LOOP_H
#define CGN_EVENT_LOOP_H
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-aliasing"
#pragma GCC diagnostic ignored "-Wconversion"
#include <ev.h>
#pragma GCC diagnostic pop

#endif
