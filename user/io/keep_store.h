/* SPDX-License-Identifier: GPL-2.0-only */
/* The stable storage of `pcpc keep`: one file that is replaced as a whole, so that a crash or loss of power at any write leaves the
 * former one or the new one. Beside it "FILE.new" while it is written, "FILE.lock" for the one process, and "FILE.bad" for what was
 * found there and is not ours. */
#ifndef CGN_KEEP_STORE_H
#define CGN_KEEP_STORE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keep_stored {
	uint8_t *bytes;		/* the caller frees it */
	size_t len;
	int64_t shift_s;	/* takes seconds of CLOCK_BOOTTIME then to those of now, over a reboot by the wall clock */
	bool time_is_unknown;	/* which went backwards since: nobody knows how long ago it was */
};

enum keep_read { KEEP_READ_OK, KEEP_READ_NONE, KEEP_READ_BAD, KEEP_READ_FAILED };

/* KEEP_READ_BAD: torn, or no such file at all. KEEP_READ_FAILED: errno says why. */
enum keep_read keep_store_read(const char *path, struct keep_stored *ret_stored);
/* Renames the file to "FILE.bad", whatever stood there before. 0 or -errno. */
int keep_store_set_aside(const char *path);
/* On disk, with the name, when it returns. 0 or -errno: then the former one stands. The folder is made if it is missing. */
int keep_store_write(const char *path, const uint8_t *bytes, size_t len);

#endif
