"""A heed-server that serves a folder of bundles for as long as a test needs it, and translations through `heed`."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import time
from typing import Sequence

START_SECONDS = 60


class Served:
    """Use as a context: `with Served(server, heed, models) as served: served.translate(...)`."""

    def __init__(self, server: pathlib.Path | str, heed: pathlib.Path | str, models: pathlib.Path):
        self.heed = str(heed)
        command = [
            str(server),
            f"--models={models}",
            "--address=127.0.0.1:0",
            "--metrics_address=",
            "--log_format=json",
        ]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        log, began = "", time.monotonic()
        while (found := re.search(r'"event":"serving".*"port":(\d+)', log)) is None:
            line = self.process.stderr.readline()
            log += line
            if not line or time.monotonic() - began > START_SECONDS:
                self.process.kill()
                raise AssertionError("heed-server did not start:\n" + log)
        self.environment = dict(os.environ, HEED_ADDRESS=f"127.0.0.1:{found.group(1)}", LC_ALL="C.UTF-8")

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.communicate(timeout=60)

    def translate(self, lines: Sequence[str], model: str, *flags: str) -> list[dict]:
        """`result.output` of each line: text, and its segments."""
        command = [self.heed, "translate", f"--model={model}", "--output=json", *flags]
        run = subprocess.run(
            command,
            input="".join(f"{line}\n" for line in lines),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if run.returncode != 0:
            raise AssertionError(f"heed exited with {run.returncode}: {run.stderr}")
        return [json.loads(line)["result"]["output"] for line in run.stdout.splitlines()]
