/* SPDX-License-Identifier: GPL-2.0-only */
/* What a frame becomes: one row for each thing that can happen to it, and one for each verdict at least. */
#ifndef CGN_TEST_FIXTURES_H
#define CGN_TEST_FIXTURES_H
#include "frame.h"
#include "plane.h"

enum scene { SCENE_MAIN, SCENE_SMALL, SCENE_TINY, SCENE_CLAMPED, SCENE_ASKED, SCENES };

struct fixture {
	const char *name;
	enum scene scene;
	enum cgn_side side;		/* where the frame comes in */
	enum cgn_verdict verdict;
	struct frame in;
	/* Addresses, ports and inner packet that the translation changes; the rest stays, the time to live is one less. Source MAPPED:
	 * the external endpoint that the source has been given by this packet. */
	struct frame out;
	enum cgn_verdict report;	/* of the ICMP error that goes back, or is withheld; 0: none */
	uint16_t mtu;			/* that it tells */
	void (*before)(struct plane *plane);
	void (*after)(struct plane *plane);
};

#define MAPPED "mapped"

extern const char *const scene_configs[SCENES];
extern const struct fixture fixtures[];
extern const unsigned fixture_count;

/* Mappings that the fixtures of the main scene rely on. */
void fixtures_prepare(struct plane *plane, enum scene scene);

#endif
