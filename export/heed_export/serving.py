"""A heed-server of one's own, for measuring through it: started on free ports, asked by the `heed` client, ended."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import threading
from typing import Sequence


class Server:
    """A server with one worker; use it as a context. `build` is a CMake build folder, `models` a folder of bundles."""

    def __init__(self, build: pathlib.Path, models: pathlib.Path):
        self._build = build
        self._models = models

    def __enter__(self) -> Server:
        command = [self._build / "server/heed-server", f"--models={self._models}", "--workers=1", "--text_threads=1"]
        command += ["--address=127.0.0.1:0", "--metrics_address=", "--log_format=json"]
        self._process = subprocess.Popen([str(c) for c in command], stderr=subprocess.PIPE, text=True)
        told = []
        for line in self._process.stderr:
            told.append(line)
            entry = json.loads(line)
            if entry.get("event") == "serving":
                # The log must be read on, or the server would wait for room in the pipe.
                self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)
                self._reader.start()
                self.address = f"127.0.0.1:{entry['port']}"
                return self
        self._process.wait()
        raise RuntimeError(f"the server did not start: {''.join(told).strip()}")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()
        self._process.stderr.close()

    def cpu_seconds(self) -> float:
        """The processor time that the server has used, all threads: what other work on the machine does not change."""
        fields = pathlib.Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, command: str, model: str, texts: pathlib.Path, *flags: str) -> str:
        """What `heed COMMAND --file=texts --output=json` prints, with further flags."""
        call = [self._build / "client/heed", command, f"--address={self.address}", f"--model={model}"]
        call += [f"--file={texts}", "--output=json", "--timeout=10m", *flags]
        return subprocess.run([str(c) for c in call], stdout=subprocess.PIPE, text=True, check=True).stdout

    def bench(self, model: str, texts: pathlib.Path, flags: Sequence[str]) -> dict:
        """What bench/serve_bench measured."""
        call = [self._build / "bench/serve_bench", f"--address={self.address}", f"--model={model}", f"--texts={texts}"]
        done = subprocess.run([*map(str, call), *flags], stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout)
