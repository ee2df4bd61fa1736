#!/usr/bin/python3
"""Runs the commands of the README's transcripts against a real server and compares what they print.

Usage: readme_test.py HEED_SERVER HEED. Words must be the same and in the same places; numbers and shades may differ a
little between processors, so they are not compared.
"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVER, HEED = sys.argv[1:3]
START_SECONDS = 60


def transcripts():
    """(command, output) of every `$ heed ...` in the README's console blocks."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def words(output):
    """What a reader compares: per line the words, without numbers, shades, trailing space and blank lines."""
    lines = [re.sub(r"[\d█▓▒░]+", " ", line).split() for line in output.splitlines()]
    return [line for line in lines if line]


class Readme(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen(
            [SERVER, "--models=models", "--address=127.0.0.1:0", "--metrics_address=", "--log_format=json"],
            cwd=ROOT, stderr=subprocess.PIPE, text=True)
        log, began = "", time.monotonic()
        while (found := re.search(r'"event":"serving".*"port":(\d+)', log)) is None:
            line = cls.server.stderr.readline()
            log += line
            if not line or time.monotonic() - began > START_SECONDS:
                cls.server.kill()
                raise AssertionError("heed-server did not start:\n" + log)
        cls.environment = dict(os.environ, HEED_ADDRESS=f"127.0.0.1:{found.group(1)}", LC_ALL="C.UTF-8")
        cls.environment.pop("COLORTERM", None)

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.communicate(timeout=60)

    def test_every_transcript_is_what_the_command_prints(self):
        shown = list(transcripts())
        self.assertGreater(len(shown), 1)
        for command, output in shown:
            with self.subTest(command=command):
                arguments = shlex.split(command)
                self.assertEqual("heed", arguments[0])
                run = subprocess.run([HEED] + arguments[1:], cwd=ROOT, env=self.environment, capture_output=True,
                                     text=True, timeout=60)
                self.assertEqual(("", 0), (run.stderr, run.returncode))
                self.assertEqual(words(output), words(run.stdout))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
