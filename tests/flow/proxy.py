"""A TCP proxy for the link between agents and an aggregator, for tests of
what goes wrong on a wire.

It reads NNG's REQ/REP over TCP: a greeting of 8 bytes, then frames of a
64-bit length and as many bytes, of which the first four are the request's id.
`on_request` and `on_reply` get an Exchange and return the bytes to pass on (a
request: nonce and envelope; a reply: an envelope), None to swallow them, or
CUT to close the connection. All that goes either way is in `captured`, before
and after meddling."""

import random
import socket
import struct
import threading
import time

CUT = object()
GREETING = 8
FRAME_MAX = 2 * 1024 * 1024
NONCE = 16
KIND_BATCH, KIND_VOID, KIND_FORGET, KIND_POLL, KIND_ENROL, KIND_REPLY = \
    range(1, 7)


def kind_of(envelope):
    """The kind of an envelope: an array of 10, the version, the kind."""
    if len(envelope) < 3 or envelope[:2] != b"\x9a\x01":
        return 0
    return envelope[2]


class Exchange:
    """One request and, later, its reply."""

    def __init__(self, request):
        self.request = request
        self.reply = None
        self.kind = kind_of(request[NONCE:])


class Proxy:
    def __init__(self, port, upstream):
        self.port, self.upstream = port, upstream
        self.captured = bytearray()
        self.exchanges = []
        self.on_request = self.on_reply = None
        self.delay = 0.0  # seconds, of every frame
        self.refusing = False  # connections are closed at once
        self.connections = 0  # so far
        self.errors = []
        self._lock = threading.Lock()
        self._open = set()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._closed = True
        # Wakes the thread in accept, which close alone does not.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self.cut()

    def cut(self):
        """Drops every connection there is."""
        with self._lock:
            sockets = list(self._open)
        for s in sockets:
            self._end(s)

    def count(self, kind):
        with self._lock:
            return sum(1 for e in self.exchanges if e.kind == kind)

    def replied(self, kind):
        """The exchanges of a kind that have a reply."""
        with self._lock:
            return [e for e in self.exchanges
                    if e.kind == kind and e.reply is not None]

    # ---- threads ----

    def _end(self, s):
        with self._lock:
            self._open.discard(s)
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        s.close()

    def _accept(self):
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.upstream))
            except OSError:
                near.close()
                continue
            waiting = {}
            with self._lock:
                self._open.update((near, far))
                self.connections += 1
            for a, b, step in ((near, far, self._request),
                               (far, near, self._reply)):
                threading.Thread(target=self._carry,
                                 args=(a, b, step, waiting),
                                 daemon=True).start()

    def _carry(self, source, target, step, waiting):
        try:
            target.sendall(self._read(source, GREETING))
            while True:
                size = struct.unpack(">Q", self._read(source, 8))[0]
                if size > FRAME_MAX or size < 4:
                    raise ValueError("a frame of %d bytes" % size)
                frame = self._read(source, size)
                passed = step(frame[:4], frame[4:], waiting)
                if passed is CUT:
                    break
                if passed is None:
                    continue
                if self.delay:
                    time.sleep(self.delay)
                self._put(source, target, struct.pack(">Q", len(passed) + 4) +
                          frame[:4] + passed)
        except OSError:
            pass  # one side has gone
        except Exception as e:  # a mistake of the test: shown by it
            self.errors.append(repr(e))
        finally:
            self._finish(source, target)

    def _finish(self, source, target):
        self._end(source)
        self._end(target)

    def _put(self, source, target, frame):
        """Passes a whole frame on; OSError ends the connection."""
        target.sendall(frame)

    def _read(self, source, size):
        parts = bytearray()
        while len(parts) < size:
            more = source.recv(min(65536, size - len(parts)))
            if not more:
                raise OSError("closed")
            parts += more
        with self._lock:
            self.captured += parts
        return bytes(parts)

    def _request(self, number, body, waiting):
        exchange = Exchange(body)
        waiting[number] = exchange
        with self._lock:
            self.exchanges.append(exchange)
        return self.on_request(exchange) if self.on_request else body

    def _reply(self, number, body, waiting):
        exchange = waiting.pop(number, None)
        if exchange is None:
            return body
        exchange.reply = body
        return self.on_reply(exchange) if self.on_reply else body


class FaultyLine(Proxy):
    """A bad network, while `faulty`: frame by frame a fault is drawn, by the
    chances of FAULTS. `counts` tells how often each was."""

    FAULTS = (("late", 10), ("byte by byte", 6), ("64 kbit/s", 5),
              ("repeated", 8), ("cut", 4), ("reset", 4), ("half open", 1),
              ("gone", 1), ("none", 61))
    BYTES_MAX = 1500  # of a frame go one by one, so that it does end
    LATE_MAX = 0.2  # seconds

    def __init__(self, port, upstream, seed=1):
        self.faulty = False
        self.bit_rate = 64000  # of a frame that goes slowly
        self.slow = False  # every frame does
        self.counts = dict.fromkeys((n for n, _ in self.FAULTS), 0)
        self._rng = random.Random(seed)
        self._silent = set()
        self._over = threading.Event()
        super().__init__(port, upstream)

    def close(self):
        self._over.set()
        super().close()

    def silence(self):
        """What is connected now stays so, and nothing passes any more."""
        with self._lock:
            self._silent |= self._open

    def cuts(self):
        return self.counts["cut"] + self.counts["reset"]

    def _draw(self):
        with self._lock:
            fault = "none"
            if self.faulty:
                fault, = self._rng.choices(*zip(*self.FAULTS))
                self.counts[fault] += 1
            return fault, self._rng.random()

    def _put(self, source, target, frame):
        fault, chance = self._draw()
        part = int(chance * len(frame))
        if fault == "late":
            time.sleep(chance * self.LATE_MAX)
        elif fault == "byte by byte":
            part = min(len(frame), self.BYTES_MAX)
            for i in range(part):
                target.sendall(frame[i:i + 1])
            frame = frame[part:]
        elif fault == "64 kbit/s":
            self._put_slowly(target, frame)
            frame = b""
        elif fault == "repeated":
            target.sendall(frame)
        elif fault == "cut":
            target.sendall(frame[:part])
            raise OSError("cut")
        elif fault == "reset":
            self._reset(source, target, frame[:part])
        elif fault != "none":
            target.sendall(frame[:part])
            self._stop(source, target, fault)
        if self._is_silent(source):
            raise OSError("silent")
        if self.slow:
            self._put_slowly(target, frame)
        else:
            target.sendall(frame)

    def _put_slowly(self, target, frame):
        size = max(400, self.bit_rate // 800)  # ten milliseconds and more
        for i in range(0, len(frame), size):
            target.sendall(frame[i:i + size])
            time.sleep(size * 8 / self.bit_rate)

    def _reset(self, source, target, part):
        """Swallows what comes for a while, then both ends see a reset."""
        target.sendall(part)
        source.settimeout(0.1)
        try:
            while source.recv(65536):
                pass
        except OSError:
            pass
        for s in (source, target):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         struct.pack("ii", 1, 0))
        raise OSError("reset")

    def _stop(self, source, target, fault):
        """Half open: both ends stay connected, and hear nothing. Gone: only
        one of them stays."""
        with self._lock:
            self._silent |= {source, target}
        if fault == "gone":
            target.shutdown(socket.SHUT_RDWR)

    def _is_silent(self, s):
        with self._lock:
            return s in self._silent

    def _finish(self, source, target):
        if self._is_silent(source) or self._is_silent(target):
            self._over.wait()
        super()._finish(source, target)


def flip_bit(body, at):
    """The same bytes with one bit turned over."""
    turned = bytearray(body)
    turned[at // 8] ^= 1 << at % 8
    return bytes(turned)


def request(port, body, seconds=30):
    """Sends one request as an agent would; returns the reply, or None when
    the connection was closed or nothing came."""
    with socket.create_connection(("127.0.0.1", port), seconds) as s:
        s.sendall(b"\0SP\0" + struct.pack(">HH", 0x30, 0))
        reader = s.makefile("rb")
        reader.read(GREETING)
        s.sendall(struct.pack(">QI", len(body) + 4, 0x80000001) + body)
        try:
            head = reader.read(12)
            if len(head) < 12:
                return None
            return reader.read(struct.unpack(">Q", head[:8])[0] - 4)
        except socket.timeout:
            return None
