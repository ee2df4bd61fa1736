#!/usr/bin/python3
"""One hostile client after another does its worst against a server of its own, while ordinary callers are served.

    bench/hostile.py --texts newstest2019.kor [--kinds header_blocks,churn] [--seconds 60]
    bench/hostile.py --texts newstest2019.kor --mixed 10       # minutes: all kinds in turn, one server, a 1 GiB cgroup
    bench/hostile.py --texts newstest2019.kor --idle_connections 1000
    bench/hostile.py --texts newstest2019.kor --tls            # kept connections with TLS beside plain text

The server has both cores and one worker, is in a memory cgroup of 1 GiB (docs/container.md), and serves `heed bench` in
an open loop; a probe asks for health every 20 ms and for /metrics every second. Hostile clients run at the lowest
priority, so that they take from the server and not from those who measure. `bench/hostile_clients.py --list` says what
each does.
"""

import argparse
import contextlib
import fcntl
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import cgroup
import hostile_clients
import servers

CLIENTS = pathlib.Path(__file__).resolve().parent / "hostile_clients.py"
GIB = 1 << 30
UNREAD_LOG = "unread_log"  # not a client: a log pipe that nobody reads
KINDS = [*hostile_clients.KINDS, UNREAD_LOG]
WARM_UP = 2  # seconds of a run that do not count; hostile clients come within them
NEVER = 1e9  # milliseconds


class Server(servers.Server):
    """A server on both cores within `limit`, a cgroup.Group or DataLimit."""

    def __init__(self, arguments, limit, flags=()):
        servers.heed_serving.Process.__init__(self, self.command(arguments, limit, flags))

    @staticmethod
    def command(arguments, limit, flags):
        return limit.joining(servers.pinned("0,1", [
            arguments.build / "server/heed-server", "--metrics_address=127.0.0.1:0", f"--models={arguments.models}",
            *limit.flags, *flags]))

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def peak_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(r"^VmHWM:\s+(\d+)", status, re.M).group(1))

    def alive(self):
        return self.process.poll() is None


class PipedServer(Server):
    """Its log goes to a small pipe, which is read until stop_reading()."""

    def __init__(self, arguments, limit):
        command = self.command(arguments, limit, ["--workers=1", "--address=127.0.0.1:0", "--log_format=json"])
        self.process = subprocess.Popen([str(c) for c in command], stderr=subprocess.PIPE, text=True)
        fcntl.fcntl(self.process.stderr, fcntl.F_SETPIPE_SZ, 4096)
        for line in self.process.stderr:
            entry = json.loads(line)
            if entry.get("event") == "serving":
                break
        else:
            sys.exit("the server did not start")
        self.address = f"127.0.0.1:{entry['port']}"
        self.metrics_address = f"127.0.0.1:{entry['metrics_port']}"
        self._reads = True
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while self._reads and self.process.stderr.readline():
            pass

    def stop_reading(self):
        self._reads = False


@contextlib.contextmanager
def ended(server):
    try:
        yield server
    finally:
        if server.alive():
            server.process.kill()
        server.process.wait()


def client(server, kind, seconds, *flags, nice=0):
    """A process of hostile_clients.py under way."""
    command = ["nice", "-n", str(nice), sys.executable, CLIENTS, kind, f"--address={server.address}",
               f"--metrics_address={server.metrics_address}", f"--seconds={seconds}", *flags]
    return subprocess.Popen(servers.pinned(1, command), stdout=subprocess.PIPE, text=True)


def said(process):
    out, _ = process.communicate()
    return json.loads(out) if process.returncode == 0 else {"exit_code": process.returncode}


def ordinary(arguments, server, seconds, *flags):
    return servers.heed_bench(arguments.build, server, arguments.texts, f"--rate={arguments.rate}",
                              f"--duration={seconds}s", f"--warmup={WARM_UP}s", "--mix=translate=1", *flags)


def outcome(load):
    """What became of ordinary callers: codes, and the p99 of the answered; waits for them."""
    out, _ = load.communicate()
    if load.returncode != 0:  # not one of them was served
        return {"ok": 0, "errors": 1, "codes": {}, "p50_ms": NEVER, "p99_ms": NEVER}
    run = json.loads(out)
    return {"ok": run["ok"], "errors": run["errors"], "codes": run["codes"],
            "p50_ms": run["latency"].get("p50_ms", NEVER), "p99_ms": run["latency"].get("p99_ms", NEVER)}


def measure(arguments, server, seconds):
    """(callers, probe) of an undisturbed stretch."""
    probe, load = client(server, "probe", seconds), ordinary(arguments, server, seconds)
    return outcome(load), said(probe)


def warm_up(arguments, server):
    """What engines first touch at work belongs to the models, not to hostile clients."""
    servers.load(arguments.build, server, arguments.texts, "--concurrency=64", "--duration=4s", "--mix=translate=1",
                 "--beam_size=4", "--n_best=4", "--attention")


def hostile(arguments, kind):
    """The figures of one kind against a server of its own."""
    kind_of_server = PipedServer if kind == UNREAD_LOG else Server
    with cgroup.memory(GIB) as limit, ended(kind_of_server(arguments, limit)) as server:
        warm_up(arguments, server)
        before, probe_before = measure(arguments, server, arguments.before)
        seconds = min(10, arguments.seconds) if kind == "churn" else arguments.seconds
        start = server.resident_bytes()
        server.forget_peak()
        load, probe = ordinary(arguments, server, seconds), client(server, "probe", seconds)
        time.sleep(WARM_UP / 2)
        if kind == UNREAD_LOG:
            server.stop_reading()
            time.sleep(seconds)
            did = {}
        else:
            did = said(client(server, kind, seconds, nice=19))
        during, probe_during = outcome(load), said(probe)
        figures = {"before": before, "probe_before": probe_before, "during": during, "probe": probe_during,
                   "client": did, "bounded_by": type(limit).__name__, "alive": server.alive(), "start_bytes": start}
        if server.alive():
            figures["peak_bytes"] = server.peak_bytes()
            time.sleep(10)
            figures["after_bytes"] = server.resident_bytes()
    return figures


def verdicts(kind, figures):
    """What the promises are, for servers.say."""
    probe, during, before = figures["probe"], figures["during"], figures["before"]
    ratio = during["p99_ms"] / before["p99_ms"] if before["p99_ms"] else float("inf")
    p99 = probe.get("p99_ms")
    lines = [(f"{kind}: the server lives", figures["alive"], json.dumps(figures["client"])),
             (f"{kind}: health within 50 ms at p99", p99 is not None and p99 <= 50,
              f"p50 {probe.get('p50_ms')} ms, p99 {p99} ms, unanswered {probe.get('unanswered')}; "
              f"{figures['probe_before'].get('p99_ms')} ms before"),
             (f"{kind}: a scrape within 50 ms", (probe.get("scrape_max_ms") or 1e9) <= 50,
              f"longest {probe.get('scrape_max_ms')} ms, failed {probe.get('scrapes_failed', 0)}; "
              f"{figures['probe_before'].get('scrape_max_ms')} ms before"),
             (f"{kind}: callers' p99 within {2 if kind == 'churn' else 1.5} times",
              ratio <= (2 if kind == "churn" else 1.5),
              f"{before['p99_ms']:.1f} ms, then {during['p99_ms']:.1f} ms: {ratio:.2f} times"),
             (f"{kind}: no ordinary call lost", during["errors"] == 0, json.dumps(during["codes"]))]
    if figures["alive"]:
        start, peak, after = (figures[f"{key}_bytes"] for key in ("start", "peak", "after"))
        lines += [(f"{kind}: memory within the account", peak <= GIB // 16 * 15,
                   f"{start / 1e6:.1f} MB, at most {peak / 1e6:.1f} MB"),
                  (f"{kind}: back within 1 % ten seconds after", after <= 1.01 * start,
                   f"{after / 1e6:.1f} MB: {100 * (after / start - 1):+.2f} %")]
    return lines


def each(arguments):
    all_figures, lines = {}, []
    for kind in arguments.kinds:
        print(f"{kind} ...", file=sys.stderr, flush=True)
        all_figures[kind] = hostile(arguments, kind)
        lines += verdicts(kind, all_figures[kind])
        servers.say(verdicts(kind, all_figures[kind]))
        servers.keep(arguments.out, "hostile", {"machine": servers.machine(), "kinds": all_figures})
    print(json.dumps(servers.machine()))
    return 0 if all(holds for _, holds, _ in lines) else 1


def mixed(arguments):
    """All kinds in turn against one server in a cgroup of 1 GiB."""
    seconds, sizes, turns = 60 * arguments.mixed, [], []
    kinds = [kind for kind in arguments.kinds if kind != UNREAD_LOG]
    with cgroup.memory(GIB) as limit, ended(Server(arguments, limit)) as server:
        warm_up(arguments, server)
        until = time.monotonic() + seconds
        load, probe = ordinary(arguments, server, seconds), client(server, "probe", seconds)
        while time.monotonic() < until and server.alive():
            kind = kinds[len(turns) % len(kinds)]
            run = client(server, kind, min(arguments.turn, until - time.monotonic()), nice=19)
            while run.poll() is None:
                time.sleep(1)
                sizes.append(server.resident_bytes() if server.alive() else 0)
            turns.append({"kind": kind, "resident_bytes": sizes[-1], **said(run)})
            print(json.dumps(turns[-1]), flush=True)
        run, probed = outcome(load), said(probe)
        alive, kills, peak = server.alive(), limit.kills(), limit.peak_bytes()
        bounded_by = type(limit).__name__
    figures = {"machine": servers.machine(), "callers": run, "probe": probed, "resident_bytes": sizes,
               "turns": turns, "peak_bytes": peak, "bounded_by": bounded_by}
    servers.keep(arguments.out, "hostile-mixed", figures)
    print(json.dumps(figures["machine"]))
    half = len(sizes) // 2
    first, second = max(sizes[:half]), max(sizes[half:])
    return servers.say([
        (f"{arguments.mixed:g} minutes in 1 GiB ({bounded_by}): the server lives", alive and not kills,
         f"{len(turns)} turns, {kills} kills, peak of the group {peak}"),
        ("no ordinary call lost", run["errors"] == 0, json.dumps(run["codes"])),
        ("health within 50 ms at p99", (probed.get("p99_ms") or 1e9) <= 50, json.dumps(probed)),
        ("memory flat: the second half's peak within 1 % of the first's", second <= 1.01 * first,
         f"{first / 1e6:.1f} MB, {second / 1e6:.1f} MB"),
    ])


def idle(arguments):
    """What connections cost that have said their first words and nothing more."""
    number = arguments.idle_connections
    with cgroup.memory(GIB) as limit, ended(Server(arguments, limit, [f"--max_connections={number + 100}"])) as server:
        servers.load(arguments.build, server, arguments.texts, f"--rate={arguments.rate}", "--duration=5s")
        start = server.resident_bytes()
        process = client(server, "idle", 5, f"--idle={number}")
        time.sleep(4)
        grown, there = server.resident_bytes() - start, servers.metric(server.metrics(), "heed_connections")
        did = said(process)
    figures = {"machine": servers.machine(), "connections": there, "grown_bytes": grown, "client": did}
    servers.keep(arguments.out, "hostile-idle", figures)
    return servers.say([(f"{number} idle connections cost at most {number / 50:g} MB",
                         there >= number and grown <= number * 20000,
                         f"{grown / 1e6:.1f} MB for {there:.0f} connections: {grown / max(there, 1) / 1e3:.1f} KB each")])


def certificate(folder):
    """A certificate for localhost, and its key."""
    cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
                    key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    return cert, key


def tls(arguments):
    """Requests a second of 32 callers with kept connections, plain and with TLS in turn, two servers."""
    rates = {"plain": [], "tls": []}
    with tempfile.TemporaryDirectory() as folder:
        cert, key = certificate(folder)
        with cgroup.memory(2 * GIB) as limit, ended(Server(arguments, limit)) as plain, \
                ended(Server(arguments, limit, [f"--tls_cert={cert}", f"--tls_key={key}"])) as encrypted:
            for _ in range(arguments.repeat + 1):
                for name, server, flags in (("plain", plain, ()), ("tls", encrypted, (f"--tls_ca={cert}",))):
                    run = servers.closed_loop(arguments.build, server, arguments.texts, 32, arguments.requests, *flags)
                    rates[name].append(run["requests_per_s"])
    rates = {name: values[1:] for name, values in rates.items()}  # the first warms up
    ratio = statistics.median(t / p for t, p in zip(rates["tls"], rates["plain"]))
    servers.keep(arguments.out, "hostile-tls", {"machine": servers.machine(), "requests_per_s": rates})
    print(json.dumps(servers.machine()))
    return servers.say([("TLS with kept connections at least 95 % of plain text", ratio >= 0.95,
                         f"{100 * ratio:.1f} %: plain {rates['plain']}, TLS {rates['tls']}")])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    servers.add_common_flags(parser)
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=KINDS, help=f"of {','.join(KINDS)}")
    parser.add_argument("--seconds", type=float, default=60, help="of each kind")
    parser.add_argument("--before", type=float, default=20, help="seconds of undisturbed load first")
    parser.add_argument("--rate", type=float, default=40, help="ordinary requests a second")
    parser.add_argument("--mixed", type=float, metavar="MINUTES")
    parser.add_argument("--turn", type=float, default=15, help="seconds of each kind in --mixed")
    parser.add_argument("--idle_connections", type=int, metavar="CONNECTIONS")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--repeat", type=int, default=5, help="pairs of runs of --tls")
    parser.add_argument("--requests", type=int, default=2000, help="of each run of --tls")
    arguments = parser.parse_args()
    if unknown := set(arguments.kinds) - set(KINDS):
        parser.error(f"no such kind: {', '.join(unknown)}")
    if arguments.mixed:
        return mixed(arguments)
    if arguments.idle_connections:
        return idle(arguments)
    return tls(arguments) if arguments.tls else each(arguments)


if __name__ == "__main__":
    sys.exit(main())
