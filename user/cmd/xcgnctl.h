/* SPDX-License-Identifier: GPL-2.0-only */
/* A command of xcgnctl is a row in xcgnctl.c and a function here. */
#ifndef CGN_XCGNCTL_H
#define CGN_XCGNCTL_H
#include <argp.h>
#include <stdbool.h>
#include "config.h"
#include "dataplane.h"
#include "xcgnctl_output.h"

enum xcgnctl_exit { EXIT_OK, EXIT_CONFIG = DATAPLANE_CONFIG, EXIT_KERNEL = DATAPLANE_KERNEL, EXIT_STATE = DATAPLANE_STATE };

struct listing_options {	/* of the `show` commands and of `clear` */
	struct cgn_subscriber_key subscriber;
	bool has_subscriber;
	unsigned origins;	/* cgn_mapping_flag; 0: all */
	unsigned protocols;	/* bits of cgn_protocol_index; 0: all */
	uint64_t limit;		/* 0: none */
	uint64_t stale_s;	/* 0: stale or not */
	bool nonces;
	bool is_all, is_sure;	/* clear */
	bool has_at;
	int64_t at_s;		/* who: Unix time */
};

struct xcgnctl {
	const char *config_path;
	bool is_json;
	const struct command *command;
	struct listing_options listing;
	char **arguments;	/* behind the options of the command */
	int argument_count;

	struct config *config;
	struct dataplane *dp;	/* NULL unless the command wants it */
};

struct command {
	const char *name;	/* one or two words */
	const char *arguments;	/* for the help; NULL: it takes none */
	const char *summary;	/* one line */
	const char *details;	/* below the options in its help; may be NULL */
	const struct argp_option *options;	/* may be NULL */
	bool wants_dataplane;
	int (*run)(struct xcgnctl *ctl);	/* returns an exit code, having said what is wrong */
};

extern const struct argp_option mapping_options[], subscriber_options[], clear_options[], who_options[];

/* Says the error on stderr and returns its exit code. */
int xcgnctl_fail(const struct dataplane_error *error);
int xcgnctl_fail_memory(void);

int xcgnctl_status(struct xcgnctl *ctl);
int xcgnctl_show_mappings(struct xcgnctl *ctl);
int xcgnctl_show_subscribers(struct xcgnctl *ctl);
int xcgnctl_show_pools(struct xcgnctl *ctl);
int xcgnctl_show_blocks(struct xcgnctl *ctl);
int xcgnctl_show_stats(struct xcgnctl *ctl);
int xcgnctl_show_interfaces(struct xcgnctl *ctl);
int xcgnctl_clear(struct xcgnctl *ctl);
int xcgnctl_subscriber_moved(struct xcgnctl *ctl);
int xcgnctl_reload(struct xcgnctl *ctl);
int xcgnctl_pool_drain(struct xcgnctl *ctl);
int xcgnctl_pool_undrain(struct xcgnctl *ctl);
int xcgnctl_who(struct xcgnctl *ctl);
int xcgnctl_attach(struct xcgnctl *ctl);
int xcgnctl_upgrade(struct xcgnctl *ctl);
int xcgnctl_detach(struct xcgnctl *ctl);
int xcgnctl_purge(struct xcgnctl *ctl);

#endif
