/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs on interfaces, in the network namespace where we run; and the end of the tables. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "instance_lock.h"
#include "log.h"
#include "store.h"
#include "xcgnctl.h"

static const struct column columns[] = {
	{ "INTERFACE", "interface", -15, false }, { "SIDE", "side", -8, false }, { "MODE", "mode", -7, false },
	{ "ATTACHED", "attached", -8, false }, { "NIC", "nic", -15, false }, { "VLANS", "vlans", -9, false }, {}
};

static const char *const side_names[] = {
	[CGN_INTERNAL_SIDE] = "internal", [CGN_EXTERNAL_SIDE] = "external", [CGN_EITHER_SIDE] = "both", [CGN_NO_SIDE] = "none",
};

static const struct column upgrade_columns[] = { { "REPLACED", "replaced", 8, false }, {} };

struct selection {		/* of the configuration's interfaces, each once */
	const struct config_interface *interface[CGN_INTERFACES_MAX];
	unsigned count;
};

static const struct config_interface *find_interface(const struct config *config, const char *name)
{
	unsigned i;

	for (i = 0; i < config->interfaces_count; i++)
		if (!strcmp(config->interfaces[i].name, name))
			return &config->interfaces[i];
	return NULL;
}

static void select_interface(struct selection *selection, const struct config_interface *interface)
{
	unsigned i;

	for (i = 0; i < selection->count; i++)
		if (selection->interface[i] == interface)
			return;
	if (selection->count < CGN_INTERFACES_MAX)
		selection->interface[selection->count++] = interface;
}

/* Those named, or all; nothing is touched if one of the names is wrong. */
static bool select_interfaces(const struct xcgnctl *ctl, struct selection *ret_selection)
{
	const struct config_interface *interface;
	unsigned i;
	int n;

	ret_selection->count = 0;
	for (i = 0; !ctl->argument_count && i < ctl->config->interfaces_count; i++)
		select_interface(ret_selection, &ctl->config->interfaces[i]);
	for (n = 0; n < ctl->argument_count; n++) {
		interface = find_interface(ctl->config, ctl->arguments[n]);
		if (!interface) {
			log_error("%s: not among the interfaces of %s", ctl->arguments[n], ctl->config_path);
			return false;
		}
		select_interface(ret_selection, interface);
	}
	return true;
}

static int show(const struct xcgnctl *ctl, const struct selection *selection)
{
	struct output output = { .is_json = ctl->is_json, .columns = columns };
	char nic[16], vlans[16];
	unsigned i;

	for (i = 0; i < selection->count; i++) {
		const struct config_interface *interface = selection->interface[i];

		strcpy(nic, "-");	/* of what is not there */
		strcpy(vlans, "-");
		dataplane_link_text(interface, nic, vlans, sizeof(vlans));
		if (!output_record(&output, json_pack("{s:s, s:s, s:s, s:b, s:s, s:s}", "interface", interface->name, "side", side_names[interface->side],
						      "mode", ctl->config->xdp_generic ? "generic" : "native",
						      "attached", dataplane_is_attached(ctl->config, interface) ? 1 : 0, "nic", nic, "vlans", vlans)))
			return EXIT_KERNEL;
	}
	return output_finish(&output);
}

int xcgnctl_show_interfaces(struct xcgnctl *ctl)
{
	struct selection selection;

	return select_interfaces(ctl, &selection) ? show(ctl, &selection) : EXIT_CONFIG;
}

static void detach_again(const struct xcgnctl *ctl, const struct selection *attached)
{
	struct dataplane_error error;
	unsigned i;

	for (i = 0; i < attached->count; i++)
		if (!dataplane_detach(ctl->config, attached->interface[i]->name, &error))
			log_error("%s", error.text);
}

/* Packets that came before all is restored could take what somebody else was promised. */
static bool is_restored(const struct xcgnctl *ctl, struct dataplane_error *error)
{
	struct cgn_meta meta;

	error->code = EXIT_STATE;
	snprintf(error->text, sizeof(error->text), "the tables are not ready: xcgnd has yet to restore what clients were promised; wait until it is ready");
	return dataplane_meta(ctl->dp, &meta) && meta.store_id;
}

int xcgnctl_attach(struct xcgnctl *ctl)
{
	struct selection selection, attached = {};
	struct dataplane_error error;
	unsigned i;

	if (!select_interfaces(ctl, &selection))
		return EXIT_CONFIG;
	if (!is_restored(ctl, &error))
		return xcgnctl_fail(&error);
	for (i = 0; i < selection.count; i++) {
		const char *name = selection.interface[i]->name;
		bool was_attached = dataplane_is_attached(ctl->config, selection.interface[i]);

		if (!dataplane_attach(ctl->dp, ctl->config, name, &error)) {
			detach_again(ctl, &attached);
			return xcgnctl_fail(&error);
		}
		if (!was_attached)
			select_interface(&attached, selection.interface[i]);
	}
	return show(ctl, &selection);
}

int xcgnctl_upgrade(struct xcgnctl *ctl)
{
	struct output output = { .is_json = ctl->is_json, .columns = upgrade_columns };
	struct dataplane_error error;
	unsigned replaced;

	if (!dataplane_upgrade(ctl->dp, ctl->config, &replaced, &error))
		return xcgnctl_fail(&error);
	if (!output_record(&output, json_pack("{s:i}", "replaced", (int)replaced)))
		return EXIT_KERNEL;
	return output_finish(&output);
}

/* Takes off what it can, and says what it cannot. */
int xcgnctl_detach(struct xcgnctl *ctl)
{
	struct selection selection;
	struct dataplane_error error;
	int code = EXIT_OK, shown;
	unsigned i;

	if (!select_interfaces(ctl, &selection))
		return EXIT_CONFIG;
	for (i = 0; i < selection.count; i++)
		if (!dataplane_detach(ctl->config, selection.interface[i]->name, &error))
			code = xcgnctl_fail(&error);
	shown = show(ctl, &selection);
	return code ? code : shown;
}

/* Stable storage first: tables without it are only tables, it without tables would bring them back. */
static int purge(const struct xcgnctl *ctl)
{
	struct dataplane_error error = { .code = EXIT_STATE };

	if (!dataplane_may_purge(ctl->config, &error) || !store_purge(ctl->config->state_dir, error.text, sizeof(error.text)) ||
	    !dataplane_purge(ctl->config, &error))
		return xcgnctl_fail(&error);
	return EXIT_OK;
}

/* Holding the daemon's lock, so that none starts on tables that are just being removed. */
int xcgnctl_purge(struct xcgnctl *ctl)
{
	pid_t holder;
	int lock = instance_lock_take(ctl->config->control, 0, &holder), code;

	if (lock == -EWOULDBLOCK) {
		log_error("xcgnd runs (process %ld); stop it before `xcgnctl purge`", (long)holder);
		return EXIT_STATE;
	}
	if (lock < 0) {
		log_error("%s.lock: cannot lock: %s", ctl->config->control, strerror(-lock));
		return EXIT_KERNEL;
	}
	code = purge(ctl);
	close(lock);
	return code;
}
