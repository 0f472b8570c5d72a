/* SPDX-License-Identifier: GPL-2.0-only */
/* One line to stderr for each message; under systemd with the journal's <3> prefixes (sd-daemon(3)). */
#ifndef CGN_LOG_H
#define CGN_LOG_H
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6 };

void log_init(const char *program);	/* borrowed */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)		log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...)	log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)		log_line(LOG_LEVEL_INFO, __VA_ARGS__)

/* For messages that traffic can cause: at most `per_second`, then a count of what was not said. Zeroed before first use. */
struct log_limit {
	uint32_t second;
	uint32_t said;
	uint64_t unsaid;
};

/* May it be said? When a new second begins with something unsaid, *ret_unsaid is how much (else 0): say that first. */
bool log_limit_pass(struct log_limit *limit, uint32_t per_second, uint32_t now_s, uint64_t *ret_unsaid);

#endif
