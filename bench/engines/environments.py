"""Environments of the peers, each of its own, pinned, in a folder outside the tree; made where they are not there yet.

They come from the package registries through their ordinary clients: pip, cargo and npm, which must be installed. An
environment that cannot be made is said so and left out: its peers are not measured.
"""

import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent

# What pip installs in each; the versions that the figures of bench/README.md are of.
PYTHON = {
    "torch": ["torch==2.15.0", "numpy==2.4.6", "sentencepiece==0.2.3", "onnx==1.23.2", "onnxscript==0.7.2"],
    "onnxruntime": ["onnxruntime==1.32.0", "onnx==1.23.2", "numpy==2.4.6", "sentencepiece==0.2.3"],
    "ctranslate2": ["ctranslate2==4.8.5", "numpy==2.4.6"],
    "fxtranslate": ["fxtranslate==0.5.0"],
}
MARIAN = "@browsermt/bergamot-translator@0.4.9"
CRATE = "fxtranslate-crate"
NAMES = [*PYTHON, CRATE, "marian"]


class Environments:
    """Of a folder. `python` makes the virtual environments."""

    def __init__(self, folder, python=sys.executable):
        self.folder, self._python = pathlib.Path(folder), python

    def make(self, name):
        """Makes one where it is not there, which may take minutes and need the registries. Raises RuntimeError with one
        line."""
        done = self.folder / name / "complete"
        wanted = self._wanted(name)
        if done.exists() and done.read_text() == wanted:
            return
        print(f"making the environment {self.folder / name} ...", file=sys.stderr, flush=True)
        shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / name).mkdir(parents=True)
        try:
            for command in self._commands(name):
                subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL, cwd=self.folder / name)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(f"environment {name}: {error}") from None
        done.write_text(wanted)

    def _wanted(self, name):
        """What it is made of, so that another pin makes it anew."""
        if name == CRATE:
            return (HERE / "fxtranslate/Cargo.toml").read_text() + (HERE / "fxtranslate/src/main.rs").read_text()
        return " ".join(PYTHON.get(name, [MARIAN]))

    def _commands(self, name):
        if name in PYTHON:
            pip = self.folder / name / "bin/pip"
            return [[self._python, "-m", "venv", "."], [pip, "install", "--quiet", *PYTHON[name]]]
        if name == CRATE:
            # In a copy, for cargo writes beside what it builds.
            shutil.copytree(HERE / "fxtranslate", self.folder / name / "source")
            return [["cargo", "build", "--quiet", "--release", "--manifest-path", "source/Cargo.toml",
                     "--target-dir", "target"]]  # fmt: skip
        return [["npm", "install", "--prefix", ".", "--silent", "--no-audit", "--no-fund", MARIAN]]

    def python(self, name):
        return self.folder / name / "bin/python"

    def crate(self):
        return self.folder / CRATE / "target/release/heed-peer-fxtranslate"

    def marian_worker(self):
        return self.folder / "marian/node_modules/@browsermt/bergamot-translator/worker"
