"""A heed-server that serves a folder of bundles for as long as a test needs it, and translations through `heed`."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
from typing import Sequence

from heed_export.measure import serving


class Served(serving.Server):
    """Use as a context: `with Served(server, heed, models) as served: served.translate(...)`. `server` is that of a CMake
    build."""

    def __init__(self, server: pathlib.Path | str, heed: pathlib.Path | str, models: pathlib.Path):
        super().__init__(pathlib.Path(server).resolve().parents[1], models)
        self.heed = str(heed)

    @property
    def environment(self) -> dict[str, str]:
        """What `heed` needs to find the server."""
        return dict(os.environ, HEED_ADDRESS=self.address, LC_ALL="C.UTF-8")

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
