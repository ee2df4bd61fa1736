"""A heed-server of one's own, for measuring through it: started on free ports, asked by the `heed` client, ended."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
from typing import Sequence


class Process:
    """A heed-server under way on free ports, with one worker; `command` is its program and further flags.

    Its log goes to a file: a pipe that nobody reads would stop it, and reading one takes a core's time.
    """

    def __init__(self, command: Sequence[object]):
        self._log = tempfile.NamedTemporaryFile("r", suffix=".log", encoding="utf-8")
        flags = ["--workers=1", "--address=127.0.0.1:0", "--log_format=json"]
        with open(self._log.name, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([str(c) for c in [*command, *flags]], stderr=log)
        while True:
            ended = self.process.poll() is not None  # before the log is read, so that its last words are there
            serving = next((entry for entry in self.log() if entry.get("event") == "serving"), None)
            if serving or ended:
                break
            time.sleep(0.05)
        if not serving:
            raise RuntimeError(f"the server did not start: {pathlib.Path(self._log.name).read_text().strip()}")
        self.address = f"127.0.0.1:{serving['port']}"
        self.metrics_address = f"127.0.0.1:{serving['metrics_port']}"

    def log(self) -> list[dict]:
        """Its entries so far."""
        entries = []
        for line in pathlib.Path(self._log.name).read_text().splitlines():
            with contextlib.suppress(ValueError):  # a line that is being written
                entries.append(json.loads(line))
        return entries

    def stop(self, number: int = signal.SIGTERM, wait: float | None = 60) -> int:
        """Its exit code, after this signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(wait)


def find_build(root: pathlib.Path) -> pathlib.Path | None:
    """The newest CMake build folder below root/build or ./build that has heed-server and heed."""
    servers = [p for top in (root, pathlib.Path.cwd()) for p in top.glob("build/*/server/heed-server")]
    built = [p.parents[1] for p in servers if (p.parents[1] / "client/heed").is_file()]
    return max(built, key=lambda p: (p / "server/heed-server").stat().st_mtime, default=None)


class Server:
    """A server with one worker; use it as a context. `build` is a CMake build folder, `models` a folder of bundles,
    `flags` are further ones of heed-server."""

    def __init__(self, build: pathlib.Path, models: pathlib.Path, *flags: str):
        self._build = build
        self._models = models
        self._flags = flags

    def __enter__(self) -> Server:
        command = [self._build / "server/heed-server", f"--models={self._models}", "--text_threads=1"]
        self._server = Process([*command, "--metrics_address=", *self._flags])
        self.address = self._server.address
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(wait=None)

    def log(self, event: str) -> list[dict]:
        """The entries so far of this event."""
        return [entry for entry in self._server.log() if entry.get("event") == event]

    def cpu_seconds(self) -> float:
        """The processor time that the server has used, all threads: what other work on the machine does not change."""
        fields = pathlib.Path(f"/proc/{self._server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, command: str, model: str, texts: pathlib.Path, *flags: str) -> str:
        """What `heed COMMAND --file=texts --output=json` prints, with further flags."""
        call = [self._build / "client/heed", command, f"--address={self.address}", f"--model={model}"]
        call += [f"--file={texts}", "--output=json", "--timeout=10m", *flags]
        return subprocess.run([str(c) for c in call], stdout=subprocess.PIPE, text=True, check=True).stdout

    def bench(self, model: str, texts: pathlib.Path, *flags: str) -> dict:
        """What `heed bench` reports of a run over these texts."""
        call = [self._build / "client/heed", "bench", f"--address={self.address}", f"--model={model}"]
        call += [f"--texts={texts}", "--json=-", *flags]
        return json.loads(subprocess.run([str(c) for c in call], stdout=subprocess.PIPE, text=True, check=True).stdout)
