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
import json
import resource
import socket
import struct
import sys
import threading
import time

from raw_http2 import (CANCEL, DATA, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, LARGEST_WINDOW, PING,
                       PREFACE, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, Crowd, call_block, frame,
                       header_frames, message, number_field, streams, text_field)

TRANSLATE = "/heed.v1.TranslationService/Translate"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

SERVING = b"\0\0\0\0\2\x08\1"  # a health answer on the wire


def translate_request(texts, beam=0, length=0, reply_bytes=0):
    """A TranslateRequest; with a beam, one for every hypothesis and every matrix of it."""
    request = b"".join(text_field(2, text) for text in texts)
    if beam:
        search = number_field(1, beam) + number_field(2, beam)
        if length:
            search += number_field(3, length) + number_field(4, length)
        request += text_field(3, search) + text_field(5, text_field(1, b"\1\2"))
    return request + (number_field(6, reply_bytes) if reply_bytes else b"")


# ---- kinds ----

def filled(method, size):
    """A call's header block with about so many bytes of metadata as HTTP/2 counts them."""
    return call_block(method, *((f"x-fill-{i:04}", "f" * (min(1000, size - 1000 * i) - 43))
                                for i in range(size // 1000 + (size % 1000 > 43))))


def header_blocks(target):
    """Metadata a little over the bound, and whole header blocks a little over theirs, in CONTINUATION frames as the
    standard has them, on stream after stream."""
    def script(size):
        def run(connection):
            connection.start()
            block = filled(HEALTH_CHECK, size)
            for stream in streams():
                connection.send(header_frames(stream, block, END_STREAM, size=4096))
                connection.counts["calls"] += 1
                yield
        return run
    return Crowd(target.address, [script(size) for size in (target.header_bytes, target.block_bytes + 1024)] * 2)


def header_floods(target):
    """Header blocks a little under the bound on a thousand streams whose messages never come, ended and begun anew."""
    def script(connection):
        connection.start()
        block = filled(TRANSLATE, target.header_bytes - 1024)
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
                yield 1
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
    """Connections that say nothing, half a preface or a preface and no more, as many as there may be."""
    def script(words):
        def run(connection):
            connection.reads = False
            connection.send(words)
            yield
        return run
    return Crowd(target.address, [script(words) for words in (b"", PREFACE[:12], PREFACE)] * target.silent,
                 reopen_s=0.1)


def wrong_words(target):
    """Connections whose first words are half of a TLS handshake or a page asked for, opened again once closed."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)

    def script(words):
        def run(connection):
            connection.reads = False
            connection.send(words)
            yield
        return run
    return Crowd(target.address, [script(words) for words in (hello, b"GET / HTTP/1.1\r\nHost: heed\r\n\r\n")] * 8)


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
    "wrong_words": wrong_words,
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
        # Its answers are 7 bytes each: the first 64 KB of them are not the last.
        connection.start(updates=LARGEST_WINDOW - 65535)
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
    parser.add_argument("--header_bytes", type=int, default=8192, help="the server's bound of a call's metadata")
    parser.add_argument("--block_bytes", type=int, default=32768, help="the server's bound of a header block")
    parser.add_argument("--message_bytes", type=int, default=4 << 20, help="the server's --max_message_bytes")
    parser.add_argument("--silent", type=int, default=200, help="silent connections of each of three sorts")
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
