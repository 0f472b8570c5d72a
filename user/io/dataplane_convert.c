/* SPDX-License-Identifier: GPL-2.0-only */
/* Maps of another version whose elements had another shape, and were promised to somebody: they are copied into new ones. Only the
 * daemon's requests write such maps, so nothing changes under the copy, though packets go on meanwhile. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "dataplane_internal.h"

#define BATCH 1024	/* elements; no bucket has so many */

/* Value of `explicit` up to layout 23. */
struct explicit_23 {
	uint8_t nonce[CGN_NONCE_LEN];
	uint32_t expires_s;
	uint8_t client6[16];
	uint16_t client_port, generation;
	uint32_t slot, created_s;
	uint8_t remote6[16];
	uint16_t remote_port, set_first, set_size;
	uint8_t described, filtered;
};
CGN_ASSERT_SIZE(struct explicit_23, 68);

struct batch {
	struct cgn_explicit_key key[BATCH];
	struct explicit_23 before[BATCH];
	struct cgn_explicit after[BATCH];
};

bool dataplane_may_convert(const char *name, const struct bpf_map_info *pinned)
{
	return !strcmp(name, "explicit") && pinned->type == BPF_MAP_TYPE_HASH && pinned->key_size == sizeof(struct cgn_explicit_key) &&
	       pinned->value_size == sizeof(struct explicit_23);
}

/* Whoever asked, and whatever remote peer was named: by IPv4. Static mappings have neither, and zeros. */
static void convert(const struct explicit_23 *before, struct cgn_explicit *ret_after)
{
	struct cgn_explicit after = { .expires_s = before->expires_s, .client_port = before->client_port, .generation = before->generation,
		.slot = before->slot, .created_s = before->created_s, .remote_port = before->remote_port, .set_first = before->set_first,
		.set_size = before->set_size, .described = before->described, .filtered = before->filtered };

	memcpy(after.nonce, before->nonce, sizeof(after.nonce));
	memcpy(after.client4, before->client6 + 12, sizeof(after.client4));
	memcpy(after.remote4, before->remote6 + 12, sizeof(after.remote4));
	*ret_after = after;
}

static int copy_explicit(int from, int to, struct batch *batch)
{
	uint32_t position = 0, next = 0, count, i;
	bool is_first = true;
	int failed;

	do {
		count = BATCH;
		failed = bpf_map_lookup_batch(from, is_first ? NULL : &position, &next, batch->key, batch->before, &count, NULL) ? -errno : 0;
		if (failed && failed != -ENOENT)
			return failed;
		for (i = 0; i < count; i++)
			convert(&batch->before[i], &batch->after[i]);
		if (count && bpf_map_update_batch(to, batch->key, batch->after, &count, NULL))
			return -errno;
		position = next;
		is_first = false;
	} while (!failed);
	return 0;
}

bool dataplane_convert_maps(struct bpf_object *object, const char *pin_dir, struct dataplane_error *error)
{
	int from = dataplane_open_pin(pin_dir, "explicit"), failed = 0;
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	struct batch *batch = NULL;

	if (from < 0 || bpf_obj_get_info_by_fd(from, &info, &len))
		failed = from < 0 ? from : -errno;
	else if (dataplane_may_convert("explicit", &info)) {
		batch = malloc(sizeof(*batch));
		failed = batch ? copy_explicit(from, bpf_object__find_map_fd_by_name(object, "explicit"), batch) : -ENOMEM;
	}
	free(batch);
	if (from >= 0)
		close(from);
	return failed ? dataplane_fail(error, DATAPLANE_KERNEL, "%s/explicit: cannot be copied into this layout: %s", pin_dir, strerror(-failed)) : true;
}
