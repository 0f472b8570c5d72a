"""The hosts of the chaos run, each with a namespace, an interface and a `pcpc keep` of its own, behind one bad wire.

   h0 … h49 (e0: macvlan) ─ w1 ══ w0 ─ bad_wire.py ─ host0 ──── in0 cgn out0 ──── peer
   198.51.100.10+i, 100+i or 150+i        in the lab's namespace host      .1  203.0.113.1   .9, .10"""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET, PR_SET_PDEATHSIG = 0x40000000, 1
SERVER = "198.51.100.1"


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("waited in vain for " + what)
        time.sleep(0.03)


class Rig:
    """Processes and namespaces. Everything ends with this process, and the lab's own clean-up takes the rest."""

    def __init__(self, prefix, build, root, scratch, count):
        self.prefix, self.build, self.root, self.scratch = prefix, build, root, scratch
        self.config = "/run/xcgn-lab/{}/xcgn.yaml".format(prefix)
        self.state = "/run/xcgn-lab/{}/state".format(prefix)
        self.pins = "/sys/fs/bpf/xcgn-" + prefix
        self.namespaces = {}
        self.daemon = self.wire = None
        self.log = open(os.path.join(scratch, "xcgnd.log"), "ab", buffering=0)
        self.hosts = [Host(self, i) for i in range(count)]
        for name in ["cgn", "peer", "host"]:
            self.open_namespace(name)

    def open_namespace(self, name):
        self.namespaces[name] = os.open("/run/netns/{}-{}".format(self.prefix, name), os.O_RDONLY | os.O_CLOEXEC)

    @contextlib.contextmanager
    def inside(self, name):
        """This thread stands in the namespace: sockets made meanwhile belong to it."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            if LIBC.setns(self.namespaces[name], CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            yield
        finally:
            LIBC.setns(here, CLONE_NEWNET)
            os.close(here)

    def popen(self, name, *command, **more):
        return subprocess.Popen(["nsenter", "--net=/run/netns/{}-{}".format(self.prefix, name), *command],
                                preexec_fn=die_with_parent, **{"stdin": subprocess.DEVNULL, **more})

    def run(self, name, *command):
        return self.collect(self.begin(name, *command))

    def begin(self, name, *command):
        """A short command, which collect() waits for: without preexec_fn it starts much faster."""
        return subprocess.Popen(["nsenter", "--net=/run/netns/{}-{}".format(self.prefix, name), *command], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def collect(process):
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def ip(self, name, lines):
        where = ["-n", "{}-{}".format(self.prefix, name)] if name else []
        subprocess.run(["ip", *where, "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)

    def build_hosts(self, seed):
        self.ip("host", ["address flush dev host0", "link add w0 type veth peer name w1"])
        for nic in "w0", "w1":
            self.run("host", "ethtool", "-K", nic, "gro", "off", "tx", "off", "gso", "off", "tso", "off")
        self.ip("host", ["link set w0 up promisc on", "link set w1 up promisc on", "link set host0 promisc on"])
        self.ip(None, ["netns add {}-h{}".format(self.prefix, host.number) for host in self.hosts])
        self.ip("host", [line for host in self.hosts for line in (
            "link add m{0} link w1 type macvlan mode private".format(host.number),
            "link set m{0} netns {1}-h{0} name e0".format(host.number, self.prefix))])
        for host in self.hosts:
            self.open_namespace(host.name)
            with self.inside(host.name), open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w", encoding="ascii") as file:
                file.write("1")
            self.ip(host.name, ["link set lo up", "link set e0 up"] + host.address_lines())
        self.wire = self.popen("host", "/usr/bin/python3", os.path.join(self.root, "tests/lib/bad_wire.py"), "host0", "w0", str(seed),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.wire.stdout.readline() != "ready\n":
            raise SystemExit("the wire does not work")

    def weather(self, loss, reorder, double):
        self.wire.stdin.write("{} {} {}\n".format(loss, reorder, double))
        self.wire.stdin.flush()

    # ---- the server ----

    def ctl(self, *arguments):
        return self.run("cgn", os.path.join(self.build, "xcgnctl"), "-c", self.config, *arguments)

    def daemon_answers(self):
        code, output, _ = self.ctl("-j", "status")
        return code == 0 and json.loads(output)["pid"] == self.daemon.pid

    def start_daemon(self):
        self.daemon = self.popen("cgn", os.path.join(self.build, "xcgnd"), "-c", self.config, stdout=self.log, stderr=self.log)

    def wait_for_daemon(self):
        wait_until(self.daemon_answers, 20, "xcgnd")

    def restart_daemon(self, seconds):
        self.kill_daemon()
        time.sleep(seconds)
        self.start_daemon()
        self.wait_for_daemon()

    def kill_daemon(self):
        self.daemon.kill()
        self.daemon.wait()

    def script(self, name):
        code, _, errors = self.run("cgn", os.path.join(self.root, "scripts", name), self.config)
        if code:
            raise SystemExit("{}: {}".format(name, errors))

    def reboot(self, keeps_storage, seconds):
        """Killed, programs off, no forwarding, pins gone, for some time."""
        self.kill_daemon()
        self.script("detach.sh")
        shutil.rmtree(self.pins, ignore_errors=True)
        if not keeps_storage:
            shutil.rmtree(self.state, ignore_errors=True)
        time.sleep(seconds)
        self.start_daemon()
        self.wait_for_daemon()
        self.script("attach.sh")

    def dump(self):
        code, output, errors = self.ctl("-j", "show", "mappings", "--nonces")
        if code:
            raise SystemExit("show mappings: " + errors)
        return [json.loads(line) for line in output.splitlines()]

    def invariants(self):
        done = subprocess.run([os.path.join(self.build, "tests/xcgn_invariants"), self.pins], stdout=subprocess.PIPE, text=True, check=False)
        return done.returncode == 0, done.stdout


class Host:
    """One host: its address, what it wants, its `pcpc keep`, and what that says."""

    def __init__(self, rig, number):
        self.rig, self.number, self.name = rig, number, "h{}".format(number)
        self.addresses = ["198.51.100.{}".format(base + number) for base in (10, 100, 150)]
        self.turn = 0
        self.folder = os.path.join(rig.scratch, "keep{}".format(number))
        self.file = os.path.join(rig.scratch, "keep{}.yaml".format(number))
        self.events_path = os.path.join(rig.scratch, "keep{}.out".format(number))
        self.events_read = 0
        self.wants = {}		# (protocol, port) -> lifetime
        self.table = {}		# (protocol, port) -> external, by what the client said
        self.said = []		# news, of which the scenario must know the reason
        self.client = None
        open(self.events_path, "wb").close()

    @property
    def address(self):
        return self.addresses[self.turn]

    def address_lines(self):
        return ["address add {}/24 dev e0".format(self.address), "route add default via {} dev e0".format(SERVER)]

    def move(self):
        former, self.turn = self.address, (self.turn + 1) % len(self.addresses)
        self.rig.ip(self.name, ["address del {}/24 dev e0".format(former)] + self.address_lines())
        return former

    def write_file(self):
        with open(self.file, "w", encoding="ascii") as file:
            file.write("interface: e0\nstate: {}/state\nmappings:\n".format(self.folder))
            for (protocol, port), lifetime in self.wants.items():
                file.write("  - {{protocol: {}, port: {}, lifetime: {}}}\n".format(protocol, port, lifetime))

    def start(self):
        with open(self.events_path, "ab") as events, open(self.events_path + ".log", "ab") as log:
            self.client = self.rig.popen(self.name, os.path.join(self.rig.build, "pcpc"), "-j", "keep", self.file, stdout=events, stderr=log)

    def kill(self, keeps_storage):
        self.client.kill()
        self.client.wait()
        self.take_events()
        if not keeps_storage:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.table = {}

    def reload(self):
        self.client.send_signal(signal.SIGHUP)

    def take_events(self):
        with open(self.events_path, "rb") as file:
            file.seek(self.events_read)
            lines = file.read()
        lines = lines[:lines.rfind(b"\n") + 1]
        self.events_read += len(lines)
        for line in lines.splitlines():
            self.take_event(json.loads(line))

    def take_event(self, event):
        kind = event["event"]
        if "protocol" in event:
            key = event["protocol"], int(event["internal"].rsplit(":", 1)[1])
            if kind in ("created", "changed", "kept", "renewed"):
                self.table[key] = event["external"]
            elif kind in ("lost", "deleted"):
                self.table.pop(key, None)
        if kind not in ("kept", "renewed"):
            self.said.append((time.monotonic(), event))

    def begin_get(self):
        return self.rig.begin(self.name, os.path.join(self.rig.build, "pcpc"), "-s", SERVER, "-S", self.address, "-j", "--timeout=20", "get")

    def collect_get(self, process):
        """What the server tells this host: {(protocol, port): external}, or None."""
        code, output, _ = self.rig.collect(process)
        records = [json.loads(line) for line in output.splitlines()]
        if code not in (0, 3) or (code == 3 and records[-1]["result"] != "NONEXIST_MAP"):
            return None
        listed = [record for record in records if "internal" in record]
        table = {(record["protocol"], int(record["internal"].rsplit(":", 1)[1])): record["external"] for record in listed}
        return table if len(table) == len(listed) else None
