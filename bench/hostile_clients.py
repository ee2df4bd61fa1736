#!/usr/bin/python3
"""Clients that do what no client should, each kind as hard as it can: bench/hostile.py and tests/integration start them.

    bench/hostile_clients.py KIND --address=127.0.0.1:8500 [--metrics_address=127.0.0.1:9500] [--seconds=10]
    bench/hostile_clients.py probe --address=... --metrics_address=...   # asks for health and metrics meanwhile
    bench/hostile_clients.py --list

HTTP/2 by hand on plain sockets (RFC 9113), by the standard library alone. Each kind stays a little over the bounds of
heed's own flags; none is an input that other people's software is known to fail at. What it did is printed as JSON.
"""

import argparse
import collections
import gzip
import heapq
import json
import resource
import select
import socket
import struct
import sys
import threading
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4
CANCEL = struct.pack(">I", 8)
LARGEST_WINDOW = (1 << 31) - 1
LARGEST_STREAM = (1 << 31) - 1

TRANSLATE = "/heed.v1.TranslationService/Translate"
STREAM_TRANSLATE = "/heed.v1.TranslationService/StreamTranslate"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

SERVING = b"\0\0\0\0\2\x08\1"  # a health answer on the wire


# ---- bytes ----

def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def hpack_integer(value, bits):
    """RFC 7541, section 5.1, the bits before it 0."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((value,))
    out, value = bytearray((most,)), value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out) + bytes((value,))


def hpack(name, value):
    """A literal that is not indexed and not Huffman coded: it leaves no state."""
    name, value = name.encode(), value.encode()
    return b"\0" + hpack_integer(len(name), 7) + name + hpack_integer(len(value), 7) + value


def call_block(method, *more, timeout="20S"):
    """The header block of a gRPC call; `more` are pairs of name and value."""
    pairs = [(":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "localhost"),
             ("te", "trailers"), ("content-type", "application/grpc")]
    if timeout:
        pairs.append(("grpc-timeout", timeout))
    return b"".join(hpack(name, value) for name, value in [*pairs, *more])


def header_frames(stream, block, flags=0, size=16384):
    """HEADERS, and as many CONTINUATION frames as the block takes."""
    parts = [block[i:i + size] for i in range(0, len(block), size)]
    frames = [frame(HEADERS if i == 0 else CONTINUATION, (flags if i == 0 else 0) |
                    (END_HEADERS if i == len(parts) - 1 else 0), stream, part) for i, part in enumerate(parts)]
    return b"".join(frames)


def message(data, compressed=False):
    return struct.pack(">BI", compressed, len(data)) + data


def varint(value):
    out = bytearray()
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out) + bytes((value,))


def text_field(number, value):
    """A protobuf field of bytes, a string or a message."""
    return varint(8 * number + 2) + varint(len(value)) + value


def number_field(number, value):
    return varint(8 * number) + varint(value)


def translate_request(texts, beam=0, length=0, reply_bytes=0):
    """A TranslateRequest; with a beam, one for every hypothesis and every matrix of it."""
    request = b"".join(text_field(2, text) for text in texts)
    if beam:
        search = number_field(1, beam) + number_field(2, beam)
        if length:
            search += number_field(3, length) + number_field(4, length)
        request += text_field(3, search) + text_field(5, text_field(1, b"\1\2"))
    return request + (number_field(6, reply_bytes) if reply_bytes else b"")


# ---- connections ----

class Connection:
    """A client's side of one connection. `script`, a generator over it, says what it does: a bare yield goes on when all
    that was sent is on its way, one of a number after so many seconds; at its end the connection is kept, silent."""

    def __init__(self, address, script, counts):
        self.counts = counts
        self.reads = True
        self.out = bytearray()
        self.window = self.initial = 65535  # what the server takes, in all and of a new stream
        self.windows = {}
        self.waiting = collections.deque()  # (stream, bytes, whether they are the last) for which there was no window
        self.answers = None  # called with each frame's kind, flags, stream and payload
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._in = bytearray()
        self._script = script(self)
        self.goes_on = 0.0  # when the script does; None: no more
        self.socket.connect_ex(address)
        counts["connections"] += 1

    def send(self, data):
        self.out += data

    def start(self, window=65535, updates=0):
        """What an HTTP/2 client begins with; `window` is how much it takes of each answer."""
        self.send(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, window)))
        if updates:
            self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", updates)))

    def call(self, stream, block, data=b"", end=True):
        """HEADERS, and DATA as the server has room for it."""
        self.counts["calls"] += 1
        self.send(header_frames(stream, block))
        self.data(stream, data, end)

    def reset(self, stream):
        self._forget(stream)
        self.send(frame(RST_STREAM, 0, stream, CANCEL))

    def data(self, stream, data, end=False):
        self.windows.setdefault(stream, self.initial)
        self.waiting.append((stream, data, end))
        self._move()

    def _move(self):
        while self.waiting:
            stream, data, end = self.waiting[0]
            room = min(self.window, self.windows.get(stream, 0), 16384)
            if data and room <= 0:
                return
            part, rest = data[:room], data[room:]
            self.send(frame(DATA, END_STREAM if end and not rest else 0, stream, bytes(part)))
            self.window -= len(part)
            self.windows[stream] = self.windows.get(stream, 0) - len(part)
            if rest:
                self.waiting[0] = (stream, rest, end)
            else:
                self.waiting.popleft()
                if end:
                    del self.windows[stream]

    def step(self, now):
        """Lets the script go on if it is time."""
        while self.goes_on is not None and self.goes_on <= now and not self.out and not self.waiting:
            try:
                pause = next(self._script)
                self.goes_on = now + pause if pause else 0.0
            except StopIteration:
                self.goes_on = None

    def write(self):
        """False: the connection is gone."""
        while self.out:
            try:
                size = self.socket.send(memoryview(self.out)[:262144])
            except BlockingIOError:
                return True
            except OSError:
                return False
            self.counts["sent_bytes"] += size
            del self.out[:size]
        return True

    def read(self):
        """False: the connection is gone."""
        try:
            data = self.socket.recv(262144)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.counts["received_bytes"] += len(data)
        self._in += data
        while len(self._in) >= 9:
            size = int.from_bytes(self._in[:3], "big")
            if len(self._in) < 9 + size:
                break
            self._take(self._in[3], self._in[4], int.from_bytes(self._in[5:9], "big"), bytes(self._in[9:9 + size]))
            del self._in[:9 + size]
        return bool(data)

    def _take(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            for i in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[i:i + 6])
                if name == INITIAL_WINDOW_SIZE:
                    for other in self.windows:
                        self.windows[other] += value - self.initial
                    self.initial = value
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if stream == 0:
                self.window += more
            elif stream in self.windows:
                self.windows[stream] += more
        elif kind == RST_STREAM:
            self.counts["streams_reset"] += 1
            self._forget(stream)
        elif kind == GOAWAY:
            self.counts["goaways"] += 1
        elif kind == HEADERS and flags & END_STREAM:
            self.counts["answers"] += 1
            self._forget(stream)
        if self.answers:
            self.answers(kind, flags, stream, payload)
        self._move()

    def _forget(self, stream):
        if self.windows.pop(stream, None) is not None:
            self.waiting = collections.deque(item for item in self.waiting if item[0] != stream)

    def wants(self):
        return (select.EPOLLIN if self.reads else 0) | (select.EPOLLOUT if self.out else 0)


class Crowd:
    """Connections of these scripts, each opened again as soon as the server has closed it."""

    def __init__(self, address, scripts):
        self.address = address
        self.counts = collections.Counter()
        self._epoll = select.epoll()
        self._connections = {}
        self._wants = {}
        self._due = []  # (when, number, what)
        self._number = 0
        for script in scripts:
            self._open(script)

    def _later(self, when, what):
        self._number += 1
        heapq.heappush(self._due, (when, self._number, what))

    def _open(self, script):
        connection = Connection(self.address, script, self.counts)
        connection.script = script
        number = connection.socket.fileno()
        self._connections[number] = connection
        self._wants[number] = connection.wants()
        self._epoll.register(number, self._wants[number])
        self._advance(connection)

    def _close(self, connection):
        number = connection.socket.fileno()
        self.counts["closed_by_server"] += 1
        self._epoll.unregister(number)
        del self._connections[number], self._wants[number]
        connection.socket.close()
        # Not at once, for a server that has ended refuses all of them.
        self._later(time.monotonic() + 0.001, lambda: self._open(connection.script))

    def _advance(self, connection):
        number, now = connection.socket.fileno(), time.monotonic()
        if number < 0:
            return
        connection.step(now)
        if connection.goes_on is not None and connection.goes_on > now:
            self._later(connection.goes_on, lambda: self._advance(connection))
        wants = connection.wants()
        if wants != self._wants[number]:
            self._wants[number] = wants
            self._epoll.modify(number, wants)

    def run(self, until):
        while (now := time.monotonic()) < until:
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2]()
            next_due = self._due[0][0] if self._due else until
            wait = max(0.0, min(next_due, until) - time.monotonic())
            for number, events in self._epoll.poll(wait):
                connection = self._connections.get(number)
                if connection is None:
                    continue
                alive = not events & (select.EPOLLHUP | select.EPOLLERR)
                if events & select.EPOLLIN:
                    alive = connection.read()
                if alive and events & select.EPOLLOUT:
                    alive = connection.write()
                if alive:
                    self._advance(connection)
                else:
                    self._close(connection)
        self.counts["open_at_end"] = len(self._connections)
        for connection in self._connections.values():
            connection.socket.close()
        return self.counts


def streams():
    return range(1, LARGEST_STREAM, 2)


# ---- kinds ----

def header_blocks(target):
    """Header blocks a little over the bound, in CONTINUATION frames as the standard has them, on stream after stream."""
    def script(connection):
        connection.start()
        fill = target.header_bytes + 1024
        block = call_block(HEALTH_CHECK, *((f"x-fill-{i}", "f" * 1000) for i in range(fill // 1000)))
        for stream in streams():
            connection.send(header_frames(stream, block, END_STREAM, size=4096))
            connection.counts["calls"] += 1
            yield
    return Crowd(target.address, [script] * 4)


def header_floods(target):
    """Header blocks a little under the bound on a thousand streams whose messages never come, ended and begun anew."""
    def script(connection):
        connection.start()
        fill = target.header_bytes // 2
        block = call_block(TRANSLATE, *((f"x-fill-{i}", "f" * 200) for i in range(fill // 300)))
        open_streams = []
        for stream in streams():
            connection.send(header_frames(stream, block))
            connection.counts["calls"] += 1
            open_streams.append(stream)
            if len(open_streams) == 1000:
                yield 0.5
                for old in open_streams:
                    connection.reset(old)
                open_streams.clear()
            yield
    return Crowd(target.address, [script] * 4)


def _flood(target, begin, frames):
    """A connection that begins so and then sends nothing but these frames."""
    def script(connection):
        connection.start()
        begin(connection)
        while True:
            connection.send(frames)
            connection.counts["frames"] += 1000
            yield
    return script


def _one_call(connection):
    connection.send(header_frames(1, call_block(TRANSLATE)))


def control_frames(target):
    """PING, SETTINGS, WINDOW_UPDATE, PRIORITY, empty DATA and RST_STREAM frames without end, a connection for each."""
    nothing = lambda connection: None
    one = struct.pack(">I", 1)
    floods = [(nothing, frame(PING, 0, 0, bytes(8))),
              (nothing, frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 65535))),
              (_one_call, frame(WINDOW_UPDATE, 0, 1, one)),
              (nothing, frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 15))),
              (_one_call, frame(DATA, 0, 1)),
              (_one_call, frame(RST_STREAM, 0, 1, CANCEL))]
    return Crowd(target.address, [_flood(target, begin, 1000 * data) for begin, data in floods])


def rapid_resets(target):
    """Calls that are reset in the moment that they are made."""
    def script(connection):
        connection.start()
        block = call_block(TRANSLATE)
        request = message(translate_request(["서버는 값을 돌려줍니다.".encode()]))
        for stream in streams():
            connection.call(stream, block, request)
            connection.reset(stream)
            if stream % 128 == 1:
                yield
    return Crowd(target.address, [script] * 4)


def inflating(target):
    """Compressed messages, a few thousand bytes each, that inflate to a little over the bound or to three times it."""
    sizes = (target.message_bytes + 4096, 3 * target.message_bytes)
    bodies = [message(gzip.compress(text_field(2, b"a" * size)), compressed=True) for size in sizes]

    def script(connection):
        connection.start()
        block = call_block(TRANSLATE, ("grpc-encoding", "gzip"))
        for stream in streams():
            connection.call(stream, block, bodies[stream // 2 % 2])
            yield 0.005 if stream % 16 == 1 else None
    return Crowd(target.address, [script] * 4)


def untaken_answers(target):
    """Answers that are large and that nobody takes: windows of 0, or sockets that are never read. No more of them than
    can be decoded beside others' requests."""
    words = "서버는 값을 돌려줍니다 ".encode() * 12
    wide = message(translate_request([words], beam=4, length=50, reply_bytes=4 << 20))

    def script(window, reads):
        def run(connection):
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.start(window, LARGEST_WINDOW - 65535 if window else 0)
            connection.reads = reads
            for stream in streams():
                connection.call(stream, call_block(TRANSLATE, timeout=""), wide)
                yield 0.5
        return run
    return Crowd(target.address, [script(0, True)] * 4 + [script(LARGEST_WINDOW, False)] * 4)


def health_watches(target):
    """Health Watch streams of long names, as many as there may be."""
    def script(connection):
        connection.start()
        block = call_block(HEALTH_WATCH, timeout="")
        for stream in range(1, 1000, 2):
            name = f"{stream}-".encode() + b"n" * 65536
            connection.call(stream, block, message(text_field(1, name)))
            yield
        while True:
            yield 60
    return Crowd(target.address, [script] * 4)


def reflections(target):
    """Reflection streams that ask on and on for long names and take no answer."""
    def script(connection):
        connection.start(window=0)
        block = call_block(REFLECTION, timeout="")
        ask = message(text_field(3, b"f" * 16384))
        for stream in range(1, 200, 2):
            connection.call(stream, block, ask, end=False)
            yield
        while True:
            for stream in range(1, 200, 2):
                if stream in connection.windows:
                    connection.data(stream, ask)
                yield 0.001
            yield 0.01
    return Crowd(target.address, [script] * 4)


def endless_messages(target):
    """Calls whose messages are announced and begun and never end, a byte now and then."""
    def script(connection):
        connection.start()
        block = call_block(TRANSLATE, timeout="5S")
        begun = struct.pack(">BI", 0, target.message_bytes) + bytes(32768)
        for stream in range(1, 400, 2):
            connection.call(stream, block, begun, end=False)
            yield
        while True:
            for stream in list(connection.windows):
                connection.data(stream, b"\0")
            yield 1
    return Crowd(target.address, [script] * 4)


def silent_connections(target):
    """Connections that say nothing, half a preface, or half of a TLS handshake, as many as there may be."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)

    def script(words):
        def run(connection):
            connection.send(words)
            yield
        return run
    return Crowd(target.address, [script(words) for words in (b"", PREFACE[:12], hello, PREFACE)] * target.silent)


def long_texts(target):
    """Requests of nearly 4 MB of text, sixty at once."""
    text = ("서버가 시작되면 모델을 읽고 요청을 기다린다 " * 2000).encode()[:65000].decode(errors="ignore").encode()
    body = message(translate_request([text] * (target.message_bytes // 66000)))

    def script(connection):
        connection.start()
        block = call_block(TRANSLATE)
        for stream in streams():
            connection.call(stream, block, body)
            yield
            while connection.counts["answers"] + connection.counts["streams_reset"] < connection.counts["calls"] - 59:
                yield 0.005
    return Crowd(target.address, [script] * 60)


def silent_http(target):
    """Connections to the metrics port that say nothing, half a request, or ask and take no answer."""
    words = [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: heed\r\n", b"GET /metrics HTTP/1.1\r\nHost: heed\r\n\r\n"]

    def script(first):
        def run(connection):
            connection.reads = False
            connection.send(first)
            yield
            while first:
                yield 1
                connection.send(b"X" if not first.endswith(b"\r\n\r\n") else first)
                yield
        return run
    return Crowd(target.metrics_address, [script(first) for first in words] * 32)


def idle(target):
    """Connections that have said their first words, heard the server's, and do nothing more."""
    def script(connection):
        connection.start()
        yield
    return Crowd(target.address, [script] * target.idle)


class Churn:
    """Connections opened and given up, so many a second."""

    def __init__(self, target):
        self.target = target
        self.counts = collections.Counter()

    def run(self, until):
        began, give_up = time.monotonic(), struct.pack("ii", 1, 0)  # closed with a reset, so that ports come free
        while (now := time.monotonic()) < until:
            due = int((now - began) * self.target.attempts_per_s)
            for _ in range(min(due - self.counts["connections"], 500)):
                attempt = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                attempt.connect_ex(self.target.address)
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, give_up)
                attempt.close()
                self.counts["connections"] += 1
            time.sleep(0.001)
        self.counts["attempts_per_s"] = round(self.counts["connections"] / (time.monotonic() - began))
        return self.counts


KINDS = {
    "header_blocks": header_blocks,
    "header_floods": header_floods,
    "control_frames": control_frames,
    "rapid_resets": rapid_resets,
    "inflating": inflating,
    "untaken_answers": untaken_answers,
    "health_watches": health_watches,
    "reflections": reflections,
    "endless_messages": endless_messages,
    "silent_connections": silent_connections,
    "long_texts": long_texts,
    "silent_http": silent_http,
    "churn": Churn,
}


# ---- who is served meanwhile ----

def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))] if sorted_values else None


class Probe:
    """Asks for health every 20 ms on a kept connection, whatever became of the questions before, and for metrics every
    second."""

    def __init__(self, target):
        self.target = target
        self.crowd = None
        self.asked = {}  # by stream, of the connection that there is
        self.times, self.scrapes = [], []
        self.counts = collections.Counter()

    def _script(self, connection):
        connection.start()
        connection.answers = self._answer
        self.counts["lost"] += len(self.asked)
        self.counts["connections"] += 1
        self.asked.clear()
        block, due = call_block(HEALTH_CHECK), time.monotonic()
        for stream in streams():
            self.asked[stream] = due
            connection.call(stream, block, message(b""))
            due += 0.02
            now = time.monotonic()
            yield max(0.0001, due - now)

    def _answer(self, kind, flags, stream, payload):
        if stream not in self.asked:
            return
        if kind == DATA and payload == SERVING:
            self.times.append(time.monotonic() - self.asked.pop(stream))
        elif kind == RST_STREAM or kind == HEADERS and flags & END_STREAM:
            del self.asked[stream]
            self.counts["refused"] += 1

    def _scrape(self, until):
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                with socket.create_connection(self.target.metrics_address, timeout=10) as connection:
                    connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: heed\r\nConnection: close\r\n\r\n")
                    answer = b""
                    while part := connection.recv(65536):
                        answer += part
                if b"heed_" not in answer:
                    raise OSError("no metrics")
                self.scrapes.append(time.monotonic() - began)
            except OSError:
                self.counts["scrapes_failed"] += 1
            time.sleep(max(0.0, began + 1 - time.monotonic()))

    def run(self, until):
        scraper = threading.Thread(target=self._scrape, args=(until,))
        if self.target.metrics_address:
            scraper.start()
        # The last half second's questions have the time to be answered.
        self.crowd = Crowd(self.target.address, [self._script])
        self.crowd.run(until)
        late = [sent for sent in self.asked.values() if time.monotonic() - sent > 0.5]
        if self.target.metrics_address:
            scraper.join()
        times, scrapes = sorted(self.times + [float(self.target.seconds)] * len(late)), sorted(self.scrapes)
        milliseconds = lambda value: None if value is None else round(1000 * value, 2)
        return {"checks": len(times), "p50_ms": milliseconds(percentile(times, 0.5)),
                "p99_ms": milliseconds(percentile(times, 0.99)), "max_ms": milliseconds(percentile(times, 1)),
                "unanswered": len(late), "scrapes": len(scrapes), "scrape_max_ms": milliseconds(percentile(scrapes, 1)),
                **self.counts}


def place(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", choices=[*KINDS, "idle", "probe"])
    parser.add_argument("--list", action="store_true", help="what each kind does")
    parser.add_argument("--address", type=place, help="HOST:PORT of gRPC, plain text")
    parser.add_argument("--metrics_address", type=place)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--header_bytes", type=int, default=16384, help="the server's bound of a header block")
    parser.add_argument("--message_bytes", type=int, default=4 << 20, help="the server's --max_message_bytes")
    parser.add_argument("--silent", type=int, default=200, help="silent connections of each of four sorts")
    parser.add_argument("--idle", type=int, default=1000, help="connections of idle, which is not hostile")
    parser.add_argument("--attempts_per_s", type=int, default=10000, help="of churn")
    arguments = parser.parse_args()
    if arguments.list:
        for name, kind in KINDS.items():
            print(f"{name}: {' '.join(kind.__doc__.split())}")
        return 0
    if not arguments.kind or not arguments.address:
        parser.error("a kind and --address are needed")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    until = time.monotonic() + arguments.seconds
    done = {**KINDS, "idle": idle, "probe": Probe}[arguments.kind](arguments).run(until)
    print(json.dumps(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
