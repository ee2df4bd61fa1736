"""What the tests of deploy/ share: programs from Debian, servers and daemons on ports of their own, and the loads they get."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
# The shipped models that the tests ask; whatever else lies in models/ is not theirs.
MODELS = ("pydocs-ko-en", "sae4k-ko")
START_SECONDS = 60
# Where scripts/install-deps unpacks daemons, and where Debian installs them.
TOOL_FOLDERS = [ROOT / "build/daemons/usr/sbin", ROOT / "build/daemons/usr/bin", "/usr/sbin", "/usr/bin"]
SKIPPED = 77


def tool(name):
    found = shutil.which(name, path=os.pathsep.join([*map(str, TOOL_FOLDERS), os.environ.get("PATH", "")]))
    if found is None:
        print(f"skipped: there is no {name}; scripts/install-deps test brings it", file=sys.stderr)
        sys.exit(1 if os.environ.get("CI") or os.environ.get("HEED_NO_SKIPS") else SKIPPED)
    return found


def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what, condition, seconds=START_SECONDS):
    """The condition's first true value; an error that names `what` if there is none in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not in {seconds} s: {what}")
        time.sleep(0.02)
    return value


def get(url, seconds=10):
    """(status, text) of a page; (0, reason) where nobody answers. Never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def listens(host, port):
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


class Process:
    """A program whose output is kept; ends with the `with`."""

    LAST_SIGNAL = signal.SIGTERM

    def __init__(self, command, environment=None, cwd=ROOT):
        self.name = pathlib.Path(command[0]).name
        self.process = subprocess.Popen(
            [str(part) for part in command], cwd=cwd, env={**os.environ, **(environment or {})}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    @property
    def output(self):
        return "".join(self.lines)

    def wait_for(self, what, condition, seconds=START_SECONDS):
        def ended_or():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.output}")
            return condition()
        try:
            return wait_until(what, ended_or, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.name} said:\n{self.output[-4000:]}") from None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=60):
        return self.process.wait(timeout=seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(self.LAST_SIGNAL)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(timeout=10)
        self.process.stdout.close()


class Heed(Process):
    """A heed-server with the models of MODELS."""

    LAST_SIGNAL = signal.SIGKILL  # how it stops is for those who ask it to

    def __init__(self, server, models, flags=(), environment=None, host="127.0.0.1", port=0,
                 metrics_port=0):
        super().__init__([server, f"--models={models}", f"--address={host}:{port}",
                          f"--metrics_address={host}:{metrics_port}", "--log_format=json", *flags], environment)
        serving = self.wait_for("heed-server serves", lambda: re.search(r'.*"event":"serving".*', self.output))
        self.host, facts = host, json.loads(serving.group())
        self.port, self.metrics_port = int(facts["port"]), int(facts["metrics_port"])

    def metric(self, name):
        """The sum of a metric's samples."""
        _, text = get(f"http://{self.host}:{self.metrics_port}/metrics")
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))


@contextlib.contextmanager
def models_folder():
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            (pathlib.Path(folder) / name).symlink_to(ROOT / "models" / name)
        yield folder


@contextlib.contextmanager
def ending(processes):
    """Ends what a test started and replaced meanwhile: `processes` is a list that may change."""
    try:
        yield processes
    finally:
        for process in processes:
            process.__exit__()


TEXTS = ["파이썬은 배우기 쉽다.", "함수는 값을 돌려준다.", "이 모듈은 파일을 읽고 쓴다.", "내일 아침 날씨 알려 줘"]


class Bench(Process):
    """`heed bench` on an address; its calls are not tried again."""

    def __init__(self, heed, port, *flags):
        with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False, encoding="utf-8") as texts:
            texts.write("\n".join(TEXTS) + "\n")
        self.texts = texts.name
        super().__init__([heed, "bench", f"--address=127.0.0.1:{port}", f"--texts={self.texts}", f"--model={MODELS[0]}",
                          f"--summarize_model={MODELS[1]}", "--json=-", *flags])

    def report(self, seconds=60):
        self.wait(seconds)
        self.reader.join(timeout=10)
        return json.loads(self.output[self.output.index("{"):])

    def __exit__(self, *_):
        super().__exit__()
        os.unlink(self.texts)
