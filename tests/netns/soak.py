#!/usr/bin/python3
"""usage: soak.py PREFIX BUILD SCRATCH SECONDS SEED HOSTS

Chaos in rounds. In each, for half a minute: clients and the daemon are killed with and without their storage, hosts change addresses and
wishes, the operator clears, the machine reboots, the wire loses, delays and doubles. Then it is quiet, and within the time that the
protocol needs everybody must agree: every client's table, the server's GET, the maps and the data plane. What breaks a flow or makes a
client tell news without a reason in the scenario is a failure too. The script of a round follows from the seed alone."""
import collections
from concurrent import futures
import os
import random
import signal
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/lib"))
from soak_flows import Traffic	# noqa: E402 pylint: disable=wrong-import-position
from soak_rig import Rig, wait_until	# noqa: E402 pylint: disable=wrong-import-position

ROUND_S, SETTLE_S, HIT_S = 30, 60, 60
LIFETIMES = 20, 30
FIXED = ("udp", 5060), ("tcp", 8080)
EXTRA = ("udp", 9000), ("tcp", 9000), ("udp", 9001), ("tcp", 9001)
OUT = "out-udp", "out-tcp"
ALL = ("in-udp", "in-tcp") + OUT

# what happens, and how often: about so many times in a hundred
EVENTS = (("client_dies", 40), ("client_forgets", 14), ("host_moves", 12), ("wishes_change", 12), ("weather_changes", 10),
          ("daemon_dies", 6), ("operator_clears", 3), ("reboot", 2), ("state_lost", 1))
SERVER_EVENTS = "daemon_dies", "reboot", "state_lost", "operator_clears"


def script(rng, seconds, hosts):
    """[(when, event, host, how long)], from the seed alone."""
    names, weights = zip(*EVENTS)
    when, lines = 0.0, []
    while True:
        when += rng.uniform(0.15, 0.9)
        if when >= seconds:
            return lines
        lines.append((when, rng.choices(names, weights)[0], rng.randrange(hosts), rng.uniform(0.0, 2.0)))


class Soak:
    def __init__(self, rig, seed):
        self.rig, self.seed = rig, seed
        self.traffic = Traffic(rig)
        self.later = []			# [(when, function)]
        self.operator = futures.ThreadPoolExecutor(1)	# does to the server what takes time; its children live as long as it
        self.work = None
        self.hits = collections.defaultdict(list)	# host -> [(when, reason)]
        self.left = {}			# former address -> when
        self.counts = collections.Counter()
        self.failures = []
        self.begin = time.monotonic()

    def say(self, text):
        print("   {:6.1f} {}".format(time.monotonic() - self.begin, text), flush=True)

    def failed(self, text):
        self.failures.append(text)
        self.say("FAILED: " + text)

    # ---- what can happen ----

    def hit(self, host, reason, kinds=(), key=None):
        """News of this host have a reason now; flows of these kinds have one to end."""
        for one in [host] if host else self.rig.hosts:
            self.hits[one].append((time.monotonic(), reason))
        if kinds:
            self.traffic.excuse(host, kinds, key)

    def restart_client(self, host, delay, keeps_storage):
        if host.client.poll() is not None:
            return	# dead already
        host.kill(keeps_storage)
        self.later.append((time.monotonic() + delay, host.start))

    def client_dies(self, host, delay):
        self.restart_client(host, delay, True)

    def client_forgets(self, host, delay):
        self.hit(host, "forgot")
        self.restart_client(host, delay, False)

    def host_moves(self, host, _delay):
        self.hit(host, "moved", ALL)
        self.left[host.move()] = time.monotonic()

    def wishes_change(self, host, delay):
        key = EXTRA[int(delay * 1000) % len(EXTRA)]
        self.hit(host, "wishes", ("in-" + key[0],), key)
        if host.wants.pop(key, None) is None:
            host.wants[key] = LIFETIMES[1]
        host.write_file()
        if host.client.poll() is None:
            host.reload()

    def weather_changes(self, _host, delay):
        self.rig.weather(*[(0, 0, 0), (3, 5, 1), (8, 20, 2), (1, 40, 10)][int(delay * 1000) % 4])

    # ---- to the server, while the rest goes on ----

    def server_does(self, host, reason, kinds, function, *arguments):
        def work():
            self.hit(host, reason, kinds)
            function(*arguments)
            self.hit(host, reason, kinds)

        self.work = self.operator.submit(work)

    def work_done(self):
        if self.work:
            self.work.result()

    def daemon_dies(self, _host, delay):
        self.work = self.operator.submit(self.rig.restart_daemon, delay)

    def operator_clears(self, host, _delay):
        self.server_does(host, "cleared", ALL, self.rig.ctl, "clear", "--subscriber", host.address)

    def reboot(self, _host, delay):
        self.server_does(None, "reboot", OUT, self.rig.reboot, True, delay)

    def state_lost(self, _host, delay):
        self.server_does(None, "lost", ALL, self.rig.reboot, False, delay)

    # ---- a round ----

    def do_later(self):
        due = [item for item in self.later if item[0] <= time.monotonic()]
        self.later = [item for item in self.later if item not in due]
        for _, function in due:
            function()

    def open_flows(self):
        """Every mapping that a client has told of, and the way out of every host."""
        for host in self.rig.hosts:
            host.take_events()
            for key, external in host.table.items():
                if key in host.wants:
                    self.traffic.open(host, "in-" + key[0], key, external)
            for kind in OUT:
                self.traffic.open(host, kind)

    def judge_news(self):
        """An Epoch reset, another endpoint or a loss has a reason, or somebody erred."""
        for host in self.rig.hosts:
            host.take_events()
            for when, event in host.said:
                reasons = {reason for at, reason in self.hits[host] if at - 3 < when < at + HIT_S}
                allowed = {"epoch-reset": {"lost", "cleared"}, "address-changed": {"moved"}, "server-changed": set(),
                           "stale": {"moved", "forgot", "wishes"}}.get(event["event"], {"lost", "cleared", "moved", "forgot", "wishes"})
                if event["event"] in ("created", "deleted", "lost", "server-silent"):
                    continue	# a burst of losses may cost a renewal; flows tell whether it did harm
                if not reasons & allowed:
                    self.failed("{} says {}, and only {} has happened to it".format(host.name, event, reasons or "nothing"))
            host.said.clear()

    def judge_flows(self):
        for when, flow, text in self.traffic.broken:
            self.failed("at {:.1f}: {}; the host's: {}".format(when - self.begin, text, [
                "{:.1f} {}".format(at - self.begin, reason) for at, reason in self.hits[flow.host][-6:]]))
        self.traffic.broken.clear()

    def chaos(self, number, seconds):
        rng = random.Random("{}/{}".format(self.seed, number))
        self.rig.weather(3, 5, 1)
        begin = opened = time.monotonic()
        for when, event, host, delay in script(rng, seconds, len(self.rig.hosts)):
            while time.monotonic() < begin + when:
                self.do_later()
                if time.monotonic() - opened > 1:
                    self.open_flows()
                    opened = time.monotonic()
                time.sleep(0.02)
            if event in SERVER_EVENTS and self.work and not self.work.done():
                continue	# one at a time
            self.counts[event] += 1
            if event not in ("client_dies", "weather_changes"):
                self.say("{} {}".format(event, self.rig.hosts[host].name))
            getattr(self, event)(self.rig.hosts[host], delay)
        self.work_done()
        self.judge_news()
        self.judge_flows()

    # ---- agreement ----

    def disagreements(self, begin):
        """Lines; none: the clients, GET, the maps and the flows are of one mind."""
        now, dump, lines = time.monotonic(), self.rig.dump(), []
        listed = collections.Counter((record["protocol"], record["external"]) for record in dump)
        lines += ["{} {} is given {} times".format(*key, count) for key, count in listed.items() if count > 1]
        explicit = collections.defaultdict(dict)
        for record in dump:
            if "map" in record["origin"]:
                address, port = record["internal"].rsplit(":", 1)
                explicit[address][record["protocol"], int(port)] = record["external"]
        for host in self.rig.hosts:
            host.take_events()
            maps = explicit.pop(host.address, {})
            if set(host.table) != set(host.wants):
                lines.append("{} wants {} and has {}".format(host.name, sorted(host.wants), sorted(host.table)))
            elif maps != host.table:
                lines.append("{} has {} and the maps {}".format(host.name, host.table, maps))
        for address in explicit:
            if now - self.left.get(address, 0) > LIFETIMES[1] + 10:
                lines.append("{}: nobody's: {}".format(address, explicit[address]))
        self.open_flows()
        lines += ["does not come to pass: {}".format(flow) for flow in self.missing_flows()]
        lines += ["silent for {:.1f} s: {}".format(now - flow.answered, flow) for flow in self.traffic.silent_since(begin)]
        return lines or self.get_disagreements()

    def missing_flows(self):
        return [self.traffic.name_of(host, kind, key) for host in self.rig.hosts
                for kind, key in [(kind, None) for kind in OUT] + [("in-" + key[0], key) for key in host.wants]
                if not self.traffic.is_established(host, kind, key)]

    def get_disagreements(self):
        lines, hosts = [], list(self.rig.hosts)
        while hosts:
            batch, hosts = hosts[:8], hosts[8:]
            for host, process in [(host, host.begin_get()) for host in batch]:
                told = host.collect_get(process)
                if told != host.table:
                    lines.append("{} is told {} by GET and has {}".format(host.name, told, host.table))
        return lines

    def settle(self):
        self.rig.weather(0, 0, 0)
        while self.later:
            self.do_later()
            time.sleep(0.02)
        begin = time.monotonic()
        lines, seen = self.disagreements(begin), 0
        while lines and time.monotonic() - begin < SETTLE_S:
            if os.environ.get("SOAK_TALK") and len(lines) != seen:
                self.say("not yet: {}, {}".format(len(lines), lines[:5]))
            seen = len(lines)
            time.sleep(0.5)
            lines = self.disagreements(begin)
        for line in lines:
            self.failed("after {} s of quiet: {}".format(SETTLE_S, line))
        self.judge_news()
        self.judge_flows()
        if not lines:
            self.say("agreed after {:.1f} s of quiet: {} clients, {} mappings in clients, GET and maps; {} flows alive, {} answers".format(
                time.monotonic() - begin, len(self.rig.hosts), sum(len(host.table) for host in self.rig.hosts), self.traffic.established(),
                self.traffic.answers))

    def at_rest(self):
        """Without a packet and a request under way: what must hold of the tables."""
        self.traffic.is_paused = True
        for host in self.rig.hosts:
            host.client.send_signal(signal.SIGSTOP)
        holds, text = False, ""
        for _ in range(20):
            time.sleep(0.2)
            holds, text = self.rig.invariants()
            if holds:
                break
        for host in self.rig.hosts:
            host.client.send_signal(signal.SIGCONT)
        self.traffic.is_paused = False
        self.say("tables at rest: " + text.splitlines()[-1])
        if not holds:
            self.failed("the tables at rest: " + text)

    def all_die(self):
        """What stands on their disks is what they said: each comes back with the same endpoints, as `kept`."""
        tables = {host: dict(host.table) for host in self.rig.hosts}
        for host in self.rig.hosts:
            host.kill(True)
            host.table = {}
        for host in self.rig.hosts:
            host.start()
        end = time.monotonic() + 20
        while time.monotonic() < end and any(host.table != tables[host] for host in self.rig.hosts):
            time.sleep(0.1)
            for host in self.rig.hosts:
                host.take_events()
        for host in self.rig.hosts:
            if host.table != tables[host]:
                self.failed("{} had {}, and {} after a restart".format(host.name, tables[host], host.table))
        self.judge_news()
        self.say("all clients killed and started: the tables on their disks are what they told")

    def first(self):
        rng = random.Random(self.seed)
        for host in self.rig.hosts:
            host.wants = {key: rng.randint(*LIFETIMES) for key in FIXED}
            host.write_file()
            host.start()
            self.traffic.serve_host(host, sorted({port for _, port in FIXED + EXTRA}))
        self.hit(None, "wishes")
        self.traffic.start()
        wait_until(self.all_have, 30, "the first mappings")

    def all_have(self):
        for host in self.rig.hosts:
            host.take_events()
        return all(set(host.table) == set(host.wants) for host in self.rig.hosts)


def main():
    prefix, build, scratch, seconds, seed, hosts = sys.argv[1:]
    rig = Rig(prefix, build, ROOT, scratch, int(hosts))
    rig.build_hosts(seed)
    rig.start_daemon()
    rig.wait_for_daemon()
    rig.script("attach.sh")
    soak = Soak(rig, seed)
    soak.say("{} hosts, seed {}".format(hosts, seed))
    soak.first()
    soak.settle()
    number = 0
    while not soak.failures and time.monotonic() - soak.begin < int(seconds) - 10:
        number += 1
        soak.chaos(number, min(ROUND_S, max(10, int(seconds) - (time.monotonic() - soak.begin) - 10)))
        soak.settle()
        soak.at_rest()
    if not soak.failures:
        soak.all_die()
        soak.settle()
    rig.wire.stdin.close()
    soak.say("the wire: " + rig.wire.stdout.readline().strip())
    soak.say("happened: " + ", ".join("{} {}".format(count, name) for name, count in soak.counts.most_common()))
    sys.exit(1 if soak.failures else 0)


if __name__ == "__main__":
    main()
