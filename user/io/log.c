/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "log.h"

static const char *program_name = "";
static bool is_journal;

/* JOURNAL_STREAM is inherited: it counts only while stderr is that very stream. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2 || fstat(STDERR_FILENO, &status))
		return false;
	return status.st_dev == device && status.st_ino == inode;
}

void log_init(const char *program)
{
	program_name = program;
	is_journal = stderr_is_journal();
}

static const char *level_word(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error: ";
	case LOG_LEVEL_WARNING:
		return "warning: ";
	default:
		return "";
	}
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (is_journal)
		fprintf(stderr, "<%d>%s\n", level, line);
	else
		fprintf(stderr, "%s: %s%s\n", program_name, level_word(level), line);
}

bool log_limit_pass(struct log_limit *limit, uint32_t per_second, uint32_t now_s, uint64_t *ret_unsaid)
{
	*ret_unsaid = 0;
	if (limit->second != now_s) {
		*ret_unsaid = limit->unsaid;
		limit->second = now_s;
		limit->said = 0;
		limit->unsaid = 0;
	}
	if (limit->said < per_second) {
		limit->said++;
		return true;
	}
	limit->unsaid++;
	return false;
}
