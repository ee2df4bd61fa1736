"""Engines that peers.py measures, each behind measure(texts, rows, beam) -> {"tokens_per_s", "tokens", "seconds", ...}.
`fills_slowly`: its first and last steps have fewer rows than those between, so that it gets more texts."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import servers  # noqa: E402

CALLERS = {1: 1, 64: 32}  # through gRPC: callers for so many rows


def pinned(core, command):
    return ["taskset", "-c", str(core), *(str(c) for c in command)]


class Worker:
    """A peer's process on a core, which stays between measurements; it speaks as work.py says."""

    fills_slowly = False

    def __init__(self, command, specification, core, environment=None):
        self._spec = tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8")
        json.dump(specification, self._spec)
        self._spec.flush()
        self._log = tempfile.NamedTemporaryFile("r", suffix=".log", encoding="utf-8")
        command = [self._spec.name if c == "SPEC" else c for c in command]
        one_thread = {n: "1" for n in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        with open(self._log.name, "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                pinned(core, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, **one_thread, **(environment or {})},
            )  # fmt: skip
        self.about = self._answer()

    def _answer(self):
        """The next line that is a JSON object: engines also print what they like."""
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self.stop()
        last = pathlib.Path(self._log.name).read_text(encoding="utf-8").strip().splitlines()[-3:]
        raise RuntimeError(f"{' '.join(map(str, self._process.args[3:6]))}: ended: {' / '.join(last)}")

    def measure(self, texts, rows, beam):
        self._process.stdin.write(f"{texts}\t{rows}\t{beam}\n")
        self._process.stdin.flush()
        found = self._answer()
        return {**found, "tokens_per_s": found["tokens"] / found["seconds"]}

    def pids(self):
        return [self._process.pid]

    def stop(self):
        """Its input ends, and so does it."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def export_onnx(python, bundle, model):
    """Exports a bundle's decoder step with PyTorch's environment. Raises RuntimeError."""
    model.parent.mkdir(parents=True, exist_ok=True)
    here = pathlib.Path(__file__).resolve().parent
    environment = {**os.environ, "PYTHONPATH": str(here.parents[1] / "export")}
    part = model.with_suffix(".part")
    done = subprocess.run([str(python), str(here / "onnx_export.py"), str(bundle), str(part)], env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"onnx_export.py: {done.stdout.strip().splitlines()[-1]}")
    part.rename(model)


def has_flag(program, name):
    """Whether a program's --help names this flag."""
    found = subprocess.run([str(program), "--help"], stdout=subprocess.PIPE, text=True, check=False)
    return re.search(rf"--{name}\b", found.stdout) is not None


class HeedEngine:
    """engine_bench, started for each measurement. `lengths`: (a, b) of targets of exactly a n + b tokens, or None."""

    fills_slowly = True
    about = {"versions": {}, "notes": []}

    def __init__(self, build, bundle, precision, lengths, core):
        program = build / "bench/engine_bench"
        self._times_parts = has_flag(program, "parts")
        self._command = pinned(core, [program, f"--bundle={bundle}", "--repeats=1", "--sentences=1000000"])
        if precision != "float32" or has_flag(program, "precision"):
            self._command.append(f"--precision={precision}")
        if lengths:
            self._command += [f"--max_length_a={lengths[0]}", f"--max_length_b={lengths[1]}", "--exact_length"]

    def _run(self, texts, rows, beam, *more):
        flags = [f"--texts={texts}", f"--rows={rows}", f"--beam_size={beam}", f"--warmup_sentences={rows}"]
        return servers.run_json([*self._command, *flags, *more])["results"][0]

    def measure(self, texts, rows, beam):
        found = self._run(texts, rows, beam)
        keep = ("tokens_per_s", "tokens", "rows_per_step", "ms_per_step")
        return {**{k: found[k] for k in keep}, "seconds": found["tokens"] / found["tokens_per_s"]}

    def parts(self, texts, rows, beam):
        """{part: us a target token}, of a run by itself, since timing them takes time; empty for an old build."""
        return self._run(texts, rows, beam, "--parts").get("us_per_token", {}) if self._times_parts else {}

    def pids(self):
        return []

    def stop(self):
        pass


class HeedServer:
    """heed-server with one worker on the core, asked by `heed bench` on the other: what callers get through gRPC."""

    fills_slowly = True
    about = {"versions": {}, "notes": []}

    def __init__(self, build, bundle, precision, core):
        program, flags = build / "server/heed-server", [f"--models={bundle.parent}", "--text_threads=1"]
        if precision != "float32" or has_flag(program, "precision"):
            flags.append(f"--precision={precision}")
        self._build, self._core, self._model = build, core, bundle.name
        self._server = servers.Server(program, flags, core)

    def measure(self, texts, rows, beam):
        callers = CALLERS[rows]
        count = len(pathlib.Path(texts).read_text(encoding="utf-8").splitlines())
        other = 0 if self._core else 1
        report = servers.closed_loop(
            self._build, self._server, texts, callers, count, f"--model={self._model}", core=other
        )
        return {"tokens_per_s": report["tokens_per_s"], "callers": callers,
                "tokens": report["tokens_per_s"] * report["seconds"], "seconds": report["seconds"]}  # fmt: skip

    def pids(self):
        return [self._server.process.pid]

    def stop(self):
        self._server.stop()


class Bound:
    """kernel_bench: what the products of a decoder step alone would give, `products` being (k, n) of each. The model's
    own weights over and over, as in decoding, or with `cold` a set larger than the last cache."""

    fills_slowly = False
    about = {"versions": {}, "notes": []}

    def __init__(self, build, products, precision, core, cold=False):
        listed = ",".join(f"{k}x{n}" for k, n in products)
        self._command = pinned(core, [build / "bench/kernel_bench", f"--step={listed}", f"--step_precision={precision}",
                                      f"--step_cold={str(cold).lower()}", "--benchmark_filter=^step",
                                      "--benchmark_format=json", "--benchmark_min_time=0.3"])  # fmt: skip

    def measure(self, texts, rows, beam):
        started = time.perf_counter()
        report = servers.run_json([*self._command, f"--step_rows={rows}"], stderr=subprocess.DEVNULL)
        step = report["benchmarks"][0]
        seconds = step["real_time"] * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}[step["time_unit"]]
        return {"tokens_per_s": rows / beam / seconds, "us_per_step": seconds * 1e6, "tokens": 0,
                "seconds": time.perf_counter() - started}  # fmt: skip

    def pids(self):
        return []

    def stop(self):
        pass
