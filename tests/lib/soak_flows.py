"""Traffic of the chaos run: long-lived flows, of which each knows whom it must reach and whether the scenario has broken it.

In by a mapping: the peer asks its external endpoint and the host answers with its number. Out without one: the host asks the peer, which
answers with the endpoint it sees. A flow is established when it was answered once. From then on, unless the scenario excuses it, it must
not end, must not reach another host, and must not change its external endpoint."""
import errno
import selectors
import socket
import threading
import time

PEER, PEER_PORT = "203.0.113.9", 3478
INTERVAL_S = 0.7


class Flow:
    def __init__(self, host, kind, key, external, sock):
        self.host, self.kind, self.key, self.external, self.sock = host, kind, key, external, sock
        self.number, self.asked, self.answered, self.born = 0, 0.0, 0.0, time.monotonic()
        self.waiting, self.buffer = False, b""

    def __str__(self):
        return "{} of {} {} = {}".format(self.kind, self.host.name, self.key or self.host.address, self.external)


class Traffic(threading.Thread):
    """Everything is done under `lock`; the scenario calls from its own thread."""

    def __init__(self, rig):
        super().__init__(daemon=True)
        self.rig, self.lock, self.events = rig, threading.RLock(), selectors.DefaultSelector()
        self.flows, self.broken = {}, []	# (host number, kind, key) -> Flow
        self.is_paused = self.is_ending = False
        self.answers = 0
        with rig.inside("peer"):
            self.serve(None, PEER, PEER_PORT)

    # ---- servers: on the peer, and on the ports of the hosts ----

    def serve(self, host, address, port):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((address, port))
        tcp = socket.create_server((address, port), backlog=64)
        for sock, handler in (udp, self.on_udp_question), (tcp, self.on_connection):
            sock.setblocking(False)
            self.events.register(sock, selectors.EVENT_READ, (handler, host))

    def serve_host(self, host, ports):
        with self.rig.inside(host.name):
            for port in ports:
                self.serve(host, "0.0.0.0", port)

    @staticmethod
    def answer(host, question, source):
        """Who answers, and whom it sees."""
        return b"%s %s %s:%d\n" % (question.strip(), (host.name if host else "peer").encode(), source[0].encode(), source[1])

    def on_udp_question(self, sock, host):
        try:
            question, source = sock.recvfrom(2048)
            sock.sendto(self.answer(host, question, source), source)
        except OSError:
            pass

    def on_connection(self, sock, host):
        try:
            connection, source = sock.accept()
        except OSError:
            return
        connection.setblocking(False)
        self.events.register(connection, selectors.EVENT_READ, (self.on_tcp_question, (host, source, bytearray())))

    def on_tcp_question(self, sock, context):
        host, source, pending = context
        try:
            piece = sock.recv(2048)
            if piece:
                pending += piece
                while b"\n" in pending:
                    line, _, rest = bytes(pending).partition(b"\n")
                    pending[:] = rest
                    sock.send(self.answer(host, line, source))
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.events.unregister(sock)
        sock.close()

    # ---- flows ----

    def open(self, host, kind, key=None, external=None):
        """kind: in-udp, in-tcp, out-udp, out-tcp."""
        with self.lock:
            if (host.number, kind, key) in self.flows:
                return
            with self.rig.inside("peer" if kind.startswith("in") else host.name):
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind.endswith("udp") else socket.SOCK_STREAM)
            sock.setblocking(False)
            flow = Flow(host, kind, key, external, sock)
            sock.bind((PEER, 0) if kind.startswith("in") else (host.address, 0))
            address, port = external.rsplit(":", 1) if external else (PEER, PEER_PORT)
            if sock.connect_ex((address, int(port))) not in (0, errno.EINPROGRESS):
                sock.close()
                return
            self.flows[host.number, kind, key] = flow
            self.events.register(sock, selectors.EVENT_READ, (self.on_answer, flow))

    def close(self, flow):
        del self.flows[flow.host.number, flow.kind, flow.key]
        self.events.unregister(flow.sock)
        flow.sock.close()

    def excuse(self, host=None, kinds=("in-udp", "in-tcp", "out-udp", "out-tcp"), key=None):
        """The scenario is about to break these, or has a right to: they end here, and are opened again later."""
        with self.lock:
            for flow in list(self.flows.values()):
                if (host is None or flow.host is host) and flow.kind in kinds and (key is None or flow.key == key):
                    self.close(flow)

    def fail(self, flow, why):
        if flow.answered:
            self.broken.append((time.monotonic(), flow, "{}: {}; {:.1f} s old, answered {:.1f} s ago".format(
                flow, why, time.monotonic() - flow.born, time.monotonic() - flow.answered)))
        self.close(flow)

    def on_answer(self, sock, flow):
        try:
            piece = sock.recv(2048)
        except BlockingIOError:
            return
        except OSError as error:
            if flow.kind.endswith("udp") or error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
                return	# an ICMP error is no end
            self.fail(flow, error.strerror)
            return
        if flow.kind.endswith("udp"):
            self.take(flow, piece)
            return
        if not piece:
            self.fail(flow, "the other side ended it")
            return
        flow.buffer += piece
        while b"\n" in flow.buffer:
            line, _, flow.buffer = flow.buffer.partition(b"\n")
            if not self.take(flow, line):
                return

    def take(self, flow, answer):
        number, who, seen = answer.split()
        expected = flow.host.name if flow.kind.startswith("in") else "peer"
        if who.decode() != expected:
            self.fail(flow, "reached " + who.decode())
            return False
        if flow.kind.startswith("out"):
            if flow.external and flow.external != seen.decode():
                self.fail(flow, "its external endpoint is now " + seen.decode())
                return False
            flow.external = seen.decode()
        flow.answered = time.monotonic()
        flow.waiting = flow.waiting and int(number) != flow.number
        self.answers += 1
        return True

    def ask(self, flow, now):
        is_tcp = flow.kind.endswith("tcp")
        if not flow.answered and now - flow.born > 6:
            self.close(flow)	# never was one
            return
        if flow.waiting and is_tcp:	# TCP repeats by itself
            return
        flow.number, flow.asked = flow.number + 1, now
        try:
            flow.sock.send(b"%d\n" % flow.number)
            flow.waiting = True
        except BlockingIOError:
            pass
        except OSError as error:
            if is_tcp and error.errno != errno.ENOTCONN:
                self.fail(flow, error.strerror)

    def run(self):
        while not self.is_ending:
            ready = self.events.select(0.05)
            with self.lock:
                for key, _ in ready:
                    # a handler, or the scenario meanwhile, may have closed it: then it has no number that could be looked up
                    if key.fileobj.fileno() >= 0 and key.fileobj in self.events.get_map():
                        handler, context = key.data
                        handler(key.fileobj, context)
                now = time.monotonic()
                for flow in list(self.flows.values()):
                    if not self.is_paused and now - flow.asked > INTERVAL_S:
                        self.ask(flow, now)

    def silent_since(self, when):
        """Established flows without an answer since then."""
        with self.lock:
            return [flow for flow in self.flows.values() if flow.answered and flow.answered < when]

    def is_established(self, host, kind, key):
        with self.lock:
            flow = self.flows.get((host.number, kind, key))
            return bool(flow and flow.answered)

    @staticmethod
    def name_of(host, kind, key):
        return "{} of {} {} {} = {}".format(kind, host.name, host.address, key or "", host.table.get(key))

    def established(self):
        with self.lock:
            return sum(1 for flow in self.flows.values() if flow.answered)
