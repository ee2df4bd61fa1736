#!/bin/bash
# grpclib 0.4.9 (PyPI), the asyncio gRPC client in Python, and what a server sees of its deadline (grpc-timeout).
#
# Expected: the header has room for 8 digits of milliseconds, so a deadline of 10.9 s is sent as such, less what the call
# has spent by then; who rounds, rounds up, as grpcio does, so that the server does not end first what the client awaits.
# Seen: from 10 s on grpclib sends whole seconds and drops the rest: 10.9 s goes out as 10S, and the server ends the
# call 0.9 s early. 9.9 s still goes out in milliseconds.
#
# A server that sheds work by deadline refuses from this client what it takes from others with the same timeout.
# Needs the network.
set -euo pipefail
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
/usr/bin/python3 -m venv "$temporary/venv"
"$temporary/venv/bin/pip" install --quiet grpclib==0.4.9 grpcio==1.85.3 protobuf==6.33.6
"$temporary/venv/bin/python" - <<'PYTHON'
import asyncio
import sys

import grpc
import grpclib.client
import grpclib.const
import grpclib.encoding.base
import grpclib.server

UNITS = {"H": 3600, "M": 60, "S": 1, "m": 1e-3, "u": 1e-6, "n": 1e-9}
sent = []


class Empty(grpclib.encoding.base.CodecBase):
    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        return b""

    def decode(self, data, message_type):
        return b""


class Service:
    async def answer(self, stream):
        await stream.recv_message()
        await stream.send_message(b"")

    def __mapping__(self):
        return {"/test/Call": grpclib.const.Handler(self.answer, grpclib.const.Cardinality.UNARY_UNARY, bytes, bytes)}


def note(headers):
    """The server's view of the header, before anything of grpclib's interprets it."""
    sent.append(dict(headers)["grpc-timeout"])


async def main():
    server = grpclib.server.Server([Service()], codec=Empty())
    accept = grpclib.server.request_handler
    grpclib.server.request_handler = lambda m, s, headers, *rest: (note(headers), accept(m, s, headers, *rest))[1]
    await server.start("127.0.0.1", 0)
    port = server._server.sockets[0].getsockname()[1]
    channel = grpclib.client.Channel("127.0.0.1", port, codec=Empty())
    call = grpclib.client.UnaryUnaryMethod(channel, "/test/Call", bytes, bytes)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as other:
        for timeout in 9.9, 10.9, 59.9:
            await call(b"", timeout=timeout)
            await other.unary_unary("/test/Call")(b"", timeout=timeout)
    channel.close()
    server.close()
    await server.wait_closed()


asyncio.run(main())
print("grpclib, grpcio for 9.9, 10.9, 59.9 s:", *sent)
short, *long = sent[::2]
seconds = [int(t[:-1]) * UNITS[t[-1]] for t in sent]
sys.exit(not (short.endswith("m") and 9.5 < seconds[0] <= 9.9 and long == ["10S", "59S"]
              and all(s > t - 0.5 for s, t in zip(seconds[1::2], (9.9, 10.9, 59.9))) and seconds[3] >= 10.5))
PYTHON
