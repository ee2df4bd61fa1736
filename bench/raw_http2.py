"""HTTP/2 by hand on plain sockets (RFC 9113), for clients that break its rules or do as little as they like; by the
standard library alone. As tests/integration/raw_http2.h, with flow control, and many connections at a time."""

import collections
import heapq
import select
import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4
CANCEL = struct.pack(">I", 8)
LARGEST_WINDOW = (1 << 31) - 1
LARGEST_STREAM = (1 << 31) - 1

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


def streams():
    return range(1, LARGEST_STREAM, 2)


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
        return (select.EPOLLIN if self.reads else select.EPOLLRDHUP) | (select.EPOLLOUT if self.out else 0)


class Crowd:
    """Connections of these scripts, each opened again soon after the server has closed it."""

    def __init__(self, address, scripts, reopen_s=0.001):
        self.address = address
        self._reopen_s = reopen_s
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
        self._later(time.monotonic() + self._reopen_s, lambda: self._open(connection.script))

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
                alive = not events & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP)
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
