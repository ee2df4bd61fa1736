"""A test with a temporary folder, whose importer refuses files; heed-export as a command."""

from __future__ import annotations

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import presets  # noqa: F401  (sets the import path)
from heed_export import cli
from heed_export.reading import checkpoint


def command(*arguments) -> tuple[int, str, str]:
    """heed-export: its exit code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(a) for a in arguments])
    return code, out.getvalue(), err.getvalue()


class InAFolder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def refused(self, message: str, call, *arguments) -> None:
        """CheckpointError, one line, of which `message` (a regular expression) is a part."""
        with self.assertRaisesRegex(checkpoint.CheckpointError, message) as caught:
            call(*arguments)
        self.assertNotIn("\n", str(caught.exception))

    def put(self, name: str, data: bytes | str) -> pathlib.Path:
        path = self.folder / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path
