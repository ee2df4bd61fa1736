"""What the serving benchmarks share: servers pinned to a core, `heed bench` pinned to another, and their figures."""

import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "export"))
from heed_export.measure import serving as heed_serving  # noqa: E402


# This process stays off the server's core.
os.sched_setaffinity(0, os.sched_getaffinity(0) - {0} or {0})


def pinned(core, command):
    return ["taskset", "-c", str(core), *(str(c) for c in command)]


def metric(text, name, **labels):
    """The sum of a metric's samples that have these labels."""
    total = 0.0
    for match in re.finditer(rf"^{name}(?:{{([^}}]*)}})? (\S+)$", text, re.M):
        have = dict(re.findall(r'(\w+)="([^"]*)"', match.group(1) or ""))
        if all(have.get(key) == value for key, value in labels.items()):
            total += float(match.group(2))
    return total


class Server(heed_serving.Process):
    """A server on its core."""

    def __init__(self, program, flags, core=0):
        super().__init__(pinned(core, [program, "--metrics_address=127.0.0.1:0", *flags]))

    def metrics(self):
        return urllib.request.urlopen(f"http://{self.metrics_address}/metrics", timeout=10).read().decode()

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(r"^VmRSS:\s+(\d+)", status, re.M).group(1))


@contextlib.contextmanager
def serving(program, flags, core=0):
    server = Server(program, flags, core)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


@contextlib.contextmanager
def awake():
    """Keeps the cores from halting, with threads that run only where nothing else would: waking a core of a virtual
    machine takes up to a millisecond, which belongs to the machine and not to what is measured."""
    spin = ["sh", "-c", "while :; do :; done"]
    spinners = [subprocess.Popen(["chrt", "-i", "0", *pinned(core, spin)]) for core in (0, 1)]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def heed_bench(build, server, texts, *flags, core=1):
    """`heed bench` under way; report() waits for it."""
    command = [build / "client/heed", "bench", f"--address={server.address}", f"--texts={texts}", "--json=-", *flags]
    return subprocess.Popen(pinned(core, command), stdout=subprocess.PIPE, text=True)


def closed_loop(build, server, texts, callers, requests, *flags, core=1):
    """The report of `callers` callers, each with a connection and one request at a time, `requests` in all."""
    return report(heed_bench(build, server, texts, f"--concurrency={callers}", f"--connections={callers}",
                             f"--requests={requests}", *flags, core=core))


@contextlib.contextmanager
def file_of(lines):
    """A file of these lines; its name."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in lines))
        file.flush()
        yield file.name


def evenly(lines, count):
    """`count` of the lines, or all where there are fewer, taken evenly."""
    count = min(count, len(lines))
    return [lines[i * len(lines) // count] for i in range(count)]


def run_json(command, **options):
    """A command's standard output, parsed."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, check=True, **options)
    return json.loads(done.stdout)


def report(process):
    out, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(f"heed bench ended with {process.returncode}")
    return json.loads(out)


def load(build, server, texts, *flags):
    """The report of one run of `heed bench`."""
    return report(heed_bench(build, server, texts, *flags))


def saturated(build, server, texts, seconds, *flags):
    """Requests a second that are answered when there are always enough of them: the server's capacity."""
    return load(build, server, texts, "--concurrency=192", f"--duration={seconds + 2}s", "--warmup=2s",
                *flags)["requests_per_s"]


def machine():
    """Where figures come from; the load average tells whether something else ran."""
    cpu = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return {"cpu": cpu.group(1) if cpu else platform.processor(), "cores": os.cpu_count(),
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "loadavg": pathlib.Path("/proc/loadavg").read_text().split()[:3]}


class Results:
    """Results in a JSON file, each kept as soon as it is there: a run that was cut short goes on where it was."""

    def __init__(self, path):
        self.path = path
        self.values = json.loads(path.read_text()) if path.exists() else {}

    def get(self, key, measure):
        if key not in self.values:
            print(f"{key} ...", file=sys.stderr, flush=True)
            self.values[key] = measure()
            self.save()
        return self.values[key]

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.values, indent=1) + "\n")


def keep(out, name, figures):
    """Writes figures to OUT/NAME.json."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")


def say(verdicts):
    """Prints each (what, holds, figures); the exit code."""
    for what, holds, figures in verdicts:
        print(f"{'ok  ' if holds else 'FAIL'} {what}: {figures}")
    return 0 if all(holds for _, holds, _ in verdicts) else 1


def add_common_flags(parser):
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--models", type=pathlib.Path, default=ROOT / "build/release/models")
    parser.add_argument("--model", default="pydocs-ko-en")
    parser.add_argument("--texts", type=pathlib.Path, required=True, help="source texts, a line each")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "out/bench", help="folder for results")
