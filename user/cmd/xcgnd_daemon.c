/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/random.h>
#include <systemd/sd-daemon.h>
#include "announce.h"
#include "audit_writer.h"
#include "config.h"
#include "control.h"
#include "dataplane.h"
#include "dataplane_pools.h"
#include "event_log.h"
#include "event_loop.h"
#include "expiry.h"
#include "hold.h"
#include "instance_lock.h"
#include "leaving.h"
#include "log.h"
#include "netlink.h"
#include "notices.h"
#include "persistence.h"
#include "pcp_proto.h"
#include "pcp_server.h"
#include "pcp_service.h"
#include "pool_plan.h"
#include "route_watch.h"
#include "statics.h"
#include "warm.h"
#include "xcgnd_daemon.h"
#include "xcgnd_memory.h"
#include "xcgnd_operator.h"
#include "xcgnd_reload.h"

#define ANNOUNCE_S 128		/* ten multicasts take this long */
#define LOCK_WAIT_MS 1000	/* a killed daemon's memory takes a moment to be given back */

struct daemon {
	char *config_path;
	struct config *config;
	struct ev_loop *loop;
	struct dataplane *dp;
	struct persistence *persistence;
	struct pcp_server *server;
	struct pcp_service *service;
	struct announce *announce;
	struct notices *notices;
	struct expiry *expiry;
	struct event_log *events;
	struct hold *hold;
	struct leaving *leaving;
	struct pool_plan plan;		/* of the start */
	struct audit_writer *audit;
	struct route_watch *routes;
	struct control *control;
	struct warm *warm;
	struct ev_signal terminate, interrupt, hangup;
	struct ev_io netlink;
	struct ev_timer settle;		/* after netlink said something: addresses come in bursts */
	struct ev_timer watchdog;
	bool is_fresh;			/* the tables are */
	int lock;
	uint32_t started_s;
};

/* Borrows from the configuration. */
static struct pcp_policy policy_of(const struct config *config)
{
	const struct config_pcp *pcp = &config->pcp;

	struct pcp_policy policy = { .lifetime_min_s = pcp->lifetime_min_s, .lifetime_max_s = pcp->lifetime_max_s,
		.error_short_s = pcp->error_short_s, .error_long_s = pcp->error_long_s, .announce = pcp->announce, .map = pcp->map,
		.peer = pcp->peer, .get = pcp->get, .nonce_policy = (uint8_t)pcp->nonce_policy, .filters = pcp->filters, .rate_requests = pcp->rate_requests,
		.get_policy = { .opcode = (uint8_t)pcp->get_opcode, .next = (uint8_t)pcp->get_next, .not_found = (uint8_t)pcp->get_not_found,
				.reveals_nonces = pcp->get_reveals_nonces },
		.rate_burst = pcp->rate_burst, .third_party = pcp->third_party, .third_party_count = pcp->third_party_count,
		.nat_pmp = pcp->nat_pmp, .description_max = (uint16_t)pcp->description_max,
		.is_durable = true };	/* no answer leaves before persistence_pcp_commit() */

	if (getrandom(&policy.rate_seed, sizeof(policy.rate_seed), 0) != sizeof(policy.rate_seed))
		log_warning("no random numbers: which hosts share a place in the rate limit can be foreseen");
	return policy;
}

static void warn_of(const char *path, const struct config *config)
{
	char text[512];
	unsigned n;

	for (n = 0; config_warning(config, n, text, sizeof(text)); n++)
		log_warning("%s: %s", path, text);
}

static struct config *load_config(const char *path)
{
	struct config *config = NULL;
	char text[512];

	if (!config_load(path, &config, text, sizeof(text))) {
		log_error("%s", text);
		return NULL;
	}
	warn_of(path, config);
	return config;
}

/* ---- control commands ---- */

static json_t *results_of(const struct pcp_server_stats *stats)
{
	json_t *results = json_object();
	size_t i;

	for (i = 0; i < sizeof(stats->results) / sizeof(*stats->results); i++)
		if (stats->results[i])
			json_object_set_new(results, pcp_result_name((int)i), json_integer((json_int_t)stats->results[i]));
	return results;
}

static json_t *store_of(const struct persistence *persistence)
{
	struct persistence_stats stats = persistence_stats(persistence);

	return json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:I}}", "complete", stats.is_complete, "failing", stats.is_failing,
			 "commits", (json_int_t)stats.commits, "failures", (json_int_t)stats.failures, "bytes", (json_int_t)stats.bytes,
			 "blocks", (json_int_t)stats.blocks,
			 "at_start", "restored", (json_int_t)stats.restored, "expired", (json_int_t)stats.expired,
			 "superseded", (json_int_t)stats.superseded, "lost", (json_int_t)stats.lost, "blocks", (json_int_t)stats.blocks_owned);
}

static json_t *fragments_of(const struct hold *hold)
{
	struct hold_stats stats = hold_stats(hold);

	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "held", (json_int_t)stats.held, "released", (json_int_t)stats.released,
			 "overdue", (json_int_t)stats.overdue, "displaced", (json_int_t)stats.displaced, "failures", (json_int_t)stats.failures);
}

static json_t *log_of(struct audit_writer *audit)
{
	struct audit_writer_stats stats = audit_writer_stats(audit);

	return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I}}", "failing", stats.is_failing, "written", (json_int_t)stats.written,
			 "repaired", (json_int_t)stats.repaired, "gaps", (json_int_t)stats.gaps, "lost", (json_int_t)stats.lost,
			 "failures", (json_int_t)stats.failures, "syslog", "sent", (json_int_t)stats.syslog_sent, "lost",
			 (json_int_t)stats.syslog_lost);
}

static bool command_status(void *context, const json_t *request, json_t *reply, struct control_error *error)
{
	const struct daemon *daemon = context;
	const struct pcp_server_stats *pcp = pcp_server_stats(daemon->server);
	const struct pcp_service_stats *service = pcp_service_stats(daemon->service);
	const struct expiry_stats *expiry = expiry_stats(daemon->expiry);
	const struct announce_stats *announce = announce_stats(daemon->announce);

	(void)request;
	(void)error;
	json_object_set_new(reply, "pid", json_integer(getpid()));
	json_object_set_new(reply, "uptime", json_integer((json_int_t)(dataplane_now_s() - daemon->started_s)));
	json_object_set_new(reply, "pcp", json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "listening",
						    (json_int_t)pcp_service_listening(daemon->service), "requests", (json_int_t)pcp->requests,
						    "silent", (json_int_t)pcp->silent, "not_internal", (json_int_t)pcp->external, "over_rate", (json_int_t)pcp->over_rate,
						    "natpmp", (json_int_t)pcp->natpmp,
						    "unsent", (json_int_t)service->unsent, "results", results_of(pcp)));
	json_object_set_new(reply, "announced", json_pack("{s:I, s:I, s:I}", "multicasts", (json_int_t)announce->multicasts, "unicasts",
							  (json_int_t)announce->unicasts, "updates", (json_int_t)announce->updates));
	json_object_set_new(reply, "expiry", json_pack("{s:I, s:I, s:I, s:I, s:I}", "passes", (json_int_t)expiry->passes, "deleted",
						       (json_int_t)expiry->deleted, "demoted", (json_int_t)expiry->demoted, "blocks_released",
						       (json_int_t)expiry->blocks_released, "subscribers_removed",
						       (json_int_t)expiry->subscribers_removed));
	json_object_set_new(reply, "fragments", fragments_of(daemon->hold));
	json_object_set_new(reply, "store", store_of(daemon->persistence));
	json_object_set_new(reply, "log", log_of(daemon->audit));
	return true;
}

static struct operator operator_of(const struct daemon *daemon)
{
	return (struct operator){ .dp = daemon->dp, .persistence = daemon->persistence, .server = daemon->server,
		.announce = daemon->announce, .notices = daemon->notices };
}

static bool command_clear(void *context, const json_t *request, json_t *reply, struct control_error *error)
{
	const struct operator operator = operator_of(context);

	return operator_clear(&operator, request, reply, error);
}

static bool command_move(void *context, const json_t *request, json_t *reply, struct control_error *error)
{
	const struct operator operator = operator_of(context);

	return operator_move(&operator, request, reply, error);
}

static bool command_drain(void *context, const json_t *request, json_t *reply, struct control_error *error)
{
	const struct operator operator = operator_of(context);

	return operator_drain(&operator, ((const struct daemon *)context)->config, request, reply, error);
}

/* ---- events ---- */

static void handle_stop(struct ev_loop *loop, struct ev_signal *signal, int events)
{
	(void)signal;
	(void)events;
	sd_notify(0, "STOPPING=1");
	ev_break(loop, EVBREAK_ALL);
}

/* What depends on the addresses of the interfaces. */
static void refresh_addresses(struct daemon *daemon, const struct config *config)
{
	struct dataplane_error error;
	char text[256];

	dataplane_refresh_links(daemon->dp, config);
	if (!dataplane_set_addresses(daemon->dp, config, &error))
		log_error("%s; ICMP errors may lack a source", error.text);
	if (!pcp_service_refresh(daemon->service, text, sizeof(text)))
		log_error("%s", text);
}

/* Takes over the configuration file as it is now, or keeps the one before wholly. */
static bool reload(struct daemon *daemon, struct control_error *error)
{
	const struct operator operator = operator_of(daemon);
	struct dataplane_error refused;
	struct config *config = NULL;
	struct pool_plan plan;
	struct pcp_policy policy;

	error->code = DATAPLANE_CONFIG;
	if (!config_load(daemon->config_path, &config, error->text, sizeof(error->text)))
		return false;
	if (!reload_tables(&operator, daemon->config, config, &plan, &refused)) {
		config_free(config);
		return operator_fail(error, refused.code, "%s; nothing was changed", refused.text);
	}
	warn_of(daemon->config_path, config);
	policy = policy_of(config);
	pcp_server_set_policy(daemon->server, &policy);
	pcp_service_set_config(daemon->service, config);
	audit_writer_configure(daemon->audit, &config->log);
	refresh_addresses(daemon, config);
	config_free(daemon->config);
	daemon->config = config;
	log_info("reloaded %s", daemon->config_path);
	reload_log_plans(config);
	reload_tell(&operator, &plan);
	pool_plan_done(&plan);
	leaving_look(daemon->leaving);
	return true;
}

static bool reload_and_say(struct daemon *daemon, struct control_error *error)
{
	bool is_done;

	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, (uint64_t)dataplane_now_s() * 1000000);
	is_done = reload(daemon, error);
	if (!is_done)
		log_error("reload: %s", error->text);
	sd_notify(0, "READY=1");
	return is_done;
}

static void handle_reload(struct ev_loop *loop, struct ev_signal *signal, int events)
{
	struct control_error error;

	(void)loop;
	(void)events;
	reload_and_say(signal->data, &error);
}

static bool command_reload(void *context, const json_t *request, json_t *reply, struct control_error *error)
{
	struct daemon *daemon = context;

	(void)request;
	if (!reload_and_say(daemon, error))
		return false;
	json_object_set_new(reply, "reloaded", json_string(daemon->config_path));
	return true;
}

static const struct control_command commands[] = {
	{ "status", command_status },
	{ "reload", command_reload },
	{ "clear", command_clear },
	{ "move", command_move },
	{ "drain", command_drain },
	{ NULL, NULL },
};

static void handle_netlink(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct daemon *daemon = io->data;

	(void)events;
	netlink_watch_drain(io->fd);
	ev_timer_stop(loop, &daemon->settle);
	ev_timer_set(&daemon->settle, 0.1, 0.);
	ev_timer_start(loop, &daemon->settle);
}

static void handle_settled(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct daemon *daemon = timer->data;

	(void)loop;
	(void)events;
	refresh_addresses(daemon, daemon->config);
}

static void handle_watchdog(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
	sd_notify(0, "WATCHDOG=1");
}

static void watch(struct daemon *daemon)
{
	uint64_t watchdog_us;
	int fd = netlink_watch_open();

	ev_signal_init(&daemon->terminate, handle_stop, SIGTERM);
	ev_signal_init(&daemon->interrupt, handle_stop, SIGINT);
	ev_signal_init(&daemon->hangup, handle_reload, SIGHUP);
	daemon->hangup.data = daemon;
	ev_signal_start(daemon->loop, &daemon->terminate);
	ev_signal_start(daemon->loop, &daemon->interrupt);
	ev_signal_start(daemon->loop, &daemon->hangup);
	ev_timer_init(&daemon->settle, handle_settled, 0.1, 0.);
	daemon->settle.data = daemon;
	if (fd >= 0) {
		ev_io_init(&daemon->netlink, handle_netlink, fd, EV_READ);
		daemon->netlink.data = daemon;
		ev_io_start(daemon->loop, &daemon->netlink);
	} else {
		log_warning("cannot watch addresses: %s; SIGHUP makes up for it", strerror(-fd));
	}
	if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
		ev_timer_init(&daemon->watchdog, handle_watchdog, 0., (double)watchdog_us / 1e6 / 3);
		ev_timer_start(daemon->loop, &daemon->watchdog);
	}
}

/* ---- life ---- */

static enum daemon_exit take_lock(struct daemon *daemon)
{
	pid_t holder;

	daemon->lock = instance_lock_take(daemon->config->control, LOCK_WAIT_MS, &holder);
	if (daemon->lock >= 0)
		return DAEMON_OK;
	if (daemon->lock == -EWOULDBLOCK)
		log_error("another xcgnd (pid %d) serves %s", (int)holder, daemon->config->control);
	else
		log_error("%s.lock: %s", daemon->config->control, strerror(-daemon->lock));
	return daemon->lock == -EWOULDBLOCK ? DAEMON_STATE : DAEMON_KERNEL;
}

/* Pinned tables have theirs already. */
static bool memory_suffices(const struct config *config)
{
	struct memory_need need = memory_need(config);
	uint64_t available = memory_available();

	if (dataplane_is_pinned(config->pin_dir))
		return true;
	log_info("tables take %" PRIu64 " MiB: ports %" PRIu64 ", mappings %" PRIu64 ", explicit mappings %" PRIu64 ", subscribers %" PRIu64,
		 memory_total(&need) >> 20, (need.ports + need.blocks) >> 20, need.mappings >> 20, need.explicit_mappings >> 20,
		 need.subscribers >> 20);
	if (memory_total(&need) <= available)
		return true;
	log_error("the tables need %" PRIu64 " MiB and %" PRIu64 " MiB are available; make `tables` or `pools` smaller",
		  memory_total(&need) >> 20, available >> 20);
	return false;
}

static enum daemon_exit open_dataplane(struct daemon *daemon)
{
	struct pcp_policy policy = policy_of(daemon->config);
	struct dataplane_error error;
	struct cgn_meta meta;
	bool fresh;

	if (!memory_suffices(daemon->config))
		return DAEMON_KERNEL;
	daemon->dp = dataplane_open(daemon->config, &fresh, &error);
	if (daemon->dp && dataplane_pools_prepare(daemon->dp, daemon->config, &daemon->plan, &error) &&
	    dataplane_configure(daemon->dp, daemon->config, &error))
		daemon->persistence = persistence_open(daemon->config, daemon->dp, fresh, &error);
	/* what clients have comes before what the operator adds */
	if (!daemon->persistence || !statics_apply(daemon->dp, daemon->config, &error) ||
	    !dataplane_pools_commit(daemon->dp, daemon->config, &daemon->plan, &error)) {
		log_error("%s", error.text);
		return (enum daemon_exit)error.code;
	}
	if (!dataplane_meta(daemon->dp, &meta)) {
		log_error("%s/meta: cannot read", daemon->config->pin_dir);
		return DAEMON_STATE;
	}
	daemon->is_fresh = fresh;
	log_info("%s %s: %u external addresses, Epoch %u", fresh ? "built" : "adopted", daemon->config->pin_dir, meta.address_count,
		 dataplane_now_s() - meta.epoch_base_s);
	daemon->server = pcp_server_new(&policy, persistence_ops, persistence_ops_context(daemon->persistence));
	if (!daemon->server) {
		log_error("out of memory");
		return DAEMON_KERNEL;
	}
	pcp_server_set_epoch_base(daemon->server, meta.epoch_base_s);
	return DAEMON_OK;
}

/* What an older xcgnd attached gives way under traffic. If that fails it serves on, over the same tables. */
static void upgrade_programs(struct daemon *daemon)
{
	struct dataplane_error error;
	unsigned replaced;
	bool done = dataplane_upgrade(daemon->dp, daemon->config, &replaced, &error);

	if (replaced)
		log_info("replaced the programs of another build on %u interfaces", replaced);
	if (!done)
		log_warning("%s; a program of another build may stay there until `xcgnctl upgrade`", error.text);
}

/* A daemon that dies while it announces leaves the rest to the next one, which cannot tell how far it came. */
static void announce_if_reset(struct daemon *daemon)
{
	struct cgn_meta meta;

	if (dataplane_meta(daemon->dp, &meta) && dataplane_now_s() - meta.epoch_base_s < ANNOUNCE_S)
		announce_start(daemon->announce);
}

static enum daemon_exit open_service(struct daemon *daemon)
{
	struct dataplane_error refused;
	struct control_error error;
	const struct pcp_commit commit = persistence_pcp_commit(daemon->persistence);
	struct operator operator;
	char text[256];

	daemon->service = pcp_service_new(daemon->loop, daemon->server, daemon->config);
	daemon->expiry = expiry_new(daemon->loop, daemon->dp);
	if (daemon->service)
		pcp_service_set_commit(daemon->service, &commit);
	persistence_start(daemon->persistence, daemon->loop);
	if (!daemon->service || !daemon->expiry) {
		log_error("out of memory");
		return DAEMON_KERNEL;
	}
	daemon->audit = audit_writer_new(daemon->dp, daemon->config->state_dir, &daemon->config->log);
	if (!daemon->audit) {
		log_error("out of memory");
		return DAEMON_KERNEL;
	}
	daemon->events = event_log_new(daemon->loop, daemon->dp, daemon->audit);
	if (!daemon->events)
		log_warning("cannot read the ring buffer of events: port blocks are not logged");
	daemon->hold = hold_new(daemon->loop, daemon->dp);
	if (!daemon->hold)
		log_warning("cannot hold fragments that come before their first one: they are dropped");
	daemon->routes = route_watch_new(daemon->loop, daemon->dp);
	if (!daemon->routes)
		log_warning("cannot watch routes and neighbours: their changes act within a second");
	watch(daemon);	/* before the first look, so that no change is missed */
	if (!pcp_service_refresh(daemon->service, text, sizeof(text))) {
		log_error("%s", text);
		return DAEMON_KERNEL;
	}
	if (!dataplane_set_addresses(daemon->dp, daemon->config, &refused)) {
		log_error("%s", refused.text);
		return DAEMON_KERNEL;
	}
	upgrade_programs(daemon);
	daemon->announce = announce_new(daemon->loop, daemon->dp, daemon->persistence, daemon->server, daemon->service);
	daemon->notices = notices_new(daemon->loop, daemon->server, daemon->service);
	if (!daemon->announce || !daemon->notices) {
		log_error("out of memory");
		return DAEMON_KERNEL;
	}
	announce_if_reset(daemon);
	operator = operator_of(daemon);
	reload_log_plans(daemon->config);
	reload_tell(&operator, &daemon->plan);
	pool_plan_done(&daemon->plan);
	daemon->leaving = leaving_new(daemon->loop, daemon->dp, daemon->persistence);
	if (!daemon->leaving) {
		log_error("out of memory");
		return DAEMON_KERNEL;
	}
	if (!pcp_service_listening(daemon->service))
		log_warning("no internal interface has an IPv4 address yet: PCP waits for one");
	daemon->control = control_new(daemon->loop, daemon->config->control, commands, daemon, &error);
	if (!daemon->control) {
		log_error("%s", error.text);
		return (enum daemon_exit)error.code;
	}
	return DAEMON_OK;
}

static enum daemon_exit open_all(struct daemon *daemon)
{
	enum daemon_exit failed;

	daemon->config = load_config(daemon->config_path);
	if (!daemon->config)
		return DAEMON_CONFIG;
	failed = take_lock(daemon);
	if (failed)
		return failed;
	daemon->loop = ev_default_loop(EVFLAG_AUTO);
	if (!daemon->loop) {
		log_error("cannot make an event loop");
		return DAEMON_KERNEL;
	}
	failed = open_dataplane(daemon);
	return failed ? failed : open_service(daemon);
}

struct daemon *daemon_new(const char *config_path, enum daemon_exit *ret_exit)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));

	*ret_exit = DAEMON_KERNEL;
	if (!daemon)
		return NULL;
	daemon->lock = -1;
	daemon->netlink.fd = -1;
	daemon->started_s = dataplane_now_s();
	daemon->config_path = strdup(config_path);
	*ret_exit = daemon->config_path ? open_all(daemon) : DAEMON_KERNEL;
	if (*ret_exit == DAEMON_OK)
		return daemon;
	daemon_free(daemon);
	return NULL;
}

void daemon_free(struct daemon *daemon)
{
	if (!daemon)
		return;
	warm_stop(daemon->warm);
	control_free(daemon->control);
	leaving_free(daemon->leaving);
	pool_plan_done(&daemon->plan);
	hold_free(daemon->hold);
	event_log_free(daemon->events);
	audit_writer_free(daemon->audit);
	route_watch_free(daemon->routes);
	notices_free(daemon->notices);
	announce_free(daemon->announce);
	expiry_free(daemon->expiry);
	pcp_service_free(daemon->service);
	pcp_server_free(daemon->server);
	persistence_close(daemon->persistence);
	dataplane_close(daemon->dp);
	if (daemon->loop)
		ev_loop_destroy(daemon->loop);
	if (daemon->netlink.fd >= 0)
		close(daemon->netlink.fd);
	if (daemon->lock >= 0)
		close(daemon->lock);
	config_free(daemon->config);
	free(daemon->config_path);
	free(daemon);
}

void daemon_run(struct daemon *daemon)
{
	if (daemon->is_fresh)
		daemon->warm = warm_start(daemon->dp);
	log_info("ready");
	sd_notify(0, "READY=1");
	ev_run(daemon->loop, 0);
	log_info("stopped; programs stay attached and packets keep flowing");
}
